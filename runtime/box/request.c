/* request.c: what clients ask of a running container; see ctl.h. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/own.h"
#include "runtime/box/holder.h"
#include "runtime/box/restart.h"
#include "runtime/box/state.h"
#include "vsock/codec.h"

/*
 * A guest that does not take notice of SIGKILL for so long (its kernel hangs) is ended with its
 * VM; one that has, and syncs what was written, has a while more.
 */
#define KILL_ANSWER_NS (2ULL * 1000000000)
#define KILL_SYNC_NS   (30ULL * 1000000000)
/* Longest stop timeout that is waited for; docker's are seconds. */
#define STOP_MAX_S (365LL * 24 * 3600)

static int send_signal(struct holder *h, uint32_t task, int sig)
{
	struct wire_signal m = { .task = task, .signal = (uint32_t)sig };
	own_str struct str frame = STR_INIT;

	wire_put_signal(&frame, &m);
	return agent_send(h->agent, &frame);
}

void request_task_signal(struct holder *h, const struct task *t, int sig)
{
	send_signal(h, t->id, sig);
}

static void impatient(void *arg)
{
	struct holder *h = arg;

	h->stop_timer = NULL;
	holder_end(h, h->main->started ? TASK_EXITED : TASK_FAILED, BOX_CODE_KILLED,
		   "the VM did not react and was killed");
}

static void kill_now(struct holder *h)
{
	if (h->killed)
		return; /* whoever asks again must not make it wait longer */
	h->killed = true;
	loop_cancel(h->stop_timer);
	h->stop_timer =
		loop_after(h->loop, h->ending ? KILL_SYNC_NS : KILL_ANSWER_NS, impatient, h);
}

void request_ending(struct holder *h)
{
	if (h->ending || h->phase != HOLDER_RUNNING)
		return; /* once: a guest must not put its end off for ever */
	h->ending = true;
	if (!h->killed)
		return;
	loop_cancel(h->stop_timer);
	h->stop_timer = loop_after(h->loop, KILL_SYNC_NS, impatient, h);
}

void request_signal(struct holder *h, int sig)
{
	char number[16];

	if (h->phase == HOLDER_BOOTING) {
		if (sig == SIGKILL)
			holder_end(h, TASK_FAILED, BOX_CODE_KILLED,
				   "killed before the workload ran");
		else if (h->nwaiting < HOLDER_SIGNALS_MAX)
			h->waiting[h->nwaiting++] = sig;
		return;
	}
	if (h->phase != HOLDER_RUNNING)
		return;
	snprintf(number, sizeof(number), "%d", sig);
	events_box(&h->events, h->spec, "kill", "signal", number, NULL);
	if (sig == SIGKILL)
		kill_now(h);
	send_signal(h, WIRE_TASK_MAIN, sig);
	pause_signalled(h, sig);
}

static void stop_timeout(void *arg)
{
	struct holder *h = arg;

	h->stop_timer = NULL;
	request_signal(h, SIGKILL);
}

void request_stop(struct holder *h, int sig, int64_t timeout_s)
{
	request_signal(h, sig);
	if (h->killed || sig == SIGKILL || timeout_s < 0 || h->phase >= HOLDER_ENDING)
		return;
	if (timeout_s > STOP_MAX_S)
		timeout_s = STOP_MAX_S;
	loop_cancel(h->stop_timer);
	h->stop_timer = loop_after(h->loop, (uint64_t)timeout_s * 1000000000, stop_timeout, h);
}

/* The descriptors as they came, in box_stdio's places; false if their number is wrong. */
static bool sort_stdio(const struct ctl_msg *m, int *fds, size_t nfds, struct box_stdio *io)
{
	int *slot[3] = { &io->in, &io->out, &io->err };
	size_t k = 0;

	*io = (struct box_stdio){
		.in = -1, .out = -1, .err = -1, .rows = m->rows, .cols = m->cols
	};
	for (unsigned i = 0; i < 3; i++) {
		if (!(m->streams & (1U << i)))
			continue;
		if (k == nfds)
			return false;
		*slot[i] = fds[k++];
	}
	return k == nfds;
}

static void close_all(int *fds, size_t nfds)
{
	for (size_t i = 0; i < nfds; i++)
		close(fds[i]);
}

static void attach(struct holder *h, struct ctl_peer *p, const struct ctl_msg *m, int *fds,
		   size_t nfds)
{
	struct box_stdio io;

	if (!sort_stdio(m, fds, nfds, &io)) {
		close_all(fds, nfds);
		ctl_reply(p, -EPROTO, 0, "malformed request");
		return;
	}
	events_box(&h->events, h->spec, "attach", NULL);
	task_attach(h->main, &io, p);
	ctl_reply(p, 0, WIRE_TASK_MAIN, NULL);
}

static void task_signal(struct holder *h, struct ctl_peer *p, const struct ctl_msg *m)
{
	struct task *t = task_find(h, m->task);

	if (m->signal < 1 || m->signal > 64) {
		ctl_reply(p, -EINVAL, 0, "invalid signal");
		return;
	}
	if (t == NULL || t->over) {
		ctl_reply(p, -ESRCH, 0, "the process has ended");
		return;
	}
	if (t == h->main) {
		h->stopped = h->stopped || restart_signal_ends(h->spec, (int)m->signal);
		request_signal(h, (int)m->signal);
	} else {
		send_signal(h, t->id, (int)m->signal);
	}
	ctl_reply(p, 0, t->id, NULL);
}

static void resize(struct holder *h, struct ctl_peer *p, const struct ctl_msg *m)
{
	struct wire_resize r = { .task = m->task, .rows = m->rows, .cols = m->cols };
	struct task *t = task_find(h, m->task);
	own_str struct str frame = STR_INIT;

	if (t == NULL || !t->tty) {
		ctl_reply(p, -EINVAL, 0, "it has no terminal");
		return;
	}
	if (t == h->main) {
		char height[8], width[8];

		h->rows = m->rows;
		h->cols = m->cols;
		snprintf(height, sizeof(height), "%u", (unsigned)m->rows);
		snprintf(width, sizeof(width), "%u", (unsigned)m->cols);
		events_box(&h->events, h->spec, "resize", "height", height, "width", width, NULL);
	}
	wire_put_resize(&frame, &r);
	agent_send(h->agent, &frame); /* before BOOT: it will bring the size */
	ctl_reply(p, 0, t->id, NULL);
}

static void stop(struct holder *h, struct ctl_peer *p, const struct ctl_msg *m)
{
	if (m->signal < 1 || m->signal > 64) {
		ctl_reply(p, -EINVAL, 0, "invalid signal");
		return;
	}
	h->stopped = true;
	request_stop(h, (int)m->signal, m->timeout_s);
	ctl_reply(p, 0, WIRE_TASK_MAIN, NULL);
}

static void pause_or_not(struct holder *h, struct ctl_peer *p, bool on)
{
	struct err e = ERR_INIT;
	int rc;

	if (h->phase != HOLDER_RUNNING)
		rc = err_set(&e, ESRCH, "container %s is not running", h->spec->id);
	else
		rc = on ? pause_begin(h, &e) : pause_end(h, &e);
	ctl_reply(p, rc, WIRE_TASK_MAIN, e.msg);
}

static void sync_guest(struct holder *h, struct ctl_peer *p)
{
	own_str struct str frame = STR_INIT;
	struct syncing *s;
	struct wire_sync m;

	if (h->phase != HOLDER_RUNNING) {
		ctl_reply(p, -ESRCH, 0, "the container is not running");
		return;
	}
	if (h->state.status == BOX_PAUSED) {
		ctl_reply(p, -EBUSY, 0, "the container is paused");
		return;
	}
	s = xcalloc(1, sizeof(*s));
	*s = (struct syncing){ .next = h->syncs, .request = ++h->next_sync, .peer = p };
	h->syncs = s;
	m.request = s->request;
	wire_put_sync(&frame, &m);
	agent_send(h->agent, &frame);
}

/* Takes *at out of the list; who asked. */
static struct ctl_peer *sync_drop(struct syncing **at)
{
	struct syncing *s = *at;
	struct ctl_peer *p = s->peer;

	*at = s->next;
	free(s);
	return p;
}

void request_synced(struct holder *h, const struct wire_synced *m)
{
	for (struct syncing **at = &h->syncs; *at; at = &(*at)->next) {
		if ((*at)->request != m->request)
			continue;
		ctl_reply(sync_drop(at), -(int)m->error, WIRE_TASK_MAIN,
			  m->error ? strerror((int)m->error) : NULL);
		return;
	}
}

void request_free(struct holder *h)
{
	while (h->syncs)
		sync_drop(&h->syncs);
}

/* The container's task with the exec's differences. */
void request_exec(struct holder *h, const struct task *t, const struct box_exec *x,
		  const struct box_stdio *io)
{
	const struct box_spec *spec = h->spec;
	own_str struct str frame = STR_INIT;
	struct wire_task w = { .id = t->id, .rows = io->rows, .cols = io->cols };

	w.flags = (x->tty ? WIRE_TASK_TTY : 0) | (x->open_stdin ? WIRE_TASK_STDIN : 0) |
		  (x->privileged || spec->privileged ? WIRE_TASK_PRIVILEGED : 0) |
		  (spec->no_new_privs ? WIRE_TASK_NO_NEW_PRIVS : 0) |
		  (x->unpack ? WIRE_TASK_UNPACK : 0);
	w.caps = x->privileged ? UINT64_MAX : spec->caps;
	strv_add_all(&w.argv, &x->argv);
	strv_add_all(&w.env, &spec->env);
	if (x->tty && strv_env_get(&w.env, "TERM") == NULL)
		strv_add(&w.env, "TERM=xterm");
	for (size_t i = 0; i < x->env.n; i++) {
		if (strchr(x->env.v[i], '='))
			strv_env_set(&w.env, x->env.v[i]);
		else
			strv_env_unset(&w.env, x->env.v[i]);
	}
	w.cwd = xstrdup(x->cwd ? x->cwd : spec->cwd);
	w.user = xstrdup(x->user ? x->user : spec->user);
	if (x->user == NULL)
		strv_add_all(&w.groups, &spec->groups);
	wire_put_exec(&frame, &w);
	agent_send(h->agent, &frame);
	wire_task_free(&w);
}

/* docker's actions of an exec have the command in them: "exec_start: ls -l". */
static void add_exec(struct holder *h, struct task *t, const struct box_exec *x)
{
	static const char *const names[] = { "exec_create", "exec_start" };
	unsigned char id[BOX_ID_LEN / 2];

	random_bytes(id, sizeof(id));
	hex_encode(t->exec_id, id, sizeof(id));
	for (int i = 0; i < 2; i++) {
		own_str struct str action = STR_INIT;

		str_addf(&action, "%s: %s ", names[i], x->argv.n ? x->argv.v[0] : "");
		for (size_t k = 1; k < x->argv.n; k++)
			str_addf(&action, "%s%s", k > 1 ? " " : "", x->argv.v[k]);
		events_box(&h->events, h->spec, action.s, "execID", t->exec_id, NULL);
	}
}

static int may_exec(const struct holder *h, struct err *e)
{
	if (h->phase != HOLDER_RUNNING)
		return err_set(e, ESRCH, "container %s is not running", h->spec->id);
	if (h->state.status == BOX_PAUSED)
		return err_set(e, EBUSY,
			       "Container %s is paused, unpause the container before exec",
			       h->spec->id);
	if (h->ntasks >= HOLDER_TASKS_MAX)
		return err_set(e, EAGAIN, "too many processes were started by exec");
	return 0;
}

static void exec(struct holder *h, struct ctl_peer *p, const struct ctl_msg *m, int *fds,
		 size_t nfds)
{
	struct err e = ERR_INIT;
	struct box_stdio io;
	struct box_exec x;
	struct task *t;

	if (nfds < 1 || !sort_stdio(m, fds + 1, nfds - 1, &io) ||
	    ctl_exec_read(fds[0], &x, &e) < 0) {
		close_all(fds, nfds);
		ctl_reply(p, -EPROTO, 0, "malformed request");
		return;
	}
	close(fds[0]);
	if (may_exec(h, &e) < 0) {
		close_all(fds + 1, nfds - 1);
		ctl_exec_free(&x);
		ctl_reply(p, -e.code, 0, e.msg);
		return;
	}
	x.open_stdin = x.open_stdin && io.in >= 0;
	t = task_new(h, ++h->next_task, x.tty, x.open_stdin);
	t->owner = p;
	task_attach(t, &io, p);
	if (t->stream[WIRE_STDIN])
		io_stream_end_with_sources(t->stream[WIRE_STDIN], true);
	add_exec(h, t, &x);
	request_exec(h, t, &x, &io);
	ctl_exec_free(&x);
	ctl_reply(p, 0, t->id, NULL);
}

static void query(struct holder *h, struct ctl_peer *p, const struct ctl_msg *m, int *fds,
		  size_t nfds)
{
	struct err e = ERR_INIT;

	if (nfds != 1) {
		close_all(fds, nfds);
		ctl_reply(p, -EPROTO, 0, "malformed request");
		return;
	}
	if (query_begin(h, p, m->task == 1, fds[0], &e) < 0)
		ctl_reply(p, -e.code, 0, e.msg);
}

static void refuse_ended(const struct holder *h, struct ctl_peer *p)
{
	char text[BOX_MESSAGE_MAX];

	snprintf(text, sizeof(text), "container %s is not running", h->spec->id);
	ctl_reply(p, -ESRCH, 0, text);
}

static void request(void *arg, struct ctl_peer *p, const struct ctl_msg *m, int *fds, size_t nfds)
{
	struct holder *h = arg;

	if (h->phase >= HOLDER_ENDING && m->type != CTL_STOP) {
		refuse_ended(h, p);
		close_all(fds, nfds);
		return;
	}
	if (m->type == CTL_ATTACH) {
		attach(h, p, m, fds, nfds);
		return;
	}
	if (m->type == CTL_EXEC) {
		exec(h, p, m, fds, nfds);
		return;
	}
	if (m->type == CTL_QUERY) {
		query(h, p, m, fds, nfds);
		return;
	}
	close_all(fds, nfds);
	if (m->type == CTL_SIGNAL)
		task_signal(h, p, m);
	else if (m->type == CTL_RESIZE)
		resize(h, p, m);
	else if (m->type == CTL_STOP)
		stop(h, p, m);
	else if (m->type == CTL_PAUSE || m->type == CTL_UNPAUSE)
		pause_or_not(h, p, m->type == CTL_PAUSE);
	else if (m->type == CTL_SYNC)
		sync_guest(h, p);
	else if (m->type == CTL_REREAD)
		reread(h, p);
	else
		ctl_reply(p, -EPROTO, 0, "the container's zl is of another version");
}

static void joined(void *arg, struct ctl_peer *p)
{
	struct holder *h = arg;

	if (h->main->started)
		task_event(h->main, p);
}

static void left(void *arg, struct ctl_peer *p)
{
	struct holder *h = arg;

	for (struct task *t = h->tasks; t; t = t->next) {
		task_detach(t, p);
		if (t->owner == p)
			t->owner = NULL;
	}
	query_forget(h, p);
	for (struct syncing **at = &h->syncs; *at;) {
		if ((*at)->peer == p)
			sync_drop(at);
		else
			at = &(*at)->next;
	}
	if (h->starter == p) {
		h->starter = NULL;
		holder_alone(h);
	}
	holder_check(h);
}

const struct ctl_ops request_ops = {
	.request = request,
	.joined = joined,
	.left = left,
};
