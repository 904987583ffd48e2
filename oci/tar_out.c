/* tar_out.c: writing a tar archive; see tar_out.h. */
#include "oci/tar_out.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/fd.h"
#include "runtime/base/str.h"

#define BLOCK 512
/* What is collected before it is handed on. */
#define OUT_BYTES (256u << 10)
/* GNU tar and others read and write in records of this size. */
#define RECORD_BYTES 10240
/* The largest numbers that octal fields hold. */
#define ID_MAX	  07777777u
#define SIZE_MAX_ INT64_C(077777777777)
#define NAME_MAX_ 100

#define WHITEOUT_PREFIX ".wh."
#define OPAQUE_NAME	".wh..wh..opq"

struct tar_out {
	tar_write_fn *write;
	void *arg;
	uint64_t at; /* bytes of the archive so far */
	size_t n;    /* of them in buf */
	char *buf;
	struct str pax, name; /* of the entry that is being written */
};

/* "ustar" header, IEEE 1003.1 pax. */
struct header {
	char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], sum[8], type, link[100];
	char magic[6], version[2], user[32], group[32], major[8], minor[8], prefix[155], pad[12];
};

_Static_assert(sizeof(struct header) == BLOCK, "a header is a block");

struct tar_out *tar_out_new(tar_write_fn *write, void *arg)
{
	struct tar_out *t = xcalloc(1, sizeof(*t));

	t->write = write;
	t->arg = arg;
	t->buf = xmalloc(OUT_BYTES);
	return t;
}

void tar_out_free(struct tar_out *t)
{
	if (t == NULL)
		return;
	str_free(&t->pax);
	str_free(&t->name);
	free(t->buf);
	free(t);
}

void tar_out_free_(struct tar_out **t)
{
	tar_out_free(*t);
}

/* ---- bytes ---- */

static int flush(struct tar_out *t, struct err *e)
{
	int rc = t->n ? t->write(t->arg, t->buf, t->n, e) : 0;

	t->n = 0;
	return rc;
}

int tar_out_data(struct tar_out *t, const void *p, size_t n, struct err *e)
{
	const char *from = p;

	while (n) {
		size_t room = OUT_BYTES - t->n, k = n < room ? n : room;

		memcpy(t->buf + t->n, from, k);
		t->n += k;
		t->at += k;
		from += k;
		n -= k;
		if (t->n == OUT_BYTES) {
			int rc = flush(t, e);

			if (rc < 0)
				return rc;
		}
	}
	return 0;
}

static int zeros(struct tar_out *t, uint64_t n, struct err *e)
{
	static const char none[4096];
	int rc = 0;

	while (rc == 0 && n) {
		size_t k = n < sizeof(none) ? (size_t)n : sizeof(none);

		rc = tar_out_data(t, none, k, e);
		n -= k;
	}
	return rc;
}

int tar_out_pad(struct tar_out *t, struct err *e)
{
	return zeros(t, (BLOCK - t->at % BLOCK) % BLOCK, e);
}

int tar_out_end(struct tar_out *t, struct err *e)
{
	int rc = zeros(t, (uint64_t)2 * BLOCK, e);

	if (rc == 0)
		rc = zeros(t, (RECORD_BYTES - t->at % RECORD_BYTES) % RECORD_BYTES, e);
	return rc < 0 ? rc : flush(t, e);
}

/* ---- headers ---- */

/* Octal digits and a NUL, filling the field. */
static void octal(char *field, size_t size, uint64_t v)
{
	char text[32];

	snprintf(text, sizeof(text), "%0*" PRIo64, (int)size - 1, v);
	memcpy(field, text, size);
}

static void field_text(char *field, size_t size, const char *text)
{
	size_t n = strlen(text);

	memcpy(field, text, n < size ? n : size);
}

static int put_header(struct tar_out *t, struct header *h, struct err *e)
{
	const unsigned char *p = (const unsigned char *)h;
	unsigned sum = 0;

	memcpy(h->magic, "ustar", 6);
	memcpy(h->version, "00", 2);
	memset(h->sum, ' ', sizeof(h->sum));
	for (size_t i = 0; i < sizeof(*h); i++)
		sum += p[i];
	octal(h->sum, sizeof(h->sum) - 1, sum);
	return tar_out_data(t, h, sizeof(*h), e);
}

static size_t digits_of(size_t n)
{
	size_t d = 1;

	for (; n > 9; n /= 10)
		d++;
	return d;
}

/* "LENGTH KEY=VALUE\n", where LENGTH counts itself too. */
static void pax_record(struct str *out, const char *prefix, const char *key, const void *value,
		       size_t len)
{
	size_t body = 1 + strlen(prefix) + strlen(key) + 1 + len + 1;
	size_t total = body + digits_of(body);

	total = body + digits_of(total);
	str_addf(out, "%zu %s%s=", total, prefix, key);
	str_add_mem(out, value, len);
	str_add_char(out, '\n');
}

static void pax_text(struct str *out, const char *key, const char *value)
{
	pax_record(out, "", key, value, strlen(value));
}

static void pax_number(struct str *out, const char *key, int64_t v)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRId64, v);
	pax_text(out, key, text);
}

/* A record's key ends at its first "=": GNU tar's way of writing one, and so "%", in a name. */
static void pax_xattr(struct str *out, const struct entry_xattr *x)
{
	own_str struct str name = STR_INIT;

	for (const char *p = x->name; *p; p++) {
		if (*p == '=' || *p == '%')
			str_add(&name, *p == '=' ? "%3D" : "%25");
		else
			str_add_char(&name, *p);
	}
	pax_record(out, "SCHILY.xattr.", name.s ? name.s : "", x->value, x->len);
}

/* The records in front of an entry. */
static int put_pax(struct tar_out *t, struct err *e)
{
	struct header h = { .type = 'x' };
	int rc;

	if (t->pax.len == 0)
		return 0;
	if (t->pax.len > (size_t)SIZE_MAX_)
		return err_set(e, EFBIG, "its attributes are too large for an archive");
	field_text(h.name, sizeof(h.name), "pax");
	octal(h.mode, sizeof(h.mode), 0644);
	octal(h.uid, sizeof(h.uid), 0);
	octal(h.gid, sizeof(h.gid), 0);
	octal(h.size, sizeof(h.size), t->pax.len);
	octal(h.mtime, sizeof(h.mtime), 0);
	rc = put_header(t, &h, e);
	if (rc == 0)
		rc = tar_out_data(t, t->pax.s, t->pax.len, e);
	return rc < 0 ? rc : tar_out_pad(t, e);
}

/* A number into its field, or into a record where it does not fit. */
static void number(struct tar_out *t, char *field, size_t size, const char *key, int64_t v,
		   int64_t max)
{
	bool fits = v >= 0 && v <= max;

	octal(field, size, fits ? (uint64_t)v : 0);
	if (!fits)
		pax_number(&t->pax, key, v);
}

static void text(struct tar_out *t, char *field, const char *key, const char *value)
{
	field_text(field, NAME_MAX_, value);
	if (strlen(value) > NAME_MAX_)
		pax_text(&t->pax, key, value);
}

static char type_of(const struct entry *x)
{
	if (x->link)
		return '1';
	switch (x->mode & S_IFMT) {
	case S_IFLNK:
		return '2';
	case S_IFCHR:
		return '3';
	case S_IFBLK:
		return '4';
	case S_IFDIR:
		return '5';
	case S_IFIFO:
		return '6';
	default:
		return '0';
	}
}

/* name: as it stands in the archive. */
static int put_entry(struct tar_out *t, const struct entry *x, const char *name, struct err *e)
{
	bool device = S_ISCHR(x->mode) || S_ISBLK(x->mode);
	struct header h = { .type = type_of(x) };
	int rc;

	t->pax.len = 0;
	text(t, h.name, "path", name);
	if (x->link || S_ISLNK(x->mode))
		text(t, h.link, "linkpath", x->link ? x->link : x->target);
	octal(h.mode, sizeof(h.mode), x->mode & 07777);
	number(t, h.uid, sizeof(h.uid), "uid", x->uid, ID_MAX);
	number(t, h.gid, sizeof(h.gid), "gid", x->gid, ID_MAX);
	number(t, h.size, sizeof(h.size), "size", h.type == '0' ? (int64_t)x->size : 0, SIZE_MAX_);
	number(t, h.mtime, sizeof(h.mtime), "mtime", x->mtime.tv_sec, SIZE_MAX_);
	octal(h.major, sizeof(h.major), device && x->major <= ID_MAX ? x->major : 0);
	octal(h.minor, sizeof(h.minor), device && x->minor <= ID_MAX ? x->minor : 0);
	for (size_t i = 0; x->link == NULL && i < x->nxattrs; i++)
		pax_xattr(&t->pax, &x->xattrs[i]);
	rc = put_pax(t, e);
	return rc < 0 ? rc : put_header(t, &h, e);
}

/* ---- entries ---- */

static int put_content(struct tar_out *t, const struct entry *x, struct err *e)
{
	uint64_t left = x->size;
	int rc;

	while (left) {
		size_t room = OUT_BYTES - t->n;
		ssize_t got = pread(x->fd, t->buf + t->n, left < room ? (size_t)left : room,
				    (off_t)(x->size - left));

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return err_sys(e, "read");
		if (got == 0)
			break;
		t->n += (size_t)got;
		t->at += (size_t)got;
		left -= (uint64_t)got;
		rc = t->n == OUT_BYTES ? flush(t, e) : 0;
		if (rc < 0)
			return rc;
	}
	rc = zeros(t, left, e);
	return rc < 0 ? rc : tar_out_pad(t, e);
}

/* The name of a whiteout's file in an archive (OCI image-spec, layer.md, "Whiteouts"). */
static int put_mark(struct tar_out *t, const struct entry *x, struct err *e)
{
	const char *slash = strrchr(x->path, '/');
	struct entry mark = { .mode = S_IFREG, .fd = -1 };

	t->name.len = 0;
	str_add(&t->name, "");
	if (x->kind == ENTRY_OPAQUE)
		str_addf(&t->name, "%s%s" OPAQUE_NAME, x->path, *x->path ? "/" : "");
	else
		str_addf(&t->name, "%.*s" WHITEOUT_PREFIX "%s",
			 slash ? (int)(slash + 1 - x->path) : 0, x->path,
			 slash ? slash + 1 : x->path);
	return put_entry(t, &mark, t->name.s, e);
}

int tar_out_entry(void *tar, const struct entry *x, struct err *e)
{
	struct tar_out *t = tar;
	int rc;

	if (x->kind != ENTRY_FILE)
		return put_mark(t, x, e);
	if (S_ISSOCK(x->mode))
		return 0;
	t->name.len = 0;
	str_add(&t->name, *x->path ? x->path : ".");
	if (S_ISDIR(x->mode))
		str_add_char(&t->name, '/');
	rc = put_entry(t, x, t->name.s, e);
	if (rc == 0 && x->link == NULL && S_ISREG(x->mode))
		rc = put_content(t, x, e);
	return rc;
}

int tar_out_begin(struct tar_out *t, const char *name, uint64_t size, struct err *e)
{
	struct entry x = { .path = name,
			   .size = size,
			   .mode = str_ends(name, "/") ? S_IFDIR | 0755 : S_IFREG | 0644,
			   .fd = -1 };

	assert(strlen(name) <= NAME_MAX_);
	return put_entry(t, &x, name, e);
}

int tar_out_text(struct tar_out *t, const char *name, const char *content, struct err *e)
{
	size_t n = strlen(content);
	int rc = tar_out_begin(t, name, n, e);

	if (rc == 0)
		rc = tar_out_data(t, content, n, e);
	return rc < 0 ? rc : tar_out_pad(t, e);
}
