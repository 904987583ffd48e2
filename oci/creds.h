/* creds.h: the users' stored credentials: docker's and podman's files, credential helpers. */
#ifndef ZL_OCI_CREDS_H
#define ZL_OCI_CREDS_H

#include <stdbool.h>

#include "oci/auth.h"
#include "runtime/base/err.h"
#include "runtime/base/json.h"

/* Longest answer of a credential helper. */
#define CREDS_ANSWER_MAX (64u << 10)
/* Docker's key for its own hub in config.json and towards helpers. */
#define CREDS_HUB "https://index.docker.io/v1/"

/*
 * Looks in docker's config.json ($DOCKER_CONFIG, ~/.docker), then in the
 * auth.json of podman and skopeo ($REGISTRY_AUTH_FILE, $XDG_RUNTIME_DIR/containers,
 * $XDG_CONFIG_HOME/containers, ~/.config/containers), and asks the credential helpers they name
 * (credHelpers, credsStore). repository is "domain/path". 1: found, 0: there is nothing,
 * negative: a helper failed.
 */
int creds_find(const char *repository, struct auth_creds *out, struct err *e);
/* The "auths" of one parsed file. */
bool creds_in(const struct js *config, const char *repository, struct auth_creds *out);

/*
 * Keeps credentials for a registry ("docker.io", "host:port") where docker would: with the helper
 * its config.json names, or in that file, mode 0600; other keys stay as they are. *plain (may be
 * NULL) is the file's path where they lie in it readable, owned by the caller; else NULL.
 */
int creds_store(const char *domain, const struct auth_creds *c, char **plain, struct err *e);
/* Forgets them, where they are; 0 also where there are none. */
int creds_erase(const char *domain, struct err *e);

/* A helper's answer to "get": the JSON of one entry. */
bool creds_from_answer(const char *text, size_t n, struct auth_creds *out);

#endif
