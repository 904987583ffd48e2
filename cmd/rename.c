/* rename.c: zl rename. */
#include <errno.h>

#include "cmd/cmd.h"
#include "cmd/plan.h"
#include "runtime/base/own.h"
#include "runtime/box/events.h"

static int run_rename(struct zl *z, void *flags, const struct operands *ops, struct err *e)
{
	const char *old = ops->v[0], *name = ops->v[1] + (*ops->v[1] == '/');
	own_box struct box *b = NULL;
	own_free char *before = NULL;
	int rc;

	(void)flags;
	if (*old == 0 || *name == 0)
		return err_set(e, EINVAL, "Neither old nor new names may be empty");
	b = box_find(&z->dirs, old, e);
	if (b == NULL)
		return -1;
	if (name_check(name, e) < 0)
		return err_wrap(e, "Error when allocating new name");
	before = xasprintf("/%s", b->spec.name);
	rc = box_rename(&z->dirs, b, name, e);
	if (rc == 0)
		events_say_box(&z->dirs, &b->spec, "rename", "oldName", before, NULL);
	return rc;
}

const struct command cmd_rename = {
	.names = "container rename, rename",
	.help = "Rename a container",
	.usage = "CONTAINER NEW_NAME",
	.run = run_rename,
	.min = 2,
	.max = 2,
	.complete = "@container",
};
