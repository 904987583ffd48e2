/*
 * netserve.c: what the tests of published ports and networks talk to in a container.
 *
 *	netserve ADDRESS PORT [DELAY_MS]
 *
 * After the delay it serves, at the numeric address, until it is killed:
 *	PORT/tcp      echoes; ends when its client does
 *	PORT/udp      echoes; a datagram "who" is answered by where it came from
 *	PORT + 1/tcp  reads to the end of file, then says how many bytes that were
 *	PORT + 2/tcp  says "bye", and resets
 *	PORT + 3/tcp  sends 16 MiB as fast as they are taken
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define SOURCE_BYTES (16UL << 20)

enum kind { ECHO, COUNT, BYE, SOURCE, UDP };

struct conn {
	int fd;
	int listens;
	enum kind kind;
	char *rest; /* not written yet */
	size_t at, len;
	unsigned long bytes;
	int ended;
};

static char buf[65536];
static int poll_fd;

static int die(const char *what)
{
	perror(what);
	return 1;
}

static struct conn *watch(int fd, enum kind kind, int listens)
{
	struct conn *c = calloc(1, sizeof(*c));
	struct epoll_event ev = { .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET };

	*c = (struct conn){ .fd = fd, .kind = kind, .listens = listens };
	if (listens || kind == UDP)
		ev.events = EPOLLIN;
	ev.data.ptr = c;
	epoll_ctl(poll_fd, EPOLL_CTL_ADD, fd, &ev);
	return c;
}

static int serve(const char *ip, int port, enum kind kind)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons(port) };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	int six = inet_pton(AF_INET, ip, &v4.sin_addr) != 1, one = 1;
	struct sockaddr *at = six ? (struct sockaddr *)&v6 : (struct sockaddr *)&v4;
	int fd = socket(at->sa_family, (kind == UDP ? SOCK_DGRAM : SOCK_STREAM) | SOCK_NONBLOCK, 0);

	if (six && inet_pton(AF_INET6, ip, &v6.sin6_addr) != 1)
		return die(ip);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, at, six ? sizeof(v6) : sizeof(v4)) < 0)
		return die("bind");
	if (kind != UDP && listen(fd, 4096) < 0)
		return die("listen");
	watch(fd, kind, kind != UDP);
	return 0;
}

static void done(struct conn *c)
{
	close(c->fd);
	free(c->rest);
	free(c);
}

/* 1: all is written; 0: not now; -1: broken. */
static int flush(struct conn *c)
{
	while (c->at < c->len) {
		ssize_t n = send(c->fd, c->rest + c->at, c->len - c->at, MSG_NOSIGNAL);

		if (n < 0)
			return errno == EAGAIN ? 0 : -1;
		c->at += n;
	}
	free(c->rest);
	c->rest = NULL;
	c->at = c->len = 0;
	return 1;
}

static void put(struct conn *c, const char *data, size_t n)
{
	c->rest = realloc(c->rest, c->len + n);
	memcpy(c->rest + c->len, data, n);
	c->len += n;
}

static void run(struct conn *c)
{
	for (;;) {
		int rc = flush(c);
		ssize_t n;

		if (rc == 0)
			return;
		if (rc < 0 || c->ended) {
			done(c);
			return;
		}
		if (c->kind == SOURCE) {
			n = SOURCE_BYTES - c->bytes < sizeof(buf) ? SOURCE_BYTES - c->bytes
								  : sizeof(buf);
			memset(buf, 's', sizeof(buf));
			put(c, buf, n);
			c->bytes += n;
			c->ended = c->bytes == SOURCE_BYTES;
			continue;
		}
		n = read(c->fd, buf, sizeof(buf));
		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0) {
			done(c);
			return;
		}
		c->bytes += n;
		if (n == 0) {
			c->ended = 1;
			if (c->kind == COUNT)
				put(c, buf, sprintf(buf, "%lu bytes\n", c->bytes));
		} else if (c->kind == ECHO) {
			put(c, buf, n);
		}
	}
}

static void accept_all(struct conn *l)
{
	int fd;

	while ((fd = accept4(l->fd, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
		struct linger reset = { .l_onoff = 1 };

		if (l->kind != BYE) {
			watch(fd, l->kind, 0);
			continue;
		}
		send(fd, "bye", 3, MSG_NOSIGNAL);
		usleep(100000); /* for that to arrive: a reset overtakes it */
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
		close(fd);
	}
}

static void datagrams(struct conn *c)
{
	struct sockaddr_storage from;
	socklen_t len = sizeof(from);
	ssize_t n;

	while ((n = recvfrom(c->fd, buf, sizeof(buf), 0, (struct sockaddr *)&from, &len)) >= 0) {
		if (n == 3 && memcmp(buf, "who", 3) == 0)
			n = sprintf(buf, "port %u", ntohs(((struct sockaddr_in *)&from)->sin_port));
		sendto(c->fd, buf, n, 0, (struct sockaddr *)&from, len);
		len = sizeof(from);
	}
}

int main(int argc, char **argv)
{
	struct rlimit files = { 65536, 65536 };
	struct epoll_event ev[64];
	int port;

	if (argc < 3)
		return 2;
	port = atoi(argv[2]);
	setrlimit(RLIMIT_NOFILE, &files);
	if (argc > 3)
		usleep(atoi(argv[3]) * 1000);
	poll_fd = epoll_create1(0);
	if (serve(argv[1], port, ECHO) || serve(argv[1], port + 1, COUNT) ||
	    serve(argv[1], port + 2, BYE) || serve(argv[1], port + 3, SOURCE) ||
	    serve(argv[1], port, UDP))
		return 1;
	for (;;) {
		int n = epoll_wait(poll_fd, ev, 64, -1);

		for (int i = 0; i < n; i++) {
			struct conn *c = ev[i].data.ptr;

			if (c->listens)
				accept_all(c);
			else if (c->kind == UDP)
				datagrams(c);
			else
				run(c);
		}
	}
}
