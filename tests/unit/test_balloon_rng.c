/* test_balloon_rng.c: the entropy and balloon devices against a driver, good and bad. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <sys/mman.h>

#include "runtime/virtio/balloon.h"
#include "runtime/virtio/rng.h"
#include "tests/unit/ringdriver.h"

#define RAM  (1U << 20)
#define PAGE 4096U

static struct ringdriver d;
static struct loop *l;
static unsigned broken;

static void on_broken(struct virtio_device *dev, const char *why)
{
	(void)dev;
	assert_non_null(why);
	broken++;
}

static int set_up(void **state)
{
	void *p;

	(void)state;
	rd_init(&d, RAM);
	/* page-aligned and anonymous, as a guest's memory is */
	p = mmap(NULL, RAM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(p, MAP_FAILED);
	*state = d.ram;
	d.ram = d.mem.r[0].host = p;
	l = loop_new(NULL);
	broken = 0;
	return 0;
}

static int tear_down(void **state)
{
	munmap(d.ram, RAM);
	d.ram = *state;
	rd_free(&d);
	loop_free(l);
	return 0;
}

static void start(struct virtio_device *dev, unsigned i, struct rd_queue *rq)
{
	dev->broken = on_broken;
	virtq_init(&rq->q);
	assert_int_equal(dev->ops->queue_start(dev, i, &rq->q, NULL), 0);
}

static void test_entropy(void **state)
{
	struct virtio_device *dev = virtio_rng_new(l);
	struct rd_queue *rq = rd_queue(&d, 0, 8, true);
	uint64_t at = rd_alloc(&d, 200, 1);
	struct rd_seg seg[] = { { at, 64, true }, { at + 64, 36, true } };
	uint8_t zero[36] = { 0 };
	uint32_t head, len;

	(void)state;
	start(dev, 0, rq);
	for (unsigned i = 0; i < 20; i++) {
		memset(rd_ptr(&d, at), 0, 200);
		rd_add(rq, seg, 2);
		rd_kick(rq);
		loop_once(l, 1000);
		assert_true(rd_used(rq, &head, &len));
		assert_int_equal(len, 100);
		assert_memory_not_equal(rd_ptr(&d, at + 64), zero, 36);
		assert_memory_equal(rd_ptr(&d, at + 100), zero, 36);
	}
	assert_true(rq->signals > 0);
	dev->ops->queue_stop(dev, 0);
	rd_add(rq, seg, 2);
	rd_kick(rq);
	loop_once(l, 0);
	assert_false(rd_used(rq, &head, &len));
	virtio_rng_free(dev);
}

static void test_entropy_is_not_written_to(void **state)
{
	struct virtio_device *dev = virtio_rng_new(l);
	struct rd_queue *rq = rd_queue(&d, 0, 8, false);
	struct rd_seg seg[] = { { rd_alloc(&d, 64, 1), 64, false } };

	(void)state;
	start(dev, 0, rq);
	rd_add(rq, seg, 1);
	rd_kick(rq);
	loop_once(l, 1000);
	assert_int_equal(broken, 1);
	rd_kick(rq);
	loop_once(l, 0); /* it has stopped */
	assert_int_equal(broken, 1);
	virtio_rng_free(dev);
}

static void test_reported_pages_are_dropped(void **state)
{
	struct virtio_device *dev = virtio_balloon_new(l);
	struct rd_queue *rq = rd_queue(&d, 0, 8, false);
	uint64_t at = RD_BASE + RAM / 2;
	struct rd_seg seg[] = { { at, 4 * PAGE, true }, { at + 8 * PAGE + 100, 2 * PAGE, true } };
	uint8_t *p = rd_ptr(&d, at);
	uint32_t head, len;

	(void)state;
	memset(p, 0xaa, 16 * PAGE);
	start(dev, 2, rq);
	rd_add(rq, seg, 2);
	rd_kick(rq);
	loop_once(l, 1000);
	assert_true(rd_used(rq, &head, &len));
	assert_int_equal(p[0], 0);
	assert_int_equal(p[4 * PAGE - 1], 0);
	assert_int_equal(p[4 * PAGE], 0xaa);
	/* of a range that is not aligned, whole pages only */
	assert_int_equal(p[9 * PAGE - 1], 0xaa);
	assert_int_equal(p[9 * PAGE], 0);
	assert_int_equal(p[10 * PAGE], 0xaa);
	assert_int_equal(virtio_balloon_reported(dev), 5 * PAGE);
	dev->ops->queue_stop(dev, 2);
	virtio_balloon_free(dev);
}

static void test_inflate_with_nonsense(void **state)
{
	struct virtio_device *dev = virtio_balloon_new(l);
	struct rd_queue *rq = rd_queue(&d, 0, 8, false);
	uint32_t good = (uint32_t)((RD_BASE + RAM / 2) / PAGE);
	uint32_t pfns[] = { 0, 0xffffffff, good, 0x7fffffff };
	uint64_t at = rd_alloc(&d, sizeof(pfns), 4);
	struct rd_seg seg[] = { { at, sizeof(pfns), false } };
	struct rd_seg huge[] = { { RD_BASE, RAM, false } };
	uint8_t *p = rd_ptr(&d, RD_BASE + RAM / 2);
	uint32_t head, len;

	(void)state;
	memset(p, 0xaa, 2 * PAGE);
	memcpy(rd_ptr(&d, at), pfns, sizeof(pfns));
	start(dev, 0, rq);
	rd_add(rq, seg, 1);
	rd_kick(rq);
	loop_once(l, 1000);
	assert_true(rd_used(rq, &head, &len));
	assert_int_equal(p[0], 0);
	assert_int_equal(p[PAGE], 0xaa);
	assert_int_equal(broken, 0);
	rd_add(rq, huge, 1);
	rd_kick(rq);
	loop_once(l, 1000);
	assert_int_equal(broken, 1);
	virtio_balloon_free(dev);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_entropy, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_entropy_is_not_written_to, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_reported_pages_are_dropped, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_inflate_with_nonsense, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
