/* union_remove.c: names that go, and keeping what the guest still holds. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/fd.h"
#include "runtime/base/own.h"
#include "runtime/fuse/union.h"

/* Layer numbers no file has: nodes that nobody is to find by host file any more. */
#define WHERE_NOWHERE 0xfffeU

static bool is_its_name(const struct node *n, const struct node *dir, const char *name)
{
	return n->parent == dir && strcmp(n->name, name) == 0;
}

static int64_t names_of(const struct found *r)
{
	int64_t names = (int64_t)r->m.st.st_nlink;

	return r->m.low_names >= 0 ? names - 1 + r->m.low_names : names;
}

int union_keep_begin(struct fuse *f, struct node *n, const struct found *r, struct node *dir,
		     const char *name, int dirfd, struct keep *k)
{
	char id[32];
	int rc;

	*k = (struct keep){ .last = names_of(r) <= 1 };
	if (n == NULL || r->where != WHERE_UPPER)
		return 0;
	if (n->place == PLACE_PINNED || n->place == PLACE_ORPHAN)
		return 0; /* it is kept already */
	if (!k->last && (n->place != PLACE_NAME || !is_its_name(n, dir, name)))
		return 0; /* it is reached in another way */
	/* with names left that are not known it must still be possible to link it */
	if (k->last && f->npins < f->max_pins) {
		rc = union_file(f, n, false, &k->file);
		if (rc != -ELOOP)
			return rc;
	}
	if (!r->in_upper)
		return 0; /* by way of the index; has no name in the upper */
	snprintf(id, sizeof(id), "%" PRIu64, n->id);
	if (linkat(dirfd, name, n->share->orphan_fd, id, 0) < 0)
		return -errno;
	k->orphan = true;
	return 0;
}

/* The last of several names went: so must the one in the index. */
static void drop_index(struct fuse *f, struct share *s, const struct found *r, struct node *n)
{
	char name[32], id[32];

	snprintf(name, sizeof(name), "%" PRIu64, r->m.origin);
	if (r->fd >= 0)
		meta_write_origin(r->fd, r->m.origin, -1);
	if (n && n->place == PLACE_INDEX) { /* could not be kept by a descriptor */
		snprintf(id, sizeof(id), "%" PRIu64, n->id);
		if (renameat(s->index_fd, name, s->orphan_fd, id) == 0) {
			n->place = PLACE_ORPHAN;
			return;
		}
		n->place = PLACE_LOST;
		node_rekey(f, n, WHERE_NOWHERE, n->id);
	}
	unlinkat(s->index_fd, name, 0);
}

void union_keep_end(struct fuse *f, struct node *n, const struct found *r, struct node *dir,
		    const char *name, int rc, struct keep *k)
{
	struct share *s = dir->share;
	char id[32];

	if (rc < 0) {
		ofile_put(k->file);
		if (k->orphan) {
			snprintf(id, sizeof(id), "%" PRIu64, n->id);
			unlinkat(s->orphan_fd, id, 0);
		}
		return;
	}
	if (n && (k->last || is_its_name(n, dir, name)))
		n->gone = true;
	if (k->file) {
		if (file_pin(f, n, k->file) < 0)
			n->place = PLACE_LOST;
	} else if (k->orphan) {
		n->place = PLACE_ORPHAN;
	}
	if (!r->multi)
		return;
	if (!r->in_upper) /* a name in a layer was covered */
		union_low_names_drop(f, s, r,
				     r->m.has_origin
					     ? r->m.origin
					     : fuse_ino(s->layer_dev[r->where], r->m.st.st_ino));
	if (k->last && r->where == WHERE_UPPER)
		drop_index(f, s, r, n);
}

int union_empty(struct fuse *f, struct node *dir)
{
	struct listing *l = listing_new();
	int rc = dir->share->ops->list(f, dir, l);

	if (rc == 0)
		listing_finish(l);
	for (size_t i = 0; i < l->n && rc == 0; i++) {
		own_found struct found r;

		rc = union_find(f, dir, l->names + l->v[i].name, l->v[i].rank, &r);
		if (rc == 0 && r.exists)
			rc = -ENOTEMPTY;
	}
	listing_free(l);
	return rc;
}

int union_discard_dir(struct share *s, int dirfd, const char *name, bool whiteout)
{
	char tmp[32];
	int rc;

	union_tmp_name(s, tmp, sizeof(tmp));
	rc = whiteout ? union_whiteout(s, s->tmp_fd, tmp) : 0;
	if (rc < 0)
		return rc;
	if (whiteout && renameat2(s->tmp_fd, tmp, dirfd, name, RENAME_EXCHANGE) < 0) {
		if (errno != EINVAL && errno != ENOSYS)
			rc = -errno;
		unlinkat(s->tmp_fd, tmp, 0);
		if (rc == 0)
			rc = renameat(dirfd, name, s->tmp_fd, tmp) < 0 ? -errno : 0;
		if (rc == 0)
			rc = union_whiteout(s, dirfd, name);
	} else if (!whiteout && renameat(dirfd, name, s->tmp_fd, tmp) < 0) {
		rc = -errno;
	}
	if (rc == 0)
		dir_remove_all(s->tmp_fd, tmp, NULL); /* what is left is swept at the next start */
	return rc;
}

void union_dir_gone(struct fuse *f, struct node *n)
{
	struct folder *d = n->folder;

	n->gone = true;
	folder_changed(f, n);
	if (!d->upper)
		return;
	if (d->fd >= 0 && f->npins < f->max_pins) {
		d->kept = true;
		f->nfolder_fds--;
		f->npins++;
		n->place = PLACE_PINNED;
		return;
	}
	/* its inode number may be given to another file */
	n->place = PLACE_LOST;
	node_rekey(f, n, WHERE_NOWHERE, n->id);
}

static int remove_file(struct fuse *f, struct node *dir, const char *name, struct found *r)
{
	struct node *n = union_known(f, dir, r);
	int hide = union_in_layers(f, dir, name), rc, dirfd;
	struct share *s = dir->share;
	struct keep k;

	rc = hide < 0 ? hide : union_dir_up(f, dir);
	dirfd = rc < 0 ? rc : folder_fd(f, dir);
	if (dirfd < 0)
		return dirfd;
	rc = union_keep_begin(f, n, r, dir, name, dirfd, &k);
	if (rc < 0)
		return rc;
	if (hide)
		rc = union_whiteout(s, dirfd, name);
	else
		rc = unlinkat(dirfd, name, 0) < 0 ? -errno : 0;
	union_keep_end(f, n, r, dir, name, rc, &k);
	return rc;
}

static int remove_dir(struct fuse *f, struct node *dir, const char *name, struct found *r,
		      struct node *n)
{
	int hide = union_in_layers(f, dir, name), rc = hide < 0 ? hide : 0, dirfd;
	struct share *s = dir->share;

	if (rc == 0 && (hide || n->folder->nparts)) /* else the host looks */
		rc = union_empty(f, n);
	if (rc == 0)
		rc = union_dir_up(f, dir);
	dirfd = rc < 0 ? rc : folder_fd(f, dir);
	if (dirfd < 0)
		return dirfd;
	if (r->in_upper && folder_fd(f, n) < 0)
		return -EIO;
	if (!r->in_upper)
		rc = union_whiteout(s, dirfd, name);
	else if (hide || n->folder->nparts)
		rc = union_discard_dir(s, dirfd, name, hide);
	else
		rc = unlinkat(dirfd, name, AT_REMOVEDIR) < 0 ? -errno : 0;
	if (rc == 0)
		union_dir_gone(f, n);
	return rc;
}

/* Whether the file is being copied up; waits until it is not. */
static bool waited(struct fuse *f, struct node *dir, const struct found *r)
{
	struct node *n = union_known(f, dir, r);

	if (n == NULL || !n->busy)
		return false;
	fuse_wait_copied(f);
	return true;
}

int union_remove(struct fuse *f, struct node *dir, const char *name, bool folder)
{
	if (dir->share->read_only)
		return -EROFS;
	for (;;) {
		own_found struct found r;
		struct node *n;
		int rc = union_find(f, dir, name, 0, &r);

		if (rc == 0 && !r.exists)
			rc = -ENOENT;
		if (rc == 0 && folder != S_ISDIR(r.m.ls.mode))
			rc = folder ? -ENOTDIR : -EISDIR;
		if (rc < 0)
			return rc;
		if (waited(f, dir, &r))
			continue;
		if (!folder) {
			rc = remove_file(f, dir, name, &r);
		} else {
			rc = union_node(f, dir, name, &r, &n);
			if (rc < 0)
				return rc;
			rc = remove_dir(f, dir, name, &r, n);
			node_put(f, n);
		}
		if (rc == 0)
			folder_name_gone(dir, name);
		return rc;
	}
}
