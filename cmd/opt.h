/* opt.h: option rows -> fields; help, completion and manual come from the same rows. */
#ifndef ZL_CMD_OPT_H
#define ZL_CMD_OPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/base/err.h"
#include "runtime/base/str.h"

/* What an option's field holds. */
enum opt_kind {
	OPT_END,  /* ends the rows */
	OPT_BOOL, /* bool; `--x`, `--x=false` */
	OPT_TEXT, /* const char *, borrowed from the command line; NULL: not given */
	OPT_LIST, /* struct strv, one element each time the option is given */
	OPT_INT,  /* int64_t */
	OPT_SIZE, /* uint64_t, bytes: 512m */
};

struct opt {
	enum opt_kind kind;
	char letter;	  /* 0: none */
	const char *name; /* without dashes */
	const char *arg;  /* the value's word in help: "list", "string"; NULL for OPT_BOOL */
	size_t field;	  /* offsetof in the command's flags */
	const char *def;  /* the value to start with, shown in help; NULL: zero */
	/*
	 * What completion offers for the value: words apart by '|', or one of
	 * "@container", "@running", "@image", "@file", "@dir", "@signal", "@capability".
	 */
	const char *values;
	const char *help; /* NULL: an old spelling, taken but not shown */
};

/* Operands: what is left of the command line; points into it. */
struct operands {
	char **v;
	int n;
};

/* Fills flags with the rows' defaults; flags is zeroed memory. */
void opt_defaults(const struct opt *rows, void *flags);
/* Frees what the fields own. */
void opt_free(const struct opt *rows, void *flags);

/* Where operands may stand. */
enum opt_order {
	OPT_ANYWHERE, /* options and operands mix, as in `ps` */
	OPT_FIRST,    /* the first operand ends the options, as in `run` */
};

/*
 * Reads argv (without the command's own words). Returns 0, 1 when --help was
 * asked for, or -EINVAL with docker's words and the nearest option. The
 * operands are moved to the front of argv.
 */
int opt_parse(const struct opt *rows, void *flags, int argc, char **argv, enum opt_order order,
	      struct operands *out, struct err *e);

/* The row of `--name` (n bytes of it) or of a letter; NULL. */
const struct opt *opt_by_name(const struct opt *rows, const char *name, size_t n);
const struct opt *opt_by_letter(const struct opt *rows, char letter);
/* Appends the lines under "Options:". */
void opt_help(const struct opt *rows, struct str *out);
/* Appends the OPTIONS list of the manual page in mdoc. */
void opt_man(const struct opt *rows, struct str *out);

/* The nearest of `words` to `typed`, near enough to be meant; NULL. */
const char *nearest_word(const char *typed, const char *const *words, size_t n);

#endif
