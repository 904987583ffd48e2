/* main.c: PID 1 of the VM: boot, then the loop. */
#include <errno.h>
#include <fcntl.h>
#include <linux/reboot.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "guest/agent.h"
#include "guest/child.h"
#include "guest/sys.h"
#include "runtime/base/fd.h"
#include "runtime/base/own.h"
#include "vsock/codec.h"

/* Every task has up to eight descriptors here; tasks get limits of their own. */
#define AGENT_FILES 65536

/*
 * Every millisecond before the workload runs counts, and under emulation it is
 * code that runs for the first time that costs most. So HELLO goes out first,
 * what needs no word from the host is done while its answer is on the way,
 * task 1's process is cloned as early as can be, since it waits for the file
 * server again and again, and what is not needed is not done at all.
 */

/* The container's cgroup below the root, which is the agent's own. */
#define CGROUP_NAME "container"

void agent_say(const char *fmt, ...)
{
	own_str struct str line = STR_INIT;
	va_list ap;

	str_add(&line, "zl agent: ");
	va_start(ap, fmt);
	str_addv(&line, fmt, ap);
	va_end(ap);
	str_add(&line, "\n");
	(void)fd_write_full(2, line.s, line.len);
	tcdrain(2); /* the VM may end right after */
}

void agent_end(void)
{
	sync();
	/* With reboot=t a triple fault: the one end every machine notices. Power-off is none. */
	syscall(SYS_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2, LINUX_REBOOT_CMD_RESTART,
		NULL);
	for (;;)
		pause();
}

static uint64_t boot_time(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_BOOTTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000000000U + (uint64_t)ts.tv_nsec;
}

/*
 * Who is privileged may want to hand the controllers on. One by one: a kernel
 * may lack some.
 */
static void enable_controllers(const struct agent *a)
{
	static const char *const names[] = { "cpuset", "cpu", "io", "memory", "pids" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		(void)cgroup_enable(a, names[i], NULL);
}

static int prepare_cgroup(struct agent *a, struct err *e)
{
	own_fd int root = mount_cgroup(e);

	if (root < 0)
		return root;
	if (mkdirat(root, CGROUP_NAME, 0755) < 0 && errno != EEXIST)
		return err_sys(e, "create the container's cgroup");
	a->cgroup = openat(root, CGROUP_NAME, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return a->cgroup < 0 ? err_sys(e, "open the container's cgroup") : 0;
}

static int prepare_null(struct agent *a, struct err *e)
{
	if (mkdir("/dev", 0755) < 0 && errno != EEXIST)
		return err_sys(e, "create /dev");
	if (mknod("/dev/null", S_IFCHR | 0666, makedev(1, 3)) < 0 && errno != EEXIST)
		return err_sys(e, "create /dev/null");
	a->null = open("/dev/null", O_RDWR | O_CLOEXEC);
	return a->null < 0 ? err_sys(e, "open /dev/null") : 0;
}

/* What needs no BOOT. */
static int prepare(struct agent *a, struct err *e)
{
	int rc;

	a->root_fs = mount_virtiofs(WIRE_FS_ROOT, e);
	if (a->root_fs < 0)
		return a->root_fs;
	a->self = sys_pidfd_open(getpid());
	if (a->self < 0)
		return err_sys(e, "pidfd_open");
	a->loop = loop_new(e);
	if (a->loop == NULL)
		return -EIO;
	rc = prepare_null(a, e);
	if (rc == 0)
		rc = prepare_cgroup(a, e);
	return rc;
}

static bool has_binds(const struct wire_boot *b)
{
	for (uint32_t i = 0; i < b->nmounts; i++)
		if (b->mounts[i].kind == WIRE_MOUNT_BIND)
			return true;
	return false;
}

/* The VM's own share of BOOT; the container's is task 1's process's work. */
static int apply_boot(struct agent *a, struct wire_boot *b, struct err *e)
{
	struct timespec ts = { .tv_sec = (time_t)(b->realtime_ns / 1000000000U),
			       .tv_nsec = (long)(b->realtime_ns % 1000000000U) };

	if (clock_settime(CLOCK_REALTIME, &ts) < 0)
		return err_sys(e, "set the clock");
	a->sync_root = b->flags & WIRE_BOOT_SYNC_ROOT;
	strv_add_all(&a->rlimits, &b->rlimits);
	a->oom_score_adj = b->oom_score_adj;
	if (limits_apply(a, &b->limits, e) < 0)
		return -e->code;
	memory_apply(a, b);
	if (b->task.flags & WIRE_TASK_PRIVILEGED)
		enable_controllers(a);
	if (has_binds(b)) {
		a->host_fs = mount_virtiofs(WIRE_FS_HOST, e);
		if (a->host_fs < 0)
			return a->host_fs;
	}
	return 0;
}

static int run(struct agent *a, uint64_t began, struct err *e)
{
	struct wire_boot boot;
	int rc;

	rc = serve_hello(a, began, e);
	if (rc == 0)
		rc = prepare(a, e);
	if (rc == 0)
		rc = serve_boot(a, &boot, e);
	if (rc < 0)
		return rc;
	rc = apply_boot(a, &boot, e);
	if (rc == 0)
		task_start(a, &boot.task, &boot);
	if (rc == 0)
		rc = link_up(boot.links, boot.nlinks, e);
	a->address = link_address(boot.links, boot.nlinks);
	if (rc == 0 && boot.flags & WIRE_BOOT_FORWARD)
		rc = forward_start(a, e);
	if (rc == 0)
		rc = serve_start(a, e);
	if (rc == 0) {
		task_go(a);
		warm_up(a, &boot.task);
	}
	wire_boot_free(&boot);
	return rc < 0 ? rc : loop_run(a->loop);
}

int main(void)
{
	static struct agent agent = { .control = -1,
				      .self = -1,
				      .null = -1,
				      .cgroup = -1,
				      .oom_events = -1,
				      .root_fs = -1,
				      .host_fs = -1 };
	struct rlimit files = { AGENT_FILES, AGENT_FILES };
	uint64_t began = boot_time();
	struct err e = ERR_INIT;

	if (getpid() != 1) {
		agent_say("this is the init of zl's virtual machines; it runs nowhere else");
		return EXIT_FAILED;
	}
	signal(SIGPIPE, SIG_IGN);
	umask(0022);
	setrlimit(RLIMIT_NOFILE, &files);
	agent.control = agent_dial(WIRE_PORT_CONTROL, false);
	if (agent.control < 0) {
		agent_say("dial the host: %s", strerror(-agent.control));
	} else if (run(&agent, began, &e) < 0 && e.code) {
		agent_say("%s", e.msg);
		serve_last_words(&agent, e.msg);
	}
	agent_end();
}
