/* health.c: health checks; see health.h. */
#include "runtime/box/health.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/fd.h"
#include "runtime/base/own.h"
#include "runtime/base/parse.h"
#include "runtime/box/holder.h"
#include "runtime/box/state.h"

/* The exit code of a check that did not get to have one. */
#define CODE_NONE (-1)

bool box_has_health(const struct box_spec *s)
{
	return s->health.test.n > 1 && strcmp(s->health.test.v[0], "NONE") != 0;
}

static int64_t or_default(int64_t v, int64_t def)
{
	return v > 0 ? v : def;
}

/* --- health.json */

void box_health_log_free(struct box_health_log *l)
{
	for (unsigned i = 0; i < l->n; i++)
		free(l->v[i].output);
	*l = (struct box_health_log){ .n = 0 };
}

static void write_log(const struct holder *h)
{
	const struct box_health_log *l = &h->health.log;
	struct js *all = js_array();
	own_js struct js *j = js_object();
	own_free char *text = NULL;

	js_set_int(j, "streak", l->streak);
	for (unsigned i = 0; i < l->n; i++) {
		struct js *one = js_object();

		js_set_int(one, "start_ns", l->v[i].start_ns);
		js_set_int(one, "end_ns", l->v[i].end_ns);
		js_set_int(one, "exit_code", l->v[i].exit_code);
		js_set(one, "output", js_of_mem(l->v[i].output, strlen(l->v[i].output)));
		js_push(all, one);
	}
	js_set(j, "log", all);
	text = js_dump(j, 0);
	file_write_atomic(h->dirfd, BOX_HEALTH_FILE, text, strlen(text), 0600, false, NULL);
}

int box_health_log(const struct box *b, struct box_health_log *l)
{
	own_fd int dirfd = open(b->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	own_js struct js *j =
		dirfd < 0 ? NULL : js_read(dirfd, BOX_HEALTH_FILE, BOX_JSON_MAX, NULL);
	const struct js *all = js_get(j, "log");
	int64_t n = 0;

	*l = (struct box_health_log){ .n = 0 };
	if (j == NULL)
		return -ENOENT;
	if (js_int(js_get(j, "streak"), &n) && n >= 0)
		l->streak = (unsigned)n;
	for (size_t i = 0; i < js_len(all) && l->n < BOX_PROBES_MAX; i++) {
		const struct js *one = js_at(all, i);
		const char *output = js_text(js_get(one, "output"));
		struct box_probe *p = &l->v[l->n++];

		js_int(js_get(one, "start_ns"), &p->start_ns);
		js_int(js_get(one, "end_ns"), &p->end_ns);
		if (js_int(js_get(one, "exit_code"), &n))
			p->exit_code = (int)n;
		p->output = xstrdup(output ? output : "");
	}
	return 0;
}

/* --- results */

static bool in_start_period(const struct holder *h, int64_t at)
{
	return at - h->state.started_ns < h->spec->health.start_period_ns;
}

static void judge(struct holder *h, int code, int64_t began)
{
	enum box_health_status before = h->state.health;
	struct box_health_log *l = &h->health.log;
	char action[64];

	if (code == 0) {
		l->streak = 0;
		h->state.health = BOX_HEALTH_HEALTHY;
	} else if (before != BOX_HEALTH_STARTING || !in_start_period(h, began)) {
		l->streak++;
		if (l->streak >= (uint64_t)or_default(h->spec->health.retries, HEALTH_RETRIES))
			h->state.health = BOX_HEALTH_UNHEALTHY;
	}
	write_log(h);
	if (h->state.health == before)
		return;
	state_write(h->dirfd, &h->state, NULL);
	snprintf(action, sizeof(action), "health_status: %s", box_health_name(h->state.health));
	events_box(&h->events, h->spec, action, NULL);
}

static void schedule(struct holder *h);

/* Takes the output over. */
static void result(struct holder *h, int code, char *output)
{
	struct box_health_log *l = &h->health.log;

	if (l->n == BOX_PROBES_MAX) {
		free(l->v[0].output);
		memmove(&l->v[0], &l->v[1], (BOX_PROBES_MAX - 1) * sizeof(l->v[0]));
		l->n--;
	}
	l->v[l->n++] = (struct box_probe){ h->health.began_ns, state_now(), code, output };
	judge(h, code, h->health.began_ns);
	schedule(h);
}

/* --- checks */

static void out_of_time(void *arg)
{
	struct holder *h = arg;

	h->health.timeout = NULL;
	h->health.too_long = true;
	request_task_signal(h, h->health.probe, SIGKILL);
}

static void set_timeout(struct holder *h)
{
	h->health.timeout =
		loop_after(h->loop,
			   (uint64_t)or_default(h->spec->health.timeout_ns, HEALTH_TIMEOUT_NS),
			   out_of_time, h);
}

/* The command as the image or the user gave it. */
static void fill_exec(const struct box_health *c, struct box_exec *x)
{
	if (strcmp(c->test.v[0], "CMD-SHELL") == 0) {
		if (c->shell.n == 0) {
			strv_add(&x->argv, "/bin/sh");
			strv_add(&x->argv, "-c");
		}
		strv_add_all(&x->argv, &c->shell);
	}
	for (size_t i = 1; i < c->test.n; i++)
		strv_add(&x->argv, c->test.v[i]);
}

static void probe(void *arg)
{
	const struct box_stdio io = { .in = -1, .out = -1, .err = -1 };
	struct holder *h = arg;
	struct health *c = &h->health;
	struct box_exec x = { .cwd = NULL };

	c->next = NULL;
	c->began_ns = state_now();
	c->too_long = false;
	c->output.len = 0;
	if (h->ntasks >= HOLDER_TASKS_MAX) {
		result(h, CODE_NONE, xstrdup("too many processes were started by exec"));
		return;
	}
	c->probe = task_new(h, ++h->next_task, false, false);
	for (int i = WIRE_STDOUT; i <= WIRE_STDERR; i++)
		io_stream_keep(c->probe->stream[i], &c->output, HEALTH_OUTPUT_MAX + 1);
	fill_exec(&h->spec->health, &x);
	request_exec(h, c->probe, &x, &io);
	strv_free(&x.argv);
	set_timeout(h);
}

static void schedule(struct holder *h)
{
	const struct box_health *c = &h->spec->health;
	int64_t wait = or_default(c->interval_ns, HEALTH_INTERVAL_NS);

	if (h->state.health == BOX_HEALTH_STARTING && in_start_period(h, state_now()))
		wait = or_default(c->start_interval_ns, HEALTH_START_INTERVAL_NS);
	h->health.next = loop_after(h->loop, (uint64_t)wait, probe, h);
}

/* What the check said, cut as docker cuts it. */
static char *said(struct health *c)
{
	if (c->output.len > HEALTH_OUTPUT_MAX) {
		c->output.len = HEALTH_OUTPUT_MAX;
		str_add(&c->output, "...");
	}
	str_add_char(&c->output, 0);
	return str_steal(&c->output);
}

void health_over(struct holder *h, const struct task *t)
{
	struct health *c = &h->health;
	own_free char *output = NULL;
	char limit[32];

	if (t != c->probe || t == NULL)
		return;
	c->probe = NULL;
	loop_cancel(c->timeout);
	c->timeout = NULL;
	output = said(c);
	if (c->too_long) {
		duration_format(or_default(h->spec->health.timeout_ns, HEALTH_TIMEOUT_NS), limit,
				sizeof(limit));
		result(h, CODE_NONE,
		       xasprintf("Health check exceeded timeout (%s)%s%s", limit,
				 output[0] ? ": " : "", output));
	} else if (t->how == TASK_FAILED) {
		result(h, CODE_NONE, xstrdup(t->message));
	} else {
		result(h, t->code, steal_ptr(&output));
	}
}

/* --- the container's life */

void health_start(struct holder *h)
{
	h->state.health = BOX_HEALTH_NONE;
	if (!box_has_health(h->spec))
		return;
	h->state.health = BOX_HEALTH_STARTING;
	write_log(h);
	schedule(h);
}

void health_pause(struct holder *h)
{
	loop_cancel(h->health.next);
	loop_cancel(h->health.timeout);
	h->health.next = h->health.timeout = NULL;
}

void health_resume(struct holder *h)
{
	if (h->state.health == BOX_HEALTH_NONE)
		return;
	if (h->health.probe)
		set_timeout(h);
	else
		schedule(h);
}

void health_stop(struct holder *h)
{
	health_pause(h);
	h->health.probe = NULL;
	if (h->state.health != BOX_HEALTH_NONE)
		h->state.health = BOX_HEALTH_UNHEALTHY; /* docker's word for what does not run */
}
