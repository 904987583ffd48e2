/* auth.h: what a registry asks for before it lets one in, and what we have to show. */
#ifndef ZL_OCI_AUTH_H
#define ZL_OCI_AUTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "oci/http.h"
#include "runtime/base/err.h"
#include "runtime/base/json.h"
#include "runtime/base/str.h"

enum auth_scheme {
	AUTH_NONE,
	AUTH_BASIC,
	AUTH_BEARER,
};

/* Longest WWW-Authenticate value that is looked at, and longest token and credentials file. */
#define AUTH_CHALLENGE_MAX   8192
#define AUTH_TOKEN_MAX	     (256u << 10)
#define AUTH_CONFIG_MAX	     (4u << 20)
#define AUTH_EXPIRES_DEFAULT 60 /* seconds, where the server does not say */

/* A WWW-Authenticate header, read; the texts are NULL if absent. */
struct auth_challenge {
	enum auth_scheme scheme;
	char *realm, *service, *scope, *error;
};

/*
 * The best challenge we can answer among the headers (each may hold several):
 * bearer before basic. AUTH_NONE if there is none.
 */
void auth_challenge_parse(const struct strv *headers, struct auth_challenge *out);
void auth_challenge_free(struct auth_challenge *c);
#define own_challenge __attribute__((cleanup(auth_challenge_free)))

/* What the user has for a registry. */
struct auth_creds {
	char *user, *password; /* both or none */
	char *identity_token;  /* for the token server, in place of a password */
	char *registry_token;  /* for the registry itself */
};

void auth_creds_free(struct auth_creds *c);
#define own_creds __attribute__((cleanup(auth_creds_free)))

/* "Basic <base64>"; owned by the caller; NULL without user and password. */
char *auth_basic(const struct auth_creds *c);
/* Base64 decoding; -EINVAL where it is none. */
int auth_base64_decode(const char *text, struct str *out);
void auth_base64_encode(struct str *out, const char *p, size_t n);

/*
 * Fetches a token for the scope from the challenge's realm, with the
 * credentials if there are some. *token is the header value "Bearer ...",
 * owned by the caller, good until *expires (CLOCK_MONOTONIC seconds).
 * refresh, if not NULL: an identity token is asked for too, and replaces *refresh if one comes.
 * from: the registry's host, for messages and for whether plain HTTP is in order.
 */
int auth_token(struct http *h, const char *from, const struct auth_challenge *c, const char *scope,
	       const struct auth_creds *creds, char **token, int64_t *expires, char **refresh,
	       struct err *e);

#endif
