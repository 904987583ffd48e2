/* test_guest_user.c: docker's user specifications against /etc/passwd and /etc/group. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "guest/user.h"

static const char passwd_text[] = "root:x:0:0:root:/root:/bin/sh\n"
				  "\n"
				  "  joe:x:1000:1001:Joe:/home/joe:/bin/sh  \n"
				  "broken:x:12a:5:::\n"
				  "short\n"
				  "huge:x:99999999999:5:::\n"
				  "1000:x:77:77::/seven:\n"
				  "nohome:x:9:9:::\n"
				  "last:x:8:8::/last:/bin/sh";
static const char group_text[] = "root:x:0:\nwheel:x:10:joe,root\njoe:x:1001:\n"
				 "audio:x:29:ann,joe\nnear:x:30:joey\nbad:x:z:joe\n"
				 "twice:x:10:joe\n";

struct expect {
	const char *spec;
	uint32_t uid, gid;
	const char *home;
	uint32_t groups[5];
	size_t ngroups;
};

static struct str str_of(const char *s, size_t n)
{
	struct str r = STR_INIT;

	str_add_mem(&r, s, n);
	return r;
}

static void test_forms(void **state)
{
	static const struct expect rows[] = {
		{ "", 0, 0, "/root", { 0, 10 }, 2 },
		{ "root", 0, 0, "/root", { 0, 10 }, 2 },
		{ "0", 0, 0, "/root", { 0, 10 }, 2 },
		{ "joe", 1000, 1001, "/home/joe", { 1001, 10, 29 }, 3 },
		/* a number is one, even where a user is called so */
		{ "1000", 1000, 1001, "/home/joe", { 1001, 10, 29 }, 3 },
		{ "joe:", 1000, 1001, "/home/joe", { 1001, 10, 29 }, 3 },
		{ "joe:audio", 1000, 29, "/home/joe", { 29 }, 1 },
		{ "joe:5", 1000, 5, "/home/joe", { 5 }, 1 },
		{ "1000:wheel", 1000, 10, "/home/joe", { 10 }, 1 },
		{ "4711", 4711, 0, "/", { 0 }, 1 },
		{ "4711:4712", 4711, 4712, "/", { 4712 }, 1 },
		{ ":wheel", 0, 10, "/root", { 10 }, 1 },
		{ "nohome", 9, 9, "/", { 9 }, 1 },
		{ "last", 8, 8, "/last", { 8 }, 1 },
		{ "2147483647", 2147483647, 0, "/", { 0 }, 1 },
	};
	own_str struct str passwd = str_of(passwd_text, strlen(passwd_text));
	own_str struct str group = str_of(group_text, strlen(group_text));
	struct strv none = STRV_INIT;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct err e = ERR_INIT;
		struct user u;

		assert_int_equal(user_resolve(rows[i].spec, &none, &passwd, &group, &u, &e), 0);
		assert_int_equal(u.uid, rows[i].uid);
		assert_int_equal(u.gid, rows[i].gid);
		assert_string_equal(u.home, rows[i].home);
		assert_int_equal(u.ngroups, rows[i].ngroups);
		assert_memory_equal(u.groups, rows[i].groups, u.ngroups * sizeof(*u.groups));
		user_free(&u);
	}
}

static void test_failures(void **state)
{
	static const struct {
		const char *spec, *message;
	} rows[] = {
		{ "ann", "unable to find user ann: no matching entries in passwd file" },
		{ "broken", "unable to find user broken: no matching entries in passwd file" },
		{ "huge", "unable to find user huge: no matching entries in passwd file" },
		{ "-1", "unable to find user -1: no matching entries in passwd file" },
		{ "jo", "unable to find user jo: no matching entries in passwd file" },
		{ "joe:nope", "unable to find group nope: no matching entries in group file" },
		{ "joe:bad", "unable to find group bad: no matching entries in group file" },
		{ "2147483648", "uids and gids must be in range 0-2147483647" },
		{ "0:2147483648", "uids and gids must be in range 0-2147483647" },
		{ "99999999999999999999",
		  "unable to find user 99999999999999999999: no matching entries in passwd file" },
	};
	own_str struct str passwd = str_of(passwd_text, strlen(passwd_text));
	own_str struct str group = str_of(group_text, strlen(group_text));
	struct strv none = STRV_INIT;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct err e = ERR_INIT;
		struct user u;

		assert_true(user_resolve(rows[i].spec, &none, &passwd, &group, &u, &e) < 0);
		assert_string_equal(e.msg, rows[i].message);
		assert_null(u.groups);
		assert_null(u.home);
	}
}

static void test_more_groups(void **state)
{
	own_str struct str passwd = str_of(passwd_text, strlen(passwd_text));
	own_str struct str group = str_of(group_text, strlen(group_text));
	own_strv struct strv more = STRV_INIT;
	struct err e = ERR_INIT;
	struct user u;
	static const uint32_t want[] = { 29, 30, 55 };

	(void)state;
	strv_add(&more, "near");
	strv_add(&more, "55");
	strv_add(&more, "audio");
	assert_int_equal(user_resolve("joe:audio", &more, &passwd, &group, &u, &e), 0);
	assert_int_equal(u.ngroups, 3);
	assert_memory_equal(u.groups, want, sizeof(want));
	user_free(&u);
	strv_add(&more, "none");
	assert_true(user_resolve("joe", &more, &passwd, &group, &u, &e) < 0);
	assert_string_equal(e.msg, "unable to find group none: no matching entries in group file");
}

/* Files that are missing or full of rubbish. */
static void test_rubbish(void **state)
{
	static const char bytes[] =
		"\0:::\n:::::::::\n\n\r\n\xff\xfe\0joe:x:1:1:::\njoe:x:3:4::/h\0x:\n:";
	own_str struct str rubbish = str_of(bytes, sizeof(bytes) - 1);
	struct str none = STR_INIT;
	struct strv nogroups = STRV_INIT;
	struct err e = ERR_INIT;
	struct user u;

	(void)state;
	assert_int_equal(user_resolve("", &nogroups, &none, &none, &u, &e), 0);
	assert_int_equal(u.uid, 0);
	assert_string_equal(u.home, "/");
	user_free(&u);
	assert_true(user_resolve("joe", &nogroups, &none, &none, &u, &e) < 0);
	assert_int_equal(user_resolve("joe", &nogroups, &rubbish, &rubbish, &u, &e), 0);
	assert_int_equal(u.uid, 3);
	assert_int_equal(u.gid, 4);
	assert_string_equal(u.home, "/h");
	user_free(&u);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_forms),
		cmocka_unit_test(test_failures),
		cmocka_unit_test(test_more_groups),
		cmocka_unit_test(test_rubbish),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
