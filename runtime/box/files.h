/* files.h: a container's files from outside, running or not: for cp and diff. */
#ifndef ZL_BOX_FILES_H
#define ZL_BOX_FILES_H

#include "runtime/base/entry.h"
#include "runtime/box/box.h"

/*
 * The tree as the container sees it, its bind mounts and volumes included, but not
 * what is in its machine's memory (tmpfs, /proc, /sys, /dev). What is written into a
 * running container is made by a task within it, so that its caches know; into
 * one that does not run, on the host, and its lock is held meanwhile: nobody starts or removes it.
 */
struct box_files;

/* A running one has written out what it had before this returns. */
struct box_files *box_files_open(const struct box_dirs *d, struct box *b, struct err *e);
void box_files_close(struct box_files *f);

/* As files_stat and files_walk (fuse/files.h). */
int box_files_stat(struct box_files *f, const char *path, bool follow, struct entry *x, char **real,
		   struct err *e);
int box_files_walk(struct box_files *f, const char *path, entry_fn *fn, void *arg, struct err *e);

/* What a path belongs to; or -errno. */
enum {
	BOX_FILES_ROOT,	     /* the container's own files */
	BOX_FILES_MOUNT,     /* a bind mount or volume ... */
	BOX_FILES_READ_ONLY, /* ... that the container may not write to */
};
int box_files_region(struct box_files *f, const char *path, struct err *e);

/* Entries are to be put below the folder dir; then an entry_fn for each (files_add); then the end.
 */
int box_files_begin(struct box_files *f, const char *dir, struct err *e);
int box_files_add(void *files, const struct entry *x, struct err *e);
int box_files_end(struct box_files *f, struct err *e);

/*
 * What the container changed, told in the order of paths: kind as docker's ("A", "C", "D"), path
 * absolute.
 */
typedef int box_change_fn(void *arg, char kind, const char *path, struct err *e);
int box_diff(const struct box_dirs *d, struct box *b, box_change_fn *fn, void *arg, struct err *e);

#endif
