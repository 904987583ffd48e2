/* test_stdio.c: a task's streams meet pipes, sockets, files and slow or broken readers. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "runtime/base/fd.h"
#include "runtime/box/stdio.h"

/*
 * Without a connection: what the guest sends is passed to io_stream_push as
 * the device would do it, the part not taken again and again.
 */
static struct loop *loop;
static struct io_stream *s;
static unsigned changes, breaks;
static bool reset_wanted;
static const int owner_a, owner_b; /* only their addresses count */

static void on_changed(void *arg, struct io_stream *x)
{
	(void)arg;
	(void)x;
	changes++;
}

static bool on_broke(void *arg, struct io_stream *x, const void *owner)
{
	(void)arg;
	(void)x;
	assert_ptr_equal(owner, &owner_a);
	breaks++;
	return reset_wanted;
}

static const struct io_stream_ops ops = { .changed = on_changed, .broke = on_broke };

static int setup(void **state)
{
	(void)state;
	signal(SIGPIPE, SIG_IGN);
	loop = loop_new(NULL);
	s = io_stream_new(loop, &ops, NULL);
	changes = breaks = 0;
	reset_wanted = false;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	io_stream_free(s);
	loop_free(loop);
	return 0;
}

static ssize_t push(const char *text, size_t n)
{
	struct iovec iov[2] = { { (void *)text, n / 3 }, { (void *)(text + n / 3), n - n / 3 } };

	return io_stream_push(s, iov, 2);
}

static char *pattern(size_t n)
{
	char *p = xmalloc(n);

	for (size_t i = 0; i < n; i++)
		p[i] = (char)(i * 31 + i / 1000);
	return p;
}

/* All of a big block through a pipe that is read bit by bit. */
static void through(int rd, size_t total, bool second, int rd2)
{
	char *want = pattern(total), *got = xmalloc(total + 1), *got2 = xmalloc(total + 1);
	size_t sent = 0, have = 0, have2 = 0;

	for (unsigned turn = 0; have < total || (second && have2 < total); turn++) {
		ssize_t n;

		if (sent < total) {
			n = push(want + sent, total - sent);
			assert_true(n >= 0);
			sent += (size_t)n;
		}
		n = read(rd, got + have, turn % 3 ? 777 : 70000);
		have += n > 0 ? (size_t)n : 0;
		if (second) {
			n = recv(rd2, got2 + have2, 5000, MSG_DONTWAIT);
			have2 += n > 0 ? (size_t)n : 0;
		}
		assert_true(have <= total && have2 <= total);
		assert_int_equal(loop_once(loop, 0), 0);
	}
	assert_memory_equal(want, got, total);
	if (second)
		assert_memory_equal(want, got2, total);
	free(want);
	free(got);
	free(got2);
}

static void slow_pipe(void **state)
{
	int p[2];

	(void)state;
	assert_int_equal(pipe(p), 0);
	fcntl(p[0], F_SETFL, O_NONBLOCK);
	io_stream_add_sink(s, dup(p[1]), &owner_a);
	through(p[0], 1 << 20, false, -1);
	/* the description shared with others stays as it was */
	assert_int_equal(fcntl(p[1], F_GETFL) & O_NONBLOCK, 0);
	close(p[0]);
	close(p[1]);
}

static void two_readers(void **state)
{
	int p[2], sv[2];

	(void)state;
	assert_int_equal(pipe(p), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
	fcntl(p[0], F_SETFL, O_NONBLOCK);
	io_stream_add_sink(s, p[1], &owner_a);
	io_stream_add_sink(s, dup(sv[1]), &owner_b);
	through(p[0], 1 << 20, true, sv[0]);
	assert_int_equal(fcntl(sv[1], F_GETFL) & O_NONBLOCK, 0);
	io_stream_drop(s, &owner_b);
	through(p[0], 100000, false, -1);
	close(p[0]);
	close(sv[0]);
	close(sv[1]);
}

/* A shared offset: what others write to the file goes before and after. */
static void regular_file(void **state)
{
	char path[] = "/tmp/zl-test-stdio.XXXXXX", got[16] = "";
	int fd = mkstemp(path);

	(void)state;
	unlink(path);
	assert_int_equal(write(fd, "ab", 2), 2);
	io_stream_add_sink(s, dup(fd), &owner_a);
	assert_int_equal(push("cd", 2), 2);
	assert_int_equal(write(fd, "ef", 2), 2);
	assert_int_equal(pread(fd, got, sizeof(got), 0), 6);
	assert_string_equal(got, "abcdef");
	close(fd);
}

static void broken_reader(void **state)
{
	int p[2];

	(void)state;
	assert_int_equal(push("nobody", 6), 6);
	assert_int_equal(pipe(p), 0);
	io_stream_add_sink(s, p[1], &owner_a);
	close(p[0]);
	assert_int_equal(push("lost", 4), 4); /* and that is all: it goes on */
	assert_int_equal(breaks, 1);
	assert_int_equal(push("x", 1), 1);
	assert_int_equal(breaks, 1);
	reset_wanted = true;
	assert_int_equal(pipe(p), 0);
	io_stream_add_sink(s, p[1], &owner_a);
	close(p[0]);
	assert_int_equal(push("lost", 4), -EPIPE);
}

/* The task has ended, its reader is slow: the rest is kept in memory. */
static void finish_keeps_the_rest(void **state)
{
	const size_t total = 300000;
	char *want = pattern(total), *got = xmalloc(total);
	size_t have = 0;
	int p[2];

	(void)state;
	assert_int_equal(pipe(p), 0);
	io_stream_add_sink(s, p[1], &owner_a);
	assert_true(push(want, total) < (ssize_t)total);
	io_stream_finish(s);
	have = (size_t)read(p[0], got, 4096);
	/* 64 KiB of the pipe are gone from the offer already */
	assert_int_equal(push(want + 65536, total - 65536), total - 65536);
	io_stream_eof(s);
	assert_true(io_stream_over(s));
	assert_false(io_stream_written(s, &owner_a));
	assert_true(io_stream_written(s, &owner_b));
	fcntl(p[0], F_SETFL, O_NONBLOCK);
	while (have < total) {
		ssize_t n = read(p[0], got + have, total - have);

		have += n > 0 ? (size_t)n : 0;
		assert_int_equal(loop_once(loop, 1000), 0);
	}
	assert_memory_equal(want, got, total);
	assert_true(io_stream_written(s, NULL));
	assert_true(changes >= 2);
	free(want);
	free(got);
	close(p[0]);
}

/* A guest that goes on sending after its task's end fills no memory. */
static void finish_is_bounded(void **state)
{
	const size_t total = 256 << 10, most = 2 << 20;
	char *text = pattern(total);
	size_t have = 0;
	int p[2];

	(void)state;
	assert_int_equal(pipe(p), 0);
	io_stream_add_sink(s, p[1], &owner_a);
	io_stream_finish(s);
	for (int i = 0; i < 64; i++)
		assert_int_equal(push(text, total), total);
	io_stream_eof(s);
	fcntl(p[0], F_SETFL, O_NONBLOCK);
	while (!io_stream_written(s, NULL)) {
		ssize_t n = read(p[0], text, total);

		have += n > 0 ? (size_t)n : 0;
		assert_int_equal(loop_once(loop, 1000), 0);
	}
	assert_in_range(have, total, most);
	free(text);
	close(p[0]);
}

static ssize_t pull(char *buf, size_t n)
{
	struct iovec iov[2] = { { buf, n / 2 }, { buf + n / 2, n - n / 2 } };

	return io_stream_pull(s, iov, 2);
}

static void input_ends_with_its_source(void **state)
{
	char buf[8];
	int p[2], q[2];

	(void)state;
	assert_int_equal(pull(buf, 8), -EAGAIN);
	io_stream_end_with_sources(s, true);
	assert_int_equal(pull(buf, 8), -EAGAIN); /* it has not begun */
	assert_int_equal(pipe(p), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, q), 0);
	io_stream_add_source(s, p[0], &owner_a);
	io_stream_add_source(s, q[0], &owner_b);
	assert_int_equal(pull(buf, 8), -EAGAIN);
	assert_int_equal(write(p[1], "abcdefghij", 10), 10);
	assert_int_equal(loop_once(loop, 1000), 0);
	assert_int_equal(pull(buf, 8), 8);
	assert_memory_equal(buf, "abcdefgh", 8);
	close(p[1]);
	assert_int_equal(loop_once(loop, 1000), 0);
	assert_int_equal(pull(buf, 8), 2);
	assert_int_equal(pull(buf, 8), -EAGAIN); /* the other one is there still */
	assert_int_equal(write(q[1], "z", 1), 1);
	close(q[1]);
	assert_int_equal(loop_once(loop, 1000), 0);
	assert_int_equal(pull(buf, 8), 1);
	assert_int_equal(pull(buf, 8), 0);
}

static void input_stays_without_once(void **state)
{
	char path[] = "/tmp/zl-test-stdio.XXXXXX", buf[8];
	int fd = mkstemp(path);

	(void)state;
	unlink(path);
	assert_int_equal(pwrite(fd, "abc", 3, 0), 3);
	io_stream_add_source(s, fd, &owner_a);
	assert_int_equal(pull(buf, 8), 3);
	assert_int_equal(pull(buf, 8), -EAGAIN);
	fd = open("/dev/null", O_RDONLY);
	io_stream_add_source(s, fd, &owner_a);
	assert_int_equal(pull(buf, 8), -EAGAIN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(slow_pipe, setup, teardown),
		cmocka_unit_test_setup_teardown(two_readers, setup, teardown),
		cmocka_unit_test_setup_teardown(regular_file, setup, teardown),
		cmocka_unit_test_setup_teardown(broken_reader, setup, teardown),
		cmocka_unit_test_setup_teardown(finish_keeps_the_rest, setup, teardown),
		cmocka_unit_test_setup_teardown(finish_is_bounded, setup, teardown),
		cmocka_unit_test_setup_teardown(input_ends_with_its_source, setup, teardown),
		cmocka_unit_test_setup_teardown(input_stays_without_once, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
