/* upload.c: pushing blobs: mounted, in one request, or in sessions that survive failures. */
#include "oci/upload.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "oci/config.h"
#include "runtime/base/log.h"
#include "runtime/base/own.h"

/*
 * Theory of operation (distribution-spec, "Push")
 *
 * HEAD tells whether the blob is there. POST begins a session, or mounts the
 * blob from another repository, or does so although a mount was asked for: the answer tells.
 * A session is an address that changes with every answer. A small blob ends it with one PUT
 * that carries the bytes. A large one goes by PATCH, all that is left in one request
 * (registries disagree on how small the pieces of several may be), and an empty PUT
 * ends it. When a PATCH breaks, GET of the session tells how many bytes have arrived; where the
 * session is lost, a new one begins.
 */
struct session {
	struct registry *g;
	const struct upload *u;
	char *location; /* NULL: there is none */
	uint64_t at;	/* bytes the registry has */
	bool resumed;	/* after a transfer that broke */
};

static void take_location(struct session *x, struct http_response *resp)
{
	if (resp->location == NULL)
		return;
	free(x->location);
	x->location = steal_ptr(&resp->location);
}

static void session_drop(struct session *x)
{
	free(x->location);
	x->location = NULL;
	x->at = 0;
	x->resumed = false;
}

static bool blob_there(struct registry *g, const struct upload *u, struct err *e, int *rc)
{
	own_response struct http_response resp = { 0 };
	struct http_request q = { .method = "HEAD" };
	char text[DIGEST_TEXT_MAX];
	own_free char *where = xasprintf("blobs/%s", digest_format(text, &u->d));

	*rc = registry_ask(g, where, &q, &resp, e);
	return *rc == 0 && resp.status == 200;
}

/* 1: mounted, 0: a session has begun. */
static int begin(struct session *x, const char *from, struct err *e)
{
	own_response struct http_response resp = { 0 };
	struct http_request q = { .method = "POST", .send = "", .small_s = UPLOAD_COMMIT_S };
	char text[DIGEST_TEXT_MAX];
	own_free char *where = from ? xasprintf("blobs/uploads/?mount=%s&from=%s",
						digest_format(text, &x->u->d), from)
				    : xstrdup("blobs/uploads/");
	int r = registry_ask(x->g, where, &q, &resp, e);

	if (r < 0)
		return r;
	if (resp.status == 201 && from)
		return 1;
	/* A mount that is refused is no reason to give up. */
	if (resp.status != 202 && from)
		return begin(x, NULL, e);
	if (resp.status != 202)
		return registry_refusal(x->g, &resp, "repository", e);
	session_drop(x);
	take_location(x, &resp);
	if (x->location == NULL)
		return err_set(e, EPROTO, "%s: begins an upload without saying where",
			       registry_host(x->g));
	return 0;
}

/* What a status of a PATCH or PUT means; -EAGAIN: another attempt may help. */
static int judge(struct session *x, const struct http_response *resp, struct err *e)
{
	if (resp->status >= 200 && resp->status < 300)
		return 0;
	/* 400: the digest is wrong, where the registry lost count of what came. */
	if (resp->status == 404 || resp->status == 416 || (resp->status == 400 && x->resumed)) {
		session_drop(x);
		return err_set(e, EAGAIN, "%s: the upload was lost (HTTP status %d)",
			       registry_host(x->g), resp->status);
	}
	return registry_refusal(x->g, resp, "upload", e);
}

/* All that is left in one PATCH. */
static int patch(struct session *x, struct err *e)
{
	own_response struct http_response resp = { 0 };
	own_free char *range = NULL;
	struct http_request q = { .method = "PATCH",
				  .source = x->u->source,
				  .source_arg = x->u->arg,
				  .source_at = x->at,
				  .source_end = x->u->size,
				  .sent = x->u->sent,
				  .arg = x->u->arg,
				  .once = true };
	int r;

	if (x->at)
		range = xasprintf("%llu-%llu", (unsigned long long)x->at,
				  (unsigned long long)x->u->size - 1);
	q.send_range = range;
	r = registry_ask(x->g, x->location, &q, &resp, e);
	if (r == 0)
		r = judge(x, &resp, e);
	if (r == 0) {
		take_location(x, &resp);
		x->at = x->u->size;
	}
	return r;
}

/* Ends the session: with the whole blob, or with what is there already. */
static int put(struct session *x, bool whole, struct err *e)
{
	own_response struct http_response resp = { 0 };
	char text[DIGEST_TEXT_MAX];
	own_free char *url = http_url_query(x->location, "digest", digest_format(text, &x->u->d));
	struct http_request q = {
		.method = "PUT", .send = "", .once = true, .small_s = UPLOAD_COMMIT_S
	};
	int r;

	if (url == NULL)
		return err_set(e, EPROTO, "%s: uploads to a malformed address",
			       registry_host(x->g));
	if (whole) {
		q.send = NULL;
		q.source = x->u->source;
		q.source_arg = q.arg = x->u->arg;
		q.source_end = x->u->size;
		q.sent = x->u->sent;
	}
	r = registry_ask(x->g, url, &q, &resp, e);
	return r < 0 ? r : judge(x, &resp, e);
}

/* Where the registry says the session stands. */
static void resume(struct session *x)
{
	own_response struct http_response resp = { 0 };
	struct http_request q = { .method = "GET", .once = true };
	struct err why = ERR_INIT;

	if (x->location == NULL)
		return;
	/* What is small is sent again as a whole. */
	if (x->u->size <= UPLOAD_WHOLE_MAX ||
	    registry_ask(x->g, x->location, &q, &resp, &why) < 0 || resp.status != 204 ||
	    resp.last >= (int64_t)x->u->size) {
		session_drop(x);
		return;
	}
	take_location(x, &resp);
	/* "0-0" is what an empty one is said to have. */
	x->at = resp.last > 0 ? (uint64_t)resp.last + 1 : 0;
	x->resumed = true;
	log_step("%s has %llu bytes of the upload", registry_host(x->g), (unsigned long long)x->at);
}

/* One attempt of all that is left to do; 1: mounted after all. */
static int attempt(struct session *x, const char *from, struct err *e)
{
	bool whole = x->u->size <= UPLOAD_WHOLE_MAX;
	int r = x->location ? 0 : begin(x, from, e);

	if (r != 0)
		return r;
	if (!whole && x->at < x->u->size)
		r = patch(x, e);
	return r < 0 ? r : put(x, whole, e);
}

static int upload(struct session *x, struct err *e)
{
	int failures = 0, attempts = (int)config_get()->attempts, r;
	const char *from = x->u->from;

	if (attempts == 0)
		attempts = HTTP_ATTEMPTS;
	for (;;) {
		const struct http_response none = { .retry_after = -1 };
		struct err why = ERR_INIT;
		uint64_t at = x->at, ms;

		r = attempt(x, from, &why);
		if (r >= 0)
			return r;
		failures += r == -ETIMEDOUT ? 2 : 1;
		if (http_unreachable(r) && failures < attempts) {
			ms = http_delay(&none, failures);
			log_step("%s; again in %llu ms", why.msg, (unsigned long long)ms);
			if (x->u->retry)
				x->u->retry(x->u->arg, (unsigned)((ms + 999) / 1000), &why);
			if (!http_pause(ms, x->u->cancel))
				return err_set(e, ECANCELED, "interrupted");
			resume(x);
			from = NULL;
			if (x->at > at && x->at - at >= HTTP_PROGRESS)
				failures = 0;
			continue;
		}
		if (e)
			*e = why;
		return r;
	}
}

int upload_blob(struct registry *g, const struct upload *u, enum upload_end *end, struct err *e)
{
	struct session x = { .g = g, .u = u };
	int r;

	*end = UPLOAD_EXISTS;
	if (blob_there(g, u, e, &r))
		return 0;
	if (r < 0)
		return r;
	r = upload(&x, e);
	*end = r > 0 ? UPLOAD_MOUNTED : UPLOAD_DONE;
	session_drop(&x);
	return r < 0 ? r : 0;
}

int upload_manifest(struct registry *g, const char *tag, const char *media_type,
		    const struct str *bytes, const struct digest *d, struct err *e)
{
	own_response struct http_response resp = { 0 };
	own_free char *where = xasprintf("manifests/%s", tag);
	struct http_request q = { .method = "PUT",
				  .send = bytes->s,
				  .send_len = bytes->len,
				  .send_type = media_type,
				  .small_s = UPLOAD_COMMIT_S };
	char text[DIGEST_TEXT_MAX];
	struct digest said;
	int r = registry_ask(g, where, &q, &resp, e);

	if (r < 0)
		return r;
	if (resp.status < 200 || resp.status >= 300)
		return registry_refusal(g, &resp, "manifest", e);
	if (resp.content_digest && digest_parse(resp.content_digest, &said, NULL) == 0 &&
	    !digest_equal(&said, d))
		return err_set(e, EBADMSG, "%s: wrong digest: it keeps the manifest as %s",
			       registry_host(g), digest_format(text, &said));
	return 0;
}
