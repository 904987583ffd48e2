/* test_console.c: the console device against a driver, good and bad. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sys/mman.h>
#include <unistd.h>

#include "runtime/virtio/console.h"
#include "tests/unit/ringdriver.h"

#define RAM (2U << 20)

enum { RECEIVE, TRANSMIT };

struct rig {
	struct ringdriver d;
	struct loop *l;
	struct virtio_device *dev;
	struct rd_queue *tx;
	int log; /* another descriptor of what the device writes to */
};

static unsigned broken;

static void on_broken(struct virtio_device *dev, const char *why)
{
	(void)dev;
	assert_non_null(why);
	broken++;
}

static int set_up(void **state)
{
	struct rig *r = calloc(1, sizeof(*r));

	rd_init(&r->d, RAM);
	r->l = loop_new(NULL);
	r->log = memfd_create("log", MFD_CLOEXEC);
	assert_true(r->log >= 0);
	r->dev = virtio_console_new(r->l, dup(r->log));
	r->dev->broken = on_broken;
	r->tx = rd_queue(&r->d, TRANSMIT, 2, true);
	virtq_init(&r->tx->q);
	assert_int_equal(r->dev->ops->queue_start(r->dev, TRANSMIT, &r->tx->q, NULL), 0);
	broken = 0;
	*state = r;
	return 0;
}

static int tear_down(void **state)
{
	struct rig *r = *state;

	r->dev->ops->queue_stop(r->dev, TRANSMIT);
	virtio_console_free(r->dev);
	close(r->log);
	loop_free(r->l);
	rd_free(&r->d);
	free(r);
	return 0;
}

/* Sends segments; true when the device gave them back. */
static bool transmit(struct rig *r, const struct rd_seg *seg, unsigned n)
{
	uint32_t head, len;

	r->tx->free = 0;
	rd_add(r->tx, seg, n);
	rd_kick(r->tx);
	loop_once(r->l, 1000);
	return rd_used(r->tx, &head, &len) && len == 0;
}

static void test_text_goes_to_the_log(void **state)
{
	struct rig *r = *state;
	uint64_t at = rd_alloc(&r->d, 64, 1);
	struct rd_seg one[] = { { at, 6, false } };
	struct rd_seg two[] = { { at, 6, false }, { at + 6, 3, false } };
	char got[32] = "";

	memcpy(rd_ptr(&r->d, at), "hello\nyou", 9);
	assert_true(transmit(r, one, 1));
	assert_true(transmit(r, two, 2));
	assert_int_equal(pread(r->log, got, sizeof(got), 0), 15);
	assert_string_equal(got, "hello\nhello\nyou");
	assert_int_equal(broken, 0);
}

static void test_log_has_an_end(void **state)
{
	struct rig *r = *state;
	uint64_t at = rd_alloc(&r->d, RAM / 2, 1);
	struct rd_seg seg[] = { { at, RAM / 2, false }, { at, 77, false } };

	for (unsigned i = 0; i < VIRTIO_CONSOLE_MAX / (RAM / 2) + 2; i++)
		assert_true(transmit(r, seg, 2)); /* the guest never has to wait for ever */
	assert_int_equal(lseek(r->log, 0, SEEK_END), VIRTIO_CONSOLE_MAX);
	assert_int_equal(broken, 0);
}

/* There is no input: buffers for it stay where they are, as do those of a queue never kicked. */
static void test_room_for_input_is_kept(void **state)
{
	struct rig *r = *state;
	struct rd_queue *rx = rd_queue(&r->d, RECEIVE, 2, false);
	struct rd_seg seg[] = { { rd_alloc(&r->d, 64, 1), 64, true } };
	uint32_t head, len;

	virtq_init(&rx->q);
	assert_int_equal(r->dev->ops->queue_start(r->dev, RECEIVE, &rx->q, NULL), 0);
	rd_add(rx, seg, 1);
	rd_kick(rx);
	loop_once(r->l, 0);
	assert_false(rd_used(rx, &head, &len));
	r->dev->ops->queue_stop(r->dev, RECEIVE);
	assert_int_equal(broken, 0);
}

static void test_transmission_is_not_written_to(void **state)
{
	struct rig *r = *state;
	struct rd_seg seg[] = { { rd_alloc(&r->d, 64, 1), 64, true } };

	assert_false(transmit(r, seg, 1));
	assert_int_equal(broken, 1);
	rd_kick(r->tx);
	loop_once(r->l, 0); /* it has stopped */
	assert_int_equal(broken, 1);
	assert_int_equal(lseek(r->log, 0, SEEK_END), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_text_goes_to_the_log, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_log_has_an_end, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_room_for_input_is_kept, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_transmission_is_not_written_to, set_up,
						tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
