/* hosttree.c: files of the host's own as entries; see hosttree.h. */
#include "runtime/base/hosttree.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "runtime/base/links.h"
#include "runtime/base/own.h"
#include "runtime/base/str.h"

/* Deepest nesting of folders: each level of the walk keeps a descriptor. */
#define HOST_DEPTH_MAX 512
/* The one extended attribute that goes along, as docker has it. */
#define XATTR_CAPS     "security.capability"
#define XATTR_CAPS_MAX 64

/* ---- telling */

struct tell {
	bool owners;
	entry_fn *fn;
	void *arg;
	struct str path;
	struct links links;
	struct err *e;
};

static int failed(struct tell *t, const char *what)
{
	return err_sys(t->e, "%s %s", what, t->path.len ? t->path.s : ".");
}

/* at/name is no folder, or `fd` is its descriptor. */
static int tell_one(struct tell *t, int at, const char *name, const struct stat *st, int fd)
{
	own_free char *target = NULL;
	char caps[XATTR_CAPS_MAX];
	struct entry_xattr attr = { .name = XATTR_CAPS, .value = caps };
	struct entry x = { .path = t->path.s,
			   .mode = st->st_mode,
			   .uid = t->owners ? st->st_uid : 0,
			   .gid = t->owners ? st->st_gid : 0,
			   .mtime = st->st_mtim,
			   .fd = -1 };
	ssize_t n;

	if (S_ISLNK(st->st_mode)) {
		target = xmalloc(PATH_MAX + 1);
		n = readlinkat(at, name, target, PATH_MAX);
		if (n < 0)
			return failed(t, "read");
		target[n] = 0;
		x.target = target;
	} else if (S_ISREG(st->st_mode)) {
		x.fd = fd;
		x.size = (uint64_t)st->st_size;
		n = fgetxattr(fd, XATTR_CAPS, caps, sizeof(caps));
		if (n > 0) {
			attr.len = (size_t)n;
			x.xattrs = &attr;
			x.nxattrs = 1;
		}
	} else if (S_ISCHR(st->st_mode) || S_ISBLK(st->st_mode)) {
		x.major = major(st->st_rdev);
		x.minor = minor(st->st_rdev);
	}
	if (!S_ISDIR(st->st_mode) && st->st_nlink > 1)
		x.link = links_first(&t->links, st->st_dev, st->st_ino, t->path.s);
	return t->fn(t->arg, &x, t->e);
}

static int tell_tree(struct tell *t, int at, const char *name, unsigned depth);

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* fd is taken over. */
static int tell_content(struct tell *t, int fd, unsigned depth)
{
	own_strv struct strv names = STRV_INIT;
	own_dir DIR *dir = fdopendir(fd);
	size_t len = t->path.len;
	struct dirent *de;
	int rc = 0;

	if (dir == NULL) {
		rc = failed(t, "read");
		close(fd);
		return rc;
	}
	if (depth > HOST_DEPTH_MAX)
		return err_set(t->e, ELOOP, "folders are nested deeper than %d", HOST_DEPTH_MAX);
	while ((errno = 0, de = readdir(dir)))
		if (strcmp(de->d_name, ".") != 0 && strcmp(de->d_name, "..") != 0)
			strv_add(&names, de->d_name);
	if (errno)
		return failed(t, "read");
	if (names.n)
		qsort(names.v, names.n, sizeof(*names.v), by_name);
	for (size_t i = 0; rc == 0 && i < names.n; i++) {
		str_addf(&t->path, "%s%s", len ? "/" : "", names.v[i]);
		rc = tell_tree(t, dirfd(dir), names.v[i], depth + 1);
		t->path.len = len;
		t->path.s[len] = 0;
	}
	return rc;
}

static int tell_tree(struct tell *t, int at, const char *name, unsigned depth)
{
	own_fd int fd = -1;
	struct stat st;
	int rc;

	if (fstatat(at, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT && depth ? 0 : failed(t, "open"); /* it has just gone */
	if (S_ISSOCK(st.st_mode))
		return 0;
	if (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode)) {
		fd = openat(at, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
		if (fd < 0 || fstat(fd, &st) < 0)
			return failed(t, "open");
	}
	rc = tell_one(t, at, name, &st, fd);
	return rc == 0 && S_ISDIR(st.st_mode) ? tell_content(t, steal_fd(&fd), depth) : rc;
}

int host_walk(const char *path, bool owners, entry_fn *fn, void *arg, struct err *e)
{
	struct tell t = { .owners = owners, .fn = fn, .arg = arg, .e = e };
	int rc;

	str_add(&t.path, "");
	rc = tell_tree(&t, AT_FDCWD, path, 0);
	links_free(&t.links);
	str_free(&t.path);
	return rc;
}

/* ---- making */

struct sink_time {
	char *path;
	struct timespec mtime;
	mode_t mode;
};

struct host_sink {
	bool owners;
	int root;
	int last; /* the folder that was made in last; -1 */
	char *last_path;
	struct sink_time *times;
	size_t ntimes;
};

struct host_sink *host_sink_new(const char *folder, bool owners, struct err *e)
{
	struct host_sink *s = xcalloc(1, sizeof(*s));

	*s = (struct host_sink){ .owners = owners, .last = -1 };
	s->root = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->root >= 0)
		return s;
	err_sys(e, "open %s", folder);
	free(s);
	return NULL;
}

/* The folder `path` (without a leading slash) below the root; a new descriptor. */
static int open_folder(const struct host_sink *s, const char *path)
{
	own_strv struct strv names = STRV_INIT;
	int fd = fcntl(s->root, F_DUPFD_CLOEXEC, 0);

	strv_split(&names, path, '/');
	for (size_t i = 0; fd >= 0 && i < names.n; i++) {
		const char *name = names.v[i];
		int next;

		if (*name == 0 || strcmp(name, ".") == 0)
			continue;
		if (strcmp(name, "..") == 0) {
			close(fd);
			return -EINVAL;
		}
		if (mkdirat(fd, name, 0777) < 0 && errno != EEXIST)
			next = -1;
		else
			next = openat(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		close(fd);
		fd = next;
	}
	return fd < 0 ? -errno : fd;
}

/* The folder an entry lies in; borrowed. *name: its own name. */
static int parent_of(struct host_sink *s, const char *path, const char **name)
{
	const char *slash = strrchr(path, '/');
	own_free char *above = xstrndup(path, slash ? (size_t)(slash - path) : 0);
	int fd;

	*name = slash ? slash + 1 : path;
	if (**name == 0 || strcmp(*name, ".") == 0 || strcmp(*name, "..") == 0)
		return -EINVAL;
	if (s->last >= 0 && strcmp(s->last_path, above) == 0)
		return s->last;
	fd = open_folder(s, above);
	if (fd < 0)
		return fd;
	own_fd_(&s->last);
	free(s->last_path);
	s->last = fd;
	s->last_path = steal_ptr(&above);
	return fd;
}

/* 1: a folder is there, and is to be one. */
static int make_room(int at, const char *name, const struct entry *x, struct err *e)
{
	bool folder = S_ISDIR(x->mode) && x->link == NULL;
	struct stat st;

	if (fstatat(at, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : err_sys(e, "%s", x->path);
	if (S_ISDIR(st.st_mode) && folder)
		return 1;
	if (S_ISDIR(st.st_mode))
		return err_set(e, EISDIR, "cannot overwrite directory \"%s\" with non-directory",
			       x->path);
	if (folder)
		return err_set(e, ENOTDIR, "cannot overwrite non-directory \"%s\" with directory",
			       x->path);
	return unlinkat(at, name, 0) < 0 ? err_sys(e, "replace %s", x->path) : 0;
}

/* Owner, mode, time of what at/name is now. */
static int dress(const struct host_sink *s, int at, const char *name, const struct entry *x,
		 struct err *e)
{
	mode_t mode = x->mode & (s->owners ? 07777 : 01777);
	struct timespec ts[2] = { x->mtime, x->mtime };

	/* an ordinary user cannot give files away: his they stay */
	if (s->owners && fchownat(at, name, x->uid, x->gid, AT_SYMLINK_NOFOLLOW) < 0 &&
	    errno != EPERM)
		return err_sys(e, "change the owner of %s", x->path);
	if (S_ISDIR(x->mode))
		mode |= 0700; /* until all is in it */
	if (!S_ISLNK(x->mode) && fchmodat(at, name, mode, 0) < 0)
		return err_sys(e, "change the mode of %s", x->path);
	if (utimensat(at, name, ts, AT_SYMLINK_NOFOLLOW) < 0)
		return err_sys(e, "set the time of %s", x->path);
	return 0;
}

static int make_file(const struct host_sink *s, int at, const char *name, const struct entry *x,
		     struct err *e)
{
	own_fd int fd =
		openat(at, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	int rc;

	if (fd < 0)
		return err_sys(e, "create %s", x->path);
	rc = entry_data_to_fd(x, fd, e);
	if (rc < 0)
		return err_wrap(e, "%s", x->path);
	if (close(steal_fd(&fd)) < 0)
		return err_sys(e, "write %s", x->path);
	return dress(s, at, name, x, e);
}

static int make_link(struct host_sink *s, int at, const char *name, const struct entry *x,
		     struct err *e)
{
	const char *slash = strrchr(x->link, '/');
	own_free char *above = xstrndup(x->link, slash ? (size_t)(slash - x->link) : 0);
	own_fd int from = open_folder(s, above);

	if (from < 0 || linkat(from, slash ? slash + 1 : x->link, at, name, 0) < 0)
		return err_set(e, from < 0 ? -from : errno, "link %s to %s: %s", x->path, x->link,
			       strerror(from < 0 ? -from : errno));
	return 0;
}

static void remember_time(struct host_sink *s, const struct entry *x)
{
	if ((s->ntimes & (s->ntimes - 1)) == 0)
		s->times = xrealloc(s->times, (s->ntimes ? s->ntimes * 2 : 1) * sizeof(*s->times));
	s->times[s->ntimes++] = (struct sink_time){ .path = xstrdup(x->path),
						    .mtime = x->mtime,
						    .mode = x->mode & (s->owners ? 07777 : 01777) };
}

static int make_object(struct host_sink *s, int at, const char *name, const struct entry *x,
		       struct err *e)
{
	int rc;

	if (x->link)
		return make_link(s, at, name, x, e);
	if (S_ISREG(x->mode))
		return make_file(s, at, name, x, e);
	if (S_ISDIR(x->mode)) {
		remember_time(s, x);
		rc = mkdirat(at, name, 0700);
	} else if (S_ISLNK(x->mode)) {
		rc = symlinkat(x->target, at, name);
	} else if (S_ISFIFO(x->mode)) {
		rc = mkfifoat(at, name, 0600);
	} else {
		return 0; /* a device of the container's is not one of the host's; sockets are of no
			   * use */
	}
	if (rc < 0)
		return err_sys(e, "create %s", x->path);
	return dress(s, at, name, x, e);
}

int host_sink_add(void *sink, const struct entry *x, struct err *e)
{
	struct host_sink *s = sink;
	const char *name;
	int at, rc;

	if (*x->path == 0 || strcmp(x->path, ".") == 0) /* the folder itself: it is there */
		return S_ISDIR(x->mode) ? 0 : err_set(e, EISDIR, "the destination is a folder");
	at = parent_of(s, x->path, &name);
	if (at < 0)
		return err_set(e, -at, "create %s: %s", x->path, strerror(-at));
	rc = make_room(at, name, x, e);
	if (rc < 0)
		return rc;
	if (rc == 1) {
		remember_time(s, x);
		return dress(s, at, name, x, e);
	}
	return make_object(s, at, name, x, e);
}

/* From the last to the first: inner ones before those above, which may be closed to us then. */
static int set_times(struct host_sink *s, struct err *e)
{
	for (size_t i = s->ntimes; i-- > 0;) {
		struct timespec ts[2] = { { .tv_nsec = UTIME_OMIT }, s->times[i].mtime };
		own_fd int fd = open_folder(s, s->times[i].path);

		if (fd < 0 || futimens(fd, ts) < 0 || fchmod(fd, s->times[i].mode) < 0)
			return err_set(e, fd < 0 ? -fd : errno, "set the time of %s: %s",
				       s->times[i].path, strerror(fd < 0 ? -fd : errno));
	}
	return 0;
}

int host_sink_end(struct host_sink *s, int rc, struct err *e)
{
	if (rc == 0)
		rc = set_times(s, e);
	for (size_t i = 0; i < s->ntimes; i++)
		free(s->times[i].path);
	free(s->times);
	own_fd_(&s->last);
	free(s->last_path);
	close(s->root);
	free(s);
	return rc;
}
