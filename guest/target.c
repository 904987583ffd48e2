/* target.c: mount targets, resolved inside the container's root; see target.h. */
#include "guest/target.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#include "guest/sys.h"
#include "runtime/base/own.h"
#include "runtime/base/str.h"

/*
 * The kernel resolves whole paths (openat2, RESOLVE_IN_ROOT). Only where
 * something is missing is the path walked here, one component after the
 * other, since the missing one may lie behind a symlink: `done` is the part
 * that exists and has no symlinks, `rest` what is still to be walked.
 */

/* As the kernel's own limit. */
#define SYMLINKS_MAX 40

int target_open(int root, const char *path)
{
	int fd = sys_openat2(root, path, O_PATH | O_CLOEXEC,
			     SYS_RESOLVE_IN_ROOT | SYS_RESOLVE_NO_MAGICLINKS);

	return fd < 0 ? -errno : fd;
}

/* What `name` in the folder `at` is: its mode, or -errno; a symlink's target goes to link. */
static int look(int at, const char *name, mode_t *mode, char *link)
{
	struct stat st;
	ssize_t n;

	if (fstatat(at, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	*mode = st.st_mode;
	if (!S_ISLNK(st.st_mode))
		return 0;
	n = readlinkat(at, name, link, PATH_MAX - 1);
	if (n < 0)
		return -errno;
	link[n] = 0;
	return 0;
}

/* By mknod, since it is one request to the file server where open and close are several. */
static int make(int at, const char *name, bool folder)
{
	int rc = folder ? mkdirat(at, name, 0755) : mknodat(at, name, S_IFREG | 0644, 0);

	return rc < 0 && errno != EEXIST ? -errno : 0;
}

static void drop_last(struct str *done)
{
	while (done->len && done->s[done->len - 1] != '/')
		done->len--;
	if (done->len)
		done->len--;
	if (done->s)
		done->s[done->len] = 0;
}

/* One component; *links counts the symlinks met. */
static int step(int root, struct str *done, char **rest, bool folder, int *links)
{
	size_t n = strcspn(*rest, "/");
	own_free char *name = xstrndup(*rest, n), *left = NULL;
	bool last = (*rest)[n + strspn(*rest + n, "/")] == 0;
	char link[PATH_MAX];
	own_fd int at = -1;
	mode_t mode;
	int rc;

	left = xstrdup(*rest + n + strspn(*rest + n, "/"));
	free(*rest);
	*rest = steal_ptr(&left);
	if (*name == 0 || strcmp(name, ".") == 0)
		return 0;
	if (strcmp(name, "..") == 0) {
		drop_last(done);
		return 0;
	}
	at = target_open(root, done->len ? done->s : "/");
	if (at < 0)
		return at;
	rc = look(at, name, &mode, link);
	if (rc == -ENOENT)
		rc = make(at, name, folder || !last);
	else if (rc == 0 && S_ISLNK(mode)) {
		char *joined = xasprintf("%s/%s", link, *rest);

		if (++*links > SYMLINKS_MAX)
			rc = -ELOOP;
		if (*link == '/')
			done->len = 0;
		free(*rest);
		*rest = joined;
		return rc;
	}
	if (rc == 0)
		str_addf(done, "/%s", name);
	return rc;
}

static int make_all(int root, const char *path, bool folder)
{
	own_str struct str done = STR_INIT;
	own_free char *rest = xstrdup(path);
	int links = 0;

	str_add(&done, "");
	while (*rest) {
		int rc = step(root, &done, &rest, folder, &links);

		if (rc < 0)
			return rc;
	}
	return target_open(root, done.len ? done.s : "/");
}

int target_make(int root, const char *path, bool folder, struct err *e)
{
	own_fd int fd = target_open(root, path);
	struct stat st;

	if (fd == -ENOENT)
		fd = make_all(root, path, folder);
	if (fd < 0)
		return err_set(e, -fd, "create mount point %s: %s", path, strerror(-fd));
	if (fstat(fd, &st) < 0)
		return err_sys(e, "stat %s", path);
	if (folder && !S_ISDIR(st.st_mode))
		return err_set(e, ENOTDIR, "%s: not a directory", path);
	if (!folder && S_ISDIR(st.st_mode))
		return err_set(e, EISDIR, "%s: is a directory", path);
	return steal_fd(&fd);
}
