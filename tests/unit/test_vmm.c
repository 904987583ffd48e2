/* test_vmm.c: the KVM machine's ends and pauses, with guests of a few instructions (runtime/vmm).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/vmm/vmm.h"

/*
 * The guests are entered as a kernel is by its PVH note: 32-bit protected
 * mode, flat, interrupts off. They need a /dev/kvm that opens, but no more
 * than that: one that only emulates is good enough for so little code.
 */
#define LOAD_AT	   0x100000
#define MEM	   (16ULL << 20)
#define PATIENCE_S 60

/* GUEST(name, code): name and name_end around it. */
#define GUEST(name, code)                                                                        \
	extern const uint8_t name[], name##_end[];                                               \
	__asm__(".pushsection .rodata\n.code32\n" #name ":\n" code "\n" #name "_end:\n.code64\n" \
		".popsection")

GUEST(guest_off, "mov $0x501, %dx; mov $0x2a, %al; out %al, %dx; 1: jmp 1b");
/* an interrupt table of no length: the exception of ud2 cannot be told, nor that, nor that */
GUEST(guest_triple, "push $0; push $0; mov $0x80000, %esp; lidt (%esp); ud2; 1: jmp 1b");
GUEST(guest_halt, "cli; 1: hlt; jmp 1b");
GUEST(guest_loop, "cli; 1: jmp 1b");
/* a jump to where no memory is: nothing there to be emulated */
GUEST(guest_lost, "mov $0xe0000000, %eax; jmp *%eax");
GUEST(guest_reset, "mov $0xfe, %al; out %al, $0x64; 1: jmp 1b");
/* device 0's status register, for ever: each write is carried to the loop's thread */
GUEST(guest_busy, "mov $0xd0000070, %edi; 1: movl $0, (%edi); jmp 1b");
/* waits for a byte in memory, then reads the third page of its own file */
GUEST(guest_reads, "1: cmpb $0, 0x200000; je 1b; mov 0x102000, %eax; mov $0x501, %dx;"
		   "out %al, %dx; 2: jmp 2b");
/* many a port but not the one that ends, read and written in three sizes; then registers and beyond
 */
GUEST(guest_pokes, "xor %ebx, %ebx; 1: mov %ebx, %edx; cmp $0x501, %ebx; je 2f; xor %eax, %eax;"
		   "out %al, %dx; out %ax, %dx; out %eax, %dx; in %dx, %al; in %dx, %ax;"
		   "in %dx, %eax; 2: add $97, %ebx; cmp $0x10000, %ebx; jb 1b;"
		   "mov $0xd0000000, %edi; 3: mov (%edi), %eax; movl $-1, (%edi);"
		   "mov (%edi), %al; movb $0x55, (%edi); movw $0x5555, 1(%edi);"
		   "add $52, %edi; cmp $0xd0003000, %edi; jb 3b; mov $0xe0000000, %edi;"
		   "movl $1, (%edi); mov (%edi), %eax; inc %eax; jnz 4f;"
		   "mov $0x3f8, %dx; mov $'K', %al; out %al, %dx; mov $0x501, %dx; out %al, %dx;"
		   "4: ud2");

struct fake {
	struct virtio_device d;
	unsigned resets;
};

static void fake_reset(struct virtio_device *d)
{
	((struct fake *)d)->resets++;
}

static int fake_start(struct virtio_device *d, unsigned i, struct virtq *q, struct err *e)
{
	(void)d;
	(void)i;
	(void)q;
	(void)e;
	return 0;
}

static void fake_stop(struct virtio_device *d, unsigned i)
{
	(void)d;
	(void)i;
}

static const struct virtio_device_ops fake_ops = {
	.name = "fake",
	.id = VIRTIO_ID_RNG,
	.num_queues = 1,
	.queue_size_max = 16,
	.queue_start = fake_start,
	.queue_stop = fake_stop,
	.reset = fake_reset,
};

struct rig {
	struct loop *l;
	struct machine *m;
	struct fake f;
	char dir[64], kernel[96], initrd[96], console[96];
	bool ended, orderly;
	char reason[256];
};

static void ended(void *arg, const struct machine_end *end)
{
	struct rig *r = arg;

	r->ended = true;
	r->orderly = end->orderly;
	snprintf(r->reason, sizeof(r->reason), "%s", end->reason);
}

static void write_file(const char *path, const void *p, size_t n)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_int_equal(write(fd, p, n), (ssize_t)n);
	close(fd);
}

/* An ELF of the code with a PVH note, three pages of it loaded. */
static void write_kernel(const char *path, const uint8_t *code, size_t len)
{
	static uint8_t image[4 * 4096];
	Elf64_Ehdr h = { .e_ident = ELFMAG,
			 .e_machine = EM_X86_64,
			 .e_phoff = sizeof(h),
			 .e_phentsize = sizeof(Elf64_Phdr),
			 .e_phnum = 2 };
	Elf64_Phdr ph[2] = {
		{ .p_type = PT_LOAD,
		  .p_offset = 4096,
		  .p_paddr = LOAD_AT,
		  .p_filesz = 3 * 4096,
		  .p_memsz = 3 * 4096 },
		{ .p_type = PT_NOTE, .p_offset = 2048, .p_filesz = sizeof(Elf64_Nhdr) + 8 },
	};
	Elf64_Nhdr n = { 4, 4, 18 };
	uint32_t entry = LOAD_AT;

	h.e_ident[EI_CLASS] = ELFCLASS64;
	memset(image, 0, sizeof(image));
	memcpy(image, &h, sizeof(h));
	memcpy(image + sizeof(h), ph, sizeof(ph));
	memcpy(image + 2048, &n, sizeof(n));
	memcpy(image + 2048 + sizeof(n), "Xen", 4);
	memcpy(image + 2048 + sizeof(n) + 4, &entry, sizeof(entry));
	memcpy(image + 4096, code, len);
	write_file(path, image, sizeof(image));
}

static int set_up(void **state)
{
	struct rig *r = calloc(1, sizeof(*r));

	snprintf(r->dir, sizeof(r->dir), "/tmp/test_vmm.XXXXXX");
	assert_non_null(mkdtemp(r->dir));
	snprintf(r->kernel, sizeof(r->kernel), "%s/kernel", r->dir);
	snprintf(r->initrd, sizeof(r->initrd), "%s/initrd", r->dir);
	snprintf(r->console, sizeof(r->console), "%s/console", r->dir);
	r->l = loop_new(NULL);
	r->f.d.ops = &fake_ops;
	*state = r;
	return 0;
}

static int tear_down(void **state)
{
	struct rig *r = *state;

	machine_free(r->m);
	loop_free(r->l);
	unlink(r->kernel);
	unlink(r->initrd);
	unlink(r->console);
	rmdir(r->dir);
	free(r);
	return 0;
}

static void start(struct rig *r, const uint8_t *code, const uint8_t *end)
{
	struct virtio_device *devices[] = { &r->f.d };
	struct machine_spec spec = {
		.kind = MACHINE_KVM,
		.cpus = 2,
		.mem = MEM,
		.kernel = r->kernel,
		.initrd = r->initrd,
		.console = r->console,
		.devices = devices,
		.ndevices = 1,
	};
	struct err e = ERR_INIT;

	if (access("/dev/kvm", R_OK | W_OK) < 0)
		skip();
	write_kernel(r->kernel, code, (size_t)(end - code));
	write_file(r->initrd, "initrd", 6);
	r->m = machine_kvm.start(r->l, &spec, ended, r, &e);
	if (r->m == NULL)
		fail_msg("%s", e.msg);
}

static void run(struct rig *r)
{
	uint64_t until = loop_now() + PATIENCE_S * 1000000000ULL;

	while (!r->ended && loop_now() < until)
		loop_once(r->l, 100);
	assert_true(r->ended);
}

static void for_a_while(struct rig *r, unsigned ms)
{
	uint64_t until = loop_now() + ms * 1000000ULL;

	while (loop_now() < until)
		loop_once(r->l, 1);
}

static void test_power_off(void **state)
{
	struct rig *r = *state;

	start(r, guest_off, guest_off_end);
	run(r);
	assert_true(r->orderly);
	assert_string_equal(r->reason, "the guest powered off");
}

static void test_triple_fault(void **state)
{
	struct rig *r = *state;

	start(r, guest_triple, guest_triple_end);
	run(r);
	assert_non_null(strstr(r->reason, "reset"));
}

static void test_reset(void **state)
{
	struct rig *r = *state;

	start(r, guest_reset, guest_reset_end);
	run(r);
	assert_non_null(strstr(r->reason, "reset"));
}

static void test_no_memory_there(void **state)
{
	struct rig *r = *state;

	start(r, guest_lost, guest_lost_end);
	run(r);
	assert_false(r->orderly);
	assert_non_null(strstr(r->reason, "instruction"));
}

/* The kernel's file is mapped, not read: it may be cut short while the VM runs. */
static void test_memory_lost(void **state)
{
	struct rig *r = *state;

	start(r, guest_reads, guest_reads_end);
	assert_int_equal(truncate(r->kernel, 3 * 4096), 0);
	__atomic_store_n(&((struct vmm *)r->m)->ram[0x200000], 1, __ATOMIC_SEQ_CST);
	run(r);
	assert_false(r->orderly);
	assert_non_null(strstr(r->reason, "memory"));
}

static void test_ports_and_registers(void **state)
{
	struct rig *r = *state;
	char text[8] = "";
	int fd;

	start(r, guest_pokes, guest_pokes_end);
	run(r);
	assert_string_equal(r->reason, "the guest powered off");
	fd = open(r->console, O_RDONLY);
	assert_true(read(fd, text, sizeof(text) - 1) > 0);
	assert_non_null(strchr(text, 'K'));
	close(fd);
}

/* Ends at once what will not end by itself, running or asleep, with interrupts off. */
static void test_taken_down(void **state)
{
	struct rig *r = *state;
	uint64_t t;

	for (int halted = 0; halted < 2; halted++) {
		start(r, halted ? guest_halt : guest_loop,
		      halted ? guest_halt_end : guest_loop_end);
		for_a_while(r, 20);
		assert_false(r->ended);
		t = loop_now();
		machine_free(r->m);
		r->m = NULL;
		assert_true(loop_now() - t < 5000000000ULL);
	}
}

static void test_pause(void **state)
{
	struct rig *r = *state;
	unsigned n;

	start(r, guest_busy, guest_busy_end);
	for (unsigned turn = 0; turn < 50; turn++) {
		/* its vcpu may just now wait for this thread */
		assert_int_equal(machine_pause(r->m, NULL), 0);
		n = r->f.resets;
		for_a_while(r, turn % 10 == 0 ? 20 : 0);
		assert_int_equal(r->f.resets, n);
		assert_int_equal(machine_resume(r->m, NULL), 0);
		for (unsigned i = 0; r->f.resets == n && i < 10000; i++)
			loop_once(r->l, 10);
		assert_true(r->f.resets > n);
	}
	assert_int_equal(machine_pause(r->m, NULL), 0); /* and is freed so */
}

/* Each exit in its words: what cannot be brought about at will. */
static void test_words(void **state)
{
	static const struct {
		uint32_t reason;
		uint64_t detail;
		const char *has;
	} rows[] = {
		{ KVM_EXIT_FAIL_ENTRY, 0x80000021, "0x80000021" },
		{ KVM_EXIT_INTERNAL_ERROR, KVM_INTERNAL_ERROR_EMULATION, "instruction" },
		{ KVM_EXIT_INTERNAL_ERROR, KVM_INTERNAL_ERROR_DELIVERY_EV, "internal error 3" },
		{ KVM_EXIT_DEBUG, 0, "no name for (exit 4)" },
		{ 0xffff, 0, "(exit 65535)" },
		{ KVM_EXIT_SYSTEM_EVENT, 0, "ended" },
		{ KVM_EXIT_SHUTDOWN, 0, "reset" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct vmm v = { .call_fd = -1, .lock = PTHREAD_MUTEX_INITIALIZER };
		struct kvm_run run = { .exit_reason = rows[i].reason };
		struct vcpu c = { .vmm = &v, .fd = -1, .run = &run };

		if (rows[i].reason == KVM_EXIT_FAIL_ENTRY)
			run.fail_entry.hardware_entry_failure_reason = rows[i].detail;
		if (rows[i].reason == KVM_EXIT_INTERNAL_ERROR)
			run.internal.suberror = (uint32_t)rows[i].detail;
		assert_false(vcpu_exit(&c));
		assert_int_equal(v.end, i < 5 ? VMM_ERROR : VMM_TRIPLE_FAULT);
		if (strstr(v.end_text, rows[i].has) == NULL)
			fail_msg("no '%s' in '%s'", rows[i].has, v.end_text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_words),
		cmocka_unit_test_setup_teardown(test_power_off, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_triple_fault, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_reset, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_no_memory_there, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_memory_lost, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_ports_and_registers, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_taken_down, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_pause, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
