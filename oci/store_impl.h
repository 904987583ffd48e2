/* store_impl.h: what the store's own files share, and those that go through all of it (save,
 * check). */
#ifndef ZL_OCI_STORE_IMPL_H
#define ZL_OCI_STORE_IMPL_H

#include <pthread.h>
#include <stdbool.h>
#include <sys/types.h>

#include "oci/store.h"

/* What a digest stands for, in leases and among the collector's marks. */
#define PIN_BLOB  'b'
#define PIN_LAYER 'l'
/* A line of a lease: kind, hex digits, newline. */
#define PIN_LINE_LEN (1 + DIGEST_HEX_LEN + 1)

struct pin {
	char kind;
	struct digest d;
};

struct pins {
	struct pin *v;
	size_t n, cap;
};

void pins_add(struct pins *p, char kind, const struct digest *d);
bool pins_have(const struct pins *p, char kind, const struct digest *d);
int pin_cmp(const void *a, const void *b);
/* In the order that pins_marked needs. */
void pins_sort(struct pins *p);
bool pins_marked(const struct pins *p, char kind, const struct digest *d);
void pins_free(struct pins *p);

struct store {
	char *root;
	int rootfd, blobsfd, layersfd, tmpfd;
	int lockfd;	/* -1: a store that we cannot write to */
	int lock_errno; /* why; else it means nothing */
	/* flock is the process's; this is the threads'. Guards all below, too. */
	pthread_mutex_t mutex;
	int leasefd;
	char lease[32]; /* its name in tmp/ */
	pid_t lease_pid;
	struct pins pinned;
	bool swept;
	store_refs_fn *refs;
	void *refs_arg;
};

/* The store's lock, LOCK_SH or LOCK_EX. Nothing below it may wait for anything. */
int store_lock(struct store *s, int how, struct err *e);
void store_unlock(struct store *s);

/* Longest name in tmp/: kind, 64 hex digits, suffix. */
#define TMP_NAME_MAX 96
/* "<kind>-<hex of d>", or with d NULL "<kind>-<16 random bytes in hex>". */
void tmp_name(char *out, const char *kind, const struct digest *d);

/*
 * Opens tmp/<name> for writing, made if missing, and takes its flock. Waits for
 * another holder, after telling; -EAGAIN instead with STORE_NOWAIT. -ESTALE: what was
 * locked is no longer what bears the name (its holder finished): look again.
 */
int tmp_lock(struct store *s, const char *name, unsigned flags, const struct store_wait *wait,
	     const struct digest *d, int *fd, struct err *e);
/* Calls fn with each name in the folder fd, but those that begin with a dot. */
int each_name(int fd, int (*fn)(void *arg, const char *name, struct err *e), void *arg,
	      struct err *e);
/* Once per handle, by writers: sweeps what the dead have left. */
void store_sweep_once(struct store *s);

/* On a layer's own folder: the bytes of its files, decimal. No guest sees it. */
#define XATTR_LAYER_SIZE "user.containers.zl_size"
/* The bytes of an unpacked layer's files, as layer_writer_commit noted them; 0 if unknown. */
uint64_t layer_size_get(int layersfd, const char *hex);

/*
 * Takes blobs/sha256/<name> or layers/<name> (kind) away, whatever it is: into the trash under the
 * lock, then for good.
 */
int store_throw_away(struct store *s, char kind, const char *name, struct err *e);

/*
 * The reserve is a file with room for an index.json more, so that an image can be removed when
 * the disk is full, and holds a copy of index.json, for repair. All three under the lock.
 */
void reserve_fill(struct store *s, const char *index, size_t n);
/* Gives its room to the disk; false if there was none. */
bool reserve_release(struct store *s);
/* The copy of index.json as it was written last, appended; false if there is none. */
bool reserve_copy(struct store *s, struct str *out);
/* Writes index.json anew; under the lock. */
int images_write(struct store *s, const struct store_images *l, struct err *e);
/* The entries of an index.json, from its text. */
int images_parse(const char *text, size_t n, struct store_images *out, struct err *e);
/* The same by the JSON library alone, for what images_parse does not know, and for the tests. */
int images_parse_json(const char *text, size_t n, struct store_images *out, struct err *e);
/* One more entry, empty, at the end. */
struct store_image *images_grow(struct store_images *l);

/* The annotations of an entry: its name twice, as others know it, and what listings want to know.
 */
#define ANN_REF	     "org.opencontainers.image.ref.name"
#define ANN_NAME     "io.containerd.image.name"
#define ANN_ID	     "io.zl.image.id"
#define ANN_SOURCE   "io.zl.image.source"
#define ANN_SIZE     "io.zl.image.size"
#define ANN_CREATED  "io.zl.image.created"
#define ANN_PLATFORM "io.zl.image.platform"
#define ANN_TAGGED   "io.zl.image.tagged"

#define STORE_INDEX   "index.json"
#define STORE_RESERVE "reserve"
/* Largest index.json that is read: about 100,000 entries. */
#define INDEX_BYTES_MAX (64u << 20)
#define STORE_LAYOUT	"{\"imageLayoutVersion\":\"1.0.0\"}"

#endif
