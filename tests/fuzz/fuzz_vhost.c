/* fuzz_vhost.c: a vhost-user front end that says anything. */
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "runtime/base/cursor.h"
#include "runtime/vhost/proto.h"
#include "runtime/vhost/session.h"
#include "runtime/virtio/vsock.h"

/*
 * The input is a row of messages: request, flags, how many descriptors of
 * which kind come with it, length, payload. Numbers in payloads are mostly
 * taken from a few that make sense, so that rings do get started.
 */
#define RAM	     65536
#define MESSAGES_MAX 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct vsock_conn_ops *refuse(void *ctx, struct vsock_conn *c, uint32_t port,
					   void **arg)
{
	(void)ctx, (void)c, (void)port, (void)arg;
	return NULL;
}

static int gone;

static void on_gone(void *arg, struct session *s, const char *why)
{
	(void)arg, (void)s, (void)why;
	if (gone++)
		abort(); /* once only */
}

static void send_message(int sock, const uint8_t *buf, size_t n, const int *fds, size_t nfds)
{
	char control[CMSG_SPACE(12 * sizeof(int))] = { 0 };
	struct iovec iov = { (void *)(uintptr_t)buf, n };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (nfds) {
		struct cmsghdr *c;

		msg.msg_control = control;
		msg.msg_controllen = CMSG_SPACE(nfds * sizeof(int));
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(nfds * sizeof(int));
		memcpy(CMSG_DATA(c), fds, nfds * sizeof(int));
	}
	if (sendmsg(sock, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		return; /* it has hung up */
}

/* The payload: raw bytes, or numbers of 8 bytes by one of the input each. */
static void payload(struct wcur *w, struct cur *in, uint8_t n)
{
	static const uint64_t numbers[] = {
		0,
		1,
		2,
		16,
		128,
		256,
		4096,
		8192,
		16384,
		RAM,
		RAM / 2,
		1ULL << 32,
		1ULL << 30,
		0x7f0000000000ULL,
		0x7f0000001000ULL,
		0x7f0000002000ULL,
		0x7f0000003000ULL,
		UINT64_MAX,
		UINT64_MAX - 4096,
		16ULL << 32,
		(16ULL << 32) | 1,
		(1ULL << 32) | 1,
	};
	uint8_t b;

	while (n-- && cur_u8(in, &b)) {
		if (b < 32)
			wcur_u64(w, numbers[b % (sizeof(numbers) / sizeof(numbers[0]))]);
		else
			wcur_u8(w, b);
	}
}

static void message(int sock, struct cur *in, const int *fd)
{
	uint8_t buf[2048], what, flags, fds, n;
	struct wcur w = wcur_of(buf, sizeof(buf));
	int list[12];
	uint32_t len;

	if (!cur_u8(in, &what) || !cur_u8(in, &flags) || !cur_u8(in, &fds) || !cur_u8(in, &n))
		return;
	wcur_u32(&w, what % 40);
	wcur_u32(&w, flags < 250 ? 1U | (flags & 8U) : flags);
	wcur_u32(&w, 0);
	payload(&w, in, n % 48);
	len = (uint32_t)wcur_len(&w) - VU_HEADER_SIZE;
	if (flags == 249)
		len += n; /* longer than what follows */
	memcpy(buf + 8, &len, sizeof(len));
	for (unsigned i = 0; i < fds % 12U; i++)
		list[i] = fd[fds / 12U % 3U];
	send_message(sock, buf, wcur_len(&w), list, fds % 12U);
}

static void drain(int sock)
{
	char buf[4096];

	while (recv(sock, buf, sizeof(buf), MSG_DONTWAIT) > 0)
		;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cur in = cur_of(data, size);
	struct vhost_maps maps = { NULL };
	struct err e = ERR_INIT;
	struct loop *l = loop_new(&e);
	struct virtio_device *v = virtio_vsock_new(l, refuse, NULL, &e);
	struct session *s;
	int sv[2], fd[3];

	gone = 0;
	fd[0] = memfd_create("fuzz", MFD_CLOEXEC);
	fd[1] = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
	fd[2] = dup(2);
	if (ftruncate(fd[0], RAM) < 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) < 0)
		abort();
	if (size & 1) { /* memory with something in it */
		if (pwrite(fd[0], data, size, 0) < 0)
			abort();
	}
	s = session_new(l, sv[1], v, size & 2, &maps, on_gone, NULL, &e);
	if (s == NULL)
		abort();
	for (int i = 0; i < MESSAGES_MAX && cur_left(&in) && !gone; i++) {
		message(sv[0], &in, fd);
		loop_once(l, 0);
		drain(sv[0]);
	}
	close(sv[0]);
	loop_once(l, 0);
	session_free(s);
	if (maps.first)
		abort();
	virtio_vsock_free(v);
	loop_free(l);
	for (int i = 0; i < 3; i++)
		close(fd[i]);
	return 0;
}
