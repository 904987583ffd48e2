/* queue.h: the device's side of a split virtqueue (virtio 1.2, 2.7). */
#ifndef ZL_VIRTIO_QUEUE_H
#define ZL_VIRTIO_QUEUE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "runtime/virtio/mem.h"

/*
 * The transport resolves the three ring addresses to host pointers (and has
 * checked that they lie in guest memory whole); the queue resolves
 * descriptors through gmem. Direct and indirect descriptors, EVENT_IDX. A
 * queue belongs to one thread. Everything the guest wrote is read once and
 * checked; a guest that breaks the rules makes virtq_pop say -EPROTO, now
 * and for ever after, and the device stops using the queue.
 *
 * Segments are memory that can be touched: those which the guest put into a
 * window of files are copies (bounce.h).
 */

/* The largest queue a device may offer. */
#define VIRTQ_SIZE_MAX 1024
/* Most segments of one chain, readable and writable together. */
#define VIRTQ_SEGS_MAX 1024

struct virtq {
	/* set by the transport before the queue is started */
	const struct gmem *mem;
	uint16_t size; /* a power of two, at most VIRTQ_SIZE_MAX */
	void *desc, *avail, *used;
	bool event_idx;			 /* VIRTIO_RING_F_EVENT_IDX was negotiated */
	uint16_t next;			 /* index of the next available entry (GET_VRING_BASE) */
	int kick_fd;			 /* eventfd: the guest made entries available */
	void (*signal)(struct virtq *q); /* interrupts the guest; any thread */
	void *signal_arg;
	/* the queue's own */
	uint16_t used_idx;
	uint16_t signalled_idx;
	bool signalled_valid;
	bool broken;
	struct virtq_bounce *bounced; /* chains under way with segments in the window (bounce.h) */
	size_t bounced_bytes;
};

struct virtq_chain {
	uint16_t head;
	unsigned nout, nin;	/* segments: out is readable, in is writable */
	size_t out_len, in_len; /* bytes */
	struct iovec *out, *in; /* into seg */
	bool bounce;		/* queue.c's: some segment lies in the window */
	struct iovec seg[VIRTQ_SEGS_MAX];
	bool window[VIRTQ_SEGS_MAX]; /* queue.c's: the segment lies in the window */
};

/* Once, after the transport filled in its part: takes over the used index. */
void virtq_init(struct virtq *q);
/* When the device has stopped: what was popped and never pushed is forgotten. */
void virtq_stop(struct virtq *q);

/* 1: *c is the next chain; 0: none is available; -EPROTO: the ring is broken. */
int virtq_pop(struct virtq *q, struct virtq_chain *c);

/* Puts back the chain popped last, as if it had not been popped. */
void virtq_unpop(struct virtq *q);

/* Returns a chain with `written` bytes put into its writable segments. */
void virtq_push(struct virtq *q, uint16_t head, uint32_t written);

/* Interrupts the guest if it wants to know of what was pushed since. */
void virtq_notify(struct virtq *q);

/*
 * Asks for a kick from now on (true), or for none as far as can be (false).
 * After enabling, pop once more: an entry may have come in between.
 */
void virtq_want_kick(struct virtq *q, bool on);

#endif
