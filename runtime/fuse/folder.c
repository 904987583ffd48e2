/* folder.c: descriptors of folders: opened when needed, a bounded number of them. */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "runtime/base/own.h"
#include "runtime/base/str.h"
#include "runtime/fuse/engine.h"

/*
 * A folder's descriptor is opened from its parent's, one component at a time;
 * where the parent's is closed as well, from the nearest one above that is
 * open (a share's root always is). Descriptors handed out are marked with the
 * number of the locked section they were asked for in, and none of this
 * section's is closed: an operation that needs two folders keeps both.
 */

#define STORE_DIR_FLAGS (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
#define BIND_DIR_FLAGS	(O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
/* Bytes of names kept in memory. */
#define LISTINGS_MAX (32U << 20)

struct folder *folder_new(struct node *n, const uint16_t *layers, unsigned nparts)
{
	struct folder *d = xcalloc(1, sizeof(*d) + nparts * sizeof(d->part[0]));

	d->node = n;
	d->fd = -1;
	link_init(&d->lru);
	d->nparts = nparts;
	for (unsigned i = 0; i < nparts; i++) {
		d->part[i].layer = layers[i];
		d->part[i].fd = -1;
	}
	n->folder = d;
	return d;
}

static void drop_listing(struct fuse *f, struct folder *d)
{
	if (d->listing == NULL)
		return;
	f->listing_bytes -= listing_bytes(d->listing);
	listing_free(d->listing);
	d->listing = NULL;
}

/* Closes what can be opened again. */
static void folder_drop(struct fuse *f, struct folder *d)
{
	link_del(&d->lru);
	drop_listing(f, d);
	if (d->fd >= 0 && !d->kept) {
		close(d->fd);
		d->fd = -1;
		f->nfolder_fds--;
	}
	/* those of a share's root are the share's */
	for (unsigned i = 0; i < d->nparts && d->node->parent != f->root; i++) {
		if (d->part[i].fd < 0)
			continue;
		close(d->part[i].fd);
		d->part[i].fd = -1;
		f->nfolder_fds--;
	}
}

void folder_free(struct fuse *f, struct folder *d)
{
	bool root = d->node->share && d->node == d->node->share->root;

	folder_drop(f, d);
	if (d->kept && d->fd >= 0 && !root) {
		close(d->fd);
		f->npins--;
	}
	d->node->folder = NULL;
	free(d->redirect);
	free(d);
}

/* Marks it as used now, and closes what was not used for longest, if there is too much. */
static void folder_used(struct fuse *f, struct folder *d)
{
	d->epoch = f->epoch;
	link_front(&f->folders, &d->lru);
	for (struct link *l = f->folders.prev, *prev; f->nfolder_fds > f->max_folder_fds;
	     l = prev) {
		struct folder *old = container(l, struct folder, lru);

		if (l == &f->folders)
			break;
		prev = l->prev;
		if (old->epoch != f->epoch)
			folder_drop(f, old);
	}
}

void folder_give_fd(struct fuse *f, struct folder *d, int fd)
{
	if (d->fd >= 0) {
		close(fd);
		return;
	}
	d->fd = fd;
	f->nfolder_fds++;
	folder_used(f, d);
}

void folder_give_part(struct fuse *f, struct folder *d, unsigned i, int fd)
{
	if (d->part[i].fd >= 0) {
		close(fd);
		return;
	}
	d->part[i].fd = fd;
	f->nfolder_fds++;
	folder_used(f, d);
}

/* Lists can be large: only the last used ones stay. */
static void trim_listings(struct fuse *f)
{
	for (struct link *l = f->folders.prev; l != &f->folders; l = l->prev) {
		struct folder *old = container(l, struct folder, lru);

		if (f->listing_bytes <= LISTINGS_MAX)
			break;
		if (old->epoch != f->epoch)
			drop_listing(f, old);
	}
}

int folder_list(struct fuse *f, struct node *n, struct listing **l)
{
	struct folder *d = n->folder;
	int rc;

	folder_used(f, d);
	if (d->listing == NULL) {
		struct listing *made = listing_new();

		rc = n->share->ops->list(f, n, made);
		if (rc < 0) {
			listing_free(made);
			return rc;
		}
		listing_finish(made);
		d->listing = made;
		f->listing_bytes += listing_bytes(made);
		trim_listings(f);
	}
	*l = d->listing;
	return 0;
}

/* A bind's folder may have been replaced by the host: then it is another one. */
static int check_same(struct fuse *f, const struct node *n, int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (st.st_ino != n->hino || fuse_dev_index(f, st.st_dev) != n->hdev)
		return -ESTALE;
	return 0;
}

/* The index of `layer` among the parent's parts. */
static int part_of_layer(const struct folder *d, uint16_t layer)
{
	for (unsigned i = 0; i < d->nparts; i++) {
		if (d->part[i].layer == layer)
			return (int)i;
	}
	return -1;
}

int folder_open_lower(const struct share *s, unsigned layer, const char *path)
{
	struct open_how how = { .flags = STORE_DIR_FLAGS,
				.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS |
					   RESOLVE_NO_MAGICLINKS };
	long fd;

	while (*path == '/')
		path++;
	fd = syscall(SYS_openat2, s->layer_fd[layer], *path ? path : ".", &how, sizeof(how));
	return fd < 0 ? -errno : (int)fd;
}

/* One of a folder's descriptors: layer WHERE_UPPER means d->fd. */
static int *fd_slot(struct folder *d, uint16_t layer)
{
	int i;

	if (layer == WHERE_UPPER)
		return &d->fd;
	i = part_of_layer(d, layer);
	return i < 0 ? NULL : &d->part[i].fd;
}

/* Opens n's part in `layer`; its parent's is open, unless n is redirected. */
static int open_one(struct fuse *f, struct node *n, uint16_t layer)
{
	bool bind = !n->share->is_union;
	int *slot = fd_slot(n->folder, layer), *from, fd, rc;

	if (slot == NULL)
		return -ESTALE;
	if (layer != WHERE_UPPER && n->folder->redirect) {
		fd = folder_open_lower(n->share, layer, n->folder->redirect);
		if (fd < 0)
			return fd;
	} else {
		from = n->parent->folder ? fd_slot(n->parent->folder, layer) : NULL;
		if (from == NULL || *from < 0)
			return -ESTALE;
		fd = openat(*from, n->name, bind ? BIND_DIR_FLAGS : STORE_DIR_FLAGS);
		if (fd < 0)
			return errno == ENOTDIR || errno == ELOOP ? -ESTALE : -errno;
		rc = bind ? check_same(f, n, fd) : 0;
		if (rc < 0) {
			close(fd);
			return rc;
		}
	}
	*slot = fd;
	f->nfolder_fds++;
	return 0;
}

/* Whether n's part in layer cannot be reached by way of its parent's. */
static bool reachable(const struct node *n, uint16_t layer)
{
	if (n->parent == NULL || n->folder == NULL)
		return false;
	return layer != WHERE_UPPER || (n->folder->upper && n->place == PLACE_NAME);
}

static int folder_open(struct fuse *f, struct node *n, uint16_t layer)
{
	own_free struct node **chain = NULL;
	size_t depth = 0, cap = 0;
	struct node *a = n;
	int rc = 0, *slot;

	for (;;) {
		slot = a->folder ? fd_slot(a->folder, layer) : NULL;
		if (slot == NULL || (*slot < 0 && !reachable(a, layer)))
			return -ESTALE;
		if (*slot >= 0)
			break;
		if (depth == cap) {
			cap = cap ? cap * 2 : 16;
			chain = xrealloc(chain, cap * sizeof(*chain));
		}
		chain[depth++] = a;
		if (layer != WHERE_UPPER && a->folder->redirect)
			break;
		a = a->parent;
	}
	while (depth && rc == 0) {
		a = chain[--depth];
		rc = open_one(f, a, layer);
		if (rc == 0)
			folder_used(f, a->folder);
		if (rc == 0 && depth)
			a->folder->epoch = 0; /* only on the way: may be closed again */
	}
	return rc;
}

int folder_fd(struct fuse *f, struct node *n)
{
	struct folder *d = n->folder;
	int rc;

	if (d == NULL)
		return -ENOTDIR;
	if (d->fd < 0) {
		rc = folder_open(f, n, WHERE_UPPER);
		if (rc < 0)
			return rc;
	}
	folder_used(f, d);
	return d->fd;
}

int folder_part(struct fuse *f, struct node *n, unsigned i)
{
	struct folder *d = n->folder;
	int rc;

	if (d->part[i].fd < 0) {
		rc = folder_open(f, n, d->part[i].layer);
		if (rc < 0)
			return rc;
	}
	folder_used(f, d);
	return d->part[i].fd;
}

int folder_layer(struct fuse *f, struct node *n, uint16_t layer)
{
	int i;

	if (layer == WHERE_UPPER)
		return folder_fd(f, n);
	i = n->folder ? part_of_layer(n->folder, layer) : -1;
	return i < 0 ? -ESTALE : folder_part(f, n, (unsigned)i);
}

void folder_changed(struct fuse *f, struct node *n)
{
	if (n->folder)
		drop_listing(f, n->folder);
}

void folder_name_gone(struct node *n, const char *name)
{
	if (n->folder && n->folder->listing)
		listing_remove(n->folder->listing, name);
}

void folder_name_up(struct node *n, const char *name)
{
	if (n->folder && n->folder->listing)
		listing_rank(n->folder->listing, name, 0);
}

bool folder_lower_path(const struct node *n, char *buf, size_t size)
{
	size_t at = size - 1;

	buf[at] = 0;
	for (; n && n->share && n != n->share->root; n = n->parent) {
		const char *redirect = n->folder ? n->folder->redirect : NULL;
		size_t len = strlen(redirect ? redirect : n->name);
		size_t need = redirect ? len : len + 1;

		if (need > at)
			return false;
		at -= need;
		if (redirect) {
			memcpy(buf + at, redirect, len);
			break;
		}
		buf[at] = '/';
		memcpy(buf + at + 1, n->name, len);
	}
	memmove(buf, buf + at, size - at);
	return true;
}
