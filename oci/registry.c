/* registry.c: the distribution protocol: manifests and blobs, and being let in. */
#include "oci/registry.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "oci/config.h"
#include "oci/endpoint.h"
#include "oci/manifest.h"
#include "runtime/base/log.h"
#include "runtime/base/own.h"

#define ACCEPT_MANIFESTS \
	MEDIA_OCI_MANIFEST ", " MEDIA_OCI_INDEX ", " MEDIA_DOCKER_MANIFEST ", " MEDIA_DOCKER_LIST

struct registry {
	struct ref ref;
	char *name; /* familiar, as the user reads it */
	bool push;
	struct endpoint **ends; /* mirrors, then the registry itself */
	size_t n;
	atomic_size_t at; /* the one that answers */
};

/* A mirror of docker.io: "https://host[:port][/path]". */
static void add_mirror(struct registry *g, const char *url, struct endpoint_options *o)
{
	const char *rest = strstr(url, "://") + 3;
	own_free char *scheme = xstrndup(url, strcspn(url, ":"));
	own_free char *host = xstrndup(rest, strcspn(rest, "/"));
	own_free char *prefix = xstrdup(rest + strlen(host)), *key = NULL;

	while (*prefix && prefix[strlen(prefix) - 1] == '/')
		prefix[strlen(prefix) - 1] = '\0';
	key = xasprintf("%s/%s", host, g->ref.path);
	o->host = host;
	o->scheme = strcmp(scheme, "http") == 0 ? "http" : "https";
	o->prefix = prefix;
	o->repository = key;
	g->ends[g->n++] = endpoint_new(o);
	o->scheme = o->prefix = NULL;
}

struct registry *registry_open(const struct ref *r, const struct registry_options *how,
			       struct err *e)
{
	bool hub = strcmp(r->domain, REF_DOMAIN_DEFAULT) == 0;
	const struct config *conf = config_get();
	own_free char *key = ref_repository(r), *scope = NULL;
	struct endpoint_options o = { .cancel = how->cancel };
	struct registry *g;

	if (config_load(e) < 0)
		return NULL;
	scope = xasprintf("repository:%s:%s%s%s", r->path, how->push ? "pull,push" : "pull",
			  how->scopes ? " " : "", how->scopes ? how->scopes : "");
	o.scope = scope;
	g = xcalloc(1, sizeof(*g));
	g->ref = *r;
	g->ref.domain = xstrdup(r->domain);
	g->ref.path = xstrdup(r->path);
	g->ref.tag = r->tag ? xstrdup(r->tag) : NULL;
	g->name = ref_familiar(r);
	g->push = how->push;
	g->ends = xcalloc(conf->mirrors.n + 1, sizeof(struct endpoint *));
	for (size_t i = 0; hub && !how->push && i < conf->mirrors.n; i++)
		add_mirror(g, conf->mirrors.v[i], &o);
	o.host = hub ? HUB_HOST : r->domain;
	o.repository = key;
	g->ends[g->n++] = endpoint_new(&o);
	return g;
}

void registry_close(struct registry *g)
{
	if (g == NULL)
		return;
	for (size_t i = 0; i < g->n; i++)
		endpoint_free(g->ends[i]);
	free(g->ends);
	ref_free(&g->ref);
	free(g->name);
	free(g);
}

void registry_close_(struct registry **g)
{
	registry_close(*g);
}

const char *registry_host(const struct registry *g)
{
	return endpoint_host(g->ends[atomic_load(&g->at)]);
}

/* Whether another host might do better with it: not where the caller's end is the trouble. */
static bool other_may(int r, const struct http_response *resp)
{
	return r == 0 ? resp->status >= 400 : http_unreachable(r) || r == -EPROTO;
}

/* One request for `where` in the repository ("manifests/latest"), or to a whole URL. */
int registry_ask(struct registry *g, const char *where, struct http_request *q,
		 struct http_response *resp, struct err *e)
{
	own_free char *path =
		str_starts(where, "http") ? xstrdup(where) : xasprintf("%s/%s", g->ref.path, where);

	for (size_t i = atomic_load(&g->at);; i++) {
		int r = endpoint_ask(g->ends[i], path, q, resp, e);

		if (i + 1 == g->n || !other_may(r, resp))
			return r;
		log_step("%s does not have it; trying %s", endpoint_host(g->ends[i]),
			 endpoint_host(g->ends[i + 1]));
		q->from += resp->got;
		http_response_free(resp);
		atomic_store(&g->at, i + 1);
	}
}

/* A status that is no success, as docker words it. */
int registry_refusal(struct registry *g, const struct http_response *resp, const char *what,
		     struct err *e)
{
	own_str struct str words = STR_INIT;
	own_free char *repository = ref_familiar_repository(&g->ref);
	const char *w;

	endpoint_words(resp, &words);
	w = words.len ? words.s : NULL;
	if (resp->status == 401 || resp->status == 403)
		return err_set(e, EACCES,
			       "%s access denied for %s, repository does not exist or may "
			       "require 'zl login' (%s: %s%sHTTP status %d)",
			       g->push ? "push" : "pull", repository, registry_host(g), w ? w : "",
			       w ? ", " : "", resp->status);
	if (resp->status == 404)
		return err_set(e, ENOENT, "%s for %s not found: %s", what, g->name,
			       w ? w : "HTTP status 404");
	return err_set(e, EPROTO, "%s: unexpected HTTP status %d%s%s", registry_host(g),
		       resp->status, w ? ": " : "", w ? w : "");
}

/* ---- manifests ---- */

void registry_manifest_free(struct registry_manifest *m)
{
	str_free(&m->bytes);
	free(m->content_type);
	m->content_type = NULL;
}

static char *manifest_at(const char *tag, const struct digest *want)
{
	char text[DIGEST_TEXT_MAX];

	return xasprintf("manifests/%s", want ? digest_format(text, want) : tag);
}

static int wrong_digest(struct registry *g, const char *what, const struct digest *got,
			const char *want, struct err *e)
{
	char text[DIGEST_TEXT_MAX];

	return err_set(e, EBADMSG, "%s: wrong digest: %s is %s instead of %s", registry_host(g),
		       what, digest_format(text, got), want);
}

int registry_manifest(struct registry *g, const char *tag, const struct digest *want,
		      struct registry_manifest *out, struct err *e)
{
	own_response struct http_response resp = { 0 };
	own_free char *where = manifest_at(tag, want);
	struct http_request q = { .accept = ACCEPT_MANIFESTS,
				  .into = &out->bytes,
				  .max = MANIFEST_BYTES_MAX };
	char text[DIGEST_TEXT_MAX];
	struct digest said;
	int r;

	*out = (struct registry_manifest){ 0 };
	r = registry_ask(g, where, &q, &resp, e);
	if (r < 0)
		return r;
	if (resp.status != 200)
		return registry_refusal(g, &resp, "manifest", e);
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
	own_free char *where = manifest_at(tag, NULL);
	struct http_request q = { .method = "HEAD", .accept = ACCEPT_MANIFESTS };
	int r = registry_ask(g, where, &q, &resp, e);

	if (r < 0)
		return r;
	if (resp.status == 200 && resp.content_digest &&
	    digest_parse(resp.content_digest, out, NULL) == 0)
		return 0;
	/* An answer to HEAD carries no words; GET will bring them. */
	return err_set(e, ENOTSUP, "%s: does not tell digests", registry_host(g));
}

/* ---- blobs ---- */

static char *blob_at(const struct digest *d)
{
	char text[DIGEST_TEXT_MAX];

	return xasprintf("blobs/%s", digest_format(text, d));
}

int registry_blob_small(struct registry *g, const struct digest *d, size_t max, struct str *out,
			struct err *e)
{
	own_response struct http_response resp = { 0 };
	own_free char *where = blob_at(d);
	struct http_request q = { .into = out, .max = max };
	char text[DIGEST_TEXT_MAX];
	struct digest got;
	int r = registry_ask(g, where, &q, &resp, e);

	if (r < 0)
		return r;
	if (resp.status != 200)
		return registry_refusal(g, &resp, "image config", e);
	digest_of(out->s ? out->s : "", out->len, &got);
	if (!digest_equal(&got, d))
		return wrong_digest(g, "the image config", &got, digest_format(text, d), e);
	return 0;
}

int registry_blob(struct registry *g, const struct digest *d, const struct registry_span *span,
		  http_body_fn *body, http_retry_fn *retry, void *arg, struct err *e)
{
	own_response struct http_response resp = { 0 };
	own_free char *where = blob_at(d);
	struct http_request q = { .body = body,
				  .retry = retry,
				  .arg = arg,
				  .from = span->from,
				  .size = span->size,
				  .until = span->until };
	int r = registry_ask(g, where, &q, &resp, e);

	if (r < 0)
		return r;
	if (resp.status != 200 && resp.status != 206)
		return registry_refusal(g, &resp, "layer", e);
	return 0;
}
