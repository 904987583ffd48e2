/* parse.h: text to numbers, strictly. */
#ifndef ZL_BASE_PARSE_H
#define ZL_BASE_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Decimal digits only, whole string, value within [min, max]. */
bool parse_u64(const char *s, uint64_t min, uint64_t max, uint64_t *out);
/*
 * Bytes as docker's users write them: a decimal number, a fraction allowed,
 * with b, k, m, g, t, p (also kb, kib, KiB ...; all powers of 1024).
 */
bool parse_size(const char *s, uint64_t *out);
/* The same in powers of 1000, as docker has the sizes of its logs. */
bool parse_size_decimal(const char *s, uint64_t *out);
/* A number such as 1.5 as millionths (--cpus). */
bool parse_decimal_micro(const char *s, uint64_t *out);
/* "0-2,7": these of the nbits bits (a multiple of 8); false if malformed or one is too large. */
bool parse_list(const char *s, unsigned char *bits, unsigned nbits);

/* Go durations: 300ms, 1.5s, 1m30s, 2h; nanoseconds. A bare 0 is allowed. */
bool parse_duration(const char *s, uint64_t *ns);
/* As Go writes it: "30s", "1m30s", "1.5s", "300ms". */
void duration_format(int64_t ns, char *buf, size_t size);
/* docker's booleans: 1 t true TRUE True / 0 f false FALSE False. */
bool parse_bool(const char *s, bool *out);
/*
 * A signal by name (TERM, SIGTERM, RTMIN+3, any case) or number 1..64.
 * Returns 0 if it is neither.
 */
int parse_signal(const char *s);
/* Linux x86/arm name without SIG ("TERM"), or NULL. */
const char *signal_name(int sig);

#endif
