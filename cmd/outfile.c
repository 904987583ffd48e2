/* outfile.c: where save and export write; see outfile.h. */
#include "cmd/outfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/own.h"
#include "runtime/base/str.h"

static char *folder_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	if (slash == NULL)
		return xstrdup(".");
	return slash == path ? xstrdup("/") : xstrndup(path, (size_t)(slash - path));
}

int outfile_open(struct outfile *o, const char *path, struct err *e)
{
	struct stat st;

	*o = (struct outfile){ .fd = STDOUT_FILENO };
	if (path == NULL || *path == 0) {
		if (isatty(STDOUT_FILENO))
			return err_set(e, EINVAL,
				       "cowardly refusing to save to a terminal. Use the -o flag "
				       "or redirect");
		return 0;
	}
	o->fd = -1;
	o->path = xstrdup(path);
	o->dir = folder_of(path);
	if (stat(o->dir, &st) < 0 || !S_ISDIR(st.st_mode))
		return err_set(e, ENOENT, "invalid output path: directory \"%s\" does not exist",
			       o->dir);
	if (stat(path, &st) == 0 && !S_ISREG(st.st_mode)) {
		o->fd = open(path, O_WRONLY | O_CLOEXEC);
		return o->fd < 0 ? err_sys(e, "open %s", path) : 0;
	}
	/* Without a name until it is whole, where the file system can do that: nothing to clean up.
	 */
	o->fd = open(o->dir, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
	o->tmp = xasprintf("%s/.zl-%d.XXXXXX", o->dir, (int)getpid());
	if (o->fd >= 0)
		return 0;
	o->fd = mkostemp(o->tmp, O_CLOEXEC);
	return o->fd < 0 ? err_sys(e, "create a file in %s", o->dir) : 0;
}

/* The file without a name gets the temporary one. */
static int name_it(struct outfile *o, struct err *e)
{
	own_free char *self = xasprintf("/proc/self/fd/%d", o->fd);
	struct stat st;

	if (fstat(o->fd, &st) < 0)
		return err_sys(e, "write %s", o->path);
	if (st.st_nlink > 0)
		return 0;
	if (linkat(AT_FDCWD, self, AT_FDCWD, o->tmp, AT_SYMLINK_FOLLOW) < 0)
		return err_sys(e, "create %s", o->path);
	return 0;
}

int outfile_close(struct outfile *o, int rc, struct err *e)
{
	if (rc >= 0 && o->tmp)
		rc = name_it(o, e);
	if (o->path && o->fd >= 0 && close(o->fd) < 0 && rc >= 0)
		rc = err_sys(e, "write %s", o->path);
	if (rc >= 0 && o->tmp && rename(o->tmp, o->path) < 0)
		rc = err_sys(e, "create %s", o->path);
	if (rc < 0 && o->tmp)
		unlink(o->tmp);
	free(o->path);
	free(o->tmp);
	free(o->dir);
	return rc;
}
