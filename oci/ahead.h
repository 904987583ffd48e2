/* ahead.h: unpacking and hashing a layer's bytes, some blocks ahead of who uses them. */
#ifndef ZL_OCI_AHEAD_H
#define ZL_OCI_AHEAD_H

#include <stdbool.h>
#include <sys/types.h>

#include "oci/unpack.h"

/*
 * The reader is called, and its bytes are expanded (expand.h) and hashed, on
 * a thread of its own as soon as there is more than one block and more than
 * one processor.
 */
struct ahead;

/* hash: whether the diff id is wanted. */
struct ahead *ahead_new(unpack_read_fn *read, void *arg, const struct unpack_limits *limits,
			bool hash);
/* The next plain bytes, valid until the next call; 0 at the end. */
ssize_t ahead_next(struct ahead *a, const void **buf, struct err *e);
/*
 * Ends the thread, after a call of the reader's that it may be in, and frees
 * a. res (may be NULL, and is where not all was read) gets diff_id, packed and bytes. NULL is
 * allowed.
 */
void ahead_finish(struct ahead *a, struct unpack_result *res);

#endif
