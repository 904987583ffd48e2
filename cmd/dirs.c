/* dirs.c: where zl's things lie on this machine, for this user. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "cmd/plan.h"
#include "runtime/base/fd.h"
#include "runtime/base/own.h"

#define ROOT_OF_ROOT	"/var/lib/zl"
#define RUNTIME_OF_ROOT "/run/zl"
#define PASSWD_MAX	(4U << 20)

/* The sixth field of our line in /etc/passwd; getpwuid would load plugins into a static program. */
static char *home_by_passwd(void)
{
	own_str struct str text = STR_INIT;
	own_strv struct strv lines = STRV_INIT;
	char uid[16];

	snprintf(uid, sizeof(uid), "%u", (unsigned)getuid());
	if (file_read(AT_FDCWD, "/etc/passwd", PASSWD_MAX, &text, NULL) < 0 || text.s == NULL)
		return NULL;
	strv_split(&lines, text.s, '\n');
	for (size_t i = 0; i < lines.n; i++) {
		own_strv struct strv f = STRV_INIT;

		strv_split(&f, lines.v[i], ':');
		if (f.n >= 6 && strcmp(f.v[2], uid) == 0 && f.v[5][0] == '/')
			return xstrdup(f.v[5]);
	}
	return NULL;
}

char *home_folder(void)
{
	const char *home = getenv("HOME");

	return home && *home == '/' ? xstrdup(home) : home_by_passwd();
}

/* Where the store lies if nobody says; NULL: nowhere. */
static char *default_root(void)
{
	const char *data = getenv("XDG_DATA_HOME");
	own_free char *home = NULL;

	if (geteuid() == 0)
		return xstrdup(ROOT_OF_ROOT);
	if (data && *data == '/')
		return xasprintf("%s/zl", data);
	home = home_folder();
	return home ? xasprintf("%s/.local/share/zl", home) : NULL;
}

static char *absolute(const char *path, struct err *e)
{
	own_free char *cwd = NULL, *joined = NULL;

	if (*path == '/')
		return plan_path_clean(path);
	cwd = getcwd(NULL, 0);
	if (cwd == NULL) {
		err_sys(e, "--root %s: the working directory cannot be found", path);
		return NULL;
	}
	joined = xasprintf("%s/%s", cwd, path);
	return plan_path_clean(joined);
}

static char *runtime_folder(const char *root)
{
	const char *xdg = getenv("XDG_RUNTIME_DIR");

	if (geteuid() == 0)
		return xstrdup(RUNTIME_OF_ROOT);
	if (xdg && *xdg == '/' && access(xdg, W_OK | X_OK) == 0)
		return xasprintf("%s/zl", xdg);
	return xasprintf("%s/run", root);
}

/* Sockets lie in it: were it another's, he could take the place of a container's. */
static int check_runtime(const char *path, struct err *e)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return errno == ENOENT ? 0 : err_sys(e, "runtime folder %s", path);
	if (st.st_uid != geteuid() || (st.st_mode & (S_IWGRP | S_IWOTH)))
		return err_set(e, EPERM,
			       "runtime folder %s: it must be yours, and others must not be able "
			       "to write to it (is XDG_RUNTIME_DIR right?)",
			       path);
	return 0;
}

static int make_folder(const char *path, struct err *e)
{
	struct stat st;

	if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
		return 0;
	return dir_make_all(path, 0700, e);
}

/*
 * Only who starts a container needs it, and then looks for it again: a store that cannot be
 * written to (any more) can be read all the same.
 */
static int make_runtime(const char *path, struct err *e)
{
	struct err why = ERR_INIT;
	int rc = make_folder(path, &why);

	if (rc == -EACCES || rc == -EPERM || rc == -EROFS || rc == -ENOSPC || rc == -EDQUOT)
		return 0;
	if (rc < 0)
		*e = why;
	return rc;
}

int zl_dirs(struct zl *z, const char *root, bool make, struct err *e)
{
	own_free char *found = NULL;
	int rc = 0;

	if (root == NULL || *root == 0)
		root = getenv("ZL_ROOT");
	found = root && *root ? absolute(root, e) : default_root();
	if (found == NULL && e->msg[0])
		return -e->code;
	if (found == NULL)
		return err_set(e, ENOENT,
			       "no folder for images and containers: neither HOME nor "
			       "XDG_DATA_HOME is set; use --root or ZL_ROOT");
	z->dirs.runtime = runtime_folder(found);
	z->dirs.root = steal_ptr(&found);
	if (make)
		rc = make_folder(z->dirs.root, e);
	if (make && rc == 0)
		rc = make_runtime(z->dirs.runtime, e);
	if (make && rc == 0)
		rc = check_runtime(z->dirs.runtime, e);
	return rc;
}

void zl_free(struct zl *z)
{
	if (z->store)
		store_close(z->store);
	free((char *)(uintptr_t)z->dirs.root);
	free((char *)(uintptr_t)z->dirs.runtime);
	free((char *)(uintptr_t)z->dirs.kernel);
	memset(z, 0, sizeof(*z));
}
