/* start.c: zl start and zl attach. */
#include <errno.h>
#include <stdio.h>

#include "cmd/container.h"
#include "cmd/follow.h"
#include "runtime/base/own.h"

struct start_flags {
	bool all_restart, attach, interactive;
	const char *detach_keys;
};

#define AT(member) offsetof(struct start_flags, member)

static const struct opt start_opts[] = {
	{ OPT_BOOL, 0, "all-restart", NULL, AT(all_restart), NULL, NULL,
	  "Start all containers whose restart policy says that they ought to run" },
	{ OPT_BOOL, 'a', "attach", NULL, AT(attach), NULL, NULL,
	  "Attach STDOUT/STDERR and forward signals" },
	{ OPT_TEXT, 0, "detach-keys", "string", AT(detach_keys), NULL, NULL,
	  "Override the key sequence for detaching a container" },
	{ OPT_BOOL, 'i', "interactive", NULL, AT(interactive), NULL, NULL,
	  "Attach container's STDIN" },
	{ .kind = OPT_END },
};

static int paused(struct err *e)
{
	return err_set(e, EBUSY, "cannot start a paused container, try unpause instead");
}

/* docker: starting what runs is a success. */
static int start_one(struct zl *z, void *flags, const char *who, struct err *e)
{
	own_box struct box *b = box_find(&z->dirs, who, e);

	(void)flags;
	if (b == NULL)
		return -1;
	if (b->state.status == BOX_PAUSED)
		return paused(e);
	if (!box_is_running(b) && container_start_detached(z, b, false, e) != 0 &&
	    e->code != EALREADY)
		return -1;
	puts(who);
	return 0;
}

static int start_attached(struct zl *z, const struct start_flags *f, const char *who, struct err *e)
{
	own_box struct box *b = box_find(&z->dirs, who, e);
	struct follow follow = { .proxy = true, .keys = f->detach_keys };

	if (b == NULL)
		return -1;
	if (b->state.status == BOX_PAUSED)
		return paused(e);
	if (box_is_running(b))
		return err_set(e, EALREADY, "container %s runs already: use 'zl attach'", who);
	if (follow_check_tty(b->spec.tty, f->interactive && b->spec.open_stdin, e) < 0)
		return -1;
	follow.tty = b->spec.tty;
	follow.want_in = f->interactive && b->spec.open_stdin;
	follow.want_out = follow.want_err = true;
	return container_start_attached(z, b, &follow, e);
}

/* After a crash of the host: what docker's daemon does when it starts. */
static int start_all(struct zl *z, struct err *e)
{
	struct box_list list;
	int rc = box_list(&z->dirs, &list, e), failed = 0;

	if (rc < 0)
		return rc;
	for (size_t i = list.n; i-- > 0;) { /* oldest first: others may rely on it */
		struct err one = ERR_INIT;
		struct box *b = list.v[i];

		if (!box_restarts_after_crash(b))
			continue;
		if (container_start_detached(z, b, false, &one) == 0) {
			puts(b->spec.name);
		} else if (one.code != EALREADY) {
			err_wrap(&one, "start %s", b->spec.name);
			complain(&one);
			failed = 1;
		}
	}
	box_list_free(&list);
	return failed;
}

static int run_start(struct zl *z, void *flags, const struct operands *ops, struct err *e)
{
	const struct start_flags *f = flags;

	if (f->all_restart && (ops->n || f->attach || f->interactive))
		return err_set(e, EINVAL,
			       "conflicting options: --all-restart stands for containers, and "
			       "attaches to none");
	if (f->all_restart)
		return start_all(z, e);
	if (ops->n == 0)
		return err_set(e, EINVAL, "\"zl %s\" requires at least 1 argument", z->name);
	if (!f->attach && !f->interactive)
		return for_each_operand(z, flags, ops, start_one);
	if (ops->n > 1)
		return err_set(e, EINVAL,
			       "you cannot start and attach multiple containers at once");
	return start_attached(z, f, ops->v[0], e);
}

const struct command cmd_start = {
	.names = "container start, start",
	.help = "Start one or more stopped containers",
	.usage = "[OPTIONS] CONTAINER [CONTAINER...]",
	.run = run_start,
	.opts = start_opts,
	.flags_size = sizeof(struct start_flags),
	.max = ANY_NUMBER,
	.complete = "@stopped",
};

struct attach_flags {
	bool no_stdin, sig_proxy;
	const char *detach_keys;
};

#undef AT
#define AT(member) offsetof(struct attach_flags, member)

static const struct opt attach_opts[] = {
	{ OPT_TEXT, 0, "detach-keys", "string", AT(detach_keys), NULL, NULL,
	  "Override the key sequence for detaching a container" },
	{ OPT_BOOL, 0, "no-stdin", NULL, AT(no_stdin), NULL, NULL, "Do not attach STDIN" },
	{ OPT_BOOL, 0, "sig-proxy", NULL, AT(sig_proxy), "true", NULL,
	  "Proxy all received signals to the process" },
	{ .kind = OPT_END },
};

static int attach_running(struct zl *z, struct box *b, struct follow *follow, struct err *e)
{
	struct box_client *c = box_connect(&z->dirs, b, e);
	int code = -1;

	if (c == NULL)
		return -1;
	if (follow_open(follow, e) == 0 && box_client_attach(c, &follow->io, e) == 0) {
		follow_lent(follow, e);
		code = container_follow(z, b, follow, c, e);
	}
	follow_close(follow);
	box_client_free(c);
	return code;
}

static int run_attach(struct zl *z, void *flags, const struct operands *ops, struct err *e)
{
	const struct attach_flags *f = flags;
	own_box struct box *b = box_find(&z->dirs, ops->v[0], e);
	struct follow follow = {
		.proxy = f->sig_proxy, .keys = f->detach_keys, .want_out = true, .want_err = true
	};

	if (b == NULL)
		return -1;
	if (b->state.status == BOX_PAUSED)
		return err_set(e, EBUSY,
			       "You cannot attach to a paused container, unpause it first");
	if (b->state.status == BOX_RESTARTING)
		return err_set(
			e, EBUSY,
			"You cannot attach to a restarting container, wait until it is running");
	if (b->state.status != BOX_RUNNING)
		return err_set(e, ESRCH,
			       "You cannot attach to a stopped container, start it first");
	follow.tty = follow.redraw = b->spec.tty;
	follow.want_in = b->spec.open_stdin && !f->no_stdin;
	if (follow_check_tty(follow.tty, follow.want_in, e) < 0)
		return -1;
	return attach_running(z, b, &follow, e);
}

const struct command cmd_attach = {
	.names = "container attach, attach",
	.help = "Attach local standard input, output, and error streams to a running container",
	.usage = "[OPTIONS] CONTAINER",
	.run = run_attach,
	.opts = attach_opts,
	.flags_size = sizeof(struct attach_flags),
	.min = 1,
	.max = 1,
	.complete = "@running",
};
