/* task.c: the holder's tasks: their streams, and what the agent says about them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/log.h"
#include "runtime/box/holder.h"
#include "runtime/box/state.h"
#include "vsock/codec.h"

/*
 * How long a task that has ended is waited for its streams' ends to arrive:
 * the agent sends everything before EXITED, so this only bounds an agent that
 * keeps a stream open.
 */
#define GRACE_NS (100ULL * 1000000)
/* How long after the agent hung up the VM may take to be seen to end. */
#define DOUBT_NS (3ULL * 1000000000)

static void stream_changed(void *arg, struct io_stream *s);
static bool stream_broke(void *arg, struct io_stream *s, const void *owner);

static const struct io_stream_ops stream_ops = {
	.changed = stream_changed,
	.broke = stream_broke,
};

struct task *task_new(struct holder *h, uint32_t id, bool tty, bool open_stdin)
{
	struct task *t = xcalloc(1, sizeof(*t));

	*t = (struct task){ .next = h->tasks, .holder = h, .id = id, .tty = tty };
	h->tasks = t;
	h->ntasks++;
	if (tty) {
		t->stream[WIRE_TTY] = io_stream_new(h->loop, &stream_ops, t);
		return t;
	}
	if (open_stdin)
		t->stream[WIRE_STDIN] = io_stream_new(h->loop, &stream_ops, t);
	t->stream[WIRE_STDOUT] = io_stream_new(h->loop, &stream_ops, t);
	t->stream[WIRE_STDERR] = io_stream_new(h->loop, &stream_ops, t);
	return t;
}

void task_free(struct task *t)
{
	struct task **at = &t->holder->tasks;

	while (*at != t)
		at = &(*at)->next;
	*at = t->next;
	t->holder->ntasks--;
	loop_cancel(t->grace);
	for (int i = 0; i < 4; i++)
		io_stream_free(t->stream[i]);
	free(t);
}

struct task *task_find(struct holder *h, uint32_t id)
{
	struct task *t = h->tasks;

	while (t && t->id != id)
		t = t->next;
	return t;
}

static void attach_one(struct io_stream *s, int fd, struct ctl_peer *owner, bool sink)
{
	if (fd < 0)
		return;
	if (s == NULL)
		close(fd);
	else if (sink)
		io_stream_add_sink(s, fd, owner);
	else
		io_stream_add_source(s, fd, owner);
}

void task_attach(struct task *t, const struct box_stdio *io, struct ctl_peer *owner)
{
	if (t->tty) {
		attach_one(t->stream[WIRE_TTY], io->in, owner, false);
		attach_one(t->stream[WIRE_TTY], io->out, owner, true);
		attach_one(NULL, io->err, owner, true); /* all is on stdout */
		return;
	}
	attach_one(t->stream[WIRE_STDIN], io->in, owner, false);
	attach_one(t->stream[WIRE_STDOUT], io->out, owner, true);
	attach_one(t->stream[WIRE_STDERR], io->err, owner, true);
}

void task_detach(struct task *t, struct ctl_peer *owner)
{
	for (int i = 0; i < 4; i++) {
		if (t->stream[i])
			io_stream_drop(t->stream[i], owner);
	}
}

bool task_written(const struct task *t, const struct ctl_peer *owner)
{
	for (int i = 0; i < 4; i++) {
		if (t->stream[i] && !io_stream_written(t->stream[i], owner))
			return false;
	}
	return true;
}

void task_event(const struct task *t, struct ctl_peer *to)
{
	struct ctl_msg m = { .type = CTL_EVENT, .task = t->id, .code = t->code };

	if (!t->over)
		m.kind = BOX_EV_STARTED;
	else
		m.kind = t->how == TASK_FAILED ? BOX_EV_FAILED : BOX_EV_EXITED;
	memcpy(m.text, t->message, sizeof(m.text));
	ctl_send(to, &m);
}

static bool streams_over(const struct task *t)
{
	for (int i = WIRE_STDOUT; i < 4; i++) {
		if (t->stream[i] && !io_stream_over(t->stream[i]))
			return false;
	}
	return true;
}

static void stream_changed(void *arg, struct io_stream *s)
{
	struct task *t = arg;

	(void)s;
	if (t->over && !t->settled && streams_over(t))
		t->settled = true;
	if (t->over)
		holder_check(t->holder);
}

/* Where a pipeline's reader has gone, its writer is to know. */
static bool stream_broke(void *arg, struct io_stream *s, const void *owner)
{
	struct task *t = arg;
	struct holder *h = t->holder;

	(void)s;
	if (owner == NULL)
		return true;
	if (owner == t->owner || (t == h->main && owner == h->starter))
		return true;
	/* one that only looked on: it is to know, the workload is not */
	ctl_drop((struct ctl_peer *)(uintptr_t)owner);
	return false;
}

static void grace_over(void *arg)
{
	struct task *t = arg;

	t->grace = NULL;
	t->settled = true;
	holder_check(t->holder);
}

void task_say(struct task *t, const char *message)
{
	snprintf(t->message, sizeof(t->message), "%s", message ? message : "");
}

void task_over(struct task *t, int how, int code, const char *message)
{
	if (t->over)
		return;
	t->over = true;
	t->how = how;
	t->code = code;
	task_say(t, message);
	/* the VM goes with task 1: nothing may stay in it */
	for (int i = WIRE_STDOUT; i < 4 && t == t->holder->main; i++) {
		if (t->stream[i])
			io_stream_finish(t->stream[i]);
	}
	t->settled = streams_over(t);
	if (!t->settled)
		t->grace = loop_after(t->holder->loop, GRACE_NS, grace_over, t);
	holder_check(t->holder);
}

/* --- the agent's word */

static void on_hello(void *arg, const struct wire_hello *m)
{
	struct holder *h = arg;
	struct str frame = STR_INIT;

	log_step("agent says hello (guest up for %.1f ms, %llu of %llu MiB free)",
		 (double)m->boot_ns / 1e6, (unsigned long long)(m->mem_free >> 20),
		 (unsigned long long)(m->mem_total >> 20));
	boot_frame(&frame, h->spec, machine_room(h->vm.machine), h->rows, h->cols);
	if (agent_send(h->agent, &frame) < 0)
		holder_end(h, TASK_FAILED, BOX_CODE_FAILED,
			   "the guest's agent cannot be talked to");
	str_free(&frame);
}

static void on_started(void *arg, const struct wire_started *m)
{
	struct holder *h = arg;
	struct task *t = task_find(h, m->task);

	if (t == NULL || t->started || t->over)
		return;
	t->started = true;
	if (t == h->main)
		holder_started(h);
	else if (t->owner)
		task_event(t, t->owner);
}

static void on_refused(void *arg, const struct wire_failed *m)
{
	struct holder *h = arg;
	struct task *t = task_find(h, m->task);

	if (t == NULL || t->over)
		return;
	/* it goes to a terminal: a guest must not write to that in zl's name */
	for (char *c = m->message; *c; c++) {
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = '?';
	}
	if (t == h->main)
		holder_end(h, TASK_FAILED, m->exit_code, m->message);
	else
		task_over(t, TASK_FAILED, m->exit_code, m->message);
}

/* Something in the container was killed for want of memory. */
static void struck(struct holder *h)
{
	h->state.oom_killed = true;
	events_box(&h->events, h->spec, "oom", NULL);
}

static void on_oom(void *arg, const struct wire_oom *m)
{
	struct holder *h = arg;

	log_step("the guest's OOM killer struck, %llu times by now", (unsigned long long)m->kills);
	if (h->phase != HOLDER_RUNNING)
		return;
	struck(h);
	state_write(h->dirfd, &h->state, NULL);
}

static void on_exited(void *arg, const struct wire_exited *m)
{
	struct holder *h = arg;
	struct task *t = task_find(h, m->task);

	if (t == NULL || t->over)
		return;
	if (t != h->main) {
		char code[16];

		snprintf(code, sizeof(code), "%d", m->code);
		events_box(&h->events, h->spec, "exec_die", "execID", t->exec_id, "exitCode", code,
			   NULL);
		task_over(t, TASK_EXITED, m->code, "");
		return;
	}
	if (m->oom && !h->state.oom_killed)
		struck(h);
	holder_end(h, TASK_EXITED, m->code, "");
}

static void on_memory(void *arg, const struct wire_memory *m)
{
	vm_grow(arg, m->bytes);
}

static void on_ending(void *arg, const struct wire_ending *m)
{
	if (m->task == WIRE_TASK_MAIN)
		request_ending(arg);
}

static void on_process(void *arg, const struct wire_process *m)
{
	query_process(arg, m);
}

static void on_stats(void *arg, const struct wire_stats *m)
{
	query_stats(arg, m);
}

static void on_synced(void *arg, const struct wire_synced *m)
{
	request_synced(arg, m);
}

static struct io_stream *on_stream(void *arg, const struct wire_open *m)
{
	struct task *t = task_find(arg, m->task);

	return t && m->which < 4 ? t->stream[m->which] : NULL;
}

static void on_failed(void *arg, const char *why)
{
	struct holder *h = arg;
	char message[BOX_MESSAGE_MAX];

	snprintf(message, sizeof(message), "the VM was ended: %s", why);
	holder_end(h, h->main->started ? TASK_EXITED : TASK_FAILED, BOX_CODE_FAILED, message);
}

static void doubt_over(void *arg)
{
	struct holder *h = arg;

	h->doubt = NULL;
	on_failed(h, "the guest's agent hung up");
}

/* The VM's end is about to be reported, with a better reason than this. */
static void on_hung_up(void *arg)
{
	struct holder *h = arg;

	if (h->phase < HOLDER_ENDING)
		h->doubt = loop_after(h->loop, DOUBT_NS, doubt_over, h);
}

const struct agent_ops task_agent_ops = {
	.hello = on_hello,
	.started = on_started,
	.refused = on_refused,
	.exited = on_exited,
	.memory = on_memory,
	.ending = on_ending,
	.oom = on_oom,
	.synced = on_synced,
	.process = on_process,
	.stats = on_stats,
	.stream = on_stream,
	.failed = on_failed,
	.hung_up = on_hung_up,
};
