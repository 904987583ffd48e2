/* files.h: a tree of files from the host's side: found, told and changed without a guest. */
#ifndef ZL_FUSE_FILES_H
#define ZL_FUSE_FILES_H

#include <stdbool.h>

#include "runtime/base/entry.h"

/*
 * A tree is a root, a union of layers and upper or else a folder of the host's as a bind shows it
 * (fuse.h), with more folders mounted in it. Paths are those of the tree: symlinks are
 * followed inside of it only, however the host's folders look.
 *
 * Only one may change the same upper: not while a guest runs on it. To look (write: false) is
 * allowed at any time; then nothing at all is written.
 */
struct files;

struct files_mount {
	const char *target; /* absolute in the tree; made where missing (write) */
	const char *dir;    /* the host's folder */
	const char *only;   /* the one entry of it that is mounted; NULL: all of it */
	const char *below;  /* the folder in it that is mounted (fuse.h); NULL: all of it */
	bool read_only;
};

struct files_tree {
	const char *const *layers; /* topmost first */
	unsigned nlayers;
	const char *upper;  /* NULL: none */
	const char *folder; /* in place of layers and upper: a folder as a bind */
	const struct files_mount *mounts;
	unsigned nmounts;
	bool write;
};

struct files *files_open(const struct files_tree *t, struct err *e);
void files_close(struct files *v);

/*
 * What is at `path`; links on the way are followed, the last one with `follow`. Of *x the mode,
 * owner, size and time are set (fd is -1). *real, if it is asked for, is the path without
 * links, to be freed; it is set when there is nothing (-ENOENT), too: where it would be.
 */
int files_stat(struct files *v, const char *path, bool follow, struct entry *x, char **real,
	       struct err *e);
/* Which of the mounts the path lies in; -ENOENT: none, it is the root's. */
int files_mount_of(struct files *v, const char *path, struct err *e);

/*
 * Tells fn what is at `path`, as x->path "", and all below it, names in order, mounts
 * included. The last component's link is not followed.
 */
int files_walk(struct files *v, const char *path, entry_fn *fn, void *arg, struct err *e);

/* The names in a folder, in order. */
typedef int files_name_fn(void *arg, const char *name, struct err *e);
int files_list(struct files *v, const char *path, files_name_fn *fn, void *arg, struct err *e);

/*
 * Makes x at x->path below the folder `dir`. As docker unpacks what it copies: missing folders on
 * the way are made, a folder stays what it is but for owner, mode and time, anything else that
 * is there is replaced, and neither becomes the other. x->link is below `dir`, too.
 */
int files_add(struct files *v, const char *dir, const struct entry *x, struct err *e);
/* After the last one: sets the folders' times. */
int files_finish(struct files *v, struct err *e);

#endif
