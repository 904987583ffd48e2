/* node.c: the nodes the guest knows, found by id and by the host's file. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/str.h"
#include "runtime/fuse/engine.h"

#define TABLE_MIN 256

static uint64_t mix(uint64_t x)
{
	x ^= x >> 33;
	x *= 0xff51afd7ed558ccdULL;
	x ^= x >> 33;
	x *= 0xc4ceb9fe1a85ec53ULL;
	return x ^ (x >> 33);
}

static size_t id_slot(const struct node_table *t, uint64_t id)
{
	return mix(id) & (t->size - 1);
}

static size_t host_slot(const struct node_table *t, const struct share *s, uint32_t hdev,
			uint64_t hino)
{
	return mix(hino ^ mix(((uint64_t)(uintptr_t)s << 12) ^ hdev)) & (t->size - 1);
}

static void table_resize(struct node_table *t, size_t size, bool host)
{
	struct node_table to = { xcalloc(size, sizeof(*to.slot)), size, t->n };

	for (size_t i = 0; i < t->size; i++) {
		struct node *n = t->slot[i], *next;

		for (; n; n = next) {
			struct node **at;

			next = host ? n->host_next : n->id_next;
			if (host) {
				at = &to.slot[host_slot(&to, n->share, n->hdev, n->hino)];
				n->host_next = *at;
			} else {
				at = &to.slot[id_slot(&to, n->id)];
				n->id_next = *at;
			}
			*at = n;
		}
	}
	free(t->slot);
	*t = to;
}

/* Grows and shrinks with what is in it: after forgetting, memory is given back. */
static void table_fit(struct node_table *t, bool host)
{
	if (t->n >= t->size)
		table_resize(t, t->size ? t->size * 2 : TABLE_MIN, host);
	else if (t->size > TABLE_MIN && t->n < t->size / 8)
		table_resize(t, t->size / 4, host);
}

static void id_insert(struct fuse *f, struct node *n)
{
	struct node **at;

	table_fit(&f->by_id, false);
	at = &f->by_id.slot[id_slot(&f->by_id, n->id)];
	n->id_next = *at;
	*at = n;
	f->by_id.n++;
}

static void host_insert(struct fuse *f, struct node *n)
{
	struct node **at;

	table_fit(&f->by_host, true);
	at = &f->by_host.slot[host_slot(&f->by_host, n->share, n->hdev, n->hino)];
	n->host_next = *at;
	*at = n;
	f->by_host.n++;
}

static void id_remove(struct fuse *f, struct node *n)
{
	struct node **at = &f->by_id.slot[id_slot(&f->by_id, n->id)];

	while (*at != n)
		at = &(*at)->id_next;
	*at = n->id_next;
	f->by_id.n--;
	table_fit(&f->by_id, false);
}

static void host_remove(struct fuse *f, struct node *n)
{
	struct node **at = &f->by_host.slot[host_slot(&f->by_host, n->share, n->hdev, n->hino)];

	while (*at != n)
		at = &(*at)->host_next;
	*at = n->host_next;
	f->by_host.n--;
	table_fit(&f->by_host, true);
}

struct node *node_by_id(struct fuse *f, uint64_t id)
{
	struct node *n;

	if (f->by_id.size == 0)
		return NULL;
	for (n = f->by_id.slot[id_slot(&f->by_id, id)]; n; n = n->id_next) {
		if (n->id == id)
			return n;
	}
	return NULL;
}

struct node *node_by_host(struct fuse *f, const struct share *s, uint32_t hdev, uint64_t hino,
			  uint64_t birth)
{
	struct node *n;

	if (f->by_host.size == 0)
		return NULL;
	for (n = f->by_host.slot[host_slot(&f->by_host, s, hdev, hino)]; n; n = n->host_next) {
		if (n->share == s && n->hino == hino && n->hdev == hdev && n->birth == birth)
			return n;
	}
	return NULL;
}

struct node *node_new(struct fuse *f, struct share *s, struct node *parent, const char *name,
		      uint32_t type, uint32_t hdev, uint64_t hino, uint64_t birth)
{
	struct node *n;

	if (f->by_id.n >= NODES_MAX)
		return NULL;
	n = xcalloc(1, sizeof(*n));
	n->id = f->next_id++;
	n->share = s;
	n->parent = parent;
	if (parent)
		node_get(parent);
	n->name = name ? xstrdup(name) : NULL;
	n->type = (uint16_t)(type & S_IFMT);
	n->hdev = hdev;
	n->hino = hino;
	n->birth = birth;
	n->refs = 1;
	id_insert(f, n);
	host_insert(f, n);
	return n;
}

void node_get(struct node *n)
{
	n->refs++;
}

/* What a node leaves behind: an orphan's name in the orphan folder. */
static void node_clean(struct fuse *f, struct node *n)
{
	char name[32];

	if (n->place == PLACE_ORPHAN) {
		snprintf(name, sizeof(name), "%llu", (unsigned long long)n->id);
		chore_unlink(f, n->share->orphan_fd, name);
	}
	if (n->place == PLACE_PINNED && n->file)
		file_unpin(f, n);
	else
		file_uncache(f, n);
	if (n->folder)
		folder_free(f, n->folder);
}

void node_put(struct fuse *f, struct node *n)
{
	while (n) {
		struct node *parent = n->parent;

		if (--n->refs > 0 || n->nlookup > 0)
			return;
		node_clean(f, n);
		id_remove(f, n);
		host_remove(f, n);
		free(n->name);
		free(n);
		n = parent;
	}
}

void node_forget(struct fuse *f, struct node *n, uint64_t count)
{
	n->nlookup -= count < n->nlookup ? count : n->nlookup;
	node_get(n);
	node_put(f, n);
}

bool node_is_above(const struct node *up, const struct node *n)
{
	for (; n; n = n->parent) {
		if (n == up)
			return true;
	}
	return false;
}

void node_place(struct fuse *f, struct node *n, struct node *parent, const char *name)
{
	struct node *old = n->parent;

	if (n->name == NULL || strcmp(n->name, name) != 0) {
		char *copy = xstrdup(name);

		free(n->name);
		n->name = copy;
	}
	if (old != parent) {
		node_get(parent);
		n->parent = parent;
		if (old)
			node_put(f, old);
	}
}

void node_rekey(struct fuse *f, struct node *n, uint32_t hdev, uint64_t hino)
{
	host_remove(f, n);
	n->hdev = hdev;
	n->hino = hino;
	host_insert(f, n);
}

/* All at once, in any order: nobody looks at a parent any more. */
void nodes_free(struct fuse *f)
{
	for (size_t i = 0; i < f->by_id.size; i++) {
		struct node *n = f->by_id.slot[i], *next;

		for (; n; n = next) {
			next = n->id_next;
			node_clean(f, n);
			free(n->name);
			free(n);
		}
	}
	free(f->by_id.slot);
	free(f->by_host.slot);
	memset(&f->by_id, 0, sizeof(f->by_id));
	memset(&f->by_host, 0, sizeof(f->by_host));
}
