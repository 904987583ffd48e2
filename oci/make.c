/* make.c: images of zl's own making: a layer from a tree or an archive, config and manifest. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "oci/expand.h"
#include "oci/gzip.h"
#include "oci/http.h"
#include "oci/image_impl.h"
#include "oci/pull.h"
#include "oci/tar_out.h"
#include "oci/unpack.h"
#include "runtime/base/fd.h"
#include "runtime/base/own.h"

/*
 * A layer on its way: the archive's bytes are hashed (the diff id), packed, and go into a
 * blob, all in one pass. Unpacking it afterwards, from the blob, as pulls do, proves that it is
 * what we say.
 */
struct image_layer {
	struct store *s;
	struct tar_out *tar;
	struct gzip *gz;
	struct digest_stream *sum;
	struct blob_writer *w;
	bool raw;  /* an archive was written into it, w has that */
	bool zstd; /* packed so, and stays so */
};

static int to_blob(void *arg, const void *p, size_t n, struct err *e)
{
	struct image_layer *l = arg;

	return blob_writer_add(l->w, p, n, e);
}

static int to_gzip(void *arg, const void *p, size_t n, struct err *e)
{
	struct image_layer *l = arg;

	digest_add(l->sum, p, n);
	return gzip_add(l->gz, p, n, e);
}

struct image_layer *image_layer_begin(struct store *s, struct err *e)
{
	struct image_layer *l = xcalloc(1, sizeof(*l));

	l->s = s;
	if (store_blob_begin(s, NULL, UINT64_MAX, 0, NULL, &l->w, e) < 0) {
		free(l);
		return NULL;
	}
	l->sum = digest_begin();
	l->gz = gzip_new(to_blob, l);
	l->tar = tar_out_new(to_gzip, l);
	return l;
}

int image_layer_add(void *layer, const struct entry *x, struct err *e)
{
	return tar_out_entry(((struct image_layer *)layer)->tar, x, e);
}

void image_layer_free(struct image_layer *l)
{
	if (l == NULL)
		return;
	if (l->w)
		blob_writer_abort(l->w, false);
	tar_out_free(l->tar);
	gzip_free(l->gz);
	digest_free(l->sum);
	free(l);
}

/* ---- from an archive ---- */

int image_layer_write(struct image_layer *l, const void *p, size_t n, struct err *e)
{
	l->raw = true;
	return blob_writer_add(l->w, p, n, e);
}

static int to_layer(void *arg, const void *p, size_t n, struct err *e)
{
	return image_layer_write(arg, p, n, e);
}

int image_layer_fetch(struct image_layer *l, const char *url, struct err *e)
{
	struct http_request q = { .url = url, .body = to_layer, .arg = l, .size = UINT64_MAX };
	own_response struct http_response r = { 0 };
	struct http *h = http_new(e);
	int rc = h ? http_do(h, &q, &r, e) : -EIO;

	http_free(h);
	if (rc == 0 && (r.status < 200 || r.status > 299)) {
		own_free char *host = http_url_host(url);

		rc = err_set(e, EIO, "%s answers with status %d", host ? host : url, r.status);
	}
	return rc;
}

struct readback {
	struct blob_writer *w;
	uint64_t at;
	char buf[UNPACK_FD_BYTES];
};

static ssize_t read_back(void *arg, const void **buf, struct err *e)
{
	struct readback *r = arg;
	ssize_t n = blob_writer_pread(r->w, r->buf, sizeof(r->buf), r->at);

	if (n < 0)
		return err_set(e, (int)-n, "read a blob of the store: %s", strerror((int)-n));
	r->at += (uint64_t)n;
	*buf = r->buf;
	return n;
}

/* What is neither gzip nor zstd has no place in a manifest: it is unpacked, and packed anew. */
static int repack(struct image_layer *l, struct err *e)
{
	own_free struct readback *r = xcalloc(1, sizeof(*r));
	own_free char *buf = xmalloc(UNPACK_FD_BYTES);
	struct expand *x;
	ssize_t n;
	int rc;

	r->w = l->w;
	l->w = NULL;
	rc = store_blob_begin(l->s, NULL, UINT64_MAX, 0, NULL, &l->w, e);
	x = expand_new(read_back, r, NULL);
	while (rc == 0 && (n = expand_fill(x, buf, UNPACK_FD_BYTES, e)) != 0)
		rc = n < 0 ? (int)n : to_gzip(l, buf, (size_t)n, e);
	expand_free(x);
	blob_writer_abort(r->w, false);
	return rc < 0 ? rc : gzip_end(l->gz, e);
}

static int end_raw(struct image_layer *l, struct err *e)
{
	unsigned char magic[4] = { 0 };

	if (blob_writer_pread(l->w, magic, sizeof(magic), 0) < 0)
		return err_set(e, EIO, "read a blob of the store");
	if (memcmp(magic, "\x1f\x8b", 2) == 0)
		return 0;
	l->zstd = memcmp(magic, "\x28\xb5\x2f\xfd", 4) == 0;
	return l->zstd ? 0 : repack(l, e);
}

/* ---- into the store ---- */

/* The blob, and the folder that it unpacks to. */
static int layer_commit(struct image_layer *l, struct descriptor *d, struct unpack_result *res,
			struct err *e)
{
	struct unpack_fd from = { -1, NULL };
	struct layer_writer *lw;
	int rc = l->raw ? end_raw(l, e) : tar_out_end(l->tar, e);

	if (rc == 0 && !l->raw)
		rc = gzip_end(l->gz, e);
	if (rc < 0)
		return rc;
	d->size = blob_writer_have(l->w);
	rc = blob_writer_commit(l->w, &d->digest, e);
	l->w = NULL;
	if (rc == 0)
		rc = store_blob_open(l->s, &d->digest, &from.fd, NULL, e);
	if (rc < 0)
		return rc;
	rc = store_layer_begin(l->s, NULL, 0, NULL, &lw, e);
	if (rc == 0) {
		from.buf = xmalloc(UNPACK_FD_BYTES);
		rc = unpack_layer(layer_writer_dir(lw), unpack_read_fd, &from, NULL, res, e);
		if (rc == 0)
			rc = layer_writer_commit(lw, &res->diff_id, res->size, e);
		else
			layer_writer_abort(lw);
		free(from.buf);
	}
	close(from.fd);
	return rc;
}

static void rfc3339_now(char *buf, size_t size)
{
	struct timespec now;
	struct tm tm;
	size_t n;

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	n = strftime(buf, size, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(buf + n, size - n, ".%09ldZ", now.tv_nsec);
}

static struct js *descriptor_js(const char *media_type, const struct digest *d, uint64_t size)
{
	struct js *j = js_object();
	char text[DIGEST_TEXT_MAX];

	js_set_text(j, "mediaType", media_type);
	js_set_text(j, "digest", digest_format(text, d));
	js_set_int(j, "size", (int64_t)size);
	return j;
}

/* What the new image builds on. */
struct base {
	struct store_image i;
	struct manifest m;
	struct image_config c;
};

static void base_free(struct base *b)
{
	store_image_free(&b->i);
	manifest_free(&b->m);
	image_config_free(&b->c);
}

static int base_find(struct store *s, const char *parent, struct base *b, struct err *e)
{
	own_store_images struct store_images l = { 0 };
	struct platform host;
	enum entry_by by;
	size_t at;
	int rc = store_images_read(s, &l, e);

	if (rc == 0)
		rc = entry_find(s, &l, parent, &at, &by, e);
	if (rc < 0)
		return rc;
	store_image_copy(&b->i, &l.v[at]);
	platform_parse(NULL, &host, NULL);
	return entry_learn(s, &b->i, &host, &b->m, &b->c, e);
}

static void set_platform(struct js *j, const struct base *b, const struct platform *p)
{
	const char *variant = b ? js_text(js_get(b->c.js, "variant")) : p->variant;

	js_set_text(j, "architecture", b ? b->c.platform.arch : p->arch);
	if (variant && *variant)
		js_set_text(j, "variant", variant);
	js_set_text(j, "os", b ? b->c.platform.os : p->os);
}

/* The image's config (image-spec, config.md); b NULL: there is nothing below. */
static struct js *make_config(const struct image_new *n, const struct base *b,
			      const struct platform *p, const struct digest *diff_id)
{
	const struct js *ids = b ? js_get(js_get(b->c.js, "rootfs"), "diff_ids") : NULL;
	const struct js *below = b ? js_get(b->c.js, "history") : NULL;
	struct js *j = js_object(), *rootfs = js_object(), *step = js_object(), *list;
	char text[DIGEST_TEXT_MAX], now[64];

	rfc3339_now(now, sizeof(now));
	js_set_text(j, "created", now);
	if (n->author && *n->author)
		js_set_text(j, "author", n->author);
	set_platform(j, b, p);
	js_set(j, "config", js_copy(n->config));
	list = js_is_array(ids) ? js_copy(ids) : js_array();
	js_push(list, js_of_text(digest_format(text, diff_id)));
	js_set_text(rootfs, "type", "layers");
	js_set(rootfs, "diff_ids", list);
	js_set(j, "rootfs", rootfs);
	js_set_text(step, "created", now);
	if (n->author && *n->author)
		js_set_text(step, "author", n->author);
	if (n->created_by && *n->created_by)
		js_set_text(step, "created_by", n->created_by);
	if (n->comment && *n->comment)
		js_set_text(step, "comment", n->comment);
	list = js_is_array(below) ? js_copy(below) : js_array();
	js_push(list, step);
	js_set(j, "history", list);
	if (n->comment && *n->comment)
		js_set_text(j, "comment", n->comment);
	return j;
}

static char *make_manifest(const struct base *b, const struct digest *id, size_t config_size,
			   const struct descriptor *layer, const char *packed)
{
	own_js struct js *j = js_object();
	own_free char *type = xasprintf("%s+%s", MEDIA_OCI_LAYER, packed);
	struct js *layers = js_array();

	js_set_int(j, "schemaVersion", 2);
	js_set_text(j, "mediaType", MEDIA_OCI_MANIFEST);
	js_set(j, "config", descriptor_js(MEDIA_OCI_CONFIG, id, config_size));
	for (size_t i = 0; b && i < b->m.nlayers; i++) {
		const struct descriptor *d = &b->m.layers[i];
		const char *plus = str_ends(d->media_type, "gzip")   ? "+gzip"
				   : str_ends(d->media_type, "zstd") ? "+zstd"
								     : "";
		own_free char *as = xasprintf("%s%s", MEDIA_OCI_LAYER, plus);

		js_push(layers, descriptor_js(as, &d->digest, d->size));
	}
	js_push(layers, descriptor_js(type, &layer->digest, layer->size));
	js_set(j, "layers", layers);
	return js_dump(j, 0);
}

static int put_image(struct image_layer *l, const struct image_new *n, struct base *b,
		     const struct platform *p, struct store_image *out, struct err *e)
{
	struct unpack_result res = { 0 };
	struct descriptor layer = { 0 };
	own_free char *config = NULL, *manifest = NULL;
	own_js struct js *j = NULL;
	struct digest id;
	int rc = layer_commit(l, &layer, &res, e);

	if (rc < 0)
		return rc;
	j = make_config(n, b, p, &res.diff_id);
	config = js_dump(j, 0);
	rc = store_blob_put(l->s, config, strlen(config), &id, e);
	if (rc < 0)
		return rc;
	manifest = make_manifest(b, &id, strlen(config), &layer, l->zstd ? "zstd" : "gzip");
	*out = (struct store_image){ .media_type = xstrdup(MEDIA_OCI_MANIFEST),
				     .manifest_size = strlen(manifest) };
	rc = store_blob_put(l->s, manifest, strlen(manifest), &out->manifest, e);
	out->source = out->manifest;
	return rc;
}

/* All of it unpacked, its size known, its name given. */
static int publish(struct store *s, struct store_image *i, const char *name, struct err *e)
{
	own_image_config struct image_config c = { 0 };
	own_manifest struct manifest m = { 0 };
	own_progress struct progress *p = progress_new(-1);
	atomic_bool cancel = false;
	const struct pull pull = { s, NULL, p, &m, &c, &cancel, NULL };
	struct platform host;
	int rc;

	platform_parse(NULL, &host, NULL);
	rc = entry_learn(s, i, &host, &m, &c, e);
	if (rc == 0)
		rc = pull_layers(&pull, &i->size, e);
	if (rc == 0 && name) {
		i->name = xstrdup(name);
		i->tagged = moment();
	}
	return rc < 0 ? rc : store_image_add(s, i, e);
}

static int full_name(const char *name, char **full, struct err *e)
{
	own_ref struct ref ref = REF_INIT;
	int rc;

	if (name == NULL || *name == 0)
		return 0;
	rc = ref_parse(name, &ref, e);
	if (rc < 0)
		return err_wrap(e, "invalid reference format");
	if (ref.has_digest)
		return err_set(e, EINVAL, "cannot create a name with a digest: %s", name);
	*full = ref_full(&ref);
	return 0;
}

int image_make(struct image_layer *l, const struct image_new *n, char id[72], struct err *e)
{
	struct base base OWN(base_free) = { 0 };
	struct store_image i = { 0 };
	own_free char *full = NULL;
	struct platform p;
	int rc = platform_parse(n->platform, &p, e);

	if (rc == 0)
		rc = full_name(n->name, &full, e);
	if (rc == 0 && n->parent)
		rc = base_find(l->s, n->parent, &base, e);
	if (rc == 0)
		rc = put_image(l, n, n->parent ? &base : NULL, &p, &i, e);
	if (rc == 0)
		rc = publish(l->s, &i, full, e);
	if (rc == 0)
		digest_format(id, &i.id);
	else
		store_gc(l->s, NULL, NULL, NULL);
	store_image_free(&i);
	return err_clean(e, rc);
}

/* ---- a tree as an archive ---- */

struct image_tar {
	struct tar_out *out;
	int fd;
};

static int to_fd(void *arg, const void *p, size_t n, struct err *e)
{
	int rc = fd_write_full(((struct image_tar *)arg)->fd, p, n);

	return rc < 0 ? err_set(e, -rc, "write: %s", strerror(-rc)) : 0;
}

struct image_tar *image_tar_new(int fd)
{
	struct image_tar *t = xcalloc(1, sizeof(*t));

	t->fd = fd;
	t->out = tar_out_new(to_fd, t);
	return t;
}

int image_tar_add(void *tar, const struct entry *x, struct err *e)
{
	return tar_out_entry(((struct image_tar *)tar)->out, x, e);
}

int image_tar_end(struct image_tar *t, int rc, struct err *e)
{
	if (rc == 0)
		rc = tar_out_end(t->out, e);
	tar_out_free(t->out);
	free(t);
	return rc;
}
