/* archive.c: image_load: which images an archive holds, and making them ours. */
#include "oci/archive.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "oci/image_impl.h"
#include "oci/members.h"
#include "oci/pull.h"
#include "oci/tree.h"
#include "runtime/base/own.h"

/*
 * Theory of operation: members.c has put all files of the archive into the
 * store as blobs. Here manifest.json (docker save, any age) or else
 * index.json (OCI layout) says what images they make up. docker's has no
 * manifests of its own: where the archive holds an OCI manifest for the same config
 * too (docker 25 and later) that one is taken, else one is made; always the
 * same for the same files. Layers are unpacked from the blobs, verified
 * against the config's diff ids, and only then the image gets its names.
 */

/* An OCI manifest of the archive's, by its config. */
struct known {
	struct digest config;
	struct store_image image; /* without name and size */
};

struct load {
	struct store *s;
	struct members m;
	struct platform want;
	bool picky; /* a platform was asked for: others are passed over */
	struct known *known;
	size_t nknown;
	struct strv *loaded;
	size_t images;
};

/* ---- one image ---- */

/* Adds the image under each name, or without one. */
static int publish(struct load *l, struct store_image *i, const struct strv *names, struct err *e)
{
	char text[DIGEST_TEXT_MAX];
	int rc = 0;

	if (names->n == 0) {
		rc = store_image_add(l->s, i, e);
		if (rc == 0)
			strv_add(l->loaded, digest_format(text, &i->id));
		return rc;
	}
	for (size_t k = 0; rc == 0 && k < names->n; k++) {
		i->name = names->v[k];
		rc = store_image_add(l->s, i, e);
		if (rc == 0 && !strv_has(l->loaded, names->v[k]))
			strv_add(l->loaded, names->v[k]);
		i->name = NULL;
	}
	return rc;
}

static int unpack_layers(struct load *l, const struct manifest *m, const struct image_config *c,
			 uint64_t *size, struct err *e)
{
	own_progress struct progress *p = progress_new(-1);
	atomic_bool cancel = false;
	const struct pull pull = { l->s, NULL, p, m, c, &cancel, NULL };

	return pull_layers(&pull, size, e);
}

/* The image whose manifest (or index) i names; names: full ones. */
static int take_image(struct load *l, struct store_image *i, const struct strv *names,
		      struct err *e)
{
	own_image_config struct image_config c = { 0 };
	own_manifest struct manifest m = { 0 };
	int rc;

	if (++l->images > ARCHIVE_IMAGES_MAX)
		return err_set(e, EFBIG, "it holds more than %d images", ARCHIVE_IMAGES_MAX);
	rc = entry_learn(l->s, i, &l->want, &m, &c, e);
	if (rc < 0)
		return rc;
	if (l->picky && platform_rank(&l->want, &c.platform) <= 0)
		return 0;
	rc = unpack_layers(l, &m, &c, &i->size, e);
	return rc < 0 ? rc : publish(l, i, names, e);
}

/* The full form of a name from the archive. */
static int add_name(struct strv *names, const char *name, struct err *e)
{
	own_ref struct ref ref = REF_INIT;
	char shown[TREE_SHOW_MAX];
	int rc = ref_parse(name, &ref, e);

	if (rc < 0)
		return err_wrap(e, "the name \"%s\" in it", tree_show(shown, name));
	if (ref.has_digest)
		return err_set(e, EBADMSG, "the name \"%s\" in it has a digest",
			       tree_show(shown, name));
	strv_take(names, ref_full(&ref));
	return 0;
}

/* ---- index.json ---- */

static int parse_index(struct load *l, struct manifest *m, struct err *e)
{
	int rc = manifest_parse(l->m.index.s, l->m.index.len, MEDIA_OCI_INDEX, m, e);

	if (rc == 0 && m->kind != MANIFEST_INDEX) {
		manifest_free(m);
		rc = err_set(e, EBADMSG, "it is no index");
	}
	return rc < 0 ? err_wrap(e, "index.json") : 0;
}

static void start_image(struct store_image *i, const struct index_entry *x)
{
	*i = (struct store_image){ .manifest = x->d.digest,
				   .manifest_size = x->d.size,
				   .source = x->d.digest,
				   .media_type = xstrdup(x->d.media_type) };
}

/* Signatures and build records that buildx puts beside images. */
static bool is_attestation(const struct index_entry *x)
{
	return x->has_platform && strcmp(x->platform.os, "unknown") == 0;
}

/* A tag alone ("latest", as skopeo and umoci write it) names no repository. */
static const char *entry_name(const struct index_entry *x)
{
	if (x->name && *x->name)
		return x->name;
	return x->ref_name && strpbrk(x->ref_name, "/:") ? x->ref_name : NULL;
}

static int load_oci(struct load *l, struct err *e)
{
	own_manifest struct manifest m = { 0 };
	int rc = parse_index(l, &m, e);

	if (rc < 0)
		return rc;
	for (size_t k = 0; rc == 0 && k < m.nentries; k++) {
		const struct index_entry *x = &m.entries[k];
		own_strv struct strv names = STRV_INIT;
		struct store_image i;

		if (is_attestation(x))
			continue;
		if (entry_name(x))
			rc = add_name(&names, entry_name(x), e);
		start_image(&i, x);
		if (rc == 0)
			rc = take_image(l, &i, &names, e);
		store_image_free(&i);
	}
	return rc;
}

/* ---- manifest.json ---- */

/* The archive's own manifests, where it has any that are whole. */
static void learn_manifests(struct load *l)
{
	own_manifest struct manifest index = { 0 };

	if (l->m.index.s == NULL || parse_index(l, &index, NULL) < 0)
		return;
	l->known = xcalloc(index.nentries, sizeof(*l->known));
	for (size_t k = 0; k < index.nentries; k++) {
		own_image_config struct image_config c = { 0 };
		own_manifest struct manifest m = { 0 };
		struct known *n = &l->known[l->nknown];
		bool whole;

		start_image(&n->image, &index.entries[k]);
		whole = entry_learn(l->s, &n->image, &l->want, &m, &c, NULL) == 0;
		for (size_t i = 0; whole && i < m.nlayers; i++)
			whole = store_blob_has(l->s, &m.layers[i].digest, m.layers[i].size);
		if (whole) {
			n->config = m.config.digest;
			l->nknown++;
		} else {
			store_image_free(&n->image);
		}
	}
}

static const char *layer_media_type(struct store *s, const struct digest *d)
{
	unsigned char magic[4] = { 0 };
	own_fd int fd = -1;

	if (store_blob_open(s, d, &fd, NULL, NULL) < 0 ||
	    pread(fd, magic, sizeof(magic), 0) != sizeof(magic))
		return MEDIA_OCI_LAYER;
	if (memcmp(magic, "\x1f\x8b", 2) == 0)
		return MEDIA_OCI_LAYER "+gzip";
	if (memcmp(magic, "\x28\xb5\x2f\xfd", 4) == 0)
		return MEDIA_OCI_LAYER "+zstd";
	return MEDIA_OCI_LAYER;
}

static struct js *descriptor_json(const char *media_type, const struct member *x)
{
	struct js *j = js_object();
	char text[DIGEST_TEXT_MAX];

	js_set_text(j, "mediaType", media_type);
	js_set_text(j, "digest", digest_format(text, &x->digest));
	js_set_int(j, "size", (int64_t)x->size);
	return j;
}

/* The member that manifest.json speaks of. */
static const struct member *find_member(struct load *l, const char *name, struct err *e)
{
	const struct member *x = name ? members_find(&l->m, name) : NULL;
	char shown[TREE_SHOW_MAX];

	if (x == NULL)
		err_set(e, EBADMSG, "manifest.json speaks of %s, which the archive does not have",
			name ? tree_show(shown, name) : "nothing");
	return x;
}

/* A manifest for docker's entry, into the store. */
static int make_manifest(struct load *l, const struct js *item, const struct member *config,
			 struct store_image *i, struct err *e)
{
	const struct js *files = js_get(item, "Layers");
	own_js struct js *j = js_object();
	struct js *layers = js_array();
	own_free char *text = NULL;
	int rc = 0;

	js_set_int(j, "schemaVersion", 2);
	js_set_text(j, "mediaType", MEDIA_OCI_MANIFEST);
	js_set(j, "config", descriptor_json(MEDIA_OCI_CONFIG, config));
	for (size_t k = 0; rc == 0 && k < js_len(files); k++) {
		const struct member *x = find_member(l, js_text(js_at(files, k)), e);

		if (x)
			js_push(layers, descriptor_json(layer_media_type(l->s, &x->digest), x));
		else
			rc = -EBADMSG;
	}
	js_set(j, "layers", layers);
	if (rc < 0)
		return rc;
	text = js_dump(j, 0);
	*i = (struct store_image){ .media_type = xstrdup(MEDIA_OCI_MANIFEST),
				   .manifest_size = strlen(text) };
	rc = store_blob_put(l->s, text, strlen(text), &i->manifest, e);
	i->source = i->manifest;
	return rc;
}

static int find_manifest(struct load *l, const struct js *item, struct store_image *i,
			 struct err *e)
{
	const struct member *config = find_member(l, js_text(js_get(item, "Config")), e);

	if (config == NULL)
		return -EBADMSG;
	for (size_t k = 0; k < l->nknown; k++) {
		if (digest_equal(&l->known[k].config, &config->digest)) {
			store_image_copy(i, &l->known[k].image);
			return 0;
		}
	}
	return make_manifest(l, item, config, i, e);
}

static int load_docker_item(struct load *l, const struct js *item, struct err *e)
{
	const struct js *tags = js_get(item, "RepoTags");
	own_strv struct strv names = STRV_INIT;
	struct store_image i = { 0 };
	int rc = 0;

	for (size_t k = 0; rc == 0 && k < js_len(tags); k++) {
		const char *tag = js_text(js_at(tags, k));

		rc = add_name(&names, tag ? tag : "", e);
	}
	if (rc == 0)
		rc = find_manifest(l, item, &i, e);
	if (rc == 0)
		rc = take_image(l, &i, &names, e);
	store_image_free(&i);
	return rc;
}

static int load_docker(struct load *l, struct err *e)
{
	own_js struct js *j = js_parse(l->m.manifest.s, l->m.manifest.len, e);
	int rc = 0;

	if (j == NULL || !js_is_array(j)) {
		if (j)
			err_set(e, EBADMSG, "it is no list of images");
		err_wrap(e, "manifest.json");
		return -EBADMSG;
	}
	learn_manifests(l);
	for (size_t k = 0; rc == 0 && k < js_len(j); k++)
		rc = load_docker_item(l, js_at(j, k), e);
	return rc;
}

/* ---- the door ---- */

static int load_all(struct load *l, struct err *e)
{
	char text[PLATFORM_TEXT_MAX];
	size_t before = l->loaded->n;
	int rc;

	if (l->m.manifest.s)
		rc = load_docker(l, e);
	else if (l->m.index.s)
		rc = load_oci(l, e);
	else
		return err_set(e, EBADMSG,
			       "no image archive: it has neither manifest.json nor index.json");
	if (rc == 0 && l->loaded->n == before)
		return err_set(e, ENOENT, "it holds no image%s%s", l->picky ? " for " : "",
			       l->picky ? platform_format(text, &l->want) : "");
	return rc;
}

int archive_load(struct store *s, unpack_read_fn *read, void *arg, const char *platform,
		 struct strv *loaded, struct err *e)
{
	struct load l = { .s = s, .picky = platform != NULL, .loaded = loaded };
	int rc = platform_parse(platform, &l.want, e);

	if (rc == 0)
		rc = members_read(s, read, arg, &l.m, e);
	if (rc == 0)
		rc = load_all(&l, e);
	for (size_t k = 0; k < l.nknown; k++)
		store_image_free(&l.known[k].image);
	free(l.known);
	members_free(&l.m);
	if (rc < 0) /* nothing is left of an archive that is wrong, or too much for the disk */
		store_gc(s, NULL, NULL, NULL);
	return rc < 0 ? err_clean(e, rc) : 0;
}

int image_load(struct store *s, int fd, const char *platform, struct strv *loaded, struct err *e)
{
	struct unpack_fd r = { fd, xmalloc(UNPACK_FD_BYTES) };
	int rc = archive_load(s, unpack_read_fd, &r, platform, loaded, e);

	free(r.buf);
	return rc;
}
