/* copy_path.h: which file becomes which in a copy: docker's rules for cp's two paths. */
#ifndef ZL_CMD_COPY_PATH_H
#define ZL_CMD_COPY_PATH_H

#include <stdbool.h>

#include "runtime/base/err.h"

/*
 * A path's end says what is meant: "dir" is the folder itself, "dir/." what is in it, "x/" a
 * folder in any case. Paths are absolute and cleaned here, but for such an end.
 */
struct copy_end {
	const char *path;
	const char *name; /* of a source: what the copy is called; "": only what is in it */
	bool exists, folder;
};

/* The path absolute, on the host and in a container; to be freed. */
char *copy_local(const char *path);
char *copy_inside(const char *path);
/* The last component; "" for the root and for "."; to be freed. */
char *copy_base(const char *path);
/* A link was followed to *real: which gets the link's end, and the copy the link's name. */
void copy_rebase(const char *path, char **real, char **name);

/* Looks at a source and at a destination on the host. path, name, real: to be freed. */
int copy_local_source(const char *typed, bool follow, char **path, char **name,
		      struct copy_end *src, struct err *e);
int copy_local_dest(const char *typed, char **real, struct copy_end *dst, struct err *e);
/* What docker refuses to write into. */
int copy_output_check(const char *path, struct err *e);

/* The folder the copy is put into, and its name there ("": its content); to be freed. */
int copy_plan(const struct copy_end *src, const struct copy_end *dst, char **dir, char **as,
	      struct err *e);

#endif
