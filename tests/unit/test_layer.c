/* test_layer.c: LAYER_XATTR_STAT's text, and what host file stands for what. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>
#include <sys/stat.h>

#include "runtime/base/layer.h"

static void expect_text(struct layer_stat st, const char *want)
{
	char buf[LAYER_STAT_MAX];
	struct layer_stat back;

	assert_int_equal(layer_stat_format(buf, &st), strlen(want));
	assert_string_equal(buf, want);
	assert_true(layer_stat_parse(want, strlen(want), S_IFREG, &back));
	assert_memory_equal(&back, &st, sizeof(st));
}

static void round_trip(void **state)
{
	(void)state;
	expect_text((struct layer_stat){ 0, 0, S_IFREG | 0644, 0, 0 }, "0:0:0644:file");
	expect_text((struct layer_stat){ 5, 7, S_IFREG | 06755, 0, 0 }, "5:7:06755:file");
	expect_text((struct layer_stat){ 0, 0, S_IFDIR | 01777, 0, 0 }, "0:0:01777:dir");
	expect_text((struct layer_stat){ 1, 0, S_IFLNK | 0777, 0, 0 }, "1:0:0777:symlink");
	expect_text((struct layer_stat){ 0, 0, S_IFIFO | 0600, 0, 0 }, "0:0:0600:pipe");
	expect_text((struct layer_stat){ 0, 0, S_IFSOCK | 0600, 0, 0 }, "0:0:0600:socket");
	expect_text((struct layer_stat){ 0, 6, S_IFBLK | 0660, 8, 1 }, "0:6:0660:block-8-1");
	expect_text((struct layer_stat){ UINT32_MAX, UINT32_MAX, S_IFCHR | 07777, UINT32_MAX,
					 UINT32_MAX },
		    "4294967295:4294967295:07777:char-4294967295-4294967295");
}

static void parse_forms(void **state)
{
	struct layer_stat st;

	(void)state;
	/* containers/storage writes it without a type, and without the leading zero */
	assert_true(layer_stat_parse("0:0:755", 7, S_IFDIR | 0700, &st));
	assert_int_equal(st.mode, S_IFDIR | 0755);
	assert_true(layer_stat_parse("0:0:100644", 10, S_IFREG, &st));
	assert_int_equal(st.mode, S_IFREG | 0644);
	/* what follows the given length does not count */
	assert_true(layer_stat_parse("1:2:0644:file-and-more", 13, S_IFREG, &st));
	assert_int_equal(st.gid, 2);
}

static void malformed(void **state)
{
	static const char *const bad[] = {
		"",
		"0",
		"0:",
		"0:0",
		"0:0:",
		":0:644",
		"0::644",
		"0:0:8",
		"0:0:0644:",
		"0:0:0644:nothing",
		"-1:0:0",
		"4294967296:0:0",
		"0:0:0644:char",
		"0:0:0644:char-",
		"0:0:0644:char-1",
		"0:0:0644:char-1-",
		"0:0:0644:char-1-2-3",
		"0:0:0644:char-1-2 ",
		"0:0:0644 ",
		" 0:0:0644",
		"0:0:0644:filex",
		"0:0:777777",
	};
	struct layer_stat st = { 1, 2, 3, 4, 5 };

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_false(layer_stat_parse(bad[i], strlen(bad[i]), S_IFREG, &st));
		assert_int_equal(st.uid, 1); /* left as it was */
	}
	for (size_t n = 0; n < strlen("10:20:0644:char-5-7"); n++)
		layer_stat_parse("10:20:0644:char-5-7", n, S_IFREG, &st);
}

static void host_files(void **state)
{
	const struct {
		struct layer_stat st;
		uint32_t host;
		bool needed;
	} rows[] = {
		{ { 0, 0, S_IFREG | 0644, 0, 0 }, S_IFREG | 0644, false },
		{ { 0, 0, S_IFREG | 0755, 0, 0 }, S_IFREG | 0755, false },
		{ { 0, 0, S_IFREG | 0444, 0, 0 }, S_IFREG | 0644, true },
		{ { 0, 0, S_IFREG | 0, 0, 0 }, S_IFREG | 0600, true },
		{ { 1, 0, S_IFREG | 0644, 0, 0 }, S_IFREG | 0644, true },
		{ { 0, 1, S_IFREG | 0644, 0, 0 }, S_IFREG | 0644, true },
		{ { 0, 0, S_IFREG | 04755, 0, 0 }, S_IFREG | 0755, true },
		{ { 0, 0, S_IFDIR | 0755, 0, 0 }, S_IFDIR | 0755, false },
		{ { 0, 0, S_IFDIR | 0555, 0, 0 }, S_IFDIR | 0755, true },
		{ { 0, 0, S_IFDIR | 01777, 0, 0 }, S_IFDIR | 0777, true },
		{ { 0, 0, S_IFLNK | 0777, 0, 0 }, S_IFLNK | 0777, false },
		{ { 9, 0, S_IFLNK | 0777, 0, 0 }, S_IFREG | 0777, true },
		{ { 0, 0, S_IFIFO | 0644, 0, 0 }, S_IFREG | 0644, true },
		{ { 0, 0, S_IFCHR | 0666, 1, 3 }, S_IFREG | 0666, true },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(layer_host_mode(&rows[i].st), rows[i].host);
		assert_int_equal(layer_stat_needed(&rows[i].st), rows[i].needed);
	}
}

static void whiteouts(void **state)
{
	struct layer_stat st = { 0, 0, S_IFCHR, 0, 0 };

	(void)state;
	assert_true(layer_stat_is_whiteout(&st));
	st.rdev_minor = 1;
	assert_false(layer_stat_is_whiteout(&st));
	st.rdev_minor = 0;
	st.rdev_major = 1;
	assert_false(layer_stat_is_whiteout(&st));
	st = (struct layer_stat){ 0, 0, S_IFBLK, 0, 0 };
	assert_false(layer_stat_is_whiteout(&st));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(round_trip), cmocka_unit_test(parse_forms),
		cmocka_unit_test(malformed),  cmocka_unit_test(host_files),
		cmocka_unit_test(whiteouts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
