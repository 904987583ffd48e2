/* rng.h: the entropy device (virtio 1.2, 5.4). */
#ifndef ZL_VIRTIO_RNG_H
#define ZL_VIRTIO_RNG_H

#include "runtime/virtio/device.h"

/* Fills what the guest asks for from the host's getrandom(2). */
struct virtio_device *virtio_rng_new(struct loop *l);
/* After its queue was stopped; NULL is allowed. */
void virtio_rng_free(struct virtio_device *d);

#endif
