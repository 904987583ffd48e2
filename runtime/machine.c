/* machine.c: chooses the machine; the fork in the road of machine.h. */
#include "runtime/machine.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/fd.h"
#include "runtime/base/log.h"
#include "runtime/base/own.h"
#include "runtime/base/str.h"

#define KVM_DEVICE   "/dev/kvm"
#define CPUINFO	     "/proc/cpuinfo"
#define CPUINFO_PART 8192 /* the first processor's lines */
#define WHY_MAX	     256

/* Whether the first processor's flags have vmx or svm. */
static bool cpu_virtualises(void)
{
	own_fd int fd = open(CPUINFO, O_RDONLY | O_CLOEXEC);
	char text[CPUINFO_PART + 1], *flags, *end;
	ssize_t n = fd < 0 ? -1 : fd_read_full(fd, text, CPUINFO_PART);

	if (n <= 0)
		return false;
	text[n] = 0;
	flags = strstr(text, "\nflags");
	end = flags ? strchr(flags + 1, '\n') : NULL;
	if (end)
		*end = 0;
	return flags && (strstr(flags, " vmx") || strstr(flags, " svm"));
}

/*
 * A device that opens is not enough: some hosts have a /dev/kvm that only
 * emulates, in which an ordinary kernel hangs; their processor shows neither
 * vmx nor svm.
 */
static bool kvm_usable(char *why, size_t size)
{
	own_fd int fd = open(KVM_DEVICE, O_RDWR | O_CLOEXEC);
	int error = fd < 0 ? errno : 0;
	bool virtualises = cpu_virtualises();

	if (error == ENOENT)
		snprintf(why, size,
			 "there is no %s: switch on virtualisation in the firmware (VT-x, AMD-V), "
			 "or nested virtualisation where this is a VM itself",
			 KVM_DEVICE);
	else if (!virtualises)
		snprintf(why, size,
			 "%s only emulates here (the processor shows neither vmx nor svm): switch "
			 "on nested virtualisation where this is a VM",
			 KVM_DEVICE);
	else if (error == EACCES)
		snprintf(why, size,
			 "%s may not be opened: join the group kvm (sudo usermod -aG kvm $USER) "
			 "and log in again",
			 KVM_DEVICE);
	else if (error)
		snprintf(why, size, "%s cannot be opened: %s", KVM_DEVICE, strerror(error));
	else
		snprintf(why, size, "%s works", KVM_DEVICE);
	return fd >= 0 && virtualises;
}

enum machine_kind machine_choose(enum machine_kind kind, char *why, unsigned long why_size)
{
	if (kind == MACHINE_QEMU) {
		snprintf(why, why_size, "it was asked for");
		return MACHINE_QEMU;
	}
	if (kvm_usable(why, why_size))
		return MACHINE_KVM;
	return kind == MACHINE_KVM ? MACHINE_KVM : MACHINE_QEMU;
}

struct machine *machine_start(struct loop *l, const struct machine_spec *spec,
			      machine_end_fn *ended, void *arg, struct err *e)
{
	own_free char *note = NULL;
	struct machine *m;
	char why[WHY_MAX];

	if (spec->kind == MACHINE_QEMU)
		return machine_qemu.start(l, spec, ended, arg, e);
	if (!kvm_usable(why, sizeof(why))) {
		if (spec->kind == MACHINE_AUTO)
			return machine_qemu.start(l, spec, ended, arg, e);
		err_set(e, ENOTSUP, "the KVM machine cannot be used: %s", why);
		return NULL;
	}
	m = machine_kvm.start(l, spec, ended, arg, e);
	if (m || spec->kind != MACHINE_AUTO || e == NULL || e->code != EBUSY)
		return m;
	log_warn("%s; going on in software emulation", e->msg);
	note = xstrdup(e->msg);
	*e = (struct err)ERR_INIT;
	m = machine_qemu.start(l, spec, ended, arg, e);
	if (m)
		m->note = steal_ptr(&note);
	return m;
}

int machine_pause(struct machine *m, struct err *e)
{
	return m->ops->pause(m, e);
}

int machine_resume(struct machine *m, struct err *e)
{
	return m->ops->resume(m, e);
}

uint64_t machine_room(const struct machine *m)
{
	return m->ops->room ? m->ops->room(m) : 0;
}

int machine_grow(struct machine *m, uint64_t bytes, struct err *e)
{
	assert(bytes <= machine_room(m));
	return bytes ? m->ops->grow(m, bytes, e) : 0;
}

void machine_free(struct machine *m)
{
	own_free char *note = m ? m->note : NULL;

	if (m)
		m->ops->free(m);
}

const char *machine_note(const struct machine *m)
{
	return m->note;
}

unsigned machine_cpus(const struct machine *m)
{
	return m->cpus;
}

const char *machine_name(const struct machine *m)
{
	return m->ops->name;
}

const struct confine_list *machine_calls(const struct machine *m)
{
	return m->ops->calls;
}

int machine_pid(const struct machine *m)
{
	return m->ops->pid(m);
}
