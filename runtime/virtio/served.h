/* served.h: queues of simple devices, served on the loop one chain at a time. */
#ifndef ZL_VIRTIO_SERVED_H
#define ZL_VIRTIO_SERVED_H

#include "runtime/virtio/device.h"

/*
 * For devices without state between chains (entropy, balloon): the queue is
 * watched on the device's loop, every chain is handed to `serve`, which
 * returns how many bytes it put into the writable segments, or a negative
 * value when the guest broke the rules: then the device stops, and the
 * transport is told.
 */
typedef ssize_t served_fn(struct virtio_device *d, unsigned index, struct virtq_chain *c);

struct served_queue {
	struct virtio_device *dev;
	struct virtq *q;
	struct loop_watch *watch;
	unsigned index;
	served_fn *serve;
	struct virtq_chain *chain; /* the device's, shared by its queues */
};

/* `chain` is borrowed. */
int served_start(struct served_queue *s, struct virtio_device *d, unsigned index, struct virtq *q,
		 struct virtq_chain *chain, served_fn *serve, struct err *e);
/* Also for one that was never started. */
void served_stop(struct served_queue *s);

#endif
