/* files_add.c: putting files into a tree from the host's side; see files.h. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/own.h"
#include "runtime/fuse/files_impl.h"

#define FOLDER_MODE 0755
#define FILE_MODE   0644

static void put(struct files *v, struct node *n)
{
	if (n)
		node_put(files_engine(v, n), n);
}

static int make_plain(struct files *v, struct node *dir, const char *name, bool file)
{
	const struct make m = { .mode = file ? S_IFREG | FILE_MODE : S_IFDIR | FOLDER_MODE };
	struct node *n = NULL;
	struct attr a;
	int rc = dir->share->ops->make(files_engine(v, dir), dir, name, &m, &n, &a, NULL);

	if (rc == 0)
		put(v, n);
	return rc;
}

int files_make_all(struct files *v, const char *path, bool file)
{
	own_free char *above = xstrdup(path);
	char *slash = strrchr(above, '/');
	struct files_place p;
	int rc;

	if (slash == NULL || slash[1] == 0)
		return -ENOTDIR;
	*slash = 0;
	rc = files_find(v, above, true, &p);
	if (rc == 0 && p.n == NULL) {
		place_drop(v, &p);
		rc = files_make_all(v, above, false);
		if (rc == 0)
			rc = files_find(v, above, true, &p);
	}
	if (rc < 0)
		return rc;
	rc = p.n == NULL ? -ENOENT : p.n->folder == NULL ? -ENOTDIR : 0;
	if (rc == 0)
		rc = make_plain(v, p.n, slash + 1, file);
	place_drop(v, &p);
	return rc == -EEXIST ? 0 : rc;
}

/* The folder at `path`, made if it is missing; kept for the next one. Borrowed. */
static int folder_at(struct files *v, const char *path, struct node **dir)
{
	struct files_place p;
	int rc;

	if (v->last && strcmp(v->last_path, path) == 0) {
		*dir = v->last;
		return 0;
	}
	rc = files_find(v, path, true, &p);
	if (rc == 0 && p.n == NULL) {
		rc = files_make_all(v, p.path.s, false);
		place_drop(v, &p);
		if (rc == 0)
			rc = files_find(v, path, true, &p);
	}
	if (rc < 0)
		return rc;
	rc = p.n == NULL ? -ENOENT : p.n->folder == NULL ? -ENOTDIR : 0;
	if (rc == 0) {
		put(v, v->last);
		free(v->last_path);
		v->last = *dir = p.n;
		v->last_path = xstrdup(path);
		free(v->last_real);
		v->last_real = xstrdup(p.path.s);
		p.n = NULL;
	}
	place_drop(v, &p);
	return rc;
}

/* The owner and so on of what has been made. */
static int dress(struct files *v, struct node *n, const struct entry *x)
{
	struct change c = { .valid = FATTR_UID | FATTR_GID | FATTR_MTIME | FATTR_ATIME,
			    .mode = x->mode,
			    .uid = x->uid,
			    .gid = x->gid,
			    .atime = x->mtime,
			    .mtime = x->mtime };
	const struct share_ops *ops = n->share->ops;
	struct fuse *f = files_engine(v, n);
	struct attr a;
	int rc;

	if (!S_ISLNK(x->mode))
		c.valid |= FATTR_MODE;
	rc = ops->setattr(f, n, &c, &a);
	/* the owner of a link in a folder of an ordinary user's cannot be kept (bind.h) */
	if (rc == -EPERM && S_ISLNK(x->mode))
		rc = 0;
	for (size_t i = 0; rc == 0 && i < x->nxattrs; i++) {
		rc = ops->setxattr(f, n, x->xattrs[i].name, x->xattrs[i].value, x->xattrs[i].len,
				   0);
		if (rc == -EOPNOTSUPP)
			rc = 0;
	}
	return rc;
}

static void remember_time(struct files *v, const char *path, struct timespec mtime)
{
	if ((v->ntimes & (v->ntimes - 1)) == 0)
		v->times = xrealloc(v->times, (v->ntimes ? v->ntimes * 2 : 1) * sizeof(*v->times));
	v->times[v->ntimes++] = (struct files_time){ xstrdup(path), mtime };
}

static int write_content(struct files *v, struct node *n, const struct entry *x, struct err *e)
{
	struct ofile *o = NULL;
	int rc = n->share->ops->open(files_engine(v, n), n, O_RDWR, &o);

	if (rc < 0)
		return rc;
	files_unlock(v);
	rc = entry_data_to_fd(x, o->fd, e);
	files_lock(v);
	ofile_put(o);
	return rc;
}

static int make_node(struct files *v, struct node *dir, const char *name, const struct entry *x,
		     struct err *e)
{
	const struct make m = { .mode = x->mode,
				.uid = x->uid,
				.gid = x->gid,
				.rdev_major = x->major,
				.rdev_minor = x->minor,
				.target = x->target };
	struct node *n = NULL;
	struct attr a;
	int rc = dir->share->ops->make(files_engine(v, dir), dir, name, &m, &n, &a, NULL);

	if (rc < 0)
		return rc;
	if (S_ISREG(x->mode))
		rc = write_content(v, n, x, e);
	if (rc == 0)
		rc = dress(v, n, x);
	put(v, n);
	return rc;
}

static int make_link(struct files *v, struct node *dir, const char *name, const char *root,
		     const char *target)
{
	own_free char *path = xasprintf("%s/%s", root, target);
	struct files_place p;
	struct attr a;
	int rc = files_find(v, path, false, &p);

	if (rc < 0)
		return rc;
	if (p.n == NULL)
		rc = -ENOENT;
	else if (p.n->share != dir->share)
		rc = -EXDEV;
	else if (p.n->folder)
		rc = -EPERM;
	else
		rc = dir->share->ops->link(files_engine(v, dir), p.n, dir, name, &a);
	place_drop(v, &p);
	return rc;
}

/* What is there already goes or, where both are folders, stays: 1. */
static int make_room(struct files *v, struct node *dir, const char *path, const struct entry *x,
		     struct err *e)
{
	const char *name = strrchr(path, '/') + 1;
	own_str struct str at = STR_INIT;
	struct node *n = NULL;
	bool folder, wants = S_ISDIR(x->mode) && x->link == NULL;
	struct attr a;
	int rc;

	str_add(&at, v->last_real);
	rc = files_child(v, dir, &at, name, &n, &a);
	if (rc < 0)
		return rc == -ENOENT ? 0 : rc;
	folder = n->folder != NULL;
	rc = folder && wants ? dress(v, n, x) : 0;
	put(v, n);
	if (folder && wants)
		return rc < 0 ? rc : 1;
	if (folder)
		return err_set(e, EISDIR, "cannot overwrite directory \"%s\" with non-directory",
			       path);
	if (wants)
		return err_set(e, ENOTDIR, "cannot overwrite non-directory \"%s\" with directory",
			       path);
	if (files_is_mount(v, at.s))
		return -EBUSY;
	return dir->share->ops->remove(files_engine(v, dir), dir, name, false);
}

/* The root of what is copied itself: a folder that is there. */
static int dress_folder(struct files *v, const char *path, const struct entry *x)
{
	struct files_place p;
	int rc = files_find(v, path, true, &p);

	if (rc < 0)
		return rc;
	rc = p.n == NULL ? -ENOENT : p.n->folder == NULL ? -ENOTDIR : dress(v, p.n, x);
	place_drop(v, &p);
	return rc;
}

static int add(struct files *v, const char *root, const char *path, const struct entry *x,
	       struct err *e)
{
	const char *name = strrchr(path, '/') + 1;
	own_free char *above = xstrndup(path, (size_t)(name - path));
	struct node *dir;
	int rc;

	if (*x->path == 0)
		return dress_folder(v, path, x);
	rc = folder_at(v, above, &dir);
	if (rc == 0)
		rc = make_room(v, dir, path, x, e);
	if (rc != 0)
		return rc < 0 ? rc : 0;
	if (x->link)
		return make_link(v, dir, name, root, x->link);
	return make_node(v, dir, name, x, e);
}

int files_add(struct files *v, const char *dir, const struct entry *x, struct err *e)
{
	own_free char *path = xasprintf("%s/%s", strcmp(dir, "/") ? dir : "", x->path);
	struct err why = ERR_INIT;
	int rc;

	files_lock(v);
	rc = add(v, strcmp(dir, "/") ? dir : "", path, x, &why);
	if (rc == 0 && S_ISDIR(x->mode) && x->link == NULL)
		remember_time(v, path, x->mtime);
	files_unlock(v);
	if (rc < 0 && why.code)
		return err_set(e, why.code, "%s", why.msg);
	return rc < 0 ? err_set(e, -rc, "create %s: %s", path, strerror(-rc)) : 0;
}

int files_finish(struct files *v, struct err *e)
{
	int rc = 0;

	files_lock(v);
	for (size_t i = 0; rc == 0 && i < v->ntimes; i++) {
		struct change c = { .valid = FATTR_MTIME, .mtime = v->times[i].mtime };
		struct files_place p;
		struct attr a;

		rc = files_find(v, v->times[i].path, true, &p);
		if (rc < 0)
			break;
		if (p.n && p.n->folder)
			rc = p.n->share->ops->setattr(files_engine(v, p.n), p.n, &c, &a);
		place_drop(v, &p);
	}
	files_unlock(v);
	return rc < 0 ? err_set(e, -rc, "set the time of a folder: %s", strerror(-rc)) : 0;
}
