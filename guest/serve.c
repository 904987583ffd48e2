/* serve.c: the control connection's frames. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/sysinfo.h>
#include <sys/time.h>
#include <time.h>

#include "guest/agent.h"
#include "runtime/base/fd.h"
#include "runtime/base/own.h"
#include "vsock/codec.h"

#define READ_SIZE 4096
/* How long the last words may take to reach the host. */
#define LAST_WORDS_SECONDS 5

int serve_hello(struct agent *a, uint64_t boot_ns, struct err *e)
{
	struct wire_hello m = { .version = WIRE_VERSION, .boot_ns = boot_ns };
	own_str struct str frame = STR_INIT;
	struct sysinfo si;
	int rc;

	if (sysinfo(&si) == 0) {
		m.mem_total = (uint64_t)si.totalram * si.mem_unit;
		m.mem_free = (uint64_t)si.freeram * si.mem_unit;
	}
	wire_put_hello(&frame, &m);
	rc = fd_write_full(a->control, frame.s, frame.len);
	return rc < 0 ? err_set(e, -rc, "send HELLO: %s", strerror(-rc)) : 0;
}

/* Appends what the host sent; -EAGAIN when there is nothing, -ECONNRESET at its end. */
static int fill(struct agent *a)
{
	ssize_t n;

	str_reserve(&a->in, READ_SIZE);
	do {
		n = recv(a->control, a->in.s + a->in.len, a->in.cap - a->in.len - 1, 0);
	} while (n < 0 && errno == EINTR);
	if (n <= 0)
		return n < 0 ? -errno : -ECONNRESET;
	a->in.len += (size_t)n;
	return 0;
}

static void consume(struct agent *a, size_t n)
{
	a->in.len -= n;
	memmove(a->in.s, a->in.s + n, a->in.len);
	if (a->in.len == 0 && a->in.cap > 16 * READ_SIZE)
		str_free(&a->in); /* after a large frame */
}

int serve_boot(struct agent *a, struct wire_boot *boot, struct err *e)
{
	struct wire_frame f;
	int rc;

	while ((rc = wire_frame_next(a->in.s, a->in.len, &f)) == 0) {
		rc = fill(a);
		if (rc < 0)
			return err_set(e, -rc, "receive BOOT: %s", strerror(-rc));
	}
	if (rc == 1 && f.type == WIRE_BOOT)
		rc = wire_get_boot(f.payload, f.len, boot);
	else
		rc = -EPROTO;
	if (rc < 0)
		return err_set(e, EPROTO, "receive BOOT: not a valid frame");
	consume(a, f.used);
	return 0;
}

void serve_last_words(struct agent *a, const char *message)
{
	struct wire_failed m = { .task = WIRE_TASK_MAIN,
				 .exit_code = EXIT_FAILED,
				 .message = (char *)message };
	struct timeval patience = { .tv_sec = LAST_WORDS_SECONDS };
	own_str struct str frame = STR_INIT;

	wire_put_failed(&frame, &m);
	if (fd_write_full(a->control, frame.s, frame.len) < 0)
		return;
	setsockopt(a->control, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	while (fill(a) == 0)
		a->in.len = 0;
}

static void set_clock(const struct wire_time *m)
{
	struct timespec ts = { .tv_sec = (time_t)(m->realtime_ns / 1000000000U),
			       .tv_nsec = (long)(m->realtime_ns % 1000000000U) };

	if (clock_settime(CLOCK_REALTIME, &ts) < 0)
		agent_say("set the clock: %s", strerror(errno));
}

/* The host has checked them; there is nobody to tell who could do something about it. */
static void set_limits(struct agent *a, const struct wire_limits *l)
{
	struct err e = ERR_INIT;

	if (limits_apply(a, l, &e) < 0)
		agent_say("%s", e.msg);
}

static int on_frame(struct agent *a, const struct wire_frame *f)
{
	union {
		struct wire_task task;
		struct wire_signal signal;
		struct wire_resize resize;
		struct wire_limits limits;
		struct wire_time time;
		struct wire_query query;
		struct wire_sync sync;
	} m;
	int rc = -EPROTO;

	switch (f->type) {
	case WIRE_EXEC:
		rc = wire_get_exec(f->payload, f->len, &m.task);
		if (rc == 0) {
			task_start(a, &m.task, NULL);
			wire_task_free(&m.task);
		}
		break;
	case WIRE_SIGNAL:
		rc = wire_get_signal(f->payload, f->len, &m.signal);
		if (rc == 0)
			task_signal(a, &m.signal);
		break;
	case WIRE_RESIZE:
		rc = wire_get_resize(f->payload, f->len, &m.resize);
		if (rc == 0)
			task_resize(a, &m.resize);
		break;
	case WIRE_LIMITS:
		rc = wire_get_limits(f->payload, f->len, &m.limits);
		if (rc == 0)
			set_limits(a, &m.limits);
		break;
	case WIRE_TIME:
		rc = wire_get_time(f->payload, f->len, &m.time);
		if (rc == 0)
			set_clock(&m.time);
		break;
	case WIRE_QUERY:
		rc = wire_get_query(f->payload, f->len, &m.query);
		if (rc == 0)
			usage_answer(a, &m.query);
		break;
	case WIRE_SYNC:
		rc = wire_get_sync(f->payload, f->len, &m.sync);
		if (rc == 0)
			sync_start(a, &m.sync);
		break;
	}
	return rc;
}

void serve_flush(struct agent *a)
{
	while (a->out.len) {
		ssize_t n = send(a->control, a->out.s, a->out.len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return; /* blocked: the loop goes on; or lost: the reader sees it */
		a->out.len -= (size_t)n;
		memmove(a->out.s, a->out.s + n, a->out.len);
	}
}

/* Serves the frames that are complete. */
static int serve_frames(struct agent *a)
{
	struct wire_frame f;
	int rc;

	while ((rc = wire_frame_next(a->in.s, a->in.len, &f)) == 1) {
		rc = on_frame(a, &f);
		if (rc < 0)
			return rc;
		consume(a, f.used);
	}
	return rc;
}

static void on_control(void *arg, uint32_t events)
{
	struct agent *a = arg;
	int rc;

	(void)events;
	serve_flush(a);
	do {
		rc = serve_frames(a); /* the first ones may have come along with BOOT */
		if (rc == 0)
			rc = fill(a);
	} while (rc == 0);
	if (rc == -EAGAIN)
		return;
	if (rc == -EPROTO)
		agent_say("the host sent a bad frame");
	loop_stop(a->loop, rc); /* without its host the VM has no purpose */
}

int serve_start(struct agent *a, struct err *e)
{
	int rc = fd_set_nonblock(a->control, true);

	if (rc < 0)
		return err_set(e, -rc, "control connection: %s", strerror(-rc));
	a->control_watch = loop_add(a->loop, a->control, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
				    on_control, a, e);
	return a->control_watch ? 0 : -EIO;
}
