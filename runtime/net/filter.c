/* filter.c: frames of the guest's that must not become sockets of the host's. */
#include <string.h>

#include "runtime/net/net.h"

#define TYPE_IPV4 0x0800
#define TYPE_ARP  0x0806
#define TYPE_IPV6 0x86dd

#define IPV4_LEN   20U
#define IPV4_PROTO 9U
#define IPV4_TO	   16U
#define IPV6_LEN   40U
#define IPV6_NEXT  6U
#define IPV6_TO	   24U
#define TCP_FLAGS  13U
#define TCP_SYN	   0x02U

/*
 * 0.0.0.0/8 and 127.0.0.0/8 connect to the host's loopback. Multicast and
 * broadcast would go out of all of the host's interfaces.
 */
static bool allowed4(const uint8_t *to)
{
	return to[0] != 0 && to[0] != IN_LOOPBACKNET && to[0] < 224;
}

/*
 * ::, ::1 and ::ffff:0:0/96, in which IPv4 addresses hide, and all else below
 * them. Of multicast only what finding a neighbour takes.
 */
static bool allowed6(const uint8_t *to, uint8_t next)
{
	static const uint8_t zero[10];

	if (to[0] == 0xff)
		return next == IPPROTO_ICMPV6;
	return memcmp(to, zero, sizeof(zero)) != 0;
}

static unsigned type_of(const uint8_t *frame, size_t len)
{
	return len < NET_ETH_LEN ? 0 : (unsigned)frame[12] << 8 | frame[13];
}

bool net_allowed(const uint8_t *frame, size_t len)
{
	const uint8_t *ip = frame + NET_ETH_LEN;

	switch (type_of(frame, len)) {
	case TYPE_ARP:
		return true;
	case TYPE_IPV4:
		return len >= NET_ETH_LEN + IPV4_LEN && allowed4(ip + IPV4_TO);
	case TYPE_IPV6:
		return len >= NET_ETH_LEN + IPV6_LEN && allowed6(ip + IPV6_TO, ip[IPV6_NEXT]);
	}
	return false;
}

bool net_opens(const uint8_t *frame, size_t len)
{
	const uint8_t *ip = frame + NET_ETH_LEN, *end = frame + len, *tcp;
	unsigned proto;

	switch (type_of(frame, len)) {
	case TYPE_IPV4:
		tcp = ip + (ip[0] & 0xfU) * 4;
		proto = ip[IPV4_PROTO];
		break;
	case TYPE_IPV6:
		tcp = ip + IPV6_LEN;
		proto = ip[IPV6_NEXT];
		break;
	default:
		return false;
	}
	if (proto != IPPROTO_TCP)
		return proto != IPPROTO_ICMPV6;
	return end - tcp <= (ptrdiff_t)TCP_FLAGS || (tcp[TCP_FLAGS] & TCP_SYN);
}
