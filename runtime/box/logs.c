/* logs.c: `zl logs`: reads a container's log.json, from its end or as it grows; see box.h. */
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
#include "vsock/wire.h"

#define READ_SIZE (64U << 10)
#define OUT_SIZE  (64U << 10)

struct reader {
	const struct box_log_options *o;
	int fd;
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

/* Goes back from the end over `lines` records. */
static int seek_tail(int fd, int64_t lines, struct err *e)
{
	own_free char *buf = xmalloc(READ_SIZE);
	off_t at = lseek(fd, 0, SEEK_END);
	bool first = true; /* the newline that ends the last record */

	while (at > 0) {
		size_t n = at < (off_t)READ_SIZE ? (size_t)at : READ_SIZE;

		at -= (off_t)n;
		if (pread(fd, buf, n, at) != (ssize_t)n)
			return err_sys(e, "read %s", LOG_FILE);
		for (size_t i = n; i > 0; i--) {
			if (buf[i - 1] != '\n')
				continue;
			if (!first && --lines <= 0)
				return lseek(fd, at + (off_t)i, SEEK_SET) < 0 ? -errno : 0;
			first = false;
		}
	}
	return lseek(fd, 0, SEEK_SET) < 0 ? -errno : 0;
}

static int until_ms(const struct reader *r)
{
	int64_t left;

	if (r->o->until_ns == 0)
		return -1;
	left = (r->o->until_ns - state_now()) / 1000000;
	return left < 0 ? 0 : left > 1000000 ? 1000000 : (int)left + 1;
}

/* As the file grows, until the container ends: c is NULL if it has. */
static int follow(struct reader *r, struct box_client *c, int watch, struct err *e)
{
	char events[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
	struct box_event ev;
	bool ended = false;
	int rc;

	do {
		struct pollfd p[2] = {
			{ .fd = watch, .events = POLLIN },
			{ .fd = box_client_fd(c), .events = POLLIN },
		};

		rc = read_on(r, e);
		if (rc < 0 || ended || r->past_end)
			return rc;
		rc = poll(p, 2, until_ms(r));
		if (rc < 0 && errno != EINTR)
			return err_sys(e, "poll");
		if (rc == 0 && until_ms(r) == 0)
			return read_on(r, e);
		if (rc > 0 && p[0].revents && read(watch, events, sizeof(events)) < 0 &&
		    errno != EAGAIN && errno != EINTR)
			return err_sys(e, "inotify");
		if (rc > 0 && p[1].revents) {
			rc = box_client_next(c, &ev, e);
			if (rc < 0)
				return rc;
			ended = ev.kind != BOX_EV_STARTED;
		}
	} while (true);
}

int box_logs(const struct box_dirs *d, struct box *b, const struct box_log_options *o,
	     struct err *e)
{
	own_free char *path = xasprintf("%s/" LOG_FILE, b->dir);
	struct reader r = { .o = o, .out_fd = -1 };
	struct box_client *c = NULL;
	own_fd int fd = -1, watch = -1;
	int rc = 0;

	/* before the first look, so that nothing falls in between */
	if (o->follow)
		c = box_connect(d, b, NULL);
	fd = open(path, O_RDONLY | O_CLOEXEC | (c ? O_CREAT : 0), 0600);
	if (fd < 0) {
		rc = errno == ENOENT ? 0 : err_sys(e, "open %s", path);
		goto out;
	}
	r.fd = fd;
	if (c) {
		watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
		if (watch < 0 || inotify_add_watch(watch, path, IN_MODIFY) < 0) {
			rc = err_sys(e, "watch %s", path);
			goto out;
		}
	}
	if (o->tail == 0)
		rc = lseek(fd, 0, SEEK_END) < 0 ? -errno : 0;
	else if (o->tail > 0)
		rc = seek_tail(fd, o->tail, e);
	if (rc == 0)
		rc = c ? follow(&r, c, watch, e) : read_on(&r, e);
out:
	box_client_free(c);
	str_free(&r.in);
	str_free(&r.out);
	str_free(&r.r.data);
	return rc;
}
