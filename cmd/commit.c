/* commit.c: zl commit: what a container changed becomes a layer of a new image. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cmd/change.h"
#include "cmd/container.h"
#include "cmd/inspect.h"
#include "runtime/base/own.h"
#include "runtime/box/events.h"

struct commit_flags {
	const char *author, *message;
	struct strv change;
	bool pause, no_pause;
};

#define AT(member) offsetof(struct commit_flags, member)

static const struct opt commit_opts[] = {
	{ OPT_TEXT, 'a', "author", "string", AT(author), NULL, NULL,
	  "Author (e.g., \"John Hannibal Smith <hannibal@a-team.com>\")" },
	{ OPT_LIST, 'c', "change", "list", AT(change), NULL, NULL,
	  "Apply Dockerfile instruction to the created image" },
	{ OPT_TEXT, 'm', "message", "string", AT(message), NULL, NULL, "Commit message" },
	{ OPT_BOOL, 0, "no-pause", NULL, AT(no_pause), NULL, NULL,
	  "Don't pause container during commit" },
	{ OPT_BOOL, 'p', "pause", NULL, AT(pause), "true", NULL, "Pause container during commit" },
	{ .kind = OPT_END },
};

/* What is empty, or docker's default, is not to be said where the image did not say it. */
static bool says_something(const struct js *v, const struct js *was, const char *key)
{
	const char *text = js_text(v);

	if (v == NULL || js_is_null(v))
		return false;
	if (was)
		return true;
	if (text)
		return *text && (strcmp(key, "StopSignal") != 0 || strcmp(text, "SIGTERM") != 0);
	return js_len(v) > 0;
}

/* The image's config as the container was run with it. */
static struct js *config_of(const struct box *b, const struct image *i)
{
	static const char *const taken[] = { "User",	   "Env",	   "Entrypoint",
					     "Cmd",	   "WorkingDir",   "Labels",
					     "StopSignal", "ExposedPorts", "Volumes",
					     "Healthcheck" };
	const struct js *from = js_get(i->config, "config");
	struct js *config = js_is_object(from) ? js_copy(from) : js_object();
	own_js struct js *shown = inspect_box(b, NULL);
	const struct js *now = js_get(shown, "Config");

	for (size_t k = 0; k < sizeof(taken) / sizeof(taken[0]); k++) {
		const struct js *v = js_get(now, taken[k]);

		if (says_something(v, js_get(config, taken[k]), taken[k]))
			js_set(config, taken[k], js_copy(v));
	}
	return config;
}

static int commit(struct zl *z, const struct box *b, const struct commit_flags *f,
		  const struct image_new *n, char id[72], struct err *e)
{
	struct image_layer *l = image_layer_begin(z->store, e);
	struct box_client *paused;
	int rc;

	if (l == NULL)
		return -EIO;
	paused = container_settle(z, (struct box *)b, f->pause && !f->no_pause);
	rc = box_tree(b, true, image_layer_add, l, e);
	container_unsettle(paused);
	if (rc == 0)
		rc = image_make(l, n, id, e);
	image_layer_free(l);
	return rc;
}

static int run_commit(struct zl *z, void *flags, const struct operands *ops, struct err *e)
{
	const struct commit_flags *f = flags;
	own_box struct box *b = box_find(&z->dirs, ops->v[0], e);
	const char *name = ops->n > 1 ? ops->v[1] : NULL;
	own_image struct image *i = NULL;
	own_js struct js *config = NULL;
	own_str struct str by = STR_INIT;
	struct image_new n;
	char id[72];
	int rc;

	if (b == NULL || zl_store(z, e) < 0 || (name && image_name_check(name, e) < 0))
		return -1;
	i = image_find(z->store, b->spec.image_id, e);
	if (i == NULL)
		return -1;
	config = config_of(b, i);
	rc = config_change(config, &f->change, e);
	if (rc < 0)
		return rc;
	for (size_t k = 0; k < b->spec.cmd.n; k++)
		str_addf(&by, "%s%s", k ? " " : "", b->spec.cmd.v[k]);
	n = (struct image_new){ .parent = b->spec.image_id,
				.config = config,
				.author = f->author,
				.comment = f->message,
				.created_by = by.s,
				.name = name };
	rc = commit(z, b, f, &n, id, e);
	if (rc < 0)
		return rc;
	events_say_box(&z->dirs, &b->spec, "commit", "comment", f->message ? f->message : "",
		       "imageID", id, "imageRef", name ? name : "", NULL);
	if (name)
		tell_image(z, "tag", id, name);
	puts(id);
	return 0;
}

const struct command cmd_commit = {
	.names = "container commit, commit",
	.help = "Create a new image from a container's changes",
	.usage = "[OPTIONS] CONTAINER [REPOSITORY[:TAG]]",
	.run = run_commit,
	.opts = commit_opts,
	.flags_size = sizeof(struct commit_flags),
	.min = 1,
	.max = 2,
	.complete = "@container",
};
