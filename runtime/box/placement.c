/* placement.c: where on the host a container's VM runs, and with what weight; see placement.h. */
#include "runtime/box/placement.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "runtime/base/fd.h"
#include "runtime/base/own.h"
#include "runtime/base/parse.h"

/* set_mempolicy(2) */
#define POLICY_BIND  2
#define NODES_MAX    1024
#define SHARES_USUAL 1024
#define NICE_LEAST   (-20)
#define NICE_MOST    19
/* The kernel takes ten changes of autogroups in a second from all that are not root. */
#define BUSY_TRIES    50
#define BUSY_PAUSE_NS (20L * 1000000)

unsigned placement_cpus(void)
{
	cpu_set_t set;
	long n;

	if (sched_getaffinity(0, sizeof(set), &set) == 0 && CPU_COUNT(&set) > 0)
		return (unsigned)CPU_COUNT(&set);
	n = sysconf(_SC_NPROCESSORS_ONLN);
	return n < 1 ? 1 : (unsigned)n;
}

/* Each step of nice is a quarter more or a fifth less (the kernel's sched_prio_to_weight). */
int placement_nice(uint64_t shares)
{
	uint64_t weight = SHARES_USUAL * 1000;
	int nice = 0;

	if (shares == 0)
		return 0;
	while (nice < NICE_MOST && shares * 1000 < weight * 9 / 10) {
		weight = weight * 4 / 5;
		nice++;
	}
	while (nice > NICE_LEAST && shares * 1000 > weight * 11 / 10) {
		weight = weight * 5 / 4;
		nice--;
	}
	return nice;
}

static int cpus_parse(const char *list, cpu_set_t *set, struct err *e)
{
	unsigned char bits[CPU_SETSIZE / 8];

	if (!parse_list(list, bits, CPU_SETSIZE))
		return err_set(e, EINVAL, "Invalid value %s for cpuset cpus", list);
	CPU_ZERO(set);
	for (unsigned i = 0; i < CPU_SETSIZE; i++)
		if (bits[i / 8] & 1U << i % 8)
			CPU_SET(i, set);
	return 0;
}

static int use_cpus(const char *list, struct err *e)
{
	cpu_set_t set;

	if (*list == 0)
		return 0;
	if (cpus_parse(list, &set, e) < 0)
		return -EINVAL;
	return sched_setaffinity(0, sizeof(set), &set) < 0 ? err_sys(e, "use CPUs %s", list) : 0;
}

/* Bytes in the kernel's order are the bits of its words on little-endian machines only. */
static int use_nodes(const char *list, struct err *e)
{
	unsigned char bits[NODES_MAX / 8];
	unsigned long words[NODES_MAX / 8 / sizeof(unsigned long)] = { 0 };
	const unsigned per = 8 * sizeof(unsigned long);

	if (*list == 0)
		return 0;
	if (!parse_list(list, bits, NODES_MAX))
		return err_set(e, EINVAL, "Invalid value %s for cpuset mems", list);
	for (unsigned i = 0; i < NODES_MAX; i++)
		if (bits[i / 8] & 1U << i % 8)
			words[i / per] |= 1UL << i % per;
	/* a kernel without NUMA has one node only */
	if (syscall(SYS_set_mempolicy, POLICY_BIND, words, (unsigned long)NODES_MAX) < 0 &&
	    errno != ENOSYS)
		return err_sys(e, "use memory nodes %s", list);
	return 0;
}

static void write_autogroup(int pid, int nice)
{
	own_free char *path = xasprintf("/proc/%d/autogroup", pid), *text = xasprintf("%d", nice);
	own_fd int fd = open(path, O_WRONLY | O_CLOEXEC);

	for (int i = 0; fd >= 0 && i < BUSY_TRIES; i++) {
		if (write(fd, text, strlen(text)) >= 0 || errno != EAGAIN)
			return;
		nanosleep(&(struct timespec){ .tv_nsec = BUSY_PAUSE_NS }, NULL);
	}
}

void placement_weigh(const struct box_limits *l, int pid)
{
	int nice = placement_nice(l->cpu_shares);

	if (nice == 0)
		return;
	/* who may not have more than the usual was told so */
	(void)setpriority(PRIO_PROCESS, (id_t)pid, nice);
	write_autogroup(pid, nice);
}

int placement_apply(const struct box_limits *l, struct err *e)
{
	int rc = use_cpus(l->cpuset_cpus, e);

	if (rc == 0)
		rc = use_nodes(l->cpuset_mems, e);
	placement_weigh(l, getpid());
	return rc;
}

/* ---- of a VM that runs: from outside, as its own processes may do nothing of this any more */

struct move {
	const struct box_limits *to;
	bool cpus, weight;
	cpu_set_t set;
};

static int move_thread(const struct move *m, int tid, struct err *e)
{
	if (m->cpus && sched_setaffinity(tid, sizeof(m->set), &m->set) < 0 && errno != ESRCH)
		return err_sys(e, "use CPUs %s", m->to->cpuset_cpus);
	if (m->weight &&
	    setpriority(PRIO_PROCESS, (id_t)tid, placement_nice(m->to->cpu_shares)) < 0 &&
	    errno != ESRCH)
		return err_set(e, errno,
			       "a larger --cpu-shares takes root while it runs, or a limit for "
			       "priorities (ulimit -e)");
	return 0;
}

/* Twice: a thread that comes in between has what its maker had. */
static int move_process(const struct move *m, int pid, struct err *e)
{
	own_free char *path = xasprintf("/proc/%d/task", pid);
	int rc = 0;

	for (int turn = 0; rc == 0 && turn < 2; turn++) {
		own_dir DIR *d = opendir(path);
		struct dirent *entry;
		uint64_t tid;

		while (d && rc == 0 && (entry = readdir(d)))
			if (parse_u64(entry->d_name, 1, INT_MAX, &tid))
				rc = move_thread(m, (int)tid, e);
	}
	if (rc == 0 && m->weight)
		write_autogroup(pid, placement_nice(m->to->cpu_shares));
	return rc;
}

int placement_move(const struct box_limits *before, const struct box_limits *after, int holder,
		   int machine, struct err *e)
{
	struct move m = { .to = after,
			  .cpus = strcmp(before->cpuset_cpus, after->cpuset_cpus) != 0,
			  .weight = before->cpu_shares != after->cpu_shares };
	int rc = 0;

	if (!m.cpus && !m.weight)
		return 0;
	if (m.cpus)
		rc = cpus_parse(after->cpuset_cpus, &m.set, e);
	if (rc == 0)
		rc = move_process(&m, holder, e);
	if (rc == 0 && machine > 0 && machine != holder)
		rc = move_process(&m, machine, e);
	return rc;
}
