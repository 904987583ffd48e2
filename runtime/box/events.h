/* events.h: what happens to containers and images, in a log that all zl processes share. */
#ifndef ZL_BOX_EVENTS_H
#define ZL_BOX_EVENTS_H

#include <stdbool.h>
#include <stdint.h>

#include "runtime/base/err.h"
#include "runtime/base/str.h"
#include "runtime/box/spec.h"

/*
 * One line of JSON per event, docker's message as it is (`docker events --format json`):
 *
 *	{"status":"die","id":"<id>","from":"busybox","Type":"container","Action":"die",
 *	 "Actor":{"ID":"<id>","Attributes":{"exitCode":"0","image":"busybox","name":"web"}},
 *	 "scope":"local","time":1767225600,"timeNano":1767225600123456789}
 *
 * status, id and from are there for containers and images only (from: containers).
 *
 * The log is for whoever looks; nothing depends on it. So what fails here (a full disk) fails
 * without a word, and no writer ever waits for another. events.c says how it is kept.
 *
 * Callers choose type and action as docker names them (api/types/events), and give attributes as
 * pairs of strings behind which NULL stands:
 *
 *	events_add(&h->events, "network", "connect", id, "container", box_id, "name", "x", NULL);
 *	events_box(&h->events, spec, "kill", "signal", "15", NULL);
 *	events_say(&z->dirs, "volume", "create", name, "driver", "local", NULL);
 */
#define EVENTS_NOWHERE         \
	{                      \
		{ -1, -1 }, -1 \
	}

/* Where events go. A holder opens it before it confines itself: no more than write, lseek, flock,
 * pread, pwrite and ftruncate on open files is done afterwards. */
struct events {
	int file[2];
	int turn;
};

struct box_dirs;
/* Makes the folder and the files where they are missing. Never fails: see above. */
void events_open(struct events *ev, const struct box_dirs *d);
void events_close(struct events *ev);

/* Longer attributes than this are left out of an event, all of them. */
#define EVENTS_LINE_MAX (64U << 10)
/* Size at which a file of the log is full; there are two of them. */
#define EVENTS_FILE_MAX (1U << 20)

void events_add(const struct events *ev, const char *type, const char *action, const char *id, ...)
	__attribute__((sentinel));
/* An event of a container: docker's attributes (image, name, labels), and further ones. */
void events_box(const struct events *ev, const struct box_spec *spec, const char *action, ...)
	__attribute__((sentinel));
/* The same two for those who have one to tell: open, add, close. */
void events_say(const struct box_dirs *d, const char *type, const char *action, const char *id, ...)
	__attribute__((sentinel));
/* An event of an image: docker's attributes, which are a name and the image's labels (or NULL). */
void events_say_image(const struct box_dirs *d, const char *action, const char *id,
		      const char *name, const struct strv *labels);
void events_say_box(const struct box_dirs *d, const struct box_spec *spec, const char *action, ...)
	__attribute__((sentinel));

/* A reader: from the oldest event that is kept (`past`), or from now on. */
struct events_reader;
struct events_reader *events_read(const struct box_dirs *d, bool past, struct err *e);
/* A descriptor that becomes readable when something was added after events_next said false. */
int events_fd(const struct events_reader *r);
/* The next line, without its newline, into *line. */
bool events_next(struct events_reader *r, struct str *line);
void events_free(struct events_reader *r);

#endif
