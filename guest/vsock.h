/* vsock.h: addresses of AF_VSOCK: linux/vm_sockets.h is not for every C library. */
#ifndef ZL_GUEST_VSOCK_H
#define ZL_GUEST_VSOCK_H

#include <stdint.h>
#include <sys/socket.h>

#define VSOCK_CID_HOST 2U
#define VSOCK_CID_ANY  UINT32_MAX

struct vsock_address {
	sa_family_t family;
	uint16_t reserved;
	uint32_t port, cid;
	uint8_t flags, zero[3];
};

#endif
