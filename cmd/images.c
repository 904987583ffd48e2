/* images.c: zl images. */
#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/container.h"
#include "cmd/human.h"
#include "cmd/prune.h"
#include "cmd/show.h"
#include "cmd/table_out.h"
#include "runtime/base/own.h"
#include "runtime/base/parse.h"

struct images_flags {
	bool all, digests, no_trunc, quiet;
	const char *format;
	struct strv filter;
};

#define AT(member) offsetof(struct images_flags, member)

static const struct opt images_opts[] = {
	{ OPT_BOOL, 'a', "all", NULL, AT(all), NULL, NULL,
	  "Show all images (zl keeps no intermediate ones: the same list)" },
	{ OPT_BOOL, 0, "digests", NULL, AT(digests), NULL, NULL, "Show digests" },
	{ OPT_LIST, 'f', "filter", "filter", AT(filter), NULL,
	  "dangling=true|dangling=false|label=|reference=|before=|since=|until=",
	  "Filter output based on conditions provided" },
	{ OPT_TEXT, 0, "format", "string", AT(format), NULL, "table|json",
	  "Format output: 'table', 'table TEMPLATE', 'json' or a Go template" },
	{ OPT_BOOL, 0, "no-trunc", NULL, AT(no_trunc), NULL, NULL, "Don't truncate output" },
	{ OPT_BOOL, 'q', "quiet", NULL, AT(quiet), NULL, NULL, "Only show image IDs" },
	{ .kind = OPT_END },
};

/* An image's names as the columns show them. */
struct labelled {
	const struct image *image;
	char *repository, *tag; /* "<none>" where there is none */
};

static void labelled_free(struct labelled *l)
{
	free(l->repository);
	free(l->tag);
}

static void labelled_fill(struct labelled *l, const struct image *i)
{
	l->image = i;
	l->repository = l->tag = NULL;
	if (i->name)
		image_name_split(i->name, &l->repository, &l->tag);
	if (l->repository == NULL)
		l->repository = xstrdup("<none>");
	if (l->tag == NULL || *l->tag == 0) {
		free(l->tag);
		l->tag = xstrdup("<none>");
	}
}

/* A pattern of names: without a tag it stands for all of them. */
static bool reference_matches(const struct labelled *l, const char *pattern)
{
	own_free char *both = xasprintf("%s:%s", l->repository, l->tag);

	if (l->image->name == NULL)
		return false;
	return fnmatch(pattern, both, FNM_PATHNAME) == 0 ||
	       fnmatch(pattern, l->repository, FNM_PATHNAME) == 0 ||
	       fnmatch(pattern, l->image->name, FNM_PATHNAME) == 0;
}

/* `zl images NAME[:TAG]`: the name in any spelling. */
static bool operand_matches(const struct labelled *l, const char *name)
{
	own_free char *repository = NULL, *tag = NULL, *familiar = image_name_familiar(name);
	const char *slash = strrchr(name, '/');
	bool tagged = strchr(slash ? slash : name, ':') != NULL;

	if (familiar == NULL)
		return reference_matches(l, name);
	image_name_split(familiar, &repository, &tag);
	if (repository == NULL || strcmp(repository, l->repository) != 0)
		return reference_matches(l, name);
	return !tagged || (tag && strcmp(tag, l->tag) == 0);
}

struct bounds {
	int64_t before, since, until; /* 0: none */
	bool labels;		      /* there are filters for labels */
};

static bool image_has_labels(struct zl *z, const struct image *i, const struct filters *f)
{
	own_js struct js *config = image_config(z->store, i->id, NULL);
	own_strv struct strv labels = STRV_INIT;

	image_labels(config, &labels);
	return labels_match(f, &labels);
}

static bool matches(const struct labelled *l, const struct filters *f, const struct bounds *b)
{
	bool want = true, reference = false, has_reference = false;

	if ((b->before && l->image->created >= b->before) ||
	    (b->since && l->image->created <= b->since) ||
	    (b->until && l->image->created > b->until))
		return false;
	for (size_t i = 0; i < f->n; i++) {
		const char *value = f->values.v[i];

		if (strcmp(f->keys.v[i], "dangling") == 0 && parse_bool(value, &want) &&
		    want != (l->image->name == NULL))
			return false;
		if (strcmp(f->keys.v[i], "reference") != 0)
			continue;
		has_reference = true;
		reference = reference || reference_matches(l, value);
	}
	return !has_reference || reference;
}

static int check_filters(struct zl *z, const struct filters *f, struct bounds *b, struct err *e)
{
	for (size_t i = 0; i < f->n; i++) {
		const char *key = f->keys.v[i], *value = f->values.v[i];
		own_image struct image *image = NULL;
		int64_t ns;
		bool flag;

		b->labels = b->labels || str_starts(key, "label");
		if (strcmp(key, "until") == 0) {
			if (!parse_moment(value, now_ns(), &ns))
				return err_set(e, EINVAL, "invalid filter 'until=%s'", value);
			b->until = ns / NS_PER_S;
		}
		if (strcmp(key, "dangling") == 0 && !parse_bool(value, &flag))
			return err_set(e, EINVAL, "invalid filter 'dangling=%s'", value);
		if (strcmp(key, "before") != 0 && strcmp(key, "since") != 0)
			continue;
		image = image_find(z->store, value, e);
		if (image == NULL)
			return -1;
		*(*key == 'b' ? &b->before : &b->since) = image->created;
	}
	return 0;
}

/*
 * docker's fields, by name as Go writes a map; without `all` only those that zl's own columns have,
 * since a listing of many images spends most of its time here.
 */
static struct js *row_of(const struct labelled *l, bool whole, bool all)
{
	struct js *row = js_object();
	char buf[128];

	if (all) {
		js_set_text(row, "Containers", "N/A");
		human_time(l->image->created, buf, sizeof(buf));
		js_set_text(row, "CreatedAt", l->image->created ? buf : "N/A");
	}
	human_span(now_ns() / NS_PER_S - l->image->created, buf, sizeof(buf));
	text_ago(buf, sizeof(buf));
	js_set_text(row, "CreatedSince", l->image->created ? buf : "N/A");
	js_set_text(row, "Digest", l->image->digest[0] ? l->image->digest : "<none>");
	if (whole)
		snprintf(buf, sizeof(buf), "%s", l->image->id);
	else
		snprintf(buf, sizeof(buf), "%.12s", hex_of(l->image->id));
	js_set_text(row, "ID", buf);
	js_set_text(row, "Repository", l->repository);
	if (all)
		js_set_text(row, "SharedSize", "N/A");
	human_size(l->image->size, buf, sizeof(buf));
	js_set_text(row, "Size", buf);
	js_set_text(row, "Tag", l->tag);
	if (all) {
		js_set_text(row, "UniqueSize", "N/A");
		js_set_text(row, "VirtualSize", buf);
	}
	return row;
}

static const struct table_title titles[] = {
	{ "Containers", "CONTAINERS" },
	{ "CreatedAt", "CREATED AT" },
	{ "CreatedSince", "CREATED" },
	{ "Digest", "DIGEST" },
	{ "ID", "IMAGE ID" },
	{ "Repository", "REPOSITORY" },
	{ "SharedSize", "SHARED SIZE" },
	{ "Size", "SIZE" },
	{ "Tag", "TAG" },
	{ "UniqueSize", "UNIQUE SIZE" },
	{ "VirtualSize", "SIZE" },
	{ NULL, NULL },
};

#define IMAGES_COLUMNS "{{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}"
#define DIGESTS_COLUMNS \
	"{{.Repository}}\t{{.Tag}}\t{{.Digest}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}"

static void print_id(const struct image *i, bool whole)
{
	if (whole)
		puts(i->id);
	else
		printf("%.12s\n", hex_of(i->id));
}

static int print_rows(struct zl *z, const struct image_list *list, const struct images_flags *f,
		      const struct filters *filters, const struct bounds *bounds,
		      const char *operand, struct err *e)
{
	bool columns = f->format == NULL || *f->format == 0 || strcmp(f->format, "table") == 0;
	bool quiet = f->quiet && (f->format == NULL || *f->format == 0);
	own_js struct js *rows = js_array();
	own_str struct str out = STR_INIT;

	for (size_t i = 0; i < list->n; i++) {
		struct labelled l OWN(labelled_free);

		labelled_fill(&l, list->v[i]);
		if ((operand && !operand_matches(&l, operand)) || !matches(&l, filters, bounds) ||
		    (bounds->labels && !image_has_labels(z, l.image, filters)))
			continue;
		if (quiet)
			print_id(l.image, f->no_trunc);
		else
			js_push(rows, row_of(&l, f->no_trunc, !columns));
	}
	if (quiet)
		return 0;
	if (table_list(rows, f->format, f->digests ? DIGESTS_COLUMNS : IMAGES_COLUMNS, titles, &out,
		       e) < 0)
		return -1;
	fputs(out.s ? out.s : "", stdout);
	return 0;
}

static int run_images(struct zl *z, void *flags, const struct operands *ops, struct err *e)
{
	static const char *const keys[] = { "dangling", "label", "label!", "reference",
					    "before",	"since", "until",  NULL };
	const struct images_flags *f = flags;
	struct filters filters OWN(filters_free) = { STRV_INIT, STRV_INIT, 0 };
	struct bounds bounds = { 0 };
	struct image_list list;
	int rc;

	if (filters_parse(&f->filter, keys, &filters, e) < 0 || zl_store(z, e) < 0 ||
	    check_filters(z, &filters, &bounds, e) < 0 || image_list(z->store, &list, e) < 0)
		return -1;
	rc = print_rows(z, &list, f, &filters, &bounds, ops->n ? ops->v[0] : NULL, e);
	image_list_free(&list);
	return rc;
}

struct js *images_row(const struct image *i, bool whole)
{
	struct labelled l OWN(labelled_free);

	labelled_fill(&l, i);
	return row_of(&l, whole, true);
}

const struct command cmd_images = {
	.names = "image ls, image list, images",
	.help = "List images",
	.usage = "[OPTIONS] [REPOSITORY[:TAG]]",
	.run = run_images,
	.opts = images_opts,
	.flags_size = sizeof(struct images_flags),
	.max = 1,
	.flags = CMD_COMMON,
	.complete = "@image",
};
