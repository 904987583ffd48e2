/* unpack.c: a layer's archive, read by libarchive, becomes a tree; see unpack.h. */
#include "oci/unpack.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "oci/tar_in.h"
#include "oci/tree.h"
#include "runtime/base/fd.h"
#include "runtime/base/own.h"
#include "runtime/base/str.h"

/*
 * Theory of operation: the reader's packed bytes are unpacked and hashed by a
 * thread of their own (ahead.h), block by block, a few blocks ahead; here
 * libarchive (tar_in.h) takes the blocks apart, without copying them, and tree.h makes
 * the files.
 */

#define WHITEOUT_PREFIX	     ".wh."
#define WHITEOUT_META_PREFIX ".wh..wh."
#define WHITEOUT_OPAQUE	     ".wh..wh..opq"

struct unpack {
	struct tar_in *in;
	struct tree *tree;
	uint64_t max_entries, max_bytes;
	struct unpack_result *res;
	struct tree_xattr xattrs[UNPACK_XATTRS_MAX];
};

/* ---- entries ---- */

static int bad_entry(const char *path, const char *what, struct err *e)
{
	char shown[TREE_SHOW_MAX];

	return err_set(e, EBADMSG, "the entry %s has %s", tree_show(shown, path), what);
}

static int read_xattrs(struct unpack *u, const struct tar_entry *te, struct tree_attr *attr,
		       struct err *e)
{
	struct tree_xattr x;

	attr->xattrs = u->xattrs;
	while (tar_in_xattr(u->in, &x.name, &x.value, &x.len)) {
		if (*x.name == 0)
			continue;
		if (attr->nxattrs == UNPACK_XATTRS_MAX)
			return bad_entry(te->path, "too many xattrs", e);
		u->xattrs[attr->nxattrs++] = x;
	}
	return 0;
}

static int read_attr(struct unpack *u, const struct tar_entry *te, struct tree_attr *attr,
		     struct err *e)
{
	*attr = (struct tree_attr){ .mtime = te->mtime };
	if (te->uid < 0 || te->uid > UINT32_MAX || te->gid < 0 || te->gid > UINT32_MAX)
		return bad_entry(te->path, "an owner beyond 32 bits", e);
	attr->st.uid = (uint32_t)te->uid;
	attr->st.gid = (uint32_t)te->gid;
	attr->st.mode = te->type | (S_ISLNK(te->type) ? 0777 : te->perm);
	if (S_ISCHR(te->type) || S_ISBLK(te->type)) {
		if (te->major > UINT32_MAX || te->minor > UINT32_MAX)
			return bad_entry(te->path, "a device number beyond 32 bits", e);
		attr->st.rdev_major = (uint32_t)te->major;
		attr->st.rdev_minor = (uint32_t)te->minor;
	}
	return read_xattrs(u, te, attr, e);
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
		int rc = tar_in_data(u->in, &buf, &n, &off, e);

		if (rc < 0)
			return rc;
		if (rc == 1)
			break;
		rc = write_at(fd, buf, n, off);
		if (rc < 0)
			return err_set(e, -rc, "write %s: %s", tree_show(shown, path),
				       strerror(-rc));
		end = off + (int64_t)n;
	}
	if (end < size && ftruncate(fd, size) < 0)
		return err_sys(e, "write %s", tree_show(shown, path));
	return 0;
}

static int make_file(struct unpack *u, const char *path, int64_t size, const struct tree_attr *attr,
		     struct err *e)
{
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

static int make_entry(struct unpack *u, const struct tar_entry *te, const char *path, struct err *e)
{
	const char *base = strrchr(path, '/');
	struct tree_attr attr;
	int rc;

	base = base ? base + 1 : path;
	if (str_starts(base, WHITEOUT_PREFIX))
		return make_whiteout(u, path, base, e);
	if (strstr(path, "/" WHITEOUT_META_PREFIX) || str_starts(path, WHITEOUT_META_PREFIX))
		return 0; /* aufs's own, in folders */
	if (te->hardlink)
		return tree_link(u->tree, path, te->hardlink, e);
	rc = read_attr(u, te, &attr, e);
	if (rc < 0)
		return rc;
	switch (te->type) {
	case S_IFREG:
		return make_file(u, path, te->size, &attr, e);
	case S_IFDIR:
		return tree_dir(u->tree, path, &attr, e);
	case S_IFLNK:
		return tree_symlink(u->tree, path, te->symlink ? te->symlink : "", &attr, e);
	case S_IFCHR:
	case S_IFBLK:
	case S_IFIFO:
	case S_IFSOCK:
		return tree_node(u->tree, path, &attr, e);
	default:
		return bad_entry(path, "a type that is not known", e);
	}
}

/* 1 at the end. */
static int next_entry(struct unpack *u, struct err *e)
{
	own_free char *path = NULL;
	struct tar_entry te;
	size_t n;
	int rc = tar_in_next(u->in, &te, e);

	if (rc != 0)
		return rc;
	if (++u->res->entries > u->max_entries)
		return err_set(e, EFBIG, "it has more than %llu entries",
			       (unsigned long long)u->max_entries);
	/* A folder's name is a name, too, without the slashes at its end. */
	for (n = strlen(te.path); n && te.path[n - 1] == '/'; n--)
		;
	path = xstrndup(te.path, n);
	return make_entry(u, &te, path, e);
}

int unpack_layer(int dirfd, unpack_read_fn *read, void *arg, const struct unpack_limits *limits,
		 struct unpack_result *res, struct err *e)
{
	struct unpack *u = xcalloc(1, sizeof(*u));
	int rc = 0;

	*res = (struct unpack_result){ 0 };
	u->res = res;
	u->max_entries = limits && limits->entries ? limits->entries : UNPACK_ENTRIES_MAX;
	u->max_bytes = limits && limits->bytes ? limits->bytes : UNPACK_BYTES_MAX;
	rc = tree_new(dirfd, &u->tree, e);
	if (rc == 0) {
		u->in = tar_in_new(read, arg, limits, true);
		while (rc == 0)
			rc = next_entry(u, e);
	}
	if (rc == 1)
		rc = tree_finish(u->tree, e);
	tar_in_free(u->in, rc < 0 ? NULL : res);
	tree_free(u->tree);
	free(u);
	return rc;
}

/* ---- from a descriptor ---- */

ssize_t unpack_read_fd(void *arg, const void **buf, struct err *e)
{
	struct unpack_fd *r = arg;
	ssize_t n;

	do {
		n = read(r->fd, r->buf, UNPACK_FD_BYTES);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return err_sys(e, "read");
	*buf = r->buf;
	return n;
}
