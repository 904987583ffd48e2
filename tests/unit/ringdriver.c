/* ringdriver.c: a guest's side of virtqueues in a piece of memory; see ringdriver.h. */
#include "tests/unit/ringdriver.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "runtime/base/str.h"

void rd_init(struct ringdriver *d, size_t size)
{
	memset(d, 0, sizeof(*d));
	d->ram = aligned_alloc(4096, size);
	assert(d->ram);
	memset(d->ram, 0, size);
	d->size = size;
	d->mem.n = 1;
	d->mem.r[0] = (struct gmem_region){ RD_BASE, size, d->ram };
	for (unsigned i = 0; i < RD_QUEUES; i++)
		d->queue[i].q.kick_fd = -1;
}

void rd_free(struct ringdriver *d)
{
	for (unsigned i = 0; i < RD_QUEUES; i++) {
		if (d->queue[i].q.kick_fd >= 0)
			close(d->queue[i].q.kick_fd);
	}
	free(d->ram);
}

uint64_t rd_alloc(struct ringdriver *d, size_t len, size_t align)
{
	uint64_t at;

	d->top = (d->top + align - 1) / align * align;
	at = RD_BASE + d->top;
	d->top += len;
	assert(d->top <= d->size);
	return at;
}

void *rd_ptr(struct ringdriver *d, uint64_t gpa)
{
	return d->ram + (gpa - RD_BASE);
}

static void count_signal(struct virtq *q)
{
	struct rd_queue *rq = q->signal_arg;

	rq->signals++;
}

struct rd_queue *rd_queue(struct ringdriver *d, unsigned i, uint16_t size, bool event_idx)
{
	struct rd_queue *rq = &d->queue[i];

	rq->desc = rd_ptr(d, rd_alloc(d, 16 * (size_t)size, 16));
	rq->avail = rd_ptr(d, rd_alloc(d, 6 + 2 * (size_t)size, 2));
	rq->used = rd_ptr(d, rd_alloc(d, 6 + 8 * (size_t)size, 4));
	rq->q = (struct virtq){ .mem = &d->mem,
				.size = size,
				.desc = rq->desc,
				.avail = rq->avail,
				.used = rq->used,
				.event_idx = event_idx,
				.kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
				.signal = count_signal,
				.signal_arg = rq };
	virtq_init(&rq->q);
	return rq;
}

void rd_publish(struct rd_queue *rq, uint16_t head)
{
	uint16_t idx = rq->avail[1];

	rq->avail[2 + idx % rq->q.size] = head;
	__atomic_store_n(&rq->avail[1], (uint16_t)(idx + 1), __ATOMIC_RELEASE);
}

static void fill(struct rd_desc *table, uint16_t first, uint16_t wrap, const struct rd_seg *seg,
		 unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		struct rd_desc *e = &table[(first + i) % wrap];

		e->addr = seg[i].gpa;
		e->len = seg[i].len;
		e->flags = (uint16_t)((seg[i].write ? RD_WRITE : 0) | (i + 1 < n ? RD_NEXT : 0));
		e->next = (uint16_t)((first + i + 1) % wrap);
	}
}

uint16_t rd_add(struct rd_queue *rq, const struct rd_seg *seg, unsigned n)
{
	uint16_t head = rq->free;

	fill(rq->desc, head, rq->q.size, seg, n);
	rq->free = (uint16_t)((rq->free + n) % rq->q.size);
	rd_publish(rq, head);
	return head;
}

uint16_t rd_add_indirect(struct ringdriver *d, struct rd_queue *rq, const struct rd_seg *seg,
			 unsigned n)
{
	uint64_t table = rd_alloc(d, 16 * (size_t)n, 16);
	uint16_t head = rq->free;

	fill(rd_ptr(d, table), 0, (uint16_t)n, seg, n);
	rq->desc[head] = (struct rd_desc){ table, 16 * n, RD_INDIRECT, 0 };
	rq->free = (uint16_t)((rq->free + 1) % rq->q.size);
	rd_publish(rq, head);
	return head;
}

bool rd_used(struct rd_queue *rq, uint32_t *head, uint32_t *len)
{
	uint32_t entry[2];

	if (__atomic_load_n(&rq->used[1], __ATOMIC_ACQUIRE) == rq->seen)
		return false;
	memcpy(entry, (uint8_t *)rq->used + 4 + 8 * (size_t)(rq->seen % rq->q.size), 8);
	rq->seen++;
	*head = entry[0];
	*len = entry[1];
	return true;
}

void rd_set_used_event(struct rd_queue *rq, uint16_t v)
{
	rq->avail[2 + rq->q.size] = v;
}

uint16_t rd_avail_event(const struct rd_queue *rq)
{
	uint16_t v;

	memcpy(&v, (const uint8_t *)rq->used + 4 + 8 * (size_t)rq->q.size, 2);
	return v;
}

void rd_kick(struct rd_queue *rq)
{
	uint64_t one = 1;
	ssize_t n = write(rq->q.kick_fd, &one, sizeof(one));

	assert(n == sizeof(one));
	(void)n;
}
