/* holder.h: the process that owns one container's VM; shared by its files. */
#ifndef ZL_BOX_HOLDER_H
#define ZL_BOX_HOLDER_H

#include "runtime/base/confine.h"
#include "runtime/base/loop.h"
#include "runtime/box/agent.h"
#include "runtime/box/box.h"
#include "runtime/box/bundle.h"
#include "runtime/box/ctl.h"
#include "runtime/box/events.h"
#include "runtime/box/health.h"
#include "runtime/box/logfile.h"
#include "runtime/box/stdio.h"
#include "runtime/fuse/fuse.h"
#include "runtime/machine.h"
#include "vsock/wire.h"

/*
 * Theory of operation.
 *
 * One thread around one loop; only the file systems' devices have threads of
 * their own. A container's phases:
 *
 *	BOOTING	   the VM starts, the agent has not said STARTED. Signals wait.
 *	RUNNING	   the workload runs, or is paused (state.status tells)
 *	ENDING	   task 1 has ended, or the start failed, or the VM died: its
 *		   last output is taken out of the devices
 *	ENDED	   state.json tells (or the folder is gone), clients were told,
 *		   the VM is being freed. What slow readers have not taken yet is
 *		   in memory; the process stays until they have, or have left.
 *
 *	holder.c	the process and its phases
 *	vm.c		file servers, devices, machine
 *	confine.c	what its threads may do once the guest runs
 *	boot.c		spec -> BOOT message
 *	task.c		tasks, their streams, what the agent says about them
 *	request.c	what clients ask for
 *	pause.c		pause and unpause
 *	query.c		what the container uses
 *	health.c	health checks
 *	publish.c	published ports
 *	launch.c	how it is started (in the starting zl)
 *	keeper.c	who starts it again (a process of its own)
 *
 * Nothing is freed under a callback's feet: ends are decided in callbacks and
 * carried out by a timer of the loop's.
 */
#define HOLDER_SIGNALS_MAX 16
#define HOLDER_TASKS_MAX   1024
#define HOLDER_QUERIES_MAX 256
#define HOLDER_DEVICES_MAX 8

enum holder_phase {
	HOLDER_BOOTING,
	HOLDER_RUNNING,
	HOLDER_ENDING,
	HOLDER_ENDED,
};

struct holder;

/* A client that waits for the guest to sync. */
struct syncing {
	struct syncing *next;
	uint32_t request;
	struct ctl_peer *peer;
};

struct task {
	struct task *next;
	struct holder *holder;
	uint32_t id;
	struct ctl_peer *owner;	      /* an exec's client, as long as it is there */
	char exec_id[BOX_ID_LEN + 1]; /* docker's number of it; "" of task 1 */
	bool tty, started, over;
	bool settled; /* over, and no stream will bring more */
	int code;
	char message[BOX_MESSAGE_MAX];
	enum { TASK_EXITED, TASK_FAILED } how;
	struct io_stream *stream[4]; /* by enum wire_stream; NULL: has none */
	struct loop_timer *grace;
};

struct vm {
	struct fuse *root_fs, *host_fs;
	struct virtio_device *root_dev, *host_dev, *vsock, *rng, *balloon, *console;
	struct virtio_device *memdev; /* NULL: the memory is what -m says */
	struct virtio_device *net;    /* NULL: --network none */
	struct machine *machine;
	uint64_t memory; /* -m it was started with: it is as large as that takes */
};

struct holder {
	const struct box_dirs *dirs;
	struct box_spec *spec;
	struct box_state state;
	int dirfd, lock;
	char *socket; /* path of the control socket */
	const struct bundle *bundle;
	enum holder_phase phase;
	struct loop *loop;
	struct loop_watch *signals;
	int signal_fd;
	struct ctl *ctl;
	struct ctl_peer *starter; /* the client that is the foreground; NULL once gone */
	struct logfile *log;
	struct events events;
	struct publish *publish; /* NULL: no port is */
	struct agent *agent;
	struct vm vm;
	struct {
		struct confine loop, root_fs, host_fs, net;
	} confine;	    /* as long as the process */
	struct task *tasks; /* task 1 is the last */
	struct task *main;
	uint32_t next_task;
	unsigned ntasks;
	struct query *queries;
	uint32_t next_query;
	struct syncing *syncs;
	uint32_t next_sync;
	unsigned short rows, cols;	 /* of task 1's terminal, until BOOT */
	int waiting[HOLDER_SIGNALS_MAX]; /* signals that came before STARTED */
	unsigned nwaiting;
	bool killed;  /* SIGKILL was asked for: an end of the VM is no surprise */
	bool ending;  /* the agent knows that task 1 ends */
	bool stopped; /* a user said that it is to end: it does not start again */
	bool quit;    /* the host goes down: likewise */
	bool again;   /* not the first life since it was started by hand */
	int over;     /* the keeper's pipe: closed when all is over; -1: there is no keeper */
	struct health health;
	struct loop_timer *watchdog, *stop_timer, *doubt, *tidy;
	int log_fd; /* holder.log */
};

/* --- holder.c */

/* What launch.c hands over; the descriptors are the holder's from then on. */
struct holder_start {
	const struct box_dirs *dirs;
	struct box *box;
	const struct bundle *bundle;
	int sock; /* the starting client's; -1: there is none */
	int lock;
	int said;   /* where --debug is to be heard; -1: nowhere */
	int listen; /* the control socket, where the keeper has made it; else -1 */
	int over;   /* see struct holder */
	bool again; /* likewise */
	bool has_io;
	struct box_stdio io;
};

/*
 * Makes the calling process one of its own: no terminal, nothing of the starter's but what it
 * handed over, whose numbers may change.
 */
void holder_detach(struct holder_start *s);

/* In the forked process. */
void holder_run(struct holder_start *start) __attribute__((noreturn));

/* Task 1 is over: code and message as docker's. From any callback; once. */
void holder_end(struct holder *h, int how, int code, const char *message);
/* Once more looks whether there is something left to wait for. */
void holder_check(struct holder *h);
/* The starting client has left: its stderr is no longer ours to write to. */
void holder_alone(struct holder *h);
/* STARTED of task 1. */
void holder_started(struct holder *h);

/* --- vm.c */
int vm_start(struct holder *h, struct err *e);
/* The guest wants so many of the bytes it may get later. */
void vm_grow(struct holder *h, uint64_t bytes);
void vm_free(struct holder *h);

/* --- confine.c */

/* The system calls of the loop's thread. */
extern const struct confine_list holder_loop_calls;
/* First of all, for the whole process. */
int confine_holder(struct err *e);
/* What a file server's thread is confined to. NULL: e says why. */
const struct confine *confine_root_fs(struct holder *h, struct err *e);
const struct confine *confine_host_fs(struct holder *h, struct err *e);
/* The same of the network's. */
const struct confine *confine_net(struct holder *h, struct err *e);
/* The calling thread, when the machine is there and the guest does not run yet. */
int confine_loop(struct holder *h, struct err *e);
/* A keeper, first of all: it makes holders, and so has what they have before their guests run. */
int confine_keeper(struct err *e);
/*
 * Forgets the command line, which may hold the user's secrets, and shows others `comm` and the
 * container's folder in its place; the environment too, unless it is kept for those who will be
 * forked (nobody else can read it then).
 */
void confine_past(const struct box_dirs *d, const char *id, const char *comm, bool environment);

/* --- boot.c */

/*
 * The whole BOOT frame. `mounts` of kind bind are shares "0", "1" ... of the second fs; `room` is
 * how much memory the machine may get later.
 */
/* Mount points that every container needs, but for the user's own. */
#define BOOT_PLACES_MAX 7
void boot_places(const struct box_spec *spec, struct fuse_place places[BOOT_PLACES_MAX]);
void boot_frame(struct str *out, const struct box_spec *spec, uint64_t room, unsigned short rows,
		unsigned short cols);
/* Its limits as the guest is told. */
void boot_limits(struct wire_limits *w, const struct box_limits *l);
/* The directory and the entry in it to share for a bind mount; entry is NULL for a folder. */
int boot_bind_split(const char *source, char **dir, char **entry, struct err *e);

/* --- resolv.c */

/* The container's resolv.conf, from the text of the host's; to be freed. */
char *resolv_for(const struct box_spec *spec, const char *host);

/* --- task.c */
extern const struct agent_ops task_agent_ops;
struct task *task_new(struct holder *h, uint32_t id, bool tty, bool open_stdin);
/* Takes the descriptors of io over, those it has no stream for too. */
void task_attach(struct task *t, const struct box_stdio *io, struct ctl_peer *owner);
void task_detach(struct task *t, struct ctl_peer *owner);
bool task_written(const struct task *t, const struct ctl_peer *owner);
struct task *task_find(struct holder *h, uint32_t id);
/* It has ended: takes what its streams still hold, then holder_check. */
void task_over(struct task *t, int how, int code, const char *message);
/* The sentence that goes with its events; NULL: none. */
void task_say(struct task *t, const char *message);
void task_event(const struct task *t, struct ctl_peer *to);
void task_free(struct task *t);

/* --- request.c */
extern const struct ctl_ops request_ops;
/* To task 1, or kept until there is one. */
void request_signal(struct holder *h, int sig);
void request_stop(struct holder *h, int sig, int64_t timeout_s);
/* The agent knows that task 1 ends, and may have to sync. */
void request_ending(struct holder *h);
/* The agent answers a client's SYNC. */
void request_synced(struct holder *h, const struct wire_synced *m);
/* Nobody answers any more. */
void request_free(struct holder *h);
/* Has the guest start t, a task other than 1; io: the size of its terminal. */
void request_exec(struct holder *h, const struct task *t, const struct box_exec *x,
		  const struct box_stdio *io);
/* To a task other than 1. */
void request_task_signal(struct holder *h, const struct task *t, int sig);

/* --- query.c */

/* Asks the guest for `p`, who is answered with the numbers in the file fd (taken over). */
int query_begin(struct holder *h, struct ctl_peer *p, bool processes, int fd, struct err *e);
void query_process(struct holder *h, const struct wire_process *m);
void query_stats(struct holder *h, const struct wire_stats *m);
/* Nobody waits for p's queries any more; NULL: for anybody's. */
void query_forget(struct holder *h, const struct ctl_peer *p);

/* --- reread.c */

/* A client says that spec.json is another. */
void reread(struct holder *h, struct ctl_peer *p);

/* --- pause.c */

/* In phase RUNNING; docker's wording where it is so already. */
int pause_begin(struct holder *h, struct err *e);
int pause_end(struct holder *h, struct err *e);
/* After a signal was sent to task 1: as docker, one that is to end it ends a pause, too. */
void pause_signalled(struct holder *h, int sig);

#endif
