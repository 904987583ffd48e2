/* image.h: the one door to images: pull, load, find, list, tag, remove. */
#ifndef ZL_OCI_IMAGE_H
#define ZL_OCI_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "runtime/base/entry.h"
#include "runtime/base/err.h"
#include "runtime/base/json.h"
#include "runtime/base/str.h"

/*
 * The store lies below zl's root folder (--root) and is an OCI image layout
 * (image-spec, image-layout.md) with the unpacked layers beside it:
 *
 *	oci-layout  index.json		the images and their names
 *	blobs/sha256/<hex>		manifests, configs, compressed layers
 *	layers/<hex of diff id>/	each layer unpacked once (base/layer.h)
 *	tmp/				what is being made; swept when nobody holds it
 *
 * Blobs and layers appear by rename only, complete and verified. Several zl
 * processes use one store at the same time: index.json changes under a lock,
 * a pull of something another process is pulling waits for it and says so.
 */
struct store;

/* Makes the folders where they are missing (0700). root: absolute path. */
struct store *store_open(const char *root, struct err *e);
void store_close(struct store *s);

/*
 * Containers use layers too, and blobs: fn appends the absolute path of each
 * layer, and the "sha256:<hex>" of each config, that a container needs. It is asked whenever the
 * store is about to remove something, under the store's lock: it must not call
 * the store. As long as no fn is set, layers are never removed. A container is
 * made while the store it found its image in is open; that is what keeps its
 * layers until fn can see it.
 */
typedef int store_refs_fn(void *arg, struct strv *refs, struct err *e);
void store_set_refs(struct store *s, store_refs_fn *fn, void *arg);

/* One image as the store knows it; owned, freed by image_free. */
struct image {
	char id[72];	   /* "sha256:<hex>" of the config: docker's image id */
	char digest[72];   /* "sha256:<hex>" of the manifest (or of the index it came from) */
	char *name;	   /* "docker.io/library/busybox:1.36" of this entry, or NULL (untagged) */
	char manifest[72]; /* "sha256:<hex>" of the manifest that is here */
	char *media_type;  /* the manifest's */
	uint64_t manifest_size;
	struct js *config;  /* the image's config, parsed; image-spec config.md */
	struct strv layers; /* absolute paths of unpacked layers, topmost first */
	uint64_t size;	    /* bytes of all layers unpacked, as docker's SIZE */
	int64_t created;    /* seconds since 1970; 0 if unknown */
	int64_t tagged;	    /* nanoseconds since 1970: when a user gave it this name; 0: never */
};

void image_free(struct image *i);
void image_free_(struct image **i);
#define own_image __attribute__((cleanup(image_free_)))

/* --pull, for run and create; `zl pull` is ALWAYS. */
enum pull_policy {
	PULL_MISSING,
	PULL_ALWAYS,
	PULL_NEVER,
	PULL_NEWER, /* as ALWAYS, but an unreachable registry is no error when the image is here */
};

struct pull_options {
	enum pull_policy policy;
	const char *platform; /* "linux/arm64", NULL: the host's */
	bool quiet;	      /* no progress */
	int progress_fd;      /* where progress goes; 0: stderr */
	bool *asked;	      /* set when a registry was asked; may be NULL */
};

/*
 * Makes sure the image of this name (any of docker's spellings, with tag or
 * digest, or an id where nothing has to be pulled) is in the store,
 * unpacked, and returns it. Progress goes to stderr unless quiet. Errors
 * name the image, the host and the reason.
 */
struct image *image_pull(struct store *s, const char *name, const struct pull_options *o,
			 struct err *e);

/*
 * For signal handlers: makes the image_pull or image_push that runs, and later ones, end soon
 * with -ECANCELED, having cleaned up.
 */
void image_cancel(void);

/* By name in any spelling, id or unambiguous id prefix (with or without sha256:). -ENOENT. */
struct image *image_find(struct store *s, const char *name, struct err *e);

/* -ENOENT in docker's words where the image is not made for the platform; NULL: any will do. */
int image_platform_check(const struct image *i, const char *name, const char *platform,
			 struct err *e);

/*
 * All entries, newest first; an image with two names is two entries. So that a
 * listing opens one file only, they come without config and layers (NULL, empty):
 * image_find has them.
 */
struct image_list {
	struct image **v;
	size_t n;
};
int image_list(struct store *s, struct image_list *out, struct err *e);
void image_list_free(struct image_list *l);

/*
 * Reads images from a docker-archive or OCI-layout tar on fd (plain, gzip,
 * zstd, xz, bzip2; need not be seekable). Appends what was loaded: names, or
 * ids where there is none.
 */
int image_load(struct store *s, int fd, const char *platform, struct strv *loaded, struct err *e);

/*
 * Writes images to fd (need not be seekable), each once with all the names that were asked for:
 * one tar that is a docker-archive and an OCI layout. A name without a tag stands
 * for all of its tags, an id for an image without name. platform: as in image_load.
 */
int image_save(struct store *s, const struct strv *names, const char *platform, int fd,
	       struct err *e);

int image_tag(struct store *s, const char *name, const char *new_name, struct err *e);

/*
 * Removes a name, and the image with it when that was its last one (or by
 * id: all its names, if one only or `force`). `in_use` is asked for image
 * ids before anything goes (by containers; cmd/ knows), under the store's lock: it must not
 * call the store. Appends docker's lines to `report`: "Untagged: ...", "Deleted: sha256:...".
 */
typedef bool image_in_use_fn(void *arg, const char *image_id, const char **by);
int image_remove(struct store *s, const char *name, bool force, image_in_use_fn *in_use, void *arg,
		 struct strv *report, struct err *e);

/* The config of the image with this id ("sha256:<hex>"); owned by the caller. */
struct js *image_config(struct store *s, const char *id, struct err *e);
/* Bytes of the files of a layer, by its path in struct image. */
uint64_t image_layer_size(struct store *s, const char *layer);

/* What one image takes on the disk: blobs and unpacked layers. */
struct image_disk {
	char id[72];
	bool active;	 /* in_use said so */
	uint64_t size;	 /* all of it */
	uint64_t shared; /* of that, what other images need too */
};

struct image_usage {
	struct image_disk *v; /* each image once */
	size_t n;
	uint64_t total;	 /* of the store, with what no image needs (any more) */
	uint64_t active; /* of that, what images in use need */
};

int image_usage(struct store *s, image_in_use_fn *in_use, void *arg, struct image_usage *out,
		struct err *e);
void image_usage_free(struct image_usage *u);

/*
 * Removes each entry that `goes` (asked under the store's lock, with the
 * image's config, maybe NULL, and no layers) and then everything that nothing refers
 * to. report: as image_remove's; *bytes: what that gave back.
 */
typedef bool image_goes_fn(void *arg, const struct image *i);
int image_prune(struct store *s, image_goes_fn *goes, void *arg, struct strv *report,
		uint64_t *bytes, struct err *e);

/* What image_check found. */
struct image_check {
	uint64_t images, blobs, layers; /* looked at */
	struct strv faults;		/* a sentence each, and what was done about it */
	uint64_t left;			/* of them not mended */
};

struct image_check_options {
	bool repair; /* takes away what is wrong, so that the next pull fetches it */
	/* Appends the layers of running containers, which are not replaced; may be NULL. */
	store_refs_fn *running;
	void *arg;
};

/*
 * Proves the whole store: each blob by its digest, each layer by unpacking its blob aside and
 * comparing, each name by all that its image is made of. Others may use the store meanwhile.
 */
int image_check(struct store *s, const struct image_check_options *o, struct image_check *out,
		struct err *e);
void image_check_free(struct image_check *c);

/*
 * Making images: a layer is begun, given entries or else an archive, and becomes an image.
 * image_layer_free in any case.
 */
struct image_layer;
struct image_layer *image_layer_begin(struct store *s, struct err *e);
void image_layer_free(struct image_layer *l);
/* An entry_fn (base/entry.h); arg is a struct image_layer. */
int image_layer_add(void *layer, const struct entry *x, struct err *e);
/* The bytes of a tar archive, plain or packed as image_load takes them. */
int image_layer_write(struct image_layer *l, const void *p, size_t n, struct err *e);
/* The same, fetched from http(s). */
int image_layer_fetch(struct image_layer *l, const char *url, struct err *e);

struct image_new {
	const char *parent;	 /* id of the image it is a layer more of; NULL: none */
	const struct js *config; /* what the image says of running it (config.md, "config") */
	const char *author, *comment, *created_by; /* NULL or "": not said */
	const char *name;			   /* NULL: none */
	const char *platform;			   /* without a parent; NULL: the host's */
};

/* id: "sha256:<hex>" of the new image. */
int image_make(struct image_layer *l, const struct image_new *n, char id[72], struct err *e);

/* Entries as a tar archive to fd. image_tar_end frees it; rc: how the adding went. */
struct image_tar;
struct image_tar *image_tar_new(int fd);
int image_tar_add(void *tar, const struct entry *x, struct err *e); /* an entry_fn */
int image_tar_end(struct image_tar *t, int rc, struct err *e);

/*
 * The reverse: the entries of a tar archive read from fd, plain or packed as image_load takes them,
 * to its end. Names that lead upwards are refused.
 */
int image_untar(int fd, entry_fn *fn, void *arg, struct err *e);

/* docker's short spelling for people: "busybox:1.36" for docker.io/library/busybox:1.36. */
char *image_name_familiar(const char *name);
/* The full name, "docker.io/library/busybox:latest", or without the tag; NULL: malformed. Owned. */
char *image_name_full(const char *name, bool tag);
/* Repository and tag of a full name in docker's short spelling, each owned by the caller. */
void image_name_split(const char *name, char **repository, char **tag);
/* Whether name is a well-formed reference. */
int image_name_check(const char *name, struct err *e);

/* The image built into the executable (`zl run hello`): loads it if `name` is its name. */
extern const unsigned char image_embedded[], image_embedded_end[];

#endif
