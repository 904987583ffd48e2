/* push.c: image_push, from the store's blobs to a registry, several at once. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "oci/cancel.h"
#include "oci/config.h"
#include "oci/image_impl.h"
#include "oci/progress.h"
#include "oci/remote.h"
#include "oci/upload.h"
#include "oci/workers.h"
#include "runtime/base/own.h"

/* Blobs at once, as docker has it. */
#define PUSH_WORKERS 5
/* Repositories that blobs are mounted from in one push: each makes the token's scope longer. */
#define MOUNT_SOURCES_MAX 8
/* Progress is told after that many bytes. */
#define TELL_BYTES (256u << 10)

/* One image_push. */
struct push {
	struct store *s;
	const struct push_options *o;
	struct ref ref;
	struct progress *p;
	struct store_images images;
	atomic_bool cancel;
};

/* A blob of it. */
struct job {
	struct crew *crew;
	const struct descriptor *d;
	const char *from;
	bool shown; /* it has a row: it is a layer */
	size_t row;
	int fd;
	uint64_t told;
};

/* One image. */
struct crew {
	struct push *push;
	struct registry *g;
	struct store_image entry;
	struct manifest m;
	struct image_config c;
	struct str raw;	     /* the manifest */
	struct strv sources; /* repositories (paths) to mount from */
	struct job *jobs;
	size_t n;
};

/* ---- one blob ---- */

static ssize_t on_source(void *arg, void *p, size_t n, uint64_t at, struct err *e)
{
	const struct job *j = arg;
	ssize_t got = pread(j->fd, p, n, (off_t)at);

	return got < 0 ? err_sys(e, "read a blob of the store") : got;
}

static void tell(struct job *j, const char *state, uint64_t at, uint64_t total)
{
	if (j->shown)
		progress_set(j->crew->push->p, j->row, state, at, total);
}

static void on_sent(void *arg, uint64_t at)
{
	struct job *j = arg;

	if (at - j->told < TELL_BYTES && at >= j->told && at != j->d->size)
		return;
	j->told = at;
	tell(j, "Pushing", at, j->d->size);
}

static void on_retry(void *arg, unsigned seconds, const struct err *why)
{
	own_free char *state = xasprintf("Retrying in %u second%s (%s)", seconds,
					 seconds == 1 ? "" : "s", why->msg);

	tell(arg, state, 0, 0);
}

/* Content that registries do not get: base layers of systems that forbid it. */
static bool is_foreign(const struct descriptor *d)
{
	return strstr(d->media_type, ".foreign.") || strstr(d->media_type, "nondistributable");
}

static int job_run(struct job *j, struct err *e)
{
	struct crew *crew = j->crew;
	struct upload u = { .d = j->d->digest,
			    .size = j->d->size,
			    .from = j->from,
			    .source = on_source,
			    .sent = on_sent,
			    .retry = on_retry,
			    .arg = j,
			    .cancel = &crew->push->cancel };
	char text[DIGEST_TEXT_MAX];
	own_free char *mounted = NULL;
	own_fd int fd = -1;
	enum upload_end end;
	uint64_t size;
	int r;

	if (is_foreign(j->d)) {
		tell(j, "Skipped foreign layer", 0, 0);
		return 0;
	}
	r = store_blob_open(crew->push->s, &j->d->digest, &fd, &size, e);
	if (r == 0 && size != j->d->size)
		r = err_set(e, EBADMSG, "its blob in the store has another size");
	j->fd = fd;
	if (r == 0)
		r = upload_blob(crew->g, &u, &end, e);
	if (r < 0)
		return err_wrap(e, "%s %.19s", j->shown ? "layer" : "image config",
				digest_format(text, &j->d->digest));
	if (end == UPLOAD_MOUNTED)
		mounted = xasprintf("Mounted from %s", j->from);
	tell(j, end == UPLOAD_EXISTS ? "Layer already exists" : mounted ? mounted : "Pushed", 0, 0);
	return 0;
}

static int blob_worker(void *arg, size_t i, struct err *e)
{
	return job_run(&((struct crew *)arg)->jobs[i], e);
}

static int upload_all(struct crew *crew, struct err *e)
{
	size_t want = config_get()->uploads ? config_get()->uploads : PUSH_WORKERS;

	return workers_run(want < crew->n ? want : crew->n, crew->n, &crew->push->cancel,
			   blob_worker, crew, e);
}

/* ---- where blobs can be mounted from ---- */

static bool manifest_has(const struct manifest *m, const struct digest *d)
{
	for (size_t i = 0; i < m->nlayers; i++)
		if (digest_equal(&m->layers[i].digest, d))
			return true;
	return false;
}

/* The repository among our sources, added where there is room. */
static const char *source(struct crew *crew, const char *path)
{
	if (!strv_has(&crew->sources, path)) {
		if (crew->sources.n == MOUNT_SOURCES_MAX)
			return NULL;
		strv_add(&crew->sources, path);
	}
	for (size_t i = 0; i < crew->sources.n; i++)
		if (strcmp(crew->sources.v[i], path) == 0)
			return crew->sources.v[i];
	return NULL;
}

/*
 * An image of another repository of the same registry that shares layers with ours: the registry
 * has them there. If it has not (a name that was never pushed), it says so, and nothing is lost.
 */
static void mount_from(struct crew *crew, const struct store_image *other, const char *path)
{
	own_str struct str raw = STR_INIT;
	own_manifest struct manifest m = { 0 };

	if (store_blob_read(crew->push->s, &other->manifest, MANIFEST_BYTES_MAX, &raw, NULL) < 0 ||
	    manifest_parse(raw.s ? raw.s : "", raw.len, other->media_type, &m, NULL) < 0)
		return;
	for (size_t i = 0; i < crew->n; i++) {
		struct job *j = &crew->jobs[i];

		if (j->shown && j->from == NULL && manifest_has(&m, &j->d->digest))
			j->from = source(crew, path);
	}
}

static void find_sources(struct crew *crew)
{
	const struct push *push = crew->push;

	for (size_t i = 0; i < push->images.n; i++) {
		const struct store_image *other = &push->images.v[i];
		own_ref struct ref ref = REF_INIT;

		if (other->name && ref_parse(other->name, &ref, NULL) == 0 &&
		    strcmp(ref.domain, push->ref.domain) == 0 &&
		    strcmp(ref.path, push->ref.path) != 0)
			mount_from(crew, other, ref.path);
	}
}

static struct registry *open_registry(struct crew *crew, struct err *e)
{
	struct registry_options how = { .cancel = &crew->push->cancel, .push = true };
	own_str struct str scopes = STR_INIT;

	for (size_t i = 0; i < crew->sources.n; i++)
		str_addf(&scopes, "%srepository:%s:pull", i ? " " : "", crew->sources.v[i]);
	how.scopes = scopes.s;
	return registry_open(&crew->push->ref, &how, e);
}

/* ---- one image ---- */

static bool seen_before(const struct crew *crew, const struct descriptor *d)
{
	for (size_t i = 0; i < crew->n; i++)
		if (digest_equal(&crew->jobs[i].d->digest, &d->digest))
			return true;
	return false;
}

static void add_job(struct crew *crew, const struct descriptor *d, const struct digest *diff_id)
{
	struct job *j = &crew->jobs[crew->n];

	if (seen_before(crew, d))
		return;
	/* What is pinned stays, whoever removes images meanwhile. */
	store_blob_has(crew->push->s, &d->digest, d->size);
	crew->n++;
	*j = (struct job){ .crew = crew, .d = d, .fd = -1, .shown = diff_id != NULL };
	if (diff_id)
		j->row = progress_row(crew->push->p, diff_id);
}

/* Docker lists layers by their diff ids, the topmost first. */
static void plan(struct crew *crew)
{
	crew->jobs = xcalloc(crew->m.nlayers + 1, sizeof(*crew->jobs));
	for (size_t i = crew->m.nlayers; i-- > 0;)
		add_job(crew, &crew->m.layers[i],
			i < crew->c.ndiff_ids ? &crew->c.diff_ids[i] : &crew->m.layers[i].digest);
	for (size_t i = 0; i < crew->n; i++)
		progress_set(crew->push->p, crew->jobs[i].row, "Preparing", 0, 0);
	add_job(crew, &crew->m.config, NULL);
	find_sources(crew);
}

/* The image's parts, of the platform that is wanted. */
static int learn(struct crew *crew, struct err *e)
{
	struct push *push = crew->push;
	struct platform want;
	int r = platform_parse(push->o->platform, &want, e);

	if (r == 0)
		r = entry_learn(push->s, &crew->entry, &want, &crew->m, &crew->c, e);
	if (r < 0)
		return r;
	if (push->o->platform && platform_rank(&want, &crew->c.platform) <= 0)
		return err_set(e, ENOENT,
			       "image with reference %s was found but does not provide the "
			       "specified platform (%s)",
			       crew->entry.name, push->o->platform);
	if (store_pin_blob(push->s, &crew->entry.manifest, e) < 0)
		return -e->code;
	return store_blob_read(push->s, &crew->entry.manifest, MANIFEST_BYTES_MAX, &crew->raw, e);
}

static void crew_free(struct crew *crew)
{
	registry_close(crew->g);
	store_image_free(&crew->entry);
	manifest_free(&crew->m);
	image_config_free(&crew->c);
	str_free(&crew->raw);
	strv_free(&crew->sources);
	free(crew->jobs);
}

static int push_entry(struct push *push, const struct store_image *entry, const char *tag,
		      struct err *e)
{
	struct crew crew OWN(crew_free) = { .push = push };
	char text[DIGEST_TEXT_MAX];
	int r;

	store_image_copy(&crew.entry, entry);
	r = learn(&crew, e);
	if (r < 0)
		return r;
	plan(&crew);
	crew.g = open_registry(&crew, e);
	if (crew.g == NULL)
		return -EINVAL;
	r = upload_all(&crew, e);
	if (r == 0)
		r = upload_manifest(crew.g, tag, crew.entry.media_type, &crew.raw,
				    &crew.entry.manifest, e);
	if (r == 0)
		progress_say(push->p, "%s: digest: %s size: %zu", tag,
			     digest_format(text, &crew.entry.manifest), crew.raw.len);
	return r;
}

/* ---- the names ---- */

/* The tag by which an entry belongs to the push; owned by the caller; NULL: it does not. */
static char *tag_of(const struct push *push, const struct store_image *i)
{
	own_ref struct ref ref = REF_INIT;

	if (i->name == NULL || ref_parse(i->name, &ref, NULL) < 0 || ref.has_digest ||
	    strcmp(ref.domain, push->ref.domain) != 0 || strcmp(ref.path, push->ref.path) != 0 ||
	    (!push->o->all_tags && strcmp(ref.tag, push->ref.tag) != 0))
		return NULL;
	return steal_ptr(&ref.tag);
}

static int push_all(struct push *push, struct err *e)
{
	own_free char *repository = ref_repository(&push->ref);
	own_free char *shown = ref_familiar_repository(&push->ref);
	int r = store_images_read(push->s, &push->images, e);
	size_t found = 0;

	for (size_t i = 0; r == 0 && i < push->images.n; i++) {
		own_free char *tag = tag_of(push, &push->images.v[i]);

		if (tag == NULL)
			continue;
		if (found++ == 0)
			progress_say(push->p, "The push refers to repository [%s]", repository);
		r = push_entry(push, &push->images.v[i], tag, e);
	}
	if (r == 0 && found == 0)
		return err_set(e, ENOENT, "An image does not exist locally with the tag: %s",
			       shown);
	return r;
}

int image_push(struct store *s, const char *name, const struct push_options *o, struct err *e)
{
	struct push push = { .s = s, .o = o, .ref = REF_INIT };
	own_free char *shown = NULL;
	int r = ref_parse(name, &push.ref, e);

	if (r < 0)
		return r;
	if (push.ref.has_digest) {
		ref_free(&push.ref);
		return err_set(e, EINVAL, "cannot push a digest reference");
	}
	shown = ref_familiar(&push.ref);
	cancel_begin(&push.cancel);
	push.p = progress_new(o->quiet ? -1 : o->progress_fd);
	r = push_all(&push, e);
	progress_free(push.p);
	cancel_end();
	/* docker's words have the name in them already. */
	if (r < 0 && !str_starts(e->msg, "An image") && !str_starts(e->msg, "image with") &&
	    strstr(e->msg, "access denied") == NULL)
		err_wrap(e, "cannot push %s", shown);
	store_images_free(&push.images);
	ref_free(&push.ref);
	return err_clean(e, r);
}
