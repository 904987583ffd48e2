/* members.h: the files of an image archive, put into the store as they come. */
#ifndef ZL_OCI_MEMBERS_H
#define ZL_OCI_MEMBERS_H

#include <stddef.h>
#include <stdint.h>

#include "oci/store.h"
#include "oci/unpack.h"

/* Longest name of a member, and of a link's target. */
#define MEMBER_NAME_MAX 512
/* Links followed from one member to another. */
#define MEMBER_LINKS_MAX 8
/* Largest manifest.json and index.json. */
#define MEMBER_JSON_MAX (16u << 20)

struct member {
	char *name;
	char *link; /* the member it stands for, or NULL */
	struct digest digest;
	uint64_t size;
	size_t seq; /* of several with one name the last counts */
};

/*
 * The archive is read once, from front to back, so what a member is for is
 * not known when it comes: all that may be a config or a layer becomes a blob of
 * the store, pinned; what in the end nothing refers to is left to the collector.
 */
struct members {
	struct member *v; /* sorted by name */
	size_t n, cap;
	struct str manifest; /* manifest.json of docker-archive; s NULL: there is none */
	struct str index;    /* index.json of an OCI layout; s NULL: there is none */
};

int members_read(struct store *s, unpack_read_fn *read, void *arg, struct members *out,
		 struct err *e);
void members_free(struct members *m);
/* By the name other members know it by, links followed; NULL: there is none. */
const struct member *members_find(const struct members *m, const char *name);

#endif
