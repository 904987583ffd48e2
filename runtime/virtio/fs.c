/* fs.c: the virtiofs device: a FUSE engine behind queues; see fs.h. */
#include "runtime/virtio/fs.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <unistd.h>

#include "runtime/base/own.h"
#include "runtime/base/str.h"
#include "runtime/fuse/fuse.h"
#include "runtime/virtio/worker.h"

/*
 * Theory of operation.
 *
 * One thread (worker.h) serves both queues. It sleeps in an epoll set of its
 * own with the kick descriptors (edge-triggered, never read) and the worker's
 * `stop`. What is left when it is to park is served when it goes on.
 *
 * A reply is announced as soon as it is there: the guest waits for it. While
 * the guest is busy collecting replies it asks for no interrupt, and none is
 * sent.
 *
 * The engine opens files, which the loop's thread may not: it is reset by the
 * thread, too.
 */

#define FS_QUEUES     2U
#define FS_QUEUE_SIZE 1024U
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
	struct worker worker;
	uint8_t *window; /* NULL: none */
	struct fs_config config;
	struct virtq *q[FS_QUEUES];
	int epfd;
	struct virtq_chain chain;
};

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

	while (more && !worker_stopping(&f->worker)) {
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
static void serve(struct virtio_device *d)
{
	struct fs_dev *f = (struct fs_dev *)d;
	struct epoll_event ev[FS_QUEUES + 1];

	for (;;) {
		int n;

		if (serve_all(f) < 0) {
			worker_failed(&f->worker);
			return;
		}
		n = epoll_wait(f->epfd, ev, FS_QUEUES + 1, -1);
		for (int i = 0; i < n; i++) {
			if (ev[i].data.fd == f->worker.stop)
				return;
		}
	}
}

static void reset_engine(struct virtio_device *d)
{
	fuse_reset(((struct fs_dev *)d)->fuse);
}

/* While the machine is made and the guest boots. */
static void begin(struct virtio_device *d)
{
	fuse_prepare(((struct fs_dev *)d)->fuse);
}

static const struct worker_ops worker_ops = {
	.begin = begin,
	.serve = serve,
	.reset = reset_engine,
};

static void go_on(struct fs_dev *f)
{
	if (f->q[0] || f->q[1])
		worker_go_on(&f->worker);
}

static int queue_start(struct virtio_device *d, unsigned index, struct virtq *q, struct err *e)
{
	struct fs_dev *f = (struct fs_dev *)d;
	struct epoll_event ev = { .events = EPOLLIN | EPOLLET, .data.fd = q->kick_fd };
	int rc = 0;

	worker_park(&f->worker);
	if (epoll_ctl(f->epfd, EPOLL_CTL_ADD, q->kick_fd, &ev) < 0)
		rc = err_sys(e, "epoll_ctl");
	else
		f->q[index] = q;
	go_on(f);
	return rc;
}

static void queue_stop(struct virtio_device *d, unsigned index)
{
	struct fs_dev *f = (struct fs_dev *)d;

	if (f->q[index] == NULL)
		return;
	worker_park(&f->worker);
	epoll_ctl(f->epfd, EPOLL_CTL_DEL, f->q[index]->kick_fd, NULL);
	f->q[index] = NULL;
	go_on(f);
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
	worker_reset(&((struct fs_dev *)d)->worker);
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

static int fs_init(struct fs_dev *f, const struct confine *confine, struct err *e)
{
	struct epoll_event ev = { .events = EPOLLIN };
	int rc = worker_start(&f->worker, &f->d, &worker_ops, confine, e);

	if (rc < 0)
		return rc;
	f->epfd = epoll_create1(EPOLL_CLOEXEC);
	ev.data.fd = f->worker.stop;
	if (f->epfd < 0 || epoll_ctl(f->epfd, EPOLL_CTL_ADD, f->worker.stop, &ev) < 0)
		return err_sys(e, "virtiofs device");
	return 0;
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
	f->epfd = -1;
	memcpy(f->config.tag, tag, strlen(tag));
	f->config.num_request_queues = 1;
	if (fs_init(f, c, e) < 0) {
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
	worker_end(&f->worker);
	own_fd_(&f->epfd);
	free(f);
}
