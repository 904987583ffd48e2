/* test_digest.c: oci/digest: known answers, and texts that are no digests. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "oci/digest.h"

/* FIPS 180-2's examples. */
#define EMPTY "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define ABC   "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

static void test_known_answers(void **state)
{
	char hex[DIGEST_HEX_LEN + 1];
	struct digest d;

	(void)state;
	digest_of("", 0, &d);
	assert_string_equal(digest_hex(hex, &d), EMPTY);
	digest_of("abc", 3, &d);
	assert_string_equal(digest_hex(hex, &d), ABC);
}

static void test_stream(void **state)
{
	struct digest_stream *s = digest_begin();
	struct digest once, pieces;
	char data[1000];

	(void)state;
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (char)(i * 7);
	digest_of(data, sizeof(data), &once);
	/* Twice: digest_end begins anew. */
	for (int round = 0; round < 2; round++) {
		for (size_t at = 0, n = 1; at < sizeof(data); at += n, n++) {
			if (n > sizeof(data) - at)
				n = sizeof(data) - at;
			digest_add(s, data + at, n);
			digest_add(s, data, 0);
		}
		digest_end(s, &pieces);
		assert_true(digest_equal(&once, &pieces));
	}
	pieces.b[31] ^= 1;
	assert_false(digest_equal(&once, &pieces));
	digest_free(s);
}

static void test_parse(void **state)
{
	static const char *const bad[] = {
		"",
		"sha256:",
		EMPTY,
		"sha256:" EMPTY "0",
		"sha256:E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855",
		"sha256:../../../../../../../../../../../../../../../../../etc/passwdxxxx",
		"sha256: 3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
		"SHA256:" EMPTY,
		"sha512:" EMPTY EMPTY,
		"md5:d41d8cd98f00b204e9800998ecf8427e",
	};
	char text[DIGEST_TEXT_MAX];
	struct err e = ERR_INIT;
	struct digest d;

	(void)state;
	assert_int_equal(digest_parse("sha256:" ABC, &d, &e), 0);
	assert_string_equal(digest_format(text, &d), "sha256:" ABC);
	assert_int_equal(strlen(text), DIGEST_TEXT_LEN);
	assert_int_equal(digest_parse(NULL, &d, &e), -EINVAL);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		e = (struct err)ERR_INIT;
		assert_int_equal(digest_parse(bad[i], &d, &e), -EINVAL);
		assert_true(e.msg[0] != '\0');
	}
	assert_non_null(strstr((digest_parse("sha512:ab", &d, &e), e.msg), "sha512"));
	assert_false(digest_parse_hex("abc", &d));
	assert_true(digest_parse_hex(ABC, &d));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_known_answers),
		cmocka_unit_test(test_stream),
		cmocka_unit_test(test_parse),
	};

	return cmocka_run_group_tests_name("digest", tests, NULL, NULL);
}
