/* test_boot.c: what the agent is told to make of a box spec. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "runtime/box/holder.h"
#include "runtime/box/placement.h"
#include "vsock/codec.h"

static void set(char **field, const char *value)
{
	free(*field);
	*field = xstrdup(value);
}

static void boot_of(const struct box_spec *s, struct wire_boot *b)
{
	struct str out = STR_INIT;
	struct wire_frame f;

	boot_frame(&out, s, 3ULL << 30, 25, 81);
	assert_int_equal(wire_frame_next(out.s, out.len, &f), 1);
	assert_int_equal(f.used, out.len);
	assert_int_equal(f.type, WIRE_BOOT);
	assert_int_equal(wire_get_boot(f.payload, f.len, b), 0);
	str_free(&out);
}

static const struct wire_file *file_of(const struct wire_boot *b, const char *path)
{
	for (uint32_t i = 0; i < b->nfiles; i++) {
		if (strcmp(b->files[i].path, path) == 0)
			return &b->files[i];
	}
	return NULL;
}

static void plain(void **state)
{
	struct box_spec s;
	struct wire_boot b;

	(void)state;
	box_spec_init(&s);
	strv_add(&s.argv, "true");
	set(&s.hostname, "h1");
	boot_of(&s, &b);
	assert_int_equal(b.flags, WIRE_BOOT_SYNC_ROOT);
	assert_true(b.realtime_ns > 0);
	assert_int_equal(b.shm_size, 64 << 20);
	assert_int_equal(b.nmounts, 0);
	assert_int_equal(b.task.id, WIRE_TASK_MAIN);
	assert_int_equal(b.task.flags, 0);
	assert_true(b.task.caps == s.caps);
	assert_int_equal(b.nfiles, 3);
	assert_string_equal(file_of(&b, "/etc/hostname")->data, "h1\n");
	assert_non_null(strstr(file_of(&b, "/etc/hosts")->data, "127.0.0.1\tlocalhost\n"));
	assert_non_null(strstr(file_of(&b, "/etc/hosts")->data, "\n10.0.2.15\th1\n"));
	assert_int_equal(b.nlinks, 1);
	assert_string_equal(b.links[0].name, "eth0");
	assert_string_equal(b.links[0].addresses.v[0], "10.0.2.15/24");
	assert_string_equal(b.links[0].gateways.v[0], "10.0.2.2");
	assert_int_equal(b.links[0].addresses.n, 2);
	assert_int_equal(b.links[0].gateways.n, 2);
	assert_non_null(file_of(&b, "/etc/resolv.conf"));
	wire_boot_free(&b);
	box_spec_free(&s);
}

static void everything(void **state)
{
	struct box_spec s;
	struct wire_boot b;

	(void)state;
	box_spec_init(&s);
	strv_add(&s.argv, "sh");
	strv_add(&s.argv, "-c");
	strv_add(&s.env, "A=1");
	strv_add(&s.groups, "wheel");
	strv_add(&s.extra_hosts, "db:10.0.0.5");
	strv_add(&s.extra_hosts, "six:fd00::1");
	strv_add(&s.extra_hosts, "outside:host-gateway");
	set(&s.hostname, "h1");
	set(&s.domainname, "example.org");
	set(&s.user, "u:g");
	set(&s.cwd, "/srv");
	s.tty = s.open_stdin = s.init = s.read_only = s.privileged = s.auto_remove = true;
	box_spec_add_mount(&s, BOX_MOUNT_TMPFS, NULL, "/t", "size=1m", false);
	box_spec_add_mount(&s, BOX_MOUNT_BIND, "/tmp", "/mnt", NULL, true);
	box_spec_add_mount(&s, BOX_MOUNT_BIND, "/etc/passwd", "/etc/hosts", NULL, false);
	boot_of(&s, &b);
	assert_int_equal(b.flags, WIRE_BOOT_ROOT_READ_ONLY);
	assert_int_equal(b.task.flags,
			 WIRE_TASK_TTY | WIRE_TASK_STDIN | WIRE_TASK_INIT | WIRE_TASK_PRIVILEGED);
	assert_int_equal(b.task.rows, 25);
	assert_int_equal(b.task.cols, 81);
	assert_int_equal(b.task.argv.n, 2);
	assert_string_equal(b.task.env.v[0], "A=1");
	assert_string_equal(b.task.groups.v[0], "wheel");
	assert_string_equal(b.task.user, "u:g");
	assert_string_equal(b.task.cwd, "/srv");
	assert_int_equal(b.nmounts, 3);
	assert_int_equal(b.mounts[0].kind, WIRE_MOUNT_TMPFS);
	assert_string_equal(b.mounts[0].options, "size=1m");
	assert_string_equal(b.mounts[1].source, "0");
	assert_int_equal(b.mounts[1].read_only, 1);
	assert_string_equal(b.mounts[2].source, "1/passwd");
	assert_string_equal(b.mounts[2].target, "/etc/hosts");
	assert_null(file_of(&b, "/etc/hosts")); /* the user's own is there */
	assert_int_equal(b.nfiles, 2);
	wire_boot_free(&b);
	/* the container's name and the added hosts, once nothing is mounted over them */
	s.nmounts = 0;
	boot_of(&s, &b);
	assert_non_null(strstr(file_of(&b, "/etc/hosts")->data,
			       "\n10.0.0.5\tdb\nfd00::1\tsix\n10.0.2.2\toutside\n"));
	assert_non_null(strstr(file_of(&b, "/etc/hosts")->data, "\th1.example.org h1\n"));
	wire_boot_free(&b);
	s.nmounts = 3;
	box_spec_free(&s);
}

static void limits(void **state)
{
	struct box_limits l = { .memory = 1 << 30, .memory_reservation = 1 << 20, .pids = 5 };
	struct wire_limits w;

	(void)state;
	boot_limits(&w, &l);
	assert_true(w.memory_max == 1 << 30 && w.memory_low == 1 << 20 && w.pids_max == 5);
	assert_true(w.cpu_quota == 0 && w.cpu_period == 0 && w.cpu_weight == 0);
	l.nano_cpus = 1500000000;
	boot_limits(&w, &l);
	assert_true(w.cpu_quota == 150000 && w.cpu_period == 100000);
	l = (struct box_limits){ .cpu_quota = 5000 };
	boot_limits(&w, &l);
	assert_true(w.cpu_quota == 5000 && w.cpu_period == 100000);
	l.cpu_period = 20000;
	boot_limits(&w, &l);
	assert_true(w.cpu_quota == 5000 && w.cpu_period == 20000);
	/* as container runtimes convert them */
	for (uint64_t shares = 1; shares <= 1 << 20; shares *= 2) {
		l.cpu_shares = shares;
		boot_limits(&w, &l);
		assert_true(w.cpu_weight >= 1 && w.cpu_weight <= WIRE_CPU_WEIGHT_MAX);
	}
	assert_int_equal(w.cpu_weight, 10000);
	l.cpu_shares = 1024;
	boot_limits(&w, &l);
	assert_int_equal(w.cpu_weight, 39);
	l.cpu_shares = 1;
	boot_limits(&w, &l);
	assert_int_equal(w.cpu_weight, 1);
	assert_int_equal(placement_nice(0), 0);
	assert_int_equal(placement_nice(1024), 0);
	assert_int_equal(placement_nice(512), 3);
	assert_int_equal(placement_nice(2048), -3);
	assert_int_equal(placement_nice(2), 19);
	assert_int_equal(placement_nice(262144), -20);
}

/* What the host's file says is kept only as far as nothing else was asked for. */
static void resolv(void **state)
{
	struct box_spec s;
	struct wire_boot b;
	const char *text;

	(void)state;
	box_spec_init(&s);
	strv_add(&s.argv, "true");
	strv_add(&s.dns, "10.1.2.3");
	strv_add(&s.dns, "fd00::1");
	strv_add(&s.dns_search, "a.example");
	strv_add(&s.dns_search, "b.example");
	strv_add(&s.dns_options, "ndots:2");
	boot_of(&s, &b);
	text = file_of(&b, "/etc/resolv.conf")->data;
	text = strstr(text, "nameserver 10.1.2.3");
	assert_non_null(text);
	assert_string_equal(text, "nameserver 10.1.2.3\nnameserver fd00::1\n"
				  "search a.example b.example\noptions ndots:2\n");
	text = file_of(&b, "/etc/resolv.conf")->data;
	assert_true(strstr(strstr(text, "nameserver") + 1, "nameserver") ==
		    strstr(text, "nameserver fd00"));
	wire_boot_free(&b);
	strv_add(&s.dns_search, ".");
	boot_of(&s, &b);
	assert_null(strstr(file_of(&b, "/etc/resolv.conf")->data, "search"));
	wire_boot_free(&b);
	box_spec_free(&s);
}

static void resolver_is(const struct box_spec *s, const char *host, const char *want)
{
	char *text = resolv_for(s, host);

	assert_string_equal(text, want);
	free(text);
}

static void host_resolver(void **state)
{
	struct box_spec s;

	(void)state;
	box_spec_init(&s);
	resolver_is(&s, "# by hand\nnameserver 127.0.0.53\noptions edns0\nsearch a.org b.org",
		    "# by hand\noptions edns0\nsearch a.org b.org\nnameserver 10.0.2.3\n");
	resolver_is(&s, "nameserver fe80::1%eth0\n", "nameserver fd7a:6c00::3\n");
	resolver_is(&s, "nameserver\t::1\nnameserver 192.0.2.1\n", "nameserver 10.0.2.3\n");
	resolver_is(&s, "", "nameserver 10.0.2.3\n");
	set(&s.network, "none");
	resolver_is(&s, "nameserver 10.1.1.1\n", "nameserver 10.1.1.1\n");
	box_spec_free(&s);
}

static void without_network(void **state)
{
	struct box_spec s;
	struct wire_boot b;

	(void)state;
	box_spec_init(&s);
	strv_add(&s.argv, "true");
	set(&s.hostname, "h1");
	set(&s.network, "none");
	boot_of(&s, &b);
	assert_int_equal(b.nlinks, 0);
	assert_non_null(strstr(file_of(&b, "/etc/hosts")->data, "\n127.0.0.1\th1\n"));
	wire_boot_free(&b);
	box_spec_free(&s);
}

static void host_config(void **state)
{
	struct box_spec s;
	struct wire_boot b;

	(void)state;
	box_spec_init(&s);
	strv_add(&s.argv, "true");
	s.limits.pids = 9;
	s.oom_score_adj = -5;
	s.no_new_privs = s.system_paths = s.writable_cgroups = true;
	strv_add(&s.ulimits, "nofile=1:2");
	strv_add(&s.sysctls, "kernel.msgmax=1");
	strv_add(&s.devices, "/dev/net/tun:/my/tun:rwm");
	set(&s.ipc, "none");
	boot_of(&s, &b);
	assert_int_equal(b.flags, WIRE_BOOT_SYNC_ROOT | WIRE_BOOT_SYSTEM_PATHS |
					  WIRE_BOOT_CGROUP_WRITE | WIRE_BOOT_NO_SHM);
	assert_int_equal(b.task.flags, WIRE_TASK_NO_NEW_PRIVS);
	assert_int_equal(b.limits.pids_max, 9);
	assert_int_equal(b.oom_score_adj, -5);
	assert_string_equal(b.rlimits.v[0], "nofile=1:2");
	assert_string_equal(b.sysctls.v[0], "kernel.msgmax=1");
	assert_string_equal(b.devices.v[0], "net/tun:/my/tun");
	wire_boot_free(&b);
	box_spec_free(&s);
}

static void bind_sources(void **state)
{
	struct err e = ERR_INIT;
	char *dir, *entry;

	(void)state;
	assert_int_equal(boot_bind_split("/tmp", &dir, &entry, &e), 0);
	assert_string_equal(dir, "/tmp");
	assert_null(entry);
	free(dir);
	assert_int_equal(boot_bind_split("/etc/passwd", &dir, &entry, &e), 0);
	assert_string_equal(dir, "/etc");
	assert_string_equal(entry, "passwd");
	free(dir);
	free(entry);
	assert_int_equal(boot_bind_split("/no/such/file", &dir, &entry, &e), -ENOENT);
	assert_non_null(strstr(e.msg, "/no/such/file"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain),	 cmocka_unit_test(everything),
		cmocka_unit_test(limits),	 cmocka_unit_test(resolv),
		cmocka_unit_test(host_config),	 cmocka_unit_test(bind_sources),
		cmocka_unit_test(host_resolver), cmocka_unit_test(without_network),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
