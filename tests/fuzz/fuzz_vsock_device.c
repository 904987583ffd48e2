/* fuzz_vsock_device.c: any packets, in any order, to a vsock device with lively users. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/cursor.h"
#include "runtime/virtio/vsock_priv.h"
#include "tests/unit/ringdriver.c" /* fuzzers are linked without the unit tests' objects */

/*
 * The input is a script. The rings are sound (fuzz_virtq and fuzz_mmio are
 * about those that are not); what goes through them is not: packets with a
 * few ports only, so that connections meet. Users act by the script too.
 */
#define RAM	  (1U << 20)
#define QUEUE	  8
#define RX_BUF	  300U
#define STEPS_MAX 400
#define CONNS	  4U

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct cur in;
static struct virtio_device *v;
static struct vsock_conn *conns[CONNS];

static uint8_t byte(void)
{
	uint8_t b = 0;

	cur_u8(&in, &b);
	return b;
}

/* What a user may do at any moment, callbacks included. */
static void act(struct vsock_conn *c, uint8_t what)
{
	static const char text[700];

	switch (what % 8) {
	case 0:
		vsock_want_pull(c);
		break;
	case 1:
		vsock_send(c, text, what * 2U);
		break;
	case 2:
		vsock_resume(c);
		break;
	case 3:
		vsock_end(c);
		break;
	case 4:
		if (what > 200)
			vsock_reset(c);
		break;
	default:
		break;
	}
}

static size_t total(const struct iovec *iov, int n)
{
	size_t all = 0;

	for (int i = 0; i < n; i++)
		all += iov[i].iov_len;
	if (n <= 0 || all == 0)
		abort();
	return all;
}

static ssize_t push(struct vsock_conn *c, void *arg, const struct iovec *iov, int n)
{
	size_t all = total(iov, n);
	uint8_t b = byte();

	if (*(struct vsock_conn **)arg != c)
		abort();
	act(c, b);
	if (b == 255)
		return -EPIPE;
	return (ssize_t)(b & 1 ? all : all * (b & 0x7e) / 128);
}

static ssize_t pull(struct vsock_conn *c, void *arg, const struct iovec *iov, int n)
{
	size_t all = total(iov, n);
	uint8_t b = byte();

	(void)arg;
	for (int i = 0; i < n; i++)
		memset(iov[i].iov_base, 'x', iov[i].iov_len);
	act(c, b);
	if (b < 8)
		return -EIO;
	if (b < 64)
		return -EAGAIN;
	return (ssize_t)(b & 1 ? all : all * (b & 0x7e) / 128);
}

static void eof(struct vsock_conn *c, void *arg)
{
	(void)arg;
	act(c, byte());
}

static void closed(struct vsock_conn *c, void *arg)
{
	struct vsock_conn **slot = arg;

	if (*slot != c)
		abort(); /* once only */
	*slot = NULL;
}

static void connected(struct vsock_conn *c, void *arg)
{
	(void)arg;
	act(c, byte());
}

static const struct vsock_conn_ops ops = { push, pull, eof, closed, connected };

static struct vsock_conn **free_slot(void)
{
	for (unsigned i = 0; i < CONNS; i++) {
		if (conns[i] == NULL)
			return &conns[i];
	}
	return NULL;
}

static const struct vsock_conn_ops *take(void *ctx, struct vsock_conn *c, uint32_t port, void **arg)
{
	struct vsock_conn **slot = free_slot();

	(void)ctx;
	if (port == 3 || slot == NULL)
		return NULL;
	*slot = c;
	*arg = slot;
	return &ops;
}

static void dial(void)
{
	struct vsock_conn **slot = free_slot();

	if (slot)
		*slot = vsock_connect(v, byte() % 4, &ops, slot);
}

static void packet(struct ringdriver *d, struct rd_queue *tx, uint64_t at)
{
	uint8_t a = byte(), b = byte(), c = byte();
	struct vsock_hdr h = { .src_cid = a == 255 ? 9 : 3,
			       .dst_cid = a == 254 ? 9 : 2,
			       .src_port = b % 4,
			       .dst_port = b & 0x80 ? VSOCK_PORT_FIRST + b / 4 % 4 : b / 4 % 4,
			       .len = c * 40U,
			       .type = a == 253 ? 2 : 1,
			       .op = a % 9,
			       .flags = c,
			       .buf_alloc = byte() * 500U,
			       .fwd_cnt = byte() * 50U };
	struct rd_seg seg[2] = { { at, 44, false }, { at + 64, h.len, false } };

	if (h.op != VSOCK_OP_RW)
		h.len = 0;
	memcpy(rd_ptr(d, at), &h, sizeof(h));
	rd_add(tx, seg, h.len ? 2 : 1);
}

static void refill(struct rd_queue *rx, const uint64_t *gpa)
{
	uint32_t head, len;

	while (rd_used(rx, &head, &len)) {
		struct rd_seg seg = { gpa[head], RX_BUF, true };

		if (len < 44 || len > RX_BUF)
			abort();
		rx->free = (uint16_t)head;
		rd_add(rx, &seg, 1);
	}
	rd_kick(rx);
}

static void script(struct ringdriver *d, struct rd_queue *rx, struct rd_queue *tx, struct loop *l)
{
	uint64_t gpa[QUEUE], at = rd_alloc(d, 16384, 16);
	uint32_t head, len;

	for (unsigned i = 0; i < QUEUE; i++) {
		struct rd_seg seg = { gpa[i] = rd_alloc(d, RX_BUF, 16), RX_BUF, true };

		rd_add(rx, &seg, 1);
	}
	for (int i = 0; i < STEPS_MAX && cur_left(&in); i++) {
		uint8_t op = byte();

		if (op < 160 && (uint16_t)(tx->avail[1] - tx->used[1]) < QUEUE / 2)
			packet(d, tx, at);
		else if (op < 200)
			refill(rx, gpa);
		else if (op < 205)
			dial();
		else if (conns[op % CONNS])
			act(conns[op % CONNS], byte());
		rd_kick(tx);
		loop_once(l, 0);
		while (rd_used(tx, &head, &len))
			;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct err e = ERR_INIT;
	struct ringdriver d;
	struct rd_queue *rx, *tx;
	struct loop *l = loop_new(&e);

	in = cur_of(data, size);
	rd_init(&d, RAM);
	rx = rd_queue(&d, 0, QUEUE, true);
	tx = rd_queue(&d, 1, QUEUE, false);
	v = virtio_vsock_new(l, take, NULL, &e);
	if (v->ops->queue_start(v, 0, &rx->q, &e) < 0 || v->ops->queue_start(v, 1, &tx->q, &e) < 0)
		abort();
	script(&d, rx, tx, l);
	v->ops->queue_stop(v, 0);
	v->ops->queue_stop(v, 1);
	virtio_vsock_free(v);
	for (unsigned i = 0; i < CONNS; i++) {
		if (conns[i])
			abort(); /* closed was not called */
	}
	loop_free(l);
	rd_free(&d);
	return 0;
}
