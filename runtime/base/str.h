/* str.h: growing strings and vectors of strings. */
#ifndef ZL_BASE_STR_H
#define ZL_BASE_STR_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

/*
 * A growing byte string. It is always NUL-terminated once something was
 * added (s may be NULL while empty). Out of memory ends the process: there
 * is nothing sensible left to do, and no caller has to check.
 */
struct str {
	char *s;
	size_t len, cap;
};

#define STR_INIT           \
	{                  \
		NULL, 0, 0 \
	}

void str_free(struct str *s);
void str_add(struct str *s, const char *text);
void str_add_mem(struct str *s, const void *p, size_t n);
void str_add_char(struct str *s, char c);
void str_addf(struct str *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void str_addv(struct str *s, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));
void str_reserve(struct str *s, size_t more); /* room for `more` bytes + NUL */
/* Hands the buffer to the caller (never NULL, to be freed) and empties s. */
char *str_steal(struct str *s);

#define own_str __attribute__((cleanup(str_free)))

/* A NULL-terminated vector of owned strings (v may be NULL while empty). */
struct strv {
	char **v;
	size_t n, cap;
};

#define STRV_INIT          \
	{                  \
		NULL, 0, 0 \
	}

void strv_free(struct strv *v);
void strv_add(struct strv *v, const char *s); /* copies */
void strv_take(struct strv *v, char *s);      /* takes ownership */
void strv_addf(struct strv *v, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void strv_add_all(struct strv *v, const struct strv *from);
void strv_remove(struct strv *v, size_t i);
void strv_sort(struct strv *v); /* by bytes */
bool strv_has(const struct strv *v, const char *s);
/* "KEY=value" vectors: the value, or NULL. */
const char *strv_env_get(const struct strv *v, const char *key);
/* Sets KEY=value in place, or appends. `pair` is "KEY=value". */
void strv_env_set(struct strv *v, const char *pair);
/* Removes KEY=value, all of them. */
void strv_env_unset(struct strv *v, const char *key);
/* Splits at every `sep`, keeping empty fields. */
void strv_split(struct strv *v, const char *s, char sep);

#define own_strv __attribute__((cleanup(strv_free)))

/* malloc family that ends the process when memory is out. */
void *xmalloc(size_t n);
void *xcalloc(size_t n, size_t size);
void *xrealloc(void *p, size_t n);
char *xstrdup(const char *s);
char *xstrndup(const char *s, size_t n);
char *xasprintf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

bool str_starts(const char *s, const char *prefix);
bool str_ends(const char *s, const char *suffix);

/* Lower-case hex of n bytes; out holds 2 * n + 1. */
void hex_encode(char *out, const void *bytes, size_t n);
/* n random bytes from the kernel. */
void random_bytes(void *p, size_t n);

#endif
