/* test_auth.c: oci/auth: challenges, credentials files, base64; and oci/http's rules on hosts. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "oci/auth.h"
#include "oci/creds.h"

static void parse(struct auth_challenge *c, const char *a, const char *b)
{
	struct strv headers = STRV_INIT;

	strv_add(&headers, a);
	if (b)
		strv_add(&headers, b);
	auth_challenge_parse(&headers, c);
	strv_free(&headers);
}

static void test_bearer(void **state)
{
	struct auth_challenge c;

	(void)state;
	parse(&c,
	      "Bearer realm=\"https://auth.docker.io/token\",service=\"registry.docker.io\","
	      "scope=\"repository:library/busybox:pull,push\",error=\"invalid_token\"",
	      NULL);
	assert_int_equal(c.scheme, AUTH_BEARER);
	assert_string_equal(c.realm, "https://auth.docker.io/token");
	assert_string_equal(c.service, "registry.docker.io");
	assert_string_equal(c.scope, "repository:library/busybox:pull,push");
	assert_string_equal(c.error, "invalid_token");
	auth_challenge_free(&c);

	/* Blanks, capitals, bare values, escapes, unknown parameters, the first of two counts. */
	parse(&c,
	      "  BEARER  Realm = https://a.b/c?d=e ,\tx=\"y\", service=\"q\\\"uo\\\\te\", realm=no",
	      NULL);
	assert_int_equal(c.scheme, AUTH_BEARER);
	assert_string_equal(c.realm, "https://a.b/c?d=e");
	assert_string_equal(c.service, "q\"uo\\te");
	assert_null(c.scope);
	auth_challenge_free(&c);
}

static void test_choice(void **state)
{
	struct auth_challenge c;

	(void)state;
	parse(&c, "Basic realm=\"x\", Bearer realm=\"https://t/\"", NULL);
	assert_int_equal(c.scheme, AUTH_BEARER);
	assert_string_equal(c.realm, "https://t/");
	auth_challenge_free(&c);
	parse(&c, "Bearer realm=\"https://t/\",service=s", "Basic realm=\"x\"");
	assert_int_equal(c.scheme, AUTH_BEARER);
	assert_string_equal(c.service, "s");
	auth_challenge_free(&c);
	parse(&c, "Negotiate", "Basic realm=\"Registry\"");
	assert_int_equal(c.scheme, AUTH_BASIC);
	assert_string_equal(c.realm, "Registry");
	auth_challenge_free(&c);
	parse(&c, "Negotiate, Basic", NULL);
	assert_int_equal(c.scheme, AUTH_BASIC);
	auth_challenge_free(&c);
}

static void test_no_challenge(void **state)
{
	static const char *const none[] = { "",
					    ",,,",
					    "Bearer",
					    "Bearer service=\"s\"",
					    "Digest realm=\"x\"",
					    "realm=\"x\"",
					    "\"",
					    "=",
					    "Bearers realm=\"x\"" };
	struct auth_challenge c;
	char *huge = malloc(AUTH_CHALLENGE_MAX + 100);

	(void)state;
	for (size_t i = 0; i < sizeof(none) / sizeof(*none); i++) {
		parse(&c, none[i], NULL);
		assert_int_equal(c.scheme, AUTH_NONE);
		auth_challenge_free(&c);
	}
	assert_non_null(huge);
	memset(huge, 'a', AUTH_CHALLENGE_MAX + 99);
	memcpy(huge, "Basic realm=", 12);
	huge[AUTH_CHALLENGE_MAX + 99] = '\0';
	parse(&c, huge, NULL);
	assert_int_equal(c.scheme, AUTH_NONE);
	free(huge);
}

static void check_creds(const char *json, const char *repository, const char *user,
			const char *password)
{
	struct js *j = js_parse(json, strlen(json), NULL);
	struct auth_creds c;

	assert_non_null(j);
	assert_int_equal(creds_in(j, repository, &c), user != NULL);
	if (user) {
		assert_string_equal(c.user, user);
		assert_string_equal(c.password, password);
	}
	auth_creds_free(&c);
	js_free(j);
}

static void test_creds(void **state)
{
	/* dXNlcjpwYXNz: user:pass; YTpiOmM=: a:b:c */
	static const char docker[] =
		"{\"auths\":{\"https://index.docker.io/v1/\":{\"auth\":\"dXNlcjpwYXNz\"},"
		"\"r.io\":{\"auth\":\"YTpiOmM=\"},\"http://old.io/v2/\":{\"username\":\"u\","
		"\"password\":\"p\"},\"empty.io\":{},\"broken.io\":{\"auth\":\"%%%\"},"
		"\"nocolon.io\":{\"auth\":\"dXNlcg==\"}},\"credsStore\":\"x\"}";
	static const char podman[] = "{\"auths\":{\"r.io\":{\"auth\":\"dXNlcjpwYXNz\"},"
				     "\"r.io/team\":{\"auth\":\"YTpiOmM=\"}}}";

	(void)state;
	check_creds(docker, "docker.io/library/busybox", "user", "pass");
	check_creds(docker, "r.io/x", "a", "b:c");
	check_creds(docker, "r.io:5000/x", NULL, NULL);
	check_creds(docker, "r.iox/x", NULL, NULL);
	check_creds(docker, "old.io/x", "u", "p");
	check_creds(docker, "empty.io/x", NULL, NULL);
	check_creds(docker, "broken.io/x", NULL, NULL);
	check_creds(docker, "nocolon.io/x", NULL, NULL);
	check_creds(docker, "other.io/x", NULL, NULL);
	check_creds(podman, "r.io/team/app", "a", "b:c");
	check_creds(podman, "r.io/teams/app", "user", "pass");
	check_creds("{}", "r.io/x", NULL, NULL);
	check_creds("{\"auths\":[1]}", "r.io/x", NULL, NULL);
	check_creds("[]", "r.io/x", NULL, NULL);
}

static void test_tokens_in_file(void **state)
{
	static const char json[] =
		"{\"auths\":{\"r.io\":{\"identitytoken\":\"id\",\"auth\":\"dXNlcjpwYXNz\"},"
		"\"q.io\":{\"registrytoken\":\"reg\"}}}";
	struct js *j = js_parse(json, strlen(json), NULL);
	struct auth_creds c;

	(void)state;
	assert_true(creds_in(j, "r.io/x", &c));
	assert_string_equal(c.identity_token, "id");
	assert_string_equal(c.user, "user");
	auth_creds_free(&c);
	assert_true(creds_in(j, "q.io/x", &c));
	assert_string_equal(c.registry_token, "reg");
	assert_null(c.user);
	assert_null(auth_basic(&c));
	auth_creds_free(&c);
	js_free(j);
}

static void test_files(void **state)
{
	char dir[] = "/tmp/test_auth.XXXXXX", path[64];
	struct auth_creds c;
	FILE *f;

	(void)state;
	assert_non_null(mkdtemp(dir));
	setenv("DOCKER_CONFIG", dir, 1);
	setenv("HOME", dir, 1);
	unsetenv("REGISTRY_AUTH_FILE");
	unsetenv("XDG_RUNTIME_DIR");
	unsetenv("XDG_CONFIG_HOME");
	assert_int_equal(creds_find("r.io/x", &c, NULL), 0);
	snprintf(path, sizeof(path), "%s/config.json", dir);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs("{\"auths\":{\"r.io\":{\"auth\":\"dXNlcjpwYXNz\"}}}", f);
	fclose(f);
	assert_int_equal(creds_find("r.io/x", &c, NULL), 1);
	assert_string_equal(c.password, "pass");
	auth_creds_free(&c);
	unlink(path);
	rmdir(dir);
}

static void test_base64(void **state)
{
	static const struct {
		const char *plain, *text;
	} rows[] = { { ":", "Og==" },
		     { "a:", "YTo=" },
		     { "a:b", "YTpi" },
		     { "Aladdin:open sesame", "QWxhZGRpbjpvcGVuIHNlc2FtZQ==" } };
	static const char *const bad[] = { "A", "AA=A", "Zh==", "Zm9=", "a b", "-_==" };

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct str out = STR_INIT;
		struct auth_creds c = { 0 };
		char *basic, *colon;

		assert_int_equal(auth_base64_decode(rows[i].text, &out), 0);
		assert_string_equal(out.s, rows[i].plain);
		colon = strchr(out.s, ':');
		c.password = colon + 1;
		*colon = '\0';
		c.user = out.s;
		basic = auth_basic(&c);
		assert_string_equal(basic + strlen("Basic "), rows[i].text);
		free(basic);
		str_free(&out);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct str out = STR_INIT;

		if (auth_base64_decode(bad[i], &out) != -EINVAL)
			fail_msg("%s was accepted", bad[i]);
		str_free(&out);
	}
}

static void test_loopback(void **state)
{
	static const char *const yes[] = { "localhost",	     "LOCALHOST:5000", "127.0.0.1",
					   "127.0.0.1:5000", "127.255.0.3",    "[::1]",
					   "[::1]:5000" };
	static const char *const no[] = { "localhost.evil.com",
					  "localhosts",
					  "127.0.0.1.evil.com",
					  "127.0.0.256",
					  "127.0.0.1x",
					  "128.0.0.1",
					  "127.1",
					  "registry.local",
					  "[::2]",
					  "[::1]x",
					  "0.0.0.0",
					  "",
					  "127.0.0.1@evil.com",
					  "evil.com:127.0.0.1" };

	(void)state;
	for (size_t i = 0; i < sizeof(yes) / sizeof(*yes); i++)
		if (!http_host_is_loopback(yes[i]))
			fail_msg("%s is loopback", yes[i]);
	for (size_t i = 0; i < sizeof(no) / sizeof(*no); i++)
		if (http_host_is_loopback(no[i]))
			fail_msg("%s is not loopback", no[i]);
}

static void test_urls(void **state)
{
	char *s;

	(void)state;
	s = http_url_host("https://User@A.example:444/x?y");
	assert_string_equal(s, "A.example:444");
	free(s);
	s = http_url_host("https://a.example/x");
	assert_string_equal(s, "a.example");
	free(s);
	s = http_url_query("https://a/t?x=1", "scope", "repository:a/b:pull");
	assert_non_null(strstr(s, "x=1&scope=repository%3aa%2fb%3apull"));
	free(s);
	s = http_url_query("https://a/t", "service", "a b&c=d\r\nX: y");
	assert_null(strpbrk(s, " \r\n"));
	assert_null(strchr(s, '&'));
	free(s);
	assert_null(http_url_query("://", "a", "b"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bearer),	       cmocka_unit_test(test_choice),
		cmocka_unit_test(test_no_challenge),   cmocka_unit_test(test_creds),
		cmocka_unit_test(test_tokens_in_file), cmocka_unit_test(test_files),
		cmocka_unit_test(test_base64),	       cmocka_unit_test(test_loopback),
		cmocka_unit_test(test_urls),
	};

	return cmocka_run_group_tests_name("auth", tests, NULL, NULL);
}
