/* edit.c: changes of what a container is after it was made: its name, its restart policy; see
 * box.h. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>

#include "runtime/base/fd.h"
#include "runtime/base/json.h"
#include "runtime/base/own.h"
#include "runtime/box/state.h"

/*
 * spec.json is written anew as a whole, under a lock on the container's folder,
 * so that two changes at once both take place. A holder reads it again where
 * it needs to know.
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

int box_rename(const struct box_dirs *d, struct box *b, const char *name, struct err *e)
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

	if (box_restart_parse(text, &policy, &retries, e) < 0)
		return -EINVAL;
	none = strcmp(policy, "no") == 0;
	if (!none && b->spec.auto_remove)
		return err_set(e, EINVAL,
			       "Restart policy cannot be updated because AutoRemove is enabled for "
			       "the container");
	if (!none && box_is_running(b) && b->state.keeper == 0)
		return err_set(e, EBUSY,
			       "container %s runs without a restart policy: it can be given one "
			       "when it is stopped",
			       b->spec.id);
	dirfd = edit_begin(d, b, e);
	if (dirfd < 0)
		return dirfd;
	free(b->spec.restart);
	b->spec.restart = steal_ptr(&policy);
	b->spec.restart_max = retries;
	return spec_write(dirfd, &b->spec, e);
}
