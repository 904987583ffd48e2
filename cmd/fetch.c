/* fetch.c: images for commands: what containers keep in the store, and pulls that end cleanly. */
#include <errno.h>
#include <signal.h>
#include <string.h>

#include "cmd/cmd.h"
#include "oci/remote.h"
#include "runtime/base/own.h"

/* What ends a program that does not mind it. */
static const int ending[] = { SIGINT, SIGTERM, SIGHUP };
#define NENDING (sizeof(ending) / sizeof(*ending))

static volatile sig_atomic_t caught;

static void on_signal(int sig)
{
	caught = sig;
	image_cancel();
	/* Whoever sends it again does not want to wait for cleanliness. */
	signal(sig, SIG_DFL);
}

/* See store_set_refs. */
static int box_refs(void *arg, struct strv *refs, struct err *e)
{
	struct zl *z = arg;
	struct box_list boxes;
	int rc = box_list(&z->dirs, &boxes, e);

	if (rc < 0)
		return rc;
	for (size_t i = 0; i < boxes.n && rc == 0; i++) {
		/* what it needs cannot be known, so all might be needed */
		if (boxes.v[i]->state.status == BOX_DEAD)
			rc = err_set(e, EIO,
				     "nothing is removed from the store while container %.12s "
				     "cannot be read (%s); remove it with: zl rm -f %.12s",
				     boxes.v[i]->spec.id, boxes.v[i]->state.error,
				     boxes.v[i]->spec.id);
		strv_add_all(refs, &boxes.v[i]->spec.layers);
		if (boxes.v[i]->spec.image_id)
			strv_add(refs, boxes.v[i]->spec.image_id);
	}
	box_list_free(&boxes);
	return rc;
}

int zl_store(struct zl *z, struct err *e)
{
	if (z->store)
		return 0;
	z->store = store_open(z->dirs.root, e);
	if (z->store == NULL)
		return e->code ? -e->code : -EIO;
	store_set_refs(z->store, box_refs, z);
	return 0;
}

/* From here to signals_restore a signal that would end us ends the errand first. */
static void signals_catch(struct sigaction old[NENDING])
{
	struct sigaction ours = { .sa_handler = on_signal };

	for (size_t k = 0; k < NENDING; k++) {
		sigaction(ending[k], NULL, &old[k]);
		/* Ignored it stays ignored: nohup, jobs in the background. */
		if (old[k].sa_handler == SIG_DFL)
			sigaction(ending[k], &ours, NULL);
	}
}

static void signals_restore(struct sigaction old[NENDING])
{
	for (size_t k = 0; k < NENDING; k++)
		sigaction(ending[k], &old[k], NULL);
}

/* If there was one: the store is left clean, and our parent learns how we ended. */
static void end_as_told(struct zl *z)
{
	if (caught == 0)
		return;
	zl_free(z);
	raise(caught);
}

struct image *zl_pull(struct zl *z, const char *name, const struct pull_options *o, struct err *e)
{
	struct sigaction old[NENDING];
	struct pull_options mine = *o;
	struct image *i = NULL;
	bool asked = false;

	if (zl_store(z, e) < 0)
		return NULL;
	mine.asked = &asked;
	signals_catch(old);
	i = image_pull(z->store, name, &mine, e);
	signals_restore(old);
	if (caught) {
		image_free(i);
		i = NULL;
	}
	end_as_told(z);
	if (i && asked)
		tell_remote(z, "pull", name, i);
	return i;
}

int zl_push(struct zl *z, const char *name, const struct push_options *o, struct err *e)
{
	struct sigaction old[NENDING];
	int r = zl_store(z, e);

	if (r < 0)
		return r;
	signals_catch(old);
	r = image_push(z->store, name, o, e);
	signals_restore(old);
	end_as_told(z);
	if (r == 0)
		tell_remote(z, "push", name, NULL);
	return r;
}
