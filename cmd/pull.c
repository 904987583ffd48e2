/* pull.c: zl pull, load, tag and rmi: images come, get names, and go. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/container.h"
#include "cmd/show.h"
#include "runtime/base/own.h"

struct pull_flags {
	const char *platform;
	bool quiet;
};

#define AT(member) offsetof(struct pull_flags, member)

static const struct opt pull_opts[] = {
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

static int run_pull(struct zl *z, void *flags, const struct operands *ops, struct err *e)
{
	const struct pull_flags *f = flags;
	const char *name = ops->v[0];
	struct pull_options o = { .policy = PULL_ALWAYS,
				  .platform = f->platform,
				  .quiet = f->quiet,
				  .progress_fd = STDOUT_FILENO };
	own_image struct image *i = NULL;

	if (image_name_check(name, e) < 0 || zl_store(z, e) < 0)
		return -1;
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

struct load_flags {
	const char *input, *platform;
	bool quiet;
};

#undef AT
#define AT(member) offsetof(struct load_flags, member)

static const struct opt load_opts[] = {
	{ OPT_TEXT, 'i', "input", "string", AT(input), NULL, "@file",
	  "Read from tar archive file, instead of STDIN" },
	{ OPT_TEXT, 0, "platform", "string", AT(platform), NULL,
	  "linux/amd64|linux/arm64|linux/386|linux/arm/v7",
	  "Load only the given platform of an image made for several" },
	{ OPT_BOOL, 'q', "quiet", NULL, AT(quiet), NULL, NULL, "Suppress the load output" },
	{ .kind = OPT_END },
};

static int run_load(struct zl *z, void *flags, const struct operands *ops, struct err *e)
{
	const struct load_flags *f = flags;
	own_strv struct strv loaded = STRV_INIT;
	own_fd int fd = -1;
	int rc;

	(void)ops;
	if (f->input) {
		fd = open(f->input, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			return err_sys(e, "open %s", f->input);
	} else if (isatty(STDIN_FILENO)) {
		return err_set(e, EINVAL,
			       "requested load from stdin, but stdin is a terminal: use -i FILE");
	}
	rc = zl_store(z, e);
	if (rc == 0)
		rc = image_load(z->store, f->input ? fd : STDIN_FILENO, f->platform, &loaded, e);
	if (rc < 0)
		return err_wrap(e, "load %s", f->input ? f->input : "from stdin");
	for (size_t i = 0; i < loaded.n; i++) {
		own_free char *familiar = NULL;
		const char *one = loaded.v[i];

		if (!str_starts(one, "sha256:"))
			familiar = image_name_familiar(one);
		printf("Loaded image%s: %s\n", str_starts(one, "sha256:") ? " ID" : "",
		       familiar ? familiar : one);
	}
	return 0;
}

const struct command cmd_load = {
	.names = "image load, load",
	.help = "Load an image from a tar archive or STDIN",
	.usage = "[OPTIONS]",
	.run = run_load,
	.opts = load_opts,
	.flags_size = sizeof(struct load_flags),
};

static int run_tag(struct zl *z, void *flags, const struct operands *ops, struct err *e)
{
	(void)flags;
	return zl_store(z, e) < 0 ? -1 : image_tag(z->store, ops->v[0], ops->v[1], e);
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
	bool force;
};

static const struct opt rmi_opts[] = {
	{ OPT_BOOL, 'f', "force", NULL, offsetof(struct rmi_flags, force), NULL, NULL,
	  "Force removal of the image" },
	{ .kind = OPT_END },
};

/* Who uses which image; made once, asked under the store's lock. */
struct users {
	struct box_list boxes;
	char by[SHORT_ID_LEN + 1];
};

static bool image_in_use(void *arg, const char *image_id, const char **by)
{
	struct users *u = arg;

	for (size_t i = 0; i < u->boxes.n; i++) {
		if (strcmp(u->boxes.v[i]->spec.image_id, image_id) != 0)
			continue;
		snprintf(u->by, sizeof(u->by), "%.12s", u->boxes.v[i]->spec.id);
		*by = u->by;
		return true;
	}
	return false;
}

/* What a running container uses is not removed by force either. */
static int check_running(struct zl *z, const struct box_list *boxes, const char *name,
			 struct err *e)
{
	own_image struct image *image = image_find(z->store, name, NULL);

	for (size_t i = 0; image && i < boxes->n; i++) {
		const struct box *b = boxes->v[i];

		if (b->state.status != BOX_RUNNING && b->state.status != BOX_PAUSED)
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
	own_strv struct strv report = STRV_INIT;
	struct users u;
	int rc = box_list(&z->dirs, &u.boxes, e);

	if (rc < 0)
		return rc;
	if (f->force)
		rc = check_running(z, &u.boxes, name, e);
	if (rc == 0)
		rc = image_remove(z->store, name, f->force, image_in_use, &u, &report, e);
	for (size_t i = 0; i < report.n; i++)
		puts(report.v[i]);
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
