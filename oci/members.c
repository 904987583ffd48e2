/* members.c: reading an image archive in one pass; see members.h. */
#include "oci/members.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "oci/archive.h"
#include "oci/manifest.h"
#include "oci/tar_in.h"
#include "oci/tree.h"
#include "runtime/base/log.h"
#include "runtime/base/own.h"

#define BLOBS_PREFIX "blobs/sha256/"

struct intake {
	struct store *s;
	struct tar_in *in;
	struct members *m;
};

/* ---- names ---- */

/*
 * The name relative to the archive's root, with `dir` (of a symlink) in front;
 * NULL if it leads out of it or is too long. Owned by the caller.
 */
static char *resolve_name(const char *dir, size_t dir_len, const char *name)
{
	char out[MEMBER_NAME_MAX + 1];
	own_free char *full = xasprintf("%.*s/%s", (int)dir_len, dir, name);
	size_t n = 0;

	for (const char *p = full; *p;) {
		size_t len = strcspn(p, "/");

		if (len == 2 && memcmp(p, "..", 2) == 0) {
			if (n == 0)
				return NULL;
			while (n && out[n - 1] != '/')
				n--;
			n -= n > 0;
		} else if (len && !(len == 1 && *p == '.')) {
			if (n + 1 + len > MEMBER_NAME_MAX)
				return NULL;
			if (n)
				out[n++] = '/';
			memcpy(out + n, p, len);
			n += len;
		}
		p += len + (p[len] == '/');
	}
	return xstrndup(out, n);
}

static struct member *add_member(struct members *m, char *name)
{
	struct member *x;

	if (m->n == m->cap) {
		m->cap = m->cap ? m->cap * 2 : 64;
		m->v = xrealloc(m->v, m->cap * sizeof(*m->v));
	}
	x = &m->v[m->n];
	*x = (struct member){ .name = name, .seq = m->n };
	m->n++;
	return x;
}

/* By name; of the same name the last one first. */
static int member_cmp(const void *a, const void *b)
{
	const struct member *x = a, *y = b;
	int c = strcmp(x->name, y->name);

	return c ? c : (x->seq < y->seq) - (x->seq > y->seq);
}

static const struct member *find_one(const struct members *m, const char *name)
{
	size_t low = 0, high = m->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (strcmp(m->v[mid].name, name) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low < m->n && strcmp(m->v[low].name, name) == 0 ? &m->v[low] : NULL;
}

const struct member *members_find(const struct members *m, const char *name)
{
	own_free char *clean = resolve_name("", 0, name);
	const struct member *x = clean ? find_one(m, clean) : NULL;

	for (int i = 0; x && x->link; i++)
		x = i < MEMBER_LINKS_MAX ? find_one(m, x->link) : NULL;
	return x;
}

void members_free(struct members *m)
{
	for (size_t i = 0; i < m->n; i++) {
		free(m->v[i].name);
		free(m->v[i].link);
	}
	free(m->v);
	str_free(&m->manifest);
	str_free(&m->index);
	*m = (struct members){ 0 };
}

/* ---- content ---- */

static int read_json(struct intake *k, struct str *out, struct err *e)
{
	out->len = 0;
	str_add(out, "");
	for (;;) {
		const void *buf;
		int64_t off;
		size_t n;
		int rc = tar_in_data(k->in, &buf, &n, &off, e);

		if (rc != 0)
			return rc < 0 ? rc : 0;
		if ((uint64_t)off != out->len)
			return err_set(e, EBADMSG, "it is a sparse file");
		if (n > MEMBER_JSON_MAX - out->len)
			return err_set(e, EFBIG, "it is larger than %u bytes", MEMBER_JSON_MAX);
		str_add_mem(out, buf, n);
	}
}

static int copy_blob(struct intake *k, struct blob_writer *w, uint64_t size, struct err *e)
{
	for (;;) {
		const void *buf;
		int64_t off;
		size_t n;
		int rc = tar_in_data(k->in, &buf, &n, &off, e);

		if (rc == 1)
			break;
		if (rc == 0 && (uint64_t)off != blob_writer_have(w))
			rc = err_set(e, EBADMSG, "it is a sparse file");
		if (rc == 0)
			rc = blob_writer_add(w, buf, n, e);
		if (rc < 0)
			return rc;
	}
	return blob_writer_have(w) == size ? 0 : err_set(e, EBADMSG, "it is a sparse file");
}

static void say_waiting(void *arg, const struct digest *d)
{
	char text[DIGEST_TEXT_MAX];

	(void)arg;
	log_warn("waiting for another zl that makes %s", digest_format(text, d));
}

static int read_blob(struct intake *k, struct member *x, int64_t size, struct err *e)
{
	static const struct store_wait wait = { say_waiting, NULL };
	bool known = str_starts(x->name, BLOBS_PREFIX) &&
		     digest_parse_hex(x->name + strlen(BLOBS_PREFIX), &x->digest);
	struct blob_writer *w;
	int rc;

	if (size < 0 || (uint64_t)size > BLOB_BYTES_MAX)
		return err_set(e, EFBIG, "its size is beyond all limits");
	x->size = (uint64_t)size;
	rc = store_blob_begin(k->s, known ? &x->digest : NULL, x->size, 0, &wait, &w, e);
	if (rc != 0)
		return rc < 0 ? rc : 0;
	rc = blob_writer_restart(w, e);
	if (rc == 0)
		rc = copy_blob(k, w, x->size, e);
	if (rc == 0)
		return blob_writer_commit(w, &x->digest, e);
	blob_writer_abort(w, false);
	return rc;
}

/* What docker's older archives hold for docker's still older versions, and marks of the format. */
static bool is_legacy(const char *name)
{
	const char *base = strrchr(name, '/');

	base = base ? base + 1 : name;
	return strcmp(base, "VERSION") == 0 || strcmp(base, "json") == 0 ||
	       strcmp(name, "repositories") == 0 || strcmp(name, "oci-layout") == 0;
}

static int read_file(struct intake *k, char *name, int64_t size, struct err *e)
{
	struct str *json = NULL;

	if (strcmp(name, "manifest.json") == 0)
		json = &k->m->manifest;
	else if (strcmp(name, "index.json") == 0)
		json = &k->m->index;
	if (json || is_legacy(name)) {
		free(name);
		return json ? read_json(k, json, e) : 0;
	}
	return read_blob(k, add_member(k->m, name), size, e);
}

/* ---- entries ---- */

static int read_link(struct intake *k, char *name, const char *dir, size_t dir_len,
		     const char *target, struct err *e)
{
	char *to = target ? resolve_name(dir, dir_len, target) : NULL;

	if (to == NULL) {
		free(name);
		return err_set(e, EBADMSG, "it is a link out of the archive");
	}
	add_member(k->m, name)->link = to;
	return 0;
}

static int read_member(struct intake *k, const struct tar_entry *te, struct err *e)
{
	const char *slash;
	char *name;

	if (te->hardlink == NULL && !S_ISREG(te->type) && !S_ISLNK(te->type))
		return 0; /* folders, and what has no place here */
	if (k->m->n >= ARCHIVE_MEMBERS_MAX)
		return err_set(e, EFBIG, "the archive has more than %d files", ARCHIVE_MEMBERS_MAX);
	name = resolve_name("", 0, te->path);
	if (name == NULL || *name == 0) {
		free(name);
		return err_set(e, EBADMSG, "its name is no file's in an image archive");
	}
	if (te->hardlink)
		return read_link(k, name, "", 0, te->hardlink, e);
	slash = strrchr(name, '/');
	if (S_ISLNK(te->type))
		return read_link(k, name, name, slash ? (size_t)(slash - name) : 0, te->symlink, e);
	return read_file(k, name, te->size, e);
}

int members_read(struct store *s, unpack_read_fn *read, void *arg, struct members *out,
		 struct err *e)
{
	struct intake k = { s, tar_in_new(read, arg, NULL, false), out };
	struct tar_entry te;
	int rc;

	*out = (struct members){ 0 };
	while ((rc = tar_in_next(k.in, &te, e)) == 0) {
		rc = read_member(&k, &te, e);
		if (rc < 0) {
			char shown[TREE_SHOW_MAX];

			err_wrap(e, "%s", tree_show(shown, te.path));
			break;
		}
	}
	tar_in_free(k.in, NULL);
	if (rc < 0) {
		members_free(out);
		return rc;
	}
	if (out->n)
		qsort(out->v, out->n, sizeof(*out->v), member_cmp);
	return 0;
}
