/* test_ctl.c: control messages, and a holder's socket with its clients. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/fd.h"
#include "runtime/box/client.h"
#include "runtime/box/ctl.h"

static void message_round_trip(void **state)
{
	struct ctl_msg a = { .type = CTL_EVENT,
			     .kind = 2,
			     .streams = 7,
			     .task = 0xfffffffe,
			     .code = -5,
			     .signal = 64,
			     .timeout_s = -1,
			     .rows = 65535,
			     .cols = 1 };
	struct ctl_msg b;
	char buf[CTL_MSG_MAX];
	size_t n;

	(void)state;
	memset(a.text, 'x', sizeof(a.text) - 1);
	n = ctl_put(&a, buf);
	assert_int_equal(ctl_get(&b, buf, n), 0);
	assert_memory_equal(&a, &b, sizeof(a));
	for (size_t k = 0; k < n; k++)
		assert_int_equal(ctl_get(&b, buf, k), -EPROTO);
	memset(buf + 28, 0xff, 4); /* the text's length */
	assert_int_equal(ctl_get(&b, buf, n), -EPROTO);
}

static void exec_round_trip(void **state)
{
	struct box_exec x = { .cwd = "/a b", .tty = true, .privileged = true }, y;
	struct err e = ERR_INIT;
	char whole[4096];
	ssize_t n;
	int fd;

	(void)state;
	strv_add(&x.argv, "sh");
	strv_add(&x.argv, "");
	strv_add(&x.env, "A=\xff");
	fd = ctl_exec_write(&x, &e);
	assert_true(fd >= 0);
	assert_int_equal(ctl_exec_read(fd, &y, &e), 0);
	assert_int_equal(y.argv.n, 2);
	assert_string_equal(y.argv.v[1], "");
	assert_string_equal(y.env.v[0], "A=\xff");
	assert_string_equal(y.cwd, "/a b");
	assert_null(y.user);
	assert_true(y.tty && y.privileged && !y.open_stdin);
	ctl_exec_free(&y);
	n = pread(fd, whole, sizeof(whole), 0);
	for (ssize_t k = 0; k < n; k++) {
		assert_int_equal(ftruncate(fd, k), 0);
		assert_int_equal(ctl_exec_read(fd, &y, &e), -EPROTO);
	}
	assert_int_equal(ftruncate(fd, 100 << 20), 0);
	assert_int_equal(ctl_exec_read(fd, &y, &e), -EPROTO);
	close(fd);
	strv_free(&x.argv);
	strv_free(&x.env);
}

static void detach_keys(void **state)
{
	static const char *const bad[] = { "ctrl-", "ab", "ctrl-p,", "ctrl-1", ",a", "ctrl-P" };
	struct err e = ERR_INIT;
	struct box_pump *p;
	struct pollfd fds[BOX_PUMP_FDS];
	int tty[2], lent;
	char got[64];
	ssize_t n;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_null(box_pump_new(0, bad[i], &e));
	assert_int_equal(pipe(tty), 0);
	p = box_pump_new(tty[0], "ctrl-p,ctrl-q", &e);
	assert_non_null(p);
	lent = dup(box_pump_fd(p));
	box_pump_lent(p);
	/* a lone ctrl-p is held back, and goes on with what follows it */
	assert_int_equal(write(tty[1], "ab\020", 3), 3);
	assert_int_equal(box_pump_run(p), BOX_PUMP_ON);
	n = recv(lent, got, sizeof(got), MSG_DONTWAIT);
	assert_int_equal(n, 2);
	assert_int_equal(write(tty[1], "c\020\020d", 4), 4);
	assert_int_equal(box_pump_run(p), BOX_PUMP_ON);
	n = recv(lent, got, sizeof(got), MSG_DONTWAIT);
	assert_int_equal(n, 5);
	assert_memory_equal(got, "\020c\020\020d", 5);
	box_pump_poll(p, fds);
	assert_int_equal(fds[0].fd, tty[0]);
	assert_int_equal(fds[1].fd, -1);
	assert_int_equal(write(tty[1], "x\020\021y", 4), 4);
	assert_int_equal(box_pump_run(p), BOX_PUMP_DETACH);
	box_pump_free(p);
	p = box_pump_new(tty[0], NULL, &e);
	close(tty[1]);
	assert_int_equal(box_pump_run(p), BOX_PUMP_EOF);
	box_pump_poll(p, fds);
	assert_true(fds[0].fd < 0 && fds[1].fd < 0);
	box_pump_free(p);
	close(tty[0]);
	close(lent);
}

/* --- a holder that answers, in a thread of its own */

struct server {
	struct loop *loop;
	struct ctl *ctl;
	struct ctl_msg last;
	size_t nfds;
	unsigned joined, left;
};

static void on_request(void *arg, struct ctl_peer *p, const struct ctl_msg *m, int *fds,
		       size_t nfds)
{
	struct server *s = arg;
	struct ctl_msg ev = { .type = CTL_EVENT, .kind = BOX_EV_EXITED, .task = 9, .code = 3 };

	s->last = *m;
	s->nfds = nfds;
	for (size_t i = 0; i < nfds; i++) {
		if (write(fds[i], "x", 1) < 0)
			s->nfds = 99;
		close(fds[i]);
	}
	ctl_send(p, &ev); /* before the reply: it has to be kept */
	ctl_reply(p, m->type == CTL_SIGNAL ? -ESRCH : 0, 7, "no such thing");
	if (m->type == CTL_STOP)
		ctl_drop(p);
}

static void on_joined(void *arg, struct ctl_peer *p)
{
	(void)p;
	((struct server *)arg)->joined++;
}

static void on_left(void *arg, struct ctl_peer *p)
{
	struct server *s = arg;

	(void)p;
	if (++s->left == 2)
		loop_stop(s->loop, 0);
}

static const struct ctl_ops server_ops = {
	.request = on_request,
	.joined = on_joined,
	.left = on_left,
};

static void *serve(void *arg)
{
	struct server *s = arg;

	loop_run(s->loop);
	return NULL;
}

static bool readable(struct box_client *c)
{
	struct pollfd p = { .fd = box_client_fd(c), .events = POLLIN };

	return poll(&p, 1, 0) == 1;
}

static void over_a_socket(void **state)
{
	char dir[] = "/tmp/zl-test-ctl.XXXXXX", *path, *deep;
	struct server s = { 0 };
	struct err e = ERR_INIT;
	struct box_stdio io = { -1, -1, -1, 5, 6 };
	struct box_client *a, *b;
	struct box_event ev;
	pthread_t thread;
	int out[2];
	char x;

	(void)state;
	assert_non_null(mkdtemp(dir));
	deep = xasprintf("%s/%0120d", dir, 0); /* longer than a socket's address */
	assert_int_equal(mkdir(deep, 0700), 0);
	path = xasprintf("%s/x.sock", deep);
	s.loop = loop_new(&e);
	s.ctl = ctl_new(s.loop, &server_ops, &s);
	assert_int_equal(ctl_connect(path), -ENOENT);
	assert_int_equal(ctl_listen(s.ctl, ctl_bind(path, &e), &e), 0);
	assert_int_equal(pthread_create(&thread, NULL, serve, &s), 0);
	a = client_new(ctl_connect(path), &e);
	b = client_new(ctl_connect(path), &e);
	assert_true(a && b && !readable(a));

	assert_int_equal(pipe(out), 0);
	io.out = io.err = out[1];
	assert_int_equal(box_client_attach(a, &io, &e), 0);
	assert_int_equal(s.nfds, 2);
	assert_int_equal(s.last.streams, CTL_OUT | CTL_ERR);
	assert_int_equal(s.last.cols, 6);
	assert_int_equal(read(out[0], &x, 1), 1);
	assert_true(readable(a) && !readable(b));
	assert_int_equal(box_client_next(a, &ev, &e), 0);
	assert_true(ev.kind == BOX_EV_EXITED && ev.task == 9 && ev.code == 3);
	assert_false(readable(a));

	assert_int_equal(box_client_signal(a, 1, 15, &e), -ESRCH);
	assert_string_equal(e.msg, "no such thing");
	assert_int_equal(box_client_resize(b, 1, 3, 4, &e), 0);
	assert_int_equal(s.last.rows, 3);
	box_client_free(b);
	assert_int_equal(box_client_next(a, &ev, &e), 0);
	assert_int_equal(box_client_stop(a, 9, 0, &e), 0);
	assert_int_equal(box_client_next(a, &ev, &e), 0);
	assert_int_equal(ev.kind, BOX_EV_GONE);
	box_client_free(a);
	pthread_join(thread, NULL);
	assert_int_equal(s.joined, 2);
	ctl_free(s.ctl);
	loop_free(s.loop);
	close(out[0]);
	close(out[1]);
	assert_int_equal(dir_remove_all(AT_FDCWD, dir, &e), 0);
	free(path);
	free(deep);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(message_round_trip),
		cmocka_unit_test(exec_round_trip),
		cmocka_unit_test(detach_keys),
		cmocka_unit_test(over_a_socket),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
