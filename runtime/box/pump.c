/* pump.c: a foreground client reads its terminal for the holder; see box.h. */
#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "runtime/base/own.h"
#include "runtime/box/box.h"

#define PUMP_SIZE 4096
#define KEYS_MAX  32

/*
 * Bytes are held back while they match the start of the detach keys, and go
 * on once they turn out not to be them.
 */
struct box_pump {
	int tty;
	int sock; /* our end */
	int lent; /* the holder's end */
	uint8_t keys[KEYS_MAX];
	size_t nkeys, matched;
	uint8_t buf[PUMP_SIZE + KEYS_MAX];
	size_t len;
	bool eof;
};

/* "ctrl-x" (a letter or one of @[\]^_) or a single character. */
static int key_of(const char *s, size_t n)
{
	char c;

	if (n == 1)
		return (unsigned char)s[0];
	if (n != 6 || strncmp(s, "ctrl-", 5) != 0)
		return -1;
	c = s[5];
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 1;
	if (c && strchr("@[\\]^_", c))
		return c - '@';
	return -1;
}

static int parse_keys(struct box_pump *p, const char *keys, struct err *e)
{
	const char *s = keys;

	while (s && *s) {
		size_t n = strcspn(s, ",");
		int key = key_of(s, n);

		if (key < 0 || p->nkeys == KEYS_MAX || (s[n] == ',' && s[n + 1] == 0))
			return err_set(e, EINVAL, "invalid detach keys (%s)", keys);
		p->keys[p->nkeys++] = (uint8_t)key;
		s += n + (s[n] == ',');
	}
	return 0;
}

struct box_pump *box_pump_new(int tty, const char *keys, struct err *e)
{
	struct box_pump *p = xcalloc(1, sizeof(*p));
	int pair[2] = { -1, -1 };

	p->tty = tty;
	p->sock = p->lent = -1;
	if (parse_keys(p, keys, e) < 0) {
		box_pump_free(p);
		return NULL;
	}
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
		err_sys(e, "socketpair");
		box_pump_free(p);
		return NULL;
	}
	p->sock = pair[0];
	p->lent = pair[1];
	shutdown(p->sock, SHUT_RD);
	return p;
}

int box_pump_fd(const struct box_pump *p)
{
	return p->lent;
}

void box_pump_lent(struct box_pump *p)
{
	if (p->lent >= 0)
		close(p->lent);
	p->lent = -1;
}

void box_pump_poll(const struct box_pump *p, struct pollfd *fds)
{
	fds[0] = (struct pollfd){ .fd = p->eof || p->len ? -1 : p->tty, .events = POLLIN };
	fds[1] = (struct pollfd){ .fd = p->len ? p->sock : -1, .events = POLLOUT };
}

/* Passes on what is no part of the detach keys; true once they are complete. */
static bool sift(struct box_pump *p, const uint8_t *in, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (p->nkeys && in[i] == p->keys[p->matched]) {
			if (++p->matched == p->nkeys)
				return true;
			continue;
		}
		memcpy(p->buf + p->len, p->keys, p->matched);
		p->len += p->matched;
		p->matched = 0;
		if (p->nkeys > 1 && in[i] == p->keys[0])
			p->matched = 1;
		else
			p->buf[p->len++] = in[i];
	}
	return false;
}

static void hang_up(struct box_pump *p)
{
	p->eof = true;
	p->len = 0;
	shutdown(p->sock, SHUT_WR);
}

enum box_pump_result box_pump_run(struct box_pump *p)
{
	struct pollfd ready = { .fd = p->tty, .events = POLLIN };
	uint8_t in[PUMP_SIZE / KEYS_MAX];
	ssize_t n;

	if (p->eof)
		return BOX_PUMP_EOF;
	if (p->len == 0 && poll(&ready, 1, 0) > 0) {
		n = read(p->tty, in, sizeof(in));
		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			return BOX_PUMP_ON;
		if (n <= 0) {
			hang_up(p);
			return BOX_PUMP_EOF;
		}
		if (sift(p, in, (size_t)n))
			return BOX_PUMP_DETACH;
	}
	if (p->len == 0)
		return BOX_PUMP_ON;
	n = send(p->sock, p->buf, p->len, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n < 0 && errno != EAGAIN && errno != EINTR) {
		hang_up(p); /* nobody reads it any more */
		return BOX_PUMP_EOF;
	}
	if (n > 0) {
		memmove(p->buf, p->buf + n, p->len - (size_t)n);
		p->len -= (size_t)n;
	}
	return BOX_PUMP_ON;
}

void box_pump_free(struct box_pump *p)
{
	if (p == NULL)
		return;
	box_pump_lent(p);
	if (p->sock >= 0)
		close(p->sock);
	free(p);
}
