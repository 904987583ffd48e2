/* json.h: reading and writing JSON; json.c alone knows the library. */
#ifndef ZL_BASE_JSON_H
#define ZL_BASE_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/base/err.h"
#include "runtime/base/str.h"

/*
 * (js, since the library has the prefix json_.) A value is owned by whoever made or parsed it and
 * freed with js_free; js_set and js_push take ownership of the value they are given; the getters
 * hand out borrowed pointers that live as long as the root. Every getter accepts NULL and a value
 * of the wrong type, and answers "absent": chains such as js_text(js_get(js_get(j, "a"), "b")) are
 * safe on whatever came from outside.
 */
struct js;

/* Deepest nesting that is accepted from outside. */
#define JSON_DEPTH_MAX 64

/* NULL on a syntax error; e then says where. */
struct js *js_parse(const char *text, size_t len, struct err *e);
/* The file, at most max bytes. */
struct js *js_read(int dirfd, const char *path, size_t max, struct err *e);
void js_free(struct js *j);
void js_free_(struct js **j);
#define own_js __attribute__((cleanup(js_free_)))

/* Compact (indent 0), or with `indent` spaces; never fails. Owned by the caller. */
char *js_dump(const struct js *j, int indent);

bool js_is_object(const struct js *j);
bool js_is_array(const struct js *j);
bool js_is_string(const struct js *j);
bool js_is_number(const struct js *j);
bool js_is_bool(const struct js *j);
bool js_is_null(const struct js *j); /* a JSON null, not an absent value */

struct js *js_get(const struct js *obj, const char *key); /* exact case */
const char *js_text(const struct js *j);		  /* NULL if no string */
const char *js_text_len(const struct js *j, size_t *len); /* may hold NULs */
bool js_int(const struct js *j, int64_t *out);
bool js_real(const struct js *j, double *out); /* any number */
bool js_true(const struct js *j);	       /* false if absent or no bool */
size_t js_len(const struct js *j);	       /* of an array or object; else 0 */
struct js *js_at(const struct js *arr, size_t i);
/* Iterates an object in the order of its text: *it starts as NULL. */
bool js_each(const struct js *obj, void **it, const char **key, struct js **value);
/* Appends an array's strings (others are passed over). */
void js_strings(const struct js *arr, struct strv *out);

struct js *js_object(void);
struct js *js_array(void);
struct js *js_null(void);
struct js *js_of_text(const char *s);	       /* NULL gives a JSON null */
struct js *js_of_mem(const char *s, size_t n); /* bytes that are no UTF-8 become U+FFFD */
struct js *js_of_int(int64_t v);
struct js *js_of_real(double v);
struct js *js_of_bool(bool v);
struct js *js_of_strings(const struct strv *v);
struct js *js_copy(const struct js *j); /* deep */

void js_set(struct js *obj, const char *key, struct js *value);
void js_set_text(struct js *obj, const char *key, const char *s);
void js_set_int(struct js *obj, const char *key, int64_t v);
void js_set_bool(struct js *obj, const char *key, bool v);
void js_del(struct js *obj, const char *key);
void js_push(struct js *arr, struct js *value);

#endif
