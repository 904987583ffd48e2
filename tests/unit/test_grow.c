/* test_grow.c: a machine on /dev/kvm gets more memory, from a holder's thread that is confined. */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>
/* cmocka wants the ones above first */
#include <cmocka.h>

#include "runtime/base/confine.h"
#include "runtime/base/loop.h"
#include "runtime/box/holder.h"
#include "runtime/vmm/vmm.h"

#define MIB    (1ULL << 20)
#define START  (64 * MIB)
#define MORE   (3072 * MIB)
#define KERNEL "build/kernel/vmlinux"
#define INITRD "build/initramfs"

/* Its vcpus wait: no instruction of the guest's is run. */
static struct machine *start(struct loop *l, uint64_t more, struct err *e)
{
	struct machine_spec spec = {
		.cpus = 1,
		.mem = 2 * START,
		.mem_start = START,
		.mem_more = more,
		.kernel = KERNEL,
		.initrd = INITRD,
		.console = "/dev/null",
		.held = true,
	};

	return machine_kvm.start(l, &spec, NULL, NULL, e);
}

static void needs_kvm(void)
{
	int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	if (fd < 0 || access(KERNEL, R_OK) < 0)
		skip();
	close(fd);
}

/* What the guest can reach, in MiB, after it asked for `bytes`. */
static uint64_t given(struct machine *m, uint64_t bytes)
{
	return machine_grow(m, bytes, NULL) < 0 ? 0 : ((struct vmm *)m)->more_given / MIB;
}

static void test_room(void **state)
{
	struct err e = ERR_INIT;
	struct loop *l = loop_new(NULL);
	struct machine *m;
	struct vmm *v;

	(void)state;
	needs_kvm();
	m = start(l, MORE, &e);
	if (m == NULL)
		fail_msg("%s", e.msg);
	v = (struct vmm *)m;
	assert_int_equal(machine_room(m), MORE);
	assert_int_equal(v->ram_size, START);
	assert_int_equal(v->slots, 1);
	/* the devices know all of it */
	assert_ptr_equal(gmem_at(&v->mem, MACHINE_MORE_AT, MORE), v->more);
	assert_null(gmem_at(&v->mem, MACHINE_MORE_AT, MORE + 1));

	assert_int_equal(given(m, 128 * MIB), 256);
	assert_int_equal(v->slots, 2);
	assert_int_equal(given(m, 256 * MIB), 256);
	assert_int_equal(v->slots, 2);
	assert_int_equal(given(m, 384 * MIB), 512);
	assert_int_equal(given(m, MORE - 128 * MIB), MORE / MIB);
	assert_int_equal(given(m, MORE), MORE / MIB);
	assert_int_equal(v->slots, 4);
	machine_free(m);

	m = start(l, 0, &e);
	assert_non_null(m);
	assert_int_equal(machine_room(m), 0);
	assert_int_equal(((struct vmm *)m)->ram_size, 2 * START);
	machine_free(m);
	loop_free(l);
}

/* How a holder ends that grows its machine with or without the machine's own calls: 0, or a signal.
 */
static int grow_confined(bool own)
{
	struct confine c = { .name = "loop", .lists = { &holder_loop_calls }, .rules = -1 };
	struct machine *m;
	int status = -1;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		m = start(loop_new(NULL), MORE, NULL);
		if (m == NULL || confine_process(0, NULL) < 0)
			_exit(2);
		if (own)
			c.lists[1] = m->ops->calls;
		if (confine_thread(&c, NULL) < 0)
			_exit(3);
		_exit(given(m, 128 * MIB) == 256 && given(m, MORE) == MORE / MIB ? 0 : 4);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status);
}

static void test_confined(void **state)
{
	(void)state;
	needs_kvm();
	assert_int_equal(grow_confined(true), 0);
	if (confine_has_seccomp())
		assert_int_equal(grow_confined(false), SIGSYS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_room),
		cmocka_unit_test(test_confined),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
