/* save.c: zl save: images into an archive. */
#include <errno.h>
#include <stdio.h>

#include "cmd/cmd.h"
#include "cmd/outfile.h"
#include "runtime/base/own.h"

struct save_flags {
	const char *output, *platform;
};

#define AT(member) offsetof(struct save_flags, member)

static const struct opt save_opts[] = {
	{ OPT_TEXT, 'o', "output", "string", AT(output), NULL, "@file",
	  "Write to a file, instead of STDOUT" },
	{ OPT_TEXT, 0, "platform", "string", AT(platform), NULL,
	  "linux/amd64|linux/arm64|linux/386|linux/arm/v7",
	  "Save only the given platform of an image made for several" },
	{ .kind = OPT_END },
};

static int run_save(struct zl *z, void *flags, const struct operands *ops, struct err *e)
{
	const struct save_flags *f = flags;
	own_strv struct strv names = STRV_INIT;
	struct outfile out;
	int rc = outfile_open(&out, f->output, e);

	for (int i = 0; i < ops->n; i++)
		strv_add(&names, ops->v[i]);
	if (rc == 0)
		rc = zl_store(z, e);
	if (rc == 0)
		rc = image_save(z->store, &names, f->platform, out.fd, e);
	for (int i = 0; i < ops->n && rc == 0; i++)
		tell_image(z, "save", ops->v[i], NULL);
	return outfile_close(&out, rc, e);
}

const struct command cmd_save = {
	.names = "image save, save",
	.help = "Save one or more images to a tar archive (streamed to STDOUT by default)",
	.usage = "[OPTIONS] IMAGE [IMAGE...]",
	.run = run_save,
	.opts = save_opts,
	.flags_size = sizeof(struct save_flags),
	.min = 1,
	.max = ANY_NUMBER,
	.complete = "@image",
};
