/* test_http.c: what a server may make the HTTP client do (oci/http.c), against one on loopback. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "oci/http.h"

#define SECRET "refresh_token=do-not-tell"

static int server = -1, other = -1; /* listening */
static char answer[512];	    /* the server's, to every request */

static int listen_at(unsigned *port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(fd, 4), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	*port = ntohs(a.sin_port);
	return fd;
}

/* One request, read up to the form's end, one answer. */
static void *serve(void *arg)
{
	char buf[4096];
	size_t have = 0;
	int fd = accept(server, NULL, NULL);

	(void)arg;
	while (have < sizeof(buf) - 1) {
		ssize_t n = read(fd, buf + have, sizeof(buf) - 1 - have);

		if (n <= 0)
			break;
		have += (size_t)n;
		buf[have] = 0;
		if (strstr(buf, SECRET))
			break;
	}
	if (write(fd, answer, strlen(answer)) < 0)
		perror("write");
	close(fd);
	return NULL;
}

/* A form holds a refresh token: no redirect takes it to another server. */
static void test_form_stays(void **state)
{
	own_str struct str body = STR_INIT;
	struct http_response resp = { 0 };
	struct err e = ERR_INIT;
	struct http_request q = { .into = &body, .max = 4096, .form = SECRET };
	struct pollfd p = { .events = POLLIN };
	char url[64];
	unsigned here, there;
	pthread_t thread;
	struct http *h;

	(void)state;
	server = listen_at(&here);
	other = p.fd = listen_at(&there);
	snprintf(url, sizeof(url), "http://127.0.0.1:%u/token", here);
	snprintf(answer, sizeof(answer),
		 "HTTP/1.1 307 Temporary Redirect\r\nLocation: http://127.0.0.1:%u/token\r\n"
		 "Content-Length: 0\r\nConnection: close\r\n\r\n",
		 there);
	q.url = url;
	h = http_new(&e);
	assert_non_null(h);
	assert_int_equal(pthread_create(&thread, NULL, serve, NULL), 0);
	assert_int_equal(http_once(h, &q, &resp, &e), -EPROTO);
	assert_non_null(strstr(e.msg, "credentials"));
	pthread_join(thread, NULL);
	assert_int_equal(poll(&p, 1, 0), 0);
	http_response_free(&resp);
	http_free(h);
	close(server);
	close(other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_form_stays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
