/* usage.h: what /proc says about a process; pure. */
#ifndef ZL_GUEST_USAGE_H
#define ZL_GUEST_USAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "vsock/wire.h"

/* Of /proc/PID/stat's times. */
struct usage_clock {
	uint64_t now_ms;    /* since boot */
	uint32_t ticks;	    /* a second's */
	uint32_t page_size; /* bytes */
};

/*
 * Fills p from the texts of /proc/PID/stat and /proc/PID/status, as far as
 * these say it: name and command stay as they are, ids are the container's.
 * *parent is the agent's number of the parent. False if it is no process of a
 * container's: one that has no number there.
 */
bool usage_process(const char *stat, const char *status, const struct usage_clock *clock,
		   struct wire_process *p, uint32_t *parent);
/* The command line for p: NULs become spaces; "[name]" where there is none. */
char *usage_command(const char *cmdline, size_t n, const char *name);
/* Bytes received and sent by all interfaces of /proc/net/dev but the loopback's. */
void usage_net(const char *dev, uint64_t *rx, uint64_t *tx);

#endif
