/* agent.h: the host's end of the wire to the guest's agent. */
#ifndef ZL_BOX_AGENT_H
#define ZL_BOX_AGENT_H

#include "runtime/base/loop.h"
#include "runtime/box/stdio.h"
#include "vsock/wire.h"

/*
 * The agent is the guest's and so is not trusted: everything it sends is
 * bounded, in order, and about tasks that exist, or `failed` is called, once,
 * and nothing after it (but for the streams' callbacks). The same holds for `hung_up`.
 */
struct agent;
struct vsock_conn_ops;

struct agent_ops {
	void (*hello)(void *arg, const struct wire_hello *m);
	void (*started)(void *arg, const struct wire_started *m);
	void (*ending)(void *arg, const struct wire_ending *m);
	void (*oom)(void *arg, const struct wire_oom *m);
	void (*refused)(void *arg, const struct wire_failed *m);
	void (*exited)(void *arg, const struct wire_exited *m);
	/* An answer to WIRE_SYNC, or so it says. */
	void (*synced)(void *arg, const struct wire_synced *m);
	/* It would like to have more memory. */
	void (*memory)(void *arg, const struct wire_memory *m);
	/* The answer to a QUERY. */
	void (*process)(void *arg, const struct wire_process *m);
	void (*stats)(void *arg, const struct wire_stats *m);
	/* The stream of a task, or NULL if there is none such. */
	struct io_stream *(*stream)(void *arg, const struct wire_open *m);
	/* The agent broke the rules: a clause that says how. */
	void (*failed)(void *arg, const char *why);
	/* Its control connection is gone: with the VM, as a rule. */
	void (*hung_up)(void *arg);
};

struct agent *agent_new(struct loop *l, const struct agent_ops *ops, void *arg);
/* After its connections have ended. NULL is allowed. */
void agent_free(struct agent *a);
/* Nothing the agent sends matters any more. */
void agent_mute(struct agent *a);

/* vsock_accept_fn's, with the agent as ctx. */
const struct vsock_conn_ops *agent_accept(void *agent, struct vsock_conn *c, uint32_t port,
					  void **arg);

/* Sends a whole frame made by vsock/codec.h; `frame` is emptied. -ENOTCONN, -ENOBUFS. */
int agent_send(struct agent *a, struct str *frame);

/* The guest's clock is set every so often: emulated time runs away. */
#define AGENT_TIME_NS (300ULL * 1000000000)
void agent_keep_time(struct agent *a);
/* Now, and again after AGENT_TIME_NS. */
void agent_set_time(struct agent *a);
/* Not any more. */
void agent_leave_time(struct agent *a);

#endif
