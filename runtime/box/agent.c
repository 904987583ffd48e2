/* agent.c: frames from and to the guest's agent, its streams' openings; see agent.h. */
#include "runtime/box/agent.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/box/state.h"
#include "runtime/virtio/vsock.h"
#include "vsock/codec.h"

/* The agent's frames are small: a process with its command line is the longest. */
#define AGENT_FRAME_MAX (64U << 10)
/* Stream connections that have not said yet whose they are. */
#define AGENT_OPENING_MAX 1024

/* A connection to WIRE_PORT_STREAM: first a STREAM frame, then a task's bytes. */
struct opening {
	struct agent *agent;
	struct opening *next;
	struct io_stream *stream; /* once it is known */
	uint8_t which;
};

struct agent {
	struct loop *loop;
	const struct agent_ops *ops;
	void *arg;
	struct vsock_conn *control;
	struct str in;
	bool said_hello, muted;
	struct opening *openings; /* all stream connections */
	unsigned nopening;	  /* those that have not said whose they are */
	struct loop_timer *clock;
};

struct agent *agent_new(struct loop *l, const struct agent_ops *ops, void *arg)
{
	struct agent *a = xcalloc(1, sizeof(*a));

	*a = (struct agent){ .loop = l, .ops = ops, .arg = arg };
	return a;
}

void agent_leave_time(struct agent *a)
{
	loop_cancel(a->clock);
	a->clock = NULL;
}

void agent_mute(struct agent *a)
{
	a->muted = true;
	agent_leave_time(a);
}

void agent_free(struct agent *a)
{
	if (a == NULL)
		return;
	loop_cancel(a->clock);
	str_free(&a->in);
	free(a);
}

static int fail(struct agent *a, const char *why)
{
	if (!a->muted) {
		agent_mute(a);
		a->ops->failed(a->arg, why);
	}
	return -EPROTO;
}

/* --- frames */

typedef int frame_fn(struct agent *a, const struct wire_frame *f);

static int on_hello(struct agent *a, const struct wire_frame *f)
{
	struct wire_hello m;

	if (wire_get_hello(f->payload, f->len, &m) < 0)
		return -EPROTO;
	if (a->said_hello || m.version != WIRE_VERSION)
		return -EPROTO;
	a->said_hello = true;
	a->ops->hello(a->arg, &m);
	return 0;
}

static int on_started(struct agent *a, const struct wire_frame *f)
{
	struct wire_started m;

	if (wire_get_started(f->payload, f->len, &m) < 0)
		return -EPROTO;
	a->ops->started(a->arg, &m);
	return 0;
}

static int on_ending(struct agent *a, const struct wire_frame *f)
{
	struct wire_ending m;

	if (wire_get_ending(f->payload, f->len, &m) < 0)
		return -EPROTO;
	a->ops->ending(a->arg, &m);
	return 0;
}

static int on_oom(struct agent *a, const struct wire_frame *f)
{
	struct wire_oom m;

	if (wire_get_oom(f->payload, f->len, &m) < 0)
		return -EPROTO;
	a->ops->oom(a->arg, &m);
	return 0;
}

static int on_failed(struct agent *a, const struct wire_frame *f)
{
	struct wire_failed m;

	if (wire_get_failed(f->payload, f->len, &m) < 0)
		return -EPROTO;
	a->ops->refused(a->arg, &m);
	wire_failed_free(&m);
	return 0;
}

static int on_exited(struct agent *a, const struct wire_frame *f)
{
	struct wire_exited m;

	if (wire_get_exited(f->payload, f->len, &m) < 0)
		return -EPROTO;
	a->ops->exited(a->arg, &m);
	return 0;
}

static int on_memory(struct agent *a, const struct wire_frame *f)
{
	struct wire_memory m;

	if (wire_get_memory(f->payload, f->len, &m) < 0)
		return -EPROTO;
	a->ops->memory(a->arg, &m);
	return 0;
}

static int on_process(struct agent *a, const struct wire_frame *f)
{
	struct wire_process m;

	if (wire_get_process(f->payload, f->len, &m) < 0)
		return -EPROTO;
	a->ops->process(a->arg, &m);
	wire_process_free(&m);
	return 0;
}

static int on_stats(struct agent *a, const struct wire_frame *f)
{
	struct wire_stats m;

	if (wire_get_stats(f->payload, f->len, &m) < 0)
		return -EPROTO;
	a->ops->stats(a->arg, &m);
	return 0;
}

static int on_synced(struct agent *a, const struct wire_frame *f)
{
	struct wire_synced m;

	if (wire_get_synced(f->payload, f->len, &m) < 0)
		return -EPROTO;
	a->ops->synced(a->arg, &m);
	return 0;
}

static int handle(struct agent *a, const struct wire_frame *f)
{
	static frame_fn *const rows[] = {
		[WIRE_HELLO] = on_hello,   [WIRE_STARTED] = on_started, [WIRE_FAILED] = on_failed,
		[WIRE_EXITED] = on_exited, [WIRE_MEMORY] = on_memory,	[WIRE_ENDING] = on_ending,
		[WIRE_OOM] = on_oom,	   [WIRE_PROCESS] = on_process, [WIRE_STATS] = on_stats,
		[WIRE_SYNCED] = on_synced,
	};

	if (f->type >= sizeof(rows) / sizeof(rows[0]) || rows[f->type] == NULL)
		return -EPROTO;
	if (!a->said_hello && f->type != WIRE_HELLO)
		return -EPROTO;
	return rows[f->type](a, f);
}

/* Handles the frames that are complete. */
static int take_frames(struct agent *a)
{
	struct wire_frame f;
	size_t used = 0;
	int rc = 0;

	while (!a->muted && (rc = wire_frame_next(a->in.s + used, a->in.len - used, &f)) == 1) {
		rc = f.len > AGENT_FRAME_MAX ? -EPROTO : handle(a, &f);
		if (rc < 0)
			return rc;
		used += f.used;
	}
	memmove(a->in.s, a->in.s + used, a->in.len - used);
	a->in.len -= used;
	return rc < 0 || (!a->muted && a->in.len > AGENT_FRAME_MAX + WIRE_HEADER_SIZE) ? -EPROTO
										       : 0;
}

static ssize_t control_push(struct vsock_conn *c, void *arg, const struct iovec *iov, int n)
{
	struct agent *a = arg;
	size_t total = 0;

	(void)c;
	for (int i = 0; i < n; i++) {
		const char *from = iov[i].iov_base;
		size_t left = iov[i].iov_len;

		total += left;
		while (left && !a->muted) {
			size_t k = left < AGENT_FRAME_MAX ? left : AGENT_FRAME_MAX;

			str_add_mem(&a->in, from, k);
			if (take_frames(a) < 0)
				return fail(a, "the guest's agent sent a malformed message");
			from += k;
			left -= k;
		}
	}
	return (ssize_t)total;
}

static ssize_t no_pull(struct vsock_conn *c, void *arg, const struct iovec *iov, int n)
{
	(void)c;
	(void)arg;
	(void)iov;
	(void)n;
	return -EAGAIN;
}

static void hung_up(struct agent *a)
{
	if (a->muted)
		return;
	agent_mute(a);
	a->ops->hung_up(a->arg);
}

static void control_eof(struct vsock_conn *c, void *arg)
{
	(void)c;
	hung_up(arg);
}

static void control_closed(struct vsock_conn *c, void *arg)
{
	struct agent *a = arg;

	(void)c;
	a->control = NULL;
	hung_up(a);
}

static const struct vsock_conn_ops control_ops = {
	.push = control_push,
	.pull = no_pull,
	.eof = control_eof,
	.closed = control_closed,
};

int agent_send(struct agent *a, struct str *frame)
{
	int rc = a->control ? vsock_send(a->control, frame->s, frame->len) : -ENOTCONN;

	frame->len = 0;
	return rc;
}

/* --- streams */

/* The first frame; its length, 0 if more bytes are needed. */
static ssize_t open_stream(struct opening *o, struct vsock_conn *c, const struct iovec *iov, int n)
{
	struct agent *a = o->agent;
	uint8_t head[WIRE_HEADER_SIZE + 16];
	struct wire_frame f;
	struct wire_open m;
	size_t len = 0;
	int rc;

	for (int i = 0; i < n && len < sizeof(head); i++) {
		size_t k =
			iov[i].iov_len < sizeof(head) - len ? iov[i].iov_len : sizeof(head) - len;

		memcpy(head + len, iov[i].iov_base, k);
		len += k;
	}
	rc = wire_frame_next(head, len, &f);
	if (rc == 0 && len < sizeof(head))
		return 0;
	if (rc != 1 || f.type != WIRE_STREAM || wire_get_open(f.payload, f.len, &m) < 0)
		return fail(a, "the guest's agent opened a stream with a malformed message");
	a->nopening--;
	o->which = m.which;
	o->stream = a->ops->stream(a->arg, &m);
	if (o->stream == NULL || !io_stream_bind(o->stream, c)) {
		o->stream = NULL;
		a->nopening++;
		return -ECONNREFUSED;
	}
	return (ssize_t)f.used;
}

/* iov from `skip` on, in place. */
static int iov_skip(struct iovec *out, const struct iovec *iov, int n, size_t skip)
{
	int k = 0;

	for (int i = 0; i < n; i++) {
		size_t over = skip < iov[i].iov_len ? skip : iov[i].iov_len;

		skip -= over;
		if (iov[i].iov_len == over)
			continue;
		out[k++] = (struct iovec){ (char *)iov[i].iov_base + over, iov[i].iov_len - over };
	}
	return k;
}

static ssize_t stream_push(struct vsock_conn *c, void *arg, const struct iovec *iov, int n)
{
	struct opening *o = arg;
	struct iovec *rest;
	ssize_t head, taken;
	int k;

	if (o->stream && o->which != WIRE_STDIN)
		return io_stream_push(o->stream, iov, n);
	if (o->stream || o->agent->muted)
		return -EPROTO; /* nobody writes to its own stdin */
	head = open_stream(o, c, iov, n);
	if (head <= 0)
		return head;
	rest = xcalloc((size_t)n, sizeof(*rest));
	k = iov_skip(rest, iov, n, (size_t)head);
	taken = k == 0 ? 0 : o->which == WIRE_STDIN ? -EPROTO : io_stream_push(o->stream, rest, k);
	free(rest);
	return taken < 0 ? taken : head + taken;
}

static ssize_t stream_pull(struct vsock_conn *c, void *arg, const struct iovec *iov, int n)
{
	struct opening *o = arg;

	(void)c;
	return o->stream ? io_stream_pull(o->stream, iov, n) : -EAGAIN;
}

static void stream_eof(struct vsock_conn *c, void *arg)
{
	struct opening *o = arg;

	if (o->stream && o->which != WIRE_STDIN)
		io_stream_eof(o->stream);
	else if (o->stream == NULL)
		vsock_reset(c);
}

static void stream_closed(struct vsock_conn *c, void *arg)
{
	struct opening *o = arg, **at;

	(void)c;
	for (at = &o->agent->openings; *at != o; at = &(*at)->next)
		;
	*at = o->next;
	if (o->stream)
		io_stream_closed(o->stream);
	else
		o->agent->nopening--;
	free(o);
}

static const struct vsock_conn_ops stream_ops = {
	.push = stream_push,
	.pull = stream_pull,
	.eof = stream_eof,
	.closed = stream_closed,
};

const struct vsock_conn_ops *agent_accept(void *agent, struct vsock_conn *c, uint32_t port,
					  void **arg)
{
	struct agent *a = agent;
	struct opening *o;

	/* a process of the container's may dial, too: it has nothing to say here */
	if (vsock_guest_port(c) > WIRE_AGENT_PORT_MAX)
		return NULL;
	if (port == WIRE_PORT_CONTROL && a->control == NULL && !a->said_hello && !a->muted) {
		a->control = c;
		*arg = a;
		return &control_ops;
	}
	if (port != WIRE_PORT_STREAM || a->muted || a->nopening >= AGENT_OPENING_MAX)
		return NULL;
	o = xcalloc(1, sizeof(*o));
	*o = (struct opening){ .agent = a, .next = a->openings };
	a->openings = o;
	a->nopening++;
	*arg = o;
	return &stream_ops;
}

/* --- the clock */

static void tick(void *arg)
{
	struct agent *a = arg;
	struct wire_time m = { .realtime_ns = (uint64_t)state_now() };
	struct str frame = STR_INIT;

	wire_put_time(&frame, &m);
	agent_send(a, &frame);
	str_free(&frame);
	a->clock = loop_after(a->loop, AGENT_TIME_NS, tick, a);
}

void agent_keep_time(struct agent *a)
{
	if (a->clock == NULL)
		a->clock = loop_after(a->loop, AGENT_TIME_NS, tick, a);
}

void agent_set_time(struct agent *a)
{
	agent_leave_time(a);
	tick(a);
}
