/* qemu.h: the parts of the QEMU machine: command line, process, clock. */
#ifndef ZL_VHOST_QEMU_H
#define ZL_VHOST_QEMU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/base/err.h"
#include "runtime/base/str.h"
#include "runtime/machine.h"

#define QEMU_NAME_MAX 16

/* What the process is started with, besides the spec. */
struct qemu_args {
	const char *binary;
	int memfd;			  /* guest memory */
	int sockets[MACHINE_DEVICES_MAX]; /* QEMU's end of each device's session; -1: a name */
	char names[MACHINE_DEVICES_MAX][QEMU_NAME_MAX]; /* in the abstract namespace */
	unsigned tsc_khz;				/* 0: the guest finds out by itself */
};

/* The path of the QEMU to use (to be freed), or NULL: e names what to install. */
char *qemu_binary(struct err *e);
/*
 * Whether a device of this virtio id can be had; if its config space is ours; and whether QEMU
 * insists on connecting to a name, for the lack of a descriptor that it would take.
 */
bool qemu_knows_device(uint32_t id, bool *has_config, bool *by_name);
/* The whole command line. */
void qemu_command(const struct machine_spec *spec, const struct qemu_args *a, struct strv *argv);

/* The running process. */
struct qemu_proc {
	int pid, pidfd;
	int err_pipe; /* its stderr; whatever does not fit is dropped */
};

/*
 * Starts argv with the descriptors in `keep` (and no others), stdin and
 * stdout on /dev/null. It dies with the thread that called this.
 */
int qemu_spawn(struct qemu_proc *p, const struct strv *argv, const int *keep, unsigned nkeep,
	       struct err *e);
/*
 * Reaps it (it must have ended, or been killed) and says how it ended, as a
 * clause, into why. True if it ended by itself with status 0.
 */
bool qemu_reap(struct qemu_proc *p, char *why, size_t size);

/* Starts measuring the host's time stamp counter; after that, the result in kHz, or 0. */
struct tsc_clock {
	uint64_t ticks, ns;
};
void tsc_start(struct tsc_clock *c);
unsigned tsc_khz(const struct tsc_clock *c);

#endif
