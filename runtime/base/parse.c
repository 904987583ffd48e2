/* parse.c: text to numbers, strictly; see parse.h. */
#include "runtime/base/parse.h"

#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

bool parse_u64(const char *s, uint64_t min, uint64_t max, uint64_t *out)
{
	uint64_t v = 0;

	if (*s == 0)
		return false;
	for (; *s; s++) {
		unsigned d = (unsigned)(*s - '0');

		if (d > 9 || v > (UINT64_MAX - d) / 10)
			return false;
		v = v * 10 + d;
	}
	if (v < min || v > max)
		return false;
	*out = v;
	return true;
}

/* Moves past digits; false where there are none, or they are more than max. */
static bool list_number(const char **s, unsigned max, unsigned *out)
{
	unsigned v = 0;
	const char *start = *s;

	for (; **s >= '0' && **s <= '9'; (*s)++) {
		v = v * 10 + (unsigned)(**s - '0');
		if (v > max)
			return false;
	}
	*out = v;
	return *s > start;
}

bool parse_list(const char *s, unsigned char *bits, unsigned nbits)
{
	unsigned from, to;

	memset(bits, 0, nbits / 8);
	do {
		if (!list_number(&s, nbits - 1, &from))
			return false;
		to = from;
		if (*s == '-' && (s++, !list_number(&s, nbits - 1, &to) || to < from))
			return false;
		for (; from <= to; from++)
			bits[from / 8] |= (unsigned char)(1U << from % 8);
	} while (*s++ == ',');
	return s[-1] == 0;
}

/*
 * Reads digits[.digits] as value * scale, truncating what is below one.
 * Returns the first character that does not belong to it, or NULL.
 */
static const char *fraction(const char *s, uint64_t scale, uint64_t *out)
{
	uint64_t whole = 0, part = 0, unit = scale;
	const char *start = s;

	for (; *s >= '0' && *s <= '9'; s++) {
		unsigned d = (unsigned)(*s - '0');

		if (whole > (UINT64_MAX - d) / 10)
			return NULL;
		whole = whole * 10 + d;
	}
	if (s == start && *s != '.')
		return NULL;
	if (*s == '.') {
		const char *dot = ++s;

		for (; *s >= '0' && *s <= '9'; s++) {
			/* unit shrinks exactly as long as ten divides it */
			part += unit / 10 * (unsigned)(*s - '0') +
				unit % 10 * (unsigned)(*s - '0') / 10;
			unit /= 10;
		}
		if (s == dot)
			return NULL;
	}
	if (scale && whole > (UINT64_MAX - part) / scale)
		return NULL;
	*out = whole * scale + part;
	return s;
}

/* kilo: what a k stands for. */
static bool size_in(const char *s, uint64_t kilo, uint64_t *out)
{
	static const char units[] = "bkmgtp";
	size_t digits = strspn(s, "0123456789.");
	uint64_t scale = 1;
	const char *u = s + digits;

	if (*u == ' ')
		u++;
	if (*u) {
		const char *at = strchr(units, *u | 0x20);

		if (at == NULL)
			return false;
		for (const char *unit = units; unit < at; unit++)
			scale *= kilo;
		u++;
		if (at != units) {
			if ((*u | 0x20) == 'i')
				u++;
			if ((*u | 0x20) == 'b')
				u++;
			else if (u[-1] != at[0] && (u[-1] | 0x20) == 'i')
				return false;
		}
		if (*u)
			return false;
	}
	return fraction(s, scale, out) == s + digits;
}

bool parse_size(const char *s, uint64_t *out)
{
	return size_in(s, 1024, out);
}

bool parse_size_decimal(const char *s, uint64_t *out)
{
	return size_in(s, 1000, out);
}

bool parse_decimal_micro(const char *s, uint64_t *out)
{
	const char *end = fraction(s, 1000000, out);

	return end && *end == 0;
}

bool parse_duration(const char *s, uint64_t *ns)
{
	static const struct {
		const char *unit;
		uint64_t ns;
	} units[] = {
		{ "ns", 1 },
		{ "us", 1000 },
		{ "\302\265s", 1000 },
		{ "ms", 1000000 },
		{ "s", 1000000000 },
		{ "m", 60000000000 },
		{ "h", 3600000000000 },
	};
	uint64_t sum = 0;

	if (strcmp(s, "0") == 0) {
		*ns = 0;
		return true;
	}
	if (*s == 0)
		return false;
	while (*s) {
		const char *unit = s + strspn(s, "0123456789.");
		size_t i, n = strcspn(unit, "0123456789."),
			  count = sizeof(units) / sizeof(units[0]);
		uint64_t v;

		for (i = 0; i < count; i++)
			if (strlen(units[i].unit) == n && memcmp(units[i].unit, unit, n) == 0)
				break;
		if (i == count || fraction(s, units[i].ns, &v) != unit || v > UINT64_MAX - sum)
			return false;
		sum += v;
		s = unit + n;
	}
	*ns = sum;
	return true;
}

/* A number of units with its fraction, without zeros at its end. */
static void with_fraction(int64_t ns, int64_t unit, const char *name, char *buf, size_t size)
{
	int n = snprintf(buf, size, "%lld.%0*lld", (long long)(ns / unit),
			 unit == 1000000000 ? 9
			 : unit == 1000000  ? 6
					    : 3,
			 (long long)(ns % unit));

	while (n > 0 && buf[n - 1] == '0')
		n--;
	n -= n > 0 && buf[n - 1] == '.';
	snprintf(buf + n, size - (size_t)n, "%s", name);
}

void duration_format(int64_t ns, char *buf, size_t size)
{
	int64_t s = ns / 1000000000;
	char seconds[32];

	if (ns <= 0) {
		snprintf(buf, size, "0s");
		return;
	}
	if (ns < 1000) {
		snprintf(buf, size, "%lldns", (long long)ns);
		return;
	}
	if (ns < 1000000) {
		with_fraction(ns, 1000, "\302\265s", buf, size);
		return;
	}
	if (s == 0) {
		with_fraction(ns, 1000000, "ms", buf, size);
		return;
	}
	with_fraction(ns % (60LL * 1000000000), 1000000000, "s", seconds, sizeof(seconds));
	if (s >= 3600)
		snprintf(buf, size, "%lldh%lldm%s", (long long)(s / 3600), (long long)(s / 60 % 60),
			 seconds);
	else if (s >= 60)
		snprintf(buf, size, "%lldm%s", (long long)(s / 60), seconds);
	else
		snprintf(buf, size, "%s", seconds);
}

bool parse_bool(const char *s, bool *out)
{
	static const char *const yes[] = { "1", "t", "T", "true", "TRUE", "True" };
	static const char *const no[] = { "0", "f", "F", "false", "FALSE", "False" };

	for (size_t i = 0; i < 6; i++) {
		if (strcmp(s, yes[i]) == 0 || strcmp(s, no[i]) == 0) {
			*out = strcmp(s, yes[i]) == 0;
			return true;
		}
	}
	return false;
}

static const char *const signal_names[] = {
	[SIGHUP] = "HUP",   [SIGINT] = "INT",	    [SIGQUIT] = "QUIT", [SIGILL] = "ILL",
	[SIGTRAP] = "TRAP", [SIGABRT] = "ABRT",	    [SIGBUS] = "BUS",	[SIGFPE] = "FPE",
	[SIGKILL] = "KILL", [SIGUSR1] = "USR1",	    [SIGSEGV] = "SEGV", [SIGUSR2] = "USR2",
	[SIGPIPE] = "PIPE", [SIGALRM] = "ALRM",	    [SIGTERM] = "TERM", [16] = "STKFLT",
	[SIGCHLD] = "CHLD", [SIGCONT] = "CONT",	    [SIGSTOP] = "STOP", [SIGTSTP] = "TSTP",
	[SIGTTIN] = "TTIN", [SIGTTOU] = "TTOU",	    [SIGURG] = "URG",	[SIGXCPU] = "XCPU",
	[SIGXFSZ] = "XFSZ", [SIGVTALRM] = "VTALRM", [SIGPROF] = "PROF", [SIGWINCH] = "WINCH",
	[SIGIO] = "IO",	    [SIGPWR] = "PWR",	    [SIGSYS] = "SYS",
};

#define SIGNAL_RTMIN 34
#define SIGNAL_MAX   64

const char *signal_name(int sig)
{
	if (sig < 1 || (size_t)sig >= sizeof(signal_names) / sizeof(signal_names[0]))
		return NULL;
	return signal_names[sig];
}

int parse_signal(const char *s)
{
	uint64_t n;

	if (parse_u64(s, 1, SIGNAL_MAX, &n))
		return (int)n;
	if (strncasecmp(s, "SIG", 3) == 0)
		s += 3;
	for (int i = 1; signal_name(i); i++)
		if (strcasecmp(s, signal_name(i)) == 0)
			return i;
	if (strcasecmp(s, "IOT") == 0)
		return SIGABRT;
	if (strcasecmp(s, "CLD") == 0)
		return SIGCHLD;
	if (strcasecmp(s, "POLL") == 0)
		return SIGIO;
	if (strcasecmp(s, "RTMIN") == 0)
		return SIGNAL_RTMIN;
	if (strcasecmp(s, "RTMAX") == 0)
		return SIGNAL_MAX;
	if (strncasecmp(s, "RTMIN+", 6) == 0 && parse_u64(s + 6, 0, SIGNAL_MAX - SIGNAL_RTMIN, &n))
		return SIGNAL_RTMIN + (int)n;
	if (strncasecmp(s, "RTMAX-", 6) == 0 && parse_u64(s + 6, 0, SIGNAL_MAX - SIGNAL_RTMIN, &n))
		return SIGNAL_MAX - (int)n;
	return 0;
}
