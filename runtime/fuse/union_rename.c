/* union_rename.c: rename in the union: within the upper, with what lies in layers copied up first.
 */
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

/* One side of a rename. */
struct side {
	struct node *dir;
	const char *name;
	struct found r;
	struct node *n; /* what the name stands for, or NULL; a reference */
	int in_layers;	/* the name is visible in a layer when the upper has nothing there */
	int dirfd;
};

/* Internal: something was copied up or waited for; all is to be looked at anew. */
#define AGAIN 1

static int side_find(struct fuse *f, struct side *s)
{
	int rc = union_find(f, s->dir, s->name, 0, &s->r);

	if (rc == 0 && s->r.exists)
		rc = union_node(f, s->dir, s->name, &s->r, &s->n);
	if (rc < 0)
		return rc;
	if (s->n && s->n->busy) {
		fuse_wait_copied(f);
		return AGAIN;
	}
	return 0;
}

static void side_drop(struct fuse *f, struct side *s)
{
	found_free(&s->r);
	if (s->n)
		node_put(f, s->n);
	s->n = NULL;
}

/* A name that lies in a layer, of a file that is copied up already: gives it the name there. */
static int name_up(struct fuse *f, struct side *s)
{
	struct spot sp;
	int rc = union_dir_up(f, s->dir), dirfd;

	if (rc == 0)
		rc = union_spot(f, s->n, &sp);
	dirfd = rc < 0 ? rc : folder_fd(f, s->dir);
	if (dirfd < 0)
		return dirfd;
	if (linkat(sp.dirfd, sp.name, dirfd, s->name, 0) < 0)
		return -errno;
	folder_name_up(s->dir, s->name);
	rc = union_low_names_drop(f, s->dir->share, &s->r, s->n->ino);
	return rc < 0 ? rc : AGAIN;
}

/* Brings what is moved into the upper, under its old name. */
static int side_up(struct fuse *f, struct side *s)
{
	int rc;

	if (s->r.in_upper)
		return 0;
	if (s->n->folder)
		rc = union_dir_up(f, s->n);
	else if (s->n->where != WHERE_UPPER)
		rc = union_up(f, s->n, UP_ALL);
	else
		return name_up(f, s);
	return rc < 0 ? rc : AGAIN;
}

static int check(struct side *a, struct side *b, unsigned flags)
{
	bool exchange = flags & RENAME_EXCHANGE;

	if (!a->r.exists || (exchange && !b->r.exists))
		return -ENOENT;
	if ((flags & RENAME_NOREPLACE) && b->r.exists)
		return -EEXIST;
	if (a->n->folder && node_is_above(a->n, b->dir))
		return -EINVAL;
	if (exchange && b->n->folder && node_is_above(b->n, a->dir))
		return -EINVAL;
	if (exchange || !b->r.exists)
		return 0;
	if (a->n->folder && !b->n->folder)
		return -ENOTDIR;
	if (!a->n->folder && b->n->folder)
		return -EISDIR;
	return 0;
}

/* A folder that moves must go on to merge with what it merges with now. */
static int side_redirect(struct fuse *f, struct side *s, const struct side *to)
{
	struct folder *d = s->n->folder;
	char path[REDIRECT_MAX + 1];
	int fd;

	if (d == NULL || d->redirect)
		return 0;
	fd = folder_fd(f, s->n);
	if (fd < 0)
		return fd;
	if (d->nparts == 0) {
		if (to->in_layers && fsetxattr(fd, LAYER_XATTR_OPAQUE, "y", 1, 0) < 0)
			return -errno;
		return 0;
	}
	if (!folder_lower_path(s->n, path, sizeof(path)))
		return -EXDEV;
	if (fsetxattr(fd, LAYER_XATTR_REDIRECT, path, strlen(path), 0) < 0)
		return errno == ENOSPC || errno == E2BIG || errno == ERANGE ? -EXDEV : -errno;
	d->redirect = xstrdup(path);
	return 0;
}

/* Both folders are in the upper; their descriptors and what the layers have. */
static int side_ready(struct fuse *f, struct side *s)
{
	int rc = union_dir_up(f, s->dir);

	if (rc < 0)
		return rc;
	s->in_layers = union_in_layers(f, s->dir, s->name);
	if (s->in_layers < 0)
		return s->in_layers;
	s->dirfd = folder_fd(f, s->dir);
	return s->dirfd < 0 ? s->dirfd : 0;
}

static int move(const struct side *a, const struct side *b, unsigned flags)
{
	return renameat2(a->dirfd, a->name, b->dirfd, b->name, flags) < 0 ? -errno : 0;
}

/*
 * A folder onto a whiteout, or onto a folder that is empty but for whiteouts:
 * both change places, then the old name is cleared.
 */
static int move_over_junk(struct side *a, struct side *b)
{
	struct share *s = a->dir->share;
	bool dir = b->r.in_upper;
	int rc = move(a, b, RENAME_EXCHANGE);

	if (rc == -EINVAL || rc == -ENOSYS) { /* a host that cannot exchange */
		rc = dir ? union_discard_dir(s, b->dirfd, b->name, false)
			 : (unlinkat(b->dirfd, b->name, 0) < 0 ? -errno : 0);
		return rc < 0 ? rc : move(a, b, 0);
	}
	if (rc < 0)
		return rc;
	if (dir)
		return union_discard_dir(s, a->dirfd, a->name, false);
	return unlinkat(a->dirfd, a->name, 0) < 0 ? -errno : 0;
}

static int move_plain(struct fuse *f, struct side *a, struct side *b, bool guest_whiteout)
{
	struct share *s = a->dir->share;
	struct keep k;
	bool file = b->r.exists && !b->n->folder;
	int rc = 0;

	if (file)
		rc = union_keep_begin(f, b->n, &b->r, b->dir, b->name, b->dirfd, &k);
	else if (b->n && b->r.in_upper && folder_fd(f, b->n) < 0)
		rc = -EIO;
	if (rc < 0)
		return rc;
	if (a->n->folder && (b->r.hidden || (b->r.in_upper && b->n->folder->nparts)))
		rc = move_over_junk(a, b);
	else
		rc = move(a, b, 0);
	if (file)
		union_keep_end(f, b->n, &b->r, b->dir, b->name, rc, &k);
	if (rc < 0)
		return rc;
	if (b->n && b->n->folder)
		union_dir_gone(f, b->n);
	if (guest_whiteout)
		rc = union_guest_whiteout(s, a->dirfd, a->name);
	else if (a->in_layers)
		rc = union_whiteout(s, a->dirfd, a->name);
	return rc;
}

static int try_rename(struct fuse *f, struct side *a, struct side *b, unsigned flags)
{
	bool exchange = flags & RENAME_EXCHANGE;
	int rc = side_find(f, a);

	if (rc == 0)
		rc = side_find(f, b);
	if (rc == 0)
		rc = check(a, b, flags);
	if (rc)
		return rc;
	if (a->n == b->n)
		return 0; /* two names of one file: nothing is to be done, says POSIX */
	if (!exchange && b->n && b->n->folder)
		rc = union_empty(f, b->n);
	if (rc == 0)
		rc = side_up(f, a);
	if (rc == 0 && exchange)
		rc = side_up(f, b);
	if (rc == 0)
		rc = side_ready(f, a);
	if (rc == 0)
		rc = side_ready(f, b);
	if (rc == 0)
		rc = side_redirect(f, a, b);
	if (rc == 0 && exchange)
		rc = side_redirect(f, b, a);
	if (rc)
		return rc;
	if (exchange)
		rc = move(a, b, RENAME_EXCHANGE);
	else
		rc = move_plain(f, a, b, flags & RENAME_WHITEOUT);
	folder_changed(f, a->dir);
	folder_changed(f, b->dir);
	if (rc < 0)
		return rc;
	node_place(f, a->n, b->dir, b->name);
	if (exchange)
		node_place(f, b->n, a->dir, a->name);
	return 0;
}

int union_rename(struct fuse *f, struct node *from, const char *name, struct node *to,
		 const char *newname, unsigned flags)
{
	int rc;

	if (from->share->read_only)
		return -EROFS;
	if (flags & ~(unsigned)(RENAME_NOREPLACE | RENAME_EXCHANGE | RENAME_WHITEOUT) ||
	    ((flags & RENAME_EXCHANGE) && (flags & (RENAME_NOREPLACE | RENAME_WHITEOUT))))
		return -EINVAL;
	do {
		struct side a = { .dir = from, .name = name, .r = { .fd = -1 } };
		struct side b = { .dir = to, .name = newname, .r = { .fd = -1 } };

		if (from->gone || to->gone)
			return -ENOENT;
		rc = try_rename(f, &a, &b, flags);
		side_drop(f, &a);
		side_drop(f, &b);
	} while (rc == AGAIN);
	return rc;
}
