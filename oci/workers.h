/* workers.h: several jobs at once, until one of them fails. */
#ifndef ZL_OCI_WORKERS_H
#define ZL_OCI_WORKERS_H

#include <stdatomic.h>
#include <stddef.h>

#include "runtime/base/err.h"

/* Job i of n; 0, or negative with e set. Called on any of the threads. */
typedef int worker_fn(void *arg, size_t i, struct err *e);

/*
 * Does jobs 0 .. n - 1 in their order, as many at once as there are threads, of
 * which the caller's is one (at most CONFIG_TRANSFERS_MAX; fewer where no more
 * can be had). The first failure sets *cancel, which whoever else sets it,
 * too, keeps jobs from being begun; those that run look at it themselves. Returns
 * when none runs any more: the first failure, or -ECANCELED.
 */
int workers_run(size_t threads, size_t n, atomic_bool *cancel, worker_fn *fn, void *arg,
		struct err *e);

#endif
