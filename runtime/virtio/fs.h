/* fs.h: the virtiofs device (virtio 1.2, 5.11): a FUSE engine behind queues. */
#ifndef ZL_VIRTIO_FS_H
#define ZL_VIRTIO_FS_H

#include "runtime/virtio/device.h"

struct fuse;

/* Bytes of a tag, without NUL (virtio 1.2, 5.11.4). */
#define VIRTIO_FS_TAG_MAX 36

/*
 * Serves `fs` (borrowed, must outlive the device) in a thread of the
 * device's own: a slow disk must not stall stdio. Queue 0 is hiprio, queue 1
 * carries requests.
 */
struct virtio_device *virtio_fs_new(struct loop *l, const char *tag, struct fuse *fs,
				    struct err *e);
/* After its queues were stopped. */
void virtio_fs_free(struct virtio_device *d);

#endif
