/* digest.h: sha256 digests, "sha256:<hex>", computed as bytes go by. */
#ifndef ZL_OCI_DIGEST_H
#define ZL_OCI_DIGEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/base/err.h"

#define DIGEST_BYTES	32
#define DIGEST_HEX_LEN	64
#define DIGEST_TEXT_LEN 71 /* "sha256:" and the hex digits */
#define DIGEST_TEXT_MAX 72 /* with its NUL */

/*
 * A digest held as bytes can be nothing but well-formed: whatever comes from
 * outside is parsed into one before it becomes a part of a path.
 */
struct digest {
	uint8_t b[DIGEST_BYTES];
};

/* "sha256:" and 64 lower-case hex digits; anything else is -EINVAL, and says why. */
int digest_parse(const char *text, struct digest *out, struct err *e);
/* The same from the hex digits alone; false if it is anything else. */
bool digest_parse_hex(const char *hex, struct digest *out);
/* "sha256:<hex>" into buf (DIGEST_TEXT_MAX bytes); returns buf. */
char *digest_format(char *buf, const struct digest *d);
/* The hex digits alone, into buf (DIGEST_HEX_LEN + 1 bytes); returns buf. */
char *digest_hex(char *buf, const struct digest *d);
bool digest_equal(const struct digest *a, const struct digest *b);

/* Of a buffer, at once. */
void digest_of(const void *p, size_t n, struct digest *out);

/*
 * Streaming: begin, then add and end. Adding cannot fail. Used by one thread
 * at a time. digest_end gives the digest and begins anew.
 */
struct digest_stream;

struct digest_stream *digest_begin(void);
void digest_add(struct digest_stream *d, const void *p, size_t n);
void digest_end(struct digest_stream *d, struct digest *out);
void digest_free(struct digest_stream *d);
void digest_free_(struct digest_stream **d);
#define own_digest __attribute__((cleanup(digest_free_)))

/*
 * Prepares libcrypto for a static executable (no configuration file, hence
 * no plug-ins); done by itself before the first digest, any thread may call it.
 */
void digest_global_init(void);

#endif
