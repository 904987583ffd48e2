/* inspect.c: zl inspect, and those of containers, images and volumes. */
#include "cmd/inspect.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cmd/cmd.h"
#include "cmd/show.h"
#include "cmd/volume.h"
#include "runtime/base/own.h"

struct inspect_flags {
	const char *format, *type, *platform;
	bool size;
};

#define AT(member) offsetof(struct inspect_flags, member)
#define FORMAT_ROW                                                                      \
	{                                                                               \
		OPT_TEXT, 'f', "format", "string", AT(format), NULL, "json|{{json .}}", \
			"Format output: 'json' or a Go template"                        \
	}

#define SIZE_ROW                                                   \
	{                                                          \
		OPT_BOOL, 's', "size", NULL, AT(size), NULL, NULL, \
			"Display total file sizes of containers"   \
	}

static const struct opt inspect_opts[] = {
	FORMAT_ROW,
	SIZE_ROW,
	{ OPT_TEXT, 0, "type", "string", AT(type), NULL, "container|image|volume",
	  "Only inspect objects of the given type" },
	{ .kind = OPT_END },
};

static const struct opt box_opts[] = {
	FORMAT_ROW,
	SIZE_ROW,
	{ .kind = OPT_END },
};

static const struct opt image_opts[] = {
	FORMAT_ROW,
	{ OPT_TEXT, 0, "platform", "string", AT(platform), NULL,
	  "linux/amd64|linux/arm64|linux/386|linux/arm/v7", "Only images of this platform" },
	{ .kind = OPT_END },
};

static const struct opt volume_opts[] = {
	FORMAT_ROW,
	{ .kind = OPT_END },
};

/* What is looked for, in this order. */
#define KIND_BOX    (1U << 0)
#define KIND_IMAGE  (1U << 1)
#define KIND_VOLUME (1U << 2)
#define KIND_ALL    (KIND_BOX | KIND_IMAGE | KIND_VOLUME)

/* What one call looks at. */
struct looking {
	struct zl *z;
	unsigned kinds; /* KIND_* */
	const char *platform;
	bool size;
	struct image_list all; /* read when the first image turns up */
	struct js *found;
};

/* 1: found; 0: no such container. */
static int look_for_box(struct looking *l, const char *who, struct err *e)
{
	own_box struct box *b = box_find(&l->z->dirs, who, e);
	own_image struct image *i = NULL;
	uint64_t bytes;

	if (b == NULL)
		return e->code == ENOENT ? 0 : -1;
	if (l->size && zl_store(l->z, e) < 0)
		return -1;
	i = l->size ? image_find(l->z->store, b->spec.image_id, NULL) : NULL;
	bytes = i ? i->size : 0;
	js_push(l->found, inspect_box(b, l->size ? &bytes : NULL));
	return 1;
}

static int look_for_image(struct looking *l, const char *who, struct err *e)
{
	own_image struct image *i = NULL;

	if (zl_store(l->z, e) < 0)
		return -1;
	i = image_find(l->z->store, who, e);
	if (i == NULL)
		return e->code == ENOENT ? 0 : -1;
	if (image_platform_check(i, who, l->platform, e) < 0)
		return -1;
	if (l->all.v == NULL && image_list(l->z->store, &l->all, e) < 0)
		return -1;
	if (l->size)
		fputs("WARNING: --size ignored for images\n", stderr);
	js_push(l->found, inspect_image(i, &l->all));
	return 1;
}

static int look_for_volume(struct looking *l, const char *who, struct err *e)
{
	struct volume v OWN(volume_free) = { 0 };

	if (volume_find(&l->z->dirs, who, &v, e) < 0)
		return e->code == ENOENT ? 0 : -1;
	if (l->size)
		fputs("WARNING: --size ignored for volumes\n", stderr);
	js_push(l->found, volume_inspected(&v));
	return 1;
}

typedef int look_fn(struct looking *l, const char *who, struct err *e);

/* What cannot be a kind's name is none of that kind, where another may have it. */
static int look_for(struct looking *l, const char *who, struct err *e)
{
	static look_fn *const looks[] = { look_for_box, look_for_image, look_for_volume };
	bool one = (l->kinds & (l->kinds - 1)) == 0;

	for (unsigned i = 0; i < sizeof(looks) / sizeof(looks[0]); i++) {
		int rc = l->kinds & 1U << i ? looks[i](l, who, e) : 0;

		if (rc > 0 || (rc < 0 && (one || e->code != EINVAL)))
			return rc < 0 ? rc : 0;
	}
	if (one && l->kinds == KIND_VOLUME)
		return -ENOENT; /* in the words of whoever looked */
	return err_set(e, ENOENT, "No such %s: %s",
		       l->kinds == KIND_BOX	? "container"
		       : l->kinds == KIND_IMAGE ? "image"
						: "object",
		       who);
}

/* docker prints what it found, and complains about the rest afterwards. */
static int inspect_all(struct zl *z, const struct operands *ops, const struct inspect_flags *f,
		       unsigned kinds, struct err *e)
{
	own_js struct js *found = js_array();
	own_str struct str complaints = STR_INIT;
	struct looking l = {
		.z = z, .kinds = kinds, .platform = f->platform, .found = found, .size = f->size
	};
	int rc = inspect_format_check(f->format, e);

	if (rc)
		return rc;
	for (int i = 0; i < ops->n; i++) {
		struct err one = ERR_INIT;

		if (look_for(&l, ops->v[i], &one) < 0)
			str_addf(&complaints, "zl: %s\n", one.msg);
	}
	image_list_free(&l.all);
	rc = print_inspected(found, f->format, e);
	fflush(stdout);
	if (complaints.len)
		fputs(complaints.s, stderr);
	return rc ? rc : complaints.len > 0;
}

static int run_inspect(struct zl *z, void *flags, const struct operands *ops, struct err *e)
{
	static const char *const names[] = { "container", "image", "volume" };
	const struct inspect_flags *f = flags;
	unsigned kinds = 0;

	if (f->type == NULL || *f->type == 0)
		return inspect_all(z, ops, f, KIND_ALL, e);
	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		kinds |= strcmp(f->type, names[i]) == 0 ? 1U << i : 0;
	if (kinds == 0)
		return err_set(e, EINVAL, "\"%s\" is not a valid value for --type", f->type);
	return inspect_all(z, ops, f, kinds, e);
}

static int run_box_inspect(struct zl *z, void *flags, const struct operands *ops, struct err *e)
{
	return inspect_all(z, ops, flags, KIND_BOX, e);
}

static int run_image_inspect(struct zl *z, void *flags, const struct operands *ops, struct err *e)
{
	return inspect_all(z, ops, flags, KIND_IMAGE, e);
}

static int run_volume_inspect(struct zl *z, void *flags, const struct operands *ops, struct err *e)
{
	return inspect_all(z, ops, flags, KIND_VOLUME, e);
}

const struct command cmd_inspect = {
	.names = "inspect",
	.help = "Return low-level information on containers, images and volumes",
	.usage = "[OPTIONS] NAME|ID [NAME|ID...]",
	.run = run_inspect,
	.opts = inspect_opts,
	.flags_size = sizeof(struct inspect_flags),
	.min = 1,
	.max = ANY_NUMBER,
	.complete = "@object",
};

const struct command cmd_container_inspect = {
	.names = "container inspect",
	.help = "Display detailed information on one or more containers",
	.usage = "[OPTIONS] CONTAINER [CONTAINER...]",
	.run = run_box_inspect,
	.opts = box_opts,
	.flags_size = sizeof(struct inspect_flags),
	.min = 1,
	.max = ANY_NUMBER,
	.complete = "@container",
};

const struct command cmd_image_inspect = {
	.names = "image inspect",
	.help = "Display detailed information on one or more images",
	.usage = "[OPTIONS] IMAGE [IMAGE...]",
	.run = run_image_inspect,
	.opts = image_opts,
	.flags_size = sizeof(struct inspect_flags),
	.min = 1,
	.max = ANY_NUMBER,
	.complete = "@image",
};

const struct command cmd_volume_inspect = {
	.names = "volume inspect",
	.help = "Display detailed information on one or more volumes",
	.usage = "[OPTIONS] VOLUME [VOLUME...]",
	.run = run_volume_inspect,
	.opts = volume_opts,
	.flags_size = sizeof(struct inspect_flags),
	.min = 1,
	.max = ANY_NUMBER,
	.complete = "@volume",
};
