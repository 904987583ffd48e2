/* test_restart.c: restart policies and health checks: what flags and images come to. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cmd/flags.h"
#include "cmd/plan.h"
#include "runtime/base/own.h"
#include "runtime/base/parse.h"
#include "runtime/box/restart.h"

static struct err err;

static void test_parse(void **state)
{
	static const struct {
		const char *text, *policy; /* NULL: refused */
		int64_t retries;
		const char *words;
	} rows[] = {
		{ "", "no", 0, NULL },
		{ "no", "no", 0, NULL },
		{ "always", "always", 0, NULL },
		{ "always:0", "always", 0, NULL },
		{ "unless-stopped", "unless-stopped", 0, NULL },
		{ "on-failure", "on-failure", 0, NULL },
		{ "on-failure:3", "on-failure", 3, NULL },
		{ "on-failure:", "on-failure", 0, NULL },
		{ "on-failure:x", NULL, 0, "maximum retry count must be an integer" },
		{ "on-failure:1:2", NULL, 0, "maximum retry count must be an integer" },
		{ "on-failure:-1", NULL, 0, "maximum retry count cannot be negative" },
		{ "always:3", NULL, 0, "maximum retry count can only be used with 'on-failure'" },
		{ "no:-1", NULL, 0, "'on-failure' and cannot be negative" },
		{ ":3", NULL, 0, "invalid restart policy format: no policy provided before colon" },
		{ "never", NULL, 0, "invalid restart policy: unknown policy 'never'; use one of" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		own_free char *policy = xstrdup("before");
		int64_t retries = -7;
		int rc;

		err = (struct err)ERR_INIT;
		rc = box_restart_parse(rows[i].text, &policy, &retries, &err);
		if (rows[i].policy == NULL) {
			assert_int_equal(rc, -EINVAL);
			if (strstr(err.msg, rows[i].words) == NULL)
				fail_msg("%s: %s", rows[i].text, err.msg);
			assert_string_equal(policy, "before");
			continue;
		}
		assert_int_equal(rc, 0);
		assert_string_equal(policy, rows[i].policy);
		assert_int_equal(retries, rows[i].retries);
	}
}

static void test_wanted(void **state)
{
	static const struct {
		char *policy;
		int64_t max;
		int code;
		unsigned count;
		bool kept, want;
	} rows[] = {
		{ "", 0, 1, 0, false, false },		 { "no", 0, 1, 0, false, false },
		{ "always", 0, 0, 99, true, true },	 { "unless-stopped", 0, 1, 0, true, true },
		{ "on-failure", 0, 0, 0, true, false },	 { "on-failure", 0, 1, 99, true, true },
		{ "on-failure", 3, 125, 2, true, true }, { "on-failure", 3, 1, 3, true, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct box_spec s = { .restart = rows[i].policy, .restart_max = rows[i].max };
		struct box_state st = { .exit_code = rows[i].code, .restart_count = rows[i].count };

		assert_int_equal(restart_is_kept(&s), rows[i].kept);
		assert_int_equal(restart_wanted(&s, &st), rows[i].want);
	}
}

static void test_delay(void **state)
{
	uint64_t delay = 0;

	(void)state;
	for (int i = 0; i < 10; i++) {
		delay = restart_delay(delay, 1000000);
		assert_int_equal(delay, RESTART_DELAY_NS << i < RESTART_DELAY_MAX_NS
						? RESTART_DELAY_NS << i
						: RESTART_DELAY_MAX_NS);
	}
	assert_int_equal(restart_delay(delay, 0), RESTART_DELAY_MAX_NS);
	assert_int_equal(restart_delay(delay, RESTART_SETTLED_NS), RESTART_DELAY_NS);
}

static void test_signals(void **state)
{
	struct box_spec s = { .stop_signal = "SIGUSR1" };

	(void)state;
	assert_true(restart_signal_ends(&s, SIGKILL));
	assert_true(restart_signal_ends(&s, SIGTERM));
	assert_true(restart_signal_ends(&s, SIGUSR1));
	assert_false(restart_signal_ends(&s, SIGHUP));
}

/* --- health checks */

static struct box_spec spec;

/* Words apart by '~'. */
static int plan(const char *config, const char *line)
{
	struct run_flags f;
	own_strv struct strv words = STRV_INIT;
	own_js struct js *j = js_parse(config, strlen(config), NULL);
	struct operands ops;
	char *argv[16];
	int rc;

	box_spec_free(&spec);
	box_spec_init(&spec);
	err = (struct err)ERR_INIT;
	memset(&f, 0, sizeof(f));
	opt_defaults(create_opts, &f);
	strv_split(&words, line, '~');
	memcpy(argv, words.v, words.n * sizeof(char *));
	rc = opt_parse(create_opts, &f, (int)words.n, argv, OPT_FIRST, &ops, &err);
	if (rc == 0)
		rc = plan_restart(&spec, &f, &err);
	if (rc == 0)
		rc = plan_health(&spec, &f, j, &err);
	opt_free(create_opts, &f);
	return rc;
}

static char *joined(const struct strv *v)
{
	struct str s = STR_INIT;

	str_add(&s, "");
	for (size_t i = 0; i < v->n; i++)
		str_addf(&s, "%s%s", i ? "~" : "", v->v[i]);
	return str_steal(&s);
}

#define IMAGE                                            \
	"{\"Healthcheck\":{\"Test\":[\"CMD\",\"a\",\"b " \
	"c\"],\"Interval\":2000000000,\"Retries\":5,"    \
	"\"StartPeriod\":7000000000},\"Shell\":[\"/bin/ash\",\"-ec\"]}"

static void test_health(void **state)
{
	static const struct {
		const char *config, *line, *test, *shell;
		int64_t interval, timeout, start, retries;
		bool has;
	} rows[] = {
		{ "{}", "img", "", "", 0, 0, 0, 0, false },
		{ "{}", "--health-interval~5s~img", "", "", 5000000000, 0, 0, 0, false },
		{ "{}", "--health-cmd~curl -f x~--health-timeout~1m30s~img", "CMD-SHELL~curl -f x",
		  "", 0, 90000000000, 0, 0, true },
		{ IMAGE, "img", "CMD~a~b c", "/bin/ash~-ec", 2000000000, 0, 7000000000, 5, true },
		{ IMAGE, "--health-retries~2~--health-interval~1ms~img", "CMD~a~b c",
		  "/bin/ash~-ec", 1000000, 0, 7000000000, 2, true },
		{ IMAGE, "--health-cmd~x~img", "CMD-SHELL~x", "/bin/ash~-ec", 2000000000, 0,
		  7000000000, 5, true },
		{ IMAGE, "--no-healthcheck~img", "NONE", "/bin/ash~-ec", 2000000000, 0, 7000000000,
		  5, false },
		{ "{\"Healthcheck\":{\"Test\":[\"NONE\"]}}", "img", "NONE", "", 0, 0, 0, 0, false },
		{ "{\"Healthcheck\":{\"Test\":[],\"Retries\":-4,\"Interval\":\"x\"}}", "img", "",
		  "", 0, 0, 0, 0, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct box_health *h = &spec.health;
		own_free char *test = NULL, *shell = NULL;

		if (plan(rows[i].config, rows[i].line) < 0)
			fail_msg("%s: %s", rows[i].line, err.msg);
		test = joined(&h->test);
		shell = joined(&h->shell);
		assert_string_equal(test, rows[i].test);
		assert_string_equal(shell, rows[i].shell);
		assert_int_equal(h->interval_ns, rows[i].interval);
		assert_int_equal(h->timeout_ns, rows[i].timeout);
		assert_int_equal(h->start_period_ns, rows[i].start);
		assert_int_equal(h->retries, rows[i].retries);
		assert_int_equal(box_has_health(&spec), rows[i].has);
	}
	box_spec_free(&spec);
}

static void test_refusals(void **state)
{
	static const struct {
		const char *line, *words;
	} rows[] = {
		{ "--restart~always~--rm~img",
		  "conflicting options: cannot specify both --restart and --rm" },
		{ "--restart~sometimes~img", "invalid restart policy: unknown policy 'sometimes'" },
		{ "--no-healthcheck~--health-cmd~x~img",
		  "--no-healthcheck conflicts with --health-* options" },
		{ "--no-healthcheck~--health-retries~1~img",
		  "--no-healthcheck conflicts with --health-* options" },
		{ "--health-interval~soon~img",
		  "invalid argument \"soon\" for \"--health-interval\" flag" },
		{ "--health-interval=-1s~img", "--health-interval cannot be negative" },
		{ "--health-timeout~10us~img", "Timeout in Healthcheck cannot be less than 1ms" },
		{ "--health-start-period~99999999h~img", "invalid argument" },
		{ "--health-retries=-1~img", "--health-retries cannot be negative" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (plan("{}", rows[i].line) >= 0 || strstr(err.msg, rows[i].words) == NULL)
			fail_msg("%s: \"%s\"", rows[i].line, err.msg);
	assert_int_equal(plan("{}", "--restart~no~--rm~img"), 0);
	box_spec_free(&spec);
}

static void test_durations(void **state)
{
	static const struct {
		int64_t ns;
		const char *text;
	} rows[] = {
		{ 0, "0s" },
		{ 7, "7ns" },
		{ 1500, "1.5\302\265s" },
		{ 300000000, "300ms" },
		{ 1050000, "1.05ms" },
		{ 30000000000, "30s" },
		{ 1500000000, "1.5s" },
		{ 90000000000, "1m30s" },
		{ 120000000000, "2m0s" },
		{ 3600000000000, "1h0m0s" },
		{ 5025000000001, "1h23m45.000000001s" },
	};
	char buf[64];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint64_t back;

		duration_format(rows[i].ns, buf, sizeof(buf));
		assert_string_equal(buf, rows[i].text);
		assert_true(parse_duration(buf, &back));
		assert_int_equal(back, rows[i].ns);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),	  cmocka_unit_test(test_wanted),
		cmocka_unit_test(test_delay),	  cmocka_unit_test(test_signals),
		cmocka_unit_test(test_health),	  cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_durations),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
