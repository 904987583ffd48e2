/* bind_attr.c: making files in a bind; their owner, mode, size, times and attributes. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "runtime/base/own.h"
#include "runtime/base/str.h"
#include "runtime/fuse/bind.h"
#include "runtime/fuse/meta.h"

#define XATTR_NAME_ROOM 256

static struct layer_stat stat_of(const struct attr *a)
{
	return (struct layer_stat){ a->uid, a->gid, a->mode, a->rdev_major, a->rdev_minor };
}

/* Whether something of it cannot be seen from the file alone. */
static bool must_keep(const struct fuse *f, uint32_t host_type, const struct layer_stat *ls)
{
	if ((ls->mode & S_IFMT) != host_type)
		return true;
	if (f->root_user)
		return false;
	return ls->uid || ls->gid || (ls->mode & 07000) ||
	       bind_host_perm(f, ls->mode) != (ls->mode & 0777);
}

/* Keeps beside the file what the host cannot or must not know. */
static int keep_stat(struct fuse *f, const char *path, uint32_t host_type,
		     const struct layer_stat *ls)
{
	char text[LAYER_STAT_MAX];
	size_t n;

	if (!must_keep(f, host_type, ls)) {
		if (!f->root_user && (host_type == S_IFREG || host_type == S_IFDIR))
			removexattr(path, LAYER_XATTR_STAT);
		return 0;
	}
	n = layer_stat_format(text, ls);
	if (setxattr(path, LAYER_XATTR_STAT, text, n, 0) == 0)
		return 0;
	/* such attributes are for files and folders only, and not on every file system */
	if (!f->root_user && ls->uid == 0 && ls->gid == 0 && !(ls->mode & 07000) &&
	    (ls->mode & S_IFMT) == host_type)
		return chmod(path, ls->mode & 0777) < 0 ? -errno : 0;
	return -EPERM;
}

int bind_dress(struct fuse *f, int fd, const struct layer_stat *ls)
{
	uint32_t mode = bind_host_perm(f, ls->mode), type;
	char path[BIND_PROC_MAX];
	struct statx x;
	int rc = bind_statx(fd, &x);

	if (rc < 0)
		return rc;
	type = x.stx_mode & S_IFMT;
	bind_proc(fd, path);
	if (f->root_user && (x.stx_uid != ls->uid || x.stx_gid != ls->gid)) {
		if (fchownat(fd, "", ls->uid, ls->gid, AT_EMPTY_PATH) < 0)
			return -errno;
		rc = bind_statx(fd, &x); /* chown clears bits */
		if (rc < 0)
			return rc;
	}
	if (type != S_IFLNK && (x.stx_mode & 07777) != mode && chmod(path, mode) < 0)
		return -errno;
	return keep_stat(f, path, type, ls);
}

/*
 * What was made by name is found again by name: somebody on the host may have put another's file
 * there in between, which root would now give away.
 */
static int check_made(const struct fuse *f, int fd, uint32_t mode)
{
	struct statx x;
	int rc = bind_statx(fd, &x);

	if (rc < 0 || !f->root_user)
		return rc;
	return x.stx_uid == f->uid && (x.stx_mode & S_IFMT) == (mode & S_IFMT) ? 0 : -EIO;
}

/* Creates the host's file; *fd is a descriptor of it (for regular files a real one). */
static int put_object(struct fuse *f, int dirfd, const char *name, const struct make *m, int *fd)
{
	uint32_t perm = bind_host_perm(f, m->mode) & 0777;
	int rc = 0;

	*fd = -1;
	switch (m->mode & S_IFMT) {
	case S_IFDIR:
		rc = mkdirat(dirfd, name, perm);
		break;
	case S_IFLNK:
		rc = symlinkat(m->target, dirfd, name);
		break;
	case S_IFIFO:
	case S_IFSOCK:
		if (f->root_user) {
			rc = mknodat(dirfd, name, (m->mode & S_IFMT) | perm, 0);
			break;
		} /* else their owner could not be kept */
		__attribute__((fallthrough));
	default: /* devices too: as empty files */
		*fd = openat(dirfd, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, perm);
		return *fd < 0 ? -errno : 0;
	}
	if (rc < 0)
		return -errno;
	*fd = openat(dirfd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (*fd < 0)
		return -errno;
	rc = check_made(f, *fd, m->mode);
	if (rc < 0) {
		close(*fd);
		*fd = -1;
	}
	return rc;
}

static int inherit(struct fuse *f, struct node *dir, struct layer_stat *ls)
{
	struct attr a;
	int rc = bind_getattr(f, dir, &a);

	if (rc == 0 && (a.mode & S_ISGID)) {
		ls->gid = a.gid;
		if (S_ISDIR(ls->mode))
			ls->mode |= S_ISGID;
	}
	return rc;
}

/* A file without a name, where the host has such. */
static int put_unnamed(int dirfd, const struct make *m, int *fd)
{
	*fd = openat(dirfd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, m->mode & 0777);
	return *fd < 0 ? -errno : 0;
}

/* On the host a new file is of its maker; what cannot be kept is not worth failing for. */
static int dress_new(struct fuse *f, int fd, const struct layer_stat *ls)
{
	int rc = bind_dress(f, fd, ls);
	bool plain = S_ISREG(ls->mode) || S_ISDIR(ls->mode) || S_ISLNK(ls->mode);

	return rc == -EPERM && !f->root_user && plain ? 0 : rc;
}

int bind_make(struct fuse *f, struct node *dir, const char *name, const struct make *m,
	      struct node **node, struct attr *a, struct ofile **o)
{
	struct layer_stat ls = { m->uid, m->gid, m->mode, m->rdev_major, m->rdev_minor };
	struct share *s = dir->share;
	own_fd int fd = -1;
	struct statx x;
	int rc, dirfd;

	if (s->read_only || (s->only && dir == s->root))
		return -EROFS;
	rc = inherit(f, dir, &ls);
	dirfd = rc < 0 ? rc : folder_fd(f, dir);
	if (dirfd < 0)
		return dirfd;
	if (name)
		rc = put_object(f, dirfd, name, m, &fd);
	else
		rc = o ? put_unnamed(dirfd, m, &fd) : -EINVAL;
	if (rc < 0)
		return rc;
	rc = dress_new(f, fd, &ls);
	if (rc == 0)
		rc = bind_attr(f, fd, a, &x);
	if (rc == 0)
		rc = bind_node(f, dir, name ? name : "", fd, &x, a->mode, node);
	if (rc < 0 || *node == NULL) {
		if (name)
			unlinkat(dirfd, name, S_ISDIR(m->mode) ? AT_REMOVEDIR : 0);
		return rc < 0 ? rc : -ELOOP;
	}
	if (name == NULL) {
		(*node)->place = PLACE_LOST; /* its handle keeps it */
		(*node)->gone = true;
	}
	if (o) {
		if (m->flags & O_APPEND)
			fcntl(fd, F_SETFL, O_APPEND);
		*o = ofile_new(steal_fd(&fd), true);
	}
	return 0;
}

static int set_owner(struct fuse *f, int fd, const struct change *c, const struct attr *a)
{
	struct layer_stat was = stat_of(a), ls = was;

	if ((c->valid & FATTR_KILL_SUIDGID) && !S_ISDIR(ls.mode))
		ls.mode = meta_killed_mode(ls.mode);
	if (c->valid & FATTR_MODE)
		ls.mode = (ls.mode & S_IFMT) | (c->mode & 07777);
	if (c->valid & FATTR_UID)
		ls.uid = c->uid;
	if (c->valid & FATTR_GID)
		ls.gid = c->gid;
	if (ls.uid == was.uid && ls.gid == was.gid && ls.mode == was.mode)
		return 0;
	if (S_ISLNK(ls.mode) && (c->valid & FATTR_MODE))
		return -EOPNOTSUPP;
	return bind_dress(f, fd, &ls);
}

static int set_size(struct fuse *f, struct node *n, const struct change *c)
{
	struct ofile *o = NULL;
	int rc = 0;

	if (n->type != S_IFREG)
		return n->folder ? -EISDIR : -EINVAL;
	if (c->file && c->file->writable)
		o = ofile_get(c->file);
	else
		rc = bind_ops.open(f, n, O_WRONLY, &o);
	if (rc < 0)
		return rc;
	fuse_unlock(f);
	rc = ftruncate(o->fd, (off_t)c->size) < 0 ? -errno : 0;
	fuse_lock(f);
	ofile_put(o);
	return rc;
}

static int set_times(int fd, const struct change *c)
{
	struct timespec ts[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_nsec = UTIME_OMIT } };
	char path[BIND_PROC_MAX];

	if (c->valid & FATTR_ATIME)
		ts[0] = c->atime;
	if (c->valid & FATTR_MTIME)
		ts[1] = c->mtime;
	bind_proc(fd, path);
	return utimensat(AT_FDCWD, path, ts, 0) < 0 ? -errno : 0;
}

/*
 * Whether the guest may change what the node is. Where a share is of one file,
 * its root is the folder that file lies in on the host: no business of the guest's.
 */
static int changeable(const struct node *n)
{
	if (n->share->read_only || (n->share->only && n == n->share->root))
		return -EROFS;
	return 0;
}

int bind_setattr(struct fuse *f, struct node *n, const struct change *c, struct attr *a)
{
	own_fd int owned = -1;
	struct statx x;
	int fd, rc = changeable(n);

	if (rc < 0)
		return rc;
	if (c->valid & FATTR_SIZE)
		rc = set_size(f, n, c);
	if (rc == 0)
		rc = bind_fd(f, n, &fd, &owned);
	if (rc == 0)
		rc = bind_attr(f, fd, a, &x);
	if (rc == 0)
		rc = set_owner(f, fd, c, a);
	if (rc == 0 && (c->valid & (FATTR_ATIME | FATTR_MTIME)))
		rc = set_times(fd, c);
	if (rc == 0)
		rc = bind_attr(f, fd, a, &x);
	return rc;
}

int bind_killpriv(struct fuse *f, struct node *n, struct ofile *o)
{
	struct layer_stat ls;
	struct statx x;
	struct attr a;
	int rc = bind_attr(f, o->fd, &a, &x);

	(void)n;
	if (rc < 0)
		return rc;
	ls = stat_of(&a);
	ls.mode = meta_killed_mode(ls.mode);
	return ls.mode == a.mode ? 0 : bind_dress(f, o->fd, &ls);
}

/* --- extended attributes */

/*
 * The name on the host: as it is for root, and for the user's own; others of
 * an ordinary user's guest are kept under a prefix.
 */
static int host_name(const struct fuse *f, const char *name, char *buf)
{
	const char *prefix = f->root_user || str_starts(name, "user.") ? "" : LAYER_XATTR_PREFIX;

	if (str_starts(name, "system."))
		return -EOPNOTSUPP;
	if (strcmp(name, LAYER_XATTR_STAT) == 0)
		return -EPERM;
	if (snprintf(buf, XATTR_NAME_ROOM, "%s%s", prefix, name) >= (int)XATTR_NAME_ROOM)
		return -ERANGE;
	return 0;
}

ssize_t bind_getxattr(struct fuse *f, struct node *n, const char *name, void *buf, size_t size)
{
	char path[BIND_PROC_MAX], host[XATTR_NAME_ROOM];
	own_fd int owned = -1;
	ssize_t got;
	int fd, rc = host_name(f, name, host);

	if (rc < 0)
		return rc == -EPERM ? -ENODATA : rc;
	rc = bind_fd(f, n, &fd, &owned);
	if (rc < 0)
		return rc;
	bind_proc(fd, path);
	got = getxattr(path, host, buf, size);
	if (got < 0 && errno == EPERM && !f->root_user)
		return -ENODATA;
	return got < 0 ? -errno : got;
}

ssize_t bind_listxattr(struct fuse *f, struct node *n, char *buf, size_t size)
{
	const size_t prefix = sizeof(LAYER_XATTR_PREFIX) - 1;
	char path[BIND_PROC_MAX];
	own_free char *list = NULL;
	own_fd int owned = -1;
	ssize_t got, to = 0;
	int fd, rc = bind_fd(f, n, &fd, &owned);

	if (rc < 0)
		return rc;
	bind_proc(fd, path);
	list = xmalloc(META_LIST_MAX);
	got = listxattr(path, list, META_LIST_MAX);
	if (got < 0)
		return -errno;
	for (ssize_t i = 0; i < got; i += (ssize_t)strlen(list + i) + 1) {
		const char *name = list + i;
		size_t len;

		if (strcmp(name, LAYER_XATTR_STAT) == 0 || str_starts(name, "system."))
			continue;
		if (!f->root_user && str_starts(name, LAYER_XATTR_PREFIX))
			name += prefix;
		len = strlen(name) + 1;
		if (size && (size_t)to + len > size)
			return -ERANGE;
		if (size)
			memcpy(buf + to, name, len);
		to += (ssize_t)len;
	}
	return to;
}

static int change_xattr(struct fuse *f, struct node *n, const char *name, const void *value,
			size_t size, int flags, bool remove)
{
	char path[BIND_PROC_MAX], host[XATTR_NAME_ROOM];
	own_fd int owned = -1;
	int fd, rc = host_name(f, name, host);

	if (rc == 0)
		rc = changeable(n);
	if (rc == 0)
		rc = bind_fd(f, n, &fd, &owned);
	if (rc < 0)
		return rc;
	bind_proc(fd, path);
	rc = remove ? removexattr(path, host) : setxattr(path, host, value, size, flags);
	return rc < 0 ? -errno : 0;
}

int bind_setxattr(struct fuse *f, struct node *n, const char *name, const void *value, size_t size,
		  int flags)
{
	return change_xattr(f, n, name, value, size, flags, false);
}

int bind_removexattr(struct fuse *f, struct node *n, const char *name)
{
	return change_xattr(f, n, name, NULL, 0, 0, true);
}
