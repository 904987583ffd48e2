/* volume_use.c: volumes and the containers that have them; see volume.h. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/fd.h"
#include "runtime/base/own.h"
#include "runtime/box/events.h"
#include "runtime/box/volume_impl.h"
#include "runtime/fuse/files.h"

#define VOLUME_LOCK    "lock"
#define VOLUME_FILLING "filling"

static int open_volume(const struct box_dirs *d, const char *name, struct err *e)
{
	own_free char *path = volume_path(d, name);
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	return fd < 0 ? err_sys(e, "open volume %s", name) : fd;
}

static int touch(int dirfd, const char *name, struct err *e)
{
	int fd = openat(dirfd, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);

	return fd < 0 ? err_sys(e, "create %s", name) : fd;
}

/* ---- the image's content */

static bool is_empty(const char *path)
{
	own_dir DIR *dir = opendir(path);
	struct dirent *de;

	while (dir && (de = readdir(dir)))
		if (strcmp(de->d_name, ".") != 0 && strcmp(de->d_name, "..") != 0)
			return false;
	return true;
}

/* What a copying that was cut short has left. */
static int clear(const char *path, struct err *e)
{
	own_dir DIR *dir = opendir(path);
	struct dirent *de;
	int rc = 0;

	while (rc == 0 && dir && (de = readdir(dir)))
		if (strcmp(de->d_name, ".") != 0 && strcmp(de->d_name, "..") != 0)
			rc = dir_remove_all(dirfd(dir), de->d_name, e);
	return rc;
}

static int add_to_root(void *volume, const struct entry *x, struct err *e)
{
	return files_add(volume, "/", x, e);
}

/* The folder `path` of the image, if it has it, with its own owner and mode. */
static int copy_image(const struct box_spec *s, const char *path, const char *data, struct err *e)
{
	struct files_tree image = { .layers = (const char *const *)s->layers.v,
				    .nlayers = (unsigned)s->layers.n };
	struct files_tree volume = { .folder = data, .write = true };
	struct files *from = files_open(&image, e), *to = NULL;
	own_free char *real = NULL;
	struct entry x;
	int rc = from ? files_stat(from, path, true, &x, &real, NULL) : -EIO;

	if (rc == 0 && S_ISDIR(x.mode)) {
		to = files_open(&volume, e);
		rc = to ? files_walk(from, real, add_to_root, to, e) : -EIO;
		if (rc == 0)
			rc = files_finish(to, e);
	} else if (rc == -ENOENT || rc == -ENOTDIR) {
		rc = 0;
	}
	files_close(to);
	files_close(from);
	return rc;
}

/* Under the volume's lock: of two containers that come first at once, one copies. */
static int fill(const struct box_dirs *d, const struct box_spec *s, const struct box_mount *m,
		struct err *e)
{
	own_fd int dirfd = open_volume(d, m->name, e);
	own_fd int lock = dirfd < 0 ? -1 : touch(dirfd, VOLUME_LOCK, e);
	own_fd int filling = -1;
	bool again;
	int rc = 0;

	if (lock < 0)
		return -EIO;
	fd_lock(lock, LOCK_EX);
	again = faccessat(dirfd, VOLUME_FILLING, F_OK, 0) == 0;
	if (again)
		rc = clear(m->source, e);
	else if (!is_empty(m->source))
		return 0;
	filling = touch(dirfd, VOLUME_FILLING, e);
	if (rc == 0)
		rc = filling < 0 ? -EIO : copy_image(s, m->target, m->source, e);
	if (rc < 0)
		return err_wrap(e, "copy the image's %s into volume %s", m->target, m->name);
	return unlinkat(dirfd, VOLUME_FILLING, 0) < 0 ? err_sys(e, "write volume %s", m->name) : 0;
}

/* ---- preparing */

static int use(const struct box_dirs *d, const char *name, const char *id, struct err *e)
{
	own_fd int dirfd = open_volume(d, name, e);
	own_free char *user = xasprintf(VOLUME_USERS "/%s", id);
	int fd = dirfd < 0 ? -1 : touch(dirfd, user, e);

	if (fd >= 0)
		close(fd);
	return fd < 0 ? -EIO : 0;
}

static int prepare(const struct box_dirs *d, const struct box_spec *s, struct box_mount *m,
		   struct err *e)
{
	struct volume_new n = { .name = m->name,
				.anonymous = m->anonymous,
				.labels = &m->volume_labels,
				.options = &m->volume_options };
	struct volume v OWN(volume_free) = { .name = NULL };
	int rc = volume_create_guarded(d, &n, &v, e);

	if (rc < 0)
		return rc;
	free(m->name);
	m->name = xstrdup(v.name);
	free(m->source);
	m->source = xstrdup(v.data);
	rc = use(d, m->name, s->id, e);
	return rc == 0 && !m->nocopy && !*m->subpath ? fill(d, s, m, e) : rc;
}

static bool has_volumes(const struct box_spec *s)
{
	for (unsigned i = 0; i < s->nmounts; i++)
		if (s->mounts[i].kind == BOX_MOUNT_VOLUME)
			return true;
	return false;
}

int volumes_prepare(const struct box_dirs *d, struct box_spec *s, struct err *e)
{
	own_fd int guard = -1;
	int rc = 0;

	if (!has_volumes(s)) /* a lock that stands for none */
		return open("/", O_PATH | O_CLOEXEC);
	guard = volume_guard(d, LOCK_SH, e);
	if (guard < 0)
		return guard;
	for (unsigned i = 0; rc == 0 && i < s->nmounts; i++)
		if (s->mounts[i].kind == BOX_MOUNT_VOLUME)
			rc = prepare(d, s, &s->mounts[i], e);
	if (rc == 0)
		return steal_fd(&guard);
	own_fd_(&guard);
	guard = -1;
	volumes_release(d, s, true);
	return rc;
}

void volumes_release(const struct box_dirs *d, const struct box_spec *s, bool anonymous)
{
	for (unsigned i = 0; i < s->nmounts; i++) {
		const struct box_mount *m = &s->mounts[i];
		own_free char *user = NULL;

		if (m->kind != BOX_MOUNT_VOLUME || *m->name == 0)
			continue;
		user = xasprintf("%s/volumes/%s/" VOLUME_USERS "/%s", d->root, m->name, s->id);
		unlink(user);
		if (anonymous && m->anonymous)
			volume_remove(d, m->name, NULL); /* unless another has it, too */
	}
}

void volumes_tell(const struct events *ev, const struct box_spec *s, bool mount)
{
	for (unsigned i = 0; i < s->nmounts; i++) {
		const struct box_mount *m = &s->mounts[i];

		if (m->kind != BOX_MOUNT_VOLUME)
			continue;
		if (mount)
			events_add(ev, "volume", "mount", m->name, "container", s->id,
				   "destination", m->target, "driver", "local", "propagation", "",
				   "read/write", m->read_only ? "false" : "true", NULL);
		else
			events_add(ev, "volume", "unmount", m->name, "container", s->id, "driver",
				   "local", NULL);
	}
}
