/* test_manifest.c: oci/manifest and oci/platform: the four kinds, and what is refused. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "oci/manifest.h"
#include "runtime/base/str.h"

#define DA "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
#define DB "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define DESC(type, digest, size) \
	"{\"mediaType\":\"" type "\",\"digest\":\"" digest "\",\"size\":" size "}"
#define GZIP "application/vnd.docker.image.rootfs.diff.tar.gzip"
#define IMAGE(media, layers)          \
	"{\"schemaVersion\":2," media \
	"\"config\":" DESC(MEDIA_DOCKER_CONFIG, DA, "1234") ",\"layers\":[" layers "]}"
#define MEDIA(type) "\"mediaType\":\"" type "\","

static int parse(const char *text, const char *content_type, struct manifest *m, struct err *e)
{
	*e = (struct err)ERR_INIT;
	return manifest_parse(text, strlen(text), content_type, m, e);
}

static void test_image(void **state)
{
	static const char text[] =
		IMAGE(MEDIA(MEDIA_DOCKER_MANIFEST), DESC(GZIP, DA, "7") "," DESC(GZIP, DB, "0"));
	char digest[DIGEST_TEXT_MAX];
	struct manifest m;
	struct err e;

	(void)state;
	assert_int_equal(parse(text, NULL, &m, &e), 0);
	assert_int_equal(m.kind, MANIFEST_IMAGE);
	assert_string_equal(m.media_type, MEDIA_DOCKER_MANIFEST);
	assert_int_equal(m.config.size, 1234);
	assert_int_equal(m.nlayers, 2);
	assert_int_equal(m.layers[0].size, 7);
	assert_string_equal(digest_format(digest, &m.layers[1].digest), DB);
	assert_string_equal(m.layers[0].media_type, GZIP);
	manifest_free(&m);
	assert_null(m.layers);
}

static void test_sniffing(void **state)
{
	static const struct {
		const char *text, *content_type, *media;
	} rows[] = {
		{ IMAGE("", ""), NULL, MEDIA_OCI_MANIFEST },
		{ IMAGE("", ""), MEDIA_DOCKER_MANIFEST, MEDIA_DOCKER_MANIFEST },
		{ IMAGE("", ""), MEDIA_OCI_MANIFEST "; charset=utf-8", MEDIA_OCI_MANIFEST },
		{ IMAGE("", ""), "text/plain", MEDIA_OCI_MANIFEST },
		{ IMAGE("", ""), MEDIA_OCI_INDEX, MEDIA_OCI_MANIFEST },
		{ IMAGE(MEDIA(MEDIA_OCI_MANIFEST), ""), MEDIA_DOCKER_MANIFEST, MEDIA_OCI_MANIFEST },
		{ "{\"manifests\":[]}", NULL, MEDIA_OCI_INDEX },
		{ "{\"manifests\":[]}", MEDIA_DOCKER_LIST, MEDIA_DOCKER_LIST },
		{ "{\"manifests\":[]}", MEDIA_DOCKER_MANIFEST, MEDIA_OCI_INDEX },
		{ "{" MEDIA(MEDIA_DOCKER_LIST) "\"manifests\":[]}", NULL, MEDIA_DOCKER_LIST },
	};
	struct manifest m;
	struct err e;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		if (parse(rows[i].text, rows[i].content_type, &m, &e) < 0)
			fail_msg("row %zu: %s", i, e.msg);
		assert_string_equal(m.media_type, rows[i].media);
		manifest_free(&m);
	}
}

static void test_refused(void **state)
{
	static const struct {
		const char *text, *why;
	} rows[] = {
		{ "", "not valid JSON" },
		{ "  <!DOCTYPE html><html>", "HTML" },
		{ "{\"schemaVersion\":2", "not valid JSON" },
		{ "[]", "not a JSON object" },
		{ "{}", "neither" },
		{ "{\"schemaVersion\":1,\"fsLayers\":[]}", "schema 1" },
		{ "{" MEDIA("application/vnd.x") "\"layers\":[]}", "application/vnd.x" },
		{ "{\"layers\":[],\"manifests\":[]}", "ambiguous" },
		{ "{\"config\":{},\"manifests\":[]}", "ambiguous" },
		{ "{\"config\":null,\"layers\":[]}", "config: a digest is missing" },
		{ "{\"config\":" DESC("application/vnd.cncf.helm.config.v1+json", DA,
				      "3") ",\"layers\":[]}",
		  "no container image" },
		{ "{\"config\":" DESC(MEDIA_OCI_CONFIG, DA, "99999999") ",\"layers\":[]}",
		  "too large" },
		{ "{\"config\":" DESC(MEDIA_OCI_CONFIG, DA, "3") "}", "no list of layers" },
		{ "{\"config\":" DESC(MEDIA_OCI_CONFIG, DA, "3") ",\"layers\":{}}",
		  "no list of layers" },
		{ IMAGE("", "5"), "layer 1: a digest is missing" },
		{ IMAGE("", DESC(GZIP, DA, "1") "," DESC(GZIP, "sha256:../../x", "1")),
		  "layer 2: invalid digest" },
		{ IMAGE("", DESC(GZIP, "sha512:00", "1")), "unsupported digest algorithm" },
		{ IMAGE("", DESC(GZIP, DA, "-1")), "no valid size" },
		{ IMAGE("", DESC(GZIP, DA, "1.5")), "no valid size" },
		{ IMAGE("", DESC(GZIP, DA, "\"1\"")), "no valid size" },
		{ IMAGE("", DESC(GZIP, DA, "9223372036854775807")), "no valid size" },
		{ IMAGE("", DESC("text/html", DA, "1")), "unsupported type text/html" },
		{ IMAGE("", DESC(MEDIA_OCI_LAYER "+encrypted", DA, "1")), "unsupported type" },
		{ "{\"manifests\":5}", "no list of manifests" },
		{ "{\"manifests\":[{}]}", "entry 1 of the index" },
	};
	struct manifest m;
	struct err e;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		if (parse(rows[i].text, NULL, &m, &e) == 0)
			fail_msg("accepted: %s", rows[i].text);
		if (strstr(e.msg, rows[i].why) == NULL)
			fail_msg("%s: \"%s\" instead of \"%s\"", rows[i].text, e.msg, rows[i].why);
	}
}

static void test_too_many(void **state)
{
	struct str text = STR_INIT;
	struct manifest m;
	struct err e;

	(void)state;
	str_add(&text, "{\"config\":" DESC(MEDIA_OCI_CONFIG, DA, "3") ",\"layers\":[");
	for (int i = 0; i <= MANIFEST_LAYERS_MAX; i++)
		str_addf(&text, "%s%s", i ? "," : "", DESC(GZIP, DA, "1"));
	str_add(&text, "]}");
	assert_int_equal(parse(text.s, NULL, &m, &e), -EFBIG);
	str_free(&text);
	str_add(&text, "{\"manifests\":[");
	for (int i = 0; i <= INDEX_ENTRIES_MAX; i++)
		str_addf(&text, "%s%s", i ? "," : "", DESC(MEDIA_OCI_MANIFEST, DA, "1"));
	str_add(&text, "]}");
	assert_int_equal(parse(text.s, NULL, &m, &e), -EFBIG);
	str_free(&text);
	text.s = calloc(1, MANIFEST_BYTES_MAX + 1);
	assert_int_equal(manifest_parse(text.s, MANIFEST_BYTES_MAX + 1, NULL, &m, &e), -EFBIG);
	free(text.s);
}

#define ENTRY(size, platform)                                                            \
	"{\"mediaType\":\"" MEDIA_OCI_MANIFEST "\",\"digest\":\"" DA "\",\"size\":" size \
	",\"platform\":{" platform "}}"
#define P(os, arch, variant) \
	"\"os\":\"" os "\",\"architecture\":\"" arch "\",\"variant\":\"" variant "\""

/* clang-format off */
static const char index_text[] =
	"{\"manifests\":["
	ENTRY("1", P("unknown", "unknown", "")) ","
	ENTRY("2", P("windows", "amd64", "")) ","
	ENTRY("3", P("linux", "amd64", "")) ","
	ENTRY("4", P("linux", "amd64", "v3")) ","
	ENTRY("5", P("linux", "arm", "v5")) ","
	ENTRY("6", P("linux", "arm", "v7")) ","
	ENTRY("7", P("linux", "arm64", "v8")) ","
	"{\"mediaType\":\"application/vnd.in-toto+json\",\"digest\":\"" DA "\",\"size\":8,"
	"\"platform\":{" P("linux", "s390x", "") "}}]}";
/* clang-format on */

static void test_select(void **state)
{
	static const struct {
		const char *want;
		uint64_t size; /* of the entry that is due; 0: none */
	} rows[] = {
		{ "linux/amd64", 3 },	 { "amd64", 3 },	  { "linux/x86_64", 3 },
		{ "linux/amd64/v1", 3 }, { "linux/amd64/v2", 3 }, { "linux/amd64/v3", 4 },
		{ "linux/amd64/v4", 4 }, { "linux/arm64", 7 },	  { "aarch64", 7 },
		{ "linux/arm64/v8", 7 }, { "linux/arm64/v9", 7 }, { "linux/arm/v7", 6 },
		{ "linux/arm", 6 },	 { "linux/arm/v6", 5 },	  { "linux/armel", 5 },
		{ "linux/arm/v8", 6 },	 { "windows/amd64", 2 },  { "linux/s390x", 0 },
		{ "linux/riscv64", 0 },
	};
	struct manifest m;
	struct err e;

	(void)state;
	assert_int_equal(parse(index_text, NULL, &m, &e), 0);
	assert_int_equal(m.nentries, 8);
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		const struct index_entry *x;
		struct platform p;

		assert_int_equal(platform_parse(rows[i].want, &p, &e), 0);
		x = manifest_select(&m, &p, &e);
		if ((x ? x->d.size : 0) != rows[i].size)
			fail_msg("%s: entry %d", rows[i].want, x ? (int)x->d.size : 0);
	}
	assert_non_null(strstr(e.msg, "linux/riscv64"));
	assert_non_null(strstr(e.msg, "linux/arm/v7"));
	assert_null(strstr(e.msg, "unknown"));
	manifest_free(&m);
}

static void test_select_plain(void **state)
{
	struct platform host;
	struct manifest m;
	struct err e;

	(void)state;
	assert_int_equal(platform_parse(NULL, &host, &e), 0);
	assert_int_equal(
		parse("{\"manifests\":[" DESC(MEDIA_OCI_INDEX, DA, "9") "]}", NULL, &m, &e), 0);
	assert_non_null(manifest_select(&m, &host, &e));
	manifest_free(&m);
	assert_int_equal(parse("{\"manifests\":[" DESC(MEDIA_OCI_INDEX, DA,
						       "9") "," DESC(MEDIA_OCI_INDEX, DB, "9") "]}",
			       NULL, &m, &e),
			 0);
	assert_null(manifest_select(&m, &host, &e));
	manifest_free(&m);
	assert_int_equal(parse("{\"manifests\":[]}", NULL, &m, &e), 0);
	assert_null(manifest_select(&m, &host, &e));
	assert_int_equal(e.code, ENOENT);
	manifest_free(&m);
}

static void test_platforms(void **state)
{
	static const struct {
		const char *text, *out;
	} rows[] = {
		{ "linux/amd64", "linux/amd64" },     { "Linux/AMD64", "linux/amd64" },
		{ "linux/arm64/v8", "linux/arm64" },  { "linux/arm", "linux/arm/v7" },
		{ "linux/arm/6", "linux/arm/v6" },    { "armhf", "linux/arm/v7" },
		{ "riscv64", "linux/riscv64" },	      { "linux/i686", "linux/386" },
		{ "freebsd/amd64", "freebsd/amd64" },
	};
	static const char *const bad[] = {
		"",
		"/",
		"linux/",
		"/amd64",
		"a/b/c/d",
		"linux/am d",
		"plan9",
		"linux//v7",
		"linux/amd64/",
		"linux/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	};
	char text[PLATFORM_TEXT_MAX];
	struct platform p;
	struct err e = ERR_INIT;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		assert_int_equal(platform_parse(rows[i].text, &p, &e), 0);
		assert_string_equal(platform_format(text, &p), rows[i].out);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		if (platform_parse(bad[i], &p, &e) != -EINVAL)
			fail_msg("\"%s\" was accepted", bad[i]);
	assert_int_equal(platform_parse("linux", &p, &e), 0);
	assert_string_equal(p.os, "linux");
	assert_true(p.arch[0] != '\0');
}

static void test_config(void **state)
{
	static const char good[] =
		"{\"architecture\":\"arm64\",\"os\":\"linux\",\"variant\":\"v8\","
		"\"created\":\"2024-05-06T07:08:09.123456789Z\",\"config\":{\"Cmd\":[\"sh\"]},"
		"\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"" DA "\",\"" DB "\"]}}";
	static const char *const bad[] = {
		"null",
		"{}",
		"{\"rootfs\":{}}",
		"{\"rootfs\":{\"diff_ids\":[1]}}",
		"{\"rootfs\":{\"diff_ids\":[\"" DA "\",\"../../../etc\"]}}",
	};
	struct image_config c;
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(image_config_parse(good, strlen(good), &c, &e), 0);
	assert_int_equal(c.ndiff_ids, 2);
	assert_int_equal(c.created, 1714979289);
	assert_string_equal(c.platform.variant, "v8");
	assert_string_equal(js_text(js_at(js_get(js_get(c.js, "config"), "Cmd"), 0)), "sh");
	image_config_free(&c);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_true(image_config_parse(bad[i], strlen(bad[i]), &c, &e) < 0);
}

static void test_times(void **state)
{
	static const struct {
		const char *text;
		int64_t t;
	} rows[] = {
		{ "1970-01-01T00:00:00Z", 0 },
		{ "2000-02-29T23:59:59z", 951868799 },
		{ "2024-05-06T09:08:09.5+02:00", 1714979289 },
		{ "2024-05-06T00:08:09-07:00", 1714979289 },
		{ "2024-05-06t07:08:09.123456789Z", 1714979289 },
	};
	static const char *const bad[] = { "",
					   "2024",
					   "2024-05-06",
					   "2024-05-06T07:08:09",
					   "2024-05-06T07:08:09Zx",
					   "2024-05-06T07:08:09+0200",
					   "x024-05-06T07:08:09Z" };
	int64_t t;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		assert_true(time_parse_rfc3339(rows[i].text, &t));
		assert_int_equal(t, rows[i].t);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		if (time_parse_rfc3339(bad[i], &t))
			fail_msg("\"%s\" was accepted", bad[i]);
	assert_true(time_parse_rfc3339("0001-01-01T00:00:00Z", &t));
	assert_true(t < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_image),	  cmocka_unit_test(test_sniffing),
		cmocka_unit_test(test_refused),	  cmocka_unit_test(test_too_many),
		cmocka_unit_test(test_select),	  cmocka_unit_test(test_select_plain),
		cmocka_unit_test(test_platforms), cmocka_unit_test(test_config),
		cmocka_unit_test(test_times),
	};

	return cmocka_run_group_tests_name("manifest", tests, NULL, NULL);
}
