/* image.c: image_pull, from a name to an image that is whole and unpacked. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "oci/archive.h"
#include "oci/cancel.h"
#include "oci/image_impl.h"
#include "oci/progress.h"
#include "oci/pull.h"
#include "oci/registry.h"
#include "runtime/base/log.h"
#include "runtime/base/own.h"

/* The name of the image in the executable. */
#define EMBEDDED_NAME REF_DOMAIN_DEFAULT "/library/hello:" REF_TAG_DEFAULT

/* One image_pull. */
struct errand {
	struct store *s;
	const struct pull_options *o;
	const char *name; /* as the user wrote it */
	struct ref ref;	  /* the same, parsed, unless it is an id: then domain is NULL */
	char *full, *shown;
	bool embedded; /* it is the image in the executable */
	struct platform want;
	struct progress *p;
	struct registry *g;
	atomic_bool cancel;
	bool fetched; /* something that the store did not have */
};

/* What the registry has under the name. */
struct remote {
	struct digest source; /* what the name stands for: a manifest or an index */
	struct registry_manifest raw;
	struct manifest m;
	struct str config_text;
	struct image_config c;
};

static void remote_free(struct remote *r)
{
	registry_manifest_free(&r->raw);
	manifest_free(&r->m);
	str_free(&r->config_text);
	image_config_free(&r->c);
}

static void say_status(struct errand *x, const struct digest *source, bool newer)
{
	char text[DIGEST_TEXT_MAX];

	progress_say(x->p, "Digest: %s", digest_format(text, source));
	progress_say(x->p, "Status: %s for %s",
		     newer ? "Downloaded newer image" : "Image is up to date", x->shown);
}

/* ---- what is here ---- */

static bool layers_here(struct store *s, const struct image *m)
{
	for (size_t i = 0; i < m->layers.n; i++) {
		const char *hex = strrchr(m->layers.v[i], '/') + 1;
		struct digest d;

		if (!digest_parse_hex(hex, &d) || !store_layer_has(s, &d, NULL))
			return false;
	}
	return true;
}

/* Whether all it was pulled as is here still: manifest, config, blobs and layers. */
static bool whole_here(struct errand *x, const struct store_image *i)
{
	own_image_config struct image_config c = { 0 };
	own_manifest struct manifest m = { 0 };
	struct store_image copy;
	bool here;

	store_image_copy(&copy, i);
	here = entry_learn(x->s, &copy, &x->want, &m, &c, NULL) == 0;
	store_image_free(&copy);
	for (size_t k = 0; here && k < m.nlayers; k++)
		here = store_blob_has(x->s, &m.layers[k].digest, m.layers[k].size);
	return here;
}

/* An entry that others wrote, and what becomes of it. */
struct adoption {
	const struct store_image *was, *is;
};

static int adopt_edit(void *arg, struct store_images *l, struct err *e)
{
	const struct adoption *a = arg;

	(void)e;
	/* It may have had a short name, as others write them. */
	for (size_t i = l->n; i-- > 0;) {
		bool same_name = (a->was->name == NULL) == (l->v[i].name == NULL) &&
				 (a->was->name == NULL || strcmp(a->was->name, l->v[i].name) == 0);

		if (same_name && digest_equal(&l->v[i].manifest, &a->was->manifest))
			store_images_drop(l, i);
	}
	store_images_put(l, a->is);
	return 1;
}

/* Unpacks what is in the store as blobs only: another program's image, or a lost layer. */
static int unpack_blobs(struct errand *x, struct store_image *i, struct err *e)
{
	own_manifest struct manifest m = { 0 };
	own_image_config struct image_config c = { 0 };
	struct pull pull = { x->s, NULL, x->p, &m, &c, &x->cancel, NULL };
	struct store_image was;
	struct adoption a = { &was, i };
	int r;

	store_image_copy(&was, i);
	r = entry_learn(x->s, i, &x->want, &m, &c, e);
	if (r == 0) {
		r = pull_layers(&pull, &i->size, e);
		atomic_store(&x->cancel, cancel_wanted());
	}
	if (r == 0 && i->name && x->ref.domain && !x->ref.has_digest) {
		free(i->name);
		i->name = xstrdup(x->full);
	}
	if (r == 0)
		r = store_images_edit(x->s, adopt_edit, &a, e);
	store_image_free(&was);
	return r;
}

/* The image of the entry, whole; -ENOENT in e where something of it is missing. */
static struct image *local_image(struct errand *x, struct store_image *i, struct err *e)
{
	struct image *m = i->known ? entry_image_whole(x->s, i, e) : NULL;

	if (m && layers_here(x->s, m))
		return m;
	image_free(m);
	if (unpack_blobs(x, i, e) < 0)
		return NULL;
	return entry_image_whole(x->s, i, e);
}

/* Whether it is made for what was asked for; e says so if not. */
static bool platform_fits(struct errand *x, const struct store_image *i, struct err *e)
{
	char want[PLATFORM_TEXT_MAX];
	struct platform have;

	/* Without a wish what is here is what is meant, as docker has it. */
	if (x->o->platform == NULL || !i->known || platform_parse(i->platform, &have, NULL) < 0 ||
	    platform_rank(&x->want, &have) > 0)
		return true;
	err_set(e, ENOENT,
		"image %s was found but does not match the specified platform: wanted %s, "
		"actual: %s",
		x->shown, platform_format(want, &x->want), i->platform);
	return false;
}

/* ---- the image in the executable ---- */

struct memory {
	const unsigned char *p, *end;
};

static ssize_t memory_read(void *arg, const void **buf, struct err *e)
{
	struct memory *m = arg;
	ssize_t n = m->end - m->p;

	(void)e;
	*buf = m->p;
	m->p = m->end;
	return n;
}

static int load_embedded(struct errand *x, struct err *e)
{
	struct memory m = { image_embedded, image_embedded_end };
	own_strv struct strv loaded = STRV_INIT;
	int r = archive_load(x->s, memory_read, &m, NULL, &loaded, e);

	if (r < 0)
		return err_wrap(e, "the image in the executable");
	if (!strv_has(&loaded, EMBEDDED_NAME))
		return err_set(e, ENOENT, "the executable holds no image %s", x->shown);
	return 0;
}

/* ---- what the registry has ---- */

/* Follows indexes down to the manifest for the platform. */
static int remote_manifest(struct errand *x, struct remote *r, struct err *e)
{
	const struct digest *want = x->ref.has_digest ? &x->ref.digest : NULL;
	int rc = registry_manifest(x->g, x->ref.tag, want, &r->raw, e);

	r->source = r->raw.digest;
	for (int depth = 0; rc == 0; depth++) {
		const struct index_entry *entry;
		struct digest next;
		uint64_t size;

		rc = manifest_parse(r->raw.bytes.s ? r->raw.bytes.s : "", r->raw.bytes.len,
				    r->raw.content_type, &r->m, e);
		if (rc < 0)
			return err_wrap(e, "%s", registry_host(x->g));
		if (r->m.kind == MANIFEST_IMAGE)
			return 0;
		if (depth == INDEX_DEPTH_MAX)
			return err_set(e, ELOOP, "%s: indexes within indexes, too deep",
				       registry_host(x->g));
		entry = manifest_select(&r->m, &x->want, e);
		if (entry == NULL)
			return -ENOENT;
		next = entry->d.digest;
		size = entry->d.size;
		manifest_free(&r->m);
		registry_manifest_free(&r->raw);
		rc = registry_manifest(x->g, NULL, &next, &r->raw, e);
		if (rc == 0 && r->raw.bytes.len != size)
			rc = err_set(e, EBADMSG,
				     "%s: wrong length: a manifest has %zu bytes instead of %llu",
				     registry_host(x->g), r->raw.bytes.len,
				     (unsigned long long)size);
	}
	return rc;
}

/* An image that names another platform than the wished one: refused, or warned of. */
static int check_platform(struct errand *x, const struct platform *have, struct err *e)
{
	char a[PLATFORM_TEXT_MAX], b[PLATFORM_TEXT_MAX];

	if (platform_rank(&x->want, have) > 0 || *have->os == '\0')
		return 0;
	platform_format(a, have);
	platform_format(b, &x->want);
	if (strcmp(have->os, "linux") != 0)
		return err_set(e, ENOTSUP, "the image is made for %s, not for linux", a);
	if (x->o->platform)
		return err_set(e, ENOENT,
			       "image %s was found but its platform (%s) does not match the "
			       "specified platform (%s)",
			       x->shown, a, b);
	log_warn("the image's platform (%s) does not match this machine's (%s), and no platform "
		 "was asked for",
		 a, b);
	return 0;
}

/* Fetches the config into the store; other pulls of the image wait for it. */
static int fetch_config(struct errand *x, struct remote *r, struct err *e)
{
	const struct descriptor *d = &r->m.config;
	struct blob_writer *w = NULL;
	int rc;

	do {
		rc = store_blob_begin(x->s, &d->digest, d->size, STORE_NOWAIT, NULL, &w, e);
	} while (rc == -EAGAIN && (rc = pull_pause(&x->cancel, e)) == 0);
	if (rc > 0)
		return store_blob_read(x->s, &d->digest, CONFIG_BYTES_MAX, &r->config_text, e);
	if (rc < 0)
		return rc;
	x->fetched = true;
	rc = registry_blob_small(x->g, &d->digest, CONFIG_BYTES_MAX, &r->config_text, e);
	if (rc == 0 && r->config_text.len != d->size)
		rc = err_set(e, EBADMSG,
			     "%s: wrong length: the image config has %zu bytes instead of %llu",
			     registry_host(x->g), r->config_text.len, (unsigned long long)d->size);
	if (rc == 0)
		rc = blob_writer_restart(w, e);
	if (rc == 0)
		rc = blob_writer_add(w, r->config_text.s, r->config_text.len, e);
	if (rc == 0)
		return blob_writer_commit(w, NULL, e);
	blob_writer_abort(w, false);
	return rc;
}

static int remote_config(struct errand *x, struct remote *r, struct err *e)
{
	int rc = fetch_config(x, r, e);

	if (rc < 0)
		return rc;
	rc = image_config_parse(r->config_text.s ? r->config_text.s : "", r->config_text.len, &r->c,
				e);
	if (rc < 0)
		return err_wrap(e, "%s", registry_host(x->g));
	return check_platform(x, &r->c.platform, e);
}

/* Layers and manifest into the store, then the name: only now it is visible. */
static int keep(struct errand *x, struct remote *r, struct store_image *out, struct err *e)
{
	struct pull pull = { x->s, x->g, x->p, &r->m, &r->c, &x->cancel, &x->fetched };
	int rc;

	*out = (struct store_image){ .name = xstrdup(x->full),
				     .media_type = xstrdup(r->m.media_type),
				     .manifest_size = r->raw.bytes.len,
				     .source = r->source };
	entry_describe(out, &r->m.config.digest, &r->c);
	rc = pull_layers(&pull, &out->size, e);
	if (rc == 0)
		rc = store_blob_put(x->s, r->raw.bytes.s, r->raw.bytes.len, &out->manifest, e);
	return rc < 0 ? rc : store_image_add(x->s, out, e);
}

/*
 * Asks by HEAD whether what is here is what the tag stands for now: 1 if so, 0 if
 * not or if that cannot be told so; negative: there is nobody to ask.
 */
static int unchanged(struct errand *x, const struct store_image *here, struct err *e)
{
	struct digest now;
	int r;

	if (here == NULL || x->ref.has_digest || !platform_fits(x, here, NULL))
		return 0;
	r = registry_head(x->g, x->ref.tag, &now, e);
	if (r < 0)
		return http_unreachable(r) ? r : 0;
	return digest_equal(&now, &here->source);
}

/*
 * When the network breaks, what is whole already stays for the next time; an image
 * that is wrong, a full disk and a user who gives up leave nothing.
 */
static int fetch_rest(struct errand *x, struct remote *r, struct store_image *entry, struct err *e)
{
	int rc;

	progress_say(x->p, "%s: Pulling from %s",
		     x->ref.has_digest ? strchr(x->full, '@') + 1 : x->ref.tag, x->ref.path);
	rc = remote_config(x, r, e);
	if (rc == 0)
		rc = keep(x, r, entry, e);
	if (rc < 0 && !http_unreachable(rc))
		store_gc(x->s, NULL, NULL, NULL);
	return rc;
}

static struct image *fetch(struct errand *x, const struct store_image *here, struct err *e)
{
	struct store_image entry = { 0 };
	struct remote r = { 0 };
	struct image *m = NULL;
	bool newer;

	if (remote_manifest(x, &r, e) == 0 && fetch_rest(x, &r, &entry, e) == 0)
		m = entry_image_whole(x->s, &entry, e);
	newer = x->fetched || here == NULL || !here->known ||
		!digest_equal(&here->manifest, &entry.manifest);
	if (m)
		say_status(x, &r.source, newer);
	store_image_free(&entry);
	remote_free(&r);
	return m;
}

/* ---- the policies ---- */

/* ALWAYS and NEWER, or what is not here. */
static struct image *from_registry(struct errand *x, struct store_image *here, struct err *e)
{
	const struct registry_options how = { .cancel = &x->cancel };
	struct image *m = NULL;
	int r;

	x->g = registry_open(&x->ref, &how, e);
	if (x->g == NULL)
		return NULL;
	r = unchanged(x, here, e);
	if (r > 0 && whole_here(x, here))
		m = local_image(x, here, NULL);
	if (m) {
		progress_say(x->p, "%s: Pulling from %s", x->ref.tag, x->ref.path);
		say_status(x, &here->source, false);
		return m;
	}
	if (r >= 0)
		m = fetch(x, here, e);
	if (m == NULL && here && x->o->policy == PULL_NEWER && http_unreachable(e->code) &&
	    platform_fits(x, here, NULL)) {
		err_clean(e, 0);
		log_warn("using the image that is here: %s", e->msg);
		m = local_image(x, here, e);
	}
	return m;
}

/* The entry of the store that is meant, the embedded image loaded if it is that. */
static int find_here(struct errand *x, struct store_images *l, struct store_image **here,
		     struct err *e)
{
	bool local = x->o->policy == PULL_MISSING || x->o->policy == PULL_NEVER;
	enum entry_by by;
	size_t at;
	int r = store_images_read(x->s, l, e);

	if (r < 0)
		return r;
	r = entry_find(x->s, l, x->name, &at, &by, e);
	if (r == -ENOENT && x->embedded) {
		r = load_embedded(x, e);
		if (r < 0)
			return err_set(e, EIO, "%s", e->msg);
		store_images_free(l);
		r = store_images_read(x->s, l, e);
		r = r < 0 ? r : entry_find(x->s, l, x->name, &at, &by, e);
	}
	/* What looks like an id is to be pulled as a name all the same. */
	if (r == 0 && (by == ENTRY_BY_NAME || local || x->ref.domain == NULL))
		*here = &l->v[at];
	return r;
}

static struct image *use_here(struct errand *x, struct store_image *here, struct err *e)
{
	struct image *m = platform_fits(x, here, e) ? local_image(x, here, e) : NULL;

	if (m && (x->o->policy == PULL_ALWAYS || x->o->policy == PULL_NEWER))
		say_status(x, &here->source, false);
	return m;
}

static struct image *resolve(struct errand *x, struct err *e)
{
	own_store_images struct store_images l = { 0 };
	enum pull_policy policy = x->o->policy;
	struct store_image *here = NULL;
	/* Nobody else has it, or nobody else may be asked. */
	bool only_here = policy == PULL_NEVER || x->ref.domain == NULL || x->embedded;
	int r = find_here(x, &l, &here, e);

	if (r < 0 && r != -ENOENT)
		return NULL;
	/* Content that cannot change under its name needs nobody to be asked either. */
	if (here &&
	    (only_here || policy == PULL_MISSING || (x->ref.has_digest && whole_here(x, here)))) {
		struct image *m = use_here(x, here, e);

		if (m || only_here)
			return m;
	}
	if (policy == PULL_NEVER && x->ref.domain)
		err_set(e, ENOENT, "No such image: %s (and --pull=never)", x->shown);
	if (only_here)
		return NULL;
	if (policy == PULL_MISSING && here == NULL)
		progress_say(x->p, "Unable to find image '%s' locally", x->shown);
	if (x->o->asked)
		*x->o->asked = true;
	return from_registry(x, policy == PULL_MISSING ? NULL : here, e);
}

/* An id is no reference, but may stand where one is due. */
static int errand_name(struct errand *x, const char *name, struct err *e)
{
	struct digest id;
	int r;

	x->name = name;
	if ((str_starts(name, "sha256:") || strlen(name) == DIGEST_HEX_LEN) &&
	    digest_parse_hex(str_starts(name, "sha256:") ? name + 7 : name, &id)) {
		x->shown = xstrdup(name);
		return 0;
	}
	r = ref_parse(name, &x->ref, e);
	if (r < 0)
		return r;
	x->full = ref_full(&x->ref);
	x->shown = ref_familiar(&x->ref);
	x->embedded = strcmp(x->full, EMBEDDED_NAME) == 0;
	return 0;
}

struct image *image_pull(struct store *s, const char *name, const struct pull_options *o,
			 struct err *e)
{
	struct errand x = { .s = s, .o = o, .ref = REF_INIT };
	struct err err = ERR_INIT;
	struct image *m = NULL;

	cancel_begin(&x.cancel);
	if (platform_parse(o->platform, &x.want, &err) == 0 && errand_name(&x, name, &err) == 0) {
		x.p = progress_new(o->quiet ? -1 : o->progress_fd ? o->progress_fd : STDERR_FILENO);
		m = resolve(&x, &err);
		/* By digest it may have been found under a tag. */
		if (m && x.ref.has_digest) {
			free(m->name);
			m->name = xstrdup(x.full);
		}
		progress_free(x.p);
		/* docker's words have the name in them already. */
		if (m == NULL && strstr(err.msg, x.shown) == NULL &&
		    !str_starts(err.msg, "pull access denied"))
			err_wrap(&err, "cannot pull %s", x.shown);
	}
	cancel_end();
	registry_close(x.g);
	ref_free(&x.ref);
	free(x.full);
	free(x.shown);
	err_clean(&err, 0);
	if (m == NULL && e)
		*e = err;
	return m;
}
