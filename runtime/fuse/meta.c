/* meta.c: a stored file's owner, mode and kind, as base/layer.h lays them down. */
#include "runtime/fuse/meta.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "runtime/base/own.h"
#include "runtime/base/str.h"

/* Enough for the names of our own attributes and some of the guest's. */
#define LIST_SMALL 1024

static bool listed(const char *list, ssize_t n, const char *name)
{
	for (ssize_t i = 0; i < n; i += (ssize_t)strlen(list + i) + 1) {
		if (strcmp(list + i, name) == 0)
			return true;
	}
	return false;
}

/* "INODE" or "INODE:NAMES" */
static bool parse_origin(const char *text, struct meta *m)
{
	char *end;

	errno = 0;
	if (*text < '0' || *text > '9')
		return false;
	m->origin = strtoull(text, &end, 10);
	m->low_names = -1;
	if (*end == ':') {
		if (end[1] < '0' || end[1] > '9')
			return false;
		m->low_names = strtoll(end + 1, &end, 10);
	}
	return errno == 0 && *end == 0;
}

static int read_stat(int fd, struct meta *m)
{
	char text[LAYER_STAT_MAX];
	ssize_t n = fgetxattr(fd, LAYER_XATTR_STAT, text, sizeof(text));

	if (n < 0)
		return errno == ENODATA || errno == EOPNOTSUPP ? 0 : -errno;
	if (!layer_stat_parse(text, (size_t)n, m->st.st_mode, &m->ls))
		return -EIO;
	/* A folder is a folder; anything else is stored as a regular file. */
	if (S_ISDIR(m->ls.mode) != S_ISDIR(m->st.st_mode))
		return -EIO;
	m->whiteout = layer_stat_is_whiteout(&m->ls) && m->st.st_size == 0;
	return 0;
}

static int read_upper(int fd, const char *list, ssize_t n, struct meta *m)
{
	char text[48];
	ssize_t got;

	m->redirected = listed(list, n, LAYER_XATTR_REDIRECT);
	if (!listed(list, n, LAYER_XATTR_ORIGIN))
		return 0;
	got = fgetxattr(fd, LAYER_XATTR_ORIGIN, text, sizeof(text) - 1);
	if (got < 0)
		return errno == ENODATA ? 0 : -errno;
	text[got] = 0;
	if (!parse_origin(text, m))
		return -EIO;
	m->has_origin = true;
	return 0;
}

int meta_of_fd(int fd, bool upper, struct meta *m)
{
	char small[LIST_SMALL];
	own_free char *big = NULL;
	char *list = small;
	ssize_t n;
	int rc = 0;

	memset(m, 0, sizeof(*m));
	m->low_names = -1;
	if (fstat(fd, &m->st) < 0)
		return -errno;
	m->ls.mode = m->st.st_mode & (S_IFMT | 0777);
	n = flistxattr(fd, list, sizeof(small));
	if (n < 0 && errno == ERANGE) {
		list = big = xmalloc(META_LIST_MAX);
		n = flistxattr(fd, list, META_LIST_MAX);
	}
	if (n < 0)
		return errno == EOPNOTSUPP ? 0 : -errno;
	if (listed(list, n, LAYER_XATTR_STAT))
		rc = read_stat(fd, m);
	if (S_ISDIR(m->st.st_mode) && listed(list, n, LAYER_XATTR_OPAQUE))
		m->opaque = true;
	if (S_ISDIR(m->st.st_mode) && listed(list, n, LAYER_XATTR_IMPLIED))
		m->implied = true;
	if (rc == 0 && upper && n > 0)
		rc = read_upper(fd, list, n, m);
	return rc;
}

void meta_of_symlink(const struct stat *st, struct meta *m)
{
	memset(m, 0, sizeof(*m));
	m->st = *st;
	m->ls.mode = S_IFLNK | 0777;
	m->low_names = -1;
}

int meta_open(int dirfd, const char *name, bool upper, bool writable, int *fd, struct meta *m)
{
	int flags = O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
	struct stat st;
	int rc;

	*fd = -1;
	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (S_ISLNK(st.st_mode)) {
		meta_of_symlink(&st, m);
		return 0;
	}
	if (S_ISDIR(st.st_mode))
		flags |= O_RDONLY | O_DIRECTORY;
	else if (S_ISREG(st.st_mode))
		flags |= writable ? O_RDWR : O_RDONLY;
	else
		return -EIO;
	*fd = openat(dirfd, name, flags);
	if (*fd < 0)
		return errno == ELOOP || errno == ENXIO ? -EIO : -errno;
	rc = meta_of_fd(*fd, upper, m);
	if (rc == 0 && (m->st.st_mode & S_IFMT) != (st.st_mode & S_IFMT))
		rc = -EIO;
	if (rc < 0) {
		close(*fd);
		*fd = -1;
	}
	return rc;
}

int meta_write(int fd, uint32_t host_mode, const struct layer_stat *ls)
{
	uint32_t want = S_ISLNK(ls->mode) ? 0777 : layer_host_mode(ls) & 0777;
	bool odd = (host_mode & S_IFMT) != (ls->mode & S_IFMT);
	char text[LAYER_STAT_MAX];

	if (odd || layer_stat_needed(ls)) {
		size_t n = layer_stat_format(text, ls);

		if (fsetxattr(fd, LAYER_XATTR_STAT, text, n, 0) < 0)
			return -errno;
	} else if (fremovexattr(fd, LAYER_XATTR_STAT) < 0 && errno != ENODATA &&
		   errno != EOPNOTSUPP) {
		return -errno;
	}
	if ((host_mode & 07777) != want && fchmod(fd, want) < 0)
		return -errno;
	return 0;
}

int meta_write_origin(int fd, uint64_t origin, int64_t low_names)
{
	char text[48];
	int n = snprintf(text, sizeof(text), "%" PRIu64, origin);

	if (low_names >= 0)
		n += snprintf(text + n, sizeof(text) - (size_t)n, ":%" PRId64, low_names);
	return fsetxattr(fd, LAYER_XATTR_ORIGIN, text, (size_t)n, 0) < 0 ? -errno : 0;
}

int meta_redirect(int fd, char *buf, size_t size)
{
	ssize_t n = fgetxattr(fd, LAYER_XATTR_REDIRECT, buf, size - 1);

	if (n < 0)
		return errno == ERANGE ? -EIO : -errno;
	buf[n] = 0;
	if (n == 0 || buf[0] != '/' || strlen(buf) != (size_t)n)
		return -EIO;
	return 0;
}

uint32_t meta_killed_mode(uint32_t mode)
{
	mode &= ~(uint32_t)S_ISUID;
	if (mode & S_IXGRP)
		mode &= ~(uint32_t)S_ISGID;
	return mode;
}

int meta_copy_xattrs(int from, int to)
{
	own_free char *list = NULL, *value = NULL;
	ssize_t n = flistxattr(from, NULL, 0);

	if (n <= 0)
		return n == 0 || errno == EOPNOTSUPP ? 0 : -errno;
	list = xmalloc(META_LIST_MAX);
	n = flistxattr(from, list, META_LIST_MAX);
	if (n < 0)
		return -errno;
	for (ssize_t i = 0; i < n; i += (ssize_t)strlen(list + i) + 1) {
		ssize_t len;

		if (!str_starts(list + i, LAYER_XATTR_PREFIX))
			continue;
		if (value == NULL)
			value = xmalloc(META_LIST_MAX);
		len = fgetxattr(from, list + i, value, META_LIST_MAX);
		if (len < 0)
			return -errno;
		if (fsetxattr(to, list + i, value, (size_t)len, 0) < 0)
			return -errno;
	}
	return 0;
}
