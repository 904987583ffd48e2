/* stdio.h: one stream of a task: a vsock connection here, clients' descriptors there. */
#ifndef ZL_BOX_STDIO_H
#define ZL_BOX_STDIO_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "runtime/base/err.h"
#include "runtime/base/loop.h"
#include "runtime/box/logfile.h"

/*
 * Output goes to every attached descriptor (a sink) and to the log. The guest
 * gets credit for what the slowest sink took, so that a workload is held back
 * by its reader as in any pipeline; without a sink it only meets the log.
 * Input is read from the attached descriptors (sources) straight into guest
 * memory, when the guest has room for it.
 *
 * The holder never waits for a descriptor, and never makes a descriptor that
 * it shares with a shell non-blocking: pipes and terminals are opened anew
 * through /proc, which gives an open file description of our own; sockets are
 * asked not to wait call by call; regular files do not wait. Where opening
 * anew is refused, a poll goes before each write of at most PIPE_BUF bytes.
 *
 * An owner is an opaque pointer: the client that lent the descriptors.
 */
struct vsock_conn;
struct io_stream;

/*
 * An open file description of one's own of a client's descriptor that may
 * block (a terminal, a pipe), so that O_NONBLOCK is nobody else's business. -1
 * where none is needed or to be had: the descriptor is to be used as it is. A
 * confined holder may not open terminals: the client does it before it lends.
 */
int io_own_description(int fd, bool sink);

struct io_stream_ops {
	/* Something ended: the end of file was reached, or all is written. */
	void (*changed)(void *arg, struct io_stream *s);
	/* All of the owner's sinks of this stream are broken (EPIPE). True: the
	 * guest's end is to break as well. */
	bool (*broke)(void *arg, struct io_stream *s, const void *owner);
};

struct io_stream *io_stream_new(struct loop *l, const struct io_stream_ops *ops, void *arg);
/* Ends the connection if there is one, closes all descriptors. */
void io_stream_free(struct io_stream *s);

/* Output goes there too, as `stream`. */
void io_stream_log(struct io_stream *s, struct logfile *log, enum log_stream stream);
/* Its first bytes are added to `to`, as long as that has less than `max`. It has no sinks. */
void io_stream_keep(struct io_stream *s, struct str *to, size_t max);
/* Takes fd over. */
void io_stream_add_sink(struct io_stream *s, int fd, const void *owner);
void io_stream_add_source(struct io_stream *s, int fd, const void *owner);
/* Input ends for the guest once the last source has ended (docker's StdinOnce). */
void io_stream_end_with_sources(struct io_stream *s, bool on);
/* Forgets what the owner lent. */
void io_stream_drop(struct io_stream *s, const void *owner);

/* The guest opened its end; the connection's callbacks are then passed on to these. */
bool io_stream_bind(struct io_stream *s, struct vsock_conn *c);
ssize_t io_stream_push(struct io_stream *s, const struct iovec *iov, int n);
ssize_t io_stream_pull(struct io_stream *s, const struct iovec *iov, int n);
void io_stream_eof(struct io_stream *s);
void io_stream_closed(struct io_stream *s);

/*
 * The task has ended and the guest sent all there is: takes it out of the
 * connection now, also what a sink cannot take yet, so that the VM is not
 * needed any more.
 */
void io_stream_finish(struct io_stream *s);
/* The guest will send no more on it (or never opened it). */
bool io_stream_over(const struct io_stream *s);
/* Whether all output for this owner (NULL: for any) was written. */
bool io_stream_written(const struct io_stream *s, const void *owner);

#endif
