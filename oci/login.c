/* login.c: proving to a registry who one is, and keeping or forgetting what it takes. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "oci/config.h"
#include "oci/creds.h"
#include "oci/endpoint.h"
#include "oci/ref.h"
#include "oci/remote.h"
#include "runtime/base/own.h"

/* A short answer nobody reads. */
#define ANSWER_MAX (64u << 10)

char *remote_server(const char *text)
{
	const char *host = text;
	own_free char *name = NULL;

	if (str_starts(host, "https://"))
		host += 8;
	else if (str_starts(host, "http://"))
		host += 7;
	name = xstrndup(host, strcspn(host, "/"));
	if (*name == '\0' || strcmp(name, "index.docker.io") == 0 || strcmp(name, HUB_HOST) == 0)
		return xstrdup(REF_DOMAIN_DEFAULT);
	return steal_ptr(&name);
}

static int refused(const char *server, const struct http_response *resp, struct err *e)
{
	own_str struct str words = STR_INIT;

	endpoint_words(resp, &words);
	if (resp->status == 401 || resp->status == 403)
		return err_set(e, EACCES, "%s: unauthorized: incorrect username or password%s%s%s",
			       server, words.len ? " (" : "", words.len ? words.s : "",
			       words.len ? ")" : "");
	if (resp->status == 404)
		return err_set(e, ENOENT, "%s: is no registry (HTTP status 404 for /v2/)", server);
	return err_set(e, EPROTO, "%s: unexpected HTTP status %d%s%s", server, resp->status,
		       words.len ? ": " : "", words.len ? words.s : "");
}

/* Whether the registry takes them; refresh: the identity token that came for them, or NULL. */
static int try(const char *server, const struct auth_creds *creds, char **refresh, struct err *e)
{
	bool hub = strcmp(server, REF_DOMAIN_DEFAULT) == 0;
	const struct endpoint_options o = { .host = hub ? HUB_HOST : server,
					    .repository = server,
					    .scope = "",
					    .creds = creds,
					    .keep_refresh = refresh != NULL };
	own_response struct http_response resp = { 0 };
	own_str struct str body = STR_INIT;
	struct http_request q = { .into = &body, .max = ANSWER_MAX };
	struct endpoint *p = endpoint_new(&o);
	int r = endpoint_ask(p, "", &q, &resp, e);

	if (r == 0 && (resp.status < 200 || resp.status >= 300))
		r = refused(server, &resp, e);
	if (r == 0 && refresh)
		*refresh = endpoint_refresh_token(p);
	endpoint_free(p);
	return r;
}

static int check_server(const char *server, struct err *e)
{
	own_free char *name = xasprintf("%s/x", server);
	own_ref struct ref ref = REF_INIT;

	/* What is a registry in a name is one here. */
	if (ref_parse(name, &ref, NULL) == 0 && strcmp(ref.domain, server) == 0)
		return 0;
	/* A bare word is not one in a name; docker takes it for a host all the same. */
	if (*server &&
	    strspn(server, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
			   ".-:[]") == strlen(server))
		return 0;
	return err_set(e, EINVAL, "\"%.200s\" is no registry", server);
}

int remote_login(const char *server, const char *user, const char *password, char **plain,
		 struct err *e)
{
	struct auth_creds given = { 0 }, *creds = &given;
	own_creds struct auth_creds owned = { 0 };
	int r = config_load(e);

	*plain = NULL;
	if (r == 0)
		r = check_server(server, e);
	if (r < 0)
		return r;
	owned.user = xstrdup(user);
	owned.password = xstrdup(password);
	given = owned;
	r = try(server, creds, &owned.identity_token, e);
	return r < 0 ? r : creds_store(server, &owned, plain, e);
}

int remote_login_again(const char *server, char **user, struct err *e)
{
	own_creds struct auth_creds creds = { 0 };
	int r = config_load(e);

	*user = NULL;
	if (r == 0)
		r = check_server(server, e);
	if (r == 0)
		r = creds_find(server, &creds, e);
	if (r < 0)
		return r;
	if (r == 0)
		return 1;
	*user = steal_ptr(&creds.user);
	if (*user)
		creds.user = xstrdup(*user);
	return try(server, &creds, NULL, e);
}

int remote_logout(const char *server, struct err *e)
{
	int r = check_server(server, e);

	return r < 0 ? r : creds_erase(server, e);
}
