/* fuzz_memory.c: a guest that writes anything to its balloon and virtio-mem: registers, rings,
 * requests. */
#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "runtime/base/cursor.h"
#include "runtime/virtio/balloon.h"
#include "runtime/virtio/memdev.h"
#include "runtime/vmm/vmm.h"

/*
 * The input: a byte that chooses the device, then a script of steps, each an
 * operation byte and its operands. The guest's memory is small, so that
 * random addresses often meet; the region of virtio-mem is only mapped.
 */
#define RAM	  (64U << 10)
#define MORE_AT	  (4ULL << 30)
#define MORE	  (3 * MEMDEV_BLOCK)
#define STEPS_MAX 512

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void set(struct mmio_dev *m, uint64_t off, uint32_t value)
{
	mmio_write(m, off, &value, sizeof(value));
}

/* What a driver does until queue `i`, of 8 entries, is ready at `at`. */
static void bring_up(struct mmio_dev *m, uint32_t i, uint32_t at)
{
	set(m, VIRTIO_MMIO_STATUS, VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);
	set(m, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
	set(m, VIRTIO_MMIO_DRIVER_FEATURES, 1U << (VIRTIO_F_VERSION_1 - 32));
	set(m, VIRTIO_MMIO_STATUS, VIRTIO_CONFIG_S_FEATURES_OK);
	set(m, VIRTIO_MMIO_QUEUE_SEL, i);
	set(m, VIRTIO_MMIO_QUEUE_NUM, 8);
	set(m, VIRTIO_MMIO_QUEUE_DESC_LOW, at);
	set(m, VIRTIO_MMIO_QUEUE_AVAIL_LOW, at + 0x80);
	set(m, VIRTIO_MMIO_QUEUE_USED_LOW, at + 0x100);
	set(m, VIRTIO_MMIO_QUEUE_READY, 1);
}

static void step(struct mmio_dev *m, uint8_t *ram, uint8_t op, struct cur *c)
{
	uint64_t one = 1, value = 0;
	uint32_t mib;
	const void *bytes;
	uint16_t at;
	uint8_t n;

	switch (op % 7) {
	case 0: /* write a register */
		if (cur_u16(c, &at) && cur_u8(c, &n) && cur_copy(c, &value, sizeof(uint32_t)))
			mmio_write(m, at % VMM_VIRTIO_STEP, &value, n % 9);
		break;
	case 1: /* read one */
		if (cur_u16(c, &at) && cur_u8(c, &n))
			mmio_read(m, at % VMM_VIRTIO_STEP, &value, n % 9);
		break;
	case 2: /* write memory */
		if (cur_u16(c, &at) && cur_u8(c, &n) && cur_bytes(c, n, &bytes))
			memcpy(ram + at, bytes, n < RAM - at ? n : RAM - at);
		break;
	case 3: /* kick */
		if (cur_u8(c, &n) &&
		    write(m->queues[n % m->dev->ops->num_queues].q.kick_fd, &one, sizeof(one)) < 0)
			abort();
		break;
	case 4: /* let the device work */
		loop_once(m->vmm->loop, 0);
		break;
	case 5:
		if (cur_u8(c, &n) && cur_u16(c, &at))
			bring_up(m, n % m->dev->ops->num_queues, at);
		break;
	case 6: /* the host offers more */
		if (cur_u32(c, &mib) && m->dev->ops->id == VIRTIO_ID_MEM)
			memdev_request(m->dev, (uint64_t)mib << 20);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cur c = cur_of(data, size);
	struct loop *l = loop_new(NULL);
	struct vmm v = { .loop = l, .loop_thread = pthread_self() };
	struct virtio_device *dev;
	uint8_t *ram, *more, op = 0;
	struct mmio_dev m;

	cur_u8(&c, &op);
	dev = op & 1 ? memdev_new(l, MORE_AT, MORE) : virtio_balloon_new(l);
	/* a page's alignment, as guest memory has */
	ram = aligned_alloc(4096, RAM);
	more = mmap(NULL, MORE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		    -1, 0);
	if (ram == NULL || more == MAP_FAILED)
		abort();
	memset(ram, 0, RAM);
	v.mem = (struct gmem){ 2, { { 0, RAM, ram }, { MORE_AT, MORE, more } } };
	if (mmio_init(&m, &v, dev, 0, NULL) < 0)
		abort();
	for (unsigned i = 0; i < STEPS_MAX && cur_u8(&c, &op); i++)
		step(&m, ram, op, &c);
	for (unsigned i = 0; i < 4; i++)
		loop_once(l, 0);
	mmio_free(&m);
	if (dev->ops->id == VIRTIO_ID_MEM) {
		if (memdev_plugged(dev) > memdev_requested(dev))
			abort();
		memdev_free(dev);
	} else {
		virtio_balloon_free(dev);
	}
	munmap(more, MORE);
	free(ram);
	loop_free(l);
	return 0;
}
