/* endpoint.h: a host that speaks the distribution protocol: where it is, and being let in. */
#ifndef ZL_OCI_ENDPOINT_H
#define ZL_OCI_ENDPOINT_H

#include <stdatomic.h>
#include <stdbool.h>

#include "oci/auth.h"
#include "oci/http.h"
#include "runtime/base/err.h"

/* The host that serves docker.io. */
#define HUB_HOST "registry-1.docker.io"

/*
 * One host, with the connections to it and what it takes to be let in. Its functions
 * may be called by several threads at a time.
 */
struct endpoint;

struct endpoint_options {
	const char *host;	/* "registry-1.docker.io", "[::1]:5000" */
	const char *scheme;	/* "http" or "https"; NULL: by the rules of endpoint.c */
	const char *prefix;	/* path in front of /v2/, of mirrors; NULL: none */
	const char *repository; /* "domain/path", for which credentials are looked up */
	const char *scope; /* of tokens: "repository:x:pull"; several apart by blanks; "": none */
	const struct auth_creds *creds; /* NULL: those that are stored; else copied */
	bool keep_refresh;		/* ask token servers for an identity token, too (login) */
	const atomic_bool *cancel;	/* may be NULL */
};

struct endpoint *endpoint_new(const struct endpoint_options *o);
void endpoint_free(struct endpoint *p);

const char *endpoint_host(const struct endpoint *p);
/*
 * One request, with what it takes to be let in, and again after a 401 with
 * something better to show. where: what follows /v2/ in the address, or a whole URL (to which
 * no credentials go unless it is this host's). Otherwise as http_do.
 */
int endpoint_ask(struct endpoint *p, const char *where, struct http_request *q,
		 struct http_response *resp, struct err *e);
/* Whether there were credentials to show, once somebody asked for them. */
bool endpoint_has_creds(struct endpoint *p);
/* The identity token that came (keep_refresh), or NULL; owned by the caller. */
char *endpoint_refresh_token(struct endpoint *p);

/* "manifest unknown: no such tag" from an error's body; empty if it is none of the protocol's. */
void endpoint_words(const struct http_response *resp, struct str *out);

#endif
