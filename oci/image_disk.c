/* image_disk.c: what images take on the disk, and giving it back: usage and prune. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "oci/image_impl.h"
#include "oci/store_impl.h"
#include "runtime/base/own.h"

struct js *image_config(struct store *s, const char *id, struct err *e)
{
	own_image_config struct image_config c = { 0 };
	struct digest d;

	if (digest_parse(id, &d, e) < 0 || config_read(s, &d, &c, e) < 0)
		return NULL;
	return steal_ptr(&c.js);
}

uint64_t image_layer_size(struct store *s, const char *layer)
{
	const char *slash = strrchr(layer, '/');

	return layer_size_get(s->layersfd, slash ? slash + 1 : layer);
}

/* ---- usage ---- */

/* A blob or a layer, as one of its users sees it. */
struct use {
	struct pin what;
	size_t image;
	uint64_t bytes;
};

struct uses {
	struct use *v;
	size_t n, cap;
};

static void uses_add(struct uses *u, struct store *s, char kind, const struct digest *d, size_t at)
{
	char hex[DIGEST_HEX_LEN + 1];
	struct stat st;
	struct use *x;

	if (u->n == u->cap) {
		u->cap = u->cap ? u->cap * 2 : 64;
		u->v = xrealloc(u->v, u->cap * sizeof(*u->v));
	}
	x = &u->v[u->n++];
	*x = (struct use){ .image = at };
	x->what.kind = kind;
	x->what.d = *d;
	digest_hex(hex, d);
	if (kind == PIN_LAYER)
		x->bytes = layer_size_get(s->layersfd, hex);
	else if (fstatat(s->blobsfd, hex, &st, AT_SYMLINK_NOFOLLOW) == 0)
		x->bytes = (uint64_t)st.st_size;
}

static int use_cmp(const void *a, const void *b)
{
	const struct use *x = a, *y = b;
	int c = pin_cmp(&x->what, &y->what);

	return c ? c : (x->image > y->image) - (x->image < y->image);
}

static void uses_of(struct uses *u, struct store *s, struct store_image *i, size_t at)
{
	own_image_config struct image_config c = { 0 };
	own_manifest struct manifest m = { 0 };
	struct store_image copy;
	struct platform host;

	platform_parse(NULL, &host, NULL);
	store_image_copy(&copy, i);
	if (entry_learn(s, &copy, &host, &m, &c, NULL) == 0) {
		uses_add(u, s, PIN_BLOB, &copy.manifest, at);
		uses_add(u, s, PIN_BLOB, &copy.id, at);
		for (size_t k = 0; k < m.nlayers; k++)
			uses_add(u, s, PIN_BLOB, &m.layers[k].digest, at);
		for (size_t k = 0; k < c.ndiff_ids; k++)
			uses_add(u, s, PIN_LAYER, &c.diff_ids[k], at);
	}
	store_image_free(&copy);
}

/* Each image's own and shared bytes, and those that an image in use needs. */
static void count_uses(struct uses *u, struct image_usage *out)
{
	if (u->n)
		qsort(u->v, u->n, sizeof(*u->v), use_cmp);
	for (size_t from = 0, to; from < u->n; from = to) {
		bool active = false, shared = false;

		for (to = from; to < u->n && pin_cmp(&u->v[to].what, &u->v[from].what) == 0; to++) {
			active = active || out->v[u->v[to].image].active;
			shared = shared || u->v[to].image != u->v[from].image;
		}
		for (size_t k = from; k < to; k++) {
			struct image_disk *d = &out->v[u->v[k].image];

			if (k > from && u->v[k].image == u->v[k - 1].image)
				continue; /* an image may hold the same layer twice */
			d->size += u->v[k].bytes;
			d->shared += shared ? u->v[k].bytes : 0;
		}
		if (active)
			out->active += u->v[from].bytes;
	}
}

struct folder_sum {
	struct store *s;
	uint64_t bytes;
};

static int sum_blob(void *arg, const char *name, struct err *e)
{
	struct folder_sum *f = arg;
	struct stat st;

	(void)e;
	if (fstatat(f->s->blobsfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
		f->bytes += (uint64_t)st.st_size;
	return 0;
}

static int sum_layer(void *arg, const char *name, struct err *e)
{
	struct folder_sum *f = arg;

	(void)e;
	f->bytes += layer_size_get(f->s->layersfd, name);
	return 0;
}

void image_usage_free(struct image_usage *u)
{
	free(u->v);
	*u = (struct image_usage){ 0 };
}

static struct image_disk *disk_find(struct image_usage *u, const char *id)
{
	for (size_t i = 0; i < u->n; i++)
		if (strcmp(u->v[i].id, id) == 0)
			return &u->v[i];
	return NULL;
}

int image_usage(struct store *s, image_in_use_fn *in_use, void *arg, struct image_usage *out,
		struct err *e)
{
	own_store_images struct store_images l = { 0 };
	struct folder_sum sum = { s, 0 };
	struct uses uses = { 0 };
	int rc = store_images_read(s, &l, e);

	*out = (struct image_usage){ 0 };
	if (rc < 0)
		return err_clean(e, rc);
	out->v = xcalloc(l.n + 1, sizeof(*out->v));
	for (size_t i = 0; i < l.n; i++) {
		struct image_disk *d = &out->v[out->n];
		const char *by;

		if (!entry_known(s, &l.v[i]))
			continue;
		digest_format(d->id, &l.v[i].id);
		if (disk_find(out, d->id))
			continue;
		d->active = in_use(arg, d->id, &by);
		uses_of(&uses, s, &l.v[i], out->n++);
	}
	count_uses(&uses, out);
	free(uses.v);
	rc = each_name(s->blobsfd, sum_blob, &sum, e);
	if (rc == 0)
		rc = each_name(s->layersfd, sum_layer, &sum, e);
	out->total = sum.bytes;
	if (rc < 0)
		image_usage_free(out);
	return err_clean(e, rc);
}

/* ---- prune ---- */

struct pruning {
	struct store *s;
	image_goes_fn *goes;
	void *arg;
	struct strv lines;
};

static bool entry_goes(const struct pruning *x, const struct store_image *i)
{
	own_image struct image *m = entry_image(i);

	/* Without one it is no image that a label could speak for. */
	m->config = image_config(x->s, m->id, NULL);
	return x->goes(x->arg, m);
}

static bool id_is_left(const struct store_images *l, const struct digest *id)
{
	for (size_t i = 0; i < l->n; i++)
		if (l->v[i].known && digest_equal(&l->v[i].id, id))
			return true;
	return false;
}

static int prune_edit(void *arg, struct store_images *l, struct err *e)
{
	struct pruning *x = arg;
	bool changed = false;

	(void)e;
	for (size_t i = 0; i < l->n; i++)
		entry_known(x->s, &l->v[i]);
	for (size_t i = l->n; i-- > 0;) {
		own_free char *shown = NULL;
		char id[DIGEST_TEXT_MAX];
		struct digest d;

		if (!l->v[i].known || !entry_goes(x, &l->v[i]))
			continue;
		d = l->v[i].id;
		shown = l->v[i].name ? image_name_familiar(l->v[i].name) : NULL;
		store_images_drop(l, i);
		changed = true;
		if (shown)
			strv_addf(&x->lines, "Untagged: %s", shown);
		if (!id_is_left(l, &d))
			strv_addf(&x->lines, "Deleted: %s", digest_format(id, &d));
	}
	return changed;
}

int image_prune(struct store *s, image_goes_fn *goes, void *arg, struct strv *report,
		uint64_t *bytes, struct err *e)
{
	struct pruning x = { s, goes, arg, STRV_INIT };
	own_strv struct strv layers = STRV_INIT;
	struct store_gc_stats stats = { 0 };
	int rc = store_images_edit(s, prune_edit, &x, e);

	if (rc == 0)
		strv_add_all(report, &x.lines);
	strv_free(&x.lines);
	if (rc == 0)
		rc = store_gc(s, &stats, &layers, e);
	for (size_t i = 0; rc == 0 && i < layers.n; i++)
		strv_addf(report, "Deleted: %s", layers.v[i]);
	*bytes = stats.bytes;
	return err_clean(e, rc);
}
