/* memdev.h: memory that the guest gets later (virtio-mem: virtio 1.2, 5.15). */
#ifndef ZL_VIRTIO_MEMDEV_H
#define ZL_VIRTIO_MEMDEV_H

#include "runtime/virtio/device.h"

/*
 * The machine has a region of guest-physical addresses of which nothing is
 * plugged at first: the guest has no page structures for it and pays nothing.
 * After memdev_request() the driver plugs blocks of it until it has what was
 * requested; its kernel then uses them as any memory. What it frees comes
 * back by the balloon's free page reports; so nothing is ever asked back,
 * and only the page structures of plugged memory (1.6 %) stay.
 *
 * System calls: madvise, when the driver unplugs.
 */

/* The size of a block of Linux's on x86-64: what it plugs and puts to use as one. */
#define MEMDEV_BLOCK (128ULL << 20)
/* The largest region, with a bit for each block: what fits between 4 and 384 GiB. */
#define MEMDEV_BLOCKS_MAX 3040U

/* The region [addr, addr + size): both multiples of MEMDEV_BLOCK, size not 0. */
struct virtio_device *memdev_new(struct loop *l, uint64_t addr, uint64_t size);
/* After its queue was stopped; NULL is allowed. */
void memdev_free(struct virtio_device *d);

/*
 * The guest is to have so many bytes of the region (rounded down to blocks,
 * at most all of it): never fewer than before. The machine must have made
 * them accessible.
 */
void memdev_request(struct virtio_device *d, uint64_t bytes);
uint64_t memdev_requested(const struct virtio_device *d);
/* What of it the driver has taken. */
uint64_t memdev_plugged(const struct virtio_device *d);

#endif
