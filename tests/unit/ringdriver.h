/* ringdriver.h: a guest's side of virtqueues in a piece of memory, for tests. */
#ifndef ZL_TESTS_RINGDRIVER_H
#define ZL_TESTS_RINGDRIVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/virtio/queue.h"

#define RD_BASE	  0x100000ULL /* guest-physical address of the memory */
#define RD_QUEUES 3

#define RD_NEXT	    1U
#define RD_WRITE    2U
#define RD_INDIRECT 4U

struct rd_desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags, next;
};

/* One descriptor of a chain to be made. */
struct rd_seg {
	uint64_t gpa;
	uint32_t len;
	bool write;
};

struct rd_queue {
	struct virtq q; /* as the transport would fill it in */
	struct rd_desc *desc;
	uint16_t *avail, *used; /* flags, idx, ring ... */
	uint16_t free, seen;	/* next free descriptor; used entries seen */
	unsigned signals;
};

struct ringdriver {
	struct gmem mem;
	uint8_t *ram;
	size_t size, top; /* bump allocator */
	struct rd_queue queue[RD_QUEUES];
};

void rd_init(struct ringdriver *d, size_t size);
void rd_free(struct ringdriver *d);
/* Bytes of guest memory; their address. */
uint64_t rd_alloc(struct ringdriver *d, size_t len, size_t align);
void *rd_ptr(struct ringdriver *d, uint64_t gpa);
/* Lays out a queue; its kick descriptor is an eventfd. */
struct rd_queue *rd_queue(struct ringdriver *d, unsigned i, uint16_t size, bool event_idx);
/* Makes a chain of direct descriptors, or of one indirect table, available; its head. */
uint16_t rd_add(struct rd_queue *rq, const struct rd_seg *seg, unsigned n);
uint16_t rd_add_indirect(struct ringdriver *d, struct rd_queue *rq, const struct rd_seg *seg,
			 unsigned n);
/* Publishes a head as the next available entry. */
void rd_publish(struct rd_queue *rq, uint16_t head);
/* The next used entry, if there is one. */
bool rd_used(struct rd_queue *rq, uint32_t *head, uint32_t *len);
/* Event indices; the driver's and the device's. */
void rd_set_used_event(struct rd_queue *rq, uint16_t v);
uint16_t rd_avail_event(const struct rd_queue *rq);
void rd_kick(struct rd_queue *rq);

#endif
