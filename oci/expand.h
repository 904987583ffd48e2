/* expand.h: packed bytes in, plain bytes out: gzip, zstd, xz, bzip2 or as they are. */
#ifndef ZL_OCI_EXPAND_H
#define ZL_OCI_EXPAND_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "oci/unpack.h"
#include "runtime/base/err.h"

/* Most memory that a decoder may ask for (xz -9 takes 65 MiB, zstd --ultra 128). */
#define EXPAND_MEMORY_MAX (UINT64_C(160) << 20)

struct expand;

/* What it is shows from the first bytes; several streams one after the other are one. */
struct expand *expand_new(unpack_read_fn *read, void *arg, const struct unpack_limits *limits);
void expand_free(struct expand *x);
/*
 * Fills buf with the next n plain bytes: fewer only at the end, then 0. -EBADMSG: damaged or
 * cut short; -EFBIG: beyond a limit; or what the reader said. After an error it is not called
 * again.
 */
ssize_t expand_fill(struct expand *x, void *buf, size_t n, struct err *e);
/* How many bytes went in and came out. */
uint64_t expand_packed(const struct expand *x);
uint64_t expand_bytes(const struct expand *x);

#endif
