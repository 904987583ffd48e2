/* store.h: the store inside: blobs, unpacked layers, index.json, locks, garbage. */
#ifndef ZL_OCI_STORE_H
#define ZL_OCI_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "oci/digest.h"
#include "oci/image.h"
#include "runtime/base/err.h"
#include "runtime/base/str.h"

/*
 * Theory of operation
 *
 * Names below the root that are not a person's business:
 *
 *	lock			the store's lock, see below
 *	tmp/blob-<hex>		a blob on its way; flocked by its writer
 *	tmp/layer-<hex>/	a layer on its way, and
 *	tmp/layer-<hex>.lock	its writer's lock (<hex>: the diff id, or random where it is not
 *known) tmp/lease-<random>	what a living store handle uses; flocked by it tmp/trash-<random>/
 *what was removed and is being deleted
 *
 * Nothing in blobs/ and layers/ is ever changed: it comes by rename, whole
 * and verified, and goes by rename into a trash folder. A lock is a flock, so
 * that it ends with its process, however that ends.
 *
 * Locks, in the order in which they are taken:
 *
 *  1. of a blob (its file in tmp/), held while it is fetched,
 *  2. of a layer (its .lock in tmp/), held while it is unpacked,
 *  3. the store's lock, held for moments only, never while anything is
 *     fetched, unpacked or deleted: exclusive to change index.json and to
 *     collect garbage, shared to pin.
 *
 * Whoever has taken 1 or 2 for one digest and waits for another blob's lock
 * in the same thread can deadlock against another zl that does the reverse:
 * finish or abort one before beginning the next, or begin with STORE_NOWAIT.
 *
 * What keeps the collector away from what is in use: every handle has a
 * lease, a file in which it notes each digest it counts on, under the shared
 * lock and before it looks whether the blob or layer is there ("pinning").
 * Writers pin what they make, image_find pins what it hands out. Leases end
 * with store_close or with the process. By then what shall stay must be
 * reachable from index.json or from a container. store_gc holds the lock
 * exclusively while it reads first the leases, then the containers'
 * references, then index.json, and renames all that it has not met into the
 * trash; so whoever moves a reference from his lease to a container or to
 * index.json is seen in at least one of the two.
 *
 * What a killed process leaves in tmp/ is swept by the next gc or writer, as
 * soon as its lock can be had; a part of a blob is kept for STORE_PART_KEEP_S,
 * since a pull can continue it.
 */

/* Flags of the begin functions. */
#define STORE_NOWAIT (1U << 0) /* -EAGAIN instead of waiting for another's lock */

/* How long parts of blobs of dead writers are worth keeping. */
#define STORE_PART_KEEP_S (24 * 60 * 60)

/* Called once, before waiting for another process that makes the same blob or layer. */
struct store_wait {
	void (*waiting)(void *arg, const struct digest *d);
	void *arg;
};

/* The functions below may be called by several threads, but one writer by one thread at a time. */

/* ---- blobs ---- */

/* Whether it is there (with that size; UINT64_MAX: any); pins it. */
bool store_blob_has(struct store *s, const struct digest *d, uint64_t size);
/* For reading; -ENOENT. The content is as trustworthy as the disk. */
int store_blob_open(struct store *s, const struct digest *d, int *fd, uint64_t *size,
		    struct err *e);
/* A whole small blob (manifest, config), digest verified; -EFBIG past max. */
int store_blob_read(struct store *s, const struct digest *d, size_t max, struct str *out,
		    struct err *e);
/* Adds a small blob; *d is its digest. 0 also where it was there. Pins it. */
int store_blob_put(struct store *s, const void *data, size_t n, struct digest *d, struct err *e);

/* A blob being written. */
struct blob_writer;

/*
 * Begins a blob of that digest and size (UINT64_MAX: not known). Returns 1,
 * and no writer, if it is there already (perhaps after waiting for another
 * process); 0 with *w if it has to be fetched. Where an earlier writer was
 * killed, *w already has a part: see blob_writer_have. Pins it.
 * d NULL: a blob whose digest is not known yet; nobody is waited for.
 */
int store_blob_begin(struct store *s, const struct digest *d, uint64_t size, unsigned flags,
		     const struct store_wait *wait, struct blob_writer **w, struct err *e);
/* Bytes it has, from the start; more are appended. */
uint64_t blob_writer_have(const struct blob_writer *w);
/* Forgets them (the server does not send ranges, or the digest came out wrong). */
int blob_writer_restart(struct blob_writer *w, struct err *e);
/* Reads back what it has: up to n bytes from off, for an unpacker that has to see the start too. */
ssize_t blob_writer_pread(struct blob_writer *w, void *buf, size_t n, uint64_t off);
/* Appends; -EFBIG past the size that was given. */
int blob_writer_add(struct blob_writer *w, const void *p, size_t n, struct err *e);
/*
 * Verifies size and digest, and makes it visible. *d (may be NULL) is the
 * digest. Frees w in any case. -EBADMSG where it is not what was promised:
 * then its bytes are gone.
 */
int blob_writer_commit(struct blob_writer *w, struct digest *d, struct err *e);
/* Frees w. What it has stays for a later continuation if `keep`. */
void blob_writer_abort(struct blob_writer *w, bool keep);

/* ---- layers ---- */

/* Its folder; owned by the caller. Says nothing of whether it is there. */
char *store_layer_path(struct store *s, const struct digest *diff_id);
/* Whether it is there, unpacked and whole; pins it. *size (may be NULL): the bytes of its files. */
bool store_layer_has(struct store *s, const struct digest *diff_id, uint64_t *size);

/* A layer being unpacked. */
struct layer_writer;

/*
 * As store_blob_begin: 1 if it is there, 0 with an empty folder to fill.
 * diff_id NULL: not known yet. -EOPNOTSUPP where the file system has no user
 * xattrs; e then names the way out.
 */
int store_layer_begin(struct store *s, const struct digest *diff_id, unsigned flags,
		      const struct store_wait *wait, struct layer_writer **w, struct err *e);
/* The folder's descriptor; w's own. */
int layer_writer_dir(const struct layer_writer *w);
/*
 * Makes it visible under diff_id, which must be what was begun (-EBADMSG; then it is removed).
 * size: the bytes of its files, for store_layer_has. Frees w in any case.
 */
int layer_writer_commit(struct layer_writer *w, const struct digest *diff_id, uint64_t size,
			struct err *e);
/* Removes it and frees w. */
void layer_writer_abort(struct layer_writer *w);

/* ---- index.json ---- */

/* One entry of index.json: a name (or none) for a manifest, and what a listing wants to know. */
struct store_image {
	char *name;		/* full (ref_full), or NULL: untagged */
	char *media_type;	/* of the manifest */
	struct digest manifest; /* the image manifest: a blob of the store */
	uint64_t manifest_size;
	struct digest source; /* what the registry calls it: manifest's digest, or its index's */
	struct digest id;     /* of the config */
	uint64_t size;	      /* bytes of all layers, unpacked */
	int64_t created;      /* seconds since 1970 */
	int64_t tagged;	      /* nanoseconds since 1970: when a user gave it this name; 0: never */
	char *platform;	      /* "linux/arm64/v8" */
	/*
	 * False for entries that others (skopeo, umoci) put there: then only
	 * name, media_type, manifest and manifest_size are known.
	 */
	bool known;
	struct js *foreign; /* such an entry as it stands, so that nothing of it is lost; or NULL */
};

struct store_images {
	struct store_image *v;
	size_t n, cap;
};

void store_image_free(struct store_image *i); /* what it holds, not i itself */
void store_image_copy(struct store_image *to, const struct store_image *from);
void store_images_free(struct store_images *l);
#define own_store_images __attribute__((cleanup(store_images_free)))

/* The entries as of now; needs no lock, reads one file. */
int store_images_read(struct store *s, struct store_images *out, struct err *e);
/* The entry of that full name, or NULL. */
struct store_image *store_images_find(struct store_images *l, const char *name);
/*
 * Adds a copy of an entry. Its name, if it has one, is taken from whoever had it: that
 * entry stays, untagged, where it is its image's last one. An image (the same
 * manifest, or the same id) that has a name has no untagged entry.
 */
void store_images_put(struct store_images *l, const struct store_image *i);
/* Takes entry i away, without a trace. */
void store_images_drop(struct store_images *l, size_t i);
/*
 * Changes index.json: reads it under the lock, calls fn, and where that
 * returns 1 writes it (0: nothing to write; negative: an error, nothing is
 * written). fn may call nothing of the store but the store_images functions.
 */
typedef int store_edit_fn(void *arg, struct store_images *l, struct err *e);
int store_images_edit(struct store *s, store_edit_fn *fn, void *arg, struct err *e);
/* The usual edit: store_images_put. Everything it needs must be in the store, pinned. */
int store_image_add(struct store *s, const struct store_image *i, struct err *e);

/* Pins (see above): after it, what is there stays until store_close. */
int store_pin_blob(struct store *s, const struct digest *d, struct err *e);
int store_pin_layer(struct store *s, const struct digest *diff_id, struct err *e);

/* ---- garbage ---- */

struct store_gc_stats {
	uint64_t blobs, layers;
	uint64_t bytes; /* of blobs, and of layers' files */
};

/*
 * Removes every blob and layer that neither index.json nor a living handle
 * (this one's own pins do not count: call it when done) nor a container
 * (store_set_refs) refers to, and sweeps tmp/. Without store_set_refs layers
 * are left alone. `removed` (may be NULL) gets "sha256:<hex>" of each layer removed.
 */
int store_gc(struct store *s, struct store_gc_stats *stats, struct strv *removed, struct err *e);

/* Sweeps tmp/ only: what no living process holds; parts of blobs older than max_age_s. */
void store_sweep(struct store *s, int64_t max_age_s);

#endif
