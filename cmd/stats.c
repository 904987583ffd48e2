/* stats.c: zl stats: what containers use, as it changes. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cmd/container.h"
#include "cmd/human.h"
#include "cmd/table_out.h"
#include "runtime/base/own.h"
#include "runtime/box/usage.h"

/*
 * Numbers come from each container's guest, which is asked once a second; a
 * share of the processor is the difference between two answers, by the guest's
 * own clock. Nothing is counted while nobody asks.
 */
#define INTERVAL_S 1

struct stats_flags {
	bool all, no_stream, no_trunc;
	const char *format;
};

#define AT(member) offsetof(struct stats_flags, member)

static const struct opt stats_opts[] = {
	{ OPT_BOOL, 'a', "all", NULL, AT(all), NULL, NULL,
	  "Show all containers (default shows just running)" },
	{ OPT_TEXT, 0, "format", "string", AT(format), NULL, "table|json",
	  "Format output: 'table', 'table TEMPLATE', 'json', or a Go template" },
	{ OPT_BOOL, 0, "no-stream", NULL, AT(no_stream), NULL, NULL,
	  "Disable streaming stats and only pull the first result" },
	{ OPT_BOOL, 0, "no-trunc", NULL, AT(no_trunc), NULL, NULL, "Do not truncate output" },
	{ .kind = OPT_END },
};

/* The answer before. */
struct sample {
	char id[BOX_ID_LEN + 1];
	uint64_t clock_ns, cpu_ns;
};

/* A container in this round. */
struct line {
	struct box *box;
	const char *typed;
	struct box_client *client;
	int fd;
	struct box_usage u;
	uint64_t host_memory;
	enum { LINE_STOPPED, LINE_TOLD, LINE_UNKNOWN } what;
	double cpu; /* per cent of one processor */
};

struct round {
	struct line *v;
	size_t n;
	struct sample *before;
	size_t nbefore;
};

static bool is_alive(const struct box *b)
{
	return b->state.status == BOX_RUNNING || b->state.status == BOX_PAUSED;
}

static void drop_lines(struct round *r)
{
	for (size_t i = 0; i < r->n; i++)
		box_free(r->v[i].box);
	free(r->v);
	r->v = NULL;
	r->n = 0;
}

static void add_line(struct round *r, struct box *b, const char *typed)
{
	r->v = xrealloc(r->v, (r->n + 1) * sizeof(*r->v));
	r->v[r->n++] = (struct line){ .box = b, .typed = typed, .fd = -1 };
}

/* Those that were named, or all; one that is gone since the first round is left out. */
static int find_lines(struct zl *z, struct round *r, const struct operands *ops, bool all,
		      bool first, struct err *e)
{
	struct box_list list;

	for (int i = 0; i < ops->n; i++) {
		struct box *b = box_find(&z->dirs, ops->v[i], first ? e : NULL);

		if (b)
			add_line(r, b, ops->v[i]);
		else if (first)
			return -1;
	}
	if (ops->n)
		return 0;
	if (box_list(&z->dirs, &list, e) < 0)
		return -1;
	for (size_t i = 0; i < list.n; i++) {
		if (!all && !is_alive(list.v[i]))
			continue;
		add_line(r, list.v[i], NULL);
		list.v[i] = NULL;
	}
	box_list_free(&list);
	return 0;
}

static void ask(struct zl *z, struct line *l)
{
	l->what = is_alive(l->box) ? LINE_UNKNOWN : LINE_STOPPED;
	if (l->what == LINE_UNKNOWN)
		l->client = box_connect(&z->dirs, l->box, NULL);
	if (l->client && box_usage_ask(l->client, false, &l->fd, NULL) < 0) {
		box_client_free(l->client);
		l->client = NULL;
	}
}

static void take(struct line *l, const struct round *r)
{
	const struct wire_stats *s = &l->u.stats;

	if (l->client == NULL)
		return;
	if (box_usage_take(l->client, &l->fd, &l->u, NULL) == 0)
		l->what = LINE_TOLD;
	box_client_free(l->client);
	l->client = NULL;
	box_host_memory(l->box, &l->host_memory, NULL);
	for (size_t i = 0; l->what == LINE_TOLD && i < r->nbefore; i++) {
		const struct sample *b = &r->before[i];

		if (strcmp(b->id, l->box->spec.id) == 0 && s->clock_ns > b->clock_ns &&
		    s->cpu_ns > b->cpu_ns)
			l->cpu = (double)(s->cpu_ns - b->cpu_ns) * 100 /
				 (double)(s->clock_ns - b->clock_ns);
	}
}

static void remember(struct round *r)
{
	r->before = xrealloc(r->before, (r->n + 1) * sizeof(*r->before));
	r->nbefore = 0;
	for (size_t i = 0; i < r->n; i++) {
		struct sample *s = &r->before[r->nbefore];

		if (r->v[i].what != LINE_TOLD)
			continue;
		snprintf(s->id, sizeof(s->id), "%s", r->v[i].box->spec.id);
		s->clock_ns = r->v[i].u.stats.clock_ns;
		s->cpu_ns = r->v[i].u.stats.cpu_ns;
		r->nbefore++;
	}
}

/* All are asked before the first is waited for. */
static int look(struct zl *z, struct round *r, const struct stats_flags *f,
		const struct operands *ops, bool first, struct err *e)
{
	drop_lines(r);
	if (find_lines(z, r, ops, f->all, first, e) < 0)
		return -1;
	for (size_t i = 0; i < r->n; i++)
		ask(z, &r->v[i]);
	for (size_t i = 0; i < r->n; i++)
		take(&r->v[i], r);
	remember(r);
	return 0;
}

/* --- rows */

#define PAIR_MAX 64

static void pair(struct js *row, const char *field, const struct line *l, uint64_t a, uint64_t b,
		 void (*human)(uint64_t, char *, size_t))
{
	char one[PAIR_MAX], two[PAIR_MAX], text[2 * PAIR_MAX + 4];

	human(a, one, sizeof(one));
	human(b, two, sizeof(two));
	snprintf(text, sizeof(text), "%s / %s", one, two);
	js_set_text(row, field, l->what == LINE_UNKNOWN ? "-- / --" : text);
}

static void text(struct js *row, const char *field, const struct line *l, const char *value)
{
	js_set_text(row, field, l->what == LINE_UNKNOWN ? "--" : value);
}

static void per_cent(struct js *row, const char *field, const struct line *l, double v)
{
	char buf[PAIR_MAX];

	snprintf(buf, sizeof(buf), "%.2f%%", v);
	text(row, field, l, buf);
}

static struct js *row_of(const struct line *l, bool whole)
{
	const struct wire_stats *s = &l->u.stats;
	uint64_t memory = s->memory - s->memory_cache;
	struct js *row = js_object();
	char buf[PAIR_MAX + BOX_ID_LEN];

	pair(row, "BlockIO", l, l->u.host.block_read, l->u.host.block_written, human_size);
	per_cent(row, "CPUPerc", l, l->cpu);
	snprintf(buf, sizeof(buf), "%.*s", SHORT_ID_LEN, l->box->spec.id);
	js_set_text(row, "Container", l->typed ? l->typed : buf);
	human_size_binary(l->host_memory, buf, sizeof(buf));
	js_set_text(row, "HostMem", buf);
	snprintf(buf, sizeof(buf), "%.*s", whole ? BOX_ID_LEN : SHORT_ID_LEN, l->box->spec.id);
	js_set_text(row, "ID", buf);
	human_size_binary(s->memory_cache, buf, sizeof(buf));
	text(row, "MemCache", l, buf);
	per_cent(row, "MemPerc", l,
		 s->memory_max ? (double)memory * 100 / (double)s->memory_max : 0);
	pair(row, "MemUsage", l, memory, s->memory_max, human_size_binary);
	js_set_text(row, "Name", l->box->spec.name);
	pair(row, "NetIO", l, s->net_rx, s->net_tx, human_size);
	snprintf(buf, sizeof(buf), "%u", s->pids);
	text(row, "PIDs", l, buf);
	return row;
}

static const struct table_title titles[] = {
	{ "BlockIO", "BLOCK I/O" },   { "CPUPerc", "CPU %" },
	{ "Container", "CONTAINER" }, { "HostMem", "HOST MEM" },
	{ "ID", "CONTAINER ID" },     { "MemCache", "MEM CACHE" },
	{ "MemPerc", "MEM %" },	      { "MemUsage", "MEM USAGE / LIMIT" },
	{ "Name", "NAME" },	      { "NetIO", "NET I/O" },
	{ "PIDs", "PIDS" },	      { NULL, NULL },
};

#define STATS_COLUMNS                                                                 \
	"{{.ID}}\t{{.Name}}\t{{.CPUPerc}}\t{{.MemUsage}}\t{{.MemPerc}}\t{{.NetIO}}\t" \
	"{{.BlockIO}}\t{{.PIDs}}"

static int print_round(const struct round *r, const struct stats_flags *f, struct err *e)
{
	own_js struct js *rows = js_array();
	own_str struct str out = STR_INIT;

	for (size_t i = 0; i < r->n; i++)
		js_push(rows, row_of(&r->v[i], f->no_trunc));
	if (table_list(rows, f->format, STATS_COLUMNS, titles, &out, e) < 0)
		return -1;
	/* the screen anew, as docker does it */
	if (!f->no_stream)
		fputs("\033[2J\033[H", stdout);
	fputs(out.s ? out.s : "", stdout);
	if (fflush(stdout) == EOF)
		return err_sys(e, "write");
	return 0;
}

static int run_stats(struct zl *z, void *flags, const struct operands *ops, struct err *e)
{
	const struct stats_flags *f = flags;
	struct timespec interval = { .tv_sec = INTERVAL_S };
	struct round r = { 0 };
	int rc = look(z, &r, f, ops, true, e);

	while (rc == 0) {
		if (r.nbefore || !f->no_stream) {
			nanosleep(&interval, NULL);
			rc = look(z, &r, f, ops, false, e);
		}
		if (rc == 0)
			rc = print_round(&r, f, e);
		if (f->no_stream || (ops->n && r.n == 0))
			break;
	}
	drop_lines(&r);
	free(r.before);
	return rc;
}

const struct command cmd_stats = {
	.names = "container stats, stats",
	.help = "Display a live stream of container(s) resource usage statistics",
	.usage = "[OPTIONS] [CONTAINER...]",
	.run = run_stats,
	.opts = stats_opts,
	.flags_size = sizeof(struct stats_flags),
	.min = 0,
	.max = ANY_NUMBER,
	.complete = "@running",
};
