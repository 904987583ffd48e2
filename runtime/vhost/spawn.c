/* spawn.c: QEMU's process: started with nothing but what it needs, gone when we are. */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/base/confine.h"
#include "runtime/base/fd.h"
#include "runtime/base/own.h"
#include "runtime/vhost/qemu.h"

/* Most a guest can write to the console's log; more is dropped. */
#define CONSOLE_MAX		 (16U << 20)
#define STDERR_MAX		 4096U
#define CLOSE_RANGE_CLOEXEC_FLAG 4U

/* In the child; only async-signal-safe calls. Returns on failure. */
static void child(const struct strv *argv, const int *keep, unsigned nkeep, int err_pipe,
		  pid_t parent)
{
	struct rlimit files = { CONSOLE_MAX, CONSOLE_MAX };
	struct sigaction sa = { .sa_handler = SIG_DFL };
	sigset_t none;
	int null;

	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		return;
	if (getppid() != parent)
		_exit(0); /* it died before that took effect */
	if (setsid() < 0)
		return;
	for (int sig = 1; sig < NSIG; sig++)
		sigaction(sig, &sa, NULL);
	sa.sa_handler = SIG_IGN;
	sigaction(SIGXFSZ, &sa, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	/* Old kernels lack it; ours are close-on-exec anyway. */
	syscall(SYS_close_range, 3U, ~0U, CLOSE_RANGE_CLOEXEC_FLAG);
	for (unsigned i = 0; i < nkeep; i++) {
		if (fcntl(keep[i], F_SETFD, 0) < 0)
			return;
	}
	null = open("/dev/null", O_RDWR);
	if (null < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 || dup2(err_pipe, 2) < 0)
		return;
	if (null > 2)
		close(null);
	if (setrlimit(RLIMIT_FSIZE, &files) < 0 || confine_no_capabilities() < 0)
		return;
	execv(argv->v[0], argv->v);
}

int qemu_spawn(struct qemu_proc *p, const struct strv *argv, const int *keep, unsigned nkeep,
	       struct err *e)
{
	int failed[2] = { -1, -1 }, errs[2] = { -1, -1 }, code = 0, rc = 0;
	pid_t parent = getpid();

	for (unsigned i = 0; i < nkeep; i++)
		assert(keep[i] > STDERR_FILENO);
	*p = (struct qemu_proc){ .pid = -1, .pidfd = -1, .err_pipe = -1 };
	if (pipe2(failed, O_CLOEXEC) < 0 || pipe2(errs, O_CLOEXEC | O_NONBLOCK) < 0) {
		rc = err_sys(e, "pipe");
		goto out;
	}
	p->pid = fork();
	if (p->pid == 0) {
		child(argv, keep, nkeep, errs[1], parent);
		code = errno;
		_exit(write(failed[1], &code, sizeof(code)) < 0 ? 126 : 127);
	}
	if (p->pid < 0) {
		rc = err_sys(e, "fork");
		goto out;
	}
	own_fd_(&failed[1]);
	failed[1] = -1;
	if (fd_read_full(failed[0], &code, sizeof(code)) == sizeof(code)) {
		waitpid(p->pid, NULL, 0);
		rc = err_set(e, code, "%s: %s", argv->v[0], strerror(code));
		goto out;
	}
	p->pidfd = (int)syscall(SYS_pidfd_open, p->pid, 0);
	if (p->pidfd < 0) {
		rc = err_sys(e, "pidfd_open");
		kill(p->pid, SIGKILL);
		waitpid(p->pid, NULL, 0);
		goto out;
	}
	fcntl(p->pidfd, F_SETFD, FD_CLOEXEC);
	p->err_pipe = steal_fd(&errs[0]);
out:
	own_fd_(&failed[0]);
	own_fd_(&failed[1]);
	own_fd_(&errs[0]);
	own_fd_(&errs[1]);
	return rc;
}

/* The last line QEMU wrote to stderr, without its own name in front; "" if none. */
static void last_words(int fd, char *buf, size_t size)
{
	ssize_t n = read(fd, buf, size - 1);
	char *line, *colon;

	while (n > 0 && (buf[n - 1] == '\n' || buf[n - 1] == ' '))
		n--;
	buf[n > 0 ? n : 0] = '\0';
	line = strrchr(buf, '\n');
	line = line ? line + 1 : buf;
	colon = strstr(line, ": ");
	if (colon && memchr(line, ' ', (size_t)(colon - line)) == NULL)
		line = colon + 2;
	memmove(buf, line, strlen(line) + 1);
	for (char *c = buf; *c; c++) {
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = '?';
	}
}

bool qemu_reap(struct qemu_proc *p, char *why, size_t size)
{
	char words[STDERR_MAX] = "";
	int status = 0;
	pid_t r;

	do
		r = waitpid(p->pid, &status, 0);
	while (r < 0 && errno == EINTR);
	last_words(p->err_pipe, words, sizeof(words));
	own_fd_(&p->pidfd);
	own_fd_(&p->err_pipe);
	p->pidfd = p->err_pipe = p->pid = -1;
	if (WIFSIGNALED(status))
		snprintf(why, size, "the VM process was killed (%s)%s%s",
			 strsignal(WTERMSIG(status)), *words ? ": " : "", words);
	else if (WEXITSTATUS(status) || *words)
		snprintf(why, size, "QEMU ended with status %d%s%s", WEXITSTATUS(status),
			 *words ? ": " : "", words);
	else
		snprintf(why, size, "the VM reset or panicked, or powered itself off");
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}
