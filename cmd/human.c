/* human.c: times, spans and sizes as docker writes and reads them; see human.h. */
#include "cmd/human.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "runtime/base/parse.h"

void human_span(int64_t seconds, char *buf, size_t size)
{
	int64_t minutes = seconds / 60, hours = (seconds + 1800) / 3600;

	if (seconds < 1)
		snprintf(buf, size, "Less than a second");
	else if (seconds == 1)
		snprintf(buf, size, "1 second");
	else if (seconds < 60)
		snprintf(buf, size, "%lld seconds", (long long)seconds);
	else if (minutes == 1)
		snprintf(buf, size, "About a minute");
	else if (minutes < 60)
		snprintf(buf, size, "%lld minutes", (long long)minutes);
	else if (hours == 1)
		snprintf(buf, size, "About an hour");
	else if (hours < 48)
		snprintf(buf, size, "%lld hours", (long long)hours);
	else if (hours < 24 * 7 * 2)
		snprintf(buf, size, "%lld days", (long long)hours / 24);
	else if (hours < 24 * 30 * 2)
		snprintf(buf, size, "%lld weeks", (long long)hours / 24 / 7);
	else if (hours < 24 * 365 * 2)
		snprintf(buf, size, "%lld months", (long long)hours / 24 / 30);
	else
		snprintf(buf, size, "%lld years", (long long)hours / 24 / 365);
}

static void scaled(uint64_t bytes, double base, const char *const *units, size_t n, int digits,
		   char *buf, size_t size)
{
	double v = (double)bytes;
	size_t i = 0;

	while (v >= base && i < n - 1) {
		v /= base;
		i++;
	}
	snprintf(buf, size, "%.*g%s", digits, v, units[i]);
}

void human_size(uint64_t bytes, char *buf, size_t size)
{
	static const char *const units[] = { "B", "kB", "MB", "GB", "TB", "PB", "EB" };

	scaled(bytes, 1000, units, 7, 3, buf, size);
}

void human_size_binary(uint64_t bytes, char *buf, size_t size)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };

	scaled(bytes, 1024, units, 7, 4, buf, size);
}

void human_time(int64_t seconds, char *buf, size_t size)
{
	time_t t = (time_t)seconds;
	struct tm tm;

	if (localtime_r(&t, &tm) == NULL ||
	    strftime(buf, size, "%Y-%m-%d %H:%M:%S %z %Z", &tm) == 0)
		snprintf(buf, size, "?");
}

void rfc3339(int64_t ns, char *buf, size_t size)
{
	time_t t = (time_t)(ns / NS_PER_S);
	struct tm tm;
	char date[40];

	if (ns <= 0 || gmtime_r(&t, &tm) == NULL ||
	    strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm) == 0)
		snprintf(buf, size, "0001-01-01T00:00:00Z");
	else
		snprintf(buf, size, "%s.%09lldZ", date, (long long)(ns % NS_PER_S));
}

void rfc3339_local(int64_t ns, char *buf, size_t size)
{
	time_t t = (time_t)(ns / NS_PER_S);
	struct tm tm;
	char date[40];
	long off;

	if (localtime_r(&t, &tm) == NULL ||
	    strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm) == 0) {
		snprintf(buf, size, "?");
		return;
	}
	off = labs(tm.tm_gmtoff) / 60;
	if (off == 0)
		snprintf(buf, size, "%s.%09lldZ", date, (long long)(ns % NS_PER_S));
	else
		snprintf(buf, size, "%s.%09lld%c%02ld:%02ld", date, (long long)(ns % NS_PER_S),
			 tm.tm_gmtoff < 0 ? '-' : '+', off / 60, off % 60);
}

int64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

/* ".123" at *s: nanoseconds; moves past it. */
static int64_t read_fraction(const char **s)
{
	int64_t ns = 0, unit = NS_PER_S / 10;

	if (**s != '.')
		return 0;
	for ((*s)++; isdigit((unsigned char)**s); (*s)++) {
		ns += unit * (**s - '0');
		unit /= 10;
	}
	return ns;
}

/* "Z", "+01:00", or nothing (local time): adds it all up. */
static bool read_zone(const char *s, struct tm *tm, int64_t *seconds)
{
	unsigned hours, minutes;
	int used = 0;

	if (*s == 0) {
		tm->tm_isdst = -1;
		*seconds = mktime(tm);
		return true;
	}
	*seconds = timegm(tm);
	if (strcmp(s, "Z") == 0)
		return true;
	if ((*s != '+' && *s != '-') || sscanf(s + 1, "%2u:%2u%n", &hours, &minutes, &used) != 2 ||
	    s[1 + used] || hours > 23 || minutes > 59)
		return false;
	*seconds += (*s == '-' ? 1 : -1) * (int64_t)(hours * 3600 + minutes * 60);
	return true;
}

/* 2026-11-21, 2026-11-21T10:11, 2026-11-21T10:11:12.345Z ... */
static bool parse_date(const char *s, int64_t *ns)
{
	struct tm tm = { .tm_mday = 1 };
	int64_t fraction = 0, seconds;
	int used = 0;

	if (sscanf(s, "%4d-%2d-%2d%n", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &used) != 3)
		return false;
	s += used;
	tm.tm_year -= 1900;
	tm.tm_mon--;
	if (*s == 'T' || *s == ' ') {
		used = 0;
		if (sscanf(s + 1, "%2d:%2d%n", &tm.tm_hour, &tm.tm_min, &used) != 2)
			return false;
		s += 1 + used;
		if (*s == ':') {
			if (sscanf(s + 1, "%2d%n", &tm.tm_sec, &used) != 1)
				return false;
			s += 1 + used;
			fraction = read_fraction(&s);
		}
	}
	if (tm.tm_mon < 0 || tm.tm_mon > 11 || tm.tm_mday < 1 || tm.tm_mday > 31 ||
	    tm.tm_hour > 23 || tm.tm_min > 59 || tm.tm_sec > 60 || !read_zone(s, &tm, &seconds))
		return false;
	*ns = seconds * NS_PER_S + fraction;
	return true;
}

bool parse_moment(const char *s, int64_t now, int64_t *ns)
{
	size_t digits = strspn(s, "0123456789");
	const char *rest = s + digits;
	char whole[24];
	uint64_t v;

	if (digits && digits < 12 && (*rest == 0 || *rest == '.')) {
		snprintf(whole, sizeof(whole), "%.*s", (int)digits, s);
		if (!parse_u64(whole, 0, INT64_MAX / NS_PER_S - 1, &v))
			return false;
		*ns = (int64_t)v * NS_PER_S + read_fraction(&rest);
		return *rest == 0;
	}
	if (parse_duration(s, &v) && v <= INT64_MAX) {
		*ns = now - (int64_t)v;
		return true;
	}
	return parse_date(s, ns);
}
