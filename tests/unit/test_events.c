/* test_events.c: the log of events: many writers, rotation, readers from the past and live. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/base/fd.h"
#include "runtime/base/json.h"
#include "runtime/base/own.h"
#include "runtime/box/box.h"
#include "runtime/box/events.h"

#define WRITERS 8
#define EACH	200

static char root[] = "/tmp/zl-test-events.XXXXXX";
static struct box_dirs dirs;

static int setup(void **state)
{
	(void)state;
	strcpy(root + sizeof(root) - 7, "XXXXXX");
	if (mkdtemp(root) == NULL)
		return -1;
	dirs = (struct box_dirs){ .root = root, .runtime = root };
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	return dir_remove_all(AT_FDCWD, root, NULL);
}

static off_t size_of(const char *name)
{
	own_free char *path = xasprintf("%s/events/%s", root, name);
	struct stat st;

	return stat(path, &st) < 0 ? -1 : st.st_size;
}

/* The next event's text at Actor.Attributes.<key>, or NULL when there is none. Owned. */
static char *next_attribute(struct events_reader *r, const char *key)
{
	own_str struct str line = STR_INIT;
	own_js struct js *j = NULL;
	const char *text;

	if (!events_next(r, &line))
		return NULL;
	j = js_parse(line.s, line.len, NULL);
	assert_non_null(j);
	text = js_text(js_get(js_get(js_get(j, "Actor"), "Attributes"), key));
	return xstrdup(text ? text : "");
}

static void message_is_dockers(void **state)
{
	struct box_spec s;
	struct events_reader *r;
	own_str struct str line = STR_INIT;
	own_js struct js *j = NULL;
	own_free char *head = NULL;
	int64_t t = 0, ns = 0;

	(void)state;
	box_spec_init(&s);
	free(s.name);
	s.name = xstrdup("web");
	free(s.image);
	s.image = xstrdup("busybox");
	strv_add(&s.labels, "tier=front");
	events_say_box(&dirs, &s, "die", "exitCode", "3", NULL);
	events_say(&dirs, "network", "create", "abc", "name", "n", NULL);
	r = events_read(&dirs, true, NULL);
	assert_non_null(r);
	assert_true(events_next(r, &line));
	head = xasprintf(
		"{\"status\":\"die\",\"id\":\"%s\",\"from\":\"busybox\",\"Type\":\"container\","
		"\"Action\":\"die\",\"Actor\":{\"ID\":\"%s\",\"Attributes\":{",
		s.id, s.id);
	assert_true(str_starts(line.s, head));
	j = js_parse(line.s, line.len, NULL);
	assert_string_equal(js_text(js_get(j, "scope")), "local");
	assert_true(js_int(js_get(j, "time"), &t) && js_int(js_get(j, "timeNano"), &ns));
	assert_int_equal(t, ns / 1000000000);
	assert_string_equal(js_text(js_get(js_get(js_get(j, "Actor"), "Attributes"), "tier")),
			    "front");
	assert_true(events_next(r, &line));
	assert_true(str_starts(line.s, "{\"Type\":\"network\",\"Action\":\"create\","));
	assert_false(events_next(r, &line));
	events_free(r);
	box_spec_free(&s);
}

static void live_reader_is_woken(void **state)
{
	struct events_reader *r;
	struct pollfd p = { .events = POLLIN };
	own_free char *got = NULL;

	(void)state;
	events_say(&dirs, "image", "pull", "old", "n", "0", NULL);
	r = events_read(&dirs, false, NULL);
	p.fd = events_fd(r);
	assert_null(next_attribute(r, "n"));
	assert_int_equal(poll(&p, 1, 0), 0);
	events_say(&dirs, "image", "pull", "new", "n", "1", NULL);
	assert_int_equal(poll(&p, 1, 10000), 1);
	got = next_attribute(r, "n");
	assert_string_equal(got, "1");
	assert_null(next_attribute(r, "n"));
	assert_int_equal(poll(&p, 1, 0), 0);
	events_free(r);
}

static void write_many(int writer)
{
	struct events ev;
	char text[32];

	events_open(&ev, &dirs);
	for (int i = 0; i < EACH; i++) {
		snprintf(text, sizeof(text), "%d.%d", writer, i);
		events_add(&ev, "container", "start", "id", "n", text, NULL);
	}
	_exit(0);
}

/* No event of many processes is lost, doubled or torn, and each process's are in order. */
static void many_writers(void **state)
{
	int seen[WRITERS] = { 0 }, writer, number, status;
	struct events_reader *r;
	char *got;

	(void)state;
	for (int w = 0; w < WRITERS; w++) {
		if (fork() == 0)
			write_many(w);
	}
	for (int w = 0; w < WRITERS; w++)
		assert_true(wait(&status) > 0 && status == 0);
	r = events_read(&dirs, true, NULL);
	while ((got = next_attribute(r, "n")) != NULL) {
		assert_int_equal(sscanf(got, "%d.%d", &writer, &number), 2);
		assert_int_equal(number, seen[writer]++);
		free(got);
	}
	for (int w = 0; w < WRITERS; w++)
		assert_int_equal(seen[w], EACH);
	events_free(r);
}

/* Three files' worth: the size stays in bounds, and who follows misses nothing. */
static void rotation(void **state)
{
	struct events_reader *live = events_read(&dirs, false, NULL), *late;
	own_free char *pad = xcalloc(1, 1000);
	struct events ev;
	unsigned n = 0, got = 0;
	int old;
	char text[32], *found;

	(void)state;
	memset(pad, 'x', 999);
	events_open(&ev, &dirs);
	while (n < 3 * EVENTS_FILE_MAX / 1000) {
		snprintf(text, sizeof(text), "%u", n++);
		events_add(&ev, "image", "tag", "id", "n", text, "pad", pad, NULL);
		if (n % 100)
			continue;
		while ((found = next_attribute(live, "n")) != NULL) {
			assert_int_equal(atol(found), got++);
			free(found);
		}
	}
	while ((found = next_attribute(live, "n")) != NULL) {
		assert_int_equal(atol(found), got++);
		free(found);
	}
	assert_int_equal(got, n);
	assert_in_range(size_of("0"), 1000, EVENTS_FILE_MAX);
	assert_in_range(size_of("1"), 1000, EVENTS_FILE_MAX);
	late = events_read(&dirs, true, NULL);
	for (old = -1; (found = next_attribute(late, "n")) != NULL; free(found)) {
		assert_true(old < 0 || atol(found) == old + 1);
		old = (int)atol(found);
	}
	assert_int_equal(old, n - 1);
	events_close(&ev);
	events_free(live);
	events_free(late);
}

/* What a crash left of a line does not swallow the next one. */
static void torn_line(void **state)
{
	own_free char *path = NULL, *first = NULL, *second = NULL;
	own_str struct str line = STR_INIT;
	struct events_reader *r;
	own_fd int fd = -1;

	(void)state;
	events_say(&dirs, "image", "pull", "a", "n", "1", NULL);
	path = xasprintf("%s/events/0", root);
	fd = open(path, O_WRONLY | O_APPEND);
	assert_int_equal(write(fd, "{\"Type\":\"im", 11), 11);
	events_say(&dirs, "image", "pull", "b", "n", "2", NULL);
	r = events_read(&dirs, true, NULL);
	first = next_attribute(r, "n");
	assert_string_equal(first, "1");
	assert_true(events_next(r, &line));
	assert_string_equal(line.s, "{\"Type\":\"im");
	second = next_attribute(r, "n");
	assert_string_equal(second, "2");
	events_free(r);
}

/* Labels without end, and a log that cannot be made, are nobody's trouble. */
static void no_room(void **state)
{
	struct box_dirs nowhere = { .root = "/proc/nothing", .runtime = "/proc/nothing" };
	own_free char *huge = xcalloc(1, EVENTS_LINE_MAX + 1);
	struct events_reader *r;
	own_str struct str line = STR_INIT;
	struct err e = ERR_INIT;

	(void)state;
	events_say(&nowhere, "image", "pull", "a", NULL);
	assert_null(events_read(&nowhere, true, &e));
	assert_true(e.msg[0]);
	memset(huge, 'x', EVENTS_LINE_MAX);
	events_say(&dirs, "image", "pull", "a", "n", huge, NULL);
	r = events_read(&dirs, true, NULL);
	assert_true(events_next(r, &line));
	assert_non_null(strstr(line.s, "\"Attributes\":{}"));
	events_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(message_is_dockers, setup, teardown),
		cmocka_unit_test_setup_teardown(live_reader_is_woken, setup, teardown),
		cmocka_unit_test_setup_teardown(many_writers, setup, teardown),
		cmocka_unit_test_setup_teardown(rotation, setup, teardown),
		cmocka_unit_test_setup_teardown(torn_line, setup, teardown),
		cmocka_unit_test_setup_teardown(no_room, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
