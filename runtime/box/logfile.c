/* logfile.c: writes a container's output as log records; see logfile.h. */
#include "runtime/box/logfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "runtime/base/fd.h"
#include "runtime/base/log.h"
#include "runtime/base/own.h"

/* Output is copied out of guest memory in pieces of this size before it is looked at. */
#define PIECE (32U << 10)
/* Records are written once so many bytes are waiting, and at the end of each call. */
#define BATCH (64U << 10)

struct logfile {
	int fd;
	off_t size;			 /* end of the last whole record */
	bool failed;			 /* said so already */
	struct str out;			 /* records to be written */
	struct str partial[LOG_STREAMS]; /* the start of a line */
	char *piece;
	char time[LOG_TIME_MAX];
	size_t time_len;
};

static size_t put_digits(char *out, uint64_t v, unsigned width)
{
	for (unsigned i = width; i-- > 0; v /= 10)
		out[i] = (char)('0' + v % 10);
	return width;
}

size_t log_time_format(char *out, int64_t ns)
{
	time_t sec = (time_t)(ns / 1000000000);
	size_t n = 0;
	struct tm tm;

	gmtime_r(&sec, &tm);
	n += put_digits(out + n, (uint64_t)tm.tm_year + 1900, 4);
	out[n++] = '-';
	n += put_digits(out + n, (uint64_t)tm.tm_mon + 1, 2);
	out[n++] = '-';
	n += put_digits(out + n, (uint64_t)tm.tm_mday, 2);
	out[n++] = 'T';
	n += put_digits(out + n, (uint64_t)tm.tm_hour, 2);
	out[n++] = ':';
	n += put_digits(out + n, (uint64_t)tm.tm_min, 2);
	out[n++] = ':';
	n += put_digits(out + n, (uint64_t)tm.tm_sec, 2);
	out[n++] = '.';
	n += put_digits(out + n, (uint64_t)(ns % 1000000000), 9);
	out[n++] = 'Z';
	out[n] = 0;
	return n;
}

static int64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

/* A record cut short by a crash must not swallow the next one. */
static int mend_end(int fd, off_t size)
{
	char last;

	if (size == 0 || pread(fd, &last, 1, size - 1) != 1 || last == '\n')
		return 0;
	return fd_write_full(fd, "\n", 1);
}

struct logfile *logfile_open(int dirfd, struct err *e)
{
	own_fd int fd =
		openat(dirfd, LOG_FILE, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	struct logfile *l;
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0) {
		err_sys(e, "open %s", LOG_FILE);
		return NULL;
	}
	if (mend_end(fd, st.st_size) < 0 || fstat(fd, &st) < 0) {
		err_sys(e, "write %s", LOG_FILE);
		return NULL;
	}
	l = xcalloc(1, sizeof(*l));
	l->size = st.st_size;
	l->fd = steal_fd(&fd);
	return l;
}

/*
 * Bytes of p that stand for themselves in a JSON string: printable ASCII but
 * for quote and backslash, eight at a time.
 */
static size_t plain_run(const unsigned char *p, size_t n)
{
	const uint64_t ones = 0x0101010101010101ULL, high = ones * 0x80;
	size_t i = 0;

	for (; i + 8 <= n; i += 8) {
		uint64_t v, quote, slash, control;

		memcpy(&v, p + i, 8);
		quote = v ^ ones * '"';
		slash = v ^ ones * '\\';
		control = (v - ones * 0x20) & ~v;
		quote = (quote - ones) & ~quote;
		slash = (slash - ones) & ~slash;
		if ((v | control | quote | slash) & high)
			break;
	}
	while (i < n && p[i] >= 0x20 && p[i] < 0x80 && p[i] != '"' && p[i] != '\\')
		i++;
	return i;
}

static void put_escaped(struct str *out, unsigned char c)
{
	static const char named[] = "\"\"\\\\\nn\rr\tt\bb\ff";
	static const char hex[] = "0123456789abcdef";
	char text[6] = { '\\', 'u', '0', '0', hex[c >> 4], hex[c & 15] };

	for (size_t i = 0; i + 1 < sizeof(named); i += 2) {
		if ((unsigned char)named[i] == c) {
			text[1] = named[i + 1];
			str_add_mem(out, text, 2);
			return;
		}
	}
	str_add_mem(out, text, sizeof(text));
}

/* The length of the valid UTF-8 sequence at p (no surrogates, no overlong), or 0. */
static size_t utf8_run(const unsigned char *p, size_t left)
{
	size_t n = p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : p[0] < 0xf5 ? 4 : 0;

	if (n == 0 || n > left)
		return 0;
	for (size_t i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	}
	if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
	    (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
		return 0;
	return n;
}

/* False if there were bytes that are no UTF-8. */
static bool put_text(struct str *out, const unsigned char *p, size_t n)
{
	bool clean = true;

	for (size_t i = 0; i < n;) {
		size_t k = plain_run(p + i, n - i);

		if (k == 0 && p[i] >= 0x80)
			k = utf8_run(p + i, n - i);
		if (k) {
			str_add_mem(out, p + i, k);
			i += k;
			continue;
		}
		if (p[i] < 0x80) {
			put_escaped(out, p[i]);
		} else {
			str_add_mem(out, "\357\277\275", 3);
			clean = false;
		}
		i++;
	}
	return clean;
}

static void put_base64(struct str *out, const unsigned char *p, size_t n)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	str_reserve(out, n / 3 * 4 + 5);
	for (size_t i = 0; i < n; i += 3) {
		size_t left = n - i;
		uint32_t v = (uint32_t)p[i] << 16 | (left > 1 ? (uint32_t)p[i + 1] << 8 : 0) |
			     (left > 2 ? p[i + 2] : 0);
		char four[4] = { digits[v >> 18], digits[v >> 12 & 63], digits[v >> 6 & 63],
				 digits[v & 63] };

		if (left < 3)
			four[3] = '=';
		if (left < 2)
			four[2] = '=';
		str_add_mem(out, four, 4);
	}
}

/* line[0 .. len) holds its newline where it has one. */
static void put_record(struct logfile *l, enum log_stream stream, const char *line, size_t len)
{
	const unsigned char *p = (const unsigned char *)line;
	bool clean;

	str_reserve(&l->out, len + 128);
	str_add_mem(&l->out, "{\"log\":\"", 8);
	clean = put_text(&l->out, p, len);
	if (stream == LOG_STDOUT)
		str_add_mem(&l->out, "\",\"stream\":\"stdout\",\"time\":\"", 28);
	else
		str_add_mem(&l->out, "\",\"stream\":\"stderr\",\"time\":\"", 28);
	str_add_mem(&l->out, l->time, l->time_len);
	if (!clean) {
		str_add_mem(&l->out, "\",\"raw\":\"", 9);
		put_base64(&l->out, p, len);
	}
	str_add_mem(&l->out, "\"}\n", 3);
}

static void flush(struct logfile *l)
{
	int rc;

	if (l->out.len == 0)
		return;
	rc = fd_write_full(l->fd, l->out.s, l->out.len);
	if (rc == 0) {
		l->size += (off_t)l->out.len;
		l->failed = false;
	} else {
		/* no half a record, so that the log stays readable */
		if (ftruncate(l->fd, l->size) < 0)
			rc = -errno;
		if (!l->failed)
			log_warn("container log: %s: output is lost from the log", strerror(-rc));
		l->failed = true;
	}
	l->out.len = 0;
	if (l->out.cap > 2 * BATCH)
		str_free(&l->out);
}

static void add_piece(struct logfile *l, enum log_stream stream, const char *p, size_t n)
{
	struct str *part = &l->partial[stream];

	while (n) {
		size_t room = LOG_LINE_MAX - part->len, span = n < room ? n : room;
		const char *nl = memchr(p, '\n', span);
		size_t k = nl ? (size_t)(nl - p) + 1 : span;

		if (nl == NULL && k < room) {
			str_add_mem(part, p, k);
			return;
		}
		if (part->len) {
			str_add_mem(part, p, k);
			put_record(l, stream, part->s, part->len);
			part->len = 0;
		} else {
			put_record(l, stream, p, k);
		}
		p += k;
		n -= k;
		if (l->out.len >= BATCH)
			flush(l);
	}
}

void logfile_add(struct logfile *l, enum log_stream stream, const struct iovec *iov, int n,
		 size_t skip)
{
	l->time_len = log_time_format(l->time, now_ns());
	if (l->piece == NULL)
		l->piece = xmalloc(PIECE);
	for (int i = 0; i < n; i++) {
		const char *from = iov[i].iov_base;
		size_t left = iov[i].iov_len, over = skip < left ? skip : left;

		skip -= over;
		from += over;
		left -= over;
		while (left) {
			size_t k = left < PIECE ? left : PIECE;

			memcpy(l->piece, from, k);
			add_piece(l, stream, l->piece, k);
			from += k;
			left -= k;
		}
	}
	flush(l);
}

void logfile_end(struct logfile *l, enum log_stream stream)
{
	struct str *part = &l->partial[stream];

	if (part->len) {
		l->time_len = log_time_format(l->time, now_ns());
		put_record(l, stream, part->s, part->len);
		flush(l);
	}
	str_free(part);
}

void logfile_close(struct logfile *l)
{
	if (l == NULL)
		return;
	for (int s = 0; s < LOG_STREAMS; s++)
		logfile_end(l, (enum log_stream)s);
	str_free(&l->out);
	free(l->piece);
	close(l->fd);
	free(l);
}
