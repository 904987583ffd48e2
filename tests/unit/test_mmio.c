/* test_mmio.c: virtio-mmio's registers as a driver uses and misuses them (runtime/vmm/mmio.c). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "runtime/vmm/vmm.h"

#define RAM	 (1U << 20)
#define QUEUE_AT 0x10000

struct fake {
	struct virtio_device d;
	struct virtq *q[2];
	unsigned starts, stops, resets;
	uint64_t features;
	bool refuse;
	const char *tag;
	void *shm;
};

static void fake_config(struct virtio_device *d, uint32_t off, void *buf, uint32_t len)
{
	struct fake *f = (struct fake *)d;

	(void)off;
	memset(buf, 0, len);
	memcpy(buf, f->tag ? f->tag : "tag", 3);
}

static void fake_features(struct virtio_device *d, uint64_t features)
{
	((struct fake *)d)->features = features;
}

static int fake_start(struct virtio_device *d, unsigned i, struct virtq *q, struct err *e)
{
	struct fake *f = (struct fake *)d;

	if (f->refuse)
		return err_set(e, EIO, "refused");
	f->q[i] = q;
	f->starts++;
	return 0;
}

static void fake_stop(struct virtio_device *d, unsigned i)
{
	((struct fake *)d)->q[i] = NULL;
	((struct fake *)d)->stops++;
}

static void fake_reset(struct virtio_device *d)
{
	((struct fake *)d)->resets++;
}

static const struct virtio_device_ops fake_ops = {
	.name = "fake",
	.id = VIRTIO_ID_FS,
	.num_queues = 2,
	.queue_size_max = 256,
	.features = 1ULL << 3,
	.config_read = fake_config,
	.set_features = fake_features,
	.queue_start = fake_start,
	.queue_stop = fake_stop,
	.reset = fake_reset,
};

struct rig {
	struct vmm v;
	struct fake f;
	struct mmio_dev m;
	uint8_t *ram, *page;
};

static int set_up(void **state)
{
	struct rig *r = calloc(1, sizeof(*r));

	r->ram = calloc(1, RAM);
	r->v.loop_thread = pthread_self();
	r->v.mem = (struct gmem){ .n = 1, .r = { { 0, RAM, r->ram } } };
	r->f.d.ops = &fake_ops;
	assert_int_equal(mmio_init(&r->m, &r->v, &r->f.d, 0, NULL), 0);
	*state = r;
	return 0;
}

/* The same with the registers in a page: get() then compares the two. */
static int set_up_shown(void **state)
{
	struct rig *r;

	set_up(state);
	r = *state;
	r->page = calloc(1, VMM_VIRTIO_STEP);
	mmio_show(&r->m, r->page);
	return 0;
}

static int tear_down(void **state)
{
	struct rig *r = *state;

	mmio_free(&r->m);
	free(r->page);
	free(r->ram);
	free(r);
	return 0;
}

static uint32_t get(struct rig *r, uint64_t off)
{
	uint32_t v = 0xdeadbeef;

	mmio_read(&r->m, off, &v, sizeof(v));
	/* the generation tells of change, its value means nothing */
	if (r->page && off != VIRTIO_MMIO_CONFIG_GENERATION)
		assert_memory_equal(r->page + off, &v, sizeof(v));
	return v;
}

static void set(struct rig *r, uint64_t off, uint32_t v)
{
	mmio_write(&r->m, off, &v, sizeof(v));
}

static void negotiate(struct rig *r)
{
	set(r, VIRTIO_MMIO_STATUS, 0);
	set(r, VIRTIO_MMIO_STATUS, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	set(r, VIRTIO_MMIO_STATUS, VIRTIO_CONFIG_S_DRIVER);
	set(r, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 0);
	set(r, VIRTIO_MMIO_DRIVER_FEATURES, 1U << 3);
	set(r, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
	set(r, VIRTIO_MMIO_DRIVER_FEATURES, 1U << (VIRTIO_F_VERSION_1 - 32));
	set(r, VIRTIO_MMIO_STATUS, VIRTIO_CONFIG_S_FEATURES_OK);
}

static void set_queue(struct rig *r, unsigned i, uint32_t num, uint64_t at)
{
	set(r, VIRTIO_MMIO_QUEUE_SEL, i);
	set(r, VIRTIO_MMIO_QUEUE_NUM, num);
	set(r, VIRTIO_MMIO_QUEUE_DESC_LOW, (uint32_t)at);
	set(r, VIRTIO_MMIO_QUEUE_DESC_HIGH, (uint32_t)(at >> 32));
	set(r, VIRTIO_MMIO_QUEUE_AVAIL_LOW, (uint32_t)(at + 0x1000));
	set(r, VIRTIO_MMIO_QUEUE_AVAIL_HIGH, (uint32_t)(at >> 32));
	set(r, VIRTIO_MMIO_QUEUE_USED_LOW, (uint32_t)(at + 0x2000));
	set(r, VIRTIO_MMIO_QUEUE_USED_HIGH, (uint32_t)(at >> 32));
	set(r, VIRTIO_MMIO_QUEUE_READY, 1);
}

static void test_identity(void **state)
{
	struct rig *r = *state;
	char tag[4] = "";

	assert_int_equal(get(r, VIRTIO_MMIO_MAGIC_VALUE), 0x74726976);
	assert_int_equal(get(r, VIRTIO_MMIO_VERSION), 2);
	assert_int_equal(get(r, VIRTIO_MMIO_DEVICE_ID), VIRTIO_ID_FS);
	set(r, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 0);
	assert_true(get(r, VIRTIO_MMIO_DEVICE_FEATURES) & 1U << 3);
	set(r, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 1);
	assert_true(get(r, VIRTIO_MMIO_DEVICE_FEATURES) & 1);
	set(r, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 2);
	assert_int_equal(get(r, VIRTIO_MMIO_DEVICE_FEATURES), 0);
	assert_int_equal(get(r, VIRTIO_MMIO_SHM_LEN_LOW), 0xffffffff);
	mmio_read(&r->m, VIRTIO_MMIO_CONFIG, tag, 3);
	assert_string_equal(tag, "tag");
}

static void fake_shm(struct virtio_device *d, void *host)
{
	((struct fake *)d)->shm = host;
}

static uint64_t get_shm(struct rig *r, uint32_t id, uint64_t low)
{
	set(r, VIRTIO_MMIO_SHM_SEL, id);
	return get(r, low) | (uint64_t)get(r, low + 4) << 32;
}

static void test_shared_memory(void **state)
{
	struct rig *r = *state;
	struct virtio_device_ops ops = fake_ops;
	const uint64_t size = 3ULL << 32 | 2U << 20;

	assert_int_equal(get_shm(r, 0, VIRTIO_MMIO_SHM_LEN_LOW), UINT64_MAX);
	ops.shm_set = fake_shm;
	r->f.d.ops = &ops;
	mmio_set_shm(&r->m, VMM_WINDOW_BASE, size, r->ram);
	assert_ptr_equal(r->f.shm, r->ram);
	assert_int_equal(get_shm(r, 0, VIRTIO_MMIO_SHM_LEN_LOW), size);
	assert_int_equal(get_shm(r, 0, VIRTIO_MMIO_SHM_BASE_LOW), VMM_WINDOW_BASE);
	assert_int_equal(get_shm(r, 1, VIRTIO_MMIO_SHM_LEN_LOW), UINT64_MAX);
	assert_int_equal(get_shm(r, UINT32_MAX, VIRTIO_MMIO_SHM_LEN_LOW), UINT64_MAX);
	set(r, VIRTIO_MMIO_STATUS, 0); /* the region stays, the selection does not */
	assert_int_equal(get(r, VIRTIO_MMIO_SHM_LEN_LOW), (uint32_t)size);
	/* no ring lies in it */
	r->v.mem.window = (struct gmem_region){ VMM_WINDOW_BASE, RAM, r->ram };
	negotiate(r);
	set_queue(r, 0, 8, VMM_WINDOW_BASE);
	assert_int_equal(r->f.starts, 0);
	assert_true(get(r, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_NEEDS_RESET);
	mmio_set_shm(&r->m, 0, 0, NULL);
	assert_null(r->f.shm);
	r->f.d.ops = &fake_ops;
}

static void test_life_of_a_queue(void **state)
{
	struct rig *r = *state;
	uint64_t n;

	negotiate(r);
	assert_true(get(r, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_FEATURES_OK);
	assert_int_equal(r->f.features, 1ULL << 3 | 1ULL << VIRTIO_F_VERSION_1);
	set_queue(r, 1, 128, QUEUE_AT);
	assert_int_equal(get(r, VIRTIO_MMIO_QUEUE_READY), 1);
	assert_int_equal(r->f.starts, 1);
	assert_ptr_equal(r->f.q[1]->desc, r->ram + QUEUE_AT);
	assert_int_equal(r->f.q[1]->size, 128);
	set_queue(r, 1, 64, 0); /* ready already: nothing changes */
	assert_int_equal(r->f.starts, 1);
	assert_int_equal(r->f.q[1]->size, 128);

	r->f.q[1]->signal(r->f.q[1]);
	assert_int_equal(get(r, VIRTIO_MMIO_INTERRUPT_STATUS), VIRTIO_MMIO_INT_VRING);
	assert_int_equal(read(r->m.irq_fd, &n, sizeof(n)), sizeof(n));
	set(r, VIRTIO_MMIO_INTERRUPT_ACK, VIRTIO_MMIO_INT_VRING);
	assert_int_equal(get(r, VIRTIO_MMIO_INTERRUPT_STATUS), 0);

	set(r, VIRTIO_MMIO_STATUS, 0);
	assert_int_equal(r->f.stops, 1);
	assert_int_equal(r->f.resets, 2);
	assert_int_equal(get(r, VIRTIO_MMIO_STATUS), 0);
	assert_int_equal(get(r, VIRTIO_MMIO_QUEUE_READY), 0);
}

static void test_features_that_were_not_offered(void **state)
{
	struct rig *r = *state;

	set(r, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 0);
	set(r, VIRTIO_MMIO_DRIVER_FEATURES, 1U << 4);
	set(r, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
	set(r, VIRTIO_MMIO_DRIVER_FEATURES, 1);
	set(r, VIRTIO_MMIO_STATUS, VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK);
	assert_false(get(r, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_FEATURES_OK);
	set_queue(r, 0, 128, QUEUE_AT); /* not before FEATURES_OK */
	assert_int_equal(r->f.starts, 0);
}

static void test_rings_outside_of_memory(void **state)
{
	static const struct {
		uint32_t num;
		uint64_t at;
	} bad[] = {
		{ 128, RAM },	       { 128, RAM - 0x2000 },	 { 128, UINT64_MAX - 0x2fff },
		{ 0, QUEUE_AT },       { 100, QUEUE_AT },	 { 512, QUEUE_AT },
		{ 128, QUEUE_AT + 1 }, { 0x80000000, QUEUE_AT },
	};
	struct rig *r = *state;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		negotiate(r);
		assert_false(get(r, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_NEEDS_RESET);
		set_queue(r, 0, bad[i].num, bad[i].at);
		assert_int_equal(get(r, VIRTIO_MMIO_QUEUE_READY), 0);
		assert_true(get(r, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_NEEDS_RESET);
	}
	assert_int_equal(r->f.starts, 0);
}

static void test_configuration_that_changes(void **state)
{
	struct rig *r = *state;
	uint32_t before = get(r, VIRTIO_MMIO_CONFIG_GENERATION);
	uint32_t shown_before = 0;
	char tag[4] = "";

	if (r->page)
		memcpy(&shown_before, r->page + VIRTIO_MMIO_CONFIG_GENERATION, 4);
	r->f.tag = "new";
	mmio_read(&r->m, VIRTIO_MMIO_CONFIG, tag, 3);
	assert_string_equal(tag, "tag"); /* until the device says so */
	r->f.d.config_changed(&r->f.d, false);
	mmio_read(&r->m, VIRTIO_MMIO_CONFIG, tag, 3);
	assert_string_equal(tag, "new");
	assert_int_not_equal(get(r, VIRTIO_MMIO_CONFIG_GENERATION), before);
	if (r->page) {
		assert_memory_equal(r->page + VIRTIO_MMIO_CONFIG, "new", 3);
		assert_memory_not_equal(r->page + VIRTIO_MMIO_CONFIG_GENERATION, &shown_before, 4);
	}
	assert_int_equal(get(r, VIRTIO_MMIO_INTERRUPT_STATUS), 0);
	r->f.d.config_changed(&r->f.d, true);
	assert_int_equal(get(r, VIRTIO_MMIO_INTERRUPT_STATUS), VIRTIO_MMIO_INT_CONFIG);
}

static void test_nonsense_is_harmless(void **state)
{
	struct rig *r = *state;
	uint8_t byte[8] = { 0xff };

	set(r, VIRTIO_MMIO_QUEUE_SEL, 0xffffffff);
	assert_int_equal(get(r, VIRTIO_MMIO_QUEUE_NUM_MAX), 0);
	set_queue(r, 2, 128, QUEUE_AT);
	assert_int_equal(r->f.starts, 0);
	mmio_write(&r->m, VIRTIO_MMIO_STATUS, byte, 1);
	mmio_write(&r->m, VIRTIO_MMIO_STATUS + 1, byte, 4);
	mmio_write(&r->m, 0xffc, byte, 4);
	mmio_read(&r->m, 0xfff, byte, 8);
	mmio_read(&r->m, VIRTIO_MMIO_CONFIG + VMM_CONFIG_MAX - 1, byte, 8);
	assert_int_equal(get(r, VIRTIO_MMIO_STATUS), 0);
	r->f.refuse = true;
	negotiate(r);
	set_queue(r, 0, 128, QUEUE_AT);
	assert_true(get(r, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_NEEDS_RESET);
}

/* What of a VM is there when its start fails half way is taken down again. */
static void test_vcpu_that_was_not_made(void **state)
{
	struct vcpu c = { .fd = -1, .run = MAP_FAILED };

	(void)state;
	vcpu_kick(&c);
	vcpu_free(&c);
}

int main(void)
{
#define BOTH(test)                                                \
	cmocka_unit_test_setup_teardown(test, set_up, tear_down), \
		cmocka_unit_test_setup_teardown(test, set_up_shown, tear_down)
	const struct CMUnitTest tests[] = {
		BOTH(test_identity),
		BOTH(test_shared_memory),
		BOTH(test_life_of_a_queue),
		BOTH(test_features_that_were_not_offered),
		BOTH(test_rings_outside_of_memory),
		BOTH(test_configuration_that_changes),
		BOTH(test_nonsense_is_harmless),
		cmocka_unit_test(test_vcpu_that_was_not_made),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
