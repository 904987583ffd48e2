/* console.h: the console device (virtio 1.2, 5.3): output only. */
#ifndef ZL_VIRTIO_CONSOLE_H
#define ZL_VIRTIO_CONSOLE_H

#include "runtime/virtio/device.h"

/* Most bytes a guest can write to its console's log; what comes after them is dropped. */
#define VIRTIO_CONSOLE_MAX (16U << 20)

/* What the guest writes goes to fd, a file, which is the device's from here on. */
struct virtio_device *virtio_console_new(struct loop *l, int fd);
/* After its queues were stopped; NULL is allowed. */
void virtio_console_free(struct virtio_device *d);

#endif
