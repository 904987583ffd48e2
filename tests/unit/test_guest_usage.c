/* test_guest_usage.c: what the agent makes of /proc's texts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "guest/usage.h"

static const struct usage_clock at = { .now_ms = 100000, .ticks = 100, .page_size = 4096 };

/* pid (name) state ppid pgrp session tty tpgid flags 4 faults, utime stime cutime cstime prio nice
 * ... */
#define STAT(NAME)                                                                             \
	"77 (" NAME ") S 1 77 70 34817 77 4194304 100 0 0 0 250 50 9 9 39 19 3 0 4000 8192 2 " \
	"18446744073709551615 1 1 0 0 0 0 0\n"

static const char status_text[] = "Name:\tsh\nState:\tS (sleeping)\nTgid:\t77\nPid:\t77\nPPid:\t1\n"
				  "Uid:\t1000\t1001\t1002\t1003\nGid:\t20\t21\t22\t23\n"
				  "NStgid:\t77\t5\nNSpid:\t77\t5\nNSpgid:\t77\t5\nNSsid:\t70\t1\n"
				  "VmPeak:\t8 kB\n";

static void test_process(void **state)
{
	struct wire_process p = { .query = 3 };
	uint32_t parent;

	(void)state;
	/* a name may hold what would end it */
	assert_true(usage_process(STAT("a) R 9 (b"), status_text, &at, &p, &parent));
	assert_int_equal(parent, 1);
	assert_int_equal(p.query, 3);
	assert_int_equal(p.pid, 5);
	assert_int_equal(p.pgid, 5);
	assert_int_equal(p.sid, 1);
	assert_int_equal(p.ruid, 1000);
	assert_int_equal(p.uid, 1001);
	assert_int_equal(p.rgid, 20);
	assert_int_equal(p.gid, 21);
	assert_int_equal(p.tty, 34817);
	assert_int_equal(p.foreground, 1);
	assert_int_equal(p.state, 'S');
	assert_int_equal(p.threads, 3);
	assert_int_equal(p.nice, 39);
	assert_int_equal(p.priority, 139);
	assert_int_equal(p.cpu_ms, 3000);
	assert_int_equal(p.age_ms, 60000);
	assert_int_equal(p.virtual_size, 8192);
	assert_int_equal(p.resident_size, 8192);
}

static void test_not_ours(void **state)
{
	static const char *const others[] = {
		"Name:\tkthreadd\nNSpid:\t2\nNSpgid:\t0\n", /* has no number in the container */
		"Name:\tx\n", "", "Name:\tNSpid:\t1\t2\n",  /* only looks like it */
	};
	struct wire_process p;
	uint32_t parent;

	(void)state;
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		assert_false(usage_process(STAT("x"), others[i], &at, &p, &parent));
	/* it ended while it was read */
	assert_false(usage_process("", status_text, &at, &p, &parent));
	assert_false(usage_process("77 (x) S 1 2 3\n", status_text, &at, &p, &parent));
	assert_false(usage_process("77 (x)", status_text, &at, &p, &parent));
}

static void is_command(const char *cmdline, size_t n, const char *want)
{
	char *s = usage_command(cmdline, n, "name");

	assert_string_equal(s, want);
	free(s);
}

static void test_command(void **state)
{
	char *big = malloc(2 * WIRE_COMMAND_MAX), *s;

	(void)state;
	is_command("sh\0-c\0echo  x\0", 14, "sh -c echo  x");
	is_command("", 0, "[name]");
	is_command("\0\0\0", 3, "[name]");
	is_command("title   \0\0", 10, "title"); /* setproctitle */
	memset(big, 'x', 2 * WIRE_COMMAND_MAX);
	s = usage_command(big, 2 * WIRE_COMMAND_MAX, "name");
	assert_int_equal(strlen(s), WIRE_COMMAND_MAX);
	free(s);
	free(big);
}

static void test_net(void **state)
{
	uint64_t rx, tx;

	(void)state;
	usage_net("Inter-|   Receive                    |  Transmit\n"
		  " face |bytes packets errs drop fifo frame compressed multicast|bytes packets\n"
		  "    lo:  999  1 0 0 0 0 0 0  999 1 0 0 0 0 0 0\n"
		  "  eth0: 5000 10 0 0 0 0 0 0  600 2 0 0 0 0 0 0\n"
		  "  wg0:1 1 0 0 0 0 0 0 2 1 0 0 0 0 0 0\n",
		  &rx, &tx);
	assert_int_equal(rx, 5001);
	assert_int_equal(tx, 602);
	usage_net("", &rx, &tx);
	assert_int_equal(rx + tx, 0);
	usage_net("eth0: 1 2\nbroken\n:\n", &rx, &tx);
	assert_int_equal(rx + tx, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_process),
		cmocka_unit_test(test_not_ours),
		cmocka_unit_test(test_command),
		cmocka_unit_test(test_net),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
