/* stop.c: zl stop, restart, kill, rm and wait: many containers, one after the other. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "cmd/container.h"
#include "runtime/base/own.h"
#include "runtime/base/parse.h"
#include "runtime/box/events.h"
#include "runtime/box/volume.h"

/* The main process of a container (vsock/wire.h has the same). */
#define TASK_MAIN 1
/* -t where none was given. */
#define TIMEOUT_UNSET "-2"

struct stop_flags {
	const char *signal;
	int64_t timeout;
};

#define AT(member) offsetof(struct stop_flags, member)
#define SIGNAL_ROW                                                              \
	{                                                                       \
		OPT_TEXT, 's', "signal", "string", AT(signal), NULL, "@signal", \
			"Signal to send to the container"                       \
	}

static const struct opt stop_opts[] = {
	SIGNAL_ROW,
	{ OPT_INT, 't', "timeout", "int", AT(timeout), TIMEOUT_UNSET, NULL,
	  "Seconds to wait before killing the container" },
	{ OPT_INT, 0, "time", "int", AT(timeout), TIMEOUT_UNSET, NULL, "Older name of --timeout" },
	{ .kind = OPT_END },
};

static int read_signal(const char *text, int *sig, struct err *e)
{
	*sig = parse_signal(text);
	return *sig ? 0 : err_set(e, EINVAL, "invalid signal: %s", text);
}

/* docker: stopping what is stopped is a success. */
static int stop_box(struct zl *z, const struct stop_flags *f, struct box *b, struct err *e)
{
	const char *name = f->signal && *f->signal ? f->signal : b->spec.stop_signal;
	int64_t timeout = f->timeout < -1 ? b->spec.stop_timeout : f->timeout;
	int sig, rc = read_signal(name, &sig, e);

	if (rc < 0 || !box_is_running(b))
		return rc;
	rc = box_stop(&z->dirs, b, sig, timeout, e);
	if (rc == -ESRCH) { /* it has just ended */
		*e = (struct err)ERR_INIT;
		rc = 0;
	}
	if (rc == 0)
		events_say_box(&z->dirs, &b->spec, "stop", NULL);
	return rc;
}

static int stop_one(struct zl *z, void *flags, const char *who, struct err *e)
{
	own_box struct box *b = box_find(&z->dirs, who, e);
	int rc = b ? stop_box(z, flags, b, e) : -1;

	if (rc == 0)
		puts(who);
	return rc;
}

static int run_stop(struct zl *z, void *flags, const struct operands *ops, struct err *e)
{
	(void)e;
	return for_each_operand(z, flags, ops, stop_one);
}

const struct command cmd_stop = {
	.names = "container stop, stop",
	.help = "Stop one or more running containers",
	.usage = "[OPTIONS] CONTAINER [CONTAINER...]",
	.run = run_stop,
	.opts = stop_opts,
	.flags_size = sizeof(struct stop_flags),
	.min = 1,
	.max = ANY_NUMBER,
	.complete = "@running",
};

static int restart_one(struct zl *z, void *flags, const char *who, struct err *e)
{
	own_box struct box *b = box_find(&z->dirs, who, e), *again = NULL;
	own_free char *id = NULL;

	if (b == NULL || stop_box(z, flags, b, e) < 0)
		return -1;
	id = xstrdup(b->spec.id);
	again = box_find(&z->dirs, id, e);
	if (again == NULL || container_start_detached(z, again, false, e) != 0)
		return -1;
	events_say_box(&z->dirs, &again->spec, "restart", NULL);
	puts(who);
	return 0;
}

static int run_restart(struct zl *z, void *flags, const struct operands *ops, struct err *e)
{
	(void)e;
	return for_each_operand(z, flags, ops, restart_one);
}

const struct command cmd_restart = {
	.names = "container restart, restart",
	.help = "Restart one or more containers",
	.usage = "[OPTIONS] CONTAINER [CONTAINER...]",
	.run = run_restart,
	.opts = stop_opts,
	.flags_size = sizeof(struct stop_flags),
	.min = 1,
	.max = ANY_NUMBER,
	.complete = "@container",
};

static const struct opt kill_opts[] = {
	SIGNAL_ROW,
	{ .kind = OPT_END },
};

static int signal_box(struct zl *z, struct box *b, int sig, struct err *e)
{
	struct box_client *c = box_connect(&z->dirs, b, e);
	int rc = c ? box_client_signal(c, TASK_MAIN, sig, e) : -1;

	box_client_free(c);
	return rc;
}

static int kill_one(struct zl *z, void *flags, const char *who, struct err *e)
{
	const struct stop_flags *f = flags;
	own_box struct box *b = box_find(&z->dirs, who, e);
	int sig, rc;

	if (b == NULL)
		return err_wrap(e, "cannot kill container: %s", who);
	rc = read_signal(f->signal && *f->signal ? f->signal : "KILL", &sig, e);
	if (rc < 0)
		return rc;
	/* as docker, only SIGKILL waits for the end */
	if (!box_is_running(b))
		rc = err_set(e, ESRCH, "container %s is not running", b->spec.id);
	else if (sig == SIGKILL)
		rc = box_stop(&z->dirs, b, sig, -1, e);
	else
		rc = signal_box(z, b, sig, e);
	if (rc < 0)
		return err_wrap(e, "cannot kill container: %s", who);
	puts(who);
	return 0;
}

static int run_kill(struct zl *z, void *flags, const struct operands *ops, struct err *e)
{
	(void)e;
	return for_each_operand(z, flags, ops, kill_one);
}

const struct command cmd_kill = {
	.names = "container kill, kill",
	.help = "Kill one or more running containers",
	.usage = "[OPTIONS] CONTAINER [CONTAINER...]",
	.run = run_kill,
	.opts = kill_opts,
	.flags_size = sizeof(struct stop_flags),
	.min = 1,
	.max = ANY_NUMBER,
	.complete = "@running",
};

struct rm_flags {
	bool force, volumes;
};

static const struct opt rm_opts[] = {
	{ OPT_BOOL, 'f', "force", NULL, offsetof(struct rm_flags, force), NULL, NULL,
	  "Force the removal of a running container (uses SIGKILL)" },
	{ OPT_BOOL, 'v', "volumes", NULL, offsetof(struct rm_flags, volumes), NULL, NULL,
	  "Remove anonymous volumes associated with the container" },
	{ .kind = OPT_END },
};

/* docker: with -f a container that is not there is told, but is no failure. */
static int rm_one(struct zl *z, void *flags, const char *who, struct err *e)
{
	const struct rm_flags *f = flags;
	own_box struct box *b = box_find(&z->dirs, who, e);

	if (b == NULL && f->force && e->code == ENOENT) {
		complain(e);
		return 0;
	}
	if (b == NULL || box_remove(&z->dirs, b, f->force, e) < 0)
		return -1;
	if (f->volumes)
		volumes_release(&z->dirs, &b->spec, true);
	puts(who);
	return 0;
}

static int run_rm(struct zl *z, void *flags, const struct operands *ops, struct err *e)
{
	(void)e;
	return for_each_operand(z, flags, ops, rm_one);
}

const struct command cmd_rm = {
	.names = "container rm, container remove, rm",
	.help = "Remove one or more containers",
	.usage = "[OPTIONS] CONTAINER [CONTAINER...]",
	.run = run_rm,
	.opts = rm_opts,
	.flags_size = sizeof(struct rm_flags),
	.min = 1,
	.max = ANY_NUMBER,
	.complete = "@container",
};

static int wait_one(struct zl *z, void *flags, const char *who, struct err *e)
{
	own_box struct box *b = box_find(&z->dirs, who, e);
	int code;

	(void)flags;
	if (b == NULL || box_wait(&z->dirs, b, &code, e) < 0)
		return -1;
	printf("%d\n", code);
	fflush(stdout);
	return 0;
}

static int run_wait(struct zl *z, void *flags, const struct operands *ops, struct err *e)
{
	(void)e;
	return for_each_operand(z, flags, ops, wait_one);
}

const struct command cmd_wait = {
	.names = "container wait, wait",
	.help = "Block until one or more containers stop, then print their exit codes",
	.usage = "CONTAINER [CONTAINER...]",
	.run = run_wait,
	.min = 1,
	.max = ANY_NUMBER,
	.complete = "@running",
};
