/* fuzz_console.c: any descriptors, in any order, to a console device. */
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "runtime/base/cursor.h"
#include "runtime/virtio/console.h"
#include "tests/unit/ringdriver.c" /* fuzzers are linked without the unit tests' objects */

/*
 * The input is a script of chains, good and bad, for both queues, which are
 * larger than the device's own so that several are on their way; queues stop
 * and start in between. The log stays below its limit, and guest memory is never
 * written to.
 */
#define RAM	  (1U << 20)
#define QUEUE	  8
#define STEPS_MAX 300

enum { RECEIVE, TRANSMIT };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct cur in;
static bool stopped;

static void on_broken(struct virtio_device *d, const char *why)
{
	(void)d;
	if (why == NULL || stopped)
		abort(); /* once only */
	stopped = true;
}

static uint8_t byte(void)
{
	uint8_t b = 0;

	cur_u8(&in, &b);
	return b;
}

static void add(struct rd_queue *rq)
{
	struct rd_seg seg[3];
	unsigned n = 1 + byte() % 3;

	for (unsigned i = 0; i < n; i++) {
		uint8_t a = byte(), b = byte();

		/* beyond the memory's end, too */
		seg[i] = (struct rd_seg){ RD_BASE + a * (uint64_t)(RAM / 250), b * 100U, a & 1 };
	}
	rd_add(rq, seg, n);
}

static void script(struct virtio_device *dev, struct rd_queue *q[2], struct loop *l, int log)
{
	bool running[2] = { true, true };
	uint32_t head, len;

	for (int i = 0; i < STEPS_MAX && cur_left(&in); i++) {
		uint8_t op = byte();
		unsigned which = op & 1;

		if (op < 200 && (uint16_t)(q[which]->avail[1] - q[which]->used[1]) < QUEUE)
			add(q[which]);
		else if (op >= 250 && running[which])
			dev->ops->queue_stop(dev, which);
		else if (op >= 250 && dev->ops->queue_start(dev, which, &q[which]->q, NULL) < 0)
			abort();
		if (op >= 250)
			running[which] = !running[which];
		if (op >= 250 && which == TRANSMIT)
			stopped = false; /* it has got another chance */
		rd_kick(q[which]);
		loop_once(l, 0);
		while (rd_used(q[which], &head, &len)) {
			if (len)
				abort(); /* nothing is ever written into guest memory */
		}
	}
	if (lseek(log, 0, SEEK_END) > VIRTIO_CONSOLE_MAX)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int log = memfd_create("log", MFD_CLOEXEC);
	struct loop *l = loop_new(NULL);
	struct virtio_device *dev;
	struct rd_queue *q[2];
	struct ringdriver d;

	in = cur_of(data, size);
	stopped = false;
	rd_init(&d, RAM);
	dev = virtio_console_new(l, dup(log));
	dev->broken = on_broken;
	for (unsigned i = 0; i < 2; i++) {
		q[i] = rd_queue(&d, i, QUEUE, i == TRANSMIT);
		virtq_init(&q[i]->q);
		if (dev->ops->queue_start(dev, i, &q[i]->q, NULL) < 0)
			abort();
	}
	script(dev, q, l, log);
	dev->ops->queue_stop(dev, RECEIVE);
	dev->ops->queue_stop(dev, TRANSMIT);
	virtio_console_free(dev);
	loop_free(l);
	rd_free(&d);
	close(log);
	return 0;
}
