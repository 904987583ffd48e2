/* format.h: --format: Go templates as docker's users write them, over JSON values. */
#ifndef ZL_CMD_FORMAT_H
#define ZL_CMD_FORMAT_H

#include <stdbool.h>

#include "runtime/base/err.h"
#include "runtime/base/json.h"
#include "runtime/base/str.h"

/*
 * Understood: text, {{.Field.Sub}}, {{$}}, {{$v := pipeline}}, {{$v = ...}}, pipelines with |,
 * parentheses, literals, {{if}} {{else if}} {{else}} {{with}} {{range $i, $v := ...}} {{break}}
 * {{continue}} {{end}}, {{- trimming -}}, {{comments}}; Go's functions and not or len index slice
 * print printf println eq ne lt le gt ge, docker's json split join title lower upper pad truncate.
 */
struct format;

/* NULL with "template parsing error: ..." on a mistake. */
struct format *format_parse(const char *text, struct err *e);
void format_free(struct format *f);
void format_free_(struct format **f);
#define own_format __attribute__((cleanup(format_free_)))

/*
 * Appends the text for `data`. A field that is not there is an error. With
 * `header`, data maps field names to column titles, and functions that would
 * change a title leave it as it is.
 */
int format_run(const struct format *f, const struct js *data, bool header, struct str *out,
	       struct err *e);

/*
 * The same; `more` (an object, or NULL) has further fields of data, which `{{json .}}` does not
 * show: what are methods of docker's values, and where Go's name of a field is not that in JSON.
 */
int format_run_more(const struct format *f, const struct js *data, const struct js *more,
		    struct str *out, struct err *e);

/* docker's lists take \t and \n in a format for tab and newline; owned by the caller. */
char *format_unescape(const char *text);

#endif
