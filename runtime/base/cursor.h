/* cursor.h: the only way to read or write bytes that cross a border. */
#ifndef ZL_BASE_CURSOR_H
#define ZL_BASE_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/*
 * A read cursor moves only on success: each function returns false, and
 * leaves the cursor where it was, if fewer bytes are left than it needs.
 * Numbers are little-endian. Pointers handed out point into the buffer.
 */
struct cur {
	const uint8_t *p, *end;
};

static inline struct cur cur_of(const void *buf, size_t len)
{
	return (struct cur){ buf, (const uint8_t *)buf + len };
}

static inline size_t cur_left(const struct cur *c)
{
	return (size_t)(c->end - c->p);
}

static inline bool cur_bytes(struct cur *c, size_t n, const void **out)
{
	if (cur_left(c) < n)
		return false;
	*out = c->p;
	c->p += n;
	return true;
}

static inline bool cur_copy(struct cur *c, void *to, size_t n)
{
	if (cur_left(c) < n)
		return false;
	memcpy(to, c->p, n);
	c->p += n;
	return true;
}

static inline bool cur_u8(struct cur *c, uint8_t *v)
{
	return cur_copy(c, v, sizeof(*v));
}

static inline bool cur_u16(struct cur *c, uint16_t *v)
{
	return cur_copy(c, v, sizeof(*v));
}

static inline bool cur_u32(struct cur *c, uint32_t *v)
{
	return cur_copy(c, v, sizeof(*v));
}

static inline bool cur_u64(struct cur *c, uint64_t *v)
{
	return cur_copy(c, v, sizeof(*v));
}

/* A NUL-terminated string, its NUL included in what is passed over. */
static inline bool cur_cstr(struct cur *c, const char **out)
{
	const void *nul = cur_left(c) ? memchr(c->p, 0, cur_left(c)) : NULL;

	if (nul == NULL)
		return false;
	*out = (const char *)c->p;
	c->p = (const uint8_t *)nul + 1;
	return true;
}

/*
 * A write cursor over a fixed buffer. Writing past the end writes nothing
 * and sets `full`; the caller asks once, at the end.
 */
struct wcur {
	uint8_t *start, *p, *end;
	bool full;
};

static inline struct wcur wcur_of(void *buf, size_t len)
{
	return (struct wcur){ buf, buf, (uint8_t *)buf + len, false };
}

static inline size_t wcur_len(const struct wcur *w)
{
	return (size_t)(w->p - w->start);
}

static inline void wcur_bytes(struct wcur *w, const void *from, size_t n)
{
	if (w->full || (size_t)(w->end - w->p) < n) {
		w->full = true;
		return;
	}
	if (n)
		memcpy(w->p, from, n);
	w->p += n;
}

static inline void wcur_u8(struct wcur *w, uint8_t v)
{
	wcur_bytes(w, &v, sizeof(v));
}

static inline void wcur_u16(struct wcur *w, uint16_t v)
{
	wcur_bytes(w, &v, sizeof(v));
}

static inline void wcur_u32(struct wcur *w, uint32_t v)
{
	wcur_bytes(w, &v, sizeof(v));
}

static inline void wcur_u64(struct wcur *w, uint64_t v)
{
	wcur_bytes(w, &v, sizeof(v));
}

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "zl is little-endian only: cursor.h copies numbers as they are"
#endif

#endif
