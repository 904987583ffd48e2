/* ranges.c: one connection first; when it turns out slow, several ranges at a time. */
#include "oci/ranges.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "runtime/base/log.h"
#include "runtime/base/own.h"

/*
 * Theory of operation
 *
 * Many servers give each connection only so much. A blob begins with one; when its speed over
 * the first megabytes says that more might help, that request is given up and workers fetch
 * ranges of the rest, each into a buffer of its own, and hand them on in turn.
 * In one process one blob at a time is fetched so: that bounds memory, and what
 * a registry has to bear. Where ranges are not served the rest comes by one
 * connection after all.
 */

/* What the trial's body says to end its request. */
#define SLOW (-EXFULL)

static atomic_flag taken = ATOMIC_FLAG_INIT;

struct fetch {
	struct registry *g;
	const struct digest *d;
	http_body_fn *body;
	http_retry_fn *retry;
	void *arg;
	uint64_t at, size; /* at: what body has had */
	/* the trial */
	struct timespec began;
	uint64_t got;
	bool mine; /* taken by us */
	/* the workers */
	pthread_mutex_t lock;
	pthread_cond_t turn;
	uint64_t next; /* first byte nobody fetches yet */
	struct err failed;
};

struct worker {
	struct fetch *f;
	struct str buf;
};

/* ---- the first connection ---- */

static bool is_slow(const struct fetch *f)
{
	struct timespec now;
	double s;

	clock_gettime(CLOCK_MONOTONIC, &now);
	s = (double)(now.tv_sec - f->began.tv_sec) + (double)(now.tv_nsec - f->began.tv_nsec) / 1e9;
	return (double)f->got < s * (double)RANGES_FAST;
}

static int on_trial(void *arg, const void *p, size_t n, struct err *e)
{
	struct fetch *f = arg;
	bool was_short = f->got < RANGES_TRIAL;
	int r = f->body(f->arg, p, n, e);

	if (r < 0)
		return r;
	if (f->got == 0)
		clock_gettime(CLOCK_MONOTONIC, &f->began);
	f->at += n;
	f->got += n;
	if (!was_short || f->got < RANGES_TRIAL || f->size - f->at < RANGES_LEFT || !is_slow(f) ||
	    atomic_flag_test_and_set(&taken))
		return 0;
	f->mine = true;
	return err_set(e, -SLOW, "slow");
}

static void on_retry(void *arg, unsigned seconds, const struct err *why)
{
	const struct fetch *f = arg;

	if (f->retry)
		f->retry(f->arg, seconds, why);
}

/* ---- several ---- */

static int on_range(void *arg, const void *p, size_t n, struct err *e)
{
	struct worker *w = arg;

	(void)e;
	str_add_mem(&w->buf, p, n);
	return 0;
}

static void on_range_retry(void *arg, unsigned seconds, const struct err *why)
{
	const struct worker *w = arg;

	on_retry(w->f, seconds, why);
}

static void give_up(struct fetch *f, const struct err *why, int r)
{
	pthread_mutex_lock(&f->lock);
	if (f->failed.code == 0) {
		f->failed = *why;
		f->failed.code = -r;
	}
	pthread_cond_broadcast(&f->turn);
	pthread_mutex_unlock(&f->lock);
}

/* Waits until all before `from` has been handed on; false: there is no use any more. */
static bool wait_turn(struct fetch *f, uint64_t from)
{
	bool good;

	pthread_mutex_lock(&f->lock);
	while (f->failed.code == 0 && f->at != from)
		pthread_cond_wait(&f->turn, &f->lock);
	good = f->failed.code == 0;
	pthread_mutex_unlock(&f->lock);
	return good;
}

static bool take_range(struct fetch *f, struct registry_span *span)
{
	pthread_mutex_lock(&f->lock);
	span->from = f->next;
	span->size = f->size;
	span->until = f->size - f->next < RANGES_BYTES ? f->size : f->next + RANGES_BYTES;
	if (f->failed.code)
		span->from = f->size;
	else
		f->next = span->until;
	pthread_mutex_unlock(&f->lock);
	return span->from < f->size;
}

static void *work(void *arg)
{
	struct worker w = { .f = arg };
	struct fetch *f = w.f;
	struct registry_span span;

	while (take_range(f, &span)) {
		struct err err = ERR_INIT;
		int r;

		w.buf.len = 0;
		r = registry_blob(f->g, f->d, &span, on_range, on_range_retry, &w, &err);
		if (r == 0 && !wait_turn(f, span.from))
			break;
		if (r == 0)
			r = f->body(f->arg, w.buf.s, w.buf.len, &err);
		if (r < 0) {
			give_up(f, &err, r);
			break;
		}
		pthread_mutex_lock(&f->lock);
		f->at = span.until;
		pthread_cond_broadcast(&f->turn);
		pthread_mutex_unlock(&f->lock);
	}
	str_free(&w.buf);
	return NULL;
}

static int in_ranges(struct fetch *f, struct err *e)
{
	pthread_t threads[RANGES_CONNECTIONS];
	size_t n = 0;

	log_step("one connection to %s is slow; %d from here on", registry_host(f->g),
		 RANGES_CONNECTIONS);
	f->next = f->at;
	pthread_mutex_init(&f->lock, NULL);
	pthread_cond_init(&f->turn, NULL);
	/* This thread is one of them. */
	for (; n + 1 < RANGES_CONNECTIONS; n++)
		if (pthread_create(&threads[n], NULL, work, f) != 0)
			break;
	work(f);
	while (n > 0)
		pthread_join(threads[--n], NULL);
	pthread_cond_destroy(&f->turn);
	pthread_mutex_destroy(&f->lock);
	if (f->failed.code && e)
		*e = f->failed;
	return -f->failed.code;
}

int ranges_fetch(struct registry *g, const struct digest *d, uint64_t from, uint64_t size,
		 http_body_fn *body, http_retry_fn *retry, void *arg, struct err *e)
{
	struct fetch f = {
		.g = g, .d = d, .body = body, .retry = retry, .arg = arg, .at = from, .size = size
	};
	struct registry_span all = { .from = from, .size = size };
	int r = registry_blob(g, d, &all, on_trial, on_retry, &f, e);

	if (!f.mine)
		return r;
	r = in_ranges(&f, e);
	atomic_flag_clear(&taken);
	if (r != -ENOTSUP)
		return r;
	/* From now on `taken` is not ours, and the trial is over. */
	all.from = f.at;
	f.got = RANGES_TRIAL;
	return registry_blob(g, d, &all, on_trial, on_retry, &f, e);
}
