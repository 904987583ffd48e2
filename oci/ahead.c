/* ahead.c: a ring of blocks between the decoder's thread and the tree's; see ahead.h. */
#include "oci/ahead.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

#include "oci/expand.h"
#include "runtime/base/str.h"

#define BLOCK_BYTES (256 * 1024)
#define BLOCKS	    4

struct block {
	uint8_t *data;
	ssize_t len; /* 0: the end; negative: an error */
};

/*
 * Blocks go round: `filled` counts those that were made, `used` those that
 * were given back. The reader side owns block filled % BLOCKS while
 * filled - used < BLOCKS, the user side owns block used % BLOCKS while it
 * holds it. After the end or an error nothing more is made.
 */
struct ahead {
	struct expand *x;
	struct digest_stream *sum;
	struct block blocks[BLOCKS];
	struct err err; /* of the block with an error */

	pthread_t thread;
	bool threaded;
	bool over; /* the last block was given out */
	pthread_mutex_t mutex;
	pthread_cond_t more, room;
	unsigned long filled, used;
	bool holding; /* the user has block used % BLOCKS */
	bool stop;
};

struct ahead *ahead_new(unpack_read_fn *read, void *arg, const struct unpack_limits *limits,
			bool hash)
{
	struct ahead *a = xcalloc(1, sizeof(*a));

	a->x = expand_new(read, arg, limits);
	a->sum = hash ? digest_begin() : NULL;
	pthread_mutex_init(&a->mutex, NULL);
	pthread_cond_init(&a->more, NULL);
	pthread_cond_init(&a->room, NULL);
	return a;
}

/* Makes a block; true if another follows. */
static bool fill(struct ahead *a, struct block *b)
{
	if (b->data == NULL)
		b->data = xmalloc(BLOCK_BYTES);
	b->len = expand_fill(a->x, b->data, BLOCK_BYTES, &a->err);
	if (b->len > 0 && a->sum)
		digest_add(a->sum, b->data, (size_t)b->len);
	return b->len > 0;
}

static void *run(void *arg)
{
	struct ahead *a = arg;
	bool on = true;

	while (on) {
		struct block *b;

		pthread_mutex_lock(&a->mutex);
		while (!a->stop && a->filled - a->used == BLOCKS)
			pthread_cond_wait(&a->room, &a->mutex);
		b = &a->blocks[a->filled % BLOCKS];
		on = !a->stop;
		pthread_mutex_unlock(&a->mutex);
		if (!on)
			break;
		on = fill(a, b);
		pthread_mutex_lock(&a->mutex);
		a->filled++;
		pthread_cond_signal(&a->more);
		pthread_mutex_unlock(&a->mutex);
	}
	return NULL;
}

/*
 * The block that was just made, and is in use, counts as the ring's first:
 * said before there is a thread to see it.
 */
static void start(struct ahead *a)
{
	sigset_t all, old;

	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		return;
	a->filled = 1;
	a->holding = true;
	/* Signals are for the threads that expect them. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	a->threaded = pthread_create(&a->thread, NULL, run, a) == 0;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}

static struct block *next_block(struct ahead *a)
{
	struct block *b;

	if (!a->threaded) {
		b = &a->blocks[0];
		fill(a, b);
		/* A full block: perhaps there is a long way to go. */
		if (b->len == BLOCK_BYTES)
			start(a);
		return b;
	}
	pthread_mutex_lock(&a->mutex);
	if (a->holding) {
		a->used++;
		pthread_cond_signal(&a->room);
	}
	while (a->filled == a->used)
		pthread_cond_wait(&a->more, &a->mutex);
	a->holding = true;
	b = &a->blocks[a->used % BLOCKS];
	pthread_mutex_unlock(&a->mutex);
	return b;
}

ssize_t ahead_next(struct ahead *a, const void **buf, struct err *e)
{
	struct block *b;

	if (a->over)
		return 0;
	b = next_block(a);
	a->over = b->len <= 0;
	if (b->len < 0) {
		if (e)
			*e = a->err;
		return b->len;
	}
	*buf = b->data;
	return b->len;
}

void ahead_finish(struct ahead *a, struct unpack_result *res)
{
	if (a == NULL)
		return;
	if (a->threaded) {
		pthread_mutex_lock(&a->mutex);
		a->stop = true;
		pthread_cond_signal(&a->room);
		pthread_mutex_unlock(&a->mutex);
		pthread_join(a->thread, NULL);
	}
	if (res) {
		if (a->sum)
			digest_end(a->sum, &res->diff_id);
		res->packed = expand_packed(a->x);
		res->bytes = expand_bytes(a->x);
	}
	for (int i = 0; i < BLOCKS; i++)
		free(a->blocks[i].data);
	pthread_mutex_destroy(&a->mutex);
	pthread_cond_destroy(&a->more);
	pthread_cond_destroy(&a->room);
	digest_free(a->sum);
	expand_free(a->x);
	free(a);
}
