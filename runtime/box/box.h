/* box.h: containers: make, start, follow, stop, list, remove. */
#ifndef ZL_BOX_BOX_H
#define ZL_BOX_BOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/base/entry.h"
#include "runtime/base/err.h"
#include "runtime/box/spec.h"

struct pollfd;

/*
 * A container is a folder, <root>/containers/<id>/:
 *
 *	spec.json	what it is (spec.h); written anew for changes (edit.c)
 *	state.json	what became of it (struct box_state), written by the
 *			holder only (or its keeper, or by whoever finds the
 *			holder dead)
 *	health.json	what the last health checks said
 *	lock		flocked by the holder: held means alive
 *	upper/		the container's own files (base/layer.h)
 *	log.json	stdout and stderr in docker's json-file format; log.json.1 and so on:
 *			what was before, if it is rotated
 *	console.log	what the guest's console said
 *
 * and a control socket <runtime dir>/<id>.sock while it runs, whose path is in
 * state.json: the runtime dir may differ from shell to shell. Nothing runs
 * when no container does. Names are kept in <root>/names/<name>, a symlink
 * to the id: making it is one atomic act, so that two processes cannot take
 * one name. Folders appear and go by rename: what is being made or removed
 * has a name with a leading dot, and is swept when nobody is at it.
 *
 * The holder is forked from the zl that starts the container: no exec, its
 * own session, it outlives that zl.
 */

/* Where everything lies; made by cmd/ from --root, ZL_ROOT, XDG_*. */
struct box_dirs {
	const char *root;    /* absolute */
	const char *runtime; /* absolute; sockets */
	const char *kernel;  /* path of another vmlinux; NULL: the embedded one */
	const char *initrd;  /* another initramfs; NULL: the embedded one */
};

enum box_status {
	BOX_CREATED,
	BOX_RUNNING,
	BOX_PAUSED,
	BOX_RESTARTING, /* it has ended and will start again, as its restart policy says */
	BOX_EXITED,
	BOX_DEAD, /* its folder cannot be read: only removal is left */
};

/* What the container's health check says; a container that ended is not healthy. */
enum box_health_status {
	BOX_HEALTH_NONE, /* it has no check, or never ran */
	BOX_HEALTH_STARTING,
	BOX_HEALTH_HEALTHY,
	BOX_HEALTH_UNHEALTHY,
};

/* What a published port came to be on the host. */
struct box_port_bound {
	char ip[BOX_IP_MAX];
	uint16_t host_port, port;
	bool udp;
};

struct box_state {
	enum box_status status;
	int exit_code; /* also of a start that failed: then status is CREATED */
	bool oom_killed;
	bool stopped; /* it ended because a user said so: unless-stopped */
	enum box_health_status health;
	char *error;			 /* why it could not start or the VM died; "" if nothing */
	int64_t started_ns, finished_ns; /* since 1970; 0: never */
	int pid;			 /* of the holder, 0 when not running */
	int keeper;			 /* of the keeper (keeper.h), 0: there is none */
	char *socket;			 /* its control socket; "" when not running */
	unsigned restart_count;
	struct box_port_bound *ports; /* while it runs */
	unsigned nports;
};

struct box {
	char *dir;
	struct box_spec spec;
	struct box_state state; /* as of now: a holder found dead is EXITED, 137, with the reason */
	int lock;		/* held between box_create and box_start; -1: not */
};

/* docker's words: "created", "running", "paused", "restarting", "exited", "dead". */
const char *box_status_name(enum box_status s);
/* docker's words: "none", "starting", "healthy", "unhealthy". */
const char *box_health_name(enum box_health_status s);
/* Whether docker counts it among the running ones: RUNNING, PAUSED, RESTARTING. */
bool box_is_running(const struct box *b);

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
 * Starts the holder and returns at once with a client connection: STARTED or
 * FAILED is its first event for WIRE_TASK_MAIN. With `io`, the container's
 * streams are connected to it from the first byte on (the caller keeps its
 * descriptors), and this client is its foreground: when its out or err
 * breaks (EPIPE), the workload meets SIGPIPE. Signals sent before STARTED
 * are delivered right after it; SIGKILL ends the start. -EALREADY: it runs.
 */
struct box_client;
struct box_client *box_launch(const struct box_dirs *d, struct box *b, const struct box_stdio *io,
			      struct err *e);
/*
 * The same without streams, and waits until the workload runs (0) or failed to
 * start (-ve, e has the message, ev->code is docker's 125, 126 or 127).
 */
struct box_event;
int box_start(const struct box_dirs *d, struct box *b, struct box_event *ev, struct err *e);

/* Connects to a running container's holder. -ESRCH: is not running */
struct box_client *box_connect(const struct box_dirs *d, struct box *b, struct err *e);
void box_client_free(struct box_client *c);
/* A descriptor that becomes readable when box_client_next has something. */
int box_client_fd(const struct box_client *c);

/* Longest sentence (with console lines) that comes with an event. */
#define BOX_MESSAGE_MAX 2048

/*
 * What a holder tells its clients. Events of the main task go to all: STARTED
 * also right after connecting if it runs already. EXITED comes after all
 * output was written to the client's descriptors, when the container no
 * longer counts as running, and after an auto_remove one is gone. Events of
 * another task go to the client that made it.
 */
struct box_event {
	enum { BOX_EV_STARTED, BOX_EV_FAILED, BOX_EV_EXITED, BOX_EV_GONE } kind;
	uint32_t task; /* WIRE_TASK_MAIN, or what box_client_exec gave */
	int code;      /* EXITED, FAILED: exit code */
	/*
	 * FAILED, EXITED (125: why the VM died), GONE; STARTED, to those who saw it start:
	 * why /dev/kvm could not be used though it is there
	 */
	char message[BOX_MESSAGE_MAX];
};
/*
 * Waits for the next event; GONE when the holder ended without a word, or let
 * this client go (its output broke): box_find tells which. Closing the
 * connection (box_client_free) detaches what the client lent.
 */
int box_client_next(struct box_client *c, struct box_event *ev, struct err *e);

/*
 * After GONE, of a container that does not run any more: whether this client
 * launched its holder and a signal killed that; e then says which.
 */
bool box_client_killed(struct box_client *c, struct err *e);

int box_client_attach(struct box_client *c, const struct box_stdio *io, struct err *e);
int box_client_signal(struct box_client *c, uint32_t task, int sig, struct err *e);
int box_client_resize(struct box_client *c, uint32_t task, unsigned short rows, unsigned short cols,
		      struct err *e);
/* stop: `sig` now, SIGKILL after timeout_s (-1: never). Returns when it has ended. */
int box_client_stop(struct box_client *c, int sig, int64_t timeout_s, struct err *e);

/*
 * box_client_stop of whatever holder there is: also of a container that is about to start again. It
 * is stopped for good then. -ESRCH: it does not run.
 */
int box_stop(const struct box_dirs *d, struct box *b, int sig, int64_t timeout_s, struct err *e);

/*
 * Stops the VM and lets it go on. When it returns, no vcpu runs, and the
 * state on disk tells. -ESRCH, -EBUSY (paused already), -EINVAL (is not
 * paused), in docker's words. A signal that is to end the container (SIGKILL,
 * its stop signal) ends a pause as well.
 */
int box_client_pause(struct box_client *c, bool on, struct err *e);
/*
 * Has the guest hand over what its workload wrote and it still keeps in memory; when it returns,
 * the files on the host have it. -ESRCH, -EBUSY (it is paused).
 */
int box_client_sync(struct box_client *c, struct err *e);

/* A further process; *task is its number in events. */
struct box_exec {
	struct strv argv, env;	/* env: added to the container's */
	const char *cwd, *user; /* NULL: the container's */
	bool tty, open_stdin, privileged;
	bool unpack; /* no program: makes files below argv[0] (vsock/item.h) */
};
int box_client_exec(struct box_client *c, const struct box_exec *x, const struct box_stdio *io,
		    uint32_t *task, struct err *e);

/*
 * For a client whose stdin is a terminal: it must read the terminal itself
 * (job control, detach keys) and lends the holder one end of a socket pair.
 * The caller polls box_pump_poll's descriptors among its own and calls
 * box_pump_run after each poll. The terminal's mode is the caller's business.
 */
struct box_pump;
#define BOX_PUMP_FDS 2
enum box_pump_result {
	BOX_PUMP_ON,
	BOX_PUMP_EOF,	 /* end of file or hang-up: it was passed on */
	BOX_PUMP_DETACH, /* the detach keys were typed (they are not passed on) */
};
/* keys: as docker's --detach-keys ("ctrl-p,ctrl-q", "a"); "" or NULL: none. -EINVAL if malformed.
 */
struct box_pump *box_pump_new(int tty, const char *keys, struct err *e);
/* The descriptor for box_stdio.in; box_pump_lent closes it here once it was handed over. */
int box_pump_fd(const struct box_pump *p);
void box_pump_lent(struct box_pump *p);
/* Fills in BOX_PUMP_FDS descriptors to poll (fd -1: nothing). */
void box_pump_poll(const struct box_pump *p, struct pollfd *fds);
enum box_pump_result box_pump_run(struct box_pump *p);
void box_pump_free(struct box_pump *p);

/* Waits until it is not running; its exit code. */
int box_wait(const struct box_dirs *d, struct box *b, int *exit_code, struct err *e);

/*
 * Removes a container that is not running; a running one with `force` (SIGKILL first). Its volumes
 * stay, unless it was made with auto_remove (volume.h).
 */
int box_remove(const struct box_dirs *d, struct box *b, bool force, struct err *e);

/*
 * Gives it another name, running or not; b has it then. -EEXIST: it is taken; -EINVAL: it is its
 * name already. In docker's words.
 */
int box_rename(const struct box_dirs *d, struct box *b, const char *name, struct err *e);

/*
 * Changes its limits: `change` does, on what they are. A running container has them at once, as
 * far as its machine can follow; where it cannot, -ENOTSUP with the reason, and nothing changes.
 */
typedef int box_limits_fn(struct box_limits *l, void *arg, struct err *e);
int box_update(const struct box_dirs *d, struct box *b, box_limits_fn *change, void *arg,
	       struct err *e);

/*
 * docker's --restart: "no", "always", "unless-stopped", "on-failure[:RETRIES]"; "" is "no". -EINVAL
 * in docker's words. *policy is replaced.
 */
int box_restart_parse(const char *text, char **policy, int64_t *retries, struct err *e);
/*
 * Gives a container another policy, running or not: when it ends next, that counts. One that runs
 * without a policy gets a process that will start it again.
 */
int box_restart_set(const struct box_dirs *d, struct box *b, const char *text, struct err *e);
/* Whether it would run if the host had not gone down: docker's rule for its daemon's start. */
bool box_restarts_after_crash(const struct box *b);

/* What its last health checks said, oldest first; read from its folder. */
#define BOX_PROBES_MAX 5
struct box_probe {
	int64_t start_ns, end_ns; /* since 1970 */
	int exit_code;		  /* -1: it had to be killed, or did not start */
	char *output;
};
struct box_health_log {
	unsigned streak; /* failures in a row */
	unsigned n;
	struct box_probe v[BOX_PROBES_MAX];
};
bool box_has_health(const struct box_spec *s);
/* -ENOENT: there is none. What it owns is freed by box_health_log_free. */
int box_health_log(const struct box *b, struct box_health_log *l);
void box_health_log_free(struct box_health_log *l);

/* Bytes of the files that it has written or changed and not removed. */
uint64_t box_size(const struct box *b);

/*
 * Tells fn every file of the container, merged; changes: what it changed, as a layer would say it
 * (fuse/walk.h). What the guest of a running one has not written out is not in it yet.
 */
int box_tree(const struct box *b, bool changes, entry_fn *fn, void *arg, struct err *e);

/* logs */
struct box_log_options {
	int64_t tail;		    /* last n lines; -1: all */
	bool follow;		    /* until the container ends */
	bool details;		    /* what --log-opt labels and env put beside each line */
	bool timestamps;	    /* RFC 3339 with nanoseconds in front of each line */
	int64_t since_ns, until_ns; /* 0: no bound */
	int out, err;		    /* where stdout's and stderr's lines go */
};
int box_logs(const struct box_dirs *d, struct box *b, const struct box_log_options *o,
	     struct err *e);

#endif
