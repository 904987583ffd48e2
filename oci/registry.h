/* registry.h: a repository of a registry: its manifests and blobs. */
#ifndef ZL_OCI_REGISTRY_H
#define ZL_OCI_REGISTRY_H

#include <stdatomic.h>

#include "oci/digest.h"
#include "oci/http.h"
#include "oci/ref.h"
#include "runtime/base/err.h"
#include "runtime/base/str.h"

/*
 * One repository on one host, with what it takes to be let in. Its functions may
 * be called by several threads at a time: connections are kept in a pool,
 * tokens are shared. Errors name the host, or the image where docker's words do.
 */
struct registry;

struct registry_options {
	const atomic_bool *cancel; /* see struct http_request; may be NULL */
	bool push;		   /* mirrors are left out, tokens are for pushing too */
	const char *scopes;	   /* further ones for tokens; NULL: none */
};

/* Asks nothing yet. NULL: the configuration (config.h) cannot be read. */
struct registry *registry_open(const struct ref *r, const struct registry_options *o,
			       struct err *e);
void registry_close(struct registry *g);
void registry_close_(struct registry **g);
#define own_registry __attribute__((cleanup(registry_close_)))

/* "registry-1.docker.io", "127.0.0.1:5000": for messages. */
const char *registry_host(const struct registry *g);

struct registry_manifest {
	struct str bytes;
	char *content_type; /* as the server calls it, or NULL */
	struct digest digest;
};

void registry_manifest_free(struct registry_manifest *m);
#define own_registry_manifest __attribute__((cleanup(registry_manifest_free)))

/*
 * A manifest or an index by tag or (want not NULL) by digest, its digest
 * verified. -ENOENT: the registry has none of that name; -EACCES: it does
 * not let us in.
 */
int registry_manifest(struct registry *g, const char *tag, const struct digest *want,
		      struct registry_manifest *out, struct err *e);
/*
 * What the tag stands for now, without fetching it; -ENOTSUP where the
 * registry does not say.
 */
int registry_head(struct registry *g, const char *tag, struct digest *out, struct err *e);

/* A small blob, whole, at most max bytes, verified. */
int registry_blob_small(struct registry *g, const struct digest *d, size_t max, struct str *out,
			struct err *e);
/* Which bytes of a blob of `size`: from `from` on, to the end or (not 0) up to `until`. */
struct registry_span {
	uint64_t from, until, size;
};

/*
 * A blob's bytes as they arrive; continues where a transfer breaks. The digest is the caller's to
 * verify. -ENOTSUP: `until` is set, and the registry does not serve ranges.
 */
int registry_blob(struct registry *g, const struct digest *d, const struct registry_span *span,
		  http_body_fn *body, http_retry_fn *retry, void *arg, struct err *e);

/* ---- for upload.c ---- */

struct http_request;
struct http_response;
/* One request for `where` in the repository ("manifests/latest"), or to a whole URL. */
int registry_ask(struct registry *g, const char *where, struct http_request *q,
		 struct http_response *resp, struct err *e);
/* A status that is no success, as docker words it. */
int registry_refusal(struct registry *g, const struct http_response *resp, const char *what,
		     struct err *e);

#endif
