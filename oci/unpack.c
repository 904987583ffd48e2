/* unpack.c: a layer's archive, read by libarchive, becomes a tree; see unpack.h. */
#include "oci/unpack.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "oci/ahead.h"
#include "oci/tree.h"
#include "runtime/base/fd.h"
#include "runtime/base/own.h"
#include "runtime/base/str.h"

/*
 * Theory of operation: the reader's packed bytes are unpacked and hashed by a
 * thread of their own (ahead.h), block by block, a few blocks ahead; here
 * libarchive takes the blocks apart, without copying them, and tree.h makes
 * the files. libarchive never sees packed bytes, so that every byte goes into
 * the diff id, also those after the archive's end mark.
 *
 * libarchive runs in the C locale and gives names back as the bytes that are in the
 * archive; it warns of those it cannot convert, which is no error here.
 */

/*
 * Most bytes of headers in front of one entry: long names, xattrs, the map of
 * a sparse file, which libarchive keeps in memory.
 */
#define HEADER_BYTES_MAX (8u << 20)
/* Read at once from a descriptor. */
#define FD_READ_BYTES (256 * 1024)

#define WHITEOUT_PREFIX	     ".wh."
#define WHITEOUT_META_PREFIX ".wh..wh."
#define WHITEOUT_OPAQUE	     ".wh..wh..opq"

struct unpack {
	struct ahead *in;
	struct tree *tree;
	struct archive *a;
	uint64_t max_entries, max_bytes;
	uint64_t header_bytes; /* taken since next_header was called */
	bool in_header;
	struct unpack_result *res;
	struct err in_err; /* what the input said, while libarchive is in between */
	int in_rc;
	struct tree_xattr xattrs[UNPACK_XATTRS_MAX];
};

/* ---- input ---- */

static la_ssize_t give_block(struct archive *a, void *arg, const void **buf)
{
	struct unpack *u = arg;
	ssize_t n = ahead_next(u->in, buf, &u->in_err);

	if (n < 0) {
		u->in_rc = (int)n;
		archive_set_error(a, (int)-n, "input");
		return ARCHIVE_FATAL;
	}
	if (u->in_header) {
		u->header_bytes += (uint64_t)n;
		if (u->header_bytes > HEADER_BYTES_MAX) {
			u->in_rc = err_set(&u->in_err, EFBIG,
					   "an entry has more than %u bytes of headers",
					   HEADER_BYTES_MAX);
			archive_set_error(a, EFBIG, "headers");
			return ARCHIVE_FATAL;
		}
	}
	return n;
}

/* What libarchive (or what is below it) has said. */
static int archive_failed(struct unpack *u, struct err *e)
{
	char shown[TREE_SHOW_MAX];
	const char *text = archive_error_string(u->a);

	if (u->in_rc < 0) {
		if (e)
			*e = u->in_err;
		return u->in_rc;
	}
	return err_set(e, EBADMSG, "the tar archive is damaged: %s",
		       tree_show(shown, text ? text : "unknown format"));
}

static int archive_start(struct unpack *u, struct err *e)
{
	u->a = archive_read_new();
	if (u->a == NULL)
		return err_set(e, ENOMEM, "no memory for reading an archive");
	archive_read_support_format_tar(u->a);
	archive_read_support_format_empty(u->a);
	/* "._x" is a file like others. */
	archive_read_set_format_option(u->a, "tar", "mac-ext", NULL);
	u->in_header = true;
	if (archive_read_open(u->a, u, NULL, give_block, NULL) < ARCHIVE_WARN)
		return archive_failed(u, e);
	return 0;
}

/* ---- entries ---- */

static int bad_entry(const char *path, const char *what, struct err *e)
{
	char shown[TREE_SHOW_MAX];

	return err_set(e, EBADMSG, "the entry %s has %s", tree_show(shown, path), what);
}

static int read_xattrs(struct unpack *u, struct archive_entry *ae, const char *path,
		       struct tree_attr *attr, struct err *e)
{
	size_t n = 0;

	attr->xattrs = u->xattrs;
	if (archive_entry_xattr_reset(ae) == 0)
		return 0;
	for (;;) {
		struct tree_xattr *x = &u->xattrs[n];
		const char *name;

		if (n == UNPACK_XATTRS_MAX)
			return bad_entry(path, "too many xattrs", e);
		if (archive_entry_xattr_next(ae, &name, &x->value, &x->len) != ARCHIVE_OK)
			break;
		x->name = name;
		if (*name)
			n++;
	}
	attr->nxattrs = n;
	return 0;
}

static int read_attr(struct unpack *u, struct archive_entry *ae, const char *path, mode_t type,
		     struct tree_attr *attr, struct err *e)
{
	int64_t uid = archive_entry_uid(ae), gid = archive_entry_gid(ae);
	dev_t major = archive_entry_rdevmajor(ae), minor = archive_entry_rdevminor(ae);
	long nsec = archive_entry_mtime_nsec(ae);

	*attr = (struct tree_attr){ 0 };
	if (uid < 0 || uid > UINT32_MAX || gid < 0 || gid > UINT32_MAX)
		return bad_entry(path, "an owner beyond 32 bits", e);
	attr->st.uid = (uint32_t)uid;
	attr->st.gid = (uint32_t)gid;
	attr->st.mode = type | (S_ISLNK(type) ? 0777 : archive_entry_perm(ae) & 07777);
	if (S_ISCHR(type) || S_ISBLK(type)) {
		if (major > UINT32_MAX || minor > UINT32_MAX)
			return bad_entry(path, "a device number beyond 32 bits", e);
		attr->st.rdev_major = (uint32_t)major;
		attr->st.rdev_minor = (uint32_t)minor;
	}
	attr->mtime.tv_sec = archive_entry_mtime_is_set(ae) ? archive_entry_mtime(ae) : 0;
	attr->mtime.tv_nsec = nsec >= 0 && nsec < 1000000000 ? nsec : 0;
	return read_xattrs(u, ae, path, attr, e);
}

static int write_at(int fd, const void *buf, size_t n, int64_t off)
{
	const char *p = buf;

	while (n) {
		ssize_t put = pwrite(fd, p, n, off);

		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return -errno;
		p += put;
		off += put;
		n -= (size_t)put;
	}
	return 0;
}

/* A file's content; what an archive leaves out of a sparse one becomes holes. */
static int write_content(struct unpack *u, int fd, const char *path, int64_t size, struct err *e)
{
	char shown[TREE_SHOW_MAX];
	int64_t end = 0;

	for (;;) {
		const void *buf;
		int64_t off;
		size_t n;
		int rc = archive_read_data_block(u->a, &buf, &n, &off);

		if (rc == ARCHIVE_EOF)
			break;
		if (rc == ARCHIVE_RETRY)
			continue;
		if (rc < ARCHIVE_WARN)
			return archive_failed(u, e);
		if (off < 0 || off > size || n > (uint64_t)(size - off))
			return bad_entry(path, "content beyond its size", e);
		if (n == 0)
			continue;
		rc = write_at(fd, buf, n, off);
		if (rc < 0)
			return err_set(e, -rc, "write %s: %s", tree_show(shown, path),
				       strerror(-rc));
		if (off + (int64_t)n > end)
			end = off + (int64_t)n;
	}
	if (end < size && ftruncate(fd, size) < 0)
		return err_sys(e, "write %s", tree_show(shown, path));
	return 0;
}

static int make_file(struct unpack *u, struct archive_entry *ae, const char *path,
		     const struct tree_attr *attr, struct err *e)
{
	int64_t size = archive_entry_size(ae);
	int fd, rc;

	if (size < 0 || (uint64_t)size > u->max_bytes)
		return bad_entry(path, "a size beyond all limits", e);
	rc = tree_file_begin(u->tree, path, attr, &fd, e);
	if (rc < 0)
		return rc;
	rc = size ? write_content(u, fd, path, size, e) : 0;
	if (rc < 0) {
		close(fd);
		return rc;
	}
	u->res->size += (uint64_t)size;
	return tree_file_end(u->tree, fd, attr, e);
}

/* ".wh.x" hides x of the layers below, ".wh..wh..opq" all they have in this folder. */
static int make_whiteout(struct unpack *u, const char *path, const char *base, struct err *e)
{
	own_free char *hidden = NULL;
	const char *name = base + strlen(WHITEOUT_PREFIX);

	if (strcmp(base, WHITEOUT_OPAQUE) == 0) {
		hidden = xstrndup(path, (size_t)(base - path));
		return tree_opaque(u->tree, hidden, e);
	}
	if (str_starts(base, WHITEOUT_META_PREFIX))
		return 0; /* aufs's own */
	if (*name == 0 || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return bad_entry(path, "a whiteout of no name", e);
	hidden = xasprintf("%.*s%s", (int)(base - path), path, name);
	return tree_whiteout(u->tree, hidden, e);
}

static int make_entry(struct unpack *u, struct archive_entry *ae, const char *path, struct err *e)
{
	const char *base = strrchr(path, '/'), *link = archive_entry_hardlink(ae);
	mode_t type = archive_entry_filetype(ae);
	struct tree_attr attr;
	int rc;

	base = base ? base + 1 : path;
	if (str_starts(base, WHITEOUT_PREFIX))
		return make_whiteout(u, path, base, e);
	if (strstr(path, "/" WHITEOUT_META_PREFIX) || str_starts(path, WHITEOUT_META_PREFIX))
		return 0; /* aufs's own, in folders */
	if (link)
		return tree_link(u->tree, path, link, e);
	rc = read_attr(u, ae, path, type, &attr, e);
	if (rc < 0)
		return rc;
	switch (type) {
	case S_IFREG:
		return make_file(u, ae, path, &attr, e);
	case S_IFDIR:
		return tree_dir(u->tree, path, &attr, e);
	case S_IFLNK:
		link = archive_entry_symlink(ae);
		return tree_symlink(u->tree, path, link ? link : "", &attr, e);
	case S_IFCHR:
	case S_IFBLK:
	case S_IFIFO:
	case S_IFSOCK:
		return tree_node(u->tree, path, &attr, e);
	default:
		return bad_entry(path, "a type that is not known", e);
	}
}

/* The entry's path without slashes at its end: a folder's name is a name, too. */
static char *entry_path(struct archive_entry *ae)
{
	const char *p = archive_entry_pathname(ae);
	size_t n = p ? strlen(p) : 0;

	while (n && p[n - 1] == '/')
		n--;
	return p ? xstrndup(p, n) : NULL;
}

/* 1 at the end. */
static int next_entry(struct unpack *u, struct err *e)
{
	own_free char *path = NULL;
	struct archive_entry *ae;
	int rc;

	u->in_header = true;
	u->header_bytes = 0;
	rc = archive_read_next_header(u->a, &ae);
	u->in_header = false;
	if (rc == ARCHIVE_EOF)
		return 1;
	if (rc == ARCHIVE_RETRY)
		return 0;
	if (rc < ARCHIVE_WARN)
		return archive_failed(u, e);
	if (++u->res->entries > u->max_entries)
		return err_set(e, EFBIG, "it has more than %llu entries",
			       (unsigned long long)u->max_entries);
	path = entry_path(ae);
	if (path == NULL)
		return err_set(e, EBADMSG, "the tar archive is damaged: an entry has no name");
	rc = make_entry(u, ae, path, e);
	if (rc < 0)
		return rc;
	/* What was not read (a whiteout's content, say) does not count as the next one's header. */
	if (archive_read_data_skip(u->a) < ARCHIVE_WARN)
		return archive_failed(u, e);
	return 0;
}

/* What follows the archive's end mark is part of the diff id. */
static int drain(struct unpack *u, struct err *e)
{
	const void *buf;
	ssize_t n;

	do {
		n = ahead_next(u->in, &buf, e);
	} while (n > 0);
	return (int)n;
}

static int unpack_all(struct unpack *u, struct err *e)
{
	int rc = archive_start(u, e);

	while (rc == 0)
		rc = next_entry(u, e);
	if (rc == 1)
		rc = drain(u, e);
	if (rc == 0)
		rc = tree_finish(u->tree, e);
	return rc;
}

int unpack_layer(int dirfd, unpack_read_fn *read, void *arg, const struct unpack_limits *limits,
		 struct unpack_result *res, struct err *e)
{
	struct unpack *u = xcalloc(1, sizeof(*u));
	int rc;

	*res = (struct unpack_result){ 0 };
	u->res = res;
	u->max_entries = limits && limits->entries ? limits->entries : UNPACK_ENTRIES_MAX;
	u->max_bytes = limits && limits->bytes ? limits->bytes : UNPACK_BYTES_MAX;
	u->in = ahead_new(read, arg, limits);
	u->tree = tree_new(dirfd, e);
	rc = u->tree ? unpack_all(u, e) : (e ? -e->code : -EIO);
	if (u->a)
		archive_read_free(u->a);
	tree_free(u->tree);
	ahead_finish(u->in, rc < 0 ? NULL : res);
	free(u);
	return rc;
}

/* ---- from a descriptor ---- */

struct fd_reader {
	int fd;
	char *buf;
};

static ssize_t read_fd(void *arg, const void **buf, struct err *e)
{
	struct fd_reader *r = arg;
	ssize_t n;

	do {
		n = read(r->fd, r->buf, FD_READ_BYTES);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return err_sys(e, "read");
	*buf = r->buf;
	return n;
}

int unpack_layer_fd(int dirfd, int fd, const struct unpack_limits *limits,
		    struct unpack_result *res, struct err *e)
{
	struct fd_reader r = { fd, xmalloc(FD_READ_BYTES) };
	int rc;

	posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
	rc = unpack_layer(dirfd, read_fd, &r, limits, res, e);
	free(r.buf);
	return rc;
}
