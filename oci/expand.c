/* expand.c: decoders behind one door; see expand.h. */
#include "oci/expand.h"

#include <bzlib.h>
#include <errno.h>
#include <isa-l/igzip_lib.h>
#include <lzma.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "runtime/base/str.h"

/* Enough of the start to tell what it is. */
#define MAGIC_BYTES 10
/* Largest window a zstd frame may ask for: 128 MiB, as the zstd command without --long. */
#define ZSTD_WINDOW_LOG_MAX 27
#define GZIP_PART_MAX	    (1U << 30)

enum step {
	STEP_MORE,   /* goes on, given more input or room */
	STEP_END,    /* a stream ended; another may follow */
	STEP_BROKEN, /* what was read is damaged */
	STEP_TOO_BIG /* it asks for more memory than it may have */
};

struct codec {
	const char *name;
	bool (*begin)(struct expand *x); /* false: out of memory */
	bool (*again)(struct expand *x); /* for the next stream */
	enum step (*step)(struct expand *x);
	void (*end)(struct expand *x);
};

struct expand {
	unpack_read_fn *read;
	void *arg;
	uint64_t max_bytes, max_ratio;
	uint64_t packed, bytes;
	const struct codec *codec; /* NULL: not known yet */
	bool open;		   /* codec->begin was called */
	bool boundary;		   /* between two streams */
	bool eof;
	const uint8_t *in; /* the reader's */
	size_t in_len;
	uint8_t *out; /* the caller's */
	size_t out_len;
	uint8_t head[MAGIC_BYTES]; /* the start, where it came in small pieces */
	const uint8_t *held;	   /* the reader's piece, while head is read first */
	size_t held_len;
	union {
		struct inflate_state *gz; /* 90 KiB */
		ZSTD_DStream *zstd;
		lzma_stream xz;
		bz_stream bz;
	};
};

/* ---- gzip ---- */

static bool gzip_again(struct expand *x)
{
	isal_inflate_reset(x->gz);
	x->gz->crc_flag = ISAL_GZIP;
	return true;
}

static bool gzip_begin(struct expand *x)
{
	x->gz = xmalloc(sizeof(*x->gz));
	isal_inflate_init(x->gz);
	return gzip_again(x);
}

/* It takes 32 bits for lengths; so do we, and are called again for the rest. */
static uint32_t gzip_part(size_t n)
{
	return n < GZIP_PART_MAX ? (uint32_t)n : GZIP_PART_MAX;
}

static enum step gzip_step(struct expand *x)
{
	struct inflate_state *gz = x->gz;
	uint32_t in = gzip_part(x->in_len), out = gzip_part(x->out_len);
	int rc;

	gz->next_in = (uint8_t *)(uintptr_t)x->in;
	gz->avail_in = in;
	gz->next_out = x->out;
	gz->avail_out = out;
	rc = isal_inflate(gz);
	x->in = gz->next_in;
	x->in_len -= in - gz->avail_in;
	x->out = gz->next_out;
	x->out_len -= out - gz->avail_out;
	if (rc < 0)
		return STEP_BROKEN;
	return gz->block_state == ISAL_BLOCK_FINISH ? STEP_END : STEP_MORE;
}

static void gzip_end(struct expand *x)
{
	free(x->gz);
}

/* ---- zstd ---- */

static bool zstd_begin(struct expand *x)
{
	x->zstd = ZSTD_createDStream();
	return x->zstd && !ZSTD_isError(ZSTD_DCtx_setParameter(x->zstd, ZSTD_d_windowLogMax,
							       ZSTD_WINDOW_LOG_MAX));
}

static bool zstd_again(struct expand *x)
{
	(void)x; /* the decoder goes on to the next frame by itself */
	return true;
}

static enum step zstd_step(struct expand *x)
{
	ZSTD_inBuffer in = { x->in, x->in_len, 0 };
	ZSTD_outBuffer out = { x->out, x->out_len, 0 };
	size_t rc = ZSTD_decompressStream(x->zstd, &out, &in);

	x->in += in.pos;
	x->in_len -= in.pos;
	x->out += out.pos;
	x->out_len -= out.pos;
	if (ZSTD_isError(rc))
		return STEP_BROKEN;
	return rc == 0 ? STEP_END : STEP_MORE;
}

static void zstd_end(struct expand *x)
{
	ZSTD_freeDStream(x->zstd);
}

/* ---- xz ---- */

static bool xz_begin(struct expand *x)
{
	x->xz = (lzma_stream)LZMA_STREAM_INIT;
	return lzma_stream_decoder(&x->xz, EXPAND_MEMORY_MAX, 0) == LZMA_OK;
}

static enum step xz_step(struct expand *x)
{
	lzma_ret rc;

	x->xz.next_in = x->in;
	x->xz.avail_in = x->in_len;
	x->xz.next_out = x->out;
	x->xz.avail_out = x->out_len;
	rc = lzma_code(&x->xz, LZMA_RUN);
	x->in = x->xz.next_in;
	x->in_len = x->xz.avail_in;
	x->out = x->xz.next_out;
	x->out_len = x->xz.avail_out;
	if (rc == LZMA_STREAM_END)
		return STEP_END;
	if (rc == LZMA_MEMLIMIT_ERROR)
		return STEP_TOO_BIG;
	return rc == LZMA_OK || rc == LZMA_BUF_ERROR ? STEP_MORE : STEP_BROKEN;
}

static void xz_end(struct expand *x)
{
	lzma_end(&x->xz);
}

static bool xz_again(struct expand *x)
{
	xz_end(x);
	return xz_begin(x);
}

/* ---- bzip2 ---- */

static bool bzip2_begin(struct expand *x)
{
	memset(&x->bz, 0, sizeof(x->bz));
	return BZ2_bzDecompressInit(&x->bz, 0, 0) == BZ_OK;
}

static enum step bzip2_step(struct expand *x)
{
	int rc;

	x->bz.next_in = (char *)x->in;
	x->bz.avail_in = (unsigned)x->in_len;
	x->bz.next_out = (char *)x->out;
	x->bz.avail_out = (unsigned)x->out_len;
	rc = BZ2_bzDecompress(&x->bz);
	x->in = (const uint8_t *)x->bz.next_in;
	x->in_len = x->bz.avail_in;
	x->out = (uint8_t *)x->bz.next_out;
	x->out_len = x->bz.avail_out;
	if (rc == BZ_STREAM_END)
		return STEP_END;
	return rc == BZ_OK ? STEP_MORE : STEP_BROKEN;
}

static void bzip2_end(struct expand *x)
{
	BZ2_bzDecompressEnd(&x->bz);
}

static bool bzip2_again(struct expand *x)
{
	bzip2_end(x);
	return bzip2_begin(x);
}

/* ---- none ---- */

static bool plain_begin(struct expand *x)
{
	(void)x;
	return true;
}

static enum step plain_step(struct expand *x)
{
	size_t n = x->in_len < x->out_len ? x->in_len : x->out_len;

	memcpy(x->out, x->in, n);
	x->in += n;
	x->in_len -= n;
	x->out += n;
	x->out_len -= n;
	/* It may end at any byte. */
	return x->in_len == 0 && x->eof ? STEP_END : STEP_MORE;
}

static void plain_end(struct expand *x)
{
	(void)x;
}

static const struct codec plain = { "plain", plain_begin, plain_begin, plain_step, plain_end };
static const struct codec gzip = { "gzip", gzip_begin, gzip_again, gzip_step, gzip_end };
static const struct codec zstd = { "zstd", zstd_begin, zstd_again, zstd_step, zstd_end };
static const struct codec xz = { "xz", xz_begin, xz_again, xz_step, xz_end };
static const struct codec bzip2 = { "bzip2", bzip2_begin, bzip2_again, bzip2_step, bzip2_end };

static const struct codec *codec_of(const uint8_t *p, size_t n)
{
	if (n >= 3 && memcmp(p, "\x1f\x8b\x08", 3) == 0)
		return &gzip;
	if (n >= 4 && memcmp(p, "\x28\xb5\x2f\xfd", 4) == 0)
		return &zstd;
	if (n >= 4 && (p[0] & 0xf0) == 0x50 && memcmp(p + 1, "\x2a\x4d\x18", 3) == 0)
		return &zstd; /* begins with a skippable frame */
	if (n >= 6 && memcmp(p,
			     "\xfd"
			     "7zXZ\0",
			     6) == 0)
		return &xz;
	/* Its magic alone could begin a file's name: the first block's (or the last's) follows. */
	if (n >= 10 && memcmp(p, "BZh", 3) == 0 && p[3] >= '1' && p[3] <= '9' &&
	    (memcmp(p + 4, "\x31\x41\x59\x26\x53\x59", 6) == 0 ||
	     memcmp(p + 4, "\x17\x72\x45\x38\x50\x90", 6) == 0))
		return &bzip2;
	return &plain;
}

/* ---- the door ---- */

struct expand *expand_new(unpack_read_fn *read, void *arg, const struct unpack_limits *limits)
{
	struct expand *x = xcalloc(1, sizeof(*x));

	x->read = read;
	x->arg = arg;
	x->max_bytes = limits && limits->bytes ? limits->bytes : UNPACK_BYTES_MAX;
	x->max_ratio = limits && limits->ratio ? limits->ratio : UNPACK_RATIO_MAX;
	return x;
}

void expand_free(struct expand *x)
{
	if (x && x->open)
		x->codec->end(x);
	free(x);
}

static int refill(struct expand *x, struct err *e)
{
	const void *p = NULL;
	ssize_t n;

	if (x->held_len) {
		x->in = x->held;
		x->in_len = x->held_len;
		x->held_len = 0;
		return 0;
	}
	n = x->read(x->arg, &p, e);
	if (n < 0)
		return (int)n;
	x->eof = n == 0;
	x->in = p;
	x->in_len = (size_t)n;
	x->packed += (uint64_t)n;
	return 0;
}

/* Gathers the first bytes, as small as the pieces may be in which they come. */
static int recognise(struct expand *x, struct err *e)
{
	size_t n = 0;

	while (n < MAGIC_BYTES && !x->eof) {
		size_t take;
		int rc = refill(x, e);

		if (rc < 0)
			return rc;
		take = x->in_len < MAGIC_BYTES - n ? x->in_len : MAGIC_BYTES - n;
		if (take)
			memcpy(x->head + n, x->in, take);
		n += take;
		x->held = x->in + take;
		x->held_len = x->in_len - take;
	}
	x->in = x->head;
	x->in_len = n;
	x->codec = codec_of(x->head, n);
	x->boundary = true;
	return 0;
}

/* Between two streams: 1 where there is nothing more. */
static int next_stream(struct expand *x, struct err *e)
{
	for (;;) {
		int rc;

		/* Some writers pad to a whole block with zeros. */
		while (x->open && x->codec != &plain && x->in_len && *x->in == 0) {
			x->in++;
			x->in_len--;
		}
		if (x->in_len || x->eof)
			break;
		rc = refill(x, e);
		if (rc < 0)
			return rc;
	}
	if (x->in_len == 0)
		return 1;
	if (x->open ? !x->codec->again(x) : !x->codec->begin(x)) {
		x->open = false;
		return err_set(e, ENOMEM, "no memory for %s", x->codec->name);
	}
	x->open = true;
	x->boundary = false;
	return 0;
}

static int check_limits(const struct expand *x, struct err *e)
{
	if (x->bytes > x->max_bytes)
		return err_set(e, EFBIG, "it is larger than %llu bytes unpacked",
			       (unsigned long long)x->max_bytes);
	if (x->bytes > UNPACK_RATIO_FREE && x->bytes / x->max_ratio > x->packed)
		return err_set(e, EFBIG, "%llu bytes became more than %llu: a compression bomb",
			       (unsigned long long)x->packed, (unsigned long long)x->bytes);
	return 0;
}

/* One step of the decoder; 1 at the end of all. */
static int advance(struct expand *x, struct err *e)
{
	size_t in_before, out_before = x->out_len;
	enum step step;
	int rc = 0;

	if (x->boundary) {
		rc = next_stream(x, e);
		if (rc != 0)
			return rc;
	}
	if (x->in_len == 0 && !x->eof) {
		rc = refill(x, e);
		if (rc < 0)
			return rc;
	}
	in_before = x->in_len;
	step = x->codec->step(x);
	x->bytes += out_before - x->out_len;
	if (step == STEP_BROKEN)
		return err_set(e, EBADMSG, "the %s data is damaged", x->codec->name);
	if (step == STEP_TOO_BIG)
		return err_set(e, EFBIG, "the %s data takes more than %llu MiB of memory to unpack",
			       x->codec->name, (unsigned long long)(EXPAND_MEMORY_MAX >> 20));
	if (step == STEP_END)
		x->boundary = true;
	else if (x->eof && x->in_len == in_before && x->out_len == out_before)
		return err_set(e, EBADMSG, "the %s data is cut short", x->codec->name);
	return check_limits(x, e);
}

ssize_t expand_fill(struct expand *x, void *buf, size_t n, struct err *e)
{
	int rc = 0;

	if (x->codec == NULL)
		rc = recognise(x, e);
	x->out = buf;
	x->out_len = n;
	while (rc == 0 && x->out_len)
		rc = advance(x, e);
	return rc < 0 ? rc : (ssize_t)(n - x->out_len);
}

uint64_t expand_packed(const struct expand *x)
{
	return x->packed;
}

uint64_t expand_bytes(const struct expand *x)
{
	return x->bytes;
}
