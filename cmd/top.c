/* top.c: zl top: the processes of a container, in the columns that ps would print. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cmd/container.h"
#include "cmd/table_out.h"
#include "runtime/base/own.h"
#include "runtime/box/events.h"
#include "runtime/box/usage.h"

/*
 * docker runs the host's ps and drops what is not the container's; there is no
 * process of ours on the host, so the guest tells what it has in /proc and the
 * columns are made here. All processes of the container are shown always:
 * options that only choose among a host's processes change nothing.
 */

/* docker's columns are so wide at least. */
#define CELL_MIN  20
#define WORDS_MAX 64

struct moment {
	time_t now;
	uint64_t memory; /* all there is, for %MEM */
};

struct column {
	const char *name, *title; /* as ps has them */
	void (*put)(struct str *out, const struct wire_process *p, const struct moment *m);
};

/* --- cells */

#define NUMBER_CELL(field)                                                     \
	static void put_##field(struct str *out, const struct wire_process *p, \
				const struct moment *m)                        \
	{                                                                      \
		(void)m;                                                       \
		str_addf(out, "%lu", (unsigned long)p->field);                 \
	}
NUMBER_CELL(pid)
NUMBER_CELL(ppid)
NUMBER_CELL(pgid)
NUMBER_CELL(sid)
NUMBER_CELL(uid)
NUMBER_CELL(ruid)
NUMBER_CELL(gid)
NUMBER_CELL(rgid)
NUMBER_CELL(threads)

/* Whoever 1000 may be in the image: ps would not know either. */
static void put_name_of(struct str *out, uint32_t id)
{
	if (id == 0)
		str_add(out, "root");
	else
		str_addf(out, "%u", id);
}

static void put_user(struct str *out, const struct wire_process *p, const struct moment *m)
{
	(void)m;
	put_name_of(out, p->uid);
}

static void put_ruser(struct str *out, const struct wire_process *p, const struct moment *m)
{
	(void)m;
	put_name_of(out, p->ruid);
}

static void put_group(struct str *out, const struct wire_process *p, const struct moment *m)
{
	(void)m;
	put_name_of(out, p->gid);
}

static void put_rgroup(struct str *out, const struct wire_process *p, const struct moment *m)
{
	(void)m;
	put_name_of(out, p->rgid);
}

/* It comes from the guest and goes to a terminal: no control characters, no tabs, UTF-8. */
static void put_text(struct str *out, const char *s)
{
	own_js struct js *clean = js_of_mem(s, strlen(s));

	for (const char *c = js_text(clean); *c; c++) {
		bool c1 = (unsigned char)c[0] == 0xc2 && (unsigned char)c[1] < 0xa0;

		if ((unsigned char)*c < ' ' || *c == 0x7f || c1)
			str_add_char(out, '?');
		else
			str_add_char(out, *c);
		c += c1;
	}
}

static void put_name(struct str *out, const struct wire_process *p, const struct moment *m)
{
	(void)m;
	put_text(out, p->name);
	if (p->state == 'Z')
		str_add(out, " <defunct>");
}

static void put_command(struct str *out, const struct wire_process *p, const struct moment *m)
{
	(void)m;
	put_text(out, p->command);
	if (p->state == 'Z')
		str_add(out, " <defunct>");
}

/* Device numbers of terminals: /dev/pts/N are 136 to 143 with 256 each, /dev/ttyN and ttySN 4. */
static void put_tty(struct str *out, const struct wire_process *p, const struct moment *m)
{
	uint32_t major = p->tty >> 8 & 0xfff, minor = (p->tty & 0xff) | (p->tty >> 12 & 0xfff00);

	(void)m;
	if (major >= 136 && major <= 143)
		str_addf(out, "pts/%u", (major - 136) * 256 + minor);
	else if (major == 4)
		str_addf(out, minor < 64 ? "tty%u" : "ttyS%u", minor < 64 ? minor : minor - 64);
	else if (major == 5 && minor == 1)
		str_add(out, "console");
	else
		str_add(out, "?");
}

static void put_time(struct str *out, const struct wire_process *p, const struct moment *m)
{
	unsigned long long s = p->cpu_ms / 1000;

	(void)m;
	if (s >= 86400)
		str_addf(out, "%llu-", s / 86400);
	str_addf(out, "%02llu:%02llu:%02llu", s / 3600 % 24, s / 60 % 60, s % 60);
}

static void put_short_time(struct str *out, const struct wire_process *p, const struct moment *m)
{
	unsigned long long s = p->cpu_ms / 1000;

	(void)m;
	str_addf(out, "%llu:%02llu", s / 60, s % 60);
}

static void put_elapsed(struct str *out, const struct wire_process *p, const struct moment *m)
{
	unsigned long long s = p->age_ms / 1000;

	(void)m;
	if (s >= 86400)
		str_addf(out, "%llu-", s / 86400);
	if (s >= 3600)
		str_addf(out, "%02llu:", s / 3600 % 24);
	str_addf(out, "%02llu:%02llu", s / 60 % 60, s % 60);
}

static void put_elapsed_s(struct str *out, const struct wire_process *p, const struct moment *m)
{
	(void)m;
	str_addf(out, "%llu", (unsigned long long)p->age_ms / 1000);
}

static void put_start(struct str *out, const struct wire_process *p, const struct moment *m,
		      const char *recent, const char *this_year, const char *before)
{
	time_t t = m->now - (time_t)(p->age_ms / 1000);
	struct tm tm, now;
	const char *format;
	char buf[64];

	localtime_r(&t, &tm);
	localtime_r(&m->now, &now);
	format = tm.tm_year != now.tm_year   ? before
		 : tm.tm_yday != now.tm_yday ? this_year
					     : recent;
	strftime(buf, sizeof(buf), format, &tm);
	str_add(out, buf);
}

static void put_stime(struct str *out, const struct wire_process *p, const struct moment *m)
{
	put_start(out, p, m, "%H:%M", "%b%d", "%Y");
}

static void put_started(struct str *out, const struct wire_process *p, const struct moment *m)
{
	put_start(out, p, m, "%H:%M:%S", "%b %d", "%b %d");
}

static void put_bsdstart(struct str *out, const struct wire_process *p, const struct moment *m)
{
	put_start(out, p, m, "%H:%M", "%b%d", "%b%d");
}

static void put_lstart(struct str *out, const struct wire_process *p, const struct moment *m)
{
	put_start(out, p, m, "%a %b %e %H:%M:%S %Y", "%a %b %e %H:%M:%S %Y",
		  "%a %b %e %H:%M:%S %Y");
}

/* Tenths of a per cent of one processor, over the process's life. */
static uint64_t cpu_share(const struct wire_process *p)
{
	return p->age_ms && p->cpu_ms < UINT64_MAX / 1000 ? p->cpu_ms * 1000 / p->age_ms : 0;
}

static void put_c(struct str *out, const struct wire_process *p, const struct moment *m)
{
	uint64_t c = cpu_share(p) / 10;

	(void)m;
	str_addf(out, "%u", c > 99 ? 99 : (unsigned)c);
}

static void put_pcpu(struct str *out, const struct wire_process *p, const struct moment *m)
{
	uint64_t c = cpu_share(p);

	(void)m;
	str_addf(out, "%llu.%llu", (unsigned long long)c / 10, (unsigned long long)c % 10);
}

static void put_pmem(struct str *out, const struct wire_process *p, const struct moment *m)
{
	str_addf(out, "%.1f", m->memory ? (double)p->resident_size * 100 / (double)m->memory : 0.0);
}

static void put_rss(struct str *out, const struct wire_process *p, const struct moment *m)
{
	(void)m;
	str_addf(out, "%llu", (unsigned long long)p->resident_size / 1024);
}

static void put_vsz(struct str *out, const struct wire_process *p, const struct moment *m)
{
	(void)m;
	str_addf(out, "%llu", (unsigned long long)p->virtual_size / 1024);
}

static void put_nice(struct str *out, const struct wire_process *p, const struct moment *m)
{
	(void)m;
	str_addf(out, "%d", (int)p->nice - 20);
}

static void put_pri(struct str *out, const struct wire_process *p, const struct moment *m)
{
	(void)m;
	str_addf(out, "%d", 39 - ((int)p->priority - 100));
}

static void put_state(struct str *out, const struct wire_process *p, const struct moment *m)
{
	(void)m;
	str_add_char(out, (char)p->state);
}

static void put_stat(struct str *out, const struct wire_process *p, const struct moment *m)
{
	put_state(out, p, m);
	if (p->nice != 20)
		str_add_char(out, p->nice < 20 ? '<' : 'N');
	if (p->sid == p->pid)
		str_add_char(out, 's');
	if (p->threads > 1)
		str_add_char(out, 'l');
	if (p->foreground)
		str_add_char(out, '+');
}

/* --- which columns */

/* The names are ps's; the one with a space is of -f only. */
static const struct column columns[] = {
	{ "%cpu", "%CPU", put_pcpu },
	{ "%mem", "%MEM", put_pmem },
	{ "args", "COMMAND", put_command },
	{ "bsdstart", "START", put_bsdstart },
	{ "bsdtime", "TIME", put_short_time },
	{ "c", "C", put_c },
	{ "cmd", "CMD", put_command },
	{ "comm", "COMMAND", put_name },
	{ "command", "COMMAND", put_command },
	{ "cputime", "TIME", put_time },
	{ "egid", "EGID", put_gid },
	{ "egroup", "EGROUP", put_group },
	{ "etime", "ELAPSED", put_elapsed },
	{ "etimes", "ELAPSED", put_elapsed_s },
	{ "euid", "EUID", put_uid },
	{ "euser", "EUSER", put_user },
	{ "gid", "GID", put_gid },
	{ "group", "GROUP", put_group },
	{ "lstart", "STARTED", put_lstart },
	{ "ni", "NI", put_nice },
	{ "nice", "NI", put_nice },
	{ "nlwp", "NLWP", put_threads },
	{ "pcpu", "%CPU", put_pcpu },
	{ "pgid", "PGID", put_pgid },
	{ "pgrp", "PGRP", put_pgid },
	{ "pid", "PID", put_pid },
	{ "pmem", "%MEM", put_pmem },
	{ "ppid", "PPID", put_ppid },
	{ "pri", "PRI", put_pri },
	{ "rgid", "RGID", put_rgid },
	{ "rgroup", "RGROUP", put_rgroup },
	{ "rss", "RSS", put_rss },
	{ "rssize", "RSS", put_rss },
	{ "rsz", "RSZ", put_rss },
	{ "ruid", "RUID", put_ruid },
	{ "ruser", "RUSER", put_ruser },
	{ "s", "S", put_state },
	{ "sess", "SESS", put_sid },
	{ "session", "SESS", put_sid },
	{ "sid", "SID", put_sid },
	{ "start", "STARTED", put_started },
	{ "start_time", "START", put_stime },
	{ "stat", "STAT", put_stat },
	{ "state", "S", put_state },
	{ "stime", "STIME", put_stime },
	{ "tgid", "TGID", put_pid },
	{ "thcount", "THCNT", put_threads },
	{ "time", "TIME", put_time },
	{ "tname", "TTY", put_tty },
	{ "tt", "TT", put_tty },
	{ "tty", "TT", put_tty },
	{ "ucmd", "CMD", put_name },
	{ "ucomm", "COMMAND", put_name },
	{ "uid", "UID", put_uid },
	{ "uid f", "UID", put_user },
	{ "uname", "USER", put_user },
	{ "user", "USER", put_user },
	{ "vsize", "VSZ", put_vsz },
	{ "vsz", "VSZ", put_vsz },
};

#define COLUMNS_PLAIN "pid,tname,time,ucmd"
#define COLUMNS_FULL  "uid f,pid,ppid,c,stime,tname,time,cmd"
#define COLUMNS_JOBS  "pid,pgid,sid,tname,time,ucmd"
#define COLUMNS_BOTH  "uid f,pid,ppid,pgid,sid,c,stime,tname,time,cmd"
#define COLUMNS_USER  "user,pid,%cpu,%mem,vsz,rss,tname,stat,bsdstart,bsdtime,command"

struct wanted {
	const struct column *v[WORDS_MAX];
	size_t n;
	bool full, jobs, user;
};

static int add_columns(struct wanted *w, const char *list, struct err *e)
{
	while (*list) {
		size_t n = strcspn(list, ",");
		const struct column *found = NULL;

		for (size_t i = 0; i < sizeof(columns) / sizeof(columns[0]); i++)
			if (strlen(columns[i].name) == n && memcmp(columns[i].name, list, n) == 0)
				found = &columns[i];
		if (found == NULL || w->n == WORDS_MAX)
			return err_set(e, EINVAL,
				       "ps: unknown user-defined format specifier \"%.*s\"", (int)n,
				       list);
		w->v[w->n++] = found;
		list += n + (list[n] == ',');
	}
	return 0;
}

/* One letter of a word; `rest` is what follows it there. *taken: rest, or the next word, is used.
 */
static int one_letter(struct wanted *w, bool dash, char letter, const char *rest, const char *next,
		      bool *taken, struct err *e)
{
	*taken = false;
	if (letter == 'o') {
		*taken = true;
		if (*rest == 0 && next == NULL)
			return err_set(e, EINVAL, "ps: format specification must follow -o");
		return add_columns(w, *rest ? rest : next, e);
	}
	if (letter == 'w' || strchr(dash ? "eA" : "ax", letter))
		return 0;
	if (dash && letter == 'f')
		w->full = true;
	else if (dash && letter == 'j')
		w->jobs = true;
	else if (!dash && letter == 'u')
		w->user = true;
	else
		return err_set(e, EINVAL,
			       "ps: unsupported option '%s%c': zl top knows -e -A -f -j -w -o and "
			       "a x u w o",
			       dash ? "-" : "", letter);
	return 0;
}

static int read_word(struct wanted *w, const char *word, const char *next, bool *taken,
		     struct err *e)
{
	bool dash = *word == '-';
	int rc = 0;

	*taken = false;
	if (strncmp(word, "--", 2) == 0)
		return err_set(e, EINVAL, "ps: unsupported option '%s'", word);
	for (const char *at = word + dash; *at && rc == 0 && !*taken; at++) {
		rc = one_letter(w, dash, *at, at + 1, next, taken, e);
		if (*taken && at[1]) {
			*taken = false; /* not the next word */
			break;
		}
	}
	return rc;
}

static int read_options(struct wanted *w, const struct strv *words, struct err *e)
{
	const char *list = COLUMNS_PLAIN;
	int rc = 0;

	for (size_t i = 0; i < words->n && rc == 0; i++) {
		bool taken;

		rc = read_word(w, words->v[i], words->v[i + 1], &taken, e);
		i += taken;
	}
	if (rc < 0)
		return rc;
	if (w->n && (w->full || w->jobs || w->user))
		return err_set(e, EINVAL, "ps: conflicting format options");
	if (words->n == 0 || w->full)
		list = w->jobs ? COLUMNS_BOTH : COLUMNS_FULL;
	else if (w->jobs)
		list = COLUMNS_JOBS;
	else if (w->user)
		list = COLUMNS_USER;
	if (w->n == 0)
		rc = add_columns(w, list, e);
	for (size_t i = 0; i < w->n && rc == 0; i++)
		if (strcmp(w->v[i]->title, "PID") == 0)
			return 0;
	return rc < 0 ? rc : err_set(e, EINVAL, "Couldn't find PID field in ps output");
}

/* --- the command */

static int by_pid(const void *a, const void *b)
{
	const struct wire_process *p = a, *q = b;

	return p->pid < q->pid ? -1 : p->pid > q->pid;
}

static void print_processes(const struct wanted *w, struct box_usage *u)
{
	struct moment m = { .now = time(NULL), .memory = u->stats.memory_max };
	own_str struct str lines = STR_INIT, out = STR_INIT;

	if (u->nprocesses)
		qsort(u->processes, u->nprocesses, sizeof(*u->processes), by_pid);
	for (size_t k = 0; k < w->n; k++)
		str_addf(&lines, "%s%s", k ? "\t" : "", w->v[k]->title);
	str_add_char(&lines, '\n');
	for (size_t i = 0; i < u->nprocesses; i++) {
		for (size_t k = 0; k < w->n; k++) {
			if (k)
				str_add_char(&lines, '\t');
			w->v[k]->put(&lines, &u->processes[i], &m);
		}
		str_add_char(&lines, '\n');
	}
	table_align(lines.s, CELL_MIN, &out);
	fputs(out.s, stdout);
}

static int run_top(struct zl *z, void *flags, const struct operands *ops, struct err *e)
{
	own_box struct box *b = box_find(&z->dirs, ops->v[0], e);
	own_strv struct strv words = STRV_INIT;
	struct wanted w = { .n = 0 };
	struct box_client *c;
	struct box_usage u;
	int fd, rc;

	(void)flags;
	if (b == NULL)
		return -1;
	/* docker's users write "-o pid,comm" as one word, too */
	for (int i = 1; i < ops->n; i++) {
		own_strv struct strv apart = STRV_INIT;

		strv_split(&apart, ops->v[i], ' ');
		for (size_t k = 0; k < apart.n; k++)
			if (apart.v[k][0])
				strv_add(&words, apart.v[k]);
	}
	if (read_options(&w, &words, e) < 0)
		return -1;
	c = box_connect(&z->dirs, b, e);
	if (c == NULL)
		return -1;
	rc = box_usage_ask(c, true, &fd, e);
	if (rc == 0)
		rc = box_usage_take(c, &fd, &u, e);
	box_client_free(c);
	if (rc < 0)
		return rc;
	events_say_box(&z->dirs, &b->spec, "top", NULL);
	print_processes(&w, &u);
	box_usage_free(&u);
	return 0;
}

const struct command cmd_top = {
	.names = "container top, top",
	.help = "Display the running processes of a container",
	.usage = "CONTAINER [ps OPTIONS]",
	.run = run_top,
	.min = 1,
	.max = ANY_NUMBER,
	.flags = CMD_FIRST,
	.complete = "@running",
};
