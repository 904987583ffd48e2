/* image_impl.h: what the files behind image.h share; nobody else includes it. */
#ifndef ZL_OCI_IMAGE_IMPL_H
#define ZL_OCI_IMAGE_IMPL_H

#include "oci/image.h"
#include "oci/manifest.h"
#include "oci/ref.h"
#include "oci/store.h"

/* Shortest prefix of an id that is taken for one. */
#define IMAGE_ID_PREFIX_MIN 2

/* How an entry was found. */
enum entry_by {
	ENTRY_BY_NAME,
	ENTRY_BY_ID,
};

/*
 * The entry a user means by `name`: a name in any spelling, an id, or an unambiguous prefix of
 * one. -ENOENT with docker's words; -EINVAL where it is ambiguous.
 */
int entry_find(struct store *s, struct store_images *l, const char *name, size_t *at,
	       enum entry_by *by, struct err *e);
/* An image without config and layers. */
struct image *entry_image(const struct store_image *i);
/* An image as image_find hands it out; pins what it is made of. */
struct image *entry_image_whole(struct store *s, const struct store_image *i, struct err *e);
/*
 * The entry's manifest (want chooses where it is an index) and config from the
 * store's blobs, and in the entry all that is known then. The size is that of
 * the compressed layers, until they are unpacked. -ENOENT if a blob is missing.
 */
int entry_learn(struct store *s, struct store_image *i, const struct platform *want,
		struct manifest *m, struct image_config *c, struct err *e);
/* An entry somebody else made gets what a listing needs; false if it is no image of ours. */
bool entry_known(struct store *s, struct store_image *i);
int config_read(struct store *s, const struct digest *id, struct image_config *c, struct err *e);
/* Fills what the config says: id, created, platform. */
void entry_describe(struct store_image *i, const struct digest *id, const struct image_config *c);

/* Now, in nanoseconds since 1970. */
int64_t moment(void);

/* Makes a sentence with foreign words in it fit for a terminal; returns rc. */
int err_clean(struct err *e, int rc);

#endif
