/* fs.h: the virtiofs device (virtio 1.2, 5.11): a FUSE engine behind queues. */
#ifndef ZL_VIRTIO_FS_H
#define ZL_VIRTIO_FS_H

#include "runtime/virtio/device.h"

struct confine;
struct fuse;

/*
 * DAX (virtio 1.2, 5.11.6.4): with a window, pages of files are mapped from the
 * host's page cache into the guest. The device's thread maps them, by mmap with
 * MAP_FIXED (shared file mappings, readable or read-write; PROT_NONE to take them
 * away) within the window the transport reserved, and the engine may fallocate
 * what a guest will write to. A guest's descriptors that point into the window
 * are served by process_vm_readv and process_vm_writev on this process (bounce.h),
 * in the thread of whichever device they were given to (fs_calls.c).
 */

/* Bytes of a tag, without NUL (virtio 1.2, 5.11.4). */
#define VIRTIO_FS_TAG_MAX 36

/*
 * Serves `fs` (borrowed, must outlive the device) in a thread of the
 * device's own: a slow disk must not stall stdio. Queue 0 is hiprio, queue 1
 * carries requests. The thread is confined to `c` from its start on (NULL: it
 * is not; borrowed, must outlive the device).
 */
struct virtio_device *virtio_fs_new(struct loop *l, const char *tag, struct fuse *fs,
				    const struct confine *c, struct err *e);
/* The system calls of every such thread, and more for the kind of share. */
extern const struct confine_list virtio_fs_calls, virtio_fs_union_calls, virtio_fs_bind_calls;
/* Asks for a window of that many bytes, a multiple of 2 MiB; before the machine is started. */
void virtio_fs_ask_window(struct virtio_device *d, uint64_t size);
/* After its queues were stopped. */
void virtio_fs_free(struct virtio_device *d);

#endif
