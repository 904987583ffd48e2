/* record.c: log records read back from a line of log.json; see logfile.h. */
#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "runtime/base/cursor.h"
#include "runtime/box/logfile.h"

/*
 * A record is a flat JSON object but for "attrs"; values that are no strings,
 * and keys we do not know, are passed over. A parser of our own, as
 * reading a long log back is to be as fast as writing it.
 */
#define RECORD_DEPTH_MAX 8

static void skip_space(struct cur *c)
{
	while (c->p < c->end && (*c->p == ' ' || *c->p == '\t' || *c->p == '\r'))
		c->p++;
}

static bool take(struct cur *c, char want)
{
	skip_space(c);
	if (c->p == c->end || *c->p != (uint8_t)want)
		return false;
	c->p++;
	return true;
}

static bool hex4(struct cur *c, uint32_t *v)
{
	const void *p;
	const uint8_t *h;

	if (!cur_bytes(c, 4, &p))
		return false;
	*v = 0;
	h = p;
	for (int i = 0; i < 4; i++) {
		uint8_t d = h[i];

		if (d >= '0' && d <= '9')
			d = (uint8_t)(d - '0');
		else if ((d | 0x20) >= 'a' && (d | 0x20) <= 'f')
			d = (uint8_t)((d | 0x20) - 'a' + 10);
		else
			return false;
		*v = *v << 4 | d;
	}
	return true;
}

static void put_utf8(struct str *out, uint32_t v)
{
	if (v < 0x80) {
		str_add_char(out, (char)v);
		return;
	}
	if (v < 0x800) {
		str_add_char(out, (char)(0xc0 | v >> 6));
	} else {
		if (v < 0x10000) {
			str_add_char(out, (char)(0xe0 | v >> 12));
		} else {
			str_add_char(out, (char)(0xf0 | v >> 18));
			str_add_char(out, (char)(0x80 | (v >> 12 & 63)));
		}
		str_add_char(out, (char)(0x80 | (v >> 6 & 63)));
	}
	str_add_char(out, (char)(0x80 | (v & 63)));
}

/* What follows a backslash. */
static bool escape(struct cur *c, struct str *out)
{
	static const char from[] = "\"\\/nrtbf", to[] = "\"\\/\n\r\t\b\f";
	uint32_t v, low;
	const char *at;
	struct cur ahead;
	uint8_t k;

	if (!cur_u8(c, &k))
		return false;
	if (k != 'u') {
		at = k ? strchr(from, k) : NULL;
		if (at == NULL)
			return false;
		str_add_char(out, to[at - from]);
		return true;
	}
	if (!hex4(c, &v))
		return false;
	ahead = *c;
	if (v >= 0xd800 && v < 0xdc00 && cur_u8(&ahead, &k) && k == '\\' && cur_u8(&ahead, &k) &&
	    k == 'u' && hex4(&ahead, &low) && low >= 0xdc00 && low < 0xe000) {
		*c = ahead;
		v = 0x10000 + ((v - 0xd800) << 10) + (low - 0xdc00);
	} else if (v >= 0xd800 && v < 0xe000) {
		v = 0xfffd;
	}
	put_utf8(out, v);
	return true;
}

/* A string, its first quote included; out may be NULL. */
static bool string(struct cur *c, struct str *out)
{
	struct str waste = STR_INIT, *to = out ? out : &waste;
	bool ok = false;

	if (!take(c, '"'))
		return false;
	to->len = 0;
	while (c->p < c->end) {
		const uint8_t *quote = memchr(c->p, '"', cur_left(c));
		const uint8_t *slash;

		if (quote == NULL)
			break;
		slash = memchr(c->p, '\\', (size_t)(quote - c->p));
		str_add_mem(to, c->p, (size_t)((slash ? slash : quote) - c->p));
		c->p = (slash ? slash : quote) + 1;
		if (slash == NULL) {
			ok = true;
			break;
		}
		if (!escape(c, to))
			break;
	}
	str_free(&waste);
	return ok;
}

static bool skip_value(struct cur *c, int depth)
{
	char close;

	skip_space(c);
	if (c->p == c->end || depth > RECORD_DEPTH_MAX)
		return false;
	if (*c->p == '"')
		return string(c, NULL);
	if (*c->p != '{' && *c->p != '[') {
		const uint8_t *start = c->p;

		while (c->p < c->end && strchr(",]} \t", *c->p) == NULL)
			c->p++;
		return c->p > start;
	}
	close = *c->p++ == '{' ? '}' : ']';
	if (take(c, close))
		return true;
	do {
		if (close == '}' && !(string(c, NULL) && take(c, ':')))
			return false;
		if (!skip_value(c, depth + 1))
			return false;
	} while (take(c, ','));
	return take(c, close);
}

static bool unbase64(const struct str *text, struct str *out)
{
	uint32_t acc = 0;
	unsigned bits = 0;

	out->len = 0;
	for (size_t i = 0; i < text->len; i++) {
		char d = text->s[i];
		int v = d >= 'A' && d <= 'Z'   ? d - 'A'
			: d >= 'a' && d <= 'z' ? d - 'a' + 26
			: d >= '0' && d <= '9' ? d - '0' + 52
			: d == '+'	       ? 62
			: d == '/'	       ? 63
					       : -1;

		if (d == '=')
			break;
		if (v < 0)
			return false;
		acc = acc << 6 | (uint32_t)v;
		bits += 6;
		if (bits >= 8) {
			bits -= 8;
			str_add_char(out, (char)(acc >> bits & 0xff));
		}
	}
	return true;
}

static bool number(const char **p, unsigned width, int64_t *v)
{
	*v = 0;
	for (unsigned i = 0; i < width; i++, (*p)++) {
		if (**p < '0' || **p > '9')
			return false;
		*v = *v * 10 + (**p - '0');
	}
	return true;
}

/* Days since 1970 of a date in the Gregorian calendar, years from March on. */
static int64_t days_of(int64_t y, int64_t m, int64_t d)
{
	int64_t era, year, day;

	y -= m <= 2;
	era = y / 400;
	year = y - era * 400;
	day = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
	return era * 146097 + year * 365 + year / 4 - year / 100 + day - 719468;
}

static bool time_parse(const char *p, int64_t *ns)
{
	int64_t f[6], frac = 0, scale = 1000000000;
	static const char after[] = "--T::";

	for (int i = 0; i < 6; i++) {
		if (!number(&p, i == 0 ? 4 : 2, &f[i]))
			return false;
		if (i < 5 && *p++ != after[i])
			return false;
	}
	if (f[1] < 1 || f[1] > 12 || f[2] < 1 || f[2] > 31 || f[3] > 23 || f[4] > 59 || f[5] > 60)
		return false;
	if (*p == '.') {
		for (p++; *p >= '0' && *p <= '9'; p++) {
			if (scale > 1) {
				scale /= 10;
				frac += (*p - '0') * scale;
			}
		}
	}
	if (strcmp(p, "Z") != 0 || f[0] < 1970 || f[0] > 2261)
		return false;
	*ns = (((days_of(f[0], f[1], f[2]) * 24 + f[3]) * 60 + f[4]) * 60 + f[5]) * 1000000000 +
	      frac;
	return true;
}

/* As in the query part of a URL. */
static void put_escaped(struct str *out, const struct str *text)
{
	for (size_t i = 0; i < text->len; i++) {
		unsigned char ch = (unsigned char)text->s[i];

		if (isalnum(ch) || strchr("-_.~", ch))
			str_add_char(out, (char)ch);
		else if (ch == ' ')
			str_add_char(out, '+');
		else
			str_addf(out, "%%%02X", ch);
	}
}

/* An object of strings; false if it is anything else. */
static bool attributes(struct cur *c, struct str *out)
{
	own_str struct str key = STR_INIT, value = STR_INIT;

	if (!take(c, '{'))
		return false;
	if (take(c, '}'))
		return true;
	do {
		if (!string(c, &key) || !take(c, ':') || !string(c, &value))
			return false;
		if (out->len)
			str_add_char(out, ',');
		put_escaped(out, &key);
		str_add_char(out, '=');
		put_escaped(out, &value);
	} while (take(c, ','));
	return take(c, '}');
}

/* The same into a string that was in use before; not NULL, and ends with a NUL. */
static bool string_again(struct cur *c, struct str *out)
{
	if (!string(c, out) || out->s == NULL)
		return false;
	out->s[out->len] = 0;
	return true;
}

static bool field(struct cur *c, struct log_record *r, bool *has_raw, unsigned *seen)
{
	struct str *key = &r->key, *v = &r->value;

	if (strcmp(key->s, "log") == 0) {
		*seen |= 1;
		return string(c, &r->data);
	}
	if (strcmp(key->s, "raw") == 0) {
		*has_raw = true;
		return string(c, &r->raw);
	}
	if (strcmp(key->s, "stream") == 0) {
		if (!string_again(c, v))
			return false;
		r->stream = strcmp(v->s, "stderr") == 0 ? LOG_STDERR : LOG_STDOUT;
		return true;
	}
	if (strcmp(key->s, "time") == 0) {
		*seen |= 2;
		return string_again(c, v) && time_parse(v->s, &r->time_ns);
	}
	if (strcmp(key->s, "attrs") == 0) {
		struct cur before = *c;

		if (attributes(c, &r->attrs))
			return true;
		*c = before;
		r->attrs.len = 0;
	}
	return skip_value(c, 0);
}

void log_record_free(struct log_record *r)
{
	str_free(&r->data);
	str_free(&r->attrs);
	str_free(&r->key);
	str_free(&r->value);
	str_free(&r->raw);
}

static bool literal(struct cur *c, const char *text)
{
	size_t n = strlen(text);

	if (cur_left(c) < n || memcmp(c->p, text, n) != 0)
		return false;
	c->p += n;
	return true;
}

/* A record exactly as put_record writes it without "raw" and "attrs", which nearly all are. */
static bool usual(struct cur c, struct log_record *r)
{
	char time[LOG_TIME_MAX];
	size_t n;

	if (!literal(&c, "{\"log\":") || !string(&c, &r->data) || !literal(&c, ",\"stream\":\"std"))
		return false;
	if (literal(&c, "out"))
		r->stream = LOG_STDOUT;
	else if (literal(&c, "err"))
		r->stream = LOG_STDERR;
	else
		return false;
	if (!literal(&c, "\",\"time\":\""))
		return false;
	n = cur_left(&c);
	if (n < 2 || n - 2 >= sizeof(time) || memcmp(c.end - 2, "\"}", 2) != 0)
		return false;
	memcpy(time, c.p, n - 2);
	time[n - 2] = 0;
	return time_parse(time, &r->time_ns);
}

int log_record_parse(const char *line, size_t len, struct log_record *r)
{
	struct cur c = cur_of(line, len);
	bool has_raw = false;
	unsigned seen = 0;

	r->data.len = r->attrs.len = 0;
	if (usual(c, r))
		return 0;
	r->data.len = 0;
	r->stream = LOG_STDOUT;
	if (!take(&c, '{'))
		return -EINVAL;
	do {
		if (!string_again(&c, &r->key) || !take(&c, ':'))
			return -EINVAL;
		if (!field(&c, r, &has_raw, &seen))
			return -EINVAL;
	} while (take(&c, ','));
	skip_space(&c);
	if (!take(&c, '}') || seen != 3)
		return -EINVAL;
	skip_space(&c);
	if (cur_left(&c))
		return -EINVAL;
	return has_raw && !unbase64(&r->raw, &r->data) ? -EINVAL : 0;
}
