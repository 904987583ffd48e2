/* machine.c: chooses the machine; the fork in the road of machine.h. */
#include "runtime/machine.h"

#include <errno.h>
#include <stdio.h>

#define WHY_MAX 256

static const char no_kvm[] = "the KVM machine is not part of this build";

enum machine_kind machine_choose(enum machine_kind kind, char *why, unsigned long why_size)
{
	switch (kind) {
	case MACHINE_KVM:
	case MACHINE_AUTO:
		snprintf(why, why_size, "%s", no_kvm);
		break;
	case MACHINE_QEMU:
		snprintf(why, why_size, "it was asked for");
		break;
	}
	return kind == MACHINE_KVM ? MACHINE_KVM : MACHINE_QEMU;
}

struct machine *machine_start(struct loop *l, const struct machine_spec *spec,
			      machine_end_fn *ended, void *arg, struct err *e)
{
	char why[WHY_MAX];

	if (machine_choose(spec->kind, why, sizeof(why)) == MACHINE_KVM) {
		err_set(e, ENOTSUP, "%s", why);
		return NULL;
	}
	return machine_qemu.start(l, spec, ended, arg, e);
}

int machine_pause(struct machine *m, struct err *e)
{
	return m->ops->pause(m, e);
}

int machine_resume(struct machine *m, struct err *e)
{
	return m->ops->resume(m, e);
}

void machine_free(struct machine *m)
{
	if (m)
		m->ops->free(m);
}

const char *machine_name(const struct machine *m)
{
	return m->ops->name;
}

int machine_pid(const struct machine *m)
{
	return m->ops->pid(m);
}
