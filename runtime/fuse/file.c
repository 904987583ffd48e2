/* file.c: descriptors of files: a bounded cache, those kept for nodes without a name, handles. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/str.h"
#include "runtime/fuse/engine.h"

#define HANDLES_FIRST 64

struct ofile *ofile_new(int fd, bool writable)
{
	struct ofile *o = xcalloc(1, sizeof(*o));

	atomic_init(&o->refs, 1);
	o->fd = fd;
	o->writable = writable;
	link_init(&o->lru);
	return o;
}

struct ofile *ofile_get(struct ofile *o)
{
	atomic_fetch_add(&o->refs, 1);
	return o;
}

void ofile_put(struct ofile *o)
{
	if (o == NULL || atomic_fetch_sub(&o->refs, 1) != 1)
		return;
	if (o->fd >= 0)
		close(o->fd);
	free(o);
}

void file_uncache(struct fuse *f, struct node *n)
{
	struct ofile *o = n->file;

	if (o == NULL || n->place == PLACE_PINNED)
		return;
	n->file = NULL;
	o->node = NULL;
	link_del(&o->lru);
	f->nfiles--;
	ofile_put(o);
}

void file_cache(struct fuse *f, struct node *n, struct ofile *o)
{
	if (n->place == PLACE_PINNED) {
		ofile_put(o);
		return;
	}
	file_uncache(f, n);
	n->file = o;
	o->node = n;
	link_front(&f->files, &o->lru);
	f->nfiles++;
	while (f->nfiles > f->max_files) {
		struct ofile *last = container(f->files.prev, struct ofile, lru);

		if (last == o)
			break;
		file_uncache(f, last->node);
	}
}

struct ofile *file_cached(struct fuse *f, struct node *n)
{
	struct ofile *o = n->file;

	if (o == NULL)
		return NULL;
	if (link_listed(&o->lru))
		link_front(&f->files, &o->lru);
	return ofile_get(o);
}

int file_pin(struct fuse *f, struct node *n, struct ofile *o)
{
	if (f->npins >= f->max_pins) {
		ofile_put(o);
		return -ENFILE;
	}
	file_uncache(f, n);
	n->place = PLACE_PINNED;
	n->file = o;
	f->npins++;
	return 0;
}

/* The last close of a removed file frees its blocks: not under the lock. */
void file_unpin(struct fuse *f, struct node *n)
{
	struct ofile *o = n->file;

	n->file = NULL;
	n->place = PLACE_LOST;
	f->npins--;
	if (atomic_load(&o->refs) == 1) {
		chore_close(f, o->fd);
		o->fd = -1;
	}
	ofile_put(o);
}

static bool handles_grow(struct fuse *f)
{
	struct handle_table *t = &f->handles;
	uint32_t size = t->size ? t->size * 2 : HANDLES_FIRST;

	if (size > f->max_handles)
		size = f->max_handles;
	if (size <= t->size)
		return false;
	t->slot = xrealloc(t->slot, size * sizeof(*t->slot));
	t->gen = xrealloc(t->gen, size * sizeof(*t->gen));
	for (uint32_t i = t->size; i < size; i++) {
		t->slot[i] = NULL;
		t->gen[i] = 0;
	}
	t->hint = t->size;
	t->size = size;
	return true;
}

struct handle *handle_new(struct fuse *f, struct node *n, struct ofile *o)
{
	struct handle_table *t = &f->handles;
	struct handle *h;
	uint32_t i;

	if (t->used == t->size && !handles_grow(f)) {
		ofile_put(o);
		return NULL;
	}
	for (i = t->hint; t->slot[i]; i = (i + 1) % t->size)
		;
	t->hint = (i + 1) % t->size;
	h = xcalloc(1, sizeof(*h));
	t->gen[i]++;
	h->id = ((uint64_t)t->gen[i] << 32) | (i + 1);
	h->node = n;
	node_get(n);
	h->file = o;
	h->next = n->handles;
	n->handles = h;
	t->slot[i] = h;
	t->used++;
	return h;
}

struct handle *handle_find(struct fuse *f, uint64_t id)
{
	uint32_t i = (uint32_t)id - 1;

	if ((uint32_t)id == 0 || i >= f->handles.size || f->handles.slot[i] == NULL ||
	    f->handles.slot[i]->id != id)
		return NULL;
	return f->handles.slot[i];
}

void handle_free(struct fuse *f, struct handle *h)
{
	struct handle **at = &h->node->handles;

	while (*at != h)
		at = &(*at)->next;
	*at = h->next;
	f->handles.slot[(uint32_t)h->id - 1] = NULL;
	f->handles.used--;
	if (h->file && atomic_load(&h->file->refs) == 1) {
		chore_close(f, h->file->fd);
		h->file->fd = -1;
	}
	ofile_put(h->file);
	if (h->listing) {
		f->listing_bytes -= listing_bytes(h->listing);
		listing_free(h->listing);
	}
	node_put(f, h->node);
	free(h);
}

void handles_free(struct fuse *f)
{
	for (uint32_t i = 0; i < f->handles.size; i++) {
		if (f->handles.slot[i])
			handle_free(f, f->handles.slot[i]);
	}
	free(f->handles.slot);
	free(f->handles.gen);
	memset(&f->handles, 0, sizeof(f->handles));
}
