/* http.c: one attempt of a request over libcurl: redirects, ranges, no leaks of credentials. */
#include "oci/http.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "oci/http_impl.h"
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
	size_t headers; /* bytes of them that came */
	size_t drained; /* bytes of no use */
	bool judged;	/* the body's beginning was looked at */
	char *location;
	uint64_t given;	 /* of what is sent: bytes that were asked for */
	curl_off_t sent; /* and that have gone */
	struct err err;	 /* what a callback found wrong */
};

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
	free(r->location);
	free(r->link);
	r->content_type = r->content_digest = r->location = r->link = NULL;
	r->last = -1;
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

/* "0-4095", and "bytes=0-4095": what an upload has so far. */
static void last_byte(struct http_response *r, const char *value, size_t n)
{
	own_free char *text = xstrndup(value, n);
	unsigned long long first, last;

	if (sscanf(str_starts(text, "bytes=") ? text + 6 : text, "%llu-%llu", &first, &last) == 2 &&
	    first == 0 && last < INT64_MAX)
		r->last = (int64_t)last;
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
	} else if (header_is(line, n, "Link", &v, &len)) {
		keep(&r->link, v, len);
	} else if (header_is(line, n, "Range", &v, &len)) {
		last_byte(r, v, len);
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
	if (status != 206 && a->q->until)
		return err_set(&a->err, ENOTSUP, "does not serve ranges");
	if (status != 206) {
		curl_easy_getinfo(a->h->curl, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
		a->total = length >= 0 ? (uint64_t)length : UINT64_MAX;
		a->skip = a->start;
	}
	if (a->total != UINT64_MAX && a->q->size != UINT64_MAX && a->total != a->q->size)
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
	uint64_t have = a->q->from + a->r->got, end = a->q->until ? a->q->until : a->q->size;
	int r;

	a->skip -= drop;
	p += drop;
	n -= drop;
	if (n == 0)
		return 0;
	if (n > end - have)
		return err_set(&a->err, EBADMSG, "wrong length: it sends more than %llu bytes",
			       (unsigned long long)end);
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

	(void)dt, (void)dn, (void)ut;
	if (un > a->sent && a->q->source) {
		a->sent = un;
		if (a->q->sent)
			a->q->sent(a->q->arg, a->q->source_at + (uint64_t)un);
	}
	if (a->q->cancel == NULL || !atomic_load(a->q->cancel))
		return 0;
	err_set(&a->err, ECANCELED, "interrupted");
	return 1;
}

/* ---- one attempt ---- */

/* curl asks for bytes to send. */
static size_t on_source(char *p, size_t size, size_t count, void *arg)
{
	struct attempt *a = arg;
	uint64_t left = a->q->source_end - a->q->source_at - a->given;
	size_t n = size * count < left ? size * count : (size_t)left;
	ssize_t got =
		n ? a->q->source(a->q->source_arg, p, n, a->q->source_at + a->given, &a->err) : 0;

	if (got < 0 || (n && got == 0)) {
		if (a->err.code == 0)
			err_set(&a->err, EIO, "what is sent is shorter than it was");
		return CURL_READFUNC_ABORT;
	}
	a->given += (uint64_t)got;
	return (size_t)got;
}

/*
 * And for them once more, when a kept connection turns out to be closed. Not where one attempt is
 * all there may be: the server may have kept what it got and would append.
 */
static int on_seek(void *arg, curl_off_t to, int whence)
{
	struct attempt *a = arg;

	if (whence != SEEK_SET || to < 0 || (a->q->once && a->given))
		return CURL_SEEKFUNC_FAIL;
	a->given = (uint64_t)to;
	return CURL_SEEKFUNC_OK;
}

/* What is sent, and how it is called. */
static void set_method(struct attempt *a)
{
	const struct http_request *q = a->q;
	CURL *c = a->h->curl;

	if (q->source) {
		a->given = 0;
		curl_easy_setopt(c, CURLOPT_UPLOAD, 1L);
		curl_easy_setopt(c, CURLOPT_INFILESIZE_LARGE,
				 (curl_off_t)(q->source_end - q->source_at));
		curl_easy_setopt(c, CURLOPT_READFUNCTION, on_source);
		curl_easy_setopt(c, CURLOPT_READDATA, a);
		curl_easy_setopt(c, CURLOPT_SEEKFUNCTION, on_seek);
		curl_easy_setopt(c, CURLOPT_SEEKDATA, a);
	} else if (q->send) {
		curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)q->send_len);
		curl_easy_setopt(c, CURLOPT_POSTFIELDS, q->send);
		curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, "PUT");
	} else if (q->form) {
		curl_easy_setopt(c, CURLOPT_POSTFIELDS, q->form);
	}
	if (q->method && strcmp(q->method, "HEAD") == 0)
		curl_easy_setopt(c, CURLOPT_NOBODY, 1L);
	else if (q->method)
		curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, q->method);
}

static void set_request(struct attempt *a, const char *url, struct curl_slist *headers)
{
	CURL *c = a->h->curl;
	char range[48];

	curl_easy_setopt(c, CURLOPT_ERRORBUFFER, a->h->reason);
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
	curl_easy_setopt(c, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
	set_method(a);
	if (a->q->until)
		snprintf(range, sizeof(range), "%llu-%llu", (unsigned long long)a->start,
			 (unsigned long long)a->q->until - 1);
	else
		snprintf(range, sizeof(range), "%llu-", (unsigned long long)a->start);
	if (a->start || a->q->until)
		curl_easy_setopt(c, CURLOPT_RANGE, range);
}

static struct curl_slist *add_header(struct curl_slist *list, const char *name, const char *value)
{
	own_free char *line = xasprintf("%s: %s", name, value);

	return curl_slist_append(list, line);
}

static struct curl_slist *headers_for(const struct attempt *a, const char *url)
{
	const struct http_request *q = a->q;
	struct curl_slist *list = NULL;

	if (q->accept)
		list = add_header(list, "Accept", q->accept);
	if (q->authorization && http_same_origin(url, q->url))
		list = add_header(list, "Authorization", q->authorization);
	if (q->source || q->send)
		list = add_header(list, "Content-Type",
				  q->send_type ? q->send_type : "application/octet-stream");
	if (q->send_range)
		list = add_header(list, "Content-Range", q->send_range);
	/* Nobody waits for leave to send: the requests before have found the door open. */
	if (q->source || q->send)
		list = curl_slist_append(list, "Expect:");
	return list;
}

/* One exchange with one host. */
static int exchange(struct attempt *a, const char *url, const char *host, struct err *e)
{
	struct curl_slist *headers;
	own_free char *pem = NULL;
	CURLcode code;
	int r;

	a->judged = false;
	a->skip = 0;
	a->headers = a->drained = 0;
	a->r->retry_after = -1;
	a->first = a->total = UINT64_MAX;
	a->h->reason[0] = '\0';
	a->r->status = 0;
	headers_reset(a->r);
	a->sent = 0;
	r = transport_set(a->h->curl, a->q, url, host, &pem, e);
	if (r < 0)
		return r;
	headers = headers_for(a, url);
	set_request(a, url, headers);
	code = transport_perform(a->h->curl);
	a->r->status = (int)status_of(a);
	/* curl keeps pointers to these until it is told otherwise. */
	curl_easy_reset(a->h->curl);
	curl_slist_free_all(headers);
	if (a->err.code) {
		*e = a->err;
		return -e->code;
	}
	if (code != CURLE_OK && a->drained <= DRAIN_MAX)
		return transport_explain(a->q, code, a->h->reason, a->r->status != 0, e);
	return 0;
}

static int attempt(struct attempt *a, struct err *e)
{
	own_free char *url = xstrdup(a->q->url);
	int r = http_url_check(url, NULL, e);

	for (int hops = 0; r == 0; hops++) {
		own_free char *host = http_url_host(url), *next = NULL;

		if (a->q->into)
			a->q->into->len = 0;
		if (exchange(a, url, host, e) < 0)
			return err_wrap(e, "%s", host);
		if (a->location)
			next = http_url_join(url, a->location);
		if (a->r->status < 300 || a->r->status >= 400 || a->location == NULL) {
			a->r->location = steal_ptr(&next);
			return 0;
		}
		if (hops == HTTP_REDIRECTS)
			return err_set(e, ELOOP, "%s: more than %d redirects", host,
				       HTTP_REDIRECTS);
		if (next == NULL)
			return err_set(e, EPROTO, "%s: redirects to a malformed address", host);
		r = http_url_check(next, url, e);
		/* what is posted are credentials, too */
		if (r == 0 && a->q->form && !http_same_origin(next, a->q->url))
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
