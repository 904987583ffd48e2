/* call.c: a request's bytes out of the guest's memory, a reply's bytes into it. */
#include "runtime/fuse/call.h"

#include <errno.h>
#include <string.h>
#include <sys/uio.h>

/* Segments moved by one system call. */
#define IO_BATCH 272

size_t iov_length(const struct iovec *v, int n)
{
	size_t sum = 0;

	for (int i = 0; i < n; i++) {
		if (v[i].iov_len > SIZE_MAX / 2 - sum)
			return SIZE_MAX / 2;
		sum += v[i].iov_len;
	}
	return sum;
}

/* The segments of [at, at + len), at most max of them; their number. */
static int iov_slice(const struct iovec *v, int n, size_t at, size_t len, struct iovec *to, int max)
{
	int got = 0;

	for (int i = 0; i < n && got < max && len; i++) {
		size_t part;

		if (at >= v[i].iov_len) {
			at -= v[i].iov_len;
			continue;
		}
		part = v[i].iov_len - at;
		part = part < len ? part : len;
		to[got++] = (struct iovec){ (char *)v[i].iov_base + at, part };
		len -= part;
		at = 0;
	}
	return got;
}

void iov_get(const struct iovec *v, int n, size_t at, void *to, size_t len)
{
	struct iovec s;

	for (size_t done = 0; done < len; done += s.iov_len) {
		if (iov_slice(v, n, at + done, len - done, &s, 1) == 0)
			return;
		memcpy((char *)to + done, s.iov_base, s.iov_len);
	}
}

void iov_put(const struct iovec *v, int n, size_t at, const void *from, size_t len)
{
	struct iovec s;

	for (size_t done = 0; done < len; done += s.iov_len) {
		if (iov_slice(v, n, at + done, len - done, &s, 1) == 0)
			return;
		memcpy(s.iov_base, (const char *)from + done, s.iov_len);
	}
}

ssize_t iov_file_io(int fd, bool write, const struct iovec *v, int n, size_t at, size_t len,
		    uint64_t off)
{
	size_t done = 0;

	while (done < len) {
		struct iovec part[IO_BATCH];
		int k = iov_slice(v, n, at + done, len - done, part, IO_BATCH);
		off_t pos = (off_t)(off + done);
		ssize_t moved;

		if (k == 0)
			break;
		moved = write ? pwritev(fd, part, k, pos) : preadv(fd, part, k, pos);
		if (moved < 0 && errno == EINTR)
			continue;
		if (moved < 0)
			return done ? (ssize_t)done : -errno;
		if (moved == 0)
			break;
		done += (size_t)moved;
	}
	return (ssize_t)done;
}

bool call_take(struct call *c, void *to, size_t n)
{
	if (c->left < n)
		return false;
	iov_get(c->out, c->nout, c->out_at, to, n);
	c->out_at += n;
	c->left -= n;
	return true;
}

int call_put(struct call *c, size_t at, const void *from, size_t n)
{
	if (at > c->room || n > c->room - at)
		return -EIO;
	iov_put(c->in, c->nin, sizeof(struct fuse_out_header) + at, from, n);
	return 0;
}
