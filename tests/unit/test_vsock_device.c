/* test_vsock_device.c: the vsock device against a guest played by the test. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "runtime/base/str.h"
#include "runtime/virtio/vsock_priv.h"
#include "tests/unit/ringdriver.h"

#define RAM	  (64U << 20)
#define QUEUE	  64
#define RX_BUF	  4096U
#define PORT_USER 7 /* accepted; all others are refused */
#define GUEST	  1000U

/* What the user side of the one connection looked at does, and what happened to it. */
static struct user {
	struct vsock_conn *c;
	struct str got;
	ssize_t take;	  /* most bytes push takes; -1: all; -2: an error */
	size_t give;	  /* bytes pull still has */
	ssize_t give_end; /* what pull says after them */
	bool end_on_eof, reset_in_push;
	int eof, closed, connected, accepted, pulls, pull_segs;
} u;

static struct loop *l;
static struct ringdriver d;
static struct rd_queue *rx, *tx;
static struct virtio_device *v;
static int broken;
static uint64_t rx_gpa[QUEUE], tx_gpa;

static ssize_t push(struct vsock_conn *c, void *arg, const struct iovec *iov, int n)
{
	ssize_t done = 0;

	assert_ptr_equal(arg, &u);
	assert_true(n > 0);
	if (u.reset_in_push) {
		vsock_reset(c);
		return 0;
	}
	if (u.take == -2)
		return -EPIPE;
	for (int i = 0; i < n; i++) {
		size_t part = iov[i].iov_len;

		assert_true(part > 0);
		if (u.take >= 0 && part > (size_t)(u.take - done))
			part = (size_t)(u.take - done);
		str_add_mem(&u.got, iov[i].iov_base, part);
		done += (ssize_t)part;
	}
	return done;
}

static ssize_t pull(struct vsock_conn *c, void *arg, const struct iovec *iov, int n)
{
	ssize_t done = 0;

	(void)c, (void)arg;
	u.pulls++;
	u.pull_segs = n;
	for (int i = 0; i < n; i++) {
		size_t part = iov[i].iov_len < u.give ? iov[i].iov_len : u.give;

		memset(iov[i].iov_base, 'p', part);
		u.give -= part;
		done += (ssize_t)part;
	}
	return done ? done : u.give_end;
}

static void eof(struct vsock_conn *c, void *arg)
{
	(void)arg;
	u.eof++;
	assert_int_equal(u.closed, 0);
	if (u.end_on_eof)
		vsock_end(c);
}

static void closed(struct vsock_conn *c, void *arg)
{
	(void)c, (void)arg;
	u.closed++;
	u.c = NULL;
}

static void connected(struct vsock_conn *c, void *arg)
{
	(void)c, (void)arg;
	u.connected++;
}

static const struct vsock_conn_ops ops = { push, pull, eof, closed, connected };

static const struct vsock_conn_ops *accept_port(void *ctx, struct vsock_conn *c, uint32_t port,
						void **arg)
{
	assert_ptr_equal(ctx, &d);
	u.accepted++;
	if (port != PORT_USER)
		return NULL;
	u.c = c;
	*arg = &u;
	return &ops;
}

static void on_broken(struct virtio_device *dev, const char *why)
{
	(void)dev;
	assert_non_null(why);
	broken++;
}

/* ---- the guest's side ---- */

static void rx_fill(unsigned i)
{
	struct rd_seg seg = { rx_gpa[i], RX_BUF, true };

	rx->free = (uint16_t)i; /* a descriptor of its own for every buffer */
	rd_add(rx, &seg, 1);
}

static void run(void)
{
	for (int i = 0; i < 8; i++)
		assert_int_equal(loop_once(l, 0), 0);
}

static void guest_send_raw(const struct vsock_hdr *h, const void *data)
{
	uint32_t head, used;
	struct rd_seg seg[] = { { tx_gpa, 44, false }, { tx_gpa + 4096, h->len, false } };

	memcpy(rd_ptr(&d, tx_gpa), h, sizeof(*h));
	if (h->len)
		memcpy(rd_ptr(&d, tx_gpa + 4096), data, h->len);
	rd_add(tx, seg, h->len ? 2 : 1);
	rd_kick(tx);
	run();
	if (broken == 0)
		assert_true(rd_used(tx, &head, &used));
}

static uint32_t guest_alloc = 1U << 20, guest_fwd;

static struct vsock_hdr packet(uint32_t port, enum vsock_op op, uint32_t flags, uint32_t len)
{
	return (struct vsock_hdr){ .src_cid = 3,
				   .dst_cid = 2,
				   .src_port = GUEST,
				   .dst_port = port,
				   .len = len,
				   .type = 1,
				   .op = (uint16_t)op,
				   .flags = flags,
				   .buf_alloc = guest_alloc,
				   .fwd_cnt = guest_fwd };
}

static void guest_send(enum vsock_op op, uint32_t flags, const void *data, uint32_t len)
{
	struct vsock_hdr h = packet(PORT_USER, op, flags, len);

	guest_send_raw(&h, data);
}

/* The next packet from the host; its payload into data (RX_BUF bytes). */
static bool guest_recv(struct vsock_hdr *h, void *data)
{
	uint32_t head, used;

	if (!rd_used(rx, &head, &used))
		return false;
	assert_true(head < QUEUE);
	memcpy(h, rd_ptr(&d, rx_gpa[head]), sizeof(*h));
	assert_int_equal(used, 44 + h->len);
	assert_int_equal(h->src_cid, 2);
	assert_int_equal(h->dst_cid, 3);
	if (data)
		memcpy(data, rd_ptr(&d, rx_gpa[head] + 44), h->len);
	rx_fill(head);
	return true;
}

static void expect(enum vsock_op op)
{
	struct vsock_hdr h;

	assert_true(guest_recv(&h, NULL));
	assert_int_equal(h.op, op);
	assert_int_equal(h.type, 1);
	assert_int_equal(h.src_port, PORT_USER);
	assert_int_equal(h.dst_port, GUEST);
}

static void expect_nothing(void)
{
	struct vsock_hdr h;

	run();
	assert_false(guest_recv(&h, NULL));
}

static void start_queues(void)
{
	struct err e = ERR_INIT;

	assert_int_equal(v->ops->queue_start(v, 0, &rx->q, &e), 0);
	assert_int_equal(v->ops->queue_start(v, 1, &tx->q, &e), 0);
	run();
}

static int setup(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	memset(&u, 0, sizeof(u));
	u.take = -1;
	u.give_end = -EAGAIN;
	broken = 0;
	guest_alloc = 1U << 20;
	guest_fwd = 0;
	rd_init(&d, RAM);
	rx = rd_queue(&d, 0, QUEUE, true);
	tx = rd_queue(&d, 1, QUEUE, true);
	for (unsigned i = 0; i < QUEUE; i++) {
		rx_gpa[i] = rd_alloc(&d, RX_BUF, 16);
		rx_fill(i);
	}
	tx_gpa = rd_alloc(&d, 1U << 20, 16);
	l = loop_new(&e);
	v = virtio_vsock_new(l, accept_port, &d, &e);
	v->broken = on_broken;
	start_queues();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	v->ops->queue_stop(v, 0);
	v->ops->queue_stop(v, 1);
	virtio_vsock_free(v);
	loop_free(l);
	rd_free(&d);
	str_free(&u.got);
	return 0;
}

static void dial(void)
{
	guest_send(VSOCK_OP_REQUEST, 0, NULL, 0);
	assert_non_null(u.c);
	expect(VSOCK_OP_RESPONSE);
}

static char *bytes(size_t n)
{
	char *b = xmalloc(n);

	for (size_t i = 0; i < n; i++)
		b[i] = (char)(i * 7 + (i >> 8));
	return b;
}

/* ---- tests ---- */

static void test_config(void **state)
{
	uint64_t cid = 0;
	uint8_t buf[16];

	(void)state;
	v->ops->config_read(v, 0, &cid, 8);
	assert_int_equal(cid, 3);
	memset(buf, 0xff, sizeof(buf));
	v->ops->config_read(v, 4, buf, 16);
	for (int i = 0; i < 16; i++)
		assert_int_equal(buf[i], 0);
	v->ops->config_read(v, UINT32_MAX, buf, 16);
}

/* A dial, data both ways, the guest closes: all is delivered, then eof, closed, and RST. */
static void test_orderly(void **state)
{
	char data[RX_BUF];
	struct vsock_hdr h;

	(void)state;
	dial();
	guest_send(VSOCK_OP_RW, 0, "hello", 5);
	assert_string_equal(u.got.s, "hello");
	assert_int_equal(vsock_send(u.c, "abc", 3), 0);
	assert_int_equal(vsock_send(u.c, "def", 3), 0);
	run();
	assert_true(guest_recv(&h, data));
	assert_int_equal(h.op, VSOCK_OP_RW);
	assert_int_equal(h.len, 6);
	assert_int_equal(h.fwd_cnt, 5);
	assert_int_equal(h.buf_alloc, VSOCK_BUF_SIZE);
	assert_memory_equal(data, "abcdef", 6);
	guest_send(VSOCK_OP_SHUTDOWN, 3, NULL, 0);
	assert_int_equal(u.eof, 1);
	assert_int_equal(u.closed, 1);
	expect(VSOCK_OP_RST);
	expect_nothing();
}

/* The guest ends its direction only; ours goes on, and then ends all by RST. */
static void test_half_close_by_guest(void **state)
{
	(void)state;
	dial();
	guest_send(VSOCK_OP_SHUTDOWN, 2, NULL, 0);
	assert_int_equal(u.eof, 1);
	assert_int_equal(u.closed, 0);
	expect_nothing();
	vsock_send(u.c, "late", 4);
	vsock_end(u.c);
	run();
	expect(VSOCK_OP_RW);
	expect(VSOCK_OP_RST);
	expect_nothing();
	assert_int_equal(u.closed, 1);
}

/* We end first; the guest goes on sending. */
static void test_half_close_by_host(void **state)
{
	(void)state;
	dial();
	vsock_end(u.c);
	run();
	expect(VSOCK_OP_SHUTDOWN);
	assert_int_equal(u.closed, 0);
	guest_send(VSOCK_OP_RW, 0, "more", 4);
	assert_string_equal(u.got.s, "more");
	guest_send(VSOCK_OP_SHUTDOWN, 3, NULL, 0);
	assert_int_equal(u.eof, 1);
	assert_int_equal(u.closed, 1);
	expect(VSOCK_OP_RST);
}

static void test_eof_then_end_in_callback(void **state)
{
	(void)state;
	u.end_on_eof = true;
	dial();
	guest_send(VSOCK_OP_SHUTDOWN, 2, NULL, 0);
	assert_int_equal(u.closed, 1);
	expect(VSOCK_OP_RST);
	expect_nothing();
}

static void test_refused(void **state)
{
	struct vsock_hdr h = packet(99, VSOCK_OP_REQUEST, 0, 0);

	(void)state;
	guest_send_raw(&h, NULL);
	assert_int_equal(u.accepted, 1);
	assert_true(guest_recv(&h, NULL));
	assert_int_equal(h.op, VSOCK_OP_RST);
	assert_int_equal(h.src_port, 99);
	assert_int_equal(u.closed, 0);
}

/* Packets of no connection are answered as Linux does; RST never is. */
static void test_strays(void **state)
{
	struct vsock_hdr h;

	(void)state;
	guest_send(VSOCK_OP_RW, 0, "x", 1);
	expect(VSOCK_OP_RST);
	guest_send(VSOCK_OP_CREDIT_UPDATE, 0, NULL, 0);
	expect(VSOCK_OP_RST);
	guest_send(VSOCK_OP_RST, 0, NULL, 0);
	expect_nothing();
	dial();
	h = packet(PORT_USER, VSOCK_OP_RW, 0, 1);
	h.type = 2;
	guest_send_raw(&h, "x");
	assert_true(guest_recv(&h, NULL));
	assert_int_equal(h.op, VSOCK_OP_RST);
	assert_int_equal(h.type, 2);
	assert_int_equal(u.closed, 0); /* it was not of this connection */
	h = packet(PORT_USER, VSOCK_OP_RST, 0, 0);
	h.src_cid = 4;
	guest_send_raw(&h, NULL);
	h = packet(PORT_USER, VSOCK_OP_RST, 0, 0);
	h.dst_cid = 1;
	guest_send_raw(&h, NULL);
	expect_nothing();
	assert_int_equal(u.closed, 0);
}

static void test_rst(void **state)
{
	(void)state;
	u.take = 0;
	dial();
	guest_send(VSOCK_OP_RW, 0, "kept", 4);
	guest_send(VSOCK_OP_RST, 0, NULL, 0);
	assert_int_equal(u.eof, 0);
	assert_int_equal(u.closed, 1);
	expect_nothing();
}

/* What the user does not take is kept and offered again, in order; eof only after it. */
static void test_kept(void **state)
{
	char *data = bytes(100000);

	(void)state;
	u.take = 10;
	dial();
	guest_send(VSOCK_OP_RW, 0, data, 60000);
	assert_int_equal(u.got.len, 10);
	guest_send(VSOCK_OP_RW, 0, data + 60000, 40000);
	assert_int_equal(u.got.len, 10); /* kept first */
	guest_send(VSOCK_OP_SHUTDOWN, 3, NULL, 0);
	assert_int_equal(u.eof, 0);
	expect_nothing();
	u.take = 30000;
	vsock_resume(u.c);
	assert_int_equal(u.got.len, 10); /* not from within the call */
	u.take = -1;
	run();
	assert_int_equal(u.got.len, 100000);
	assert_memory_equal(u.got.s, data, 100000);
	assert_int_equal(u.eof, 1);
	assert_int_equal(u.closed, 1);
	expect(VSOCK_OP_RST);
	free(data);
}

/* The guest gave up waiting for our RST: nothing of what it sent in order is lost. */
static void test_rst_after_shutdown(void **state)
{
	(void)state;
	u.take = 0;
	dial();
	guest_send(VSOCK_OP_RW, 0, "kept", 4);
	guest_send(VSOCK_OP_SHUTDOWN, 3, NULL, 0);
	guest_send(VSOCK_OP_RST, 0, NULL, 0);
	assert_int_equal(u.closed, 0);
	u.take = -1;
	vsock_resume(u.c);
	run();
	assert_string_equal(u.got.s, "kept");
	assert_int_equal(u.eof, 1);
	assert_int_equal(u.closed, 1);
	expect_nothing();
}

/* The same ports may be used anew while what the old connection left is still kept. */
static void test_port_reuse(void **state)
{
	struct vsock_conn *old;

	(void)state;
	u.take = 0;
	dial();
	old = u.c;
	guest_send(VSOCK_OP_RW, 0, "old", 3);
	guest_send(VSOCK_OP_SHUTDOWN, 3, NULL, 0);
	guest_send(VSOCK_OP_RST, 0, NULL, 0);
	u.take = -1;
	dial();
	assert_ptr_not_equal(u.c, old);
	guest_send(VSOCK_OP_RW, 0, "new", 3);
	vsock_resume(old);
	run();
	assert_string_equal(u.got.s, "newold");
}

static void test_push_error_resets(void **state)
{
	(void)state;
	dial();
	u.take = -2;
	guest_send(VSOCK_OP_RW, 0, "x", 1);
	assert_int_equal(u.closed, 1);
	expect(VSOCK_OP_RST);
}

static void test_reset_within_push(void **state)
{
	(void)state;
	dial();
	u.reset_in_push = true;
	guest_send(VSOCK_OP_RW, 0, "x", 1);
	assert_int_equal(u.closed, 1);
	expect(VSOCK_OP_RST);
	expect_nothing();
}

/* The guest may not send more than it was granted. */
static void test_credit_overrun(void **state)
{
	char *data = bytes(VSOCK_BUF_SIZE);

	(void)state;
	u.take = 0;
	dial();
	for (unsigned i = 0; i < 4; i++)
		guest_send(VSOCK_OP_RW, 0, data + i * (VSOCK_BUF_SIZE / 4), VSOCK_BUF_SIZE / 4);
	assert_int_equal(u.closed, 0);
	guest_send(VSOCK_OP_RW, 0, "x", 1);
	assert_int_equal(u.closed, 1);
	expect(VSOCK_OP_RST);
	free(data);
}

/* Credit is told once half of it was used up, and on request. */
static void test_credit_update(void **state)
{
	char *data = bytes(65536);
	struct vsock_hdr h;

	(void)state;
	dial();
	guest_send(VSOCK_OP_RW, 0, data, 65536);
	expect_nothing();
	guest_send(VSOCK_OP_RW, 0, data, 65536);
	assert_true(guest_recv(&h, NULL));
	assert_int_equal(h.op, VSOCK_OP_CREDIT_UPDATE);
	assert_int_equal(h.fwd_cnt, 131072);
	guest_send(VSOCK_OP_CREDIT_REQUEST, 0, NULL, 0);
	expect(VSOCK_OP_CREDIT_UPDATE);
	expect_nothing();
	free(data);
}

/* We do not send more than the guest granted, and go on when it grants more. */
static void test_peer_credit(void **state)
{
	struct vsock_hdr h;
	size_t got = 0;

	(void)state;
	guest_alloc = 10000;
	dial();
	u.give = 25000;
	vsock_want_pull(u.c);
	run();
	while (guest_recv(&h, NULL))
		got += h.len;
	assert_int_equal(got, 10000);
	guest_fwd = 10000;
	guest_send(VSOCK_OP_CREDIT_UPDATE, 0, NULL, 0);
	while (guest_recv(&h, NULL))
		got += h.len;
	assert_int_equal(got, 20000);
	guest_fwd = 4294967295U; /* a lie: more than was sent */
	guest_send(VSOCK_OP_CREDIT_UPDATE, 0, NULL, 0);
	expect_nothing();
}

/* Many packets are filled by one pull, and end of file comes after them. */
static void test_pull(void **state)
{
	char data[RX_BUF];
	struct vsock_hdr h;
	size_t got = 0;

	(void)state;
	dial();
	u.give = 400000;
	u.give_end = 0;
	vsock_want_pull(u.c);
	run();
	assert_int_equal(u.pulls, 2); /* 128 KiB; then the queue's 64 buffers are used up */
	assert_in_range(u.pull_segs, 20, 40);
	for (int i = 0; i < 20 && got < 400000; i++) {
		while (guest_recv(&h, data) && h.op == VSOCK_OP_RW) {
			assert_int_equal(data[0], 'p');
			assert_int_equal(data[h.len - 1], 'p');
			got += h.len;
		}
		guest_fwd = (uint32_t)got;
		rd_kick(rx);
		run();
	}
	assert_int_equal(got, 400000);
	assert_int_equal(h.op, VSOCK_OP_SHUTDOWN);
	assert_int_equal(h.flags, 2);
}

static void test_pull_error_resets(void **state)
{
	(void)state;
	dial();
	u.give_end = -EIO;
	vsock_want_pull(u.c);
	run();
	assert_int_equal(u.closed, 1);
	expect(VSOCK_OP_RST);
	expect_nothing();
}

/* The guest wants no more: nothing is sent, and nothing is waited for. */
static void test_guest_deaf(void **state)
{
	(void)state;
	dial();
	u.give = 1000;
	guest_send(VSOCK_OP_SHUTDOWN, 1, NULL, 0);
	vsock_want_pull(u.c);
	vsock_send(u.c, "x", 1);
	run();
	assert_int_equal(u.pulls, 0);
	expect_nothing();
	guest_send(VSOCK_OP_RW, 0, "on", 2);
	assert_string_equal(u.got.s, "on");
	guest_send(VSOCK_OP_SHUTDOWN, 2, NULL, 0);
	assert_int_equal(u.eof, 1);
	assert_int_equal(u.closed, 1);
	expect(VSOCK_OP_RST);
}

static void test_connect(void **state)
{
	struct vsock_conn *c = vsock_connect(v, 5000, &ops, &u);
	struct vsock_hdr h, answer;

	(void)state;
	vsock_send(c, "early", 5);
	run();
	assert_true(guest_recv(&h, NULL));
	assert_int_equal(h.op, VSOCK_OP_REQUEST);
	assert_int_equal(h.dst_port, 5000);
	assert_int_equal(h.buf_alloc, VSOCK_BUF_SIZE);
	expect_nothing(); /* data waits for the answer */
	answer = packet(h.src_port, VSOCK_OP_RESPONSE, 0, 0);
	answer.src_port = 5000;
	guest_send_raw(&answer, NULL);
	assert_int_equal(u.connected, 1);
	assert_true(guest_recv(&h, NULL));
	assert_int_equal(h.op, VSOCK_OP_RW);
	assert_int_equal(h.len, 5);
	vsock_reset(c);
	assert_int_equal(u.closed, 1);
	run();
	assert_true(guest_recv(&h, NULL));
	assert_int_equal(h.op, VSOCK_OP_RST);
}

static void test_connect_refused(void **state)
{
	struct vsock_hdr h, answer;

	(void)state;
	assert_non_null(vsock_connect(v, 5000, &ops, &u));
	run();
	assert_true(guest_recv(&h, NULL));
	answer = packet(h.src_port, VSOCK_OP_RST, 0, 0);
	answer.src_port = 5000;
	guest_send_raw(&answer, NULL);
	assert_int_equal(u.connected, 0);
	assert_int_equal(u.closed, 1);
	expect_nothing();
}

/* However many dials and strays: bounded, and the guest has to wait when the queue is full. */
static void test_flood(void **state)
{
	unsigned resets = 0, responses = 0, sent = 0;
	struct vsock_hdr h;
	uint32_t head, used;

	(void)state;
	for (uint32_t i = 0; i < 30000; i++) {
		struct rd_seg seg = { tx_gpa, 44, false };

		h = packet(i % 2 ? PORT_USER : 99, i % 3 ? VSOCK_OP_REQUEST : VSOCK_OP_RW, 0, 0);
		h.src_port = i;
		memcpy(rd_ptr(&d, tx_gpa), &h, sizeof(h));
		rd_add(tx, &seg, 1);
		rd_kick(tx);
		run();
		if (!rd_used(tx, &head, &used))
			break; /* it waits for us to take answers */
		sent++;
	}
	assert_in_range(sent, 500, 29999);
	for (int i = 0; i < 200; i++) {
		while (guest_recv(&h, NULL)) {
			resets += h.op == VSOCK_OP_RST;
			responses += h.op == VSOCK_OP_RESPONSE;
		}
		rd_kick(rx);
		run();
	}
	assert_true(rd_used(tx, &head, &used)); /* the one that waited */
	assert_int_equal(resets + responses, sent + 1);
	assert_in_range(responses, 1, VSOCK_CONNS_MAX);
}

static void test_conn_limit(void **state)
{
	struct vsock_hdr h;
	unsigned resets = 0;

	(void)state;
	for (uint32_t i = 0; i < VSOCK_CONNS_MAX + 10; i++) {
		h = packet(PORT_USER, VSOCK_OP_REQUEST, 0, 0);
		h.src_port = i;
		guest_send_raw(&h, NULL);
		assert_true(guest_recv(&h, NULL));
		resets += h.op == VSOCK_OP_RST;
	}
	assert_int_equal(resets, 10);
	assert_null(vsock_connect(v, 1, &ops, &u));
	v->ops->queue_stop(v, 0);
	v->ops->queue_stop(v, 1);
	v->ops->reset(v);
	assert_int_equal(u.closed, VSOCK_CONNS_MAX);
}

/* Queues may be stopped and started in the middle; connections live on. */
static void test_restart(void **state)
{
	(void)state;
	dial();
	v->ops->queue_stop(v, 0);
	v->ops->queue_stop(v, 1);
	vsock_send(u.c, "x", 1);
	run();
	start_queues();
	expect(VSOCK_OP_RW);
	guest_send(VSOCK_OP_RW, 0, "y", 1);
	assert_string_equal(u.got.s, "y");
}

static void test_send_limit(void **state)
{
	char *data = bytes(VSOCK_SEND_MAX);

	(void)state;
	guest_alloc = 0;
	dial();
	assert_int_equal(vsock_send(u.c, data, VSOCK_SEND_MAX), 0);
	assert_int_equal(vsock_send(u.c, data, 1), -ENOBUFS);
	free(data);
}

static void test_malformed_tx(void **state)
{
	struct vsock_hdr h = packet(PORT_USER, VSOCK_OP_RW, 0, 100);
	struct rd_seg seg = { tx_gpa, 44 + 99, false };

	(void)state;
	memcpy(rd_ptr(&d, tx_gpa), &h, sizeof(h));
	rd_add(tx, &seg, 1); /* says 100 bytes follow */
	rd_kick(tx);
	run();
	assert_int_equal(broken, 1);
	run();
	assert_int_equal(broken, 1);
}

static void test_short_tx(void **state)
{
	struct rd_seg seg = { tx_gpa, 43, false };

	(void)state;
	rd_add(tx, &seg, 1);
	rd_kick(tx);
	run();
	assert_int_equal(broken, 1);
}

static void test_readable_rx(void **state)
{
	struct vsock_hdr h;

	(void)state;
	/* All good buffers are used up; the next one is to be read only. */
	for (unsigned i = 0; i < QUEUE; i++)
		rx->desc[i].flags = 0;
	h = packet(99, VSOCK_OP_REQUEST, 0, 0);
	guest_send_raw(&h, NULL);
	assert_int_equal(broken, 1);
	assert_false(guest_recv(&h, NULL));
}

/* The header may be split, and the payload lie in many pieces. */
static void test_scattered(void **state)
{
	struct vsock_hdr h = packet(PORT_USER, VSOCK_OP_RW, 0, 10);
	struct rd_seg seg[54];

	(void)state;
	dial();
	memcpy(rd_ptr(&d, tx_gpa), &h, sizeof(h));
	memcpy(rd_ptr(&d, tx_gpa + 44), "0123456789", 10);
	for (unsigned i = 0; i < 54; i++)
		seg[i] = (struct rd_seg){ tx_gpa + i, 1, false };
	rd_add_indirect(&d, tx, seg, 54);
	rd_kick(tx);
	run();
	assert_string_equal(u.got.s, "0123456789");
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_config),
		T(test_orderly),
		T(test_half_close_by_guest),
		T(test_half_close_by_host),
		T(test_eof_then_end_in_callback),
		T(test_refused),
		T(test_strays),
		T(test_rst),
		T(test_kept),
		T(test_rst_after_shutdown),
		T(test_port_reuse),
		T(test_push_error_resets),
		T(test_reset_within_push),
		T(test_credit_overrun),
		T(test_credit_update),
		T(test_peer_credit),
		T(test_pull),
		T(test_pull_error_resets),
		T(test_guest_deaf),
		T(test_connect),
		T(test_connect_refused),
		T(test_flood),
		T(test_conn_limit),
		T(test_restart),
		T(test_send_limit),
		T(test_malformed_tx),
		T(test_short_tx),
		T(test_readable_rx),
		T(test_scattered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
