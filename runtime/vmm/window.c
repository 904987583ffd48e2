/* window.c: guest address space for a device's shared memory: virtiofs maps files into it. */
#include <cpuid.h>
#include <errno.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "runtime/base/log.h"
#include "runtime/vmm/vmm.h"

/*
 * The slot is given to KVM once and never changed. Behind it lies a range of
 * our own address space in which nothing is mapped at first; the device maps
 * files into it and takes them away again by plain mmap, and KVM hears of it
 * through the kernel's MMU notifiers. A vcpu that touches what is not mapped,
 * or what the file cannot provide, leaves KVM_RUN with EFAULT (vcpu.c).
 */

/* As the processor's large pages, and as the guest's ranges. */
#define WINDOW_ALIGN (2ULL << 20)
/* What the processor says of itself when it does not say how far its addresses reach. */
#define PHYS_BITS_DEFAULT 36

static unsigned phys_bits(void)
{
	unsigned a, b, c, d;

	/* KVM gives its guests the host's number */
	return __get_cpuid(0x80000008, &a, &b, &c, &d) ? a & 0xff : PHYS_BITS_DEFAULT;
}

static uint64_t ram_end(const struct vmm *v)
{
	uint64_t end = 0;

	for (unsigned i = 0; i < v->mem.n; i++)
		if (v->mem.r[i].gpa + v->mem.r[i].size > end)
			end = v->mem.r[i].gpa + v->mem.r[i].size;
	return end;
}

static const char *reserve(struct vmm *v, uint64_t size)
{
	struct kvm_userspace_memory_region slot = {
		.slot = VMM_WINDOW_SLOT,
		.guest_phys_addr = VMM_WINDOW_BASE,
		.memory_size = size,
	};
	void *p = mmap(NULL, size + WINDOW_ALIGN, PROT_NONE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		return strerror(errno);
	v->window = p;
	v->window_size = size + WINDOW_ALIGN;
	slot.userspace_addr = ((uintptr_t)p + WINDOW_ALIGN - 1) & ~(WINDOW_ALIGN - 1);
	if (ioctl(v->vm_fd, KVM_SET_USER_MEMORY_REGION, &slot) < 0)
		return strerror(errno);
	v->mem.window = (struct gmem_region){ VMM_WINDOW_BASE, size,
					      (uint8_t *)(uintptr_t)slot.userspace_addr };
	return NULL;
}

void window_add(struct vmm *v, struct mmio_dev *d)
{
	uint64_t size = d->dev->shm_size;
	const char *why = NULL;

	if (v->mem.window.size)
		why = "another device has it";
	else if (VMM_WINDOW_BASE + size > 1ULL << phys_bits())
		why = "the processor's addresses do not reach so far";
	else if (ram_end(v) > VMM_WINDOW_BASE)
		why = "the guest's memory reaches into it";
	else
		why = reserve(v, size);
	if (why) {
		log_step("no DAX window: %s", why);
		return;
	}
	mmio_set_shm(d, VMM_WINDOW_BASE, size, v->mem.window.host);
	log_step("DAX window of %llu MiB for device %s", (unsigned long long)(size >> 20),
		 d->dev->ops->name);
}

void window_free(struct vmm *v)
{
	if (v->window)
		munmap(v->window, v->window_size);
}
