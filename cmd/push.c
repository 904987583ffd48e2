/* push.c: zl push. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "oci/remote.h"
#include "runtime/base/own.h"

struct push_flags {
	const char *platform;
	bool all_tags, quiet, no_trust;
};

#define AT(member) offsetof(struct push_flags, member)

static const struct opt push_opts[] = {
	{ OPT_BOOL, 'a', "all-tags", NULL, AT(all_tags), NULL, NULL,
	  "Push all tags of an image to the repository" },
	{ OPT_BOOL, 0, "disable-content-trust", NULL, AT(no_trust), "true", NULL,
	  "Skip image signing (zl signs none; false is refused)" },
	{ OPT_TEXT, 0, "platform", "string", AT(platform), NULL,
	  "linux/amd64|linux/arm64|linux/386|linux/arm/v7",
	  "Push only if the image is made for this platform" },
	{ OPT_BOOL, 'q', "quiet", NULL, AT(quiet), NULL, NULL, "Suppress verbose output" },
	{ .kind = OPT_END },
};

static bool has_tag(const char *name)
{
	const char *slash = strrchr(name, '/');

	return strchr(slash ? slash : name, ':') != NULL;
}

static int run_push(struct zl *z, void *flags, const struct operands *ops, struct err *e)
{
	const struct push_flags *f = flags;
	const char *name = ops->v[0];
	struct push_options o = { .platform = f->platform,
				  .all_tags = f->all_tags,
				  .quiet = f->quiet,
				  .progress_fd = STDOUT_FILENO };
	own_free char *full = NULL;

	if (!f->no_trust)
		return err_set(e, ENOTSUP,
			       "zl does not sign images: --disable-content-trust=false "
			       "cannot be had");
	if (image_name_check(name, e) < 0)
		return -1;
	if (f->all_tags && has_tag(name) && strchr(name, '@') == NULL)
		return err_set(e, EINVAL, "tag can't be used with --all-tags/-a");
	if (!f->quiet && !f->all_tags && !has_tag(name))
		puts("Using default tag: latest");
	fflush(stdout);
	if (zl_push(z, name, &o, e) < 0)
		return -1;
	full = f->quiet ? image_name_full(name, !f->all_tags) : NULL;
	if (full)
		puts(full);
	return 0;
}

const struct command cmd_push = {
	.names = "image push, push",
	.help = "Upload an image to a registry",
	.usage = "[OPTIONS] NAME[:TAG]",
	.run = run_push,
	.opts = push_opts,
	.flags_size = sizeof(struct push_flags),
	.min = 1,
	.max = 1,
	.flags = CMD_COMMON,
	.complete = "@image",
};
