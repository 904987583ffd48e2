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
#include <sys/mman.h>
#include <unistd.h>

#include "runtime/base/confine.h"
#include "runtime/base/own.h"
#include "runtime/base/str.h"
#include "runtime/fuse/fuse.h"

/*
 * Theory of operation.
 *
 * One thread serves both queues. It is made with the device, confines itself
 * (that is why it is not made later, when the loop's thread may do less than
 * it), and is parked until a queue is started. Starting or stopping a queue
 * parks the thread, changes the set and lets it go on: queues come and go a
 * handful of times in a VM's life, and this way they need no lock. The thread
 * sleeps in an epoll set of its own with the kick descriptors (edge-triggered,
 * never read) and `stop`. A guest that never lets it sleep must not keep it
 * from parking: `stopping` is looked at between turns, what is left is served
 * when it goes on.
 *
 * A reply is announced as soon as it is there: the guest waits for it. While
 * the guest is busy collecting replies it asks for no interrupt, and none is
 * sent.
 *
 * After a broken ring it parks by itself; `failed` wakes the loop, which tells
 * the transport.
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

/* What the thread is to do. */
enum fs_order {
	FS_PARK,
	FS_SERVE,
	FS_RESET, /* the engine: it opens files, which the loop's thread may not */
	FS_END,
};

struct fs_dev {
	struct virtio_device d;
	struct fuse *fuse;
	const struct confine *confine;
	uint8_t *window; /* NULL: none */
	struct fs_config config;
	struct virtq *q[FS_QUEUES];
	pthread_t thread;
	bool made;
	pthread_mutex_t lock; /* of the next two */
	pthread_cond_t changed;
	enum fs_order order;
	bool parked;
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

/* Until it is told to stop, or the guest breaks the rules. */
static void serve(struct fs_dev *f)
{
	struct epoll_event ev[FS_QUEUES + 1];
	uint64_t count;

	for (;;) {
		int n;

		if (serve_all(f) < 0) {
			fd_set_event(f->failed);
			return;
		}
		n = epoll_wait(f->epfd, ev, FS_QUEUES + 1, -1);
		for (int i = 0; i < n; i++) {
			if (ev[i].data.fd != f->stop)
				continue;
			if (read(f->stop, &count, sizeof(count)) > 0)
				return;
		}
	}
}

static enum fs_order wait_for_order(struct fs_dev *f)
{
	enum fs_order order;

	pthread_mutex_lock(&f->lock);
	f->parked = true;
	pthread_cond_broadcast(&f->changed);
	while (f->order == FS_PARK)
		pthread_cond_wait(&f->changed, &f->lock);
	f->parked = false;
	order = f->order;
	f->order = FS_PARK; /* what is next, should it stop by itself */
	pthread_mutex_unlock(&f->lock);
	return order;
}

static void *fs_thread(void *arg)
{
	struct fs_dev *f = arg;
	enum fs_order order;

	if (f->confine)
		confine_thread_or_die(f->confine);
	fuse_make_places(f->fuse); /* while the machine is made and the guest boots */
	while ((order = wait_for_order(f)) != FS_END) {
		if (order == FS_RESET)
			fuse_reset(f->fuse);
		else
			serve(f);
	}
	return NULL;
}

static void thread_order(struct fs_dev *f, enum fs_order order)
{
	pthread_mutex_lock(&f->lock);
	f->order = order;
	f->parked = false;
	pthread_cond_broadcast(&f->changed);
	pthread_mutex_unlock(&f->lock);
}

static void wait_parked(struct fs_dev *f)
{
	pthread_mutex_lock(&f->lock);
	while (!f->parked)
		pthread_cond_wait(&f->changed, &f->lock);
	pthread_mutex_unlock(&f->lock);
}

/* Returns when it touches no queue any more. */
static void thread_park(struct fs_dev *f)
{
	uint64_t count;

	atomic_store(&f->stopping, true);
	fd_set_event(f->stop);
	wait_parked(f);
	/* it may have parked by itself and not have seen the event */
	if (read(f->stop, &count, sizeof(count)) < 0)
		assert(errno == EAGAIN);
	atomic_store(&f->stopping, false);
}

static void thread_go_on(struct fs_dev *f)
{
	if (f->q[0] || f->q[1])
		thread_order(f, FS_SERVE);
}

static int thread_make(struct fs_dev *f, struct err *e)
{
	pthread_attr_t attr;
	sigset_t all, old;
	int rc;

	sigfillset(&all);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, FS_STACK_SIZE);
	pthread_sigmask(SIG_BLOCK, &all, &old);
	rc = pthread_create(&f->thread, &attr, fs_thread, f);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	if (rc)
		return err_set(e, rc, "thread for virtiofs: %s", strerror(rc));
	f->made = true;
	return 0;
}

static int queue_start(struct virtio_device *d, unsigned index, struct virtq *q, struct err *e)
{
	struct fs_dev *f = (struct fs_dev *)d;
	struct epoll_event ev = { .events = EPOLLIN | EPOLLET, .data.fd = q->kick_fd };
	int rc = 0;

	thread_park(f);
	if (epoll_ctl(f->epfd, EPOLL_CTL_ADD, q->kick_fd, &ev) < 0)
		rc = err_sys(e, "epoll_ctl");
	else
		f->q[index] = q;
	thread_go_on(f);
	return rc;
}

static void queue_stop(struct virtio_device *d, unsigned index)
{
	struct fs_dev *f = (struct fs_dev *)d;

	if (f->q[index] == NULL)
		return;
	thread_park(f);
	epoll_ctl(f->epfd, EPOLL_CTL_DEL, f->q[index]->kick_fd, NULL);
	f->q[index] = NULL;
	thread_go_on(f);
}

/* On the loop: the thread gave up. */
static void thread_failed(void *arg, uint32_t events)
{
	struct fs_dev *f = arg;
	uint64_t count;

	(void)events;
	if (read(f->failed, &count, sizeof(count)) < 0)
		return;
	thread_park(f);
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

	thread_park(f);
	thread_order(f, FS_RESET);
	wait_parked(f);
}

/* A hole in what is reserved: touching it is a fault. */
static int window_unmap(void *arg, uint64_t at, uint64_t len)
{
	struct fs_dev *f = arg;

	assert(at <= f->d.shm_size && len <= f->d.shm_size - at);
	return mmap(f->window + at, len, PROT_NONE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) == MAP_FAILED
		       ? -errno
		       : 0;
}

static int window_map(void *arg, uint64_t at, uint64_t len, int fd, uint64_t off, bool write)
{
	struct fs_dev *f = arg;
	int rc;

	assert(at <= f->d.shm_size && len <= f->d.shm_size - at);
	if (mmap(f->window + at, len, PROT_READ | (write ? PROT_WRITE : 0), MAP_SHARED | MAP_FIXED,
		 fd, (off_t)off) != MAP_FAILED)
		return 0;
	rc = -errno;
	window_unmap(f, at, len); /* what was there may be gone or not */
	return rc;
}

/* Here the window comes and goes with the machine, which unmaps all of it. */
static void shm_set(struct virtio_device *d, void *host)
{
	struct fs_dev *f = (struct fs_dev *)d;
	struct fuse_window w = {
		.size = d->shm_size, .arg = f, .map = window_map, .unmap = window_unmap
	};

	if (host == NULL)
		fuse_set_window(f->fuse, NULL);
	f->window = host;
	if (host)
		fuse_set_window(f->fuse, &w);
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
	.shm_set = shm_set,
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
	return f->failed_watch ? thread_make(f, e) : -e->code;
}

struct virtio_device *virtio_fs_new(struct loop *l, const char *tag, struct fuse *fs,
				    const struct confine *c, struct err *e)
{
	struct fs_dev *f;

	assert(strlen(tag) <= VIRTIO_FS_TAG_MAX);
	f = xcalloc(1, sizeof(*f));
	f->d.ops = &fs_ops;
	f->d.loop = l;
	f->fuse = fs;
	f->confine = c;
	pthread_mutex_init(&f->lock, NULL);
	pthread_cond_init(&f->changed, NULL);
	f->epfd = f->stop = f->failed = -1;
	memcpy(f->config.tag, tag, strlen(tag));
	f->config.num_request_queues = 1;
	if (fs_init(f, e) < 0) {
		virtio_fs_free(&f->d);
		return NULL;
	}
	return &f->d;
}

void virtio_fs_ask_window(struct virtio_device *d, uint64_t size)
{
	d->shm_size = size;
}

void virtio_fs_free(struct virtio_device *d)
{
	struct fs_dev *f = (struct fs_dev *)d;

	if (f == NULL)
		return;
	if (f->made) {
		thread_park(f);
		thread_order(f, FS_END);
		pthread_join(f->thread, NULL);
	}
	loop_del(f->failed_watch);
	own_fd_(&f->epfd);
	own_fd_(&f->stop);
	own_fd_(&f->failed);
	pthread_mutex_destroy(&f->lock);
	pthread_cond_destroy(&f->changed);
	free(f);
}
