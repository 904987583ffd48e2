/* events.c: zl events: what happens to containers and images, from the past and as it happens. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cmd/cmd.h"
#include "cmd/format.h"
#include "cmd/human.h"
#include "cmd/show.h"
#include "runtime/base/own.h"
#include "runtime/box/events.h"

/* poll(2) takes an int of milliseconds. */
#define POLL_MAX_MS 86400000

struct events_flags {
	struct strv filter;
	const char *format, *since, *until;
};

#define AT(member) offsetof(struct events_flags, member)

static const struct opt events_opts[] = {
	{ OPT_LIST, 'f', "filter", "filter", AT(filter), NULL,
	  "container=|event=|image=|label=|network=|scope=|type=|volume=",
	  "Filter output based on conditions provided" },
	{ OPT_TEXT, 0, "format", "string", AT(format), NULL, "json|{{json .}}",
	  "Format output: 'json' or a Go template" },
	{ OPT_TEXT, 0, "since", "string", AT(since), NULL, NULL,
	  "Show all events created since timestamp" },
	{ OPT_TEXT, 0, "until", "string", AT(until), NULL, NULL,
	  "Stream events until this timestamp" },
	{ .kind = OPT_END },
};

/* --- filters, as docker's daemon has them: exact, or the beginning of an id or a name */

static const char *text_at(const struct js *j, const char *key)
{
	const char *s = js_text(js_get(j, key));

	return s ? s : "";
}

static bool any_value(const struct filters *f, const char *key, const char *text, bool beginning)
{
	bool asked = false;

	for (size_t i = 0; i < f->n; i++) {
		if (strcmp(f->keys.v[i], key) != 0)
			continue;
		asked = true;
		if (beginning ? str_starts(text, f->values.v[i])
			      : strcmp(text, f->values.v[i]) == 0)
			return true;
	}
	return !asked;
}

/* An event's action may have more behind its name: "exec_start: ls". */
static bool action_matches(const struct filters *f, const char *action)
{
	static const char *const open_ended[] = { "health_status", "exec_create", "exec_start" };
	bool beginning = false;

	for (size_t i = 0; i < f->n; i++)
		for (size_t k = 0; k < sizeof(open_ended) / sizeof(open_ended[0]); k++)
			beginning = beginning || (strcmp(f->keys.v[i], "event") == 0 &&
						  strcmp(f->values.v[i], open_ended[k]) == 0);
	return any_value(f, "event", action, beginning);
}

/* The name of an image without its tag. */
static char *without_tag(const char *name)
{
	own_free char *full = image_name_full(name, true), *tag = NULL;
	char *repository = NULL;

	if (full)
		image_name_split(full, &repository, &tag);
	return repository ? repository : xstrdup(name);
}

static bool image_matches(const struct filters *f, const struct js *m, const char *id)
{
	bool of_image = strcmp(text_at(m, "Type"), "image") == 0;
	const char *name =
		text_at(js_get(js_get(m, "Actor"), "Attributes"), of_image ? "name" : "image");
	own_free char *short_id = without_tag(id), *short_name = without_tag(name);

	return any_value(f, "image", id, false) || any_value(f, "image", name, false) ||
	       any_value(f, "image", short_id, false) || any_value(f, "image", short_name, false);
}

static bool labels_are(const struct filters *f, const struct js *attributes)
{
	for (size_t i = 0; i < f->n; i++) {
		const char *want = f->values.v[i], *eq = strchr(want, '='), *have;
		own_free char *key = xstrndup(want, eq ? (size_t)(eq - want) : strlen(want));

		if (strcmp(f->keys.v[i], "label") != 0)
			continue;
		have = js_text(js_get(attributes, key));
		if (have == NULL || (eq && strcmp(have, eq + 1) != 0))
			return false;
	}
	return true;
}

static bool is_wanted(const struct filters *f, const struct js *m)
{
	static const char *const named[] = { "daemon", "container", "plugin", "volume", "network",
					     "node",   "service",   "secret", "config" };
	const struct js *actor = js_get(m, "Actor"), *attributes = js_get(actor, "Attributes");
	const char *id = text_at(actor, "ID"), *name = text_at(attributes, "name");

	if (f->n == 0)
		return true;
	if (!action_matches(f, text_at(m, "Action")) ||
	    !any_value(f, "type", text_at(m, "Type"), false) ||
	    !any_value(f, "scope", text_at(m, "scope"), false))
		return false;
	for (size_t i = 0; i < sizeof(named) / sizeof(named[0]); i++)
		if (!any_value(f, named[i], id, true) && !any_value(f, named[i], name, true))
			return false;
	return image_matches(f, m, id) && labels_are(f, attributes);
}

/* --- output */

/* Names and labels are anybody's: they get no escape sequences. */
static void put_line(struct str *line)
{
	for (size_t i = 0; i < line->len; i++)
		if ((unsigned char)line->s[i] < ' ' || line->s[i] == 0x7f)
			line->s[i] = '?';
	puts(line->s);
}

static void print_plain(const struct js *m)
{
	const struct js *actor = js_get(m, "Actor"), *attributes = js_get(actor, "Attributes");
	own_str struct str line = STR_INIT;
	own_strv struct strv keys = STRV_INIT;
	struct js *value;
	const char *key;
	void *at = NULL;
	int64_t ns = 0;
	char when[64];

	js_int(js_get(m, "timeNano"), &ns);
	rfc3339_local(ns, when, sizeof(when));
	str_addf(&line, "%s %s %s %s", when, text_at(m, "Type"), text_at(m, "Action"),
		 text_at(actor, "ID"));
	while (js_each(attributes, &at, &key, &value))
		strv_add(&keys, key);
	strv_sort(&keys);
	for (size_t i = 0; i < keys.n; i++)
		str_addf(&line, "%s%s=%s", i ? ", " : " (", keys.v[i],
			 text_at(attributes, keys.v[i]));
	if (keys.n)
		str_add_char(&line, ')');
	put_line(&line);
}

/* Go's names of the fields; JSON has its own for some. */
static struct js *go_names(const struct js *m)
{
	static const char *const names[][2] = {
		{ "Status", "status" }, { "ID", "id" },	    { "From", "from" },
		{ "Scope", "scope" },	{ "Time", "time" }, { "TimeNano", "timeNano" }
	};
	struct js *j = js_object();

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const struct js *v = js_get(m, names[i][1]);

		js_set(j, names[i][0], v ? js_copy(v) : js_of_text(""));
	}
	return j;
}

static int print_event(const struct format *format, const struct js *m, struct err *e)
{
	own_js struct js *more = NULL;
	own_str struct str out = STR_INIT;

	if (format == NULL) {
		print_plain(m);
		return 0;
	}
	more = go_names(m);
	if (format_run_more(format, m, more, &out, e) < 0)
		return -1;
	puts(out.s ? out.s : "");
	return 0;
}

/* --- which, and how long */

struct watching {
	const struct events_flags *f;
	struct filters filters;
	struct format *format;
	int64_t since, until; /* 0: not said */
};

static int moment(const char *text, int64_t *ns, struct err *e)
{
	*ns = 0;
	if (text == NULL || *text == 0 || parse_moment(text, now_ns(), ns))
		return 0;
	return err_set(e, EINVAL, "failed to parse value as time or duration: \"%s\"", text);
}

static int show_line(const struct watching *w, const struct str *line, struct err *e)
{
	own_js struct js *m = js_parse(line->s, line->len, NULL);
	int64_t ns;

	if (!js_is_object(m) || !js_int(js_get(m, "timeNano"), &ns) || !is_wanted(&w->filters, m))
		return 0;
	if (ns < w->since || (w->until && ns > w->until))
		return 0;
	return print_event(w->format, m, e);
}

/* Milliseconds until w->until, rounded up; -1: no limit, 0: it is past. */
static int time_left(const struct watching *w)
{
	int64_t left;

	if (w->until == 0)
		return -1;
	left = (w->until - now_ns() + 999999) / 1000000;
	return left < 0 ? 0 : left > POLL_MAX_MS ? POLL_MAX_MS : (int)left;
}

static int watch(const struct watching *w, struct events_reader *r, struct err *e)
{
	own_str struct str line = STR_INIT;

	for (;;) {
		struct pollfd p = { .fd = events_fd(r), .events = POLLIN };
		int left = time_left(w);

		while (events_next(r, &line))
			if (show_line(w, &line, e) < 0)
				return -1;
		if (fflush(stdout) != 0)
			return err_sys(e, "write to stdout");
		if (left == 0)
			return 0;
		if (poll(&p, 1, left) < 0 && errno != EINTR)
			return err_sys(e, "poll");
	}
}

/* What a template says of an event that has nothing: mistakes are told before one comes. */
static int try_format(const struct format *f, struct err *e)
{
	static const char empty[] =
		"{\"Type\":\"\",\"Action\":\"\",\"Actor\":{\"ID\":\"\",\"Attributes\":{}}}";
	own_js struct js *m = js_parse(empty, strlen(empty), NULL), *more = go_names(m);
	own_str struct str out = STR_INIT;

	return f ? format_run_more(f, m, more, &out, e) : 0;
}

static int prepare(struct watching *w, struct err *e)
{
	static const char *const keys[] = { "config", "container", "daemon", "event",  "image",
					    "label",  "network",   "node",   "plugin", "scope",
					    "secret", "service",   "type",   "volume", NULL };
	const char *format = w->f->format;

	if (format && *format) {
		w->format = format_parse(strcmp(format, "json") == 0 ? "{{json .}}" : format, e);
		if (w->format == NULL || try_format(w->format, e) < 0) {
			err_wrap(e, "Error parsing format");
			return EXIT_TEMPLATE;
		}
	}
	if (filters_parse(&w->f->filter, keys, &w->filters, e) < 0 ||
	    moment(w->f->since, &w->since, e) < 0 || moment(w->f->until, &w->until, e) < 0)
		return -1;
	if (w->until && w->since > w->until)
		return err_set(e, EINVAL, "`since` time (%lld) cannot be after `until` time (%lld)",
			       (long long)(w->since / NS_PER_S), (long long)(w->until / NS_PER_S));
	return 0;
}

static int run_events(struct zl *z, void *flags, const struct operands *ops, struct err *e)
{
	struct watching w = { .f = flags };
	struct events_reader *r = NULL;
	int rc = prepare(&w, e);

	(void)ops;
	if (rc == 0) {
		r = events_read(&z->dirs, w.since || w.until, e);
		rc = r ? watch(&w, r, e) : -1;
	}
	events_free(r);
	filters_free(&w.filters);
	format_free(w.format);
	return rc;
}

const struct command cmd_events = {
	.names = "system events, events",
	.help = "Get events as they happen",
	.usage = "[OPTIONS]",
	.run = run_events,
	.opts = events_opts,
	.flags_size = sizeof(struct events_flags),
};
