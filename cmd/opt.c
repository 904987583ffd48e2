/* opt.c: reads options by their rows; see opt.h. */
#include "cmd/opt.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/parse.h"

/* The longest word `nearest_word` compares. */
#define WORD_MAX 40
/* Room for the names of one command's options. */
#define NAMES_MAX 160

const struct opt *opt_by_name(const struct opt *rows, const char *name, size_t n)
{
	for (; rows && rows->kind != OPT_END; rows++)
		if (strlen(rows->name) == n && memcmp(rows->name, name, n) == 0)
			return rows;
	return NULL;
}

const struct opt *opt_by_letter(const struct opt *rows, char letter)
{
	for (; rows && rows->kind != OPT_END; rows++)
		if (letter && rows->letter == letter)
			return rows;
	return NULL;
}

static bool parse_int(const char *s, int64_t *out)
{
	bool neg = *s == '-';
	uint64_t v;

	if (!parse_u64(s + neg, 0, INT64_MAX, &v))
		return false;
	*out = neg ? -(int64_t)v : (int64_t)v;
	return true;
}

/* Stores one value; NULL or what was expected instead. */
static const char *store(const struct opt *o, void *flags, const char *value)
{
	void *field = (char *)flags + o->field;

	switch (o->kind) {
	case OPT_BOOL:
		return parse_bool(value, field) ? NULL : "must be true or false";
	case OPT_TEXT:
		*(const char **)field = value;
		return NULL;
	case OPT_LIST:
		strv_add(field, value);
		return NULL;
	case OPT_INT:
		return parse_int(value, field) ? NULL : "must be a whole number";
	case OPT_SIZE:
		return parse_size(value, field) ? NULL : "must be a size such as 512m or 2g";
	case OPT_END:
		break;
	}
	return "no such option";
}

static int set_value(const struct opt *o, void *flags, const char *value, struct err *e)
{
	const char *why = store(o, flags, value);

	if (why == NULL)
		return 0;
	if (o->letter)
		return err_set(e, EINVAL, "invalid argument \"%s\" for \"-%c, --%s\" flag: %s",
			       value, o->letter, o->name, why);
	return err_set(e, EINVAL, "invalid argument \"%s\" for \"--%s\" flag: %s", value, o->name,
		       why);
}

void opt_defaults(const struct opt *rows, void *flags)
{
	for (; rows && rows->kind != OPT_END; rows++)
		if (rows->def)
			store(rows, flags, rows->def);
}

void opt_free(const struct opt *rows, void *flags)
{
	for (; rows && rows->kind != OPT_END; rows++)
		if (rows->kind == OPT_LIST)
			strv_free((struct strv *)(void *)((char *)flags + rows->field));
}

static int unknown_name(const struct opt *rows, const char *name, size_t n, struct err *e)
{
	const char *words[NAMES_MAX], *near;
	char typed[WORD_MAX + 1];
	size_t count = 0;

	for (; rows && rows->kind != OPT_END && count < NAMES_MAX - 1; rows++)
		if (rows->help)
			words[count++] = rows->name;
	words[count++] = "help";
	snprintf(typed, sizeof(typed), "%.*s", (int)(n > WORD_MAX ? WORD_MAX : n), name);
	near = nearest_word(typed, words, count);
	if (near)
		return err_set(e, EINVAL, "unknown flag: --%.*s; did you mean --%s?", (int)n, name,
			       near);
	return err_set(e, EINVAL, "unknown flag: --%.*s", (int)n, name);
}

/* The state of one reading. */
struct reader {
	const struct opt *rows;
	void *flags;
	int argc, at;
	char **argv;
};

/* "--name", "--name=value", "--name value". */
static int read_long(struct reader *r, struct err *e)
{
	const char *name = r->argv[r->at++] + 2;
	const char *eq = strchr(name, '=');
	size_t n = eq ? (size_t)(eq - name) : strlen(name);
	const struct opt *o = opt_by_name(r->rows, name, n);

	if (o == NULL && n == 4 && memcmp(name, "help", 4) == 0)
		return 1;
	if (n == 0)
		return err_set(e, EINVAL, "bad flag syntax: --%s", name);
	if (o == NULL)
		return unknown_name(r->rows, name, n, e);
	if (eq)
		return set_value(o, r->flags, eq + 1, e);
	if (o->kind == OPT_BOOL)
		return set_value(o, r->flags, "true", e);
	if (r->at >= r->argc)
		return err_set(e, EINVAL, "flag needs an argument: --%s", o->name);
	return set_value(o, r->flags, r->argv[r->at++], e);
}

/* "-i", "-it", "-it=false", "-e VALUE", "-eVALUE", "-e=VALUE". */
static int read_cluster(struct reader *r, struct err *e)
{
	const char *word = r->argv[r->at++];

	for (const char *c = word + 1; *c; c++) {
		const struct opt *o = opt_by_letter(r->rows, *c);

		if (o == NULL && *c == 'h')
			return 1;
		if (o == NULL)
			return err_set(e, EINVAL, "unknown shorthand flag: '%c' in -%s", *c, c);
		if (c[1] == '=')
			return set_value(o, r->flags, c + 2, e);
		if (o->kind != OPT_BOOL) {
			if (c[1])
				return set_value(o, r->flags, c + 1, e);
			if (r->at >= r->argc)
				return err_set(e, EINVAL, "flag needs an argument: '%c' in -%s", *c,
					       word + 1);
			return set_value(o, r->flags, r->argv[r->at++], e);
		}
		set_value(o, r->flags, "true", e);
	}
	return 0;
}

int opt_parse(const struct opt *rows, void *flags, int argc, char **argv, enum opt_order order,
	      struct operands *out, struct err *e)
{
	struct reader r = { rows, flags, argc, 0, argv };
	bool only_operands = false;

	out->v = argv;
	out->n = 0;
	while (r.at < argc) {
		char *word = argv[r.at];
		int rc;

		if (only_operands || word[0] != '-' || word[1] == 0) {
			argv[out->n++] = word;
			r.at++;
			only_operands = only_operands || order == OPT_FIRST;
			continue;
		}
		if (strcmp(word, "--") == 0) {
			only_operands = true;
			r.at++;
			continue;
		}
		rc = word[1] == '-' ? read_long(&r, e) : read_cluster(&r, e);
		if (rc)
			return rc;
	}
	return 0;
}

/* docker hides defaults that are zero; a negative one stands for "not given". */
static bool shows_default(const struct opt *o)
{
	return o->def && strcmp(o->def, "false") != 0 && strcmp(o->def, "0") != 0 && *o->def != '-';
}

static int by_option_name(const void *a, const void *b)
{
	const struct opt *const *x = a, *const *y = b;

	return strcmp((*x)->name, (*y)->name);
}

/* The rows that are shown, by name; at most NAMES_MAX. */
static size_t sorted(const struct opt *rows, const struct opt **out)
{
	size_t n = 0;

	for (; rows && rows->kind != OPT_END && n < NAMES_MAX; rows++)
		if (rows->help)
			out[n++] = rows;
	qsort(out, n, sizeof(*out), by_option_name);
	return n;
}

void opt_help(const struct opt *rows, struct str *out)
{
	const struct opt *by_name[NAMES_MAX];
	size_t n = sorted(rows, by_name), width = 0;

	for (size_t i = 0; i < n; i++) {
		const struct opt *o = by_name[i];
		size_t w = strlen(o->name) + (o->arg ? strlen(o->arg) + 1 : 0);

		width = w > width ? w : width;
	}
	for (size_t i = 0; i < n; i++) {
		const struct opt *o = by_name[i];
		int used = (int)(strlen(o->name) + (o->arg ? strlen(o->arg) + 1 : 0));

		if (o->letter)
			str_addf(out, "  -%c, ", o->letter);
		else
			str_add(out, "      ");
		str_addf(out, "--%s%s%s%*s   %s", o->name, o->arg ? " " : "", o->arg ? o->arg : "",
			 (int)width - used, "", o->help);
		if (shows_default(o))
			str_addf(out, o->kind == OPT_TEXT ? " (default \"%s\")" : " (default %s)",
				 o->def);
		str_add_char(out, '\n');
	}
}

/* Text for mdoc: what roff would read as markup is escaped. */
static void add_roff(struct str *out, const char *s)
{
	for (; *s; s++) {
		if (*s == '\\')
			str_add(out, "\\e");
		else if (*s == '-')
			str_add(out, "\\-");
		else
			str_add_char(out, *s);
	}
}

void opt_man(const struct opt *rows, struct str *out)
{
	const struct opt *by_name[NAMES_MAX];
	size_t n = sorted(rows, by_name);

	if (n == 0)
		return;
	str_add(out, ".Bl -tag -width Ds\n");
	for (size_t i = 0; i < n; i++) {
		const struct opt *o = by_name[i];

		str_add(out, ".It ");
		if (o->letter)
			str_addf(out, "Fl %c , ", o->letter);
		str_addf(out, "Fl Fl %s", o->name);
		if (o->arg)
			str_addf(out, " Ar %s", o->arg);
		str_add_char(out, '\n');
		add_roff(out, o->help);
		str_add(out, ".\n");
		if (shows_default(o)) {
			str_add(out, "The default is\n.Ql ");
			add_roff(out, o->def);
			str_add(out, " .\n");
		}
	}
	str_add(out, ".El\n");
}

/* Edits to make b of a: insert, delete, replace, swap of neighbours. */
static unsigned distance(const char *a, const char *b)
{
	unsigned d[3][WORD_MAX + 1];
	size_t n = strlen(a), m = strlen(b);

	if (n > WORD_MAX || m > WORD_MAX)
		return WORD_MAX;
	for (size_t j = 0; j <= m; j++)
		d[0][j] = (unsigned)j;
	for (size_t i = 1; i <= n; i++) {
		unsigned *row = d[i % 3], *up = d[(i - 1) % 3], *up2 = d[(i + 1) % 3];

		row[0] = (unsigned)i;
		for (size_t j = 1; j <= m; j++) {
			unsigned best = up[j - 1] + (a[i - 1] != b[j - 1]);

			best = up[j] + 1 < best ? up[j] + 1 : best;
			best = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
			    up2[j - 2] + 1 < best)
				best = up2[j - 2] + 1;
			row[j] = best;
		}
	}
	return d[n % 3][m];
}

const char *nearest_word(const char *typed, const char *const *words, size_t n)
{
	size_t len = strlen(typed);
	unsigned best = len <= 2 ? 1 : len <= 5 ? 2 : 3;
	const char *found = NULL;

	for (size_t i = 0; i < n; i++) {
		unsigned d = distance(typed, words[i]);

		/* "memor" is "memory" cut short rather than anything three edits away */
		if (len >= 3 && d > 1 && str_starts(words[i], typed))
			d = 1;
		if (d < best || (d == best && found == NULL)) {
			best = d;
			found = words[i];
		}
	}
	return found;
}
