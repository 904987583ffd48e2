/* inspect.h: containers and images as docker's inspect shows them. */
#ifndef ZL_CMD_INSPECT_H
#define ZL_CMD_INSPECT_H

#include "oci/image.h"
#include "runtime/base/json.h"
#include "runtime/box/box.h"

/* Owned by the caller. */
struct js *inspect_box(const struct box *b);
/* all: every entry of the store, for RepoTags and RepoDigests. */
struct js *inspect_image(const struct image *i, const struct image_list *all);

#endif
