/* table_out.h: columns as docker prints them, and --format for lists. */
#ifndef ZL_CMD_TABLE_OUT_H
#define ZL_CMD_TABLE_OUT_H

#include <stdbool.h>

#include "runtime/base/err.h"
#include "runtime/base/json.h"
#include "runtime/base/str.h"

/*
 * Lines of cells apart by tabs become columns: at least `min` wide, 3 spaces
 * between them; the last cell of a line is not padded. Widths count
 * characters, not bytes.
 */
#define TABLE_CELL_MIN 10 /* as docker's lists have it */
void table_align(const char *lines, size_t min, struct str *out);

/* A column's field and its title. */
struct table_title {
	const char *field, *title;
};

/*
 * Prints rows (a JSON array of objects) as --format asks: "" or "table" (the
 * default columns, apart by tabs: "{{.ID}}\t{{.Names}}"), "table TEMPLATE",
 * "json", or a template for each row. titles end with a NULL field.
 */
int table_list(const struct js *rows, const char *format, const char *columns,
	       const struct table_title *titles, struct str *out, struct err *e);
/* With further fields of each row, an array like rows; see format_run_more. */
int table_list_more(const struct js *rows, const struct js *more, const char *format,
		    const char *columns, const struct table_title *titles, struct str *out,
		    struct err *e);

#endif
