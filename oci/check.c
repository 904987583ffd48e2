/* check.c: image_check: every blob, layer and reference of the store proven, or mended. */
#include "oci/check.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "oci/image_impl.h"
#include "oci/pull.h"
#include "runtime/base/fd.h"
#include "runtime/base/own.h"

/*
 * Theory of operation: a blob is proven by its digest. A layer is proven by unpacking its blob
 * once more, aside, and comparing the two trees. A reference is proven by what it names being
 * there. Everything is read without the store's lock: what goes away meanwhile is no fault.
 *
 * Mending takes away what is wrong, so that the next pull fetches it; a layer is replaced by the
 * one just unpacked; an index.json that cannot be read is made anew from the copy in the reserve
 * (store_impl.h) and from the manifests that are there.
 */

#define READ_BYTES (256u << 10)

struct check {
	struct store *s;
	const struct image_check_options *o;
	struct image_check *out;
	struct pins bad;  /* blobs and layers that are wrong or gone */
	struct strv busy; /* layers of running containers, paths */
};

/* A fault; mended: what was done about it, NULL: nothing. */
static void fault(struct check *c, const char *mended, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static void fault(struct check *c, const char *mended, const char *fmt, ...)
{
	own_str struct str text = STR_INIT;
	va_list ap;

	va_start(ap, fmt);
	str_addv(&text, fmt, ap);
	va_end(ap);
	if (mended)
		str_addf(&text, " (%s)", mended);
	else
		c->out->left++;
	strv_add(&c->out->faults, text.s);
}

/* ---- the layout's own files ---- */

static void check_layout(struct check *c)
{
	own_js struct js *j = js_read(c->s->rootfd, "oci-layout", 4096, NULL);
	bool mended = false;

	if (js_text(js_get(j, "imageLayoutVersion")))
		return;
	if (c->o->repair)
		mended = file_write_atomic(c->s->rootfd, "oci-layout", STORE_LAYOUT,
					   strlen(STORE_LAYOUT), 0644, true, NULL) == 0;
	fault(c, mended ? "written anew" : NULL, "oci-layout is missing or damaged");
}

/* A manifest of an image whose config is here; then it is an image. */
static bool is_manifest(struct store *s, const char *name, struct store_image *i)
{
	own_image_config struct image_config c = { 0 };
	own_manifest struct manifest m = { 0 };
	struct platform host;
	struct stat st;

	*i = (struct store_image){ 0 };
	if (!digest_parse_hex(name, &i->manifest) ||
	    fstatat(s->blobsfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
	    (uint64_t)st.st_size > MANIFEST_BYTES_MAX)
		return false;
	i->manifest_size = (uint64_t)st.st_size;
	i->source = i->manifest;
	i->media_type = xstrdup(MEDIA_OCI_MANIFEST);
	platform_parse(NULL, &host, NULL);
	if (entry_learn(s, i, &host, &m, &c, NULL) == 0)
		return true;
	store_image_free(i);
	return false;
}

struct salvage {
	struct store *s;
	struct store_images *l;
};

static int salvage_one(void *arg, const char *name, struct err *e)
{
	struct salvage *v = arg;
	struct store_image i;

	(void)e;
	if (is_manifest(v->s, name, &i)) {
		store_images_put(v->l, &i);
		store_image_free(&i);
	}
	return 0;
}

static int remake_index(struct check *c, struct err *e)
{
	own_store_images struct store_images l = { 0 };
	own_str struct str text = STR_INIT;
	struct salvage v = { c->s, &l };
	int rc;

	rc = store_lock(c->s, LOCK_EX, e);
	if (rc < 0)
		return rc;
	if (!reserve_copy(c->s, &text) || images_parse(text.s, text.len, &l, NULL) < 0)
		rc = each_name(c->s->blobsfd, salvage_one, &v, e);
	if (rc == 0)
		rc = images_write(c->s, &l, e);
	store_unlock(c->s);
	return rc;
}

static int read_index(struct check *c, struct store_images *l, struct err *e)
{
	struct err why = ERR_INIT;
	int rc = store_images_read(c->s, l, &why);

	if (rc == 0 && faccessat(c->s->rootfd, STORE_INDEX, F_OK, 0) < 0)
		rc = err_set(&why, EBADMSG, "index.json is missing");
	if (rc == 0)
		return 0;
	if (!c->o->repair) {
		fault(c, NULL, "%s", why.msg);
		return 0;
	}
	rc = remake_index(c, e);
	fault(c, rc == 0 ? "made anew" : NULL, "%s", why.msg);
	return rc == 0 ? store_images_read(c->s, l, e) : rc;
}

/* ---- blobs ---- */

static void mark_bad(struct check *c, char kind, const struct digest *d)
{
	pins_add(&c->bad, kind, d);
}

/* Takes it away, if that is wished; what was done. */
static const char *drop(struct check *c, char kind, const char *name)
{
	return c->o->repair && store_throw_away(c->s, kind, name, NULL) == 0 ? "removed" : NULL;
}

static int hash_file(int fd, struct digest *out)
{
	own_digest struct digest_stream *sum = digest_begin();
	own_free char *buf = xmalloc(READ_BYTES);
	ssize_t n;

	while ((n = fd_read_full(fd, buf, READ_BYTES)) > 0)
		digest_add(sum, buf, (size_t)n);
	digest_end(sum, out);
	return (int)n;
}

static int check_blob(void *arg, const char *name, struct err *e)
{
	struct check *c = arg;
	struct digest want, got;
	own_fd int fd = -1;
	int rc;

	(void)e;
	if (!digest_parse_hex(name, &want)) {
		fault(c, drop(c, PIN_BLOB, name), "blobs/sha256/%.80s does not belong there", name);
		return 0;
	}
	fd = openat(c->s->blobsfd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT)
		return 0;
	c->out->blobs++;
	rc = fd < 0 ? -errno : hash_file(fd, &got);
	if (rc == 0 && digest_equal(&got, &want))
		return 0;
	mark_bad(c, PIN_BLOB, &want);
	if (rc < 0)
		fault(c, drop(c, PIN_BLOB, name), "blob sha256:%s cannot be read: %s", name,
		      strerror(-rc));
	else
		fault(c, drop(c, PIN_BLOB, name), "blob sha256:%s is damaged", name);
	return 0;
}

/* ---- layers ---- */

static int stray_layer(void *arg, const char *name, struct err *e)
{
	struct check *c = arg;
	struct digest d;
	struct stat st;

	(void)e;
	if (fstatat(c->s->layersfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return 0;
	if (!digest_parse_hex(name, &d) || !S_ISDIR(st.st_mode))
		fault(c, drop(c, PIN_LAYER, name), "layers/%.80s does not belong there", name);
	return 0;
}

static bool is_busy(const struct check *c, const char *hex)
{
	for (size_t i = 0; i < c->busy.n; i++)
		if (str_ends(c->busy.v[i], hex))
			return true;
	return false;
}

/* In place of the wrong one; what was done. Uses w up. */
static const char *replace_layer(struct check *c, struct layer_writer *w, const struct digest *d,
				 uint64_t size, bool there)
{
	char hex[DIGEST_HEX_LEN + 1];

	digest_hex(hex, d);
	if (!c->o->repair || is_busy(c, hex) ||
	    (there && store_throw_away(c->s, PIN_LAYER, hex, NULL) < 0)) {
		layer_writer_abort(w);
		return NULL;
	}
	return layer_writer_commit(w, d, size, NULL) == 0 ? "unpacked anew" : NULL;
}

static void compare_layer(struct check *c, struct layer_writer *w, const struct digest *d,
			  const struct unpack_result *res)
{
	char hex[DIGEST_HEX_LEN + 1];
	own_fd int fd = openat(c->s->layersfd, digest_hex(hex, d),
			       O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	bool there = fd >= 0 || errno != ENOENT;
	struct err why = ERR_INIT;
	const char *done;
	int rc = fd < 0 ? 1 : check_same_tree(fd, layer_writer_dir(w), &why);

	if (rc == 0) {
		layer_writer_abort(w);
		return;
	}
	done = replace_layer(c, w, d, res->size, there);
	if (done == NULL)
		mark_bad(c, PIN_LAYER, d);
	if (!there)
		fault(c, done, "layer sha256:%s is missing", hex);
	else
		fault(c, done, "layer sha256:%s is not what its blob holds: %s%s", hex,
		      why.code ? why.msg : "it is no folder",
		      done == NULL && c->o->repair && is_busy(c, hex)
			      ? "; a running container uses it: stop that first"
			      : "");
}

/* Unpacks the layer's blob aside; a blob that is bad has been told of already. */
static int check_layer(struct check *c, const struct digest *d, const struct descriptor *blob,
		       struct err *e)
{
	struct unpack_result res = { 0 };
	struct unpack_fd from = { -1, NULL };
	struct layer_writer *w;
	int rc;

	if (store_blob_open(c->s, &blob->digest, &from.fd, NULL, NULL) < 0)
		return 0;
	rc = store_layer_begin(c->s, NULL, 0, NULL, &w, e);
	if (rc == 0) {
		struct err why = ERR_INIT;

		c->out->layers++;
		from.buf = xmalloc(UNPACK_FD_BYTES);
		rc = unpack_layer(layer_writer_dir(w), unpack_read_fd, &from, NULL, &res, &why);
		free(from.buf);
		if (rc == 0 && digest_equal(&res.diff_id, d)) {
			compare_layer(c, w, d, &res);
		} else {
			layer_writer_abort(w);
			if (rc == 0 || rc == -EBADMSG || rc == -EFBIG) {
				char hex[DIGEST_HEX_LEN + 1];

				fault(c, NULL,
				      "layer sha256:%s: its blob does not unpack to it: %s",
				      digest_hex(hex, d), rc ? why.msg : "another diff id");
				rc = 0;
			} else if (e) {
				*e = why;
			}
		}
	}
	close(from.fd);
	return rc;
}

/* ---- images ---- */

static const char *image_label(const struct store_image *i, char *buf)
{
	return i->name ? i->name : digest_format(buf, &i->manifest);
}

static bool blob_good(const struct check *c, const struct digest *d, uint64_t size)
{
	char hex[DIGEST_HEX_LEN + 1];
	struct stat st;

	if (pins_have(&c->bad, PIN_BLOB, d))
		return false;
	return fstatat(c->s->blobsfd, digest_hex(hex, d), &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	       (size == UINT64_MAX || (uint64_t)st.st_size == size);
}

struct dropping {
	const struct store_image *i;
};

static int drop_edit(void *arg, struct store_images *l, struct err *e)
{
	const struct dropping *d = arg;
	bool changed = false;

	(void)e;
	for (size_t i = l->n; i-- > 0;) {
		const struct store_image *x = &l->v[i];
		bool same_name = (x->name == NULL) == (d->i->name == NULL) &&
				 (x->name == NULL || strcmp(x->name, d->i->name) == 0);

		if (!same_name || !digest_equal(&x->manifest, &d->i->manifest))
			continue;
		store_images_drop(l, i);
		changed = true;
	}
	return changed;
}

/* An image without manifest or config is none; of others parts may be gone until the next pull. */
static void hopeless(struct check *c, const struct store_image *i, const char *why)
{
	struct dropping d = { i };
	char buf[DIGEST_TEXT_MAX];
	bool dropped = c->o->repair && store_images_edit(c->s, drop_edit, &d, NULL) == 0;

	fault(c, dropped ? "removed: pull it again" : NULL, "image %s: %s", image_label(i, buf),
	      why);
}

static void check_parts(struct check *c, const struct store_image *i, const struct manifest *m)
{
	char buf[DIGEST_TEXT_MAX], text[DIGEST_TEXT_MAX];

	for (size_t k = 0; k < m->nlayers; k++)
		if (!blob_good(c, &m->layers[k].digest, m->layers[k].size))
			fault(c, NULL, "image %s: its blob %s is missing or damaged: pull it again",
			      image_label(i, buf), digest_format(text, &m->layers[k].digest));
}

static int check_image(struct check *c, struct store_image *i, struct pins *seen, struct err *e)
{
	own_image_config struct image_config cfg = { 0 };
	own_manifest struct manifest m = { 0 };
	own_ref struct ref ref = REF_INIT;
	struct err why = ERR_INIT;
	struct store_image copy;
	struct platform host;
	int rc;

	c->out->images++;
	if (i->name && i->known && ref_parse(i->name, &ref, &why) < 0) {
		hopeless(c, i, why.msg);
		return 0;
	}
	platform_parse(NULL, &host, NULL);
	store_image_copy(&copy, i);
	rc = entry_learn(c->s, &copy, &host, &m, &cfg, &why);
	if (rc == 0 && i->known && !digest_equal(&copy.id, &i->id))
		rc = err_set(&why, EBADMSG, "its id is not that of its manifest");
	if (rc == 0 && m.nlayers != cfg.ndiff_ids)
		rc = err_set(&why, EBADMSG, "it has %zu layers and %zu diff ids", m.nlayers,
			     cfg.ndiff_ids);
	store_image_free(&copy);
	/* An index that others put here need not have an image for this machine. */
	if (rc < 0 && (i->known || rc != -ENOENT))
		hopeless(c, i, why.msg);
	if (rc < 0)
		return 0;
	check_parts(c, i, &m);
	for (size_t k = 0; rc == 0 && k < m.nlayers; k++) {
		if (pins_have(seen, PIN_LAYER, &cfg.diff_ids[k]))
			continue;
		pins_add(seen, PIN_LAYER, &cfg.diff_ids[k]);
		/* What others put here is not unpacked before it is used. */
		if (i->known)
			rc = check_layer(c, &cfg.diff_ids[k], &m.layers[k], e);
	}
	return rc;
}

/* ---- the door ---- */

void image_check_free(struct image_check *c)
{
	strv_free(&c->faults);
}

int image_check(struct store *s, const struct image_check_options *o, struct image_check *out,
		struct err *e)
{
	struct check c = { .s = s, .o = o, .out = out };
	own_store_images struct store_images l = { 0 };
	struct pins seen = { 0 };
	int rc = 0;

	*out = (struct image_check){ 0 };
	if (o->running)
		rc = o->running(o->arg, &c.busy, e);
	if (rc == 0) {
		check_layout(&c);
		rc = each_name(s->blobsfd, check_blob, &c, e);
	}
	if (rc == 0)
		rc = read_index(&c, &l, e);
	if (rc == 0)
		rc = each_name(s->layersfd, stray_layer, &c, e);
	for (size_t i = 0; rc == 0 && i < l.n; i++)
		rc = check_image(&c, &l.v[i], &seen, e);
	pins_free(&seen);
	pins_free(&c.bad);
	strv_free(&c.busy);
	return err_clean(e, rc);
}
