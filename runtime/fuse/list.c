/* list.c: a folder's names, merged over its parts, in an order that outlives changes. */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/str.h"
#include "runtime/fuse/engine.h"

/*
 * Entries are ordered by a hash of their name, and the hash is the cookie a
 * READDIR goes on from: it means the same however the folder changed in
 * between, and whether or not the list was thrown away and read again. Equal
 * hashes get the next free numbers.
 */

/* Bytes of one folder's names; larger folders cannot be listed. */
#define LISTING_NAMES_MAX (256U << 20)
#define GETDENTS_BUF	  (32U << 10)

struct listing *listing_new(void)
{
	return xcalloc(1, sizeof(struct listing));
}

void listing_free(struct listing *l)
{
	if (l == NULL)
		return;
	free(l->v);
	free(l->names);
	free(l);
}

size_t listing_bytes(const struct listing *l)
{
	return sizeof(*l) + l->cap * sizeof(l->v[0]) + l->names_cap;
}

/* FNV-1a, then folded so that it is a positive number of a file offset's width. */
static uint64_t name_hash(const char *name)
{
	uint64_t h = 0xcbf29ce484222325ULL;

	for (; *name; name++)
		h = (h ^ (uint8_t)*name) * 0x100000001b3ULL;
	h ^= h >> 32;
	h = h * 0x9e3779b97f4a7c15ULL >> 2;
	return h < LIST_COOKIE_FIRST ? LIST_COOKIE_FIRST : h;
}

void listing_add(struct listing *l, const char *name, uint16_t rank)
{
	size_t len = strlen(name) + 1;

	if (l->n == l->cap) {
		l->cap = l->cap ? l->cap * 2 : 16;
		l->v = xrealloc(l->v, l->cap * sizeof(l->v[0]));
	}
	if (l->names_cap - l->names_len < len) {
		l->names_cap = l->names_cap ? l->names_cap * 2 : 256;
		if (l->names_cap - l->names_len < len)
			l->names_cap = l->names_len + len;
		l->names = xrealloc(l->names, l->names_cap);
	}
	memcpy(l->names + l->names_len, name, len);
	l->v[l->n++] = (struct list_entry){
		.cookie = name_hash(name),
		.name = (uint32_t)l->names_len,
		.rank = rank,
	};
	l->names_len += len;
}

int listing_read(struct listing *l, int fd, uint16_t rank)
{
	_Alignas(struct dirent64) char buf[GETDENTS_BUF];
	ssize_t got;

	if (lseek(fd, 0, SEEK_SET) < 0)
		return -errno;
	while ((got = getdents64(fd, buf, sizeof(buf))) > 0) {
		for (char *p = buf; p < buf + got;) {
			const struct dirent64 *de = (const struct dirent64 *)p;

			p += de->d_reclen;
			if (strcmp(de->d_name, ".") == 0 || strcmp(de->d_name, "..") == 0)
				continue;
			listing_add(l, de->d_name, rank);
		}
		if (l->names_len > LISTING_NAMES_MAX)
			return -ENOMEM;
	}
	return got < 0 ? -errno : 0;
}

static int by_cookie(const void *a, const void *b, void *names)
{
	const struct list_entry *x = a, *y = b;
	int c;

	if (x->cookie != y->cookie)
		return x->cookie < y->cookie ? -1 : 1;
	c = strcmp((char *)names + x->name, (char *)names + y->name);
	if (c)
		return c;
	return (int)x->rank - (int)y->rank;
}

void listing_finish(struct listing *l)
{
	size_t to = 0;

	if (l->n == 0)
		return;
	qsort_r(l->v, l->n, sizeof(l->v[0]), by_cookie, l->names);
	for (size_t i = 0; i < l->n; i++) {
		if (to && strcmp(l->names + l->v[to - 1].name, l->names + l->v[i].name) == 0)
			continue;
		l->v[to++] = l->v[i];
	}
	l->n = to;
	for (size_t i = 1; i < l->n; i++) {
		if (l->v[i].cookie <= l->v[i - 1].cookie)
			l->v[i].cookie = l->v[i - 1].cookie + 1;
	}
}

size_t listing_after(const struct listing *l, uint64_t after)
{
	size_t lo = 0, hi = l->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (l->v[mid].cookie > after)
			hi = mid;
		else
			lo = mid + 1;
	}
	return lo;
}

static struct list_entry *entry_of(const struct listing *l, const char *name)
{
	uint64_t h = name_hash(name);

	for (size_t i = listing_after(l, h - 1); i < l->n; i++) {
		if (strcmp(l->names + l->v[i].name, name) == 0)
			return &l->v[i];
		/* of equal hashes each has a number of its own, without gaps */
		if (i > 0 && l->v[i].cookie > h && l->v[i].cookie != l->v[i - 1].cookie + 1)
			break;
	}
	return NULL;
}

void listing_remove(struct listing *l, const char *name)
{
	struct list_entry *le = entry_of(l, name);

	if (le)
		le->dead = 1;
}

void listing_rank(struct listing *l, const char *name, uint16_t rank)
{
	struct list_entry *le = entry_of(l, name);

	if (le)
		le->rank = rank;
}
