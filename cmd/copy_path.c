/* copy_path.c: docker's rules for cp's two paths; see copy_path.h. */
#include "cmd/copy_path.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd/plan.h"
#include "runtime/base/own.h"
#include "runtime/base/str.h"

/* As docker's. */
#define LINKS_MAX 10

/* The last component is ".". */
static bool is_content(const char *path)
{
	size_t n = strlen(path);

	while (n > 1 && path[n - 1] == '/')
		n--;
	return n > 0 && path[n - 1] == '.' && (n == 1 || path[n - 2] == '/');
}

/* The cleaned path with the end of the one it was made from. */
static char *with_end(const char *clean, const char *path)
{
	struct str s = STR_INIT;

	str_add(&s, clean);
	if (is_content(path))
		str_addf(&s, "%s.", str_ends(s.s, "/") ? "" : "/");
	if (str_ends(path, "/") && !str_ends(s.s, "/"))
		str_add_char(&s, '/');
	return str_steal(&s);
}

char *copy_inside(const char *path)
{
	own_free char *rooted = xasprintf("/%s", path);
	own_free char *clean = plan_path_clean(rooted);

	return with_end(clean, path);
}

char *copy_local(const char *path)
{
	own_free char *cwd = *path == '/' ? NULL : getcwd(NULL, 0);
	own_free char *rooted = xasprintf("%s/%s", cwd ? cwd : "", path);
	own_free char *clean = plan_path_clean(rooted);

	return with_end(clean, path);
}

/* "/a/b/" is "/a" and "b", "/a/b/." is "/a/b" and ".". */
static void split(const char *path, char **dir, char **base)
{
	own_free char *clean = plan_path_clean(path);
	char *slash = strrchr(clean, '/');

	if (is_content(path)) {
		*dir = xstrdup(clean);
		*base = xstrdup("");
		return;
	}
	*dir = slash == clean ? xstrdup("/") : xstrndup(clean, (size_t)(slash - clean));
	*base = xstrdup(slash + 1);
}

char *copy_base(const char *path)
{
	own_free char *dir = NULL;
	char *base;

	split(path, &dir, &base);
	return base;
}

void copy_rebase(const char *path, char **real, char **name)
{
	char *end = with_end(*real, path);

	free(*real);
	*real = end;
	*name = copy_base(path);
}

static int lstat_failed(const char *path, int code, struct err *e)
{
	const char *why = code == ENOENT    ? "no such file or directory"
			  : code == ENOTDIR ? "not a directory"
					    : strerror(code);

	return err_set(e, code, "lstat %s: %s", path, why);
}

int copy_local_source(const char *typed, bool follow, char **path, char **name,
		      struct copy_end *src, struct err *e)
{
	own_free char *full = copy_local(typed);
	struct stat st;

	if (follow) {
		*path = realpath(full, NULL);
		if (*path == NULL)
			return lstat_failed(full, errno, e);
		copy_rebase(full, path, name);
	} else {
		*path = xstrdup(full);
		*name = copy_base(full);
	}
	if (lstat(*path, &st) < 0)
		return lstat_failed(*path, errno, e);
	*src = (struct copy_end){
		.path = *path, .name = *name, .exists = true, .folder = S_ISDIR(st.st_mode)
	};
	return 0;
}

/* Where a link leads, one step. */
static char *next_target(const char *path)
{
	own_free char *dir = NULL, *base = NULL, *joined = NULL;
	char target[PATH_MAX];
	ssize_t n = readlink(path, target, sizeof(target) - 1);

	if (n < 0)
		return NULL;
	target[n] = 0;
	if (*target == '/')
		return xstrdup(target);
	split(path, &dir, &base);
	joined = xasprintf("%s/%s", dir, target);
	return plan_path_clean(joined);
}

static int check_parent(const char *path, struct err *e)
{
	own_free char *dir = NULL, *base = NULL;
	struct stat st;

	split(path, &dir, &base);
	if (stat(dir, &st) < 0)
		return lstat_failed(dir, errno, e);
	return S_ISDIR(st.st_mode) ? 0 : err_set(e, ENOTDIR, "not a directory");
}

int copy_local_dest(const char *typed, char **real, struct copy_end *dst, struct err *e)
{
	struct stat st;
	int rc;

	*real = xstrdup(typed);
	rc = lstat(*real, &st);
	for (int n = 0; rc == 0 && S_ISLNK(st.st_mode); n++) {
		char *next = next_target(*real);

		if (n > LINKS_MAX)
			rc = err_set(e, ELOOP, "too many symlinks in %s", typed);
		else if (next == NULL)
			rc = err_sys(e, "read %s", *real);
		if (rc < 0) {
			free(next);
			return rc;
		}
		free(*real);
		*real = next;
		rc = lstat(*real, &st);
	}
	dst->path = *real;
	if (rc < 0 && errno != ENOENT)
		return lstat_failed(*real, errno, e);
	if (rc < 0)
		return check_parent(*real, e);
	dst->exists = true;
	dst->folder = S_ISDIR(st.st_mode);
	return 0;
}

int copy_output_check(const char *path, struct err *e)
{
	own_free char *clean = plan_path_clean(path), *dir = NULL, *base = NULL;
	struct stat st;

	split(clean, &dir, &base);
	if (stat(dir, &st) < 0 && errno == ENOENT)
		return err_set(e, ENOENT, "invalid output path: directory \"%s\" does not exist",
			       dir);
	if (stat(path, &st) == 0 && (S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode)))
		return err_set(e, EINVAL,
			       "invalid output path: \"%s\" must be a directory or a regular "
			       "file: got a device",
			       path);
	return 0;
}

int copy_plan(const struct copy_end *src, const struct copy_end *dst, char **dir, char **as,
	      struct err *e)
{
	if (dst->exists && dst->folder) {
		*dir = xstrdup(dst->path);
		*as = xstrdup(src->name);
		return 0;
	}
	if (dst->exists && src->folder)
		return err_set(e, ENOTDIR, "cannot copy directory");
	if (!dst->exists && !src->folder && (str_ends(dst->path, "/") || is_content(dst->path)))
		return err_set(e, ENOENT, "no such directory");
	split(dst->path, dir, as);
	return 0;
}
