/* agent.h: what the agent's parts share. */
#ifndef ZL_GUEST_AGENT_H
#define ZL_GUEST_AGENT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "runtime/base/err.h"
#include "runtime/base/loop.h"
#include "runtime/base/str.h"
#include "vsock/wire.h"

/*
 * Theory of operation.
 *
 * The agent is PID 1 of the VM, one thread around one epoll loop. It keeps to
 * the initramfs and mounts nothing there: what it needs of the kernel it has
 * by descriptors of detached mounts. The container's tree is made by task 1's
 * process itself, on top of the initramfs, before it executes the workload.
 *
 *	main.c	  boot: HELLO, BOOT, then the loop; how the VM ends
 *	serve.c	  the control connection's frames
 *	task.c	  a task's life as the agent sees it
 *	pump.c	  its streams
 *	child.c	  a task's process from clone to execve
 *	mount.c	  the container's mount tree, made in that process
 *	warm.c	  what that process will need of the file server
 *	oom.c	  what the OOM killer did
 *	forward.c connections to published ports
 *	memory.c  what the container may use, and memory that comes later
 *	usage.c	  what it uses, and its processes
 *	init.c	  the small init of --init
 *	sigpipe.c what SIGPIPE would have done to PID 1
 *	sync.c	  what was written goes to the host
 *
 * What can go wrong after the loop started concerns one task and is told to
 * the host; only the loss of the control connection ends the VM.
 */

struct task;
struct syncing;

struct agent {
	struct loop *loop;
	int control; /* connection to WIRE_PORT_CONTROL */
	struct loop_watch *control_watch;
	struct str in, out; /* bytes of frames not complete yet, not sent yet */
	int self;	    /* pidfd of the agent */
	int null;	    /* the agent's own /dev/null: the container's is not to be trusted */
	int cgroup;	    /* folder of the container's cgroup */
	int oom_events;	    /* its memory.events; -1: nobody counts there */
	uint64_t oom_seen;  /* how often the OOM killer has struck in it */
	int root_fs;	    /* virtiofs mounts; -1: none */
	int host_fs;
	bool sync_root;
	struct strv rlimits; /* of all tasks */
	int32_t oom_score_adj;
	struct wire_limits limits; /* as they are applied */
	struct memory *memory;
	struct forward *forward; /* NULL: no port is published */
	uint32_t address;	 /* IPv4, of the container's own interface; 0: has none */
	struct task *tasks;
	struct syncing *syncs;
};

/* ---- main.c */

/* A line on the console. */
void agent_say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Ends the VM. */
void agent_end(void) __attribute__((noreturn));

/* ---- dial.c */

/* Connects to the host's port; the descriptor (maybe still connecting if nonblock), or -errno. */
int agent_dial(uint32_t port, bool nonblock);

/* ---- serve.c */

/* Blocking: sends HELLO. */
int serve_hello(struct agent *a, uint64_t boot_ns, struct err *e);
/* Blocking: reads BOOT. */
int serve_boot(struct agent *a, struct wire_boot *boot, struct err *e);
/* Blocking: tells the host that there will be no task 1, and waits until it hangs up. */
void serve_last_words(struct agent *a, const char *message);
/* From here on the loop serves the connection. */
int serve_start(struct agent *a, struct err *e);
/* Sends what is in a->out as far as it goes; the loop sends the rest. */
void serve_flush(struct agent *a);

/* ---- task.c */

/* boot is for task 1 only. Whatever fails is told to the host. */
void task_start(struct agent *a, const struct wire_task *w, const struct wire_boot *boot);
/* The VM is ready: task 1, which has waited for that, may execute its program. */
void task_go(struct agent *a);
void task_signal(struct agent *a, const struct wire_signal *m);
void task_resize(struct agent *a, const struct wire_resize *m);
/* Called by a stream when something about it changed. */
void task_progress(struct task *t);

/* Takes note of all children that have ended. */
void task_reap(struct agent *a);

/* ---- sync.c */

/* Blocking: what was written to the host's mounts, and to the root, is there. -errno: not all. */
int sync_mounts(const struct agent *a, bool root);
/* The same in a process of its own; SYNCED follows. */
void sync_start(struct agent *a, const struct wire_sync *m);
/* A child has ended that is no task: perhaps one of these. */
void sync_exited(struct agent *a, pid_t pid, int status);

/* ---- oom.c */

/* The cgroup has the memory controller now: tells the host of each OOM kill. */
void oom_watch(struct agent *a);
/* Whether there was one in the container's life; killed: task 1 ended by SIGKILL. */
bool oom_struck(struct agent *a, bool killed);

/* ---- sigpipe.c */

/* `pid`, PID 1 of the container, wrote into a pipe without a reader, and has to end for that. */
bool sigpipe_is_deadly(const struct agent *a, pid_t pid);
/* Its part that reads /proc/<pid>/status. */
bool sigpipe_status_is_default(const char *status);

/* ---- limits.c */

/* In the container's cgroup, which has a controller's files once it is enabled. */
int cgroup_write(const struct agent *a, const char *name, const char *text, struct err *e);
int cgroup_enable(const struct agent *a, const char *controller, struct err *e);
/* Writes what differs from what is applied. */
int limits_apply(struct agent *a, const struct wire_limits *l, struct err *e);

/* ---- memory.c */

/* Where there is room for more: watches what the container uses; before a task is in its cgroup. */
void memory_apply(struct agent *a, const struct wire_boot *b);
/* Bytes it may use, or all that there will ever be. */
uint64_t memory_limit(const struct agent *a);

/* ---- usage.c */

/* Answers with PROCESS and STATS. */
void usage_answer(struct agent *a, const struct wire_query *q);

/* ---- warm.c */

/* While task 1's process makes its container. */
void warm_up(const struct agent *a, const struct wire_task *w);

/* ---- forward.c */

/* Listens for the host's connections to published ports. */
int forward_start(struct agent *a, struct err *e);
/* The workload has ended: sends what it wrote into its connections, as far as the host takes it. */
void forward_flush(struct agent *a);

/* ---- link.c */

/* Brings the loopback up, and the interfaces that BOOT describes. */
int link_up(const struct wire_link *links, uint32_t n, struct err *e);
/* The first IPv4 address of theirs, in network order; 0: there is none. */
uint32_t link_address(const struct wire_link *links, uint32_t n);

/* Exit codes of a task that could not be started. */
#define EXIT_TOO_LATE	 1 /* docker's client says so before it tries */
#define EXIT_FAILED	 125
#define EXIT_NOT_INVOKED 126
#define EXIT_NOT_FOUND	 127

#endif
