/* format_fn.c: the functions of --format, Go's and docker's; see format.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/format_ast.h"
#include "runtime/base/own.h"

/* Widest field of printf and pad. */
#define WIDTH_MAX 4096

bool format_true(const struct js *v)
{
	double r;

	if (v == NULL || js_is_null(v))
		return false;
	if (js_is_bool(v))
		return js_true(v);
	if (js_real(v, &r))
		return r != 0;
	if (js_is_string(v))
		return js_text(v)[0] != 0;
	return js_len(v) > 0;
}

/* The shortest text that reads back as the same number. */
static void print_real(double r, struct str *out)
{
	char buf[40];

	for (int digits = 1; digits <= 17; digits++) {
		snprintf(buf, sizeof(buf), "%.*g", digits, r);
		if (strtod(buf, NULL) == r)
			break;
	}
	str_add(out, buf);
}

static void print_map(const struct js *v, struct str *out)
{
	own_strv struct strv keys = STRV_INIT;
	struct js *value;
	const char *key;
	void *it = NULL;

	while (js_each(v, &it, &key, &value))
		strv_add(&keys, key);
	strv_sort(&keys);
	str_add(out, "map[");
	for (size_t i = 0; i < keys.n; i++) {
		str_addf(out, "%s%s:", i ? " " : "", keys.v[i]);
		format_print(js_get(v, keys.v[i]), out);
	}
	str_add_char(out, ']');
}

void format_print(const struct js *v, struct str *out)
{
	const char *text;
	size_t len;
	int64_t i;
	double r;

	if (v == NULL) {
		str_add(out, "<no value>");
	} else if (js_is_null(v)) {
		str_add(out, "<nil>");
	} else if ((text = js_text_len(v, &len)) != NULL) {
		str_add_mem(out, text, len);
	} else if (js_int(v, &i)) {
		str_addf(out, "%lld", (long long)i);
	} else if (js_real(v, &r)) {
		print_real(r, out);
	} else if (js_is_bool(v)) {
		str_add(out, js_true(v) ? "true" : "false");
	} else if (js_is_object(v)) {
		print_map(v, out);
	} else {
		str_add_char(out, '[');
		for (size_t k = 0; k < js_len(v); k++) {
			if (k)
				str_add_char(out, ' ');
			format_print(js_at(v, k), out);
		}
		str_add_char(out, ']');
	}
}

static const char *type_name(const struct js *v)
{
	if (v == NULL || js_is_null(v))
		return "nil";
	if (js_is_string(v))
		return "string";
	if (js_is_bool(v))
		return "bool";
	if (js_is_number(v))
		return js_int(v, &(int64_t){ 0 }) ? "int" : "float64";
	return js_is_array(v) ? "[]interface {}" : "map[string]interface {}";
}

static int wrong_type(struct eval *ev, const char *fn, const struct js *v)
{
	return err_set(ev->e, EINVAL, "template: error calling %s: wrong type of value: %s", fn,
		       type_name(v));
}

static const struct js *keep_str(struct eval *ev, struct str *s)
{
	const struct js *v = eval_keep(ev, js_of_mem(s->s ? s->s : "", s->len));

	str_free(s);
	return v;
}

/* --- docker's */

static int fn_json(struct eval *ev, const struct js *const *a, int n, const struct js **out)
{
	own_free char *text = NULL;

	(void)n;
	*out = a[0];
	if (ev->header)
		return 0;
	text = a[0] ? js_dump(a[0], 0) : xstrdup("null");
	*out = eval_keep(ev, js_of_text(text));
	return 0;
}

static int fn_split(struct eval *ev, const struct js *const *a, int n, const struct js **out)
{
	const char *text = js_text(a[0]), *sep = js_text(a[1]);
	struct js *list;

	(void)n;
	*out = a[0];
	if (ev->header)
		return 0;
	if (text == NULL || sep == NULL)
		return wrong_type(ev, "split", text ? a[1] : a[0]);
	list = js_array();
	*out = eval_keep(ev, list);
	while (*sep == 0 && *text) { /* Go: into characters */
		size_t k = 1 + strspn(text + 1, "\x80\x81\x82\x83\x84\x85\x86\x87\x88\x89\x8a"
						"\x8b\x8c\x8d\x8e\x8f\x90\x91\x92\x93\x94\x95"
						"\x96\x97\x98\x99\x9a\x9b\x9c\x9d\x9e\x9f\xa0"
						"\xa1\xa2\xa3\xa4\xa5\xa6\xa7\xa8\xa9\xaa\xab"
						"\xac\xad\xae\xaf\xb0\xb1\xb2\xb3\xb4\xb5\xb6"
						"\xb7\xb8\xb9\xba\xbb\xbc\xbd\xbe\xbf");

		js_push(list, js_of_mem(text, k));
		text += k;
	}
	while (*sep) {
		const char *at = strstr(text, sep);

		js_push(list, js_of_mem(text, at ? (size_t)(at - text) : strlen(text)));
		if (at == NULL)
			break;
		text = at + strlen(sep);
	}
	return 0;
}

static int fn_join(struct eval *ev, const struct js *const *a, int n, const struct js **out)
{
	const char *sep = js_text(a[1]);
	struct str s = STR_INIT;

	(void)n;
	*out = a[0];
	if (ev->header)
		return 0;
	if (sep == NULL || (a[0] && !js_is_array(a[0]) && !js_is_null(a[0])))
		return wrong_type(ev, "join", sep ? a[0] : a[1]);
	for (size_t i = 0; i < js_len(a[0]); i++) {
		if (i)
			str_add(&s, sep);
		format_print(js_at(a[0], i), &s);
	}
	*out = keep_str(ev, &s);
	return 0;
}

static char change_case(char c, bool up)
{
	if (up && c >= 'a' && c <= 'z')
		return (char)(c - 'a' + 'A');
	if (!up && c >= 'A' && c <= 'Z')
		return (char)(c - 'A' + 'a');
	return c;
}

/* how: 'u' upper, 'l' lower, 't' title: the first letter of each word. */
static int recase(struct eval *ev, const char *fn, const struct js *v, char how,
		  const struct js **out)
{
	own_free char *text = NULL;
	bool first = true;

	*out = v;
	if (ev->header)
		return 0;
	if (js_text(v) == NULL)
		return wrong_type(ev, fn, v);
	text = xstrdup(js_text(v));
	for (char *c = text; *c; c++) {
		if (how != 't' || first)
			*c = change_case(*c, how != 'l');
		first = strchr(" \t\n\r\v\f-/.,:;", *c) != NULL;
	}
	*out = eval_keep(ev, js_of_text(text));
	return 0;
}

static int fn_upper(struct eval *ev, const struct js *const *a, int n, const struct js **out)
{
	(void)n;
	return recase(ev, "upper", a[0], 'u', out);
}

static int fn_lower(struct eval *ev, const struct js *const *a, int n, const struct js **out)
{
	(void)n;
	return recase(ev, "lower", a[0], 'l', out);
}

static int fn_title(struct eval *ev, const struct js *const *a, int n, const struct js **out)
{
	(void)n;
	return recase(ev, "title", a[0], 't', out);
}

/* pad TEXT BEFORE AFTER: spaces on both sides, none around an empty text. */
static int fn_pad(struct eval *ev, const struct js *const *a, int n, const struct js **out)
{
	const char *text = js_text(a[0]);
	int64_t before, after;
	struct str s = STR_INIT;

	(void)n;
	if (text == NULL || !js_int(a[1], &before) || !js_int(a[2], &after))
		return wrong_type(ev, "pad", text ? a[1] : a[0]);
	*out = a[0];
	if (*text == 0)
		return 0;
	for (int64_t i = 0; i < before && i < WIDTH_MAX; i++)
		str_add_char(&s, ' ');
	str_add(&s, text);
	for (int64_t i = 0; i < after && i < WIDTH_MAX; i++)
		str_add_char(&s, ' ');
	*out = keep_str(ev, &s);
	return 0;
}

static int fn_truncate(struct eval *ev, const struct js *const *a, int n, const struct js **out)
{
	const char *text = js_text(a[0]);
	int64_t max;

	(void)n;
	*out = a[0];
	if (ev->header)
		return 0;
	if (text == NULL || !js_int(a[1], &max))
		return wrong_type(ev, "truncate", text ? a[1] : a[0]);
	if (max >= 0 && (uint64_t)max < strlen(text))
		*out = eval_keep(ev, js_of_mem(text, (size_t)max));
	return 0;
}

/* --- Go's */

static int fn_not(struct eval *ev, const struct js *const *a, int n, const struct js **out)
{
	(void)n;
	*out = eval_keep(ev, js_of_bool(!format_true(a[0])));
	return 0;
}

static int fn_len(struct eval *ev, const struct js *const *a, int n, const struct js **out)
{
	size_t len = 0;

	(void)n;
	if (js_text_len(a[0], &len) == NULL) {
		if (!js_is_array(a[0]) && !js_is_object(a[0]))
			return wrong_type(ev, "len", a[0]);
		len = js_len(a[0]);
	}
	*out = eval_keep(ev, js_of_int((int64_t)len));
	return 0;
}

int format_index(struct eval *ev, const struct js *v, const struct js *key, const struct js **out)
{
	size_t len = js_len(v);
	const char *text;
	int64_t i;

	if (js_is_object(v)) {
		if (js_text(key) == NULL)
			return wrong_type(ev, "index", key);
		*out = js_get(v, js_text(key));
		if (*out == NULL)
			*out = eval_keep(ev, js_of_text("")); /* Go: the zero value */
		return 0;
	}
	text = js_text_len(v, &len);
	if (text == NULL && !js_is_array(v))
		return v == NULL || js_is_null(v)
			       ? err_set(ev->e, EINVAL,
					 "template: error calling index: index of nil")
			       : wrong_type(ev, "index", v);
	if (!js_int(key, &i))
		return wrong_type(ev, "index", key);
	len = text ? len : js_len(v);
	if (i < 0 || (uint64_t)i >= len)
		return err_set(ev->e, EINVAL,
			       "template: error calling index: index out of range: %lld",
			       (long long)i);
	*out = text ? eval_keep(ev, js_of_int((unsigned char)text[i])) : js_at(v, (size_t)i);
	return 0;
}

static int fn_index(struct eval *ev, const struct js *const *a, int n, const struct js **out)
{
	int rc = 0;

	*out = a[0];
	for (int i = 1; i < n && rc == 0; i++)
		rc = format_index(ev, *out, a[i], out);
	return rc;
}

/* slice X [FROM [TO]] */
static int fn_slice(struct eval *ev, const struct js *const *a, int n, const struct js **out)
{
	size_t len = 0;
	const char *text = js_text_len(a[0], &len);
	int64_t from = 0, to;
	struct js *list;

	if (text == NULL && !js_is_array(a[0]))
		return wrong_type(ev, "slice", a[0]);
	to = (int64_t)(text ? len : js_len(a[0]));
	if ((n > 1 && !js_int(a[1], &from)) || (n > 2 && !js_int(a[2], &to)))
		return wrong_type(ev, "slice", a[1]);
	if (from < 0 || from > to || (uint64_t)to > (text ? len : js_len(a[0])))
		return err_set(ev->e, EINVAL, "template: error calling slice: index out of range");
	if (text) {
		*out = eval_keep(ev, js_of_mem(text + from, (size_t)(to - from)));
		return 0;
	}
	list = js_array();
	*out = eval_keep(ev, list);
	for (int64_t i = from; i < to; i++)
		js_push(list, js_copy(js_at(a[0], (size_t)i)));
	return 0;
}

static int fn_print(struct eval *ev, const struct js *const *a, int n, const struct js **out)
{
	struct str s = STR_INIT;

	for (int i = 0; i < n; i++) {
		/* Go: a space between operands when neither is a string */
		if (i && !js_is_string(a[i]) && !js_is_string(a[i - 1]))
			str_add_char(&s, ' ');
		format_print(a[i], &s);
	}
	*out = keep_str(ev, &s);
	return 0;
}

static int fn_println(struct eval *ev, const struct js *const *a, int n, const struct js **out)
{
	struct str s = STR_INIT;

	for (int i = 0; i < n; i++) {
		if (i)
			str_add_char(&s, ' ');
		format_print(a[i], &s);
	}
	str_add_char(&s, '\n');
	*out = keep_str(ev, &s);
	return 0;
}

/* A number printf asks for; false and Go's complaint otherwise. */
static void print_verb(char verb, const struct js *v, int precision, struct str *s)
{
	int64_t i = 0;
	double r = 0;
	bool whole = js_int(v, &i);

	if (verb == 'v') {
		format_print(v, s);
	} else if (verb == 's' && !js_is_number(v) && !js_is_bool(v)) {
		size_t at = s->len;

		format_print(v, s);
		if (precision >= 0 && s->len - at > (size_t)precision)
			s->len = at + (size_t)precision;
	} else if (verb == 'q' && js_is_string(v)) {
		own_free char *quoted = js_dump(v, 0);

		str_add(s, quoted);
	} else if (verb == 't' && js_is_bool(v)) {
		format_print(v, s);
	} else if (verb == 'd' && whole) {
		str_addf(s, "%lld", (long long)i);
	} else if (verb == 'x' && whole) {
		str_addf(s, "%llx", (long long)i);
	} else if (verb == 'o' && whole) {
		str_addf(s, "%llo", (long long)i);
	} else if (verb == 'c' && whole && i > 0 && i < 128) {
		str_add_char(s, (char)i);
	} else if ((verb == 'f' || verb == 'g' || verb == 'e') && !whole && js_real(v, &r)) {
		int digits = precision >= 0 ? precision : 6;

		if (verb == 'f')
			str_addf(s, "%.*f", digits, r);
		else if (verb == 'e')
			str_addf(s, "%.*e", digits, r);
		else
			print_real(r, s);
	} else {
		str_addf(s, "%%!%c(%s=", verb, type_name(v));
		format_print(v, s);
		str_add_char(s, ')');
	}
}

static int read_width(const char **f)
{
	int w = 0;

	if (**f < '0' || **f > '9')
		return -1;
	for (; **f >= '0' && **f <= '9'; (*f)++)
		if (w < WIDTH_MAX)
			w = w * 10 + (**f - '0');
	return w > WIDTH_MAX ? WIDTH_MAX : w;
}

/* One "%-08.3d": f stands behind the percent sign; returns behind the verb. */
static const char *print_one(const char *f, const struct js *const *a, int n, int *arg,
			     struct str *s)
{
	own_str struct str one = STR_INIT;
	bool left = false, zero = false;
	int width, precision = -1;

	for (; *f == '-' || *f == '0' || *f == '+' || *f == ' ' || *f == '#'; f++) {
		left = left || *f == '-';
		zero = zero || *f == '0';
	}
	width = read_width(&f);
	if (*f == '.') {
		f++;
		precision = read_width(&f);
		precision = precision < 0 ? 0 : precision;
	}
	if (*f == 0) {
		str_add(s, "%!(NOVERB)");
		return f;
	}
	if (*f == '%')
		str_add_char(&one, '%');
	else if (*arg >= n)
		str_addf(&one, "%%!%c(MISSING)", *f);
	else
		print_verb(*f, a[(*arg)++], precision, &one);
	for (int i = (int)one.len; !left && i < width; i++)
		str_add_char(s, zero && *f != 's' && *f != 'v' ? '0' : ' ');
	str_add_mem(s, one.s, one.len);
	for (int i = (int)one.len; left && i < width; i++)
		str_add_char(s, ' ');
	return f + 1;
}

static int fn_printf(struct eval *ev, const struct js *const *a, int n, const struct js **out)
{
	const char *f = js_text(a[0]);
	struct str s = STR_INIT;
	int arg = 1;

	if (f == NULL)
		return wrong_type(ev, "printf", a[0]);
	while (*f) {
		if (*f != '%') {
			str_add_char(&s, *f++);
			continue;
		}
		f = print_one(f + 1, a, n, &arg, &s);
	}
	if (arg < n) {
		str_add(&s, "%!(EXTRA ");
		for (int i = arg; i < n; i++) {
			str_addf(&s, "%s%s=", i > arg ? ", " : "", type_name(a[i]));
			format_print(a[i], &s);
		}
		str_add_char(&s, ')');
	}
	*out = keep_str(ev, &s);
	return 0;
}

/* -1, 0, 1 in *order; values of different kinds are an error, as in Go. */
static int compare(struct eval *ev, const struct js *x, const struct js *y, int *order)
{
	double a, b;

	if (js_is_string(x) && js_is_string(y)) {
		int c = strcmp(js_text(x), js_text(y));

		*order = (c > 0) - (c < 0);
		return 0;
	}
	if (js_real(x, &a) && js_real(y, &b)) {
		*order = (a > b) - (a < b);
		return 0;
	}
	if (js_is_bool(x) && js_is_bool(y)) {
		*order = js_true(x) - js_true(y);
		return 0;
	}
	if ((x == NULL || js_is_null(x)) || (y == NULL || js_is_null(y))) {
		*order = (x == NULL || js_is_null(x)) && (y == NULL || js_is_null(y)) ? 0 : 1;
		return 0;
	}
	return err_set(ev->e, EINVAL,
		       "template: error calling eq: incompatible types for comparison: %s and %s",
		       type_name(x), type_name(y));
}

static int fn_eq(struct eval *ev, const struct js *const *a, int n, const struct js **out)
{
	bool same = false;

	for (int i = 1; i < n && !same; i++) {
		int order, rc = compare(ev, a[0], a[i], &order);

		if (rc < 0)
			return rc;
		same = order == 0;
	}
	*out = eval_keep(ev, js_of_bool(same));
	return 0;
}

/* Whether the order of the two is one of `wanted`: "<", "<=" ... */
static int ordered(struct eval *ev, const struct js *const *a, const char *wanted,
		   const struct js **out)
{
	int order, rc = compare(ev, a[0], a[1], &order);

	if (rc < 0)
		return rc;
	*out = eval_keep(ev, js_of_bool(strchr(wanted, "<=>"[order + 1]) != NULL));
	return 0;
}

static int fn_ne(struct eval *ev, const struct js *const *a, int n, const struct js **out)
{
	(void)n;
	return ordered(ev, a, "<>", out);
}

static int fn_lt(struct eval *ev, const struct js *const *a, int n, const struct js **out)
{
	(void)n;
	return ordered(ev, a, "<", out);
}

static int fn_le(struct eval *ev, const struct js *const *a, int n, const struct js **out)
{
	(void)n;
	return ordered(ev, a, "<=", out);
}

static int fn_gt(struct eval *ev, const struct js *const *a, int n, const struct js **out)
{
	(void)n;
	return ordered(ev, a, ">", out);
}

static int fn_ge(struct eval *ev, const struct js *const *a, int n, const struct js **out)
{
	(void)n;
	return ordered(ev, a, ">=", out);
}

/* `and` and `or` are evaluated where their operands are (format_eval.c). */
static const struct format_fn functions[] = {
	{ "and", 1, -1, NULL },
	{ "or", 1, -1, NULL },
	{ "not", 1, 1, fn_not },
	{ "len", 1, 1, fn_len },
	{ "index", 1, -1, fn_index },
	{ "slice", 1, 3, fn_slice },
	{ "print", 0, -1, fn_print },
	{ "println", 0, -1, fn_println },
	{ "printf", 1, -1, fn_printf },
	{ "eq", 2, -1, fn_eq },
	{ "ne", 2, 2, fn_ne },
	{ "lt", 2, 2, fn_lt },
	{ "le", 2, 2, fn_le },
	{ "gt", 2, 2, fn_gt },
	{ "ge", 2, 2, fn_ge },
	{ "json", 1, 1, fn_json },
	{ "split", 2, 2, fn_split },
	{ "join", 2, 2, fn_join },
	{ "title", 1, 1, fn_title },
	{ "lower", 1, 1, fn_lower },
	{ "upper", 1, 1, fn_upper },
	{ "pad", 3, 3, fn_pad },
	{ "truncate", 2, 2, fn_truncate },
};

const struct format_fn *format_fn_find(const char *name)
{
	for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++)
		if (strcmp(functions[i].name, name) == 0)
			return &functions[i];
	return NULL;
}
