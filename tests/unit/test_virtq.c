/* test_virtq.c: the device's side of a virtqueue, against a driver and against a hostile one. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "runtime/virtio/bounce.h"
#include "tests/unit/ringdriver.h"

#define RAM (1U << 20)

static struct ringdriver d;
static struct virtq_chain c;

static struct rd_queue *setup(uint16_t size, bool event_idx)
{
	rd_init(&d, RAM);
	return rd_queue(&d, 0, size, event_idx);
}

static int teardown(void **state)
{
	(void)state;
	rd_free(&d);
	return 0;
}

static void test_gmem(void **state)
{
	uint8_t a[64], b[64];
	struct gmem m = { .n = 2,
			  .r = { { 0, 64, a }, { 1000, 64, b } },
			  .window = { 5000, 64, a } };

	(void)state;
	rd_init(&d, RAM);
	assert_ptr_equal(gmem_at(&m, 0, 64), a);
	assert_ptr_equal(gmem_at(&m, 63, 1), a + 63);
	assert_ptr_equal(gmem_at(&m, 1010, 54), b + 10);
	assert_null(gmem_at(&m, 1010, 55));
	assert_null(gmem_at(&m, 0, 65));
	assert_null(gmem_at(&m, 0, 0));
	assert_null(gmem_at(&m, 64, 1));
	assert_null(gmem_at(&m, 999, 1));
	assert_null(gmem_at(&m, 1010, UINT64_MAX));
	assert_null(gmem_at(&m, UINT64_MAX, 2));
	assert_null(gmem_at(&m, 5000, 1));
	assert_ptr_equal(gmem_window_at(&m, 5060, 4), a + 60);
	assert_null(gmem_window_at(&m, 5060, 5));
	assert_null(gmem_window_at(&m, 4999, 1));
	assert_null(gmem_window_at(&m, 5064, 1));
	assert_null(gmem_window_at(&m, 0, 1));
}

static void test_round_trip(void **state)
{
	struct rd_queue *rq = setup(8, false);
	uint64_t out = rd_alloc(&d, 100, 1), in = rd_alloc(&d, 200, 1);
	struct rd_seg seg[] = { { out, 60, false }, { out + 60, 40, false }, { in, 200, true } };
	uint32_t head, len;

	(void)state;
	assert_int_equal(virtq_pop(&rq->q, &c), 0);
	for (int i = 0; i < 20; i++) {
		uint16_t h = rd_add(rq, seg, 3);

		assert_int_equal(virtq_pop(&rq->q, &c), 1);
		assert_int_equal(c.head, h);
		assert_int_equal(c.nout, 2);
		assert_int_equal(c.nin, 1);
		assert_int_equal(c.out_len, 100);
		assert_int_equal(c.in_len, 200);
		assert_ptr_equal(c.out[1].iov_base, rd_ptr(&d, out + 60));
		assert_ptr_equal(c.in[0].iov_base, rd_ptr(&d, in));
		assert_int_equal(virtq_pop(&rq->q, &c), 0);
		virtq_push(&rq->q, h, 77);
		assert_true(rd_used(rq, &head, &len));
		assert_int_equal(head, h);
		assert_int_equal(len, 77);
		assert_false(rd_used(rq, &head, &len));
	}
	assert_int_equal(rq->q.next, 20);
}

static void test_unpop(void **state)
{
	struct rd_queue *rq = setup(4, false);
	struct rd_seg seg = { rd_alloc(&d, 8, 1), 8, true };
	uint16_t a = rd_add(rq, &seg, 1), b = rd_add(rq, &seg, 1);

	(void)state;
	assert_int_equal(virtq_pop(&rq->q, &c), 1);
	assert_int_equal(virtq_pop(&rq->q, &c), 1);
	assert_int_equal(c.head, b);
	virtq_unpop(&rq->q);
	virtq_unpop(&rq->q);
	assert_int_equal(virtq_pop(&rq->q, &c), 1);
	assert_int_equal(c.head, a);
}

#define WINDOW	    0x6000000000ULL
#define WINDOW_SIZE (4U << 20)
#define PAGE	    4096U

/* A window whose first pages are memory; the rest is not there, as beyond a file's end. */
static uint8_t *window_make(uint32_t there)
{
	uint8_t *p = mmap(NULL, WINDOW_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(p, MAP_FAILED);
	if (there)
		assert_int_equal(mprotect(p, there, PROT_READ | PROT_WRITE), 0);
	d.mem.window = (struct gmem_region){ WINDOW, WINDOW_SIZE, p };
	return p;
}

/* Segments in the window are copies, in both directions; others are where they are. */
static void test_window(void **state)
{
	struct rd_queue *rq = setup(8, false);
	uint8_t *w = window_make(2 * PAGE);
	uint64_t ram = rd_alloc(&d, 100, 1);
	struct rd_seg seg[] = { { ram, 10, false },
				{ WINDOW + PAGE - 3, 6, false },
				{ WINDOW + 8, 4, true },
				{ ram + 10, 4, true },
				{ WINDOW + 64, 4, true } };
	uint16_t a, b;

	(void)state;
	memcpy(w + PAGE - 3, "abcdef", 6);
	memset(w, '.', 80);
	a = rd_add(rq, seg, 5);
	b = rd_add_indirect(&d, rq, seg, 5);
	assert_int_equal(virtq_pop(&rq->q, &c), 1);
	assert_int_equal(c.head, a);
	assert_ptr_equal(c.out[0].iov_base, rd_ptr(&d, ram));
	assert_memory_equal(c.out[1].iov_base, "abcdef", 6);
	assert_ptr_equal(c.in[1].iov_base, rd_ptr(&d, ram + 10));
	assert_true((uint8_t *)c.in[0].iov_base < w ||
		    (uint8_t *)c.in[0].iov_base > w + WINDOW_SIZE);
	assert_int_equal(c.out_len, 16);
	assert_int_equal(c.in_len, 12);
	memcpy(c.in[0].iov_base, "1234", 4);
	memcpy(c.in[1].iov_base, "5678", 4);
	memcpy(c.in[2].iov_base, "9abc", 4);
	/* the next one is popped before this one is handed back, and put back, and popped again */
	assert_int_equal(virtq_pop(&rq->q, &c), 1);
	virtq_unpop(&rq->q);
	assert_int_equal(virtq_pop(&rq->q, &c), 1);
	assert_int_equal(c.head, b);
	assert_memory_equal(w + 8, "....", 4);
	virtq_push(&rq->q, a, 10);
	assert_memory_equal(w + 7, ".1234.", 6);
	assert_memory_equal(w + 63, ".9a...", 6);
	memcpy(c.in[0].iov_base, "zzzz", 4);
	virtq_push(&rq->q, b, 0);
	assert_memory_equal(w + 7, ".1234.", 6);
	assert_int_equal(rq->q.bounced_bytes, 0);
	assert_false(rq->q.broken);
	munmap(w, WINDOW_SIZE);
}

/* What the host cannot provide, what reaches out, what is too much: the queue ends, nothing else.
 */
static void test_window_broken(void **state)
{
	static const struct rd_seg bad[] = {
		{ WINDOW + 2 * PAGE, 1, false },
		{ WINDOW + 2 * PAGE - 1, 2, false },
		{ WINDOW + WINDOW_SIZE - 1, 2, false },
		{ WINDOW, UINT32_MAX, true },
		{ WINDOW, 0, true },
		{ WINDOW, VIRTQ_BOUNCE_MAX + 1, true },
	};

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct rd_queue *rq = setup(8, false);
		uint8_t *w = window_make(2 * PAGE);

		rd_add(rq, &bad[i], 1);
		assert_int_equal(virtq_pop(&rq->q, &c), -EPROTO);
		assert_int_equal(virtq_pop(&rq->q, &c), -EPROTO);
		virtq_stop(&rq->q);
		assert_int_equal(rq->q.bounced_bytes, 0);
		munmap(w, WINDOW_SIZE);
		teardown(state);
	}
	/* room for a reply that is not there: found out when the reply goes there */
	{
		struct rd_queue *rq = setup(8, false);
		uint8_t *w = window_make(0);
		struct rd_seg in = { WINDOW, 8, true },
			      half = { WINDOW, VIRTQ_BOUNCE_MAX / 2, true };
		uint16_t h = rd_add(rq, &in, 1);

		assert_int_equal(virtq_pop(&rq->q, &c), 1);
		virtq_push(&rq->q, h, 8);
		assert_int_equal(virtq_pop(&rq->q, &c), -EPROTO);
		rq->q.broken = false;
		/* chains under way count together */
		rd_add(rq, &half, 1);
		rd_add(rq, &half, 1);
		rd_add(rq, &in, 1);
		assert_int_equal(virtq_pop(&rq->q, &c), 1);
		assert_int_equal(virtq_pop(&rq->q, &c), 1);
		assert_int_equal(virtq_pop(&rq->q, &c), -EPROTO);
		virtq_stop(&rq->q);
		munmap(w, WINDOW_SIZE);
	}
	/* a table of descriptors is no data: in the window it is refused */
	{
		struct rd_seg table = { WINDOW, 16, false };
		struct rd_queue *rq;
		uint8_t *w;

		teardown(state);
		rq = setup(8, false);
		w = window_make(2 * PAGE);
		rd_add(rq, &table, 1);
		rq->desc[0].flags = RD_INDIRECT;
		assert_int_equal(virtq_pop(&rq->q, &c), -EPROTO);
		munmap(w, WINDOW_SIZE);
	}
}

static void test_indirect(void **state)
{
	struct rd_queue *rq = setup(4, false);
	struct rd_seg seg[40];

	(void)state;
	for (unsigned i = 0; i < 40; i++)
		seg[i] = (struct rd_seg){ rd_alloc(&d, 16, 1), 16, i >= 15 };
	rd_add_indirect(&d, rq, seg, 40);
	assert_int_equal(virtq_pop(&rq->q, &c), 1);
	assert_int_equal(c.nout, 15);
	assert_int_equal(c.nin, 25);
	assert_int_equal(c.in_len, 25 * 16);
}

/* A direct descriptor may come before the indirect table. */
static void test_direct_then_indirect(void **state)
{
	struct rd_queue *rq = setup(4, false);
	uint64_t buf = rd_alloc(&d, 64, 1), table = rd_alloc(&d, 16, 16);
	struct rd_desc *t = rd_ptr(&d, table);

	(void)state;
	*t = (struct rd_desc){ buf + 32, 32, RD_WRITE, 0 };
	rq->desc[0] = (struct rd_desc){ buf, 32, RD_NEXT, 1 };
	rq->desc[1] = (struct rd_desc){ table, 16, RD_INDIRECT, 0 };
	rd_publish(rq, 0);
	assert_int_equal(virtq_pop(&rq->q, &c), 1);
	assert_int_equal(c.nout, 1);
	assert_int_equal(c.nin, 1);
}

static void test_flags_suppress(void **state)
{
	struct rd_queue *rq = setup(4, false);
	struct rd_seg seg = { rd_alloc(&d, 8, 1), 8, true };

	(void)state;
	virtq_notify(&rq->q);
	assert_int_equal(rq->signals, 0); /* nothing to tell of */
	rd_add(rq, &seg, 1);
	virtq_pop(&rq->q, &c);
	virtq_push(&rq->q, c.head, 0);
	virtq_notify(&rq->q);
	assert_int_equal(rq->signals, 1);
	virtq_notify(&rq->q);
	assert_int_equal(rq->signals, 1);
	rq->avail[0] = 1; /* no interrupts, please */
	rd_add(rq, &seg, 1);
	virtq_pop(&rq->q, &c);
	virtq_push(&rq->q, c.head, 0);
	virtq_notify(&rq->q);
	assert_int_equal(rq->signals, 1);
	virtq_want_kick(&rq->q, false);
	assert_int_equal(rq->used[0], 1);
	virtq_want_kick(&rq->q, true);
	assert_int_equal(rq->used[0], 0);
}

static void one(struct rd_queue *rq, const struct rd_seg *seg)
{
	rd_add(rq, seg, 1);
	assert_int_equal(virtq_pop(&rq->q, &c), 1);
	virtq_push(&rq->q, c.head, 0);
}

static void test_event_idx(void **state)
{
	struct rd_queue *rq = setup(4, true);
	struct rd_seg seg = { rd_alloc(&d, 8, 1), 8, true };

	(void)state;
	one(rq, &seg);
	virtq_notify(&rq->q);
	assert_int_equal(rq->signals, 1); /* used 0 -> 1, event 0 */
	one(rq, &seg);
	virtq_notify(&rq->q);
	assert_int_equal(rq->signals, 1); /* the driver did not move its event */
	rd_set_used_event(rq, 3);
	one(rq, &seg);
	virtq_notify(&rq->q);
	assert_int_equal(rq->signals, 1); /* used 3: not yet past 3 */
	one(rq, &seg);
	virtq_notify(&rq->q);
	assert_int_equal(rq->signals, 2);
	virtq_want_kick(&rq->q, true);
	assert_int_equal(rd_avail_event(rq), 4);
	one(rq, &seg);
	virtq_want_kick(&rq->q, false);
	assert_int_equal(rd_avail_event(rq), 4); /* stale: no kick */
}

/* Both indices wrap at 65536, and nothing is lost or said twice. */
static void test_wrap(void **state)
{
	struct rd_queue *rq = setup(8, true);
	struct rd_seg seg = { rd_alloc(&d, 8, 1), 8, true };
	uint32_t head, len;

	(void)state;
	for (unsigned i = 0; i < 70000; i++) {
		rd_set_used_event(rq, (uint16_t)i);
		one(rq, &seg);
		virtq_notify(&rq->q);
		assert_int_equal(rq->signals, i + 1);
		assert_true(rd_used(rq, &head, &len));
	}
	assert_int_equal(rq->q.next, 70000 % 65536);
}

/* Each case is one way of breaking the rules; -EPROTO, and for ever. */
static void broken(struct rd_queue *rq)
{
	assert_int_equal(virtq_pop(&rq->q, &c), -EPROTO);
	memset(rq->desc, 0, 16 * (size_t)rq->q.size);
	rq->desc[0] = (struct rd_desc){ RD_BASE, 1, 0, 0 };
	assert_int_equal(virtq_pop(&rq->q, &c), -EPROTO);
	assert_true(rq->q.broken);
	rd_free(&d);
}

static void test_hostile(void **state)
{
	static const struct {
		struct rd_desc desc[3];
	} cases[] = {
		{ { { RD_BASE + RAM, 1, 0, 0 } } },	  /* outside */
		{ { { RD_BASE + RAM - 4, 5, 0, 0 } } },	  /* across the end */
		{ { { RD_BASE, 0, 0, 0 } } },		  /* empty */
		{ { { UINT64_MAX, UINT32_MAX, 0, 0 } } }, /* wraps */
		{ { { RD_BASE, 8, RD_NEXT, 0 } } },	  /* a circle of one */
		{ { { RD_BASE, 8, RD_NEXT, 4 } } },	  /* next out of range */
		{ { { RD_BASE, 8, RD_WRITE | RD_NEXT, 1 }, { RD_BASE, 8, 0, 0 } } }, /* order */
		{ { { RD_BASE, 15, RD_INDIRECT, 0 } } },	   /* no whole entry */
		{ { { RD_BASE, 0, RD_INDIRECT, 0 } } },		   /* empty table */
		{ { { RD_BASE + RAM, 16, RD_INDIRECT, 0 } } },	   /* table outside */
		{ { { RD_BASE, 16, RD_INDIRECT | RD_NEXT, 1 } } }, /* both */
		/* a table in a table: the ring itself lies at RD_BASE */
		{ { { RD_BASE + 16, 16, RD_INDIRECT, 0 }, { RD_BASE + 16, 16, RD_INDIRECT, 0 } } },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct rd_queue *rq = setup(4, false);

		memcpy(rq->desc, cases[i].desc, sizeof(cases[i].desc));
		rd_publish(rq, 0);
		broken(rq);
	}
	for (int i = 0; i < 2; i++) {
		struct rd_queue *rq = setup(4, false);

		rq->desc[0] = (struct rd_desc){ RD_BASE, 1, 0, 0 };
		rd_publish(rq, i ? 4 : 0); /* a head that is none; more entries than fit */
		rq->avail[1] = i ? 1 : 5;
		broken(rq);
	}
	rd_init(&d, RAM);
}

/* As long as allowed, and one more. */
static void test_long_chain(void **state)
{
	struct rd_seg seg[VIRTQ_SEGS_MAX + 1];
	struct rd_queue *rq = setup(4, false);

	(void)state;
	for (unsigned i = 0; i < VIRTQ_SEGS_MAX + 1; i++)
		seg[i] = (struct rd_seg){ RD_BASE, 1, true };
	rd_add_indirect(&d, rq, seg, VIRTQ_SEGS_MAX);
	assert_int_equal(virtq_pop(&rq->q, &c), 1);
	assert_int_equal(c.nin, VIRTQ_SEGS_MAX);
	rd_add_indirect(&d, rq, seg, VIRTQ_SEGS_MAX + 1);
	assert_int_equal(virtq_pop(&rq->q, &c), -EPROTO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_gmem, teardown),
		cmocka_unit_test_teardown(test_round_trip, teardown),
		cmocka_unit_test_teardown(test_unpop, teardown),
		cmocka_unit_test_teardown(test_window, teardown),
		cmocka_unit_test_teardown(test_window_broken, teardown),
		cmocka_unit_test_teardown(test_indirect, teardown),
		cmocka_unit_test_teardown(test_direct_then_indirect, teardown),
		cmocka_unit_test_teardown(test_flags_suppress, teardown),
		cmocka_unit_test_teardown(test_event_idx, teardown),
		cmocka_unit_test_teardown(test_wrap, teardown),
		cmocka_unit_test_teardown(test_hostile, teardown),
		cmocka_unit_test_teardown(test_long_chain, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
