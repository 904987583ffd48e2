/* test_refs.c: what containers keep in the store, also those that cannot be read (cmd/fetch.c). */
#include <errno.h>
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

#include "cmd/cmd.h"
#include "oci/store.h"
#include "runtime/base/fd.h"

#define ID    "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define LAYER "layers/" ID

static char root[] = "/tmp/zl-test-refs.XXXXXX";
static int rootfd = -1;
static struct zl z;

static int setup(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	strcpy(root + sizeof(root) - 7, "XXXXXX");
	if (mkdtemp(root) == NULL)
		return -1;
	rootfd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	z = (struct zl){ .name = "" };
	z.dirs.root = strdup(root);
	z.dirs.runtime = strdup(root);
	assert_int_equal(zl_store(&z, &e), 0);
	assert_int_equal(mkdirat(rootfd, LAYER, 0700), 0);
	assert_int_equal(mkdirat(rootfd, "containers", 0700), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	zl_free(&z);
	close(rootfd);
	return dir_remove_all(AT_FDCWD, root, NULL);
}

static bool has_layer(void)
{
	return faccessat(rootfd, LAYER, F_OK, 0) == 0;
}

static void test_unused(void **state)
{
	struct store_gc_stats st;
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(store_gc(z.store, &st, NULL, &e), 0);
	assert_int_equal(st.layers, 1);
	assert_false(has_layer());
}

/* Whose it is cannot be told, so it stays, until the container is gone. */
static void test_unreadable(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(mkdirat(rootfd, "containers/" ID, 0700), 0);
	assert_int_equal(file_write_atomic(rootfd, "containers/" ID "/spec.json", "{\"id", 4, 0600,
					   false, &e),
			 0);
	assert_int_equal(store_gc(z.store, NULL, NULL, &e), -EIO);
	assert_non_null(strstr(e.msg, "001122334455"));
	assert_true(has_layer());
	assert_int_equal(dir_remove_all(rootfd, "containers/" ID, &e), 0);
	assert_int_equal(store_gc(z.store, NULL, NULL, &e), 0);
	assert_false(has_layer());
}

/* Not even a folder: nobody knows what that was. */
static void test_no_folder(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(file_write_atomic(rootfd, "containers/" ID, "", 0, 0600, false, &e), 0);
	assert_int_equal(store_gc(z.store, NULL, NULL, &e), -EIO);
	assert_true(has_layer());
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_unused),
		T(test_unreadable),
		T(test_no_folder),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
