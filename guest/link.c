/* link.c: the guest's network interfaces: the loopback, and what BOOT says. */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "guest/agent.h"
#include "runtime/base/own.h"
#include "runtime/base/parse.h"

/*
 * All there is to be done is one message of several requests (rtnetlink(7)).
 * The kernel carries them out while it is sent, and answers only what failed:
 * when there is no answer, it is done. Addresses are used at once: nobody else
 * is on the link who could have them, and nobody who announces routes, so that
 * the kernel is kept from making an address of its own and asking for either.
 */
#define REQUESTS_MAX 2048
#define ADDRESS_MAX  64
#define LOOPBACK     "lo"

struct requests {
	char buf[REQUESTS_MAX];
	size_t len;
	struct nlmsghdr *last;
};

/* Room for n more bytes, cleared; what BOOT may hold fits. NULL: it does not. */
static void *add(struct requests *r, size_t n)
{
	void *p = r->buf + r->len;

	if (NLMSG_ALIGN(n) > sizeof(r->buf) - r->len)
		return NULL;
	memset(p, 0, NLMSG_ALIGN(n));
	r->len += NLMSG_ALIGN(n);
	if (r->last)
		r->last->nlmsg_len += (uint32_t)NLMSG_ALIGN(n);
	return p;
}

/* Begins a request with a body of n bytes. */
static void *request(struct requests *r, uint16_t type, uint16_t flags, size_t n)
{
	struct nlmsghdr *h;

	r->last = NULL;
	h = add(r, sizeof(*h));
	if (h == NULL)
		return NULL;
	*h = (struct nlmsghdr){ .nlmsg_len = sizeof(*h),
				.nlmsg_type = type,
				.nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags) };
	r->last = h;
	return add(r, n);
}

/* An attribute of the last request; data NULL: others follow that it is to hold. */
static struct rtattr *attribute(struct requests *r, uint16_t type, const void *data, size_t n)
{
	struct rtattr *a = add(r, RTA_LENGTH(n));

	if (a == NULL)
		return NULL;
	a->rta_type = type;
	a->rta_len = (uint16_t)RTA_LENGTH(n);
	if (data)
		memcpy(RTA_DATA(a), data, n);
	return a;
}

/* No link-local address, and no search for a router that goes with it. */
static bool quiet_ipv6(struct requests *r, int index)
{
	struct ifinfomsg *m = request(r, RTM_NEWLINK, 0, sizeof(*m));
	uint8_t mode = IN6_ADDR_GEN_MODE_NONE;
	struct rtattr *spec, *inet6;

	if (m == NULL)
		return false;
	m->ifi_index = index;
	spec = attribute(r, IFLA_AF_SPEC, NULL, 0);
	inet6 = attribute(r, AF_INET6, NULL, 0);
	if (spec == NULL || inet6 == NULL ||
	    attribute(r, IFLA_INET6_ADDR_GEN_MODE, &mode, sizeof(mode)) == NULL)
		return false;
	spec->rta_len = (uint16_t)(r->buf + r->len - (char *)spec);
	inet6->rta_len = (uint16_t)(r->buf + r->len - (char *)inet6);
	return true;
}

static bool bring_up(struct requests *r, int index)
{
	struct ifinfomsg *m = request(r, RTM_NEWLINK, 0, sizeof(*m));

	if (m == NULL)
		return false;
	m->ifi_index = index;
	m->ifi_flags = m->ifi_change = IFF_UP;
	return true;
}

/* Either family; the number of bytes, or 0. */
static size_t parse_address(const char *text, int *family, void *out)
{
	*family = strchr(text, ':') ? AF_INET6 : AF_INET;
	if (inet_pton(*family, text, out) != 1)
		return 0;
	return *family == AF_INET ? sizeof(struct in_addr) : sizeof(struct in6_addr);
}

/* "10.0.2.15/24"; the address's number of bytes, or 0. */
static size_t parse_prefix(const char *text, int *family, void *out, uint64_t *prefix)
{
	const char *slash = strchr(text, '/');
	char addr[ADDRESS_MAX];
	size_t n;

	if (slash == NULL || slash - text >= ADDRESS_MAX)
		return 0;
	memcpy(addr, text, (size_t)(slash - text));
	addr[slash - text] = 0;
	n = parse_address(addr, family, out);
	return n && parse_u64(slash + 1, 0, 8 * n, prefix) ? n : 0;
}

uint32_t link_address(const struct wire_link *links, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		for (size_t k = 0; k < links[i].addresses.n; k++) {
			uint8_t bytes[sizeof(struct in6_addr)];
			uint64_t prefix;
			uint32_t v4;
			int family;

			if (parse_prefix(links[i].addresses.v[k], &family, bytes, &prefix) !=
			    sizeof(v4))
				continue;
			memcpy(&v4, bytes, sizeof(v4));
			return v4;
		}
	}
	return 0;
}

static bool add_address(struct requests *r, int index, const char *text)
{
	uint32_t flags = IFA_F_PERMANENT | IFA_F_NODAD;
	uint8_t bytes[sizeof(struct in6_addr)];
	struct ifaddrmsg *m;
	uint64_t prefix;
	int family;
	size_t n = parse_prefix(text, &family, bytes, &prefix);

	if (n == 0)
		return false;
	m = request(r, RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, sizeof(*m));
	if (m == NULL)
		return false;
	m->ifa_family = (uint8_t)family;
	m->ifa_prefixlen = (uint8_t)prefix;
	m->ifa_index = (uint32_t)index;
	return attribute(r, IFA_LOCAL, bytes, n) && attribute(r, IFA_ADDRESS, bytes, n) &&
	       attribute(r, IFA_FLAGS, &flags, sizeof(flags));
}

static bool add_default_route(struct requests *r, int index, const char *text)
{
	uint8_t bytes[sizeof(struct in6_addr)];
	struct rtmsg *m;
	int family;
	size_t n = parse_address(text, &family, bytes);

	m = n ? request(r, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, sizeof(*m)) : NULL;
	if (m == NULL)
		return false;
	m->rtm_family = (uint8_t)family;
	m->rtm_table = RT_TABLE_MAIN;
	m->rtm_protocol = RTPROT_BOOT;
	m->rtm_scope = RT_SCOPE_UNIVERSE;
	m->rtm_type = RTN_UNICAST;
	return attribute(r, RTA_GATEWAY, bytes, n) && attribute(r, RTA_OIF, &index, sizeof(index));
}

static int index_of(int fd, const char *name)
{
	struct ifreq req;

	memset(&req, 0, sizeof(req));
	strncpy(req.ifr_name, name, sizeof(req.ifr_name) - 1);
	return ioctl(fd, SIOCGIFINDEX, &req) < 0 ? -errno : req.ifr_ifindex;
}

static int add_link(struct requests *r, int fd, const struct wire_link *l, struct err *e)
{
	int index = index_of(fd, l->name);
	bool ok;

	if (index < 0)
		return err_set(e, -index, "network interface %s: %s", l->name, strerror(-index));
	ok = quiet_ipv6(r, index) && bring_up(r, index);
	for (size_t i = 0; ok && i < l->addresses.n; i++)
		ok = add_address(r, index, l->addresses.v[i]);
	for (size_t i = 0; ok && i < l->gateways.n; i++)
		ok = add_default_route(r, index, l->gateways.v[i]);
	return ok ? 0 : err_set(e, EINVAL, "network interface %s: bad address", l->name);
}

/* What the kernel says of requests that failed: the first. */
static int carry_out(int fd, const struct requests *r, struct err *e)
{
	struct {
		struct nlmsghdr h;
		struct nlmsgerr m;
		char rest[REQUESTS_MAX];
	} answer;
	ssize_t n;

	if (send(fd, r->buf, r->len, 0) < 0)
		return err_sys(e, "set up the network");
	n = recv(fd, &answer, sizeof(answer), MSG_DONTWAIT);
	if (n < 0)
		return errno == EAGAIN ? 0 : err_sys(e, "set up the network");
	if ((size_t)n < sizeof(answer.h) + sizeof(answer.m) || answer.h.nlmsg_type != NLMSG_ERROR ||
	    answer.m.error == 0)
		return 0;
	return err_set(e, -answer.m.error, "set up the network: request %u: %s",
		       answer.m.msg.nlmsg_type, strerror(-answer.m.error));
}

int link_up(const struct wire_link *links, uint32_t n, struct err *e)
{
	own_fd int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	struct requests r = { .len = 0 };
	int lo, rc = 0;

	if (fd < 0)
		return err_sys(e, "set up the network");
	lo = index_of(fd, LOOPBACK);
	if (lo < 0 || !bring_up(&r, lo)) /* the kernel adds 127.0.0.1 and ::1 itself */
		return err_set(e, ENODEV, "bring up " LOOPBACK);
	for (uint32_t i = 0; i < n && rc == 0; i++)
		rc = add_link(&r, fd, &links[i], e);
	return rc < 0 ? rc : carry_out(fd, &r, e);
}
