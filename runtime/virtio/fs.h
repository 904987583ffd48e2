/* fs.h: the virtiofs device (virtio 1.2, 5.11): a FUSE engine behind queues. */
#ifndef ZL_VIRTIO_FS_H
#define ZL_VIRTIO_FS_H

#include "runtime/virtio/device.h"

struct confine;
struct fuse;

/* Bytes of a tag, without NUL (virtio 1.2, 5.11.4). */
#define VIRTIO_FS_TAG_MAX 36

/*
 * Serves `fs` (borrowed, must outlive the device) in a thread of the
 * device's own: a slow disk must not stall stdio. Queue 0 is hiprio, queue 1
 * carries requests. The thread is confined to `c` from its start on (NULL: it
 * is not; borrowed, must outlive the device), virtio_fs_calls among it.
 */
struct virtio_device *virtio_fs_new(struct loop *l, const char *tag, struct fuse *fs,
				    const struct confine *c, struct err *e);
/* The system calls of such a thread. */
extern const struct confine_list virtio_fs_calls;
/* After its queues were stopped. */
void virtio_fs_free(struct virtio_device *d);

#endif
