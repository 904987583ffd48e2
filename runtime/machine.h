/* machine.h: start, stop, pause and end of a VM: the fork in the road. */
#ifndef ZL_MACHINE_H
#define ZL_MACHINE_H

#include <stdbool.h>
#include <stdint.h>

#include "runtime/base/confine.h"
#include "runtime/base/err.h"
#include "runtime/base/loop.h"

/*
 * Two machines, one set of devices: our own VMM on /dev/kvm (runtime/vmm),
 * and QEMU in software emulation served over vhost-user (runtime/vhost).
 * machine.c chooses; nobody else asks. All calls are made on the loop's
 * thread.
 */
struct virtio_device;
struct machine;

#define MACHINE_DEVICES_MAX 8
/* Least guest memory, in bytes: the kernel boots with 30 MB. */
#define MACHINE_MEM_MIN (48ULL << 20)
/* Where memory that comes later lies for the guest: above all it starts with. */
#define MACHINE_MORE_AT (4ULL << 30)

enum machine_kind {
	MACHINE_AUTO,
	MACHINE_KVM,
	MACHINE_QEMU,
};

struct machine_spec {
	enum machine_kind kind;
	unsigned cpus; /* vcpus, 1 .. the host's; 0: the machine's default */
	uint64_t mem;  /* bytes of guest memory where it cannot grow */
	/*
	 * A machine that can grow starts with mem_start instead, and may have
	 * mem_more further bytes at MACHINE_MORE_AT, later, by machine_grow;
	 * 0: it is not to grow. Whole MiB.
	 */
	uint64_t mem_start, mem_more;
	const char *kernel;  /* path of an uncompressed vmlinux with a PVH note */
	const char *initrd;  /* path of the initramfs with the agent */
	const char *cmdline; /* appended to the machine's own; may be NULL */
	const char *console; /* path of the log the guest's console goes to */
	struct virtio_device *const *devices;
	unsigned ndevices;
	/*
	 * Nothing of the guest's is run in this process before machine_resume: vcpus wait, and
	 * QEMU, a process of its own, is served by the loop only.
	 */
	bool held;
};

/* Why a VM ended by itself. */
struct machine_end {
	bool orderly;	    /* powered off or reset by the guest; else it crashed or was killed */
	const char *reason; /* a clause for the user: "the VM process was killed (SIGKILL)" */
};

typedef void machine_end_fn(void *arg, const struct machine_end *end);

/*
 * Chooses and starts the VM: QEMU runs, or vcpus are about to. `ended` is
 * called once if the VM ends by itself, never for machine_free. Errors name
 * what to install or to do (qemu-system-x86 missing).
 */
struct machine *machine_start(struct loop *l, const struct machine_spec *spec,
			      machine_end_fn *ended, void *arg, struct err *e);
/*
 * Returns when no vcpu runs any more; devices still serve what was asked of
 * them before. The guest's clocks run on, as in docker's pause, where timers
 * that went off meanwhile do so at machine_resume.
 */
int machine_pause(struct machine *m, struct err *e);
int machine_resume(struct machine *m, struct err *e);
/* How many bytes it may get later: mem_more, or 0. */
uint64_t machine_room(const struct machine *m);
/* The guest can reach the first `bytes` (at most machine_room) of them from now on. */
int machine_grow(struct machine *m, uint64_t bytes, struct err *e);
/*
 * Ends the VM at once (nothing is lost but what the guest had not synced),
 * stops every device's queues, frees m. NULL is allowed.
 */
void machine_free(struct machine *m);

/*
 * What the user is to know about the choice: why the machine that ought to be
 * usable was not. NULL: nothing. It lives as long as m.
 */
const char *machine_note(const struct machine *m);

/* How many vcpus it has. */
unsigned machine_cpus(const struct machine *m);

/* "kvm" or "qemu"; and the process of the VM, or 0 where it is this one. */
const char *machine_name(const struct machine *m);
int machine_pid(const struct machine *m);

/*
 * The system calls it makes on the loop's thread while the VM runs and when it
 * is freed, besides those that the holder makes itself (see base/confine.h).
 */
const struct confine_list *machine_calls(const struct machine *m);

/*
 * Which machine `kind` would give here, and a sentence why (for zl info and
 * the note on stderr); never fails.
 */
enum machine_kind machine_choose(enum machine_kind kind, char *why, unsigned long why_size);

/* The rows by which machine.c reaches the two; each is defined in its room. */
struct machine_ops {
	const char *name;
	struct machine *(*start)(struct loop *l, const struct machine_spec *spec,
				 machine_end_fn *ended, void *arg, struct err *e);
	int (*pause)(struct machine *m, struct err *e);
	int (*resume)(struct machine *m, struct err *e);
	void (*free)(struct machine *m);
	int (*pid)(const struct machine *m);
	const struct confine_list *calls; /* machine_calls */
	/* NULL: it does not grow */
	uint64_t (*room)(const struct machine *m);
	int (*grow)(struct machine *m, uint64_t bytes, struct err *e);
};

/* The first member of each machine's own struct. */
struct machine {
	const struct machine_ops *ops;
	unsigned cpus; /* as it was started with */
	char *note;    /* machine.c's: machine_note */
};

extern const struct machine_ops machine_qemu;
extern const struct machine_ops machine_kvm;

#endif
