/* dial.c: connections to the host over vsock. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "guest/agent.h"
#include "guest/vsock.h"
#include "runtime/base/own.h"

#define VSOCK_CONNECT_TIMEOUT 6 /* SO_VM_SOCKETS_CONNECT_TIMEOUT_OLD: a struct timeval */

/* The kernel's own is 2 s: too short for a host so busy that our holder does not get its turn. */
#define DIAL_TIMEOUT_S 60

/*
 * A port that needs CAP_NET_BIND_SERVICE: by it the host tells us from whoever else in the VM
 * dials it. In turns, so that one just closed is not taken again at once.
 */
static int bind_reserved(int fd)
{
	static uint32_t last;
	struct vsock_address from = { .family = AF_VSOCK, .cid = VSOCK_CID_ANY };

	for (uint32_t i = 0; i < WIRE_AGENT_PORT_MAX; i++) {
		last = last % WIRE_AGENT_PORT_MAX + 1;
		from.port = last;
		if (bind(fd, (struct sockaddr *)&from, sizeof(from)) == 0)
			return 0;
		if (errno != EADDRINUSE)
			return -errno;
	}
	return -EADDRINUSE;
}

int agent_dial(uint32_t port, bool nonblock)
{
	struct vsock_address to = { .family = AF_VSOCK, .port = port, .cid = VSOCK_CID_HOST };
	struct timeval limit = { .tv_sec = DIAL_TIMEOUT_S };
	int flags = SOCK_STREAM | SOCK_CLOEXEC | (nonblock ? SOCK_NONBLOCK : 0);
	own_fd int fd = socket(AF_VSOCK, flags, 0);

	int rc = fd < 0 ? -errno : bind_reserved(fd);

	if (rc < 0)
		return rc;
	if (setsockopt(fd, AF_VSOCK, VSOCK_CONNECT_TIMEOUT, &limit, sizeof(limit)) < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0 && errno != EINPROGRESS)
		return -errno;
	return steal_fd(&fd);
}
