/* term.h: the terminal's raw mode, restored on every kind of end. */
#ifndef ZL_CMD_TERM_H
#define ZL_CMD_TERM_H

#include <stdbool.h>

#include "runtime/base/err.h"

/*
 * Keys go through one by one, unseen and unread by the terminal driver, until
 * term_restore, exit, or a signal that kills. Output is raw too: the
 * workload's terminal in the guest has made \r\n already.
 */
int term_raw(int fd, struct err *e);
/* Lines as ever, but what is typed is not shown; ends as term_raw does. */
int term_hide(int fd, struct err *e);
/* Back to what it was; safe in a signal handler, and when it is not raw. */
void term_restore(void);
/* Raw again after the shell had the terminal (SIGCONT). */
void term_again(void);
/* False, and zeroes, where fd is no terminal. */
bool term_size(int fd, unsigned short *rows, unsigned short *cols);

#endif
