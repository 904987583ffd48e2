/* ranges.h: a large blob over several connections, where one alone is slow. */
#ifndef ZL_OCI_RANGES_H
#define ZL_OCI_RANGES_H

#include "oci/registry.h"

/* After so many bytes the speed of the first connection is known. */
#define RANGES_TRIAL (UINT64_C(4) << 20)
/* What has to be left for more connections to be worth it. */
#define RANGES_LEFT (UINT64_C(24) << 20)
/* Bytes a second that one connection is content with. */
#define RANGES_FAST (UINT64_C(24) << 20)
/* Connections, and the bytes that each asks for at once; the product is held in memory. */
#define RANGES_CONNECTIONS 4
#define RANGES_BYTES	   (UINT64_C(2) << 20)

/*
 * The blob's bytes from `from` on, in order, each once; body is called by one thread at a time,
 * not always the same. Otherwise as registry_blob.
 */
int ranges_fetch(struct registry *g, const struct digest *d, uint64_t from, uint64_t size,
		 http_body_fn *body, http_retry_fn *retry, void *arg, struct err *e);

#endif
