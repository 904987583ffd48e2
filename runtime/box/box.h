/* box.h: containers: make, start, follow, stop, list, remove. */
#ifndef ZL_BOX_BOX_H
#define ZL_BOX_BOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/base/err.h"
#include "runtime/box/spec.h"

/*
 * A container is a folder, <root>/containers/<id>/:
 *
 *	spec.json	what it is (spec.h)
 *	state.json	what became of it (struct box_state), written by the
 *			holder only (or by whoever finds the holder dead)
 *	lock		flocked by the holder: held means alive
 *	upper/		the container's own files (base/layer.h)
 *	log.json	stdout and stderr in docker's json-file format
 *	console.log	what the guest's console said
 *
 * and a control socket <runtime dir>/<id>.sock while it runs. Nothing runs
 * when no container does. Names are kept in <root>/names/<name> -> id, made
 * by link(2), so that two processes cannot take one name.
 *
 * The holder is forked from the zl that starts the container: no exec, its
 * own session, it outlives that zl.
 */

/* Where everything lies; made by cmd/ from --root, ZL_ROOT, XDG_*. */
struct box_dirs {
	const char *root;    /* absolute */
	const char *runtime; /* absolute; sockets */
	const char *kernel;  /* path of vmlinux */
	const char *initrd;
};

enum box_status {
	BOX_CREATED,
	BOX_RUNNING,
	BOX_PAUSED,
	BOX_EXITED,
	BOX_DEAD, /* removal was begun and did not finish */
};

struct box_state {
	enum box_status status;
	int exit_code;
	bool oom_killed;
	char *error;			 /* why it could not start or the VM died; "" if nothing */
	int64_t started_ns, finished_ns; /* since 1970; 0: never */
	int pid;			 /* of the holder, 0 when not running */
	unsigned restart_count;
};

struct box {
	char *dir;
	struct box_spec spec;
	struct box_state state; /* as of now: a holder found dead is EXITED, 137, with the reason */
};

void box_free(struct box *b);
void box_free_(struct box **b);
#define own_box __attribute__((cleanup(box_free_)))

/*
 * Makes the folder and takes the name. -EEXIST with docker's wording when the
 * name is taken: Conflict. The container name "/x" is already in use by container "<id>". ...
 */
struct box *box_create(const struct box_dirs *d, const struct box_spec *spec, struct err *e);
/* By full id, unambiguous prefix, or name. -ENOENT: No such container: x */
struct box *box_find(const struct box_dirs *d, const char *who, struct err *e);

struct box_list {
	struct box **v;
	size_t n;
};
/* All, newest first. Folders that are half-made or half-removed and not held are swept. */
int box_list(const struct box_dirs *d, struct box_list *out, struct err *e);
void box_list_free(struct box_list *l);

/* The stdio a client lends to a container. */
struct box_stdio {
	int in, out, err;	   /* descriptors, -1: not connected */
	unsigned short rows, cols; /* of the terminal, when tty */
};

/*
 * Starts the holder and returns once the workload runs (0), or failed to
 * start (-ve; e->code 0x7d etc. is not used: *exit_code holds docker's 125,
 * 126 or 127 and e the message). With `io`, the container's streams are
 * connected to it from the first byte on. *conn (a box_client) is for
 * following it; NULL when it is not wanted.
 */
struct box_client;
int box_start(const struct box_dirs *d, struct box *b, const struct box_stdio *io,
	      struct box_client **conn, int *exit_code, struct err *e);

/* Connects to a running container's holder. -ESRCH: is not running */
struct box_client *box_connect(const struct box_dirs *d, struct box *b, struct err *e);
void box_client_free(struct box_client *c);
/* A descriptor that becomes readable when box_client_next has something. */
int box_client_fd(const struct box_client *c);

/* What a holder tells its clients. */
struct box_event {
	enum { BOX_EV_STARTED, BOX_EV_FAILED, BOX_EV_EXITED, BOX_EV_GONE } kind;
	uint32_t task;	   /* WIRE_TASK_MAIN, or what box_client_exec gave */
	int code;	   /* EXITED, FAILED: exit code */
	char message[512]; /* FAILED, GONE */
};
/* Waits for the next event; GONE when the holder ended without a word. */
int box_client_next(struct box_client *c, struct box_event *ev, struct err *e);

int box_client_attach(struct box_client *c, const struct box_stdio *io, struct err *e);
int box_client_signal(struct box_client *c, uint32_t task, int sig, struct err *e);
int box_client_resize(struct box_client *c, uint32_t task, unsigned short rows, unsigned short cols,
		      struct err *e);
/* stop: `sig` now, SIGKILL after timeout_s (-1: never). Returns when it has ended. */
int box_client_stop(struct box_client *c, int sig, int64_t timeout_s, struct err *e);

/* A further process; *task is its number in events. */
struct box_exec {
	struct strv argv, env;	/* env: added to the container's */
	const char *cwd, *user; /* NULL: the container's */
	bool tty, open_stdin, privileged;
};
int box_client_exec(struct box_client *c, const struct box_exec *x, const struct box_stdio *io,
		    uint32_t *task, struct err *e);

/* Waits until it is not running; its exit code. */
int box_wait(const struct box_dirs *d, struct box *b, int *exit_code, struct err *e);

/* Removes a container that is not running; a running one with `force` (SIGKILL first). */
int box_remove(const struct box_dirs *d, struct box *b, bool force, struct err *e);

/* logs */
struct box_log_options {
	int64_t tail;		    /* last n lines; -1: all */
	bool follow;		    /* until the container ends */
	bool timestamps;	    /* RFC 3339 with nanoseconds in front of each line */
	int64_t since_ns, until_ns; /* 0: no bound */
	int out, err;		    /* where stdout's and stderr's lines go */
};
int box_logs(const struct box_dirs *d, struct box *b, const struct box_log_options *o,
	     struct err *e);

#endif
