/* human.h: times, spans and sizes as docker writes and reads them. */
#ifndef ZL_CMD_HUMAN_H
#define ZL_CMD_HUMAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NS_PER_S 1000000000LL

/* "Less than a second", "About a minute", "3 weeks". */
void human_span(int64_t seconds, char *buf, size_t size);
/* "4.26MB": decimal units, three digits. */
void human_size(uint64_t bytes, char *buf, size_t size);
/* "1.95GiB": binary units, four digits. */
void human_size_binary(uint64_t bytes, char *buf, size_t size);
/* "2026-11-21 22:57:00 +0000 UTC", local time. */
void human_time(int64_t seconds, char *buf, size_t size);
/* RFC 3339 with nanoseconds, UTC; 0 is docker's "0001-01-01T00:00:00Z". */
void rfc3339(int64_t ns, char *buf, size_t size);
/* The same in local time, always with all digits: "2026-11-21T22:57:00.000000000+01:00". */
void rfc3339_local(int64_t ns, char *buf, size_t size);
int64_t now_ns(void);
/*
 * --since and --until: RFC 3339, a date (local), seconds since 1970 with a
 * fraction, or a Go duration counted back from `now`. Nanoseconds since 1970.
 */
bool parse_moment(const char *s, int64_t now, int64_t *ns);

#endif
