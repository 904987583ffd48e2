/* test_logfile.c: output survives the log byte by byte; records are docker's. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/fd.h"
#include "runtime/base/json.h"
#include "runtime/box/logfile.h"

static char dir[] = "/tmp/zl-test-log.XXXXXX";
static int dfd;

static int make_dir(void **state)
{
	(void)state;
	strcpy(dir + sizeof(dir) - 7, "XXXXXX");
	if (mkdtemp(dir) == NULL)
		return -1;
	dfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return dfd < 0 ? -1 : 0;
}

static int drop_dir(void **state)
{
	(void)state;
	close(dfd);
	return dir_remove_all(AT_FDCWD, dir, NULL);
}

static void add(struct logfile *l, enum log_stream s, const void *p, size_t n)
{
	struct iovec iov = { (void *)p, n };

	logfile_add(l, s, &iov, 1, 0);
}

/* All records of one stream joined; *records counts them. */
static void read_back(enum log_stream stream, struct str *out, unsigned *records)
{
	struct str text = STR_INIT;
	struct log_record r = { .data = STR_INIT };
	int64_t last = 0;

	assert_int_equal(file_read(dfd, LOG_FILE, 1U << 30, &text, NULL), 0);
	*records = 0;
	for (char *p = text.s, *nl; p && (nl = strchr(p, '\n')); p = nl + 1) {
		assert_int_equal(log_record_parse(p, (size_t)(nl - p), &r), 0);
		assert_true(r.time_ns >= last && r.time_ns > 1600000000LL * 1000000000);
		last = r.time_ns;
		if (r.stream != stream)
			continue;
		str_add_mem(out, r.data.s, r.data.len);
		++*records;
	}
	str_free(&r.data);
	str_free(&text);
}

static void every_byte(void **state)
{
	struct logfile *l = logfile_open(dfd, NULL);
	struct str want = STR_INIT, got = STR_INIT;
	unsigned records;

	(void)state;
	assert_non_null(l);
	srand(7);
	for (int i = 0; i < 3000; i++) {
		char buf[256];
		size_t n = (size_t)rand() % sizeof(buf);

		for (size_t k = 0; k < n; k++)
			buf[k] = (char)(i % 3 ? rand() : ' ' + rand() % 64);
		add(l, LOG_STDERR, buf, n);
		str_add_mem(&want, buf, n);
	}
	logfile_close(l);
	read_back(LOG_STDERR, &got, &records);
	assert_int_equal(got.len, want.len);
	assert_memory_equal(got.s, want.s, want.len);
	read_back(LOG_STDOUT, &got, &records);
	assert_int_equal(records, 0);
	str_free(&want);
	str_free(&got);
}

static void long_lines(void **state)
{
	struct logfile *l = logfile_open(dfd, NULL);
	struct str want = STR_INIT, got = STR_INIT;
	unsigned records;

	(void)state;
	for (unsigned i = 0; i < 2 * LOG_LINE_MAX + 5; i++)
		str_add_char(&want, (char)('a' + i % 26));
	str_add(&want, "\nshort\n");
	for (size_t i = 0; i < want.len; i += 1000)
		add(l, LOG_STDOUT, want.s + i, want.len - i < 1000 ? want.len - i : 1000);
	logfile_close(l);
	read_back(LOG_STDOUT, &got, &records);
	assert_int_equal(records, 4);
	assert_string_equal(got.s, want.s);
	str_free(&want);
	str_free(&got);
}

/* What another JSON library makes of a record. */
static void is_json(void **state)
{
	static const char line[] = "q\" b\\ t\t e\x1b u\xc3\xa9 bad\xff\xed\xa0\x80 nul\0 end\n";
	struct logfile *l = logfile_open(dfd, NULL);
	struct log_record r = { .data = STR_INIT };
	struct str text = STR_INIT;
	struct js *j;
	size_t n;
	const char *s;

	(void)state;
	add(l, LOG_STDOUT, line, sizeof(line) - 1);
	logfile_close(l);
	assert_int_equal(file_read(dfd, LOG_FILE, 4096, &text, NULL), 0);
	j = js_parse(text.s, text.len, NULL);
	assert_non_null(j);
	s = js_text_len(js_get(j, "log"), &n);
	assert_memory_equal(s,
			    "q\" b\\ t\t e\x1b u\xc3\xa9 bad\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"
			    "\xef\xbf\xbd nul\0 end\n",
			    n);
	assert_string_equal(js_text(js_get(j, "stream")), "stdout");
	assert_int_equal(log_record_parse(text.s, text.len - 1, &r), 0);
	assert_int_equal(r.data.len, sizeof(line) - 1);
	assert_memory_equal(r.data.s, line, r.data.len);
	js_free(j);
	str_free(&text);
	str_free(&r.data);
}

static void parts_and_skips(void **state)
{
	struct iovec iov[3] = { { "abc", 3 }, { "de\nf", 4 }, { "g", 1 } };
	struct logfile *l = logfile_open(dfd, NULL);
	struct str got = STR_INIT;
	struct stat st;
	unsigned records;

	(void)state;
	logfile_add(l, LOG_STDOUT, iov, 3, 4);
	fstatat(dfd, LOG_FILE, &st, 0);
	read_back(LOG_STDOUT, &got, &records);
	assert_string_equal(got.s, "e\n"); /* "fg" waits for its newline */
	logfile_end(l, LOG_STDOUT);
	got.len = 0;
	read_back(LOG_STDOUT, &got, &records);
	assert_string_equal(got.s, "e\nfg");
	assert_int_equal(records, 2);
	logfile_close(l);
	str_free(&got);
}

static void limited(void **state)
{
	struct logfile *l = logfile_open(dfd, NULL);
	struct str got = STR_INIT;
	unsigned records;

	(void)state;
	logfile_limit(l, 4);
	add(l, LOG_STDOUT, "ab\n", 3);
	add(l, LOG_STDOUT, "cd\n", 3);
	add(l, LOG_STDOUT, "ef\n", 3);
	logfile_limit(l, 0);
	add(l, LOG_STDOUT, "gh\n", 3);
	logfile_close(l);
	read_back(LOG_STDOUT, &got, &records);
	assert_string_equal(got.s, "ab\ncd\ngh\n");
	str_free(&got);
}

/* A record cut short by a crash does not spoil what is added later. */
static void after_crash(void **state)
{
	static const char torn[] = "{\"log\":\"torn";
	struct logfile *l;
	struct log_record r = { .data = STR_INIT };
	struct str text = STR_INIT;
	char *second;

	(void)state;
	assert_int_equal(file_write_atomic(dfd, LOG_FILE, torn, strlen(torn), 0600, false, NULL),
			 0);
	l = logfile_open(dfd, NULL);
	add(l, LOG_STDOUT, "x\n", 2);
	logfile_close(l);
	assert_int_equal(file_read(dfd, LOG_FILE, 4096, &text, NULL), 0);
	second = strchr(text.s, '\n') + 1;
	assert_int_equal(log_record_parse(text.s, (size_t)(second - text.s) - 1, &r), -EINVAL);
	assert_int_equal(log_record_parse(second, strlen(second) - 1, &r), 0);
	assert_string_equal(r.data.s, "x\n");
	str_free(&text);
	str_free(&r.data);
}

static void dockers_records(void **state)
{
	static const char good[] =
		"{\"log\":\"\\u003ca\\u003e \\ud83d\\udc33\\n\",\"stream\":\"stderr\",\"attrs\":"
		"{\"a\":[1,\"}\"]},\"time\":\"2024-02-29T23:59:59.5Z\"}";
	static const char *const bad[] = {
		"",
		"{}",
		"null",
		"{\"log\":\"a\"}",
		"{\"log\":\"a\",\"time\":\"2024-02-29T23:59:59\"}",
		"{\"log\":\"a\",\"time\":\"2024-13-29T23:59:59Z\"}",
		"{\"log\":\"a\\x\",\"time\":\"2024-02-29T23:59:59Z\"}",
		"{\"log\":\"a\\u12\",\"time\":\"2024-02-29T23:59:59Z\"}",
		"{\"log\":\"a,\"time\":\"2024-02-29T23:59:59Z\"}",
		"{\"log\":\"a\",\"time\":\"2024-02-29T23:59:59Z\"",
		"{\"log\":\"a\",\"time\":\"2024-02-29T23:59:59Z\"} x",
		"{\"log\":\"a\",\"raw\":\"*\",\"time\":\"2024-02-29T23:59:59Z\"}",
		"{\"x\":[[[[[[[[[[[[[[]]]]]]]]]]]]]],\"log\":\"a\",\"time\":\"2024-02-29T23:59:"
		"59Z\"}",
	};
	struct log_record r = { .data = STR_INIT };
	char text[LOG_TIME_MAX];

	(void)state;
	assert_int_equal(log_record_parse(good, strlen(good), &r), 0);
	assert_string_equal(r.data.s, "<a> \xf0\x9f\x90\xb3\n");
	assert_int_equal(r.stream, LOG_STDERR);
	log_time_format(text, r.time_ns);
	assert_string_equal(text, "2024-02-29T23:59:59.500000000Z");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(log_record_parse(bad[i], strlen(bad[i]), &r), -EINVAL);
	str_free(&r.data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(every_byte, make_dir, drop_dir),
		cmocka_unit_test_setup_teardown(long_lines, make_dir, drop_dir),
		cmocka_unit_test_setup_teardown(is_json, make_dir, drop_dir),
		cmocka_unit_test_setup_teardown(parts_and_skips, make_dir, drop_dir),
		cmocka_unit_test_setup_teardown(after_crash, make_dir, drop_dir),
		cmocka_unit_test_setup_teardown(limited, make_dir, drop_dir),
		cmocka_unit_test(dockers_records),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
