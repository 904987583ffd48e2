/* fuzz_devices.c: a guest that writes anything into registers, rings and requests of rng, balloon,
 * fs, net. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <linux/virtio_ring.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/cursor.h"
#include "runtime/base/fd.h"
#include "runtime/fuse/fuse.h"
#include "runtime/virtio/balloon.h"
#include "runtime/virtio/fs.h"
#include "runtime/virtio/net.h"
#include "runtime/virtio/rng.h"
#include "runtime/vmm/vmm.h"

/*
 * The input: which device, then a script of steps, each an operation byte and
 * its operands. Besides single registers and bytes there are steps that do
 * what a driver does (set the device up, post a chain), so that what is wrong
 * gets as far as the device. The file system's requests are served by its own
 * thread, as ever, while the script goes on.
 */
#define RAM	      (64U << 10)
#define STEPS_MAX     256
#define RING	      16U    /* descriptors in a queue */
#define RINGS	      0x400U /* bytes of memory for each queue's rings */
#define AVAIL	      0x100U
#define USED	      0x200U
#define REQUEST	      0x8000U /* a file system's request, and the room for its reply */
#define REPLY	      0xa000U
#define REPLY_LEN     0x2000U
#define YIELDS	      64
#define FILE_SIZE_MAX (1U << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Nothing leaves. */
int socket(int domain, int type, int protocol)
{
	(void)domain;
	(void)type;
	(void)protocol;
	errno = EPERM;
	return -1;
}

static char place[128], upper[160];

struct rig {
	struct loop *l;
	struct vmm v;
	struct virtio_device *dev;
	struct mmio_dev m;
	uint8_t *ram;
};

static void clean_up(void)
{
	dir_remove_all(AT_FDCWD, place, NULL);
}

static void prepare(void)
{
	struct rlimit files = { FILE_SIZE_MAX, FILE_SIZE_MAX };
	const char *tmp = getenv("TMPDIR");

	if (place[0])
		return;
	snprintf(place, sizeof(place), "%s/fuzz_devices.%d", tmp ? tmp : "/tmp", getpid());
	snprintf(upper, sizeof(upper), "%s/upper", place);
	if (mkdir(place, 0700) < 0 || mkdir(upper, 0700) < 0)
		abort();
	atexit(clean_up);
	signal(SIGXFSZ, SIG_IGN);
	setrlimit(RLIMIT_FSIZE, &files);
}

static void set(struct rig *r, uint64_t off, uint32_t v)
{
	mmio_write(&r->m, off, &v, sizeof(v));
}

/* As a driver does it, with the features that the script lets through. */
static void set_up(struct rig *r, uint8_t features)
{
	set(r, VIRTIO_MMIO_STATUS, 0);
	set(r, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 0);
	set(r, VIRTIO_MMIO_DRIVER_FEATURES, (uint32_t)r->dev->ops->features & features);
	set(r, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
	set(r, VIRTIO_MMIO_DRIVER_FEATURES, 1U << (VIRTIO_F_VERSION_1 - 32));
	set(r, VIRTIO_MMIO_STATUS, VIRTIO_CONFIG_S_FEATURES_OK);
	for (unsigned i = 0; i < r->dev->ops->num_queues; i++) {
		memset(r->ram + i * RINGS, 0, RINGS);
		set(r, VIRTIO_MMIO_QUEUE_SEL, i);
		set(r, VIRTIO_MMIO_QUEUE_NUM, RING);
		set(r, VIRTIO_MMIO_QUEUE_DESC_LOW, i * RINGS);
		set(r, VIRTIO_MMIO_QUEUE_AVAIL_LOW, i * RINGS + AVAIL);
		set(r, VIRTIO_MMIO_QUEUE_USED_LOW, i * RINGS + USED);
		set(r, VIRTIO_MMIO_QUEUE_READY, 1);
	}
	set(r, VIRTIO_MMIO_STATUS, VIRTIO_CONFIG_S_DRIVER_OK);
}

static void kick(struct rig *r, unsigned queue)
{
	uint64_t one = 1;

	if (write(r->m.queues[queue].q.kick_fd, &one, sizeof(one)) < 0)
		abort();
}

/* Makes chain `head` available. The device may look at the rings meanwhile. */
static void post(struct rig *r, unsigned queue, uint16_t head)
{
	volatile uint16_t *avail = (uint16_t *)(void *)(r->ram + queue * RINGS + AVAIL);

	avail[2 + avail[1] % RING] = head;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	avail[1]++;
	kick(r, queue);
}

static struct vring_desc *descs(struct rig *r, unsigned queue)
{
	return (struct vring_desc *)(void *)(r->ram + queue * RINGS);
}

static void chain(struct rig *r, struct cur *c)
{
	uint8_t queue, n, flags;
	uint16_t addr, len;

	if (!cur_u8(c, &queue) || !cur_u8(c, &n))
		return;
	queue %= r->dev->ops->num_queues;
	for (unsigned i = 0; i <= n % RING; i++) {
		if (!cur_u16(c, &addr) || !cur_u16(c, &len) || !cur_u8(c, &flags))
			break;
		descs(r, queue)[i] =
			(struct vring_desc){ addr, len, flags & 7,
					     (uint16_t)(flags & 0x80 ? flags : i + 1) };
	}
	post(r, queue, n % RING ? 0 : n);
}

/* A request of the kernel's, whole in form. */
static void fuse_request(struct rig *r, struct cur *c)
{
	struct fuse_in_header h = { .unique = 1 };
	uint8_t opcode, node, len;
	const void *body;

	if (!cur_u8(c, &opcode) || !cur_u8(c, &node) || !cur_u8(c, &len) ||
	    !cur_bytes(c, len, &body))
		return;
	h.len = (uint32_t)sizeof(h) + len;
	h.opcode = opcode;
	h.nodeid = node;
	memcpy(r->ram + REQUEST, &h, sizeof(h));
	memcpy(r->ram + REQUEST + sizeof(h), body, len);
	descs(r, 1)[0] = (struct vring_desc){ REQUEST, h.len, VRING_DESC_F_NEXT, 1 };
	descs(r, 1)[1] = (struct vring_desc){ REPLY, REPLY_LEN, VRING_DESC_F_WRITE, 0 };
	post(r, 1, 0);
	for (unsigned i = 0; i < YIELDS; i++)
		sched_yield();
}

static void step(struct rig *r, uint8_t op, struct cur *c)
{
	uint64_t value = 0;
	const void *bytes;
	uint16_t at;
	uint8_t len;

	switch (op % 8) {
	case 0:
		if (cur_u16(c, &at) && cur_u8(c, &len) && cur_copy(c, &value, sizeof(uint32_t)))
			mmio_write(&r->m, at % VMM_VIRTIO_STEP, &value, len % 9);
		break;
	case 1:
		if (cur_u16(c, &at) && cur_u8(c, &len))
			mmio_read(&r->m, at % VMM_VIRTIO_STEP, &value, len % 9);
		break;
	case 2:
		if (cur_u16(c, &at) && cur_u8(c, &len) && cur_bytes(c, len, &bytes))
			memcpy(r->ram + at, bytes, len < RAM - at ? len : RAM - at);
		break;
	case 3:
		if (cur_u8(c, &len))
			kick(r, len % r->dev->ops->num_queues);
		break;
	case 4:
		loop_once(r->l, 0);
		break;
	case 5:
		if (cur_u8(c, &len))
			set_up(r, len);
		break;
	case 6:
		chain(r, c);
		break;
	case 7:
		if (r->dev->ops->id == VIRTIO_ID_FS)
			fuse_request(r, c);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cur c = cur_of(data, size);
	struct rig r = { .l = loop_new(NULL) };
	struct fuse_share share = { .name = "root", .upper = upper };
	const struct net_config conf = { .host_loopback = true };
	const uint8_t mac[NET_MAC_LEN] = { 2 };
	struct fuse *fs = NULL;
	uint8_t which, op;

	prepare();
	if (!cur_u8(&c, &which))
		which = 0;
	r.v = (struct vmm){ .loop = r.l, .loop_thread = pthread_self() };
	r.ram = mmap(NULL, RAM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	r.v.mem = (struct gmem){ 1, { { 0, RAM, r.ram } } };
	if (which % 4 == 3) {
		r.dev = virtio_net_new(r.l, mac, &conf, NULL, NULL);
	} else if (which % 4 == 2) {
		fs = fuse_new(&share, 1, NULL);
		r.dev = fs ? virtio_fs_new(r.l, "root", fs, NULL, NULL) : NULL;
	} else {
		r.dev = which % 4 ? virtio_balloon_new(r.l) : virtio_rng_new(r.l);
	}
	if (r.dev == NULL || mmio_init(&r.m, &r.v, r.dev, 0, NULL) < 0)
		abort();
	for (unsigned i = 0; i < STEPS_MAX && cur_u8(&c, &op); i++)
		step(&r, op, &c);
	loop_once(r.l, 0);
	mmio_free(&r.m);
	if (fs)
		virtio_fs_free(r.dev);
	else if (which % 4 == 3)
		virtio_net_free(r.dev);
	else if (which % 4)
		virtio_balloon_free(r.dev);
	else
		virtio_rng_free(r.dev);
	if (fs)
		fuse_free(fs);
	loop_free(r.l);
	munmap(r.ram, RAM);
	return 0;
}
