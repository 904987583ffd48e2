/* pause.c: the VM stands still, and goes on; see holder.h. */
#include <errno.h>
#include <signal.h>

#include "runtime/base/log.h"
#include "runtime/base/parse.h"
#include "runtime/box/holder.h"
#include "runtime/box/state.h"

static bool is_paused(const struct holder *h)
{
	return h->phase == HOLDER_RUNNING && h->state.status == BOX_PAUSED;
}

int pause_begin(struct holder *h, struct err *e)
{
	int rc;

	if (is_paused(h))
		return err_set(e, EBUSY, "Container %s is already paused", h->spec->id);
	rc = machine_pause(h->vm.machine, e);
	if (rc < 0)
		return err_wrap(e, "cannot pause container %s", h->spec->id);
	agent_leave_time(h->agent);
	health_pause(h);
	h->state.status = BOX_PAUSED;
	rc = state_write(h->dirfd, &h->state, e);
	if (rc < 0) {
		/* nobody would know that it is to be unpaused */
		pause_end(h, NULL);
		return rc;
	}
	events_box(&h->events, h->spec, "pause", NULL);
	log_step("paused");
	return 0;
}

int pause_end(struct holder *h, struct err *e)
{
	int rc;

	if (!is_paused(h))
		return err_set(e, EINVAL, "Container %s is not paused", h->spec->id);
	/* waits in the VM's queue: the guest sees it before its processes run for long */
	agent_set_time(h->agent);
	rc = machine_resume(h->vm.machine, e);
	if (rc < 0)
		return err_wrap(e, "cannot unpause container %s", h->spec->id);
	health_resume(h);
	h->state.status = BOX_RUNNING;
	state_write(h->dirfd, &h->state, NULL);
	events_box(&h->events, h->spec, "unpause", NULL);
	log_step("unpaused");
	return 0;
}

void pause_signalled(struct holder *h, int sig)
{
	if (is_paused(h) && (sig == SIGKILL || sig == parse_signal(h->spec->stop_signal)))
		pause_end(h, NULL);
}
