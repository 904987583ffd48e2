/* test_fs_device.c: the virtiofs device's queues and thread, in front of the real file server. */
#include <linux/fuse.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "runtime/base/fd.h"
#include "runtime/fuse/fuse.h"
#include "runtime/virtio/fs.h"
#include "tests/unit/ringdriver.h"

#define RAM (4U << 20)

static char dir[] = "/tmp/zl-test-fs.XXXXXX";
static struct loop *l;
static struct ringdriver d;
static struct rd_queue *hiprio, *req;
static struct virtio_device *fs;
static struct fuse *fuse;
static int interrupt = -1;
static int broken;

static void signal_fd(struct virtq *q)
{
	uint64_t one = 1;

	(void)q;
	assert_int_equal(write(interrupt, &one, sizeof(one)), sizeof(one));
}

static void on_broken(struct virtio_device *dev, const char *why)
{
	(void)dev;
	assert_non_null(why);
	broken++;
	loop_stop(l, 0);
}

static int setup(void **state)
{
	struct fuse_share share = { .name = "0", .path = dir };
	struct err e = ERR_INIT;

	(void)state;
	strcpy(dir + sizeof(dir) - 7, "XXXXXX");
	if (mkdtemp(dir) == NULL)
		return -1;
	broken = 0;
	interrupt = eventfd(0, EFD_CLOEXEC);
	rd_init(&d, RAM);
	hiprio = rd_queue(&d, 0, 16, true);
	req = rd_queue(&d, 1, 16, true);
	hiprio->q.signal = req->q.signal = signal_fd;
	l = loop_new(&e);
	fuse = fuse_new(&share, 1, &e);
	assert_non_null(fuse);
	fs = virtio_fs_new(l, "host", fuse, NULL, &e);
	assert_non_null(fs);
	fs->broken = on_broken;
	assert_int_equal(fs->ops->queue_start(fs, 0, &hiprio->q, &e), 0);
	assert_int_equal(fs->ops->queue_start(fs, 1, &req->q, &e), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	fs->ops->queue_stop(fs, 0);
	fs->ops->queue_stop(fs, 1);
	virtio_fs_free(fs);
	fuse_free(fuse);
	loop_free(l);
	rd_free(&d);
	close(interrupt);
	return dir_remove_all(AT_FDCWD, dir, NULL);
}

/* Sends a request and waits for the interrupt that announces its reply. */
static uint32_t call(uint32_t opcode, const void *body, uint32_t n, void *reply, uint32_t room)
{
	struct fuse_in_header h = {
		.len = (uint32_t)sizeof(h) + n, .opcode = opcode, .unique = 42, .nodeid = 1
	};
	uint64_t out = rd_alloc(&d, h.len, 8), in = rd_alloc(&d, room, 8), count;
	struct rd_seg seg[] = { { out, h.len, false }, { in, room, true } };
	uint32_t head, len;

	memcpy(rd_ptr(&d, out), &h, sizeof(h));
	if (n)
		memcpy((uint8_t *)rd_ptr(&d, out) + sizeof(h), body, n);
	rd_set_used_event(req, req->seen);
	rd_add(req, seg, 2);
	rd_kick(req);
	do
		assert_int_equal(read(interrupt, &count, sizeof(count)), sizeof(count));
	while (!rd_used(req, &head, &len));
	memcpy(reply, rd_ptr(&d, in), len);
	return len;
}

static void fuse_start(void)
{
	struct fuse_init_in init = { .major = FUSE_KERNEL_VERSION,
				     .minor = FUSE_KERNEL_MINOR_VERSION };
	uint8_t reply[512];
	struct fuse_out_header h;

	assert_in_range(call(FUSE_INIT, &init, sizeof(init), reply, sizeof(reply)), sizeof(h) + 8,
			sizeof(reply));
	memcpy(&h, reply, sizeof(h));
	assert_int_equal(h.error, 0);
	assert_int_equal(h.unique, 42);
}

static void test_requests(void **state)
{
	uint8_t reply[512];
	struct fuse_out_header h;
	struct fuse_getattr_in get = { 0 };

	(void)state;
	fuse_start();
	for (int i = 0; i < 100; i++) {
		assert_int_equal(call(FUSE_GETATTR, &get, sizeof(get), reply, sizeof(reply)),
				 sizeof(h) + sizeof(struct fuse_attr_out));
		memcpy(&h, reply, sizeof(h));
		assert_int_equal(h.error, 0);
	}
}

/* Stopping is synchronous, and a queue goes on where it was. */
static void test_stop_start(void **state)
{
	uint8_t reply[512];
	struct fuse_getattr_in get = { 0 };
	struct err e = ERR_INIT;

	(void)state;
	fuse_start();
	for (int i = 0; i < 20; i++) {
		uint16_t before = req->q.next;

		fs->ops->queue_stop(fs, 1);
		assert_int_equal(req->q.next, before);
		if (i % 2) {
			fs->ops->queue_stop(fs, 0);
			assert_int_equal(fs->ops->queue_start(fs, 0, &hiprio->q, &e), 0);
		}
		assert_int_equal(fs->ops->queue_start(fs, 1, &req->q, &e), 0);
		call(FUSE_GETATTR, &get, sizeof(get), reply, sizeof(reply));
	}
}

/* A request that came while the queue was stopped is served after the start, without a kick. */
static void test_request_while_stopped(void **state)
{
	struct fuse_in_header h = { .len = sizeof(h), .opcode = FUSE_STATFS, .nodeid = 1 };
	uint64_t out = rd_alloc(&d, sizeof(h), 8), in = rd_alloc(&d, 512, 8), count;
	struct rd_seg seg[] = { { out, sizeof(h), false }, { in, 512, true } };
	struct err e = ERR_INIT;
	uint32_t head, len;

	(void)state;
	fuse_start();
	fs->ops->queue_stop(fs, 1);
	memcpy(rd_ptr(&d, out), &h, sizeof(h));
	rd_set_used_event(req, req->seen);
	rd_add(req, seg, 2);
	assert_false(rd_used(req, &head, &len));
	assert_int_equal(fs->ops->queue_start(fs, 1, &req->q, &e), 0);
	assert_int_equal(read(interrupt, &count, sizeof(count)), sizeof(count));
	assert_true(rd_used(req, &head, &len));
	assert_in_range(len, sizeof(struct fuse_out_header), 512);
}

static atomic_bool enough;

/* As soon as a request was answered, the next one is there. */
static void ask_again(struct virtq *q)
{
	signal_fd(q);
	if (atomic_load(&enough))
		return;
	rd_set_used_event(req, req->used[1]);
	__atomic_store_n(&req->avail[1], (uint16_t)(req->used[1] + 1), __ATOMIC_RELEASE);
}

/* A guest that never stops asking cannot keep a queue from being stopped. */
static void test_stop_busy(void **state)
{
	struct fuse_in_header h = { .len = sizeof(h), .opcode = FUSE_STATFS, .nodeid = 1 };
	uint64_t out = rd_alloc(&d, sizeof(h), 8), in = rd_alloc(&d, 512, 8), count;
	struct rd_seg seg[] = { { out, sizeof(h), false }, { in, 512, true } };
	struct err e = ERR_INIT;
	uint16_t head;

	(void)state;
	fuse_start();
	fs->ops->queue_stop(fs, 1);
	memcpy(rd_ptr(&d, out), &h, sizeof(h));
	rd_set_used_event(req, req->seen);
	head = rd_add(req, seg, 2);
	for (unsigned i = 0; i < req->q.size; i++)
		req->avail[2 + i] = head;
	atomic_store(&enough, false);
	req->q.signal = ask_again;
	alarm(30); /* ends the test where stopping hangs */
	for (int i = 0; i < 3; i++) {
		assert_int_equal(fs->ops->queue_start(fs, 1, &req->q, &e), 0);
		assert_int_equal(read(interrupt, &count, sizeof(count)), sizeof(count));
		fs->ops->queue_stop(fs, 1);
	}
	alarm(0);
	atomic_store(&enough, true);
	assert_int_equal(fs->ops->queue_start(fs, 1, &req->q, &e), 0);
	assert_int_equal(broken, 0);
}

static void test_forget(void **state)
{
	struct {
		struct fuse_in_header h;
		struct fuse_forget_in f;
	} m = { { .len = sizeof(m), .opcode = FUSE_FORGET, .nodeid = 1 }, { 1 } };
	uint64_t out = rd_alloc(&d, sizeof(m), 8), count;
	struct rd_seg seg = { out, sizeof(m), false };
	uint32_t head, len;

	(void)state;
	fuse_start();
	memcpy(rd_ptr(&d, out), &m, sizeof(m));
	rd_set_used_event(hiprio, 0);
	rd_add(hiprio, &seg, 1);
	rd_kick(hiprio);
	assert_int_equal(read(interrupt, &count, sizeof(count)), sizeof(count));
	assert_true(rd_used(hiprio, &head, &len));
	assert_int_equal(len, 0);
}

/* A ring that breaks the rules stops the device, and the loop is told once. */
static void test_broken(void **state)
{
	struct rd_seg seg = { RD_BASE + RAM, 100, false };
	struct err e = ERR_INIT;

	(void)state;
	rd_add(req, &seg, 1);
	rd_kick(req);
	assert_int_equal(loop_run(l), 0);
	assert_int_equal(broken, 1);
	/* Stopping still works, and after a reset it goes on. */
	fs->ops->queue_stop(fs, 0);
	fs->ops->queue_stop(fs, 1);
	fs->ops->reset(fs);
	memset(req->avail, 0, 4);
	memset(req->used, 0, 4);
	req->q.next = req->seen = req->free = 0;
	virtq_init(&req->q);
	assert_int_equal(fs->ops->queue_start(fs, 1, &req->q, &e), 0);
	assert_int_equal(fs->ops->queue_start(fs, 0, &hiprio->q, &e), 0);
	fuse_start();
	assert_int_equal(broken, 1);
}

static void test_config(void **state)
{
	char tag[40];

	(void)state;
	fs->ops->config_read(fs, 0, tag, 40);
	assert_string_equal(tag, "host");
	assert_int_equal(tag[36], 1); /* one request queue */
	fs->ops->config_read(fs, 39, tag, 40);
	assert_int_equal(tag[1], 0);
}

/* Idle, it sleeps: no processor time at all. */
static void test_idle(void **state)
{
	clockid_t clock = CLOCK_PROCESS_CPUTIME_ID;
	struct timespec a, b;
	int64_t ns;

	(void)state;
	fuse_start();
	poll(NULL, 0, 20);
	clock_gettime(clock, &a);
	poll(NULL, 0, 300);
	clock_gettime(clock, &b);
	ns = (b.tv_sec - a.tv_sec) * 1000000000LL + (b.tv_nsec - a.tv_nsec);
	assert_in_range(ns, 0, 5000000);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_requests),  T(test_stop_start), T(test_request_while_stopped),
		T(test_stop_busy), T(test_forget),     T(test_broken),
		T(test_config),	   T(test_idle),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
