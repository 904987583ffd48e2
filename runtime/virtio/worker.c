/* worker.c: a thread of a device's own; see worker.h. */
#include "runtime/virtio/worker.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "runtime/base/confine.h"
#include "runtime/base/own.h"

/* Deep enough for the file server's path buffers; most of it is never touched. */
#define STACK_SIZE (256U << 10)

static void set_event(int fd)
{
	uint64_t one = 1;
	ssize_t r;

	do
		r = write(fd, &one, sizeof(one));
	while (r < 0 && errno == EINTR);
}

static enum worker_order wait_for_order(struct worker *w)
{
	enum worker_order order;

	pthread_mutex_lock(&w->lock);
	w->parked = true;
	pthread_cond_broadcast(&w->changed);
	while (w->order == WORKER_PARK)
		pthread_cond_wait(&w->changed, &w->lock);
	w->parked = false;
	order = w->order;
	w->order = WORKER_PARK; /* what is next, should it stop by itself */
	pthread_mutex_unlock(&w->lock);
	return order;
}

static void *run(void *arg)
{
	struct worker *w = arg;
	enum worker_order order;

	if (w->confine)
		confine_thread_or_die(w->confine);
	if (w->ops->begin)
		w->ops->begin(w->d);
	while ((order = wait_for_order(w)) != WORKER_END) {
		if (order == WORKER_SERVE)
			w->ops->serve(w->d);
		else if (w->ops->reset)
			w->ops->reset(w->d);
	}
	return NULL;
}

static void give_order(struct worker *w, enum worker_order order)
{
	pthread_mutex_lock(&w->lock);
	w->order = order;
	w->parked = false;
	pthread_cond_broadcast(&w->changed);
	pthread_mutex_unlock(&w->lock);
}

static void wait_parked(struct worker *w)
{
	pthread_mutex_lock(&w->lock);
	while (!w->parked)
		pthread_cond_wait(&w->changed, &w->lock);
	pthread_mutex_unlock(&w->lock);
}

void worker_park(struct worker *w)
{
	uint64_t count;

	atomic_store(&w->stopping, true);
	set_event(w->stop);
	wait_parked(w);
	if (read(w->stop, &count, sizeof(count)) < 0)
		assert(errno == EAGAIN);
	atomic_store(&w->stopping, false);
}

void worker_go_on(struct worker *w)
{
	give_order(w, WORKER_SERVE);
}

void worker_reset(struct worker *w)
{
	worker_park(w);
	give_order(w, WORKER_RESET);
	wait_parked(w);
}

void worker_failed(struct worker *w)
{
	set_event(w->failed);
}

/* On the loop: the thread gave up. */
static void on_failed(void *arg, uint32_t events)
{
	struct worker *w = arg;
	uint64_t count;

	(void)events;
	if (read(w->failed, &count, sizeof(count)) < 0)
		return;
	worker_park(w);
	if (w->d->broken)
		w->d->broken(w->d, "malformed request");
}

static int make_thread(struct worker *w, struct err *e)
{
	pthread_attr_t attr;
	sigset_t all, old;
	int rc;

	sigfillset(&all);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_SIZE);
	pthread_sigmask(SIG_BLOCK, &all, &old);
	rc = pthread_create(&w->thread, &attr, run, w);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	if (rc)
		return err_set(e, rc, "thread of the %s device: %s", w->d->ops->name, strerror(rc));
	w->made = true;
	return 0;
}

int worker_start(struct worker *w, struct virtio_device *d, const struct worker_ops *ops,
		 const struct confine *confine, struct err *e)
{
	*w = (struct worker){ .d = d, .ops = ops, .confine = confine };
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->changed, NULL);
	w->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	w->failed = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (w->stop < 0 || w->failed < 0)
		return err_sys(e, "eventfd");
	w->failed_watch = loop_add(d->loop, w->failed, EPOLLIN, on_failed, w, e);
	return w->failed_watch ? make_thread(w, e) : -e->code;
}

void worker_end(struct worker *w)
{
	if (w->made) {
		worker_park(w);
		give_order(w, WORKER_END);
		pthread_join(w->thread, NULL);
	}
	loop_del(w->failed_watch);
	own_fd_(&w->stop);
	own_fd_(&w->failed);
	pthread_mutex_destroy(&w->lock);
	pthread_cond_destroy(&w->changed);
}
