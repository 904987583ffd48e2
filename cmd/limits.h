/* limits.h: docker's flags about memory, processors and processes -> struct box_limits. */
#ifndef ZL_CMD_LIMITS_H
#define ZL_CMD_LIMITS_H

#include <stdint.h>

#include "runtime/base/err.h"
#include "runtime/base/str.h"
#include "runtime/box/spec.h"

/* As typed, by `run`, `create` and `update`. Zero: not given. */
struct limit_flags {
	const char *cpus, *cpuset_cpus, *cpuset_mems, *memory_swap;
	uint64_t kernel_memory, memory, memory_reservation;
	int64_t blkio_weight, cpu_period, cpu_quota, cpu_rt_period, cpu_rt_runtime, cpu_shares,
		pids_limit;
	struct strv block_io; /* --device-read-bps and its kin */
};

/* What the host has, as far as limits depend on it. */
struct limit_host {
	unsigned cpus;
	uint64_t memory;    /* bytes */
	char cpu_list[256]; /* those we may use: "0-3" */
	char node_list[64]; /* of memory: "0" */
	int nice_min;	    /* how far up our own priority may go: -20 .. 0 */
};

void limit_host_fill(struct limit_host *h);

/*
 * Sets what the flags say, in l of a new container or of one that is to be
 * updated, and checks the whole by docker's rules and in its words. Lines for
 * stderr about what cannot be had are appended to warnings (NULL: not wanted).
 * After an error l may be changed in part.
 */
int limits_set(struct box_limits *l, const struct limit_flags *f, const struct limit_host *h,
	       struct strv *warnings, struct err *e);

#endif
