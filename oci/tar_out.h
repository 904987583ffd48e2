/* tar_out.h: writing a tar archive: entries of a tree, or files from memory and blobs. */
#ifndef ZL_OCI_TAR_OUT_H
#define ZL_OCI_TAR_OUT_H

#include <stddef.h>
#include <stdint.h>

#include "runtime/base/entry.h"
#include "runtime/base/err.h"

/*
 * POSIX pax archives (IEEE 1003.1, pax, "ustar Interchange Format" and "pax Extended
 * Header"), with an extended header only where an entry needs one, so that the same
 * tree always gives the same bytes whatever library reads it. Names are written as the bytes they
 * are; extended attributes as "SCHILY.xattr.NAME"; times in whole seconds, as docker's
 * archives have them. Sockets have no place in an archive and are passed over.
 */
struct tar_out;

/* Takes the archive's bytes, in order. */
typedef int tar_write_fn(void *arg, const void *p, size_t n, struct err *e);

struct tar_out *tar_out_new(tar_write_fn *write, void *arg);
void tar_out_free(struct tar_out *t);
void tar_out_free_(struct tar_out **t);
#define own_tar_out __attribute__((cleanup(tar_out_free_)))

/* An entry_fn, content and all; arg is a struct tar_out. A file that became shorter is filled up.
 */
int tar_out_entry(void *tar, const struct entry *x, struct err *e);
/* A regular file or (ending in a slash) folder of root's, of the time 0; size bytes follow. */
int tar_out_begin(struct tar_out *t, const char *name, uint64_t size, struct err *e);
int tar_out_data(struct tar_out *t, const void *p, size_t n, struct err *e);
/* After the last byte of a file. */
int tar_out_pad(struct tar_out *t, struct err *e);
/* All of a small file. */
int tar_out_text(struct tar_out *t, const char *name, const char *text, struct err *e);
/* The end mark; everything has been written then. */
int tar_out_end(struct tar_out *t, struct err *e);

#endif
