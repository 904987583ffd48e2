/* publish.c: published ports: sockets and connections; see publish.h. */
#include "runtime/box/publish.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/log.h"
#include "runtime/base/own.h"
#include "runtime/base/str.h"
#include "runtime/box/publish_impl.h"
#include "vsock/codec.h"

/*
 * Theory of operation.
 *
 * The sockets are bound before the VM is made: who asks for a taken port
 * learns at once, and who connects during the boot waits in the backlog. From
 * publish_serve on each connection is a flow: a socket here, a connection of
 * the vsock device's to the agent (vsock/wire.h: WIRE_PORT_FORWARD), which
 * connects to what listens in there. Bytes go from the socket straight into
 * guest memory and back; what one side cannot take stays with the other, so
 * that a slow client holds its server back as it would without us.
 *
 * Ends: end of file goes through in each direction; a reset by the client
 * resets the guest's connection, and where the guest never said that it is
 * connected, or went away without an end of file, the client is reset.
 *
 * Everything is on the holder's loop. When there are as many flows as there
 * may be, or no descriptors are left, the doors are not watched for a while.
 */

#define ACCEPT_ROUND 64
/* Without descriptors: how long the doors stay closed. */
#define REOPEN_NS (100ULL * 1000000)
/* A port of the system's choice has to be free for IPv4 and IPv6. */
#define RANDOM_TRIES 32

static const struct confine_call calls[] = {
	CONFINE_CALL(accept4), CONFINE_CALL(setsockopt), CONFINE_CALL(recvmsg),
	CONFINE_CALL(sendmsg), CONFINE_CALL(shutdown),
};
const struct confine_list publish_calls = { calls, sizeof(calls) / sizeof(*calls) };

/* --- flows in general */

bool publish_dial(struct flow *f, uint8_t proto, const struct vsock_conn_ops *ops)
{
	struct publish *p = f->door->all;
	uint64_t now = loop_now();
	struct wire_forward m = { .proto = proto, .port = f->door->bound.port };
	own_str struct str frame = STR_INIT;

	if (now < p->until_ns)
		m.patience_ms = (uint32_t)((p->until_ns - now) / 1000000);
	f->conn = vsock_connect(p->vsock, WIRE_PORT_FORWARD, ops, f);
	if (f->conn == NULL)
		return false;
	wire_put_forward(&frame, &m);
	vsock_send(f->conn, frame.s, frame.len);
	return true;
}

ssize_t publish_opened(struct flow *f, const struct iovec *iov)
{
	if (f->opened)
		return 0;
	f->opened = *(const volatile char *)iov[0].iov_base == WIRE_FORWARD_OPEN;
	return f->opened ? 1 : -EPROTO;
}

static void on_door(void *arg, uint32_t events);

static void watch_doors(struct publish *p)
{
	for (unsigned i = 0; i < p->ndoors; i++) {
		struct door *d = &p->doors[i];

		if (d->watch == NULL)
			d->watch = loop_add(p->loop, d->fd, EPOLLIN,
					    d->bound.udp ? publish_datagrams : on_door, d, NULL);
	}
	p->full = false;
}

static void close_doors(struct publish *p)
{
	for (unsigned i = 0; i < p->ndoors; i++) {
		if (p->doors[i].bound.udp)
			continue;
		loop_del(p->doors[i].watch);
		p->doors[i].watch = NULL;
	}
	p->full = true;
}

static void reopen(void *arg)
{
	struct publish *p = arg;

	p->reopen = NULL;
	watch_doors(p);
}

/* --- connections */

static void flow_free(struct flow *f, bool reset)
{
	struct linger at_once = { .l_onoff = 1 };
	struct publish *p = f->door->all;

	loop_del(f->watch);
	if (reset)
		setsockopt(f->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	close(f->fd);
	TAILQ_REMOVE(&p->flows, f, link);
	p->nflows--;
	free(f);
	if (p->full && !p->closing && p->reopen == NULL)
		watch_doors(p);
}

static ssize_t flow_push(struct vsock_conn *c, void *arg, const struct iovec *iov, int n)
{
	struct flow *f = arg;
	ssize_t first = publish_opened(f, iov), put;
	struct iovec rest[2] = { iov[0], { 0 } };
	struct msghdr msg = { .msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)n };

	(void)c;
	if (first < 0)
		return first;
	if (first > 0) { /* what comes with it is offered again */
		rest[0].iov_base = (char *)iov[0].iov_base + first;
		rest[0].iov_len -= (size_t)first;
		msg.msg_iov = rest;
		msg.msg_iovlen = 1;
		if (rest[0].iov_len == 0)
			return first;
	}
	do {
		put = sendmsg(f->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
	} while (put < 0 && errno == EINTR);
	if (put < 0)
		return errno == EAGAIN ? first : -errno;
	return first + put;
}

static ssize_t flow_pull(struct vsock_conn *c, void *arg, const struct iovec *iov, int n)
{
	struct flow *f = arg;
	struct msghdr msg = { .msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)n };
	ssize_t got;

	(void)c;
	do {
		got = recvmsg(f->fd, &msg, MSG_DONTWAIT);
	} while (got < 0 && errno == EINTR);
	return got < 0 ? -errno : got;
}

static void flow_eof(struct vsock_conn *c, void *arg)
{
	struct flow *f = arg;

	(void)c;
	f->finished = f->opened;
	if (f->opened)
		shutdown(f->fd, SHUT_WR);
}

static void flow_closed(struct vsock_conn *c, void *arg)
{
	struct flow *f = arg;

	(void)c;
	flow_free(f, !f->finished && !f->door->all->closing);
}

static const struct vsock_conn_ops flow_ops = {
	.push = flow_push, .pull = flow_pull, .eof = flow_eof, .closed = flow_closed
};

static void on_flow(void *arg, uint32_t events)
{
	struct flow *f = arg;

	if (events & (EPOLLOUT | EPOLLERR | EPOLLHUP))
		vsock_resume(f->conn);
	if (events & ~(uint32_t)EPOLLOUT)
		vsock_want_pull(f->conn);
}

static void tell_who(const struct door *d, const struct sockaddr_storage *who)
{
	char ip[INET6_ADDRSTRLEN] = "?";
	bool v6 = who->ss_family == AF_INET6;
	const void *at = v6 ? (const void *)&((const struct sockaddr_in6 *)who)->sin6_addr
			    : &((const struct sockaddr_in *)who)->sin_addr;

	if (!log_debug_on)
		return;
	inet_ntop(who->ss_family, at, ip, sizeof(ip));
	log_step("port %u/%s: a client at %s, port %u", d->bound.port, d->bound.udp ? "udp" : "tcp",
		 ip,
		 ntohs(v6 ? ((const struct sockaddr_in6 *)who)->sin6_port
			  : ((const struct sockaddr_in *)who)->sin_port));
}

/* Takes the socket over. */
static void flow_new(struct door *d, int fd)
{
	struct publish *p = d->all;
	struct flow *f = xcalloc(1, sizeof(*f));
	int one = 1;

	f->door = d;
	f->fd = fd;
	TAILQ_INSERT_TAIL(&p->flows, f, link);
	p->nflows++;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	f->watch =
		loop_add(p->loop, fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, on_flow, f, NULL);
	if (f->watch == NULL || !publish_dial(f, WIRE_FORWARD_TCP, &flow_ops)) {
		flow_free(f, true);
		return;
	}
	vsock_want_pull(f->conn);
}

static void on_door(void *arg, uint32_t events)
{
	struct door *d = arg;
	struct publish *p = d->all;

	(void)events;
	for (int i = 0; i < ACCEPT_ROUND; i++) {
		struct sockaddr_storage who;
		socklen_t len = sizeof(who);
		int fd;

		if (p->nflows >= FLOWS_MAX) {
			close_doors(p);
			return;
		}
		fd = accept4(d->fd, (struct sockaddr *)&who, &len, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (fd < 0 &&
		    (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)) {
			close_doors(p);
			if (p->reopen == NULL)
				p->reopen = loop_after(p->loop, REOPEN_NS, reopen, p);
		}
		if (fd < 0)
			return;
		tell_who(d, &who);
		flow_new(d, fd);
	}
}

/* --- binding */

/* A bound socket that listens; -errno. *port is in: 0: any; out: which. */
static int bind_one(const char *ip, uint16_t *port, bool udp)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons(*port) };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons(*port) };
	bool is6 = inet_pton(AF_INET, ip, &v4.sin_addr) != 1;
	struct sockaddr *at = is6 ? (struct sockaddr *)&v6 : (struct sockaddr *)&v4;
	socklen_t len = is6 ? sizeof(v6) : sizeof(v4);
	own_fd int fd = -1;
	int one = 1;

	if (is6 && inet_pton(AF_INET6, ip, &v6.sin6_addr) != 1)
		return -EINVAL;
	fd = socket(at->sa_family, (udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC | SOCK_NONBLOCK,
		    0);
	if (fd < 0)
		return -errno;
	if (is6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
	if (udp)
		setsockopt(fd, is6 ? IPPROTO_IPV6 : IPPROTO_IP, is6 ? IPV6_RECVPKTINFO : IP_PKTINFO,
			   &one, sizeof(one));
	else
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, at, len) < 0 || (!udp && listen(fd, SOMAXCONN) < 0) ||
	    getsockname(fd, at, &len) < 0)
		return -errno;
	*port = ntohs(is6 ? v6.sin6_port : v4.sin_port);
	return steal_fd(&fd);
}

static void add_door(struct publish *p, int fd, const char *ip, uint16_t host_port,
		     const struct box_port *want)
{
	struct door *d;

	p->doors = xrealloc(p->doors, (p->ndoors + 1) * sizeof(*p->doors));
	d = &p->doors[p->ndoors++];
	*d = (struct door){ .all = p, .fd = fd };
	snprintf(d->bound.ip, sizeof(d->bound.ip), "%s", ip);
	d->bound.host_port = host_port;
	d->bound.port = want->port;
	d->bound.udp = want->udp;
}

/* No IPv6 on this host, or not now. */
static bool no_such_family(int rc)
{
	return rc == -EAFNOSUPPORT || rc == -EADDRNOTAVAIL;
}

/* One port (0: any) at the address, or at all of both families. */
static int try_port(struct publish *p, const struct box_port *want, uint16_t port)
{
	const char *ip = want->ip[0] ? want->ip : "0.0.0.0";
	int fd = bind_one(ip, &port, want->udp), six;

	if (fd < 0)
		return fd;
	six = want->ip[0] ? -EAFNOSUPPORT : bind_one("::", &port, want->udp);
	if (six < 0 && !no_such_family(six)) {
		close(fd);
		return six;
	}
	add_door(p, fd, ip, port, want);
	if (six >= 0)
		add_door(p, six, "::", port, want);
	return 0;
}

static int bind_port(struct publish *p, const struct box_port *want, struct err *e)
{
	const char *ip = want->ip[0] ? want->ip : "0.0.0.0";
	unsigned port = want->first;
	int rc;

	if (port == 0) {
		for (int i = 0; i < RANDOM_TRIES; i++) {
			rc = try_port(p, want, 0);
			if (rc != -EADDRINUSE)
				break;
		}
	} else {
		do {
			rc = try_port(p, want, (uint16_t)port);
		} while (rc == -EADDRINUSE && port++ < want->last);
	}
	if (rc == 0)
		return 0;
	if (rc == -EADDRINUSE && want->first < want->last)
		return err_set(e, EADDRINUSE, "Bind for %s:%u-%u failed: all ports are allocated",
			       ip, want->first, want->last);
	if (rc == -EADDRINUSE)
		return err_set(e, EADDRINUSE, "Bind for %s:%u failed: port is already allocated",
			       ip, want->first);
	if (rc == -EACCES)
		return err_set(e, EACCES,
			       "Bind for %s:%u failed: permission denied; sysctl "
			       "net.ipv4.ip_unprivileged_port_start says from which port on users "
			       "may",
			       ip, want->first);
	return err_set(e, -rc, "Bind for %s:%u failed: %s", ip, want->first, strerror(-rc));
}

/* --- all of it */

struct publish *publish_open(struct loop *l, const struct box_spec *spec, struct box_state *state,
			     struct err *e)
{
	struct publish *p;
	int rc = 0;

	if (spec->nports == 0)
		return NULL;
	p = xcalloc(1, sizeof(*p));
	p->loop = l;
	TAILQ_INIT(&p->flows);
	TAILQ_INIT(&p->peers);
	for (unsigned i = 0; i < spec->nports && rc == 0; i++)
		rc = bind_port(p, &spec->ports[i], e);
	if (rc < 0) {
		publish_close(p);
		return NULL;
	}
	free(state->ports);
	state->nports = p->ndoors;
	state->ports = xcalloc(p->ndoors, sizeof(*state->ports));
	for (unsigned i = 0; i < p->ndoors; i++) {
		p->doors[i].all = p;
		state->ports[i] = p->doors[i].bound;
	}
	return p;
}

void publish_serve(struct publish *p, struct virtio_device *vsock, uint64_t patience_ns)
{
	if (p == NULL)
		return;
	p->vsock = vsock;
	p->until_ns = loop_now() + patience_ns;
	watch_doors(p);
}

void publish_close(struct publish *p)
{
	struct flow *f;

	if (p == NULL)
		return;
	p->closing = true;
	while ((f = TAILQ_FIRST(&p->flows)) || (f = TAILQ_FIRST(&p->peers)))
		vsock_reset(f->conn);
	for (unsigned i = 0; i < p->ndoors; i++) {
		loop_del(p->doors[i].watch);
		close(p->doors[i].fd);
	}
	loop_cancel(p->reopen);
	loop_cancel(p->sweep);
	free(p->doors);
	free(p->buf);
	free(p);
}
