/* workers.c: several jobs at once; see workers.h. */
#include "oci/workers.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>

#include "oci/config.h"

struct workers {
	worker_fn *fn;
	void *arg;
	size_t n;
	atomic_size_t next;
	atomic_bool *cancel;
	pthread_mutex_t lock;
	struct err err; /* of the job that failed first */
};

static void *work(void *arg)
{
	struct workers *w = arg;

	while (!atomic_load(w->cancel)) {
		struct err err = ERR_INIT;
		size_t i = atomic_fetch_add(&w->next, 1);
		int r;

		if (i >= w->n)
			break;
		r = w->fn(w->arg, i, &err);
		if (r == 0)
			continue;
		pthread_mutex_lock(&w->lock);
		if (w->err.code == 0) {
			w->err = err;
			w->err.code = -r;
		}
		pthread_mutex_unlock(&w->lock);
		atomic_store(w->cancel, true);
	}
	return NULL;
}

int workers_run(size_t threads, size_t n, atomic_bool *cancel, worker_fn *fn, void *arg,
		struct err *e)
{
	struct workers w = { .fn = fn, .arg = arg, .n = n, .cancel = cancel };
	pthread_t others[CONFIG_TRANSFERS_MAX];
	size_t started = 0;

	assert(threads <= CONFIG_TRANSFERS_MAX);
	pthread_mutex_init(&w.lock, NULL);
	while (started + 1 < threads && pthread_create(&others[started], NULL, work, &w) == 0)
		started++;
	work(&w);
	while (started > 0)
		pthread_join(others[--started], NULL);
	pthread_mutex_destroy(&w.lock);
	/* A signal may have come when nobody was looking. */
	if (w.err.code == 0 && atomic_load(cancel))
		err_set(&w.err, ECANCELED, "interrupted");
	if (w.err.code && e)
		*e = w.err;
	return -w.err.code;
}
