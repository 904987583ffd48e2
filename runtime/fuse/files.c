/* files.c: a tree of files from the host's side: opening and finding; see files.h. */
#include "runtime/fuse/files.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/own.h"
#include "runtime/fuse/files_impl.h"

void files_lock(struct files *v)
{
	fuse_lock(v->root);
	if (v->binds)
		fuse_lock(v->binds);
}

void files_unlock(struct files *v)
{
	if (v->binds)
		fuse_unlock(v->binds);
	fuse_unlock(v->root);
}

struct fuse *files_engine(const struct files *v, const struct node *n)
{
	return n->share == &v->root->share[0] ? v->root : v->binds;
}

static void put(struct files *v, struct node *n)
{
	if (n)
		node_put(files_engine(v, n), n);
}

void place_drop(struct files *v, struct files_place *p)
{
	put(v, p->dir);
	put(v, p->n);
	str_free(&p->path);
	p->dir = p->n = NULL;
}

/* ---- finding */

static const struct files_mnt *mount_at(const struct files *v, const char *path)
{
	for (unsigned i = v->nmnt; i-- > 0;) /* the last one is on top */
		if (strcmp(v->mnt[i].path, path) == 0)
			return &v->mnt[i];
	return NULL;
}

bool files_is_mount(const struct files *v, const char *path)
{
	return mount_at(v, path) != NULL;
}

int files_child(struct files *v, struct node *dir, struct str *path, const char *name,
		struct node **n, struct attr *a)
{
	const struct files_mnt *m;
	int rc;

	*n = NULL;
	if (strlen(name) > FUSE_NAME_LEN_MAX)
		return -ENAMETOOLONG;
	str_addf(path, "/%s", name);
	m = mount_at(v, path->s);
	if (m) {
		node_get(m->n);
		*n = m->n;
		rc = m->n->share->ops->getattr(files_engine(v, m->n), m->n, a);
		if (rc < 0) {
			put(v, m->n);
			*n = NULL;
		}
		return rc;
	}
	return dir->share->ops->lookup(files_engine(v, dir), dir, name, 0, n, a);
}

/* To the root. */
static int restart(struct files *v, struct files_place *p)
{
	struct node *root = v->root->share[0].root;

	put(v, p->dir);
	put(v, p->n);
	p->dir = NULL;
	p->n = root;
	node_get(root);
	p->path.len = 0;
	str_add(&p->path, "");
	return root->share->ops->getattr(v->root, root, &p->a);
}

/* One component on, which is no link to be followed (or it is what was asked for). */
static int step(struct files *v, struct files_place *p, const char *name)
{
	struct node *n = NULL;
	int rc;

	if (p->n == NULL) { /* missing already */
		put(v, p->dir);
		p->dir = NULL;
		str_addf(&p->path, "/%s", name);
		return 0;
	}
	if (!S_ISDIR(p->a.mode))
		return -ENOTDIR;
	rc = files_child(v, p->n, &p->path, name, &n, &p->a);
	if (rc < 0 && rc != -ENOENT)
		return rc;
	put(v, p->dir);
	p->dir = p->n;
	p->n = n;
	return 0;
}

/* Back to the folder above. */
static int step_up(struct files *v, struct files_place *p)
{
	own_strv struct strv names = STRV_INIT;
	int rc;

	strv_split(&names, p->path.s, '/');
	rc = restart(v, p);
	for (size_t i = 1; rc == 0 && i + 1 < names.n; i++)
		rc = step(v, p, names.v[i]);
	return rc;
}

char *files_target(struct files *v, struct node *n, int *rc)
{
	own_free char *buf = xmalloc(PATH_MAX + 1);
	ssize_t len = n->share->ops->readlink(files_engine(v, n), n, buf, PATH_MAX);

	*rc = len < 0 ? (int)len : 0;
	if (len < 0)
		return NULL;
	buf[len] = 0;
	return steal_ptr(&buf);
}

/* p is a link: back to where it lies, with what it says in front of the rest. */
static int enter_link(struct files *v, struct files_place *p, char **rest)
{
	int rc;
	own_free char *target = files_target(v, p->n, &rc);
	char *joined;

	if (target == NULL)
		return rc;
	rc = *target == '/' ? restart(v, p) : step_up(v, p);
	joined = xasprintf("%s%s", target, *rest);
	free(*rest);
	*rest = joined;
	return rc;
}

int files_find(struct files *v, const char *path, bool follow, struct files_place *p)
{
	own_free char *rest = xstrdup(path);
	int links = 0, rc;

	*p = (struct files_place){ .path = STR_INIT };
	rc = restart(v, p);
	while (rc == 0 && *rest) {
		size_t skip = strspn(rest, "/"), n = strcspn(rest + skip, "/");
		own_free char *name = xstrndup(rest + skip, n);
		bool more;

		memmove(rest, rest + skip + n, strlen(rest + skip + n) + 1);
		more = *rest;
		if (strcmp(name, "..") == 0)
			rc = step_up(v, p);
		else if (*name && strcmp(name, ".") != 0)
			rc = step(v, p, name);
		if (rc < 0 || p->n == NULL)
			continue;
		if (S_ISLNK(p->a.mode) && (more || follow))
			rc = ++links > FILES_LINKS_MAX ? -ELOOP : enter_link(v, p, &rest);
		else if (more && !S_ISDIR(p->a.mode))
			rc = -ENOTDIR;
	}
	if (rc < 0)
		place_drop(v, p);
	return rc;
}

int files_stat(struct files *v, const char *path, bool follow, struct entry *x, char **real,
	       struct err *e)
{
	struct files_place p;
	int rc;

	files_lock(v);
	rc = files_find(v, path, follow, &p);
	if (rc == 0) {
		if (real)
			*real = xstrdup(p.path.len ? p.path.s : "/");
		*x = (struct entry){ .fd = -1 };
		if (p.n) {
			x->mode = p.a.mode;
			x->uid = p.a.uid;
			x->gid = p.a.gid;
			x->major = p.a.rdev_major;
			x->minor = p.a.rdev_minor;
			x->size = p.a.size;
			x->mtime = p.a.mtime;
		}
		rc = p.n ? 0 : -ENOENT;
		place_drop(v, &p);
	}
	files_unlock(v);
	return rc < 0 ? err_set(e, -rc, "%s: %s", path, strerror(-rc)) : 0;
}

int files_mount_of(struct files *v, const char *path, struct err *e)
{
	struct files_place p;
	int rc;

	files_lock(v);
	rc = files_find(v, path, true, &p);
	if (rc == 0) {
		rc = -ENOENT;
		if (p.n && files_engine(v, p.n) == v->binds)
			rc = (int)(p.n->share - v->binds->share);
		place_drop(v, &p);
	}
	files_unlock(v);
	return rc < 0 ? err_set(e, -rc, "%s: %s", path, strerror(-rc)) : rc;
}

/* ---- opening */

static struct fuse *open_root(const struct files_tree *t, struct err *e)
{
	struct fuse_share share = { .name = "root",
				    .layers = t->layers,
				    .nlayers = t->nlayers,
				    .upper = t->upper,
				    .path = t->folder,
				    .read_only = !t->write,
				    .look = !t->write };

	return fuse_new(&share, 1, e);
}

static struct fuse *open_binds(const struct files_tree *t, struct err *e)
{
	struct fuse_share *shares = xcalloc(t->nmounts, sizeof(*shares));
	own_strv struct strv names = STRV_INIT;
	struct fuse *f;

	for (unsigned i = 0; i < t->nmounts; i++) {
		strv_addf(&names, "%u", i);
		shares[i] = (struct fuse_share){ .name = names.v[i],
						 .path = t->mounts[i].dir,
						 .only = t->mounts[i].only,
						 .below = t->mounts[i].below,
						 .read_only = !t->write || t->mounts[i].read_only };
	}
	f = fuse_new(shares, t->nmounts, e);
	free(shares);
	return f;
}

/* The i-th mount gets its place in the tree, as it looks with those before it. */
static int mount_one(struct files *v, const struct files_tree *t, unsigned i)
{
	struct share *s = &v->binds->share[i];
	struct files_mnt m = { .n = s->root };
	struct files_place p;
	struct attr a;
	int rc = 0;

	if (s->only)
		rc = s->ops->lookup(v->binds, s->root, s->only, 0, &m.n, &a);
	else
		node_get(s->root);
	if (rc < 0)
		return rc;
	rc = files_find(v, t->mounts[i].target, true, &p);
	if (rc == 0 && p.n == NULL && t->write)
		rc = files_make_all(v, p.path.s, m.n->folder == NULL);
	if (rc < 0) {
		put(v, m.n);
		return rc;
	}
	m.path = xstrdup(p.path.s);
	place_drop(v, &p);
	v->mnt = xrealloc(v->mnt, (v->nmnt + 1) * sizeof(*v->mnt));
	v->mnt[v->nmnt++] = m;
	return 0;
}

struct files *files_open(const struct files_tree *t, struct err *e)
{
	struct files *v = xcalloc(1, sizeof(*v));
	int rc = 0;

	v->root = open_root(t, e);
	if (v->root && t->nmounts)
		v->binds = open_binds(t, e);
	if (v->root == NULL || (t->nmounts && v->binds == NULL)) {
		files_close(v);
		return NULL;
	}
	files_lock(v);
	for (unsigned i = 0; rc == 0 && i < t->nmounts; i++) {
		rc = mount_one(v, t, i);
		if (rc < 0)
			err_set(e, -rc, "mount %s: %s", t->mounts[i].target, strerror(-rc));
	}
	files_unlock(v);
	if (rc == 0)
		return v;
	files_close(v);
	return NULL;
}

void files_close(struct files *v)
{
	if (v == NULL)
		return;
	if (v->root) {
		files_lock(v);
		put(v, v->last);
		for (unsigned i = 0; i < v->nmnt; i++)
			put(v, v->mnt[i].n);
		files_unlock(v);
	}
	for (unsigned i = 0; i < v->nmnt; i++)
		free(v->mnt[i].path);
	for (size_t i = 0; i < v->ntimes; i++)
		free(v->times[i].path);
	free(v->times);
	free(v->mnt);
	free(v->last_path);
	free(v->last_real);
	fuse_free(v->binds);
	fuse_free(v->root);
	free(v);
}
