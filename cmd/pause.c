/* pause.c: zl pause and unpause. */
#include <errno.h>
#include <stdio.h>

#include "cmd/container.h"
#include "runtime/base/own.h"

static int set_pause(struct zl *z, const char *who, bool on, struct err *e)
{
	own_box struct box *b = box_find(&z->dirs, who, e);
	struct box_client *c;
	int rc;

	if (b == NULL)
		return -1;
	if (b->state.status == BOX_RESTARTING)
		return err_set(e, EBUSY,
			       "Container %s is restarting, wait until the container is running",
			       b->spec.id);
	if (!on && b->state.status != BOX_PAUSED)
		return err_set(e, EINVAL, "Container %s is not paused", b->spec.id);
	c = box_connect(&z->dirs, b, e);
	if (c == NULL)
		return -1;
	rc = box_client_pause(c, on, e);
	box_client_free(c);
	if (rc == 0)
		puts(who);
	return rc;
}

static int pause_one(struct zl *z, void *flags, const char *who, struct err *e)
{
	(void)flags;
	return set_pause(z, who, true, e);
}

static int unpause_one(struct zl *z, void *flags, const char *who, struct err *e)
{
	(void)flags;
	return set_pause(z, who, false, e);
}

static int run_pause(struct zl *z, void *flags, const struct operands *ops, struct err *e)
{
	(void)e;
	return for_each_operand(z, flags, ops, pause_one);
}

static int run_unpause(struct zl *z, void *flags, const struct operands *ops, struct err *e)
{
	(void)e;
	return for_each_operand(z, flags, ops, unpause_one);
}

const struct command cmd_pause = {
	.names = "container pause, pause",
	.help = "Pause all processes within one or more containers",
	.usage = "CONTAINER [CONTAINER...]",
	.run = run_pause,
	.min = 1,
	.max = ANY_NUMBER,
	.complete = "@pausable",
};

const struct command cmd_unpause = {
	.names = "container unpause, unpause",
	.help = "Unpause all processes within one or more containers",
	.usage = "CONTAINER [CONTAINER...]",
	.run = run_unpause,
	.min = 1,
	.max = ANY_NUMBER,
	.complete = "@paused",
};
