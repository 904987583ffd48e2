/* balloon.c: the balloon device: free page reporting only; see balloon.h. */
#include "runtime/virtio/balloon.h"

#include <linux/virtio_balloon.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "runtime/base/str.h"
#include "runtime/virtio/served.h"

/*
 * Linux numbers its queues without gaps: with reporting alone, queue 2
 * carries the reports. A report's writable segments are the free pages
 * themselves; the guest does not use them until the report comes back.
 */
enum { INFLATE, DEFLATE, REPORT, BALLOON_QUEUES };

#define BALLOON_QUEUE_SIZE 128
#define PAGE		   4096U
/* Page numbers in one inflate request (Linux: 256). */
#define PFNS_MAX 1024U

struct balloon {
	struct virtio_device d;
	struct served_queue queues[BALLOON_QUEUES];
	struct virtq_chain chain;
	uint64_t reported;
};

/*
 * Pages of the guest's anonymous memory are dropped and read as zeros from
 * now on. Only whole pages: the ends of a range that is not aligned stay.
 */
static void drop(struct balloon *b, void *p, size_t len)
{
	uintptr_t from = ((uintptr_t)p + PAGE - 1) & ~(uintptr_t)(PAGE - 1);
	uintptr_t to = ((uintptr_t)p + len) & ~(uintptr_t)(PAGE - 1);

	if (to > from && madvise((void *)from, to - from, MADV_DONTNEED) == 0)
		b->reported += to - from;
}

static ssize_t serve_report(struct virtio_device *d, unsigned index, struct virtq_chain *c)
{
	(void)index;
	for (unsigned i = 0; i < c->nin; i++)
		drop((struct balloon *)d, c->in[i].iov_base, c->in[i].iov_len);
	return 0;
}

/* An array of 32-bit page numbers (5.5.6): dropped for inflate, ignored for deflate. */
static ssize_t serve_pfns(struct virtio_device *d, unsigned index, struct virtq_chain *c)
{
	struct balloon *b = (struct balloon *)d;
	const struct gmem *mem = b->queues[index].q->mem;

	if (c->out_len > PFNS_MAX * sizeof(uint32_t))
		return -1;
	for (unsigned i = 0; index == INFLATE && i < c->nout; i++) {
		for (size_t at = 0; at + sizeof(uint32_t) <= c->out[i].iov_len; at += 4) {
			uint32_t pfn;
			void *page;

			memcpy(&pfn, (uint8_t *)c->out[i].iov_base + at, sizeof(pfn));
			page = gmem_at(mem, (uint64_t)pfn * PAGE, PAGE);
			if (page)
				drop(b, page, PAGE);
		}
	}
	return 0;
}

/* No configuration: num_pages reads as 0, the balloon is to stay empty; `actual` is not kept. */
static int queue_start(struct virtio_device *d, unsigned index, struct virtq *q, struct err *e)
{
	struct balloon *b = (struct balloon *)d;

	return served_start(&b->queues[index], d, index, q, &b->chain,
			    index == REPORT ? serve_report : serve_pfns, e);
}

static void queue_stop(struct virtio_device *d, unsigned index)
{
	served_stop(&((struct balloon *)d)->queues[index]);
}

static const struct virtio_device_ops balloon_ops = {
	.name = "balloon",
	.id = VIRTIO_ID_BALLOON,
	.num_queues = BALLOON_QUEUES,
	.queue_size_max = BALLOON_QUEUE_SIZE,
	.features = 1ULL << VIRTIO_BALLOON_F_REPORTING,
	.queue_start = queue_start,
	.queue_stop = queue_stop,
};

struct virtio_device *virtio_balloon_new(struct loop *l)
{
	struct balloon *b = xcalloc(1, sizeof(*b));

	b->d.ops = &balloon_ops;
	b->d.loop = l;
	return &b->d;
}

void virtio_balloon_free(struct virtio_device *d)
{
	free(d);
}

uint64_t virtio_balloon_reported(const struct virtio_device *d)
{
	return ((const struct balloon *)d)->reported;
}
