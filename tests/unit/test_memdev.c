/* test_memdev.c: the virtio-mem device against a driver, good and bad. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <linux/virtio_mem.h>
#include <sys/mman.h>

#include "runtime/virtio/memdev.h"
#include "tests/unit/ringdriver.h"

#define RAM    (1U << 20)
#define AT     (4ULL << 30)
#define BLOCKS 4U
#define SIZE   (BLOCKS * MEMDEV_BLOCK)

static struct ringdriver d;
static struct loop *l;
static struct virtio_device *dev;
static struct rd_queue *rq;
static uint8_t *region;
static unsigned broken, changed, told;

static void on_broken(struct virtio_device *x, const char *why)
{
	assert_ptr_equal(x, dev);
	assert_non_null(why);
	broken++;
}

static void on_changed(struct virtio_device *x, bool tell)
{
	assert_ptr_equal(x, dev);
	changed++;
	told += tell;
}

static int set_up(void **state)
{
	(void)state;
	rd_init(&d, RAM);
	region = mmap(NULL, SIZE, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	assert_ptr_not_equal(region, MAP_FAILED);
	d.mem.r[d.mem.n++] = (struct gmem_region){ AT, SIZE, region };
	l = loop_new(NULL);
	dev = memdev_new(l, AT, SIZE);
	dev->broken = on_broken;
	dev->config_changed = on_changed;
	broken = changed = told = 0;
	rq = rd_queue(&d, 0, 8, true);
	virtq_init(&rq->q);
	assert_int_equal(dev->ops->queue_start(dev, 0, &rq->q, NULL), 0);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	dev->ops->queue_stop(dev, 0);
	memdev_free(dev);
	munmap(region, SIZE);
	rd_free(&d);
	loop_free(l);
	return 0;
}

static struct virtio_mem_config config(void)
{
	struct virtio_mem_config c;

	dev->ops->config_read(dev, 0, &c, sizeof(c));
	return c;
}

/* Makes a request; the answer's type, and its state at *state. */
static unsigned ask(unsigned type, uint64_t addr, unsigned n, unsigned *state)
{
	uint64_t at = rd_alloc(&d, 64, 8);
	struct virtio_mem_req q = { .type = (uint16_t)type };
	struct virtio_mem_resp a = { .type = 0xffff };
	/* cut at an odd place */
	struct rd_seg seg[] = { { at, 9, false },
				{ at + 9, sizeof(q) - 9, false },
				{ at + 32, 3, true },
				{ at + 35, sizeof(a) - 3, true } };
	uint32_t head, len;

	q.u.plug.addr = addr;
	q.u.plug.nb_blocks = (uint16_t)n;
	memcpy(rd_ptr(&d, at), &q, sizeof(q));
	memcpy(rd_ptr(&d, at + 32), &a, sizeof(a));
	rd_add(rq, seg, 4);
	rd_kick(rq);
	loop_once(l, 1000);
	assert_true(rd_used(rq, &head, &len));
	assert_int_equal(len, sizeof(a));
	memcpy(&a, rd_ptr(&d, at + 32), sizeof(a));
	if (state)
		*state = a.u.state.state;
	return a.type;
}

static uint64_t block(unsigned n)
{
	return AT + n * MEMDEV_BLOCK;
}

static void test_request_and_plug(void **state)
{
	unsigned s;

	(void)state;
	assert_int_equal(config().block_size, MEMDEV_BLOCK);
	assert_int_equal(config().addr, AT);
	assert_int_equal(config().region_size, SIZE);
	assert_int_equal(config().requested_size, 0);
	assert_int_equal(ask(VIRTIO_MEM_REQ_PLUG, AT, 1, NULL), VIRTIO_MEM_RESP_ERROR);

	memdev_request(dev, 2 * MEMDEV_BLOCK + 5);
	assert_int_equal(told, 1);
	assert_int_equal(config().requested_size, 2 * MEMDEV_BLOCK);
	assert_int_equal(config().usable_region_size, 2 * MEMDEV_BLOCK);
	assert_int_equal(ask(VIRTIO_MEM_REQ_PLUG, AT, 1, NULL), VIRTIO_MEM_RESP_ACK);
	assert_int_equal(memdev_plugged(dev), MEMDEV_BLOCK);
	assert_int_equal(config().plugged_size, MEMDEV_BLOCK);
	assert_int_equal(ask(VIRTIO_MEM_REQ_STATE, AT, 1, &s), VIRTIO_MEM_RESP_ACK);
	assert_int_equal(s, VIRTIO_MEM_STATE_PLUGGED);
	ask(VIRTIO_MEM_REQ_STATE, AT, 2, &s);
	assert_int_equal(s, VIRTIO_MEM_STATE_MIXED);
	ask(VIRTIO_MEM_REQ_STATE, block(1), 3, &s);
	assert_int_equal(s, VIRTIO_MEM_STATE_UNPLUGGED);
	assert_int_equal(ask(VIRTIO_MEM_REQ_PLUG, block(1), 1, NULL), VIRTIO_MEM_RESP_ACK);
	assert_int_equal(told, 1); /* of what it does itself the driver is not told */

	memdev_request(dev, MEMDEV_BLOCK); /* never less */
	assert_int_equal(memdev_requested(dev), 2 * MEMDEV_BLOCK);
	memdev_request(dev, UINT64_MAX);
	assert_int_equal(memdev_requested(dev), SIZE);
	assert_int_equal(told, 2);
	assert_int_equal(ask(VIRTIO_MEM_REQ_PLUG, block(2), 2, NULL), VIRTIO_MEM_RESP_ACK);
	assert_int_equal(memdev_plugged(dev), SIZE);
	assert_int_equal(broken, 0);
}

static void test_unplug_drops_what_was_there(void **state)
{
	(void)state;
	memdev_request(dev, 2 * MEMDEV_BLOCK);
	assert_int_equal(ask(VIRTIO_MEM_REQ_PLUG, AT, 2, NULL), VIRTIO_MEM_RESP_ACK);
	region[5] = region[MEMDEV_BLOCK + 5] = 7;
	assert_int_equal(ask(VIRTIO_MEM_REQ_UNPLUG, block(1), 1, NULL), VIRTIO_MEM_RESP_ACK);
	assert_int_equal(region[5], 7);
	assert_int_equal(region[MEMDEV_BLOCK + 5], 0);
	assert_int_equal(memdev_plugged(dev), MEMDEV_BLOCK);
	assert_int_equal(ask(VIRTIO_MEM_REQ_UNPLUG, AT, 2, NULL), VIRTIO_MEM_RESP_ERROR);
	assert_int_equal(region[5], 7);
	assert_int_equal(ask(VIRTIO_MEM_REQ_UNPLUG_ALL, 0, 0, NULL), VIRTIO_MEM_RESP_ACK);
	assert_int_equal(region[5], 0);
	assert_int_equal(memdev_plugged(dev), 0);
	assert_int_equal(ask(VIRTIO_MEM_REQ_PLUG, AT, 2, NULL), VIRTIO_MEM_RESP_ACK);
}

static void test_nonsense_is_refused(void **state)
{
	static const struct {
		unsigned type;
		uint64_t addr;
		unsigned n;
	} rows[] = {
		{ VIRTIO_MEM_REQ_PLUG, AT, 0 },
		{ VIRTIO_MEM_REQ_PLUG, AT, BLOCKS + 1 },
		{ VIRTIO_MEM_REQ_PLUG, AT, 0xffff },
		{ VIRTIO_MEM_REQ_PLUG, AT + 4096, 1 },
		{ VIRTIO_MEM_REQ_PLUG, AT - MEMDEV_BLOCK, 1 },
		{ VIRTIO_MEM_REQ_PLUG, 0, 1 },
		{ VIRTIO_MEM_REQ_PLUG, AT + SIZE, 1 },
		{ VIRTIO_MEM_REQ_PLUG, UINT64_MAX - MEMDEV_BLOCK + 1, 1 },
		{ VIRTIO_MEM_REQ_UNPLUG, AT, 1 },
		{ VIRTIO_MEM_REQ_STATE, AT + SIZE - MEMDEV_BLOCK, 2 },
		{ 4, AT, 1 },
		{ 0xffff, AT, 1 },
	};

	(void)state;
	memdev_request(dev, SIZE);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(ask(rows[i].type, rows[i].addr, rows[i].n, NULL),
				 VIRTIO_MEM_RESP_ERROR);
	assert_int_equal(memdev_plugged(dev), 0);
	assert_int_equal(ask(VIRTIO_MEM_REQ_PLUG, AT, 1, NULL), VIRTIO_MEM_RESP_ACK);
	assert_int_equal(ask(VIRTIO_MEM_REQ_PLUG, AT, 1, NULL), VIRTIO_MEM_RESP_ERROR);
	assert_int_equal(broken, 0);
}

static void test_short_requests_stop_the_device(void **state)
{
	uint64_t at = rd_alloc(&d, 64, 8);
	struct rd_seg seg[] = { { at, sizeof(struct virtio_mem_req), false },
				{ at + 32, 9, true } };

	(void)state;
	rd_add(rq, seg, 2);
	rd_kick(rq);
	loop_once(l, 1000);
	assert_int_equal(broken, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_request_and_plug, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_unplug_drops_what_was_there, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_nonsense_is_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_short_requests_stop_the_device, set_up,
						tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
