/* gzip.h: packing the layers that zl itself makes. */
#ifndef ZL_OCI_GZIP_H
#define ZL_OCI_GZIP_H

#include <stddef.h>

#include "oci/tar_out.h"
#include "runtime/base/err.h"

/* A stream to gzip (RFC 1952), packed bytes go to write. */
struct gzip;

struct gzip *gzip_new(tar_write_fn *write, void *arg);
void gzip_free(struct gzip *g);
int gzip_add(struct gzip *g, const void *p, size_t n, struct err *e);
/* After the last byte. */
int gzip_end(struct gzip *g, struct err *e);

#endif
