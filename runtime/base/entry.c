/* entry.c: the content of an entry, piece by piece; see entry.h. */
#include "runtime/base/entry.h"

#include <errno.h>
#include <unistd.h>

#include "runtime/base/own.h"
#include "runtime/base/str.h"

/* The next data of the file from `at` on, up to *end; `size` where there is none. */
static off_t next_data(int fd, off_t at, off_t size, off_t *end)
{
	off_t data = lseek(fd, at, SEEK_DATA);

	*end = size;
	if (data < 0)
		return errno == ENXIO ? size : at; /* no such notion here: all is data */
	if (data >= size)
		return size;
	*end = lseek(fd, data, SEEK_HOLE);
	if (*end < 0 || *end > size)
		*end = size;
	return data;
}

static int data_of_fd(const struct entry *x, entry_put_fn *put, void *arg, struct err *e)
{
	own_free char *buf = xmalloc(ENTRY_PIECE_MAX);
	off_t at = 0, end = 0, size = (off_t)x->size;
	int rc = 0;

	while (rc == 0 && at < size) {
		size_t want;
		ssize_t n;

		if (at >= end)
			at = next_data(x->fd, at, size, &end);
		if (at >= size)
			break;
		want = end - at < (off_t)ENTRY_PIECE_MAX ? (size_t)(end - at) : ENTRY_PIECE_MAX;
		n = pread(x->fd, buf, want, at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(e, "read");
		if (n == 0)
			break;
		rc = put(arg, buf, (size_t)n, (uint64_t)at, e);
		at += n;
	}
	return rc;
}

static int data_in_pieces(const struct entry *x, entry_put_fn *put, void *arg, struct err *e)
{
	const char *p;
	const void *piece;
	int64_t off;
	size_t n;
	int rc;

	while ((rc = x->next(x->next_arg, &piece, &n, &off, e)) == 0) {
		for (p = piece; n && rc == 0;) {
			size_t some = n < ENTRY_PIECE_MAX ? n : ENTRY_PIECE_MAX;

			rc = put(arg, p, some, (uint64_t)off, e);
			p += some;
			n -= some;
			off += (int64_t)some;
		}
		if (rc < 0)
			return rc;
	}
	return rc < 0 ? rc : 0;
}

int entry_data(const struct entry *x, entry_put_fn *put, void *arg, struct err *e)
{
	if (x->fd >= 0)
		return data_of_fd(x, put, arg, e);
	return x->next ? data_in_pieces(x, put, arg, e) : 0;
}

static int put_fd(void *arg, const void *p, size_t n, uint64_t off, struct err *e)
{
	const char *from = p;
	int fd = *(int *)arg;

	while (n) {
		ssize_t put = pwrite(fd, from, n, (off_t)off);

		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return err_sys(e, "write");
		from += put;
		off += (uint64_t)put;
		n -= (size_t)put;
	}
	return 0;
}

int entry_data_to_fd(const struct entry *x, int fd, struct err *e)
{
	int rc = entry_data(x, put_fd, &fd, e);

	if (rc == 0 && ftruncate(fd, (off_t)x->size) < 0)
		rc = err_sys(e, "write");
	return rc;
}
