/* x86.c: what is x86's own: the VM's chips, a vcpu's first state, the MP table. */
#include <asm/processor-flags.h>
#include <errno.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "runtime/base/log.h"
#include "runtime/base/own.h"
#include "runtime/base/str.h"
#include "runtime/vmm/vmm.h"

/* Where Intel's real-mode emulation keeps its pages: below 4 GiB, in no RAM. */
#define TSS_ADDR      0xfffbd000
#define IDENTITY_ADDR 0xfffbc000ULL

#define CPUID_ENTRIES	 256
#define LAPIC_ID	 0x20
#define LAPIC_LVT0	 0x350
#define LAPIC_LVT1	 0x360
#define MODE_EXTINT	 0x700
#define MODE_NMI	 0x400
#define MSR_MISC_ENABLE	 0x1a0
#define MISC_FAST_STRING 1

int x86_vm_init(struct vmm *v, struct err *e)
{
	uint64_t identity = IDENTITY_ADDR;

	if (ioctl(v->vm_fd, KVM_SET_IDENTITY_MAP_ADDR, &identity) < 0 ||
	    ioctl(v->vm_fd, KVM_SET_TSS_ADDR, TSS_ADDR) < 0)
		return err_sys(e, "KVM_SET_TSS_ADDR");
	if (ioctl(v->vm_fd, KVM_CREATE_IRQCHIP, 0) < 0)
		return err_sys(e, "KVM_CREATE_IRQCHIP");
	return 0;
}

static void fix_cpuid(struct kvm_cpuid_entry2 *c, unsigned index, unsigned ncpus)
{
	unsigned shift = 0;

	while ((1U << shift) < ncpus)
		shift++;
	switch (c->function) {
	case 1:
		c->ebx = (c->ebx & 0x0000ffff) | index << 24 | (ncpus & 0xff) << 16;
		c->ecx |= 1U << 24 | 1U << 31; /* TSC deadline timer, hypervisor */
		if (ncpus > 1)
			c->edx |= 1U << 28; /* several logical processors */
		break;
	case 4: /* one core per vcpu; the caches are each one's own */
		c->eax = (c->eax & 0x00003fff) | ((1U << shift) - 1) << 26;
		break;
	case 0xb:
	case 0x1f:
		c->edx = index;
		c->ecx = c->index & 0xff;
		c->eax = c->ebx = 0;
		if (c->index == 0) {
			c->ebx = 1;
			c->ecx |= 1 << 8; /* threads */
		} else if (c->index == 1) {
			c->eax = shift;
			c->ebx = ncpus;
			c->ecx |= 2 << 8; /* cores */
		}
		break;
	case 0xa: /* no performance counters: nothing to set up at boot */
		c->eax = c->ebx = c->ecx = c->edx = 0;
		break;
	case 0x80000008:
		c->ecx = (c->ecx & ~0xf0ffU) | shift << 12 | (ncpus - 1);
		break;
	case 0x8000001e:
		c->eax = index;
		c->ebx = index;
		c->ecx = 0;
		break;
	}
}

static int set_cpuid(struct vcpu *c, struct err *e)
{
	own_free struct kvm_cpuid2 *id =
		xcalloc(1, sizeof(*id) + CPUID_ENTRIES * sizeof(id->entries[0]));

	id->nent = CPUID_ENTRIES;
	if (ioctl(c->vmm->kvm_fd, KVM_GET_SUPPORTED_CPUID, id) < 0)
		return err_sys(e, "KVM_GET_SUPPORTED_CPUID");
	for (unsigned i = 0; i < id->nent; i++)
		fix_cpuid(&id->entries[i], c->index, c->vmm->ncpus);
	if (ioctl(c->fd, KVM_SET_CPUID2, id) < 0)
		return err_sys(e, "KVM_SET_CPUID2");
	return 0;
}

/* LINT0 carries the PIC, LINT1 is NMI, as a BIOS leaves them. */
static int set_lapic(struct vcpu *c, struct err *e)
{
	struct kvm_lapic_state l;
	uint32_t lvt;

	if (ioctl(c->fd, KVM_GET_LAPIC, &l) < 0)
		return err_sys(e, "KVM_GET_LAPIC");
	memcpy(&lvt, l.regs + LAPIC_LVT0, sizeof(lvt));
	lvt = (lvt & ~0x700U) | MODE_EXTINT;
	memcpy(l.regs + LAPIC_LVT0, &lvt, sizeof(lvt));
	memcpy(&lvt, l.regs + LAPIC_LVT1, sizeof(lvt));
	lvt = (lvt & ~0x700U) | MODE_NMI;
	memcpy(l.regs + LAPIC_LVT1, &lvt, sizeof(lvt));
	if (ioctl(c->fd, KVM_SET_LAPIC, &l) < 0)
		return err_sys(e, "KVM_SET_LAPIC");
	return 0;
}

static int set_msrs(struct vcpu *c)
{
	uint64_t room[(sizeof(struct kvm_msrs) + sizeof(struct kvm_msr_entry)) / sizeof(uint64_t)];
	struct kvm_msrs *m = memset(room, 0, sizeof(room));

	m->nmsrs = 1;
	m->entries[0] =
		(struct kvm_msr_entry){ .index = MSR_MISC_ENABLE, .data = MISC_FAST_STRING };
	return ioctl(c->fd, KVM_SET_MSRS, m); /* AMD has no such register: no error */
}

/* PVH: 32-bit protected mode, flat segments, no paging, ebx = start info. */
static int set_regs(struct vcpu *c, uint32_t entry, uint32_t info, struct err *e)
{
	struct kvm_segment code = { .limit = 0xffffffff,
				    .selector = 0x8,
				    .type = 11,
				    .present = 1,
				    .db = 1,
				    .s = 1,
				    .g = 1 };
	struct kvm_segment data = code, tss = { .limit = 0x67, .type = 11, .present = 1 };
	struct kvm_regs r = { .rflags = X86_EFLAGS_FIXED, .rip = entry, .rbx = info };
	struct kvm_fpu fpu = { .fcw = 0x37f, .mxcsr = 0x1f80 };
	struct kvm_sregs s;

	data.type = 3;
	data.selector = 0x10;
	if (ioctl(c->fd, KVM_GET_SREGS, &s) < 0)
		return err_sys(e, "KVM_GET_SREGS");
	s.cs = code;
	s.ds = s.es = s.fs = s.gs = s.ss = data;
	s.tr = tss;
	s.cr0 = X86_CR0_PE | X86_CR0_ET;
	s.cr3 = s.cr4 = s.efer = 0;
	if (ioctl(c->fd, KVM_SET_SREGS, &s) < 0 || ioctl(c->fd, KVM_SET_REGS, &r) < 0 ||
	    ioctl(c->fd, KVM_SET_FPU, &fpu) < 0)
		return err_sys(e, "set the vcpu's registers");
	return 0;
}

int x86_vcpu_init(struct vcpu *c, uint32_t entry, uint32_t info, struct err *e)
{
	int rc = set_cpuid(c, e);

	if (rc == 0)
		rc = set_lapic(c, e);
	if (rc == 0 && set_msrs(c) < 0)
		rc = err_sys(e, "KVM_SET_MSRS");
	if (rc == 0 && c->index == 0)
		rc = set_regs(c, entry, info, e);
	return rc;
}

void x86_dump(struct vcpu *c)
{
	struct kvm_regs r;
	struct kvm_sregs s;

	if (ioctl(c->fd, KVM_GET_REGS, &r) < 0 || ioctl(c->fd, KVM_GET_SREGS, &s) < 0)
		return;
	log_step("vcpu %u: rip %llx rsp %llx rax %llx rbx %llx rcx %llx rdx %llx rflags %llx "
		 "cr0 %llx cr2 %llx cr3 %llx cr4 %llx efer %llx",
		 c->index, r.rip, r.rsp, r.rax, r.rbx, r.rcx, r.rdx, r.rflags, s.cr0, s.cr2, s.cr3,
		 s.cr4, s.efer);
}

/* Intel MP specification 1.4, chapter 4. */
struct mp_pointer {
	char signature[4];
	uint32_t table;
	uint8_t length, revision, checksum, features[5];
};

struct mp_header {
	char signature[4];
	uint16_t length;
	uint8_t revision, checksum;
	char oem[8], product[12];
	uint32_t oem_table;
	uint16_t oem_size, entries;
	uint32_t lapic;
	uint16_t ext_length;
	uint8_t ext_checksum, reserved;
};

struct mp_cpu {
	uint8_t type, apic_id, apic_version, flags;
	uint32_t signature, features, reserved[2];
};

struct mp_bus {
	uint8_t type, id;
	char name[6];
};

struct mp_ioapic {
	uint8_t type, id, version, flags;
	uint32_t address;
};

struct mp_interrupt {
	uint8_t type, kind;
	uint16_t flags;
	uint8_t bus, irq, apic, pin;
};

#define MP_POINTER_AT  0x9fc00 /* the kernel looks for it in the last KiB below 640 KiB */
#define MP_LAPIC_ADDR  0xfee00000
#define MP_IOAPIC_ADDR 0xfec00000
#define MP_VERSION     0x14
#define MP_EDGE_HIGH   0x05
#define IOAPIC_PINS    24

enum { MP_CPU, MP_BUS, MP_IOAPIC, MP_IO_INTERRUPT, MP_LOCAL_INTERRUPT };
enum { MP_INT, MP_NMI, MP_SMI, MP_EXTINT };

static uint8_t checksum(const void *p, size_t n)
{
	const uint8_t *b = p;
	uint8_t sum = 0;

	while (n--)
		sum = (uint8_t)(sum + *b++);
	return (uint8_t)-sum;
}

static uint8_t *put(uint8_t *at, const void *entry, size_t n, struct mp_header *h)
{
	memcpy(at, entry, n);
	h->entries++;
	return at + n;
}

void x86_mp_table(uint8_t *ram, unsigned ncpus)
{
	struct mp_pointer p = {
		.signature = "_MP_", .table = X86_LOW_END, .length = 1, .revision = 4
	};
	struct mp_header h = { .signature = "PCMP",
			       .revision = 4,
			       .oem = "ZL      ",
			       .product = "ZL          ",
			       .lapic = MP_LAPIC_ADDR };
	struct mp_bus bus = { MP_BUS, 0, { 'I', 'S', 'A', ' ', ' ', ' ' } };
	struct mp_ioapic io = { MP_IOAPIC, (uint8_t)ncpus, MP_VERSION, 1, MP_IOAPIC_ADDR };
	struct mp_interrupt lint0 = { MP_LOCAL_INTERRUPT, MP_EXTINT, 0, 0, 0, 0, 0 };
	struct mp_interrupt lint1 = { MP_LOCAL_INTERRUPT, MP_NMI, 0, 0, 0, 0xff, 1 };
	uint8_t *start = ram + X86_LOW_END, *at = start + sizeof(h);

	for (unsigned i = 0; i < ncpus; i++) {
		struct mp_cpu cpu = { .apic_id = (uint8_t)i,
				      .apic_version = MP_VERSION,
				      .flags = (uint8_t)(1 | (i == 0 ? 2 : 0)) };

		at = put(at, &cpu, sizeof(cpu), &h);
	}
	at = put(at, &bus, sizeof(bus), &h);
	at = put(at, &io, sizeof(io), &h);
	for (unsigned i = 0; i < IOAPIC_PINS; i++) {
		struct mp_interrupt irq = { MP_IO_INTERRUPT, MP_INT,	     MP_EDGE_HIGH, 0,
					    (uint8_t)i,	     (uint8_t)ncpus, (uint8_t)i };

		at = put(at, &irq, sizeof(irq), &h);
	}
	at = put(at, &lint0, sizeof(lint0), &h);
	at = put(at, &lint1, sizeof(lint1), &h);
	h.length = (uint16_t)(at - start);
	memcpy(start, &h, sizeof(h));
	h.checksum = checksum(start, h.length);
	memcpy(start, &h, sizeof(h));
	p.checksum = checksum(&p, sizeof(p));
	memcpy(ram + MP_POINTER_AT, &p, sizeof(p));
}
