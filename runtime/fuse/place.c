/* place.c: what is done before the guest asks: above all, mount points that a union lacks. */
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "runtime/base/own.h"
#include "runtime/base/str.h"
#include "runtime/fuse/engine.h"

/*
 * The guest would make them itself, by four requests for each, and at a time
 * when its user waits for it. What stands in the way here (a symlink, a file
 * where a folder should be, a disk that is full) is for the guest to meet, who
 * can say so.
 */

#define FOLDER_MODE (S_IFDIR | 0755)
#define FILE_MODE   (S_IFREG | 0644)

/* One name; *next has a reference. */
static int step(struct fuse *f, struct node *dir, const char *name, uint32_t mode,
		struct node **next)
{
	struct make m = { .mode = mode };
	struct attr a;
	int rc = dir->share->ops->lookup(f, dir, name, 0, next, &a);

	if (rc == -ENOENT)
		rc = dir->share->ops->make(f, dir, name, &m, next, &a, NULL);
	return rc;
}

static void make_place(struct fuse *f, const struct fuse_place *p)
{
	struct node *dir = f->share[0].root;
	own_free char *path = xstrdup(p->path);
	char *rest = path, *name;

	node_get(dir);
	while ((name = strsep(&rest, "/"))) {
		struct node *next;
		int rc;

		if (*name == 0)
			continue;
		rc = step(f, dir, name, rest || p->folder ? FOLDER_MODE : FILE_MODE, &next);
		if (rc < 0)
			break;
		node_put(f, dir);
		dir = next;
		if (dir->type != S_IFDIR)
			break;
	}
	node_put(f, dir);
}

void fuse_prepare(struct fuse *f)
{
	fuse_lock(f);
	f->active++;
	for (const struct fuse_place *p = f->places; p && p->path; p++)
		make_place(f, p);
	for (unsigned i = 0; i < f->nshares; i++)
		window_fits(&f->share[i]); /* it is known then */
	f->active--;
	pthread_cond_broadcast(&f->idle);
	fuse_unlock(f);
}
