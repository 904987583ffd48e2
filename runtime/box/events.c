/* events.c: the log of events: adding to it, reading and following it; see events.h. */
#include "runtime/box/events.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "runtime/base/fd.h"
#include "runtime/base/json.h"
#include "runtime/base/own.h"
#include "runtime/box/box.h"

/*
 * Theory of operation.
 *
 * <root>/events/ holds two files of lines, "0" and "1", and "turn", a number in text: how often
 * the log went on from one file to the other. Its lowest bit says which is written now. All three
 * are never replaced, so that open descriptors stay good: a confined holder cannot open.
 *
 * An event is one write to a file opened with O_APPEND, which the kernel does in one piece; so
 * writers need no lock. When the file is full, whoever gets the lock on "turn" without waiting
 * empties the other file, and then counts up. A writer that read the number before that adds to
 * the file that was full: it is the older one then, and readers look at both. Was a writer
 * stopped in the midst of a write (a full disk, a crash), the next line begins on a line of its
 * own, and readers pass over what is no event.
 */
#define TURN_DIGITS 20

static const char *const file_names[] = { "0", "1", "turn" };

static int open_one(const struct box_dirs *d, const char *name, int flags)
{
	own_free char *path = xasprintf("%s/events/%s", d->root, name);

	return open(path, flags | O_CLOEXEC | O_NOFOLLOW, 0600);
}

void events_open(struct events *ev, const struct box_dirs *d)
{
	*ev = (struct events)EVENTS_NOWHERE;
	for (int i = 0; i < 2; i++) {
		ev->file[i] = open_one(d, file_names[i], O_RDWR | O_CREAT | O_APPEND);
		if (ev->file[i] < 0 && errno == ENOENT && i == 0) {
			own_free char *path = xasprintf("%s/events", d->root);

			if (dir_make_all(path, 0700, NULL) == 0)
				ev->file[i] =
					open_one(d, file_names[i], O_RDWR | O_CREAT | O_APPEND);
		}
	}
	ev->turn = open_one(d, file_names[2], O_RDWR | O_CREAT);
	if (ev->file[0] < 0 || ev->file[1] < 0 || ev->turn < 0)
		events_close(ev);
}

void events_close(struct events *ev)
{
	own_fd int a = ev->file[0], b = ev->file[1], turn = ev->turn;

	(void)a, (void)b, (void)turn;
	*ev = (struct events)EVENTS_NOWHERE;
}

/* --- writing */

static uint64_t read_turn(int fd)
{
	char text[TURN_DIGITS + 1] = "";
	uint64_t n = 0;

	if (pread(fd, text, TURN_DIGITS, 0) < 0)
		return 0;
	for (const char *c = text; *c >= '0' && *c <= '9'; c++)
		n = n * 10 + (uint64_t)(*c - '0');
	return n;
}

/* The file is full: the other one's turn, if nobody is at it. */
static void next_turn(const struct events *ev, uint64_t seen)
{
	char text[TURN_DIGITS + 2];

	if (fd_lock(ev->turn, LOCK_EX | LOCK_NB) < 0)
		return;
	if (read_turn(ev->turn) == seen && ftruncate(ev->file[(seen + 1) & 1], 0) == 0) {
		snprintf(text, sizeof(text), "%0*llu\n", TURN_DIGITS, (unsigned long long)seen + 1);
		lseek(ev->turn, 0, SEEK_SET);
		if (write(ev->turn, text, TURN_DIGITS + 1) < 0) {
			/* the next writer tries again */
		}
	}
	fd_lock(ev->turn, LOCK_UN);
}

/* Whether the file ends in the midst of a line. */
static bool is_torn(int fd, off_t size)
{
	char last = '\n';

	return size > 0 && pread(fd, &last, 1, size - 1) == 1 && last != '\n';
}

/* line: with room for a newline in front, and one at its end. */
static void put(const struct events *ev, const struct str *line)
{
	uint64_t turn = read_turn(ev->turn);
	int fd = ev->file[turn & 1];
	off_t size = lseek(fd, 0, SEEK_END);
	size_t skip;

	if (size > 0 && (size_t)size + line->len > EVENTS_FILE_MAX) {
		next_turn(ev, turn);
		fd = ev->file[read_turn(ev->turn) & 1];
		size = lseek(fd, 0, SEEK_END);
	}
	skip = is_torn(fd, size) ? 0 : 1;
	if (write(fd, line->s + skip, line->len - skip) < 0) {
		/* see events.h: nothing depends on it */
	}
}

static void set_pair(struct js *attributes, const char *pair)
{
	const char *eq = strchr(pair, '=');
	own_free char *key = xstrndup(pair, eq ? (size_t)(eq - pair) : strlen(pair));

	js_set_text(attributes, key, eq ? eq + 1 : "");
}

static struct js *message(const char *type, const char *action, const char *id, const char *from,
			  const struct js *attributes)
{
	struct js *j = js_object(), *actor = js_object();
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	if (strcmp(type, "container") == 0 || strcmp(type, "image") == 0) {
		js_set_text(j, "status", action);
		js_set_text(j, "id", id);
	}
	if (from)
		js_set_text(j, "from", from);
	js_set_text(j, "Type", type);
	js_set_text(j, "Action", action);
	js_set_text(actor, "ID", id);
	js_set(actor, "Attributes", js_copy(attributes));
	js_set(j, "Actor", actor);
	js_set_text(j, "scope", "local");
	js_set_int(j, "time", now.tv_sec);
	js_set_int(j, "timeNano", (int64_t)now.tv_sec * 1000000000 + now.tv_nsec);
	return j;
}

static void add(const struct events *ev, const char *type, const char *action, const char *id,
		const char *from, struct js *attributes)
{
	own_str struct str line = STR_INIT;

	for (int whole = 1; whole >= 0; whole--) {
		own_js struct js *none = whole ? NULL : js_object();
		own_js struct js *j = message(type, action, id, from, whole ? attributes : none);
		own_free char *text = js_dump(j, 0);

		line.len = 0;
		str_addf(&line, "\n%s\n", text);
		if (line.len <= EVENTS_LINE_MAX)
			break;
	}
	if (line.len <= EVENTS_LINE_MAX)
		put(ev, &line);
}

static void add_pairs(struct js *attributes, va_list ap)
{
	const char *key;

	while ((key = va_arg(ap, const char *)) != NULL)
		js_set_text(attributes, key, va_arg(ap, const char *));
}

static void add_list(const struct events *ev, const char *type, const char *action, const char *id,
		     va_list ap)
{
	own_js struct js *attributes = js_object();

	if (ev->turn < 0)
		return;
	add_pairs(attributes, ap);
	add(ev, type, action, id, NULL, attributes);
}

static void add_box(const struct events *ev, const struct box_spec *spec, const char *action,
		    va_list ap)
{
	own_js struct js *attributes = js_object();

	if (ev->turn < 0)
		return;
	for (size_t i = 0; i < spec->labels.n; i++)
		set_pair(attributes, spec->labels.v[i]);
	js_set_text(attributes, "image", spec->image ? spec->image : "");
	js_set_text(attributes, "name", spec->name ? spec->name : "");
	add_pairs(attributes, ap);
	add(ev, "container", action, spec->id, spec->image, attributes);
}

void events_add(const struct events *ev, const char *type, const char *action, const char *id, ...)
{
	va_list ap;

	va_start(ap, id);
	add_list(ev, type, action, id, ap);
	va_end(ap);
}

void events_box(const struct events *ev, const struct box_spec *spec, const char *action, ...)
{
	va_list ap;

	va_start(ap, action);
	add_box(ev, spec, action, ap);
	va_end(ap);
}

void events_say(const struct box_dirs *d, const char *type, const char *action, const char *id, ...)
{
	struct events ev OWN(events_close);
	va_list ap;

	events_open(&ev, d);
	va_start(ap, id);
	add_list(&ev, type, action, id, ap);
	va_end(ap);
}

void events_say_box(const struct box_dirs *d, const struct box_spec *spec, const char *action, ...)
{
	struct events ev OWN(events_close);
	va_list ap;

	events_open(&ev, d);
	va_start(ap, action);
	add_box(&ev, spec, action, ap);
	va_end(ap);
}

void events_say_image(const struct box_dirs *d, const char *action, const char *id,
		      const char *name, const struct strv *labels)
{
	struct events ev OWN(events_close);
	own_js struct js *attributes = js_object();

	events_open(&ev, d);
	for (size_t i = 0; labels && i < labels->n; i++)
		set_pair(attributes, labels->v[i]);
	js_set_text(attributes, "name", name);
	if (ev.turn >= 0)
		add(&ev, "image", action, id, NULL, attributes);
}

/* --- reading */

struct source {
	int fd;
	off_t at;
	struct str buf; /* what was read and not handed over, from `used` on */
	size_t used;
};

struct events_reader {
	struct events ev;
	int watch; /* inotify */
	uint64_t turn;
	struct source file[2];
};

#define READ_BYTES (64U << 10)

struct events_reader *events_read(const struct box_dirs *d, bool past, struct err *e)
{
	own_free char *path = xasprintf("%s/events", d->root);
	struct events_reader *r = xcalloc(1, sizeof(*r));

	events_open(&r->ev, d);
	r->watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (r->ev.turn < 0 || r->watch < 0 || inotify_add_watch(r->watch, path, IN_MODIFY) < 0) {
		err_sys(e, "open the events in %s", path);
		events_free(r);
		return NULL;
	}
	r->turn = read_turn(r->ev.turn);
	for (int i = 0; i < 2; i++) {
		r->file[i].fd = r->ev.file[i];
		r->file[i].at = past ? 0 : lseek(r->ev.file[i], 0, SEEK_END);
	}
	return r;
}

int events_fd(const struct events_reader *r)
{
	return r->watch;
}

void events_free(struct events_reader *r)
{
	if (r == NULL)
		return;
	events_close(&r->ev);
	if (r->watch >= 0)
		close(r->watch);
	str_free(&r->file[0].buf);
	str_free(&r->file[1].buf);
	free(r);
}

/* More of the file; false at its end. */
static bool fill(struct source *s)
{
	size_t rest = s->buf.len - s->used;
	ssize_t n;

	if (s->used && rest)
		memmove(s->buf.s, s->buf.s + s->used, rest);
	s->buf.len = rest;
	s->used = 0;
	if (rest > EVENTS_LINE_MAX) /* no writer's work */
		s->buf.len = rest = 0;
	str_reserve(&s->buf, READ_BYTES);
	n = pread(s->fd, s->buf.s + rest, READ_BYTES, s->at);
	if (n <= 0)
		return false;
	s->at += n;
	s->buf.len += (size_t)n;
	return true;
}

static bool take_line(struct source *s, struct str *line)
{
	const char *from = s->buf.s + s->used, *nl;

	if (s->buf.len == s->used)
		return false;
	nl = memchr(from, '\n', s->buf.len - s->used);
	if (nl == NULL)
		return false;
	line->len = 0;
	str_add_mem(line, from, (size_t)(nl - from));
	s->used += (size_t)(nl - from) + 1;
	return true;
}

static bool next_of(struct source *s, struct str *line)
{
	do {
		while (take_line(s, line)) {
			if (line->len)
				return true;
		}
	} while (fill(s));
	return false;
}

static void begin_anew(struct source *s)
{
	s->at = 0;
	s->buf.len = s->used = 0;
}

/* The file that is written now was emptied before the number rose. */
static void follow_turn(struct events_reader *r)
{
	uint64_t turn = read_turn(r->ev.turn);

	if (turn <= r->turn)
		return;
	begin_anew(&r->file[turn & 1]);
	if (turn - r->turn > 1)
		begin_anew(&r->file[!(turn & 1)]);
	r->turn = turn;
}

bool events_next(struct events_reader *r, struct str *line)
{
	char news[4096] __attribute__((aligned(__alignof__(struct inotify_event))));

	do {
		follow_turn(r);
		if (next_of(&r->file[!(r->turn & 1)], line) || next_of(&r->file[r->turn & 1], line))
			return true;
	} while (read(r->watch, news, sizeof(news)) > 0);
	return false;
}
