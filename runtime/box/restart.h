/* restart.h: whether a container that has ended starts again, and when; pure, docker's rules. */
#ifndef ZL_BOX_RESTART_H
#define ZL_BOX_RESTART_H

#include <stdbool.h>
#include <stdint.h>

#include "runtime/box/box.h"

/* The first wait, what each further one is multiplied by, and the longest. */
#define RESTART_DELAY_NS     (100ULL * 1000000)
#define RESTART_DELAY_FACTOR 2
#define RESTART_DELAY_MAX_NS (60ULL * 1000000000)
/* Who ran for so long gets the first wait again. */
#define RESTART_SETTLED_NS (10ULL * 1000000000)

/* Whether the policy is any but "no": then the container has a keeper (keeper.h). */
bool restart_is_kept(const struct box_spec *s);
/*
 * Whether it starts again, after it ended by itself with st->exit_code and started again
 * st->restart_count times. (Not by itself: a user stopped it, or its start failed.)
 */
bool restart_wanted(const struct box_spec *s, const struct box_state *st);
/* How long to wait, after `last_ns` (0: the first time) and a life of `ran_ns`. */
uint64_t restart_delay(uint64_t last_ns, uint64_t ran_ns);
/* Whether a signal to the workload says that it is to end for good. */
bool restart_signal_ends(const struct box_spec *s, int sig);

#endif
