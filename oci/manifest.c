/* manifest.c: manifests, indexes and image configs out of hostile JSON. */
#include "oci/manifest.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "runtime/base/own.h"
#include "runtime/base/str.h"

/* Longest foreign text that is repeated in a message. */
#define QUOTE_MAX 120

static const char *const media_known[] = { MEDIA_OCI_MANIFEST, MEDIA_OCI_INDEX,
					   MEDIA_DOCKER_MANIFEST, MEDIA_DOCKER_LIST };

static const char *media_intern(const char *text)
{
	if (text == NULL)
		return NULL;
	for (size_t i = 0; i < sizeof(media_known) / sizeof(*media_known); i++) {
		size_t n = strlen(media_known[i]);

		/* A Content-Type may carry parameters. */
		if (strncmp(text, media_known[i], n) == 0 && strchr(";, ", text[n]) != NULL)
			return media_known[i];
	}
	return NULL;
}

static bool media_is_index(const char *media)
{
	return strcmp(media, MEDIA_OCI_INDEX) == 0 || strcmp(media, MEDIA_DOCKER_LIST) == 0;
}

/* JSON, or a sentence that says what came instead. */
static struct js *parse_json(const void *p, size_t n, const char *what, struct err *e)
{
	const char *s = p;
	struct js *j;
	size_t i = 0;

	while (i < n && strchr(" \t\r\n", s[i]) && s[i])
		i++;
	if (i < n && s[i] == '<') {
		err_set(e, EPROTO, "an HTML page (text/html) instead of %s", what);
		return NULL;
	}
	j = js_parse(p, n, e);
	if (j == NULL) {
		if (e)
			e->code = EPROTO;
		err_wrap(e, "%s is not valid JSON", what);
		return NULL;
	}
	if (!js_is_object(j)) {
		js_free(j);
		err_set(e, EPROTO, "%s is not a JSON object", what);
		return NULL;
	}
	return j;
}

static int descriptor_parse(const struct js *j, struct descriptor *out, struct err *e)
{
	const char *media = js_text(js_get(j, "mediaType"));
	int64_t size;
	int r;

	r = digest_parse(js_text(js_get(j, "digest")), &out->digest, e);
	if (r < 0)
		return r;
	if (!js_int(js_get(j, "size"), &size) || size < 0 || (uint64_t)size > BLOB_BYTES_MAX)
		return err_set(e, EPROTO, "a descriptor has no valid size");
	out->size = (uint64_t)size;
	out->media_type = xstrdup(media ? media : "");
	return 0;
}

static bool layer_type_ok(const char *type)
{
	return *type == '\0' || (strstr(type, "tar") && strstr(type, "encrypted") == NULL);
}

/* Manifests of other things (charts, signatures, programs) have a config type of their own. */
static bool config_type_ok(const char *type)
{
	return strcmp(type, MEDIA_OCI_CONFIG) == 0 || strcmp(type, MEDIA_DOCKER_CONFIG) == 0 ||
	       strcmp(type, "application/octet-stream") == 0 || *type == '\0';
}

static int image_parse(const struct js *j, struct manifest *m, struct err *e)
{
	const struct js *layers = js_get(j, "layers");
	int r = descriptor_parse(js_get(j, "config"), &m->config, e);

	if (r < 0)
		return err_wrap(e, "config");
	if (!config_type_ok(m->config.media_type))
		return err_set(e, EPROTO, "it is no container image, but of type %.*s", QUOTE_MAX,
			       m->config.media_type);
	if (m->config.size > CONFIG_BYTES_MAX)
		return err_set(e, EFBIG, "the config is too large");
	if (!js_is_array(layers))
		return err_set(e, EPROTO, "the manifest has no list of layers");
	if (js_len(layers) > MANIFEST_LAYERS_MAX)
		return err_set(e, EFBIG, "the image has %zu layers, more than %d", js_len(layers),
			       MANIFEST_LAYERS_MAX);
	m->layers = xcalloc(js_len(layers) + 1, sizeof(*m->layers));
	for (; m->nlayers < js_len(layers); m->nlayers++) {
		struct descriptor *d = &m->layers[m->nlayers];

		r = descriptor_parse(js_at(layers, m->nlayers), d, e);
		if (r == 0 && !layer_type_ok(d->media_type)) {
			r = err_set(e, ENOTSUP, "unsupported type %.*s", QUOTE_MAX, d->media_type);
			free(d->media_type);
		}
		if (r < 0)
			return err_wrap(e, "layer %zu", m->nlayers + 1);
	}
	return 0;
}

static void platform_field(char *buf, size_t size, const struct js *j)
{
	const char *s = js_text(j);

	/* What does not fit is nothing we could match. */
	if (s && strlen(s) < size)
		memcpy(buf, s, strlen(s) + 1);
}

static struct platform platform_of_js(const struct js *j)
{
	struct platform p = { "", "", "" };

	platform_field(p.os, sizeof(p.os), js_get(j, "os"));
	platform_field(p.arch, sizeof(p.arch), js_get(j, "architecture"));
	platform_field(p.variant, sizeof(p.variant), js_get(j, "variant"));
	return p;
}

static char *text_copy(const struct js *j)
{
	return js_text(j) ? xstrdup(js_text(j)) : NULL;
}

static int index_parse(const struct js *j, struct manifest *m, struct err *e)
{
	const struct js *list = js_get(j, "manifests");

	if (!js_is_array(list))
		return err_set(e, EPROTO, "the index has no list of manifests");
	if (js_len(list) > INDEX_ENTRIES_MAX)
		return err_set(e, EFBIG, "the index has %zu entries, more than %d", js_len(list),
			       INDEX_ENTRIES_MAX);
	m->entries = xcalloc(js_len(list) + 1, sizeof(*m->entries));
	for (; m->nentries < js_len(list); m->nentries++) {
		const struct js *item = js_at(list, m->nentries);
		const struct js *notes = js_get(item, "annotations");
		struct index_entry *x = &m->entries[m->nentries];
		int r = descriptor_parse(item, &x->d, e);

		if (r < 0)
			return err_wrap(e, "entry %zu of the index", m->nentries + 1);
		x->has_platform = js_is_object(js_get(item, "platform"));
		x->platform = platform_of_js(js_get(item, "platform"));
		x->ref_name = text_copy(js_get(notes, "org.opencontainers.image.ref.name"));
		x->name = text_copy(js_get(notes, "io.containerd.image.name"));
	}
	return 0;
}

/* Which of the four it is: by its own word, the server's, then by its looks. */
static const char *sniff(const struct js *j, const char *content_type, struct err *e)
{
	const char *own = js_text(js_get(j, "mediaType")), *media = media_intern(own);
	bool image = js_get(j, "layers") || js_get(j, "config"), index = js_get(j, "manifests");

	/* One that can be read both ways could pass a check as the one and be used as the other. */
	if (image && index) {
		err_set(e, EPROTO, "ambiguous manifest: both an image and an index");
		return NULL;
	}
	if (js_get(j, "fsLayers") || js_get(j, "signatures")) {
		err_set(e, ENOTSUP,
			"docker image format v1 (manifest schema 1) is not supported any more; "
			"push the image anew with a current docker");
		return NULL;
	}
	if (own && media == NULL) {
		err_set(e, ENOTSUP, "unsupported manifest type %.*s", QUOTE_MAX, own);
		return NULL;
	}
	if (media == NULL)
		media = media_intern(content_type);
	if (media && media_is_index(media) == image && image != index)
		media = NULL; /* the server mislabels it */
	if (media == NULL && (image || index))
		media = index ? MEDIA_OCI_INDEX : MEDIA_OCI_MANIFEST;
	if (media == NULL)
		err_set(e, EPROTO, "it is neither a manifest nor an index");
	return media;
}

int manifest_parse(const void *p, size_t n, const char *content_type, struct manifest *out,
		   struct err *e)
{
	own_js struct js *j = NULL;
	int r;

	*out = (struct manifest){ 0 };
	if (n > MANIFEST_BYTES_MAX)
		return err_set(e, EFBIG, "the manifest is larger than %u bytes",
			       MANIFEST_BYTES_MAX);
	j = parse_json(p, n, "the manifest", e);
	if (j == NULL)
		return -EPROTO;
	out->media_type = sniff(j, content_type, e);
	if (out->media_type == NULL)
		return e && e->code ? -e->code : -EPROTO;
	out->kind = media_is_index(out->media_type) ? MANIFEST_INDEX : MANIFEST_IMAGE;
	r = out->kind == MANIFEST_INDEX ? index_parse(j, out, e) : image_parse(j, out, e);
	if (r < 0)
		manifest_free(out);
	return r;
}

void manifest_free(struct manifest *m)
{
	free(m->config.media_type);
	for (size_t i = 0; i < m->nlayers; i++)
		free(m->layers[i].media_type);
	free(m->layers);
	for (size_t i = 0; i < m->nentries; i++) {
		free(m->entries[i].d.media_type);
		free(m->entries[i].ref_name);
		free(m->entries[i].name);
	}
	free(m->entries);
	*m = (struct manifest){ 0 };
}

static void platform_list(const struct manifest *m, struct str *out)
{
	char text[PLATFORM_TEXT_MAX];

	for (size_t i = 0; i < m->nentries && out->len < ERR_MSG_MAX / 2; i++) {
		const struct platform *p = &m->entries[i].platform;

		if (!m->entries[i].has_platform || strcmp(p->os, "unknown") == 0)
			continue;
		if (out->len)
			str_add(out, ", ");
		str_add(out, platform_format(text, p));
	}
}

/* An entry that can be followed; others hold signatures and the like. */
static bool entry_usable(const struct index_entry *x)
{
	return *x->d.media_type == '\0' || media_intern(x->d.media_type) != NULL;
}

const struct index_entry *manifest_select(const struct manifest *m, const struct platform *want,
					  struct err *e)
{
	const struct index_entry *best = NULL, *only = NULL;
	int best_rank = 0;
	size_t nplain = 0;
	own_str struct str list = STR_INIT;
	char text[PLATFORM_TEXT_MAX];

	for (size_t i = 0; i < m->nentries; i++) {
		const struct index_entry *x = &m->entries[i];
		int rank;

		if (!entry_usable(x))
			continue;
		if (!x->has_platform) {
			only = x;
			nplain++;
			continue;
		}
		rank = platform_rank(want, &x->platform);
		if (rank > best_rank) {
			best = x;
			best_rank = rank;
		}
	}
	if (best)
		return best;
	platform_list(m, &list);
	if (nplain == 1 && list.len == 0)
		return only;
	err_set(e, ENOENT, "no matching manifest for %s in the manifest list entries%s%s%s",
		platform_format(text, want), list.len ? " (there are: " : "",
		list.len ? list.s : "", list.len ? ")" : "");
	return NULL;
}

static int diff_ids_parse(const struct js *list, struct image_config *c, struct err *e)
{
	if (!js_is_array(list))
		return err_set(e, EPROTO, "the image config has no rootfs.diff_ids");
	if (js_len(list) > MANIFEST_LAYERS_MAX)
		return err_set(e, EFBIG, "the image config has %zu layers, more than %d",
			       js_len(list), MANIFEST_LAYERS_MAX);
	c->diff_ids = xcalloc(js_len(list) + 1, sizeof(*c->diff_ids));
	for (; c->ndiff_ids < js_len(list); c->ndiff_ids++)
		if (digest_parse(js_text(js_at(list, c->ndiff_ids)), &c->diff_ids[c->ndiff_ids],
				 e) < 0)
			return err_wrap(e, "rootfs.diff_ids of the image config");
	return 0;
}

int image_config_parse(const void *p, size_t n, struct image_config *out, struct err *e)
{
	const struct js *rootfs;
	const char *created;
	int r;

	*out = (struct image_config){ 0 };
	if (n > CONFIG_BYTES_MAX)
		return err_set(e, EFBIG, "the image config is larger than %u bytes",
			       CONFIG_BYTES_MAX);
	out->js = parse_json(p, n, "the image config", e);
	if (out->js == NULL)
		return -EPROTO;
	out->platform = platform_of_js(out->js);
	created = js_text(js_get(out->js, "created"));
	if (created == NULL || !time_parse_rfc3339(created, &out->created) || out->created < 0)
		out->created = 0;
	rootfs = js_get(out->js, "rootfs");
	r = diff_ids_parse(js_get(rootfs, "diff_ids"), out, e);
	if (r < 0)
		image_config_free(out);
	return r;
}

void image_config_free(struct image_config *c)
{
	js_free(c->js);
	free(c->diff_ids);
	*c = (struct image_config){ 0 };
}

bool time_parse_rfc3339(const char *text, int64_t *out)
{
	struct tm tm = { 0 };
	int n = 0, off_hours = 0, off_minutes = 0, end = 0;
	char sign[2] = "";

	if (sscanf(text, "%4d-%2d-%2d%*1[Tt ]%2d:%2d:%2d%n", &tm.tm_year, &tm.tm_mon, &tm.tm_mday,
		   &tm.tm_hour, &tm.tm_min, &tm.tm_sec, &n) != 6)
		return false;
	text += n;
	if (*text == '.')
		text += 1 + strspn(text + 1, "0123456789");
	if (strcmp(text, "Z") != 0 && strcmp(text, "z") != 0 &&
	    (sscanf(text, "%1[+-]%2d:%2d%n", sign, &off_hours, &off_minutes, &end) != 3 ||
	     text[end] != '\0'))
		return false;
	tm.tm_year -= 1900;
	tm.tm_mon -= 1;
	*out = (int64_t)timegm(&tm);
	if (*sign)
		*out -= (*sign == '-' ? -1 : 1) * (off_hours * 3600 + off_minutes * 60);
	return true;
}
