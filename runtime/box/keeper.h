/* keeper.h: the process that starts a container again, as its restart policy says. */
#ifndef ZL_BOX_KEEPER_H
#define ZL_BOX_KEEPER_H

#include "runtime/box/holder.h"

/*
 * Theory of operation.
 *
 * A holder gives up what it does not need before its guest runs: it can
 * neither boot another VM nor execute QEMU. So a container that has a restart
 * policy has a keeper: a process between the zl that started it and the
 * holder, which forks a holder for each of the container's lives, and never
 * has anything of a guest's in its hands. A container without a policy has
 * none.
 *
 * Whether there is to be a further life, the holder decides when it writes the
 * container's end: it is who knows what users asked for. Then state.json says
 * RESTARTING, and the keeper, which waits at a pipe that ends when the
 * holder's VM is gone, finds it there. A holder that died without a word has
 * its end written by the keeper.
 *
 * The keeper has the container's lock, together with its holders, so that
 * "held means alive" stays true. It also has the control socket: it hands the
 * listening one on to each holder, so that a client finds somebody at any
 * moment, and answers itself between two lives.
 *
 * Without its keeper (somebody killed it) a container lives on, and ends for
 * good: the holder notices that nobody reads the pipe.
 */

/* In the forked process, instead of holder_run. */
void keeper_run(struct holder_start *start) __attribute__((noreturn));

/*
 * Forks a keeper for a container that runs without one, and has just got a policy. It waits for the
 * holder's end as any client does, and is a keeper like any other from then on.
 */
int keeper_adopt(const struct box_dirs *d, struct box *b, struct err *e);

#endif
