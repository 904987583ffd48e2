/* client.c: a command's connection to a container's holder; see box.h. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "runtime/base/fd.h"
#include "runtime/base/own.h"
#include "runtime/base/parse.h"
#include "runtime/box/client.h"
#include "runtime/box/ctl.h"
#include "runtime/box/restart.h"
#include "runtime/box/state.h"
#include "runtime/box/stdio.h"
#include "vsock/wire.h"

/* How long a holder may take to make a lost socket anew. */
#define SOCKET_WAIT_MS	2000
#define SOCKET_PAUSE_MS 2
/* How long a holder that has closed all it had may take to be gone. */
#define DEATH_WAIT_MS 500
/* How often a container that starts again just then is told to stop once more. */
#define STOP_TURNS 3

/*
 * Events may come while a reply is awaited: they wait in a queue. The
 * descriptor the caller polls is an epoll of the socket and of an eventfd
 * that is readable while something is queued.
 */
struct queued {
	struct queued *next;
	struct box_event ev;
};

struct box_client {
	int sock, epfd, queue_fd;
	pid_t holder; /* the holder, a child of ours; 0: it is another's */
	struct queued *first, **last;
};

static int watch(int epfd, int fd)
{
	struct epoll_event ev = { .events = EPOLLIN };

	return epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &ev);
}

struct box_client *client_new(int sock, struct err *e)
{
	struct box_client *c = xcalloc(1, sizeof(*c));

	*c = (struct box_client){ .sock = sock, .last = &c->first };
	c->epfd = epoll_create1(EPOLL_CLOEXEC);
	c->queue_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (c->epfd < 0 || c->queue_fd < 0 || watch(c->epfd, sock) < 0 ||
	    watch(c->epfd, c->queue_fd) < 0) {
		err_sys(e, "connect to the container");
		box_client_free(c);
		return NULL;
	}
	return c;
}

void client_launched(struct box_client *c, pid_t holder)
{
	c->holder = holder;
}

bool box_client_killed(struct box_client *c, struct err *e)
{
	own_fd int fd = c->holder > 0 ? (int)syscall(SYS_pidfd_open, c->holder, 0) : -1;
	struct pollfd p = { .fd = fd, .events = POLLIN };
	int status = 0;

	/* its descriptors are closed a little before it has ended; or it has only let us go */
	if (fd < 0 || poll(&p, 1, DEATH_WAIT_MS) <= 0 || waitpid(c->holder, &status, 0) < 0 ||
	    !WIFSIGNALED(status))
		return false;
	c->holder = 0;
	err_set(e, EIO, "the container's zl process was killed (SIG%s)%s",
		signal_name(WTERMSIG(status)),
		WTERMSIG(status) == SIGSYS
			? ": it made a system call that it is not allowed; the kernel's log has it"
			: "");
	return true;
}

/* Its socket is gone, it is not: it makes the socket anew when told to. */
static int connect_again(const struct box_state *st)
{
	int sock = -ENOENT;

	if (st->pid <= 1 || kill(st->pid, SIGHUP) < 0)
		return sock;
	for (int waited = 0; sock < 0 && waited < SOCKET_WAIT_MS; waited += SOCKET_PAUSE_MS) {
		nanosleep(&(struct timespec){ .tv_nsec = SOCKET_PAUSE_MS * 1000000L }, NULL);
		sock = ctl_connect(st->socket);
	}
	return sock;
}

struct box_client *box_connect(const struct box_dirs *d, struct box *b, struct err *e)
{
	own_fd int dirfd = box_dir_open(d, b->spec.id);
	own_fd int lock = -1;
	int sock;

	if (dirfd < 0 || state_read(dirfd, &b->state, NULL) < 0 || !state_claims_holder(&b->state))
		goto not_running;
	sock = ctl_connect(b->state.socket);
	if (sock >= 0)
		return client_new(sock, e);
	lock = box_lock_try(dirfd);
	if (lock != -EAGAIN)
		goto not_running;
	sock = connect_again(&b->state);
	if (sock >= 0)
		return client_new(sock, e);
	err_set(e, -sock, "connect to container %s: %s: %s", b->spec.id, b->state.socket,
		strerror(-sock));
	return NULL;
not_running:
	err_set(e, ESRCH, "container %s is not running", b->spec.id);
	return NULL;
}

void box_client_free(struct box_client *c)
{
	if (c == NULL)
		return;
	while (c->first) {
		struct queued *q = c->first;

		c->first = q->next;
		free(q);
	}
	if (c->epfd >= 0)
		close(c->epfd);
	if (c->queue_fd >= 0)
		close(c->queue_fd);
	close(c->sock);
	free(c);
}

int box_client_fd(const struct box_client *c)
{
	return c->epfd;
}

/* One message, waiting for it. 0 at the end of the connection. */
static int receive(struct box_client *c, struct ctl_msg *m, struct err *e)
{
	char buf[CTL_MSG_MAX];
	size_t nfds = 0;
	ssize_t n = fd_recv(c->sock, buf, sizeof(buf), NULL, &nfds);

	if (n == 0 || n == -ECONNRESET)
		return 0;
	if (n > 0)
		n = ctl_get(m, buf, (size_t)n) < 0 ? -EPROTO : n;
	if (n < 0)
		return err_set(e, (int)-n, "talk to the container: %s", strerror((int)-n));
	return 1;
}

static void event_of(struct box_event *ev, const struct ctl_msg *m)
{
	memset(ev, 0, sizeof(*ev));
	ev->kind = m->kind <= BOX_EV_GONE ? m->kind : BOX_EV_GONE;
	ev->task = m->task;
	ev->code = m->code;
	memcpy(ev->message, m->text, sizeof(ev->message));
}

static void gone(struct box_event *ev)
{
	memset(ev, 0, sizeof(*ev));
	ev->kind = BOX_EV_GONE;
	ev->task = WIRE_TASK_MAIN;
	ev->code = BOX_CODE_FAILED;
	snprintf(ev->message, sizeof(ev->message), "the container's zl process ended unexpectedly");
}

static void enqueue(struct box_client *c, const struct ctl_msg *m)
{
	struct queued *q = xcalloc(1, sizeof(*q));
	uint64_t one = 1;

	event_of(&q->ev, m);
	*c->last = q;
	c->last = &q->next;
	if (write(c->queue_fd, &one, sizeof(one)) < 0)
		return; /* its counter is full: it is readable */
}

static void dequeue(struct box_client *c, struct box_event *ev)
{
	struct queued *q = c->first;
	uint64_t count;

	*ev = q->ev;
	c->first = q->next;
	free(q);
	if (c->first)
		return;
	c->last = &c->first;
	if (read(c->queue_fd, &count, sizeof(count)) < 0)
		return; /* it was not readable: nothing to take back */
}

int box_client_next(struct box_client *c, struct box_event *ev, struct err *e)
{
	struct ctl_msg m;
	int rc;

	if (c->first) {
		dequeue(c, ev);
		return 0;
	}
	do {
		rc = receive(c, &m, e);
	} while (rc == 1 && m.type != CTL_EVENT);
	if (rc < 0)
		return rc;
	if (rc == 0)
		gone(ev);
	else
		event_of(ev, &m);
	return 0;
}

int client_post(struct box_client *c, const struct ctl_msg *m, const int *fds, size_t nfds,
		struct err *e)
{
	char buf[CTL_MSG_MAX];
	size_t n = ctl_put(m, buf);
	int rc = fd_send(c->sock, buf, n, fds, nfds);

	if (rc < 0 && rc != -EPIPE && rc != -ECONNRESET)
		return err_set(e, -rc, "talk to the container: %s", strerror(-rc));
	return 0;
}

int client_reply(struct box_client *c, uint32_t *task, struct err *e)
{
	struct ctl_msg r;
	int rc;

	for (;;) {
		rc = receive(c, &r, e);
		if (rc == 0)
			return err_set(e, ESRCH, "the container is not running");
		if (rc < 0)
			return rc;
		if (r.type == CTL_REPLY)
			break;
		enqueue(c, &r);
	}
	if (task)
		*task = r.task;
	if (r.code < 0)
		return err_set(e, -r.code, "%s", r.text);
	return 0;
}

/* Sends a request and waits for its reply. */
static int ask(struct box_client *c, const struct ctl_msg *m, const int *fds, size_t nfds,
	       uint32_t *task, struct err *e)
{
	int rc = client_post(c, m, fds, nfds, e);

	return rc < 0 ? rc : client_reply(c, task, e);
}

/* What is lent with a request; `mine` are those made for it (or -1). */
struct loan {
	int fds[FD_PASS_MAX], mine[FD_PASS_MAX];
	size_t n;
};

static void lend_one(struct loan *l, int fd, bool sink, struct ctl_msg *m, uint8_t bit)
{
	if (fd < 0)
		return;
	m->streams |= bit;
	l->mine[l->n] = io_own_description(fd, sink);
	l->fds[l->n] = l->mine[l->n] >= 0 ? l->mine[l->n] : fd;
	l->n++;
}

/* The descriptors of io in the order of CTL_*. */
static void lend(const struct box_stdio *io, struct ctl_msg *m, struct loan *l)
{
	if (io == NULL)
		return;
	m->rows = io->rows;
	m->cols = io->cols;
	lend_one(l, io->in, false, m, CTL_IN);
	lend_one(l, io->out, true, m, CTL_OUT);
	lend_one(l, io->err, true, m, CTL_ERR);
}

static int ask_lending(struct box_client *c, const struct ctl_msg *m, struct loan *l,
		       uint32_t *task, struct err *e)
{
	int rc = ask(c, m, l->fds, l->n, task, e);

	for (size_t i = 0; i < l->n; i++)
		own_fd_(&l->mine[i]);
	return rc;
}

int box_client_attach(struct box_client *c, const struct box_stdio *io, struct err *e)
{
	struct ctl_msg m = { .type = CTL_ATTACH };
	struct loan l = { .n = 0 };

	lend(io, &m, &l);
	return ask_lending(c, &m, &l, NULL, e);
}

int box_client_signal(struct box_client *c, uint32_t task, int sig, struct err *e)
{
	struct ctl_msg m = { .type = CTL_SIGNAL, .task = task, .signal = (uint32_t)sig };

	return ask(c, &m, NULL, 0, NULL, e);
}

int box_client_resize(struct box_client *c, uint32_t task, unsigned short rows, unsigned short cols,
		      struct err *e)
{
	struct ctl_msg m = { .type = CTL_RESIZE, .task = task, .rows = rows, .cols = cols };

	return ask(c, &m, NULL, 0, NULL, e);
}

/*
 * Whether a container with a restart policy ended for good. It may have been about to end by itself
 * when it was told to: its keeper was not, then.
 */
static bool is_stopped(const struct box_dirs *d, const struct box *b)
{
	struct box_state now = { .error = NULL };
	own_fd int dirfd = box_dir_open(d, b->spec.id);
	bool is = dirfd < 0 || state_read(dirfd, &now, NULL) < 0 || !state_claims_holder(&now) ||
		  (now.restart_count == 0 && now.started_ns != b->state.started_ns);

	state_free(&now);
	return is;
}

int box_client_stop(struct box_client *c, int sig, int64_t timeout_s, struct err *e)
{
	struct ctl_msg m = { .type = CTL_STOP, .signal = (uint32_t)sig, .timeout_s = timeout_s };
	struct box_event ev;
	int rc = ask(c, &m, NULL, 0, NULL, e);

	if (rc == -ESRCH)
		return 0; /* it has just ended */
	while (rc == 0) {
		rc = box_client_next(c, &ev, e);
		if (rc == 0 && ev.task == WIRE_TASK_MAIN && ev.kind != BOX_EV_STARTED)
			break;
	}
	return rc;
}

int box_stop(const struct box_dirs *d, struct box *b, int sig, int64_t timeout_s, struct err *e)
{
	for (int turn = 0;; turn++) {
		struct err gone = ERR_INIT;
		struct box_client *c = box_connect(d, b, &gone);
		int rc;

		if (c == NULL && gone.code == ESRCH && turn > 0)
			return 0;
		if (c == NULL)
			return err_set(e, gone.code, "%s", gone.msg);
		rc = box_client_stop(c, sig, timeout_s, e);
		box_client_free(c);
		if (rc < 0 || turn == STOP_TURNS || !restart_is_kept(&b->spec) || is_stopped(d, b))
			return rc;
	}
}

int box_client_pause(struct box_client *c, bool on, struct err *e)
{
	struct ctl_msg m = { .type = on ? CTL_PAUSE : CTL_UNPAUSE };

	return ask(c, &m, NULL, 0, NULL, e);
}

int box_client_sync(struct box_client *c, struct err *e)
{
	struct ctl_msg m = { .type = CTL_SYNC };

	return ask(c, &m, NULL, 0, NULL, e);
}

int client_reread(struct box_client *c, int *machine, struct err *e)
{
	struct ctl_msg m = { .type = CTL_REREAD };
	uint32_t pid = 0;
	int rc = ask(c, &m, NULL, 0, &pid, e);

	*machine = (int)pid;
	return rc;
}

int box_client_exec(struct box_client *c, const struct box_exec *x, const struct box_stdio *io,
		    uint32_t *task, struct err *e)
{
	struct ctl_msg m = { .type = CTL_EXEC };
	struct loan l = { .n = 1, .fds = { ctl_exec_write(x, e) } };

	if (l.fds[0] < 0)
		return l.fds[0];
	l.mine[0] = l.fds[0];
	lend(io, &m, &l);
	return ask_lending(c, &m, &l, task, e);
}
