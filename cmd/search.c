/* search.c: zl search. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/cmd.h"
#include "cmd/show.h"
#include "cmd/table_out.h"
#include "oci/remote.h"
#include "runtime/base/own.h"
#include "runtime/base/parse.h"

/* As much of a description as docker shows. */
#define DESCRIPTION_MAX 45

struct search_flags {
	const char *format;
	struct strv filter;
	int64_t limit;
	bool no_trunc;
};

#define AT(member) offsetof(struct search_flags, member)

static const struct opt search_opts[] = {
	{ OPT_LIST, 'f', "filter", "filter", AT(filter), NULL,
	  "is-official=true|is-official=false|is-automated=true|is-automated=false|stars=",
	  "Filter output based on conditions provided" },
	{ OPT_TEXT, 0, "format", "string", AT(format), NULL, "table|json",
	  "Format output: 'table', 'table TEMPLATE', 'json' or a Go template" },
	{ OPT_INT, 0, "limit", "int", AT(limit), "25", NULL, "Max number of search results" },
	{ OPT_BOOL, 0, "no-trunc", NULL, AT(no_trunc), NULL, NULL, "Don't truncate output" },
	{ .kind = OPT_END },
};

static const struct table_title titles[] = {
	{ "Description", "DESCRIPTION" }, { "IsAutomated", "AUTOMATED" },
	{ "IsOfficial", "OFFICIAL" },	  { "Name", "NAME" },
	{ "StarCount", "STARS" },	  { NULL, NULL },
};

#define SEARCH_COLUMNS "{{.Name}}\t{{.Description}}\t{{.StarCount}}\t{{.IsOfficial}}"

static int64_t stars_of(const struct js *found)
{
	int64_t n = 0;

	js_int(js_get(found, "star_count"), &n);
	return n;
}

static int check_filters(const struct filters *f, struct err *e)
{
	for (size_t i = 0; i < f->n; i++) {
		const char *key = f->keys.v[i], *value = f->values.v[i];
		uint64_t n;
		bool b;

		if (strcmp(key, "stars") == 0 ? !parse_u64(value, 0, INT32_MAX, &n)
					      : !parse_bool(value, &b))
			return err_set(e, EINVAL, "invalid filter '%s=%s'", key, value);
	}
	return 0;
}

static bool matches(const struct js *found, const struct filters *f)
{
	for (size_t i = 0; i < f->n; i++) {
		const char *key = f->keys.v[i], *value = f->values.v[i];
		uint64_t n = 0;
		bool want = true;

		if (strcmp(key, "stars") == 0) {
			parse_u64(value, 0, INT32_MAX, &n);
			if (stars_of(found) < (int64_t)n)
				return false;
			continue;
		}
		parse_bool(value, &want);
		if (want !=
		    js_true(js_get(found, strcmp(key, "is-official") == 0 ? "is_official"
									  : "is_automated")))
			return false;
	}
	return true;
}

static struct js *row_of(const struct js *found, const struct search_flags *f)
{
	bool json = f->format && strcmp(f->format, "json") == 0;
	own_str struct str text = STR_INIT;
	struct js *row = js_object();
	char stars[32];

	str_add(&text, js_text(js_get(found, "description")));
	for (size_t i = 0; i < text.len; i++)
		if (strchr("\n\r\t", text.s[i]))
			text.s[i] = ' ';
	if (!f->no_trunc)
		text_ellipsis(&text, DESCRIPTION_MAX);
	snprintf(stars, sizeof(stars), "%lld", (long long)stars_of(found));
	js_set(row, "Description", js_of_mem(text.s ? text.s : "", text.len));
	js_set_text(row, "IsAutomated",
		    js_true(js_get(found, "is_automated")) ? (json ? "true" : "[OK]")
							   : (json ? "false" : ""));
	js_set_text(row, "IsOfficial",
		    js_true(js_get(found, "is_official")) ? (json ? "true" : "[OK]")
							  : (json ? "false" : ""));
	js_set_text(row, "Name", js_text(js_get(found, "name")));
	js_set_text(row, "StarCount", stars);
	return row;
}

static int by_stars(const void *a, const void *b)
{
	int64_t x = stars_of(*(struct js *const *)a), y = stars_of(*(struct js *const *)b);

	return x < y ? 1 : x > y ? -1 : 0;
}

/* The most stars first; where there are none, as the registry has them. */
static struct js *rows_of(const struct js *found, const struct search_flags *f,
			  const struct filters *filters)
{
	size_t n = js_len(found);
	own_free struct js **sorted = xcalloc(n + 1, sizeof(*sorted));
	struct js *rows = js_array();
	bool any = false;

	for (size_t i = 0; i < n; i++) {
		sorted[i] = js_at(found, i);
		any = any || stars_of(sorted[i]);
	}
	if (any)
		qsort(sorted, n, sizeof(struct js *), by_stars);
	for (size_t i = 0; i < n; i++)
		if (matches(sorted[i], filters))
			js_push(rows, row_of(sorted[i], f));
	return rows;
}

static int run_search(struct zl *z, void *flags, const struct operands *ops, struct err *e)
{
	static const char *const keys[] = { "is-automated", "is-official", "stars", NULL };
	const struct search_flags *f = flags;
	struct filters filters OWN(filters_free) = { STRV_INIT, STRV_INIT, 0 };
	own_js struct js *found = NULL, *rows = NULL;
	own_str struct str out = STR_INIT;

	(void)z;
	if (f->limit < 1 || f->limit > SEARCH_LIMIT_MAX)
		return err_set(e, EINVAL, "limit %lld is outside the range of [1, %d]",
			       (long long)f->limit, SEARCH_LIMIT_MAX);
	if (filters_parse(&f->filter, keys, &filters, e) < 0 || check_filters(&filters, e) < 0)
		return -1;
	found = remote_search(ops->v[0], (unsigned)f->limit, e);
	if (found == NULL)
		return err_wrap(e, "search %s", ops->v[0]);
	rows = rows_of(found, f, &filters);
	if (table_list(rows, f->format, SEARCH_COLUMNS, titles, &out, e) < 0)
		return -1;
	fputs(out.s ? out.s : "", stdout);
	return 0;
}

const struct command cmd_search = {
	.names = "search",
	.help = "Search a registry for images",
	.usage = "[OPTIONS] TERM",
	.run = run_search,
	.opts = search_opts,
	.flags_size = sizeof(struct search_flags),
	.min = 1,
	.max = 1,
	.flags = CMD_COMMON | CMD_PURE,
};
