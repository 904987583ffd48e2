/* endpoint.c: requests to one registry host: scheme, credentials, tokens, connections. */
#include "oci/endpoint.h"

#include <ctype.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "oci/config.h"
#include "oci/creds.h"
#include "runtime/base/json.h"
#include "runtime/base/log.h"
#include "runtime/base/own.h"

/*
 * Theory of operation
 *
 * A registry is spoken to by HTTPS. Two kinds of hosts may have it otherwise: this machine itself
 * (plain HTTP is the rule there and tried first), and insecure ones (HTTPS first). Which of the
 * two it is, the first request finds out: when what comes back looks like the other
 * protocol, the other scheme is tried, and the one that answered stays.
 *
 * Nothing is shown to a host before it asks: the first 401 names what it wants, basic
 * credentials or a token of some server, and the answer is kept for the requests that follow, of
 * all threads. A token that ran out is renewed by whoever meets the next 401.
 */

/* Tokens tried for one request: other threads' requests may wear one out. */
#define RENEWALS_MAX 3
/* Idle connections that are kept. */
#define CLIENTS_MAX 8
/* Bytes of a registry's own words in a message. */
#define WORDS_MAX 300

struct endpoint {
	char *host, *prefix, *repository, *scope;
	const char *schemes[2]; /* the second may be NULL */
	atomic_int scheme;	/* which of them */
	atomic_bool settled;
	bool keep_refresh;
	const atomic_bool *cancel;
	pthread_mutex_t lock; /* guards what is below */
	struct http *idle[CLIENTS_MAX];
	size_t nidle;
	bool creds_read;
	struct auth_creds creds;
	char *authorization; /* the header's value; NULL: none yet */
	int64_t expires;     /* CLOCK_MONOTONIC seconds */
	char *refresh;
};

static void choose_schemes(struct endpoint *p, const char *given)
{
	const struct host_certs *certs = NULL;

	p->schemes[0] = given ? given : "https";
	if (given)
		return;
	/* Whoever puts certificates there means HTTPS; a folder that is broken is told later. */
	if (http_host_is_loopback(p->host) && config_certs(p->host, &certs, NULL) == 0 &&
	    certs == NULL) {
		p->schemes[0] = "http";
		p->schemes[1] = "https";
	} else if (config_insecure(p->host)) {
		p->schemes[1] = "http";
	}
}

static char *copy(const char *s)
{
	return s ? xstrdup(s) : NULL;
}

struct endpoint *endpoint_new(const struct endpoint_options *o)
{
	struct endpoint *p = xcalloc(1, sizeof(*p));

	p->host = xstrdup(o->host);
	p->prefix = xstrdup(o->prefix ? o->prefix : "");
	p->repository = xstrdup(o->repository);
	p->scope = xstrdup(o->scope);
	p->keep_refresh = o->keep_refresh;
	p->cancel = o->cancel;
	if (o->creds) {
		p->creds = (struct auth_creds){ copy(o->creds->user), copy(o->creds->password),
						copy(o->creds->identity_token),
						copy(o->creds->registry_token) };
		p->creds_read = true;
	}
	choose_schemes(p, o->scheme);
	pthread_mutex_init(&p->lock, NULL);
	return p;
}

void endpoint_free(struct endpoint *p)
{
	if (p == NULL)
		return;
	for (size_t i = 0; i < p->nidle; i++)
		http_free(p->idle[i]);
	auth_creds_free(&p->creds);
	free(p->authorization);
	free(p->refresh);
	free(p->scope);
	free(p->repository);
	free(p->prefix);
	free(p->host);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

const char *endpoint_host(const struct endpoint *p)
{
	return p->host;
}

static struct http *client_take(struct endpoint *p, struct err *e)
{
	struct http *h = NULL;

	pthread_mutex_lock(&p->lock);
	if (p->nidle)
		h = p->idle[--p->nidle];
	pthread_mutex_unlock(&p->lock);
	return h ? h : http_new(e);
}

static void client_give(struct endpoint *p, struct http *h)
{
	pthread_mutex_lock(&p->lock);
	if (p->nidle < CLIENTS_MAX) {
		p->idle[p->nidle++] = h;
		h = NULL;
	}
	pthread_mutex_unlock(&p->lock);
	http_free(h);
}

/* ---- being let in ---- */

static int64_t now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec;
}

/* What is shown at the door now; owned by the caller; NULL: nothing yet. */
static char *authorization_get(struct endpoint *p)
{
	char *s = NULL;

	pthread_mutex_lock(&p->lock);
	if (p->authorization && now_s() < p->expires)
		s = xstrdup(p->authorization);
	pthread_mutex_unlock(&p->lock);
	return s;
}

static int read_creds(struct endpoint *p, struct err *e)
{
	int r = p->creds_read ? 0 : creds_find(p->repository, &p->creds, e);

	p->creds_read = r >= 0;
	return r < 0 ? r : 0;
}

/* Answers a challenge; the lock is held. Positive: there is nothing (more) we could show. */
static int authorize(struct endpoint *p, struct http *h, const struct auth_challenge *c,
		     struct err *e)
{
	own_free char *value = NULL;
	int64_t expires = INT64_MAX;
	int r = c->scheme == AUTH_NONE ? 0 : read_creds(p, e);

	if (r < 0)
		return r;
	if (c->scheme == AUTH_BASIC) {
		value = auth_basic(&p->creds);
	} else if (c->scheme == AUTH_BEARER && p->creds.registry_token) {
		value = xasprintf("Bearer %s", p->creds.registry_token);
	} else if (c->scheme == AUTH_BEARER) {
		r = auth_token(h, p->host, c, p->scope, &p->creds, &value, &expires,
			       p->keep_refresh ? &p->refresh : NULL, e);
		if (r < 0)
			return r;
	}
	if (value == NULL)
		return 1;
	free(p->authorization);
	p->authorization = steal_ptr(&value);
	p->expires = expires;
	return 0;
}

/*
 * After a 401 to a request that showed `shown`: gets something better to show.
 * Another thread may have done so meanwhile. Positive: there is nothing better.
 */
static int renew(struct endpoint *p, struct http *h, const char *shown,
		 const struct http_response *resp, struct err *e)
{
	own_challenge struct auth_challenge c = { 0 };
	int r;

	auth_challenge_parse(&resp->challenges, &c);
	pthread_mutex_lock(&p->lock);
	if (p->authorization && now_s() < p->expires &&
	    (shown == NULL || strcmp(shown, p->authorization) != 0))
		r = 0;
	/* The same credentials once more would be the same answer. */
	else if (shown && c.scheme == AUTH_BASIC)
		r = 1;
	else
		r = authorize(p, h, &c, e);
	pthread_mutex_unlock(&p->lock);
	return r;
}

bool endpoint_has_creds(struct endpoint *p)
{
	bool has;

	pthread_mutex_lock(&p->lock);
	has = p->creds.user || p->creds.identity_token || p->creds.registry_token;
	pthread_mutex_unlock(&p->lock);
	return has;
}

char *endpoint_refresh_token(struct endpoint *p)
{
	return copy(p->refresh);
}

/* ---- requests ---- */

/*
 * Tried again after a 401 with something else to show. A large body that was
 * let in once is let in again when its token runs out half-way.
 */
static int ask_url(struct endpoint *p, const char *url, bool ours, struct http_request *q,
		   struct http_response *resp, struct err *e)
{
	struct http *h = client_take(p, e);
	int r = h ? 0 : -ENOMEM;
	int renewed = 0;

	q->url = url;
	q->cancel = p->cancel;
	while (r == 0) {
		own_free char *shown = ours ? authorization_get(p) : NULL;
		uint64_t got;

		q->authorization = shown;
		r = http_do(h, q, resp, e);
		q->authorization = NULL;
		got = resp->got;
		if (r < 0 || resp->status != 401 || !ours || (renewed == RENEWALS_MAX && got == 0))
			break;
		r = renew(p, h, shown, resp, e);
		if (r != 0) {
			r = r > 0 ? 0 : r; /* the 401 is the answer */
			break;
		}
		renewed = got ? 1 : renewed + 1;
		q->from += got;
		http_response_free(resp);
	}
	if (h)
		client_give(p, h);
	q->url = NULL;
	return r;
}

static int ask_scheme(struct endpoint *p, int scheme, const char *where, struct http_request *q,
		      struct http_response *resp, struct err *e)
{
	own_free char *url =
		xasprintf("%s://%s%s/v2/%s", p->schemes[scheme], p->host, p->prefix, where);

	return ask_url(p, url, true, q, resp, e);
}

/* Whether this looks as if the host spoke the other protocol, or none at this port. */
static bool other_protocol(const struct endpoint *p, int r, const struct http_response *resp)
{
	/* It answered, and something went wrong later. */
	if (r < 0 && resp->status)
		return false;
	if (r == -EPROTO || r == -ECONNRESET)
		return true;
	/* What HTTPS servers answer to plain HTTP; and no HTTPS where there is only HTTP. */
	return *p->schemes[0] == 'h' && p->schemes[0][4] == 's' ? r == -ECONNREFUSED
								: r == 0 && resp->status == 400;
}

/* The first request to a host that may have it either way. */
static int ask_first(struct endpoint *p, const char *where, struct http_request *q,
		     struct http_response *resp, struct err *e)
{
	struct http_response second = { 0 };
	struct err why = ERR_INIT;
	int r, r2;

	q->fresh = true;
	r = ask_scheme(p, 0, where, q, resp, e);
	q->fresh = false;
	if (!other_protocol(p, r, resp)) {
		atomic_store(&p->settled, true);
		return r;
	}
	q->fresh = true;
	r2 = ask_scheme(p, 1, where, q, &second, &why);
	if (r2 == 0 || second.status) {
		log_step("%s speaks %s", p->host, p->schemes[1]);
		atomic_store(&p->scheme, 1);
		atomic_store(&p->settled, true);
		q->fresh = false;
		http_response_free(resp);
		*resp = second;
		if (r2 < 0 && e)
			*e = why;
		return r2;
	}
	q->fresh = false;
	http_response_free(&second);
	if (r != -ECONNRESET)
		return r;
	http_response_free(resp);
	return ask_scheme(p, 0, where, q, resp, e);
}

int endpoint_ask(struct endpoint *p, const char *where, struct http_request *q,
		 struct http_response *resp, struct err *e)
{
	int scheme = atomic_load(&p->scheme);
	own_free char *base = NULL;

	*resp = (struct http_response){ 0 };
	if (str_starts(where, "http://") || str_starts(where, "https://")) {
		base = xasprintf("%s://%s/", p->schemes[scheme], p->host);
		return ask_url(p, where, http_same_origin(where, base), q, resp, e);
	}
	if (p->schemes[1] == NULL || atomic_load(&p->settled))
		return ask_scheme(p, scheme, where, q, resp, e);
	return ask_first(p, where, q, resp, e);
}

/* ---- answers that are none ---- */

/* Words of a registry as far as they can be printed. */
static void add_words(struct str *out, const char *s)
{
	for (; *s && out->len < WORDS_MAX; s++)
		str_add_char(out, iscntrl((unsigned char)*s) ? ' ' : *s);
}

/* What stands between has no JSON to say: a proxy's page, by its title. */
static void add_title(struct str *out, const struct http_response *resp)
{
	const char *text = resp->error.s ? resp->error.s : "";
	const char *from = strcasestr(text, "<title>"), *to;
	own_free char *title = NULL;

	from = from ? from + strlen("<title>") : NULL;
	to = from ? strcasestr(from, "</title>") : NULL;
	if (to == NULL)
		return;
	while (from < to && isspace((unsigned char)*from))
		from++;
	while (to > from && isspace((unsigned char)to[-1]))
		to--;
	title = xstrndup(from, (size_t)(to - from));
	add_words(out, title);
}

void endpoint_words(const struct http_response *resp, struct str *out)
{
	own_js struct js *j = js_parse(resp->error.s ? resp->error.s : "", resp->error.len, NULL);
	const struct js *first = js_at(js_get(j, "errors"), 0);
	const char *code = js_text(js_get(first, "code"));
	const char *message = js_text(js_get(first, "message"));

	for (const char *p = code; p && *p && out->len < WORDS_MAX; p++)
		str_add_char(out, *p == '_' ? ' ' : (char)tolower((unsigned char)*p));
	if (code && message)
		str_add(out, ": ");
	if (message)
		add_words(out, message);
	if (j == NULL)
		add_title(out, resp);
}
