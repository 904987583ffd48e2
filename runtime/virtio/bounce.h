/* bounce.h: segments of a chain that lie in a window of files, copied by the kernel. */
#ifndef ZL_VIRTIO_BOUNCE_H
#define ZL_VIRTIO_BOUNCE_H

#include "runtime/virtio/queue.h"

/*
 * The pages of a DAX mapping are memory to a guest like any other: what is
 * written with O_DIRECT out of one, or spliced to a socket, reaches a device as
 * descriptors that point into the window. Behind a page of the window is a
 * file of the host's, which may not be able to provide it; the processor
 * would tell us by SIGBUS. So no device ever sees such an address: queue.c
 * puts copies in their place, and the bytes are moved by process_vm_readv and
 * process_vm_writev on ourselves, which answer EFAULT instead.
 */

/* Most bytes that are copied for one queue's chains under way: Linux sends 1 MiB at a time. */
#define VIRTQ_BOUNCE_MAX (2U << 20)

/* Of the chain just popped, in whose segments window addresses are. -EPROTO. */
int bounce_begin(struct virtq *q, struct virtq_chain *c);
/* The chain is handed back: its first `written` writable bytes go where they belong. */
void bounce_end(struct virtq *q, uint16_t head, uint32_t written);
/* The chain popped last is put back. */
void bounce_unpop(struct virtq *q);

#endif
