/* health.h: health checks: a command that the holder runs in the guest time and again. */
#ifndef ZL_BOX_HEALTH_H
#define ZL_BOX_HEALTH_H

#include <stdbool.h>

#include "runtime/base/loop.h"
#include "runtime/box/box.h"

/*
 * docker's rules. Checks follow each other `interval` apart, from the end of
 * one to the start of the next; `start_interval` within the start period, as
 * long as none has succeeded. One that exits with 0 makes the container
 * healthy, `retries` others in a row unhealthy; those that begin within the
 * start period do not count before the first success. Past its time a check
 * is killed and has failed.
 *
 * A container without a check has no timer. health.json has what the last
 * checks said; what they come to is in state.json.
 */
#define HEALTH_INTERVAL_NS	 (30LL * 1000000000)
#define HEALTH_TIMEOUT_NS	 (30LL * 1000000000)
#define HEALTH_START_INTERVAL_NS (5LL * 1000000000)
#define HEALTH_RETRIES		 3
/* As much of a check's output is kept. */
#define HEALTH_OUTPUT_MAX 4096

struct holder;
struct task;

struct health {
	struct loop_timer *next, *timeout;
	struct task *probe; /* the check that runs; NULL: none does */
	int64_t began_ns;
	bool too_long;
	struct str output;
	struct box_health_log log;
};

/* The workload runs. */
void health_start(struct holder *h);
/* It has ended. */
void health_stop(struct holder *h);
/* The machine stands still, and goes on. */
void health_pause(struct holder *h);
void health_resume(struct holder *h);
/* A task is over and about to be freed: it may be a check. */
void health_over(struct holder *h, const struct task *t);

#endif
