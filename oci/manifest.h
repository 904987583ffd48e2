/* manifest.h: manifests, indexes and image configs, from bytes to structs. */
#ifndef ZL_OCI_MANIFEST_H
#define ZL_OCI_MANIFEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "oci/digest.h"
#include "runtime/base/err.h"
#include "runtime/base/json.h"

/* The four types that are asked for and understood. */
#define MEDIA_OCI_MANIFEST    "application/vnd.oci.image.manifest.v1+json"
#define MEDIA_OCI_INDEX	      "application/vnd.oci.image.index.v1+json"
#define MEDIA_DOCKER_MANIFEST "application/vnd.docker.distribution.manifest.v2+json"
#define MEDIA_DOCKER_LIST     "application/vnd.docker.distribution.manifest.list.v2+json"
#define MEDIA_OCI_CONFIG      "application/vnd.oci.image.config.v1+json"
#define MEDIA_DOCKER_CONFIG   "application/vnd.docker.container.image.v1+json"
#define MEDIA_OCI_LAYER	      "application/vnd.oci.image.layer.v1.tar"

/* Largest manifest or index, and largest config. */
#define MANIFEST_BYTES_MAX (4u << 20)
#define CONFIG_BYTES_MAX   (8u << 20)
/* Most layers of an image, and most entries of an index. */
#define MANIFEST_LAYERS_MAX 512
#define INDEX_ENTRIES_MAX   4096
/* Deepest chain of indexes that point to indexes. */
#define INDEX_DEPTH_MAX 4
/* Largest single blob that is believed to be one: 1 TiB. */
#define BLOB_BYTES_MAX (UINT64_C(1) << 40)

/* What a manifest says of a blob. */
struct descriptor {
	struct digest digest;
	uint64_t size;
	char *media_type; /* "" if it has none */
};

enum manifest_kind {
	MANIFEST_IMAGE, /* config and layers */
	MANIFEST_INDEX, /* a list of manifests */
};

/* linux/arm64/v8; empty: any. */
struct platform {
	char os[32], arch[32], variant[32];
};

struct index_entry {
	struct descriptor d;
	bool has_platform;
	struct platform platform;
	char *ref_name; /* annotation org.opencontainers.image.ref.name, or NULL */
	char *name;	/* annotation io.containerd.image.name, or NULL */
};

struct manifest {
	enum manifest_kind kind;
	const char *media_type; /* one of the four MEDIA_*, never freed */
	/* MANIFEST_IMAGE: */
	struct descriptor config;
	struct descriptor *layers; /* lowest first */
	size_t nlayers;
	/* MANIFEST_INDEX: */
	struct index_entry *entries;
	size_t nentries;
};

/*
 * Parses any of the four kinds and docker's old schema 1, which is refused by name.
 * content_type: what the server called it, or NULL; what the document says
 * of itself comes first. On failure nothing is left to free.
 */
int manifest_parse(const void *p, size_t n, const char *content_type, struct manifest *out,
		   struct err *e);
void manifest_free(struct manifest *m);
#define own_manifest __attribute__((cleanup(manifest_free)))

/*
 * The index's entry for the platform: an exact match, else the best that runs on
 * it, else, if nothing in the index names a platform, its only entry.
 * NULL: -ENOENT in e, with the platforms there are.
 */
const struct index_entry *manifest_select(const struct manifest *m, const struct platform *want,
					  struct err *e);

/* An image config, as far as the store needs it. */
struct image_config {
	struct js *js; /* all of it */
	struct platform platform;
	int64_t created;	 /* seconds since 1970, 0 if unknown */
	struct digest *diff_ids; /* lowest first */
	size_t ndiff_ids;
};

int image_config_parse(const void *p, size_t n, struct image_config *out, struct err *e);
void image_config_free(struct image_config *c);
#define own_image_config __attribute__((cleanup(image_config_free)))

/* As --platform is written: os[/arch[/variant]], or an architecture alone. NULL: the host's. */
int platform_parse(const char *text, struct platform *out, struct err *e);
/*
 * How well what was made for `have` suits `want`: 0 not at all (another
 * system or processor, or a newer variant), else larger is better.
 */
int platform_rank(const struct platform *want, const struct platform *have);
/* "linux/arm64/v8" into buf (PLATFORM_TEXT_MAX bytes); returns buf. */
#define PLATFORM_TEXT_MAX 100
char *platform_format(char *buf, const struct platform *p);

/* RFC 3339 ("2024-05-01T10:11:12.5Z") to seconds since 1970; false if it is none. */
bool time_parse_rfc3339(const char *text, int64_t *out);

#endif
