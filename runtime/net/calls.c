/* calls.c: the system calls of the thread that runs a network engine. */
#include <fcntl.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "runtime/net/net.h"

#define LINK_LOCAL "a name server with an interface: fe80::1%eth0"

static const struct confine_call calls[] = {
	/* the host's sockets: no unix ones, no packets, none that wait for others */
	CONFINE_IF(socket, 0, AF_INET),
	CONFINE_IF(socket, 0, AF_INET6),
	CONFINE_CALL(connect),
	CONFINE_CALL(getsockopt),
	CONFINE_CALL(setsockopt),
	CONFINE_CALL(getpeername),
	CONFINE_CALL(sendto),
	CONFINE_CALL(recvfrom),
	CONFINE_CALL(recvmsg),
	CONFINE_CALL(shutdown),
	CONFINE_CALL(close),
	CONFINE_IF(ioctl, 1, FIONREAD),
	CONFINE_IF(fcntl, 1, F_GETFL),
	CONFINE_IF(fcntl, 1, F_SETFL),
	CONFINE_RARE_IF(ioctl, 1, SIOCGIFINDEX, LINK_LOCAL),
	/* the host's name servers */
	CONFINE_CALL(openat),
	CONFINE_CALL(newfstatat),
	CONFINE_CALL(read),
};

const struct confine_list net_calls = { calls, sizeof(calls) / sizeof(calls[0]) };
