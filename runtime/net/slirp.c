/* slirp.c: the engine of net.h by libslirp. */
#include <arpa/inet.h>
#include <glib.h>
#include <net/if.h>
#include <slirp/libslirp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "runtime/base/own.h"
#include "runtime/base/str.h"
#include "runtime/net/net.h"

/*
 * Theory of operation.
 *
 * libslirp says by slirp_pollfds_fill what it waits for, and looks at all of
 * it in slirp_pollfds_poll, which is also where its clock goes on: that is
 * why net_turn comes before net_input. Its timeout is never longer than a
 * second; that second means nothing (IDLE_MS), the two shorter ones do. Its
 * one timer would announce the router to the guest now and then, which was
 * told its addresses: it is never set.
 */

/* What slirp_pollfds_fill makes of "no limit" when there is nothing to be done. */
#define IDLE_MS 1000U
/* Descriptors that are left to the rest of the process. */
#define FDS_LEFT 512U
/* Most sockets, whatever the limit of descriptors is. */
#define SOCKETS_MAX  16384U
#define CONFIG_LEVEL 4U /* with disable_dhcp and timer_new_opaque */
#define FDS_FIRST    16U

struct net {
	Slirp *slirp;
	net_output_fn *output;
	void *arg;
	struct pollfd *fds;
	size_t nfds, cap;
	size_t nsockets, sockets_max;
};

/* --- what libslirp calls */

static ssize_t send_packet(const void *frame, size_t len, void *opaque)
{
	struct net *n = opaque;

	n->output(n->arg, frame, len);
	return (ssize_t)len;
}

/* A guest that talks nonsense is not worth a line. */
static void guest_error(const char *msg, void *opaque)
{
	(void)msg;
	(void)opaque;
}

static void no_log(const char *domain, GLogLevelFlags level, const char *text, void *arg)
{
	(void)domain;
	(void)level;
	(void)text;
	(void)arg;
}

static int64_t clock_get_ns(void *opaque)
{
	struct timespec ts;

	(void)opaque;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static void *timer_new(SlirpTimerId id, void *cb_opaque, void *opaque)
{
	(void)id;
	(void)cb_opaque;
	return opaque;
}

static void timer_free(void *timer, void *opaque)
{
	(void)timer;
	(void)opaque;
}

static void timer_mod(void *timer, int64_t expires, void *opaque)
{
	(void)timer;
	(void)expires;
	(void)opaque;
}

/* All descriptors are asked for anew by every slirp_pollfds_fill: these only count. */
static void register_fd(int fd, void *opaque)
{
	(void)fd;
	((struct net *)opaque)->nsockets++;
}

static void unregister_fd(int fd, void *opaque)
{
	struct net *n = opaque;

	(void)fd;
	if (n->nsockets)
		n->nsockets--;
}

/* There is no other thread to be told. */
static void notify(void *opaque)
{
	(void)opaque;
}

static const SlirpCb callbacks = {
	.send_packet = send_packet,
	.guest_error = guest_error,
	.clock_get_ns = clock_get_ns,
	.timer_free = timer_free,
	.timer_mod = timer_mod,
	.register_poll_fd = register_fd,
	.unregister_poll_fd = unregister_fd,
	.notify = notify,
	.timer_new_opaque = timer_new,
};

/*
 * In if_nametoindex's place (runtime/lib.sh), for a name server fe80::1%eth0:
 * the C library's would open a unix socket, which our thread may not.
 */
unsigned net_interface_index(const char *name);
unsigned net_interface_index(const char *name)
{
	own_fd int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq req = { .ifr_ifindex = 0 };

	strncpy(req.ifr_name, name, sizeof(req.ifr_name) - 1);
	return fd < 0 || ioctl(fd, SIOCGIFINDEX, &req) < 0 ? 0 : (unsigned)req.ifr_ifindex;
}

/* --- the engine */

/* The limit of descriptors is the process's: a guest must not use up what its holder needs. */
static size_t sockets_max(void)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) < 0 || files.rlim_cur < 2 * FDS_LEFT)
		return FDS_LEFT;
	return files.rlim_cur - FDS_LEFT < SOCKETS_MAX ? files.rlim_cur - FDS_LEFT : SOCKETS_MAX;
}

struct net *net_new(const struct net_config *c, net_output_fn *output, void *arg, struct err *e)
{
	struct net *n = xcalloc(1, sizeof(*n));
	SlirpConfig conf = {
		.version = CONFIG_LEVEL,
		.in_enabled = true,
		.in6_enabled = true,
		.vprefix_len = NET_PREFIX6,
		.if_mtu = NET_MTU,
		.if_mru = NET_MTU,
		.disable_host_loopback = !c->host_loopback,
		.disable_dhcp = true,
	};

	inet_pton(AF_INET, NET_NETWORK, &conf.vnetwork);
	inet_pton(AF_INET, NET_MASK, &conf.vnetmask);
	inet_pton(AF_INET, NET_GATEWAY, &conf.vhost);
	inet_pton(AF_INET, NET_ADDRESS, &conf.vdhcp_start);
	inet_pton(AF_INET, NET_NAMESERVER, &conf.vnameserver);
	inet_pton(AF_INET6, NET_NETWORK6, &conf.vprefix_addr6);
	inet_pton(AF_INET6, NET_GATEWAY6, &conf.vhost6);
	inet_pton(AF_INET6, NET_NAMESERVER6, &conf.vnameserver6);
	g_log_set_default_handler(no_log, NULL);
	n->output = output;
	n->arg = arg;
	n->sockets_max = sockets_max();
	n->cap = FDS_FIRST;
	n->fds = xcalloc(n->cap, sizeof(*n->fds));
	n->slirp = slirp_new(&conf, &callbacks, n);
	if (n->slirp == NULL) {
		err_set(e, EINVAL, "the network cannot be set up");
		net_free(n);
		return NULL;
	}
	return n;
}

void net_free(struct net *n)
{
	if (n == NULL)
		return;
	if (n->slirp)
		slirp_cleanup(n->slirp);
	free(n->fds);
	free(n);
}

void net_input(struct net *n, const uint8_t *frame, size_t len)
{
	if (len > NET_FRAME_MAX || !net_allowed(frame, len))
		return;
	if (n->nsockets >= n->sockets_max && net_opens(frame, len))
		return;
	slirp_input(n->slirp, frame, (int)len);
}

static int add_fd(int fd, int events, void *opaque)
{
	struct net *n = opaque;
	short want = 0;

	if (n->nfds == n->cap) {
		n->cap *= 2;
		n->fds = xrealloc(n->fds, n->cap * sizeof(*n->fds));
	}
	if (events & SLIRP_POLL_IN)
		want |= POLLIN;
	if (events & SLIRP_POLL_OUT)
		want |= POLLOUT;
	if (events & SLIRP_POLL_PRI)
		want |= POLLPRI;
	n->fds[n->nfds] = (struct pollfd){ .fd = fd, .events = want };
	return (int)n->nfds++;
}

static int events_of(int i, void *opaque)
{
	const struct net *n = opaque;
	short got = n->fds[i].revents;

	return (got & POLLIN ? SLIRP_POLL_IN : 0) | (got & POLLOUT ? SLIRP_POLL_OUT : 0) |
	       (got & POLLPRI ? SLIRP_POLL_PRI : 0) | (got & POLLERR ? SLIRP_POLL_ERR : 0) |
	       (got & POLLHUP ? SLIRP_POLL_HUP : 0);
}

size_t net_wait(struct net *n, size_t reserved, struct pollfd **fds, int *timeout_ms)
{
	uint32_t timeout = UINT32_MAX;

	n->nfds = reserved;
	slirp_pollfds_fill(n->slirp, &timeout, add_fd, n);
	*fds = n->fds;
	*timeout_ms = timeout >= IDLE_MS ? -1 : (int)timeout;
	return n->nfds;
}

void net_turn(struct net *n)
{
	slirp_pollfds_poll(n->slirp, 0, events_of, n);
}
