/* progress.c: lines of layers, redrawn in place on a terminal. */
#include "oci/progress.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "runtime/base/fd.h"
#include "runtime/base/own.h"
#include "runtime/base/str.h"

/*
 * On a terminal the rows form a block at the bottom. drawn says how many of its
 * lines stand on the screen, the cursor being below the last; a redraw goes
 * up that far and writes them anew. Only as many rows as fit are drawn: when
 * there are more, finished rows at the top leave the block (`done`), are left
 * standing, scroll away, and make room for the rest.
 */

#define ID_LEN	  12
#define STATE_MAX 80
#define BAR_WIDTH 50
/* Columns below which the bar is left out. */
#define BAR_COLUMNS 110
#define COLUMNS_MAX 500

struct row {
	char id[ID_LEN + 1];
	char state[STATE_MAX];
	uint64_t at, total;
};

struct progress {
	int fd;
	bool terminal;
	pthread_mutex_t lock;
	struct row *rows;
	size_t n, cap;
	size_t done;  /* rows that have left the block */
	size_t drawn; /* lines of the block on the screen */
	uint64_t drawn_at;
};

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

struct progress *progress_new(int fd)
{
	struct progress *p = xcalloc(1, sizeof(*p));

	p->fd = fd;
	p->terminal = fd >= 0 && isatty(fd);
	pthread_mutex_init(&p->lock, NULL);
	return p;
}

/* As docker writes sizes: four digits, powers of 1000. */
static void size_format(char *buf, size_t n, uint64_t v)
{
	static const char *const units[] = { "B", "kB", "MB", "GB", "TB", "PB" };
	double x = (double)v;
	size_t u = 0;

	while (x >= 1000.0 && u + 1 < sizeof(units) / sizeof(*units)) {
		x /= 1000.0;
		u++;
	}
	snprintf(buf, n, "%.4g%s", x, units[u]);
}

static void row_format(struct str *out, const struct row *r, unsigned columns)
{
	char at[32], total[32];
	struct str line = STR_INIT;

	str_addf(&line, "%s: %s", r->id, r->state);
	if (r->total) {
		size_format(at, sizeof(at), r->at);
		size_format(total, sizeof(total), r->total);
		if (columns >= BAR_COLUMNS) {
			int full = (int)((double)r->at / (double)r->total * BAR_WIDTH);

			full = full > BAR_WIDTH ? BAR_WIDTH : full;
			str_addf(&line, " [%.*s%s%*s]", full > 0 ? full - 1 : 0,
				 "==================================================",
				 full > 0 ? (full == BAR_WIDTH ? "=" : ">") : "", BAR_WIDTH - full,
				 "");
		}
		str_addf(&line, " %8s/%s", at, total);
	}
	/* A line that wraps would be two. */
	if (line.len >= columns)
		line.len = columns - 1;
	str_add_mem(out, line.s, line.len);
	str_free(&line);
}

static void screen_size(const struct progress *p, unsigned *columns, unsigned *lines)
{
	struct winsize ws = { 0 };

	*columns = 80;
	*lines = 24;
	if (ioctl(p->fd, TIOCGWINSZ, &ws) < 0)
		return;
	if (ws.ws_col > 1)
		*columns = ws.ws_col < COLUMNS_MAX ? ws.ws_col : COLUMNS_MAX;
	if (ws.ws_row > 1)
		*lines = ws.ws_row;
}

static bool row_finished(const struct row *r)
{
	static const char *const ends[] = { "Pull complete", "Already exists", "Pushed",
					    "Layer already exists", "Mounted from" };

	for (size_t i = 0; i < sizeof(ends) / sizeof(*ends); i++)
		if (str_starts(r->state, ends[i]))
			return true;
	return false;
}

static void draw(struct progress *p)
{
	struct str out = STR_INIT;
	unsigned columns, lines;
	size_t shown;

	screen_size(p, &columns, &lines);
	if (p->drawn)
		str_addf(&out, "\033[%zuA", p->drawn);
	while (p->n - p->done > lines - 1 && row_finished(&p->rows[p->done])) {
		row_format(&out, &p->rows[p->done++], columns);
		str_add(&out, "\033[K\n");
	}
	shown = p->n - p->done < lines - 1 ? p->n - p->done : lines - 1;
	for (size_t i = 0; i < shown; i++) {
		row_format(&out, &p->rows[p->done + i], columns);
		str_add(&out, "\033[K\n");
	}
	str_add(&out, "\033[J");
	fd_write_full(p->fd, out.s, out.len);
	str_free(&out);
	p->drawn = shown;
	p->drawn_at = now_ms();
}

void progress_say(struct progress *p, const char *fmt, ...)
{
	struct str out = STR_INIT;
	va_list ap;

	if (p->fd < 0)
		return;
	va_start(ap, fmt);
	str_addv(&out, fmt, ap);
	va_end(ap);
	str_add_char(&out, '\n');
	pthread_mutex_lock(&p->lock);
	if (p->terminal && p->drawn) {
		draw(p);
		p->drawn = 0;
		p->done = p->n;
	}
	fd_write_full(p->fd, out.s, out.len);
	pthread_mutex_unlock(&p->lock);
	str_free(&out);
}

size_t progress_row(struct progress *p, const struct digest *blob)
{
	char hex[DIGEST_HEX_LEN + 1];
	struct row *r;
	size_t i;

	pthread_mutex_lock(&p->lock);
	if (p->n == p->cap) {
		p->cap = p->cap ? 2 * p->cap : 16;
		p->rows = xrealloc(p->rows, p->cap * sizeof(*p->rows));
	}
	i = p->n++;
	r = &p->rows[i];
	*r = (struct row){ .state = "Waiting" };
	memcpy(r->id, digest_hex(hex, blob), ID_LEN);
	pthread_mutex_unlock(&p->lock);
	return i;
}

void progress_set(struct progress *p, size_t row, const char *state, uint64_t at, uint64_t total)
{
	struct row *r;
	bool changed;

	if (p->fd < 0)
		return;
	pthread_mutex_lock(&p->lock);
	r = &p->rows[row];
	changed = strncmp(r->state, state, sizeof(r->state) - 1) != 0;
	if (changed)
		snprintf(r->state, sizeof(r->state), "%s", state);
	r->at = at;
	r->total = total;
	if (p->terminal) {
		if (changed || now_ms() - p->drawn_at >= PROGRESS_MS)
			draw(p);
	} else if (changed && total == 0) {
		struct str out = STR_INIT;

		/* Elsewhere a bar's beginning is no news. */
		str_addf(&out, "%s: %s\n", r->id, r->state);
		fd_write_full(p->fd, out.s, out.len);
		str_free(&out);
	}
	pthread_mutex_unlock(&p->lock);
}

void progress_free(struct progress *p)
{
	if (p == NULL)
		return;
	if (p->terminal && p->drawn)
		draw(p);
	pthread_mutex_destroy(&p->lock);
	free(p->rows);
	free(p);
}

void progress_free_(struct progress **p)
{
	progress_free(*p);
}
