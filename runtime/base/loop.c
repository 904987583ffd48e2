/* loop.c: an epoll loop; see loop.h. */
#include "runtime/base/loop.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "runtime/base/str.h"

/*
 * Removed watches are freed only after the round in which they were removed,
 * since epoll_wait may already have handed out their events. Timers are few
 * (stop time-outs, clock, back-off): a sorted list is enough, and the wait is
 * shortened to the first, so no timerfd is needed.
 */

#define LOOP_EVENTS 32

struct loop_watch {
	struct loop *loop;
	struct loop_watch *next_dead;
	loop_fd_fn *fn;
	void *arg;
	int fd;
	bool dead;
};

struct loop_timer {
	struct loop *loop;
	struct loop_timer *next;
	uint64_t when;
	loop_fn *fn;
	void *arg;
};

struct loop {
	int epfd;
	bool stop;
	int value;
	struct loop_watch *dead;
	struct loop_timer *timers;
};

uint64_t loop_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000U + (uint64_t)ts.tv_nsec;
}

struct loop *loop_new(struct err *e)
{
	struct loop *l = xcalloc(1, sizeof(*l));

	l->epfd = epoll_create1(EPOLL_CLOEXEC);
	if (l->epfd < 0) {
		err_sys(e, "epoll_create1");
		free(l);
		return NULL;
	}
	return l;
}

static void bury(struct loop *l)
{
	while (l->dead) {
		struct loop_watch *w = l->dead;

		l->dead = w->next_dead;
		free(w);
	}
}

void loop_free(struct loop *l)
{
	if (l == NULL)
		return;
	bury(l);
	while (l->timers)
		loop_cancel(l->timers);
	close(l->epfd);
	free(l);
}

void loop_stop(struct loop *l, int value)
{
	l->stop = true;
	l->value = value;
}

struct loop_watch *loop_add(struct loop *l, int fd, uint32_t events, loop_fd_fn *fn, void *arg,
			    struct err *e)
{
	struct loop_watch *w = xcalloc(1, sizeof(*w));
	struct epoll_event ev = { .events = events, .data.ptr = w };

	*w = (struct loop_watch){ .loop = l, .fn = fn, .arg = arg, .fd = fd };
	if (epoll_ctl(l->epfd, EPOLL_CTL_ADD, fd, &ev) < 0) {
		err_sys(e, "epoll_ctl");
		free(w);
		return NULL;
	}
	return w;
}

void loop_mod(struct loop_watch *w, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.ptr = w };

	epoll_ctl(w->loop->epfd, EPOLL_CTL_MOD, w->fd, &ev);
}

void loop_del(struct loop_watch *w)
{
	if (w == NULL || w->dead)
		return;
	epoll_ctl(w->loop->epfd, EPOLL_CTL_DEL, w->fd, NULL);
	w->dead = true;
	w->next_dead = w->loop->dead;
	w->loop->dead = w;
}

struct loop_timer *loop_after(struct loop *l, uint64_t ns, loop_fn *fn, void *arg)
{
	struct loop_timer *t = xcalloc(1, sizeof(*t)), **at = &l->timers;

	*t = (struct loop_timer){ .loop = l, .when = loop_now() + ns, .fn = fn, .arg = arg };
	while (*at && (*at)->when <= t->when)
		at = &(*at)->next;
	t->next = *at;
	*at = t;
	return t;
}

void loop_cancel(struct loop_timer *t)
{
	struct loop_timer **at;

	if (t == NULL)
		return;
	for (at = &t->loop->timers; *at && *at != t; at = &(*at)->next)
		;
	if (*at == NULL)
		return;
	*at = t->next;
	free(t);
}

static int wait_ms(struct loop *l, int limit)
{
	uint64_t now, ms;

	if (l->timers == NULL)
		return limit;
	now = loop_now();
	if (l->timers->when <= now)
		return 0;
	ms = (l->timers->when - now + 999999) / 1000000;
	if (limit >= 0 && ms > (uint64_t)limit)
		return limit;
	return ms > 1000000000 ? 1000000000 : (int)ms;
}

int loop_once(struct loop *l, int timeout_ms)
{
	struct epoll_event ev[LOOP_EVENTS];
	uint64_t now;
	int n;

	n = epoll_wait(l->epfd, ev, LOOP_EVENTS, wait_ms(l, timeout_ms));
	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	for (int i = 0; i < n; i++) {
		struct loop_watch *w = ev[i].data.ptr;

		if (!w->dead)
			w->fn(w->arg, ev[i].events);
	}
	bury(l);
	now = l->timers ? loop_now() : 0;
	while (l->timers && l->timers->when <= now) {
		struct loop_timer *t = l->timers;

		l->timers = t->next;
		t->fn(t->arg);
		free(t);
	}
	bury(l);
	return 0;
}

int loop_run(struct loop *l)
{
	l->stop = false;
	while (!l->stop) {
		int rc = loop_once(l, -1);

		if (rc < 0)
			return rc;
	}
	return l->value;
}
