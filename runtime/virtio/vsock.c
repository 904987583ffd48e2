/* vsock.c: the vsock device's queues: packets in, packets out; see vsock.h. */
#include "runtime/virtio/vsock.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/str.h"
#include "runtime/virtio/vsock_priv.h"

/*
 * Theory of operation.
 *
 * Everything is done in rounds. A kick, or a call of the user's, makes one
 * due; it runs from the loop, never from within a call of the user's, so
 * callbacks do not nest. A round takes packets off the tx queue, offers kept
 * data again, and fills the rx queue: resets first, then the connections
 * that have something to send, in turns. It stops at a budget, and then the
 * next round is due at once, after the loop's other watches had theirs.
 *
 * No packet is ever queued on the host: what waits for room in the rx queue
 * are bits and counts in the connections, and the ring of resets. When that
 * ring leaves no room for an answer, the tx queue waits, and so the guest.
 *
 * Data for the guest is read by the user into the buffers of many packets at
 * once; the packets' headers are written afterwards, when it is known how
 * many bytes came. Buffers that stayed empty are put back.
 *
 * Kicks are edge-triggered and their eventfds never read: one system call
 * less for each. They are off but when a queue was found empty.
 */

#define QUEUE_RX    0U
#define QUEUE_TX    1U
#define QUEUE_EVENT 2U

/* One round's share of the loop. */
#define ROUND_BYTES   (1U << 20)
#define ROUND_PACKETS 256U

/* What one call of pull may fill. */
#define PULL_BYTES   (128U << 10)
#define PULL_PACKETS 40U
#define PULL_SEGS    64U

/* QEMU's virtio-mmio lets every driver take 1024, whatever the device says. */
#define QUEUE_SIZE_MAX 1024U

#define HDR_SIZE sizeof(struct vsock_hdr)

_Static_assert(sizeof(struct vsock_hdr) == 44, "as in the specification");

struct budget {
	uint32_t bytes, packets;
};

static bool budget_take(struct budget *b, uint32_t bytes)
{
	bytes += HDR_SIZE;
	b->packets -= b->packets ? 1 : 0;
	b->bytes -= b->bytes < bytes ? b->bytes : bytes;
	return b->packets && b->bytes;
}

static int device_broken(struct vsock_dev *v, const char *why)
{
	if (v->broken)
		return -EPROTO;
	v->broken = true;
	loop_del(v->rx_watch);
	loop_del(v->tx_watch);
	v->rx_watch = v->tx_watch = NULL;
	v->rx = v->tx = NULL;
	if (v->d.broken)
		v->d.broken(&v->d, why);
	return -EPROTO;
}

/* ---- guest -> host ---- */

/* Takes the header off the front of a chain and cuts the rest to its length. */
static int parse_packet(struct virtq_chain *c, struct vsock_hdr *hdr)
{
	uint8_t *to = (uint8_t *)hdr;
	size_t need = HDR_SIZE, left;
	unsigned n = 0;

	if (c->nin || c->out_len < HDR_SIZE)
		return -EPROTO;
	while (need) {
		size_t part = c->out->iov_len < need ? c->out->iov_len : need;

		gmem_copy(to, c->out->iov_base, part);
		to += part;
		need -= part;
		c->out->iov_base = (uint8_t *)c->out->iov_base + part;
		c->out->iov_len -= part;
		if (c->out->iov_len == 0) {
			c->out++;
			c->nout--;
		}
	}
	left = hdr->len;
	if (left > c->out_len - HDR_SIZE)
		return -EPROTO;
	for (; left; n++) {
		if (c->out[n].iov_len > left)
			c->out[n].iov_len = left;
		left -= c->out[n].iov_len;
	}
	c->nout = n;
	return 0;
}

static bool resets_full(const struct vsock_dev *v)
{
	return v->nconns + v->nresets >= VSOCK_RESETS;
}

/* 1: v->chain is the next packet; 0: none, and a kick will tell; < 0: broken. */
static int tx_next(struct vsock_dev *v)
{
	int r = virtq_pop(v->tx, &v->chain);

	if (r)
		return r;
	virtq_want_kick(v->tx, true);
	r = virtq_pop(v->tx, &v->chain);
	if (r > 0)
		virtq_want_kick(v->tx, false);
	return r;
}

/* Whether another round is due, for packets that are left. */
static bool tx_round(struct vsock_dev *v)
{
	struct budget b = { ROUND_BYTES, ROUND_PACKETS };
	bool more = true;
	int r;

	if (v->tx == NULL)
		return false;
	virtq_want_kick(v->tx, false);
	while (more) {
		struct vsock_hdr hdr;

		if (resets_full(v))
			break; /* the round that sends one will go on here */
		r = tx_next(v);
		if (r == 0)
			break;
		if (r < 0 || parse_packet(&v->chain, &hdr) < 0) {
			device_broken(v, "malformed packet in the transmit queue");
			return false;
		}
		vsock_receive(v, &hdr, v->chain.out, (int)v->chain.nout);
		virtq_push(v->tx, v->chain.head, 0);
		more = budget_take(&b, hdr.len);
	}
	virtq_notify(v->tx);
	return !more;
}

/* ---- host -> guest ---- */

/*
 * 1: v->chain is a buffer to fill; 0: there is none; < 0: broken. The header
 * must lie in one piece: Linux gives it either a segment of its own or the
 * start of one. With `arm` a kick will tell when there is one again.
 */
static int rx_next(struct vsock_dev *v, bool arm)
{
	int r = virtq_pop(v->rx, &v->chain);

	if (r == 0 && arm) {
		virtq_want_kick(v->rx, true);
		r = virtq_pop(v->rx, &v->chain);
		if (r > 0)
			virtq_want_kick(v->rx, false);
	}
	if (r > 0 &&
	    (v->chain.nout || v->chain.in[0].iov_len < HDR_SIZE || v->chain.in_len == HDR_SIZE))
		r = -EPROTO;
	return r < 0 ? device_broken(v, "malformed buffer in the receive queue") : r;
}

static void put_header(void *at, uint16_t head, struct virtq *rx, const struct vsock_hdr *hdr)
{
	memcpy(at, hdr, HDR_SIZE);
	virtq_push(rx, head, (uint32_t)HDR_SIZE + hdr->len);
}

static struct vsock_hdr header(uint32_t host_port, uint32_t guest_port, uint16_t type,
			       enum vsock_op op)
{
	return (struct vsock_hdr){ .src_cid = VSOCK_HOST_CID,
				   .dst_cid = VSOCK_GUEST_CID,
				   .src_port = host_port,
				   .dst_port = guest_port,
				   .type = type,
				   .op = (uint16_t)op };
}

/* A connection's header: it carries the credit, so none is owed after it. */
static struct vsock_hdr conn_header(struct vsock_conn *c, enum vsock_op op)
{
	struct vsock_hdr h = header(c->host_port, c->guest_port, VSOCK_TYPE_STREAM, op);

	h.buf_alloc = c->buf_alloc;
	h.fwd_cnt = c->told_fwd_cnt = c->fwd_cnt;
	c->pend &= ~VSOCK_PEND_CREDIT;
	return h;
}

/* 1: sent; 0: no buffer; < 0: broken. */
static int send_control(struct vsock_conn *c, enum vsock_op op, uint32_t flags)
{
	struct vsock_dev *v = c->dev;
	int r = rx_next(v, true);
	struct vsock_hdr h;

	if (r <= 0)
		return r;
	h = conn_header(c, op);
	h.flags = flags;
	put_header(v->chain.in[0].iov_base, v->chain.head, v->rx, &h);
	return 1;
}

static int send_pending(struct vsock_conn *c)
{
	static const struct {
		unsigned bit;
		enum vsock_op op;
	} row[] = {
		{ VSOCK_PEND_REQUEST, VSOCK_OP_REQUEST },
		{ VSOCK_PEND_RESPONSE, VSOCK_OP_RESPONSE },
		{ VSOCK_PEND_CREDIT, VSOCK_OP_CREDIT_UPDATE },
	};

	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		int r;

		if (!(c->pend & row[i].bit))
			continue;
		r = send_control(c, row[i].op, 0);
		if (r <= 0)
			return r;
		c->pend &= ~row[i].bit;
	}
	return 1;
}

/* Buffers of the rx queue, open to be filled in one go. */
struct batch {
	unsigned n, niov;
	uint32_t total;
	struct {
		uint16_t head;
		void *hdr;
		uint32_t room;
	} slot[PULL_PACKETS];
	struct iovec iov[PULL_SEGS];
};

/* Adds v->chain's room for data, at most `limit` bytes of it. */
static void batch_add(struct batch *b, const struct virtq_chain *c, uint32_t limit)
{
	uint32_t room = 0;
	size_t skip = HDR_SIZE;

	for (unsigned i = 0; i < c->nin && b->niov < PULL_SEGS && room < limit; i++) {
		size_t len = c->in[i].iov_len - skip;

		if (len > limit - room)
			len = limit - room;
		if (len) {
			b->iov[b->niov++] =
				(struct iovec){ (uint8_t *)c->in[i].iov_base + skip, len };
			room += (uint32_t)len;
		}
		skip = 0;
	}
	b->slot[b->n].head = c->head;
	b->slot[b->n].hdr = c->in[0].iov_base;
	b->slot[b->n].room = room;
	b->n++;
	b->total += room;
}

/* As rx_next, for as many buffers as make up `limit` bytes. */
static int batch_open(struct vsock_dev *v, struct batch *b, uint32_t limit)
{
	b->n = b->niov = b->total = 0;
	while (b->n < PULL_PACKETS && b->niov < PULL_SEGS && b->total < limit) {
		int r = rx_next(v, b->n == 0);

		if (r < 0)
			return r;
		if (r == 0)
			break;
		if (b->n && v->chain.nin > PULL_SEGS - b->niov) {
			virtq_unpop(v->rx);
			break;
		}
		batch_add(b, &v->chain, limit - b->total);
	}
	return b->n ? 1 : 0;
}

/* Sends the first `n` bytes of what was opened, and puts the rest back. */
static void batch_close(struct vsock_conn *c, struct batch *b, uint32_t n)
{
	struct vsock_dev *v = c->dev;
	unsigned i = 0;

	if (n) {
		struct vsock_hdr h = conn_header(c, VSOCK_OP_RW);

		c->tx_cnt += n;
		for (; n; i++) {
			h.len = n < b->slot[i].room ? n : b->slot[i].room;
			n -= h.len;
			put_header(b->slot[i].hdr, b->slot[i].head, v->rx, &h);
		}
	}
	for (; i < b->n; i++)
		virtq_unpop(v->rx);
}

/* vsock_send's bytes, as many as fit. */
static ssize_t copy_out(struct vsock_conn *c, const struct batch *b)
{
	size_t done = 0;

	for (unsigned i = 0; i < b->niov && c->out_off < c->out_len; i++) {
		size_t part = c->out_len - c->out_off;

		if (part > b->iov[i].iov_len)
			part = b->iov[i].iov_len;
		memcpy(b->iov[i].iov_base, c->out + c->out_off, part);
		c->out_off += part;
		done += part;
	}
	if (c->out_off == c->out_len) {
		free(c->out);
		c->out = NULL;
		c->out_off = c->out_len = c->out_cap = 0;
	}
	return (ssize_t)done;
}

static int send_data(struct vsock_conn *c, struct budget *budget, bool *more)
{
	uint32_t limit = vsock_credit(c);
	struct batch b;
	ssize_t n;
	int r;

	r = batch_open(c->dev, &b, limit < PULL_BYTES ? limit : PULL_BYTES);
	if (r <= 0)
		return r;
	n = c->out ? copy_out(c, &b) : c->ops->pull(c, c->arg, b.iov, (int)b.niov);
	if (c->state == VSOCK_DEAD)
		n = 0;
	assert(n <= (ssize_t)b.total);
	batch_close(c, &b, n > 0 ? (uint32_t)n : 0);
	if (c->state == VSOCK_DEAD)
		return 1;
	if (n == 0)
		vsock_end(c);
	else if (n == -EAGAIN)
		c->want_pull = false;
	else if (n < 0)
		vsock_close(c, true);
	else
		*more = budget_take(budget, (uint32_t)n);
	return 1;
}

/* One turn of one connection. 1: done; 0: no buffer; < 0: broken. */
static int send_turn(struct vsock_conn *c, struct budget *b, bool *more)
{
	int r = send_pending(c);

	if (r <= 0 || c->state != VSOCK_OPEN || c->guest_deaf || c->end_sent)
		return r;
	if (c->out || c->want_pull)
		return vsock_credit(c) ? send_data(c, b, more) : 1;
	if (!c->ending)
		return 1;
	if (c->guest_ended && c->kept_len == 0) {
		vsock_close(c, true);
		return 1;
	}
	r = send_control(c, VSOCK_OP_SHUTDOWN, VSOCK_SHUTDOWN_SEND);
	if (r > 0)
		c->end_sent = true;
	return r;
}

static int send_resets(struct vsock_dev *v)
{
	while (v->nresets) {
		const struct vsock_rst *rst = &v->resets[v->resets_off];
		struct vsock_hdr h;
		int r = rx_next(v, true);

		if (r <= 0)
			return r;
		h = header(rst->host_port, rst->guest_port, rst->type, VSOCK_OP_RST);
		put_header(v->chain.in[0].iov_base, v->chain.head, v->rx, &h);
		v->resets_off = (v->resets_off + 1) % VSOCK_RESETS;
		v->nresets--;
	}
	return 1;
}

/* Whether another round is due, for what is left to send. */
static bool rx_round(struct vsock_dev *v)
{
	struct budget b = { ROUND_BYTES, ROUND_PACKETS };
	struct vsock_conn *c;
	bool more = true;
	int r = 1;

	if (v->rx == NULL)
		return false;
	virtq_want_kick(v->rx, false);
	while (more && (r = send_resets(v)) > 0 && (c = TAILQ_FIRST(&v->send))) {
		r = send_turn(c, &b, &more);
		if (r <= 0)
			break;
		if (!c->on_send)
			continue;
		TAILQ_REMOVE(&v->send, c, send_link);
		c->on_send = false;
		vsock_ready(c);
	}
	if (r < 0)
		return false;
	virtq_notify(v->rx);
	return !more;
}

/* ---- rounds ---- */

/* Whether another round is due: a user who asked again from within push. */
static bool resume_round(struct vsock_dev *v)
{
	struct vsock_conn *c;

	for (unsigned n = v->nconns; n && (c = TAILQ_FIRST(&v->resume)); n--) {
		TAILQ_REMOVE(&v->resume, c, resume_link);
		c->on_resume = false;
		vsock_offer(c);
	}
	return !TAILQ_EMPTY(&v->resume);
}

static void vsock_round(void *arg)
{
	struct vsock_dev *v = arg;
	bool was_full, more;

	if (v->broken)
		return;
	v->in_round = true;
	vsock_enter(v);
	was_full = resets_full(v);
	more = tx_round(v);
	was_full = was_full || resets_full(v);
	more |= resume_round(v);
	more |= rx_round(v);
	more |= was_full && !resets_full(v);
	vsock_leave(v);
	v->in_round = false;
	if (more)
		vsock_schedule(v);
}

static void round_due(void *arg)
{
	struct vsock_dev *v = arg;

	v->again = NULL;
	vsock_round(v);
}

void vsock_schedule(struct vsock_dev *v)
{
	if (!v->again && !v->in_round && !v->broken)
		v->again = loop_after(v->d.loop, 0, round_due, v);
}

static void kicked(void *arg, uint32_t events)
{
	(void)events;
	vsock_round(arg);
}

/* ---- the device ---- */

static void config_read(struct virtio_device *d, uint32_t off, void *buf, uint32_t len)
{
	const uint64_t cid = VSOCK_GUEST_CID;

	(void)d;
	memset(buf, 0, len);
	if (off >= sizeof(cid))
		return;
	if (len > sizeof(cid) - off)
		len = (uint32_t)sizeof(cid) - off;
	memcpy(buf, (const uint8_t *)&cid + off, len);
}

static int queue_start(struct virtio_device *d, unsigned index, struct virtq *q, struct err *e)
{
	struct vsock_dev *v = (struct vsock_dev *)d;
	struct loop_watch *w;

	if (index == QUEUE_EVENT)
		return 0; /* its one event tells of a migration */
	w = loop_add(d->loop, q->kick_fd, EPOLLIN | EPOLLET, kicked, v, e);
	if (w == NULL)
		return -e->code;
	if (index == QUEUE_RX) {
		v->rx = q;
		v->rx_watch = w;
	} else {
		v->tx = q;
		v->tx_watch = w;
	}
	vsock_schedule(v);
	return 0;
}

static void queue_stop(struct virtio_device *d, unsigned index)
{
	struct vsock_dev *v = (struct vsock_dev *)d;

	if (index == QUEUE_RX) {
		loop_del(v->rx_watch);
		v->rx_watch = NULL;
		v->rx = NULL;
	} else if (index == QUEUE_TX) {
		loop_del(v->tx_watch);
		v->tx_watch = NULL;
		v->tx = NULL;
	}
}

static void end_all(struct vsock_dev *v)
{
	struct vsock_conn *c;

	vsock_enter(v);
	while ((c = TAILQ_FIRST(&v->all)))
		vsock_close(c, false);
	v->nresets = 0;
	vsock_leave(v);
}

static void reset(struct virtio_device *d)
{
	struct vsock_dev *v = (struct vsock_dev *)d;

	end_all(v);
	v->broken = false;
}

static const struct virtio_device_ops vsock_ops = {
	.name = "vsock",
	.id = VIRTIO_ID_VSOCK,
	.num_queues = 3,
	.num_vhost_queues = 2,
	.queue_size_max = QUEUE_SIZE_MAX,
	.config_read = config_read,
	.queue_start = queue_start,
	.queue_stop = queue_stop,
	.reset = reset,
};

struct virtio_device *virtio_vsock_new(struct loop *l, vsock_accept_fn *accept, void *ctx,
				       struct err *e)
{
	struct vsock_dev *v = xcalloc(1, sizeof(*v));

	(void)e;
	v->d.ops = &vsock_ops;
	v->d.loop = l;
	v->accept = accept;
	v->ctx = ctx;
	for (unsigned i = 0; i < VSOCK_BUCKETS; i++)
		TAILQ_INIT(&v->buckets[i]);
	TAILQ_INIT(&v->all);
	TAILQ_INIT(&v->send);
	TAILQ_INIT(&v->resume);
	TAILQ_INIT(&v->dead);
	return &v->d;
}

void virtio_vsock_free(struct virtio_device *d)
{
	struct vsock_dev *v = (struct vsock_dev *)d;

	if (v == NULL)
		return;
	assert(v->depth == 0);
	end_all(v);
	loop_cancel(v->again);
	loop_del(v->rx_watch);
	loop_del(v->tx_watch);
	free(v);
}
