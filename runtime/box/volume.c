/* volume.c: volumes are made, found, listed and removed; see volume.h. */
#include "runtime/box/volume.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/fd.h"
#include "runtime/base/json.h"
#include "runtime/base/own.h"
#include "runtime/box/events.h"
#include "runtime/box/state.h"
#include "runtime/box/volume_impl.h"

#define VOLUME_FILE	"volume.json"
#define VOLUME_DOOMED	"doomed"
#define VOLUME_JSON_MAX (1U << 20)
/* Bytes of an anonymous volume's name, twice as many digits. */
#define NAME_BYTES 32

void volume_free(struct volume *v)
{
	free(v->name);
	free(v->data);
	free(v->mountpoint);
	strv_free(&v->labels);
	strv_free(&v->options);
	strv_free(&v->users);
	memset(v, 0, sizeof(*v));
}

char *volume_path(const struct box_dirs *d, const char *name)
{
	return xasprintf("%s/volumes/%s", d->root, name);
}

int volume_guard(const struct box_dirs *d, int how, struct err *e)
{
	own_free char *all = volume_path(d, "");
	own_free char *path = volume_path(d, ".lock");
	own_fd int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	int rc;

	if (fd < 0 && errno == ENOENT) {
		rc = dir_make_all(all, 0700, e);
		if (rc < 0)
			return rc;
		fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	}
	if (fd < 0)
		return err_sys(e, "open %s", path);
	rc = fd_lock(fd, how);
	return rc < 0 ? rc : steal_fd(&fd);
}

/* ---- names and options */

int volume_name_check(const char *name, struct err *e)
{
	static const char first[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
	size_t n = strlen(name);

	if (n == 1 && strchr(first, *name))
		return err_set(e, EINVAL,
			       "create %s: volume name is too short, names should be at least two "
			       "alphanumeric characters",
			       name);
	if (n == 0 || n > NAME_MAX || strchr(first, *name) == NULL ||
	    strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") != n)
		return err_set(e, EINVAL,
			       "create %s: \"%s\" includes invalid characters for a local volume "
			       "name, only \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you "
			       "intended to pass a host directory, use absolute path",
			       name, name);
	return 0;
}

/* A bind is all of mount(8) that a file server can do. */
static bool is_bind(const char *o)
{
	own_strv struct strv words = STRV_INIT;

	strv_split(&words, o ? o : "", ',');
	return strv_has(&words, "bind") || strv_has(&words, "rbind");
}

int volume_options_check(const struct strv *options, struct err *e)
{
	const char *type = strv_env_get(options, "type"), *o = strv_env_get(options, "o");
	const char *device = strv_env_get(options, "device");
	struct stat st;

	for (size_t i = 0; i < options->n; i++) {
		const char *opt = options->v[i];

		if (!str_starts(opt, "type=") && !str_starts(opt, "o=") &&
		    !str_starts(opt, "device="))
			return err_set(e, EINVAL, "invalid option: \"%.*s\"",
				       (int)strcspn(opt, "="), opt);
	}
	if (options->n == 0)
		return 0;
	if (device == NULL || *device == 0)
		return err_set(e, EINVAL, "missing device in volume options");
	if ((type && *type && strcmp(type, "none") != 0 && strcmp(type, "bind") != 0) ||
	    !is_bind(o))
		return err_set(e, ENOTSUP,
			       "a volume of type \"%s\" is not possible: nothing is mounted on "
			       "the host; only o=bind with a folder as device is",
			       type ? type : "");
	if (*device != '/' || stat(device, &st) < 0 || !S_ISDIR(st.st_mode))
		return err_set(e, EINVAL, "device \"%s\" is not a folder with an absolute path",
			       device);
	return 0;
}

/* ---- reading */

static void read_users(const struct box_dirs *d, int dirfd, struct volume *v)
{
	own_fd int fd = openat(dirfd, VOLUME_USERS, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	own_dir DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *de;

	if (dir == NULL)
		return;
	fd = -1;
	while ((de = readdir(dir)))
		if (box_id_full(de->d_name) && box_exists(d, de->d_name))
			strv_add(&v->users, de->d_name);
}

static int load(const struct box_dirs *d, const char *name, struct volume *v, struct err *e)
{
	own_free char *path = volume_path(d, name);
	own_fd int dirfd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	own_js struct js *j = NULL;
	const char *device;

	memset(v, 0, sizeof(*v));
	if (dirfd < 0 && errno == ENOENT)
		return err_set(e, ENOENT, "get %s: no such volume", name);
	if (dirfd < 0)
		return err_sys(e, "open volume %s", name);
	j = js_read(dirfd, VOLUME_FILE, VOLUME_JSON_MAX, e);
	if (j == NULL)
		return err_wrap(e, "volume %s", name);
	v->name = xstrdup(name);
	v->mountpoint = xasprintf("%s/" VOLUME_DATA, path);
	js_strings(js_get(j, "labels"), &v->labels);
	js_strings(js_get(j, "options"), &v->options);
	v->anonymous = js_true(js_get(j, "anonymous"));
	js_int(js_get(j, "created_ns"), &v->created_ns);
	device = strv_env_get(&v->options, "device");
	v->data = xstrdup(device ? device : v->mountpoint);
	read_users(d, dirfd, v);
	return 0;
}

int volume_find(const struct box_dirs *d, const char *name, struct volume *out, struct err *e)
{
	memset(out, 0, sizeof(*out));
	if (volume_name_check(name, NULL) < 0)
		return err_set(e, ENOENT, "get %s: no such volume", name);
	return load(d, name, out, e);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct volume *)a)->name, ((const struct volume *)b)->name);
}

int volume_list(const struct box_dirs *d, struct volume_list *out, struct err *e)
{
	own_free char *path = volume_path(d, "");
	own_dir DIR *dir = opendir(path);
	bool litter = false;
	struct dirent *de;

	*out = (struct volume_list){ NULL, 0 };
	if (dir == NULL)
		return errno == ENOENT ? 0 : err_sys(e, "open %s", path);
	while ((de = readdir(dir))) {
		struct volume v;

		litter = litter || str_starts(de->d_name, ".new-") ||
			 str_starts(de->d_name, ".gone-");
		if (de->d_name[0] == '.' || load(d, de->d_name, &v, NULL) < 0)
			continue;
		if ((out->n & (out->n - 1)) == 0)
			out->v = xrealloc(out->v, (out->n ? 2 * out->n : 1) * sizeof(*out->v));
		out->v[out->n++] = v;
	}
	if (out->n)
		qsort(out->v, out->n, sizeof(*out->v), by_name);
	if (litter)
		volume_sweep(d);
	return 0;
}

void volume_list_free(struct volume_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		volume_free(&l->v[i]);
	free(l->v);
	*l = (struct volume_list){ NULL, 0 };
}

static uint64_t size_below(int fd)
{
	own_dir DIR *dir = fdopendir(fd);
	struct dirent *de;
	uint64_t sum = 0;
	struct stat st;

	if (dir == NULL) {
		close(fd);
		return 0;
	}
	while ((de = readdir(dir))) {
		if (strcmp(de->d_name, ".") == 0 || strcmp(de->d_name, "..") == 0 ||
		    fstatat(dirfd(dir), de->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		if (S_ISREG(st.st_mode))
			sum += (uint64_t)st.st_size;
		if (S_ISDIR(st.st_mode)) {
			int sub = openat(dirfd(dir), de->d_name,
					 O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

			sum += sub < 0 ? 0 : size_below(sub);
		}
	}
	return sum;
}

uint64_t volume_size(const struct volume *v)
{
	int fd = open(v->mountpoint, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? 0 : size_below(fd);
}

/* ---- making */

static struct js *to_json(const struct volume_new *n)
{
	const struct strv none = STRV_INIT;
	struct js *j = js_object();

	js_set(j, "labels", js_of_strings(n->labels ? n->labels : &none));
	js_set(j, "options", js_of_strings(n->options ? n->options : &none));
	js_set_bool(j, "anonymous", n->anonymous);
	js_set_int(j, "created_ns", state_now());
	return j;
}

static int fill_folder(const char *making, const struct volume_new *n, struct err *e)
{
	own_js struct js *j = to_json(n);
	own_free char *text = js_dump(j, 1);
	own_fd int dirfd = -1;

	if (mkdir(making, 0700) < 0)
		return err_sys(e, "create folder %s", making);
	dirfd = open(making, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dirfd < 0 || mkdirat(dirfd, VOLUME_DATA, 0700) < 0 ||
	    fchmodat(dirfd, VOLUME_DATA, 0755, 0) < 0 || mkdirat(dirfd, VOLUME_USERS, 0700) < 0)
		return err_sys(e, "create folder %s", making);
	return file_write_atomic(dirfd, VOLUME_FILE, text, strlen(text), 0600, true, e);
}

static int make(const struct box_dirs *d, const char *name, const struct volume_new *n,
		struct err *e)
{
	unsigned char random[8];
	char hex[2 * sizeof(random) + 1];
	own_free char *path = volume_path(d, name), *making = NULL;
	int rc;

	random_bytes(random, sizeof(random));
	hex_encode(hex, random, sizeof(random));
	making = xasprintf("%s/volumes/.new-%s", d->root, hex);
	rc = fill_folder(making, n, e);
	if (rc == 0 && rename(making, path) < 0)
		rc = errno == EEXIST || errno == ENOTEMPTY ? 1
							   : err_sys(e, "create volume %s", name);
	if (rc)
		dir_remove_all(AT_FDCWD, making, NULL);
	else
		events_say(d, "volume", "create", name, "driver", "local", NULL);
	return rc < 0 ? rc : 0;
}

int volume_create_guarded(const struct box_dirs *d, const struct volume_new *n, struct volume *out,
			  struct err *e)
{
	unsigned char random[NAME_BYTES];
	char hex[2 * NAME_BYTES + 1];
	const char *name = n->name && *n->name ? n->name : hex;
	int rc;

	memset(out, 0, sizeof(*out));
	random_bytes(random, sizeof(random));
	hex_encode(hex, random, sizeof(random));
	rc = volume_name_check(name, e);
	if (rc == 0) {
		rc = load(d, name, out, NULL);
		if (rc != -ENOENT)
			return rc < 0 ? load(d, name, out, e) : 0;
		rc = n->options ? volume_options_check(n->options, e) : 0;
		if (rc < 0)
			return err_wrap(e, "create %s", name);
	}
	if (rc == 0)
		rc = make(d, name, n, e);
	return rc < 0 ? rc : load(d, name, out, e);
}

int volume_create(const struct box_dirs *d, const struct volume_new *n, struct volume *out,
		  struct err *e)
{
	own_fd int guard = volume_guard(d, LOCK_SH, e);

	memset(out, 0, sizeof(*out));
	return guard < 0 ? guard : volume_create_guarded(d, n, out, e);
}

/* ---- removing */

static int in_use(const struct volume *v, struct err *e)
{
	own_str struct str ids = STR_INIT;

	for (size_t i = 0; i < v->users.n; i++)
		str_addf(&ids, "%s%s", i ? ", " : "", v->users.v[i]);
	return err_set(e, EBUSY, "remove %s: volume is in use - [%s]", v->name, ids.s);
}

/* Under the exclusive guard, which becomes a shared one. */
static int vanish(const struct box_dirs *d, const char *name, int guard, struct err *e)
{
	own_free char *path = volume_path(d, name);
	own_free char *gone = xasprintf("%s/volumes/.gone-%s", d->root, name);

	dir_remove_all(AT_FDCWD, gone, NULL);
	if (rename(path, gone) < 0)
		return err_sys(e, "remove volume %s", name);
	events_say(d, "volume", "destroy", name, "driver", "local", NULL);
	fd_lock(guard, LOCK_SH);
	dir_remove_all(AT_FDCWD, gone, NULL);
	return 0;
}

int volume_remove(const struct box_dirs *d, const char *name, struct err *e)
{
	own_fd int guard = volume_guard(d, LOCK_EX, e);
	struct volume v OWN(volume_free) = { .name = NULL };
	int rc = guard < 0 ? guard : volume_find(d, name, &v, e);

	if (rc < 0)
		return rc;
	return v.users.n ? in_use(&v, e) : vanish(d, name, guard, e);
}

void volume_sweep(const struct box_dirs *d)
{
	own_fd int guard = volume_guard(d, LOCK_EX | LOCK_NB, NULL);
	own_free char *path = volume_path(d, "");
	own_dir DIR *dir = guard < 0 ? NULL : opendir(path);
	struct dirent *de;

	while (dir && (de = readdir(dir)))
		if (str_starts(de->d_name, ".new-") || str_starts(de->d_name, ".gone-"))
			dir_remove_all(dirfd(dir), de->d_name, NULL);
}
