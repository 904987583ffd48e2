/* err.h: an error is a code and a sentence, kept on the caller's stack. */
#ifndef ZL_BASE_ERR_H
#define ZL_BASE_ERR_H

/*
 * Every function that can fail for a reason of the world's (not the
 * programmer's) takes a struct err * as its last argument and returns 0 or a
 * negative errno value (or NULL where it returns a pointer). The sentence
 * says what failed and why, without a trailing full stop or newline; callers
 * add context in front of it on the way up ("pull x: GET y: timed out").
 * It is printed once, in cmd/main.c. A NULL struct err * is allowed: then
 * only the code travels.
 */

#define ERR_MSG_MAX 1024

struct err {
	int code; /* positive errno value; 0: no error */
	char msg[ERR_MSG_MAX];
};

#define ERR_INIT      \
	{             \
		0, "" \
	}

/* Sets the error and returns -code. code is a positive errno value. */
int err_set(struct err *e, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Sets the error from errno: "<sentence>: <strerror(errno)>"; returns -errno. */
int err_sys(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Puts "<context>: " in front of the sentence; returns -e->code (or -EIO). */
int err_wrap(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
