/* diff.c: zl diff: what a container changed of its image's files. */
#include <errno.h>
#include <stdio.h>

#include "cmd/cmd.h"
#include "runtime/base/own.h"
#include "runtime/box/files.h"

static int print(void *arg, char kind, const char *path, struct err *e)
{
	(void)arg;
	(void)e;
	printf("%c %s\n", kind, path);
	return 0;
}

static int run_diff(struct zl *z, void *flags, const struct operands *ops, struct err *e)
{
	own_box struct box *b = NULL;

	(void)flags;
	if (*ops->v[0] == 0)
		return err_set(e, EINVAL, "Container name cannot be empty");
	b = box_find(&z->dirs, ops->v[0], e);
	return b ? box_diff(&z->dirs, b, print, NULL, e) : -ENOENT;
}

const struct command cmd_diff = {
	.names = "container diff, diff",
	.help = "Inspect changes to files or directories on a container's filesystem",
	.usage = "CONTAINER",
	.run = run_diff,
	.min = 1,
	.max = 1,
	.complete = "@container",
};
