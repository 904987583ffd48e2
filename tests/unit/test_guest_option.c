/* test_guest_option.c: mount options, limits and sysctls the guest is given as text. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "guest/option.h"
#include "guest/sys.h"

#define DEFAULTS (SYS_MOUNT_NOEXEC | SYS_MOUNT_NOSUID | SYS_MOUNT_NODEV)

static void test_tmpfs(void **state)
{
	static const struct {
		const char *text;
		uint64_t attrs;
		const char *data; /* joined by blanks */
		bool mode;
	} rows[] = {
		{ "", DEFAULTS, "", false },
		{ "size=64m", DEFAULTS, "size=64m", false },
		{ "rw,size=1g,mode=1777,uid=5,gid=6", DEFAULTS, "size=1g mode=1777 uid=5 gid=6",
		  true },
		{ "exec,suid,dev", 0, "", false },
		{ "ro", DEFAULTS | SYS_MOUNT_RDONLY, "", false },
		{ "ro,rw", DEFAULTS, "", false },
		{ "exec,noexec,,nr_inodes=10", DEFAULTS, "nr_inodes=10", false },
		{ "noatime,strictatime", DEFAULTS | SYS_MOUNT_STRICTATIME, "", false },
		{ "strictatime,noatime,nodiratime",
		  DEFAULTS | SYS_MOUNT_NOATIME | SYS_MOUNT_NODIRATIME, "", false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		own_str struct str joined = STR_INIT;
		struct tmpfs_options o;
		struct err e = ERR_INIT;

		str_add(&joined, "");
		assert_int_equal(tmpfs_options_parse(rows[i].text, &o, &e), 0);
		assert_int_equal(o.attrs, rows[i].attrs);
		assert_int_equal(o.mode_given, rows[i].mode);
		for (size_t k = 0; k < o.data.n; k++)
			str_addf(&joined, "%s%s", k ? " " : "", o.data.v[k]);
		assert_string_equal(joined.s, rows[i].data);
		tmpfs_options_free(&o);
	}
}

static void test_tmpfs_refused(void **state)
{
	static const char *const texts[] = { "foo", "size", "source=x", "size=1m,bind", "=", "RO" };

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct tmpfs_options o;
		struct err e = ERR_INIT;

		assert_int_equal(tmpfs_options_parse(texts[i], &o, &e), -EINVAL);
		assert_non_null(strstr(e.msg, "invalid tmpfs option [\""));
		assert_null(o.data.v);
	}
}

static void test_rlimit(void **state)
{
	static const char *const bad[] = { "",		 "nofile",     "nofile=", "nofile=x",
					   "nofile=2:1", "nofile=1:x", "files=1", "nofile=1:2:3",
					   "nofile=-2",	 "nofile=-1:5" };
	struct err e = ERR_INIT;
	struct rlimit lim;
	int what;

	(void)state;
	assert_int_equal(rlimit_parse("nofile=1024:2048", &what, &lim, &e), 0);
	assert_int_equal(what, RLIMIT_NOFILE);
	assert_int_equal(lim.rlim_cur, 1024);
	assert_int_equal(lim.rlim_max, 2048);
	assert_int_equal(rlimit_parse("core=0", &what, &lim, &e), 0);
	assert_int_equal(what, RLIMIT_CORE);
	assert_int_equal(lim.rlim_max, 0);
	assert_int_equal(rlimit_parse("memlock=10:-1", &what, &lim, &e), 0);
	assert_true(lim.rlim_max == RLIM_INFINITY);
	assert_int_equal(rlimit_parse("stack=unlimited", &what, &lim, &e), 0);
	assert_true(lim.rlim_cur == RLIM_INFINITY);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(rlimit_parse(bad[i], &what, &lim, &e), -EINVAL);
}

static void test_sysctl(void **state)
{
	static const struct {
		const char *text, *path, *value;
	} rows[] = {
		{ "net.core.somaxconn=1024", "net/core/somaxconn", "1024" },
		{ "net/ipv4/conf/eth0.1/forwarding=1", "net/ipv4/conf/eth0.1/forwarding", "1" },
		{ "net.ipv4.conf.eth0/1.forwarding=1", "net/ipv4/conf/eth0.1/forwarding", "1" },
		{ "kernel.sem=250 32000 100=128", "kernel/sem", "250 32000 100=128" },
		{ "x=", "x", "" },
	};
	static const char *const bad[] = { "",	       "x",	 "=1",	   "../x=1", "a/../b=1",
					   "/etc/x=1", "a//b=1", "a..b=1", ".a=1",   "a.=1" };
	struct err e = ERR_INIT;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *value;
		char *path;

		assert_int_equal(sysctl_parse(rows[i].text, &path, &value, &e), 0);
		assert_string_equal(path, rows[i].path);
		assert_string_equal(value, rows[i].value);
		free(path);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		const char *value;
		char *path;

		assert_int_equal(sysctl_parse(bad[i], &path, &value, &e), -EINVAL);
	}
}

static void test_error_text(void **state)
{
	char buf[128];

	(void)state;
	assert_string_equal(error_text(ENOENT, buf, sizeof(buf)), "no such file or directory");
	assert_string_equal(error_text(EACCES, buf, sizeof(buf)), "permission denied");
	assert_string_equal(error_text(ENOEXEC, buf, sizeof(buf)), "exec format error");
	assert_string_equal(error_text(EISDIR, buf, sizeof(buf)), "is a directory");
	assert_string_equal(error_text(ENOMEM, buf, sizeof(buf)), "cannot allocate memory");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tmpfs),	   cmocka_unit_test(test_tmpfs_refused),
		cmocka_unit_test(test_rlimit),	   cmocka_unit_test(test_sysctl),
		cmocka_unit_test(test_error_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
