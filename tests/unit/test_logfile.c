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
#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/fd.h"
#include "runtime/base/json.h"
#include "runtime/box/box.h"
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

static struct logfile *open_log(void)
{
	static const struct log_config plain = { .max_files = 1 };

	return logfile_open(dfd, &plain, NULL);
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
	log_record_free(&r);
	str_free(&text);
}

static void every_byte(void **state)
{
	struct logfile *l = open_log();
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
	struct logfile *l = open_log();
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
	struct logfile *l = open_log();
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
	log_record_free(&r);
}

static void parts_and_skips(void **state)
{
	struct iovec iov[3] = { { "abc", 3 }, { "de\nf", 4 }, { "g", 1 } };
	struct logfile *l = open_log();
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
	struct logfile *l = open_log();
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
	l = open_log();
	add(l, LOG_STDOUT, "x\n", 2);
	logfile_close(l);
	assert_int_equal(file_read(dfd, LOG_FILE, 4096, &text, NULL), 0);
	second = strchr(text.s, '\n') + 1;
	assert_int_equal(log_record_parse(text.s, (size_t)(second - text.s) - 1, &r), -EINVAL);
	assert_int_equal(log_record_parse(second, strlen(second) - 1, &r), 0);
	assert_string_equal(r.data.s, "x\n");
	str_free(&text);
	log_record_free(&r);
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
	log_record_free(&r);
}

/* --- rotation, and readers */

/* What log_read writes to its stdout. */
static void read_all(unsigned files, struct box_log_options o, struct str *out)
{
	FILE *f = tmpfile();
	char buf[4096];
	ssize_t n;

	assert_non_null(f);
	o.out = o.err = fileno(f);
	assert_int_equal(log_read(dir, files, &o, NULL, NULL), 0);
	out->len = 0;
	for (off_t at = 0; (n = pread(fileno(f), buf, sizeof(buf), at)) > 0; at += n)
		str_add_mem(out, buf, (size_t)n);
	str_add(out, "");
	fclose(f);
}

static void put_lines(struct logfile *l, unsigned from, unsigned to)
{
	for (; from < to; from++) {
		char line[32];

		add(l, from % 3 ? LOG_STDOUT : LOG_STDERR, line,
		    (size_t)snprintf(line, sizeof(line), "line %u\n", from));
	}
}

static void want_lines(struct str *s, unsigned from, unsigned to)
{
	s->len = 0;
	str_add(s, "");
	for (; from < to; from++)
		str_addf(s, "line %u\n", from);
}

static unsigned count_files(void)
{
	char name[LOG_NAME_MAX];
	unsigned n = 0;

	for (unsigned i = 0; i < 20; i++) {
		log_file_name(name, i);
		n += faccessat(dfd, name, F_OK, 0) == 0;
	}
	return n;
}

static void rotated(void **state)
{
	static const struct log_config four = { .max_size = 1000, .max_files = 4 };
	struct logfile *l = logfile_open(dfd, &four, NULL);
	struct str got = STR_INIT, want = STR_INIT;
	struct stat st;

	(void)state;
	put_lines(l, 0, 30);
	logfile_close(l);
	l = logfile_open(dfd, &four, NULL); /* the container was restarted */
	put_lines(l, 30, 35);
	assert_int_equal(count_files(), 3);
	read_all(4, (struct box_log_options){ .tail = -1 }, &got);
	want_lines(&want, 0, 35);
	assert_string_equal(got.s, want.s);
	/* the last lines reach back over files; more than there are is all */
	for (unsigned n = 0; n < 40; n++) {
		read_all(4, (struct box_log_options){ .tail = n }, &got);
		want_lines(&want, n > 35 ? 0 : 35 - n, 35);
		assert_string_equal(got.s, want.s);
	}
	/* no more than max-file, of max-size and one record */
	put_lines(l, 35, 1000);
	assert_int_equal(count_files(), 4);
	for (unsigned i = 0; i < 4; i++) {
		char name[LOG_NAME_MAX];

		log_file_name(name, i);
		assert_int_equal(fstatat(dfd, name, &st, 0), 0);
		assert_true(st.st_size <= 1000 + 100 && (i == 0 || st.st_size >= 1000));
	}
	read_all(4, (struct box_log_options){ .tail = 25 }, &got);
	want_lines(&want, 975, 1000);
	assert_string_equal(got.s, want.s);
	assert_int_equal(faccessat(dfd, LOG_FILE_NEW, F_OK, 0), -1);
	logfile_close(l);
	str_free(&got);
	str_free(&want);
}

/* docker's default with max-size alone. */
static void one_file(void **state)
{
	static const struct log_config one = { .max_size = 1000, .max_files = 1 };
	struct logfile *l = logfile_open(dfd, &one, NULL);
	struct str got = STR_INIT, want = STR_INIT;

	(void)state;
	put_lines(l, 0, 500);
	logfile_close(l);
	assert_int_equal(count_files(), 1);
	read_all(1, (struct box_log_options){ .tail = 2 }, &got);
	want_lines(&want, 498, 500);
	assert_string_equal(got.s, want.s);
	str_free(&got);
	str_free(&want);
}

/* Lines of several records, of streams that interrupt each other, without a newline at the end. */
static void tail_is_lines(void **state)
{
	struct logfile *l = open_log();
	struct str got = STR_INIT, big = STR_INIT;

	(void)state;
	for (unsigned i = 0; i < 3 * LOG_LINE_MAX; i++)
		str_add_char(&big, 'b');
	add(l, LOG_STDOUT, "first\n", 6);
	add(l, LOG_STDOUT, big.s, big.len);
	add(l, LOG_STDERR, "between\n", 8);
	add(l, LOG_STDOUT, "end\nlast", 8);
	logfile_close(l);
	read_all(1, (struct box_log_options){ .tail = 1 }, &got);
	assert_string_equal(got.s, "last");
	read_all(1, (struct box_log_options){ .tail = 2 }, &got);
	assert_string_equal(got.s, "end\nlast");
	read_all(1, (struct box_log_options){ .tail = 3 }, &got);
	assert_int_equal(got.len, big.len + 8 + 8);
	read_all(1, (struct box_log_options){ .tail = 4 }, &got);
	assert_memory_equal(got.s, "first\nbbb", 9);
	str_free(&got);
	str_free(&big);
}

static int told_to_end(void *arg, struct err *e)
{
	char c;

	(void)e;
	return read(*(int *)arg, &c, 1) == 1 ? c == 'e' : -EIO;
}

struct following {
	int pipe[2];
	struct box_log_options o;
	unsigned files;
	int rc;
};

static void *follow_it(void *arg)
{
	struct following *f = arg;
	struct log_end end = { f->pipe[0], told_to_end, &f->pipe[0] };

	f->rc = log_read(dir, f->files, &f->o, &end, NULL);
	return NULL;
}

/* Nothing is lost or comes twice while files are moved under the reader's eyes. */
static void followed_over_rotation(void **state)
{
	static const struct log_config c = { .max_size = 3000, .max_files = 400 };
	struct following f = { .o = { .tail = 3, .follow = true }, .files = 400 };
	struct logfile *l = logfile_open(dfd, &c, NULL);
	struct str want = STR_INIT, got = STR_INIT;
	FILE *out = tmpfile();
	pthread_t thread;
	char buf[4096];
	ssize_t n;

	(void)state;
	put_lines(l, 0, 100);
	f.o.out = f.o.err = fileno(out);
	assert_int_equal(pipe(f.pipe), 0);
	assert_int_equal(pthread_create(&thread, NULL, follow_it, &f), 0);
	put_lines(l, 100, 5000);
	assert_int_equal(write(f.pipe[1], "x", 1), 1); /* an event that is not the end */
	put_lines(l, 5000, 10000);
	logfile_close(l);
	assert_int_equal(write(f.pipe[1], "e", 1), 1);
	pthread_join(thread, NULL);
	assert_int_equal(f.rc, 0);
	for (off_t at = 0; (n = pread(fileno(out), buf, sizeof(buf), at)) > 0; at += n)
		str_add_mem(&got, buf, (size_t)n);
	str_add(&got, "");
	/* it began somewhere in the first half, three lines before its end at that time */
	n = atoi(got.s + strlen("line "));
	assert_true(n >= 97 && n < 10000);
	want_lines(&want, (unsigned)n, 10000);
	assert_string_equal(got.s, want.s);
	fclose(out);
	close(f.pipe[0]);
	close(f.pipe[1]);
	str_free(&want);
	str_free(&got);
}

/* Without max-file what a slow reader has not seen is dropped; then it goes on with what is left.
 */
static void followed_too_slowly(void **state)
{
	static const struct log_config c = { .max_size = 500, .max_files = 2 };
	struct following f = { .o = { .tail = -1, .follow = true }, .files = 2 };
	struct logfile *l = logfile_open(dfd, &c, NULL);
	struct str want = STR_INIT, got = STR_INIT;
	pthread_t thread;
	int out[2];
	char buf[65536];
	ssize_t n;

	(void)state;
	put_lines(l, 0, 3);
	assert_int_equal(pipe(out), 0);
	assert_int_equal(fcntl(out[1], F_SETPIPE_SZ, 4096), 4096);
	f.o.out = f.o.err = out[1];
	assert_int_equal(pipe(f.pipe), 0);
	assert_int_equal(pthread_create(&thread, NULL, follow_it, &f), 0);
	put_lines(l, 3, 5000); /* more than the pipe holds */
	logfile_close(l);
	assert_int_equal(write(f.pipe[1], "e", 1), 1);
	while (got.len < 10 || memcmp(got.s + got.len - 10, "line 4999\n", 10) != 0) {
		n = read(out[0], buf, sizeof(buf));
		assert_true(n > 0);
		str_add_mem(&got, buf, (size_t)n);
	}
	pthread_join(thread, NULL);
	assert_int_equal(f.rc, 0);
	/* in order, none twice */
	str_add(&got, "");
	n = -1;
	for (char *at = strtok(got.s, "\n"); at; at = strtok(NULL, "\n")) {
		assert_true(atoi(at + 5) > n);
		n = atoi(at + 5);
	}
	close(out[0]);
	close(out[1]);
	close(f.pipe[0]);
	close(f.pipe[1]);
	str_free(&want);
	str_free(&got);
}

/* --- options */

static int configure(const char *driver, const char *opts, struct log_config *c)
{
	struct box_spec s;
	struct err e = ERR_INIT;
	int rc;

	box_spec_init(&s);
	free(s.log_driver);
	s.log_driver = xstrdup(driver);
	strv_split(&s.log_opts, opts, ' ');
	if (*opts == 0)
		strv_remove(&s.log_opts, 0);
	strv_add(&s.labels, "a=1 2");
	strv_add(&s.labels, "b=");
	strv_add(&s.env, "LANG=C\"");
	rc = log_config_of(c, &s, &e);
	box_spec_free(&s);
	assert_true(rc == 0 || e.msg[0]);
	return rc;
}

static void options(void **state)
{
	static const char *const bad[] = { "max-size=",	   "max-size=x", "max-size=0",
					   "max-size=-1",  "max-file=0", "max-file=x",
					   "max-file=501", "tag=x",	 "compress=true",
					   "wrong=1",	   "max-file=-1" };
	struct log_record r = { .data = STR_INIT };
	struct str text = STR_INIT;
	struct logfile *l;
	struct log_config c;

	(void)state;
	assert_int_equal(configure("json-file", "", &c), 0);
	assert_true(!c.none && c.max_size == 0 && c.max_files == 1 && c.attrs == NULL);
	assert_int_equal(configure("json-file", "max-size=10m max-file=3", &c), 0);
	assert_true(c.max_size == 10000000 && c.max_files == 3);
	assert_int_equal(configure("none", "", &c), 0);
	assert_true(c.none);
	assert_int_equal(configure("none", "max-size=1", &c), -EINVAL);
	assert_int_equal(configure("syslog", "", &c), -EINVAL);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(configure("json-file", bad[i], &c), -EINVAL);

	assert_int_equal(configure("json-file", "env=LANG,NONE labels=b,a", &c), 0);
	assert_string_equal(c.attrs, "{\"LANG\":\"C\\\"\",\"a\":\"1 2\",\"b\":\"\"}");
	l = logfile_open(dfd, &c, NULL);
	log_config_free(&c);
	add(l, LOG_STDERR, "x\n", 2);
	logfile_close(l);
	assert_int_equal(file_read(dfd, LOG_FILE, 4096, &text, NULL), 0);
	assert_int_equal(log_record_parse(text.s, text.len - 1, &r), 0);
	assert_string_equal(r.attrs.s, "LANG=C%22,a=1+2,b=");
	text.len = 0;
	read_all(1, (struct box_log_options){ .tail = -1, .details = true }, &text);
	assert_string_equal(text.s, "LANG=C%22,a=1+2,b= x\n");
	str_free(&text);
	log_record_free(&r);
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
		cmocka_unit_test_setup_teardown(rotated, make_dir, drop_dir),
		cmocka_unit_test_setup_teardown(one_file, make_dir, drop_dir),
		cmocka_unit_test_setup_teardown(tail_is_lines, make_dir, drop_dir),
		cmocka_unit_test_setup_teardown(followed_over_rotation, make_dir, drop_dir),
		cmocka_unit_test_setup_teardown(followed_too_slowly, make_dir, drop_dir),
		cmocka_unit_test_setup_teardown(options, make_dir, drop_dir),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
