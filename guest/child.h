/* child.h: what becomes of a task's process between clone and execve. */
#ifndef ZL_GUEST_CHILD_H
#define ZL_GUEST_CHILD_H

#include <stdint.h>

#include "guest/agent.h"

/* All the process needs; the descriptors are the agent's, inherited, close-on-exec. */
struct child {
	const struct agent *agent;
	const struct wire_task *task;
	const struct wire_boot *boot; /* task 1; else NULL, and `join` is its pidfd */
	int join;
	int status; /* socket to the agent: notes; end of file: executed; task 1 waits for a byte */
	int stdio[3]; /* -1: /dev/null; not used with a terminal */
};

/* What the process tells the agent, one message each. */
enum child_note_kind {
	CHILD_READY,  /* `pid` in the container; with the terminal's master, if it has one */
	CHILD_FAILED, /* `exit_code` and `text` */
};

struct child_note {
	uint32_t kind;
	uint32_t pid;
	uint32_t exit_code;
	char text[ERR_MSG_MAX];
};

/* In the process, right after clone. */
void child_run(const struct child *c) __attribute__((noreturn));

/*
 * Finds argv[0] as Go's LookPath does, in PATH of env; *path is to be freed.
 * On failure e has docker's words and the result is the exit code, else 0.
 */
int child_look_path(const char *file, const struct strv *env, char **path, struct err *e);

/* ---- init.c: PID 1 of the container with --init; ends as `child` does. */
void init_block_signals(void);
void init_run(pid_t child) __attribute__((noreturn));

/* ---- unpack.c */

/* Makes the files that stdin brings (vsock/item.h) below dir; 0, or 1 with the reason on stderr. */
int unpack_run(const char *dir);

/* ---- mount.c */

/* Detached mounts; a descriptor or -errno. */
int mount_virtiofs(const char *tag, struct err *e);
int mount_cgroup(struct err *e);
int mount_proc(struct err *e);

/* In task 1's process: makes it see the container only. */
int mount_container(const struct agent *a, const struct wire_boot *boot, struct err *e);
/* The terminal as /dev/console. */
int mount_console(int slave, struct err *e);

#endif
