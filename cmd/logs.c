/* logs.c: zl logs. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cmd/container.h"
#include "cmd/human.h"
#include "runtime/base/own.h"
#include "runtime/base/parse.h"

struct logs_flags {
	bool details, follow, timestamps;
	const char *since, *until, *tail;
};

#define AT(member) offsetof(struct logs_flags, member)

static const struct opt logs_opts[] = {
	{ OPT_BOOL, 0, "details", NULL, AT(details), NULL, NULL,
	  "Show extra details provided to logs" },
	{ OPT_BOOL, 'f', "follow", NULL, AT(follow), NULL, NULL, "Follow log output" },
	{ OPT_TEXT, 0, "since", "string", AT(since), NULL, NULL,
	  "Show logs since timestamp (\"2026-01-02T13:23:37Z\") or relative (\"42m\")" },
	{ OPT_TEXT, 'n', "tail", "string", AT(tail), "all", "all|10|100",
	  "Number of lines to show from the end of the logs" },
	{ OPT_BOOL, 't', "timestamps", NULL, AT(timestamps), NULL, NULL, "Show timestamps" },
	{ OPT_TEXT, 0, "until", "string", AT(until), NULL, NULL,
	  "Show logs before a timestamp (\"2026-01-02T13:23:37Z\") or relative (\"42m\")" },
	{ .kind = OPT_END },
};

static int moment(const char *text, const char *flag, int64_t *ns, struct err *e)
{
	*ns = 0;
	if (text == NULL || *text == 0 || parse_moment(text, now_ns(), ns))
		return 0;
	return err_set(
		e, EINVAL,
		"invalid value for \"%s\": failed to parse value as time or duration: \"%s\"", flag,
		text);
}

/* docker takes what is no number, or negative, as "all". */
static int64_t tail_of(const char *text)
{
	uint64_t n;

	return parse_u64(text, 0, INT64_MAX, &n) ? (int64_t)n : -1;
}

static int run_logs(struct zl *z, void *flags, const struct operands *ops, struct err *e)
{
	const struct logs_flags *f = flags;
	struct box_log_options o = { .tail = tail_of(f->tail),
				     .follow = f->follow,
				     .details = f->details,
				     .timestamps = f->timestamps,
				     .out = STDOUT_FILENO,
				     .err = STDERR_FILENO };
	own_box struct box *b = NULL;

	if (moment(f->since, "since", &o.since_ns, e) < 0 ||
	    moment(f->until, "until", &o.until_ns, e) < 0)
		return -1;
	b = box_find(&z->dirs, ops->v[0], e);
	return b ? box_logs(&z->dirs, b, &o, e) : -1;
}

const struct command cmd_logs = {
	.names = "container logs, logs",
	.help = "Fetch the logs of a container",
	.usage = "[OPTIONS] CONTAINER",
	.run = run_logs,
	.opts = logs_opts,
	.flags_size = sizeof(struct logs_flags),
	.min = 1,
	.max = 1,
	.complete = "@container",
};
