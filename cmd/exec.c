/* exec.c: zl exec: a further process in a running container. */
#include <errno.h>
#include <stdio.h>

#include "cmd/container.h"
#include "cmd/follow.h"
#include "runtime/base/own.h"

struct exec_flags {
	bool detach, interactive, privileged, tty;
	struct strv env, env_file;
	const char *detach_keys, *user, *workdir;
};

#define AT(member) offsetof(struct exec_flags, member)

static const struct opt exec_opts[] = {
	{ OPT_BOOL, 'd', "detach", NULL, AT(detach), NULL, NULL,
	  "Detached mode: run command in the background" },
	{ OPT_TEXT, 0, "detach-keys", "string", AT(detach_keys), NULL, NULL,
	  "Override the key sequence for detaching a container" },
	{ OPT_LIST, 'e', "env", "list", AT(env), NULL, "@env", "Set environment variables" },
	{ OPT_LIST, 0, "env-file", "list", AT(env_file), NULL, "@file",
	  "Read in a file of environment variables" },
	{ OPT_BOOL, 'i', "interactive", NULL, AT(interactive), NULL, NULL,
	  "Keep STDIN open even if not attached" },
	{ OPT_BOOL, 0, "privileged", NULL, AT(privileged), NULL, NULL,
	  "Give extended privileges to the command" },
	{ OPT_BOOL, 't', "tty", NULL, AT(tty), NULL, NULL, "Allocate a pseudo-TTY" },
	{ OPT_TEXT, 'u', "user", "string", AT(user), NULL, NULL,
	  "Username or UID (format: \"<name|uid>[:<group|gid>]\")" },
	{ OPT_TEXT, 'w', "workdir", "string", AT(workdir), NULL, NULL,
	  "Working folder inside the container" },
	{ .kind = OPT_END },
};

static void box_exec_release(struct box_exec *x)
{
	strv_free(&x->argv);
	strv_free(&x->env);
}

/* Waits for the process to run or to fail; its exit code in the second case. */
static int wait_started(struct box_client *c, uint32_t task, struct err *e)
{
	struct box_event ev;

	do {
		int rc = box_client_next(c, &ev, e);

		if (rc < 0)
			return rc;
	} while (ev.kind != BOX_EV_GONE && ev.task != task);
	if (ev.kind == BOX_EV_GONE)
		return err_set(e, EPIPE, "%s", ev.message);
	if (ev.kind != BOX_EV_FAILED)
		return 0;
	err_set(e, EINVAL, "%s", ev.message);
	return ev.code;
}

static int exec_detached(struct box_client *c, const struct box_exec *x, struct err *e)
{
	uint32_t task;
	int rc = box_client_exec(c, x, NULL, &task, e);

	return rc < 0 ? rc : wait_started(c, task, e);
}

static int exec_attached(struct box_client *c, const struct box_exec *x, const struct exec_flags *f,
			 struct err *e)
{
	struct follow follow = { .tty = f->tty,
				 .proxy = true,
				 .keys = f->detach_keys,
				 .want_in = f->interactive,
				 .want_out = true,
				 .want_err = true };
	uint32_t task;
	int code = -1;

	if (follow_open(&follow, e) == 0 && box_client_exec(c, x, &follow.io, &task, e) == 0) {
		follow_lent(&follow, e);
		code = follow_run(&follow, c, task, e);
	}
	follow_close(&follow);
	if (code == FOLLOW_DETACHED) {
		fputs("read escape sequence\n", stderr);
		return 0;
	}
	/* the container ended, and its processes with it */
	return code == FOLLOW_GONE ? 137 : code;
}

static int run_exec(struct zl *z, void *flags, const struct operands *ops, struct err *e)
{
	const struct exec_flags *f = flags;
	struct box_exec x OWN(box_exec_release) = { .cwd = f->workdir,
						    .user = f->user,
						    .tty = f->tty,
						    .open_stdin = f->interactive && !f->detach,
						    .privileged = f->privileged };
	own_box struct box *b = box_find(&z->dirs, ops->v[0], e);
	struct box_client *c;
	int code;

	if (b == NULL)
		return -1;
	if (!f->detach && follow_check_tty(f->tty, f->interactive, e) < 0)
		return -1;
	if (f->workdir && *f->workdir && *f->workdir != '/')
		return err_set(e, EINVAL, "Cwd must be an absolute path");
	if (b->state.status == BOX_PAUSED)
		return err_set(e, EBUSY,
			       "Container %s is paused, unpause the container before exec",
			       b->spec.id);
	if (b->state.status == BOX_RESTARTING)
		return err_set(e, EBUSY,
			       "Container %s is restarting, wait until the container is running",
			       b->spec.id);
	if (b->state.status != BOX_RUNNING)
		return err_set(e, ESRCH, "container %s is not running", b->spec.id);
	if (flags_env(&f->env_file, &f->env, &x.env, e) < 0)
		return -1;
	for (int i = 1; i < ops->n; i++)
		strv_add(&x.argv, ops->v[i]);
	c = box_connect(&z->dirs, b, e);
	if (c == NULL)
		return -1;
	code = f->detach ? exec_detached(c, &x, e) : exec_attached(c, &x, f, e);
	box_client_free(c);
	return code;
}

const struct command cmd_exec = {
	.names = "container exec, exec",
	.help = "Execute a command in a running container",
	.usage = "[OPTIONS] CONTAINER COMMAND [ARG...]",
	.run = run_exec,
	.opts = exec_opts,
	.flags_size = sizeof(struct exec_flags),
	.min = 2,
	.max = ANY_NUMBER,
	.flags = CMD_COMMON | CMD_FIRST,
	.complete = "@running",
};
