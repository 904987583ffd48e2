/* update.c: zl update: other limits for containers, running or not. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cmd/cmd.h"
#include "cmd/limits.h"
#include "runtime/base/own.h"
#include "runtime/box/events.h"

struct update_flags {
	struct limit_flags limits;
	const char *restart;
};

#define AT(member) offsetof(struct update_flags, member)

static const struct opt update_opts[] = {
	{ OPT_INT, 0, "blkio-weight", "uint16", AT(limits.blkio_weight), NULL, NULL,
	  "Block IO weight, between 10 and 1000: no effect" },
	{ OPT_INT, 0, "cpu-period", "int", AT(limits.cpu_period), NULL, NULL,
	  "Limit CPU CFS (Completely Fair Scheduler) period" },
	{ OPT_INT, 0, "cpu-quota", "int", AT(limits.cpu_quota), NULL, NULL,
	  "Limit CPU CFS (Completely Fair Scheduler) quota" },
	{ OPT_INT, 0, "cpu-rt-period", "int", AT(limits.cpu_rt_period), NULL, NULL,
	  "Limit the CPU real-time period in microseconds: refused" },
	{ OPT_INT, 0, "cpu-rt-runtime", "int", AT(limits.cpu_rt_runtime), NULL, NULL,
	  "Limit the CPU real-time runtime in microseconds: refused" },
	{ OPT_INT, 'c', "cpu-shares", "int", AT(limits.cpu_shares), NULL, "512|1024|2048",
	  "CPU shares (relative weight)" },
	{ OPT_TEXT, 0, "cpus", "decimal", AT(limits.cpus), NULL, NULL, "Number of CPUs" },
	{ OPT_TEXT, 0, "cpuset-cpus", "string", AT(limits.cpuset_cpus), NULL, NULL,
	  "CPUs in which to allow execution (0-3, 0,1)" },
	{ OPT_TEXT, 0, "cpuset-mems", "string", AT(limits.cpuset_mems), NULL, NULL,
	  "MEMs in which to allow execution (0-3, 0,1)" },
	{ OPT_SIZE, 0, "kernel-memory", "bytes", AT(limits.kernel_memory), NULL, NULL, NULL },
	{ OPT_SIZE, 'm', "memory", "bytes", AT(limits.memory), NULL, "128m|256m|512m|1g|2g|4g",
	  "Memory limit" },
	{ OPT_SIZE, 0, "memory-reservation", "bytes", AT(limits.memory_reservation), NULL,
	  "128m|256m|512m|1g|2g|4g", "Memory soft limit" },
	{ OPT_TEXT, 0, "memory-swap", "bytes", AT(limits.memory_swap), NULL, NULL,
	  "Swap limit equal to memory plus swap: '-1' to enable unlimited swap" },
	{ OPT_INT, 0, "pids-limit", "int", AT(limits.pids_limit), NULL, NULL,
	  "Tune container pids limit (set -1 for unlimited)" },
	{ OPT_TEXT, 0, "restart", "string", AT(restart), NULL,
	  "no|always|unless-stopped|on-failure", "Restart policy to apply when a container exits" },
	{ .kind = OPT_END },
};

/* What change_limits is given, and what it leaves. */
struct change {
	const struct limit_flags *flags;
	const char *restart; /* NULL: as it is */
	struct limit_host host;
	struct strv warnings; /* of one container */
	struct strv told;     /* of all of them, once each */
};

static int change_limits(struct box_limits *l, void *arg, struct err *e)
{
	struct change *c = arg;

	strv_free(&c->warnings);
	return limits_set(l, c->flags, &c->host, &c->warnings, e);
}

static int update_one(struct zl *z, struct change *c, const char *who, struct err *e)
{
	own_box struct box *b = box_find(&z->dirs, who, e);
	int rc;

	if (b == NULL)
		return -ENOENT;
	if (b->state.status == BOX_DEAD)
		return err_set(e, EINVAL,
			       "Cannot update container %s: Container is marked for removal and "
			       "cannot be \"update\".",
			       b->spec.id);
	rc = box_update(&z->dirs, b, change_limits, c, e);
	if (rc == 0 && c->restart)
		rc = box_restart_set(&z->dirs, b, c->restart, e);
	if (rc < 0)
		return rc;
	events_say_box(&z->dirs, &b->spec, "update", NULL);
	puts(who);
	for (size_t i = 0; i < c->warnings.n; i++)
		if (!strv_has(&c->told, c->warnings.v[i]))
			strv_add(&c->told, c->warnings.v[i]);
	return 0;
}

static bool any_given(const struct update_flags *f)
{
	static const struct update_flags none;

	return memcmp(f, &none, sizeof(none)) != 0;
}

static int run_update(struct zl *z, void *flags, const struct operands *ops, struct err *e)
{
	const struct update_flags *f = flags;
	struct change c = { .flags = &f->limits, .restart = f->restart };
	own_free char *policy = NULL;
	int64_t retries;
	int code = 0;

	if (!any_given(f))
		return err_set(e, EINVAL,
			       "you must provide one or more flags when using this command");
	if (f->restart && box_restart_parse(f->restart, &policy, &retries, e) < 0)
		return -EINVAL;
	limit_host_fill(&c.host);
	for (int i = 0; i < ops->n; i++) {
		struct err one = ERR_INIT;

		if (update_one(z, &c, ops->v[i], &one) == 0)
			continue;
		complain(&one);
		code = 1;
	}
	for (size_t i = 0; i < c.told.n; i++)
		puts(c.told.v[i]);
	strv_free(&c.told);
	strv_free(&c.warnings);
	return code;
}

const struct command cmd_update = {
	.names = "container update, update",
	.help = "Update configuration of one or more containers",
	.usage = "[OPTIONS] CONTAINER [CONTAINER...]",
	.run = run_update,
	.opts = update_opts,
	.flags_size = sizeof(struct update_flags),
	.min = 1,
	.max = ANY_NUMBER,
	.complete = "@container",
};
