/* mmio.c: virtio-mmio, version 2 (virtio 1.2, 4.2.2): registers, queues, interrupts. */
#include <errno.h>
#include <linux/kvm.h>
#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <linux/virtio_ring.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "runtime/base/log.h"
#include "runtime/vmm/vmm.h"

#define MMIO_MAGIC   0x74726976 /* "virt" */
#define MMIO_VERSION 2
#define MMIO_VENDOR  0x006c7a /* "zl" */

/*
 * Registers that are read. A register access that leaves the guest costs more
 * than anything else a driver does, and Linux's makes two for each interrupt.
 * So the registers lie in a page that the guest can read (shown.c); only writes
 * leave it, and this page is brought up to date before the writer goes on. The
 * acknowledgement of an interrupt that tells of used buffers is swallowed by
 * KVM: that bit of InterruptStatus then stays set, and a driver that finds
 * nothing in its rings has looked in vain.
 */

#define FEATURES_ALL                                                        \
	(1ULL << VIRTIO_F_VERSION_1 | 1ULL << VIRTIO_RING_F_INDIRECT_DESC | \
	 1ULL << VIRTIO_RING_F_EVENT_IDX)

/* A larger ring only costs the driver time and memory when it fills it. */
#define MMIO_QUEUE_MAX 256

static uint32_t queue_max(const struct mmio_dev *d)
{
	uint32_t max = d->dev->ops->queue_size_max;

	return max < MMIO_QUEUE_MAX ? max : MMIO_QUEUE_MAX;
}

static uint64_t features(const struct mmio_dev *d)
{
	return d->dev->ops->features | FEATURES_ALL;
}

static _Atomic uint32_t *shown_word(const struct mmio_dev *d, uint64_t off)
{
	return (_Atomic uint32_t *)(void *)(d->shown + off);
}

static struct mmio_queue *selected(struct mmio_dev *d)
{
	return d->queue_sel < d->dev->ops->num_queues ? &d->queues[d->queue_sel] : NULL;
}

/* Any thread: the driver reads the status register before it looks at the rings. */
static void interrupt(struct mmio_dev *d, unsigned bit)
{
	uint64_t one = 1;

	atomic_fetch_or(d->interrupt_status, bit);
	if (write(d->irq_fd, &one, sizeof(one)) < 0)
		return; /* the counter is full: an interrupt is pending anyway */
}

static void queue_signal(struct virtq *q)
{
	interrupt(q->signal_arg, VIRTIO_MMIO_INT_VRING);
}

/*
 * What follows up to change() runs on the loop's thread, called by a vcpu
 * that waits and holds d->lock.
 */
struct change {
	struct mmio_dev *d;
	enum { SET_FEATURES, START_QUEUE, STOP_QUEUE, RESET } what;
	unsigned queue;
};

static bool queue_resolve(struct mmio_dev *d, struct mmio_queue *mq)
{
	const struct gmem *mem = &d->vmm->mem;
	uint64_t n = mq->num;

	if (n == 0 || (n & (n - 1)) || n > queue_max(d))
		return false;
	if ((mq->desc & 15) || (mq->avail & 1) || (mq->used & 3))
		return false;
	mq->q.desc = gmem_at(mem, mq->desc, n * sizeof(struct vring_desc));
	mq->q.avail = gmem_at(mem, mq->avail, sizeof(uint16_t) * (3 + n));
	mq->q.used =
		gmem_at(mem, mq->used, sizeof(uint16_t) * 3 + n * sizeof(struct vring_used_elem));
	return mq->q.desc && mq->q.avail && mq->q.used;
}

static void needs_reset(struct mmio_dev *d)
{
	atomic_store(&d->broken, true);
	if (d->shown)
		atomic_fetch_or(shown_word(d, VIRTIO_MMIO_STATUS), VIRTIO_CONFIG_S_NEEDS_RESET);
	interrupt(d, VIRTIO_MMIO_INT_CONFIG);
}

static void start_queue(struct mmio_dev *d, unsigned index)
{
	struct mmio_queue *mq = &d->queues[index];
	struct err e = ERR_INIT;

	if (!queue_resolve(d, mq)) {
		needs_reset(d);
		return;
	}
	mq->q.mem = &d->vmm->mem;
	mq->q.size = (uint16_t)mq->num;
	mq->q.event_idx = d->driver_features >> VIRTIO_RING_F_EVENT_IDX & 1;
	mq->q.next = 0;
	mq->q.signal = queue_signal;
	mq->q.signal_arg = d;
	virtq_init(&mq->q);
	if (d->dev->ops->queue_start(d->dev, index, &mq->q, &e) < 0) {
		needs_reset(d);
		return;
	}
	mq->ready = true;
}

static void stop_queue(struct mmio_dev *d, unsigned index)
{
	if (d->queues[index].ready)
		d->dev->ops->queue_stop(d->dev, index);
	d->queues[index].ready = false;
	virtq_stop(&d->queues[index].q);
}

static void reset(struct mmio_dev *d)
{
	for (unsigned i = 0; i < d->dev->ops->num_queues; i++) {
		struct mmio_queue *mq = &d->queues[i];

		stop_queue(d, i);
		mq->num = 0;
		mq->desc = mq->avail = mq->used = 0;
	}
	if (d->dev->ops->reset)
		d->dev->ops->reset(d->dev);
	d->driver_features = 0;
	d->status = 0;
	atomic_store(&d->broken, false);
	d->queue_sel = d->device_features_sel = d->driver_features_sel = d->shm_sel = 0;
	atomic_store(d->interrupt_status, 0);
}

/* The first sign of life: the kernel has come as far as its drivers. */
static void tell_kernel(const struct mmio_dev *d)
{
	if (!d->vmm->entered)
		log_step("kernel entered: its driver of the %s device is up", d->dev->ops->name);
	d->vmm->entered = true;
}

static void change_on_loop(void *arg)
{
	struct change *c = arg;

	switch (c->what) {
	case SET_FEATURES:
		tell_kernel(c->d);
		if (c->d->dev->ops->set_features)
			c->d->dev->ops->set_features(c->d->dev, c->d->driver_features);
		break;
	case START_QUEUE:
		start_queue(c->d, c->queue);
		break;
	case STOP_QUEUE:
		stop_queue(c->d, c->queue);
		break;
	case RESET:
		reset(c->d);
		break;
	}
}

static void change(struct mmio_dev *d, int what, unsigned queue)
{
	struct change c = { .d = d, .what = what, .queue = queue };

	vmm_call(d->vmm, change_on_loop, &c);
}

static void write_status(struct mmio_dev *d, uint32_t v)
{
	uint32_t was = d->status;

	if (v == 0) {
		change(d, RESET, 0);
		return;
	}
	/* bits are only ever added, and FEATURES_OK only if the features are ours */
	v = (v & 0xff) | was;
	if ((v & VIRTIO_CONFIG_S_FEATURES_OK) && !(was & VIRTIO_CONFIG_S_FEATURES_OK)) {
		if ((d->driver_features & ~features(d)) ||
		    !(d->driver_features >> VIRTIO_F_VERSION_1 & 1))
			v &= ~(uint32_t)VIRTIO_CONFIG_S_FEATURES_OK;
		else
			change(d, SET_FEATURES, 0);
	}
	d->status = v;
}

static void write_ready(struct mmio_dev *d, uint32_t v)
{
	struct mmio_queue *mq = selected(d);

	if (mq == NULL)
		return;
	if (v && !mq->ready && (d->status & VIRTIO_CONFIG_S_FEATURES_OK))
		change(d, START_QUEUE, d->queue_sel);
	else if (!v && mq->ready)
		change(d, STOP_QUEUE, d->queue_sel);
}

static void set_half(uint64_t *v, bool high, uint32_t half)
{
	if (high)
		*v = (*v & 0xffffffff) | (uint64_t)half << 32;
	else
		*v = (*v & ~0xffffffffULL) | half;
}

static void write_queue_address(struct mmio_dev *d, uint64_t off, uint32_t v)
{
	struct mmio_queue *mq = selected(d);

	if (mq == NULL || mq->ready)
		return;
	switch (off) {
	case VIRTIO_MMIO_QUEUE_NUM:
		mq->num = v;
		break;
	case VIRTIO_MMIO_QUEUE_DESC_LOW:
	case VIRTIO_MMIO_QUEUE_DESC_HIGH:
		set_half(&mq->desc, off == VIRTIO_MMIO_QUEUE_DESC_HIGH, v);
		break;
	case VIRTIO_MMIO_QUEUE_AVAIL_LOW:
	case VIRTIO_MMIO_QUEUE_AVAIL_HIGH:
		set_half(&mq->avail, off == VIRTIO_MMIO_QUEUE_AVAIL_HIGH, v);
		break;
	case VIRTIO_MMIO_QUEUE_USED_LOW:
	case VIRTIO_MMIO_QUEUE_USED_HIGH:
		set_half(&mq->used, off == VIRTIO_MMIO_QUEUE_USED_HIGH, v);
		break;
	}
}

static void write_register(struct mmio_dev *d, uint64_t off, uint32_t v)
{
	switch (off) {
	case VIRTIO_MMIO_DEVICE_FEATURES_SEL:
		d->device_features_sel = v;
		break;
	case VIRTIO_MMIO_DRIVER_FEATURES_SEL:
		d->driver_features_sel = v;
		break;
	case VIRTIO_MMIO_DRIVER_FEATURES:
		if (d->driver_features_sel < 2 && !(d->status & VIRTIO_CONFIG_S_FEATURES_OK))
			set_half(&d->driver_features, d->driver_features_sel == 1, v);
		break;
	case VIRTIO_MMIO_QUEUE_SEL:
		d->queue_sel = v;
		break;
	case VIRTIO_MMIO_SHM_SEL:
		d->shm_sel = v;
		break;
	case VIRTIO_MMIO_QUEUE_READY:
		write_ready(d, v);
		break;
	case VIRTIO_MMIO_INTERRUPT_ACK:
		atomic_fetch_and(d->interrupt_status, ~v);
		break;
	case VIRTIO_MMIO_STATUS:
		write_status(d, v);
		break;
	default:
		write_queue_address(d, off, v);
	}
}

/* A region that does not exist has length ~0 (4.2.2.1); Linux looks at nothing else then. */
static uint32_t read_shm(const struct mmio_dev *d, uint64_t off)
{
	if (d->shm_sel || d->shm_size == 0)
		return ~0U;
	switch (off) {
	case VIRTIO_MMIO_SHM_LEN_LOW:
		return (uint32_t)d->shm_size;
	case VIRTIO_MMIO_SHM_LEN_HIGH:
		return (uint32_t)(d->shm_size >> 32);
	case VIRTIO_MMIO_SHM_BASE_LOW:
		return (uint32_t)d->shm_gpa;
	default:
		return (uint32_t)(d->shm_gpa >> 32);
	}
}

static uint32_t read_register(struct mmio_dev *d, uint64_t off)
{
	struct mmio_queue *mq = selected(d);

	switch (off) {
	case VIRTIO_MMIO_MAGIC_VALUE:
		return MMIO_MAGIC;
	case VIRTIO_MMIO_VERSION:
		return MMIO_VERSION;
	case VIRTIO_MMIO_DEVICE_ID:
		return d->dev->ops->id;
	case VIRTIO_MMIO_VENDOR_ID:
		return MMIO_VENDOR;
	case VIRTIO_MMIO_DEVICE_FEATURES:
		return d->device_features_sel > 1
			       ? 0
			       : (uint32_t)(features(d) >> (32 * d->device_features_sel));
	case VIRTIO_MMIO_QUEUE_NUM_MAX:
		return mq ? queue_max(d) : 0;
	case VIRTIO_MMIO_QUEUE_READY:
		return mq && mq->ready;
	case VIRTIO_MMIO_INTERRUPT_STATUS:
		return atomic_load(d->interrupt_status);
	case VIRTIO_MMIO_STATUS:
		return d->status | (atomic_load(&d->broken) ? VIRTIO_CONFIG_S_NEEDS_RESET : 0);
	case VIRTIO_MMIO_CONFIG_GENERATION:
		return d->config_generation;
	case VIRTIO_MMIO_SHM_LEN_LOW:
	case VIRTIO_MMIO_SHM_LEN_HIGH:
	case VIRTIO_MMIO_SHM_BASE_LOW:
	case VIRTIO_MMIO_SHM_BASE_HIGH:
		return read_shm(d, off);
	}
	return 0;
}

/* After a register was written: others change with it. d->lock is held. */
static void show(struct mmio_dev *d)
{
	static const uint16_t readable[] = {
		VIRTIO_MMIO_MAGIC_VALUE,  VIRTIO_MMIO_VERSION,	       VIRTIO_MMIO_DEVICE_ID,
		VIRTIO_MMIO_VENDOR_ID,	  VIRTIO_MMIO_DEVICE_FEATURES, VIRTIO_MMIO_QUEUE_NUM_MAX,
		VIRTIO_MMIO_QUEUE_READY,  VIRTIO_MMIO_STATUS,	       VIRTIO_MMIO_SHM_LEN_LOW,
		VIRTIO_MMIO_SHM_LEN_HIGH, VIRTIO_MMIO_SHM_BASE_LOW,    VIRTIO_MMIO_SHM_BASE_HIGH,
	};

	if (d->shown == NULL)
		return;
	for (size_t i = 0; i < sizeof(readable) / sizeof(readable[0]); i++)
		atomic_store(shown_word(d, readable[i]), read_register(d, readable[i]));
	if (atomic_load(&d->broken)) /* meanwhile */
		atomic_fetch_or(shown_word(d, VIRTIO_MMIO_STATUS), VIRTIO_CONFIG_S_NEEDS_RESET);
}

/*
 * What the driver reads in pieces is one whole if the generation before and after is the same: it
 * changes before the first byte does, and after the last.
 */
static void show_config(struct mmio_dev *d)
{
	if (d->shown == NULL)
		return;
	atomic_store(shown_word(d, VIRTIO_MMIO_CONFIG_GENERATION),
		     atomic_load(&d->config_generation) * 2 - 1);
	memcpy(d->shown + VIRTIO_MMIO_CONFIG, d->config, sizeof(d->config));
	atomic_store(shown_word(d, VIRTIO_MMIO_CONFIG_GENERATION),
		     atomic_load(&d->config_generation) * 2);
}

void mmio_show(struct mmio_dev *d, uint8_t *page)
{
	d->shown = page;
	d->interrupt_status = shown_word(d, VIRTIO_MMIO_INTERRUPT_STATUS);
	show(d);
	show_config(d);
}

void mmio_read(struct mmio_dev *d, uint64_t off, void *data, uint32_t len)
{
	uint32_t v = 0;

	memset(data, 0, len);
	if (off >= VIRTIO_MMIO_CONFIG) {
		off -= VIRTIO_MMIO_CONFIG;
		pthread_mutex_lock(&d->config_lock);
		if (off < VMM_CONFIG_MAX)
			memcpy(data, d->config + off,
			       len < VMM_CONFIG_MAX - off ? len : VMM_CONFIG_MAX - off);
		pthread_mutex_unlock(&d->config_lock);
		return;
	}
	if (len != sizeof(v) || (off & 3))
		return;
	pthread_mutex_lock(&d->lock);
	v = read_register(d, off);
	pthread_mutex_unlock(&d->lock);
	memcpy(data, &v, sizeof(v));
}

/* No device of ours has a writable configuration space. */
void mmio_write(struct mmio_dev *d, uint64_t off, const void *data, uint32_t len)
{
	uint32_t v;

	if (len != sizeof(v) || (off & 3) || off >= VIRTIO_MMIO_CONFIG)
		return;
	memcpy(&v, data, sizeof(v));
	pthread_mutex_lock(&d->lock);
	write_register(d, off, v);
	show(d);
	pthread_mutex_unlock(&d->lock);
}

static void broken(struct virtio_device *dev, const char *why)
{
	log_step("device %s: %s", dev->ops->name, why);
	needs_reset(dev->transport);
}

static void config_changed(struct virtio_device *dev, bool tell)
{
	struct mmio_dev *d = dev->transport;

	pthread_mutex_lock(&d->config_lock);
	dev->ops->config_read(dev, 0, d->config, sizeof(d->config));
	atomic_fetch_add(&d->config_generation, 1);
	show_config(d);
	pthread_mutex_unlock(&d->config_lock);
	if (tell)
		interrupt(d, VIRTIO_MMIO_INT_CONFIG);
}

int mmio_init(struct mmio_dev *d, struct vmm *vmm, struct virtio_device *dev, unsigned index,
	      struct err *e)
{
	*d = (struct mmio_dev){ .vmm = vmm, .dev = dev, .index = index };
	pthread_mutex_init(&d->lock, NULL);
	pthread_mutex_init(&d->config_lock, NULL);
	d->interrupt_status = &d->own_status;
	dev->broken = broken;
	dev->config_changed = config_changed;
	dev->transport = d;
	if (dev->ops->config_read)
		dev->ops->config_read(dev, 0, d->config, sizeof(d->config));
	d->irq_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	for (unsigned i = 0; i < dev->ops->num_queues; i++)
		d->queues[i].q.kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (d->irq_fd < 0 || d->queues[dev->ops->num_queues - 1].q.kick_fd < 0)
		return err_sys(e, "eventfd");
	return 0;
}

int mmio_attach(struct mmio_dev *d, struct err *e)
{
	struct kvm_irqfd irq = { .fd = (uint32_t)d->irq_fd, .gsi = VMM_VIRTIO_IRQ + d->index };
	/* nobody listens: it is for KVM to swallow what need not come here */
	struct kvm_ioeventfd ack = {
		.datamatch = VIRTIO_MMIO_INT_VRING,
		.addr = VMM_VIRTIO_BASE + d->index * VMM_VIRTIO_STEP + VIRTIO_MMIO_INTERRUPT_ACK,
		.len = sizeof(uint32_t),
		.fd = d->vmm->acked_fd,
		.flags = KVM_IOEVENTFD_FLAG_DATAMATCH,
	};

	if (ioctl(d->vmm->vm_fd, KVM_IRQFD, &irq) < 0)
		return err_sys(e, "KVM_IRQFD");
	if (d->shown && ioctl(d->vmm->vm_fd, KVM_IOEVENTFD, &ack) < 0)
		return err_sys(e, "KVM_IOEVENTFD");
	for (unsigned i = 0; i < d->dev->ops->num_queues; i++) {
		struct kvm_ioeventfd kick = {
			.datamatch = i,
			.addr = VMM_VIRTIO_BASE + d->index * VMM_VIRTIO_STEP +
				VIRTIO_MMIO_QUEUE_NOTIFY,
			.len = sizeof(uint32_t),
			.fd = d->queues[i].q.kick_fd,
			.flags = KVM_IOEVENTFD_FLAG_DATAMATCH,
		};

		if (ioctl(d->vmm->vm_fd, KVM_IOEVENTFD, &kick) < 0)
			return err_sys(e, "KVM_IOEVENTFD");
	}
	return 0;
}

void mmio_set_shm(struct mmio_dev *d, uint64_t gpa, uint64_t size, void *host)
{
	d->shm_gpa = gpa;
	d->shm_size = size;
	show(d);
	d->dev->ops->shm_set(d->dev, host);
}

void mmio_free(struct mmio_dev *d)
{
	if (d->dev == NULL)
		return;
	for (unsigned i = 0; i < d->dev->ops->num_queues; i++) {
		stop_queue(d, i);
		if (d->queues[i].q.kick_fd >= 0)
			close(d->queues[i].q.kick_fd);
	}
	if (d->shm_size)
		mmio_set_shm(d, 0, 0, NULL);
	if (d->irq_fd >= 0)
		close(d->irq_fd);
	pthread_mutex_destroy(&d->lock);
	pthread_mutex_destroy(&d->config_lock);
}
