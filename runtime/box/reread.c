/* reread.c: spec.json is another: what of it a container that runs can follow; see edit.c. */
#include <errno.h>
#include <string.h>

#include "runtime/base/own.h"
#include "runtime/box/holder.h"
#include "runtime/box/state.h"
#include "vsock/codec.h"

/*
 * The machine has the processors and, with -m, the memory that it was started
 * with. Below that the guest's cgroup can have any limit; above it there is
 * nothing to be had before the next start.
 */

static int fit_memory(const struct holder *h, uint64_t want, struct err *e)
{
	const struct vm *vm = &h->vm;

	if (want == h->spec->limits.memory)
		return 0;
	if (vm->memory == 0 && machine_room(vm->machine) == 0)
		return err_set(e, ENOTSUP,
			       "it runs without a memory limit, so what it uses is not counted: a "
			       "limit takes effect when it is stopped, updated and started");
	if (vm->memory && want > vm->memory)
		return err_set(e, ENOTSUP,
			       "its machine was started with %llu bytes of memory: more take "
			       "effect when it is stopped, updated and started",
			       (unsigned long long)vm->memory);
	return 0;
}

static int fit_cpus(const struct holder *h, const struct box_limits *now, struct err *e)
{
	unsigned cpus = machine_cpus(h->vm.machine);
	struct wire_limits l;

	boot_limits(&l, now);
	if (l.cpu_quota > (uint64_t)cpus * l.cpu_period)
		return err_set(e, ENOTSUP,
			       "its machine was started with %u CPU%s: more take effect when it is "
			       "stopped, updated and started",
			       cpus, cpus == 1 ? "" : "s");
	return 0;
}

static int fit(const struct holder *h, const struct box_limits *now, struct err *e)
{
	int rc = fit_memory(h, now->memory, e);

	if (rc == 0)
		rc = fit_cpus(h, now, e);
	if (rc == 0 && strcmp(now->cpuset_mems, h->spec->limits.cpuset_mems) != 0)
		rc = err_set(e, ENOTSUP,
			     "its machine's memory stays where it is: other nodes take effect when "
			     "it is stopped, updated and started");
	return rc;
}

static void send_limits(struct holder *h)
{
	own_str struct str frame = STR_INIT;
	struct wire_limits l;

	boot_limits(&l, &h->spec->limits);
	wire_put_limits(&frame, &l);
	agent_send(h->agent, &frame); /* before BOOT: that will bring them */
}

void reread(struct holder *h, struct ctl_peer *p)
{
	struct err e = ERR_INIT;
	struct box_spec now;
	int rc = spec_read(h->dirfd, &now, &e);

	if (rc < 0) {
		ctl_reply(p, rc, 0, e.msg);
		return;
	}
	rc = fit(h, &now.limits, &e);
	if (rc == 0) {
		spec_take_changes(h->spec, &now);
		send_limits(h);
	}
	box_spec_free(&now);
	ctl_reply(p, rc, (uint32_t)machine_pid(h->vm.machine), e.msg);
}
