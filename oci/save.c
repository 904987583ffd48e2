/* save.c: image_save: images as one tar that is a docker-archive and an OCI layout. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "oci/image_impl.h"
#include "oci/store_impl.h"
#include "oci/tar_out.h"
#include "runtime/base/fd.h"
#include "runtime/base/own.h"

/*
 * Theory of operation: the archive is laid out as docker's since version 25: blobs/sha256/,
 * index.json and oci-layout are an OCI layout (image-spec, image-layout.md), and
 * manifest.json says the same in docker's older way, pointing into blobs/. Layers
 * are written as they were pulled, mostly compressed: docker, skopeo and podman
 * look at a layer's first bytes, and a manifest keeps its digest that way.
 * Every blob is hashed once more as it goes by.
 */

#define COPY_BYTES (256u << 10)

/* One image, under all the names it is asked for by. */
struct saved {
	struct store_image i;
	struct manifest m;
	struct image_config c;
	struct strv names; /* full ones */
};

struct save {
	struct store *s;
	struct platform want;
	bool picky; /* a platform was asked for */
	struct saved *v;
	size_t n;
	struct pins blobs; /* each once */
	struct tar_out *out;
};

static void save_free(struct save *x)
{
	for (size_t i = 0; i < x->n; i++) {
		store_image_free(&x->v[i].i);
		manifest_free(&x->v[i].m);
		image_config_free(&x->v[i].c);
		strv_free(&x->v[i].names);
	}
	free(x->v);
	pins_free(&x->blobs);
	tar_out_free(x->out);
}

/* ---- which images ---- */

static struct saved *saved_find(struct save *x, const struct digest *id)
{
	for (size_t i = 0; i < x->n; i++)
		if (digest_equal(&x->v[i].i.id, id))
			return &x->v[i];
	return NULL;
}

static int check_platform(const struct save *x, const struct saved *v, const char *name,
			  struct err *e)
{
	char text[PLATFORM_TEXT_MAX];

	if (!x->picky || platform_rank(&x->want, &v->c.platform) > 0)
		return 0;
	return err_set(e, ENOENT,
		       "image with reference %s was found but does not provide the specified "
		       "platform (%s)",
		       name, platform_format(text, &x->want));
}

static int add_entry(struct save *x, const struct store_image *i, bool named, const char *name,
		     struct err *e)
{
	struct saved *v = i->known ? saved_find(x, &i->id) : NULL;
	int rc;

	if (v == NULL) {
		x->v = xrealloc(x->v, (x->n + 1) * sizeof(*x->v));
		v = &x->v[x->n++];
		memset(v, 0, sizeof(*v));
		store_image_copy(&v->i, i);
		rc = entry_learn(x->s, &v->i, &x->want, &v->m, &v->c, e);
		if (rc == 0)
			rc = check_platform(x, v, name, e);
		if (rc < 0)
			return rc;
	}
	if (named && i->name && strchr(i->name, '@') == NULL && !strv_has(&v->names, i->name))
		strv_add(&v->names, i->name);
	return 0;
}

/* Whether the entry bears the repository's name, with any tag. */
static bool of_repository(const struct store_image *i, const struct ref *want)
{
	own_ref struct ref have = REF_INIT;

	return i->name && ref_parse(i->name, &have, NULL) == 0 && !have.has_digest &&
	       strcmp(have.domain, want->domain) == 0 && strcmp(have.path, want->path) == 0;
}

/* A name without a tag stands for all tags there are, as docker has it: the number found. */
static int add_repository(struct save *x, struct store_images *l, const char *name, struct err *e)
{
	const char *slash = strrchr(name, '/');
	own_ref struct ref want = REF_INIT;
	int found = 0, rc = 0;

	if (strchr(name, '@') || strchr(slash ? slash : name, ':') ||
	    ref_parse(name, &want, NULL) < 0)
		return 0;
	for (size_t i = 0; rc == 0 && i < l->n; i++) {
		if (!of_repository(&l->v[i], &want))
			continue;
		rc = add_entry(x, &l->v[i], true, name, e);
		found++;
	}
	return rc < 0 ? rc : found;
}

static int add_name(struct save *x, struct store_images *l, const char *name, struct err *e)
{
	int rc = add_repository(x, l, name, e);
	enum entry_by by;
	size_t at;

	if (rc != 0)
		return rc < 0 ? rc : 0;
	rc = entry_find(x->s, l, name, &at, &by, e);
	if (rc < 0)
		return rc;
	return add_entry(x, &l->v[at], by == ENTRY_BY_NAME, name, e);
}

static int find_all(struct save *x, const struct strv *names, struct err *e)
{
	own_store_images struct store_images l = { 0 };
	int rc = store_images_read(x->s, &l, e);

	for (size_t i = 0; rc == 0 && i < l.n; i++)
		entry_known(x->s, &l.v[i]);
	for (size_t i = 0; rc == 0 && i < names->n; i++)
		rc = add_name(x, &l, names->v[i], e);
	return rc;
}

/* ---- blobs ---- */

static int need_blob(struct save *x, const struct digest *d, uint64_t size, struct err *e)
{
	char text[DIGEST_TEXT_MAX];
	own_fd int fd = -1;
	uint64_t have;
	int rc;

	if (pins_have(&x->blobs, PIN_BLOB, d))
		return 0;
	store_pin_blob(x->s, d, NULL);
	rc = store_blob_open(x->s, d, &fd, &have, e);
	if (rc < 0)
		return rc;
	if (have != size)
		return err_set(e, EBADMSG, "blob %s in the store is damaged",
			       digest_format(text, d));
	pins_add(&x->blobs, PIN_BLOB, d);
	return 0;
}

static int need_blobs(struct save *x, struct err *e)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < x->n; i++) {
		const struct saved *v = &x->v[i];

		rc = need_blob(x, &v->i.manifest, v->i.manifest_size, e);
		if (rc == 0)
			rc = need_blob(x, &v->m.config.digest, v->m.config.size, e);
		for (size_t k = 0; rc == 0 && k < v->m.nlayers; k++)
			rc = need_blob(x, &v->m.layers[k].digest, v->m.layers[k].size, e);
	}
	if (rc == 0)
		pins_sort(&x->blobs);
	return rc;
}

static int copy_blob(struct save *x, const struct digest *d, struct err *e)
{
	char text[DIGEST_TEXT_MAX], name[32 + DIGEST_HEX_LEN];
	own_digest struct digest_stream *sum = digest_begin();
	own_free char *buf = xmalloc(COPY_BYTES);
	own_fd int fd = -1;
	struct digest got;
	uint64_t left;
	int rc = store_blob_open(x->s, d, &fd, &left, e);

	digest_format(text, d);
	snprintf(name, sizeof(name), "blobs/sha256/%s", text + strlen("sha256:"));
	if (rc == 0)
		rc = tar_out_begin(x->out, name, left, e);
	while (rc == 0 && left) {
		ssize_t n = fd_read_full(fd, buf, left < COPY_BYTES ? (size_t)left : COPY_BYTES);

		if (n <= 0)
			return err_set(e, n ? (int)-n : EBADMSG, "read blob %s: %s", text,
				       n ? strerror((int)-n) : "it became shorter");
		digest_add(sum, buf, (size_t)n);
		left -= (uint64_t)n;
		rc = tar_out_data(x->out, buf, (size_t)n, e);
	}
	if (rc < 0)
		return rc;
	digest_end(sum, &got);
	if (!digest_equal(&got, d))
		return err_set(e, EBADMSG, "blob %s in the store is damaged", text);
	return tar_out_pad(x->out, e);
}

static int write_blobs(struct save *x, struct err *e)
{
	int rc = tar_out_begin(x->out, "blobs/", 0, e);

	if (rc == 0)
		rc = tar_out_begin(x->out, "blobs/sha256/", 0, e);
	for (size_t i = 0; rc == 0 && i < x->blobs.n; i++)
		rc = copy_blob(x, &x->blobs.v[i].d, e);
	return rc;
}

/* ---- index.json and manifest.json ---- */

static struct js *descriptor(const char *media_type, const struct digest *d, uint64_t size)
{
	struct js *j = js_object();
	char text[DIGEST_TEXT_MAX];

	js_set_text(j, "mediaType", media_type);
	js_set_text(j, "digest", digest_format(text, d));
	js_set_int(j, "size", (int64_t)size);
	return j;
}

static struct js *index_entry(const struct saved *v, const char *name)
{
	struct js *j = descriptor(v->m.media_type, &v->i.manifest, v->i.manifest_size);
	struct js *p = js_object(), *a;
	own_ref struct ref ref = REF_INIT;

	js_set_text(p, "architecture", v->c.platform.arch);
	js_set_text(p, "os", v->c.platform.os);
	if (*v->c.platform.variant)
		js_set_text(p, "variant", v->c.platform.variant);
	js_set(j, "platform", p);
	if (name == NULL || ref_parse(name, &ref, NULL) < 0)
		return j;
	a = js_object();
	js_set_text(a, "io.containerd.image.name", name);
	js_set_text(a, "org.opencontainers.image.ref.name", ref.tag);
	js_set(j, "annotations", a);
	return j;
}

static int write_index(struct save *x, struct err *e)
{
	own_js struct js *j = js_object();
	struct js *list = js_array();
	own_free char *text = NULL;

	for (size_t i = 0; i < x->n; i++) {
		const struct saved *v = &x->v[i];

		for (size_t k = 0; k < v->names.n; k++)
			js_push(list, index_entry(v, v->names.v[k]));
		if (v->names.n == 0)
			js_push(list, index_entry(v, NULL));
	}
	js_set_int(j, "schemaVersion", 2);
	js_set_text(j, "mediaType", MEDIA_OCI_INDEX);
	js_set(j, "manifests", list);
	text = js_dump(j, 0);
	return tar_out_text(x->out, "index.json", text, e);
}

static void push_path(struct js *list, const struct digest *d)
{
	char hex[DIGEST_HEX_LEN + 1];
	own_free char *path = xasprintf("blobs/sha256/%s", digest_hex(hex, d));

	js_push(list, js_of_text(path));
}

static struct js *docker_entry(const struct saved *v)
{
	struct js *j = js_object(), *layers = js_array(), *sources = js_object(), *tags, *config;
	char text[DIGEST_TEXT_MAX];

	config = js_array();
	push_path(config, &v->m.config.digest);
	js_set_text(j, "Config", js_text(js_at(config, 0)));
	js_free(config);
	tags = v->names.n ? js_array() : js_null();
	for (size_t k = 0; k < v->names.n; k++) {
		own_free char *shown = image_name_familiar(v->names.v[k]);

		js_push(tags, js_of_text(shown));
	}
	js_set(j, "RepoTags", tags);
	for (size_t k = 0; k < v->m.nlayers; k++) {
		const struct descriptor *d = &v->m.layers[k];

		push_path(layers, &d->digest);
		js_set(sources, digest_format(text, &v->c.diff_ids[k]),
		       descriptor(d->media_type, &d->digest, d->size));
	}
	js_set(j, "Layers", layers);
	js_set(j, "LayerSources", sources);
	return j;
}

static int write_docker(struct save *x, struct err *e)
{
	own_js struct js *list = js_array();
	own_free char *text = NULL;

	for (size_t i = 0; i < x->n; i++)
		js_push(list, docker_entry(&x->v[i]));
	text = js_dump(list, 0);
	return tar_out_text(x->out, "manifest.json", text, e);
}

/* ---- the door ---- */

static int write_fd(void *arg, const void *p, size_t n, struct err *e)
{
	int rc = fd_write_full(*(int *)arg, p, n);

	return rc < 0 ? err_set(e, -rc, "write: %s", strerror(-rc)) : 0;
}

static int write_all(struct save *x, int fd, struct err *e)
{
	int rc;

	x->out = tar_out_new(write_fd, &fd);
	rc = write_blobs(x, e);
	if (rc == 0)
		rc = write_index(x, e);
	if (rc == 0)
		rc = write_docker(x, e);
	if (rc == 0)
		rc = tar_out_text(x->out, "oci-layout", STORE_LAYOUT, e);
	return rc < 0 ? rc : tar_out_end(x->out, e);
}

int image_save(struct store *s, const struct strv *names, const char *platform, int fd,
	       struct err *e)
{
	struct save x OWN(save_free) = { .s = s, .picky = platform != NULL };
	int rc = platform_parse(platform, &x.want, e);

	if (rc == 0)
		rc = find_all(&x, names, e);
	for (size_t i = 0; rc == 0 && i < x.n; i++)
		if (x.v[i].m.nlayers != x.v[i].c.ndiff_ids)
			rc = err_set(
				e, EBADMSG,
				"the manifest has %zu layers and the image config %zu diff ids",
				x.v[i].m.nlayers, x.v[i].c.ndiff_ids);
	if (rc == 0)
		rc = need_blobs(&x, e);
	if (rc == 0)
		rc = write_all(&x, fd, e);
	return err_clean(e, rc);
}
