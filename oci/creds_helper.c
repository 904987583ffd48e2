/* creds_helper.c: runs a credential helper: a word as argument, a text in, a text out. */
#include "oci/creds_helper.h"

#include <errno.h>
#include <spawn.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "oci/creds.h"
#include "runtime/base/own.h"

/* What helpers say, on stdout, of what they do not have. */
#define NOT_FOUND "credentials not found in native keychain"

/* Starts it with sockets as its stdin and stdout; ours are in[0] and out[0]. */
static int start(const char *program, const char *verb, int in[2], int out[2], pid_t *pid,
		 struct err *e)
{
	char *argv[] = { xstrdup(program), xstrdup(verb), NULL };
	posix_spawn_file_actions_t acts;
	int r;

	posix_spawn_file_actions_init(&acts);
	posix_spawn_file_actions_adddup2(&acts, in[1], STDIN_FILENO);
	posix_spawn_file_actions_adddup2(&acts, out[1], STDOUT_FILENO);
	r = posix_spawnp(pid, program, &acts, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&acts);
	free(argv[0]);
	free(argv[1]);
	if (r)
		return err_set(e, r, "credential helper %s: %s", program, strerror(r));
	return 0;
}

/* Sends the text and reads the answer. A socket does not raise SIGPIPE if told so. */
static int talk(int in, int out, const char *input, struct str *answer)
{
	size_t n = strlen(input);
	char buf[4096];
	ssize_t k = 0;

	/* It may have ended without reading; its status will tell. */
	while (n > 0 && (k = send(in, input, n, MSG_NOSIGNAL)) > 0) {
		input += k;
		n -= (size_t)k;
	}
	shutdown(in, SHUT_WR);
	for (;;) {
		k = read(out, buf, sizeof(buf));
		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0)
			return k < 0 ? -errno : 0;
		if (answer->len + (size_t)k > CREDS_ANSWER_MAX)
			return -EFBIG;
		str_add_mem(answer, buf, (size_t)k);
	}
}

static void close_pair(int p[2])
{
	for (int i = 0; i < 2; i++)
		if (p[i] >= 0)
			close(p[i]);
}

/* The exit status, or negative. */
static int run(const char *program, const char *verb, const char *input, struct str *out,
	       struct err *e)
{
	int in[2] = { -1, -1 }, from[2] = { -1, -1 }, status = 0, r = 0;
	pid_t pid = -1;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, in) < 0 ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, from) < 0)
		r = err_sys(e, "credential helper %s", program);
	if (r == 0)
		r = start(program, verb, in, from, &pid, e);
	for (int i = 0; i < 2; i++) {
		int *theirs = i ? &from[1] : &in[1];

		if (*theirs >= 0)
			close(*theirs);
		*theirs = -1;
	}
	if (r == 0) {
		r = talk(in[0], from[0], input, out);
		if (r < 0)
			err_set(e, -r, "credential helper %s: its answer: %s", program,
				strerror(-r));
	}
	close_pair(in);
	close_pair(from);
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return r < 0 ? r : status;
}

int creds_helper(const char *name, const char *verb, const char *input, struct str *out,
		 struct err *e)
{
	own_free char *program = xasprintf("docker-credential-%s", name);
	int status, n;

	/* The name comes from a file: it is a word, no path. */
	if (*name == '\0' || strchr(name, '/'))
		return err_set(e, EINVAL, "\"%.100s\" is no name of a credential helper", name);
	status = run(program, verb, input, out, e);
	if (status <= 0)
		return status;
	if (out->s && strncmp(out->s, NOT_FOUND, strlen(NOT_FOUND)) == 0)
		return 1;
	n = out->s ? (int)strcspn(out->s, "\r\n") : 0;
	return err_set(e, EIO, "credential helper %s %s failed: %.*s", program, verb,
		       n < 300 ? n : 300, n ? out->s : "without a word");
}
