/* device.h: what a device is to a transport, and a transport to a device. */
#ifndef ZL_VIRTIO_DEVICE_H
#define ZL_VIRTIO_DEVICE_H

#include <stdint.h>

#include "runtime/base/err.h"
#include "runtime/base/loop.h"
#include "runtime/virtio/queue.h"

/*
 * A device knows neither KVM nor vhost-user; a transport (runtime/vmm,
 * runtime/vhost) knows devices in general only. All calls of the table are
 * made on the thread of the loop the device was made with (the holder's main
 * loop). A device watches its queues' kick descriptors itself: on that loop,
 * or in threads of its own.
 *
 *	machine				device
 *	config_read, config_write  ->	any time
 *	set_features		   ->	once the driver has acknowledged them
 *	queue_start		   ->	q is ready and stays valid until queue_stop
 *	queue_stop		   ->	returns when q is no longer touched by any
 *					thread; q->next is then what to go on with
 *	reset			   ->	back to the state after making; all queues
 *					are stopped already
 *	shm_set			   ->	before the first queue is started: where the
 *					device's shared memory is; NULL: it is no more
 *				   <-	broken(): the guest broke the rules; the
 *					device has stopped by itself
 */

#define VIRTIO_QUEUES_MAX 8

/* Device ids (virtio 1.2, 5). */
#define VIRTIO_ID_NET	  1
#define VIRTIO_ID_CONSOLE 3
#define VIRTIO_ID_RNG	  4
#define VIRTIO_ID_BALLOON 5
#define VIRTIO_ID_VSOCK	  19
#define VIRTIO_ID_MEM	  24
#define VIRTIO_ID_FS	  26

struct virtio_device;

struct virtio_device_ops {
	const char *name; /* for messages: "fs", "vsock" */
	uint32_t id;
	unsigned num_queues;	   /* as seen by a driver (virtio-mmio) */
	unsigned num_vhost_queues; /* as served over vhost-user: the others are QEMU's */
	uint16_t queue_size_max;
	uint64_t features; /* without VERSION_1, INDIRECT_DESC, EVENT_IDX: these every device has */
	/* NULL: the space reads as zeros, what is written is ignored, features are of no interest
	 */
	void (*config_read)(struct virtio_device *d, uint32_t off, void *buf, uint32_t len);
	void (*config_write)(struct virtio_device *d, uint32_t off, const void *buf, uint32_t len);
	void (*set_features)(struct virtio_device *d, uint64_t features);
	int (*queue_start)(struct virtio_device *d, unsigned index, struct virtq *q, struct err *e);
	void (*queue_stop)(struct virtio_device *d, unsigned index);
	void (*reset)(struct virtio_device *d);		      /* NULL: stopping the queues is all */
	void (*shm_set)(struct virtio_device *d, void *host); /* with shm_size only */
};

struct virtio_device {
	const struct virtio_device_ops *ops;
	struct loop *loop;
	/*
	 * Bytes of its shared memory region 0 (virtio 1.2, 2.10), a multiple of 2 MiB; 0: none.
	 * A transport that can gives the guest that much address space and reserves as much
	 * here, inaccessible; the device maps into it what the guest is to see. A transport
	 * that cannot never calls shm_set, and the device does without.
	 */
	uint64_t shm_size;
	/* set by the transport; called on the loop's thread */
	void (*broken)(struct virtio_device *d, const char *why);
	/*
	 * config_read would say something else than before; `tell` the driver.
	 * NULL where the transport has no way for it.
	 */
	void (*config_changed)(struct virtio_device *d, bool tell);
	void *transport;
};

#endif
