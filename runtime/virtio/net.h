/* net.h: the network device (virtio 1.2, 5.1): a network engine behind queues. */
#ifndef ZL_VIRTIO_NET_H
#define ZL_VIRTIO_NET_H

#include "runtime/net/net.h"
#include "runtime/virtio/device.h"

/*
 * Runs an engine (runtime/net) in a thread of the device's own. Queue 0 is
 * for frames to the guest, queue 1 for the guest's. The thread is confined to
 * `c` from its start on (NULL: it is not; borrowed, must outlive the device).
 *
 * Checksums: what the guest leaves out is filled in here, and what the engine
 * sends is declared valid. Packets are as large as they may be (NET_MTU), so
 * that there is nothing to be segmented.
 */
struct virtio_device *virtio_net_new(struct loop *l, const uint8_t mac[NET_MAC_LEN],
				     const struct net_config *conf, const struct confine *c,
				     struct err *e);
/* After its queues were stopped; NULL is allowed. */
void virtio_net_free(struct virtio_device *d);

/* The system calls of the device's thread, besides the engine's net_calls. */
extern const struct confine_list virtio_net_calls;

#endif
