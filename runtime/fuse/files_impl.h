/* files_impl.h: what the files of files.h share. */
#ifndef ZL_FUSE_FILES_IMPL_H
#define ZL_FUSE_FILES_IMPL_H

#include "runtime/base/str.h"
#include "runtime/fuse/engine.h"
#include "runtime/fuse/files.h"

/*
 * Theory of operation.
 *
 * Two engines, as unions and binds do not go into one: of the root, and of all mounts. Nobody
 * but us calls them, so their locks are held for the length of a call of files.h,
 * and let go between names, which is when descriptors of folders are given back.
 *
 * A path is walked one component after the other, as the kernel would do it. What
 * was passed is remembered as text, without links; a mount is known by that text.
 */

/* As the kernel's own limit. */
#define FILES_LINKS_MAX 40
/* Deepest nesting of folders. */
#define FILES_DEPTH_MAX 1024

struct files_mnt {
	char *path; /* "/a/b", without links */
	struct node *n;
};

/* A folder's time, to be set when nothing more is made in it. */
struct files_time {
	char *path;
	struct timespec mtime;
};

struct files {
	struct fuse *root, *binds; /* binds NULL: there is no mount */
	struct files_mnt *mnt;
	unsigned nmnt;
	struct node *last; /* the folder that was added to last, ... */
	char *last_path;   /* ... its path as it was given, ... */
	char *last_real;   /* ... and without links */
	struct files_time *times;
	size_t ntimes;
};

/* Where a path leads. */
struct files_place {
	struct node *dir; /* of the last component; NULL: the root, or missing */
	struct node *n;	  /* NULL: nothing is there */
	struct attr a;	  /* of n */
	struct str path;  /* without links; "" is the root */
};

void files_lock(struct files *v);
void files_unlock(struct files *v);
struct fuse *files_engine(const struct files *v, const struct node *n);
/* The name's node in the folder at `path`, with a reference; path becomes the child's. -ENOENT. */
int files_child(struct files *v, struct node *dir, struct str *path, const char *name,
		struct node **n, struct attr *a);
bool files_is_mount(const struct files *v, const char *path);
/* Under the lock; what it returns belongs to place_drop. A missing name is no error: p->n NULL. */
int files_find(struct files *v, const char *path, bool follow, struct files_place *p);
void place_drop(struct files *v, struct files_place *p);
/* The link's target, to be freed; NULL with *rc. */
char *files_target(struct files *v, struct node *n, int *rc);
/* Makes a folder (file: an empty file) at the path, and what is missing above it. */
int files_make_all(struct files *v, const char *path, bool file);

#endif
