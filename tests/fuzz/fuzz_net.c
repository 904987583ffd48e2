/* fuzz_net.c: any frames of a guest's to a network engine whose sockets lead nowhere. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "runtime/base/cursor.h"
#include "runtime/net/net.h"

/*
 * The input is a script: frames as they are; frames whose lengths and
 * checksums are made right, so that they get past the first look; bytes from
 * the other side of a socket, and its end; turns of the engine. Sockets are
 * ends of pairs: what the engine calls is replaced below. Of what comes out
 * nothing may be larger than the link takes.
 */
#define STEPS_MAX   200
#define SOCKETS_MAX 32

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int __lsan_is_turned_off(void);

/* slirp_cleanup leaves fragments and what waits for a neighbour's answer; then the process ends. */
int __lsan_is_turned_off(void)
{
	return 1;
}

static int far_end[SOCKETS_MAX];
static unsigned nfar;

int socket(int domain, int type, int protocol)
{
	int sv[2];

	(void)protocol;
	if ((domain != AF_INET && domain != AF_INET6) || nfar == SOCKETS_MAX ||
	    socketpair(AF_UNIX,
		       (type & ~0xf) | SOCK_NONBLOCK |
			       ((type & 0xf) == SOCK_STREAM ? SOCK_STREAM : SOCK_DGRAM),
		       0, sv)) {
		errno = ENETUNREACH;
		return -1;
	}
	far_end[nfar++] = sv[1];
	return sv[0];
}

int connect(int fd, const struct sockaddr *a, socklen_t len)
{
	(void)fd;
	(void)a;
	(void)len;
	return 0;
}

ssize_t sendto(int fd, const void *p, size_t n, int flags, const struct sockaddr *a, socklen_t len)
{
	(void)a;
	(void)len;
	return send(fd, p, n, flags | MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void output(void *arg, const uint8_t *frame, size_t len)
{
	uint8_t sum = 0;

	(void)arg;
	if (len < NET_ETH_LEN || len > NET_FRAME_MAX)
		abort();
	for (size_t i = 0; i < len; i++)
		sum ^= frame[i];
	if (sum && len == 0)
		abort();
}

static uint32_t add_up(const uint8_t *p, size_t n, uint32_t sum)
{
	for (size_t i = 0; i < n; i++)
		sum += i & 1 ? p[i] : (uint32_t)p[i] << 8;
	return sum;
}

static void put_sum(uint8_t *at, uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	sum = ~sum;
	at[0] = (uint8_t)(sum >> 8);
	at[1] = (uint8_t)sum;
}

/* Of a segment of n bytes with pseudo-header sum `pseudo`: where each protocol has it. */
static void mend_segment(uint8_t *p, size_t n, uint8_t proto, uint32_t pseudo)
{
	static const struct {
		uint8_t proto, at;
	} sums[] = {
		{ IPPROTO_TCP, 16 }, { IPPROTO_UDP, 6 }, { IPPROTO_ICMP, 2 }, { IPPROTO_ICMPV6, 2 }
	};

	for (size_t i = 0; i < sizeof(sums) / sizeof(sums[0]); i++) {
		if (sums[i].proto != proto || n < sums[i].at + 2U)
			continue;
		if (proto == IPPROTO_UDP) {
			p[4] = (uint8_t)(n >> 8);
			p[5] = (uint8_t)n;
		}
		p[sums[i].at] = p[sums[i].at + 1] = 0;
		put_sum(p + sums[i].at, add_up(p, n, proto == IPPROTO_ICMP ? 0 : pseudo));
	}
}

static void mend(uint8_t *f, size_t len)
{
	uint8_t *ip = f + NET_ETH_LEN;
	size_t n = len - NET_ETH_LEN;

	if (len < NET_ETH_LEN + 40)
		return;
	f[12] = f[12] & 1 ? 0x86 : 8;
	f[13] = f[12] == 8 ? 0 : 0xdd;
	if (f[12] == 8) {
		ip[0] = 0x45;
		ip[2] = (uint8_t)(n >> 8);
		ip[3] = (uint8_t)n;
		ip[10] = ip[11] = 0;
		put_sum(ip + 10, add_up(ip, 20, 0));
		mend_segment(ip + 20, n - 20, ip[9], add_up(ip + 12, 8, ip[9] + (uint32_t)n - 20));
	} else {
		ip[0] = 0x60 | (ip[0] & 0xf);
		ip[4] = (uint8_t)((n - 40) >> 8);
		ip[5] = (uint8_t)(n - 40);
		mend_segment(ip + 40, n - 40, ip[6], add_up(ip + 8, 32, ip[6] + (uint32_t)n - 40));
	}
}

static void frame(struct net *n, struct cur *c, bool right)
{
	static uint8_t f[NET_FRAME_MAX];
	uint16_t len;
	uint8_t own;
	const void *p;

	if (!cur_u8(c, &own) || !cur_u16(c, &len) || !cur_bytes(c, own, &p))
		return;
	memset(f, 0, sizeof(f));
	memcpy(f, p, own);
	len = len % 3 ? own : len; /* as long as it looks, or with zeros behind */
	if (len > sizeof(f))
		len = sizeof(f);
	if (right)
		mend(f, len);
	net_input(n, f, len);
}

static void turn(struct net *n)
{
	struct pollfd *fds;
	int timeout;
	size_t nfds = net_wait(n, 0, &fds, &timeout);

	if (poll(fds, nfds, 0) >= 0)
		net_turn(n);
}

static void step(struct net *n, struct cur *c, uint8_t op)
{
	uint8_t which = 0, len = 0;
	const void *p;

	switch (op % 6) {
	case 0:
	case 1:
	case 2:
		frame(n, c, op % 6);
		break;
	case 3:
		turn(n);
		break;
	case 4:
		if (cur_u8(c, &which) && cur_u8(c, &len) && cur_bytes(c, len, &p) && nfar)
			(void)!send(far_end[which % nfar], p, len, MSG_NOSIGNAL | MSG_DONTWAIT);
		break;
	case 5:
		if (cur_u8(c, &which) && nfar)
			shutdown(far_end[which % nfar], SHUT_WR);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct net_config conf = { .host_loopback = true };
	struct cur c = cur_of(data, size);
	struct net *n = net_new(&conf, output, NULL, NULL);
	uint8_t op;

	if (n == NULL)
		abort();
	turn(n);
	for (int i = 0; i < STEPS_MAX && cur_u8(&c, &op); i++)
		step(n, &c, op);
	turn(n);
	net_free(n);
	while (nfar)
		close(far_end[--nfar]);
	return 0;
}
