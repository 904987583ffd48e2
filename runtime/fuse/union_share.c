/* union_share.c: opening the folders of a union share. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "runtime/base/fd.h"
#include "runtime/base/own.h"
#include "runtime/base/str.h"
#include "runtime/fuse/union.h"

#define DIR_FLAGS (O_RDONLY | O_DIRECTORY | O_CLOEXEC)
/* Asked for to see whether the file system has user xattrs at all. */
#define XATTR_PROBE "user.containers.zl_probe"

static int open_layers(struct fuse *f, struct share *s, const char *const *layers, unsigned n,
		       struct err *e)
{
	struct stat st;

	if (n > LAYERS_MAX)
		return err_set(e, E2BIG, "an image with %u layers (at most %d)", n, LAYERS_MAX);
	s->layer_fd = xcalloc(n, sizeof(*s->layer_fd));
	s->layer_dev = xcalloc(n, sizeof(*s->layer_dev));
	for (unsigned i = 0; i < n; i++) {
		s->layer_fd[i] = open(layers[i], DIR_FLAGS);
		if (s->layer_fd[i] < 0)
			return err_sys(e, "open layer %s", layers[i]);
		s->nlayers++;
		if (fstat(s->layer_fd[i], &st) < 0)
			return err_sys(e, "open layer %s", layers[i]);
		s->layer_dev[i] = fuse_dev_index(f, st.st_dev);
	}
	return 0;
}

/* A folder below the upper's work folder; emptied first where it holds nothing of value. */
static int open_work(int work, const char *name, bool empty, int *fd, struct err *e)
{
	if (empty && dir_remove_all(work, name, e) < 0)
		return err_wrap(e, "clear the work folder");
	if (mkdirat(work, name, 0700) < 0 && errno != EEXIST)
		return err_sys(e, "create the work folder %s", name);
	*fd = openat(work, name, DIR_FLAGS | O_NOFOLLOW);
	return *fd < 0 ? err_sys(e, "open the work folder %s", name) : 0;
}

static int read_index(struct share *s, const char *work, struct err *e)
{
	struct listing *l = listing_new();
	int rc = listing_read(l, s->index_fd, 0);

	s->index_used = l->n > 0;
	listing_free(l);
	return rc < 0 ? err_set(e, -rc, "read %s/index: %s", work, strerror(-rc)) : 0;
}

/* For one who only looks; perhaps an engine is at work here. */
static int look_upper(struct fuse *f, struct share *s, const char *upper, struct err *e)
{
	own_free char *work = xasprintf("%s.work", upper);
	own_free char *index = xasprintf("%s/index", work);
	struct stat st;

	s->upper_fd = open(upper, DIR_FLAGS);
	if (s->upper_fd < 0 || fstat(s->upper_fd, &st) < 0)
		return err_sys(e, "open %s", upper);
	s->upper_dev = fuse_dev_index(f, st.st_dev);
	s->index_fd = open(index, DIR_FLAGS | O_NOFOLLOW);
	if (s->index_fd < 0)
		return errno == ENOENT ? 0 : err_sys(e, "open %s", index);
	return read_index(s, work, e);
}

static int open_upper(struct fuse *f, struct share *s, const char *upper, struct err *e)
{
	own_free char *work = xasprintf("%s.work", upper);
	own_fd int fd = -1;
	struct stat st;
	int rc;

	s->upper_fd = open(upper, DIR_FLAGS);
	if (s->upper_fd < 0 || fstat(s->upper_fd, &st) < 0)
		return err_sys(e, "open %s", upper);
	s->upper_dev = fuse_dev_index(f, st.st_dev);
	if (fsetxattr(s->upper_fd, XATTR_PROBE, "y", 1, 0) < 0)
		return err_set(e, errno,
			       "the file system of %s does not keep extended attributes (%s): put "
			       "zl's root folder on one that does (--root), such as ext4, xfs or "
			       "btrfs",
			       upper, strerror(errno));
	fremovexattr(s->upper_fd, XATTR_PROBE);
	if (mkdir(work, 0700) < 0 && errno != EEXIST)
		return err_sys(e, "create %s", work);
	fd = open(work, DIR_FLAGS | O_NOFOLLOW);
	if (fd < 0)
		return err_sys(e, "open %s", work);
	rc = open_work(fd, "tmp", true, &s->tmp_fd, e);
	if (rc == 0)
		rc = open_work(fd, "orphan", true, &s->orphan_fd, e);
	if (rc == 0)
		rc = open_work(fd, "index", false, &s->index_fd, e);
	return rc < 0 ? rc : read_index(s, work, e);
}

/* A fresh upper's root becomes what the topmost layer that says so has as root. */
static int dress_root(struct share *s, struct err *e)
{
	struct meta up, low = { .implied = true };
	int rc = meta_of_fd(s->upper_fd, true, &up), from = -1;

	if (rc == 0 && up.has_origin)
		return 0;
	for (unsigned i = 0; i < s->nlayers && rc == 0 && low.implied; i++) {
		from = s->layer_fd[i];
		rc = meta_of_fd(from, false, &low);
	}
	if (rc == 0 && low.implied) {
		low = up;
		low.ls = (struct layer_stat){ .mode = S_IFDIR | 0755 };
		from = -1;
	}
	if (rc == 0 && from >= 0)
		rc = meta_copy_xattrs(from, s->upper_fd);
	if (rc == 0)
		rc = meta_write(s->upper_fd, up.st.st_mode, &low.ls);
	if (rc == 0 &&
	    futimens(s->upper_fd, (struct timespec[2]){ low.st.st_atim, low.st.st_mtim }) < 0)
		rc = -errno;
	if (rc == 0)
		rc = meta_write_origin(s->upper_fd, fuse_ino(s->upper_dev, up.st.st_ino), -1);
	return rc < 0 ? err_set(e, -rc, "prepare the root folder: %s", strerror(-rc)) : 0;
}

/* The layers down to one whose root is opaque. */
static unsigned root_parts(const struct share *s, uint16_t *part)
{
	for (unsigned i = 0; i < s->nlayers; i++) {
		struct meta m;

		part[i] = (uint16_t)i;
		if (meta_of_fd(s->layer_fd[i], false, &m) == 0 && m.opaque)
			return i + 1;
	}
	return s->nlayers;
}

int union_root(struct fuse *f, struct share *s)
{
	bool upper = s->upper_fd >= 0;
	uint16_t part[LAYERS_MAX];
	struct node *n;
	struct meta m;
	int rc = meta_of_fd(upper ? s->upper_fd : s->layer_fd[0], upper, &m);

	if (rc < 0)
		return rc;
	n = node_new(f, s, f->root, s->name, S_IFDIR, upper ? WHERE_UPPER : 0, m.st.st_ino, 0);
	if (n == NULL)
		return -ENFILE;
	n->where = upper ? WHERE_UPPER : 0;
	n->ino = m.has_origin ? m.origin
			      : fuse_ino(upper ? s->upper_dev : s->layer_dev[0], m.st.st_ino);
	folder_new(n, part, root_parts(s, part));
	n->folder->fd = s->upper_fd;
	n->folder->upper = upper;
	n->folder->kept = true;
	for (unsigned i = 0; i < n->folder->nparts; i++)
		n->folder->part[i].fd = s->layer_fd[i];
	s->root = n;
	return 0;
}

void union_close(struct share *s)
{
	const int fds[] = { s->upper_fd, s->tmp_fd, s->orphan_fd, s->index_fd };

	for (unsigned i = 0; i < s->nlayers; i++)
		close(s->layer_fd[i]);
	for (unsigned i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
		if (fds[i] >= 0)
			close(fds[i]);
	}
	free(s->layer_fd);
	free(s->layer_dev);
}

int union_open_share(struct fuse *f, struct share *s, const char *const *layers, unsigned nlayers,
		     const char *upper, bool look, struct err *e)
{
	int rc;

	s->is_union = true;
	s->ops = &union_ops;
	s->upper_fd = s->tmp_fd = s->orphan_fd = s->index_fd = s->bind_fd = -1;
	if (upper == NULL)
		s->read_only = true;
	if (upper == NULL && nlayers == 0)
		return err_set(e, EINVAL, "a file system of nothing");
	rc = open_layers(f, s, layers, nlayers, e);
	if (rc == 0 && upper && look)
		return look_upper(f, s, upper, e);
	if (rc == 0 && upper)
		rc = open_upper(f, s, upper, e);
	if (rc == 0 && upper)
		rc = dress_root(s, e);
	return rc;
}
