/* digest.c: sha256 by libcrypto. */
#include "oci/digest.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/str.h"

#define PREFIX	   "sha256:"
#define PREFIX_LEN (sizeof(PREFIX) - 1)

/* Longest part of a malformed digest that is repeated in a message. */
#define QUOTE_MAX 80

struct digest_stream {
	EVP_MD_CTX *ctx;
};

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

bool digest_parse_hex(const char *hex, struct digest *out)
{
	struct digest d;

	if (hex == NULL || strlen(hex) != DIGEST_HEX_LEN)
		return false;
	for (size_t i = 0; i < DIGEST_BYTES; i++) {
		int hi = hex_value(hex[2 * i]), lo = hex_value(hex[2 * i + 1]);

		if (hi < 0 || lo < 0)
			return false;
		d.b[i] = (uint8_t)(hi << 4 | lo);
	}
	*out = d;
	return true;
}

int digest_parse(const char *text, struct digest *out, struct err *e)
{
	if (text == NULL)
		return err_set(e, EINVAL, "a digest is missing");
	if (str_starts(text, PREFIX) && digest_parse_hex(text + PREFIX_LEN, out))
		return 0;
	if (!str_starts(text, PREFIX) && strchr(text, ':'))
		return err_set(e, EINVAL,
			       "unsupported digest algorithm in \"%.*s\" (only sha256 is)",
			       QUOTE_MAX, text);
	return err_set(e, EINVAL, "invalid digest \"%.*s\"", QUOTE_MAX, text);
}

char *digest_hex(char *buf, const struct digest *d)
{
	hex_encode(buf, d->b, sizeof(d->b));
	return buf;
}

char *digest_format(char *buf, const struct digest *d)
{
	memcpy(buf, PREFIX, PREFIX_LEN);
	digest_hex(buf + PREFIX_LEN, d);
	return buf;
}

bool digest_equal(const struct digest *a, const struct digest *b)
{
	return memcmp(a->b, b->b, sizeof(a->b)) == 0;
}

static void init_once(void)
{
	OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL);
}

void digest_global_init(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, init_once);
}

/* libcrypto fails here only when memory is out. */
static void must(bool ok)
{
	if (!ok)
		abort();
}

struct digest_stream *digest_begin(void)
{
	struct digest_stream *d = xcalloc(1, sizeof(*d));

	digest_global_init();
	d->ctx = EVP_MD_CTX_new();
	must(d->ctx != NULL);
	must(EVP_DigestInit_ex(d->ctx, EVP_sha256(), NULL) == 1);
	return d;
}

void digest_add(struct digest_stream *d, const void *p, size_t n)
{
	if (n)
		must(EVP_DigestUpdate(d->ctx, p, n) == 1);
}

void digest_end(struct digest_stream *d, struct digest *out)
{
	unsigned len = 0;

	must(EVP_DigestFinal_ex(d->ctx, out->b, &len) == 1 && len == sizeof(out->b));
	must(EVP_DigestInit_ex(d->ctx, EVP_sha256(), NULL) == 1);
}

void digest_free(struct digest_stream *d)
{
	if (d == NULL)
		return;
	EVP_MD_CTX_free(d->ctx);
	free(d);
}

void digest_free_(struct digest_stream **d)
{
	digest_free(*d);
}

void digest_of(const void *p, size_t n, struct digest *out)
{
	own_digest struct digest_stream *d = digest_begin();

	digest_add(d, p, n);
	digest_end(d, out);
}
