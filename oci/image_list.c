/* image_list.c: images that are in the store: find, list, tag, remove. */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "oci/image_impl.h"
#include "runtime/base/own.h"

int err_clean(struct err *e, int rc)
{
	for (char *p = e ? e->msg : NULL; p && *p; p++)
		if (iscntrl((unsigned char)*p))
			*p = ' ';
	return rc;
}

void image_free(struct image *i)
{
	if (i == NULL)
		return;
	free(i->name);
	free(i->media_type);
	js_free(i->config);
	strv_free(&i->layers);
	free(i);
}

void image_free_(struct image **i)
{
	image_free(*i);
}

void image_list_free(struct image_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		image_free(l->v[i]);
	free(l->v);
	*l = (struct image_list){ 0 };
}

/* ---- entries ---- */

struct image *entry_image(const struct store_image *i)
{
	struct image *m = xcalloc(1, sizeof(*m));

	digest_format(m->id, &i->id);
	digest_format(m->digest, &i->source);
	digest_format(m->manifest, &i->manifest);
	m->media_type = i->media_type ? xstrdup(i->media_type) : NULL;
	m->manifest_size = i->manifest_size;
	m->name = i->name ? xstrdup(i->name) : NULL;
	m->size = i->size;
	m->created = i->created;
	m->tagged = i->tagged;
	return m;
}

int config_read(struct store *s, const struct digest *id, struct image_config *c, struct err *e)
{
	own_str struct str text = STR_INIT;
	int r = store_blob_read(s, id, CONFIG_BYTES_MAX, &text, e);

	return r < 0 ? r : image_config_parse(text.s ? text.s : "", text.len, c, e);
}

/*
 * What is only looked at can be so on a disk that is full or read-only; who makes a container
 * there fails soon enough.
 */
static int pin(struct store *s, const struct digest *d, bool layer, struct err *e)
{
	struct err why = ERR_INIT;
	int rc = layer ? store_pin_layer(s, d, &why) : store_pin_blob(s, d, &why);

	if (rc == -ENOSPC || rc == -EDQUOT || rc == -EROFS || rc == -EACCES)
		return 0;
	if (rc < 0 && e)
		*e = why;
	return rc;
}

struct image *entry_image_whole(struct store *s, const struct store_image *i, struct err *e)
{
	own_image_config struct image_config c = { 0 };
	struct image *m;

	if (pin(s, &i->manifest, false, e) < 0 || pin(s, &i->id, false, e) < 0 ||
	    config_read(s, &i->id, &c, e) < 0)
		return NULL;
	m = entry_image(i);
	for (size_t k = c.ndiff_ids; k-- > 0;) {
		if (pin(s, &c.diff_ids[k], true, e) < 0) {
			image_free(m);
			return NULL;
		}
		strv_take(&m->layers, store_layer_path(s, &c.diff_ids[k]));
	}
	m->config = steal_ptr(&c.js);
	return m;
}

void entry_describe(struct store_image *i, const struct digest *id, const struct image_config *c)
{
	char text[PLATFORM_TEXT_MAX];

	i->id = *id;
	i->created = c->created;
	free(i->platform);
	i->platform = xstrdup(platform_format(text, &c->platform));
	i->known = true;
}

static int manifest_read(struct store *s, const struct digest *d, const char *media_type,
			 struct manifest *m, struct err *e)
{
	own_str struct str text = STR_INIT;
	int r = store_blob_read(s, d, MANIFEST_BYTES_MAX, &text, e);

	return r < 0 ? r : manifest_parse(text.s ? text.s : "", text.len, media_type, m, e);
}

int entry_learn(struct store *s, struct store_image *i, const struct platform *want,
		struct manifest *m, struct image_config *c, struct err *e)
{
	int r;

	*m = (struct manifest){ 0 };
	*c = (struct image_config){ 0 };
	r = manifest_read(s, &i->manifest, i->media_type, m, e);
	for (int depth = 0; r == 0 && m->kind == MANIFEST_INDEX; depth++) {
		const struct index_entry *x = manifest_select(m, want, e);

		if (x == NULL || depth == INDEX_DEPTH_MAX) {
			r = x ? err_set(e, ELOOP, "indexes within indexes, too deep") : -ENOENT;
			break;
		}
		i->manifest = x->d.digest;
		i->manifest_size = x->d.size;
		manifest_free(m);
		r = manifest_read(s, &i->manifest, NULL, m, e);
	}
	if (r == 0)
		r = config_read(s, &m->config.digest, c, e);
	if (r < 0) {
		manifest_free(m);
		return r;
	}
	free(i->media_type);
	i->media_type = xstrdup(m->media_type);
	entry_describe(i, &m->config.digest, c);
	i->size = 0;
	for (size_t k = 0; k < m->nlayers; k++)
		i->size += m->layers[k].size;
	return 0;
}

bool entry_known(struct store *s, struct store_image *i)
{
	own_manifest struct manifest m = { 0 };
	own_image_config struct image_config c = { 0 };
	struct platform host;
	own_ref struct ref ref = REF_INIT;

	if (i->known)
		return true;
	platform_parse(NULL, &host, NULL);
	if (entry_learn(s, i, &host, &m, &c, NULL) < 0)
		return false;
	/* Others write short names. */
	if (i->name && ref_parse(i->name, &ref, NULL) == 0) {
		free(i->name);
		i->name = ref_full(&ref);
	}
	return true;
}

/* ---- finding ---- */

static bool entry_named(const struct store_image *i, const struct ref *want, const char *full)
{
	own_ref struct ref have = REF_INIT;

	if (i->name == NULL)
		return false;
	if (strcmp(i->name, full) == 0)
		return true;
	if (i->known && !want->has_digest)
		return false;
	if (ref_parse(i->name, &have, NULL) < 0)
		return false;
	if (want->has_digest)
		return strcmp(have.domain, want->domain) == 0 &&
		       strcmp(have.path, want->path) == 0 &&
		       (digest_equal(&i->source, &want->digest) ||
			digest_equal(&i->manifest, &want->digest));
	return !have.has_digest && strcmp(have.domain, want->domain) == 0 &&
	       strcmp(have.path, want->path) == 0 && strcmp(have.tag, want->tag) == 0;
}

static bool find_by_name(struct store_images *l, const char *name, size_t *at)
{
	own_ref struct ref want = REF_INIT;
	own_free char *full = NULL;
	struct store_image *exact;

	if (ref_parse(name, &want, NULL) < 0)
		return false;
	full = ref_full(&want);
	exact = store_images_find(l, full);
	if (exact) {
		*at = (size_t)(exact - l->v);
		return true;
	}
	for (*at = 0; *at < l->n; (*at)++)
		if (entry_named(&l->v[*at], &want, full))
			return true;
	return false;
}

/* The hex digits of what might be an id or its beginning; NULL if it cannot be one. */
static const char *id_digits(const char *name)
{
	const char *hex = str_starts(name, "sha256:") ? name + 7 : name;
	size_t n = strspn(hex, "0123456789abcdef");

	return hex[n] == '\0' && n >= IMAGE_ID_PREFIX_MIN && n <= DIGEST_HEX_LEN ? hex : NULL;
}

/* The number of images whose ids begin so, up to two; *at is the first's entry. */
static int find_by_id(struct store *s, struct store_images *l, const char *hex, size_t *at)
{
	char have[DIGEST_HEX_LEN + 1];
	int found = 0;

	for (size_t i = 0; i < l->n && found < 2; i++) {
		if (!entry_known(s, &l->v[i]) || !str_starts(digest_hex(have, &l->v[i].id), hex))
			continue;
		if (found && digest_equal(&l->v[i].id, &l->v[*at].id))
			continue;
		if (!found)
			*at = i;
		found++;
	}
	return found;
}

int entry_find(struct store *s, struct store_images *l, const char *name, size_t *at,
	       enum entry_by *by, struct err *e)
{
	const char *hex = id_digits(name);
	own_free char *shown = NULL;
	int found;

	*by = ENTRY_BY_NAME;
	if (find_by_name(l, name, at))
		return 0;
	*by = ENTRY_BY_ID;
	found = hex ? find_by_id(s, l, hex, at) : 0;
	if (found == 1)
		return 0;
	if (found > 1)
		return err_set(e, EINVAL, "ambiguous image id prefix: %s", name);
	shown = image_name_familiar(name);
	return err_set(e, ENOENT, "No such image: %s", shown);
}

struct image *image_find(struct store *s, const char *name, struct err *e)
{
	own_store_images struct store_images l = { 0 };
	struct image *m = NULL;
	enum entry_by by;
	size_t at;

	if (store_images_read(s, &l, e) == 0 && entry_find(s, &l, name, &at, &by, e) == 0) {
		struct store_image *i = &l.v[at];

		if (!i->known && !entry_known(s, i))
			err_set(e, EBADMSG, "%s in the store is no image that can be used", name);
		else
			m = entry_image_whole(s, i, e);
	}
	err_clean(e, 0);
	return m;
}

int image_platform_check(const struct image *i, const char *name, const char *platform,
			 struct err *e)
{
	const char *variant = js_text(js_get(i->config, "variant"));
	const char *arch = js_text(js_get(i->config, "architecture"));
	const char *os = js_text(js_get(i->config, "os"));
	own_free char *have = NULL;
	struct platform want, is;
	int r;

	if (platform == NULL || *platform == 0)
		return 0;
	r = platform_parse(platform, &want, e);
	if (r < 0)
		return r;
	have = xasprintf("%s/%s%s%s", os ? os : "", arch ? arch : "", variant ? "/" : "",
			 variant ? variant : "");
	if (platform_parse(have, &is, NULL) == 0 && platform_rank(&want, &is) > 0)
		return 0;
	return err_set(e, ENOENT,
		       "image with reference %s was found but does not provide the specified "
		       "platform (%s)",
		       name, platform);
}

/* ---- listing ---- */

static int newest_first(const void *a, const void *b)
{
	const struct image *x = *(struct image *const *)a, *y = *(struct image *const *)b;

	if (x->created != y->created)
		return x->created < y->created ? 1 : -1;
	if (x->name && y->name)
		return strcmp(x->name, y->name);
	return (x->name == NULL) - (y->name == NULL);
}

int image_list(struct store *s, struct image_list *out, struct err *e)
{
	own_store_images struct store_images l = { 0 };
	int r = store_images_read(s, &l, e);

	*out = (struct image_list){ 0 };
	if (r < 0)
		return err_clean(e, r);
	out->v = xcalloc(l.n + 1, sizeof(*out->v));
	for (size_t i = 0; i < l.n; i++)
		if (entry_known(s, &l.v[i]))
			out->v[out->n++] = entry_image(&l.v[i]);
	qsort(out->v, out->n, sizeof(*out->v), newest_first);
	return 0;
}

/* ---- names ---- */

int64_t moment(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

struct tagging {
	struct store *s;
	const char *name;
	char *full;
};

static int tag_edit(void *arg, struct store_images *l, struct err *e)
{
	struct tagging *t = arg;
	struct store_image copy;
	enum entry_by by;
	size_t at;
	int r = entry_find(t->s, l, t->name, &at, &by, e);

	if (r < 0)
		return r;
	if (!entry_known(t->s, &l->v[at]))
		return err_set(e, EBADMSG, "%s is no image that can be used", t->name);
	store_image_copy(&copy, &l->v[at]);
	free(copy.name);
	copy.name = xstrdup(t->full);
	copy.tagged = moment();
	store_images_put(l, &copy);
	store_image_free(&copy);
	return 1;
}

int image_tag(struct store *s, const char *name, const char *new_name, struct err *e)
{
	own_ref struct ref ref = REF_INIT;
	struct tagging t = { s, name, NULL };
	int r = ref_parse(new_name, &ref, e);

	if (r < 0)
		return err_wrap(e,
				"Error parsing reference: \"%.120s\" is not a valid repository/tag",
				new_name);
	if (ref.has_digest)
		return err_set(e, EINVAL, "refusing to create a tag with a digest reference");
	t.full = ref_full(&ref);
	r = store_images_edit(s, tag_edit, &t, e);
	free(t.full);
	return err_clean(e, r);
}

/* ---- removing ---- */

struct removal {
	struct store *s;
	const char *name;
	bool force;
	image_in_use_fn *in_use;
	void *arg;
	struct strv *report;
	bool deleted; /* the image itself, not only a name */
};

static size_t entries_of(const struct store_images *l, const struct digest *id)
{
	size_t n = 0;

	for (size_t i = 0; i < l->n; i++)
		n += l->v[i].known && digest_equal(&l->v[i].id, id);
	return n;
}

/* Whether the image may go altogether. */
static int may_delete(const struct removal *x, const char *id, enum entry_by by, size_t names,
		      struct err *e)
{
	const char *user = NULL;

	if (x->force)
		return 0;
	if (by == ENTRY_BY_ID && names > 1)
		return err_set(e, EBUSY,
			       "conflict: unable to delete %.12s (must be forced) - image is "
			       "referenced in multiple repositories",
			       id + 7);
	if (x->in_use == NULL || !x->in_use(x->arg, id, &user))
		return 0;
	if (by == ENTRY_BY_NAME)
		return err_set(e, EBUSY,
			       "conflict: unable to remove repository reference \"%s\" (must "
			       "force) - container %s is using its referenced image %.12s",
			       x->name, user ? user : "?", id + 7);
	return err_set(e, EBUSY,
		       "conflict: unable to delete %.12s (must be forced) - image is being used "
		       "by container %s",
		       id + 7, user ? user : "?");
}

static void report_untagged(const struct removal *x, const struct store_image *i)
{
	own_free char *shown = i->name ? image_name_familiar(i->name) : NULL;

	if (shown)
		strv_addf(x->report, "Untagged: %s", shown);
}

static int remove_edit(void *arg, struct store_images *l, struct err *e)
{
	struct removal *x = arg;
	char id[DIGEST_TEXT_MAX];
	struct digest config;
	enum entry_by by;
	size_t at, names;
	int r = entry_find(x->s, l, x->name, &at, &by, e);

	if (r < 0)
		return r;
	if (!entry_known(x->s, &l->v[at])) {
		/* What nobody can use can go without questions. */
		report_untagged(x, &l->v[at]);
		store_images_drop(l, at);
		return 1;
	}
	config = l->v[at].id;
	digest_format(id, &config);
	for (size_t i = 0; i < l->n; i++)
		entry_known(x->s, &l->v[i]);
	names = entries_of(l, &config);
	x->deleted = by == ENTRY_BY_ID || names == 1;
	r = x->deleted ? may_delete(x, id, by, names, e) : 0;
	if (r < 0)
		return r;
	for (size_t i = l->n; i-- > 0;) {
		bool goes = by == ENTRY_BY_NAME ? i == at : digest_equal(&l->v[i].id, &config);

		if (!goes)
			continue;
		report_untagged(x, &l->v[i]);
		store_images_drop(l, i);
	}
	if (x->deleted)
		strv_addf(x->report, "Deleted: %s", id);
	return 1;
}

int image_remove(struct store *s, const char *name, bool force, image_in_use_fn *in_use, void *arg,
		 struct strv *report, struct err *e)
{
	own_strv struct strv layers = STRV_INIT, lines = STRV_INIT;
	struct removal x = { s, name, force, in_use, arg, &lines, false };
	int r = store_images_edit(s, remove_edit, &x, e);

	if (r < 0)
		return err_clean(e, r);
	strv_add_all(report, &lines);
	if (x.deleted)
		r = store_gc(s, NULL, &layers, e);
	for (size_t i = 0; r == 0 && i < layers.n; i++)
		strv_addf(report, "Deleted: %s", layers.v[i]);
	return err_clean(e, r);
}
