/* child.c: a task's process from clone to execve. */
#include "guest/child.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "guest/option.h"
#include "guest/sys.h"
#include "guest/user.h"
#include "runtime/base/fd.h"
#include "runtime/base/own.h"

/*
 * Task 1 makes the container around itself, every other task joins it; from
 * there on they do the same. The order matters: limits and the capability
 * bounding set while still all-powerful, then the user, then the working
 * folder and the search for the program with the workload's own rights.
 */

/* Largest /etc/passwd and /etc/group that is read. */
#define ETC_FILE_MAX (16U << 20)

#ifndef TIOCGPTPEER
#define TIOCGPTPEER 0x5441
#endif

/* docker's limits for open files. */
#define NOFILE_SOFT 1024
#define NOFILE_HARD 524288

static void note(const struct child *c, const struct child_note *n, int fd)
{
	/* If the agent cannot be told, it learns by the exit code. */
	(void)fd_send(c->status, n, sizeof(*n), &fd, fd >= 0 ? 1 : 0);
}

static void fail(const struct child *c, int exit_code, const struct err *e)
	__attribute__((noreturn));
static void fail(const struct child *c, int exit_code, const struct err *e)
{
	struct child_note n = { .kind = CHILD_FAILED, .exit_code = (uint32_t)exit_code };

	memcpy(n.text, e->msg, sizeof(n.text));
	note(c, &n, -1);
	_exit(exit_code);
}

/* Become task 1's sibling in all of its namespaces; the PID namespace is joined by clone already.
 */
static int join_container(const struct child *c, struct err *e)
{
	/* the mount namespace is this one: joining it leads to its topmost root */
	if (setns(c->join, CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWCGROUP) < 0)
		return err_sys(e, "join the container");
	return 0;
}

static int make_container(const struct child *c, struct err *e)
{
	const struct wire_boot *b = c->boot;

	/* After clone has put us into the container's cgroup, which thus becomes the root. */
	if (unshare(CLONE_NEWCGROUP) < 0)
		return err_sys(e, "unshare the cgroup namespace");
	if (sethostname(b->hostname, strlen(b->hostname)) < 0)
		return err_sys(e, "set the host name");
	if (*b->domainname && setdomainname(b->domainname, strlen(b->domainname)) < 0)
		return err_sys(e, "set the domain name");
	return mount_container(c->agent, b, e);
}

/* A terminal of the container's own devpts; *master goes to the agent. */
static int open_terminal(const struct child *c, int *master, int *slave, struct err *e)
{
	struct winsize size = { .ws_row = c->task->rows, .ws_col = c->task->cols };
	int unlock = 0;

	*master = open("/dev/pts/ptmx", O_RDWR | O_NOCTTY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
	if (*master < 0 || ioctl(*master, TIOCSPTLCK, &unlock) < 0)
		return err_sys(e, "open a terminal");
	*slave = ioctl(*master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (*slave < 0)
		return err_sys(e, "open the terminal's other end");
	if (size.ws_row || size.ws_col)
		ioctl(*master, TIOCSWINSZ, &size);
	return c->boot ? mount_console(*slave, e) : 0;
}

/* The container's, for every task. */
static int apply_rlimits(const struct strv *limits, struct err *e)
{
	struct rlimit lim = { NOFILE_SOFT, NOFILE_HARD };
	struct rlimit none = { RLIM_INFINITY, RLIM_INFINITY };
	int resource, rc;

	if (setrlimit(RLIMIT_NOFILE, &lim) < 0 || setrlimit(RLIMIT_NPROC, &none) < 0)
		return err_sys(e, "set limits");
	for (size_t i = 0; i < limits->n; i++) {
		rc = rlimit_parse(limits->v[i], &resource, &lim, e);
		if (rc < 0)
			return rc;
		if (setrlimit(resource, &lim) < 0)
			return err_sys(e, "set ulimit %s", limits->v[i]);
	}
	return 0;
}

/* The container's, for every task; what a task starts has it from it. */
static int apply_oom_score(int32_t adj, struct err *e)
{
	own_free char *text = xasprintf("%d", adj);
	own_fd int fd = -1;

	if (adj == 0)
		return 0;
	fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	if (fd < 0 || fd_write_full(fd, text, strlen(text)) < 0)
		return err_sys(e, "set the OOM score");
	return 0;
}

static int set_stdio(const struct child *c, int slave, struct err *e)
{
	for (int i = 0; i < 3; i++) {
		int from = slave >= 0 ? slave : c->stdio[i] >= 0 ? c->stdio[i] : c->agent->null;

		if (dup2(from, i) < 0)
			return err_sys(e, "set up stdio");
	}
	if (setsid() < 0)
		return err_sys(e, "setsid");
	if (slave >= 0 && ioctl(0, TIOCSCTTY, 0) < 0)
		return err_sys(e, "take the terminal");
	return 0;
}

/* /dev/stdout and its like are opened again by path: they have to be the user's. */
static int give_stdio(uint32_t uid, struct err *e)
{
	for (int fd = 0; fd < 3; fd++) {
		struct stat st;

		if (fstat(fd, &st) < 0)
			return err_sys(e, "stat stdio");
		if (S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3))
			continue; /* /dev/null is everybody's */
		if (st.st_uid != uid && fchown(fd, uid, (gid_t)-1) < 0)
			return err_sys(e, "change the owner of stdio");
	}
	return 0;
}

/* A file of the image's: only a regular one, and never waits. A missing one is empty. */
static int read_etc(const char *path, struct str *out, struct err *e)
{
	own_fd int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	struct sys_statx st;
	ssize_t n;

	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
		return 0;
	if (fd < 0 || sys_stat_some(fd, "", &st) < 0)
		return err_sys(e, "open %s", path);
	if (!S_ISREG(st.mode) || st.size > ETC_FILE_MAX)
		return err_set(e, EINVAL, "%s: not a regular file of sensible size", path);
	str_reserve(out, (size_t)st.size);
	n = fd_read_full(fd, out->s, (size_t)st.size);
	if (n < 0)
		return err_set(e, (int)-n, "read %s: %s", path, strerror((int)-n));
	out->len = (size_t)n;
	out->s[n] = 0;
	return 0;
}

static int find_user(const struct wire_task *t, struct user *u, struct err *e)
{
	own_str struct str passwd = STR_INIT, group = STR_INIT;
	int rc = read_etc("/etc/passwd", &passwd, e);

	if (rc == 0)
		rc = read_etc("/etc/group", &group, e);
	if (rc == 0)
		rc = user_resolve(t->user, &t->groups, &passwd, &group, u, e);
	return rc;
}

static int drop_bounding_set(uint64_t keep, struct err *e)
{
	for (unsigned long cap = 0; cap < 64; cap++) {
		if (keep >> cap & 1)
			continue;
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) == 0)
			continue;
		if (errno == EINVAL)
			break; /* past the kernel's last */
		return err_sys(e, "drop capability %lu", cap);
	}
	return 0;
}

/* The caller's permitted set bounds what can be asked for. */
static uint64_t known_caps(uint64_t caps)
{
	unsigned long cap = 0;

	while (cap < 64 && prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0)
		cap++;
	return cap < 64 ? caps & ((1ULL << cap) - 1) : caps;
}

static int become_user(const struct wire_task *t, const struct user *u, struct err *e)
{
	int rc = drop_bounding_set(t->caps, e);
	uint64_t caps = known_caps(t->caps);

	if (rc < 0)
		return rc;
	if (setgroups(u->ngroups, (const gid_t *)u->groups) < 0)
		return err_sys(e, "setgroups");
	if (setgid(u->gid) < 0)
		return err_sys(e, "setgid %u", u->gid);
	if (setuid(u->uid) < 0)
		return err_sys(e, "setuid %u", u->uid);
	/* Another user than root has none from here on: setuid has seen to it. */
	if (u->uid == 0 && sys_capset(caps, caps, 0) < 0)
		return err_sys(e, "set capabilities");
	if ((t->flags & WIRE_TASK_NO_NEW_PRIVS) && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_sys(e, "set no_new_privs");
	return 0;
}

/* False: not allowed, so to be tried again as the user. Other failures end the task. */
static bool enter_folder(const struct child *c, bool last)
{
	const char *cwd = *c->task->cwd ? c->task->cwd : "/";
	struct err e = ERR_INIT;
	char buf[128];
	int code;

	if (chdir(cwd) == 0)
		return true;
	code = errno;
	if (!last && (code == EACCES || code == EPERM))
		return false;
	err_set(&e, code, "chdir to cwd (\"%s\") set in config.json failed: %s", cwd,
		error_text(code, buf, sizeof(buf)));
	fail(c, code == ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_INVOKED, &e);
}

/* As Go's findExecutable: 0, or the errno; *by_stat: it was stat that failed. */
static int executable(const char *path, bool *by_stat)
{
	struct sys_statx st;

	*by_stat = *path == 0 || sys_stat_some(AT_FDCWD, path, &st) < 0;
	if (*by_stat)
		return *path ? errno : ENOENT;
	if (S_ISDIR(st.mode))
		return EISDIR;
	if (faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) < 0)
		return errno;
	return st.mode & 0111 ? 0 : EACCES;
}

int child_look_path(const char *file, const struct strv *env, char **path, struct err *e)
{
	own_strv struct strv dirs = STRV_INIT;
	const char *search = strv_env_get(env, "PATH");
	bool by_stat;
	char buf[128];
	int code;

	if (strchr(file, '/')) {
		code = executable(file, &by_stat);
		if (code == 0) {
			*path = xstrdup(file);
			return 0;
		}
		err_set(e, code, "exec: \"%s\": %s%s%s%s", file, by_stat ? "stat " : "",
			by_stat ? file : "", by_stat ? ": " : "",
			error_text(code, buf, sizeof(buf)));
		return code == ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_INVOKED;
	}
	if (search && *search && *file)
		strv_split(&dirs, search, ':');
	for (size_t i = 0; i < dirs.n; i++) {
		own_free char *p = xasprintf("%s/%s", *dirs.v[i] ? dirs.v[i] : ".", file);

		if (executable(p, &by_stat) == 0) {
			*path = steal_ptr(&p);
			return 0;
		}
	}
	err_set(e, ENOENT, "exec: \"%s\": executable file not found in $PATH", file);
	return EXIT_NOT_FOUND;
}

static void execute(const struct child *c, char **env, const char *path) __attribute__((noreturn));
static void execute(const struct child *c, char **env, const char *path)
{
	struct err e = ERR_INIT;
	char buf[128];
	sigset_t none;
	int code;

	signal(SIGPIPE, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	execve(path, c->task->argv.v, env);
	code = errno;
	err_set(&e, code, "exec %s: %s", path, error_text(code, buf, sizeof(buf)));
	fail(c, code == ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_INVOKED, &e);
}

/* The init stays, the workload goes on in a process of its own. */
static void split_init(const struct child *c)
{
	struct err e = ERR_INIT;
	pid_t pid;

	init_block_signals();
	pid = fork();
	if (pid < 0) {
		err_sys(&e, "fork the workload");
		fail(c, EXIT_FAILED, &e);
	}
	if (pid == 0) {
		setpgid(0, 0);
		if (c->task->flags & WIRE_TASK_TTY) {
			signal(SIGTTOU, SIG_IGN); /* we are in the background still */
			tcsetpgrp(0, getpid());
			signal(SIGTTOU, SIG_DFL);
		}
		return;
	}
	/* The workload alone decides when its streams end. */
	for (int fd = 0; fd < 3; fd++)
		dup2(c->agent->null, fd);
	syscall(SYS_close_range, 3U, ~0U, 0U); /* the agent's ends of pipes are among them */
	prctl(PR_SET_NAME, "zl-init", 0, 0, 0);
	init_run(pid);
}

/* The agent sets up the rest of the VM meanwhile. */
static void wait_go(const struct child *c)
{
	char go;

	if (fd_read_full(c->status, &go, 1) != 1)
		_exit(EXIT_FAILED); /* there is no agent any more */
}

/* From here on the task is the user's. */
static void become_workload(const struct child *c) __attribute__((noreturn));
static void become_workload(const struct child *c)
{
	own_strv struct strv env = STRV_INIT;
	const char *home;
	struct user user;
	struct err e = ERR_INIT;
	char *path = NULL;
	bool inside;
	int rc;

	rc = find_user(c->task, &user, &e);
	if (rc < 0)
		fail(c, EXIT_NOT_INVOKED, &e);
	if (give_stdio(user.uid, &e) < 0)
		fail(c, EXIT_FAILED, &e);
	inside = enter_folder(c, false);
	if (become_user(c->task, &user, &e) < 0)
		fail(c, EXIT_FAILED, &e);
	if (!inside)
		enter_folder(c, true);
	umask(0022);
	strv_add_all(&env, &c->task->env);
	home = strv_env_get(&env, "HOME");
	if (home == NULL || *home == 0) {
		own_free char *pair = xasprintf("HOME=%s", user.home);

		strv_env_set(&env, pair);
	}
	rc = child_look_path(c->task->argv.v[0], &env, &path, &e);
	if (rc)
		fail(c, rc, &e);
	if (c->boot)
		wait_go(c);
	if (c->task->flags & WIRE_TASK_INIT)
		split_init(c);
	execute(c, env.v, path);
}

/* The host copies files in: nothing is executed. */
static void unpack(const struct child *c) __attribute__((noreturn));
static void unpack(const struct child *c)
{
	const char *dir = c->task->argv.v[0];

	syscall(SYS_close_range, 3U, ~0U, 0U); /* the agent's ends of our pipes are among them */
	_exit(unpack_run(dir));
}

void child_run(const struct child *c)
{
	struct child_note ready = { .kind = CHILD_READY };
	int master = -1, slave = -1;
	struct err e = ERR_INIT;
	int rc;

	rc = c->boot ? make_container(c, &e) : join_container(c, &e);
	if (rc == 0 && (c->task->flags & WIRE_TASK_TTY))
		rc = open_terminal(c, &master, &slave, &e);
	if (rc == 0)
		rc = apply_rlimits(&c->agent->rlimits, &e);
	if (rc == 0)
		rc = apply_oom_score(c->agent->oom_score_adj, &e);
	if (rc == 0)
		rc = set_stdio(c, slave, &e);
	if (rc < 0)
		fail(c, EXIT_FAILED, &e);
	ready.pid = (uint32_t)getpid();
	note(c, &ready, master);
	if (c->task->flags & WIRE_TASK_UNPACK)
		unpack(c);
	become_workload(c);
}
