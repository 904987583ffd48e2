/* store_gc.c: what nothing refers to goes; what the dead left is swept. See store.h. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "oci/manifest.h"
#include "oci/store_impl.h"
#include "runtime/base/fd.h"
#include "runtime/base/own.h"

/* Largest lease that is read: about a million pins. */
#define LEASE_BYTES_MAX (64u << 20)

int each_name(int fd, int (*fn)(void *arg, const char *name, struct err *e), void *arg,
	      struct err *e)
{
	int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	own_dir DIR *d = copy < 0 ? NULL : fdopendir(copy);
	struct dirent *de;
	int rc = 0;

	if (d == NULL) {
		rc = err_sys(e, "read a folder of the store");
		if (copy >= 0)
			close(copy);
		return rc;
	}
	while (rc == 0 && (de = readdir(d))) {
		if (de->d_name[0] != '.')
			rc = fn(arg, de->d_name, e);
	}
	return rc;
}

/* ---- leases ---- */

struct lease_walk {
	struct store *s;
	struct pins *marks;
};

static void mark_lines(struct pins *marks, const char *p, size_t n)
{
	for (; n >= PIN_LINE_LEN; p += PIN_LINE_LEN, n -= PIN_LINE_LEN) {
		char hex[DIGEST_HEX_LEN + 1];
		struct digest d;

		memcpy(hex, p + 1, DIGEST_HEX_LEN);
		hex[DIGEST_HEX_LEN] = 0;
		if (digest_parse_hex(hex, &d))
			pins_add(marks, p[0], &d);
	}
}

static int mark_lease(void *arg, const char *name, struct err *e)
{
	struct lease_walk *w = arg;
	own_str struct str text = STR_INIT;
	own_fd int fd = -1;
	int rc;

	if (!str_starts(name, "lease-") || strcmp(name, w->s->lease) == 0)
		return 0;
	fd = openat(w->s->tmpfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return errno == ENOENT ? 0 : err_sys(e, "open %s/tmp/%s", w->s->root, name);
	if (fd_lock(fd, LOCK_EX | LOCK_NB) == 0) {
		unlinkat(w->s->tmpfd, name, 0); /* its process is gone */
		return 0;
	}
	rc = file_read(w->s->tmpfd, name, LEASE_BYTES_MAX, &text, e);
	if (rc < 0)
		return rc == -ENOENT ? 0 : rc;
	mark_lines(w->marks, text.s, text.len);
	return 0;
}

/* ---- containers ---- */

static int mark_refs(struct store *s, struct pins *marks, struct err *e)
{
	own_strv struct strv refs = STRV_INIT;
	int rc;

	if (s->refs == NULL)
		return 0;
	rc = s->refs(s->refs_arg, &refs, e);
	if (rc < 0)
		return rc;
	for (size_t i = 0; i < refs.n; i++) {
		const char *slash = strrchr(refs.v[i], '/');
		struct digest d;

		if (slash && digest_parse_hex(slash + 1, &d))
			pins_add(marks, PIN_LAYER, &d);
		else if (!slash && digest_parse(refs.v[i], &d, NULL) == 0)
			pins_add(marks, PIN_BLOB, &d);
	}
	return 0;
}

/* ---- index.json ---- */

static int mark_config(struct store *s, struct pins *marks, const struct digest *d, struct err *e)
{
	own_image_config struct image_config c = { 0 };
	own_str struct str text = STR_INIT;
	int rc;

	pins_add(marks, PIN_BLOB, d);
	rc = store_blob_read(s, d, CONFIG_BYTES_MAX, &text, e);
	if (rc == 0)
		rc = image_config_parse(text.s, text.len, &c, e);
	if (rc < 0)
		return rc;
	for (size_t i = 0; i < c.ndiff_ids; i++)
		pins_add(marks, PIN_LAYER, &c.diff_ids[i]);
	return 0;
}

static int mark_manifest(struct store *s, struct pins *marks, const struct digest *d,
			 const char *media_type, unsigned depth, struct err *e)
{
	own_str struct str text = STR_INIT;
	struct manifest m;
	int rc;

	pins_add(marks, PIN_BLOB, d);
	rc = store_blob_read(s, d, MANIFEST_BYTES_MAX, &text, e);
	if (rc == 0)
		rc = manifest_parse(text.s, text.len, media_type, &m, e);
	if (rc < 0)
		return rc;
	for (size_t i = 0; i < m.nlayers; i++)
		pins_add(marks, PIN_BLOB, &m.layers[i].digest);
	if (m.kind == MANIFEST_IMAGE)
		rc = mark_config(s, marks, &m.config.digest, e);
	for (size_t i = 0; rc >= 0 && depth < INDEX_DEPTH_MAX && i < m.nentries; i++) {
		rc = mark_manifest(s, marks, &m.entries[i].d.digest, m.entries[i].d.media_type,
				   depth + 1, e);
		if (rc == -ENOENT) /* an index may list what is not here */
			rc = 0;
	}
	manifest_free(&m);
	return rc;
}

/*
 * What is missing or damaged in one image is no reason to keep the garbage of
 * all others; but an error of the disk's is one to touch nothing.
 */
static bool only_broken(int rc)
{
	return rc == -ENOENT || rc == -EBADMSG || rc == -EINVAL || rc == -EFBIG;
}

static int mark_index(struct store *s, struct pins *marks, struct err *e)
{
	own_store_images struct store_images l = { 0 };
	int rc = store_images_read(s, &l, e);

	for (size_t i = 0; rc == 0 && i < l.n; i++) {
		const struct store_image *im = &l.v[i];

		pins_add(marks, PIN_BLOB, &im->source);
		if (im->known) { /* even where the manifest is gone */
			rc = mark_config(s, marks, &im->id, e);
			if (only_broken(rc))
				rc = 0;
		}
		if (rc == 0)
			rc = mark_manifest(s, marks, &im->manifest, im->media_type, 0, e);
		if (only_broken(rc))
			rc = 0;
	}
	return rc;
}

/* ---- removal ---- */

struct removal {
	struct store *s;
	const struct pins *marks;
	struct store_gc_stats *stats;
	struct strv *removed;
	char trash[TMP_NAME_MAX];
	int trashfd; /* -1: there is none yet */
};

static int trash_open(struct removal *r, struct err *e)
{
	struct store *s = r->s;
	bool made;

	tmp_name(r->trash, "trash", NULL);
	made = mkdirat(s->tmpfd, r->trash, 0700) == 0;
	/* A folder takes room too; there is more of it in a moment. */
	if (!made && (errno == ENOSPC || errno == EDQUOT) && reserve_release(s))
		made = mkdirat(s->tmpfd, r->trash, 0700) == 0;
	if (!made)
		return err_sys(e, "create folder %s/tmp/%s", s->root, r->trash);
	r->trashfd = openat(s->tmpfd, r->trash, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (r->trashfd < 0)
		return err_sys(e, "open %s/tmp/%s", s->root, r->trash);
	fd_lock(r->trashfd, LOCK_EX | LOCK_NB); /* says to sweepers that we see to it */
	return 0;
}

static int throw_away(struct removal *r, int fd, char kind, const char *name, struct err *e)
{
	char to[TMP_NAME_MAX];
	int rc = r->trashfd < 0 ? trash_open(r, e) : 0;

	if (rc < 0)
		return rc;
	snprintf(to, sizeof(to), "%c-%.80s", kind, name);
	if (renameat(fd, name, r->trashfd, to) == 0 || errno == ENOENT)
		return 0;
	if ((errno != ENOSPC && errno != EDQUOT) || !reserve_release(r->s) ||
	    renameat(fd, name, r->trashfd, to) < 0)
		return err_sys(e, "remove %.80s from the store %s", name, r->s->root);
	return 0;
}

/* Deletes what was thrown away. */
static int trash_empty(struct removal *r, int rc, struct err *e)
{
	int gone;

	if (r->trashfd < 0)
		return rc;
	gone = dir_remove_all(r->s->tmpfd, r->trash, rc < 0 ? NULL : e);
	close(r->trashfd);
	return rc < 0 ? rc : gone;
}

int store_throw_away(struct store *s, char kind, const char *name, struct err *e)
{
	struct removal r = { .s = s, .trashfd = -1 };
	int rc = store_lock(s, LOCK_EX, e);

	if (rc < 0)
		return rc;
	rc = throw_away(&r, kind == PIN_BLOB ? s->blobsfd : s->layersfd, kind, name, e);
	store_unlock(s);
	return trash_empty(&r, rc, e);
}

static int visit_blob(void *arg, const char *name, struct err *e)
{
	struct removal *r = arg;
	struct digest d;
	struct stat st;

	if (!digest_parse_hex(name, &d) || pins_marked(r->marks, PIN_BLOB, &d))
		return 0;
	if (fstatat(r->s->blobsfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
		r->stats->bytes += (uint64_t)st.st_size;
	r->stats->blobs++;
	return throw_away(r, r->s->blobsfd, PIN_BLOB, name, e);
}

static int visit_layer(void *arg, const char *name, struct err *e)
{
	struct removal *r = arg;
	struct digest d;

	if (!digest_parse_hex(name, &d) || pins_marked(r->marks, PIN_LAYER, &d))
		return 0;
	r->stats->bytes += layer_size_get(r->s->layersfd, name);
	r->stats->layers++;
	if (r->removed)
		strv_addf(r->removed, "sha256:%s", name);
	return throw_away(r, r->s->layersfd, PIN_LAYER, name, e);
}

/* Leases first: see store.h. */
static int mark_all(struct store *s, struct pins *marks, struct err *e)
{
	struct lease_walk w = { s, marks };
	int rc = each_name(s->tmpfd, mark_lease, &w, e);

	if (rc == 0)
		rc = mark_refs(s, marks, e);
	if (rc == 0)
		rc = mark_index(s, marks, e);
	if (rc == 0)
		pins_sort(marks);
	return rc;
}

/* Where it was given to a full disk. */
static void reserve_restore(struct store *s)
{
	own_str struct str text = STR_INIT;

	if (faccessat(s->rootfd, STORE_RESERVE, F_OK, 0) == 0 || store_lock(s, LOCK_EX, NULL) < 0)
		return;
	if (file_read(s->rootfd, STORE_INDEX, INDEX_BYTES_MAX, &text, NULL) == 0)
		reserve_fill(s, text.s, text.len);
	store_unlock(s);
}

int store_gc(struct store *s, struct store_gc_stats *stats, struct strv *removed, struct err *e)
{
	struct store_gc_stats unused;
	struct pins marks = { 0 };
	struct removal r = { s, &marks, stats ? stats : &unused, removed, "", -1 };
	int rc;

	*r.stats = (struct store_gc_stats){ 0 };
	rc = store_lock(s, LOCK_EX, e);
	if (rc < 0)
		return rc;
	rc = mark_all(s, &marks, e);
	if (rc == 0)
		rc = each_name(s->blobsfd, visit_blob, &r, e);
	if (rc == 0 && s->refs)
		rc = each_name(s->layersfd, visit_layer, &r, e);
	store_unlock(s);
	pins_free(&marks);
	rc = trash_empty(&r, rc, e);
	reserve_restore(s);
	store_sweep(s, STORE_PART_KEEP_S);
	return rc;
}

/* ---- sweeping ---- */

struct sweep {
	struct store *s;
	int64_t max_age_s;
};

/* Opens and locks tmp/<name> if nobody else has it; -1 if somebody has. */
static int lock_left(struct store *s, const char *name, int how)
{
	int fd = openat(s->tmpfd, name, how | O_CLOEXEC | O_NOFOLLOW, 0600);
	struct stat locked, named;

	if (fd < 0)
		return -1;
	if (fd_lock(fd, LOCK_EX | LOCK_NB) == 0 && fstat(fd, &locked) == 0 &&
	    fstatat(s->tmpfd, name, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
	    locked.st_ino == named.st_ino)
		return fd;
	close(fd);
	return -1;
}

static void sweep_file(const struct sweep *w, const char *name, int64_t max_age_s)
{
	own_fd int fd = lock_left(w->s, name, O_RDWR);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return;
	/* A clock that was set back must not keep it for ever: the future is old, too. */
	if (max_age_s && time(NULL) - st.st_mtime < max_age_s && st.st_mtime <= time(NULL))
		return;
	unlinkat(w->s->tmpfd, name, 0);
}

/* Locked under the store's lock, since a new one is created before it is locked (trash_open). */
static void sweep_trash(const struct sweep *w, const char *name)
{
	own_fd int fd = -1;

	if (store_lock(w->s, LOCK_EX, NULL) < 0)
		return;
	fd = lock_left(w->s, name, O_RDONLY | O_DIRECTORY);
	store_unlock(w->s);
	if (fd >= 0)
		dir_remove_all(w->s->tmpfd, name, NULL);
}

/* A layer's tree or its lock: whichever is left, under the lock. */
static void sweep_layer(const struct sweep *w, const char *name)
{
	char tree[TMP_NAME_MAX], lock[TMP_NAME_MAX];
	size_t len = strlen(name);
	own_fd int fd = -1;

	if (len >= TMP_NAME_MAX - 8)
		return;
	if (str_ends(name, ".lock"))
		len -= strlen(".lock");
	snprintf(tree, sizeof(tree), "%.*s", (int)len, name);
	snprintf(lock, sizeof(lock), "%.80s.lock", tree);
	fd = lock_left(w->s, lock, O_RDWR | O_CREAT);
	if (fd < 0)
		return;
	dir_remove_all(w->s->tmpfd, tree, NULL);
	unlinkat(w->s->tmpfd, lock, 0);
}

/* Under the store's lock, since a new lease is created before it is locked (lease_open). */
static void sweep_lease(const struct sweep *w, const char *name)
{
	if (store_lock(w->s, LOCK_EX, NULL) < 0)
		return;
	if (strcmp(name, w->s->lease) != 0)
		sweep_file(w, name, 0);
	store_unlock(w->s);
}

static int sweep_one(void *arg, const char *name, struct err *e)
{
	const struct sweep *w = arg;

	(void)e;
	if (str_starts(name, "blob-"))
		sweep_file(w, name, w->max_age_s);
	else if (str_starts(name, "index-")) /* make_layout's, of a moment */
		sweep_file(w, name, STORE_PART_KEEP_S);
	else if (str_starts(name, "layer-"))
		sweep_layer(w, name);
	else if (str_starts(name, "lease-"))
		sweep_lease(w, name);
	else if (str_starts(name, "trash-"))
		sweep_trash(w, name);
	return 0;
}

void store_sweep(struct store *s, int64_t max_age_s)
{
	struct sweep w = { s, max_age_s };

	each_name(s->tmpfd, sweep_one, &w, NULL);
}
