/* rmi.c: zl tag and rmi: names come, and go with their images. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cmd/container.h"
#include "cmd/prune.h"
#include "cmd/show.h"
#include "runtime/base/own.h"

static int run_tag(struct zl *z, void *flags, const struct operands *ops, struct err *e)
{
	(void)flags;
	if (zl_store(z, e) < 0 || image_tag(z->store, ops->v[0], ops->v[1], e) < 0)
		return -1;
	tell_image(z, "tag", ops->v[1], ops->v[1]);
	return 0;
}

const struct command cmd_tag = {
	.names = "image tag, tag",
	.help = "Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE",
	.usage = "SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]",
	.run = run_tag,
	.min = 2,
	.max = 2,
	.complete = "@image",
};

struct rmi_flags {
	const char *platform;
	bool force, no_prune;
};

static const struct opt rmi_opts[] = {
	{ OPT_BOOL, 'f', "force", NULL, offsetof(struct rmi_flags, force), NULL, NULL,
	  "Force removal of the image" },
	{ OPT_BOOL, 0, "no-prune", NULL, offsetof(struct rmi_flags, no_prune), NULL, NULL,
	  "Do not delete untagged parents (zl keeps none: the same result)" },
	{ OPT_TEXT, 0, "platform", "string", offsetof(struct rmi_flags, platform), NULL,
	  "linux/amd64|linux/arm64|linux/386|linux/arm/v7", "Only an image of this platform" },
	{ .kind = OPT_END },
};

static int check_platform(struct zl *z, const char *name, const char *platform, struct err *e)
{
	own_image struct image *image = NULL;

	if (platform == NULL)
		return 0;
	image = image_find(z->store, name, e);
	return image ? image_platform_check(image, name, platform, e) : -ENOENT;
}

/* What a running container uses is not removed by force either. */
static int check_running(struct zl *z, const struct box_list *boxes, const char *name,
			 struct err *e)
{
	own_image struct image *image = image_find(z->store, name, NULL);

	for (size_t i = 0; image && i < boxes->n; i++) {
		const struct box *b = boxes->v[i];

		if (!box_is_running(b))
			continue;
		if (strcmp(b->spec.image_id, image->id) == 0)
			return err_set(e, EBUSY,
				       "conflict: unable to delete %.12s (cannot be forced) - "
				       "image is being used by running container %.12s",
				       hex_of(image->id), b->spec.id);
	}
	return 0;
}

static int rmi_one(struct zl *z, void *flags, const char *name, struct err *e)
{
	const struct rmi_flags *f = flags;
	own_image struct image *image = image_find(z->store, name, NULL);
	own_strv struct strv report = STRV_INIT;
	struct image_users u;
	int rc = box_list(&z->dirs, &u.boxes, e);

	if (rc < 0)
		return rc;
	rc = check_platform(z, name, f->platform, e);
	if (rc == 0 && f->force)
		rc = check_running(z, &u.boxes, name, e);
	if (rc == 0)
		rc = image_remove(z->store, name, f->force, image_used, &u, &report, e);
	for (size_t i = 0; i < report.n; i++)
		puts(report.v[i]);
	if (image)
		tell_removed(z, image->id, &report);
	box_list_free(&u.boxes);
	return rc;
}

static int run_rmi(struct zl *z, void *flags, const struct operands *ops, struct err *e)
{
	return zl_store(z, e) < 0 ? -1 : for_each_operand(z, flags, ops, rmi_one);
}

const struct command cmd_rmi = {
	.names = "image rm, image remove, rmi",
	.help = "Remove one or more images",
	.usage = "[OPTIONS] IMAGE [IMAGE...]",
	.run = run_rmi,
	.opts = rmi_opts,
	.flags_size = sizeof(struct rmi_flags),
	.min = 1,
	.max = ANY_NUMBER,
	.complete = "@image",
};
