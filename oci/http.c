/* http.c: one attempt of a request over libcurl: redirects, ranges, no leaks of credentials. */
#include "oci/http.h"

#include <curl/curl.h>
#include <errno.h>
#include <nss.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "oci/digest.h"
#include "runtime/base/own.h"
#include "runtime/base/parse.h"

/*
 * Theory of operation
 *
 * http_do (retry.c) makes attempts until one ends the request. An
 * attempt starts from the request's own URL, since addresses that registries
 * redirect to expire, and follows redirects by hand (attempt): the
 * Authorization header is sent only where scheme, host and port are those
 * of the request's URL, a form (a token's refresh) goes nowhere else at all, and
 * from HTTPS no redirect leads back to HTTP.
 *
 * Each answer's headers go into the response (on_header); the body's bytes
 * are sorted by what the status says (on_body): of a success to the caller,
 * of an error into r->error, of a redirect nowhere. An attempt that continues
 * a broken transfer asks for a range; a server that sends everything from
 * the start all the same has what the caller knows passed over.
 */

/* Where the distributions keep their certificates, the most common first. */
static const char *const ca_bundles[] = {
	"/etc/ssl/certs/ca-certificates.crt",
	"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
	"/etc/pki/tls/certs/ca-bundle.crt",
	"/etc/ssl/ca-bundle.pem",
	"/var/lib/ca-certificates/ca-bundle.pem",
	"/etc/ssl/cert.pem",
	"/usr/local/share/certs/ca-root-nss.crt",
};

/* Bytes that curl reads at once. */
#define READ_BUFFER (256L << 10)
/* A body nobody wants is read to this length, so that the connection can be used again. */
#define DRAIN_MAX (256u << 10)

struct http {
	CURL *curl;
	char reason[CURL_ERROR_SIZE];
};

/* One attempt of a request, as curl's callbacks see it. */
struct attempt {
	struct http *h;
	const struct http_request *q;
	struct http_response *r;
	uint64_t start; /* first byte asked for */
	uint64_t skip;	/* bytes the caller has already */
	uint64_t total; /* of the whole, as the server says; UINT64_MAX: it does not */
	uint64_t first; /* of a partial answer's bytes, as the server says */
	size_t headers; /* bytes of them */
	size_t drained; /* bytes of no use */
	bool judged;	/* the body's beginning was looked at */
	char *location;
	struct err err; /* what a callback found wrong */
};

static CURLSH *share;
static pthread_mutex_t share_locks[CURL_LOCK_DATA_LAST];
static long stall_s = HTTP_STALL_S;
static const char *ca_file, *ca_dir;

static void share_lock(CURL *c, curl_lock_data data, curl_lock_access access, void *arg)
{
	(void)c, (void)access, (void)arg;
	pthread_mutex_lock(&share_locks[data]);
}

static void share_unlock(CURL *c, curl_lock_data data, void *arg)
{
	(void)c, (void)arg;
	pthread_mutex_unlock(&share_locks[data]);
}

static void find_certificates(void)
{
	const char *file = getenv("SSL_CERT_FILE"), *dir = getenv("SSL_CERT_DIR");

	if (dir && *dir)
		ca_dir = dir;
	if (file && *file) {
		ca_file = file;
		return;
	}
	for (size_t i = 0; !ca_file && i < sizeof(ca_bundles) / sizeof(*ca_bundles); i++)
		if (access(ca_bundles[i], R_OK) == 0)
			ca_file = ca_bundles[i];
}

static void init_once(void)
{
	const char *stall = getenv("ZL_STALL_TIMEOUT");
	uint64_t v;

	digest_global_init();
	__nss_configure_lookup("hosts", "files dns");
	__nss_configure_lookup("passwd", "files");
	__nss_configure_lookup("group", "files");
	curl_global_init(CURL_GLOBAL_DEFAULT);
	find_certificates();
	if (stall && parse_u64(stall, 1, HTTP_STALL_S_MAX, &v))
		stall_s = (long)v;
	/* Workers share what they learn of addresses and TLS sessions. */
	for (size_t i = 0; i < CURL_LOCK_DATA_LAST; i++)
		pthread_mutex_init(&share_locks[i], NULL);
	share = curl_share_init();
	if (share == NULL)
		return;
	curl_share_setopt(share, CURLSHOPT_LOCKFUNC, share_lock);
	curl_share_setopt(share, CURLSHOPT_UNLOCKFUNC, share_unlock);
	curl_share_setopt(share, CURLSHOPT_SHARE, CURL_LOCK_DATA_DNS);
	curl_share_setopt(share, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION);
}

void http_global_init(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, init_once);
}

struct http *http_new(struct err *e)
{
	struct http *h;
	CURL *curl;

	http_global_init();
	curl = curl_easy_init();
	if (curl == NULL) {
		err_set(e, ENOMEM, "cannot start an HTTP client");
		return NULL;
	}
	h = xcalloc(1, sizeof(*h));
	h->curl = curl;
	return h;
}

void http_free(struct http *h)
{
	if (h == NULL)
		return;
	curl_easy_cleanup(h->curl);
	free(h);
}

static void headers_reset(struct http_response *r)
{
	free(r->content_type);
	free(r->content_digest);
	r->content_type = r->content_digest = NULL;
	strv_free(&r->challenges);
	str_free(&r->error);
}

void http_response_free(struct http_response *r)
{
	headers_reset(r);
	r->status = 0;
}

bool http_unreachable(int code)
{
	code = code < 0 ? -code : code;
	return code == EHOSTUNREACH || code == ECONNREFUSED || code == ETIMEDOUT ||
	       code == ECONNRESET || code == EAGAIN;
}

/* ---- URLs ---- */

bool http_host_is_loopback(const char *host)
{
	unsigned a, b, c, d;
	int n = 0;

	if (str_starts(host, "[::1]"))
		return host[5] == '\0' || host[5] == ':';
	if (strncasecmp(host, "localhost", 9) == 0)
		return host[9] == '\0' || host[9] == ':';
	return sscanf(host, "%3u.%3u.%3u.%3u%n", &a, &b, &c, &d, &n) == 4 && a == 127 && b < 256 &&
	       c < 256 && d < 256 && (host[n] == '\0' || host[n] == ':');
}

/* "https://host:port" in one spelling, the port always there; NULL: no such URL. */
static char *url_origin(const char *url)
{
	CURLU *u = curl_url();
	char *scheme = NULL, *host = NULL, *port = NULL, *origin = NULL;

	if (u && curl_url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK &&
	    curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
	    curl_url_get(u, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
	    curl_url_get(u, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) == CURLUE_OK)
		origin = xasprintf("%s://%s:%s", scheme, host, port);
	curl_free(scheme);
	curl_free(host);
	curl_free(port);
	curl_url_cleanup(u);
	return origin;
}

char *http_url_host(const char *url)
{
	CURLU *u = curl_url();
	char *host = NULL, *port = NULL, *text = NULL;

	if (u && curl_url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK &&
	    curl_url_get(u, CURLUPART_HOST, &host, 0) == CURLUE_OK) {
		curl_url_get(u, CURLUPART_PORT, &port, 0);
		text = xasprintf("%s%s%s", host, port ? ":" : "", port ? port : "");
	}
	curl_free(host);
	curl_free(port);
	curl_url_cleanup(u);
	return text ? text : xasprintf("%.100s", url);
}

char *http_url_query(const char *url, const char *key, const char *value)
{
	own_free char *pair = xasprintf("%s=%s", key, value);
	CURLU *u = curl_url();
	char *text = NULL, *copy = NULL;

	if (u && curl_url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK &&
	    curl_url_set(u, CURLUPART_QUERY, pair, CURLU_APPENDQUERY | CURLU_URLENCODE) ==
		    CURLUE_OK &&
	    curl_url_get(u, CURLUPART_URL, &text, 0) == CURLUE_OK)
		copy = xstrdup(text);
	curl_free(text);
	curl_url_cleanup(u);
	return copy;
}

/* Where a Location leads; NULL if it is malformed or carries a password. */
static char *url_join(const char *base, const char *location)
{
	CURLU *u = curl_url();
	char *text = NULL, *user = NULL, *copy = NULL;

	if (u && curl_url_set(u, CURLUPART_URL, base, 0) == CURLUE_OK &&
	    curl_url_set(u, CURLUPART_URL, location, 0) == CURLUE_OK &&
	    curl_url_get(u, CURLUPART_USER, &user, 0) != CURLUE_OK &&
	    curl_url_get(u, CURLUPART_URL, &text, 0) == CURLUE_OK)
		copy = xstrdup(text);
	curl_free(text);
	curl_free(user);
	curl_url_cleanup(u);
	return copy;
}

/* HTTPS, or HTTP to this very machine. */
static int url_check(const char *url, const char *from, struct err *e)
{
	own_free char *origin = url_origin(url), *host = http_url_host(url);
	own_free char *from_host = from ? http_url_host(from) : NULL;

	if (origin == NULL)
		return err_set(e, EINVAL, "%s: malformed address \"%.200s\"",
			       from_host ? from_host : "request", url);
	if (str_starts(origin, "https://"))
		return 0;
	if (!str_starts(origin, "http://"))
		return err_set(e, EPROTO, "%s: neither HTTP nor HTTPS: \"%.200s\"",
			       from_host ? from_host : host, url);
	if (from_host && !http_host_is_loopback(from_host))
		return err_set(e, EPROTO, "%s: redirects to plain HTTP at %s, which is refused",
			       from_host, host);
	if (!http_host_is_loopback(host))
		return err_set(e, EPROTO, "%s: plain HTTP is refused but for this machine itself",
			       host);
	return 0;
}

/* ---- what comes back ---- */

static bool header_is(const char *line, size_t n, const char *name, const char **value, size_t *len)
{
	size_t k = strlen(name);

	if (n <= k || line[k] != ':' || strncasecmp(line, name, k) != 0)
		return false;
	line += k + 1;
	n -= k + 1;
	while (n && (*line == ' ' || *line == '\t'))
		line++, n--;
	while (n && (line[n - 1] == '\n' || line[n - 1] == '\r' || line[n - 1] == ' '))
		n--;
	*value = line;
	*len = n;
	return true;
}

static void keep(char **to, const char *value, size_t n)
{
	free(*to);
	*to = xstrndup(value, n);
}

/* "bytes 100-199/200" */
static void content_range(struct attempt *a, const char *value, size_t n)
{
	own_free char *text = xstrndup(value, n);
	unsigned long long first, last, total;

	if (sscanf(text, "bytes %llu-%llu/%llu", &first, &last, &total) == 3) {
		a->first = first;
		a->total = total;
	}
}

static size_t on_header(char *line, size_t size, size_t count, void *arg)
{
	struct attempt *a = arg;
	struct http_response *r = a->r;
	size_t n = size * count, len;
	const char *v;

	a->headers += n;
	if (a->headers > HTTP_HEADERS_MAX) {
		err_set(&a->err, EPROTO, "sends more than %d bytes of headers", HTTP_HEADERS_MAX);
		return 0;
	}
	if (n > 5 && memcmp(line, "HTTP/", 5) == 0) { /* a new answer, after a 100 perhaps */
		headers_reset(r);
		r->retry_after = -1;
		a->first = a->total = UINT64_MAX;
		free(a->location);
		a->location = NULL;
	} else if (header_is(line, n, "Content-Type", &v, &len)) {
		keep(&r->content_type, v, len);
	} else if (header_is(line, n, "Docker-Content-Digest", &v, &len)) {
		keep(&r->content_digest, v, len);
	} else if (header_is(line, n, "Location", &v, &len)) {
		keep(&a->location, v, len);
	} else if (header_is(line, n, "WWW-Authenticate", &v, &len)) {
		strv_take(&r->challenges, xstrndup(v, len));
	} else if (header_is(line, n, "Content-Range", &v, &len)) {
		content_range(a, v, len);
	} else if (header_is(line, n, "Retry-After", &v, &len)) {
		own_free char *text = xstrndup(v, len);
		time_t now = time(NULL), at;
		uint64_t s;

		if (parse_u64(text, 0, INT32_MAX, &s))
			r->retry_after = (long)s;
		else if ((at = curl_getdate(text, NULL)) >= 0)
			r->retry_after = at > now ? (long)(at - now) : 0;
	}
	return n;
}

static long status_of(const struct attempt *a)
{
	long status = 0;

	curl_easy_getinfo(a->h->curl, CURLINFO_RESPONSE_CODE, &status);
	return status;
}

/* Looks at the headers of a large body before its first byte. */
static int body_begin(struct attempt *a, long status)
{
	curl_off_t length = -1;

	if (a->judged)
		return 0;
	a->judged = true;
	if (status == 206 && a->first != a->start)
		return err_set(&a->err, EPROTO, "sends another range than was asked for");
	if (status != 206) {
		curl_easy_getinfo(a->h->curl, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
		a->total = length >= 0 ? (uint64_t)length : UINT64_MAX;
		a->skip = a->start;
	}
	if (a->total != UINT64_MAX && a->total != a->q->size)
		return err_set(&a->err, EBADMSG,
			       "wrong length: it announces %llu bytes where there should be %llu",
			       (unsigned long long)a->total, (unsigned long long)a->q->size);
	return 0;
}

static int take_small(struct attempt *a, const char *p, size_t n)
{
	if (a->q->into->len + n > a->q->max)
		return err_set(&a->err, EFBIG,
			       "sends more than %zu bytes where a short answer is due", a->q->max);
	str_add_mem(a->q->into, p, n);
	return 0;
}

static int take_large(struct attempt *a, const char *p, size_t n)
{
	uint64_t drop = a->skip < n ? a->skip : n;
	uint64_t have = a->q->from + a->r->got;
	int r;

	a->skip -= drop;
	p += drop;
	n -= drop;
	if (n == 0)
		return 0;
	if (n > a->q->size - have)
		return err_set(&a->err, EBADMSG, "wrong length: it sends more than %llu bytes",
			       (unsigned long long)a->q->size);
	r = a->q->body(a->q->arg, p, n, &a->err);
	if (r < 0) {
		if (a->err.code == 0)
			err_set(&a->err, -r, "cannot keep what came");
		return r;
	}
	a->r->got += n;
	return 0;
}

static size_t on_body(char *p, size_t size, size_t count, void *arg)
{
	struct attempt *a = arg;
	size_t n = size * count;
	long status = status_of(a);

	if (status >= 400) {
		size_t room = HTTP_ERROR_MAX - a->r->error.len;

		str_add_mem(&a->r->error, p, n < room ? n : room);
	}
	if (status < 200 || status >= 300 || (a->q->into == NULL && a->q->body == NULL)) {
		a->drained += n;
		return a->drained > DRAIN_MAX ? 0 : n;
	}
	if (a->q->into)
		return take_small(a, p, n) < 0 ? 0 : n;
	if (body_begin(a, status) < 0)
		return 0;
	return take_large(a, p, n) < 0 ? 0 : n;
}

static int on_progress(void *arg, curl_off_t dt, curl_off_t dn, curl_off_t ut, curl_off_t un)
{
	struct attempt *a = arg;

	(void)dt, (void)dn, (void)ut, (void)un;
	if (a->q->cancel == NULL || !atomic_load(a->q->cancel))
		return 0;
	err_set(&a->err, ECANCELED, "interrupted");
	return 1;
}

/* ---- one attempt ---- */

static void set_transport(struct attempt *a, const char *url)
{
	CURL *c = a->h->curl;
	own_free char *host = http_url_host(url);

	curl_easy_reset(c);
	curl_easy_setopt(c, CURLOPT_SHARE, share);
	curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(c, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
	curl_easy_setopt(c, CURLOPT_BUFFERSIZE, READ_BUFFER);
	curl_easy_setopt(c, CURLOPT_TCP_KEEPALIVE, 1L);
	curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT, (long)HTTP_CONNECT_S);
	curl_easy_setopt(c, CURLOPT_LOW_SPEED_LIMIT, (long)HTTP_STALL_SPEED);
	curl_easy_setopt(c, CURLOPT_LOW_SPEED_TIME, stall_s);
	if (a->q->body == NULL)
		curl_easy_setopt(c, CURLOPT_TIMEOUT, (long)HTTP_SMALL_S);
	curl_easy_setopt(c, CURLOPT_ERRORBUFFER, a->h->reason);
	curl_easy_setopt(c, CURLOPT_CAINFO, ca_file);
	curl_easy_setopt(c, CURLOPT_CAPATH, ca_dir);
	/* Proxies are the environment's, but never for this machine itself. */
	if (http_host_is_loopback(host))
		curl_easy_setopt(c, CURLOPT_PROXY, "");
}

static void set_request(struct attempt *a, const char *url, struct curl_slist *headers)
{
	const struct http_request *q = a->q;
	CURL *c = a->h->curl;
	char range[32];

	curl_easy_setopt(c, CURLOPT_URL, url);
	curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(c, CURLOPT_USERAGENT, "zl/" ZL_VERSION);
	curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(c, CURLOPT_HEADERDATA, a);
	curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(c, CURLOPT_WRITEDATA, a);
	curl_easy_setopt(c, CURLOPT_NOPROGRESS, 0L);
	curl_easy_setopt(c, CURLOPT_XFERINFOFUNCTION, on_progress);
	curl_easy_setopt(c, CURLOPT_XFERINFODATA, a);
	if (q->form) {
		curl_easy_setopt(c, CURLOPT_POSTFIELDS, q->form);
	} else if (q->method && strcmp(q->method, "HEAD") == 0) {
		curl_easy_setopt(c, CURLOPT_NOBODY, 1L);
	} else if (q->method) {
		curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, q->method);
	}
	if (a->start) {
		snprintf(range, sizeof(range), "%llu-", (unsigned long long)a->start);
		curl_easy_setopt(c, CURLOPT_RANGE, range);
	}
}

static bool same_origin(const char *a, const char *b)
{
	own_free char *x = url_origin(a), *y = url_origin(b);

	return x && y && strcmp(x, y) == 0;
}

static struct curl_slist *headers_for(const struct attempt *a, const char *url)
{
	struct curl_slist *list = NULL;

	if (a->q->accept) {
		own_free char *line = xasprintf("Accept: %s", a->q->accept);

		list = curl_slist_append(list, line);
	}
	if (a->q->authorization && same_origin(url, a->q->url)) {
		own_free char *line = xasprintf("Authorization: %s", a->q->authorization);

		list = curl_slist_append(list, line);
	}
	return list;
}

/*
 * libcurl leaves SIGPIPE to threads that mind (CURLOPT_NOSIGNAL), and libcrypto
 * writes without MSG_NOSIGNAL: a server that hangs up must not end the process.
 */
static CURLcode perform(CURL *c)
{
	const struct timespec now = { 0, 0 };
	sigset_t pipe_only, old, pending;
	CURLcode code;

	sigemptyset(&pipe_only);
	sigaddset(&pipe_only, SIGPIPE);
	sigpending(&pending);
	pthread_sigmask(SIG_BLOCK, &pipe_only, &old);
	code = curl_easy_perform(c);
	if (!sigismember(&pending, SIGPIPE))
		while (sigtimedwait(&pipe_only, NULL, &now) < 0 && errno == EINTR)
			;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return code;
}

/* One exchange with one host. */
static CURLcode exchange(struct attempt *a, const char *url)
{
	struct curl_slist *headers = headers_for(a, url);
	CURLcode code;

	a->judged = false;
	a->skip = 0;
	a->headers = a->drained = 0;
	a->r->retry_after = -1;
	a->first = a->total = UINT64_MAX;
	a->h->reason[0] = '\0';
	a->r->status = 0;
	headers_reset(a->r);
	set_transport(a, url);
	set_request(a, url, headers);
	code = perform(a->h->curl);
	a->r->status = (int)status_of(a);
	/* curl keeps pointers to these until it is told otherwise. */
	curl_easy_reset(a->h->curl);
	curl_slist_free_all(headers);
	return code;
}

/* curl's reason as a code of ours; the sentence goes into e. */
static int explain(struct attempt *a, CURLcode code, bool small, struct err *e)
{
	const char *why = a->h->reason[0] ? a->h->reason : curl_easy_strerror(code);
	size_t n = strcspn(why, "\r\n");

	if (a->err.code) {
		*e = a->err;
		return -a->err.code;
	}
	switch (code) {
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_RESOLVE_PROXY:
		return err_set(e, EHOSTUNREACH, "%.*s", (int)n, why);
	case CURLE_COULDNT_CONNECT:
		return err_set(e, ECONNREFUSED, "%.*s", (int)n, why);
	case CURLE_OPERATION_TIMEDOUT:
		if (str_starts(why, "Operation too slow"))
			return err_set(e, ETIMEDOUT, "stalled: next to no data for %ld seconds",
				       stall_s);
		if (small && a->r->status)
			return err_set(e, ETIMEDOUT, "no complete answer within %d seconds",
				       HTTP_SMALL_S);
		return err_set(e, ETIMEDOUT, "%.*s", (int)n, why);
	case CURLE_PARTIAL_FILE:
		return err_set(e, ECONNRESET, "the answer is truncated");
	case CURLE_SEND_ERROR:
	case CURLE_RECV_ERROR:
	case CURLE_GOT_NOTHING:
	case CURLE_HTTP2:
	case CURLE_HTTP2_STREAM:
		return err_set(e, ECONNRESET, "%.*s", (int)n, why);
	case CURLE_SSL_CACERT_BADFILE:
		return err_set(e, ENOENT,
			       "no usable CA certificates in %s (package "
			       "ca-certificates, or set SSL_CERT_FILE)",
			       ca_file ? ca_file : ca_dir);
	default:
		return err_set(e, EPROTO, "%.*s", (int)n, why);
	}
}

static int attempt(struct attempt *a, struct err *e)
{
	own_free char *url = xstrdup(a->q->url);
	int r = url_check(url, NULL, e);

	for (int hops = 0; r == 0; hops++) {
		own_free char *host = http_url_host(url), *next = NULL;
		CURLcode code;

		if (str_starts(url, "https:") && ca_file == NULL && ca_dir == NULL)
			return err_set(
				e, ENOENT,
				"%s: no CA certificates on this machine (install the package "
				"ca-certificates, or set SSL_CERT_FILE)",
				host);
		if (a->q->into)
			a->q->into->len = 0;
		code = exchange(a, url);
		if (a->err.code || (code != CURLE_OK && a->drained <= DRAIN_MAX)) {
			explain(a, code, a->q->body == NULL, e);
			return err_wrap(e, "%s", host);
		}
		if (a->r->status < 300 || a->r->status >= 400 || a->location == NULL)
			return 0;
		if (hops == HTTP_REDIRECTS)
			return err_set(e, ELOOP, "%s: more than %d redirects", host,
				       HTTP_REDIRECTS);
		next = url_join(url, a->location);
		if (next == NULL)
			return err_set(e, EPROTO, "%s: redirects to a malformed address", host);
		r = url_check(next, url, e);
		/* what is posted are credentials, too */
		if (r == 0 && a->q->form && !same_origin(next, a->q->url))
			r = err_set(e, EPROTO,
				    "%s: redirects a request with credentials to another host, "
				    "which is refused",
				    host);
		free(url);
		url = steal_ptr(&next);
	}
	return r;
}

int http_once(struct http *h, const struct http_request *q, struct http_response *r, struct err *e)
{
	struct attempt a = { .h = h, .q = q, .r = r };
	int rc;

	a.start = q->body ? q->from + r->got : 0;
	rc = attempt(&a, e);
	free(a.location);
	return rc;
}
