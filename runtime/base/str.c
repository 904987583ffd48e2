/* str.c: growing strings and vectors of strings; see str.h. */
#include "runtime/base/str.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

static void out_of_memory(void)
{
	fputs("zl: out of memory\n", stderr);
	abort();
}

void *xmalloc(size_t n)
{
	void *p = malloc(n ? n : 1);

	if (p == NULL)
		out_of_memory();
	return p;
}

void *xcalloc(size_t n, size_t size)
{
	void *p = calloc(n ? n : 1, size ? size : 1);

	if (p == NULL)
		out_of_memory();
	return p;
}

void *xrealloc(void *p, size_t n)
{
	p = realloc(p, n ? n : 1);
	if (p == NULL)
		out_of_memory();
	return p;
}

char *xstrndup(const char *s, size_t n)
{
	size_t len = strnlen(s, n);
	char *p = xmalloc(len + 1);

	memcpy(p, s, len);
	p[len] = 0;
	return p;
}

char *xstrdup(const char *s)
{
	return xstrndup(s, strlen(s));
}

char *xasprintf(const char *fmt, ...)
{
	struct str s = STR_INIT;
	va_list ap;

	va_start(ap, fmt);
	str_addv(&s, fmt, ap);
	va_end(ap);
	return str_steal(&s);
}

void str_free(struct str *s)
{
	free(s->s);
	*s = (struct str)STR_INIT;
}

void str_reserve(struct str *s, size_t more)
{
	size_t need = s->len + more + 1;
	size_t cap = s->cap ? s->cap : 64;

	if (need <= s->cap)
		return;
	if (need < more)
		out_of_memory();
	while (cap < need)
		cap = cap > SIZE_MAX / 2 ? need : cap * 2;
	s->s = xrealloc(s->s, cap);
	s->cap = cap;
}

void str_add_mem(struct str *s, const void *p, size_t n)
{
	str_reserve(s, n);
	if (n)
		memcpy(s->s + s->len, p, n);
	s->len += n;
	s->s[s->len] = 0;
}

void str_add(struct str *s, const char *text)
{
	str_add_mem(s, text, strlen(text));
}

void str_add_char(struct str *s, char c)
{
	str_add_mem(s, &c, 1);
}

void str_addv(struct str *s, const char *fmt, va_list ap)
{
	va_list again;
	int n;

	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, again);
	va_end(again);
	if (n < 0)
		return;
	str_reserve(s, (size_t)n);
	vsnprintf(s->s + s->len, (size_t)n + 1, fmt, ap);
	s->len += (size_t)n;
}

void str_addf(struct str *s, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	str_addv(s, fmt, ap);
	va_end(ap);
}

char *str_steal(struct str *s)
{
	char *p = s->s ? s->s : xstrdup("");

	*s = (struct str)STR_INIT;
	return p;
}

void strv_free(struct strv *v)
{
	for (size_t i = 0; i < v->n; i++)
		free(v->v[i]);
	free(v->v);
	*v = (struct strv)STRV_INIT;
}

void strv_take(struct strv *v, char *s)
{
	if (v->n + 2 > v->cap) {
		v->cap = v->cap ? v->cap * 2 : 8;
		v->v = xrealloc(v->v, v->cap * sizeof(*v->v));
	}
	v->v[v->n++] = s;
	v->v[v->n] = NULL;
}

void strv_add(struct strv *v, const char *s)
{
	strv_take(v, xstrdup(s));
}

void strv_addf(struct strv *v, const char *fmt, ...)
{
	struct str s = STR_INIT;
	va_list ap;

	va_start(ap, fmt);
	str_addv(&s, fmt, ap);
	va_end(ap);
	strv_take(v, str_steal(&s));
}

void strv_add_all(struct strv *v, const struct strv *from)
{
	for (size_t i = 0; i < from->n; i++)
		strv_add(v, from->v[i]);
}

void strv_remove(struct strv *v, size_t i)
{
	free(v->v[i]);
	memmove(v->v + i, v->v + i + 1, (v->n - i) * sizeof(*v->v));
	v->n--;
}

static int by_bytes(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

void strv_sort(struct strv *v)
{
	if (v->n)
		qsort(v->v, v->n, sizeof(*v->v), by_bytes);
}

bool strv_has(const struct strv *v, const char *s)
{
	for (size_t i = 0; i < v->n; i++)
		if (strcmp(v->v[i], s) == 0)
			return true;
	return false;
}

static char **env_slot(const struct strv *v, const char *key, size_t klen)
{
	for (size_t i = 0; i < v->n; i++)
		if (strncmp(v->v[i], key, klen) == 0 && v->v[i][klen] == '=')
			return &v->v[i];
	return NULL;
}

const char *strv_env_get(const struct strv *v, const char *key)
{
	size_t klen = strlen(key);
	char **slot = env_slot(v, key, klen);

	return slot ? *slot + klen + 1 : NULL;
}

void strv_env_unset(struct strv *v, const char *key)
{
	size_t n = strlen(key);

	for (size_t i = v->n; i-- > 0;)
		if (strncmp(v->v[i], key, n) == 0 && v->v[i][n] == '=')
			strv_remove(v, i);
}

void strv_env_set(struct strv *v, const char *pair)
{
	char **slot = env_slot(v, pair, strcspn(pair, "="));

	if (slot) {
		free(*slot);
		*slot = xstrdup(pair);
	} else {
		strv_add(v, pair);
	}
}

void strv_split(struct strv *v, const char *s, char sep)
{
	for (;;) {
		const char *end = strchr(s, sep);

		if (end == NULL) {
			strv_add(v, s);
			return;
		}
		strv_take(v, xstrndup(s, (size_t)(end - s)));
		s = end + 1;
	}
}

bool str_starts(const char *s, const char *prefix)
{
	return strncmp(s, prefix, strlen(prefix)) == 0;
}

bool str_ends(const char *s, const char *suffix)
{
	size_t n = strlen(s), m = strlen(suffix);

	return n >= m && memcmp(s + n - m, suffix, m) == 0;
}

void hex_encode(char *out, const void *bytes, size_t n)
{
	static const char digits[] = "0123456789abcdef";
	const unsigned char *b = bytes;

	for (size_t i = 0; i < n; i++) {
		out[2 * i] = digits[b[i] >> 4];
		out[2 * i + 1] = digits[b[i] & 15];
	}
	out[2 * n] = 0;
}

void random_bytes(void *p, size_t n)
{
	char *to = p;

	while (n) {
		ssize_t got = getrandom(to, n, 0);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0) {
			fputs("zl: getrandom failed\n", stderr);
			abort();
		}
		to += got;
		n -= (size_t)got;
	}
}
