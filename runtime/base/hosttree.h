/* hosttree.h: files of the host's own as entries: told from a folder, made in a folder. */
#ifndef ZL_BASE_HOSTTREE_H
#define ZL_BASE_HOSTTREE_H

#include <stdbool.h>

#include "runtime/base/entry.h"

/*
 * Tells fn what is at `path`, as x->path "", and all below it, names in order. No symlink is
 * followed. owners: as they are; else all is root's. Sockets are left out.
 */
int host_walk(const char *path, bool owners, entry_fn *fn, void *arg, struct err *e);

/*
 * Makes entries, which may come from a hostile tree, below a folder: no name leads out of it, no
 * symlink that is there (or comes with them) is followed, no device is made. As docker
 * unpacks what it copies: a folder that is there stays, anything else is replaced, neither becomes
 * the other. owners: as they are (and setuid bits with them); else the caller's.
 */
struct host_sink;
struct host_sink *host_sink_new(const char *folder, bool owners, struct err *e);
int host_sink_add(void *sink, const struct entry *x, struct err *e); /* an entry_fn */
/* Sets the folders' times; frees it, in any case. rc: how it went so far, and what is returned. */
int host_sink_end(struct host_sink *s, int rc, struct err *e);

#endif
