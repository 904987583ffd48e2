/* balloon.h: the balloon device (virtio 1.2, 5.5): free page reporting only. */
#ifndef ZL_VIRTIO_BALLOON_H
#define ZL_VIRTIO_BALLOON_H

#include "runtime/virtio/device.h"

/*
 * The guest reports blocks of pages that it does not use (5.5.6.7), and the
 * host drops them: memory that the guest frees goes back to the host within
 * a few seconds. The balloon itself is never inflated: its size is always
 * 0; pages put into it all the same are dropped too.
 */
struct virtio_device *virtio_balloon_new(struct loop *l);
/* After its queues were stopped; NULL is allowed. */
void virtio_balloon_free(struct virtio_device *d);
/* Bytes given back so far. */
uint64_t virtio_balloon_reported(const struct virtio_device *d);

#endif
