/* forward.c: published ports: connections from the host, carried on to what listens in here. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include "guest/agent.h"
#include "guest/vsock.h"
#include "runtime/base/fd.h"
#include "runtime/base/own.h"
#include "runtime/base/str.h"
#include "vsock/codec.h"

/*
 * Theory of operation.
 *
 * A flow is a connection of the host's (`host`) and a socket of ours (`local`)
 * to what listens in the container: at the container's own address, or, for
 * what listens at the loopback only, there. It goes through
 *
 *	FLOW_ASKED	the frame FORWARD is not complete yet
 *	FLOW_DIALLING	connecting; a TCP port nobody listens at is tried again
 *			until the frame's patience is over
 *	FLOW_OPEN	each direction is a `way`, run until it blocks; both
 *			descriptors are watched edge-triggered, once and for all
 *
 * Data goes through one buffer that all flows share. Only what the other side
 * did not take stays with the flow, so that idle ones cost next to nothing.
 */

#define SCRATCH_SIZE (2 + WIRE_DATAGRAM_MAX)
/* Buffers moved in one go before others get their turn. */
#define ROUNDS_MAX 16
/* More are refused. */
#define FLOWS_MAX 16384U
#define FRAME_MAX (WIRE_HEADER_SIZE + 64)
/* Past it the kernel refuses; it takes that many at most (net.core.somaxconn). */
#define BACKLOG	     4096
#define ACCEPT_ROUND 64
/* From one try to the next. */
#define RETRY_FIRST_NS (2ULL * 1000000)
#define RETRY_MOST_NS  (100ULL * 1000000)
/* Last words of a workload: how many buffers of a flow. */
#define FLUSH_ROUNDS 64

/* One direction. */
struct way {
	char *rest; /* [at, len): taken from the source, not yet by the sink; NULL: none */
	size_t at, len;
	bool eof;  /* the source has ended */
	bool done; /* and the sink knows */
};

enum way_end { WAY_BLOCKED, WAY_MORE, WAY_DONE, WAY_BROKEN };

struct flow {
	TAILQ_ENTRY(flow) link;
	struct forward *all;
	enum { FLOW_ASKED, FLOW_DIALLING, FLOW_OPEN } state;
	int host, local;
	struct loop_watch *host_watch, *local_watch;
	struct loop_timer *again; /* a further try, or a further round */
	struct str got;		  /* of the frame; of a datagram that is not complete */
	struct wire_forward to;
	uint64_t until, pause; /* ns */
	unsigned address;
	struct way in, out; /* in: from the host */
};

struct forward {
	struct agent *agent;
	int listener;
	struct loop_watch *watch;
	TAILQ_HEAD(flows, flow) flows;
	unsigned nflows;
	char scratch[SCRATCH_SIZE];
};

static bool would_block(void)
{
	return errno == EAGAIN || errno == EINTR;
}

static void flow_run(struct flow *f);

/* The workload is to notice that its peer broke off, and did not end. */
static void flow_free(struct flow *f, bool broken)
{
	struct linger at_once = { .l_onoff = 1 };

	loop_cancel(f->again);
	loop_del(f->host_watch);
	loop_del(f->local_watch);
	if (broken && f->local >= 0)
		setsockopt(f->local, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	if (f->local >= 0)
		close(f->local);
	close(f->host);
	TAILQ_REMOVE(&f->all->flows, f, link);
	f->all->nflows--;
	str_free(&f->got);
	free(f->in.rest);
	free(f->out.rest);
	free(f);
}

static void run_again(void *arg)
{
	struct flow *f = arg;

	f->again = NULL;
	flow_run(f);
}

static void later(struct flow *f, uint64_t ns)
{
	if (f->again == NULL)
		f->again = loop_after(f->all->agent->loop, ns, run_again, f);
}

/* --- one direction */

/* Sends what is left of earlier; 0, -EAGAIN, or another error. */
static int way_flush(struct way *w, int to)
{
	while (w->rest) {
		ssize_t n = send(to, w->rest + w->at, w->len - w->at, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0)
			return would_block() ? -EAGAIN : -errno;
		w->at += (size_t)n;
		if (w->at < w->len)
			continue;
		free(w->rest);
		*w = (struct way){ .eof = w->eof, .done = w->done };
	}
	return 0;
}

static int way_send(struct way *w, int to, const char *data, size_t n)
{
	ssize_t put = send(to, data, n, MSG_NOSIGNAL | MSG_DONTWAIT);

	if (put < 0 && !would_block())
		return -errno;
	if (put < 0)
		put = 0;
	if ((size_t)put == n)
		return 0;
	w->len = n - (size_t)put;
	w->at = 0;
	w->rest = xmalloc(w->len);
	memcpy(w->rest, data + put, w->len);
	return -EAGAIN;
}

static enum way_end way_run(struct way *w, int from, int to, char *scratch)
{
	if (w->done)
		return WAY_DONE;
	for (int i = 0; i < ROUNDS_MAX; i++) {
		int rc = way_flush(w, to);
		ssize_t n;

		if (rc == 0 && w->eof) {
			shutdown(to, SHUT_WR);
			w->done = true;
			return WAY_DONE;
		}
		if (rc < 0)
			return rc == -EAGAIN ? WAY_BLOCKED : WAY_BROKEN;
		n = recv(from, scratch, SCRATCH_SIZE, MSG_DONTWAIT);
		if (n < 0)
			return would_block() ? WAY_BLOCKED : WAY_BROKEN;
		w->eof = n == 0;
		if (n > 0)
			rc = way_send(w, to, scratch, (size_t)n);
		if (rc < 0)
			return rc == -EAGAIN ? WAY_BLOCKED : WAY_BROKEN;
	}
	return WAY_MORE;
}

static void run_tcp(struct flow *f)
{
	char *scratch = f->all->scratch;
	enum way_end out = way_run(&f->out, f->local, f->host, scratch);
	enum way_end in = way_run(&f->in, f->host, f->local, scratch);

	/* A workload that reads no more may still have something to say. */
	if (in == WAY_BROKEN) {
		f->in.done = true;
		in = WAY_DONE;
	}
	if (out == WAY_BROKEN || (in == WAY_DONE && out == WAY_DONE))
		flow_free(f, out == WAY_BROKEN);
	else if (in == WAY_MORE || out == WAY_MORE)
		later(f, 0);
}

/* --- datagrams */

/* What the host sent: each complete datagram goes out; one that cannot is lost, as they may be. */
static void datagrams_in(struct flow *f)
{
	size_t at = 0;
	uint16_t n;

	while (f->got.len - at >= sizeof(n)) {
		memcpy(&n, f->got.s + at, sizeof(n));
		if (f->got.len - at - sizeof(n) < n)
			break;
		(void)send(f->local, f->got.s + at + sizeof(n), n, MSG_NOSIGNAL | MSG_DONTWAIT);
		at += sizeof(n) + n;
	}
	f->got.len -= at;
	if (f->got.len)
		memmove(f->got.s, f->got.s + at, f->got.len);
	else
		str_free(&f->got);
}

/* False: the host has ended it. */
static bool run_in(struct flow *f, bool *more)
{
	for (int i = 0; i < ROUNDS_MAX; i++) {
		ssize_t n = recv(f->host, f->all->scratch, SCRATCH_SIZE, MSG_DONTWAIT);

		if (n <= 0)
			return n < 0 && would_block();
		str_add_mem(&f->got, f->all->scratch, (size_t)n);
		datagrams_in(f);
	}
	*more = true;
	return true;
}

static bool run_out(struct flow *f, bool *more)
{
	char *scratch = f->all->scratch;

	for (int i = 0; i < ROUNDS_MAX; i++) {
		int rc = way_flush(&f->out, f->host);
		uint16_t len;
		ssize_t n;

		if (rc == -EAGAIN)
			return true;
		if (rc < 0)
			return false;
		n = recv(f->local, scratch + sizeof(len), WIRE_DATAGRAM_MAX, MSG_DONTWAIT);
		if (n < 0 && would_block())
			return true;
		if (n < 0)
			continue; /* nobody listens (now) */
		len = (uint16_t)n;
		memcpy(scratch, &len, sizeof(len));
		rc = way_send(&f->out, f->host, scratch, sizeof(len) + len);
		if (rc < 0 && rc != -EAGAIN)
			return false;
	}
	*more = true;
	return true;
}

static void run_udp(struct flow *f)
{
	bool more = false;

	if (!run_in(f, &more) || !run_out(f, &more))
		flow_free(f, false);
	else if (more)
		later(f, 0);
}

/* --- connecting */

/* The places to try, in turns. */
#define ADDRESSES 3U

static socklen_t address_of(const struct flow *f, struct sockaddr_storage *out)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons(f->to.port) };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons(f->to.port) };

	v4.sin_addr.s_addr = f->all->agent->address;
	if (f->address == 1 || v4.sin_addr.s_addr == 0)
		v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	v6.sin6_addr = in6addr_loopback;
	memset(out, 0, sizeof(*out));
	memcpy(out, f->address < 2 ? (void *)&v4 : &v6, f->address < 2 ? sizeof(v4) : sizeof(v6));
	return f->address < 2 ? sizeof(v4) : sizeof(v6);
}

static void on_flow(void *arg, uint32_t events)
{
	(void)events;
	flow_run(arg);
}

static void hang_up(struct flow *f)
{
	loop_del(f->local_watch);
	f->local_watch = NULL;
	if (f->local >= 0)
		close(f->local);
	f->local = -1;
}

/* 0: on the way, perhaps there already; else why not. */
static int dial(struct flow *f)
{
	int one = 1, type = f->to.proto == WIRE_FORWARD_UDP ? SOCK_DGRAM : SOCK_STREAM;
	struct sockaddr_storage to;
	socklen_t len = address_of(f, &to);

	f->local = socket(to.ss_family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (f->local < 0)
		return -errno;
	if (type == SOCK_STREAM)
		setsockopt(f->local, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (connect(f->local, (struct sockaddr *)&to, len) < 0 && errno != EINPROGRESS)
		return -errno;
	f->local_watch = loop_add(f->all->agent->loop, f->local,
				  EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, on_flow, f, NULL);
	return f->local_watch ? 0 : -ENOMEM;
}

/* How the last dial came out: 0, -EINPROGRESS, or another error. */
static int dialled(const struct flow *f)
{
	struct sockaddr_storage peer, own;
	socklen_t len = sizeof(int), peer_len = sizeof(peer), own_len = sizeof(own);
	int error = 0;

	if (getsockopt(f->local, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		return -errno;
	if (error)
		return -error;
	memset(&peer, 0, sizeof(peer));
	memset(&own, 0, sizeof(own));
	if (getpeername(f->local, (struct sockaddr *)&peer, &peer_len) < 0)
		return -EINPROGRESS;
	/* where nobody listens, a dial can meet itself: the port it comes from is any free one */
	if (getsockname(f->local, (struct sockaddr *)&own, &own_len) == 0 &&
	    memcmp(&own, &peer, sizeof(own)) == 0)
		return -ECONNREFUSED;
	return 0;
}

/* The host's end was reset, as when its client gave up. */
static bool host_is_gone(const struct flow *f)
{
	char c;

	return recv(f->host, &c, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && !would_block();
}

/* False: it is gone. */
static bool run_dialling(struct flow *f)
{
	const char open = WIRE_FORWARD_OPEN;

	for (;;) {
		int rc = f->local >= 0 ? 0 : dial(f);

		if (rc == 0)
			rc = dialled(f);
		if (rc == 0)
			break;
		if (rc == -EINPROGRESS)
			return true; /* the watch will tell */
		hang_up(f);
		f->address = (f->address + 1) % ADDRESSES;
		if (f->address)
			continue;
		if (loop_now() >= f->until || host_is_gone(f)) {
			flow_free(f, true);
			return false;
		}
		later(f, f->pause);
		f->pause = f->pause * 2 < RETRY_MOST_NS ? f->pause * 2 : RETRY_MOST_NS;
		return true;
	}
	f->state = FLOW_OPEN;
	(void)way_send(&f->out, f->host, &open, 1); /* an error comes again */
	return true;
}

/* False: it is gone. */
static bool read_frame(struct flow *f)
{
	struct wire_frame frame;
	char buf[FRAME_MAX];
	ssize_t n = recv(f->host, buf, sizeof(buf), MSG_PEEK | MSG_DONTWAIT);
	int rc;

	if (n < 0 && would_block())
		return true;
	rc = n > 0 ? wire_frame_next(buf, (size_t)n, &frame) : -EPROTO;
	if (rc == 0)
		return true; /* its end is on the way */
	if (rc == 1 && frame.type == WIRE_FORWARD)
		rc = wire_get_forward(frame.payload, frame.len, &f->to);
	else
		rc = -EPROTO;
	if (rc < 0 || recv(f->host, buf, frame.used, 0) != (ssize_t)frame.used) {
		flow_free(f, true);
		return false;
	}
	f->until = loop_now() + f->to.patience_ms * 1000000ULL;
	f->pause = RETRY_FIRST_NS;
	f->state = FLOW_DIALLING;
	return true;
}

static void flow_run(struct flow *f)
{
	if (f->state == FLOW_ASKED && !read_frame(f))
		return;
	if (f->state == FLOW_DIALLING && !run_dialling(f))
		return;
	if (f->state == FLOW_OPEN && f->to.proto == WIRE_FORWARD_UDP)
		run_udp(f);
	else if (f->state == FLOW_OPEN)
		run_tcp(f);
}

/* --- the listener */

/* False: none is there. */
static bool accept_flow(struct forward *all)
{
	struct vsock_address from;
	socklen_t len = sizeof(from);
	int fd = accept4(all->listener, (struct sockaddr *)&from, &len,
			 SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct flow *f;

	if (fd < 0)
		return false;
	if (from.cid != VSOCK_CID_HOST || all->nflows >= FLOWS_MAX) {
		close(fd);
		return true;
	}
	f = xcalloc(1, sizeof(*f));
	f->all = all;
	f->host = fd;
	f->local = -1;
	TAILQ_INSERT_TAIL(&all->flows, f, link);
	all->nflows++;
	f->host_watch = loop_add(all->agent->loop, fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
				 on_flow, f, NULL);
	if (f->host_watch == NULL)
		flow_free(f, true);
	return true;
}

static void on_listener(void *arg, uint32_t events)
{
	(void)events;
	for (int i = 0; i < ACCEPT_ROUND && accept_flow(arg); i++)
		;
}

int forward_start(struct agent *a, struct err *e)
{
	struct vsock_address at = { .family = AF_VSOCK,
				    .port = WIRE_PORT_FORWARD,
				    .cid = VSOCK_CID_ANY };
	struct forward *all = xcalloc(1, sizeof(*all));

	all->agent = a;
	TAILQ_INIT(&all->flows);
	all->listener = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (all->listener < 0 || bind(all->listener, (struct sockaddr *)&at, sizeof(at)) < 0 ||
	    listen(all->listener, BACKLOG) < 0)
		return err_sys(e, "listen for published ports");
	all->watch = loop_add(a->loop, all->listener, EPOLLIN, on_listener, all, e);
	a->forward = all;
	return all->watch ? 0 : -EIO;
}

void forward_flush(struct agent *a)
{
	struct flow *f = a->forward ? TAILQ_FIRST(&a->forward->flows) : NULL;

	for (; f; f = TAILQ_NEXT(f, link)) {
		if (f->state != FLOW_OPEN || f->to.proto != WIRE_FORWARD_TCP)
			continue;
		for (int i = 0; i < FLUSH_ROUNDS; i++) {
			if (way_run(&f->out, f->local, f->host, a->forward->scratch) != WAY_MORE)
				break;
		}
	}
}
