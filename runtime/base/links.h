/* links.h: files with several names, told apart while a tree of files is walked. */
#ifndef ZL_BASE_LINKS_H
#define ZL_BASE_LINKS_H

#include <stddef.h>
#include <stdint.h>

struct links_slot {
	uint64_t dev, ino;
	char *path;
};

/* Zeroed: empty. */
struct links {
	struct links_slot *slot; /* a hash table; size is a power of two */
	size_t n, size;
};

/* The path this file was met under first; NULL: it is the first time, and `path` is remembered. */
const char *links_first(struct links *l, uint64_t dev, uint64_t ino, const char *path);
void links_free(struct links *l);

#endif
