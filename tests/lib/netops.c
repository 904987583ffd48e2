/* netops.c: a guest's side of the network tests and benchmarks; for the test images. */
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/*
 *	netops name NAME		all its addresses, one a line
 *	netops udp HOST PORT SIZE	a datagram that has to come back as it was
 *	netops trips HOST PORT N	N bytes there and back, one by one
 *	netops dials HOST PORT N	N connections, one after the other
 *	netops send HOST PORT BYTES	as much as that, until the other side has it
 *	netops take HOST PORT BYTES	as much as that, from the other side
 *
 * The last four print how many of it a second. The other side is netserver.py.
 */
#define PATIENCE 20000 /* ms */
#define CHUNK	 (256U << 10)

static char chunk[CHUNK];

static int fail(const char *what)
{
	printf("%s: %s\n", what, strerror(errno));
	exit(1);
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static struct addrinfo *look_up(const char *host, const char *port, int type)
{
	struct addrinfo hints = { .ai_socktype = type }, *list;
	int rc = getaddrinfo(host, port, &hints, &list);

	if (rc) {
		printf("%s: %s\n", host, gai_strerror(rc));
		exit(2);
	}
	return list;
}

static int dial(const struct addrinfo *a)
{
	int fd = socket(a->ai_family, a->ai_socktype, a->ai_protocol), one = 1;

	if (fd < 0 || connect(fd, a->ai_addr, a->ai_addrlen) < 0)
		fail("connect");
	if (a->ai_socktype == SOCK_STREAM)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return fd;
}

static int name(const char *host)
{
	char text[NI_MAXHOST];

	for (struct addrinfo *a = look_up(host, NULL, SOCK_STREAM); a; a = a->ai_next) {
		getnameinfo(a->ai_addr, a->ai_addrlen, text, sizeof(text), NULL, 0, NI_NUMERICHOST);
		puts(text);
	}
	return 0;
}

static int udp(const struct addrinfo *a, size_t size)
{
	static char back[65536];
	int fd = dial(a);
	struct pollfd p = { .fd = fd, .events = POLLIN };

	for (size_t i = 0; i < size; i++)
		chunk[i] = (char)(i * 7);
	if (send(fd, chunk, size, 0) != (ssize_t)size)
		fail("send");
	if (poll(&p, 1, PATIENCE) != 1)
		fail("no answer");
	if (recv(fd, back, sizeof(back), 0) != (ssize_t)size || memcmp(back, chunk, size) != 0)
		fail("another datagram");
	puts("same");
	return 0;
}

static void order(int fd, const char *what)
{
	if (write(fd, what, strlen(what)) != (ssize_t)strlen(what))
		fail("write");
}

static double trips(const struct addrinfo *a, double n)
{
	int fd = dial(a);
	double start;
	char c = 'x';

	order(fd, "echo\n");
	start = now();
	for (double i = 0; i < n; i++)
		if (write(fd, &c, 1) != 1 || read(fd, &c, 1) != 1)
			fail("trip");
	return n / (now() - start);
}

static double dials(const struct addrinfo *a, double n)
{
	double start = now();

	for (double i = 0; i < n; i++)
		close(dial(a));
	return n / (now() - start);
}

static double send_all(const struct addrinfo *a, double bytes)
{
	int fd = dial(a);
	double start = now(), left = bytes;

	order(fd, "count\n");
	while (left > 0) {
		ssize_t n = write(fd, chunk, left < CHUNK ? (size_t)left : CHUNK);

		if (n <= 0)
			fail("write");
		left -= (double)n;
	}
	shutdown(fd, SHUT_WR);
	if (read(fd, chunk, sizeof(chunk)) <= 0)
		fail("read");
	return bytes / (now() - start);
}

static double take_all(const struct addrinfo *a, double bytes)
{
	int fd = dial(a);
	double start, left = bytes;
	char what[64];

	snprintf(what, sizeof(what), "give %.0f\n", bytes);
	start = now();
	order(fd, what);
	while (left > 0) {
		ssize_t n = read(fd, chunk, sizeof(chunk));

		if (n <= 0)
			fail("read");
		left -= (double)n;
	}
	return bytes / (now() - start);
}

int main(int argc, char **argv)
{
	const char *what = argc > 2 ? argv[1] : "";
	double n = argc > 4 ? atof(argv[4]) : 0, rate;
	struct addrinfo *a;

	if (strcmp(what, "name") == 0)
		return name(argv[2]);
	if (argc != 5)
		return 64;
	a = look_up(argv[2], argv[3], strcmp(what, "udp") ? SOCK_STREAM : SOCK_DGRAM);
	if (strcmp(what, "udp") == 0)
		return udp(a, (size_t)n);
	rate = strcmp(what, "trips") == 0   ? trips(a, n)
	       : strcmp(what, "dials") == 0 ? dials(a, n)
	       : strcmp(what, "send") == 0  ? send_all(a, n)
					    : take_all(a, n);
	printf("%.1f\n", rate);
	return 0;
}
