/* ref.h: names of images, as docker's users write them. */
#ifndef ZL_OCI_REF_H
#define ZL_OCI_REF_H

#include <stdbool.h>

#include "oci/digest.h"
#include "runtime/base/err.h"

/* The registry that names without one mean, and the host that serves it. */
#define REF_DOMAIN_DEFAULT "docker.io"
#define REF_TAG_DEFAULT	   "latest"

/* Longest domain/path without tag and digest; longest tag. */
#define REF_NAME_MAX 255
#define REF_TAG_MAX  128

/*
 * A name in its full form: "busybox" is docker.io/library/busybox:latest. A
 * name with a digest means that content, whatever its tag says; then tag is
 * what was written, or NULL.
 */
struct ref {
	char *domain; /* "docker.io", "127.0.0.1:5000", "[::1]:5000" */
	char *path;   /* "library/busybox" */
	char *tag;    /* NULL only where there is a digest */
	bool has_digest;
	struct digest digest;
};

#define REF_INIT                         \
	{                                \
		NULL, NULL, NULL, false, \
		{                        \
			{                \
				0        \
			}                \
		}                        \
	}

/* -EINVAL with docker's words where the name is malformed; out is then empty. */
int ref_parse(const char *name, struct ref *out, struct err *e);
void ref_free(struct ref *r);
#define own_ref __attribute__((cleanup(ref_free)))

/*
 * The name the store files it under: "domain/path:tag", or with a digest
 * "domain/path@sha256:..." without the tag. Owned by the caller.
 */
char *ref_full(const struct ref *r);
/* The same without docker.io/ and library/, as people write it. */
char *ref_familiar(const struct ref *r);
/* "domain/path", and for people without docker.io/ and library/. */
char *ref_repository(const struct ref *r);
char *ref_familiar_repository(const struct ref *r);

#endif
