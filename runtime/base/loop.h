/* loop.h: an epoll loop: descriptors, timers, deferred calls. */
#ifndef ZL_BASE_LOOP_H
#define ZL_BASE_LOOP_H

#include <stdint.h>
#include <sys/epoll.h>

#include "runtime/base/err.h"

/*
 * One loop belongs to one thread: every call below is made on that thread,
 * but for loop_stop and eventfds the caller watches itself. A watch or timer
 * may be removed at any time, also from its own callback or from another's
 * in the same round: it is never called after its removal. The loop owns no
 * descriptor that it was given. Nothing wakes up unless something happens.
 */
struct loop;
struct loop_watch;
struct loop_timer;

typedef void loop_fd_fn(void *arg, uint32_t events); /* EPOLL* bits */
typedef void loop_fn(void *arg);

struct loop *loop_new(struct err *e);
void loop_free(struct loop *l);
/* Runs until loop_stop, returns the value given to it; negative: -errno of epoll. */
int loop_run(struct loop *l);
/* One round: waits at most timeout_ms (-1: no limit), serves what is ready. */
int loop_once(struct loop *l, int timeout_ms);
void loop_stop(struct loop *l, int value);

/* events: EPOLLIN ... ; 0 watches errors and hang-ups only. NULL on failure. */
struct loop_watch *loop_add(struct loop *l, int fd, uint32_t events, loop_fd_fn *fn, void *arg,
			    struct err *e);
void loop_mod(struct loop_watch *w, uint32_t events);
/* Must come before the descriptor is closed. NULL is allowed. */
void loop_del(struct loop_watch *w);

/* Calls fn once, `ns` nanoseconds from now (CLOCK_MONOTONIC). Freed after. */
struct loop_timer *loop_after(struct loop *l, uint64_t ns, loop_fn *fn, void *arg);
/* NULL is allowed; never for one that has fired. */
void loop_cancel(struct loop_timer *t);

/* CLOCK_MONOTONIC in nanoseconds. */
uint64_t loop_now(void);

#endif
