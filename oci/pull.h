/* pull.h: an image's layers, fetched and unpacked in one pass, several at once. */
#ifndef ZL_OCI_PULL_H
#define ZL_OCI_PULL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "oci/manifest.h"
#include "oci/progress.h"
#include "oci/registry.h"
#include "oci/store.h"

/* Layers worked on at once: as many as there are processors, within these. */
#define PULL_WORKERS_MIN 3
#define PULL_WORKERS_MAX 8
/* Smallest part of a blob that an interrupted pull leaves for the next one to continue. */
#define PULL_PART_MIN (UINT64_C(4) << 20)
/* Between looks whether another zl is done with a layer. */
#define PULL_WAIT_MS 50

/*
 * While another zl makes a blob or a layer (STORE_NOWAIT): pauses before the
 * next look; -ECANCELED if nobody wants it any more. (flock cannot wait with
 * an end, and the user may want one.)
 */
int pull_pause(const atomic_bool *cancel, struct err *e);

struct pull {
	struct store *s;
	struct registry *g; /* NULL: from the store's own blobs only */
	struct progress *p;
	const struct manifest *m;
	const struct image_config *c;
	atomic_bool *cancel; /* the one g was opened with; set when a layer fails */
	bool *fetched;	     /* set where a blob came from the registry; may be NULL */
};

/*
 * Afterwards every layer of the config is in the store, verified and
 * pinned; *size: the bytes of their files. Without g a blob that is
 * missing is -ENOENT. Layers that are complete stay when others fail.
 */
int pull_layers(const struct pull *pull, uint64_t *size, struct err *e);

#endif
