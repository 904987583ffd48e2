/* table_out.c: columns as docker prints them; see table_out.h. */
#include "cmd/table_out.h"

#include <string.h>

#include "cmd/format.h"
#include "runtime/base/own.h"

#define CELL_GAP  3
#define CELLS_MAX 32

/* Characters, taking each UTF-8 sequence as one. */
static size_t width_of(const char *s, size_t n)
{
	size_t w = 0;

	for (size_t i = 0; i < n; i++)
		w += ((unsigned char)s[i] & 0xc0) != 0x80;
	return w;
}

static void measure(const char *lines, size_t min, size_t *widths)
{
	size_t cell = 0;

	while (*lines) {
		size_t n = strcspn(lines, "\t\n"), w;

		/* the last cell of a line sets no width */
		if (lines[n] == '\t' && cell < CELLS_MAX) {
			w = width_of(lines, n) + CELL_GAP;
			w = w < min ? min : w;
			widths[cell] = w > widths[cell] ? w : widths[cell];
		}
		cell = lines[n] == '\t' ? cell + 1 : 0;
		lines += n + (lines[n] != 0);
	}
}

void table_align(const char *lines, size_t min, struct str *out)
{
	size_t widths[CELLS_MAX] = { 0 };
	size_t cell = 0;

	measure(lines, min, widths);
	while (*lines) {
		size_t n = strcspn(lines, "\t\n");

		str_add_mem(out, lines, n);
		if (lines[n] == '\t') {
			size_t w = width_of(lines, n);

			for (; cell < CELLS_MAX && w < widths[cell]; w++)
				str_add_char(out, ' ');
			cell++;
		} else if (lines[n] == '\n') {
			str_add_char(out, '\n');
			cell = 0;
		}
		lines += n + (lines[n] != 0);
	}
}

static struct js *titles_object(const struct table_title *titles)
{
	struct js *j = js_object();

	for (; titles->field; titles++)
		js_set_text(j, titles->field, titles->title);
	return j;
}

int table_list(const struct js *rows, const char *format, const char *columns,
	       const struct table_title *titles, struct str *out, struct err *e)
{
	return table_list_more(rows, NULL, format, columns, titles, out, e);
}

int table_list_more(const struct js *rows, const struct js *more, const char *format,
		    const char *columns, const struct table_title *titles, struct str *out,
		    struct err *e)
{
	own_free char *template = NULL;
	own_format struct format *f = NULL;
	own_js struct js *header = NULL;
	own_str struct str lines = STR_INIT;
	bool table = false;

	if (format == NULL || *format == 0 || strcmp(format, "table") == 0) {
		table = true;
		template = xstrdup(columns);
	} else if (strcmp(format, "json") == 0) {
		template = xstrdup("{{json .}}");
	} else {
		table = str_starts(format, "table ");
		template = format_unescape(table ? format + strlen("table ") : format);
	}
	f = format_parse(template, e);
	if (f == NULL)
		return -1;
	if (table) {
		header = titles_object(titles);
		if (format_run(f, header, true, &lines, e) < 0)
			return -1;
		str_add_char(&lines, '\n');
	}
	for (size_t i = 0; i < js_len(rows); i++) {
		if (format_run_more(f, js_at(rows, i), js_at(more, i), &lines, e) < 0)
			return -1;
		str_add_char(&lines, '\n');
	}
	if (table)
		table_align(lines.s ? lines.s : "", TABLE_CELL_MIN, out);
	else
		str_add_mem(out, lines.s, lines.len);
	return 0;
}
