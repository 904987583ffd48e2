/* logread.c: reads a container's log, from its end or as it grows; see logfile.h. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/fd.h"
#include "runtime/base/own.h"
#include "runtime/box/logfile.h"
#include "runtime/box/state.h"

/*
 * Theory of operation.
 *
 * The log is a chain of files (logfile.h), of which the newest grows until it
 * is moved away. A reader goes from the oldest to the newest. At the end of a
 * file it looks whether that still is log.json: if not, nothing will be added
 * to it any more, so that what has come since the last look is the last of
 * it, and the file that is newer by one comes next. Files are known by their
 * inodes, which stay theirs while we have them open. One that was dropped
 * before we came to it is lost to us, as it is to everybody.
 */
#define READ_SIZE (64U << 10)
#define OUT_SIZE  (64U << 10)
/* How often the chain may change under our eyes while we open it. */
#define CHAIN_TRIES 1000

/* The files of the log, newest first. */
struct chain {
	int fd[LOG_FILES_MAX];
	unsigned n;
};

struct reader {
	const struct box_log_options *o;
	int dirfd;
	unsigned max_files;
	int fd;	       /* the file that is read; -1: none yet */
	struct str in; /* the start of a record that is not complete yet */
	struct str out;
	int out_fd;
	struct log_record r;
	bool mid_line[LOG_STREAMS]; /* the last record of it had no newline */
	bool past_end;		    /* came to `until` */
};

static int put_out(struct reader *r)
{
	int rc = r->out.len && r->out_fd >= 0 ? fd_write_full(r->out_fd, r->out.s, r->out.len) : 0;

	r->out.len = 0;
	return rc;
}

static int put_record(struct reader *r)
{
	const struct log_record *rec = &r->r;
	int fd = rec->stream == LOG_STDERR ? r->o->err : r->o->out;
	char time[LOG_TIME_MAX];
	int rc = 0;

	if (r->o->until_ns && rec->time_ns > r->o->until_ns) {
		r->past_end = true;
		return 0;
	}
	if (rec->time_ns < r->o->since_ns)
		return 0;
	if (fd != r->out_fd || r->out.len >= OUT_SIZE)
		rc = put_out(r);
	r->out_fd = fd;
	if (r->o->timestamps && !r->mid_line[rec->stream]) {
		str_add_mem(&r->out, time, log_time_format(time, rec->time_ns));
		str_add_char(&r->out, ' ');
	}
	if (r->o->details && !r->mid_line[rec->stream]) {
		str_add_mem(&r->out, rec->attrs.s, rec->attrs.len);
		str_add_char(&r->out, ' ');
	}
	str_add_mem(&r->out, rec->data.s, rec->data.len);
	r->mid_line[rec->stream] = rec->data.len && rec->data.s[rec->data.len - 1] != '\n';
	return rc;
}

/* The whole records in r->in. What is no record (a crash cut it short) is passed over. */
static int take_records(struct reader *r)
{
	size_t done = 0;
	int rc = 0;

	while (rc == 0 && !r->past_end) {
		char *line = r->in.s + done;
		char *nl = memchr(line, '\n', r->in.len - done);

		if (nl == NULL)
			break;
		if (log_record_parse(line, (size_t)(nl - line), &r->r) == 0)
			rc = put_record(r);
		done = (size_t)(nl + 1 - r->in.s);
	}
	memmove(r->in.s, r->in.s + done, r->in.len - done);
	r->in.len -= done;
	if (r->in.len > LOG_RECORD_MAX)
		r->in.len = 0;
	return rc;
}

/* To the file's present end. */
static int read_on(struct reader *r, struct err *e)
{
	int rc = 0;

	while (rc == 0 && !r->past_end) {
		ssize_t n;

		str_reserve(&r->in, READ_SIZE);
		n = read(r->fd, r->in.s + r->in.len, READ_SIZE);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(e, "read %s", LOG_FILE);
		if (n == 0)
			break;
		r->in.len += (size_t)n;
		rc = take_records(r);
	}
	if (rc == 0)
		rc = put_out(r);
	return rc < 0 ? err_set(e, -rc, "write logs: %s", strerror(-rc)) : 0;
}

/* --- the chain */

static bool same_file(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* 1: fd is log.json; 0: it is not; -ENOENT: there is none, as between two steps of a rotation. */
static int is_newest(const struct reader *r, int fd)
{
	struct stat mine, newest;

	if (fstat(fd, &mine) < 0)
		return -errno;
	if (fstatat(r->dirfd, LOG_FILE, &newest, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	return same_file(&mine, &newest);
}

static void chain_close(struct chain *c)
{
	while (c->n)
		own_fd_(&c->fd[--c->n]);
}

/* As far as it goes; while it is rotated, a file may be met again under its next number. */
static int chain_try(const struct reader *r, struct chain *c)
{
	struct stat st, last = { .st_ino = 0 };
	char name[LOG_NAME_MAX];

	c->n = 0;
	for (unsigned i = 0; i < r->max_files; i++) {
		int fd;

		log_file_name(name, i);
		fd = openat(r->dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
		if (fd < 0 && errno == ENOENT)
			continue;
		if (fd < 0 || fstat(fd, &st) < 0)
			return -errno;
		if (c->n && same_file(&st, &last)) {
			close(fd);
			continue;
		}
		c->fd[c->n++] = fd;
		last = st;
	}
	return 0;
}

/* All files at one moment: log.json was the newest before and after. */
static int chain_open(const struct reader *r, struct chain *c, struct err *e)
{
	int rc = 0;

	for (int i = 0; i < CHAIN_TRIES && rc == 0; i++) {
		rc = chain_try(r, c);
		if (rc == 0 && (c->n == 0 || is_newest(r, c->fd[0]) == 1))
			return 0;
		if (i < CHAIN_TRIES - 1)
			chain_close(c);
	}
	return rc < 0 ? err_set(e, -rc, "open %s: %s", LOG_FILE, strerror(-rc)) : 0;
}

/* Where r->fd is in the chain; n: it was dropped from it. */
static unsigned chain_find(const struct chain *c, int fd)
{
	struct stat mine, st;
	unsigned i;

	for (i = 0; i < c->n; i++)
		if (fstat(fd, &mine) == 0 && fstat(c->fd[i], &st) == 0 && same_file(&mine, &st))
			break;
	return i;
}

/* From a file that has ended to the next one: 1; 0 where there is none yet. */
static int advance(struct reader *r, struct err *e)
{
	struct chain c;
	unsigned at;
	int rc = r->fd < 0 ? 0 : is_newest(r, r->fd);

	if (rc == 1 || rc == -ENOENT) /* the rotation will be announced when it is complete */
		return 0;
	if (rc < 0)
		return err_set(e, -rc, "read %s: %s", LOG_FILE, strerror(-rc));
	rc = r->fd < 0 ? 0 : read_on(r, e);
	if (rc == 0 && !r->past_end)
		rc = chain_open(r, &c, e);
	else
		return rc;
	at = r->fd < 0 ? c.n : chain_find(&c, r->fd);
	if (rc == 0 && at > 0 && c.n) {
		int next = steal_fd(&c.fd[at - 1]);

		if (r->fd >= 0)
			close(r->fd);
		r->fd = next;
		r->in.len = 0;
		rc = 1;
	}
	chain_close(&c);
	return rc;
}

/* To the present end of the newest file. */
static int catch_up(struct reader *r, struct err *e)
{
	int rc = r->fd < 0 ? 0 : read_on(r, e);

	while (rc == 0 && !r->past_end) {
		rc = advance(r, e);
		if (rc <= 0)
			break;
		rc = read_on(r, e);
	}
	return rc;
}

/* --- the last lines */

struct tail {
	int64_t lines; /* that are still to be found */
	bool seen[LOG_STREAMS];
};

/*
 * Whether the record ends a line, as seen from behind: it ends with a newline,
 * or nothing came after it.
 */
static bool ends_line(struct tail *t, const struct log_record *r)
{
	bool last = !t->seen[r->stream];

	t->seen[r->stream] = true;
	return last || (r->data.len && r->data.s[r->data.len - 1] == '\n');
}

/* Whether the record from `from` to its newline at `to` is before the lines that are wanted. */
static int is_before(struct tail *t, struct log_record *rec, int fd, off_t from, off_t to)
{
	own_free char *line = NULL;
	size_t n = (size_t)(to - from);

	if (n == 0 || n > LOG_RECORD_MAX)
		return 0;
	line = xmalloc(n);
	if (pread(fd, line, n, from) != (ssize_t)n)
		return -EIO;
	if (log_record_parse(line, n, rec) < 0)
		return 0;
	return ends_line(t, rec) && t->lines-- == 0;
}

/* Goes back over the file; the position behind the record before the wanted lines, 0 if it has
 * none. */
static off_t tail_in_file(struct tail *t, struct log_record *rec, int fd)
{
	own_free char *buf = xmalloc(READ_SIZE);
	off_t at = lseek(fd, 0, SEEK_END), end = -1; /* the newline that ends the last record */

	while (at > 0) {
		size_t n = at < (off_t)READ_SIZE ? (size_t)at : READ_SIZE;

		at -= (off_t)n;
		if (pread(fd, buf, n, at) != (ssize_t)n)
			return -EIO;
		for (size_t i = n; i > 0; i--) {
			off_t here = at + (off_t)i;
			int rc;

			if (buf[i - 1] != '\n')
				continue;
			rc = end < 0 ? 0 : is_before(t, rec, fd, here, end);
			if (rc)
				return rc < 0 ? rc : end + 1;
			end = here - 1;
		}
	}
	if (end >= 0) {
		int rc = is_before(t, rec, fd, 0, end);

		if (rc)
			return rc < 0 ? rc : end + 1;
	}
	return 0;
}

/* Moves the files of the chain to where the last lines begin; the number of the first to read. */
static int seek_tail(struct reader *r, const struct chain *c, struct err *e)
{
	struct tail t = { .lines = r->o->tail };

	for (unsigned i = 0; i < c->n; i++) {
		off_t from = r->o->tail ? tail_in_file(&t, &r->r, c->fd[i])
					: lseek(c->fd[i], 0, SEEK_END);

		if (from < 0 || lseek(c->fd[i], from, SEEK_SET) < 0)
			return err_set(e, EIO, "read %s", LOG_FILE);
		if (from > 0 || r->o->tail == 0)
			return (int)i;
	}
	return (int)c->n - 1;
}

/* What there is, as far as --tail wants it; then r->fd is the newest file. */
static int begin(struct reader *r, struct err *e)
{
	struct chain c;
	int rc = chain_open(r, &c, e), first = (int)c.n - 1;

	if (rc == 0 && r->o->tail >= 0 && c.n)
		rc = first = seek_tail(r, &c, e);
	for (int i = first; i >= 0 && rc >= 0 && !r->past_end; i--) {
		r->fd = c.fd[i];
		r->in.len = 0;
		rc = read_on(r, e);
	}
	r->fd = c.n && rc >= 0 ? steal_fd(&c.fd[0]) : -1;
	chain_close(&c);
	return rc < 0 ? rc : 0;
}

/* --- as it grows */

static int until_ms(const struct reader *r)
{
	int64_t left;

	if (r->o->until_ns == 0)
		return -1;
	left = (r->o->until_ns - state_now()) / 1000000;
	return left < 0 ? 0 : left > 1000000 ? 1000000 : (int)left + 1;
}

/* Until there is no more to come. */
static int follow(struct reader *r, const struct log_end *end, int watch, struct err *e)
{
	char events[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
	int ended = 0;

	do {
		struct pollfd p[2] = {
			{ .fd = watch, .events = POLLIN },
			{ .fd = end->fd, .events = POLLIN },
		};
		int rc = catch_up(r, e);

		if (rc < 0 || ended || r->past_end)
			return rc;
		rc = poll(p, 2, until_ms(r));
		if (rc < 0 && errno != EINTR)
			return err_sys(e, "poll");
		if (rc == 0 && until_ms(r) == 0)
			return catch_up(r, e);
		if (rc > 0 && p[0].revents && read(watch, events, sizeof(events)) < 0 &&
		    errno != EAGAIN && errno != EINTR)
			return err_sys(e, "inotify");
		if (rc > 0 && p[1].revents)
			ended = end->ended(end->arg, e);
		if (ended < 0)
			return ended;
	} while (true);
}

static int watch_dir(const char *dir, struct err *e)
{
	own_fd int watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);

	if (watch < 0 || inotify_add_watch(watch, dir, IN_MODIFY | IN_CREATE | IN_MOVED_TO) < 0)
		return err_sys(e, "watch %s", dir);
	return steal_fd(&watch);
}

int log_read(const char *dir, unsigned max_files, const struct box_log_options *o,
	     const struct log_end *end, struct err *e)
{
	struct reader r = { .o = o, .max_files = max_files, .out_fd = -1, .fd = -1 };
	own_fd int dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	own_fd int watch = -1;
	int rc = dirfd < 0 ? err_sys(e, "open %s", dir) : 0;

	r.dirfd = dirfd;
	/* before the first look, so that nothing falls in between */
	if (rc == 0 && end)
		rc = watch = watch_dir(dir, e);
	if (rc >= 0)
		rc = begin(&r, e);
	if (rc == 0 && end && !r.past_end)
		rc = follow(&r, end, watch, e);
	own_fd_(&r.fd);
	str_free(&r.in);
	str_free(&r.out);
	log_record_free(&r.r);
	return rc;
}
