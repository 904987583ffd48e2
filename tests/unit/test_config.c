/* test_config.c: oci/config: keys and their values, insecure hosts; Link headers; helpers' answers.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "oci/config.h"
#include "oci/creds.h"
#include "oci/remote.h"

static int parse(const char *text, struct config *c, struct err *e)
{
	struct js *j = js_parse(text, strlen(text), e);
	int r;

	assert_non_null(j);
	r = config_parse(j, "here.json", c, e);
	js_free(j);
	return r;
}

static void test_keys(void **state)
{
	struct config c = { 0 };
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(parse("{\"registry-mirrors\": [\"https://a\", \"http://b/c\"],"
			       " \"proxies\": {\"https-proxy\": \"http://p:1\"},"
			       " \"max-concurrent-uploads\": 7}",
			       &c, &e),
			 0);
	/* The machine's file, read second, adds what is not said yet. */
	assert_int_equal(parse("{\"registry-mirrors\": [\"https://d\"],"
			       " \"proxies\": {\"https-proxy\": \"x\", \"no-proxy\": \"y\"},"
			       " \"max-concurrent-uploads\": 9, \"max-concurrent-downloads\": 2}",
			       &c, &e),
			 0);
	assert_int_equal(c.mirrors.n, 2);
	assert_string_equal(c.https_proxy, "http://p:1");
	assert_string_equal(c.no_proxy, "y");
	assert_null(c.http_proxy);
	assert_int_equal(c.uploads, 7);
	assert_int_equal(c.downloads, 2);
	config_free(&c);
}

static void test_mistakes(void **state)
{
	static const struct {
		const char *text, *said;
	} rows[] = {
		{ "{\"insecure-registry\": []}", "\"insecure-registry\": zl knows no such key" },
		{ "{\"insecure-registries\": \"a\"}", "it is no list" },
		{ "{\"insecure-registries\": [1]}", "what is no text" },
		{ "{\"registry-mirrors\": [\"a.example\"]}", "does not begin with https://" },
		{ "{\"registry-mirrors\": [\"https://u@a\"]}", "is no plain address" },
		{ "{\"proxies\": {\"ftp-proxy\": \"x\"}}", "unknown key \"ftp-proxy\"" },
		{ "{\"max-download-attempts\": 65}", "no number from 1 to 64" },
		{ "[]", "no JSON object" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct config c = { 0 };
		struct err e = ERR_INIT;

		assert_int_equal(parse(rows[i].text, &c, &e), -EINVAL);
		assert_non_null(strstr(e.msg, "here.json"));
		assert_non_null(strstr(e.msg, rows[i].said));
		config_free(&c);
	}
}

static void test_insecure(void **state)
{
	static const struct {
		const char *host;
		bool is;
	} rows[] = {
		{ "a.example", true },		{ "a.example:5000", true },
		{ "A.example", true },		{ "b.example", false },
		{ "b.example:1", true },	{ "b.example:12", false },
		{ "x.a.example", false },	{ "10.1.2.3", true },
		{ "10.1.2.3:5000", true },	{ "10.2.0.1:5000", false },
		{ "[fd00::7]:5000", true },	{ "[fe80::7]:5000", false },
		{ "10.1.evil.example", false },
	};
	struct config c = { 0 };
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(parse("{\"insecure-registries\": [\"a.example\", \"b.example:1\","
			       " \"10.1.0.0/16\", \"fd00::/8\", \"10.0.0.0/99\", \"/\"]}",
			       &c, &e),
			 0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		assert_int_equal(config_says_insecure(&c, rows[i].host), rows[i].is);
	config_free(&c);
}

static void test_link(void **state)
{
	static const struct {
		const char *link, *next;
	} rows[] = {
		{ "</v2/_catalog?n=2&last=b>; rel=\"next\"", "?n=2&last=b" },
		{ "<https://r.io/v2/_catalog?last=b>;rel=next", "?last=b" },
		{ "</a?b>; rel=\"prev\", </c?d>; rel=\"next\"", "?d" },
		{ "</v2/_catalog>; rel=\"next\"", NULL },
		{ "</v2/_catalog?x>; rel=\"prev\"", NULL },
		{ "</v2/_catalog?x", NULL },
		{ "", NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		char *next = search_next(rows[i].link);

		if (rows[i].next)
			assert_string_equal(next, rows[i].next);
		else
			assert_null(next);
		free(next);
	}
}

static void test_server(void **state)
{
	static const char *const rows[][2] = {
		{ "", "docker.io" },
		{ "https://index.docker.io/v1/", "docker.io" },
		{ "registry-1.docker.io", "docker.io" },
		{ "http://r.io:5000/v2/x", "r.io:5000" },
		{ "r.io", "r.io" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		char *s = remote_server(rows[i][0]);

		assert_string_equal(s, rows[i][1]);
		free(s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_keys),	 cmocka_unit_test(test_mistakes),
		cmocka_unit_test(test_insecure), cmocka_unit_test(test_link),
		cmocka_unit_test(test_server),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
