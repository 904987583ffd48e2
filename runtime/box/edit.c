/* edit.c: changes of what a container is after it was made; see box.h. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>

#include "runtime/base/fd.h"
#include "runtime/base/json.h"
#include "runtime/base/own.h"
#include "runtime/box/client.h"
#include "runtime/box/keeper.h"
#include "runtime/box/placement.h"
#include "runtime/box/state.h"

/*
 * spec.json is written anew as a whole, under a lock on the container's folder,
 * so that two changes at once both take place. After that the holder is told,
 * without the lock, which it may need itself: it reads what stands there by
 * then (reread.c), so it cannot end up with anything else. Changes that its
 * machine cannot follow are taken back, unless somebody else has made others
 * meanwhile.
 */

/* Opens and locks the folder, and reads the spec as it is now. */
static int edit_begin(const struct box_dirs *d, struct box *b, struct err *e)
{
	own_fd int dirfd = box_dir_open(d, b->spec.id);
	char id[BOX_ID_LEN + 1];
	struct box_spec now;
	int rc;

	memcpy(id, b->spec.id, sizeof(id));
	if (dirfd < 0 || fd_lock(dirfd, LOCK_EX) < 0 || !box_dir_current(d, id, dirfd))
		return err_set(e, ENOENT, "No such container: %s", id);
	rc = spec_read(dirfd, &now, e);
	if (rc < 0)
		return err_wrap(e, "container %s", id);
	box_spec_free(&b->spec);
	b->spec = now;
	return steal_fd(&dirfd);
}

/* 1: the holder follows; 0: there is none (any more); or its reason. *machine: its VM's process. */
static int tell_holder(const struct box_dirs *d, struct box *b, int *machine, struct err *e)
{
	struct box_client *c = NULL;
	int rc;

	*machine = 0;
	if (b->state.pid > 0)
		c = box_connect(d, b, NULL);
	if (c == NULL)
		return 0;
	rc = client_reread(c, machine, e);
	box_client_free(c);
	if (rc == -ESRCH || rc == -EBUSY) /* it has ended, or is about to start again */
		return 0;
	return rc < 0 ? rc : 1;
}

/* Under the lock. */
static int write_name(const struct box_dirs *d, struct box *b, const char *name, struct err *e)
{
	own_fd int dirfd = edit_begin(d, b, e);
	own_free char *old = NULL;
	int rc;

	if (dirfd < 0)
		return dirfd;
	if (strcmp(b->spec.name, name) == 0)
		return err_set(e, EINVAL,
			       "Renaming a container with the same name as its current name");
	rc = name_take(d, name, b->spec.id, e);
	if (rc < 0)
		return err_wrap(e, "Error when allocating new name");
	old = b->spec.name;
	b->spec.name = xstrdup(name);
	rc = spec_write(dirfd, &b->spec, e);
	name_drop(d, rc < 0 ? name : old, b->spec.id);
	return rc;
}

int box_restart_set(const struct box_dirs *d, struct box *b, const char *text, struct err *e)
{
	own_free char *policy = NULL;
	own_fd int dirfd = -1;
	int64_t retries;
	bool none;
	int rc;

	if (box_restart_parse(text, &policy, &retries, e) < 0)
		return -EINVAL;
	none = strcmp(policy, "no") == 0;
	if (!none && b->spec.auto_remove)
		return err_set(e, EINVAL,
			       "Restart policy cannot be updated because AutoRemove is enabled for "
			       "the container");
	dirfd = edit_begin(d, b, e);
	if (dirfd < 0)
		return dirfd;
	free(b->spec.restart);
	b->spec.restart = steal_ptr(&policy);
	b->spec.restart_max = retries;
	rc = spec_write(dirfd, &b->spec, e);
	if (rc == 0 && !none && box_is_running(b) && b->state.keeper == 0)
		rc = keeper_adopt(d, b, e);
	return rc;
}

int box_rename(const struct box_dirs *d, struct box *b, const char *name, struct err *e)
{
	int rc = write_name(d, b, name, e), machine;

	/* for its events; a holder that is told nothing has the old name in them */
	if (rc == 0)
		tell_holder(d, b, &machine, NULL);
	return rc;
}

static void free_limits(struct box_limits *l)
{
	free(l->cpuset_cpus);
	free(l->cpuset_mems);
}

static struct box_limits copy_limits(const struct box_limits *l)
{
	struct box_limits c = *l;

	c.cpuset_cpus = xstrdup(l->cpuset_cpus);
	c.cpuset_mems = xstrdup(l->cpuset_mems);
	return c;
}

static bool same_limits(const struct box_limits *a, const struct box_limits *b)
{
	struct box_limits x = *a, y = *b;

	x.cpuset_cpus = x.cpuset_mems = y.cpuset_cpus = y.cpuset_mems = NULL;
	return memcmp(&x, &y, sizeof(x)) == 0 && strcmp(a->cpuset_cpus, b->cpuset_cpus) == 0 &&
	       strcmp(a->cpuset_mems, b->cpuset_mems) == 0;
}

/* Writes `to` unless somebody has changed `from` meanwhile. */
static void take_back(const struct box_dirs *d, struct box *b, const struct box_limits *from,
		      const struct box_limits *to)
{
	own_fd int dirfd = edit_begin(d, b, NULL);

	if (dirfd < 0 || !same_limits(&b->spec.limits, from))
		return;
	free_limits(&b->spec.limits);
	b->spec.limits = copy_limits(to);
	spec_write(dirfd, &b->spec, NULL);
}

static int write_limits(const struct box_dirs *d, struct box *b, struct box_limits *before,
			box_limits_fn *change, void *arg, struct err *e)
{
	own_fd int dirfd = edit_begin(d, b, e);
	int rc;

	if (dirfd < 0)
		return dirfd;
	*before = copy_limits(&b->spec.limits);
	rc = change(&b->spec.limits, arg, e);
	return rc < 0 ? rc : spec_write(dirfd, &b->spec, e);
}

int box_update(const struct box_dirs *d, struct box *b, box_limits_fn *change, void *arg,
	       struct err *e)
{
	struct box_limits before OWN(free_limits) = { 0 };
	struct box_limits after OWN(free_limits) = { 0 };
	int rc = write_limits(d, b, &before, change, arg, e), machine;

	if (rc < 0)
		return rc;
	after = copy_limits(&b->spec.limits);
	rc = tell_holder(d, b, &machine, e);
	if (rc == 1)
		rc = placement_move(&before, &after, b->state.pid, machine, e);
	if (rc < 0)
		take_back(d, b, &after, &before);
	return rc < 0 ? err_wrap(e, "Cannot update container %s", b->spec.id) : 0;
}
