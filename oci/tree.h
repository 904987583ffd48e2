/* tree.h: files below one folder, in layer.h's format, whatever names they are given. */
#ifndef ZL_OCI_TREE_H
#define ZL_OCI_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <time.h>

#include "runtime/base/err.h"
#include "runtime/base/layer.h"

/*
 * Makes a layer's files in the order of an archive, which is hostile. Each
 * function takes a path as the archive has it: bytes; leading slashes, empty
 * and "." components do not count, ".." is refused. Of what is there already, under
 * that path, a folder given again is kept with its content and all else replaced:
 * the last one wins. Missing folders on the way are made and marked
 * as implied (layer.h).
 *
 * Where a path goes through a symlink of the same layer, it is followed as a
 * process with this folder as its root would: an absolute target begins at
 * the folder, ".." ends at it. (Archives of real trees have no such paths;
 * those put together from packages do: "lib" -> "usr/lib", then "lib/x".)
 * Every component is opened without following links, from its parent's
 * descriptor, so there is no way out of the folder.
 *
 * One thread at a time. -EBADMSG: the archive asked for what cannot be.
 */
struct tree;

struct tree_xattr {
	const char *name; /* as the guest sees it */
	const void *value;
	size_t len;
};

struct tree_attr {
	struct layer_stat st;
	struct timespec mtime;
	const struct tree_xattr *xattrs;
	size_t nxattrs;
};

/* rootfd: an empty folder's, kept by the caller. It becomes an implied folder until tree_dir(".").
 */
int tree_new(int rootfd, struct tree **out, struct err *e);
void tree_free(struct tree *t);

int tree_dir(struct tree *t, const char *path, const struct tree_attr *a, struct err *e);
/*
 * A new regular file, open for writing, the caller's; tree_file_end, once it is written, sets its
 * time and closes it.
 */
int tree_file_begin(struct tree *t, const char *path, const struct tree_attr *a, int *fd,
		    struct err *e);
int tree_file_end(struct tree *t, int fd, const struct tree_attr *a, struct err *e);
int tree_symlink(struct tree *t, const char *path, const char *target, const struct tree_attr *a,
		 struct err *e);
/* A fifo, a socket or a device. */
int tree_node(struct tree *t, const char *path, const struct tree_attr *a, struct err *e);
/* A hard link to a path of the same layer that is there already. */
int tree_link(struct tree *t, const char *path, const char *target, struct err *e);
/* Hides what the layers below have at this path; what this layer has there stays. */
int tree_whiteout(struct tree *t, const char *path, struct err *e);
/* Hides all that the layers below have in this folder. */
int tree_opaque(struct tree *t, const char *path, struct err *e);
/* After the last one: sets the folders' times, which making files in them has changed. */
int tree_finish(struct tree *t, struct err *e);

/* A path from an archive in a form that can be shown, shortened; a buffer of TREE_SHOW_MAX. */
#define TREE_SHOW_MAX 160
const char *tree_show(char *buf, const char *path);

#endif
