/* bind.c: a folder of the host as a share: finding, opening, names. See bind.h. */
#include "runtime/fuse/bind.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "runtime/base/own.h"
#include "runtime/base/str.h"

/* A device index no host file has: nodes that are not to be found any more. */
#define HDEV_NOWHERE UINT32_MAX

void bind_proc(int fd, char *buf)
{
	snprintf(buf, BIND_PROC_MAX, "/proc/self/fd/%d", fd);
}

int bind_statx(int fd, struct statx *x)
{
	return statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_BTIME, x) < 0 ? -errno : 0;
}

static uint64_t birth_of(const struct statx *x)
{
	if (!(x->stx_mask & STATX_BTIME))
		return 0;
	return (uint64_t)x->stx_btime.tv_sec * 1000000000ULL + x->stx_btime.tv_nsec;
}

static uint32_t dev_of(struct fuse *f, const struct statx *x)
{
	return fuse_dev_index(f, makedev(x->stx_dev_major, x->stx_dev_minor));
}

int bind_open_name(struct fuse *f, struct node *dir, const char *name)
{
	int dirfd, fd;

	if (dir->folder == NULL)
		return -ENOTDIR;
	if (dir == dir->share->root && dir->share->only && strcmp(dir->share->only, name) != 0)
		return -ENOENT;
	dirfd = folder_fd(f, dir);
	if (dirfd < 0)
		return dirfd;
	fd = openat(dirfd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int bind_fd(struct fuse *f, struct node *n, int *fd, int *owned)
{
	struct statx x;
	int rc;

	*owned = -1;
	if (n->handles && n->handles->file) {
		*fd = n->handles->file->fd;
		return 0;
	}
	if (n->folder) {
		*fd = folder_fd(f, n);
		return *fd < 0 ? *fd : 0;
	}
	if (n->place != PLACE_NAME)
		return -ESTALE;
	*fd = bind_open_name(f, n->parent, n->name);
	if (*fd < 0)
		return *fd == -ENOENT ? -ESTALE : *fd;
	rc = bind_statx(*fd, &x);
	if (rc == 0 &&
	    (x.stx_ino != n->hino || dev_of(f, &x) != n->hdev || birth_of(&x) != n->birth))
		rc = -ESTALE;
	if (rc < 0) {
		close(*fd);
		return rc;
	}
	*owned = *fd;
	return 0;
}

uint32_t bind_host_perm(const struct fuse *f, uint32_t mode)
{
	if (f->root_user)
		return mode & 07777;
	if (S_ISDIR(mode))
		return (mode & 0777) | 0700;
	return S_ISLNK(mode) ? mode & 0777 : (mode & 0777) | 0600;
}

/* What is kept beside the file, if it may be believed and could be there. */
static bool kept_stat(struct fuse *f, int fd, const struct statx *x, struct layer_stat *ls)
{
	char path[BIND_PROC_MAX], text[LAYER_STAT_MAX];
	bool regular = S_ISREG(x->stx_mode);
	ssize_t n;

	if (!regular && !S_ISDIR(x->stx_mode))
		return false;
	if (f->root_user ? !regular || x->stx_size : x->stx_uid != f->uid)
		return false;
	bind_proc(fd, path);
	n = getxattr(path, LAYER_XATTR_STAT, text, sizeof(text));
	if (n < 0 || !layer_stat_parse(text, (size_t)n, x->stx_mode, ls))
		return false;
	return S_ISDIR(ls->mode) == S_ISDIR(x->stx_mode);
}

static struct timespec ts_of(struct statx_timestamp t)
{
	return (struct timespec){ t.tv_sec, t.tv_nsec };
}

int bind_attr(struct fuse *f, int fd, struct attr *a, struct statx *x)
{
	struct layer_stat ls;
	int rc = bind_statx(fd, x);

	if (rc < 0)
		return rc;
	*a = (struct attr){
		.ino = fuse_ino(dev_of(f, x), x->stx_ino),
		.size = x->stx_size,
		.blocks = x->stx_blocks,
		.atime = ts_of(x->stx_atime),
		.mtime = ts_of(x->stx_mtime),
		.ctime = ts_of(x->stx_ctime),
		.mode = x->stx_mode,
		.nlink = x->stx_nlink,
		.uid = x->stx_uid,
		.gid = x->stx_gid,
		.rdev_major = x->stx_rdev_major,
		.rdev_minor = x->stx_rdev_minor,
		.blksize = 4096,
	};
	if (!f->root_user) {
		a->uid = x->stx_uid == f->uid ? 0 : BIND_NOBODY;
		a->gid = x->stx_uid == f->uid || x->stx_gid == f->gid ? 0 : BIND_NOBODY;
	}
	if (!kept_stat(f, fd, x, &ls))
		return 0;
	if (!f->root_user) {
		a->uid = ls.uid;
		a->gid = ls.gid;
		a->mode = (a->mode & ~07000U) | (ls.mode & 07000);
		/* unless somebody changed it on the host since */
		if ((bind_host_perm(f, ls.mode) & 0777) == (a->mode & 0777))
			a->mode = (a->mode & ~0777U) | (ls.mode & 0777);
	}
	if (!S_ISREG(ls.mode) && S_ISREG(a->mode)) {
		a->mode = (a->mode & 07777) | (ls.mode & S_IFMT);
		a->rdev_major = ls.rdev_major;
		a->rdev_minor = ls.rdev_minor;
		a->size = a->blocks = 0;
	}
	return 0;
}

/* The folder was moved on the host, so that it is now below what it was above. */
static void break_cycle(struct fuse *f, struct node *n, struct node *parent)
{
	struct node *x = parent;

	while (x->parent != n)
		x = x->parent;
	x->place = PLACE_LOST;
	node_place(f, x, x->share->root, "");
}

int bind_node(struct fuse *f, struct node *dir, const char *name, int fd, const struct statx *x,
	      uint32_t type, struct node **node)
{
	uint32_t hdev = dev_of(f, x);
	struct node *n = node_by_host(f, dir->share, hdev, x->stx_ino, birth_of(x));

	*node = NULL;
	if (n && n->type == (type & S_IFMT)) {
		node_get(n);
		if (n != n->share->root) {
			if (n->folder && node_is_above(n, dir)) {
				if (n == dir)
					return 0;
				break_cycle(f, n, dir);
			}
			node_place(f, n, dir, name);
			n->place = PLACE_NAME;
			n->gone = false;
		}
		*node = n;
		return 0;
	}
	if (n) /* the same host file became another kind of thing for the guest */
		node_rekey(f, n, HDEV_NOWHERE, n->id);
	n = node_new(f, dir->share, dir, name, type, hdev, x->stx_ino, birth_of(x));
	if (n == NULL)
		return -ENFILE;
	n->ino = fuse_ino(hdev, x->stx_ino);
	n->place = PLACE_NAME;
	if (S_ISDIR(type)) {
		int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);

		folder_new(n, NULL, 0)->upper = true;
		if (copy >= 0)
			folder_give_fd(f, n->folder, copy);
	}
	*node = n;
	return 0;
}

static int bind_lookup(struct fuse *f, struct node *dir, const char *name, unsigned rank,
		       struct node **node, struct attr *a)
{
	own_fd int fd = bind_open_name(f, dir, name);
	struct statx x;
	int rc;

	(void)rank;
	if (fd < 0)
		return fd;
	rc = bind_attr(f, fd, a, &x);
	if (rc == 0 && node)
		rc = bind_node(f, dir, name, fd, &x, a->mode, node);
	if (rc == 0 && node && *node == NULL)
		rc = -ELOOP;
	return rc;
}

int bind_getattr(struct fuse *f, struct node *n, struct attr *a)
{
	own_fd int owned = -1;
	struct statx x;
	int fd, rc = bind_fd(f, n, &fd, &owned);

	if (rc == 0)
		rc = bind_attr(f, fd, a, &x);
	if (rc == 0 && (a->mode & S_IFMT) != n->type)
		rc = -ESTALE;
	return rc;
}

static ssize_t bind_readlink(struct fuse *f, struct node *n, char *buf, size_t size)
{
	own_fd int owned = -1;
	ssize_t len;
	int fd, rc = bind_fd(f, n, &fd, &owned);

	if (rc < 0)
		return rc;
	len = readlinkat(fd, "", buf, size);
	return len < 0 ? -errno : len;
}

static int changeable(const struct node *dir)
{
	if (dir->share->read_only)
		return -EROFS;
	return dir->share->only && dir == dir->share->root ? -EROFS : 0;
}

/* The node, if the guest knows it, of what a name stands for now; no reference. */
static struct node *known(struct fuse *f, struct node *dir, const char *name, bool *last)
{
	own_fd int fd = bind_open_name(f, dir, name);
	struct statx x;

	if (fd < 0 || bind_statx(fd, &x) < 0)
		return NULL;
	*last = x.stx_nlink < 2 || S_ISDIR(x.stx_mode);
	return node_by_host(f, dir->share, dev_of(f, &x), x.stx_ino, birth_of(&x));
}

/* A name of n's went; open handles go on working. */
static void name_went(struct fuse *f, struct node *n, struct node *dir, const char *name, bool last)
{
	if (n == NULL || n == n->share->root)
		return;
	if (n->parent == dir && strcmp(n->name, name) == 0) {
		n->place = PLACE_LOST;
		n->gone = true;
	}
	if (last) /* the inode number may come again */
		node_rekey(f, n, HDEV_NOWHERE, n->id);
}

static int bind_remove(struct fuse *f, struct node *dir, const char *name, bool folder)
{
	bool last = false;
	struct node *n;
	int rc = changeable(dir), dirfd;

	if (rc < 0)
		return rc;
	n = known(f, dir, name, &last);
	dirfd = folder_fd(f, dir);
	if (dirfd < 0)
		return dirfd;
	if (unlinkat(dirfd, name, folder ? AT_REMOVEDIR : 0) < 0)
		return -errno;
	name_went(f, n, dir, name, last);
	return 0;
}

static void moved(struct fuse *f, struct node *n, struct node *dir, const char *name)
{
	if (n == NULL || n == n->share->root || (n->folder && node_is_above(n, dir)))
		return;
	node_place(f, n, dir, name);
	n->place = PLACE_NAME;
}

static int bind_rename(struct fuse *f, struct node *from, const char *name, struct node *to,
		       const char *newname, unsigned flags)
{
	bool last_a = false, last_b = false;
	struct node *a, *b;
	int rc = changeable(from), from_fd, to_fd;

	if (rc == 0)
		rc = changeable(to);
	if (rc < 0)
		return rc;
	a = known(f, from, name, &last_a);
	b = known(f, to, newname, &last_b);
	from_fd = folder_fd(f, from);
	to_fd = folder_fd(f, to);
	if (from_fd < 0 || to_fd < 0)
		return from_fd < 0 ? from_fd : to_fd;
	if (renameat2(from_fd, name, to_fd, newname, flags) < 0)
		return -errno;
	if (a && a == b)
		return 0;
	if (flags & RENAME_EXCHANGE)
		moved(f, b, from, name);
	else
		name_went(f, b, to, newname, last_b);
	moved(f, a, to, newname);
	return 0;
}

static int bind_link(struct fuse *f, struct node *n, struct node *dir, const char *name,
		     struct attr *a)
{
	own_fd int owned = -1;
	char path[BIND_PROC_MAX];
	struct statx x;
	int fd, dirfd, rc = changeable(dir);

	if (rc == 0)
		rc = bind_fd(f, n, &fd, &owned);
	if (rc < 0)
		return rc;
	dirfd = folder_fd(f, dir);
	if (dirfd < 0)
		return dirfd;
	bind_proc(fd, path);
	if (linkat(AT_FDCWD, path, dirfd, name, AT_SYMLINK_FOLLOW) < 0)
		return -errno;
	return bind_attr(f, fd, a, &x);
}

static int bind_open(struct fuse *f, struct node *n, int flags, struct ofile **o)
{
	own_fd int owned = -1;
	char path[BIND_PROC_MAX];
	struct statx x;
	int fd, rc = bind_fd(f, n, &fd, &owned);

	if (rc == 0)
		rc = bind_statx(fd, &x);
	if (rc < 0)
		return rc;
	if (!S_ISREG(x.stx_mode) || n->type != S_IFREG)
		return -EIO;
	bind_proc(fd, path);
	fd = open(path, flags | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return -errno;
	*o = ofile_new(fd, (flags & O_ACCMODE) != O_RDONLY);
	return 0;
}

static int readable(struct fuse *f, struct node *dir)
{
	int fd = folder_fd(f, dir);

	if (fd < 0)
		return fd;
	fd = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int bind_list(struct fuse *f, struct node *dir, struct listing *l)
{
	int fd, rc;

	if (dir->share->only && dir == dir->share->root) {
		listing_add(l, dir->share->only, 0);
		return 0;
	}
	fd = readable(f, dir);
	if (fd < 0)
		return fd;
	rc = listing_read(l, fd, 0);
	close(fd);
	return rc;
}

static int bind_root(struct fuse *f, struct share *s)
{
	struct statx x;
	struct node *n;
	int rc = bind_statx(s->bind_fd, &x);

	if (rc < 0)
		return rc;
	n = node_new(f, s, f->root, s->name, S_IFDIR, dev_of(f, &x), x.stx_ino, birth_of(&x));
	if (n == NULL)
		return -ENFILE;
	n->ino = fuse_ino(n->hdev, n->hino);
	folder_new(n, NULL, 0);
	n->folder->fd = s->bind_fd;
	n->folder->upper = n->folder->kept = true;
	s->root = n;
	return 0;
}

static void bind_close(struct share *s)
{
	if (s->bind_fd >= 0)
		close(s->bind_fd);
	free(s->only);
}

/* A folder of a volume's, whose files are the guests': none of their links leads anywhere. */
static int open_below(int dirfd, const char *below)
{
	struct open_how how = { .flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
				.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS };

	return (int)syscall(SYS_openat2, dirfd, below, &how, sizeof(how));
}

int bind_open_share(struct fuse *f, struct share *s, const char *path, const char *only,
		    const char *below, struct err *e)
{
	own_fd int fd = -1;

	(void)f;
	s->ops = &bind_ops;
	s->upper_fd = s->tmp_fd = s->orphan_fd = s->index_fd = -1;
	s->only = only ? xstrdup(only) : NULL;
	s->bind_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (s->bind_fd >= 0 && below) {
		fd = s->bind_fd;
		s->bind_fd = open_below(fd, below);
	}
	if (s->bind_fd < 0)
		return err_sys(e, "open %s%s%s", path, below ? "/" : "", below ? below : "");
	if (access("/proc/self/fd", X_OK) < 0)
		return err_set(e, ENOENT, "share %s: /proc is not mounted", path);
	return 0;
}

const struct share_ops bind_ops = {
	.root = bind_root,
	.close = bind_close,
	.lookup = bind_lookup,
	.getattr = bind_getattr,
	.setattr = bind_setattr,
	.readlink = bind_readlink,
	.make = bind_make,
	.remove = bind_remove,
	.rename = bind_rename,
	.link = bind_link,
	.open = bind_open,
	.list = bind_list,
	.getxattr = bind_getxattr,
	.listxattr = bind_listxattr,
	.setxattr = bind_setxattr,
	.removexattr = bind_removexattr,
	.killpriv = bind_killpriv,
	.syncfd = readable,
};
