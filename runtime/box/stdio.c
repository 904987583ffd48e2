/* stdio.c: a task's streams between vsock and clients' descriptors; see stdio.h. */
#include "runtime/box/stdio.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/own.h"
#include "runtime/base/str.h"
#include "runtime/virtio/vsock.h"

/* Segments passed to one system call. */
#define IO_IOV_MAX 64
/*
 * Most that is kept for a slow sink once the task has ended. What an agent that keeps to the rules
 * sent before it said so is less: the device never holds more than VSOCK_BUF_SIZE of a stream.
 */
#define REST_MAX (4 * (size_t)VSOCK_BUF_SIZE)

enum io_kind {
	IO_FREE,   /* non-blocking by itself, or never waits (regular files) */
	IO_SOCKET, /* MSG_DONTWAIT */
	IO_CAREFUL /* may wait: poll first, write little */
};

/* A client's descriptor, sink or source. */
struct io_end {
	struct io_end *next;
	struct io_stream *stream;
	const void *owner;
	int fd;
	enum io_kind kind;
	struct loop_watch *watch; /* edge-triggered; NULL: never has to wait */
	bool ready;
	bool dead;	 /* to be freed */
	size_t ahead;	 /* sink: bytes of what is offered that it has taken already */
	struct str rest; /* sink, after io_stream_finish: what it could not take yet */
	size_t rest_off;
};

struct io_stream {
	struct loop *loop;
	const struct io_stream_ops *ops;
	void *arg;
	struct vsock_conn *conn;
	bool bound, over, finishing;
	struct io_end *sinks, *sources;
	bool end_with_sources;
	bool had_source;
	struct logfile *log;
	enum log_stream log_stream;
	size_t logged; /* bytes of what is offered that are in the log already */
	struct str *kept;
	size_t keep_max;
};

struct io_stream *io_stream_new(struct loop *l, const struct io_stream_ops *ops, void *arg)
{
	struct io_stream *s = xcalloc(1, sizeof(*s));

	*s = (struct io_stream){ .loop = l, .ops = ops, .arg = arg };
	return s;
}

static void end_free(struct io_end *x)
{
	loop_del(x->watch);
	close(x->fd);
	str_free(&x->rest);
	free(x);
}

static void bury(struct io_end **at)
{
	while (*at) {
		struct io_end *x = *at;

		if (!x->dead) {
			at = &x->next;
			continue;
		}
		*at = x->next;
		end_free(x);
	}
}

void io_stream_free(struct io_stream *s)
{
	struct vsock_conn *c;

	if (s == NULL)
		return;
	c = s->conn;
	s->conn = NULL;
	s->over = true; /* nobody is told any more */
	if (c)
		vsock_reset(c);
	for (struct io_end *x = s->sinks; x; x = x->next)
		x->dead = true;
	for (struct io_end *x = s->sources; x; x = x->next)
		x->dead = true;
	bury(&s->sinks);
	bury(&s->sources);
	free(s);
}

void io_stream_log(struct io_stream *s, struct logfile *log, enum log_stream stream)
{
	s->log = log;
	s->log_stream = stream;
}

void io_stream_keep(struct io_stream *s, struct str *to, size_t max)
{
	s->kept = to;
	s->keep_max = max;
}

static enum io_kind kind_of(int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return IO_CAREFUL;
	if (S_ISSOCK(st.st_mode))
		return IO_SOCKET;
	if (S_ISREG(st.st_mode) || S_ISBLK(st.st_mode))
		return IO_FREE; /* the offset is to be shared */
	/* else its owner wants it so, or it was made so for us */
	return fcntl(fd, F_GETFL) & O_NONBLOCK ? IO_FREE : IO_CAREFUL;
}

int io_own_description(int fd, bool sink)
{
	char path[64];

	if (kind_of(fd) != IO_CAREFUL)
		return -1;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return open(path, (sink ? O_WRONLY : O_RDONLY) | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

/* --- output */

static size_t iov_total(const struct iovec *iov, int n)
{
	size_t total = 0;

	for (int i = 0; i < n; i++)
		total += iov[i].iov_len;
	return total;
}

/* The part of iov from `skip` on, at most `max` bytes. */
static int iov_slice(struct iovec *out, const struct iovec *iov, int n, size_t skip, size_t max)
{
	int k = 0;

	for (int i = 0; i < n && k < IO_IOV_MAX && max; i++) {
		size_t over = skip < iov[i].iov_len ? skip : iov[i].iov_len;
		size_t len = iov[i].iov_len - over;

		skip -= over;
		if (len == 0)
			continue;
		if (len > max)
			len = max;
		out[k].iov_base = (char *)iov[i].iov_base + over;
		out[k++].iov_len = len;
		max -= len;
	}
	return k;
}

/* Bytes written; -EAGAIN: not now. */
static ssize_t end_write(struct io_end *x, const struct iovec *iov, int n)
{
	struct msghdr msg = { .msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)n };
	struct pollfd p = { .fd = x->fd, .events = POLLOUT };
	ssize_t put;

	do {
		if (x->kind == IO_SOCKET)
			put = sendmsg(x->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
		else if (x->kind == IO_CAREFUL && poll(&p, 1, 0) == 0)
			return -EAGAIN;
		else
			put = writev(x->fd, iov, n);
	} while (put < 0 && errno == EINTR);
	return put < 0 ? -errno : put;
}

/* Writes of the offer what the sink takes now. */
static void sink_write(struct io_end *x, const struct iovec *iov, int n, size_t total)
{
	while (x->ready && !x->dead && x->ahead < total) {
		struct iovec part[IO_IOV_MAX];
		int k = iov_slice(part, iov, n, x->ahead,
				  x->kind == IO_CAREFUL ? PIPE_BUF : SSIZE_MAX);
		ssize_t put = end_write(x, part, k);

		if (put >= 0)
			x->ahead += (size_t)put;
		else if (put == -EAGAIN && x->watch)
			x->ready = false;
		else
			x->dead = true; /* EPIPE, EIO of a hung-up terminal, ENOSPC ... */
	}
}

/* Keeps what the sink did not take; what a guest that never ends sends too much is dropped. */
static void sink_keep(struct io_end *x, const struct iovec *iov, int n, size_t total)
{
	if (x->ahead < total && x->rest.len - x->rest_off >= REST_MAX)
		x->ahead = total;
	for (int i = 0; i < n && x->ahead < total; i++) {
		size_t before = iov_total(iov, i);
		size_t over = x->ahead > before ? x->ahead - before : 0;

		if (over >= iov[i].iov_len)
			continue;
		str_add_mem(&x->rest, (char *)iov[i].iov_base + over, iov[i].iov_len - over);
		x->ahead += iov[i].iov_len - over;
	}
}

static void sink_flush(struct io_end *x)
{
	while (x->ready && !x->dead && x->rest_off < x->rest.len) {
		size_t left = x->rest.len - x->rest_off;
		struct iovec iov = { x->rest.s + x->rest_off,
				     x->kind == IO_CAREFUL && left > PIPE_BUF ? PIPE_BUF : left };
		ssize_t put = end_write(x, &iov, 1);

		if (put >= 0)
			x->rest_off += (size_t)put;
		else if (put == -EAGAIN && x->watch)
			x->ready = false;
		else
			x->dead = true;
	}
}

/* Buries broken sinks; true if the guest's end is to break too. */
static bool sinks_broke(struct io_stream *s)
{
	bool reset = false;

	for (struct io_end *x = s->sinks; x; x = x->next) {
		if (x->dead && s->ops->broke(s->arg, s, x->owner))
			reset = true;
	}
	bury(&s->sinks);
	return reset && s->sinks == NULL;
}

static void keep(struct io_stream *s, const struct iovec *iov, int n)
{
	for (int i = 0; i < n && s->kept->len < s->keep_max; i++) {
		size_t room = s->keep_max - s->kept->len;

		str_add_mem(s->kept, iov[i].iov_base,
			    iov[i].iov_len < room ? iov[i].iov_len : room);
	}
}

ssize_t io_stream_push(struct io_stream *s, const struct iovec *iov, int n)
{
	size_t total = iov_total(iov, n), done = total;
	bool dead = false;

	for (struct io_end *x = s->sinks; x; x = x->next) {
		if (x->rest_off == x->rest.len)
			sink_write(x, iov, n, total);
		if (s->finishing && !x->dead)
			sink_keep(x, iov, n, total);
		dead |= x->dead;
	}
	if (s->log && s->logged < total) {
		logfile_add(s->log, s->log_stream, iov, n, s->logged);
		s->logged = total;
	}
	if (s->kept)
		keep(s, iov, n); /* without sinks all is taken at once */
	if (dead && sinks_broke(s))
		return -EPIPE;
	for (struct io_end *x = s->sinks; x; x = x->next)
		done = x->ahead < done ? x->ahead : done;
	for (struct io_end *x = s->sinks; x; x = x->next)
		x->ahead -= done;
	s->logged = s->logged > done ? s->logged - done : 0;
	return (ssize_t)done;
}

void io_stream_finish(struct io_stream *s)
{
	s->finishing = true;
	if (s->conn)
		vsock_resume(s->conn);
}

/* --- input */

static ssize_t end_read(struct io_end *x, const struct iovec *iov, int n)
{
	struct msghdr msg = { .msg_iov = (struct iovec *)iov,
			      .msg_iovlen = (size_t)(n < IO_IOV_MAX ? n : IO_IOV_MAX) };
	struct pollfd p = { .fd = x->fd, .events = POLLIN };
	ssize_t got;

	do {
		if (x->kind == IO_SOCKET)
			got = recvmsg(x->fd, &msg, MSG_DONTWAIT);
		else if (x->kind == IO_CAREFUL && poll(&p, 1, 0) == 0)
			return -EAGAIN;
		else
			got = readv(x->fd, iov, (int)msg.msg_iovlen);
	} while (got < 0 && errno == EINTR);
	return got < 0 ? -errno : got;
}

static bool input_ended(const struct io_stream *s)
{
	return s->end_with_sources && s->had_source && s->sources == NULL;
}

ssize_t io_stream_pull(struct io_stream *s, const struct iovec *iov, int n)
{
	ssize_t got = -EAGAIN;

	for (struct io_end *x = s->sources; x && got == -EAGAIN; x = x->next) {
		if (!x->ready || x->dead)
			continue;
		got = end_read(x, iov, n);
		if (got == -EAGAIN && x->watch) {
			x->ready = false;
		} else if (got <= 0) {
			x->dead = true;
			got = -EAGAIN;
		}
	}
	bury(&s->sources);
	return got == -EAGAIN && input_ended(s) ? 0 : got;
}

/* --- both */

static void sink_ready(void *arg, uint32_t events)
{
	struct io_end *x = arg;
	struct io_stream *s = x->stream;

	(void)events;
	x->ready = true;
	if (x->rest_off == x->rest.len) {
		if (s->conn)
			vsock_resume(s->conn);
		return;
	}
	sink_flush(x);
	if (x->dead)
		sinks_broke(s);
	s->ops->changed(s->arg, s);
}

static void source_ready(void *arg, uint32_t events)
{
	struct io_end *x = arg;

	(void)events;
	x->ready = true;
	if (x->stream->conn)
		vsock_want_pull(x->stream->conn);
}

static struct io_end *end_new(struct io_stream *s, int fd, const void *owner, bool sink)
{
	struct io_end *x = xcalloc(1, sizeof(*x));
	int mine = io_own_description(fd, sink);

	if (mine >= 0) {
		close(fd);
		fd = mine;
	}
	*x = (struct io_end){
		.stream = s, .owner = owner, .fd = fd, .kind = kind_of(fd), .ready = true
	};
	/* regular files cannot be watched, nor need they be */
	x->watch = loop_add(s->loop, fd, EPOLLET | (sink ? EPOLLOUT : EPOLLIN | EPOLLRDHUP),
			    sink ? sink_ready : source_ready, x, NULL);
	return x;
}

void io_stream_add_sink(struct io_stream *s, int fd, const void *owner)
{
	struct io_end *x = end_new(s, fd, owner, true);

	/* what the others have taken of the current offer came before this one */
	for (struct io_end *y = s->sinks; y; y = y->next)
		x->ahead = y->ahead > x->ahead ? y->ahead : x->ahead;
	x->next = s->sinks;
	s->sinks = x;
}

void io_stream_add_source(struct io_stream *s, int fd, const void *owner)
{
	struct io_end *x = end_new(s, fd, owner, false);

	x->next = s->sources;
	s->sources = x;
	s->had_source = true;
	if (s->conn)
		vsock_want_pull(s->conn);
}

void io_stream_end_with_sources(struct io_stream *s, bool on)
{
	s->end_with_sources = on;
}

void io_stream_drop(struct io_stream *s, const void *owner)
{
	bool sinks = false, sources = false;

	for (struct io_end *x = s->sinks; x; x = x->next)
		sinks |= x->dead |= x->owner == owner;
	for (struct io_end *x = s->sources; x; x = x->next)
		sources |= x->dead |= x->owner == owner;
	bury(&s->sinks);
	bury(&s->sources);
	if (s->conn && sinks)
		vsock_resume(s->conn);
	if (s->conn && sources)
		vsock_want_pull(s->conn);
}

bool io_stream_bind(struct io_stream *s, struct vsock_conn *c)
{
	if (s->bound)
		return false;
	s->bound = true;
	s->conn = c;
	if (s->sources || input_ended(s))
		vsock_want_pull(c);
	return true;
}

void io_stream_eof(struct io_stream *s)
{
	if (s->over)
		return;
	s->over = true;
	if (s->log)
		logfile_end(s->log, s->log_stream);
	if (s->conn)
		vsock_end(s->conn); /* nor have we any more to say */
	s->ops->changed(s->arg, s);
}

void io_stream_closed(struct io_stream *s)
{
	s->conn = NULL;
	for (struct io_end *x = s->sources; x; x = x->next)
		x->dead = true;
	bury(&s->sources);
	io_stream_eof(s);
}

bool io_stream_over(const struct io_stream *s)
{
	return s->over || !s->bound;
}

bool io_stream_written(const struct io_stream *s, const void *owner)
{
	for (struct io_end *x = s->sinks; x; x = x->next) {
		if ((owner == NULL || x->owner == owner) && x->rest_off < x->rest.len)
			return false;
	}
	return true;
}
