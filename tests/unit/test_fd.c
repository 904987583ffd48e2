/* test_fd.c: rm -rf takes trees of any depth and shape, with few descriptors. */
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
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/fd.h"

static char dir[] = "/tmp/zl-test-fd.XXXXXX";
static int dfd;

static int make_dir(void **state)
{
	(void)state;
	strcpy(dir + sizeof(dir) - 7, "XXXXXX");
	if (mkdtemp(dir) == NULL)
		return -1;
	dfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return dfd < 0 ? -1 : 0;
}

static int drop_dir(void **state)
{
	(void)state;
	close(dfd);
	return rmdir(dir); /* fails if a test has left something */
}

static void touch(int at, const char *name)
{
	int fd = openat(at, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	close(fd);
}

/* levels folders in one another, a file in each, and one whose name is used on the way up. */
static void make_deep(int levels)
{
	int at;

	assert_int_equal(mkdirat(dfd, "deep", 0700), 0);
	at = openat(dfd, "deep", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	touch(at, ".zl-removed-0");
	for (int i = 0; i < levels; i++) {
		int next;

		touch(at, "file");
		assert_int_equal(mkdirat(at, "folder", 0700), 0);
		next = openat(at, "folder", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		assert_true(next >= 0);
		close(at);
		at = next;
	}
	close(at);
}

static void test_deep_tree(void **state)
{
	struct rlimit old, few;
	struct err e = ERR_INIT;

	(void)state;
	make_deep(2100);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	few = old;
	few.rlim_cur = 80;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	assert_int_equal(dir_remove_all(dfd, "deep", &e), 0);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	assert_int_equal(faccessat(dfd, "deep", F_OK, 0), -1);
}

static void test_unreadable_and_links(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	touch(dfd, "canary");
	assert_int_equal(mkdirat(dfd, "a", 0700), 0);
	assert_int_equal(mkdirat(dfd, "a/b", 0700), 0);
	touch(dfd, "a/b/file");
	assert_int_equal(symlinkat("..", dfd, "a/b/up"), 0);
	assert_int_equal(symlinkat("../canary", dfd, "a/link"), 0);
	assert_int_equal(fchmodat(dfd, "a/b", 0, 0), 0);
	assert_int_equal(fchmodat(dfd, "a", 0500, 0), 0);
	assert_int_equal(dir_remove_all(dfd, "a", &e), 0);
	assert_int_equal(faccessat(dfd, "a", F_OK, AT_SYMLINK_NOFOLLOW), -1);
	/* a symlink goes, what it names stays; a file goes; nothing there is fine */
	assert_int_equal(symlinkat("canary", dfd, "l"), 0);
	assert_int_equal(dir_remove_all(dfd, "l", &e), 0);
	assert_int_equal(faccessat(dfd, "canary", F_OK, 0), 0);
	assert_int_equal(dir_remove_all(dfd, "canary", &e), 0);
	assert_int_equal(dir_remove_all(dfd, "canary", &e), 0);
}

static void test_refused(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	touch(dfd, "file");
	assert_int_equal(dir_remove_all(dfd, "file/x", &e), -ENOTDIR);
	assert_non_null(strstr(e.msg, "remove file/x: "));
	assert_int_equal(dir_remove_all(dfd, "file", &e), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_deep_tree, make_dir, drop_dir),
		cmocka_unit_test_setup_teardown(test_unreadable_and_links, make_dir, drop_dir),
		cmocka_unit_test_setup_teardown(test_refused, make_dir, drop_dir),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
