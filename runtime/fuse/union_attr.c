/* union_attr.c: owner, mode, size, times and extended attributes in the union. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "runtime/base/own.h"
#include "runtime/base/str.h"
#include "runtime/fuse/union.h"

/* Longest name of an attribute on the host. */
#define XATTR_NAME_ROOM 256
#define XATTR_CAPS	LAYER_XATTR_PREFIX "security.capability"

/* A borrowed descriptor (folders) or a file with a reference, ready to be changed. */
struct target {
	struct ofile *file;
	int fd; /* -1: a symlink of the host's */
};

static void target_drop(struct target *t)
{
	ofile_put(t->file);
	t->file = NULL;
}
#define own_target __attribute__((cleanup(target_drop)))

static int target_read(struct fuse *f, struct node *n, struct target *t)
{
	int rc;

	if (n->folder) {
		struct meta m;

		t->fd = n->folder->upper ? folder_fd(f, n) : union_dir_source(f, n, &m);
		return t->fd < 0 ? t->fd : 0;
	}
	rc = union_file(f, n, false, &t->file);
	t->fd = rc == 0 ? t->file->fd : -1;
	return rc == -ELOOP ? 0 : rc;
}

/* limit: bytes of data that are still wanted after this change. */
static int target_write(struct fuse *f, struct node *n, uint64_t limit, bool as_file,
			struct target *t)
{
	int rc;

	if (n->share->read_only)
		return -EROFS;
	if (n->folder) {
		rc = n->folder->upper ? 0 : union_dir_up(f, n);
	} else {
		rc = union_up(f, n, limit);
		if (rc == 0 && as_file && S_ISLNK(n->type))
			rc = union_symlink_to_file(f, n);
	}
	return rc < 0 ? rc : target_read(f, n, t);
}

static void apply(const struct change *c, uint32_t type, struct layer_stat *ls)
{
	if ((c->valid & FATTR_KILL_SUIDGID) && type != S_IFDIR)
		ls->mode = meta_killed_mode(ls->mode);
	if (c->valid & FATTR_MODE)
		ls->mode = (ls->mode & S_IFMT) | (c->mode & 07777);
	if (c->valid & FATTR_UID)
		ls->uid = c->uid;
	if (c->valid & FATTR_GID)
		ls->gid = c->gid;
}

static bool same_stat(const struct layer_stat *a, const struct layer_stat *b)
{
	return a->uid == b->uid && a->gid == b->gid && a->mode == b->mode;
}

static void change_times(const struct change *c, struct timespec ts[2])
{
	ts[0] = c->valid & FATTR_ATIME ? c->atime : (struct timespec){ .tv_nsec = UTIME_OMIT };
	ts[1] = c->valid & FATTR_MTIME ? c->mtime : (struct timespec){ .tv_nsec = UTIME_OMIT };
}

/* A symlink of the host's: only its times can change. */
static int set_link_times(struct fuse *f, struct node *n, const struct change *c)
{
	struct timespec ts[2];
	struct spot sp;
	int rc = union_spot(f, n, &sp);

	change_times(c, ts);
	if (rc == 0 && utimensat(sp.dirfd, sp.name, ts, AT_SYMLINK_NOFOLLOW) < 0)
		rc = -errno;
	return rc;
}

static int set_size(struct fuse *f, struct node *n, struct target *t, uint64_t size)
{
	int rc = window_back(f, n, t->fd, size);

	if (rc < 0)
		return rc;
	fuse_unlock(f); /* freeing blocks takes its time */
	rc = ftruncate(t->fd, (off_t)size) < 0 ? -errno : 0;
	fuse_lock(f);
	return rc;
}

static int set_all(struct fuse *f, struct node *n, const struct change *c, struct target *t)
{
	struct timespec ts[2];
	struct layer_stat ls;
	struct meta m;
	int rc = 0;

	if (c->valid & FATTR_SIZE)
		rc = set_size(f, n, t, c->size);
	if (rc == 0)
		rc = meta_of_fd(t->fd, false, &m);
	if (rc < 0)
		return rc;
	ls = m.ls;
	apply(c, n->type, &ls);
	if (!same_stat(&ls, &m.ls))
		rc = meta_write(t->fd, m.st.st_mode, &ls);
	if (rc == 0 && (c->valid & FATTR_KILL_SUIDGID) && n->type == S_IFREG &&
	    fremovexattr(t->fd, XATTR_CAPS) < 0 && errno != ENODATA)
		rc = -errno;
	change_times(c, ts);
	if (rc == 0 && (c->valid & (FATTR_ATIME | FATTR_MTIME)) && futimens(t->fd, ts) < 0)
		rc = -errno;
	return rc;
}

int union_setattr(struct fuse *f, struct node *n, const struct change *c, struct attr *a)
{
	own_target struct target t = { .fd = -1 };
	struct layer_stat ls;
	struct meta m;
	bool stat_changes;
	int rc = union_meta(f, n, &m);

	if (rc < 0)
		return rc;
	if (n->share->read_only)
		return -EROFS;
	if ((c->valid & FATTR_SIZE) && n->type != S_IFREG)
		return n->folder ? -EISDIR : -EINVAL;
	ls = m.ls;
	apply(c, n->type, &ls);
	stat_changes = !same_stat(&ls, &m.ls);
	/* what changes nothing must not copy anything: chown -R over a whole image */
	if (!stat_changes && !(c->valid & (FATTR_SIZE | FATTR_ATIME | FATTR_MTIME)) &&
	    n->where != WHERE_UPPER)
		goto done;
	rc = target_write(f, n, c->valid & FATTR_SIZE ? c->size : UP_ALL, stat_changes, &t);
	if (rc == 0)
		rc = t.fd < 0 ? set_link_times(f, n, c) : set_all(f, n, c, &t);
	if (rc == 0)
		rc = union_meta(f, n, &m);
done:
	if (rc == 0)
		union_attr(f, n, &m, a);
	return rc;
}

int union_killpriv(struct fuse *f, struct node *n, struct ofile *o)
{
	struct meta m;
	uint32_t mode;
	int rc = meta_of_fd(o->fd, false, &m);

	(void)f;
	(void)n;
	if (rc < 0)
		return rc;
	mode = meta_killed_mode(m.ls.mode);
	if (mode != m.ls.mode) {
		m.ls.mode = mode;
		rc = meta_write(o->fd, m.st.st_mode, &m.ls);
	}
	if (rc == 0 && fremovexattr(o->fd, XATTR_CAPS) < 0 && errno != ENODATA)
		rc = -errno;
	return rc;
}

/* --- extended attributes */

/* The name it is stored by. */
static int host_name(const char *name, char *buf)
{
	size_t n = strlen(name), prefix = sizeof(LAYER_XATTR_PREFIX) - 1;

	if (str_starts(name, "system."))
		return -EOPNOTSUPP;
	if (n == 0 || prefix + n >= XATTR_NAME_ROOM)
		return -ERANGE;
	memcpy(buf, LAYER_XATTR_PREFIX, prefix);
	memcpy(buf + prefix, name, n + 1);
	return 0;
}

ssize_t union_getxattr(struct fuse *f, struct node *n, const char *name, void *buf, size_t size)
{
	own_target struct target t = { .fd = -1 };
	char host[XATTR_NAME_ROOM];
	ssize_t got;
	int rc = host_name(name, host);

	if (rc == 0)
		rc = target_read(f, n, &t);
	if (rc < 0)
		return rc;
	if (t.fd < 0)
		return -ENODATA;
	got = fgetxattr(t.fd, host, buf, size);
	return got < 0 ? -errno : got;
}

ssize_t union_listxattr(struct fuse *f, struct node *n, char *buf, size_t size)
{
	const size_t prefix = sizeof(LAYER_XATTR_PREFIX) - 1;
	own_target struct target t = { .fd = -1 };
	own_free char *list = NULL;
	ssize_t got, to = 0;
	int rc = target_read(f, n, &t);

	if (rc < 0 || t.fd < 0)
		return rc;
	list = xmalloc(META_LIST_MAX);
	got = flistxattr(t.fd, list, META_LIST_MAX);
	if (got < 0)
		return -errno;
	for (ssize_t i = 0; i < got; i += (ssize_t)strlen(list + i) + 1) {
		size_t len;

		if (!str_starts(list + i, LAYER_XATTR_PREFIX))
			continue;
		len = strlen(list + i) + 1 - prefix;
		if (size && (size_t)to + len > size)
			return -ERANGE;
		if (size)
			memcpy(buf + to, list + i + prefix, len);
		to += (ssize_t)len;
	}
	return to;
}

/* What would fail must not copy anything up before it does. */
static int check_exists(struct fuse *f, struct node *n, const char *name, int flags)
{
	ssize_t had = union_getxattr(f, n, name, NULL, 0);

	if (had < 0 && had != -ENODATA)
		return (int)had;
	if (had < 0 && (flags & XATTR_REPLACE))
		return -ENODATA;
	if (had >= 0 && (flags & XATTR_CREATE))
		return -EEXIST;
	return 0;
}

int union_setxattr(struct fuse *f, struct node *n, const char *name, const void *value, size_t size,
		   int flags)
{
	own_target struct target t = { .fd = -1 };
	char host[XATTR_NAME_ROOM];
	int rc = host_name(name, host);

	if (rc == 0 && (flags & ~(XATTR_CREATE | XATTR_REPLACE)))
		rc = -EINVAL;
	if (rc == 0 && n->share->read_only)
		rc = -EROFS;
	if (rc == 0 && flags)
		rc = check_exists(f, n, name, flags);
	if (rc == 0)
		rc = target_write(f, n, UP_ALL, true, &t);
	if (rc < 0)
		return rc;
	return fsetxattr(t.fd, host, value, size, flags) < 0 ? -errno : 0;
}

int union_removexattr(struct fuse *f, struct node *n, const char *name)
{
	own_target struct target t = { .fd = -1 };
	char host[XATTR_NAME_ROOM];
	int rc = host_name(name, host);

	if (rc == 0 && n->share->read_only)
		rc = -EROFS;
	if (rc == 0)
		rc = check_exists(f, n, name, XATTR_REPLACE);
	if (rc == 0)
		rc = target_write(f, n, UP_ALL, true, &t);
	if (rc < 0)
		return rc;
	return fremovexattr(t.fd, host) < 0 ? -errno : 0;
}
