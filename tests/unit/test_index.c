/* test_index.c: index.json is read in place or by the JSON library, and comes to the same. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "oci/store_impl.h"
#include "runtime/base/own.h"

#define HEX_A "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define HEX_B "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"
#define KNOWN                                                                                     \
	"\"" ANN_ID "\":\"sha256:" HEX_B "\",\"" ANN_SOURCE "\":\"sha256:" HEX_A "\",\"" ANN_SIZE \
	"\":\"1000\",\"" ANN_CREATED "\":\"1714979289\",\"" ANN_TAGGED                            \
	"\":\"1714979289000000001\""
#define PLAIN                                                                              \
	"{\"mediaType\":\"a/b\",\"digest\":\"sha256:" HEX_A "\",\"size\":17,\"platform\":" \
	"{\"architecture\":\"arm64\",\"os\":\"linux\"},\"annotations\":{\"" ANN_REF        \
	"\":\"x.org/y:1\",\"" ANN_NAME "\":\"x.org/y:1\"," KNOWN ",\"" ANN_PLATFORM        \
	"\":\"linux/arm64\"}}"
/* As others write them: more of everything, in another order, with escapes and spaces. */
#define FOREIGN                                                                                \
	" { \"annotations\" : { \"" ANN_REF "\" : \"a\\u00e9\\\"]}\" } , \"urls\":[\"]\",{}]," \
	"\"size\":5, \"digest\":\"sha256:" HEX_B "\"} "
#define INDEX(entries) "{\"schemaVersion\":2,\"manifests\":[" entries "]}"

static void assert_same_text(const char *a, const char *b)
{
	if (a == NULL || b == NULL)
		assert_true(a == b);
	else
		assert_string_equal(a, b);
}

static void assert_same_image(const struct store_image *a, const struct store_image *b)
{
	own_free char *x = a->foreign ? js_dump(a->foreign, 0) : NULL;
	own_free char *y = b->foreign ? js_dump(b->foreign, 0) : NULL;

	assert_same_text(a->name, b->name);
	assert_same_text(a->media_type, b->media_type);
	assert_same_text(a->platform, b->platform);
	assert_same_text(x, y);
	assert_true(digest_equal(&a->manifest, &b->manifest));
	assert_true(digest_equal(&a->source, &b->source));
	assert_true(digest_equal(&a->id, &b->id));
	assert_int_equal(a->manifest_size, b->manifest_size);
	assert_int_equal(a->size, b->size);
	assert_int_equal(a->created, b->created);
	assert_int_equal(a->tagged, b->tagged);
	assert_int_equal(a->known, b->known);
}

/* Both ways come to the same, in what they find and in what they say; how many images there are. */
static int compare(const char *text, size_t n)
{
	own_store_images struct store_images fast = { 0 }, slow = { 0 };
	struct err e = ERR_INIT, f = ERR_INIT;
	int rc = images_parse_json(text, n, &slow, &e);

	assert_int_equal(images_parse(text, n, &fast, &f), rc);
	assert_string_equal(e.msg, f.msg);
	assert_int_equal(fast.n, slow.n);
	for (size_t i = 0; i < fast.n; i++)
		assert_same_image(&fast.v[i], &slow.v[i]);
	return rc < 0 ? rc : (int)fast.n;
}

static int both(const char *text)
{
	/* Without a byte behind it that nobody may read. */
	own_free char *copy = xmalloc(strlen(text) + 1);

	memcpy(copy, text, strlen(text));
	return compare(copy, strlen(text));
}

static void test_entries(void **state)
{
	own_store_images struct store_images l = { 0 };
	const char *text = INDEX(PLAIN "," FOREIGN "," PLAIN);
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(both(text), 3);
	assert_int_equal(images_parse(text, strlen(text), &l, &e), 0);
	assert_true(l.v[0].known && !l.v[1].known && l.v[2].known);
	assert_string_equal(l.v[0].name, "x.org/y:1");
	assert_string_equal(l.v[0].media_type, "a/b");
	assert_string_equal(l.v[0].platform, "linux/arm64");
	assert_int_equal(l.v[0].manifest_size, 17);
	assert_int_equal(l.v[0].size, 1000);
	assert_int_equal(l.v[0].created, 1714979289);
	assert_string_equal(l.v[1].name, "a\303\251\"]}");
	assert_non_null(l.v[1].foreign);
	assert_null(l.v[2].foreign);
}

static void test_forms(void **state)
{
	(void)state;
	assert_int_equal(both(INDEX("")), 0);
	assert_int_equal(both(" \n" INDEX(" ") "\t\r\n"), 0);
	assert_int_equal(both("{\"manifests\":[" PLAIN "],\"x\":{\"manifests\":[1]}}"), 1);
	assert_int_equal(both("{\"manifests\":[" PLAIN "],\"manifests\":[]}"), 0);
	assert_int_equal(both(INDEX("{}")), 0);
	assert_int_equal(both(INDEX("1,null,\"x\"")), 0);
	/* the id alone twice, and the size */
	assert_int_equal(both(INDEX("{\"digest\":\"sha256:" HEX_A
				    "\",\"size\":1,\"annotations\":{" KNOWN "," KNOWN "}}")),
			 1);
	assert_int_equal(both(INDEX("{\"digest\":\"sha256:" HEX_A "\",\"size\":1,\"size\":2,"
				    "\"annotations\":{" KNOWN "}}")),
			 1);
	assert_int_equal(both(INDEX("{\"digest\":\"sha256:" HEX_A "\",\"size\":1e3,"
				    "\"annotations\":{" KNOWN "}}")),
			 0);
	assert_int_equal(both(INDEX("{\"digest\":\"sha256:" HEX_A "\",\"size\":01,"
				    "\"annotations\":{" KNOWN "}}")),
			 -EBADMSG);
}

static void test_damage(void **state)
{
	(void)state;
	assert_int_equal(both(""), -EBADMSG);
	assert_int_equal(both("[]"), -EBADMSG);
	assert_int_equal(both("{\"manifests\":{}}"), -EBADMSG);
	assert_int_equal(both(INDEX(PLAIN ",")), -EBADMSG);
	assert_int_equal(both(INDEX("," PLAIN)), -EBADMSG);
	assert_int_equal(both(INDEX(PLAIN PLAIN)), -EBADMSG);
	assert_int_equal(both(INDEX(PLAIN) "x"), -EBADMSG);
	assert_int_equal(both(INDEX(PLAIN) ","), -EBADMSG);
	assert_int_equal(both(INDEX("{\"a\":[}]")), -EBADMSG);
	assert_int_equal(both(INDEX("\"\\")), -EBADMSG);
}

/* Each byte in turn is another one, is missing, or is the last. */
static void test_any_byte(void **state)
{
	static const char text[] = INDEX(PLAIN "," FOREIGN);
	static const char others[] = "\"\\{}[],: 0a\n\001\377";
	size_t n = sizeof(text) - 1;

	(void)state;
	for (size_t i = 0; i < n; i++) {
		own_free char *copy = xmalloc(n);

		memcpy(copy, text, n);
		for (size_t k = 0; k < sizeof(others); k++) {
			copy[i] = others[k];
			compare(copy, n);
		}
		memmove(copy + i, text + i + 1, n - i - 1);
		compare(copy, n - 1);
		memcpy(copy, text, n);
		compare(copy, i);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_entries),
		cmocka_unit_test(test_forms),
		cmocka_unit_test(test_damage),
		cmocka_unit_test(test_any_byte),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
