/* names.c: names of containers: <root>/names/<name> is a symlink to the id. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/fd.h"
#include "runtime/base/own.h"
#include "runtime/box/state.h"

/*
 * Making a symlink is atomic and fails if the name exists: that alone decides
 * who has a name. A name whose container is gone (a crash came in between) is
 * taken over under names/.lock, and dropped under it, so that nobody drops
 * what another has just taken.
 */

static int names_dir(const struct box_dirs *d, struct err *e)
{
	own_free char *path = xasprintf("%s/names", d->root);
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 && errno == ENOENT && dir_make_all(path, 0700, e) == 0)
		fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? err_sys(e, "open %s", path) : fd;
}

static int names_lock(int dir, struct err *e)
{
	int fd = openat(dir, ".lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0)
		return err_sys(e, "open names/.lock");
	fd_lock(fd, LOCK_EX);
	return fd;
}

static bool name_fits(const char *name)
{
	return name[0] && name[0] != '.' && strchr(name, '/') == NULL;
}

static bool read_name(int dir, const char *name, char out[BOX_ID_LEN + 1])
{
	char id[BOX_ID_LEN + 2];
	ssize_t n = name_fits(name) ? readlinkat(dir, name, id, sizeof(id)) : -1;

	if (n != BOX_ID_LEN)
		return false;
	memcpy(out, id, BOX_ID_LEN);
	out[BOX_ID_LEN] = 0;
	return box_id_full(out);
}

bool name_get(const struct box_dirs *d, const char *name, char out[BOX_ID_LEN + 1])
{
	own_free char *path = xasprintf("%s/names", d->root);
	own_fd int dir = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);

	return dir >= 0 && read_name(dir, name, out);
}

bool box_exists(const struct box_dirs *d, const char *id)
{
	own_free char *path = box_path(d, id);
	own_free char *making = xasprintf("%s/containers/.new-%s", d->root, id);

	struct stat st;

	return stat(path, &st) == 0 || stat(making, &st) == 0 || stat(path, &st) == 0;
}

static int take_over(const struct box_dirs *d, int dir, const char *name, const char *id,
		     struct err *e)
{
	own_fd int lock = names_lock(dir, e);
	char old[BOX_ID_LEN + 1];

	if (lock < 0)
		return lock;
	if (read_name(dir, name, old) && box_exists(d, old))
		return err_set(e, EEXIST,
			       "Conflict. The container name \"/%s\" is already in use by "
			       "container \"%s\". You have to remove (or rename) that container "
			       "to be able to reuse that name.",
			       name, old);
	unlinkat(dir, name, 0);
	if (symlinkat(id, dir, name) < 0)
		return err_sys(e, "take the name %s", name);
	return 0;
}

int name_take(const struct box_dirs *d, const char *name, const char *id, struct err *e)
{
	own_fd int dir = names_dir(d, e);

	if (dir < 0)
		return dir;
	if (!name_fits(name))
		return err_set(e, EINVAL, "Invalid container name (%s)", name);
	if (symlinkat(id, dir, name) == 0)
		return 0;
	if (errno != EEXIST)
		return err_sys(e, "take the name %s", name);
	return take_over(d, dir, name, id, e);
}

void name_drop(const struct box_dirs *d, const char *name, const char *id)
{
	own_fd int dir = names_dir(d, NULL);
	own_fd int lock = dir < 0 ? -1 : names_lock(dir, NULL);
	char now[BOX_ID_LEN + 1];

	if (lock >= 0 && read_name(dir, name, now) && strcmp(now, id) == 0)
		unlinkat(dir, name, 0);
}
