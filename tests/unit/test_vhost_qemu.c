/* test_vhost_qemu.c: QEMU's command line and process, with a shell script in its place. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/base/fd.h"
#include "runtime/fuse/fuse.h"
#include "runtime/vhost/qemu.h"
#include "runtime/virtio/fs.h"
#include "runtime/virtio/net.h"
#include "runtime/virtio/vsock.h"

static char dir[] = "/tmp/zl-test-qemu.XXXXXX";
static char path[64];
static struct loop *l;
static struct virtio_device *vsock;
static int ended;
static struct machine_end end;
static char reason[512];

static const struct vsock_conn_ops *refuse(void *ctx, struct vsock_conn *c, uint32_t port,
					   void **arg)
{
	(void)ctx, (void)c, (void)port, (void)arg;
	return NULL;
}

static int setup(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	strcpy(dir + sizeof(dir) - 7, "XXXXXX");
	if (mkdtemp(dir) == NULL)
		return -1;
	snprintf(path, sizeof(path), "%s/qemu", dir);
	l = loop_new(&e);
	vsock = virtio_vsock_new(l, refuse, NULL, &e);
	ended = 0;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	unsetenv("ZL_QEMU");
	virtio_vsock_free(vsock);
	loop_free(l);
	return dir_remove_all(AT_FDCWD, dir, NULL);
}

static void on_end(void *arg, const struct machine_end *e)
{
	(void)arg;
	ended++;
	end = *e;
	snprintf(reason, sizeof(reason), "%s", e->reason);
	loop_stop(l, 0);
}

/* Starts a machine whose QEMU is this script. */
static struct machine *start(const char *script, struct err *e)
{
	struct virtio_device *devices[] = { vsock };
	struct machine_spec spec = { .kind = MACHINE_QEMU,
				     .cpus = 1,
				     .mem = 64ULL << 20,
				     .kernel = path,
				     .initrd = path,
				     .console = "/dev/null",
				     .devices = devices,
				     .ndevices = 1 };
	struct str text = STR_INIT;

	str_addf(&text, "#!/bin/sh\n%s\n", script);
	assert_int_equal(file_write_atomic(AT_FDCWD, path, text.s, text.len, 0755, false, NULL), 0);
	str_free(&text);
	setenv("ZL_QEMU", path, 1);
	return machine_start(l, &spec, on_end, NULL, e);
}

static void run_to_end(const char *script)
{
	struct err e = ERR_INIT;
	struct machine *m = start(script, &e);

	assert_non_null(m);
	assert_true(machine_pid(m) > 0);
	assert_int_equal(loop_run(l), 0);
	assert_int_equal(ended, 1);
	machine_free(m);
	assert_int_equal(ended, 1);
	ended = 0;
}

static void test_ends(void **state)
{
	(void)state;
	run_to_end("exit 0");
	assert_true(end.orderly);
	run_to_end("echo 'qemu-system-x86_64: first' >&2; echo 'qemu-system-x86_64: no such thing' "
		   ">&2; "
		   "exit 3");
	assert_false(end.orderly);
	assert_string_equal(reason, "QEMU ended with status 3: no such thing");
	run_to_end("kill -SEGV $$");
	assert_false(end.orderly);
	assert_non_null(strstr(reason, "Segmentation fault"));
}

/* More on stderr than anybody reads neither blocks it nor grows. */
static void test_chatty(void **state)
{
	(void)state;
	run_to_end("i=0; while [ $i -lt 3000 ]; do echo "
		   "'a line of some length, again and again and again' >&2; "
		   "i=$((i+1)); done 2>/dev/null; exit 0");
	assert_true(end.orderly);
}

static char *file_text(const char *name)
{
	struct str got = STR_INIT;
	char file[96];

	snprintf(file, sizeof(file), "%s/%s", dir, name);
	assert_int_equal(file_read(AT_FDCWD, file, 4096, &got, NULL), 0);
	return str_steal(&got);
}

/* It has no descriptor of ours but its own, default signals, its own session, and /dev/null. */
static void test_surroundings(void **state)
{
	unsigned fd, n = 0, session, pid;
	int leak = open("/dev/null", O_RDONLY); /* on purpose not close-on-exec */
	unsigned long long ignored;
	char script[512], *text;

	(void)state;
	signal(SIGTERM, SIG_IGN);
	snprintf(script, sizeof(script),
		 "cd %s; ls /proc/$$/fd > fds; readlink /proc/$$/fd/0 > std; "
		 "cut -d' ' -f6 /proc/$$/stat > ids; echo $$ >> ids; "
		 "grep SigIgn /proc/$$/status > ignored",
		 dir);
	run_to_end(script);
	signal(SIGTERM, SIG_DFL);
	close(leak);
	text = file_text("fds");
	for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
		assert_int_equal(sscanf(line, "%u", &fd), 1);
		assert_int_not_equal(fd, leak);
		n += fd < 10; /* those from 10 on are the shell's own */
	}
	free(text);
	assert_int_equal(n, 5); /* 0 1 2, guest memory, the vsock's socket */
	text = file_text("std");
	assert_string_equal(text, "/dev/null\n");
	free(text);
	text = file_text("ids");
	assert_int_equal(sscanf(text, "%u %u", &session, &pid), 2);
	assert_int_equal(session, pid);
	free(text);
	text = file_text("ignored");
	assert_int_equal(sscanf(text, "SigIgn: %llx", &ignored), 1);
	ignored &= (1ULL << 31) - 1; /* not those that glibc keeps for itself */
	assert_int_equal(ignored, 1ULL << (SIGXFSZ - 1));
	free(text);
}

/* Freed while it runs: it is gone at once, and nobody is told. */
static void test_free_kills(void **state)
{
	struct err e = ERR_INIT;
	struct machine *m = start("exec sleep 1000", &e);
	int pid = machine_pid(m);

	(void)state;
	assert_int_equal(kill(pid, 0), 0);
	assert_int_equal(machine_pause(m, &e), 0);
	assert_int_equal(machine_resume(m, &e), 0);
	assert_int_equal(machine_pause(m, &e), 0);
	machine_free(m);
	assert_int_equal(kill(pid, 0), -1);
	assert_int_equal(errno, ESRCH);
	assert_int_equal(loop_once(l, 0), 0);
	assert_int_equal(ended, 0);
}

/* It dies with us, even by SIGKILL. */
static void test_dies_with_us(void **state)
{
	char out[128], text[64];
	int pipefd[2];
	pid_t child;

	(void)state;
	snprintf(out, sizeof(out), "exec sleep 1000");
	assert_int_equal(pipe2(pipefd, O_CLOEXEC), 0);
	child = fork();
	if (child == 0) {
		struct machine *m = start(out, NULL);
		int pid = machine_pid(m);

		if (write(pipefd[1], &pid, sizeof(pid)) != sizeof(pid))
			_exit(1);
		raise(SIGKILL);
	}
	close(pipefd[1]);
	assert_int_equal(fd_read_full(pipefd[0], text, sizeof(int)), sizeof(int));
	/* The pipe's write end is close-on-exec there: this waits for the child only. */
	assert_int_equal(fd_read_full(pipefd[0], text + sizeof(int), 1), 0);
	assert_int_equal(waitpid(child, NULL, 0), child);
	for (int i = 0; i < 500; i++) {
		int pid;

		memcpy(&pid, text, sizeof(pid));
		if (kill(pid, 0) < 0)
			return;
		usleep(10000);
	}
	fail_msg("QEMU outlived its holder");
}

static void test_errors(void **state)
{
	struct virtio_device *devices[] = { vsock };
	struct machine_spec spec = { .kind = MACHINE_QEMU,
				     .cpus = 1,
				     .mem = 64ULL << 20,
				     .kernel = "/bin/sh",
				     .initrd = "/bin/sh",
				     .console = "/dev/null",
				     .devices = devices,
				     .ndevices = 1 };
	char *old = strdup(getenv("PATH"));
	struct err e = ERR_INIT;

	(void)state;
	setenv("PATH", dir, 1);
	assert_null(machine_start(l, &spec, on_end, NULL, &e));
	setenv("PATH", old, 1);
	free(old);
	assert_int_equal(e.code, ENOENT);
	assert_string_equal(e.msg,
			    "qemu-system-x86_64 is not installed: apt-get install qemu-system-x86");
	setenv("ZL_QEMU", "/no/such/file", 1);
	assert_null(machine_start(l, &spec, on_end, NULL, &e));
	assert_non_null(strstr(e.msg, "ZL_QEMU: /no/such/file: No such file"));
	setenv("ZL_QEMU", "/bin/true", 1);
	spec.mem = 1U << 20;
	assert_null(machine_start(l, &spec, on_end, NULL, &e));
	assert_int_equal(e.code, EINVAL);
	spec.mem = 64U << 20;
	spec.cpus = 100000;
	assert_null(machine_start(l, &spec, on_end, NULL, &e));
	assert_int_equal(e.code, EINVAL);
	spec.cpus = 1;
	spec.kernel = "/no/kernel";
	assert_null(machine_start(l, &spec, on_end, NULL, &e));
	assert_non_null(strstr(e.msg, "/no/kernel: No such file"));
}

static bool has(const struct strv *v, const char *opt, const char *value)
{
	for (size_t i = 0; i + 1 < v->n; i++) {
		if (strcmp(v->v[i], opt) == 0 && strcmp(v->v[i + 1], value) == 0)
			return true;
	}
	return false;
}

static void test_command(void **state)
{
	struct err e = ERR_INIT;
	const struct fuse_share share = { .name = "0", .path = "/", .read_only = true };
	struct fuse *files = fuse_new(&share, 1, &e);
	struct virtio_device *fs = virtio_fs_new(l, "a,b", files, NULL, &e);
	const struct net_config conf = { .host_loopback = false };
	const uint8_t mac[NET_MAC_LEN] = { 2, 0, 0x5e, 0, 0x53, 1 };
	struct virtio_device *net = virtio_net_new(l, mac, &conf, NULL, &e);
	struct virtio_device *devices[] = { vsock, fs, net };
	struct machine_spec spec = { .cpus = 2,
				     .mem = 256ULL << 20,
				     .kernel = "/k,1",
				     .initrd = "/i",
				     .cmdline = "x=y",
				     .console = "/c,on",
				     .devices = devices,
				     .ndevices = 3 };
	struct qemu_args a = { "/bin/qemu", 7, { 8, 9, -1 }, { "", "", "00abc" }, 2000000 };
	struct strv v = STRV_INIT;

	(void)state;
	qemu_command(&spec, &a, &v);
	assert_string_equal(v.v[0], "/bin/qemu");
	assert_true(has(&v, "-smp", "2"));
	assert_true(has(&v, "-m", "256M"));
	assert_true(has(&v, "-kernel", "/k,1"));
	assert_true(has(&v, "-serial", "file:/c,on"));
	assert_true(has(&v, "-chardev", "socket,id=c0,fd=8"));
	assert_true(has(&v, "-device", "vhost-user-vsock-device,chardev=c0"));
	assert_true(has(&v, "-chardev", "socket,id=c1,fd=9"));
	assert_true(has(&v, "-device", "vhost-user-fs-device,chardev=c1,tag=a,,b,queue-size=1024"));
	assert_true(has(&v, "-chardev", "socket,id=c2,path=00abc,abstract=on"));
	assert_true(has(&v, "-netdev", "vhost-user,id=n2,chardev=c2"));
	for (size_t i = 0; i + 1 < v.n; i++) {
		if (str_starts(v.v[i + 1], "virtio-net-device"))
			assert_non_null(strstr(v.v[i + 1], ",netdev=n2,host_mtu=65520,"
							   "mac=02:00:5e:00:53:01,"));
		if (strcmp(v.v[i], "-append"))
			continue;
		assert_non_null(strstr(v.v[i + 1], " tsc_early_khz=2000000 lpj=8000000 x=y"));
	}
	strv_free(&v);
	virtio_fs_free(fs);
	fuse_free(files);
	virtio_net_free(net);
}

static void test_tsc(void **state)
{
	struct tsc_clock c;
	unsigned a, b;

	(void)state;
	tsc_start(&c);
	a = tsc_khz(&c);
	tsc_start(&c);
	b = tsc_khz(&c);
#if defined(__x86_64__)
	assert_in_range(a, 100000, 10000000);
	assert_in_range(b, a - a / 100, a + a / 100);
#else
	assert_int_equal(a, 0);
	assert_int_equal(b, 0);
#endif
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_ends),	      T(test_chatty), T(test_surroundings), T(test_free_kills),
		T(test_dies_with_us), T(test_errors), T(test_command),	    T(test_tsc),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
