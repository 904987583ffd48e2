/* format_ast.h: a parsed template, shared by the three files of --format and nobody else. */
#ifndef ZL_CMD_FORMAT_AST_H
#define ZL_CMD_FORMAT_AST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/base/err.h"
#include "runtime/base/json.h"
#include "runtime/base/str.h"

/* Deepest nesting of parentheses and blocks. */
#define FORMAT_DEPTH_MAX 64
/* Most arguments of one call, and most variables alive at once. */
#define FORMAT_ARGS_MAX 32
#define FORMAT_VARS_MAX 64

enum node_kind {
	/* in a list, linked by next */
	NODE_TEXT,   /* text, len */
	NODE_ACTION, /* pipe */
	NODE_IF,     /* pipe, body, other */
	NODE_WITH,
	NODE_RANGE,
	NODE_BREAK,
	NODE_CONTINUE,
	/* in a pipe */
	NODE_PIPE,    /* kids: commands; decl, assign */
	NODE_COMMAND, /* kids: words */
	NODE_DOT,     /* fields may follow */
	NODE_VAR,     /* text "$x", fields */
	NODE_PAREN,   /* pipe, fields */
	NODE_CALL,    /* text: the function's name */
	NODE_VALUE,   /* value */
};

struct node {
	enum node_kind kind;
	char *text;
	size_t len;
	struct strv fields;
	struct strv decl; /* "$i", "$v": set by this pipe */
	bool assign;	  /* by =, not by := */
	struct js *value; /* NULL: nil */
	struct node *pipe, *body, *other, *next;
	struct node **kids;
	size_t nkids;
};

struct format {
	struct node *list;
};

void node_free(struct node *n);

/* What a call works with. */
struct eval {
	const struct js *root, *more; /* more: see format_run_more */
	bool header;
	struct err *e;
	struct str *out;
	/* values made on the way, freed when the run ends */
	struct js **made;
	size_t nmade, cap;
	struct {
		const char *name;
		const struct js *value;
	} vars[FORMAT_VARS_MAX];
	size_t nvars;
	enum { FLOW_ON, FLOW_BREAK, FLOW_CONTINUE } flow;
	unsigned depth;
};

/* Keeps v until the run ends. */
const struct js *eval_keep(struct eval *ev, struct js *v);

/* format_fn.c */
struct format_fn {
	const char *name;
	int min, max; /* arguments; max -1: FORMAT_ARGS_MAX */
	int (*call)(struct eval *ev, const struct js *const *args, int n, const struct js **out);
};
const struct format_fn *format_fn_find(const char *name);
/* Go's idea of a true value. */
bool format_true(const struct js *v);
/* Appends v as Go's %v. */
void format_print(const struct js *v, struct str *out);
/* The element of a list, map or text; see Go's index. */
int format_index(struct eval *ev, const struct js *v, const struct js *key, const struct js **out);

#endif
