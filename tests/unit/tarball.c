/* tarball.c: tar headers by hand; see tarball.h. */
#include "tests/unit/tarball.h"

#include <bzlib.h>
#include <lzma.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#define BLOCK 512

static void octal(char *field, size_t width, uint64_t v)
{
	for (size_t i = width - 1; i-- > 0; v >>= 3)
		field[i] = (char)('0' + (v & 7));
	field[width - 1] = 0;
}

static void pad(struct str *t)
{
	static const char zeros[BLOCK];

	if (t->len % BLOCK)
		str_add_mem(t, zeros, BLOCK - t->len % BLOCK);
}

void tar_add(struct str *t, char type, const char *name, const struct tar_head *h, const void *data,
	     size_t n)
{
	char b[BLOCK] = { 0 };
	unsigned sum = 0;

	memcpy(b, name, strnlen(name, 100));
	octal(b + 100, 8, h->mode);
	octal(b + 108, 8, h->uid);
	octal(b + 116, 8, h->gid);
	octal(b + 124, 12, n);
	octal(b + 136, 12, (uint64_t)h->mtime);
	memset(b + 148, ' ', 8);
	b[156] = type;
	if (h->link)
		memcpy(b + 157, h->link, strnlen(h->link, 100));
	memcpy(b + 257, "ustar\00000", 8);
	octal(b + 329, 8, h->major);
	octal(b + 337, 8, h->minor);
	for (size_t i = 0; i < BLOCK; i++)
		sum += (unsigned char)b[i];
	octal(b + 148, 7, sum);
	str_add_mem(t, b, BLOCK);
	if (n)
		str_add_mem(t, data, n);
	pad(t);
}

void tar_file(struct str *t, const char *name, unsigned mode, const char *text)
{
	tar_add(t, '0', name, &(struct tar_head){ .mode = mode }, text, strlen(text));
}

void tar_dir(struct str *t, const char *name, unsigned mode)
{
	tar_add(t, '5', name, &(struct tar_head){ .mode = mode }, NULL, 0);
}

void tar_symlink(struct str *t, const char *name, const char *target)
{
	tar_add(t, '2', name, &(struct tar_head){ .mode = 0777, .link = target }, NULL, 0);
}

void tar_hardlink(struct str *t, const char *name, const char *target)
{
	tar_add(t, '1', name, &(struct tar_head){ .mode = 0644, .link = target }, NULL, 0);
}

void tar_record(struct str *records, const char *key, const void *value, size_t n)
{
	size_t body = strlen(key) + n + 3, len = body + 1;
	char digits[24];

	/* The length counts its own digits. */
	while ((size_t)snprintf(digits, sizeof(digits), "%zu", len) + body != len)
		len++;
	str_addf(records, "%zu %s=", len, key);
	str_add_mem(records, value, n);
	str_add_char(records, '\n');
}

void tar_records(struct str *t, const struct str *records)
{
	tar_add(t, 'x', "pax", &(struct tar_head){ .mode = 0644 }, records->s, records->len);
}

void tar_pax(struct str *t, const char *key, const void *value, size_t n)
{
	own_str struct str records = STR_INIT;

	tar_record(&records, key, value, n);
	tar_records(t, &records);
}

void tar_end(struct str *t)
{
	static const char zeros[2 * BLOCK];

	str_add_mem(t, zeros, sizeof(zeros));
}

static size_t pack_gzip(const void *p, size_t n, char *out, size_t room)
{
	z_stream z = { .next_in = (Bytef *)p,
		       .avail_in = (uInt)n,
		       .next_out = (Bytef *)out,
		       .avail_out = (uInt)room };

	if (deflateInit2(&z, 1, Z_DEFLATED, 15 + 16, 8, 0) != Z_OK ||
	    deflate(&z, Z_FINISH) != Z_STREAM_END)
		abort();
	deflateEnd(&z);
	return room - z.avail_out;
}

void pack(char how, const void *p, size_t n, struct str *out)
{
	size_t room = n + n / 8 + 4096, len = 0;
	unsigned bz_len = (unsigned)room;
	char *buf = xmalloc(room);

	if (how == 'g') {
		len = pack_gzip(p, n, buf, room);
	} else if (how == 'z') {
		len = ZSTD_compress(buf, room, p, n, 1);
		if (ZSTD_isError(len))
			abort();
	} else if (how == 'x') {
		if (lzma_easy_buffer_encode(1, LZMA_CHECK_CRC32, NULL, p, n, (uint8_t *)buf, &len,
					    room) != LZMA_OK)
			abort();
	} else {
		if (BZ2_bzBuffToBuffCompress(buf, &bz_len, (char *)p, (unsigned)n, 1, 0, 0) !=
		    BZ_OK)
			abort();
		len = bz_len;
	}
	str_add_mem(out, buf, len);
	free(buf);
}

char *scratch_dir(void)
{
	const char *const places[] = { getenv("TMPDIR"), "/tmp", "/var/tmp" };

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		char *dir;

		if (places[i] == NULL)
			continue;
		dir = xasprintf("%s/zl-test.XXXXXX", places[i]);
		if (mkdtemp(dir)) {
			if (setxattr(dir, "user.test", "y", 1, 0) == 0)
				return dir;
			rmdir(dir);
		}
		free(dir);
	}
	return NULL;
}
