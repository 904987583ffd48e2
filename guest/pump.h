/* pump.h: a task's streams between its pipes or terminal and the host. */
#ifndef ZL_GUEST_PUMP_H
#define ZL_GUEST_PUMP_H

#include <stdbool.h>
#include <stdint.h>

#include "runtime/base/err.h"
#include "runtime/base/loop.h"
#include "vsock/wire.h"

struct stream;

/* Something changed: opened, output all sent, closed. */
typedef void stream_fn(void *arg);

/*
 * Dials the host and announces the stream. `local` is the agent's end of the
 * pipe, owned by the stream from here on (also on failure), or -1: the
 * terminal's master, given later with stream_attach.
 */
struct stream *stream_new(struct loop *l, uint32_t task, enum wire_stream which, int local,
			  stream_fn *fn, void *arg, struct err *e);
int stream_attach(struct stream *s, int local, struct err *e);
void stream_free(struct stream *s);

/* The connection stands and is announced; or it was refused (error). */
bool stream_is_open(const struct stream *s);
int stream_error(const struct stream *s);
/*
 * Output only: when the host stops reading, the pipe stays open until the
 * workload writes into it again, and then stream_is_broken says so (else it
 * is closed at once). stream_end closes it.
 */
void stream_watch_break(struct stream *s);
bool stream_is_broken(const struct stream *s);
/* Moves what can be moved, without waiting for an event; does not call back. */
void stream_run_now(struct stream *s);
/*
 * All output was sent. With `drain`, what was there at the last run: a
 * writer that is left over is not waited for.
 */
bool stream_is_sent(const struct stream *s, bool drain);
/* The task is over: closes the agent's end, and the connection once the host has. */
void stream_end(struct stream *s);
/* Nothing is left to do: both ends are closed. */
bool stream_is_closed(const struct stream *s);
/* The agent's end: the terminal's master; -1 if closed. */
int stream_local(const struct stream *s);

#endif
