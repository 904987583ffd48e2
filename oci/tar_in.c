/* tar_in.c: libarchive's tar reader on a leash; see tar_in.h. */
#include "oci/tar_in.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "oci/ahead.h"
#include "oci/tree.h"
#include "runtime/base/str.h"

#define NSEC  1000000000L
#define BLOCK 512
/* Of a ustar header, IEEE 1003.1 pax. */
#define AT_SIZE	 124
#define AT_SUM	 148
#define AT_TYPE	 156
#define AT_LINK	 157
#define AT_MAGIC 257

struct tar_in {
	struct ahead *in;
	struct archive *a; /* NULL: not begun */
	struct archive_entry *entry;
	const void *first; /* the input's first bytes, until libarchive has them */
	ssize_t nfirst;
	bool has_first, primes; /* primes: before these it gets the primer */
	char primer[BLOCK];	/* a header; empty if there is none */
	bool in_header;
	uint64_t header_bytes; /* taken since the header was asked for */
	int64_t size, end;     /* of the entry, and of its content so far */
	struct strv xattrs;    /* names of the entry's that are not as the archive has them */
	struct err in_err;     /* what the input said, while libarchive is in between */
	int in_rc;
};

struct tar_in *tar_in_new(unpack_read_fn *read, void *arg, const struct unpack_limits *limits,
			  bool hash)
{
	struct tar_in *t = xcalloc(1, sizeof(*t));

	t->in = ahead_new(read, arg, limits, hash);
	return t;
}

void tar_in_free(struct tar_in *t, struct unpack_result *res)
{
	if (t == NULL)
		return;
	if (t->a)
		archive_read_free(t->a);
	ahead_finish(t->in, res);
	strv_free(&t->xattrs);
	free(t);
}

static ssize_t next_block(struct tar_in *t, const void **buf)
{
	if (t->primes) {
		t->primes = false;
		*buf = t->primer;
		return BLOCK;
	}
	if (t->has_first) {
		t->has_first = false;
		*buf = t->first;
		return t->nfirst;
	}
	return ahead_next(t->in, buf, &t->in_err);
}

static la_ssize_t give_block(struct archive *a, void *arg, const void **buf)
{
	struct tar_in *t = arg;
	ssize_t n = next_block(t, buf);

	if (n > 0 && t->in_header) {
		t->header_bytes += (uint64_t)n;
		if (t->header_bytes > TAR_HEADER_MAX)
			n = err_set(&t->in_err, EFBIG, "an entry has more than %u bytes of headers",
				    TAR_HEADER_MAX);
	}
	if (n < 0) {
		t->in_rc = (int)n;
		archive_set_error(a, (int)-n, "input");
		return ARCHIVE_FATAL;
	}
	return n;
}

/* What libarchive (or what is below it) has said. */
static int failed(struct tar_in *t, struct err *e)
{
	char shown[TREE_SHOW_MAX];
	const char *text = archive_error_string(t->a);

	if (t->in_rc < 0) {
		if (e)
			*e = t->in_err;
		return t->in_rc;
	}
	return err_set(e, EBADMSG, "the tar archive is damaged: %s",
		       tree_show(shown, text ? text : "unknown format"));
}

/* "Retry" would pass over a damaged header, and over all it stands for. */
static bool is_bad(int rc)
{
	return rc == ARCHIVE_RETRY || rc < ARCHIVE_WARN;
}

/*
 * libarchive loses a link whose target is in a pax record alone, as it is if there is nothing
 * ASCII in it, unless it has seen another link before. So an archive gets one in front,
 * which nobody else sees.
 */
static void prime(struct tar_in *t)
{
	char *h = t->primer;
	unsigned sum = 0;

	if (t->nfirst < BLOCK || memcmp((const char *)t->first + AT_MAGIC, "ustar", 5) != 0)
		return;
	*h = 'l';
	memset(h + AT_SIZE, '0', 11);
	h[AT_TYPE] = '2';
	h[AT_LINK] = 'l';
	snprintf(h + AT_MAGIC, 9, "ustar%c00", 0);
	memset(h + AT_SUM, ' ', 8);
	for (int i = 0; i < BLOCK; i++)
		sum += (unsigned char)h[i];
	snprintf(h + AT_SUM, 8, "%06o", sum);
	t->primes = true;
}

static int begin(struct tar_in *t, struct err *e)
{
	t->a = archive_read_new();
	if (t->a == NULL)
		return err_set(e, ENOMEM, "no memory for reading an archive");
	archive_read_support_format_tar(t->a);
	archive_read_support_format_empty(t->a);
	/* "._x" is a file like others. */
	archive_read_set_format_option(t->a, "tar", "mac-ext", NULL);
	t->nfirst = ahead_next(t->in, &t->first, e);
	if (t->nfirst < 0)
		return (int)t->nfirst;
	t->has_first = true;
	prime(t);
	t->in_header = true;
	if (is_bad(archive_read_open(t->a, t, NULL, give_block, NULL)))
		return failed(t, e);
	if (*t->primer && is_bad(archive_read_next_header(t->a, &t->entry)))
		return failed(t, e);
	return 0;
}

/* What follows the archive's end mark is part of the diff id. */
static int drain(struct tar_in *t, struct err *e)
{
	const void *buf;
	ssize_t n;

	do {
		n = ahead_next(t->in, &buf, e);
	} while (n > 0);
	return n < 0 ? (int)n : 1;
}

static int describe(struct archive_entry *ae, struct tar_entry *te, struct err *e)
{
	long nsec = archive_entry_mtime_nsec(ae);

	*te = (struct tar_entry){
		.path = archive_entry_pathname(ae),
		.type = archive_entry_filetype(ae),
		.hardlink = archive_entry_hardlink(ae),
		.symlink = archive_entry_symlink(ae),
		.size = archive_entry_size(ae),
		.uid = archive_entry_uid(ae),
		.gid = archive_entry_gid(ae),
		.perm = archive_entry_perm(ae) & 07777,
		.major = archive_entry_rdevmajor(ae),
		.minor = archive_entry_rdevminor(ae),
	};
	if (archive_entry_mtime_is_set(ae)) {
		te->mtime.tv_sec = archive_entry_mtime(ae);
		te->mtime.tv_nsec = nsec >= 0 && nsec < NSEC ? nsec : 0;
		/* libarchive takes "-1.25" apart into -1 and 0.25. */
		if (te->mtime.tv_sec < 0 && te->mtime.tv_nsec) {
			te->mtime.tv_sec--;
			te->mtime.tv_nsec = NSEC - te->mtime.tv_nsec;
		}
	}
	archive_entry_xattr_reset(ae);
	if (te->path == NULL)
		return err_set(e, EBADMSG, "the tar archive is damaged: an entry has no name");
	return 0;
}

int tar_in_next(struct tar_in *t, struct tar_entry *te, struct err *e)
{
	int rc;

	if (t->a == NULL) {
		rc = begin(t, e);
		if (rc < 0)
			return rc;
	} else if (is_bad(archive_read_data_skip(t->a))) {
		/* Skipped here, so that it does not count as the next one's header. */
		return failed(t, e);
	}
	t->in_header = true;
	t->header_bytes = 0;
	rc = archive_read_next_header(t->a, &t->entry);
	t->in_header = false;
	if (rc == ARCHIVE_EOF)
		return drain(t, e);
	if (is_bad(rc))
		return failed(t, e);
	t->size = archive_entry_size(t->entry);
	t->end = 0;
	strv_free(&t->xattrs);
	return describe(t->entry, te, e);
}

bool tar_in_xattr(struct tar_in *t, const char **name, const void **value, size_t *len)
{
	struct str text = STR_INIT;

	if (archive_entry_xattr_next(t->entry, name, value, len) != ARCHIVE_OK)
		return false;
	if (*name == NULL || strchr(*name, '%') == NULL)
		return true;
	/* What a record's key cannot hold: see tar_out.c. */
	for (const char *p = *name; *p; p++) {
		bool coded = str_starts(p, "%3D") || str_starts(p, "%25");

		str_add_char(&text, !coded ? *p : p[1] == '3' ? '=' : '%');
		p += coded ? 2 : 0;
	}
	*name = str_steal(&text);
	strv_take(&t->xattrs, (char *)(uintptr_t)*name);
	return true;
}

int tar_in_data(struct tar_in *t, const void **buf, size_t *n, int64_t *off, struct err *e)
{
	int rc;

	do {
		rc = archive_read_data_block(t->a, buf, n, off);
	} while (!is_bad(rc) && rc != ARCHIVE_EOF && *n == 0);
	if (rc == ARCHIVE_EOF)
		return 1;
	if (is_bad(rc))
		return failed(t, e);
	if (*off < t->end || *off > t->size || *n > (uint64_t)(t->size - *off))
		return err_set(e, EBADMSG,
			       "the tar archive is damaged: content beyond an entry's size");
	t->end = *off + (int64_t)*n;
	return 0;
}
