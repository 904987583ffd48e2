/* test_guest_files.c: mount targets inside a root, and the search for programs, on real files. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "guest/child.h"
#include "guest/target.h"
#include "runtime/base/fd.h"
#include "runtime/base/own.h"

static char top[64]; /* holds "root", the container's, and "outside" */
static int root;

static int set_up(void **state)
{
	(void)state;
	strcpy(top, "/tmp/zl-test-guest-XXXXXX");
	if (mkdtemp(top) == NULL || chdir(top) < 0 || mkdir("root", 0755) < 0 ||
	    mkdir("outside", 0755) < 0)
		return -1;
	root = open("root", O_PATH | O_DIRECTORY | O_CLOEXEC);
	return root < 0 ? -1 : 0;
}

static int tear_down(void **state)
{
	(void)state;
	close(root);
	if (chdir("/") < 0)
		return -1;
	return dir_remove_all(AT_FDCWD, top, NULL);
}

/* What `path` below top is: 'd', 'f', or 0. */
static int kind(const char *path)
{
	struct stat st;

	if (lstat(path, &st) < 0)
		return 0;
	return S_ISDIR(st.st_mode) ? 'd' : S_ISREG(st.st_mode) ? 'f' : 'x';
}

static int make(const char *path, bool folder)
{
	int fd = target_make(root, path, folder, NULL);

	if (fd < 0)
		return fd;
	close(fd);
	return 0;
}

static void test_make(void **state)
{
	(void)state;
	assert_int_equal(make("/a/b/c", true), 0);
	assert_int_equal(kind("root/a/b/c"), 'd');
	assert_int_equal(make("/a/b/c", true), 0);
	assert_int_equal(make("/a/b/f", false), 0);
	assert_int_equal(kind("root/a/b/f"), 'f');
	assert_int_equal(make("//x///y/./z//", true), 0);
	assert_int_equal(kind("root/x/y/z"), 'd');
	assert_int_equal(make("/", true), 0);
	assert_int_equal(make("/a/b/f", true), -ENOTDIR);
	assert_int_equal(make("/a/b", false), -EISDIR);
	assert_int_equal(make("/a/b/f/g", true), -ENOTDIR);
	assert_int_equal(target_open(root, "/none"), -ENOENT);
}

/* Whatever the image has in the way, nothing outside of the root is touched. */
static void test_links(void **state)
{
	own_free char *abs = xasprintf("%s/outside", top);

	(void)state;
	assert_int_equal(mkdir("root/run", 0755), 0);
	assert_int_equal(symlink("/run", "root/abs"), 0);
	assert_int_equal(symlink("../../../../outside", "root/up"), 0);
	assert_int_equal(symlink(abs, "root/host"), 0);
	assert_int_equal(symlink("missing/deep", "root/dangling"), 0);
	assert_int_equal(symlink("loop", "root/loop"), 0);
	assert_int_equal(make("/abs/d", true), 0);
	assert_int_equal(kind("root/run/d"), 'd');
	assert_int_equal(make("/up/d", true), 0);
	assert_int_equal(kind("root/outside/d"), 'd');
	assert_int_equal(make("/host/d", true), 0);
	assert_int_equal(make("/dangling/d", true), 0);
	assert_int_equal(kind("root/missing/deep/d"), 'd');
	assert_int_equal(make("/../../outside/e", true), 0);
	assert_int_equal(kind("root/outside/e"), 'd');
	assert_int_equal(make("/new/../../../f", false), 0);
	assert_int_equal(kind("root/f"), 'f');
	assert_int_equal(make("/loop/d", true), -ELOOP);
	assert_int_equal(kind("outside/d"), 0);
	assert_int_equal(kind("outside/e"), 0);
	assert_int_equal(rmdir("outside"), 0); /* it is empty still */
	assert_int_equal(mkdir("outside", 0755), 0);
}

static void put_file(const char *path, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);

	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(chmod(path, mode), 0);
}

static int look(const char *file, const char *path_env, const char *want)
{
	own_strv struct strv env = STRV_INIT;
	struct err e = ERR_INIT;
	char *path = NULL;
	int rc;

	if (path_env)
		strv_addf(&env, "PATH=%s", path_env);
	rc = child_look_path(file, &env, &path, &e);
	assert_string_equal(rc ? e.msg : path, want);
	free(path);
	return rc;
}

static void test_look_path(void **state)
{
	(void)state;
	assert_int_equal(mkdir("b1", 0755), 0);
	assert_int_equal(mkdir("b2", 0755), 0);
	assert_int_equal(mkdir("b1/dir", 0755), 0);
	put_file("b1/plain", 0644);
	put_file("b2/prog", 0755);
	put_file("b2/plain", 0755);
	put_file("b2/dir", 0755);
	assert_int_equal(look("prog", "b1:b2", "b2/prog"), 0);
	assert_int_equal(look("plain", "b1:b2", "b2/plain"), 0); /* not executable: not found */
	assert_int_equal(look("dir", "b1:b2", "b2/dir"), 0);
	assert_int_equal(look("b2/prog", NULL, "b2/prog"), 0);
	assert_int_equal(
		look("nope", "b1:b2", "exec: \"nope\": executable file not found in $PATH"), 127);
	assert_int_equal(look("plain", "b1", "exec: \"plain\": executable file not found in $PATH"),
			 127);
	assert_int_equal(look("prog", NULL, "exec: \"prog\": executable file not found in $PATH"),
			 127);
	assert_int_equal(look("", "b1", "exec: \"\": executable file not found in $PATH"), 127);
	assert_int_equal(look("b1/none", "b1",
			      "exec: \"b1/none\": stat b1/none: no such file or directory"),
			 127);
	assert_int_equal(look("b1/plain", "b1", "exec: \"b1/plain\": permission denied"), 126);
	assert_int_equal(look("b1/dir", "b1", "exec: \"b1/dir\": is a directory"), 126);
	assert_int_equal(look("b2/prog/x", "b1",
			      "exec: \"b2/prog/x\": stat b2/prog/x: not a directory"),
			 126);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_make),
		cmocka_unit_test(test_links),
		cmocka_unit_test(test_look_path),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
