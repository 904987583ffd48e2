/* remote.h: the other door: what is done with registries but for pulling. */
#ifndef ZL_OCI_REMOTE_H
#define ZL_OCI_REMOTE_H

#include <stdbool.h>
#include <stdint.h>

#include "oci/image.h"
#include "runtime/base/err.h"
#include "runtime/base/json.h"

struct push_options {
	const char *platform; /* NULL: what the image is */
	bool all_tags;	      /* every tag of the repository that is here */
	bool quiet;	      /* no progress */
	int progress_fd;
};

/*
 * Pushes an image under its name, the manifest by the exact bytes the store has. image_cancel ends
 * it. Errors name the image, the host and the reason.
 */
int image_push(struct store *s, const char *name, const struct push_options *o, struct err *e);

#endif
