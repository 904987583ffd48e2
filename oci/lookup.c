/* lookup.c: what a registry has under a name, without pulling it: manifests and tags. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "oci/auth.h"
#include "oci/config.h"
#include "oci/manifest.h"
#include "oci/registry.h"
#include "oci/remote.h"
#include "runtime/base/own.h"

void remote_manifests_free(struct remote_manifests *m)
{
	for (size_t i = 0; i < m->n; i++) {
		free(m->v[i].ref);
		free(m->v[i].media_type);
		str_free(&m->v[i].raw);
		js_free(m->v[i].platform);
	}
	free(m->v);
	*m = (struct remote_manifests){ 0 };
}

char *remote_base64(const struct str *bytes)
{
	struct str out = STR_INIT;

	auth_base64_encode(&out, bytes->s ? bytes->s : "", bytes->len);
	return str_steal(&out);
}

static void set(struct js *to, const char *key, const struct js *from)
{
	if (from)
		js_set(to, key, js_copy(from));
}

/* docker fills the platform of a manifest from its config. */
static int platform_of(struct registry *g, const struct descriptor *config, struct js **out,
		       struct err *e)
{
	static const char *const keys[] = { "architecture", "os", "os.version", "os.features",
					    "variant" };
	own_str struct str text = STR_INIT;
	own_js struct js *j = NULL;
	int r = registry_blob_small(g, &config->digest, CONFIG_BYTES_MAX, &text, e);

	if (r < 0)
		return r;
	j = js_parse(text.s ? text.s : "", text.len, e);
	if (j == NULL)
		return err_wrap(e, "%s: the image config", registry_host(g));
	*out = js_object();
	for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++)
		set(*out, keys[i], js_get(j, keys[i]));
	return 0;
}

/* What an image's manifest says; the bytes leave raw. */
static int fill(struct registry *g, struct remote_manifest *to, struct registry_manifest *raw,
		const struct manifest *m, bool whole, struct err *e)
{
	int r = 0;

	to->media_type = xstrdup(m->media_type);
	digest_format(to->digest, &raw->digest);
	to->size = raw->bytes.len;
	if (whole && to->platform == NULL)
		r = platform_of(g, &m->config, &to->platform, e);
	to->raw = raw->bytes;
	raw->bytes = (struct str)STR_INIT;
	return r;
}

/* An entry of an index, and with `whole` the manifest it names. */
static int entry(struct registry *g, const char *full, const struct index_entry *x,
		 const struct js *json, bool whole, struct remote_manifest *to, struct err *e)
{
	own_registry_manifest struct registry_manifest raw = { 0 };
	own_manifest struct manifest m = { 0 };
	int r;

	digest_format(to->digest, &x->d.digest);
	to->ref = xasprintf("%s@%s", full, to->digest);
	to->size = x->d.size;
	if (js_is_object(js_get(json, "platform")))
		to->platform = js_copy(js_get(json, "platform"));
	if (!whole) {
		to->media_type = xstrdup(x->d.media_type);
		return 0;
	}
	r = registry_manifest(g, NULL, &x->d.digest, &raw, e);
	if (r == 0)
		r = manifest_parse(raw.bytes.s ? raw.bytes.s : "", raw.bytes.len, raw.content_type,
				   &m, e);
	if (r == 0 && m.kind != MANIFEST_IMAGE)
		r = err_set(e, ENOTSUP, "%s: an index within an index", registry_host(g));
	return r < 0 ? r : fill(g, to, &raw, &m, true, e);
}

static int entries(struct registry *g, const char *full, const struct registry_manifest *raw,
		   const struct manifest *m, bool whole, struct remote_manifests *out,
		   struct err *e)
{
	own_js struct js *j = js_parse(raw->bytes.s, raw->bytes.len, e);
	int r = j ? 0 : -EINVAL;

	out->index = true;
	out->oci = strcmp(m->media_type, MEDIA_OCI_INDEX) == 0;
	out->v = xcalloc(m->nentries + 1, sizeof(*out->v));
	for (size_t i = 0; r == 0 && i < m->nentries; i++) {
		out->n = i + 1;
		r = entry(g, full, &m->entries[i], js_at(js_get(j, "manifests"), i), whole,
			  &out->v[i], e);
	}
	return r;
}

static int look_up(const struct ref *ref, const char *full, bool whole,
		   struct remote_manifests *out, struct err *e)
{
	const struct registry_options how = { 0 };
	own_registry struct registry *g = registry_open(ref, &how, e);
	own_registry_manifest struct registry_manifest raw = { 0 };
	own_manifest struct manifest m = { 0 };
	int r = g ? 0 : -EINVAL;

	if (r == 0)
		r = registry_manifest(g, ref->tag, ref->has_digest ? &ref->digest : NULL, &raw, e);
	if (r < 0)
		return r;
	r = manifest_parse(raw.bytes.s ? raw.bytes.s : "", raw.bytes.len, raw.content_type, &m, e);
	if (r < 0)
		return err_wrap(e, "%s", registry_host(g));
	if (m.kind == MANIFEST_INDEX)
		return entries(g, full, &raw, &m, whole, out, e);
	out->v = xcalloc(1, sizeof(*out->v));
	out->n = 1;
	out->v[0].ref = xstrdup(full);
	return fill(g, &out->v[0], &raw, &m, whole, e);
}

int remote_manifests(const char *name, bool whole, bool insecure, struct remote_manifests *out,
		     struct err *e)
{
	own_ref struct ref ref = REF_INIT;
	own_free char *full = NULL;
	int r = ref_parse(name, &ref, e);

	*out = (struct remote_manifests){ 0 };
	if (r < 0)
		return r;
	if (insecure)
		config_add_insecure(ref.domain);
	full = ref_full(&ref);
	r = look_up(&ref, full, whole, out, e);
	if (r < 0)
		remote_manifests_free(out);
	return r;
}

/* ---- tags ---- */

/* One page of them. *next: the query of the page after it, or NULL. */
static int tags_page(struct registry *g, const char *where, struct strv *tags, char **next,
		     struct err *e)
{
	own_response struct http_response resp = { 0 };
	own_str struct str body = STR_INIT;
	struct http_request q = { .into = &body, .max = SEARCH_PAGE_BYTES };
	own_js struct js *j = NULL;
	const struct js *list;
	int r = registry_ask(g, where, &q, &resp, e);

	if (r < 0)
		return r;
	if (resp.status != 200)
		return registry_refusal(g, &resp, "list of tags", e);
	j = js_parse(body.s ? body.s : "", body.len, NULL);
	list = js_get(j, "tags");
	if (!js_is_array(list) && !js_is_null(list))
		return err_set(e, EPROTO, "%s: its answer is no list of tags", registry_host(g));
	for (size_t i = 0; i < js_len(list); i++)
		if (js_text(js_at(list, i)))
			strv_add(tags, js_text(js_at(list, i)));
	*next = resp.link ? search_next(resp.link) : NULL;
	return 0;
}

int remote_tags(const char *name, struct strv *tags, struct err *e)
{
	const struct registry_options how = { 0 };
	own_ref struct ref ref = REF_INIT;
	own_registry struct registry *g = NULL;
	char *next = xasprintf("?n=%d", SEARCH_CATALOGUE_N);
	int r = ref_parse(name, &ref, e);

	if (r == 0)
		g = registry_open(&ref, &how, e);
	if (r == 0 && g == NULL)
		r = -EINVAL;
	for (int i = 0; r == 0 && next; i++) {
		own_free char *last = steal_ptr(&next);
		own_free char *where = xasprintf("tags/list%s", last);

		if (i == SEARCH_PAGES_MAX)
			r = err_set(e, ELOOP, "%s: its list of tags has more than %d pages",
				    registry_host(g), i);
		else
			r = tags_page(g, where, tags, &next, e);
		/* A page that names itself as the next one would never end. */
		if (next && strcmp(next, last) == 0) {
			free(next);
			next = NULL;
		}
	}
	free(next);
	if (r == 0 && tags->n == 0)
		return err_set(e, ENOENT, "%s has no tags", name);
	return r;
}
