/* ctl.c: the holder's end of the control socket; see ctl.h. */
#include "runtime/box/ctl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "runtime/base/fd.h"
#include "runtime/base/own.h"

/* Most commands connected to one container at a time. */
#define CTL_PEERS_MAX 1024
/* When descriptors run out, how long until one is tried for again. */
#define CTL_REST_NS 100000000ULL

struct ctl_peer {
	struct ctl *ctl;
	struct ctl_peer *next;
	struct loop_watch *watch;
	int sock;
	bool dropped;
};

struct ctl {
	struct loop *loop;
	const struct ctl_ops *ops;
	void *arg;
	int sock;
	struct loop_watch *watch;
	struct ctl_peer *peers;
	unsigned npeers;
	struct loop_timer *reaper;
	struct loop_timer *resting; /* from accepting: out of descriptors */
};

struct ctl *ctl_new(struct loop *l, const struct ctl_ops *ops, void *arg)
{
	struct ctl *c = xcalloc(1, sizeof(*c));

	*c = (struct ctl){ .loop = l, .ops = ops, .arg = arg, .sock = -1 };
	return c;
}

static void peer_close(struct ctl_peer *p)
{
	char waste[64];

	loop_del(p->watch);
	/* closed with a request unread, the peer would lose what it was told last */
	shutdown(p->sock, SHUT_RDWR); /* the keeper may have it, too */
	while (recv(p->sock, waste, sizeof(waste), MSG_DONTWAIT) > 0)
		;
	close(p->sock);
	free(p);
}

/* Dropped peers go here, never under the hands of whoever dropped them. */
static void reap(void *arg)
{
	struct ctl *c = arg;
	struct ctl_peer **at = &c->peers;

	c->reaper = NULL;
	while (*at) {
		struct ctl_peer *p = *at;

		if (!p->dropped) {
			at = &p->next;
			continue;
		}
		*at = p->next;
		c->npeers--;
		c->ops->left(c->arg, p);
		peer_close(p);
		at = &c->peers; /* `left` may have dropped others */
	}
}

void ctl_drop(struct ctl_peer *p)
{
	struct ctl *c = p->ctl;

	if (p->dropped)
		return;
	p->dropped = true;
	loop_del(p->watch);
	p->watch = NULL;
	if (c->reaper == NULL)
		c->reaper = loop_after(c->loop, 0, reap, c);
}

static void peer_ready(void *arg, uint32_t events)
{
	struct ctl_peer *p = arg;
	char buf[CTL_MSG_MAX];
	int fds[FD_PASS_MAX];
	size_t nfds = FD_PASS_MAX;
	struct ctl_msg m;
	ssize_t n;

	(void)events;
	n = fd_recv(p->sock, buf, sizeof(buf), fds, &nfds);
	if (n == -EAGAIN)
		return;
	if (n <= 0) {
		ctl_drop(p);
		return;
	}
	if (ctl_get(&m, buf, (size_t)n) < 0) {
		while (nfds)
			close(fds[--nfds]);
		ctl_drop(p);
		return;
	}
	p->ctl->ops->request(p->ctl->arg, p, &m, fds, nfds);
}

struct ctl_peer *ctl_add(struct ctl *c, int sock, struct err *e)
{
	struct ctl_peer *p = xcalloc(1, sizeof(*p));

	p->ctl = c;
	p->sock = sock;
	fd_set_nonblock(sock, true);
	p->watch = loop_add(c->loop, sock, EPOLLIN, peer_ready, p, e);
	if (p->watch == NULL) {
		close(sock);
		free(p);
		return NULL;
	}
	p->next = c->peers;
	c->peers = p;
	c->npeers++;
	return p;
}

static bool same_user(int sock)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	return getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &cred, &len) == 0 &&
	       (cred.uid == geteuid() || cred.uid == 0);
}

static void rested(void *arg)
{
	struct ctl *c = arg;

	c->resting = NULL;
	if (c->watch)
		loop_mod(c->watch, EPOLLIN);
}

static void incoming(void *arg, uint32_t events)
{
	struct ctl *c = arg;
	int sock = accept4(c->sock, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct ctl_peer *p;

	(void)events;
	if (sock < 0) {
		if ((errno == EMFILE || errno == ENFILE) && c->resting == NULL) {
			loop_mod(c->watch, 0);
			c->resting = loop_after(c->loop, CTL_REST_NS, rested, c);
		}
		return;
	}
	if (c->npeers >= CTL_PEERS_MAX || !same_user(sock)) {
		close(sock);
		return;
	}
	p = ctl_add(c, sock, NULL);
	if (p)
		c->ops->joined(c->arg, p);
}

int ctl_listen(struct ctl *c, int sock, struct err *e)
{
	c->sock = sock;
	c->watch = loop_add(c->loop, sock, EPOLLIN, incoming, c, e);
	return c->watch ? 0 : -EIO;
}

void ctl_send(struct ctl_peer *p, const struct ctl_msg *m)
{
	char buf[CTL_MSG_MAX];
	size_t n = ctl_put(m, buf);

	if (!p->dropped && fd_send(p->sock, buf, n, NULL, 0) < 0)
		ctl_drop(p);
}

void ctl_reply(struct ctl_peer *p, int rc, uint32_t task, const char *text)
{
	struct ctl_msg m = { .type = CTL_REPLY, .code = rc, .task = task };

	snprintf(m.text, sizeof(m.text), "%s", text ? text : "");
	ctl_send(p, &m);
}

struct ctl_peer *ctl_next(struct ctl *c, struct ctl_peer *after)
{
	struct ctl_peer *p = after ? after->next : c->peers;

	while (p && p->dropped)
		p = p->next;
	return p;
}

void ctl_close(struct ctl *c)
{
	loop_del(c->watch);
	c->watch = NULL;
	if (c->sock >= 0)
		close(c->sock);
	c->sock = -1;
}

void ctl_free(struct ctl *c)
{
	if (c == NULL)
		return;
	ctl_close(c);
	loop_cancel(c->reaper);
	loop_cancel(c->resting);
	while (c->peers) {
		struct ctl_peer *p = c->peers;

		c->peers = p->next;
		peer_close(p);
	}
	free(c);
}
