/* json.c: JSON over jansson; see json.h. */
#include "runtime/base/json.h"

#include <errno.h>
#include <jansson.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/fd.h"

static json_t *lib(const struct js *j)
{
	return (json_t *)(uintptr_t)j;
}

static struct js *made(json_t *j)
{
	if (j == NULL) {
		fputs("zl: out of memory\n", stderr);
		abort();
	}
	return (struct js *)j;
}

/* jansson's own depth limit is 2048; ours is tighter. */
static bool too_deep(json_t *j, unsigned depth)
{
	const char *key;
	json_t *v;
	size_t i;

	if (depth > JSON_DEPTH_MAX)
		return true;
	if (json_is_object(j)) {
		json_object_foreach(j, key, v) if (too_deep(v, depth + 1)) return true;
	} else if (json_is_array(j)) {
		json_array_foreach(j, i, v) if (too_deep(v, depth + 1)) return true;
	}
	return false;
}

struct js *js_parse(const char *text, size_t len, struct err *e)
{
	json_error_t je;
	json_t *j = json_loadb(text ? text : "", len, JSON_DECODE_ANY | JSON_ALLOW_NUL, &je);

	if (j == NULL) {
		err_set(e, EINVAL, "invalid JSON: %s (line %d)", je.text, je.line);
		return NULL;
	}
	if (too_deep(j, 0)) {
		json_decref(j);
		err_set(e, EINVAL, "invalid JSON: nested deeper than %d", JSON_DEPTH_MAX);
		return NULL;
	}
	return (struct js *)j;
}

struct js *js_read(int dirfd, const char *path, size_t max, struct err *e)
{
	own_str struct str s = STR_INIT;
	struct js *j;

	if (file_read(dirfd, path, max, &s, e) < 0)
		return NULL;
	j = js_parse(s.s, s.len, e);
	if (j == NULL)
		err_wrap(e, "%s", path);
	return j;
}

void js_free(struct js *j)
{
	json_decref(lib(j));
}

void js_free_(struct js **j)
{
	js_free(*j);
}

char *js_dump(const struct js *j, int indent)
{
	size_t flags = JSON_ENCODE_ANY | (indent ? JSON_INDENT((size_t)indent) : JSON_COMPACT);
	char *s = json_dumps(lib(j), flags);

	return s ? s : xstrdup("null");
}

bool js_is_object(const struct js *j)
{
	return json_is_object(lib(j));
}

bool js_is_array(const struct js *j)
{
	return json_is_array(lib(j));
}

bool js_is_string(const struct js *j)
{
	return json_is_string(lib(j));
}

bool js_is_number(const struct js *j)
{
	return json_is_number(lib(j));
}

bool js_is_bool(const struct js *j)
{
	return json_is_boolean(lib(j));
}

bool js_is_null(const struct js *j)
{
	return json_is_null(lib(j));
}

struct js *js_get(const struct js *obj, const char *key)
{
	return (struct js *)json_object_get(lib(obj), key);
}

const char *js_text(const struct js *j)
{
	return json_string_value(lib(j));
}

const char *js_text_len(const struct js *j, size_t *len)
{
	*len = json_string_length(lib(j));
	return json_string_value(lib(j));
}

bool js_int(const struct js *j, int64_t *out)
{
	if (!json_is_integer(lib(j)))
		return false;
	*out = json_integer_value(lib(j));
	return true;
}

bool js_real(const struct js *j, double *out)
{
	if (!json_is_number(lib(j)))
		return false;
	*out = json_number_value(lib(j));
	return true;
}

bool js_true(const struct js *j)
{
	return json_is_true(lib(j));
}

size_t js_len(const struct js *j)
{
	return json_is_object(lib(j)) ? json_object_size(lib(j)) : json_array_size(lib(j));
}

struct js *js_at(const struct js *arr, size_t i)
{
	return (struct js *)json_array_get(lib(arr), i);
}

bool js_each(const struct js *obj, void **it, const char **key, struct js **value)
{
	if (!json_is_object(lib(obj)))
		return false;
	*it = *it ? json_object_iter_next(lib(obj), *it) : json_object_iter(lib(obj));
	if (*it == NULL)
		return false;
	*key = json_object_iter_key(*it);
	*value = (struct js *)json_object_iter_value(*it);
	return true;
}

void js_strings(const struct js *arr, struct strv *out)
{
	for (size_t i = 0; i < js_len(arr); i++) {
		const char *s = js_text(js_at(arr, i));

		if (s)
			strv_add(out, s);
	}
}

struct js *js_object(void)
{
	return made(json_object());
}

struct js *js_array(void)
{
	return made(json_array());
}

struct js *js_null(void)
{
	return made(json_null());
}

/* The length of the valid UTF-8 sequence at s (no surrogates, no overlong), or 0. */
static size_t utf8_len(const unsigned char *s, size_t left)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t n = s[0] < 0x80	 ? 1
		   : s[0] < 0xc2 ? 0
		   : s[0] < 0xe0 ? 2
		   : s[0] < 0xf0 ? 3
		   : s[0] < 0xf5 ? 4
				 : 0;
	uint32_t c;

	if (n <= 1)
		return n;
	if (n > left)
		return 0;
	c = s[0] & (0x7fU >> n);
	for (size_t i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (s[i] & 0x3f);
	}
	return c < least[n] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000) ? 0 : n;
}

/* With U+FFFD in place of all that is no UTF-8. */
static void add_clean(struct str *out, const char *s, size_t n)
{
	for (size_t i = 0; i < n;) {
		size_t k = utf8_len((const unsigned char *)s + i, n - i);

		if (k)
			str_add_mem(out, s + i, k);
		else
			str_add(out, "\357\277\275");
		i += k ? k : 1;
	}
}

struct js *js_of_mem(const char *s, size_t n)
{
	own_str struct str clean = STR_INIT;
	json_t *j = json_stringn(s, n);

	if (j)
		return (struct js *)j;
	add_clean(&clean, s, n);
	return made(json_stringn(clean.s, clean.len));
}

struct js *js_of_text(const char *s)
{
	return s ? js_of_mem(s, strlen(s)) : js_null();
}

struct js *js_of_int(int64_t v)
{
	return made(json_integer(v));
}

struct js *js_of_real(double v)
{
	return made(json_real(v));
}

struct js *js_of_bool(bool v)
{
	return made(json_boolean(v));
}

struct js *js_of_strings(const struct strv *v)
{
	struct js *arr = js_array();

	for (size_t i = 0; i < v->n; i++)
		js_push(arr, js_of_text(v->v[i]));
	return arr;
}

struct js *js_copy(const struct js *j)
{
	return made(json_deep_copy(lib(j)));
}

void js_set(struct js *obj, const char *key, struct js *value)
{
	own_str struct str clean = STR_INIT;

	if (json_object_set(lib(obj), key, lib(value)) < 0) {
		add_clean(&clean, key, strlen(key));
		json_object_set_nocheck(lib(obj), clean.s ? clean.s : "", lib(value));
	}
	json_decref(lib(value));
}

void js_set_text(struct js *obj, const char *key, const char *s)
{
	js_set(obj, key, js_of_text(s));
}

void js_set_int(struct js *obj, const char *key, int64_t v)
{
	js_set(obj, key, js_of_int(v));
}

void js_set_bool(struct js *obj, const char *key, bool v)
{
	js_set(obj, key, js_of_bool(v));
}

void js_del(struct js *obj, const char *key)
{
	json_object_del(lib(obj), key);
}

void js_push(struct js *arr, struct js *value)
{
	json_array_append_new(lib(arr), lib(value));
}
