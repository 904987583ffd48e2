/* test_fuse_only.c: a share of one file gives a guest no way to the folder it lies in. */
#include <errno.h>
#include <linux/fuse.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>
#include <fcntl.h>
#include <unistd.h>

#include "runtime/base/fd.h"
#include "runtime/fuse/fuse.h"

static char dir[] = "/tmp/zl-test-only.XXXXXX";
static int dirfd_ = -1;
static struct fuse *f;

/* One request by hand: a hostile guest's kernel says what it likes. */
static int call(uint32_t opcode, uint64_t node, const void *body, size_t n, void *out, size_t max)
{
	struct fuse_in_header h = { .len = (uint32_t)(sizeof(h) + n), .opcode = opcode };
	struct fuse_out_header r = { 0 };
	char reply[4096];
	struct iovec to[2] = { { &h, sizeof(h) }, { (void *)(uintptr_t)body, n } };
	struct iovec from = { reply, sizeof(reply) };
	ssize_t got;

	h.nodeid = node;
	got = fuse_handle(f, to, n ? 2 : 1, &from, 1);
	assert_true(got >= (ssize_t)sizeof(r));
	memcpy(&r, reply, sizeof(r));
	if (out && r.error == 0) {
		assert_true((size_t)got - sizeof(r) <= max);
		memcpy(out, reply + sizeof(r), (size_t)got - sizeof(r));
	}
	return r.error;
}

static uint64_t lookup(uint64_t node, const char *name)
{
	struct fuse_entry_out e = { 0 };

	return call(FUSE_LOOKUP, node, name, strlen(name) + 1, &e, sizeof(e)) ? 0 : e.nodeid;
}

static int setup(void **state)
{
	struct fuse_init_in init = { .major = FUSE_KERNEL_VERSION,
				     .minor = FUSE_KERNEL_MINOR_VERSION };
	struct fuse_share share = { .name = "0", .path = dir, .only = "given" };
	struct err e = ERR_INIT;
	char out[512];

	(void)state;
	strcpy(dir + sizeof(dir) - 7, "XXXXXX");
	if (mkdtemp(dir) == NULL || chmod(dir, 0750) < 0)
		return -1;
	dirfd_ = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	close(openat(dirfd_, "given", O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	close(openat(dirfd_, "secret", O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	f = fuse_new(&share, 1, &e);
	assert_non_null(f);
	assert_int_equal(call(FUSE_INIT, 0, &init, sizeof(init), out, sizeof(out)), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	fuse_free(f);
	close(dirfd_);
	return dir_remove_all(AT_FDCWD, dir, NULL);
}

static void test_names(void **state)
{
	uint64_t root = lookup(FUSE_ROOT_ID, "0");

	(void)state;
	assert_int_not_equal(root, 0);
	assert_int_not_equal(lookup(root, "given"), 0);
	assert_int_equal(lookup(root, "secret"), 0);
	assert_int_equal(call(FUSE_UNLINK, root, "given", 6, NULL, 0), -EROFS);
	assert_int_equal(call(FUSE_UNLINK, root, "secret", 7, NULL, 0), -EROFS);
}

/* The folder is the host's: its mode, its times and its attributes are no business of the guest. */
static void test_folder(void **state)
{
	struct fuse_setattr_in set = { .valid = FATTR_MODE, .mode = S_IFDIR | 0777 };
	struct fuse_setattr_in times = { .valid = FATTR_MTIME, .mtime = 1 };
	const char xattr[] = "\1\0\0\0\0\0\0\0user.mine\0x";
	uint64_t root = lookup(FUSE_ROOT_ID, "0"), given = lookup(root, "given");
	struct stat before, after;

	(void)state;
	assert_int_equal(fstat(dirfd_, &before), 0);
	assert_int_equal(call(FUSE_SETATTR, root, &set, sizeof(set), NULL, 0), -EROFS);
	assert_int_equal(call(FUSE_SETATTR, root, &times, sizeof(times), NULL, 0), -EROFS);
	assert_int_equal(call(FUSE_SETXATTR, root, xattr, sizeof(xattr) - 1, NULL, 0), -EROFS);
	assert_int_equal(call(FUSE_REMOVEXATTR, root, "user.mine", 10, NULL, 0), -EROFS);
	assert_int_equal(fstat(dirfd_, &after), 0);
	assert_int_equal(after.st_mode, before.st_mode);
	assert_int_equal(after.st_mtime, before.st_mtime);
	/* while the file that was given is the guest's to change */
	set.mode = S_IFREG | 0640;
	assert_int_equal(call(FUSE_SETATTR, given, &set, sizeof(set), NULL, 0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_names, setup, teardown),
		cmocka_unit_test_setup_teardown(test_folder, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
