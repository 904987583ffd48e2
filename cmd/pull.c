/* pull.c: zl pull: an image from a registry. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "oci/remote.h"
#include "runtime/base/own.h"

struct pull_flags {
	const char *platform;
	bool all_tags, no_trust, quiet;
};

#define AT(member) offsetof(struct pull_flags, member)

static const struct opt pull_opts[] = {
	{ OPT_BOOL, 'a', "all-tags", NULL, AT(all_tags), NULL, NULL,
	  "Download all tagged images in the repository" },
	{ OPT_BOOL, 0, "disable-content-trust", NULL, AT(no_trust), "true", NULL,
	  "Skip image verification (zl knows no signatures)" },
	{ OPT_TEXT, 0, "platform", "string", AT(platform), NULL,
	  "linux/amd64|linux/arm64|linux/386|linux/arm/v7",
	  "Set platform if the image is made for several" },
	{ OPT_BOOL, 'q', "quiet", NULL, AT(quiet), NULL, NULL, "Suppress verbose output" },
	{ .kind = OPT_END },
};

/* docker: a name without tag and digest means latest, and says so. */
static bool has_tag(const char *name)
{
	const char *slash = strrchr(name, '/');

	return strchr(name, '@') || strchr(slash ? slash : name, ':');
}

/* The first that fails ends it, as docker does. */
static int pull_all(struct zl *z, const char *name, const struct pull_options *o, struct err *e)
{
	own_strv struct strv tags = STRV_INIT;
	own_free char *full = NULL;

	if (has_tag(name))
		return err_set(e, EINVAL, "tag can't be used with --all-tags/-a");
	if (remote_tags(name, &tags, e) < 0)
		return -1;
	for (size_t i = 0; i < tags.n; i++) {
		own_free char *one = xasprintf("%s:%s", name, tags.v[i]);
		own_image struct image *image = zl_pull(z, one, o, e);

		if (image == NULL)
			return -1;
		fflush(stdout);
	}
	full = image_name_full(name, false);
	puts(full ? full : name);
	return 0;
}

static int run_pull(struct zl *z, void *flags, const struct operands *ops, struct err *e)
{
	const struct pull_flags *f = flags;
	const char *name = ops->v[0];
	struct pull_options o = { .policy = PULL_ALWAYS,
				  .platform = f->platform,
				  .quiet = f->quiet,
				  .progress_fd = STDOUT_FILENO };
	own_image struct image *i = NULL;

	if (!f->no_trust)
		return err_set(e, ENOTSUP,
			       "zl knows no signatures: --disable-content-trust=false cannot be "
			       "had");
	if (image_name_check(name, e) < 0 || zl_store(z, e) < 0)
		return -1;
	if (f->all_tags)
		return pull_all(z, name, &o, e);
	if (!f->quiet && !has_tag(name))
		puts("Using default tag: latest");
	fflush(stdout);
	i = zl_pull(z, name, &o, e);
	if (i == NULL)
		return -1;
	puts(i->name ? i->name : i->id);
	return 0;
}

const struct command cmd_pull = {
	.names = "image pull, pull",
	.help = "Download an image from a registry",
	.usage = "[OPTIONS] NAME[:TAG|@DIGEST]",
	.run = run_pull,
	.opts = pull_opts,
	.flags_size = sizeof(struct pull_flags),
	.min = 1,
	.max = 1,
	.flags = CMD_COMMON,
	.complete = "@image",
};
