/* queue.c: the device's side of a split virtqueue; see queue.h. */
#include "runtime/virtio/queue.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>

#include "runtime/virtio/bounce.h"

/*
 * Theory of operation (virtio 1.2, 2.7).
 *
 * The driver fills descriptors, puts the index of a chain's first one into
 * avail->ring and then advances avail->idx; we hand chains back through
 * used->ring and used->idx in the same way. `next` is how far we have read
 * the one, `used_idx` how far we have written the other. Both indices run
 * freely through 16 bits and are taken modulo the size only to index.
 *
 * Whoever advances an index stores it with release, whoever reads one loads
 * it with acquire. Asking to be told ("kick me from here on") and then
 * looking once more needs a full barrier in between, on both sides, or both
 * could miss each other: that is what the two fences below are for.
 *
 * All three rings lie in memory the guest may write at any moment. Every
 * word is therefore read once, into a variable, and only that is judged. A
 * chain has at most VIRTQ_SEGS_MAX descriptors, which also bounds the walk
 * through a circle of them.
 */

#define DESC_NEXT	     1U
#define DESC_WRITE	     2U
#define DESC_INDIRECT	     4U
#define AVAIL_NO_INTERRUPT   1U
#define USED_NO_NOTIFY	     1U
#define INDIRECT_ENTRIES_MAX 65536U

struct desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags, next;
};

struct avail {
	_Atomic uint16_t flags, idx, ring[]; /* ring[size] is used_event */
};

struct used_elem {
	_Atomic uint32_t id, len;
};

struct used {
	_Atomic uint16_t flags, idx;
	struct used_elem ring[]; /* followed by avail_event */
};

_Static_assert(sizeof(struct desc) == 16, "as in the specification");
_Static_assert(sizeof(struct used_elem) == 8, "as in the specification");

static _Atomic uint16_t *avail_event(struct virtq *q)
{
	struct used *u = q->used;

	return (_Atomic uint16_t *)(void *)&u->ring[q->size];
}

static int ring_broken(struct virtq *q)
{
	q->broken = true;
	return -EPROTO;
}

void virtq_init(struct virtq *q)
{
	struct used *u = q->used;

	assert(q->size && q->size <= VIRTQ_SIZE_MAX && (q->size & (q->size - 1)) == 0);
	q->used_idx = atomic_load_explicit(&u->idx, memory_order_acquire);
	q->signalled_idx = q->used_idx;
	q->signalled_valid = false;
	q->broken = false;
}

/* A descriptor that carries bytes becomes the chain's next segment. */
static int add_segment(struct virtq *q, struct virtq_chain *c, const struct desc *d)
{
	unsigned n = c->nout + c->nin;
	void *host;

	if (n == VIRTQ_SEGS_MAX)
		return ring_broken(q);
	host = gmem_at(q->mem, d->addr, d->len);
	c->window[n] = false;
	if (host == NULL) {
		host = gmem_window_at(q->mem, d->addr, d->len);
		c->window[n] = c->bounce = true;
	}
	if (host == NULL)
		return ring_broken(q);
	c->seg[n] = (struct iovec){ host, d->len };
	if (d->flags & DESC_WRITE) {
		c->nin++;
		c->in_len += d->len;
		return 0;
	}
	if (c->nin)
		return ring_broken(q); /* readable ones come first */
	c->nout++;
	c->out_len += d->len;
	return 0;
}

static int walk(struct virtq *q, struct virtq_chain *c)
{
	const uint8_t *table = q->desc;
	uint32_t entries = q->size, i = c->head;
	bool indirect = false;
	struct desc d;

	for (;;) {
		if (i >= entries)
			return ring_broken(q);
		gmem_copy(&d, table + (size_t)i * sizeof(d), sizeof(d));
		if (d.flags & DESC_INDIRECT) {
			if (indirect || (d.flags & DESC_NEXT) || d.len % sizeof(d) ||
			    d.len / sizeof(d) > INDIRECT_ENTRIES_MAX)
				return ring_broken(q);
			table = gmem_at(q->mem, d.addr, d.len);
			if (table == NULL)
				return ring_broken(q);
			entries = d.len / sizeof(d);
			indirect = true;
			i = 0;
			continue;
		}
		if (add_segment(q, c, &d) < 0)
			return -EPROTO;
		if (!(d.flags & DESC_NEXT))
			return 0;
		i = d.next;
	}
}

int virtq_pop(struct virtq *q, struct virtq_chain *c)
{
	struct avail *a = q->avail;
	uint16_t pending;

	if (q->broken)
		return -EPROTO;
	pending = (uint16_t)(atomic_load_explicit(&a->idx, memory_order_acquire) - q->next);
	if (pending == 0)
		return 0;
	if (pending > q->size)
		return ring_broken(q);
	c->head = atomic_load_explicit(&a->ring[q->next & (q->size - 1U)], memory_order_relaxed);
	c->nout = c->nin = 0;
	c->out_len = c->in_len = 0;
	c->bounce = false;
	if (walk(q, c) < 0)
		return -EPROTO;
	c->out = c->seg;
	c->in = c->seg + c->nout;
	q->next++;
	if (c->bounce && bounce_begin(q, c) < 0)
		return ring_broken(q);
	return 1;
}

void virtq_unpop(struct virtq *q)
{
	if (q->bounced)
		bounce_unpop(q);
	q->next--;
}

void virtq_push(struct virtq *q, uint16_t head, uint32_t written)
{
	struct used *u = q->used;
	struct used_elem *e = &u->ring[q->used_idx & (q->size - 1U)];

	if (q->bounced)
		bounce_end(q, head, written);
	atomic_store_explicit(&e->id, head, memory_order_relaxed);
	atomic_store_explicit(&e->len, written, memory_order_relaxed);
	q->used_idx++;
	atomic_store_explicit(&u->idx, q->used_idx, memory_order_release);
}

/* Whether the driver wants to hear of what was pushed since signalled_idx. */
static bool wants_signal(struct virtq *q)
{
	struct avail *a = q->avail;
	uint16_t event;

	if (!q->event_idx)
		return !(atomic_load_explicit(&a->flags, memory_order_relaxed) &
			 AVAIL_NO_INTERRUPT);
	if (!q->signalled_valid)
		return true;
	event = atomic_load_explicit(&a->ring[q->size], memory_order_relaxed);
	return (uint16_t)(q->used_idx - event - 1) < (uint16_t)(q->used_idx - q->signalled_idx);
}

void virtq_notify(struct virtq *q)
{
	if (q->used_idx == q->signalled_idx)
		return;
	atomic_thread_fence(memory_order_seq_cst);
	if (wants_signal(q))
		q->signal(q);
	q->signalled_idx = q->used_idx;
	q->signalled_valid = true;
}

void virtq_want_kick(struct virtq *q, bool on)
{
	struct used *u = q->used;

	if (q->event_idx) {
		/* A stale event index asks for nothing until 65536 entries later. */
		if (on)
			atomic_store_explicit(avail_event(q), q->next, memory_order_relaxed);
	} else {
		atomic_store_explicit(&u->flags, on ? 0 : USED_NO_NOTIFY, memory_order_relaxed);
	}
	if (on)
		atomic_thread_fence(memory_order_seq_cst);
}
