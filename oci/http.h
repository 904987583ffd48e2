/* http.h: requests to registries; http.c alone knows libcurl. */
#ifndef ZL_OCI_HTTP_H
#define ZL_OCI_HTTP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "runtime/base/err.h"
#include "runtime/base/str.h"

/* Limits of patience. */
#define HTTP_CONNECT_S	   20 /* to a connection, TLS included */
#define HTTP_STALL_S	   30 /* without data; $ZL_STALL_TIMEOUT (seconds) says otherwise */
#define HTTP_STALL_S_MAX   3600
#define HTTP_STALL_SPEED   256 /* bytes a second that still count as data */
#define HTTP_SMALL_S	   60  /* a whole answer that fits in memory */
#define HTTP_REDIRECTS	   8
#define HTTP_ATTEMPTS	   5	 /* in a row that bring little; stalls count twice */
#define HTTP_PROGRESS	   65536 /* bytes that are more than little */
#define HTTP_BACKOFF_MS	   400	 /* before the second attempt; doubles */
#define HTTP_RETRY_AFTER_S 60	 /* longest Retry-After that is waited for */
#define HTTP_ERROR_MAX	   65536 /* bytes kept of the body of an error */
#define HTTP_HEADERS_MAX   65536 /* bytes of headers of one answer */

/* A client with its connections; used by one thread at a time. */
struct http;

struct http *http_new(struct err *e);
void http_free(struct http *h);

/*
 * What is done once, lazily, before the first request: libcurl, libcrypto and
 * the C library's name lookups are told to load no plug-ins, which a static
 * executable could not survive.
 */
void http_global_init(void);

/* Bytes of a good answer, in order, each once. Negative (with e set) ends the request. */
typedef int http_body_fn(void *arg, const void *p, size_t n, struct err *e);
/* Bytes to send: up to n from byte `at` on; the count, or negative with e set. */
typedef ssize_t http_source_fn(void *arg, void *p, size_t n, uint64_t at, struct err *e);
/* Told as bytes have gone: how many of the whole. */
typedef void http_sent_fn(void *arg, uint64_t at);
/* Told before a pause of that many seconds and another attempt. */
typedef void http_retry_fn(void *arg, unsigned seconds, const struct err *why);

struct http_request {
	const char *method; /* NULL: GET, or POST where there is a form */
	const char *url;
	const char *accept;	   /* NULL: anything */
	const char *authorization; /* value of that header; goes to url's origin alone */
	const char *form;	   /* body of a POST, url-encoded; goes to url's origin alone */
	/*
	 * What is sent: `send_len` bytes at `send`; or, where there is a source, its bytes from
	 * source_at on, up to source_end. A PUT where no method is given.
	 */
	const char *send_type;	/* Content-Type; NULL: application/octet-stream */
	const char *send_range; /* Content-Range; may be NULL */
	const void *send;
	size_t send_len;
	http_source_fn *source;
	http_sent_fn *sent; /* may be NULL */
	void *source_arg;
	uint64_t source_at, source_end;
	bool once;  /* one attempt, whatever comes of it */
	bool fresh; /* a connection that breaks may mean another protocol: no second attempt */
	unsigned small_s; /* seconds for the whole of a small answer; 0: HTTP_SMALL_S */
	/*
	 * A small body is put into `into`, whole or not at all, at most `max` bytes.
	 * A large one goes to `body` as it comes, from byte `from` on; the
	 * whole has `size` bytes (UINT64_MAX: the server knows). A broken transfer is continued
	 * where it broke.
	 */
	struct str *into;
	size_t max;
	http_body_fn *body;
	http_retry_fn *retry; /* may be NULL */
	void *arg;
	uint64_t from, size;
	uint64_t until; /* only up to this byte, or -ENOTSUP where ranges are not served; 0: all */
	const atomic_bool
		*cancel; /* ends with -ECANCELED soon after it becomes true; may be NULL */
};

struct http_response {
	int status;
	uint64_t got;		/* bytes given to `body` */
	char *content_type;	/* each NULL if absent */
	char *content_digest;	/* Docker-Content-Digest */
	char *location;		/* where it leads, whole, of what is no redirect */
	char *link;		/* Link, as it is */
	int64_t last;		/* last byte of an upload that is there (Range); -1: none is told */
	struct strv challenges; /* WWW-Authenticate, one for each header */
	long retry_after;	/* seconds the server asks for; negative: it does not */
	struct str error;	/* body of an answer that is no success, at most HTTP_ERROR_MAX */
};

/*
 * Asks, follows redirects, and tries again where that makes sense: broken
 * transfers, 429, 5xx. 0 once there is an answer of any other status;
 * negative where there is none: e then names the host and the reason, and
 * http_unreachable(code) says whether another time might do. The response is to be
 * freed in any case.
 */
int http_do(struct http *h, const struct http_request *q, struct http_response *r, struct err *e);
/*
 * One attempt of it, over any redirects, from where the response stands: after
 * r->got bytes of a large body. For http_do.
 */
int http_once(struct http *h, const struct http_request *q, struct http_response *r, struct err *e);
void http_response_free(struct http_response *r);
#define own_response __attribute__((cleanup(http_response_free)))

bool http_unreachable(int code);
/* For those who try again by themselves: milliseconds to wait after so many failures (from 1), */
uint64_t http_delay(const struct http_response *r, int failures);
/* and the wait; false: meanwhile nobody wants it any more. cancel may be NULL. */
bool http_pause(uint64_t ms, const atomic_bool *cancel);

/*
 * Whether plain HTTP is in order for this host, which may have a port: localhost, 127.0.0.0/8,
 * [::1]; and besides these what the configuration calls insecure.
 */
bool http_host_is_loopback(const char *host);
bool http_plain_allowed(const char *host);
/* HTTPS, or HTTP where that is allowed; from: the address that led to url, or NULL. */
int http_url_check(const char *url, const char *from, struct err *e);
/* "host:port" of a URL, for messages; owned by the caller. */
char *http_url_host(const char *url);
/* "https://host:port" in one spelling, the port always there; NULL: no such URL. */
char *http_url_origin(const char *url);
bool http_same_origin(const char *a, const char *b);
/* Where a Location leads; NULL if it is malformed or carries a password. */
char *http_url_join(const char *base, const char *location);
/* A URL with a query parameter more; owned by the caller; NULL for a malformed URL. */
char *http_url_query(const char *url, const char *key, const char *value);

#endif
