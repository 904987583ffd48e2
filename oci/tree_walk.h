/* tree_walk.h: from folder to folder below a root, one descriptor at a time. */
#ifndef ZL_OCI_TREE_WALK_H
#define ZL_OCI_TREE_WALK_H

#include <stdbool.h>
#include <stddef.h>

#include "oci/unpack.h"
#include "runtime/base/err.h"

/*
 * Descriptors that are kept for the first folders of a path; deeper, only the
 * last one's is.
 */
#define WALK_FDS 24

struct walk_level {
	int fd;	    /* -1: not kept */
	size_t len; /* of the path up to here */
};

/*
 * A walk stands in a folder, whose path from the root has no symlinks in it,
 * and remembers the way: the next entry of an archive is mostly in the same
 * folder or near it.
 */
struct walk {
	int rootfd; /* the caller's */
	unsigned depth;
	size_t len;
	char path[UNPACK_PATH_MAX + 2];
	struct walk_level levels[UNPACK_DEPTH_MAX + 1];
};

/*
 * A path as an archive has it, without leading and doubled slashes and "."
 * components: "" for the root. out holds UNPACK_PATH_MAX + 1. -EBADMSG for ".." and for
 * what is too long.
 */
int path_clean(const char *path, char *out, struct err *e);

void walk_init(struct walk *w, int rootfd);
void walk_free(struct walk *w);
/* Back to the root, forgetting descriptors: folders may have been removed. */
void walk_reset(struct walk *w);
/* The folder's descriptor; the walk's own, until it moves. */
int walk_fd(struct walk *w);
/*
 * To the folder of a clean path (len bytes), following symlinks below the root. Missing
 * folders are made with `make` (as implied ones), else -ENOENT.
 */
int walk_to(struct walk *w, const char *path, size_t len, bool make, struct err *e);
/* Into a folder that is there, no symlink. */
int walk_down(struct walk *w, const char *name, struct err *e);
/* Whether the name is this layer's whiteout. */
bool walk_is_whiteout(int dirfd, const char *name);

#endif
