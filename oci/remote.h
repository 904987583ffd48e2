/* remote.h: the other door: what is done with registries but for pulling. */
#ifndef ZL_OCI_REMOTE_H
#define ZL_OCI_REMOTE_H

#include <stdbool.h>
#include <stdint.h>

#include "oci/image.h"
#include "runtime/base/err.h"
#include "runtime/base/json.h"

struct push_options {
	const char *platform; /* NULL: what the image is */
	bool all_tags;	      /* every tag of the repository that is here */
	bool quiet;	      /* no progress */
	int progress_fd;
};

/*
 * Pushes an image under its name, the manifest by the exact bytes the store has. image_cancel ends
 * it. Errors name the image, the host and the reason.
 */
int image_push(struct store *s, const char *name, const struct push_options *o, struct err *e);

/*
 * A registry as users name it to login and logout: "", "docker.io", "host:port", with or without
 * a scheme and a path. "docker.io" or "host:port"; owned by the caller.
 */
char *remote_server(const char *text);
/*
 * Proves to the registry who the user is, and keeps the credentials (creds.h). *plain (owned by
 * the caller) is the file they lie in readable, or NULL. -EACCES: they are refused.
 */
int remote_login(const char *server, const char *user, const char *password, char **plain,
		 struct err *e);
/*
 * The same with the credentials that are stored: 0 if they are good, 1 where there are none. *user
 * (owned by the caller) is whose they are, or NULL.
 */
int remote_login_again(const char *server, char **user, struct err *e);
int remote_logout(const char *server, struct err *e);

/* Results of a search that are asked for at most; pages and names of a catalogue looked through. */
#define SEARCH_LIMIT_MAX   100
#define SEARCH_PAGES_MAX   1000
#define SEARCH_PAGE_BYTES  (4u << 20)
#define SEARCH_CATALOGUE_N 1000

/*
 * Repositories whose names have to do with term: the Hub's answer, or for "host/term" those of
 * that registry's catalogue with the term in their names. Objects with name, description,
 * star_count, is_official and is_automated, as the Hub has them. Owned by the caller.
 */
struct js *remote_search(const char *term, unsigned limit, struct err *e);
/* The query of the next page, from "?" on, of a Link header; owned; NULL: there is none. */
char *search_next(const char *link);

/* The tags a registry has of a repository, in its order, appended; at most SEARCH_PAGES_MAX pages.
 */
int remote_tags(const char *name, struct strv *tags, struct err *e);

/* One manifest as a registry has it. */
struct remote_manifest {
	char *ref; /* "docker.io/library/busybox:1.36@sha256:..." */
	char *media_type;
	char digest[72]; /* "sha256:<hex>" */
	uint64_t size;
	struct str raw;	     /* its bytes; empty where they were not asked for */
	struct js *platform; /* as the index or the config says it; or NULL */
};

struct remote_manifests {
	bool index; /* the name stands for an index, and these are its entries */
	bool oci;   /* an OCI index, not docker's list */
	struct remote_manifest *v;
	size_t n;
};

/* What the registry has under a name. whole: bytes and platforms of all; insecure: see config.h. */
int remote_manifests(const char *name, bool whole, bool insecure, struct remote_manifests *out,
		     struct err *e);
void remote_manifests_free(struct remote_manifests *m);
/* Base64 of bytes; owned by the caller. */
char *remote_base64(const struct str *bytes);

#endif
