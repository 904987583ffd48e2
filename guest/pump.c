/* pump.c: a task's streams between its pipes or terminal and the host; see pump.h. */
#include "guest/pump.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "guest/agent.h"
#include "runtime/base/fd.h"
#include "runtime/base/own.h"
#include "runtime/base/str.h"
#include "vsock/codec.h"

/*
 * Theory of operation.
 *
 * A stream joins a connection to the host (`conn`) with the agent's end of a
 * pipe or a terminal (`local`). Each direction is a pump: one buffer, filled
 * from one side when it is empty, emptied into the other. A pump runs until
 * one of the sides would block, so that both descriptors can be watched
 * edge-triggered, once and for all: nothing is polled, and a side that hung
 * up but is not yet to be read does not wake the loop again and again. A pump
 * that never blocks gives way after ROUNDS_MAX buffers.
 *
 *	output:	local ends          -> what is left is sent, then the
 *				       connection is half-closed
 *		host resets         -> local is closed: the workload meets
 *				       SIGPIPE, or SIGHUP on a terminal
 *		(by stream_watch_break: only after its next write)
 *	input:	host half-closes    -> what is left is written, then the pipe
 *				       is closed; a terminal stays
 *		workload closes     -> the connection is closed
 *
 * After its half-close an output connection stays until the host closes it,
 * so that nothing in flight is lost.
 */

/* One vsock packet's worth. */
#define PUMP_SIZE (64U << 10)
/* Buffers moved in one go before others get their turn. */
#define ROUNDS_MAX 16

struct pump {
	char *buf;
	size_t start, end;
	bool active;
	bool ended; /* the source did */
	bool dry;   /* the source had nothing the last time it was asked */
};

enum pump_end {
	PUMP_BLOCKED, /* one of the sides would block */
	PUMP_MORE,    /* could go on */
	PUMP_ENDED,   /* the source ended and everything was written */
	PUMP_BROKEN,  /* the sink takes no more */
};

enum stream_state {
	STREAM_CONNECTING,
	STREAM_OPEN,
	STREAM_DEAF,	  /* the host reads no more; the pipe is watched for a write */
	STREAM_LINGERING, /* half-closed; waits for the host to close */
	STREAM_CLOSED,
};

struct stream {
	struct loop *loop;
	uint32_t task;
	enum wire_stream which;
	enum stream_state state;
	int error; /* the connection was refused: errno */
	int conn, local;
	struct loop_watch *conn_watch, *local_watch;
	struct loop_timer *again;
	bool watch_break, broken;
	struct pump in, out;
	stream_fn *fn;
	void *arg;
};

static bool would_block(int code)
{
	return code == EAGAIN || code == EINTR;
}

/* Fills the empty buffer; false: nothing now. */
static bool pump_fill(struct pump *p, int from)
{
	ssize_t n;

	if (p->buf == NULL)
		p->buf = xmalloc(PUMP_SIZE);
	do {
		n = read(from, p->buf, PUMP_SIZE);
	} while (n < 0 && errno == EINTR);
	p->dry = n < 0 && would_block(errno);
	if (p->dry)
		return false;
	/* A terminal without a slave says EIO, a reset connection ECONNRESET: both are the end. */
	p->ended = n <= 0;
	p->start = 0;
	p->end = n > 0 ? (size_t)n : 0;
	return true;
}

static enum pump_end pump_run(struct pump *p, int from, int to, bool to_socket)
{
	for (int i = 0; i < ROUNDS_MAX;) {
		ssize_t n;

		if (p->start == p->end) {
			if (p->ended)
				return PUMP_ENDED;
			if (!pump_fill(p, from))
				return PUMP_BLOCKED;
			i++;
			continue;
		}
		n = to_socket ? send(to, p->buf + p->start, p->end - p->start,
				     MSG_NOSIGNAL | MSG_DONTWAIT)
			      : write(to, p->buf + p->start, p->end - p->start);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return would_block(errno) ? PUMP_BLOCKED : PUMP_BROKEN;
		p->start += (size_t)n;
	}
	return PUMP_MORE;
}

static void pump_stop(struct pump *p)
{
	free(p->buf);
	*p = (struct pump){ .ended = true };
}

static void close_local(struct stream *s)
{
	loop_del(s->local_watch);
	s->local_watch = NULL;
	if (s->local >= 0)
		close(s->local);
	s->local = -1;
}

static void close_conn(struct stream *s)
{
	loop_del(s->conn_watch);
	s->conn_watch = NULL;
	if (s->conn >= 0)
		close(s->conn);
	s->conn = -1;
	s->state = STREAM_CLOSED;
}

static void stream_run(struct stream *s);

static void run_again(void *arg)
{
	struct stream *s = arg;

	s->again = NULL;
	stream_run(s);
	s->fn(s->arg);
}

static void want_again(struct stream *s)
{
	if (s->again == NULL)
		s->again = loop_after(s->loop, 0, run_again, s);
}

/*
 * Throws away what was written before the host went away; what comes now is
 * the write that breaks. False: the pipe ended.
 */
static bool go_deaf(struct stream *s)
{
	int left;
	char buf[PIPE_BUF];

	if (ioctl(s->local, FIONREAD, &left) < 0)
		return false;
	while (left > 0) {
		size_t n = (size_t)left < sizeof(buf) ? (size_t)left : sizeof(buf);
		ssize_t got = read(s->local, buf, n);

		if (got <= 0)
			return false;
		left -= (int)got;
	}
	s->state = STREAM_DEAF;
	return true;
}

static void run_deaf(struct stream *s)
{
	char c;
	ssize_t n = read(s->local, &c, 1);

	if (n < 0 && would_block(errno))
		return;
	s->broken = n > 0;
	if (!s->broken) {
		close_local(s);
		s->state = STREAM_CLOSED;
	}
}

static void run_output(struct stream *s)
{
	enum pump_end end = pump_run(&s->out, s->local, s->conn, true);

	/* An idle workload has to learn as well that nobody reads any more. */
	if (end == PUMP_BLOCKED && send(s->conn, "", 0, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 &&
	    !would_block(errno))
		end = PUMP_BROKEN;
	switch (end) {
	case PUMP_BLOCKED:
		return;
	case PUMP_MORE:
		want_again(s);
		return;
	case PUMP_ENDED:
		shutdown(s->conn, SHUT_WR);
		break;
	case PUMP_BROKEN:
		break;
	}
	pump_stop(&s->out);
	pump_stop(&s->in);
	if (end == PUMP_BROKEN) {
		close_conn(s);
		if (s->watch_break && go_deaf(s))
			return;
	} else {
		s->state = STREAM_LINGERING;
	}
	close_local(s);
}

static void run_input(struct stream *s)
{
	enum pump_end end = pump_run(&s->in, s->conn, s->local, false);

	if (end == PUMP_BLOCKED)
		return;
	if (end == PUMP_MORE) {
		want_again(s);
		return;
	}
	pump_stop(&s->in);
	if (s->which == WIRE_TTY)
		return; /* its output goes on */
	close_local(s);
	close_conn(s);
}

/* The connection's fate; then the frame that says which stream it is. */
static void run_connecting(struct stream *s)
{
	struct wire_open m = { .task = s->task, .which = (uint8_t)s->which };
	own_str struct str frame = STR_INIT;
	socklen_t len = sizeof(s->error);
	ssize_t n;

	if (getsockopt(s->conn, SOL_SOCKET, SO_ERROR, &s->error, &len) < 0)
		s->error = errno;
	if (s->error == 0) {
		wire_put_open(&frame, &m);
		n = send(s->conn, frame.s, frame.len, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && (errno == ENOTCONN || errno == EAGAIN))
			return; /* not connected yet */
		if (n != (ssize_t)frame.len)
			s->error = n < 0 ? errno : EIO;
	}
	if (s->error) {
		close_local(s);
		close_conn(s);
	} else {
		s->state = STREAM_OPEN;
	}
}

static void run_lingering(struct stream *s)
{
	char c[64];
	ssize_t n;

	do {
		n = recv(s->conn, c, sizeof(c), MSG_DONTWAIT);
	} while (n > 0);
	if (n == 0 || !would_block(errno))
		close_conn(s);
}

static void stream_run(struct stream *s)
{
	if (s->state == STREAM_CONNECTING)
		run_connecting(s);
	if (s->state == STREAM_OPEN && s->in.active && s->local >= 0)
		run_input(s);
	if (s->state == STREAM_OPEN && s->out.active && s->local >= 0)
		run_output(s);
	if (s->state == STREAM_DEAF)
		run_deaf(s);
	if (s->state == STREAM_LINGERING)
		run_lingering(s);
}

static void on_conn(void *arg, uint32_t events)
{
	struct stream *s = arg;

	(void)events;
	stream_run(s);
	s->fn(s->arg);
}

static void on_local(void *arg, uint32_t events)
{
	struct stream *s = arg;

	/* A pipe without a reader: no use in waiting for input to write into it. */
	if (s->which == WIRE_STDIN && s->state == STREAM_OPEN && (events & EPOLLERR)) {
		pump_stop(&s->in);
		close_local(s);
		close_conn(s);
	}
	stream_run(s);
	s->fn(s->arg);
}

int stream_attach(struct stream *s, int local, struct err *e)
{
	int rc = fd_set_nonblock(local, true);

	s->local = local;
	if (rc < 0)
		return err_set(e, -rc, "make a stream non-blocking");
	s->local_watch =
		loop_add(s->loop, local, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, on_local, s, e);
	return s->local_watch ? 0 : -EIO;
}

struct stream *stream_new(struct loop *l, uint32_t task, enum wire_stream which, int local,
			  stream_fn *fn, void *arg, struct err *e)
{
	struct stream *s = xcalloc(1, sizeof(*s));

	*s = (struct stream){ .loop = l,
			      .task = task,
			      .which = which,
			      .conn = -1,
			      .local = -1,
			      .fn = fn,
			      .arg = arg };
	s->in.active = which == WIRE_STDIN || which == WIRE_TTY;
	s->out.active = which != WIRE_STDIN;
	if (local >= 0 && stream_attach(s, local, e) < 0)
		goto fail;
	s->conn = agent_dial(WIRE_PORT_STREAM, true);
	if (s->conn < 0) {
		err_set(e, -s->conn, "dial the host: errno %d", -s->conn);
		goto fail;
	}
	s->conn_watch =
		loop_add(l, s->conn, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, on_conn, s, e);
	if (s->conn_watch == NULL)
		goto fail;
	return s;
fail:
	stream_free(s);
	return NULL;
}

void stream_free(struct stream *s)
{
	if (s == NULL)
		return;
	loop_cancel(s->again);
	pump_stop(&s->in);
	pump_stop(&s->out);
	close_local(s);
	close_conn(s);
	free(s);
}

bool stream_is_open(const struct stream *s)
{
	return s->state != STREAM_CONNECTING;
}

int stream_error(const struct stream *s)
{
	return s->error;
}

bool stream_is_sent(const struct stream *s, bool drain)
{
	if (s->which == WIRE_STDIN || s->state >= STREAM_DEAF)
		return true;
	return drain && s->state == STREAM_OPEN && s->out.dry && s->out.start == s->out.end;
}

void stream_run_now(struct stream *s)
{
	stream_run(s);
}

void stream_end(struct stream *s)
{
	pump_stop(&s->in);
	pump_stop(&s->out);
	close_local(s);
	if (s->state == STREAM_OPEN && s->which != WIRE_STDIN) {
		shutdown(s->conn, SHUT_WR);
		s->state = STREAM_LINGERING;
		stream_run(s);
	} else if (s->state < STREAM_LINGERING) {
		close_conn(s);
	}
	s->broken = false;
}

void stream_watch_break(struct stream *s)
{
	s->watch_break = true;
}

bool stream_is_broken(const struct stream *s)
{
	return s->broken;
}

bool stream_is_closed(const struct stream *s)
{
	return s->state == STREAM_CLOSED;
}

int stream_local(const struct stream *s)
{
	return s->local;
}
