/* limits.c: the bounds of the container's cgroup, at the start and when they change. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "guest/agent.h"
#include "runtime/base/fd.h"
#include "runtime/base/own.h"

/*
 * A controller is enabled when the first of its bounds is set: each costs the
 * kernel something with every process, and most containers need none. What is
 * not set is the kernel's default, so only what differs is written.
 */

/* The kernel's default of cpu.weight. */
#define WEIGHT_USUAL 100
/* Of cpu.max, where there is no quota. */
#define PERIOD_USUAL 100000

int cgroup_write(const struct agent *a, const char *name, const char *text, struct err *e)
{
	own_fd int fd = openat(a->cgroup, name, O_WRONLY | O_CLOEXEC);
	int rc = fd < 0 ? -errno : fd_write_full(fd, text, strlen(text));

	return rc < 0 ? err_set(e, -rc, "set %s to %s: %s", name, text, strerror(-rc)) : 0;
}

int cgroup_enable(const struct agent *a, const char *controller, struct err *e)
{
	own_free char *text = xasprintf("+%s", controller);

	return cgroup_write(a, "../cgroup.subtree_control", text, e);
}

/* 0 is no limit. */
static int write_max(const struct agent *a, const char *name, uint64_t value, struct err *e)
{
	own_free char *text = value ? xasprintf("%llu", (unsigned long long)value) : xstrdup("max");

	return cgroup_write(a, name, text, e);
}

static int apply_memory(struct agent *a, const struct wire_limits *l, struct err *e)
{
	const struct wire_limits *now = &a->limits;
	own_free char *low = xasprintf("%llu", (unsigned long long)l->memory_low);
	int rc = 0;

	if (l->memory_max == now->memory_max && l->memory_low == now->memory_low)
		return 0;
	rc = cgroup_enable(a, "memory", e);
	if (rc == 0)
		oom_watch(a);
	if (rc == 0 && l->memory_max != now->memory_max)
		rc = write_max(a, "memory.max", l->memory_max, e);
	if (rc == 0 && l->memory_low != now->memory_low)
		rc = cgroup_write(a, "memory.low", low, e);
	return rc;
}

static int apply_cpu(struct agent *a, const struct wire_limits *l, struct err *e)
{
	const struct wire_limits *now = &a->limits;
	own_free char *weight = xasprintf("%u", l->cpu_weight ? l->cpu_weight : WEIGHT_USUAL);
	own_free char *max =
		l->cpu_quota ? xasprintf("%llu %u", (unsigned long long)l->cpu_quota, l->cpu_period)
			     : xasprintf("max %u", l->cpu_period ? l->cpu_period : PERIOD_USUAL);
	bool other_max = l->cpu_quota != now->cpu_quota || l->cpu_period != now->cpu_period;
	int rc = 0;

	if (!other_max && l->cpu_weight == now->cpu_weight)
		return 0;
	rc = cgroup_enable(a, "cpu", e);
	if (rc == 0 && other_max)
		rc = cgroup_write(a, "cpu.max", max, e);
	if (rc == 0 && l->cpu_weight != now->cpu_weight)
		rc = cgroup_write(a, "cpu.weight", weight, e);
	return rc;
}

static int apply_pids(struct agent *a, const struct wire_limits *l, struct err *e)
{
	int rc;

	if (l->pids_max == a->limits.pids_max)
		return 0;
	rc = cgroup_enable(a, "pids", e);
	return rc < 0 ? rc : write_max(a, "pids.max", l->pids_max, e);
}

int limits_apply(struct agent *a, const struct wire_limits *l, struct err *e)
{
	int rc = apply_memory(a, l, e);

	if (rc == 0)
		rc = apply_cpu(a, l, e);
	if (rc == 0)
		rc = apply_pids(a, l, e);
	if (rc == 0)
		a->limits = *l;
	return rc;
}
