/* run.c: zl run and zl create. */
#include <errno.h>
#include <stdio.h>

#include "cmd/container.h"
#include "cmd/follow.h"
#include "runtime/base/own.h"

static int run_create(struct zl *z, void *flags, const struct operands *ops, struct err *e)
{
	own_box struct box *b = container_make(z, flags, ops, e);

	/* docker: 125 for a mistake in the command line, 1 for what turned out later */
	if (b == NULL)
		return e->code == EINVAL ? EXIT_CLIENT : 1;
	puts(b->spec.id);
	return 0;
}

static int run_detached(struct zl *z, struct box *b, bool quiet, struct err *e)
{
	int code = container_start_detached(z, b, quiet, e);

	if (code == 0)
		puts(b->spec.id);
	return code;
}

static int run_run(struct zl *z, void *flags, const struct operands *ops, struct err *e)
{
	const struct run_flags *f = flags;
	own_box struct box *b = NULL;
	struct follow follow = {
		.tty = f->tty, .proxy = f->sig_proxy, .keys = f->detach_keys, .quiet = f->quiet
	};
	unsigned attach;

	if (!f->detach && f->attach.n == 0 && follow_check_tty(f->tty, f->interactive, e) < 0)
		return 1;
	b = container_make(z, f, ops, e);
	if (b == NULL)
		return -1;
	if (!f->quiet)
		note_emulation(f->machine);
	if (f->detach)
		return run_detached(z, b, f->quiet, e);
	attach = b->spec.attach;
	follow.want_in = f->interactive && attach & BOX_ATTACH_STDIN;
	follow.want_out = attach & BOX_ATTACH_STDOUT;
	follow.want_err = attach & BOX_ATTACH_STDERR;
	if (!follow.want_out && !follow.want_err)
		puts(b->spec.id);
	return container_start_attached(z, b, &follow, e);
}

const struct command cmd_run = {
	.names = "container run, run",
	.help = "Create and run a new container from an image",
	.usage = "[OPTIONS] IMAGE [COMMAND] [ARG...]",
	.run = run_run,
	.opts = run_opts,
	.flags_size = sizeof(struct run_flags),
	.min = 1,
	.max = ANY_NUMBER,
	.flags = CMD_COMMON | CMD_FIRST,
	.failure = EXIT_CLIENT,
	.complete = "@image",
};

const struct command cmd_create = {
	.names = "container create, create",
	.help = "Create a new container",
	.usage = "[OPTIONS] IMAGE [COMMAND] [ARG...]",
	.run = run_create,
	.opts = create_opts,
	.flags_size = sizeof(struct run_flags),
	.min = 1,
	.max = ANY_NUMBER,
	.flags = CMD_FIRST,
	.failure = EXIT_CLIENT,
	.complete = "@image",
};
