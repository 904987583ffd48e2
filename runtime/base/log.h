/* log.h: what zl says besides its output: warnings and --debug steps. */
#ifndef ZL_BASE_LOG_H
#define ZL_BASE_LOG_H

#include <stdbool.h>

/* Switched on by --debug, and then inherited by the holder. */
extern bool log_debug_on;

/* Where --debug lines and warnings go; 2 at first. The holder of a detached
 * container hands in the container's own holder.log. */
void log_to(int fd);
/* Starts the clock of log_step; first thing in main. */
void log_start(void);

/* "zl: warning: ..." on stderr: for what the user should know but that is no error. */
void log_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* "zl: debug: [   12.3 ms] ..." with --debug only: milliseconds since log_start. */
void log_step(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
