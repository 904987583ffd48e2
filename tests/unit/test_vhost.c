/* test_vhost.c: the vhost-user session against a scripted front end. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <dirent.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "runtime/base/cursor.h"
#include "runtime/base/fd.h"
#include "runtime/vhost/maps.h"
#include "runtime/vhost/proto.h"
#include "runtime/vhost/session.h"

#define RAM	  (1U << 20)
#define USER_ADDR 0x7f0000000000ULL /* where the front end has it */
#define QUEUE	  16U

/* A device that notes what it is told. */
static struct {
	struct virtq *q[2];
	unsigned starts, stops, resets;
	uint64_t features;
	bool refuse;
} dev;

static void config_read(struct virtio_device *d, uint32_t off, void *buf, uint32_t len)
{
	(void)d;
	memset(buf, (int)(0x40 + off), len);
}

static uint8_t written[256];

static void config_write(struct virtio_device *d, uint32_t off, const void *buf, uint32_t len)
{
	(void)d;
	assert_in_range(off + len, 0, 256);
	memcpy(written + off, buf, len);
}

static void set_features(struct virtio_device *d, uint64_t features)
{
	(void)d;
	dev.features = features;
}

static int queue_start(struct virtio_device *d, unsigned index, struct virtq *q, struct err *e)
{
	(void)d;
	assert_in_range(index, 0, 1);
	assert_null(dev.q[index]);
	if (dev.refuse)
		return err_set(e, EIO, "not today");
	dev.q[index] = q;
	dev.starts++;
	return 0;
}

static void queue_stop(struct virtio_device *d, unsigned index)
{
	(void)d;
	assert_non_null(dev.q[index]);
	dev.q[index] = NULL;
	dev.stops++;
}

static void reset(struct virtio_device *d)
{
	(void)d;
	assert_null(dev.q[0]);
	assert_null(dev.q[1]);
	dev.resets++;
}

static const struct virtio_device_ops dev_ops = {
	.name = "test",
	.id = VIRTIO_ID_VSOCK,
	.num_queues = 3,
	.num_vhost_queues = 2,
	.queue_size_max = 256,
	.features = 1U << 5,
	.config_read = config_read,
	.config_write = config_write,
	.set_features = set_features,
	.queue_start = queue_start,
	.queue_stop = queue_stop,
	.reset = reset,
};

static struct virtio_device device;
static struct loop *l;
static struct vhost_maps maps;
static struct session *s;
static int sock, memfd;
static uint8_t *ram;
static int gone;
static char why[256];

static void on_gone(void *arg, struct session *who, const char *reason)
{
	assert_ptr_equal(arg, &dev);
	assert_ptr_equal(who, s);
	gone++;
	snprintf(why, sizeof(why), "%s", reason ? reason : "(closed)");
}

static int open_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = 0;

	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static int fds_before;

static int setup(void **state)
{
	struct err e = ERR_INIT;
	int sv[2];

	(void)state;
	fds_before = open_fds();
	memset(&dev, 0, sizeof(dev));
	device = (struct virtio_device){ .ops = &dev_ops };
	gone = 0;
	why[0] = 0;
	l = loop_new(&e);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), 0);
	sock = sv[0];
	s = session_new(l, sv[1], &device, true, &maps, on_gone, &dev, &e);
	assert_non_null(s);
	memfd = memfd_create("test", MFD_CLOEXEC);
	assert_int_equal(ftruncate(memfd, RAM), 0);
	ram = mmap(NULL, RAM, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	session_free(s);
	s = NULL;
	assert_null(dev.q[0]);
	assert_null(dev.q[1]);
	assert_null(maps.first);
	loop_free(l);
	if (sock >= 0)
		close(sock);
	munmap(ram, RAM);
	close(memfd);
	assert_int_equal(open_fds(), fds_before); /* whatever came over the socket */
	return 0;
}

static void run(void)
{
	for (int i = 0; i < 4; i++)
		assert_int_equal(loop_once(l, 0), 0);
}

static void send_raw(const void *buf, size_t n, const int *fds, size_t nfds)
{
	char control[CMSG_SPACE(16 * sizeof(int))] = { 0 };
	struct iovec iov = { (void *)(uintptr_t)buf, n };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (nfds) {
		struct cmsghdr *c;

		msg.msg_control = control;
		msg.msg_controllen = CMSG_SPACE(nfds * sizeof(int));
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(nfds * sizeof(int));
		memcpy(CMSG_DATA(c), fds, nfds * sizeof(int));
	}
	assert_int_equal(sendmsg(sock, &msg, MSG_NOSIGNAL), n);
}

static void request(uint32_t what, uint32_t flags, const void *payload, uint32_t n, const int *fds,
		    size_t nfds)
{
	uint8_t buf[1024];
	struct wcur w = wcur_of(buf, sizeof(buf));

	wcur_u32(&w, what);
	wcur_u32(&w, VU_FLAG_VERSION | flags);
	wcur_u32(&w, n);
	wcur_bytes(&w, payload, n);
	send_raw(buf, wcur_len(&w), fds, nfds);
	run();
}

/* The answer's payload; its length, or -1 if there is none. */
static int answer(uint32_t what, void *payload)
{
	struct vu_header h;

	if (recv(sock, &h, sizeof(h), MSG_DONTWAIT) != sizeof(h))
		return -1;
	assert_int_equal(h.request, what);
	assert_int_equal(h.flags, VU_FLAG_VERSION | VU_FLAG_REPLY);
	assert_in_range(h.size, 0, VU_PAYLOAD_MAX);
	assert_int_equal(recv(sock, payload, h.size, MSG_DONTWAIT), h.size);
	return (int)h.size;
}

static uint64_t ask_u64(uint32_t what)
{
	uint64_t v = 0;

	request(what, 0, NULL, 0, NULL, 0);
	assert_int_equal(answer(what, &v), 8);
	return v;
}

static void tell_u64(uint32_t what, uint64_t v)
{
	request(what, 0, &v, sizeof(v), NULL, 0);
}

static void tell_state(uint32_t what, uint32_t index, uint32_t num)
{
	uint32_t v[2] = { index, num };

	request(what, 0, v, sizeof(v), NULL, 0);
}

static void tell_fd(uint32_t what, uint64_t v, int fd)
{
	request(what, 0, &v, sizeof(v), &fd, fd < 0 ? 0 : 1);
}

static void mem_table(uint64_t size, uint64_t offset)
{
	uint64_t v[5] = { 1, 0x1000, size, USER_ADDR, offset };

	request(VU_SET_MEM_TABLE, 0, v, sizeof(v), &memfd, 1);
}

/* Ring i lies at i * 64 KiB: descriptors, then available, then used. */
static void vring_addr(uint32_t i, uint64_t base)
{
	uint64_t v[5] = { i, base, base + 8192, base + 4096, 0 };

	request(VU_SET_VRING_ADDR, 0, v, sizeof(v), NULL, 0);
}

static int kick = -1, call = -1;

static void start_ring(uint32_t i)
{
	kick = eventfd(0, EFD_CLOEXEC);
	call = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	tell_state(VU_SET_VRING_NUM, i, QUEUE);
	tell_state(VU_SET_VRING_BASE, i, 5);
	vring_addr(i, USER_ADDR + i * 65536);
	tell_fd(VU_SET_VRING_KICK, i, kick);
	tell_fd(VU_SET_VRING_CALL, i, call);
	if (dev.starts == 0)
		assert_null(dev.q[i]); /* all is known, but it is not enabled */
	tell_state(VU_SET_VRING_ENABLE, i, 1);
	close(kick);
}

static void handshake(void)
{
	uint64_t f = ask_u64(VU_GET_FEATURES);

	assert_int_equal(f, VU_F_VERSION_1 | VU_F_INDIRECT_DESC | VU_F_EVENT_IDX |
				    VU_F_PROTOCOL_FEATURES | (1U << 5));
	assert_int_equal(ask_u64(VU_GET_PROTOCOL_FEATURES),
			 VU_PROTOCOL_F_MQ | VU_PROTOCOL_F_REPLY_ACK | VU_PROTOCOL_F_CONFIG);
	tell_u64(VU_SET_PROTOCOL_FEATURES, VU_PROTOCOL_F_REPLY_ACK | VU_PROTOCOL_F_CONFIG);
	assert_int_equal(ask_u64(VU_GET_QUEUE_NUM), 2);
	request(VU_SET_OWNER, 0, NULL, 0, NULL, 0);
	tell_u64(VU_SET_FEATURES, f);
	assert_int_equal(dev.features, f & ~VU_F_PROTOCOL_FEATURES);
	mem_table(RAM, 0);
	assert_int_equal(gone, 0);
}

/* ---- tests ---- */

static void test_life(void **state)
{
	uint32_t base[2] = { 9, 9 };
	uint64_t count;

	(void)state;
	handshake();
	start_ring(0);
	assert_non_null(dev.q[0]);
	assert_true(dev.q[0]->event_idx);
	assert_int_equal(dev.q[0]->size, QUEUE);
	assert_int_equal(dev.q[0]->next, 5);
	/* The rings are where the front end said, in memory both of us see. */
	memset(ram, 'd', 16);
	memset(ram + 4096, 'a', 6);
	assert_memory_equal(dev.q[0]->desc, "dddddddddddddddd", 16);
	assert_memory_equal(dev.q[0]->avail, "aaaaaa", 6);
	assert_ptr_equal((uint8_t *)dev.q[0]->used - (uint8_t *)dev.q[0]->desc, 8192);
	assert_ptr_equal(gmem_at(dev.q[0]->mem, 0x1000, RAM), dev.q[0]->desc);
	dev.q[0]->signal(dev.q[0]);
	assert_int_equal(read(call, &count, 8), 8);
	assert_int_equal(count, 1);
	close(call);
	start_ring(1);
	assert_non_null(dev.q[1]);
	close(call);
	dev.q[0]->next = 77;
	tell_state(VU_GET_VRING_BASE, 0, 0);
	assert_int_equal(answer(VU_GET_VRING_BASE, base), 8);
	assert_int_equal(base[0], 0);
	assert_int_equal(base[1], 77);
	assert_null(dev.q[0]);
	assert_int_equal(dev.resets, 0);
	tell_state(VU_GET_VRING_BASE, 1, 0);
	assert_int_equal(answer(VU_GET_VRING_BASE, base), 8);
	assert_int_equal(base[1], 5);
	assert_int_equal(dev.resets, 1); /* that was the last */
	/* And once more, as after a guest's driver was bound again. */
	start_ring(0);
	assert_non_null(dev.q[0]);
	close(call);
	assert_int_equal(gone, 0);
}

static void test_new_memory(void **state)
{
	(void)state;
	handshake();
	start_ring(1);
	dev.q[1]->next = 9;
	mem_table(RAM / 2, 0);
	assert_int_equal(dev.stops, 1);
	assert_int_equal(dev.starts, 2);
	assert_int_equal(dev.q[1]->next, 9);
	assert_int_equal(dev.resets, 0);
	close(call);
}

static void test_disable(void **state)
{
	(void)state;
	handshake();
	start_ring(0);
	dev.q[0]->next = 33;
	tell_state(VU_SET_VRING_ENABLE, 0, 0);
	assert_null(dev.q[0]);
	tell_state(VU_SET_VRING_ENABLE, 0, 1);
	assert_int_equal(dev.q[0]->next, 33);
	tell_fd(VU_SET_VRING_CALL, VU_RING_NOFD, -1);
	assert_non_null(dev.q[0]);
	dev.q[0]->signal(dev.q[0]); /* nobody to tell */
	tell_fd(VU_SET_VRING_ERR, VU_RING_NOFD, -1);
	close(call);
	assert_int_equal(gone, 0);
}

static void test_config(void **state)
{
	uint32_t get[3 + 2] = { 4, 8, 0 };
	uint8_t set[12 + 3] = { 2, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 'x', 'y', 'z' };
	uint8_t out[VU_PAYLOAD_MAX];

	(void)state;
	handshake();
	request(VU_GET_CONFIG, 0, get, sizeof(get), NULL, 0);
	assert_int_equal(answer(VU_GET_CONFIG, out), 20);
	assert_memory_equal(out, get, 12);
	assert_memory_equal(out + 12, "DDDDDDDD", 8);
	request(VU_SET_CONFIG, 0, set, sizeof(set), NULL, 0);
	assert_memory_equal(written + 2, "xyz", 3);
	get[0] = 250;
	request(VU_GET_CONFIG, 0, get, sizeof(get), NULL, 0);
	assert_int_equal(gone, 1);
}

static void test_ack(void **state)
{
	uint64_t v = 0, ack = 7;

	(void)state;
	handshake();
	request(VU_SET_FEATURES, VU_FLAG_NEED_REPLY, &v, 8, NULL, 0);
	assert_int_equal(answer(VU_SET_FEATURES, &ack), 8);
	assert_int_equal(ack, 0);
	request(VU_GET_FEATURES, VU_FLAG_NEED_REPLY, NULL, 0, NULL, 0);
	assert_int_equal(answer(VU_GET_FEATURES, &ack), 8);
	assert_int_equal(answer(VU_GET_FEATURES, &ack), -1); /* one answer, not two */
}

/* Requests come in any pieces. */
static void test_pieces(void **state)
{
	uint8_t buf[40];
	struct wcur w = wcur_of(buf, sizeof(buf));
	uint64_t v;

	(void)state;
	for (int i = 0; i < 2; i++) {
		wcur_u32(&w, VU_GET_FEATURES);
		wcur_u32(&w, VU_FLAG_VERSION);
		wcur_u32(&w, 0);
	}
	for (size_t i = 0; i < wcur_len(&w); i++) {
		send_raw(buf + i, 1, NULL, 0);
		run();
	}
	assert_int_equal(answer(VU_GET_FEATURES, &v), 8);
	assert_int_equal(answer(VU_GET_FEATURES, &v), 8);
	request(VU_GET_FEATURES, 0, NULL, 0, NULL, 0);
	assert_int_equal(answer(VU_GET_FEATURES, &v), 8);
}

static void test_closed(void **state)
{
	(void)state;
	handshake();
	start_ring(0);
	close(call);
	close(sock);
	sock = -1;
	run();
	assert_int_equal(gone, 1);
	assert_string_equal(why, "(closed)");
}

static void test_device_broken(void **state)
{
	(void)state;
	handshake();
	device.broken(&device, "bad guest");
	device.broken(&device, "worse");
	assert_int_equal(gone, 1);
	assert_string_equal(why, "bad guest");
}

/* Everything below ends the session, and nothing else. */

static void bad(const char *what, uint32_t req, const void *payload, uint32_t n, size_t nfds)
{
	int fds[12];

	for (size_t i = 0; i < nfds; i++)
		fds[i] = memfd;
	setup(NULL);
	handshake();
	request(req, 0, payload, n, fds, nfds);
	if (gone != 1)
		fail_msg("%s was not refused", what);
	teardown(NULL);
}

static void test_bad_requests(void **state)
{
	uint64_t big[40] = { 9 }, zero[8] = { 0 };
	uint64_t table[5] = { 1, 0x1000, RAM, USER_ADDR, 0 };
	uint32_t pair[2] = { 2, 16 };

	(void)state;
	bad("unknown request", 99, NULL, 0, 0);
	bad("request 0", 0, NULL, 0, 0);
	bad("SET_LOG_BASE", 6, zero, 16, 0);
	bad("short SET_FEATURES", VU_SET_FEATURES, zero, 7, 0);
	bad("features not offered", VU_SET_FEATURES, "\377\377\377\377\377\377\377\377", 8, 0);
	bad("protocol not offered", VU_SET_PROTOCOL_FEATURES, "\377\377\377\377\377\377\377\377", 8,
	    0);
	bad("queue 2", VU_SET_VRING_NUM, pair, 8, 0);
	bad("base of queue 2", VU_GET_VRING_BASE, pair, 8, 0);
	pair[0] = 0;
	for (unsigned i = 0; i < 4; i++) {
		pair[1] = (const uint32_t[]){ 0, 15, 512, 65536 }[i];
		bad("queue size", VU_SET_VRING_NUM, pair, 8, 0);
	}
	bad("nine regions", VU_SET_MEM_TABLE, big, 8 + 9 * 32, 8);
	bad("regions without descriptors", VU_SET_MEM_TABLE, table, 40, 0);
	bad("more descriptors than regions", VU_SET_MEM_TABLE, table, 40, 2);
	bad("short table", VU_SET_MEM_TABLE, table, 39, 1);
	bad("twelve descriptors", VU_SET_MEM_TABLE, table, 40, 12);
	table[2] = RAM + 1;
	bad("region past the file's end", VU_SET_MEM_TABLE, table, 40, 1);
	table[2] = UINT64_MAX;
	bad("region that wraps", VU_SET_MEM_TABLE, table, 40, 1);
	table[2] = 0;
	bad("empty region", VU_SET_MEM_TABLE, table, 40, 1);
	table[2] = 4096;
	table[4] = UINT64_MAX - 100;
	bad("offset that wraps", VU_SET_MEM_TABLE, table, 40, 1);
	table[4] = 1;
	bad("offset within a page", VU_SET_MEM_TABLE, table, 40, 1);
	bad("kick without descriptor", VU_SET_VRING_KICK, zero, 8, 0);
	bad("two kicks", VU_SET_VRING_KICK, zero, 8, 2);
	setup(NULL);
}

static void test_bad_header(void **state)
{
	static const uint32_t heads[][3] = {
		{ VU_GET_FEATURES, 0, 0 },		    /* no version */
		{ VU_GET_FEATURES, 2, 0 },		    /* another version */
		{ VU_SET_FEATURES, 1, VU_PAYLOAD_MAX + 1 }, /* too long */
		{ VU_SET_FEATURES, 1, UINT32_MAX },	    /* far too long */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
		send_raw(heads[i], sizeof(heads[i]), NULL, 0);
		run();
		assert_int_equal(gone, 1);
		teardown(NULL);
		setup(NULL);
	}
}

/* Rings must lie in guest memory whole, and be aligned. */
static void test_bad_rings(void **state)
{
	static const uint64_t bases[] = {
		USER_ADDR - 4096,	/* starts before */
		USER_ADDR + RAM - 8192, /* used ring past the end */
		USER_ADDR + RAM - 16,	/* all past the end */
		USER_ADDR + 1,		/* not aligned */
		0,
		UINT64_MAX - 8191,
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bases) / sizeof(bases[0]); i++) {
		handshake();
		start_ring(0);
		close(call);
		assert_non_null(dev.q[0]);
		vring_addr(0, bases[i]);
		assert_null(dev.q[0]);
		assert_int_equal(gone, 1);
		teardown(NULL);
		setup(NULL);
	}
}

static void test_start_fails(void **state)
{
	(void)state;
	handshake();
	dev.refuse = true;
	start_ring(0);
	close(call);
	assert_int_equal(gone, 1);
	assert_string_equal(why, "not today");
}

/* Two sessions of one machine map its memory once. */
static void test_shared_map(void **state)
{
	struct err e = ERR_INIT;
	struct vhost_map *a, *b, *c;

	(void)state;
	a = vhost_map_get(&maps, memfd, 0, RAM, &e);
	b = vhost_map_get(&maps, memfd, 0, RAM, &e);
	c = vhost_map_get(&maps, memfd, 4096, 4096, &e);
	assert_non_null(a);
	assert_ptr_equal(a, b);
	assert_ptr_not_equal(a, c);
	vhost_map_put(&maps, a);
	memset(vhost_map_host(b), 1, 16);
	assert_memory_equal(ram, vhost_map_host(b), 16);
	vhost_map_put(&maps, c);
	vhost_map_put(&maps, b);
	assert_null(maps.first);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_life),
		T(test_new_memory),
		T(test_disable),
		T(test_config),
		T(test_ack),
		T(test_pieces),
		T(test_closed),
		T(test_device_broken),
		cmocka_unit_test_teardown(test_bad_requests, teardown),
		T(test_bad_header),
		T(test_bad_rings),
		T(test_start_fails),
		T(test_shared_map),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
