/* export.c: zl export: a container's files as one archive. */
#include <errno.h>
#include <stdio.h>

#include "cmd/container.h"
#include "cmd/outfile.h"
#include "runtime/base/log.h"
#include "runtime/base/own.h"
#include "runtime/box/events.h"

struct export_flags {
	const char *output;
};

static const struct opt export_opts[] = {
	{ OPT_TEXT, 'o', "output", "string", offsetof(struct export_flags, output), NULL, "@file",
	  "Write to a file, instead of STDOUT" },
	{ .kind = OPT_END },
};

struct box_client *container_settle(struct zl *z, struct box *b, bool pause)
{
	struct err e = ERR_INIT;
	struct box_client *c;
	int rc;

	if (b->state.status != BOX_RUNNING)
		return NULL;
	c = box_connect(&z->dirs, b, NULL);
	if (c == NULL)
		return NULL;
	rc = box_client_sync(c, &e);
	/* one that has just ended has synced */
	if (rc < 0 && rc != -ESRCH)
		log_warn("container %.12s has not written out all its files: %s", b->spec.id,
			 e.msg);
	if (pause && box_client_pause(c, true, NULL) == 0)
		return c;
	box_client_free(c);
	return NULL;
}

void container_unsettle(struct box_client *c)
{
	if (c == NULL)
		return;
	box_client_pause(c, false, NULL);
	box_client_free(c);
}

static int run_export(struct zl *z, void *flags, const struct operands *ops, struct err *e)
{
	const struct export_flags *f = flags;
	own_box struct box *b = NULL;
	struct outfile out;
	struct image_tar *tar;
	int rc = outfile_open(&out, f->output, e);

	if (rc == 0) {
		b = box_find(&z->dirs, ops->v[0], e);
		rc = b ? 0 : -ENOENT;
	}
	if (rc == 0) {
		container_settle(z, b, false);
		tar = image_tar_new(out.fd);
		rc = box_tree(b, false, image_tar_add, tar, e);
		rc = image_tar_end(tar, rc, e);
		if (rc == 0)
			events_say_box(&z->dirs, &b->spec, "export", NULL);
	}
	return outfile_close(&out, rc, e);
}

const struct command cmd_export = {
	.names = "container export, export",
	.help = "Export a container's filesystem as a tar archive",
	.usage = "[OPTIONS] CONTAINER",
	.run = run_export,
	.opts = export_opts,
	.flags_size = sizeof(struct export_flags),
	.min = 1,
	.max = 1,
	.complete = "@container",
};
