/* follow.c: a foreground command and its task; see follow.h. */
#include "cmd/follow.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/container.h"
#include "cmd/term.h"

/*
 * Theory of operation
 *
 * The task's output goes from its holder straight to our own descriptors; all
 * there is to do here is to wait for the end, to pass on signals and window
 * sizes, and to read the terminal, if stdin is one: a holder in a session of
 * its own has no business with it, and the detach keys must be seen.
 *
 * Signal handlers only write the number into a pipe. They are handlers, not a
 * blocked mask, because the holder is forked from us and a mask would stay
 * with it, and with the workload's relatives. Afterwards they stay, and do what
 * would have happened without them: to take them back is a hundred system calls
 * between the workload's end and ours.
 */

/* Of our streams and the client's socket. */
enum {
	POLL_CLIENT,
	POLL_SIGNAL,
	POLL_PUMP,
	POLL_COUNT = POLL_PUMP + BOX_PUMP_FDS,
};

/* After that many SIGINT or SIGTERM, a start that hangs is killed. */
#define IMPATIENT 2

static int signal_pipe[2] = { -1, -1 };
static pid_t signal_owner;
static volatile sig_atomic_t signals_released;

static void on_signal(int sig)
{
	unsigned char c = (unsigned char)sig;
	int saved = errno;

	if (signals_released) {
		signal(sig, SIG_DFL);
		raise(sig); /* comes when we return */
	} else if (getpid() == signal_owner && write(signal_pipe[1], &c, 1) < 0) {
		/* the pipe is full: so many wait that one more tells nothing new */
	}
	errno = saved;
}

/*
 * docker forwards everything but what is for the client itself: its children,
 * its pipe, its window, and its own faults.
 */
static bool is_caught(int sig)
{
	switch (sig) {
	case SIGKILL:
	case SIGSTOP:
	case SIGCHLD:
	case SIGPIPE:
	case SIGURG:
	case SIGSEGV:
	case SIGBUS:
	case SIGILL:
	case SIGFPE:
	case SIGABRT:
	case SIGTRAP:
	case SIGSYS:
	case SIGTTIN:
	case SIGTTOU:
	case SIGPROF:
	case SIGVTALRM:
		return false;
	default:
		return sig < 32 || sig >= SIGRTMIN; /* glibc keeps 32 and 33 */
	}
}

static int catch_signals(struct err *e)
{
	struct sigaction sa = { .sa_handler = on_signal, .sa_flags = SA_RESTART };

	if (signal_pipe[0] < 0 && pipe2(signal_pipe, O_CLOEXEC | O_NONBLOCK) < 0)
		return err_sys(e, "pipe");
	signal_owner = getpid();
	signals_released = false;
	sigfillset(&sa.sa_mask);
	for (int sig = 1; sig <= SIGRTMAX; sig++) {
		struct sigaction now;

		/* nohup and background jobs ignore signals: that is to stay so */
		if (!is_caught(sig) || sigaction(sig, NULL, &now) < 0 || now.sa_handler == SIG_IGN)
			continue;
		sigaction(sig, &sa, NULL);
	}
	return 0;
}

int follow_check_tty(bool tty, bool want_in, struct err *e)
{
	if (tty && want_in && !isatty(STDIN_FILENO))
		return err_set(e, ENOTTY, "the input device is not a TTY");
	return 0;
}

int follow_open(struct follow *f, struct err *e)
{
	bool terminal = f->want_in && isatty(STDIN_FILENO);

	f->io = (struct box_stdio){ .in = f->want_in ? STDIN_FILENO : -1,
				    .out = f->want_out ? STDOUT_FILENO : -1,
				    .err = f->want_err ? STDERR_FILENO : -1 };
	if (terminal) {
		f->pump = box_pump_new(STDIN_FILENO, f->keys ? f->keys : DETACH_KEYS, e);
		if (f->pump == NULL)
			return -EINVAL;
		f->io.in = box_pump_fd(f->pump);
	}
	for (int fd = 0; fd <= 2; fd++)
		f->terminals |= isatty(fd) ? 1U << fd : 0;
	f->raw_wanted = terminal && f->tty;
	if (f->tty && !term_size(STDOUT_FILENO, &f->io.rows, &f->io.cols))
		term_size(STDIN_FILENO, &f->io.rows, &f->io.cols);
	return catch_signals(e);
}

void follow_lent(struct follow *f, struct err *e)
{
	if (f->pump)
		box_pump_lent(f->pump);
	if (f->raw_wanted)
		term_raw(STDIN_FILENO, e);
}

void follow_close(struct follow *f)
{
	term_restore();
	signals_released = true;
	box_pump_free(f->pump);
	f->pump = NULL;
}

static void send_size(struct follow *f, struct box_client *c, uint32_t task)
{
	unsigned short rows, cols;

	if (!f->tty ||
	    (!term_size(STDOUT_FILENO, &rows, &cols) && !term_size(STDIN_FILENO, &rows, &cols)))
		return;
	/* a size that changes twice makes programs draw again */
	if (f->redraw)
		box_client_resize(c, task, (unsigned short)(rows + 1), cols, NULL);
	f->redraw = false;
	box_client_resize(c, task, rows, cols, NULL);
}

/* Without --sig-proxy a signal is for this process, as if it had no handlers. */
static void die_of(int sig)
{
	term_restore();
	sigaction(sig, &(struct sigaction){ .sa_handler = SIG_DFL }, NULL);
	raise(sig);
}

/* Any of our streams was a terminal that has hung up since. */
static bool terminal_gone(const struct follow *f)
{
	for (int fd = 0; fd <= 2; fd++)
		if (f->terminals & 1U << fd && !isatty(fd))
			return true;
	return false;
}

static void take_signal(struct follow *f, struct box_client *c, uint32_t task, int sig)
{
	if (sig == SIGWINCH) {
		send_size(f, c, task);
		return;
	}
	if (sig == SIGCONT) {
		term_again();
		send_size(f, c, task);
	}
	if (!f->proxy) {
		if (sig != SIGCONT)
			die_of(sig);
		return;
	}
	if (!f->started && (sig == SIGINT || sig == SIGTERM) && ++f->impatience >= IMPATIENT)
		sig = SIGKILL;
	box_client_signal(c, task, sig, NULL);
	/* nobody is left whom the task could matter to; it lives on if it minds no SIGHUP */
	if (sig == SIGHUP && terminal_gone(f))
		f->hung_up = true;
}

static void take_signals(struct follow *f, struct box_client *c, uint32_t task)
{
	unsigned char sigs[64];
	ssize_t n = read(signal_pipe[0], sigs, sizeof(sigs));

	for (ssize_t i = 0; i < n; i++)
		take_signal(f, c, task, sigs[i]);
}

/* One event: 1 when it is the end, *code then says how. */
static int take_event(struct follow *f, struct box_client *c, uint32_t task, int *code,
		      struct err *e)
{
	struct box_event ev;
	int rc = box_client_next(c, &ev, e);

	if (rc < 0)
		return rc;
	if (ev.kind == BOX_EV_GONE) {
		err_set(e, EPIPE, "%s", ev.message);
		*code = FOLLOW_GONE;
		return 1;
	}
	if (ev.task != task) {
		/* the container ended under an exec: its own events follow or GONE does */
		return 0;
	}
	if (ev.kind == BOX_EV_STARTED) {
		f->started = true;
		if (ev.message[0] && !f->quiet)
			note_slow(ev.message);
		if (f->redraw)
			send_size(f, c, task);
		return 0;
	}
	*code = ev.code;
	if (ev.message[0])
		err_set(e, EIO, "%s", ev.message);
	return 1;
}

int follow_run(struct follow *f, struct box_client *c, uint32_t task, struct err *e)
{
	bool pumping = f->pump != NULL;

	for (;;) {
		struct pollfd fds[POLL_COUNT] = {
			[POLL_CLIENT] = { .fd = box_client_fd(c), .events = POLLIN },
			[POLL_SIGNAL] = { .fd = signal_pipe[0], .events = POLLIN },
		};
		int code, rc;

		if (pumping)
			box_pump_poll(f->pump, fds + POLL_PUMP);
		if (poll(fds, pumping ? POLL_COUNT : POLL_PUMP, -1) < 0 && errno != EINTR)
			return err_sys(e, "poll");
		if (fds[POLL_SIGNAL].revents)
			take_signals(f, c, task);
		if (f->hung_up)
			return 128 + SIGHUP;
		if (pumping && (fds[POLL_PUMP].revents || fds[POLL_PUMP + 1].revents)) {
			enum box_pump_result r = box_pump_run(f->pump);

			if (r == BOX_PUMP_DETACH)
				return FOLLOW_DETACHED;
			pumping = r != BOX_PUMP_EOF;
		}
		if (!fds[POLL_CLIENT].revents)
			continue;
		rc = take_event(f, c, task, &code, e);
		if (rc)
			return rc < 0 ? rc : code;
	}
}
