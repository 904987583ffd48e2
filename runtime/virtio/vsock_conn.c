/* vsock_conn.c: the connections of the vsock device: states, credit, what they keep. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/str.h"
#include "runtime/virtio/vsock_priv.h"

/*
 * Theory of operation.
 *
 * Ending. Each direction ends by SHUTDOWN with its bit; a connection whose
 * two directions have ended is ended by RST. Linux, closing a socket, sends
 * SHUTDOWN with both bits and keeps the port for up to 8 seconds, or until
 * RST comes; then it sends RST itself. So RST is the answer as soon as the
 * user took all, and an RST that follows a SHUTDOWN is no failure: what is
 * kept is still handed out (VSOCK_DRAINING). An RST out of the blue drops
 * everything. Linux on its side keeps what it received before an RST
 * readable, so when the guest has ended already, our own end needs no
 * SHUTDOWN: RST says it all.
 *
 * Credit. The guest may have buf_alloc bytes on the way that the user has
 * not taken; more than that resets the connection. It learns of what was
 * taken (fwd_cnt) by any packet, and by CREDIT_UPDATE once half of the
 * buffer was taken since the last one.
 *
 * Life. A user's callback may end any connection, its own included. The
 * dead are therefore freed only when no call into the device is on the
 * stack (vsock_enter, vsock_leave).
 */

void vsock_enter(struct vsock_dev *v)
{
	v->depth++;
}

void vsock_leave(struct vsock_dev *v)
{
	struct vsock_conn *c;

	if (--v->depth)
		return;
	while ((c = TAILQ_FIRST(&v->dead))) {
		TAILQ_REMOVE(&v->dead, c, all_link);
		free(c);
	}
}

static struct vsock_list *bucket(struct vsock_dev *v, uint32_t host_port, uint32_t guest_port)
{
	return &v->buckets[(guest_port ^ (host_port * 31)) % VSOCK_BUCKETS];
}

struct vsock_conn *vsock_find(struct vsock_dev *v, uint32_t host_port, uint32_t guest_port)
{
	struct vsock_conn *c;

	TAILQ_FOREACH(c, bucket(v, host_port, guest_port), hash_link)
	{
		if (c->host_port == host_port && c->guest_port == guest_port)
			return c;
	}
	return NULL;
}

static void unhash(struct vsock_conn *c)
{
	if (!c->hashed)
		return;
	TAILQ_REMOVE(bucket(c->dev, c->host_port, c->guest_port), c, hash_link);
	c->hashed = false;
}

static struct vsock_conn *conn_new(struct vsock_dev *v, uint32_t host_port, uint32_t guest_port)
{
	struct vsock_conn *c;

	if (v->nconns >= VSOCK_CONNS_MAX || v->nconns + v->nresets >= VSOCK_RESETS)
		return NULL;
	c = xcalloc(1, sizeof(*c));
	c->dev = v;
	c->host_port = host_port;
	c->guest_port = guest_port;
	c->buf_alloc = v->nconns < VSOCK_BIG_CONNS    ? VSOCK_BUF_SIZE
		       : v->nconns < VSOCK_MANY_CONNS ? VSOCK_BUF_SMALL
						      : VSOCK_BUF_LEAST;
	TAILQ_INSERT_TAIL(bucket(v, host_port, guest_port), c, hash_link);
	TAILQ_INSERT_TAIL(&v->all, c, all_link);
	c->hashed = true;
	v->nconns++;
	return c;
}

void vsock_queue_reset(struct vsock_dev *v, uint32_t host_port, uint32_t guest_port, uint16_t type)
{
	assert(v->nresets < VSOCK_RESETS);
	v->resets[(v->resets_off + v->nresets++) % VSOCK_RESETS] =
		(struct vsock_rst){ host_port, guest_port, type };
	vsock_schedule(v);
}

static void off_lists(struct vsock_conn *c)
{
	if (c->on_send)
		TAILQ_REMOVE(&c->dev->send, c, send_link);
	if (c->on_resume)
		TAILQ_REMOVE(&c->dev->resume, c, resume_link);
	c->on_send = c->on_resume = false;
}

void vsock_close(struct vsock_conn *c, bool rst)
{
	struct vsock_dev *v = c->dev;

	if (c->state == VSOCK_DEAD)
		return;
	/* A guest that never saw our REQUEST needs no RST. */
	if (c->state == VSOCK_DRAINING || (c->pend & VSOCK_PEND_REQUEST))
		rst = false;
	vsock_enter(v);
	unhash(c);
	off_lists(c);
	TAILQ_REMOVE(&v->all, c, all_link);
	TAILQ_INSERT_TAIL(&v->dead, c, all_link);
	c->state = VSOCK_DEAD;
	v->nconns--;
	if (rst)
		vsock_queue_reset(v, c->host_port, c->guest_port, VSOCK_TYPE_STREAM);
	free(c->kept);
	free(c->out);
	c->kept = c->out = NULL;
	c->kept_len = 0;
	c->out_off = c->out_len = c->out_cap = 0;
	if (c->ops)
		c->ops->closed(c, c->arg);
	vsock_leave(v);
}

uint32_t vsock_credit(const struct vsock_conn *c)
{
	uint32_t on_the_way = c->tx_cnt - c->peer_fwd_cnt;

	return on_the_way < c->peer_alloc ? c->peer_alloc - on_the_way : 0;
}

bool vsock_can_send(const struct vsock_conn *c)
{
	if (c->state == VSOCK_CONNECTING)
		return c->pend & VSOCK_PEND_REQUEST;
	if (c->state != VSOCK_OPEN)
		return false;
	if (c->pend)
		return true;
	if (c->guest_deaf || c->end_sent)
		return false;
	if (c->out_off < c->out_len || c->want_pull)
		return vsock_credit(c) > 0;
	return c->ending;
}

void vsock_ready(struct vsock_conn *c)
{
	if (c->on_send || !vsock_can_send(c))
		return;
	TAILQ_INSERT_TAIL(&c->dev->send, c, send_link);
	c->on_send = true;
	vsock_schedule(c->dev);
}

void vsock_settle(struct vsock_conn *c)
{
	if (c->state != VSOCK_OPEN && c->state != VSOCK_DRAINING)
		return;
	if (!c->guest_ended || c->kept_len)
		return;
	if (!c->eof_told) {
		c->eof_told = true;
		c->ops->eof(c, c->arg);
	}
	if (c->state == VSOCK_DRAINING ||
	    (c->state == VSOCK_OPEN && (c->end_sent || c->guest_deaf)))
		vsock_close(c, true);
}

/* `n` more bytes were taken by the user. */
static void taken(struct vsock_conn *c, uint32_t n)
{
	c->fwd_cnt += n;
	if (c->fwd_cnt - c->told_fwd_cnt < c->buf_alloc / 2 || c->guest_ended)
		return;
	c->pend |= VSOCK_PEND_CREDIT;
	vsock_ready(c);
}

void vsock_offer(struct vsock_conn *c)
{
	while (c->kept_len) {
		uint32_t first = c->buf_alloc - c->kept_off;
		struct iovec iov[2];
		ssize_t r;

		if (first > c->kept_len)
			first = c->kept_len;
		iov[0] = (struct iovec){ c->kept + c->kept_off, first };
		iov[1] = (struct iovec){ c->kept, c->kept_len - first };
		r = c->ops->push(c, c->arg, iov, iov[1].iov_len ? 2 : 1);
		if (c->state == VSOCK_DEAD)
			return;
		if (r < 0) {
			vsock_close(c, true);
			return;
		}
		assert((size_t)r <= c->kept_len);
		if (r == 0)
			return;
		c->kept_off = (c->kept_off + (uint32_t)r) % c->buf_alloc;
		c->kept_len -= (uint32_t)r;
		taken(c, (uint32_t)r);
	}
	free(c->kept);
	c->kept = NULL;
	c->kept_off = 0;
	vsock_settle(c);
}

/* Adds what is in iov past `skip` bytes to what is kept. There is room. */
static void keep(struct vsock_conn *c, const struct iovec *iov, int n, size_t skip)
{
	if (c->kept == NULL)
		c->kept = xmalloc(c->buf_alloc);
	for (int i = 0; i < n; i++) {
		const uint8_t *from = iov[i].iov_base;
		size_t len = iov[i].iov_len;

		if (skip >= len) {
			skip -= len;
			continue;
		}
		from += skip;
		len -= skip;
		skip = 0;
		while (len) {
			uint32_t at = (c->kept_off + c->kept_len) % c->buf_alloc;
			size_t part = c->buf_alloc - at;

			if (part > len)
				part = len;
			memcpy(c->kept + at, from, part);
			c->kept_len += (uint32_t)part;
			from += part;
			len -= part;
		}
	}
}

static void receive_data(struct vsock_conn *c, const struct iovec *iov, int n, uint32_t len)
{
	ssize_t r = 0;

	if (len == 0)
		return;
	if (c->guest_ended || len > c->buf_alloc - c->kept_len) {
		vsock_close(c, true); /* more than was granted, or after the end */
		return;
	}
	if (c->kept_len == 0) {
		r = c->ops->push(c, c->arg, iov, n);
		if (c->state == VSOCK_DEAD)
			return;
		if (r < 0) {
			vsock_close(c, true);
			return;
		}
		assert((size_t)r <= len);
	}
	if ((uint32_t)r < len)
		keep(c, iov, n, (size_t)r);
	if (r)
		taken(c, (uint32_t)r);
}

static void receive_rst(struct vsock_conn *c)
{
	unhash(c);
	if (c->state != VSOCK_OPEN || !c->guest_ended || c->kept_len == 0) {
		vsock_close(c, false);
		return;
	}
	off_lists(c);
	c->state = VSOCK_DRAINING;
}

static void receive_open(struct vsock_conn *c, const struct vsock_hdr *hdr, const struct iovec *iov,
			 int n)
{
	switch (hdr->op) {
	case VSOCK_OP_RW:
		receive_data(c, iov, n, hdr->len);
		break;
	case VSOCK_OP_CREDIT_REQUEST:
		c->pend |= VSOCK_PEND_CREDIT;
		break;
	case VSOCK_OP_SHUTDOWN:
		if (hdr->flags & VSOCK_SHUTDOWN_SEND)
			c->guest_ended = true;
		if (hdr->flags & VSOCK_SHUTDOWN_RCV) {
			c->guest_deaf = true;
			c->want_pull = false;
			c->out_off = c->out_len = 0;
		}
		vsock_settle(c);
		break;
	case VSOCK_OP_RST:
		receive_rst(c);
		break;
	default:
		break; /* credit was looked at already; the rest means nothing here */
	}
}

static void receive_connecting(struct vsock_conn *c, const struct vsock_hdr *hdr)
{
	if (c->pend & VSOCK_PEND_REQUEST)
		return; /* it cannot be an answer: we have not asked yet */
	if (hdr->op == VSOCK_OP_RESPONSE) {
		c->state = VSOCK_OPEN;
		if (c->ops->connected)
			c->ops->connected(c, c->arg);
	} else if (hdr->op != VSOCK_OP_INVALID) {
		vsock_close(c, hdr->op != VSOCK_OP_RST);
	}
}

static void receive_request(struct vsock_dev *v, const struct vsock_hdr *hdr)
{
	struct vsock_conn *c = conn_new(v, hdr->dst_port, hdr->src_port);
	const struct vsock_conn_ops *ops;
	void *arg = NULL;

	if (c == NULL) {
		vsock_queue_reset(v, hdr->dst_port, hdr->src_port, hdr->type);
		return;
	}
	c->state = VSOCK_OPEN;
	c->pend = VSOCK_PEND_RESPONSE;
	c->peer_alloc = hdr->buf_alloc;
	c->peer_fwd_cnt = hdr->fwd_cnt;
	ops = v->accept(v->ctx, c, hdr->dst_port, &arg);
	if (c->state == VSOCK_DEAD)
		return;
	if (ops == NULL) {
		vsock_close(c, true);
		return;
	}
	c->ops = ops;
	c->arg = arg;
	vsock_ready(c);
}

void vsock_receive(struct vsock_dev *v, const struct vsock_hdr *hdr, const struct iovec *iov, int n)
{
	struct vsock_conn *c;

	if (hdr->src_cid != VSOCK_GUEST_CID || hdr->dst_cid != VSOCK_HOST_CID)
		return; /* Linux's vhost-vsock drops these too */
	c = hdr->type == VSOCK_TYPE_STREAM ? vsock_find(v, hdr->dst_port, hdr->src_port) : NULL;
	if (c == NULL) {
		if (hdr->op == VSOCK_OP_REQUEST && hdr->type == VSOCK_TYPE_STREAM)
			receive_request(v, hdr);
		else if (hdr->op != VSOCK_OP_RST)
			vsock_queue_reset(v, hdr->dst_port, hdr->src_port, hdr->type);
		return;
	}
	vsock_enter(v);
	c->peer_alloc = hdr->buf_alloc;
	c->peer_fwd_cnt = hdr->fwd_cnt;
	if (c->state == VSOCK_CONNECTING)
		receive_connecting(c, hdr);
	else if (c->state == VSOCK_OPEN)
		receive_open(c, hdr, iov, n);
	vsock_ready(c);
	vsock_leave(v);
}

struct vsock_conn *vsock_connect(struct virtio_device *d, uint32_t port,
				 const struct vsock_conn_ops *ops, void *arg)
{
	struct vsock_dev *v = (struct vsock_dev *)d;
	struct vsock_conn *c;

	do {
		if (++v->next_port < VSOCK_PORT_FIRST)
			v->next_port = VSOCK_PORT_FIRST;
	} while (vsock_find(v, v->next_port, port));
	c = conn_new(v, v->next_port, port);
	if (c == NULL)
		return NULL;
	c->state = VSOCK_CONNECTING;
	c->pend = VSOCK_PEND_REQUEST;
	c->ops = ops;
	c->arg = arg;
	vsock_ready(c);
	return c;
}

uint32_t vsock_guest_port(const struct vsock_conn *c)
{
	return c->guest_port;
}

void vsock_want_pull(struct vsock_conn *c)
{
	if (c->ending || c->guest_deaf)
		return;
	c->want_pull = true;
	vsock_ready(c);
}

int vsock_send(struct vsock_conn *c, const void *buf, size_t n)
{
	size_t waits = c->out_len - c->out_off;

	if (c->guest_deaf || c->ending || c->state == VSOCK_DEAD || n == 0)
		return 0; /* nobody is there to read it */
	if (n > VSOCK_SEND_MAX - waits)
		return -ENOBUFS;
	if (n > c->out_cap - c->out_len) {
		if (waits)
			memmove(c->out, c->out + c->out_off, waits);
		c->out_off = 0;
		c->out_len = waits;
		if (n > c->out_cap - waits) {
			c->out_cap = 2 * (waits + n);
			c->out = xrealloc(c->out, c->out_cap);
		}
	}
	memcpy(c->out + c->out_len, buf, n);
	c->out_len += n;
	vsock_ready(c);
	return 0;
}

size_t vsock_waiting(const struct vsock_conn *c)
{
	return c->out_len - c->out_off;
}

void vsock_resume(struct vsock_conn *c)
{
	if (c->on_resume || c->kept_len == 0)
		return;
	TAILQ_INSERT_TAIL(&c->dev->resume, c, resume_link);
	c->on_resume = true;
	vsock_schedule(c->dev);
}

void vsock_end(struct vsock_conn *c)
{
	c->ending = true;
	c->want_pull = false;
	vsock_ready(c);
}

void vsock_reset(struct vsock_conn *c)
{
	vsock_close(c, true);
}
