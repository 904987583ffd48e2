/* shown.c: pages in which the guest reads the registers of its devices without leaving. */
#include <errno.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "runtime/base/log.h"
#include "runtime/vmm/vmm.h"

/*
 * To KVM they are memory that the guest cannot write: reading it is reading
 * memory, and a write comes to the vcpu's thread, or to an ioeventfd, as if
 * nothing were there.
 */

#define SHOWN_SIZE (MACHINE_DEVICES_MAX * VMM_VIRTIO_STEP)

static const char *add(struct vmm *v)
{
	struct kvm_userspace_memory_region slot = {
		.slot = VMM_SHOWN_SLOT,
		.flags = KVM_MEM_READONLY,
		.guest_phys_addr = VMM_VIRTIO_BASE,
		.memory_size = SHOWN_SIZE,
	};
	void *p =
		mmap(NULL, SHOWN_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return strerror(errno);
	slot.userspace_addr = (uintptr_t)p;
	v->acked_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (v->acked_fd >= 0 && ioctl(v->vm_fd, KVM_SET_USER_MEMORY_REGION, &slot) == 0) {
		v->shown = p;
		return NULL;
	}
	munmap(p, SHOWN_SIZE);
	return strerror(errno);
}

void shown_add(struct vmm *v)
{
	const char *why = add(v);

	if (why)
		log_step("registers are read by exits: %s", why);
}

void shown_free(struct vmm *v)
{
	if (v->shown)
		munmap(v->shown, SHOWN_SIZE);
	if (v->acked_fd >= 0)
		close(v->acked_fd);
}
