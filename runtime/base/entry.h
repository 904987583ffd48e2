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
	/*
	 * With fd -1 a regular file's content in pieces, in order: 1 at the end. *off is where in
	 * the file the piece belongs. NULL: it has none.
	 */
	int (*next)(void *arg, const void **p, size_t *n, int64_t *off, struct err *e);
	void *next_arg;
	const struct entry_xattr *xattrs;
	size_t nxattrs;
};

/* What a walk calls for each entry; negative ends it. */
typedef int entry_fn(void *arg, const struct entry *x, struct err *e);

/*
 * Hands a regular file's content to put, piece by piece, at most ENTRY_PIECE_MAX bytes each; holes
 * are passed over. No piece is beyond the entry's size; a file that has become shorter has less.
 */
#define ENTRY_PIECE_MAX (256U << 10)
typedef int entry_put_fn(void *arg, const void *p, size_t n, uint64_t off, struct err *e);
int entry_data(const struct entry *x, entry_put_fn *put, void *arg, struct err *e);
/* The same into a file of ours that is empty, which gets the entry's size. */
int entry_data_to_fd(const struct entry *x, int fd, struct err *e);

#endif
