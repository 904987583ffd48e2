/* follow.h: a foreground command and its task: terminal, signals, keys, and the end. */
#ifndef ZL_CMD_FOLLOW_H
#define ZL_CMD_FOLLOW_H

#include <stdbool.h>
#include <stdint.h>

#include "runtime/base/err.h"
#include "runtime/box/box.h"

/* docker's default for --detach-keys. */
#define DETACH_KEYS "ctrl-p,ctrl-q"
/* Exit code of follow_run for "the user detached". */
#define FOLLOW_DETACHED (-2)

/*
 * How to use it: fill in what is wanted, follow_open before the task starts,
 * start it with .io, follow_run, follow_close.
 */
struct follow {
	bool want_in, want_out, want_err; /* which of our streams to lend */
	bool tty;			  /* the task has a pseudo-terminal */
	bool proxy;			  /* signals go to the task */
	bool redraw;			  /* the task runs already: make it draw its screen anew */
	bool quiet;			  /* no note where it turns out to be slow */
	const char *keys;		  /* NULL: DETACH_KEYS */

	struct box_stdio io; /* after follow_open: what to lend */
	struct box_pump *pump;
	bool raw_wanted, started, hung_up;
	unsigned terminals;  /* which of our streams were one: 1 << fd */
	unsigned impatience; /* signals that came before it started */
};

/* "the input device is not a TTY", as docker refuses `-it` on a pipe. */
int follow_check_tty(bool tty, bool want_in, struct err *e);
/* From here on signals are collected, not acted upon. */
int follow_open(struct follow *f, struct err *e);
/* After what was lent has been handed over. */
void follow_lent(struct follow *f, struct err *e);
/*
 * Waits for the task's end. Its exit code, with a sentence in e where there is
 * one to print; FOLLOW_DETACHED; FOLLOW_GONE when the holder let us go.
 */
#define FOLLOW_GONE (-3)
int follow_run(struct follow *f, struct box_client *c, uint32_t task, struct err *e);
/* Terminal and signals as they were. */
void follow_close(struct follow *f);

#endif
