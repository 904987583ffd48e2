/* union_make.c: new files, folders, links in the upper; whiteouts. */
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
#include "runtime/fuse/union.h"

#define WHITEOUT_NAME "whiteout"

int union_whiteout(struct share *s, int dirfd, const char *name)
{
	const struct layer_stat ls = { .mode = S_IFCHR };
	char tmp[32];
	int fd, rc;

	union_tmp_name(s, tmp, sizeof(tmp));
	/* all whiteouts are links of one file, until it cannot have more */
	if (linkat(s->tmp_fd, WHITEOUT_NAME, s->tmp_fd, tmp, 0) < 0) {
		unlinkat(s->tmp_fd, WHITEOUT_NAME, 0);
		fd = openat(s->tmp_fd, WHITEOUT_NAME, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
			    0600);
		if (fd < 0)
			return -errno;
		rc = meta_write(fd, S_IFREG | 0600, &ls);
		close(fd);
		if (rc == 0 && linkat(s->tmp_fd, WHITEOUT_NAME, s->tmp_fd, tmp, 0) < 0)
			rc = -errno;
		if (rc < 0) {
			unlinkat(s->tmp_fd, WHITEOUT_NAME, 0);
			return rc;
		}
	}
	if (renameat(s->tmp_fd, tmp, dirfd, name) < 0) {
		rc = -errno;
		unlinkat(s->tmp_fd, tmp, 0);
		return rc;
	}
	unlinkat(s->tmp_fd, tmp, 0); /* where both were the same file, rename left it */
	return 0;
}

/* The host's file for ls at dirfd/name. *fd is -1 for a symlink of the host's. */
static int put_object(int dirfd, const char *name, const struct layer_stat *ls, const char *target,
		      int *fd)
{
	uint32_t host = layer_host_mode(ls);
	struct stat st;
	int rc = 0;

	*fd = -1;
	if (S_ISLNK(host))
		return symlinkat(target, dirfd, name) < 0 ? -errno : 0;
	if (S_ISDIR(host)) {
		if (mkdirat(dirfd, name, host & 0777) < 0)
			return -errno;
		*fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	} else {
		*fd = openat(dirfd, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
			     host & 0777);
	}
	if (*fd < 0 || fstat(*fd, &st) < 0)
		rc = -errno;
	if (rc == 0 && S_ISLNK(ls->mode) &&
	    pwrite(*fd, target, strlen(target), 0) != (ssize_t)strlen(target))
		rc = -EIO;
	/* the guest's own 0:0 device must not be taken for a whiteout */
	if (rc == 0 && layer_stat_is_whiteout(ls) && pwrite(*fd, "d", 1, 0) != 1)
		rc = -EIO;
	if (rc == 0 &&
	    (layer_stat_needed(ls) || (st.st_mode & 07777) != (host & 07777) || S_ISLNK(ls->mode)))
		rc = meta_write(*fd, st.st_mode, ls);
	if (rc < 0 && !(*fd < 0 && rc == -EEXIST)) {
		unlinkat(dirfd, name, S_ISDIR(host) ? AT_REMOVEDIR : 0);
		if (*fd >= 0)
			close(*fd);
		*fd = -1;
	}
	return rc;
}

int union_guest_whiteout(struct share *s, int dirfd, const char *name)
{
	const struct layer_stat ls = { .mode = S_IFCHR };
	char tmp[32];
	int fd, rc;

	union_tmp_name(s, tmp, sizeof(tmp));
	rc = put_object(s->tmp_fd, tmp, &ls, NULL, &fd);
	if (rc < 0)
		return rc;
	close(fd);
	if (renameat(s->tmp_fd, tmp, dirfd, name) == 0)
		return 0;
	rc = -errno;
	unlinkat(s->tmp_fd, tmp, 0);
	return rc;
}

/* tmp takes the place of the whiteout at dirfd/name. */
static int over_whiteout(struct share *s, const char *tmp, int dirfd, const char *name, bool folder)
{
	if (!folder)
		return renameat(s->tmp_fd, tmp, dirfd, name) < 0 ? -errno : 0;
	if (renameat2(s->tmp_fd, tmp, dirfd, name, RENAME_EXCHANGE) == 0) {
		unlinkat(s->tmp_fd, tmp, 0);
		return 0;
	}
	if (errno != EINVAL && errno != ENOSYS)
		return -errno;
	/* a host that cannot exchange: for a moment the layers show through */
	unlinkat(dirfd, name, 0);
	return renameat(s->tmp_fd, tmp, dirfd, name) < 0 ? -errno : 0;
}

/* What of a new file's owner and mode comes from its folder. */
static int inherit(struct fuse *f, struct node *dir, struct layer_stat *ls)
{
	struct meta m;
	int rc = union_meta(f, dir, &m);

	if (rc == 0 && m.ls.mode & S_ISGID) {
		ls->gid = m.ls.gid;
		if (S_ISDIR(ls->mode))
			ls->mode |= S_ISGID;
	}
	return rc;
}

/* Makes the object for `name`, which does not exist. */
static int make_named(struct fuse *f, struct node *dir, const char *name, const struct found *r,
		      const struct layer_stat *ls, const char *target, int *fd)
{
	struct share *s = dir->share;
	bool folder = S_ISDIR(ls->mode);
	char tmp[32];
	int dirfd = folder_fd(f, dir), rc;

	if (dirfd < 0)
		return dirfd;
	if (!r->hidden)
		return put_object(dirfd, name, ls, target, fd);
	union_tmp_name(s, tmp, sizeof(tmp));
	rc = put_object(s->tmp_fd, tmp, ls, target, fd);
	if (rc < 0)
		return rc;
	if (folder && fsetxattr(*fd, LAYER_XATTR_OPAQUE, "y", 1, 0) < 0)
		rc = -errno;
	if (rc == 0)
		rc = over_whiteout(s, tmp, dirfd, name, folder);
	if (rc < 0) {
		unlinkat(s->tmp_fd, tmp, folder ? AT_REMOVEDIR : 0);
		if (*fd >= 0)
			close(*fd);
		*fd = -1;
	}
	return rc;
}

/* The node of what was just made; takes fd. */
static int made_node(struct fuse *f, struct node *dir, const char *name, int fd, struct node **node,
		     struct attr *a)
{
	struct share *s = dir->share;
	struct node *n;
	struct meta m;
	struct stat st;
	int rc = 0, dirfd;

	if (fd >= 0) {
		rc = meta_of_fd(fd, true, &m);
	} else {
		dirfd = folder_fd(f, dir);
		rc = dirfd < 0 ? dirfd : 0;
		if (rc == 0 && fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			rc = -errno;
		if (rc == 0)
			meta_of_symlink(&st, &m);
	}
	n = rc < 0 ? NULL
		   : node_new(f, s, dir, name ? name : "", m.ls.mode, WHERE_UPPER, m.st.st_ino, 0);
	if (n == NULL) {
		if (fd >= 0)
			close(fd);
		return rc < 0 ? rc : -ENFILE;
	}
	n->where = WHERE_UPPER;
	n->ino = fuse_ino(s->upper_dev, m.st.st_ino);
	n->place = PLACE_NAME;
	if (S_ISDIR(m.ls.mode)) {
		folder_new(n, NULL, 0)->upper = true;
		folder_give_fd(f, n->folder, fd);
	} else if (fd >= 0) {
		file_cache(f, n, ofile_new(fd, true));
	}
	if (name == NULL) {
		n->place = PLACE_ORPHAN;
		n->gone = true;
	}
	union_attr(f, n, &m, a);
	*node = n;
	return 0;
}

int union_make(struct fuse *f, struct node *dir, const char *name, const struct make *mk,
	       struct node **node, struct attr *a, struct ofile **o)
{
	struct layer_stat ls = { mk->uid, mk->gid, mk->mode, mk->rdev_major, mk->rdev_minor };
	own_found struct found r = { .fd = -1 };
	char orphan[32];
	int rc, fd;

	if (o)
		*o = NULL; /* unions are opened without handles */
	if (dir->share->read_only)
		return -EROFS;
	if (dir->gone)
		return -ENOENT;
	if (name) {
		rc = union_find(f, dir, name, 0, &r);
		if (rc == 0 && r.exists)
			rc = -EEXIST;
		if (rc < 0)
			return rc;
	}
	rc = union_dir_up(f, dir);
	if (rc == 0)
		rc = inherit(f, dir, &ls);
	if (rc < 0)
		return rc;
	if (name) {
		rc = make_named(f, dir, name, &r, &ls, mk->target, &fd);
		folder_changed(f, dir);
	} else {
		snprintf(orphan, sizeof(orphan), "%" PRIu64, f->next_id);
		rc = put_object(dir->share->orphan_fd, orphan, &ls, NULL, &fd);
	}
	return rc < 0 ? rc : made_node(f, dir, name, fd, node, a);
}

/* A symlink with two names must be able to change in place. */
static int linkable(struct fuse *f, struct node *n)
{
	int rc = union_up(f, n, UP_ALL);

	if (rc == 0 && S_ISLNK(n->type))
		rc = union_symlink_to_file(f, n);
	return rc;
}

int union_link(struct fuse *f, struct node *n, struct node *dir, const char *name, struct attr *a)
{
	own_found struct found r = { .fd = -1 };
	struct share *s = dir->share;
	char tmp[32];
	struct spot sp;
	int rc, dirfd;

	if (n->share != s)
		return -EXDEV;
	if (n->folder)
		return -EPERM;
	if (s->read_only)
		return -EROFS;
	if (dir->gone || n->place == PLACE_PINNED || n->place == PLACE_LOST)
		return -ENOENT;
	rc = union_find(f, dir, name, 0, &r);
	if (rc == 0 && r.exists)
		rc = -EEXIST;
	if (rc == 0)
		rc = linkable(f, n); /* may drop the lock; VFS holds the folder */
	if (rc == 0)
		rc = union_dir_up(f, dir);
	if (rc == 0)
		rc = union_spot(f, n, &sp);
	dirfd = rc == 0 ? folder_fd(f, dir) : rc;
	if (dirfd < 0)
		return dirfd;
	if (!r.hidden) {
		rc = linkat(sp.dirfd, sp.name, dirfd, name, 0) < 0 ? -errno : 0;
	} else {
		union_tmp_name(s, tmp, sizeof(tmp));
		rc = linkat(sp.dirfd, sp.name, s->tmp_fd, tmp, 0) < 0 ? -errno : 0;
		if (rc == 0 && renameat(s->tmp_fd, tmp, dirfd, name) < 0)
			rc = -errno;
		if (rc < 0)
			unlinkat(s->tmp_fd, tmp, 0);
	}
	folder_changed(f, dir);
	if (rc < 0)
		return rc;
	if (n->place == PLACE_ORPHAN) { /* it has a name again */
		unlinkat(s->orphan_fd, sp.name, 0);
		n->place = PLACE_NAME;
		n->gone = false;
		node_place(f, n, dir, name);
	}
	return union_getattr(f, n, a);
}
