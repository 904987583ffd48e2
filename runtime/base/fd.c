/* fd.c: whole reads and writes, files, folders, locks; see fd.h. */
#include "runtime/base/fd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/own.h"

ssize_t fd_read_full(int fd, void *buf, size_t n)
{
	size_t done = 0;

	while (done < n) {
		ssize_t got = read(fd, (char *)buf + done, n - done);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (got == 0)
			break;
		done += (size_t)got;
	}
	return (ssize_t)done;
}

int fd_write_full(int fd, const void *buf, size_t n)
{
	const char *p = buf;

	while (n) {
		ssize_t put = write(fd, p, n);

		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return -errno;
		p += put;
		n -= (size_t)put;
	}
	return 0;
}

int fd_set_nonblock(int fd, bool on)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0)
		return -errno;
	flags = on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK;
	return fcntl(fd, F_SETFL, flags) < 0 ? -errno : 0;
}

int file_read(int dirfd, const char *path, size_t max, struct str *out, struct err *e)
{
	own_fd int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC);
	size_t before = out->len;
	struct stat st;

	if (fd < 0)
		return err_sys(e, "open %s", path);
	if (fstat(fd, &st) == 0 && st.st_size > 0 && (size_t)st.st_size <= max)
		str_reserve(out, (size_t)st.st_size + 1);
	for (;;) {
		ssize_t got;

		str_reserve(out, 4096);
		got = read(fd, out->s + out->len, out->cap - out->len - 1);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return err_sys(e, "read %s", path);
		if (got == 0)
			break;
		out->len += (size_t)got;
		if (out->len - before > max)
			return err_set(e, EFBIG, "read %s: larger than %zu bytes", path, max);
	}
	out->s[out->len] = 0;
	return 0;
}

int file_write_atomic(int dirfd, const char *path, const void *data, size_t n, mode_t mode,
		      bool sync, struct err *e)
{
	own_free char *tmp = NULL;
	own_fd int fd = -1;
	unsigned long long r;
	int rc;

	random_bytes(&r, sizeof(r));
	tmp = xasprintf("%s.%016llx.tmp", path, r);
	fd = openat(dirfd, tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
	if (fd < 0)
		return err_sys(e, "create %s", tmp);
	rc = fd_write_full(fd, data, n);
	if (rc == 0 && sync && fsync(fd) < 0)
		rc = -errno;
	if (rc == 0 && renameat(dirfd, tmp, dirfd, path) < 0)
		rc = -errno;
	if (rc < 0) {
		unlinkat(dirfd, tmp, 0);
		errno = -rc;
		return err_sys(e, "write %s", path);
	}
	return 0;
}

int dir_make_all(const char *path, mode_t mode, struct err *e)
{
	own_free char *p = xstrdup(path);

	for (char *s = p + 1;; s++) {
		char c = *s;

		if (c != '/' && c != 0)
			continue;
		*s = 0;
		if (mkdir(p, mode) < 0 && errno != EEXIST)
			return err_sys(e, "create folder %s", p);
		*s = c;
		if (c == 0)
			return 0;
	}
}

/*
 * rm -rf. Every level of the recursion holds a descriptor and a stack frame,
 * so what lies deeper than REMOVE_DEPTH is moved up beside the top's entries,
 * and met there in a later round: a tree of any depth needs no more than that.
 */
#define REMOVE_DEPTH 32
/* Rounds over one folder that shows entries again and again (somebody else fills it). */
#define REMOVE_ROUNDS 100000

struct removal {
	int top;		  /* the folder that is being removed */
	unsigned long long moved; /* counts the names given in it */
};

static int remove_dir(struct removal *r, int at, const char *name, unsigned depth);

static int move_up(struct removal *r, int at, const char *name)
{
	char to[48];

	for (unsigned tries = 0;; tries++) {
		/* Should there be such a name: an empty folder is replaced, all else is in the way.
		 */
		snprintf(to, sizeof(to), ".zl-removed-%llu", r->moved++);
		if (renameat(at, name, r->top, to) == 0 || errno == ENOENT)
			return 0;
		/* Its own ".." changes, so it has to be writable. */
		if (errno == EACCES && tries == 0 && fchmodat(at, name, 0700, 0) == 0)
			continue;
		if (errno != EEXIST && errno != ENOTEMPTY && errno != ENOTDIR)
			return -errno;
	}
}

static int remove_one(struct removal *r, int at, const struct dirent *de, unsigned depth)
{
	if (de->d_type != DT_DIR) {
		if (unlinkat(at, de->d_name, 0) == 0 || errno == ENOENT)
			return 0;
		if (errno == EACCES && fchmod(at, 0700) == 0 && unlinkat(at, de->d_name, 0) == 0)
			return 0;
		if (errno != EISDIR && errno != EPERM)
			return -errno;
	}
	return depth < REMOVE_DEPTH ? remove_dir(r, at, de->d_name, depth)
				    : move_up(r, at, de->d_name);
}

static int remove_content(struct removal *r, DIR *d, unsigned depth)
{
	struct dirent *de;

	while ((de = readdir(d))) {
		int rc;

		if (strcmp(de->d_name, ".") == 0 || strcmp(de->d_name, "..") == 0)
			continue;
		rc = remove_one(r, dirfd(d), de, depth + 1);
		if (rc < 0)
			return rc;
	}
	return 0;
}

static int remove_dir(struct removal *r, int at, const char *name, unsigned depth)
{
	own_dir DIR *d = NULL;
	own_fd int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0 && errno == EACCES && fchmodat(at, name, 0700, 0) == 0)
		fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	if (r->top < 0)
		r->top = fd;
	d = fdopendir(fd);
	if (d == NULL)
		return -errno;
	fd = -1;
	for (unsigned round = 0; round < REMOVE_ROUNDS; round++) {
		int rc = remove_content(r, d, depth);

		if (rc < 0)
			return rc;
		if (unlinkat(at, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
			return 0;
		if (errno == EACCES && fchmod(at, 0700) == 0 &&
		    unlinkat(at, name, AT_REMOVEDIR) == 0)
			return 0;
		if (errno != ENOTEMPTY && errno != EEXIST)
			return -errno;
		rewinddir(d);
	}
	return -ENOTEMPTY;
}

int dir_remove_all(int at, const char *name, struct err *e)
{
	struct removal r = { .top = -1 };
	int why, rc;

	if (unlinkat(at, name, 0) == 0 || errno == ENOENT)
		return 0;
	why = errno;
	rc = -why;
	/* EACCES: a confined process may not remove files there, but this folder perhaps */
	if (why == EISDIR || why == EPERM || why == EACCES)
		rc = remove_dir(&r, at, name, 0);
	if (rc == -ENOTDIR || rc == -ELOOP)
		rc = -why;
	if (rc < 0)
		return err_set(e, -rc, "remove %s: %s", name, strerror(-rc));
	return 0;
}

int fd_lock(int fd, int how)
{
	while (flock(fd, how) < 0) {
		if (errno == EWOULDBLOCK)
			return -EAGAIN;
		if (errno != EINTR)
			return -errno;
	}
	return 0;
}

int fd_send(int sock, const void *buf, size_t n, const int *fds, size_t nfds)
{
	union {
		char buf[CMSG_SPACE(FD_PASS_MAX * sizeof(int))];
		struct cmsghdr align;
	} ctl;
	struct iovec iov = { (void *)buf, n };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (nfds > FD_PASS_MAX)
		return -EINVAL;
	if (nfds) {
		struct cmsghdr *c;

		memset(&ctl, 0, sizeof(ctl));
		msg.msg_control = ctl.buf;
		msg.msg_controllen = CMSG_SPACE(nfds * sizeof(int));
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(nfds * sizeof(int));
		memcpy(CMSG_DATA(c), fds, nfds * sizeof(int));
	}
	for (;;) {
		ssize_t put = sendmsg(sock, &msg, MSG_NOSIGNAL);

		if (put >= 0)
			return (size_t)put == n ? 0 : -EMSGSIZE;
		if (errno != EINTR)
			return -errno;
	}
}

ssize_t fd_recv(int sock, void *buf, size_t n, int *fds, size_t *nfds)
{
	union {
		char buf[CMSG_SPACE(FD_PASS_MAX * sizeof(int))];
		struct cmsghdr align;
	} ctl;
	struct iovec iov = { buf, n };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = ctl.buf,
			      .msg_controllen = sizeof(ctl.buf) };
	size_t room = nfds ? *nfds : 0, count = 0;
	bool overflow = false;
	ssize_t got;

	do {
		got = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
	} while (got < 0 && errno == EINTR);
	if (got < 0)
		return -errno;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c)) {
		size_t k;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		k = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < k; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
			if (count < room) {
				fds[count++] = fd;
			} else {
				close(fd);
				overflow = true;
			}
		}
	}
	if (overflow || (msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC))) {
		while (count)
			close(fds[--count]);
		got = -EMSGSIZE;
	}
	if (nfds)
		*nfds = count;
	return got;
}
