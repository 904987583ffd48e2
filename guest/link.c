/* link.c: the guest's network interfaces; so far the loopback only. */
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "guest/agent.h"
#include "runtime/base/own.h"

int link_loopback(struct err *e)
{
	own_fd int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq req;

	memset(&req, 0, sizeof(req));
	memcpy(req.ifr_name, "lo", sizeof("lo"));
	req.ifr_flags = IFF_UP | IFF_RUNNING;
	/* The kernel adds 127.0.0.1 and ::1 itself. */
	if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &req) < 0)
		return err_sys(e, "bring up lo");
	return 0;
}
