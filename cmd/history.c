/* history.c: zl history: how an image came about, newest first. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cmd/cmd.h"
#include "cmd/human.h"
#include "cmd/show.h"
#include "cmd/table_out.h"
#include "runtime/base/own.h"

/* Longest CREATED BY without --no-trunc, in characters. */
#define CREATED_BY_WIDTH 45
#define MISSING		 "<missing>"

struct history_flags {
	const char *format;
	const char *platform;
	bool human, no_trunc, quiet;
};

#define AT(member) offsetof(struct history_flags, member)

static const struct opt history_opts[] = {
	{ OPT_TEXT, 0, "format", "string", AT(format), NULL, "table|json",
	  "Format output: 'table', 'table TEMPLATE', 'json' or a Go template" },
	{ OPT_BOOL, 'H', "human", NULL, AT(human), "true", NULL,
	  "Print sizes and dates in human readable format" },
	{ OPT_BOOL, 0, "no-trunc", NULL, AT(no_trunc), NULL, NULL, "Don't truncate output" },
	{ OPT_TEXT, 0, "platform", "string", AT(platform), NULL,
	  "linux/amd64|linux/arm64|linux/386|linux/arm/v7", "Only an image of this platform" },
	{ OPT_BOOL, 'q', "quiet", NULL, AT(quiet), NULL, NULL, "Only show image IDs" },
	{ .kind = OPT_END },
};

static const struct table_title titles[] = {
	{ "Comment", "COMMENT" },
	{ "CreatedAt", "CREATED AT" },
	{ "CreatedBy", "CREATED BY" },
	{ "CreatedSince", "CREATED" },
	{ "ID", "IMAGE" },
	{ "Size", "SIZE" },
	{ NULL, NULL },
};

#define HISTORY_COLUMNS "{{.ID}}\t{{.CreatedSince}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}"

static void utc_seconds(int64_t seconds, char *buf, size_t size)
{
	time_t t = (time_t)seconds;
	struct tm tm;

	if (gmtime_r(&t, &tm) == NULL || strftime(buf, size, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		snprintf(buf, size, "N/A");
}

static void set_created(struct js *row, const char *created, bool human)
{
	char since[64], at[64];
	int64_t ns;

	if (created == NULL || !parse_moment(created, now_ns(), &ns)) {
		js_set_text(row, "CreatedAt", "N/A");
		js_set_text(row, "CreatedSince", "N/A");
		return;
	}
	utc_seconds(ns / NS_PER_S, at, sizeof(at));
	human_span((now_ns() - ns) / NS_PER_S, since, sizeof(since));
	text_ago(since, sizeof(since));
	js_set_text(row, "CreatedAt", at);
	js_set_text(row, "CreatedSince", human ? since : at);
}

static void set_created_by(struct js *row, const char *text, bool whole)
{
	own_str struct str s = STR_INIT;

	str_add(&s, text ? text : "");
	for (char *p = s.s; *p; p++)
		if (*p == '\t' || *p == '\n')
			*p = ' ';
	if (!whole)
		text_ellipsis(&s, CREATED_BY_WIDTH);
	js_set_text(row, "CreatedBy", s.s);
}

/* h: the entry of the config, or NULL; bytes: of its layer. */
static struct js *row_of(const struct js *h, const char *id, uint64_t bytes,
			 const struct history_flags *f)
{
	const char *comment = js_text(js_get(h, "comment"));
	struct js *row = js_object();
	char size[32];

	js_set_text(row, "Comment", comment ? comment : "");
	set_created(row, js_text(js_get(h, "created")), f->human);
	set_created_by(row, js_text(js_get(h, "created_by")), f->no_trunc);
	js_set_text(row, "ID", id);
	if (f->human)
		human_size(bytes, size, sizeof(size));
	else
		snprintf(size, sizeof(size), "%llu", (unsigned long long)bytes);
	js_set_text(row, "Size", size);
	return row;
}

/* Newest first; layers that the history does not know of stand below it. */
static struct js *rows_of(struct zl *z, const struct image *i, const struct history_flags *f)
{
	const struct js *history = js_get(i->config, "history");
	struct js *rows = js_array();
	size_t entries = js_len(history), layer = 0;
	char id[72];

	if (f->no_trunc)
		snprintf(id, sizeof(id), "%s", i->id);
	else
		snprintf(id, sizeof(id), "%.12s", hex_of(i->id));
	for (size_t k = entries; k-- > 0;) {
		const struct js *h = js_at(history, k);
		bool empty = js_true(js_get(h, "empty_layer"));
		uint64_t bytes = 0;

		if (!empty && layer < i->layers.n)
			bytes = image_layer_size(z->store, i->layers.v[layer++]);
		js_push(rows, row_of(h, js_len(rows) ? MISSING : id, bytes, f));
	}
	for (; layer < i->layers.n; layer++)
		js_push(rows, row_of(NULL, js_len(rows) ? MISSING : id,
				     image_layer_size(z->store, i->layers.v[layer]), f));
	return rows;
}

static int run_history(struct zl *z, void *flags, const struct operands *ops, struct err *e)
{
	const struct history_flags *f = flags;
	own_image struct image *i = zl_store(z, e) < 0 ? NULL : image_find(z->store, ops->v[0], e);
	own_js struct js *rows = NULL;
	own_str struct str out = STR_INIT;

	if (i == NULL || image_platform_check(i, ops->v[0], f->platform, e) < 0)
		return -1;
	rows = rows_of(z, i, f);
	if (f->quiet) {
		for (size_t k = 0; k < js_len(rows); k++)
			puts(js_text(js_get(js_at(rows, k), "ID")));
		return 0;
	}
	if (table_list(rows, f->format, HISTORY_COLUMNS, titles, &out, e) < 0)
		return -1;
	fputs(out.s ? out.s : "", stdout);
	return 0;
}

const struct command cmd_history = {
	.names = "image history, history",
	.help = "Show the history of an image",
	.usage = "[OPTIONS] IMAGE",
	.run = run_history,
	.opts = history_opts,
	.flags_size = sizeof(struct history_flags),
	.min = 1,
	.max = 1,
	.complete = "@image",
};
