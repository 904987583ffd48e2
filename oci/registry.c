/* registry.c: the distribution protocol: manifests and blobs, and being let in. */
#include "oci/registry.h"

#include <ctype.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "oci/auth.h"
#include "oci/manifest.h"
#include "runtime/base/json.h"
#include "runtime/base/log.h"
#include "runtime/base/own.h"

/* The host that serves docker.io. */
#define HUB_HOST "registry-1.docker.io"

#define ACCEPT_MANIFESTS \
	MEDIA_OCI_MANIFEST ", " MEDIA_OCI_INDEX ", " MEDIA_DOCKER_MANIFEST ", " MEDIA_DOCKER_LIST

/* Tokens tried for one request: other threads' requests may wear one out. */
#define RENEWALS_MAX 3
/* Idle connections that are kept. */
#define CLIENTS_MAX 8
/* Bytes of a registry's own words in a message. */
#define WORDS_MAX 300

struct registry {
	struct ref ref;
	char *name;	  /* familiar, as the user reads it */
	char *repository; /* domain/path */
	char *host, *base;
	const atomic_bool *cancel;
	pthread_mutex_t lock; /* guards what is below */
	struct http *idle[CLIENTS_MAX];
	size_t nidle;
	bool creds_read;
	struct auth_creds creds;
	char *authorization; /* the header's value; NULL: none yet */
	int64_t expires;     /* CLOCK_MONOTONIC seconds */
};

struct registry *registry_open(const struct ref *r, const atomic_bool *cancel)
{
	struct registry *g = xcalloc(1, sizeof(*g));
	bool hub = strcmp(r->domain, REF_DOMAIN_DEFAULT) == 0;

	g->ref = *r;
	g->ref.domain = xstrdup(r->domain);
	g->ref.path = xstrdup(r->path);
	g->ref.tag = r->tag ? xstrdup(r->tag) : NULL;
	g->name = ref_familiar(r);
	g->repository = ref_repository(r);
	g->host = xstrdup(hub ? HUB_HOST : r->domain);
	g->base = xasprintf("%s://%s/v2/%s", http_host_is_loopback(g->host) ? "http" : "https",
			    g->host, r->path);
	g->cancel = cancel;
	pthread_mutex_init(&g->lock, NULL);
	return g;
}

void registry_close(struct registry *g)
{
	if (g == NULL)
		return;
	for (size_t i = 0; i < g->nidle; i++)
		http_free(g->idle[i]);
	auth_creds_free(&g->creds);
	ref_free(&g->ref);
	free(g->authorization);
	free(g->name);
	free(g->repository);
	free(g->host);
	free(g->base);
	pthread_mutex_destroy(&g->lock);
	free(g);
}

void registry_close_(struct registry **g)
{
	registry_close(*g);
}

const char *registry_host(const struct registry *g)
{
	return g->host;
}

static struct http *client_take(struct registry *g, struct err *e)
{
	struct http *h = NULL;

	pthread_mutex_lock(&g->lock);
	if (g->nidle)
		h = g->idle[--g->nidle];
	pthread_mutex_unlock(&g->lock);
	return h ? h : http_new(e);
}

static void client_give(struct registry *g, struct http *h)
{
	pthread_mutex_lock(&g->lock);
	if (g->nidle < CLIENTS_MAX) {
		g->idle[g->nidle++] = h;
		h = NULL;
	}
	pthread_mutex_unlock(&g->lock);
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
static char *authorization_get(struct registry *g)
{
	char *s = NULL;

	pthread_mutex_lock(&g->lock);
	if (g->authorization && now_s() < g->expires)
		s = xstrdup(g->authorization);
	pthread_mutex_unlock(&g->lock);
	return s;
}

/* Answers a challenge; the lock is held. Positive: there is nothing (more) we could show. */
static int authorize(struct registry *g, struct http *h, const struct auth_challenge *c,
		     struct err *e)
{
	own_free char *scope = xasprintf("repository:%s:pull", g->ref.path), *value = NULL;
	int64_t expires = INT64_MAX;
	int r;

	if (!g->creds_read)
		auth_creds_find(g->repository, &g->creds);
	g->creds_read = true;
	if (c->scheme == AUTH_BASIC) {
		value = auth_basic(&g->creds);
	} else if (c->scheme == AUTH_BEARER && g->creds.registry_token) {
		value = xasprintf("Bearer %s", g->creds.registry_token);
	} else if (c->scheme == AUTH_BEARER) {
		r = auth_token(h, g->host, c, scope, &g->creds, &value, &expires, e);
		if (r < 0)
			return r;
	}
	if (value == NULL)
		return 1;
	free(g->authorization);
	g->authorization = steal_ptr(&value);
	g->expires = expires;
	return 0;
}

/*
 * After a 401 to a request that showed `shown`: gets something better to show.
 * Another thread may have done so meanwhile. Positive: there is nothing better.
 */
static int renew(struct registry *g, struct http *h, const char *shown,
		 const struct http_response *resp, struct err *e)
{
	own_challenge struct auth_challenge c = { 0 };
	int r;

	auth_challenge_parse(&resp->challenges, &c);
	pthread_mutex_lock(&g->lock);
	if (g->authorization && now_s() < g->expires &&
	    (shown == NULL || strcmp(shown, g->authorization) != 0))
		r = 0;
	else
		r = authorize(g, h, &c, e);
	pthread_mutex_unlock(&g->lock);
	return r;
}

/*
 * One request, tried again after a 401 with something else to show. A large body that was
 * let in once is let in again when its token runs out half-way.
 */
static int ask(struct registry *g, struct http_request *q, struct http_response *resp,
	       struct err *e)
{
	struct http *h = client_take(g, e);
	int r = h ? 0 : -ENOMEM;
	int renewed = 0;

	q->cancel = g->cancel;
	while (r == 0) {
		own_free char *shown = authorization_get(g);
		uint64_t got;

		q->authorization = shown;
		r = http_do(h, q, resp, e);
		q->authorization = NULL;
		got = resp->got;
		if (r < 0 || resp->status != 401 || (renewed == RENEWALS_MAX && got == 0))
			break;
		r = renew(g, h, shown, resp, e);
		if (r != 0) {
			r = r > 0 ? 0 : r; /* the 401 is the answer */
			break;
		}
		renewed = got ? 1 : renewed + 1;
		q->from += got;
		http_response_free(resp);
	}
	if (h)
		client_give(g, h);
	return r;
}

/* ---- answers that are none ---- */

/* Words of a registry as far as they can be printed. */
static void add_words(struct str *out, const char *s)
{
	for (; *s && out->len < WORDS_MAX; s++)
		str_add_char(out, iscntrl((unsigned char)*s) ? ' ' : *s);
}

/* "manifest unknown: no such tag" from the error's body; empty if it is none of ours. */
static void error_words(const struct http_response *resp, struct str *out)
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
}

/* A status that is no success, as docker words it. */
static int refusal(struct registry *g, const struct http_response *resp, const char *what,
		   struct err *e)
{
	own_str struct str words = STR_INIT;
	own_free char *repository = ref_familiar_repository(&g->ref);
	const char *w;

	error_words(resp, &words);
	w = words.len ? words.s : NULL;
	if (resp->status == 401 || resp->status == 403)
		return err_set(e, EACCES,
			       "pull access denied for %s, repository does not exist or may "
			       "require 'zl login' (%s: %s%sHTTP status %d)",
			       repository, g->host, w ? w : "", w ? ", " : "", resp->status);
	if (resp->status == 404)
		return err_set(e, ENOENT, "%s for %s not found: %s", what, g->name,
			       w ? w : "HTTP status 404");
	return err_set(e, EPROTO, "%s: unexpected HTTP status %d%s%s", g->host, resp->status,
		       w ? ": " : "", w ? w : "");
}

/* ---- manifests ---- */

void registry_manifest_free(struct registry_manifest *m)
{
	str_free(&m->bytes);
	free(m->content_type);
	m->content_type = NULL;
}

static char *manifest_url(struct registry *g, const char *tag, const struct digest *want)
{
	char text[DIGEST_TEXT_MAX];

	return xasprintf("%s/manifests/%s", g->base, want ? digest_format(text, want) : tag);
}

static int wrong_digest(struct registry *g, const char *what, const struct digest *got,
			const char *want, struct err *e)
{
	char text[DIGEST_TEXT_MAX];

	return err_set(e, EBADMSG, "%s: wrong digest: %s is %s instead of %s", g->host, what,
		       digest_format(text, got), want);
}

int registry_manifest(struct registry *g, const char *tag, const struct digest *want,
		      struct registry_manifest *out, struct err *e)
{
	own_response struct http_response resp = { 0 };
	own_free char *url = manifest_url(g, tag, want);
	struct http_request q = { .url = url,
				  .accept = ACCEPT_MANIFESTS,
				  .into = &out->bytes,
				  .max = MANIFEST_BYTES_MAX };
	char text[DIGEST_TEXT_MAX];
	struct digest said;
	int r;

	*out = (struct registry_manifest){ 0 };
	r = ask(g, &q, &resp, e);
	if (r < 0)
		return r;
	if (resp.status != 200)
		return refusal(g, &resp, "manifest", e);
	digest_of(out->bytes.s ? out->bytes.s : "", out->bytes.len, &out->digest);
	if (want && !digest_equal(&out->digest, want))
		return wrong_digest(g, "the manifest", &out->digest, digest_format(text, want), e);
	if (resp.content_digest && digest_parse(resp.content_digest, &said, NULL) == 0 &&
	    !digest_equal(&out->digest, &said))
		return wrong_digest(g, "the manifest", &out->digest, digest_format(text, &said), e);
	out->content_type = steal_ptr(&resp.content_type);
	return 0;
}

int registry_head(struct registry *g, const char *tag, struct digest *out, struct err *e)
{
	own_response struct http_response resp = { 0 };
	own_free char *url = manifest_url(g, tag, NULL);
	struct http_request q = { .method = "HEAD", .url = url, .accept = ACCEPT_MANIFESTS };
	int r = ask(g, &q, &resp, e);

	if (r < 0)
		return r;
	if (resp.status == 200 && resp.content_digest &&
	    digest_parse(resp.content_digest, out, NULL) == 0)
		return 0;
	/* An answer to HEAD carries no words; GET will bring them. */
	return err_set(e, ENOTSUP, "%s: does not tell digests", g->host);
}

/* ---- blobs ---- */

static char *blob_url(struct registry *g, const struct digest *d)
{
	char text[DIGEST_TEXT_MAX];

	return xasprintf("%s/blobs/%s", g->base, digest_format(text, d));
}

int registry_blob_small(struct registry *g, const struct digest *d, size_t max, struct str *out,
			struct err *e)
{
	own_response struct http_response resp = { 0 };
	own_free char *url = blob_url(g, d);
	struct http_request q = { .url = url, .into = out, .max = max };
	char text[DIGEST_TEXT_MAX];
	struct digest got;
	int r = ask(g, &q, &resp, e);

	if (r < 0)
		return r;
	if (resp.status != 200)
		return refusal(g, &resp, "image config", e);
	digest_of(out->s ? out->s : "", out->len, &got);
	if (!digest_equal(&got, d))
		return wrong_digest(g, "the image config", &got, digest_format(text, d), e);
	return 0;
}

int registry_blob(struct registry *g, const struct digest *d, uint64_t from, uint64_t size,
		  http_body_fn *body, http_retry_fn *retry, void *arg, struct err *e)
{
	own_response struct http_response resp = { 0 };
	own_free char *url = blob_url(g, d);
	struct http_request q = {
		.url = url, .body = body, .retry = retry, .arg = arg, .from = from, .size = size
	};
	int r = ask(g, &q, &resp, e);

	if (r < 0)
		return r;
	if (resp.status != 200 && resp.status != 206)
		return refusal(g, &resp, "layer", e);
	return 0;
}
