/* diff.c: what a container changed of its image, path by path; see files.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/own.h"
#include "runtime/box/files.h"
#include "runtime/box/state.h"
#include "runtime/fuse/files.h"

/*
 * As docker's: what the container's own layer says, compared with the image, so that what was
 * opened for writing only is no change; a folder is changed when something in it is.
 */

#define SAME '-'

struct seen {
	char *path; /* "/a/b" */
	char kind;
};

struct diff {
	struct files *low; /* the image alone; NULL: it has no layers */
	struct seen *v;
	size_t n;
	struct strv opaque; /* folders of which the image's content is hidden */
};

static void diff_free(struct diff *d)
{
	for (size_t i = 0; i < d->n; i++)
		free(d->v[i].path);
	free(d->v);
	strv_free(&d->opaque);
	files_close(d->low);
}

static void see(struct diff *d, char *path, char kind)
{
	if ((d->n & (d->n - 1)) == 0)
		d->v = xrealloc(d->v, (d->n ? d->n * 2 : 1) * sizeof(*d->v));
	d->v[d->n++] = (struct seen){ path, kind };
}

static bool differs(const struct entry *a, const struct entry *b)
{
	if (a->mode != b->mode || a->uid != b->uid || a->gid != b->gid || a->major != b->major ||
	    a->minor != b->minor)
		return true;
	if (S_ISDIR(a->mode))
		return false;
	return a->mtime.tv_sec != b->mtime.tv_sec || a->mtime.tv_nsec != b->mtime.tv_nsec ||
	       (S_ISREG(a->mode) && a->size != b->size);
}

/*
 * What a start makes of its own accord, so that something can be mounted there; docker has it in a
 * layer that does not count.
 */
static bool is_ours(const struct entry *x)
{
	static const char *const paths[] = { "dev",  "etc/hostname", "etc/hosts", "etc/resolv.conf",
					     "proc", "sys" };

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
		if (strcmp(x->path, paths[i]) == 0)
			return S_ISDIR(x->mode) || (S_ISREG(x->mode) && x->size == 0);
	return false;
}

static int on_entry(void *arg, const struct entry *x, struct err *e)
{
	own_free char *path = xasprintf("/%s", x->path);
	struct diff *d = arg;
	struct entry low;
	int rc;

	if (*x->path == 0 && x->kind != ENTRY_OPAQUE)
		return 0;
	if (x->kind == ENTRY_OPAQUE) {
		strv_add(&d->opaque, path);
		return 0;
	}
	if (x->kind == ENTRY_WHITEOUT) {
		see(d, steal_ptr(&path), 'D');
		return 0;
	}
	rc = d->low ? files_stat(d->low, path, false, &low, NULL, NULL) : -ENOENT;
	if (rc < 0 && rc != -ENOENT && rc != -ENOTDIR)
		return err_set(e, -rc, "read %s of the image: %s", path, strerror(-rc));
	if (rc < 0)
		see(d, steal_ptr(&path), is_ours(x) ? SAME : 'A');
	else
		see(d, steal_ptr(&path), differs(x, &low) ? 'C' : SAME);
	return 0;
}

static int by_path(const void *a, const void *b)
{
	return strcmp(((const struct seen *)a)->path, ((const struct seen *)b)->path);
}

static struct seen *find(const struct diff *d, size_t n, const char *path)
{
	struct seen key = { .path = (char *)(uintptr_t)path };

	return n ? bsearch(&key, d->v, n, sizeof(*d->v), by_path) : NULL;
}

struct hidden {
	struct diff *d;
	const char *folder;
	size_t sorted;
};

/* Names of the image in a folder whose content was told whole: those that were not are gone. */
static int on_hidden(void *arg, const char *name, struct err *e)
{
	struct hidden *h = arg;
	own_free char *path = xasprintf("%s/%s", strcmp(h->folder, "/") ? h->folder : "", name);
	struct entry low;

	(void)e;
	if (find(h->d, h->sorted, path) == NULL &&
	    files_stat(h->d->low, path, false, &low, NULL, NULL) == 0)
		see(h->d, steal_ptr(&path), 'D');
	return 0;
}

static int add_hidden(struct diff *d, struct err *e)
{
	struct hidden h = { .d = d, .sorted = d->n };
	int rc = 0;

	if (d->n)
		qsort(d->v, d->n, sizeof(*d->v), by_path);
	for (size_t i = 0; rc == 0 && d->low && i < d->opaque.n; i++) {
		h.folder = d->opaque.v[i];
		rc = files_list(d->low, h.folder, on_hidden, &h, e);
		if (rc == -ENOENT || rc == -ENOTDIR)
			rc = 0;
	}
	if (d->n)
		qsort(d->v, d->n, sizeof(*d->v), by_path);
	return rc;
}

/* The folders above a change are changed. */
static void mark_above(struct diff *d)
{
	for (size_t i = 0; i < d->n; i++) {
		own_free char *path = xstrdup(d->v[i].path);
		char *slash;

		while (d->v[i].kind != SAME && (slash = strrchr(path, '/')) != path) {
			struct seen *s;

			*slash = 0;
			s = find(d, d->n, path);
			if (s && s->kind == SAME)
				s->kind = 'C';
		}
	}
}

static struct files *open_image(const struct box *b, struct err *e)
{
	struct files_tree t = { .layers = (const char *const *)b->spec.layers.v,
				.nlayers = (unsigned)b->spec.layers.n };

	return files_open(&t, e);
}

static int sync_running(const struct box_dirs *d, struct box *b, struct err *e)
{
	struct box_client *c;
	int rc;

	if (b->state.status != BOX_RUNNING)
		return 0;
	c = box_connect(d, b, NULL);
	rc = c ? box_client_sync(c, e) : 0;
	box_client_free(c);
	return rc == -ESRCH ? 0 : rc; /* it has just ended, and has synced */
}

int box_diff(const struct box_dirs *dirs, struct box *b, box_change_fn *fn, void *arg,
	     struct err *e)
{
	struct diff d OWN(diff_free) = { .low = NULL };
	int rc = sync_running(dirs, b, e);

	if (rc == 0 && b->spec.layers.n) {
		d.low = open_image(b, e);
		rc = d.low ? 0 : -EIO;
	}
	if (rc == 0)
		rc = box_tree(b, true, on_entry, &d, e);
	if (rc == 0)
		rc = add_hidden(&d, e);
	if (rc < 0)
		return rc;
	mark_above(&d);
	for (size_t i = 0; rc == 0 && i < d.n; i++)
		if (d.v[i].kind != SAME)
			rc = fn(arg, d.v[i].kind, d.v[i].path, e);
	return rc;
}
