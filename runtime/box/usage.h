/* usage.h: what a running container uses, and its processes, as its guest tells. */
#ifndef ZL_BOX_USAGE_H
#define ZL_BOX_USAGE_H

#include <stddef.h>
#include <stdint.h>

#include "runtime/base/err.h"
#include "runtime/box/box.h"
#include "vsock/wire.h"

/* What the holder knows itself: bytes the guest read and wrote through the file systems. */
struct usage_host {
	uint64_t block_read, block_written;
};

struct box_usage {
	struct usage_host host;
	struct wire_stats stats;
	struct wire_process *processes;
	size_t nprocesses;
};

/*
 * In two steps, so that many containers can be asked at once: `ask` sends,
 * `take` waits for the answer. *fd is the caller's between the two; take closes
 * it. -ESRCH: it is not running; -EBUSY: paused; -ETIMEDOUT. What the guest
 * says is well-formed, and may be lies: names are to be printed with care.
 */
int box_usage_ask(struct box_client *c, bool processes, int *fd, struct err *e);
int box_usage_take(struct box_client *c, int *fd, struct box_usage *u, struct err *e);
void box_usage_free(struct box_usage *u);

/*
 * Bytes of the host's memory that a running container takes: its processes'
 * resident pages but those of files, which the page cache holds for all.
 */
int box_host_memory(const struct box *b, uint64_t *bytes, struct err *e);

#endif
