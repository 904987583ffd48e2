/* show.h: what the listing and inspecting commands share. */
#ifndef ZL_CMD_SHOW_H
#define ZL_CMD_SHOW_H

#include <stdbool.h>
#include <stddef.h>

#include "runtime/base/err.h"
#include "runtime/base/json.h"
#include "runtime/base/str.h"

/* --filter key=value, in order. */
struct filters {
	struct strv keys, values;
	size_t n;
};

/* known ends with NULL; other keys are refused in docker's words. */
int filters_parse(const struct strv *texts, const char *const *known, struct filters *f,
		  struct err *e);
void filters_free(struct filters *f);

/* Cuts s to max characters, the last of them an ellipsis. */
void text_ellipsis(struct str *s, size_t max);
/* "3 hours" becomes "3 hours ago". */
void text_ago(char *buf, size_t size);
/* "key=value" pairs as an object. */
struct js *labels_object(const struct strv *labels);
/* "sha256:0123..." without its prefix, cut to docker's 12 digits; borrowed, printed by %.12s. */
const char *hex_of(const char *digest);

struct box;
struct image;
/* A row of `zl ps`, and of `zl images`: docker's fields by name; owned by the caller. */
struct js *ps_row(const struct box *b, bool whole);
struct js *images_row(const struct image *i, bool whole);

/* docker's exit code for a template that cannot be parsed. */
#define EXIT_TEMPLATE 64

/*
 * Prints what `inspect` found: the array in docker's indented JSON ("json": in one line), or each
 * element by a template. Returns an exit code, or -ve with the error; inspect_format_check
 * is to be asked before anything is looked for.
 */
int inspect_format_check(const char *format, struct err *e);
int print_inspected(const struct js *found, const char *format, struct err *e);

#endif
