/* log.c: warnings and --debug steps; see log.h. */
#include "runtime/base/log.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include "runtime/base/loop.h"
#include "runtime/base/str.h"

bool log_debug_on;

static int log_fd = 2;
static uint64_t started;

void log_to(int fd)
{
	log_fd = fd;
}

void log_start(void)
{
	started = loop_now();
}

/* One write per line, so that lines of two processes never mix. */
static void line(const char *prefix, const char *fmt, va_list ap)
{
	own_str struct str s = STR_INIT;

	str_add(&s, prefix);
	str_addv(&s, fmt, ap);
	str_add_char(&s, '\n');
	if (write(log_fd, s.s, s.len) < 0)
		return; /* nobody to tell */
}

void log_warn(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	line("zl: warning: ", fmt, ap);
	va_end(ap);
}

void log_step(const char *fmt, ...)
{
	char prefix[64];
	va_list ap;

	if (!log_debug_on)
		return;
	snprintf(prefix, sizeof(prefix), "zl: debug: [%8.1f ms] ",
		 (double)(loop_now() - started) / 1e6);
	va_start(ap, fmt);
	line(prefix, fmt, ap);
	va_end(ap);
}
