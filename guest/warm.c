/* warm.c: asks the file server beforehand for what task 1's process will wait for. */
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#include "guest/agent.h"
#include "guest/sys.h"
#include "guest/target.h"
#include "runtime/base/own.h"

/*
 * Task 1's process has to make its container before it looks for its user and
 * its program; there it waits for one request to the file server after the
 * other. The agent is idle meanwhile. So it looks at the same files now: names
 * come into the kernel's cache, and content is on its way while nobody waits.
 *
 * Nothing here matters to what happens: whatever goes wrong is for the process
 * to meet, and to tell.
 */

/* What the kernel reads ahead at a time, and as much as is worth it of a program. */
#define WARM_STEP (128U << 10)
#define WARM_MAX  (2U << 20)

/* Starts to read a regular file into the page cache; false: there is none. */
static bool warm_file(int root, const char *path)
{
	own_fd int there = target_open(root, path), fd = -1;
	struct stat st;

	/* what is not a file might mind being opened */
	if (there < 0 || fstat(there, &st) < 0 || !S_ISREG(st.st_mode))
		return false;
	fd = sys_openat2(root, path, O_RDONLY | O_NONBLOCK | O_CLOEXEC,
			 SYS_RESOLVE_IN_ROOT | SYS_RESOLVE_NO_MAGICLINKS);
	for (off_t at = 0; fd >= 0 && at < st.st_size && at < (off_t)WARM_MAX; at += WARM_STEP)
		readahead(fd, at, WARM_STEP);
	return true;
}

/* As child_look_path will find it; who may execute what is not asked. */
static void warm_program(int root, const struct wire_task *w)
{
	const char *file = w->argv.v[0], *search = strv_env_get(&w->env, "PATH");
	own_strv struct strv dirs = STRV_INIT;

	if (strchr(file, '/')) {
		own_free char *path = xasprintf("%s/%s", *file == '/' ? "" : w->cwd, file);

		warm_file(root, path);
		return;
	}
	if (search && *search && *file)
		strv_split(&dirs, search, ':');
	for (size_t i = 0; i < dirs.n; i++) {
		own_free char *path = xasprintf("%s/%s", dirs.v[i], file);

		if (*dirs.v[i] == '/' && warm_file(root, path))
			return;
	}
}

void warm_up(const struct agent *a, const struct wire_task *w)
{
	own_fd int root = openat(a->root_fs, "root", O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (root < 0)
		return;
	warm_file(root, "/etc/passwd");
	warm_file(root, "/etc/group");
	warm_program(root, w);
}
