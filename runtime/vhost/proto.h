/* proto.h: messages of the vhost-user protocol, as far as we speak it. */
#ifndef ZL_VHOST_PROTO_H
#define ZL_VHOST_PROTO_H

#include <stdint.h>

/*
 * The front end (QEMU) sends requests over a unix stream socket, some with
 * descriptors; some are answered. A header of 12 bytes, then the payload.
 */
enum vu_request {
	VU_GET_FEATURES = 1,
	VU_SET_FEATURES = 2,
	VU_SET_OWNER = 3,
	VU_RESET_OWNER = 4,
	VU_SET_MEM_TABLE = 5,
	VU_SET_VRING_NUM = 8,
	VU_SET_VRING_ADDR = 9,
	VU_SET_VRING_BASE = 10,
	VU_GET_VRING_BASE = 11,
	VU_SET_VRING_KICK = 12,
	VU_SET_VRING_CALL = 13,
	VU_SET_VRING_ERR = 14,
	VU_GET_PROTOCOL_FEATURES = 15,
	VU_SET_PROTOCOL_FEATURES = 16,
	VU_GET_QUEUE_NUM = 17,
	VU_SET_VRING_ENABLE = 18,
	VU_GET_CONFIG = 24,
	VU_SET_CONFIG = 25,
	VU_REQUESTS = 26,
};

#define VU_FLAG_VERSION	     1U
#define VU_FLAG_VERSION_MASK 3U
#define VU_FLAG_REPLY	     (1U << 2)
#define VU_FLAG_NEED_REPLY   (1U << 3)

/* Feature bits: virtio's that every device here has, and vhost-user's own. */
#define VU_F_INDIRECT_DESC     (1ULL << 28)
#define VU_F_EVENT_IDX	       (1ULL << 29)
#define VU_F_PROTOCOL_FEATURES (1ULL << 30)
#define VU_F_VERSION_1	       (1ULL << 32)

#define VU_PROTOCOL_F_MQ	(1ULL << 0)
#define VU_PROTOCOL_F_REPLY_ACK (1ULL << 3)
#define VU_PROTOCOL_F_CONFIG	(1ULL << 9)

#define VU_FDS_MAX     8U
#define VU_CONFIG_MAX  256U
#define VU_PAYLOAD_MAX 512U
#define VU_RING_MASK   0xffU
#define VU_RING_NOFD   (1U << 8)
#define VU_REGION_SIZE 32U
#define VU_REGIONS_MAX 8U
#define VU_HEADER_SIZE 12U
#define VU_VRING_STATE 8U  /* index, number: u32 */
#define VU_VRING_ADDR  40U /* index, flags: u32; desc, used, avail, log: u64 */
#define VU_CONFIG_HEAD 12U /* offset, size, flags: u32 */
#define VU_MEM_HEAD    8U  /* regions, padding: u32 */

struct vu_header {
	uint32_t request, flags, size;
};

#endif
