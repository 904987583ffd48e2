/* task.c: a task's life as the agent sees it. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "guest/agent.h"
#include "guest/child.h"
#include "guest/pump.h"
#include "guest/sys.h"
#include "runtime/base/fd.h"
#include "runtime/base/own.h"
#include "runtime/base/parse.h"
#include "vsock/codec.h"

/*
 * Theory of operation.
 *
 * A task is a process, a socket on which the process tells how far it got
 * until execve closes it, and up to three streams. Whatever happens to any of
 * these ends in task_progress, which looks at the whole and says to the host
 * what is due: STARTED once the program runs and the streams stand, FAILED if
 * it does not come to that, EXITED once it ended and its output was sent.
 *
 * The streams of task 1 end by themselves, since all that could hold them
 * open dies with its PID namespace. Another task's output is sent as far as
 * there is any when it ends: what it left in the background is not waited
 * for. Before EXITED of task 1 what the workload wrote to disk is synced.
 */

/* What a workload may write before it has to wait for us. */
#define PIPE_SIZE (256 << 10)

#define STREAMS 3

struct task {
	struct task *next;
	struct agent *agent;
	uint32_t id, flags, ns_pid;
	uint16_t rows, cols;
	pid_t pid; /* -1: no process (any more) */
	int pidfd, status_fd;
	struct loop_watch *pid_watch, *status_watch;
	struct stream *streams[STREAMS];
	unsigned nstreams;
	int wait_status;
	uint8_t fail_code; /* not 0: could not be started */
	char *fail_text;
	bool executed, exited, drained;
	bool started_sent, end_sent;
	bool died_of_pipe; /* killed in SIGPIPE's stead */
};

static struct task *task_find(struct agent *a, uint32_t id)
{
	struct task *t;

	for (t = a->tasks; t && t->id != id; t = t->next)
		;
	return t;
}

static void set_failed(struct task *t, int code, const char *text)
{
	if (t->fail_code)
		return; /* the first reason counts */
	t->fail_code = (uint8_t)code;
	t->fail_text = xstrdup(text);
}

static void free_streams(struct task *t)
{
	for (unsigned i = 0; i < t->nstreams; i++)
		stream_free(t->streams[i]);
	t->nstreams = 0;
}

static void close_watched(struct loop_watch **w, int *fd)
{
	loop_del(*w);
	*w = NULL;
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void task_free(struct task *t)
{
	struct task **at = &t->agent->tasks;

	while (*at != t)
		at = &(*at)->next;
	*at = t->next;
	free_streams(t);
	close_watched(&t->status_watch, &t->status_fd);
	close_watched(&t->pid_watch, &t->pidfd);
	free(t->fail_text);
	free(t);
}

/* ---- what the host is told */

static void send_failed(struct task *t)
{
	struct wire_failed m = { .task = t->id,
				 .exit_code = t->fail_code,
				 .message = t->fail_text };

	wire_put_failed(&t->agent->out, &m);
	t->end_sent = true;
	free_streams(t);
	serve_flush(t->agent);
}

static void send_started(struct task *t)
{
	struct wire_started m = { .task = t->id, .pid = t->ns_pid };

	wire_put_started(&t->agent->out, &m);
	t->started_sent = true;
	serve_flush(t->agent);
}

/* Of task 1. */
static void send_ending(struct agent *a)
{
	struct wire_ending m = { .task = WIRE_TASK_MAIN };

	wire_put_ending(&a->out, &m);
	serve_flush(a);
}

static void send_exited(struct task *t)
{
	struct wire_exited m = { .task = t->id };

	if (t->id == WIRE_TASK_MAIN) {
		int rc;

		forward_flush(t->agent);
		if (t->agent->host_fs >= 0 || t->agent->sync_root)
			send_ending(t->agent);
		rc = sync_mounts(t->agent, t->agent->sync_root);
		if (rc < 0)
			agent_say("sync: %s", strerror(-rc));
	}
	if (WIFSIGNALED(t->wait_status)) {
		m.signal = (uint8_t)(t->died_of_pipe ? SIGPIPE : WTERMSIG(t->wait_status));
		m.code = (uint8_t)(128 + m.signal);
	} else {
		m.code = (uint8_t)WEXITSTATUS(t->wait_status);
	}
	if (t->id == WIRE_TASK_MAIN)
		m.oom = oom_struck(t->agent, m.code == 128 + SIGKILL);
	wire_put_exited(&t->agent->out, &m);
	t->end_sent = true;
	serve_flush(t->agent);
}

/* ---- progress */

static bool streams_open(struct task *t)
{
	for (unsigned i = 0; i < t->nstreams; i++) {
		if (!stream_is_open(t->streams[i]))
			return false;
		if (stream_error(t->streams[i])) {
			set_failed(t, EXIT_FAILED, "the host refused a stream");
			if (!t->exited)
				sys_pidfd_send_signal(t->pidfd, SIGKILL);
			return false;
		}
	}
	return true;
}

static bool output_sent(struct task *t)
{
	/* Once more after its end: the last words may have come after our last look. */
	if (!t->drained && t->id != WIRE_TASK_MAIN)
		for (unsigned i = 0; i < t->nstreams; i++)
			stream_run_now(t->streams[i]);
	t->drained = true;
	for (unsigned i = 0; i < t->nstreams; i++)
		if (!stream_is_sent(t->streams[i], t->id != WIRE_TASK_MAIN))
			return false;
	return true;
}

static bool streams_closed(const struct task *t)
{
	for (unsigned i = 0; i < t->nstreams; i++)
		if (!stream_is_closed(t->streams[i]))
			return false;
	return true;
}

/* What a task left over in its pipes' other ends meets SIGPIPE from here on. */
static void end_streams(struct task *t)
{
	for (unsigned i = 0; i < t->nstreams; i++)
		stream_end(t->streams[i]);
}

/* A write into a pipe whose reader is gone: see sigpipe.c. */
static void break_pipes(struct task *t)
{
	for (unsigned i = 0; i < t->nstreams; i++) {
		if (!stream_is_broken(t->streams[i]))
			continue;
		if (!t->exited && sigpipe_is_deadly(t->agent, t->pid)) {
			t->died_of_pipe = true;
			sys_pidfd_send_signal(t->pidfd, SIGKILL);
		}
		stream_end(t->streams[i]);
	}
}

void task_progress(struct task *t)
{
	break_pipes(t);
	if (!t->end_sent && t->fail_code)
		send_failed(t);
	if (!t->end_sent && !t->started_sent && t->executed && streams_open(t))
		send_started(t);
	if (!t->end_sent && t->fail_code) /* a stream was refused */
		send_failed(t);
	if (!t->end_sent && t->started_sent && t->exited && output_sent(t)) {
		end_streams(t);
		send_exited(t);
	}
	/* Task 1 stays known: nothing else can be started any more. */
	if (t->end_sent && t->exited && t->id != WIRE_TASK_MAIN && streams_closed(t))
		task_free(t);
}

static void on_stream(void *arg)
{
	task_progress(arg);
}

/* Children that are nobody's, orphans of the container's, are passed over. */
void task_reap(struct agent *a)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		struct task *t;

		for (t = a->tasks; t && t->pid != pid; t = t->next)
			;
		if (t == NULL) {
			sync_exited(a, pid, status);
			continue;
		}
		t->wait_status = status;
		t->exited = true;
		t->pid = -1;
		loop_del(t->pid_watch);
		t->pid_watch = NULL;
		/* Its last note may wait still; without it the task was executed. */
		if (t->status_watch == NULL)
			task_progress(t);
	}
}

static void on_exit_of_some(void *arg, uint32_t events)
{
	(void)events;
	task_reap(((struct task *)arg)->agent);
}

static void take_terminal(struct task *t, int master)
{
	struct winsize size = { .ws_row = t->rows, .ws_col = t->cols };
	struct err e = ERR_INIT;

	if (t->nstreams != 1) {
		close(master);
		return;
	}
	if (size.ws_row || size.ws_col) /* it may have changed since */
		ioctl(master, TIOCSWINSZ, &size);
	if (stream_attach(t->streams[0], master, &e) < 0) {
		set_failed(t, EXIT_FAILED, e.msg);
		sys_pidfd_send_signal(t->pidfd, SIGKILL);
	}
}

static void on_status(void *arg, uint32_t events)
{
	struct task *t = arg;
	struct child_note n;
	size_t nfds = 1;
	int fd = -1;
	ssize_t got = fd_recv(t->status_fd, &n, sizeof(n), &fd, &nfds);

	(void)events;
	if (got == -ECONNRESET)
		return; /* it ended before it read our word; its own words come next */
	if (got == (ssize_t)sizeof(n)) {
		n.text[sizeof(n.text) - 1] = 0;
		if (n.kind == CHILD_FAILED)
			set_failed(t, (int)n.exit_code, n.text);
		t->ns_pid = n.pid;
		if (nfds)
			take_terminal(t, fd);
		if (n.kind == CHILD_READY)
			return;
	} else {
		t->executed = true; /* or was killed on the way: then it has exited */
	}
	close_watched(&t->status_watch, &t->status_fd);
	task_progress(t);
}

/* ---- starting */

/* Both ends, the agent's first. */
static int make_pipe(enum wire_stream which, int *ours, int *theirs, struct err *e)
{
	int p[2];

	if (pipe2(p, O_CLOEXEC) < 0)
		return err_sys(e, "pipe");
	fcntl(p[0], F_SETPIPE_SZ, PIPE_SIZE); /* better, not necessary */
	*ours = which == WIRE_STDIN ? p[1] : p[0];
	*theirs = which == WIRE_STDIN ? p[0] : p[1];
	return 0;
}

static const enum wire_stream order[STREAMS] = { WIRE_STDIN, WIRE_STDOUT, WIRE_STDERR };

/* The agent's ends go to ours, the task's to stdio; -1 where it has none. */
static int make_pipes(const struct task *t, int ours[STREAMS], int stdio[STREAMS], struct err *e)
{
	const bool wanted[STREAMS] = { t->flags & WIRE_TASK_STDIN,
				       !(t->flags & WIRE_TASK_NO_STDOUT),
				       !(t->flags & WIRE_TASK_NO_STDERR) };
	int rc = 0;

	for (int i = 0; rc == 0 && i < STREAMS; i++)
		if (wanted[i] && !(t->flags & WIRE_TASK_TTY))
			rc = make_pipe(order[i], &ours[i], &stdio[i], e);
	return rc;
}

static int add_stream(struct task *t, enum wire_stream which, int ours, struct err *e)
{
	struct stream *s = stream_new(t->agent->loop, t->id, which, ours, on_stream, t, e);

	if (s == NULL)
		return -EIO;
	if (t->id == WIRE_TASK_MAIN && !(t->flags & WIRE_TASK_INIT) && which != WIRE_TTY)
		stream_watch_break(s);
	t->streams[t->nstreams++] = s;
	return 0;
}

/* Takes the agent's ends over. */
static int make_streams(struct task *t, int ours[STREAMS], struct err *e)
{
	int rc = 0;

	if (t->flags & WIRE_TASK_TTY)
		return add_stream(t, WIRE_TTY, -1, e);
	for (int i = 0; rc == 0 && i < STREAMS; i++)
		if (ours[i] >= 0)
			rc = add_stream(t, order[i], steal_fd(&ours[i]), e);
	return rc;
}

/* For a task that came too late. */
static int not_running(struct err *e)
{
	return err_set(e, ESRCH, "container is not running");
}

/* Clones the process; returns in the agent only. */
static int make_process(struct task *t, struct child *c, struct err *e)
{
	struct agent *a = t->agent;
	uint64_t flags = CLONE_NEWPID | CLONE_NEWUTS | CLONE_NEWIPC;
	int err_code;

	if (c->join >= 0) {
		flags = 0;
		if (setns(c->join, CLONE_NEWPID) < 0)
			return not_running(e);
	}
	t->pid = sys_clone(flags, &t->pidfd, a->cgroup);
	if (t->pid == 0)
		child_run(c);
	err_code = errno;
	if (c->join >= 0 && setns(a->self, CLONE_NEWPID) < 0)
		agent_say("leave the container: %s", strerror(errno));
	/* so the kernel says that the namespace's PID 1 is at its end */
	if (t->pid < 0 && c->join >= 0 && err_code == ENOMEM)
		return not_running(e);
	errno = err_code;
	return t->pid < 0 ? err_sys(e, "clone") : 0;
}

static int launch(struct task *t, struct child *c, struct err *e)
{
	own_fd int theirs = -1;
	int sock[2], rc;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sock) < 0)
		return err_sys(e, "socketpair");
	t->status_fd = sock[0];
	theirs = sock[1];
	c->status = theirs;
	rc = make_process(t, c, e);
	if (rc < 0)
		return rc;
	t->status_watch = loop_add(t->agent->loop, t->status_fd, EPOLLIN, on_status, t, e);
	t->pid_watch = loop_add(t->agent->loop, t->pidfd, EPOLLIN, on_exit_of_some, t, e);
	return t->status_watch && t->pid_watch ? 0 : -EIO;
}

static struct task *task_new(struct agent *a, const struct wire_task *w)
{
	struct task *t = xcalloc(1, sizeof(*t));

	*t = (struct task){
		.next = a->tasks,
		.agent = a,
		.id = w->id,
		.flags = w->flags,
		.rows = w->rows,
		.cols = w->cols,
		.pid = -1,
		.pidfd = -1,
		.status_fd = -1,
	};
	a->tasks = t;
	return t;
}

static void close_all(int fds[STREAMS])
{
	for (int i = 0; i < STREAMS; i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

/* Tells of a task that never came into being. */
static void refuse(struct agent *a, uint32_t id, int code, const char *text)
{
	struct wire_failed m = { .task = id, .exit_code = (uint8_t)code, .message = (char *)text };

	wire_put_failed(&a->out, &m);
	serve_flush(a);
}

void task_start(struct agent *a, const struct wire_task *w, const struct wire_boot *boot)
{
	struct task *main_task = task_find(a, WIRE_TASK_MAIN), *t;
	struct child c = {
		.agent = a, .task = w, .boot = boot, .join = -1, .stdio = { -1, -1, -1 }
	};
	int ours[STREAMS] = { -1, -1, -1 };
	struct err e = ERR_INIT;
	int rc;

	if (task_find(a, w->id)) {
		refuse(a, w->id, EXIT_FAILED, "a task of this number runs already");
		return;
	}
	if (boot == NULL) {
		if (main_task == NULL || !main_task->started_sent || main_task->exited) {
			refuse(a, w->id, EXIT_TOO_LATE, "container is not running");
			return;
		}
		c.join = main_task->pidfd;
	}
	t = task_new(a, w);
	rc = make_pipes(t, ours, c.stdio, &e);
	if (rc == 0)
		rc = launch(t, &c, &e); /* first: it has much to do, and so have we */
	close_all(c.stdio);
	if (rc == 0)
		rc = make_streams(t, ours, &e);
	close_all(ours);
	if (rc < 0) {
		set_failed(t, e.code == ESRCH ? EXIT_TOO_LATE : EXIT_FAILED, e.msg);
		if (t->pid < 0)
			t->exited = true;
		else
			sys_pidfd_send_signal(t->pidfd, SIGKILL);
	}
	task_progress(t);
}

void task_go(struct agent *a)
{
	struct task *t = task_find(a, WIRE_TASK_MAIN);

	/* If it failed already, nobody listens, and its reason is on its way. */
	if (t && t->status_fd >= 0)
		(void)fd_send(t->status_fd, "", 1, NULL, 0);
}

/* ---- what the host asks of a task */

void task_signal(struct agent *a, const struct wire_signal *m)
{
	struct task *t = task_find(a, m->task);

	if (t && t->pidfd >= 0 && !t->exited)
		sys_pidfd_send_signal(t->pidfd, (int)m->signal);
	if (m->signal == SIGKILL && m->task == WIRE_TASK_MAIN)
		send_ending(a);
}

void task_resize(struct agent *a, const struct wire_resize *m)
{
	struct winsize size = { .ws_row = m->rows, .ws_col = m->cols };
	struct task *t = task_find(a, m->task);
	int master;

	if (t == NULL || !(t->flags & WIRE_TASK_TTY))
		return;
	t->rows = m->rows;
	t->cols = m->cols;
	master = t->nstreams ? stream_local(t->streams[0]) : -1;
	if (master >= 0)
		ioctl(master, TIOCSWINSZ, &size);
}
