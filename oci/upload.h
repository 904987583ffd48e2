/* upload.h: blobs and manifests on their way to a registry. */
#ifndef ZL_OCI_UPLOAD_H
#define ZL_OCI_UPLOAD_H

#include "oci/registry.h"

/* Blobs up to this size go in one request; larger ones in a session that can be continued. */
#define UPLOAD_WHOLE_MAX (UINT64_C(4) << 20)
/* Seconds a registry may take to look through a whole blob after its last byte. */
#define UPLOAD_COMMIT_S 300

enum upload_end {
	UPLOAD_EXISTS,	/* it was there */
	UPLOAD_MOUNTED, /* the registry had it in the repository `from` */
	UPLOAD_DONE,
};

struct upload {
	struct digest d;
	uint64_t size;
	const char *from;	/* another repository of this registry that has it, or NULL */
	http_source_fn *source; /* its bytes */
	http_sent_fn *sent;	/* may be NULL */
	http_retry_fn *retry;	/* may be NULL */
	void *arg;		/* of these */
	const atomic_bool *cancel;
};

/*
 * Makes sure that the repository has the blob. A broken transfer is continued where the
 * registry says it stands, or begun anew where it does not know.
 */
int upload_blob(struct registry *g, const struct upload *u, enum upload_end *end, struct err *e);
/* The manifest, byte for byte, under a tag. */
int upload_manifest(struct registry *g, const char *tag, const char *media_type,
		    const struct str *bytes, const struct digest *d, struct err *e);

#endif
