/* limits.c: docker's flags about memory, processors and processes; see limits.h. */
#include "cmd/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "cmd/human.h"
#include "runtime/base/fd.h"
#include "runtime/base/own.h"
#include "runtime/base/parse.h"

/* docker's own bounds */
#define MEMORY_MIN	 (6ULL << 20)
#define CPUS_MIN	 10000U /* millionths */
#define PERIOD_MIN	 1000
#define PERIOD_MAX	 1000000
#define BLKIO_WEIGHT_MIN 10
#define BLKIO_WEIGHT_MAX 1000
/* The weight of a container that was given none. */
#define SHARES_USUAL 1024
/* Largest number of a CPU or node, and one. */
#define LIST_MAX   8192
#define NODES_FILE "/sys/devices/system/node/online"

static void warn(struct strv *warnings, const char *text)
{
	if (warnings)
		strv_addf(warnings, "WARNING: %s", text);
}

static void set_text(char **field, const char *value)
{
	free(*field);
	*field = xstrdup(value);
}

/* ---- memory */

/* "-1" or a size. */
static int swap_parse(const char *text, int64_t *out, struct err *e)
{
	uint64_t size = 0;

	*out = -1;
	if (strcmp(text, "-1") == 0)
		return 0;
	if (!parse_size(text, &size) || size > INT64_MAX)
		return err_set(e, EINVAL,
			       "invalid argument \"%s\" for \"--memory-swap\" flag: must be a size "
			       "such as 512m or 2g, or -1",
			       text);
	*out = (int64_t)size;
	return 0;
}

/* A VM has no swap: to be told only where somebody counts on some. */
static int check_swap(const struct box_limits *l, bool asked, struct strv *warnings, struct err *e)
{
	uint64_t both = l->memory_swap > 0 ? (uint64_t)l->memory_swap : 0;

	if (both && l->memory == 0)
		return err_set(e, EINVAL,
			       "You should always set the Memory limit when using Memoryswap "
			       "limit, see usage");
	if (both && both < l->memory && !asked)
		return err_set(e, EINVAL,
			       "Memory limit should be smaller than already set memoryswap limit, "
			       "update the memoryswap at the same time");
	if (both && both < l->memory)
		return err_set(e, EINVAL,
			       "Minimum memoryswap limit should be larger than memory limit, see "
			       "usage");
	if (asked && l->memory && (l->memory_swap < 0 || both > l->memory))
		warn(warnings, "Your kernel does not support swap limit capabilities or the cgroup "
			       "is not mounted. Memory limited without swap.");
	return 0;
}

/*
 * docker takes more than the host has: there, memory is only counted. Here it
 * would be a promise to a machine that cannot be kept.
 */
static int check_memory(const struct box_limits *l, uint64_t host, struct err *e)
{
	char most[32];

	if (l->memory && l->memory < MEMORY_MIN)
		return err_set(e, EINVAL, "Minimum memory limit allowed is 6MB");
	if (l->memory > host) {
		human_size_binary(host, most, sizeof(most));
		return err_set(e, EINVAL,
			       "Range of memory is from 6MB to %s, as there is no more available",
			       most);
	}
	if (l->memory_reservation && l->memory_reservation < MEMORY_MIN)
		return err_set(e, EINVAL, "Minimum memory reservation allowed is 6MB");
	if (l->memory && l->memory_reservation > l->memory)
		return err_set(e, EINVAL,
			       "Minimum memory limit can not be less than memory reservation "
			       "limit, see usage");
	return 0;
}

static int set_memory(struct box_limits *l, const struct limit_flags *f, uint64_t host,
		      struct strv *warnings, struct err *e)
{
	int rc = 0;

	if (f->memory)
		l->memory = f->memory;
	if (f->memory_reservation)
		l->memory_reservation = f->memory_reservation;
	if (f->memory_swap)
		rc = swap_parse(f->memory_swap, &l->memory_swap, e);
	if (rc == 0)
		rc = check_memory(l, host, e);
	if (rc == 0)
		rc = check_swap(l, f->memory_swap != NULL, warnings, e);
	if (rc == 0 && f->kernel_memory && warnings)
		strv_add(warnings, "Flag --kernel-memory has been deprecated, and no longer "
				   "supported by the kernel");
	return rc;
}

/* ---- processors */

static int cpus_parse(const char *text, unsigned cpus, uint64_t *nano, struct err *e)
{
	uint64_t micro;

	if (!parse_decimal_micro(text, &micro))
		return err_set(e, EINVAL,
			       "invalid argument \"%s\" for \"--cpus\" flag: must be a number such "
			       "as 1.5",
			       text);
	if (micro && (micro < CPUS_MIN || micro > cpus * 1000000ULL))
		return err_set(e, EINVAL,
			       "Range of CPUs is from 0.01 to %u.00, as there are only %u CPUs "
			       "available",
			       cpus, cpus);
	if (micro)
		*nano = micro * 1000;
	return 0;
}

/* --cpus is another way to say a quota: one of a container's may be used. */
static int check_conflict(const struct box_limits *l, const struct limit_flags *f, struct err *e)
{
	bool nano = f->cpus && strcmp(f->cpus, "0") != 0;

	if (nano && f->cpu_period)
		return err_set(e, EINVAL,
			       "Conflicting options: Nano CPUs and CPU Period cannot both be set");
	if (nano && f->cpu_quota)
		return err_set(e, EINVAL,
			       "Conflicting options: Nano CPUs and CPU Quota cannot both be set");
	if (nano && l->cpu_period)
		return err_set(e, EINVAL,
			       "Conflicting options: Nano CPUs cannot be updated as CPU Period has "
			       "already been set");
	if (nano && l->cpu_quota > 0)
		return err_set(e, EINVAL,
			       "Conflicting options: Nano CPUs cannot be updated as CPU Quota has "
			       "already been set");
	if (l->nano_cpus && f->cpu_period)
		return err_set(e, EINVAL,
			       "Conflicting options: CPU Period cannot be updated as NanoCPUs has "
			       "already been set");
	if (l->nano_cpus && f->cpu_quota)
		return err_set(e, EINVAL,
			       "Conflicting options: CPU Quota cannot be updated as NanoCPUs has "
			       "already been set");
	return 0;
}

static int set_quota(struct box_limits *l, const struct limit_flags *f, unsigned cpus,
		     struct err *e)
{
	int rc = check_conflict(l, f, e);

	if (rc == 0 && f->cpus)
		rc = cpus_parse(f->cpus, cpus, &l->nano_cpus, e);
	if (rc < 0)
		return rc;
	if (f->cpu_period && (f->cpu_period < PERIOD_MIN || f->cpu_period > PERIOD_MAX))
		return err_set(e, EINVAL,
			       "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than "
			       "1s (i.e. 1000000)");
	if (f->cpu_quota > 0 && f->cpu_quota < PERIOD_MIN)
		return err_set(e, EINVAL, "CPU cfs quota can not be less than 1ms (i.e. 1000)");
	if (f->cpu_rt_period || f->cpu_rt_runtime)
		return err_set(e, ENOTSUP, "kernel does not support CPU real-time scheduler");
	if (f->cpu_period)
		l->cpu_period = (uint64_t)f->cpu_period;
	if (f->cpu_quota)
		l->cpu_quota = f->cpu_quota < 0 ? 0 : f->cpu_quota;
	return 0;
}

static int set_shares(struct box_limits *l, int64_t shares, int nice_min, struct strv *warnings,
		      struct err *e)
{
	if (shares < 0)
		return err_set(e, EINVAL, "shares: invalid argument");
	if (shares > SHARES_USUAL && nice_min == 0)
		warn(warnings, "--cpu-shares above 1024 takes root, or a limit for priorities "
			       "(ulimit -e): on the host, the container has the usual weight.");
	if (shares)
		l->cpu_shares = (uint64_t)shares;
	return 0;
}

/* `asked` must be a list, and within `there`. */
static int check_list(const char *asked, const char *there, const char *what, const char *many,
		      struct err *e)
{
	unsigned char want[LIST_MAX / 8], have[LIST_MAX / 8];

	if (!parse_list(asked, want, LIST_MAX))
		return err_set(e, EINVAL, "Invalid value %s for cpuset %s", asked, what);
	if (!parse_list(there, have, LIST_MAX))
		return 0; /* nobody knows */
	for (size_t i = 0; i < sizeof(want); i++) {
		if (want[i] & ~have[i])
			return err_set(
				e, EINVAL,
				"Requested %s are not available - requested %s, available: %s",
				many, asked, there);
	}
	return 0;
}

static int set_cpuset(struct box_limits *l, const struct limit_flags *f, const struct limit_host *h,
		      struct err *e)
{
	if (f->cpuset_cpus && *f->cpuset_cpus) {
		if (check_list(f->cpuset_cpus, h->cpu_list, "cpus", "CPUs", e) < 0)
			return -EINVAL;
		set_text(&l->cpuset_cpus, f->cpuset_cpus);
	}
	if (f->cpuset_mems && *f->cpuset_mems) {
		if (check_list(f->cpuset_mems, h->node_list, "mems", "memory nodes", e) < 0)
			return -EINVAL;
		set_text(&l->cpuset_mems, f->cpuset_mems);
	}
	return 0;
}

/* ---- the rest */

/* The container's files are the host's, behind a virtiofs: in its machine there is no block device.
 */
static int check_block_io(const struct limit_flags *f, struct strv *warnings, struct err *e)
{
	if (f->block_io.n)
		return err_set(e, ENOTSUP,
			       "limits of block devices are not supported: a container's machine "
			       "has none (\"%s\")",
			       f->block_io.v[0]);
	if (f->blkio_weight &&
	    (f->blkio_weight < BLKIO_WEIGHT_MIN || f->blkio_weight > BLKIO_WEIGHT_MAX))
		return err_set(e, EINVAL, "Range of blkio weight is from 10 to 1000");
	if (f->blkio_weight)
		warn(warnings, "Your kernel does not support Block I/O weight or the cgroup is not "
			       "mounted. Weight discarded.");
	return 0;
}

int limits_set(struct box_limits *l, const struct limit_flags *f, const struct limit_host *h,
	       struct strv *warnings, struct err *e)
{
	int rc = set_memory(l, f, h->memory, warnings, e);

	if (f->pids_limit)
		l->pids = f->pids_limit < 0 ? 0 : (uint64_t)f->pids_limit;
	if (rc == 0)
		rc = set_quota(l, f, h->cpus, e);
	if (rc == 0)
		rc = set_shares(l, f->cpu_shares, h->nice_min, warnings, e);
	if (rc == 0)
		rc = set_cpuset(l, f, h, e);
	return rc < 0 ? rc : check_block_io(f, warnings, e);
}

/* ---- the host */

/* The CPUs we may use, as a list. */
static void cpu_list(char *out, size_t size)
{
	cpu_set_t set;
	size_t used = 0;

	out[0] = 0;
	if (sched_getaffinity(0, sizeof(set), &set) < 0)
		return;
	for (int from = 0, to; from < CPU_SETSIZE && used + 16 < size; from = to + 1) {
		to = from;
		if (!CPU_ISSET(from, &set))
			continue;
		while (to + 1 < CPU_SETSIZE && CPU_ISSET(to + 1, &set))
			to++;
		used += (size_t)snprintf(out + used, size - used, "%s%d", used ? "," : "", from);
		if (to > from)
			used += (size_t)snprintf(out + used, size - used, "-%d", to);
	}
}

static void node_list(char *out, size_t size)
{
	own_str struct str text = STR_INIT;

	snprintf(out, size, "0"); /* what a kernel without NUMA has */
	if (file_read(AT_FDCWD, NODES_FILE, size - 1, &text, NULL) == 0 && text.len)
		snprintf(out, size, "%.*s", (int)strcspn(text.s, "\n"), text.s);
}

/* The least nice value we may have: RLIMIT_NICE is 20 minus that. */
static int nice_min(void)
{
	struct rlimit lim;

	if (geteuid() == 0)
		return -20;
	if (getrlimit(RLIMIT_NICE, &lim) < 0 || lim.rlim_cur <= 20)
		return 0;
	return lim.rlim_cur >= 40 ? -20 : 20 - (int)lim.rlim_cur;
}

void limit_host_fill(struct limit_host *h)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);

	h->cpus = cpus > 0 ? (unsigned)cpus : 1;
	h->memory = (uint64_t)pages * (uint64_t)page;
	cpu_list(h->cpu_list, sizeof(h->cpu_list));
	node_list(h->node_list, sizeof(h->node_list));
	h->nice_min = nice_min();
}
