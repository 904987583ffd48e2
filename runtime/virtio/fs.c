/* fs.c: the virtiofs device: a FUSE engine behind queues; see fs.h. */
#include "runtime/virtio/fs.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "runtime/base/own.h"
#include "runtime/base/str.h"
#include "runtime/fuse/fuse.h"

/*
 * Theory of operation.
 *
 * One thread serves both queues; it runs while at least one is started.
 * Starting or stopping a queue stops the thread, changes the set and starts
 * it anew: queues come and go a handful of times in a VM's life, and this
 * way they need no lock. The thread sleeps in an epoll set of its own with
 * the kick descriptors (edge-triggered, never read) and `stop`. A guest that
 * never lets it sleep must not keep it from stopping: `stopping` is looked at
 * between turns, what is left is served when the thread starts anew.
 *
 * A reply is announced as soon as it is there: the guest waits for it. While
 * the guest is busy collecting replies it asks for no interrupt, and none is
 * sent.
 *
 * A broken ring ends the thread; `failed` wakes the loop, which tells the
 * transport.
 */

#define FS_QUEUES     2U
#define FS_QUEUE_SIZE 1024U
/* Deep enough for the engine's path buffers; most of it is never touched. */
#define FS_STACK_SIZE (256U << 10)
/* Requests served from one queue before the other gets its turn. */
#define FS_TURN 64U

/* virtio 1.2, 5.11.4 */
struct fs_config {
	char tag[VIRTIO_FS_TAG_MAX];
	uint32_t num_request_queues;
} __attribute__((packed));

struct fs_dev {
	struct virtio_device d;
	struct fuse *fuse;
	struct fs_config config;
	struct virtq *q[FS_QUEUES];
	pthread_t thread;
	bool running;
	atomic_bool stopping;
	int epfd, stop, failed;
	struct loop_watch *failed_watch;
	struct virtq_chain chain;
};

static void fd_set_event(int fd)
{
	uint64_t one = 1;
	ssize_t r;

	do
		r = write(fd, &one, sizeof(one));
	while (r < 0 && errno == EINTR);
}

/* 1: a request was served; 0: there was none; < 0: the guest broke the rules. */
static int serve_one(struct fs_dev *f, struct virtq *q)
{
	struct virtq_chain *c = &f->chain;
	int r = virtq_pop(q, c);
	ssize_t n;

	if (r <= 0)
		return r;
	n = fuse_handle(f->fuse, c->out, (int)c->nout, c->in, (int)c->nin);
	if (n < 0)
		return -EPROTO;
	virtq_push(q, c->head, (uint32_t)n);
	virtq_notify(q);
	return 1;
}

/* 1: the turn ended with requests left; 0: none left, a kick will tell. */
static int serve_turn(struct fs_dev *f, struct virtq *q)
{
	int r = 1;

	virtq_want_kick(q, false);
	for (unsigned i = 0; i < FS_TURN && r > 0; i++)
		r = serve_one(f, q);
	if (r)
		return r;
	virtq_want_kick(q, true);
	return serve_one(f, q);
}

static int serve_all(struct fs_dev *f)
{
	bool more = true;

	while (more && !atomic_load_explicit(&f->stopping, memory_order_relaxed)) {
		more = false;
		for (unsigned i = 0; i < FS_QUEUES; i++) {
			int r = f->q[i] ? serve_turn(f, f->q[i]) : 0;

			if (r < 0)
				return r;
			more |= r > 0;
		}
	}
	return 0;
}

static void *fs_thread(void *arg)
{
	struct fs_dev *f = arg;
	struct epoll_event ev[FS_QUEUES + 1];
	uint64_t count;

	for (;;) {
		int n;

		if (serve_all(f) < 0) {
			fd_set_event(f->failed);
			return NULL;
		}
		n = epoll_wait(f->epfd, ev, FS_QUEUES + 1, -1);
		for (int i = 0; i < n; i++) {
			if (ev[i].data.fd != f->stop)
				continue;
			if (read(f->stop, &count, sizeof(count)) > 0)
				return NULL;
		}
	}
}

static void thread_stop(struct fs_dev *f)
{
	uint64_t count;

	if (!f->running)
		return;
	atomic_store(&f->stopping, true);
	fd_set_event(f->stop);
	pthread_join(f->thread, NULL);
	/* It may have ended by itself and not have seen the event. */
	if (read(f->stop, &count, sizeof(count)) < 0)
		assert(errno == EAGAIN);
	atomic_store(&f->stopping, false);
	f->running = false;
}

static int thread_start(struct fs_dev *f, struct err *e)
{
	pthread_attr_t attr;
	sigset_t all, old;
	int rc;

	if (f->q[0] == NULL && f->q[1] == NULL)
		return 0;
	sigfillset(&all);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, FS_STACK_SIZE);
	pthread_sigmask(SIG_BLOCK, &all, &old);
	rc = pthread_create(&f->thread, &attr, fs_thread, f);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	if (rc)
		return err_set(e, rc, "thread for virtiofs: %s", strerror(rc));
	f->running = true;
	return 0;
}

static int queue_start(struct virtio_device *d, unsigned index, struct virtq *q, struct err *e)
{
	struct fs_dev *f = (struct fs_dev *)d;
	struct epoll_event ev = { .events = EPOLLIN | EPOLLET, .data.fd = q->kick_fd };
	int rc;

	thread_stop(f);
	if (epoll_ctl(f->epfd, EPOLL_CTL_ADD, q->kick_fd, &ev) < 0) {
		rc = err_sys(e, "epoll_ctl");
		thread_start(f, NULL);
		return rc;
	}
	f->q[index] = q;
	rc = thread_start(f, e);
	if (rc < 0) {
		epoll_ctl(f->epfd, EPOLL_CTL_DEL, q->kick_fd, NULL);
		f->q[index] = NULL;
	}
	return rc;
}

static void queue_stop(struct virtio_device *d, unsigned index)
{
	struct fs_dev *f = (struct fs_dev *)d;

	if (f->q[index] == NULL)
		return;
	thread_stop(f);
	epoll_ctl(f->epfd, EPOLL_CTL_DEL, f->q[index]->kick_fd, NULL);
	f->q[index] = NULL;
	thread_start(f, NULL);
}

/* On the loop: the thread gave up. */
static void thread_failed(void *arg, uint32_t events)
{
	struct fs_dev *f = arg;
	uint64_t count;

	(void)events;
	if (read(f->failed, &count, sizeof(count)) < 0)
		return;
	thread_stop(f);
	if (f->d.broken)
		f->d.broken(&f->d, "malformed request");
}

static void config_read(struct virtio_device *d, uint32_t off, void *buf, uint32_t len)
{
	const struct fs_dev *f = (const struct fs_dev *)d;

	memset(buf, 0, len);
	if (off >= sizeof(f->config))
		return;
	if (len > sizeof(f->config) - off)
		len = (uint32_t)sizeof(f->config) - off;
	memcpy(buf, (const uint8_t *)&f->config + off, len);
}

static void reset(struct virtio_device *d)
{
	struct fs_dev *f = (struct fs_dev *)d;

	fuse_reset(f->fuse);
}

static const struct virtio_device_ops fs_ops = {
	.name = "fs",
	.id = VIRTIO_ID_FS,
	.num_queues = FS_QUEUES,
	.num_vhost_queues = FS_QUEUES,
	.queue_size_max = FS_QUEUE_SIZE,
	.config_read = config_read,
	.queue_start = queue_start,
	.queue_stop = queue_stop,
	.reset = reset,
};

static int fs_init(struct fs_dev *f, struct err *e)
{
	struct epoll_event ev = { .events = EPOLLIN };

	f->epfd = epoll_create1(EPOLL_CLOEXEC);
	f->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	f->failed = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ev.data.fd = f->stop;
	if (f->epfd < 0 || f->stop < 0 || f->failed < 0 ||
	    epoll_ctl(f->epfd, EPOLL_CTL_ADD, f->stop, &ev) < 0)
		return err_sys(e, "virtiofs device");
	f->failed_watch = loop_add(f->d.loop, f->failed, EPOLLIN, thread_failed, f, e);
	return f->failed_watch ? 0 : -e->code;
}

struct virtio_device *virtio_fs_new(struct loop *l, const char *tag, struct fuse *fs, struct err *e)
{
	struct fs_dev *f;

	assert(strlen(tag) <= VIRTIO_FS_TAG_MAX);
	f = xcalloc(1, sizeof(*f));
	f->d.ops = &fs_ops;
	f->d.loop = l;
	f->fuse = fs;
	f->epfd = f->stop = f->failed = -1;
	memcpy(f->config.tag, tag, strlen(tag));
	f->config.num_request_queues = 1;
	if (fs_init(f, e) < 0) {
		virtio_fs_free(&f->d);
		return NULL;
	}
	return &f->d;
}

void virtio_fs_free(struct virtio_device *d)
{
	struct fs_dev *f = (struct fs_dev *)d;

	if (f == NULL)
		return;
	thread_stop(f);
	loop_del(f->failed_watch);
	own_fd_(&f->epfd);
	own_fd_(&f->stop);
	own_fd_(&f->failed);
	free(f);
}
