/* test_ref.c: oci/ref: docker's grammar of image names. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "oci/image.h"
#include "oci/ref.h"

#define HEX "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
#define D   "sha256:" HEX

static void test_good(void **state)
{
	static const struct {
		const char *name, *full, *familiar;
	} rows[] = {
		{ "alpine", "docker.io/library/alpine:latest", "alpine:latest" },
		{ "alpine:3.19", "docker.io/library/alpine:3.19", "alpine:3.19" },
		{ "library/alpine", "docker.io/library/alpine:latest", "alpine:latest" },
		{ "docker.io/alpine", "docker.io/library/alpine:latest", "alpine:latest" },
		{ "docker.io/library/alpine:latest", "docker.io/library/alpine:latest",
		  "alpine:latest" },
		{ "index.docker.io/library/alpine", "docker.io/library/alpine:latest",
		  "alpine:latest" },
		{ "grafana/loki", "docker.io/grafana/loki:latest", "grafana/loki:latest" },
		{ "library/a/b", "docker.io/library/a/b:latest", "library/a/b:latest" },
		{ "localhost/x", "localhost/x:latest", "localhost/x:latest" },
		{ "localhost:5000/x:y", "localhost:5000/x:y", "localhost:5000/x:y" },
		{ "localhost:5000", "docker.io/library/localhost:5000", "localhost:5000" },
		{ "127.0.0.1:5000/busybox", "127.0.0.1:5000/busybox:latest",
		  "127.0.0.1:5000/busybox:latest" },
		{ "[::1]:5000/busybox", "[::1]:5000/busybox:latest", "[::1]:5000/busybox:latest" },
		{ "[fe80::1]/a/b:c", "[fe80::1]/a/b:c", "[fe80::1]/a/b:c" },
		{ "ghcr.io/a/b/c/d:v1.0_x-y", "ghcr.io/a/b/c/d:v1.0_x-y",
		  "ghcr.io/a/b/c/d:v1.0_x-y" },
		{ "Upper/x", "Upper/x:latest", "Upper/x:latest" },
		{ "a.b--c__d/e", "a.b--c__d/e:latest", NULL },
		{ "x/a.b--c__d_e", "docker.io/x/a.b--c__d_e:latest", "x/a.b--c__d_e:latest" },
		{ "docker.io/a.io/x", "docker.io/a.io/x:latest", "docker.io/a.io/x:latest" },
		{ "alpine@" D, "docker.io/library/alpine@" D, "alpine@" D },
		{ "alpine:3@" D, "docker.io/library/alpine@" D, "alpine@" D },
		{ "r.io:1/a@" D, "r.io:1/a@" D, "r.io:1/a@" D },
		{ "a:_x", "docker.io/library/a:_x", "a:_x" },
		{ "a:Tag.With-All_4", "docker.io/library/a:Tag.With-All_4", "a:Tag.With-All_4" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct ref r;
		struct err e = ERR_INIT;
		char *full, *familiar;

		if (rows[i].familiar == NULL) { /* a domain with underscores is none */
			assert_int_equal(ref_parse(rows[i].name, &r, &e), -EINVAL);
			continue;
		}
		if (ref_parse(rows[i].name, &r, &e) < 0)
			fail_msg("%s: %s", rows[i].name, e.msg);
		full = ref_full(&r);
		familiar = ref_familiar(&r);
		assert_string_equal(full, rows[i].full);
		assert_string_equal(familiar, rows[i].familiar);
		free(familiar);
		ref_free(&r);
		/* Full names mean themselves. */
		assert_int_equal(ref_parse(full, &r, &e), 0);
		familiar = ref_full(&r);
		assert_string_equal(familiar, full);
		free(familiar);
		free(full);
		ref_free(&r);
	}
}

static void test_parts(void **state)
{
	struct ref r;

	(void)state;
	assert_int_equal(ref_parse("r.io:443/a/b:c@" D, &r, NULL), 0);
	assert_string_equal(r.domain, "r.io:443");
	assert_string_equal(r.path, "a/b");
	assert_string_equal(r.tag, "c");
	assert_true(r.has_digest);
	ref_free(&r);
	assert_null(r.domain);
	assert_int_equal(ref_parse("a@" D, &r, NULL), 0);
	assert_null(r.tag);
	ref_free(&r);
}

static void test_bad(void **state)
{
	static const char *const bad[] = {
		"",
		" ",
		"BAD NAME",
		"Alpine",
		"alpine:",
		"alpine:-x",
		"alpine:.x",
		"alpine: x",
		"alpine@",
		"alpine@sha256:12",
		"alpine@" D "0",
		"alpine@md5:d41d8cd98f00b204e9800998ecf8427e",
		"/alpine",
		"alpine/",
		"a//b",
		"a/../b",
		"../b",
		"a/./b",
		"a/-b",
		"a/b-",
		"a/b..c",
		"a/b___c",
		"a/b_.c",
		"-a.io/b",
		"a-.io/b",
		"a..io/b",
		"a.io:0/b",
		"a.io:65536/b",
		"a.io:x/b",
		"a.io:/b",
		"[::1/b",
		"[]/b",
		"[::g]/b",
		"[::1]x/b",
		"https://docker.io/alpine",
		HEX,
		"\xc3\xa4lpine",
		"a\nb",
		"user:pw@host/x",
	};
	char long_name[REF_NAME_MAX + 10], long_tag[REF_TAG_MAX + 10];
	struct err e = ERR_INIT;
	struct ref r;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		if (ref_parse(bad[i], &r, &e) != -EINVAL)
			fail_msg("\"%s\" was accepted", bad[i]);
		assert_null(r.domain);
		assert_null(r.tag);
	}
	assert_int_equal(image_name_check("A/b/C", &e), -EINVAL);
	assert_non_null(strstr(e.msg, "must be lowercase"));
	memset(long_name, 'a', sizeof(long_name));
	long_name[sizeof(long_name) - 1] = '\0';
	assert_int_equal(image_name_check(long_name, &e), -EINVAL);
	long_name[REF_NAME_MAX - strlen("docker.io/library/")] = '\0';
	assert_int_equal(image_name_check(long_name, &e), 0);
	memset(long_tag, 'a', sizeof(long_tag));
	long_tag[1] = ':';
	long_tag[2 + REF_TAG_MAX + 1] = '\0';
	assert_int_equal(image_name_check(long_tag, &e), -EINVAL);
	long_tag[2 + REF_TAG_MAX] = '\0';
	assert_int_equal(image_name_check(long_tag, &e), 0);
}

static void check_split(const char *name, const char *repository, const char *tag)
{
	char *r, *t;

	image_name_split(name, &r, &t);
	assert_string_equal(r, repository);
	assert_string_equal(t, tag);
	free(r);
	free(t);
}

static void test_names(void **state)
{
	char *s;

	(void)state;
	check_split("docker.io/library/busybox:1.36", "busybox", "1.36");
	check_split("127.0.0.1:5000/a/b:c", "127.0.0.1:5000/a/b", "c");
	check_split("docker.io/library/busybox@" D, "busybox", "<none>");
	check_split("no such: name", "no such: name", "<none>");
	s = image_name_familiar("docker.io/library/busybox:1.36");
	assert_string_equal(s, "busybox:1.36");
	free(s);
	s = image_name_familiar("? ?");
	assert_string_equal(s, "? ?");
	free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_parts),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests_name("ref", tests, NULL, NULL);
}
