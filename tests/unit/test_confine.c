/* test_confine.c: what a confined thread is refused, and what it is left. */
#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
/* cmocka wants the ones above first */
#include <cmocka.h>

#include "runtime/base/confine.h"
#include "runtime/base/fd.h"
#include "runtime/base/own.h"
#include "runtime/box/holder.h"
#include "runtime/virtio/fs.h"
#include "runtime/virtio/net.h"
#include "runtime/vmm/vmm.h"

/* How a confined child ended, besides 0 (it was allowed) and an errno. */
#define KILLED	1000 /* by the filter */
#define ABORTED 1001
#define FAILED	255
/* What confining a thread may cost, with its rules, and of how many tries the best counts. */
#define COST_MAX_NS 500000
#define COST_TRIES  20

typedef int act_fn(void);

static char dir[] = "/tmp/zl-confine-XXXXXX";

/* What the tests themselves need. */
static const struct confine_call end_calls[] = { CONFINE_CALL(exit_group), CONFINE_CALL(dup2) };
static const struct confine_list end_list = { end_calls, 2 };

static const struct {
	const char *name;
	const struct confine_list *lists[2];
} kinds[] = {
	{ "loop", { &holder_loop_calls, NULL } },
	{ "union", { &virtio_fs_calls, &virtio_fs_union_calls } },
	{ "bind", { &virtio_fs_calls, &virtio_fs_bind_calls } },
	{ "vcpu", { &vcpu_calls, NULL } },
	{ "net", { &virtio_net_calls, &net_calls } },
};
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

static struct confine of_kind(size_t k)
{
	return (struct confine){ .name = kinds[k].name,
				 .lists = { &end_list, kinds[k].lists[0], kinds[k].lists[1] },
				 .rules = -1 };
}

static int setup(void **state)
{
	(void)state;
	strcpy(dir + sizeof(dir) - 7, "XXXXXX");
	return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	return dir_remove_all(AT_FDCWD, dir, NULL);
}

/* The path of a file in dir, made with content. */
static char *file_in(const char *name)
{
	char *path = xasprintf("%s/%s", dir, name);
	own_fd int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	assert_int_equal(write(fd, "x", 1), 1);
	return path;
}

/* Runs act in a process confined as c says; KILLED, ABORTED, or the errno it returned. */
static int confined(const struct confine *c, act_fn *act)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		struct err e = ERR_INIT;

		if (confine_process(0, &e) < 0 || confine_thread(c, &e) < 0)
			_exit(FAILED);
		_exit(act());
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFSIGNALED(status))
		return WTERMSIG(status) == SIGSYS ? KILLED : ABORTED;
	assert_int_not_equal(WEXITSTATUS(status), FAILED);
	return WEXITSTATUS(status);
}

static int result(long rc)
{
	return rc < 0 ? errno : 0;
}

/* --- what an intruder would try */

static int try_exec(void)
{
	char *argv[] = { (char *)(uintptr_t) "/bin/sh", NULL }, *none[] = { NULL };

	return result(execve(argv[0], argv, none));
}

static int try_tcp(void)
{
	return result(socket(AF_INET, SOCK_STREAM, 0));
}

static int try_netlink(void)
{
	return result(socket(AF_NETLINK, SOCK_RAW, 0));
}

static int try_connect(void)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(22) };

	return result(connect(0, (struct sockaddr *)&to, sizeof(to)));
}

static int try_ptrace(void)
{
	return result(ptrace(PTRACE_ATTACH, getppid(), 0, 0));
}

static int try_mount(void)
{
	return result(mount("none", "/mnt", "tmpfs", 0, NULL));
}

static int try_unshare(void)
{
	return result(syscall(SYS_unshare, 0x10000000)); /* CLONE_NEWUSER */
}

static int try_fork(void)
{
	return result(syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0));
}

static int try_clone3(void)
{
	return result(syscall(SYS_clone3, NULL, 0));
}

static int try_map_code(void)
{
	return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
			       MAP_FAILED
		       ? errno
		       : 0;
}

static int try_make_code(void)
{
	static _Alignas(4096) char page[4096];

	return result(mprotect(page, sizeof(page), PROT_READ | PROT_EXEC));
}

static int try_read_other(void)
{
	char c;
	struct iovec here = { &c, 1 }, there = { &c, 1 };

	return result(process_vm_readv(getppid(), &here, 1, &there, 1, 0));
}

static int try_keyctl(void)
{
	return result(syscall(SYS_keyctl, 0, 0, 0, 0, 0));
}

static int try_bpf(void)
{
	return result(syscall(SYS_bpf, 0, NULL, 0));
}

static int try_userfaultfd(void)
{
	return result(syscall(SYS_userfaultfd, 0));
}

static int try_io_uring(void)
{
	return result(syscall(SYS_io_uring_setup, 1, NULL));
}

static int try_perf(void)
{
	return result(syscall(SYS_perf_event_open, NULL, 0, 0, 0, 0));
}

static int try_module(void)
{
	return result(syscall(SYS_init_module, NULL, 0, ""));
}

static int try_setuid(void)
{
	return result(setuid(0));
}

static int try_kill_parent(void)
{
	return result(kill(getppid(), 0));
}

static int try_tgkill_other(void)
{
	return result(syscall(SYS_tgkill, 1, 1, 0));
}

static int try_tty(void)
{
	char c = 'x';

	return result(ioctl(0, TIOCSTI, &c));
}

static int try_memfd(void)
{
	return result(syscall(SYS_memfd_create, "x", 0));
}

static int try_prctl(void)
{
	return result(prctl(PR_SET_DUMPABLE, 1));
}

static int try_more_rights(void)
{
	return result(syscall(SYS_landlock_create_ruleset, NULL, 0, 1));
}

static int try_32_bit(void)
{
#if defined(__x86_64__)
	long rc;

	/* getpid of the other ABI, 20 there; writev in ours */
	__asm__ volatile("int $0x80" : "=a"(rc) : "a"(20) : "memory", "r8", "r9", "r10", "r11");
	return rc < 0 ? (int)-rc : 0;
#else
	return (int)syscall(SYS_kexec_load, 0, 0, NULL, 0);
#endif
}

static void test_calls_refused(void **state)
{
	static const struct {
		const char *what;
		act_fn *act;
	} acts[] = {
		{ "execve", try_exec },
		{ "a TCP socket", try_tcp },
		{ "a netlink socket", try_netlink },
		{ "connect", try_connect },
		{ "ptrace", try_ptrace },
		{ "mount", try_mount },
		{ "unshare", try_unshare },
		{ "fork", try_fork },
		{ "clone3", try_clone3 },
		{ "map code", try_map_code },
		{ "make memory code", try_make_code },
		{ "read another process", try_read_other },
		{ "keyctl", try_keyctl },
		{ "bpf", try_bpf },
		{ "userfaultfd", try_userfaultfd },
		{ "io_uring", try_io_uring },
		{ "perf", try_perf },
		{ "load a module", try_module },
		{ "setuid", try_setuid },
		{ "signal another process", try_kill_parent },
		{ "signal another thread", try_tgkill_other },
		{ "type into a terminal", try_tty },
		{ "memfd", try_memfd },
		{ "be dumpable again", try_prctl },
		{ "landlock", try_more_rights },
		{ "32-bit calls", try_32_bit },
	};

	(void)state;
	if (!confine_has_seccomp())
		skip();
	for (size_t k = 0; k < KINDS; k++) {
		const struct confine c = of_kind(k);

		for (size_t i = 0; i < sizeof(acts) / sizeof(acts[0]); i++) {
			bool its_own = strcmp(c.name, "net") == 0 &&
				       (acts[i].act == try_tcp || acts[i].act == try_connect);
			int how = its_own ? KILLED : confined(&c, acts[i].act);

			/* a kernel without 32-bit calls refuses them itself */
			if (how != KILLED && !(how == ABORTED && acts[i].act == try_32_bit))
				fail_msg("%s: %s was not refused", kinds[k].name, acts[i].what);
		}
	}
}

/* --- files */

static char *target;

static int try_read(void)
{
	return result(openat(AT_FDCWD, target, O_RDONLY));
}

static int try_write(void)
{
	return result(openat(AT_FDCWD, target, O_WRONLY));
}

static int try_truncate(void)
{
	return result(openat(AT_FDCWD, target, O_RDONLY | O_TRUNC));
}

static int try_create(void)
{
	return result(openat(AT_FDCWD, target, O_WRONLY | O_CREAT, 0600));
}

static int try_remove(void)
{
	return result(unlinkat(AT_FDCWD, target, 0));
}

static int listed_fd = -1;

/* By a descriptor of a folder that was open before, and by the way through /proc. */
static int try_read_at(void)
{
	return result(openat(listed_fd, "secret", O_RDONLY));
}

static int try_read_proc(void)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", listed_fd);
	return result(openat(AT_FDCWD, path, O_RDONLY));
}

static int rename_from_to(void)
{
	own_free char *from = xasprintf("%s/a/x", dir), *to = xasprintf("%s/b/y", dir);

	return result(renameat(AT_FDCWD, from, AT_FDCWD, to));
}

static void assert_refused(const struct confine *c, const char *path, act_fn *act, int how)
{
	target = (char *)(uintptr_t)path;
	assert_int_equal(confined(c, act), how);
}

static void test_files(void **state)
{
	struct confine c = { .name = "test", .lists = { &virtio_fs_calls, &end_list } };
	own_free char *a = NULL, *b = NULL, *secret = NULL, *in_a = NULL, *in_b = NULL,
		      *made = NULL;
	struct err e = ERR_INIT;

	(void)state;
	c.rules = confine_rules_new();
	if (c.rules < 0)
		skip(); /* with nothing allocated: it does not come back */
	a = xasprintf("%s/a", dir);
	b = xasprintf("%s/b", dir);
	assert_int_equal(mkdir(a, 0700), 0);
	assert_int_equal(mkdir(b, 0700), 0);
	secret = file_in("secret");
	in_a = file_in("a/x");
	in_b = file_in("b/z");
	made = xasprintf("%s/a/made", dir);
	assert_int_equal(confine_rules_add(c.rules, a, CONFINE_ALL, &e), 0);
	assert_int_equal(confine_rules_add(c.rules, b, CONFINE_READ, &e), 0);

	assert_refused(&c, in_a, try_write, 0);
	assert_refused(&c, made, try_create, 0);
	assert_refused(&c, made, try_remove, 0);
	assert_refused(&c, in_b, try_read, 0);
	assert_refused(&c, in_b, try_write, EACCES);
	assert_refused(&c, in_b, try_remove, EACCES);
	if (confine_landlock_version() >= 3)
		assert_refused(&c, in_b, try_truncate, EACCES);
	assert_refused(&c, secret, try_read, EACCES);
	assert_refused(&c, "/etc/shadow", try_read, EACCES);
	assert_refused(&c, "/etc/passwd", try_read, EACCES);
	assert_refused(&c, "/proc/self/mem", try_write, EACCES);
	assert_refused(&c, "/dev/kvm", try_write, access("/dev/kvm", F_OK) < 0 ? ENOENT : EACCES);
	assert_int_equal(confined(&c, rename_from_to), EACCES);

	listed_fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(confined(&c, try_read_at), EACCES);
	close(listed_fd);
	listed_fd = open(secret, O_PATH | O_CLOEXEC);
	assert_int_equal(confined(&c, try_read_proc), EACCES);
	close(listed_fd);

	assert_int_equal(confine_rules_add(c.rules, b, CONFINE_ALL, &e), 0);
	assert_int_equal(confined(&c, rename_from_to), 0);
	close(c.rules);
}

/* A rule for one file says nothing of its neighbours. */
static void test_one_file(void **state)
{
	struct confine c = { .name = "test", .lists = { &virtio_fs_calls, &end_list } };
	own_free char *mine = NULL, *other = NULL;
	struct err e = ERR_INIT;

	(void)state;
	c.rules = confine_rules_new();
	if (c.rules < 0)
		skip();
	mine = file_in("mine");
	other = file_in("other");
	assert_int_equal(confine_rules_add(c.rules, mine, CONFINE_ALL, &e), 0);
	assert_int_equal(confine_rules_add(c.rules, "/no/such/file", CONFINE_ALL, &e), 0);
	assert_refused(&c, mine, try_write, 0);
	assert_refused(&c, mine, try_remove, EACCES);
	assert_refused(&c, other, try_read, EACCES);
	close(c.rules);
}

/* --- what must go on working */

static int do_abort(void)
{
	abort();
}

static int do_assert(void)
{
	dup2(listed_fd, STDERR_FILENO);
	assert(listed_fd < 0);
	return 0;
}

static int do_allocate(void)
{
	for (size_t n = 16; n < 64U << 20; n *= 2) {
		char *p = malloc(n), *q;

		if (p == NULL)
			return ENOMEM;
		p[n - 1] = 1;
		q = realloc(p, 2 * n);
		if (q == NULL)
			return ENOMEM;
		free(q);
	}
	return 0;
}

/* A programmer's mistake ends a confined thread as it ends others. */
static void test_still_works(void **state)
{
	(void)state;
	if (!confine_has_seccomp())
		skip();
	listed_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
	for (size_t k = 0; k < KINDS; k++) {
		const struct confine c = of_kind(k);

		assert_int_equal(confined(&c, do_abort), ABORTED);
		assert_int_equal(confined(&c, do_assert), ABORTED);
		assert_int_equal(confined(&c, do_allocate), 0);
	}
	close(listed_fd);
}

/* What is listed but rarely done is allowed: no VM test shows it. */
static const struct confine_call *rare_call;

static size_t rows_of(const struct confine *c)
{
	return c->lists[1]->n + (c->lists[2] ? c->lists[2]->n : 0);
}

static const struct confine_call *row_at(const struct confine *c, size_t i)
{
	return i < c->lists[1]->n ? &c->lists[1]->calls[i]
				  : &c->lists[2]->calls[i - c->lists[1]->n];
}

static int try_rare(void)
{
	long a[6] = { -1, -1, -1, -1, -1, -1 };

	if (rare_call->op == CONFINE_SELF)
		a[rare_call->arg] = getpid();
	else if (rare_call->op == CONFINE_WITHOUT)
		a[rare_call->arg] = 0;
	else
		a[rare_call->arg] = rare_call->value;
	syscall(rare_call->nr, a[0], a[1], a[2], a[3], a[4], a[5]);
	return 0;
}

static void test_rare_calls(void **state)
{
	(void)state;
	if (!confine_has_seccomp())
		skip();
	for (size_t k = 0; k < KINDS; k++) {
		const struct confine c = of_kind(k);

		for (size_t i = 0; i < rows_of(&c); i++) {
			rare_call = row_at(&c, i);
			if (rare_call->rare && confined(&c, try_rare) != 0)
				fail_msg("%s: %s is refused", c.name, rare_call->name);
		}
	}
}

/* --- privileges */

static int look_at_privileges(void)
{
	struct rlimit core;

	if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1 || prctl(PR_GET_DUMPABLE) != 0)
		return 1;
	if (getrlimit(RLIMIT_CORE, &core) < 0 || core.rlim_max != 0)
		return 2;
	if (geteuid() == 0 && chown(dir, 1, 1) == 0)
		return 3;
	if (geteuid() == 0 && prctl(PR_CAPBSET_READ, 21 /* SYS_ADMIN */) != 0)
		return 4;
	return 0;
}

static void test_process(void **state)
{
	struct err e = ERR_INIT;
	pid_t pid;
	int status;

	(void)state;
	if (!confine_has_seccomp())
		skip();
	pid = fork();
	if (pid == 0)
		_exit(confine_process(0, &e) < 0 ? FAILED : look_at_privileges());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* --- the filter itself */

/* What the filter answers, by a small machine for the instructions that it is made of. */
static uint32_t answer(const struct sock_filter *f, size_t n, const struct seccomp_data *d)
{
	uint32_t a = 0;

	for (size_t i = 0; i < n; i++) {
		bool yes = false;

		switch (f[i].code) {
		case BPF_LD | BPF_W | BPF_ABS:
			assert_in_range(f[i].k, 0, sizeof(*d) - 4);
			memcpy(&a, (const char *)d + f[i].k, sizeof(a));
			continue;
		case BPF_RET | BPF_K:
			return f[i].k;
		case BPF_JMP | BPF_JA:
			i += f[i].k;
			continue;
		case BPF_JMP | BPF_JEQ | BPF_K:
			yes = a == f[i].k;
			break;
		case BPF_JMP | BPF_JGE | BPF_K:
			yes = a >= f[i].k;
			break;
		case BPF_JMP | BPF_JSET | BPF_K:
			yes = a & f[i].k;
			break;
		default:
			fail_msg("instruction %x", f[i].code);
		}
		i += yes ? f[i].jt : f[i].jf;
	}
	fail_msg("the filter ends without an answer");
	return 0;
}

/* For every number and some arguments, the filter says what the list says. */
static void test_filter_is_the_list(void **state)
{
	static struct sock_filter f[CONFINE_FILTER_MAX];
	static const uint64_t values[] = { 0, 1, 2, 4, 7, 0x80000000u, 0xae80, ~0ULL };
	size_t row;

	(void)state;
	for (size_t k = 0; k < KINDS; k++) {
		const struct confine c = of_kind(k);
		size_t n = confine_compile(&c, SECCOMP_RET_ALLOW, SECCOMP_RET_KILL_PROCESS, f);
		struct seccomp_data d = { .arch = AUDIT_ARCH_X86_64 };

		for (int nr = -1; nr < 600; nr++) {
			for (size_t v = 0; v < sizeof(values) / sizeof(values[0]); v++) {
				uint64_t args[6];

				d.nr = nr;
				for (size_t i = 0; i < 6; i++)
					d.args[i] = args[i] = values[v];
				assert_int_equal(answer(f, n, &d),
						 confine_lists(&c, nr, args, &row)
							 ? SECCOMP_RET_ALLOW
							 : SECCOMP_RET_KILL_PROCESS);
			}
		}
		d.nr = 0;
		d.arch = AUDIT_ARCH_I386;
		assert_int_equal(answer(f, n, &d), SECCOMP_RET_KILL_PROCESS);
	}
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

/* Rules for as many folders as an image may have layers, and the longest filter. */
static uint64_t confine_timed(void)
{
	struct confine c = { .name = "test", .lists = { &end_list, &holder_loop_calls } };
	uint64_t from = now_ns();
	struct err e = ERR_INIT;

	confine_process(0, &e);
	c.rules = confine_rules_new();
	for (int i = 0; i < 20; i++)
		confine_rules_add(c.rules, dir, CONFINE_READ, &e);
	confine_thread(&c, &e);
	return now_ns() - from;
}

static void test_cost(void **state)
{
	uint64_t best = UINT64_MAX;

	(void)state;
	if (!confine_has_seccomp())
		skip();
	for (int i = 0; i < COST_TRIES; i++) {
		uint64_t ns = 0;
		int p[2];
		pid_t pid;

		assert_int_equal(pipe(p), 0);
		pid = fork();
		if (pid == 0) {
			ns = confine_timed();
			_exit(write(p[1], &ns, sizeof(ns)) == sizeof(ns) ? 0 : FAILED);
		}
		assert_int_equal(read(p[0], &ns, sizeof(ns)), sizeof(ns));
		assert_int_equal(waitpid(pid, NULL, 0), pid);
		close(p[0]);
		close(p[1]);
		best = ns < best ? ns : best;
	}
	print_message("confining a thread takes %llu us\n", (unsigned long long)best / 1000);
	assert_true(best < COST_MAX_NS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_calls_refused),
		cmocka_unit_test_setup_teardown(test_files, setup, teardown),
		cmocka_unit_test_setup_teardown(test_one_file, setup, teardown),
		cmocka_unit_test(test_still_works),
		cmocka_unit_test(test_rare_calls),
		cmocka_unit_test_setup_teardown(test_process, setup, teardown),
		cmocka_unit_test(test_filter_is_the_list),
		cmocka_unit_test_setup_teardown(test_cost, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
