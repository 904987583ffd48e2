/* union.c: layers and upper as one tree: finding, opening, listing. See union.h. */
#include "runtime/fuse/union.h"

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

void found_free(struct found *r)
{
	if (r->fd >= 0)
		close(r->fd);
	r->fd = -1;
	free(r->redirect);
	r->redirect = NULL;
}

static bool fd_opaque(int fd)
{
	char c[8];

	return fgetxattr(fd, LAYER_XATTR_OPAQUE, c, sizeof(c)) > 0;
}

/* The folders of this name in the parts from `from` on, as far as they merge. */
static int collect(struct fuse *f, struct node *dir, const char *name, unsigned from,
		   struct found *r)
{
	for (unsigned i = from; i < dir->folder->nparts; i++) {
		int pfd = folder_part(f, dir, i);
		own_fd int fd = -1;

		if (pfd < 0)
			return pfd;
		fd = openat(pfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0 && errno == ENOENT)
			continue;
		if (fd < 0 && (errno == ENOTDIR || errno == ELOOP))
			return 0;
		if (fd < 0)
			return -errno;
		r->parts[r->nparts++] = dir->folder->part[i].layer;
		if (i + 1 < dir->folder->nparts && fd_opaque(fd))
			return 0;
	}
	return 0;
}

/* The same for a redirected folder: its path is walked from the layers' roots. */
static int collect_redirect(struct share *s, char *path, struct found *r)
{
	unsigned n = s->root->folder->nparts;

	for (unsigned i = 0; i < n; i++)
		r->parts[i] = (uint16_t)i;
	for (char *end = path; *end && n;) {
		unsigned to = 0;
		char c;

		end += 1 + strcspn(end + 1, "/");
		c = *end;
		*end = 0;
		for (unsigned i = 0; i < n; i++) {
			own_fd int fd = folder_open_lower(s, r->parts[i], path);

			if (fd == -ENOENT)
				continue;
			if (fd < 0) {
				*end = c;
				if (fd == -ENOTDIR || fd == -ELOOP)
					break;
				return fd;
			}
			r->parts[to++] = r->parts[i];
			if (fd_opaque(fd))
				break;
		}
		*end = c;
		n = to;
	}
	r->nparts = n;
	return 0;
}

static int found_upper_dir(struct fuse *f, struct node *dir, const char *name, struct found *r)
{
	char path[REDIRECT_MAX + 1];
	int rc;

	if (r->m.opaque)
		return 0;
	if (!r->m.redirected)
		return collect(f, dir, name, 0, r);
	rc = meta_redirect(r->fd, path, sizeof(path));
	if (rc < 0)
		return rc;
	r->redirect = xstrdup(path);
	return collect_redirect(dir->share, path, r);
}

/* A layer's file with several names may have been copied up by another one of them. */
static int found_by_index(struct fuse *f, struct share *s, struct found *r)
{
	uint64_t ino = fuse_ino(s->layer_dev[r->where], r->m.st.st_ino);
	char name[32];
	struct meta m;
	int fd, rc;

	(void)f;
	snprintf(name, sizeof(name), "%" PRIu64, ino);
	rc = meta_open(s->index_fd, name, true, true, &fd, &m);
	if (rc == -ENOENT) {
		r->m.st.st_nlink = (nlink_t)union_low_names(s, ino, (int64_t)r->m.st.st_nlink);
		return 0;
	}
	if (rc < 0)
		return rc;
	if (r->fd >= 0)
		close(r->fd);
	r->fd = fd;
	r->m = m;
	r->where = WHERE_UPPER;
	return 0;
}

/* Of the topmost part what it is by itself, of the one that says so the rest. */
static void take_over(struct meta *m, const struct meta *from)
{
	m->ls = from->ls;
	m->st.st_atim = from->st.st_atim;
	m->st.st_mtim = from->st.st_mtim;
	m->st.st_ctim = from->st.st_ctim;
	m->implied = false;
}

/* A folder that was found in layers, and the topmost one only implies it. */
static int find_implied(struct fuse *f, struct node *dir, const char *name, struct found *r)
{
	for (unsigned i = 1; i < r->nparts; i++) {
		int pfd = folder_layer(f, dir, r->parts[i]), fd, rc;
		struct meta m;

		rc = pfd < 0 ? pfd : meta_open(pfd, name, false, false, &fd, &m);
		if (rc < 0)
			return rc;
		if (fd >= 0)
			close(fd);
		if (m.implied)
			continue;
		take_over(&r->m, &m);
		break;
	}
	return 0;
}

static int find_lower_dir(struct fuse *f, struct node *dir, const char *name, unsigned below,
			  struct found *r)
{
	int rc;

	r->parts[r->nparts++] = r->where;
	if (r->m.opaque)
		return 0;
	rc = collect(f, dir, name, below, r);
	return rc == 0 && r->m.implied ? find_implied(f, dir, name, r) : rc;
}

static int find_lower(struct fuse *f, struct node *dir, const char *name, unsigned from,
		      struct found *r)
{
	struct share *s = dir->share;

	for (unsigned i = from; i < dir->folder->nparts; i++) {
		int pfd = folder_part(f, dir, i);
		int rc = pfd < 0 ? pfd : meta_open(pfd, name, false, false, &r->fd, &r->m);

		if (rc == -ENOENT)
			continue;
		if (rc < 0 || r->m.whiteout)
			return rc;
		r->exists = true;
		r->where = dir->folder->part[i].layer;
		if (S_ISDIR(r->m.ls.mode))
			return find_lower_dir(f, dir, name, i + 1, r);
		r->multi = r->m.st.st_nlink > 1;
		if (s->index_used && r->multi)
			return found_by_index(f, s, r);
		return 0;
	}
	return 0;
}

int union_find(struct fuse *f, struct node *dir, const char *name, unsigned rank, struct found *r)
{
	int fd, rc;

	memset(r, 0, offsetof(struct found, parts));
	r->fd = -1;
	if (dir->folder == NULL)
		return -ENOTDIR;
	if (dir->gone)
		return 0;
	if (rank == 0 && dir->folder->upper) {
		fd = folder_fd(f, dir);
		if (fd < 0)
			return fd;
		rc = meta_open(fd, name, true, true, &r->fd, &r->m);
		if (rc == 0 && r->m.whiteout) {
			r->hidden = true;
			return 0;
		}
		if (rc == 0) {
			r->exists = r->in_upper = true;
			r->where = WHERE_UPPER;
			r->multi = r->m.low_names >= 0;
			return S_ISDIR(r->m.ls.mode) ? found_upper_dir(f, dir, name, r) : 0;
		}
		if (rc != -ENOENT)
			return rc;
	}
	return find_lower(f, dir, name, rank ? rank - 1 : 0, r);
}

int union_in_layers(struct fuse *f, struct node *dir, const char *name)
{
	for (unsigned i = 0; i < dir->folder->nparts; i++) {
		int pfd = folder_part(f, dir, i), fd, rc;
		struct meta m;

		if (pfd < 0)
			return pfd;
		rc = meta_open(pfd, name, false, false, &fd, &m);
		if (rc == -ENOENT)
			continue;
		if (rc < 0)
			return rc;
		if (fd >= 0)
			close(fd);
		return !m.whiteout;
	}
	return 0;
}

struct node *union_known(struct fuse *f, struct node *dir, const struct found *r)
{
	return node_by_host(f, dir->share, r->where, r->m.st.st_ino, 0);
}

uint64_t union_ino(const struct share *s, uint16_t where, const struct meta *m)
{
	if (m->has_origin)
		return m->origin;
	return fuse_ino(where == WHERE_UPPER ? s->upper_dev : s->layer_dev[where], m->st.st_ino);
}

/* A node that was known already was found by this name: from now on it is reached by it. */
static void revive(struct fuse *f, struct node *n, struct node *dir, const char *name,
		   struct found *r)
{
	char buf[32];

	if (n->place == PLACE_ORPHAN) {
		snprintf(buf, sizeof(buf), "%" PRIu64, n->id);
		if (unlinkat(n->share->orphan_fd, buf, 0) == 0)
			r->m.st.st_nlink--;
	} else if (n->place == PLACE_PINNED) {
		file_unpin(f, n);
	}
	n->gone = false;
	n->place = r->m.low_names >= 0 ? PLACE_INDEX : PLACE_NAME;
	node_place(f, n, dir, name);
}

int union_node(struct fuse *f, struct node *dir, const char *name, struct found *r,
	       struct node **node)
{
	struct share *s = dir->share;
	struct node *n = union_known(f, dir, r);
	bool folder = S_ISDIR(r->m.ls.mode);

	*node = NULL;
	if (n) {
		if (n->type != (r->m.ls.mode & S_IFMT))
			return -EIO;
		node_get(n);
		if (!folder && !n->busy)
			revive(f, n, dir, name, r);
		*node = n;
		return 0;
	}
	n = node_new(f, s, dir, name, r->m.ls.mode, r->where, r->m.st.st_ino, 0);
	if (n == NULL)
		return -ENFILE;
	n->where = r->where;
	n->ino = union_ino(s, r->where, &r->m);
	n->place = r->m.low_names >= 0 ? PLACE_INDEX : PLACE_NAME;
	if (folder) {
		struct folder *d = folder_new(n, r->parts, r->nparts);

		d->upper = r->where == WHERE_UPPER;
		d->redirect = steal_ptr(&r->redirect);
		if (d->upper)
			folder_give_fd(f, d, steal_fd(&r->fd));
		else
			folder_give_part(f, d, 0, steal_fd(&r->fd));
	}
	*node = n;
	return 0;
}

void union_attr(struct fuse *f, const struct node *n, const struct meta *m, struct attr *a)
{
	uint32_t type = m->ls.mode & S_IFMT;
	bool sized = type == S_IFREG || type == S_IFLNK || type == S_IFDIR;

	(void)f;
	*a = (struct attr){
		.size = sized ? (uint64_t)m->st.st_size : 0,
		.blocks = sized ? (uint64_t)m->st.st_blocks : 0,
		.atime = m->st.st_atim,
		.mtime = m->st.st_mtim,
		.ctime = m->st.st_ctim,
		.mode = m->ls.mode,
		.nlink = (uint32_t)m->st.st_nlink,
		.uid = m->ls.uid,
		.gid = m->ls.gid,
		.rdev_major = m->ls.rdev_major,
		.rdev_minor = m->ls.rdev_minor,
		.blksize = 4096,
	};
	if (m->low_names >= 0)
		a->nlink = (uint32_t)((int64_t)a->nlink - 1 + m->low_names);
	if (n == NULL)
		return;
	a->ino = n->ino;
	if (n->folder && n->folder->nparts + n->folder->upper > 1)
		a->nlink = 1; /* of a merged folder nobody has counted */
	if (n->folder && n->gone)
		a->nlink = 0;
	if (n->place == PLACE_ORPHAN)
		a->nlink--;
}

static int union_lookup(struct fuse *f, struct node *dir, const char *name, unsigned rank,
			struct node **node, struct attr *a)
{
	own_found struct found r;
	struct node *n;
	int rc = union_find(f, dir, name, rank, &r);

	if (rc < 0)
		return rc;
	if (!r.exists)
		return -ENOENT;
	if (node == NULL) {
		n = union_known(f, dir, &r);
		union_attr(f, n, &r.m, a);
		if (n == NULL)
			a->ino = union_ino(dir->share, r.where, &r.m);
		return 0;
	}
	rc = union_node(f, dir, name, &r, node);
	if (rc < 0)
		return rc;
	union_attr(f, *node, &r.m, a);
	/* who looks up a file often reads it next */
	if (rank == 0 && S_ISREG(r.m.ls.mode) && (*node)->file == NULL && r.fd >= 0)
		file_cache(f, *node, ofile_new(steal_fd(&r.fd), r.where == WHERE_UPPER));
	return 0;
}

int union_spot(struct fuse *f, struct node *n, struct spot *sp)
{
	switch (n->place) {
	case PLACE_NAME:
		if (n->parent == NULL)
			return -ESTALE;
		sp->dirfd = folder_layer(f, n->parent, n->where);
		sp->name = n->name;
		return sp->dirfd < 0 ? sp->dirfd : 0;
	case PLACE_INDEX:
		snprintf(sp->buf, sizeof(sp->buf), "%" PRIu64, n->ino);
		sp->dirfd = n->share->index_fd;
		break;
	case PLACE_ORPHAN:
		snprintf(sp->buf, sizeof(sp->buf), "%" PRIu64, n->id);
		sp->dirfd = n->share->orphan_fd;
		break;
	default:
		return -ESTALE;
	}
	sp->name = sp->buf;
	return 0;
}

int union_file(struct fuse *f, struct node *n, bool write, struct ofile **o)
{
	int flags = O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, fd, rc;
	bool upper = n->where == WHERE_UPPER;
	struct spot sp;
	struct stat st;

	if (n->folder)
		return -EISDIR;
	if (write && !upper)
		return -EROFS;
	*o = file_cached(f, n);
	if (*o)
		return 0;
	rc = union_spot(f, n, &sp);
	if (rc < 0)
		return rc;
	fd = openat(sp.dirfd, sp.name, flags | (upper ? O_RDWR : O_RDONLY | O_NOATIME));
	if (fd < 0 && errno == EPERM)
		fd = openat(sp.dirfd, sp.name, flags | O_RDONLY);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		close(fd);
		return -EIO;
	}
	*o = ofile_new(fd, upper);
	file_cache(f, n, ofile_get(*o));
	return 0;
}

/* A symlink may be one of the host's, which cannot be opened. */
static int symlink_meta(struct fuse *f, struct node *n, struct meta *m)
{
	struct spot sp;
	int rc, fd = -1;

	if (n->file)
		return meta_of_fd(n->file->fd, n->where == WHERE_UPPER, m);
	rc = union_spot(f, n, &sp);
	if (rc == 0)
		rc = meta_open(sp.dirfd, sp.name, n->where == WHERE_UPPER, false, &fd, m);
	if (fd >= 0)
		close(fd);
	return rc;
}

int union_dir_source(struct fuse *f, struct node *n, struct meta *m)
{
	int top = folder_part(f, n, 0), fd = top, rc;
	struct meta low;

	rc = top < 0 ? top : meta_of_fd(top, false, m);
	for (unsigned i = 1; rc == 0 && m->implied && i < n->folder->nparts; i++) {
		fd = folder_part(f, n, i);
		rc = fd < 0 ? fd : meta_of_fd(fd, false, &low);
		if (rc == 0 && !low.implied)
			take_over(m, &low);
	}
	return rc < 0 ? rc : m->implied ? top : fd;
}

int union_meta(struct fuse *f, struct node *n, struct meta *m)
{
	bool upper = n->where == WHERE_UPPER;
	struct ofile *o = NULL;
	int rc;

	if (n->folder && n->folder->upper) {
		rc = folder_fd(f, n);
		return rc < 0 ? rc : meta_of_fd(rc, true, m);
	}
	if (n->folder) {
		rc = union_dir_source(f, n, m);
		return rc < 0 ? rc : 0;
	}
	if (S_ISLNK(n->type)) {
		rc = symlink_meta(f, n, m);
	} else {
		rc = union_file(f, n, false, &o);
		if (rc == 0)
			rc = meta_of_fd(o->fd, upper, m);
		ofile_put(o);
	}
	if (rc == 0 && !upper && m->st.st_nlink == 1 && n->gone)
		m->st.st_nlink = 0;
	else if (rc == 0 && !upper && n->share->index_used && m->st.st_nlink > 1)
		m->st.st_nlink =
			(nlink_t)union_low_names(n->share, n->ino, (int64_t)m->st.st_nlink);
	return rc;
}

int union_getattr(struct fuse *f, struct node *n, struct attr *a)
{
	struct meta m;
	int rc = union_meta(f, n, &m);

	if (rc == 0)
		union_attr(f, n, &m, a);
	return rc;
}

static ssize_t union_readlink(struct fuse *f, struct node *n, char *buf, size_t size)
{
	struct ofile *o;
	struct spot sp;
	ssize_t len;
	int rc = union_file(f, n, false, &o);

	if (rc == 0) {
		len = pread(o->fd, buf, size, 0);
		rc = len < 0 ? -errno : 0;
		ofile_put(o);
		return rc < 0 ? rc : len;
	}
	if (rc != -ELOOP)
		return rc;
	rc = union_spot(f, n, &sp);
	if (rc < 0)
		return rc;
	len = readlinkat(sp.dirfd, sp.name, buf, size);
	return len < 0 ? -errno : len;
}

static int union_open(struct fuse *f, struct node *n, int flags, struct ofile **o)
{
	bool write = (flags & O_ACCMODE) != O_RDONLY;
	int rc;

	if (write) {
		rc = union_up(f, n, UP_ALL);
		if (rc < 0)
			return rc;
	}
	return union_file(f, n, write, o);
}

static int union_list(struct fuse *f, struct node *dir, struct listing *l)
{
	int fd, rc = 0;

	if (dir->gone)
		return 0;
	if (dir->folder->upper) {
		fd = folder_fd(f, dir);
		rc = fd < 0 ? fd : listing_read(l, fd, 0);
	}
	for (unsigned i = 0; i < dir->folder->nparts && rc == 0; i++) {
		fd = folder_part(f, dir, i);
		rc = fd < 0 ? fd : listing_read(l, fd, (uint16_t)(1 + i));
	}
	return rc;
}

static int union_syncfd(struct fuse *f, struct node *dir)
{
	int fd = dir->folder->upper ? folder_fd(f, dir) : -ENOENT;

	if (fd < 0)
		return fd;
	fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	return fd < 0 ? -errno : fd;
}

const struct share_ops union_ops = {
	.root = union_root,
	.close = union_close,
	.lookup = union_lookup,
	.getattr = union_getattr,
	.setattr = union_setattr,
	.readlink = union_readlink,
	.make = union_make,
	.remove = union_remove,
	.rename = union_rename,
	.link = union_link,
	.open = union_open,
	.list = union_list,
	.getxattr = union_getxattr,
	.listxattr = union_listxattr,
	.setxattr = union_setxattr,
	.removexattr = union_removexattr,
	.killpriv = union_killpriv,
	.syncfd = union_syncfd,
};
