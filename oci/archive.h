/* archive.h: images out of one tar: docker-archive and OCI layout. */
#ifndef ZL_OCI_ARCHIVE_H
#define ZL_OCI_ARCHIVE_H

#include "oci/image.h"
#include "oci/unpack.h"

/* Most members of an image archive, and most images in it. */
#define ARCHIVE_MEMBERS_MAX 100000
#define ARCHIVE_IMAGES_MAX  10000

/* image_load (image.h) from any source of bytes. */
int archive_load(struct store *s, unpack_read_fn *read, void *arg, const char *platform,
		 struct strv *loaded, struct err *e);

#endif
