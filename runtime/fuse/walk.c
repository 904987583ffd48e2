/* walk.c: a union's files, told one by one; see walk.h. */
#include "runtime/fuse/walk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "runtime/base/links.h"
#include "runtime/base/own.h"
#include "runtime/base/str.h"
#include "runtime/fuse/fuse.h"
#include "runtime/fuse/union.h"

/*
 * The engine itself is the reader: union_find knows all there is to know of
 * whiteouts, merged and renamed folders and of files with several names. It
 * is an engine of our own that looks only (fuse_share.look). Its lock is
 * dropped between names: only then descriptors of folders go back.
 */

struct tell {
	struct fuse *f;
	bool changes;
	bool index; /* names in layers may stand for files of the upper */
	entry_fn *fn;
	void *arg;
	struct str path;
	struct links links; /* the first names of files with several */
	struct err *e;
};

/* An entry's extended attributes. */
struct attrs {
	struct entry_xattr *v;
	size_t n;
	char *list;
	char **values;
};

static void attrs_free(struct attrs *a)
{
	for (size_t i = 0; i < a->n; i++)
		free(a->values[i]);
	free(a->v);
	free(a->values);
	free(a->list);
}

static int by_xattr(const void *a, const void *b)
{
	return strcmp(((const struct entry_xattr *)a)->name, ((const struct entry_xattr *)b)->name);
}

static int read_attr(struct attrs *a, int fd, const char *name)
{
	ssize_t len = fgetxattr(fd, name, NULL, 0);
	char *value;

	if (len < 0)
		return errno == ENODATA ? 0 : -errno;
	value = xmalloc((size_t)len + 1);
	len = fgetxattr(fd, name, value, (size_t)len);
	if (len < 0) {
		free(value);
		return errno == ENODATA ? 0 : -errno;
	}
	a->v = xrealloc(a->v, (a->n + 1) * sizeof(*a->v));
	a->values = xrealloc(a->values, (a->n + 1) * sizeof(*a->values));
	a->values[a->n] = value;
	a->v[a->n++] =
		(struct entry_xattr){ name + strlen(LAYER_XATTR_PREFIX), value, (size_t)len };
	return 0;
}

static int read_attrs(struct attrs *a, int fd)
{
	ssize_t n = flistxattr(fd, NULL, 0);
	int rc = 0;

	if (n <= 0)
		return n == 0 || errno == EOPNOTSUPP ? 0 : -errno;
	a->list = xmalloc(META_LIST_MAX);
	n = flistxattr(fd, a->list, META_LIST_MAX);
	if (n < 0)
		return -errno;
	for (ssize_t i = 0; rc == 0 && i < n; i += (ssize_t)strlen(a->list + i) + 1)
		if (str_starts(a->list + i, LAYER_XATTR_PREFIX))
			rc = read_attr(a, fd, a->list + i);
	if (a->n)
		qsort(a->v, a->n, sizeof(*a->v), by_xattr);
	return rc;
}

/* ---- telling ---- */

static int tell_mark(struct tell *t, enum entry_kind kind)
{
	struct entry x = { .kind = kind, .path = t->path.s, .fd = -1 };

	return t->fn(t->arg, &x, t->e);
}

static void fill(struct entry *x, const struct meta *m)
{
	x->mode = m->ls.mode;
	x->uid = m->ls.uid;
	x->gid = m->ls.gid;
	x->major = m->ls.rdev_major;
	x->minor = m->ls.rdev_minor;
	x->size = S_ISREG(m->ls.mode) ? (uint64_t)m->st.st_size : 0;
	x->mtime = m->st.st_mtim;
}

/* fd: what carries the attributes, -1: nothing does. */
static int tell_entry(struct tell *t, struct entry *x, int fd)
{
	struct attrs a OWN(attrs_free) = { 0 };
	int rc = fd >= 0 ? read_attrs(&a, fd) : 0;

	if (rc < 0)
		return err_set(t->e, -rc, "read the attributes of /%s: %s", t->path.s,
			       strerror(-rc));
	x->path = t->path.s;
	x->xattrs = a.v;
	x->nxattrs = a.n;
	rc = t->fn(t->arg, x, t->e);
	return rc < 0 ? err_wrap(t->e, "/%s", t->path.s) : 0;
}

static int read_target(struct tell *t, struct node *dir, const char *name, const struct found *r,
		       char *buf)
{
	ssize_t n;

	if (r->fd >= 0) {
		n = pread(r->fd, buf, PATH_MAX, 0);
	} else {
		int fd = folder_layer(t->f, dir, r->where);

		n = fd < 0 ? (errno = -fd, -1) : readlinkat(fd, name, buf, PATH_MAX);
	}
	if (n < 0)
		return -errno;
	buf[n] = 0;
	return 0;
}

static int tell_file(struct tell *t, struct node *dir, const char *name, const struct found *r)
{
	struct entry x = { .fd = S_ISREG(r->m.ls.mode) ? r->fd : -1 };
	own_free char *target = NULL;
	int rc;

	fill(&x, &r->m);
	if (r->m.st.st_nlink > 1 || r->m.low_names >= 0)
		x.link = links_first(&t->links, 0, union_ino(dir->share, r->where, &r->m),
				     t->path.s);
	if (S_ISLNK(x.mode)) {
		target = xmalloc(PATH_MAX + 1);
		rc = read_target(t, dir, name, r, target);
		if (rc < 0)
			return err_set(t->e, -rc, "read /%s: %s", t->path.s, strerror(-rc));
		x.target = target;
	}
	return tell_entry(t, &x, r->fd);
}

/* m NULL: what the layers say of it, although the upper has it. */
static int tell_dir(struct tell *t, struct node *n, const struct meta *m)
{
	bool upper = m && n->folder->upper;
	struct entry x = { .fd = -1 };
	struct meta low;
	int fd = upper ? folder_fd(t->f, n) : union_dir_source(t->f, n, &low);

	if (fd < 0)
		return err_set(t->e, -fd, "read /%s: %s", t->path.s, strerror(-fd));
	fill(&x, m ? m : &low);
	return tell_entry(t, &x, fd);
}

static int walk_dir(struct tell *t, struct node *dir, bool changes, unsigned depth);

static int walk_subdir(struct tell *t, struct node *dir, const char *name, struct found *r,
		       bool changes, unsigned depth)
{
	bool told = !changes || r->in_upper;
	bool fresh = r->in_upper && (r->m.opaque || r->m.redirected);
	struct node *n = NULL;
	int rc = union_node(t->f, dir, name, r, &n);

	if (rc < 0)
		return err_set(t->e, -rc, "read /%s: %s", t->path.s, strerror(-rc));
	rc = told ? tell_dir(t, n, &r->m) : 0;
	if (rc == 0 && changes && fresh && union_in_layers(t->f, dir, name) > 0)
		rc = tell_mark(t, ENTRY_OPAQUE);
	if (rc == 0)
		rc = walk_dir(t, n, changes && !fresh, depth + 1);
	node_put(t->f, n);
	return rc;
}

static int walk_name(struct tell *t, struct node *dir, const char *name, bool changes,
		     unsigned depth)
{
	own_found struct found r;
	int rc = union_find(t->f, dir, name, 0, &r);

	if (rc < 0)
		return err_set(t->e, -rc, "read /%s: %s", t->path.s, strerror(-rc));
	if (r.hidden)
		return changes && union_in_layers(t->f, dir, name) > 0
			       ? tell_mark(t, ENTRY_WHITEOUT)
			       : 0;
	if (!r.exists)
		return 0;
	if (S_ISDIR(r.m.ls.mode))
		return walk_subdir(t, dir, name, &r, changes, depth);
	if (changes && r.where != WHERE_UPPER)
		return 0;
	return tell_file(t, dir, name, &r);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The names to look at, sorted. */
static int names_of(struct tell *t, struct node *dir, bool changes, struct strv *out)
{
	struct listing *l = listing_new();
	int rc = 0, fd;

	if (!changes || t->index) {
		rc = union_ops.list(t->f, dir, l);
	} else if (dir->folder->upper) {
		fd = folder_fd(t->f, dir);
		rc = fd < 0 ? fd : listing_read(l, fd, 0);
	}
	if (rc == 0)
		listing_finish(l);
	for (size_t i = 0; rc == 0 && i < l->n; i++)
		strv_add(out, l->names + l->v[i].name);
	listing_free(l);
	if (out->n)
		qsort(out->v, out->n, sizeof(*out->v), by_name);
	return rc;
}

static int walk_dir(struct tell *t, struct node *dir, bool changes, unsigned depth)
{
	own_strv struct strv names = STRV_INIT;
	size_t len = t->path.len;
	int rc = names_of(t, dir, changes, &names);

	if (rc < 0)
		return err_set(t->e, -rc, "read /%s: %s", t->path.s, strerror(-rc));
	if (depth > WALK_DEPTH_MAX)
		return err_set(t->e, ELOOP, "folders are nested deeper than %d", WALK_DEPTH_MAX);
	for (size_t i = 0; rc == 0 && i < names.n; i++) {
		str_addf(&t->path, "%s%s", len ? "/" : "", names.v[i]);
		rc = walk_name(t, dir, names.v[i], changes, depth);
		t->path.len = len;
		t->path.s[len] = 0;
		fuse_unlock(t->f);
		fuse_lock(t->f);
	}
	return rc;
}

static int walk_root(struct tell *t)
{
	struct share *s = &t->f->share[0];
	struct meta m;
	int rc = union_meta(t->f, s->root, &m);

	if (rc < 0)
		return err_set(t->e, -rc, "read the root folder: %s", strerror(-rc));
	/* An upper that was never used says nothing of the root. */
	if (s->root->folder->upper && !m.has_origin && s->root->folder->nparts)
		rc = t->changes ? 0 : tell_dir(t, s->root, NULL);
	else
		rc = tell_dir(t, s->root, &m);
	return rc < 0 ? rc : walk_dir(t, s->root, t->changes, 0);
}

int fuse_walk(const char *const *layers, unsigned nlayers, const char *upper, bool changes,
	      entry_fn *fn, void *arg, struct err *e)
{
	struct fuse_share share = { .name = "root",
				    .layers = layers,
				    .nlayers = nlayers,
				    .upper = upper,
				    .look = true,
				    .read_only = true };
	struct tell t = { .changes = changes, .fn = fn, .arg = arg, .e = e };
	int rc;

	t.f = fuse_new(&share, 1, e);
	if (t.f == NULL)
		return e && e->code ? -e->code : -EIO;
	t.index = t.f->share[0].index_used;
	str_add(&t.path, "");
	fuse_lock(t.f);
	rc = walk_root(&t);
	fuse_unlock(t.f);
	fuse_free(t.f);
	links_free(&t.links);
	str_free(&t.path);
	return rc;
}
