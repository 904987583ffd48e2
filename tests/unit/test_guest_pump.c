/* test_guest_pump.c: the agent's streams, between real pipes, terminals and a socket for the host.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "guest/agent.h"
#include "guest/pump.h"
#include "runtime/base/fd.h"
#include "vsock/codec.h"

#define BIG (3U << 20)

static struct loop *loop;
static int host;	 /* the host's end of the last connection */
static int dial_result;	 /* not 0: what agent_dial answers */
static unsigned changes; /* calls back */

/* Takes the place of the agent's: a socket pair instead of vsock. */
int agent_dial(uint32_t port, bool nonblock)
{
	int sv[2];

	assert_int_equal(port, WIRE_PORT_STREAM);
	assert_true(nonblock);
	if (dial_result)
		return dial_result;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, sv), 0);
	host = sv[1];
	return sv[0];
}

static void changed(void *arg)
{
	(void)arg;
	changes++;
}

static int set_up(void **state)
{
	(void)state;
	signal(SIGPIPE, SIG_IGN);
	loop = loop_new(NULL);
	host = -1;
	dial_result = 0;
	changes = 0;
	return loop ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	loop_free(loop);
	if (host >= 0)
		close(host);
	return 0;
}

/* Serves what is ready, until a round has nothing to do. */
static void settle(void)
{
	unsigned before;

	do {
		before = changes;
		assert_int_equal(loop_once(loop, 0), 0);
	} while (changes != before);
}

static struct stream *start(enum wire_stream which, int local)
{
	struct stream *s = stream_new(loop, 5, which, local, changed, NULL, NULL);
	char buf[WIRE_HEADER_SIZE + 5];
	struct wire_frame f;
	struct wire_open m;

	assert_non_null(s);
	settle();
	assert_true(stream_is_open(s));
	assert_int_equal(stream_error(s), 0);
	assert_int_equal(read(host, buf, sizeof(buf)), sizeof(buf));
	assert_int_equal(wire_frame_next(buf, sizeof(buf), &f), 1);
	assert_int_equal(f.type, WIRE_STREAM);
	assert_int_equal(wire_get_open(f.payload, f.len, &m), 0);
	assert_int_equal(m.task, 5);
	assert_int_equal(m.which, which);
	return s;
}

static void make_pipe(int p[2])
{
	assert_int_equal(pipe2(p, O_CLOEXEC | O_NONBLOCK), 0);
}

static unsigned char byte_at(size_t i)
{
	return (unsigned char)(i * 31 + (i >> 9));
}

/* Writes up to `max` of the known bytes from *at on; false when it would block. */
static bool write_some(int fd, size_t *at, size_t max)
{
	unsigned char buf[5000];
	size_t n = max - *at < sizeof(buf) ? max - *at : sizeof(buf);
	ssize_t put;

	for (size_t i = 0; i < n; i++)
		buf[i] = byte_at(*at + i);
	put = write(fd, buf, n);
	if (put < 0) {
		assert_int_equal(errno, EAGAIN);
		return false;
	}
	*at += (size_t)put;
	return *at < max;
}

/* Reads what is there and checks it. */
static void read_some(int fd, size_t *at)
{
	static unsigned char buf[70000];
	ssize_t got = read(fd, buf, sizeof(buf));

	if (got < 0)
		assert_int_equal(errno, EAGAIN);
	for (ssize_t i = 0; i < got; i++)
		assert_int_equal(buf[i], byte_at(*at + (size_t)i));
	*at += got > 0 ? (size_t)got : 0;
}

static void test_output(void **state)
{
	size_t written = 0, seen = 0;
	struct stream *s;
	char c;
	int p[2];

	(void)state;
	make_pipe(p);
	s = start(WIRE_STDOUT, p[0]);
	while (seen < BIG) {
		while (written < BIG && write_some(p[1], &written, BIG))
			;
		settle();
		read_some(host, &seen);
	}
	assert_false(stream_is_sent(s, false));
	close(p[1]);
	settle();
	assert_true(stream_is_sent(s, false));
	assert_int_equal(read(host, &c, 1), 0); /* half-closed */
	assert_false(stream_is_closed(s));
	close(host);
	host = -1;
	settle();
	assert_true(stream_is_closed(s));
	stream_free(s);
}

/* A host that does not read: the workload blocks, and the loop sleeps. */
static void test_output_blocked(void **state)
{
	size_t written = 0, seen = 0;
	struct stream *s;
	int p[2];

	(void)state;
	make_pipe(p);
	s = start(WIRE_STDERR, p[0]);
	do {
		while (write_some(p[1], &written, BIG))
			;
		settle();
	} while (write_some(p[1], &written, BIG));
	assert_true(written < BIG);
	close(p[1]);
	settle();
	assert_false(stream_is_sent(s, true)); /* not even as far as there is any */
	changes = 0;
	assert_int_equal(loop_once(loop, 30), 0);
	assert_int_equal(changes, 0);
	while (seen < written) {
		read_some(host, &seen);
		settle();
	}
	assert_int_equal(seen, written);
	assert_true(stream_is_sent(s, false));
	stream_free(s);
}

static void test_output_drained(void **state)
{
	struct stream *s;
	char buf[8];
	int p[2];

	(void)state;
	make_pipe(p);
	s = start(WIRE_STDOUT, p[0]);
	assert_int_equal(write(p[1], "last", 4), 4);
	stream_run_now(s); /* no event was served yet */
	assert_true(stream_is_sent(s, true));
	assert_false(stream_is_sent(s, false)); /* another writer may be left */
	stream_end(s);
	assert_int_equal(write(p[1], "late", 4), -1);
	assert_int_equal(errno, EPIPE);
	assert_int_equal(read(host, buf, sizeof(buf)), 4);
	assert_int_equal(read(host, buf, sizeof(buf)), 0);
	close(p[1]);
	stream_free(s);
}

static void test_output_reset(void **state)
{
	struct stream *s;
	int p[2];

	(void)state;
	make_pipe(p);
	s = start(WIRE_STDOUT, p[0]);
	close(host);
	host = -1;
	settle(); /* without a word from the workload */
	assert_true(stream_is_closed(s));
	assert_true(stream_is_sent(s, false));
	assert_int_equal(write(p[1], "x", 1), -1);
	assert_int_equal(errno, EPIPE);
	close(p[1]);
	stream_free(s);
}

static void test_output_break_watched(void **state)
{
	size_t written = 0;
	struct stream *s;
	int p[2];

	(void)state;
	make_pipe(p);
	s = start(WIRE_STDOUT, p[0]);
	stream_watch_break(s);
	do {
		while (write_some(p[1], &written, BIG))
			;
		settle();
	} while (write_some(p[1], &written, BIG)); /* full up to the workload */
	close(host);
	host = -1;
	settle();
	assert_false(stream_is_broken(s));
	assert_int_equal(write(p[1], "x", 1), 1);
	settle();
	assert_true(stream_is_broken(s));
	stream_end(s);
	assert_false(stream_is_broken(s));
	assert_int_equal(write(p[1], "x", 1), -1);
	assert_int_equal(errno, EPIPE);
	assert_true(stream_is_closed(s));
	close(p[1]);
	stream_free(s);
}

static void test_input(void **state)
{
	size_t written = 0, seen = 0;
	struct stream *s;
	char c;
	int p[2];

	(void)state;
	make_pipe(p);
	s = start(WIRE_STDIN, p[1]);
	assert_true(stream_is_sent(s, false)); /* nothing to wait for */
	while (seen < BIG) {
		while (written < BIG && write_some(host, &written, BIG))
			;
		settle();
		read_some(p[0], &seen);
	}
	assert_int_equal(read(p[0], &c, 1), -1);
	assert_int_equal(errno, EAGAIN);
	assert_int_equal(shutdown(host, SHUT_WR), 0);
	settle();
	assert_int_equal(read(p[0], &c, 1), 0);
	assert_true(stream_is_closed(s));
	close(p[0]);
	stream_free(s);
}

/* Half-closed while the workload has not read all yet: nothing may be lost. */
static void test_input_end_waits(void **state)
{
	size_t written = 0, seen = 0;
	struct stream *s;
	int p[2];

	(void)state;
	make_pipe(p);
	s = start(WIRE_STDIN, p[1]);
	do {
		while (write_some(host, &written, BIG))
			;
		settle();
	} while (write_some(host, &written, BIG));
	assert_int_equal(shutdown(host, SHUT_WR), 0);
	settle();
	assert_false(stream_is_closed(s));
	while (seen < written) {
		read_some(p[0], &seen);
		settle();
	}
	assert_true(stream_is_closed(s));
	close(p[0]);
	stream_free(s);
}

static void test_input_not_wanted(void **state)
{
	struct stream *s;
	char c;
	int p[2];

	(void)state;
	make_pipe(p);
	s = start(WIRE_STDIN, p[1]);
	close(p[0]); /* the workload closes its stdin */
	settle();
	assert_true(stream_is_closed(s));
	assert_int_equal(read(host, &c, 1), 0);
	stream_free(s);
}

static void test_terminal(void **state)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), slave;
	struct stream *s;
	char buf[64];

	(void)state;
	assert_true(master >= 0);
	assert_int_equal(grantpt(master), 0);
	assert_int_equal(unlockpt(master), 0);
	slave = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
	assert_true(slave >= 0);
	s = start(WIRE_TTY, -1);
	assert_int_equal(write(host, "early\r", 6), 6); /* before the terminal is there */
	settle();
	assert_int_equal(stream_local(s), -1);
	assert_int_equal(stream_attach(s, master, NULL), 0);
	settle();
	assert_int_equal(read(slave, buf, sizeof(buf)), 6);
	assert_memory_equal(buf, "early\n", 6);
	assert_int_equal(shutdown(host, SHUT_WR), 0); /* no more input: the terminal stays */
	settle();
	assert_int_equal(write(slave, "bye\n", 4), 4);
	close(slave);
	settle();
	assert_true(stream_is_sent(s, false));
	assert_int_equal(read(host, buf, sizeof(buf)), 12);
	assert_memory_equal(buf, "early\r\nbye\r\n", 12);
	assert_int_equal(read(host, buf, sizeof(buf)), 0);
	stream_free(s);
}

static void test_dial_refused(void **state)
{
	struct err e = ERR_INIT;
	int p[2];

	(void)state;
	make_pipe(p);
	dial_result = -ECONNREFUSED;
	assert_null(stream_new(loop, 1, WIRE_STDOUT, p[0], changed, NULL, &e));
	assert_int_equal(e.code, ECONNREFUSED);
	assert_int_equal(write(p[1], "x", 1), -1); /* our end is closed */
	close(p[1]);
}

/* A status file of a process that leaves, handles, ignores or blocks SIGPIPE. */
static void test_sigpipe_status(void **state)
{
	(void)state;
	assert_true(sigpipe_status_is_default("Name:\tx\nSigBlk:\t0000000000000000\n"
					      "SigIgn:\t0000000000000004\n"
					      "SigCgt:\t0000000000010002\n"));
	assert_false(sigpipe_status_is_default("Name:\tx\nSigBlk:\t0000000000000000\n"
					       "SigIgn:\t0000000000001000\n"
					       "SigCgt:\t0000000000000000\n"));
	assert_false(sigpipe_status_is_default("Name:\tx\nSigBlk:\t0000000000000000\n"
					       "SigIgn:\t0000000000000000\n"
					       "SigCgt:\t0000000180001000\n"));
	assert_false(sigpipe_status_is_default("Name:\tx\nSigBlk:\t0000000000001000\n"
					       "SigIgn:\t0000000000000000\n"
					       "SigCgt:\t0000000000000000\n"));
	assert_false(sigpipe_status_is_default(""));
}

#define with_loop(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_loop(test_output),
		with_loop(test_output_blocked),
		with_loop(test_output_drained),
		with_loop(test_output_reset),
		with_loop(test_output_break_watched),
		with_loop(test_input),
		with_loop(test_input_end_waits),
		with_loop(test_input_not_wanted),
		with_loop(test_terminal),
		with_loop(test_dial_refused),
		cmocka_unit_test(test_sigpipe_status),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
