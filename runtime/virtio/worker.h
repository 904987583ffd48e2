/* worker.h: a thread of a device's own, which serves its queues. */
#ifndef ZL_VIRTIO_WORKER_H
#define ZL_VIRTIO_WORKER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "runtime/virtio/device.h"

struct confine;

/*
 * The thread is made with the device and confines itself first of all: that
 * is why it is not made later, when the loop's thread may do less than it. It
 * is parked until the first queue is started. Starting or stopping a queue
 * parks it, changes the set and lets it go on: queues come and go a handful of
 * times in a machine's life, and this way they need no lock.
 *
 * `serve` returns when `stop` is readable (which it leaves alone), or after
 * worker_failed: the guest broke the rules. A guest that never lets it sleep
 * must not keep it from parking: it looks at worker_stopping between turns.
 */
struct worker_ops {
	void (*begin)(struct virtio_device *d); /* first of all; NULL: nothing */
	void (*serve)(struct virtio_device *d);
	void (*reset)(struct virtio_device *d); /* what worker_reset has it do; NULL: nothing */
};

/* What the thread is to do. */
enum worker_order {
	WORKER_PARK,
	WORKER_SERVE,
	WORKER_RESET,
	WORKER_END,
};

struct worker {
	struct virtio_device *d;
	const struct worker_ops *ops;
	const struct confine *confine;
	int stop; /* eventfd: for `serve` to wait for, besides its own */
	/* worker.c's own */
	int failed;
	struct loop_watch *failed_watch;
	pthread_t thread;
	bool made;
	pthread_mutex_t lock; /* of the next three */
	pthread_cond_t changed;
	enum worker_order order;
	bool parked;
	atomic_bool stopping;
};

/* Not confined with confine NULL; it is borrowed. worker_end also where it failed. */
int worker_start(struct worker *w, struct virtio_device *d, const struct worker_ops *ops,
		 const struct confine *confine, struct err *e);
/* Ends the thread, which must have no queues any more. */
void worker_end(struct worker *w);

/* On the loop's thread. Returns when it touches no queue any more. */
void worker_park(struct worker *w);
void worker_go_on(struct worker *w);
/* Has ops->reset done by the thread, and parks it. */
void worker_reset(struct worker *w);

/* In `serve`. */
static inline bool worker_stopping(struct worker *w)
{
	return atomic_load_explicit(&w->stopping, memory_order_relaxed);
}
void worker_failed(struct worker *w);

#endif
