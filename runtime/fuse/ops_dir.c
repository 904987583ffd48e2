/* ops_dir.c: reading folders. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/own.h"
#include "runtime/fuse/call.h"

/* Bytes of the lists that open folders of binds may hold together. */
#define HANDLE_LISTINGS_MAX (256U << 20)

/* A reply that is being filled with entries. */
struct filler {
	struct call *c;
	bool plus;
	size_t at, size;
	struct node *dir;
};

static size_t record_size(const struct filler *w, const char *name)
{
	size_t n = FUSE_DIRENT_ALIGN(FUSE_NAME_OFFSET + strlen(name));

	return w->plus ? n + sizeof(struct fuse_entry_out) : n;
}

static bool fits(const struct filler *w, const char *name)
{
	return record_size(w, name) <= w->size - w->at;
}

/* entry: with plus only; NULL: the guest is to look it up itself. */
static void put_record(struct filler *w, const char *name, uint64_t cookie, uint64_t ino,
		       uint32_t mode, const struct fuse_entry_out *entry)
{
	char rec[sizeof(struct fuse_direntplus) + FUSE_DIRENT_ALIGN(FUSE_NAME_LEN_MAX + 1)] = { 0 };
	size_t n = record_size(w, name), len = strlen(name), at = 0;
	struct fuse_dirent de = {
		.ino = ino, .off = cookie, .namelen = (uint32_t)len, .type = (mode & S_IFMT) >> 12
	};

	if (w->plus) {
		if (entry)
			memcpy(rec, entry, sizeof(*entry));
		at = sizeof(*entry);
	}
	memcpy(rec + at, &de, FUSE_NAME_OFFSET);
	memcpy(rec + at + FUSE_NAME_OFFSET, name, len);
	call_put(w->c, w->at, rec, n);
	w->at += n;
}

/* One name; false: there is no room for it. */
static bool put_name(struct filler *w, const char *name, struct list_entry *le)
{
	struct fuse *f = w->c->f;
	struct node *n = NULL;
	struct fuse_entry_out entry;
	struct attr a;
	int rc;

	if (le->dead || strlen(name) > FUSE_NAME_LEN_MAX)
		return true;
	if (!fits(w, name))
		return false;
	rc = w->dir->share->ops->lookup(f, w->dir, name, le->rank, w->plus ? &n : NULL, &a);
	if (rc == -ENOENT) { /* a whiteout, or gone on the host */
		le->dead = 1;
		return true;
	}
	if (rc < 0) {
		put_record(w, name, le->cookie, le->cookie, 0, NULL);
		return true;
	}
	if (n)
		entry_out(f, n, &a, &entry);
	put_record(w, name, le->cookie, a.ino, a.mode, n ? &entry : NULL);
	if (n)
		node_put(f, n);
	return true;
}

static bool put_dots(struct filler *w, uint64_t after)
{
	struct node *up = w->dir->parent ? w->dir->parent : w->dir;

	if (after < LIST_COOKIE_DOT) {
		if (!fits(w, "."))
			return false;
		put_record(w, ".", LIST_COOKIE_DOT, w->dir->ino, S_IFDIR, NULL);
	}
	if (after < LIST_COOKIE_DOTDOT) {
		if (!fits(w, ".."))
			return false;
		put_record(w, "..", LIST_COOKIE_DOTDOT, up->ino, S_IFDIR, NULL);
	}
	return true;
}

/* The engine's own root. */
static void put_shares(struct filler *w, uint64_t after)
{
	struct fuse *f = w->c->f;

	for (unsigned i = 0; i < f->nshares; i++) {
		struct share *s = &f->share[i];

		if (LIST_COOKIE_FIRST + i <= after)
			continue;
		if (!fits(w, s->name))
			return;
		put_record(w, s->name, LIST_COOKIE_FIRST + i, s->root->ino, S_IFDIR, NULL);
	}
}

/* A bind's open folder: its names as they were when reading began. */
static int handle_list(struct call *c, struct handle *h, bool again, struct listing **l)
{
	struct fuse *f = c->f;
	int rc;

	if (h->listing && !again) {
		*l = h->listing;
		return 0;
	}
	if (h->listing) {
		f->listing_bytes -= listing_bytes(h->listing);
		listing_free(h->listing);
		h->listing = NULL;
	}
	if (f->listing_bytes > HANDLE_LISTINGS_MAX)
		return -ENOMEM;
	*l = listing_new();
	rc = c->node->share->ops->list(f, c->node, *l);
	if (rc < 0) {
		listing_free(*l);
		return rc;
	}
	listing_finish(*l);
	h->listing = *l;
	f->listing_bytes += listing_bytes(*l);
	return 0;
}

static int read_dir(struct call *c, bool plus)
{
	const struct fuse_read_in *in = &c->arg.read;
	struct filler w = { c, plus, 0, in->size < c->room ? in->size : c->room, c->node };
	struct listing *l;
	struct handle *h;
	int rc;

	if (w.size > CALL_DATA_MAX)
		w.size = CALL_DATA_MAX;
	if (c->node->share && c->node->folder == NULL)
		return -ENOTDIR;
	if (!put_dots(&w, in->offset))
		return w.at ? (int)w.at : -EINVAL;
	if (c->node->share == NULL) {
		put_shares(&w, in->offset);
		return (int)w.at;
	}
	if (c->node->share->is_union) {
		rc = folder_list(c->f, c->node, &l);
	} else {
		h = call_handle(c, in->fh);
		rc = h ? handle_list(c, h, in->offset == 0, &l) : -EBADF;
	}
	if (rc < 0)
		return rc;
	for (size_t i = listing_after(l, in->offset); i < l->n; i++) {
		if (put_name(&w, l->names + l->v[i].name, &l->v[i]))
			continue;
		return w.at ? (int)w.at : -EINVAL;
	}
	return (int)w.at;
}

int op_readdir(struct call *c)
{
	return read_dir(c, false);
}

int op_readdirplus(struct call *c)
{
	return read_dir(c, true);
}

int op_opendir(struct call *c)
{
	struct fuse_open_out out = { 0 };
	struct handle *h;

	if (c->f->opendir_less)
		return -ENOSYS;
	if (c->node->share && c->node->folder == NULL)
		return -ENOTDIR;
	if (c->f->is_union) {
		out.open_flags = FOPEN_KEEP_CACHE | FOPEN_CACHE_DIR;
	} else if (c->node->share) {
		h = handle_new(c->f, c->node, NULL);
		if (h == NULL)
			return -ENFILE;
		out.fh = h->id;
	}
	return call_put(c, 0, &out, sizeof(out)) < 0 ? -EIO : (int)sizeof(out);
}

int op_releasedir(struct call *c)
{
	return op_release(c);
}

int op_fsyncdir(struct call *c)
{
	int fd, rc;

	if (c->node->share == NULL || c->node->folder == NULL)
		return c->node->share ? -ENOTDIR : 0;
	fd = c->node->share->ops->syncfd(c->f, c->node);
	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	fuse_unlock(c->f);
	rc = fsync(fd) < 0 ? -errno : 0;
	close(fd);
	fuse_lock(c->f);
	return rc;
}
