/* entry.h: one entry of a tree of files on its way into an archive. */
#ifndef ZL_BASE_ENTRY_H
#define ZL_BASE_ENTRY_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "runtime/base/err.h"

struct entry_xattr {
	const char *name;
	const void *value;
	size_t len;
};

enum entry_kind {
	ENTRY_FILE,	/* a file of any type */
	ENTRY_WHITEOUT, /* hides `path` in the layers below; only path counts */
	ENTRY_OPAQUE,	/* hides all that the layers below have in the folder `path` */
};

/*
 * Everything is lent for the time of one call. Trees are told from the top: a folder
 * comes before what is in it, a file before the further names of it.
 */
struct entry {
	enum entry_kind kind;
	const char *path; /* bytes, without a leading slash; "" for the root */
	uint32_t mode;	  /* type and all twelve permission bits */
	uint32_t uid, gid;
	uint32_t major, minor; /* of devices */
	uint64_t size;	       /* of regular files */
	struct timespec mtime;
	const char *target; /* of symlinks */
	const char *link;   /* the entry is one more name of the file at this path; or NULL */
	int fd;		    /* a regular file's content, from its start; else -1 */
	const struct entry_xattr *xattrs;
	size_t nxattrs;
};

/* What a walk calls for each entry; negative ends it. */
typedef int entry_fn(void *arg, const struct entry *x, struct err *e);

#endif
