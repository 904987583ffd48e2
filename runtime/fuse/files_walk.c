/* files_walk.c: telling a tree of files, or a part of it, entry by entry; see files.h. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/links.h"
#include "runtime/base/own.h"
#include "runtime/fuse/files_impl.h"
#include "runtime/fuse/meta.h"

/* XATTR_SIZE_MAX of the kernel. */
#define XATTR_VALUE_MAX 65536

struct tell {
	struct files *v;
	entry_fn *fn;
	void *arg;
	struct str path; /* in the tree */
	size_t base;	 /* how much of it is left out of what is told */
	struct links links;
	struct err *e;
};

struct attrs {
	struct entry_xattr *v;
	size_t n;
	char *list;
};

static void attrs_free(struct attrs *a)
{
	for (size_t i = 0; i < a->n; i++)
		free((void *)(uintptr_t)a->v[i].value);
	free(a->v);
	free(a->list);
}

static int by_xattr(const void *a, const void *b)
{
	return strcmp(((const struct entry_xattr *)a)->name, ((const struct entry_xattr *)b)->name);
}

static int read_attrs(struct files *v, struct node *n, struct attrs *a)
{
	const struct share_ops *ops = n->share->ops;
	struct fuse *f = files_engine(v, n);
	own_free char *value = NULL;
	ssize_t len, got;

	a->list = xmalloc(META_LIST_MAX);
	len = ops->listxattr(f, n, a->list, META_LIST_MAX);
	if (len <= 0)
		return len == -EOPNOTSUPP ? 0 : (int)len;
	value = xmalloc(XATTR_VALUE_MAX);
	for (ssize_t i = 0; i < len; i += (ssize_t)strlen(a->list + i) + 1) {
		char *copy;

		got = ops->getxattr(f, n, a->list + i, value, XATTR_VALUE_MAX);
		if (got == -ENODATA)
			continue;
		if (got < 0)
			return (int)got;
		copy = xmalloc((size_t)got + 1);
		memcpy(copy, value, (size_t)got);
		a->v = xrealloc(a->v, (a->n + 1) * sizeof(*a->v));
		a->v[a->n++] = (struct entry_xattr){ a->list + i, copy, (size_t)got };
	}
	if (a->n)
		qsort(a->v, a->n, sizeof(*a->v), by_xattr);
	return 0;
}

static const char *shown(const struct tell *t)
{
	const char *path = t->path.s + t->base;

	return *path == '/' ? path + 1 : path;
}

static int failed(struct tell *t, int rc)
{
	return err_set(t->e, -rc, "read %s: %s", t->path.len ? t->path.s : "/", strerror(-rc));
}

/* A guest may be at work: what goes while we look is not told, or not whole. */
static bool has_gone(int rc)
{
	return rc == -ENOENT || rc == -ESTALE;
}

/* Tells n; an entry's content and so on are lent for the time of the call. */
static int tell_node(struct tell *t, struct node *n, const struct attr *a, bool may_go)
{
	struct attrs attrs OWN(attrs_free) = { 0 };
	own_free char *target = NULL;
	struct ofile *o = NULL;
	struct entry x = { .path = shown(t),
			   .mode = a->mode,
			   .uid = a->uid,
			   .gid = a->gid,
			   .major = a->rdev_major,
			   .minor = a->rdev_minor,
			   .size = S_ISREG(a->mode) ? a->size : 0,
			   .mtime = a->mtime,
			   .fd = -1 };
	int rc = read_attrs(t->v, n, &attrs);

	if (rc == 0 && S_ISLNK(a->mode))
		x.target = target = files_target(t->v, n, &rc);
	if (rc == 0 && S_ISREG(a->mode))
		rc = n->share->ops->open(files_engine(t->v, n), n, O_RDONLY, &o);
	if (rc < 0)
		return may_go && has_gone(rc) ? 0 : failed(t, rc);
	if (o)
		x.fd = o->fd;
	if (n->folder == NULL && a->nlink > 1)
		x.link =
			links_first(&t->links, files_engine(t->v, n) == t->v->root, a->ino, x.path);
	x.xattrs = attrs.v;
	x.nxattrs = attrs.n;
	files_unlock(t->v); /* it may take long, and gives descriptors back */
	rc = t->fn(t->arg, &x, t->e);
	files_lock(t->v);
	ofile_put(o);
	return rc;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int names_of(struct files *v, struct node *dir, struct strv *out)
{
	struct listing *l = listing_new();
	int rc = dir->share->ops->list(files_engine(v, dir), dir, l);

	if (rc == 0)
		listing_finish(l);
	for (size_t i = 0; rc == 0 && i < l->n; i++)
		strv_add(out, l->names + l->v[i].name);
	listing_free(l);
	if (out->n)
		qsort(out->v, out->n, sizeof(*out->v), by_name);
	return rc;
}

static int tell_tree(struct tell *t, struct node *n, const struct attr *a, unsigned depth)
{
	own_strv struct strv names = STRV_INIT;
	size_t len = t->path.len;
	int rc = tell_node(t, n, a, depth > 0);

	if (rc < 0 || n->folder == NULL)
		return rc;
	if (depth > FILES_DEPTH_MAX)
		return failed(t, -ELOOP);
	rc = names_of(t->v, n, &names);
	if (rc < 0)
		return has_gone(rc) ? 0 : failed(t, rc);
	for (size_t i = 0; rc == 0 && i < names.n; i++) {
		struct node *child;
		struct attr ca;

		rc = files_child(t->v, n, &t->path, names.v[i], &child, &ca);
		if (rc == 0)
			rc = tell_tree(t, child, &ca, depth + 1);
		else if (has_gone(rc))
			rc = 0; /* or a whiteout's name */
		else
			rc = failed(t, rc);
		if (child)
			node_put(files_engine(t->v, child), child);
		t->path.len = len;
		t->path.s[len] = 0;
	}
	return rc;
}

int files_walk(struct files *v, const char *path, entry_fn *fn, void *arg, struct err *e)
{
	struct tell t = { .v = v, .fn = fn, .arg = arg, .e = e };
	struct files_place p;
	int rc;

	files_lock(v);
	rc = files_find(v, path, false, &p);
	if (rc == 0 && p.n == NULL) {
		place_drop(v, &p);
		rc = -ENOENT;
	}
	if (rc < 0) {
		err_set(e, -rc, "%s: %s", path, strerror(-rc));
	} else {
		t.path = p.path;
		t.base = p.path.len;
		p.path = (struct str)STR_INIT;
		rc = tell_tree(&t, p.n, &p.a, 0);
		place_drop(v, &p);
	}
	files_unlock(v);
	links_free(&t.links);
	str_free(&t.path);
	return rc;
}

int files_list(struct files *v, const char *path, files_name_fn *fn, void *arg, struct err *e)
{
	own_strv struct strv names = STRV_INIT;
	struct files_place p;
	int rc;

	files_lock(v);
	rc = files_find(v, path, true, &p);
	if (rc == 0) {
		rc = p.n == NULL ? -ENOENT : p.n->folder == NULL ? -ENOTDIR : 0;
		if (rc == 0)
			rc = names_of(v, p.n, &names);
		place_drop(v, &p);
	}
	files_unlock(v);
	if (rc < 0)
		return err_set(e, -rc, "%s: %s", path, strerror(-rc));
	for (size_t i = 0; rc == 0 && i < names.n; i++)
		rc = fn(arg, names.v[i], e);
	return rc;
}
