/* launch.c: starts a container's holder; see box.h. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "runtime/base/fd.h"
#include "runtime/base/log.h"
#include "runtime/base/own.h"
#include "runtime/box/client.h"
#include "runtime/box/holder.h"
#include "runtime/box/keeper.h"
#include "runtime/box/restart.h"
#include "runtime/box/state.h"

/* The container's lock; its state, and what may change of its spec, as they are under it. */
static int take_lock(const struct box_dirs *d, struct box *b, struct err *e)
{
	own_fd int dirfd = box_dir_open(d, b->spec.id);
	own_fd int lock = steal_fd(&b->lock);
	struct box_spec now;

	if (dirfd < 0)
		return err_set(e, ENOENT, "No such container: %s", b->spec.id);
	if (lock < 0)
		lock = box_lock_try(dirfd);
	if (lock == -EAGAIN && state_read(dirfd, &b->state, NULL) == 0 &&
	    state_claims_holder(&b->state))
		return err_set(e, EALREADY, "container %s is already running", b->spec.name);
	if (lock == -EAGAIN)
		lock = box_lock_wait(dirfd);
	if (lock < 0)
		return err_set(e, -lock, "lock container %s: %s", b->spec.id, strerror(-lock));
	if (!box_dir_current(d, b->spec.id, dirfd))
		return err_set(e, ENOENT, "No such container: %s", b->spec.id);
	if (state_read(dirfd, &b->state, e) < 0 || spec_read(dirfd, &now, e) < 0)
		return err_wrap(e, "container %s", b->spec.id);
	spec_take_changes(&b->spec, &now);
	box_spec_free(&now);
	return steal_fd(&lock);
}

struct box_client *box_launch(const struct box_dirs *d, struct box *b, const struct box_stdio *io,
			      struct err *e)
{
	struct holder_start s = { .dirs = d, .box = b, .lock = -1, .listen = -1, .over = -1 };
	struct bundle bundle = { .lock = -1 };
	struct box_client *c = NULL;
	own_fd int lock = take_lock(d, b, e);
	int pair[2] = { -1, -1 };
	pid_t pid;

	if (lock < 0 || dir_make_all(d->runtime, 0700, e) < 0 || bundle_get(d, &bundle, e) < 0)
		return NULL;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
		err_sys(e, "socketpair");
		goto out;
	}
	s.bundle = &bundle;
	s.sock = pair[1];
	s.lock = lock;
	s.said = log_debug_on ? STDERR_FILENO : -1;
	if (io) {
		s.has_io = true;
		s.io = *io;
	}
	pid = fork();
	if (pid == 0 && restart_is_kept(&b->spec))
		keeper_run(&s);
	if (pid == 0)
		holder_run(&s);
	close(pair[1]);
	if (pid < 0) {
		err_sys(e, "fork");
		close(pair[0]);
		goto out;
	}
	log_step("holder forked: pid %d", pid);
	c = client_new(pair[0], e);
	if (c)
		client_launched(c, pid);
out:
	bundle_free(&bundle);
	return c;
}

int box_start(const struct box_dirs *d, struct box *b, struct box_event *ev, struct err *e)
{
	struct box_client *c = box_launch(d, b, NULL, e);
	int rc = c ? box_client_next(c, ev, e) : -EIO;

	if (rc < 0) {
		ev->code = BOX_CODE_FAILED;
	} else if (ev->kind != BOX_EV_STARTED) {
		rc = -EIO;
		if (ev->kind != BOX_EV_GONE || !box_client_killed(c, e))
			err_set(e, EIO, "%s", ev->message);
	}
	box_client_free(c);
	return rc;
}
