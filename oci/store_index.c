/* store_index.c: index.json, the names of images; see store.h. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "oci/manifest.h"
#include "oci/store_impl.h"
#include "runtime/base/fd.h"
#include "runtime/base/own.h"

/* The reserve's size: twice that of index.json, in steps of this. */
#define RESERVE_STEP (128u << 10)

/* ---- the list in memory ---- */

void store_image_free(struct store_image *i)
{
	free(i->name);
	free(i->media_type);
	free(i->platform);
	js_free(i->foreign);
	*i = (struct store_image){ 0 };
}

void store_image_copy(struct store_image *to, const struct store_image *from)
{
	*to = *from;
	to->name = from->name ? xstrdup(from->name) : NULL;
	to->media_type = xstrdup(from->media_type);
	to->platform = xstrdup(from->platform ? from->platform : "");
	to->foreign = from->foreign ? js_copy(from->foreign) : NULL;
}

void store_images_free(struct store_images *l)
{
	for (size_t i = 0; i < l->n; i++)
		store_image_free(&l->v[i]);
	free(l->v);
	*l = (struct store_images){ 0 };
}

struct store_image *images_grow(struct store_images *l)
{
	if (l->n == l->cap) {
		l->cap = l->cap ? l->cap * 2 : 16;
		l->v = xrealloc(l->v, l->cap * sizeof(*l->v));
	}
	l->v[l->n] = (struct store_image){ 0 };
	return &l->v[l->n++];
}

struct store_image *store_images_find(struct store_images *l, const char *name)
{
	for (size_t i = 0; i < l->n; i++) {
		if (l->v[i].name && strcmp(l->v[i].name, name) == 0)
			return &l->v[i];
	}
	return NULL;
}

void store_images_drop(struct store_images *l, size_t i)
{
	store_image_free(&l->v[i]);
	memmove(&l->v[i], &l->v[i + 1], (l->n - i - 1) * sizeof(*l->v));
	l->n--;
}

/* The same manifest, or the same config (pulled and loaded, it has two manifests). */
static bool same_image(const struct store_image *a, const struct store_image *b)
{
	return digest_equal(&a->manifest, &b->manifest) ||
	       (a->known && b->known && digest_equal(&a->id, &b->id));
}

/* Whether an entry other than `but` is the same image, named or not. */
static bool has_other(const struct store_images *l, const struct store_image *image, size_t but)
{
	for (size_t i = 0; i < l->n; i++) {
		if (i != but && same_image(&l->v[i], image))
			return true;
	}
	return false;
}

static void take_name(struct store_images *l, const char *name)
{
	struct store_image *old = store_images_find(l, name);
	size_t i;

	if (old == NULL)
		return;
	i = (size_t)(old - l->v);
	if (has_other(l, old, i)) {
		store_images_drop(l, i);
		return;
	}
	free(old->name);
	old->name = NULL;
}

void store_images_put(struct store_images *l, const struct store_image *image)
{
	if (image->name == NULL && has_other(l, image, SIZE_MAX))
		return;
	if (image->name)
		take_name(l, image->name);
	for (size_t i = l->n; i-- > 0;) {
		if (l->v[i].name == NULL && same_image(&l->v[i], image))
			store_images_drop(l, i);
	}
	store_image_copy(images_grow(l), image);
}

/* ---- JSON ---- */

static void platform_to_json(struct js *entry, const char *platform)
{
	struct platform p;
	struct js *j;

	if (platform == NULL || *platform == 0 || platform_parse(platform, &p, NULL) < 0)
		return;
	j = js_object();
	js_set_text(j, "architecture", p.arch);
	js_set_text(j, "os", p.os);
	if (p.variant[0])
		js_set_text(j, "variant", p.variant);
	js_set(entry, "platform", j);
}

static void set_number(struct js *j, const char *key, uint64_t v)
{
	char text[24];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)v);
	js_set_text(j, key, text);
}

static struct js *image_to_json(const struct store_image *i)
{
	struct js *j = i->foreign ? js_copy(i->foreign) : js_object();
	struct js *a = js_get(j, "annotations") ? js_copy(js_get(j, "annotations")) : js_object();
	char text[DIGEST_TEXT_MAX];

	js_set_text(j, "mediaType", i->media_type);
	js_set_text(j, "digest", digest_format(text, &i->manifest));
	js_set_int(j, "size", (int64_t)i->manifest_size);
	js_del(a, ANN_REF);
	js_del(a, ANN_NAME);
	if (i->name) {
		js_set_text(a, ANN_REF, i->name);
		js_set_text(a, ANN_NAME, i->name);
	}
	if (i->known) {
		platform_to_json(j, i->platform);
		js_set_text(a, ANN_ID, digest_format(text, &i->id));
		js_set_text(a, ANN_SOURCE, digest_format(text, &i->source));
		set_number(a, ANN_SIZE, i->size);
		set_number(a, ANN_CREATED, i->created < 0 ? 0 : (uint64_t)i->created);
		js_set_text(a, ANN_PLATFORM, i->platform);
		js_del(a, ANN_TAGGED);
		if (i->tagged > 0)
			set_number(a, ANN_TAGGED, (uint64_t)i->tagged);
	}
	js_set(j, "annotations", a);
	return j;
}

/* ---- the file ---- */

int store_images_read(struct store *s, struct store_images *out, struct err *e)
{
	own_str struct str text = STR_INIT;
	int rc;

	*out = (struct store_images){ 0 };
	rc = file_read(s->rootfd, STORE_INDEX, INDEX_BYTES_MAX, &text, e);
	if (rc == -ENOENT)
		return 0;
	if (rc < 0)
		return err_wrap(e, "%s", s->root);
	if (images_parse(text.s ? text.s : "", text.len, out, e) < 0) {
		err_wrap(e, "%s/%s is damaged (zl system check --repair)", s->root, STORE_INDEX);
		return -EBADMSG;
	}
	return 0;
}

/* ---- the reserve ---- */

bool reserve_release(struct store *s)
{
	return unlinkat(s->rootfd, STORE_RESERVE, 0) == 0;
}

/* Best effort: it is there for worse days. */
void reserve_fill(struct store *s, const char *index, size_t n)
{
	off_t want = (off_t)(n * 2 / RESERVE_STEP + 1) * RESERVE_STEP;
	own_fd int fd =
		openat(s->rootfd, STORE_RESERVE, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return;
	/* Without its room it would be there in name only. */
	if (st.st_size < want && posix_fallocate(fd, 0, want) != 0) {
		unlinkat(s->rootfd, STORE_RESERVE, 0);
		return;
	}
	if (pwrite(fd, index, n, 0) == (ssize_t)n)
		(void)!pwrite(fd, "", 1, (off_t)n);
}

bool reserve_copy(struct store *s, struct str *out)
{
	size_t before = out->len;

	if (file_read(s->rootfd, STORE_RESERVE, 4 * INDEX_BYTES_MAX, out, NULL) < 0 ||
	    out->s == NULL)
		return false;
	out->len = before + strnlen(out->s + before, out->len - before);
	out->s[out->len] = 0;
	return out->len > before;
}

/*
 * Under the lock, so that the temporary file can have one fixed name, and
 * nothing is left behind by whoever is killed here.
 */
static int write_new(struct store *s, const char *text)
{
	own_fd int fd = openat(s->tmpfd, STORE_INDEX,
			       O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
	int rc;

	if (fd < 0)
		return -errno;
	rc = fd_write_full(fd, text, strlen(text));
	return rc == 0 && fdatasync(fd) < 0 ? -errno : rc;
}

int images_write(struct store *s, const struct store_images *l, struct err *e)
{
	own_js struct js *j = js_object();
	struct js *list = js_array();
	own_free char *text = NULL;
	int rc;

	js_set_int(j, "schemaVersion", 2);
	js_set_text(j, "mediaType", MEDIA_OCI_INDEX);
	for (size_t i = 0; i < l->n; i++)
		js_push(list, image_to_json(&l->v[i]));
	js_set(j, "manifests", list);
	text = js_dump(j, 0);
	rc = write_new(s, text);
	if ((rc == -ENOSPC || rc == -EDQUOT) && reserve_release(s))
		rc = write_new(s, text);
	if (rc == 0 && renameat(s->tmpfd, STORE_INDEX, s->rootfd, STORE_INDEX) < 0)
		rc = -errno;
	if (rc < 0) {
		unlinkat(s->tmpfd, STORE_INDEX, 0);
		return err_set(e, -rc, "write %s/%s: %s", s->root, STORE_INDEX, strerror(-rc));
	}
	reserve_fill(s, text, strlen(text));
	return 0;
}

int store_images_edit(struct store *s, store_edit_fn *fn, void *arg, struct err *e)
{
	own_store_images struct store_images l = { 0 };
	int rc = store_lock(s, LOCK_EX, e);

	if (rc < 0)
		return rc;
	rc = store_images_read(s, &l, e);
	if (rc == 0)
		rc = fn(arg, &l, e);
	if (rc == 1)
		rc = images_write(s, &l, e);
	store_unlock(s);
	return rc;
}

static int add_image(void *arg, struct store_images *l, struct err *e)
{
	(void)e;
	store_images_put(l, arg);
	return 1;
}

int store_image_add(struct store *s, const struct store_image *i, struct err *e)
{
	struct store_image copy = *i;

	return store_images_edit(s, add_image, &copy, e);
}
