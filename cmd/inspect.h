/* inspect.h: containers and images as docker's inspect shows them. */
#ifndef ZL_CMD_INSPECT_H
#define ZL_CMD_INSPECT_H

#include <stdint.h>

#include "oci/image.h"
#include "runtime/base/json.h"
#include "runtime/box/box.h"

/* Owned by the caller. root_size: bytes of its image, for the two sizes that -s adds; or NULL. */
struct js *inspect_box(const struct box *b, const uint64_t *root_size);
struct js *inspect_host_config(const struct box *b); /* inspect_host.c */
/* As in some of docker's fields: null for an empty list. */
struct js *strings_or_null(const struct strv *v);
/* all: every entry of the store, for RepoTags and RepoDigests. */
struct js *inspect_image(const struct image *i, const struct image_list *all);

#endif
