/* ctl.h: the control socket between a container's holder and zl's commands. */
#ifndef ZL_BOX_CTL_H
#define ZL_BOX_CTL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/base/err.h"
#include "runtime/base/loop.h"
#include "runtime/box/box.h"

/*
 * SOCK_SEQPACKET; every message is one struct ctl_msg, written field by field
 * (numbers little-endian), with descriptors beside it where its type says so.
 * Both ends are the same user's (SO_PEERCRED), maybe of different builds of
 * zl: a message the other does not know is answered with -EPROTO.
 *
 *	command				holder
 *	ATTACH streams rows cols fds ->	REPLY
 *	SIGNAL task signal	     ->	REPLY
 *	RESIZE task rows cols	     ->	REPLY
 *	STOP signal timeout_s	     ->	REPLY, and EXITED when it has ended
 *	EXEC streams rows cols fds   ->	REPLY task; the first descriptor is a memfd
 *					with the command (ctl_exec_write)
 *	PAUSE			     ->	REPLY when the VM stands still
 *	UNPAUSE			     ->	REPLY
 *	QUERY task (1: processes) fd ->	REPLY when the file has the answer (usage.h)
 *	SYNC			     ->	REPLY when what the guest wrote is on the host
 *	REREAD			     ->	REPLY task (the VM's process) when what
 *					spec.json says now is in force
 *				     <-	EVENT kind task code text, at any time
 */
enum ctl_type {
	CTL_ATTACH = 1,
	CTL_SIGNAL,
	CTL_RESIZE,
	CTL_STOP,
	CTL_EXEC,
	CTL_PAUSE,
	CTL_UNPAUSE,
	CTL_QUERY,
	CTL_SYNC,
	CTL_REREAD,
	CTL_REPLY = 32,
	CTL_EVENT,
};

/* struct ctl_msg.streams: which descriptors came along, in this order. */
#define CTL_IN	(1U << 0)
#define CTL_OUT (1U << 1)
#define CTL_ERR (1U << 2)

struct ctl_msg {
	uint16_t type;
	uint8_t kind; /* of an event: enum in box_event */
	uint8_t streams;
	uint32_t task;
	int32_t code; /* an exit code; of a reply: 0 or -errno */
	uint32_t signal;
	int64_t timeout_s;
	uint16_t rows, cols;
	char text[BOX_MESSAGE_MAX];
};

/* Longest message in bytes. */
#define CTL_MSG_MAX (64 + BOX_MESSAGE_MAX)
/* Longest command of an exec with its environment. */
#define CTL_EXEC_MAX (3U << 20)

size_t ctl_put(const struct ctl_msg *m, void *buf); /* CTL_MSG_MAX bytes of room */
int ctl_get(struct ctl_msg *m, const void *buf, size_t n);

int ctl_exec_write(const struct box_exec *x, struct err *e); /* a memfd */
/* What it owns is freed by ctl_exec_free. */
int ctl_exec_read(int fd, struct box_exec *x, struct err *e);
void ctl_exec_free(struct box_exec *x);

/* bind(2) and connect(2) to a path of any length. */
int ctl_bind(const char *path, struct err *e);
int ctl_connect(const char *path); /* -errno */

/* The holder's side. */
struct ctl;
struct ctl_peer;

struct ctl_ops {
	/* The descriptors belong to the callee. */
	void (*request)(void *arg, struct ctl_peer *p, const struct ctl_msg *m, int *fds,
			size_t nfds);
	/* Connected. */
	void (*joined)(void *arg, struct ctl_peer *p);
	/* It is gone: hung up, broke the rules, or let go. p is freed when this returns. */
	void (*left)(void *arg, struct ctl_peer *p);
};

struct ctl *ctl_new(struct loop *l, const struct ctl_ops *ops, void *arg);
/* Listens on `sock` (taken over). */
int ctl_listen(struct ctl *c, int sock, struct err *e);
/* A peer on a socket that is connected already (taken over). */
struct ctl_peer *ctl_add(struct ctl *c, int sock, struct err *e);
/* Sends without waiting; a peer that does not read is let go, later on. */
void ctl_send(struct ctl_peer *p, const struct ctl_msg *m);
void ctl_reply(struct ctl_peer *p, int rc, uint32_t task, const char *text);
/* Lets a peer go: `left` follows, not from within this call. */
void ctl_drop(struct ctl_peer *p);
struct ctl_peer *ctl_next(struct ctl *c, struct ctl_peer *after); /* NULL: the first */
/* No new connections. */
void ctl_close(struct ctl *c);
/* All peers, without `left`. NULL is allowed. */
void ctl_free(struct ctl *c);

#endif
