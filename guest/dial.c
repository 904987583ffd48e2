/* dial.c: connections to the host over vsock. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "guest/agent.h"
#include "runtime/base/own.h"

/* linux/vm_sockets.h, which not every C library can include. */
#define VSOCK_CID_HOST 2U

struct vsock_address {
	sa_family_t family;
	uint16_t reserved;
	uint32_t port, cid;
	uint8_t flags, zero[3];
};

int agent_dial(uint32_t port, bool nonblock)
{
	struct vsock_address to = { .family = AF_VSOCK, .port = port, .cid = VSOCK_CID_HOST };
	int flags = SOCK_STREAM | SOCK_CLOEXEC | (nonblock ? SOCK_NONBLOCK : 0);
	own_fd int fd = socket(AF_VSOCK, flags, 0);

	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0 && errno != EINPROGRESS)
		return -errno;
	return steal_fd(&fd);
}
