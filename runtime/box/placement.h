/* placement.h: where on the host a container's VM runs, and with what weight. */
#ifndef ZL_BOX_PLACEMENT_H
#define ZL_BOX_PLACEMENT_H

#include "runtime/base/err.h"
#include "runtime/box/spec.h"

/*
 * For the holder and all it will start: the processors and memory nodes of
 * --cpuset-cpus and --cpuset-mems, the weight of --cpu-shares. Nothing is
 * done where the limits say nothing.
 */
int placement_apply(const struct box_limits *l, struct err *e);
/* Another process of ours that leads a session: the weight counts by sessions (sched(7),
 * autogroup). */
void placement_weigh(const struct box_limits *l, int pid);

/*
 * Moves a container's VM that runs: its holder and, where the VM is a process of its own, that
 * (machine; 0: it is not), as far as the two differ.
 */
int placement_move(const struct box_limits *before, const struct box_limits *after, int holder,
		   int machine, struct err *e);

/* The nice value that comes nearest to docker's shares, of which 1024 are usual. */
int placement_nice(uint64_t shares);
/* How many processors we may use. */
unsigned placement_cpus(void);

#endif
