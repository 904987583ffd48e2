/* logfile.c: writes a container's output as log records; see logfile.h. */
#include "runtime/box/logfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
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
	int dirfd, fd;
	off_t size; /* end of the last whole record */
	struct log_config config;
	struct str middle[LOG_STREAMS];	 /* of a record, between "log" and the time */
	bool failed;			 /* said so already */
	uint64_t limit, taken;		 /* bytes of output; limit 0: none */
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

static int open_log(int dirfd, const char *name, int flags)
{
	return openat(dirfd, name, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | flags,
		      0600);
}

struct logfile *logfile_open(int dirfd, const struct log_config *c, struct err *e)
{
	static const char *const names[LOG_STREAMS] = { "stdout", "stderr" };
	own_fd int fd = open_log(dirfd, LOG_FILE, 0);
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
	l->dirfd = dirfd;
	l->size = st.st_size;
	l->config = *c;
	for (int i = 0; i < LOG_STREAMS; i++) {
		str_addf(&l->middle[i], "\",\"stream\":\"%s\"", names[i]);
		if (c->attrs)
			str_addf(&l->middle[i], ",\"attrs\":%s", c->attrs);
		str_add(&l->middle[i], ",\"time\":\"");
	}
	l->config.attrs = NULL;
	l->fd = steal_fd(&fd);
	return l;
}

/* --- rotation */

void log_file_name(char name[LOG_NAME_MAX], unsigned i)
{
	snprintf(name, LOG_NAME_MAX, i ? LOG_FILE ".%u" : LOG_FILE, i);
}

/*
 * The new file is there before anything moves: where it cannot be made, the
 * old one goes on. A reader may find one number missing, never two.
 */
static void rotate(struct logfile *l)
{
	int fd = open_log(l->dirfd, LOG_FILE_NEW, O_TRUNC);
	char from[LOG_NAME_MAX], to[LOG_NAME_MAX];

	if (fd < 0)
		return;
	for (unsigned i = l->config.max_files - 1; i > 0; i--) {
		log_file_name(from, i - 1);
		log_file_name(to, i);
		renameat(l->dirfd, from, l->dirfd, to);
	}
	if (renameat(l->dirfd, LOG_FILE_NEW, l->dirfd, LOG_FILE) < 0) {
		close(fd);
		return;
	}
	close(l->fd);
	l->fd = fd;
	l->size = 0;
}

/* How a byte is written in a JSON string; any other letter: after a backslash. */
enum {
	PLAIN, /* as it is */
	UTF8,  /* as it is, if it starts a valid sequence */
	HEX,   /* \u00xx */
};

static const char how[256] = {
	[0 ... 7] = HEX, ['\b'] = 'b',	['\t'] = 't',		['\n'] = 'n',
	[0xb] = HEX,	 ['\f'] = 'f',	['\r'] = 'r',		[0xe ... 0x1f] = HEX,
	['"'] = '"',	 ['\\'] = '\\', [0x80 ... 0xff] = UTF8,
};

/* The longest a byte can become. */
#define BYTE_MAX 6

/* Eight bytes that are all plain. */
static bool plain8(const unsigned char *p)
{
	const uint64_t ones = 0x0101010101010101ULL, high = ones * 0x80;
	uint64_t v, quote, slash, control;

	memcpy(&v, p, 8);
	quote = v ^ ones * '"';
	slash = v ^ ones * '\\';
	control = (v - ones * 0x20) & ~v;
	quote = (quote - ones) & ~quote;
	slash = (slash - ones) & ~slash;
	return ((v | control | quote | slash) & high) == 0;
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

/* A byte that is not plain, or the UTF-8 sequence it starts; how many bytes it used. */
static size_t put_special(char **at, const unsigned char *p, size_t left, bool *clean)
{
	static const char hex[] = "0123456789abcdef";
	char kind = how[p[0]], *o = *at;
	size_t n = 1;

	if (kind == UTF8) {
		n = utf8_run(p, left);
		*clean &= n != 0;
		memcpy(o, n ? (const char *)p : "\357\277\275", n ? n : 3);
		*at = o + (n ? n : 3);
		return n ? n : 1;
	}
	*o++ = '\\';
	if (kind == HEX) {
		memcpy(o, "u00", 3);
		o[3] = hex[p[0] >> 4];
		o[4] = hex[p[0] & 15];
		o += 5;
	} else {
		*o++ = kind;
	}
	*at = o;
	return n;
}

/* False if there were bytes that are no UTF-8. */
static bool put_text(struct str *out, const unsigned char *p, size_t n)
{
	bool clean = true;
	size_t i = 0;
	char *o;

	str_reserve(out, n * BYTE_MAX);
	o = out->s + out->len;
	while (i < n) {
		for (; n - i >= 8 && plain8(p + i); i += 8, o += 8)
			memcpy(o, p + i, 8);
		if (i == n)
			break;
		if (how[p[i]] == PLAIN)
			*o++ = (char)p[i++];
		else
			i += put_special(&o, p + i, n - i, &clean);
	}
	out->len = (size_t)(o - out->s);
	return clean;
}

static void put_base64(struct str *out, const unsigned char *p, size_t n)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	char *o;

	str_reserve(out, n / 3 * 4 + 4);
	o = out->s + out->len;
	for (size_t i = 0; i < n; i += 3, o += 4) {
		size_t left = n - i;
		uint32_t v = (uint32_t)p[i] << 16 | (left > 1 ? (uint32_t)p[i + 1] << 8 : 0) |
			     (left > 2 ? p[i + 2] : 0);

		o[0] = digits[v >> 18];
		o[1] = digits[v >> 12 & 63];
		o[2] = left > 1 ? digits[v >> 6 & 63] : '=';
		o[3] = left > 2 ? digits[v & 63] : '=';
	}
	out->len = (size_t)(o - out->s);
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

/* line[0 .. len) holds its newline where it has one. */
static void put_record(struct logfile *l, enum log_stream stream, const char *line, size_t len)
{
	const unsigned char *p = (const unsigned char *)line;
	bool clean;

	if (l->config.max_size && (uint64_t)l->size + l->out.len >= l->config.max_size) {
		flush(l);
		rotate(l);
	}
	str_reserve(&l->out, len + 128);
	str_add_mem(&l->out, "{\"log\":\"", 8);
	clean = put_text(&l->out, p, len);
	str_add_mem(&l->out, l->middle[stream].s, l->middle[stream].len);
	str_add_mem(&l->out, l->time, l->time_len);
	if (!clean) {
		str_add_mem(&l->out, "\",\"raw\":\"", 9);
		put_base64(&l->out, p, len);
	}
	str_add_mem(&l->out, "\"}\n", 3);
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
	if (l->limit && l->taken >= l->limit)
		return;
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
			l->taken += k;
			from += k;
			left -= k;
		}
	}
	flush(l);
}

void logfile_limit(struct logfile *l, uint64_t bytes)
{
	l->limit = bytes;
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
	for (int s = 0; s < LOG_STREAMS; s++)
		str_free(&l->middle[s]);
	free(l->piece);
	close(l->fd);
	free(l);
}
