/* vmm.h: what the files of the built-in KVM machine share. */
#ifndef ZL_VMM_VMM_H
#define ZL_VMM_VMM_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "runtime/base/confine.h"
#include "runtime/base/err.h"
#include "runtime/base/loop.h"
#include "runtime/machine.h"
#include "runtime/virtio/device.h"

/*
 * Theory of operation.
 *
 * One thread per vcpu runs the guest; the holder's main loop runs the
 * devices. A vcpu thread leaves KVM_RUN only for what is rare: the driver
 * writes virtio-mmio's registers while it sets a device up, the serial port when the
 * guest's kernel dies young, and its end. Kicks come through ioeventfd and
 * interrupts go through irqfd, past the vcpu threads.
 *
 * virtio-mmio's registers are plain values kept by the transport (mmio.c)
 * under its lock; what concerns a device (features, queues, reset) is
 * carried to the loop's thread by vmm_call, and the vcpu waits for it, as a
 * real bus would.
 *
 * What the guest sees (no PCI, no ACPI, no PIT, no RTC):
 *
 *	0		 .. LOW_END	RAM; MP table and PVH start info below 640 KiB
 *	VIRTIO_BASE + n * VIRTIO_STEP	virtio-mmio device n, GSI VIRTIO_IRQ + n
 *	4 GiB		 ..		the RAM that did not fit below VMM_HOLE, or the
 *					room for memory that is plugged in later
 *	WINDOW_BASE	 ..		shared memory of the device that has it (DAX), if the
 *					processor's physical addresses reach so far (39 bits do)
 *	port 0x3f8	serial: the kernel's last words while it has no console device
 *	port 0x501	the guest's end, whatever is written
 */
#define VMM_HOLE	0xc0000000ULL /* first address that is no RAM below 4 GiB */
#define VMM_HIGH	0x100000000ULL
#define VMM_MORE_FIRST	(256ULL << 20)	/* the first slot of what comes later; they double */
#define VMM_WINDOW_BASE 0x6000000000ULL /* 384 GiB: all below it can be RAM */
#define VMM_WINDOW_SLOT 31		/* KVM's number for it; RAM counts from 0 */
#define VMM_SHOWN_SLOT	30		/* and for the devices' registers */
#define VMM_VIRTIO_BASE 0xd0000000ULL
#define VMM_VIRTIO_STEP 0x1000ULL
#define VMM_VIRTIO_IRQ	5 /* GSI of device 0; an IOAPIC has 24 */
#define VMM_PORT_SERIAL 0x3f8
#define VMM_PORT_END	0x501
#define VMM_CPUS_MAX	64
#define VMM_CONFIG_MAX	256 /* bytes of a device's configuration space */

struct vmm;

/* mmio.c: one virtio-mmio device (virtio 1.2, 4.2). */
struct mmio_queue {
	struct virtq q;
	uint32_t num;
	uint64_t desc, avail, used;
	bool ready;
};

struct mmio_dev {
	struct vmm *vmm;
	struct virtio_device *dev;
	unsigned index;
	int irq_fd;	/* eventfd of the irqfd */
	uint8_t *shown; /* the registers as the guest reads them; NULL: by exits */
	_Atomic uint32_t *interrupt_status, own_status; /* there, or here */
	pthread_mutex_t lock;				/* the registers below */
	uint32_t device_features_sel, driver_features_sel;
	uint64_t driver_features;
	uint32_t queue_sel;
	uint32_t status;
	atomic_bool broken; /* the device stopped: NEEDS_RESET, until reset */
	/* what config_read says; not under `lock`, which a vcpu holds while it waits for the loop
	 */
	pthread_mutex_t config_lock;
	atomic_uint config_generation;
	uint32_t shm_sel;
	uint64_t shm_gpa, shm_size; /* its shared memory region 0; size 0: none */
	uint8_t config[VMM_CONFIG_MAX];
	struct mmio_queue queues[VIRTIO_QUEUES_MAX];
};

int mmio_init(struct mmio_dev *d, struct vmm *vmm, struct virtio_device *dev, unsigned index,
	      struct err *e);
/* Connects its interrupt and its queues' kicks to KVM. */
int mmio_attach(struct mmio_dev *d, struct err *e);
/* Gives the device its shared memory region 0 (virtio 1.2, 4.2.2.1). */
void mmio_set_shm(struct mmio_dev *d, uint64_t gpa, uint64_t size, void *host);
/* From now on the guest reads its registers in this page; before mmio_attach. */
void mmio_show(struct mmio_dev *d, uint8_t *page);
/* Stops the queues, takes the shared memory back; on the loop's thread. */
void mmio_free(struct mmio_dev *d);
/* A register access of the guest's: offset below VMM_VIRTIO_STEP, any length; vcpu threads. */
void mmio_read(struct mmio_dev *d, uint64_t off, void *data, uint32_t len);
void mmio_write(struct mmio_dev *d, uint64_t off, const void *data, uint32_t len);

/* serial.c: as much of a 16550A as Linux's earlyprintk asks for. */
struct serial {
	int fd; /* where the text goes */
	size_t written;
	uint8_t lcr;
};
uint8_t serial_in(struct serial *s, unsigned reg);
void serial_out(struct serial *s, unsigned reg, uint8_t v);

struct vcpu {
	struct vmm *vmm;
	unsigned index;
	int fd;
	struct kvm_run *run;
	pthread_t thread;
	bool started;
};

/* Why the VM ended: the first vcpu to meet the end says so. */
enum vmm_end {
	VMM_RUNNING,
	VMM_POWERED_OFF, /* by VMM_PORT_END */
	VMM_TRIPLE_FAULT,
	VMM_ERROR,
};

struct vmm {
	struct machine m;
	struct loop *loop;
	pthread_t loop_thread;
	struct confine confine; /* of vcpu threads */
	machine_end_fn *ended;
	void *ended_arg;

	int kvm_fd, vm_fd;
	long run_size;
	uint8_t *ram; /* all of guest memory at the start, low part first */
	uint64_t ram_size;
	uint8_t *more; /* what may be plugged in later; NULL: nothing */
	uint64_t more_size;
	uint64_t more_given; /* so much of it the guest can reach */
	unsigned slots;	     /* of KVM's, in use */
	struct gmem mem;
	uint8_t *shown; /* pages of the devices' registers; NULL: none */
	int acked_fd;	/* eventfd: takes the acknowledgements of interrupts */
	void *window;	/* reserved for mem.window, with what aligns it */
	size_t window_size;
	struct serial serial;
	pthread_mutex_t serial_lock;

	unsigned ndevs;
	struct mmio_dev devs[MACHINE_DEVICES_MAX];
	unsigned ncpus;
	struct vcpu *cpus;

	/* calls from vcpu threads to the loop's thread, and the end */
	int call_fd; /* eventfd */
	struct loop_watch *call_watch;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	struct vmm_call *calls;
	bool entered;	/* a driver was heard; the loop's thread */
	bool stop;	/* vcpu threads are to end */
	bool pause;	/* vcpu threads are to wait */
	unsigned awake; /* vcpu threads that neither wait nor have ended */
	enum vmm_end end;
	char end_text[256];
};

/*
 * Runs fn(arg) on the loop's thread and waits for it (at once, when called
 * on that thread: tests drive registers without vcpus). False, without having
 * run it, when the VM is being ended.
 */
struct vmm_call {
	struct vmm_call *next;
	void (*fn)(void *arg);
	void *arg;
	bool done, dropped;
};
bool vmm_call(struct vmm *v, void (*fn)(void *arg), void *arg);

/* Notes the end of the VM (the first note counts) and wakes the loop. */
void vmm_set_end(struct vmm *v, enum vmm_end end, const char *text);

/* vcpu.c */
extern const struct confine_list vcpu_calls;
int vcpu_init(struct vcpu *c, struct vmm *v, unsigned index, struct err *e);
int vcpu_start(struct vcpu *c, struct err *e);
/* Makes it leave KVM_RUN soon; any thread. */
void vcpu_kick(struct vcpu *c);
/* Serves what c->run says it left KVM_RUN for; false: the VM has come to its end. */
bool vcpu_exit(struct vcpu *c);
/* After vmm.stop was set and the vcpu kicked. */
void vcpu_free(struct vcpu *c);

/*
 * shown.c: the pages in which the guest reads the registers of all devices, a
 * page each. Without them (v->shown stays NULL) reading leaves the guest.
 */
void shown_add(struct vmm *v);
void shown_free(struct vmm *v);

/*
 * window.c: the address space for a device's shared memory. Its absence is no
 * error: where the host cannot, the device does without.
 */
void window_add(struct vmm *v, struct mmio_dev *d);
/* After the device has let go of it. */
void window_free(struct vmm *v);

/* boot.c: fills guest memory; *entry is the PVH entry point, *info the start info's address. */
int boot_load(struct vmm *v, const struct machine_spec *spec, const char *cmdline, uint32_t *entry,
	      uint32_t *info, struct err *e);

/* x86.c: a vcpu's first state. */
int x86_vm_init(struct vmm *v, struct err *e);
int x86_vcpu_init(struct vcpu *c, uint32_t entry, uint32_t info, struct err *e);
/*
 * Writes the MP table (Intel MP specification 1.4) into low memory: all of
 * [X86_LOW_END, 640 KiB) is its own.
 */
#define X86_LOW_END 0x9e000
void x86_mp_table(uint8_t *ram, unsigned ncpus);
/* One line with the registers, for --debug. */
void x86_dump(struct vcpu *c);

#endif
