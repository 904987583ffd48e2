/* walk.h: a union's files, told one by one: for export and commit. */
#ifndef ZL_FUSE_WALK_H
#define ZL_FUSE_WALK_H

#include <stdbool.h>

#include "runtime/base/entry.h"

/* Deepest nesting of folders. */
#define WALK_DEPTH_MAX 1024

/*
 * Tells fn the tree that layers (topmost first) and upper (NULL: none) make, from the root down,
 * names in order. changes: only what the upper says, as a layer would say it: whiteouts
 * and opaque folders; what lies in a renamed folder is told whole.
 *
 * Nothing is written, so an engine may be at work on the same upper; what
 * appears and vanishes meanwhile is told or not.
 */
int fuse_walk(const char *const *layers, unsigned nlayers, const char *upper, bool changes,
	      entry_fn *fn, void *arg, struct err *e);

#endif
