/* publish_udp.c: published ports: datagrams; see publish.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/cursor.h"
#include "runtime/base/own.h"
#include "runtime/base/str.h"
#include "runtime/box/publish_impl.h"

/*
 * Each peer of a socket has a connection of its own into the guest, so that
 * the workload sees its datagrams come from one port and answers to it.
 * Datagrams keep their borders by the length in front of each. As on any
 * network what cannot be taken at once is lost. A peer that was silent for
 * PEER_NS is forgotten.
 */
#define PEER_NS	       (90ULL * 1000000000)
#define SWEEP_NS       (30ULL * 1000000000)
#define DATAGRAM_ROUND 64
/* What may wait for the guest, of one peer. */
#define WAITING_MAX (256U << 10)

static void peer_free(struct flow *f)
{
	struct publish *p = f->door->all;

	TAILQ_REMOVE(&p->peers, f, link);
	p->npeers--;
	free(f->part);
	free(f);
}

static void touch(struct flow *f)
{
	struct publish *p = f->door->all;

	f->used_ns = loop_now();
	TAILQ_REMOVE(&p->peers, f, link);
	TAILQ_INSERT_TAIL(&p->peers, f, link);
}

static void sweep(void *arg)
{
	struct publish *p = arg;
	struct flow *f;

	p->sweep = NULL;
	while ((f = TAILQ_FIRST(&p->peers)) && f->used_ns + PEER_NS <= loop_now())
		vsock_reset(f->conn);
	if (p->npeers)
		p->sweep = loop_after(p->loop, SWEEP_NS, sweep, p);
}

/* --- guest -> peer */

/* From the address that the peer sent to: a host may have many. */
static void answer(struct flow *f, const void *data, size_t n)
{
	union {
		char buf[CMSG_SPACE(sizeof(f->via))];
		struct cmsghdr align;
	} ctl = { { 0 } };
	bool v6 = f->peer.ss_family == AF_INET6;
	size_t size = v6 ? sizeof(f->via.v6) : sizeof(f->via.v4);
	struct iovec iov = { (void *)(uintptr_t)data, n };
	struct msghdr msg = { .msg_name = &f->peer,
			      .msg_namelen = f->peer_len,
			      .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = ctl.buf,
			      .msg_controllen = CMSG_SPACE(size) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	c->cmsg_level = v6 ? IPPROTO_IPV6 : IPPROTO_IP;
	c->cmsg_type = v6 ? IPV6_PKTINFO : IP_PKTINFO;
	c->cmsg_len = CMSG_LEN(size);
	memcpy(CMSG_DATA(c), &f->via, size);
	(void)sendmsg(f->door->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* Whole datagrams in what there is go out; a part of one is kept. */
static void answer_all(struct flow *f)
{
	struct cur c = cur_of(f->part, f->part_len), was = c;
	const void *data;
	uint16_t n;

	while (cur_u16(&c, &n) && cur_bytes(&c, n, &data)) {
		answer(f, data, n);
		was = c;
	}
	f->part_len = cur_left(&was);
	if (f->part_len) {
		memmove(f->part, was.p, f->part_len);
		return;
	}
	free(f->part);
	f->part = NULL;
}

static ssize_t peer_push(struct vsock_conn *c, void *arg, const struct iovec *iov, int n)
{
	struct flow *f = arg;
	ssize_t first = publish_opened(f, iov);
	size_t done = 0, skip;

	(void)c;
	if (first < 0)
		return first;
	skip = (size_t)first;
	for (int i = 0; i < n; i++) {
		size_t part = iov[i].iov_len - skip;

		f->part = xrealloc(f->part, f->part_len + part + 1);
		memcpy(f->part + f->part_len, (char *)iov[i].iov_base + skip, part);
		f->part_len += part;
		done += iov[i].iov_len;
		skip = 0;
	}
	answer_all(f);
	touch(f);
	return (ssize_t)done;
}

static ssize_t peer_pull(struct vsock_conn *c, void *arg, const struct iovec *iov, int n)
{
	(void)c, (void)arg, (void)iov, (void)n;
	return -EAGAIN;
}

static void peer_eof(struct vsock_conn *c, void *arg)
{
	(void)arg;
	vsock_end(c);
}

static void peer_closed(struct vsock_conn *c, void *arg)
{
	(void)c;
	peer_free(arg);
}

static const struct vsock_conn_ops peer_ops = {
	.push = peer_push, .pull = peer_pull, .eof = peer_eof, .closed = peer_closed
};

/* --- peer -> guest */

static struct flow *peer_new(struct door *d, const struct msghdr *msg)
{
	struct publish *p = d->all;
	struct flow *f;

	if (p->npeers >= PEERS_MAX)
		vsock_reset(TAILQ_FIRST(&p->peers)->conn);
	f = xcalloc(1, sizeof(*f));
	f->door = d;
	f->fd = -1;
	memcpy(&f->peer, msg->msg_name, msg->msg_namelen);
	f->peer_len = msg->msg_namelen;
	TAILQ_INSERT_TAIL(&p->peers, f, link);
	p->npeers++;
	if (!publish_dial(f, WIRE_FORWARD_UDP, &peer_ops)) {
		peer_free(f);
		return NULL;
	}
	if (p->sweep == NULL)
		p->sweep = loop_after(p->loop, SWEEP_NS, sweep, p);
	return f;
}

/* The last to say something is the likeliest to say more. */
static struct flow *peer_of(struct door *d, const struct msghdr *msg)
{
	struct flow *f;

	TAILQ_FOREACH_REVERSE(f, &d->all->peers, flows, link)
	{
		if (f->door == d && f->peer_len == msg->msg_namelen &&
		    memcmp(&f->peer, msg->msg_name, f->peer_len) == 0)
			return f;
	}
	return peer_new(d, msg);
}

static void note_address(struct flow *f, struct msghdr *msg)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
			memcpy(&f->via.v4, CMSG_DATA(c), sizeof(f->via.v4));
			f->via.v4.ipi_ifindex = 0; /* the way back is the routes' choice */
		} else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
			memcpy(&f->via.v6, CMSG_DATA(c), sizeof(f->via.v6));
			if (!IN6_IS_ADDR_LINKLOCAL(&f->via.v6.ipi6_addr))
				f->via.v6.ipi6_ifindex = 0;
		}
	}
}

/* One datagram; false: there is none. */
static bool take_datagram(struct door *d)
{
	struct publish *p = d->all;
	char control[CMSG_SPACE(sizeof(struct in6_pktinfo))];
	struct sockaddr_storage who;
	struct iovec iov = { p->buf + sizeof(uint16_t), WIRE_DATAGRAM_MAX };
	struct msghdr msg = { .msg_name = &who,
			      .msg_namelen = sizeof(who),
			      .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = control,
			      .msg_controllen = sizeof(control) };
	struct flow *f;
	uint16_t len;
	ssize_t n;

	memset(&who, 0, sizeof(who));
	n = recvmsg(d->fd, &msg, MSG_DONTWAIT);
	if (n < 0)
		return errno != EAGAIN; /* else an earlier answer that nobody wanted */
	f = peer_of(d, &msg);
	if (f == NULL)
		return true;
	note_address(f, &msg);
	touch(f);
	len = (uint16_t)n;
	memcpy(p->buf, &len, sizeof(len));
	if (vsock_waiting(f->conn) + sizeof(len) + len <= WAITING_MAX)
		vsock_send(f->conn, p->buf, sizeof(len) + len);
	return true;
}

void publish_datagrams(void *door, uint32_t events)
{
	struct door *d = door;

	(void)events;
	if (d->all->buf == NULL)
		d->all->buf = xmalloc(sizeof(uint16_t) + WIRE_DATAGRAM_MAX);
	for (int i = 0; i < DATAGRAM_ROUND; i++)
		if (!take_datagram(d))
			return;
}
