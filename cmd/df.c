/* df.c: zl system df: what images and containers take on the disk. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/container.h"
#include "cmd/format.h"
#include "cmd/human.h"
#include "cmd/prune.h"
#include "cmd/table_out.h"
#include "cmd/volume.h"
#include "runtime/base/own.h"

struct df_flags {
	const char *format;
	bool verbose;
};

#define AT(member) offsetof(struct df_flags, member)

static const struct opt df_opts[] = {
	{ OPT_TEXT, 0, "format", "string", AT(format), NULL, "table|json",
	  "Format output: 'table', 'table TEMPLATE', 'json' or a Go template" },
	{ OPT_BOOL, 'v', "verbose", NULL, AT(verbose), NULL, NULL,
	  "Show detailed information on space usage" },
	{ .kind = OPT_END },
};

/* All that is counted. */
struct df {
	struct image_usage usage;
	struct image_list names;
	struct image_users users;
	uint64_t *box_bytes; /* of users.boxes */
	struct volume_list volumes;
};

static void df_free(struct df *d)
{
	image_usage_free(&d->usage);
	image_list_free(&d->names);
	box_list_free(&d->users.boxes);
	free(d->box_bytes);
	volume_list_free(&d->volumes);
}

static int df_read(struct zl *z, struct df *d, struct err *e)
{
	int rc = zl_store(z, e);

	if (rc == 0)
		rc = box_list(&z->dirs, &d->users.boxes, e);
	if (rc == 0)
		rc = volume_list(&z->dirs, &d->volumes, e);
	if (rc == 0)
		rc = image_list(z->store, &d->names, e);
	if (rc == 0)
		rc = image_usage(z->store, image_used, &d->users, &d->usage, e);
	if (rc < 0)
		return rc;
	d->box_bytes = xcalloc(d->users.boxes.n + 1, sizeof(*d->box_bytes));
	for (size_t i = 0; i < d->users.boxes.n; i++)
		d->box_bytes[i] = box_size(d->users.boxes.v[i]);
	return 0;
}

/* --- the sums */

static struct js *sum_row(const char *type, size_t total, size_t active, uint64_t bytes,
			  uint64_t free_bytes)
{
	struct js *row = js_object();
	char text[48];
	size_t n;

	snprintf(text, sizeof(text), "%zu", active);
	js_set_text(row, "Active", text);
	human_size(free_bytes, text, sizeof(text));
	n = strlen(text);
	if (bytes)
		snprintf(text + n, sizeof(text) - n, " (%llu%%)",
			 (unsigned long long)((long double)free_bytes * 100 / (long double)bytes));
	js_set_text(row, "Reclaimable", text);
	human_size(bytes, text, sizeof(text));
	js_set_text(row, "Size", text);
	snprintf(text, sizeof(text), "%zu", total);
	js_set_text(row, "TotalCount", text);
	js_set_text(row, "Type", type);
	return row;
}

static struct js *box_sum(const struct df *d)
{
	uint64_t bytes = 0, idle = 0;
	size_t active = 0;

	for (size_t i = 0; i < d->users.boxes.n; i++) {
		bytes += d->box_bytes[i];
		if (box_is_running(d->users.boxes.v[i]))
			active++;
		else
			idle += d->box_bytes[i];
	}
	return sum_row("Containers", d->users.boxes.n, active, bytes, idle);
}

static struct js *volume_sum(const struct df *d)
{
	uint64_t bytes = 0, idle = 0;
	size_t active = 0;

	for (size_t i = 0; i < d->volumes.n; i++) {
		uint64_t size = volume_size(&d->volumes.v[i]);

		bytes += size;
		if (d->volumes.v[i].users.n)
			active++;
		else
			idle += size;
	}
	return sum_row("Local Volumes", d->volumes.n, active, bytes, idle);
}

static struct js *image_sum(const struct df *d)
{
	const struct image_usage *u = &d->usage;
	size_t active = 0;

	for (size_t i = 0; i < u->n; i++)
		active += u->v[i].active;
	return sum_row("Images", u->n, active, u->total,
		       u->total > u->active ? u->total - u->active : 0);
}

static int print_sums(const struct df *d, const char *format, struct err *e)
{
	static const struct table_title titles[] = {
		{ "Active", "ACTIVE" }, { "Reclaimable", "RECLAIMABLE" },
		{ "Size", "SIZE" },	{ "TotalCount", "TOTAL" },
		{ "Type", "TYPE" },	{ NULL, NULL },
	};
	own_js struct js *rows = js_array();
	own_str struct str out = STR_INIT;

	js_push(rows, image_sum(d));
	js_push(rows, box_sum(d));
	js_push(rows, volume_sum(d));
	if (table_list(rows, format,
		       "{{.Type}}\t{{.TotalCount}}\t{{.Active}}\t{{.Size}}\t{{.Reclaimable}}",
		       titles, &out, e) < 0)
		return -1;
	fputs(out.s ? out.s : "", stdout);
	return 0;
}

/* --- one by one */

static void set_size(struct js *row, const char *key, uint64_t bytes)
{
	char text[32];

	human_size(bytes, text, sizeof(text));
	js_set_text(row, key, text);
}

static size_t users_of(const struct df *d, const char *id)
{
	size_t n = 0;

	for (size_t i = 0; i < d->users.boxes.n; i++)
		n += strcmp(d->users.boxes.v[i]->spec.image_id, id) == 0;
	return n;
}

static struct js *image_rows(const struct df *d)
{
	struct js *rows = js_array();

	for (size_t i = 0; i < d->names.n; i++) {
		const struct image *im = d->names.v[i];
		struct js *row = images_row(im, false);
		char text[24];

		for (size_t k = 0; k < d->usage.n; k++) {
			const struct image_disk *disk = &d->usage.v[k];

			if (strcmp(disk->id, im->id) != 0)
				continue;
			set_size(row, "Size", disk->size);
			set_size(row, "VirtualSize", disk->size);
			set_size(row, "SharedSize", disk->shared);
			set_size(row, "UniqueSize", disk->size - disk->shared);
		}
		snprintf(text, sizeof(text), "%zu", users_of(d, im->id));
		js_set_text(row, "Containers", text);
		js_push(rows, row);
	}
	return rows;
}

static struct js *box_rows(const struct df *d)
{
	struct js *rows = js_array();

	for (size_t i = 0; i < d->users.boxes.n; i++) {
		struct js *row = ps_row(d->users.boxes.v[i], false);

		set_size(row, "Size", d->box_bytes[i]);
		js_push(rows, row);
	}
	return rows;
}

static struct js *volume_rows(const struct df *d)
{
	struct js *rows = js_array();

	for (size_t i = 0; i < d->volumes.n; i++)
		js_push(rows, volume_row(&d->volumes.v[i], true));
	return rows;
}

static int print_table(const char *heading, const struct js *rows, const char *columns,
		       const struct table_title *titles, struct err *e)
{
	own_str struct str out = STR_INIT;

	if (table_list(rows, "", columns, titles, &out, e) < 0)
		return -1;
	printf("%s:\n\n%s", heading, out.s ? out.s : "");
	return 0;
}

static int print_verbose(const struct js *images, const struct js *boxes, const struct js *volumes,
			 struct err *e)
{
	static const struct table_title image_titles[] = {
		{ "Repository", "REPOSITORY" },
		{ "Tag", "TAG" },
		{ "ID", "IMAGE ID" },
		{ "CreatedSince", "CREATED" },
		{ "Size", "SIZE" },
		{ "SharedSize", "SHARED SIZE" },
		{ "UniqueSize", "UNIQUE SIZE" },
		{ "Containers", "CONTAINERS" },
		{ NULL, NULL },
	};
	static const struct table_title box_titles[] = {
		{ "ID", "CONTAINER ID" }, { "Image", "IMAGE" },
		{ "Command", "COMMAND" }, { "LocalVolumes", "LOCAL VOLUMES" },
		{ "Size", "SIZE" },	  { "RunningFor", "CREATED" },
		{ "Status", "STATUS" },	  { "Names", "NAMES" },
		{ NULL, NULL },
	};
	static const struct table_title volume_titles[] = {
		{ "Name", "VOLUME NAME" },
		{ "Links", "LINKS" },
		{ "Size", "SIZE" },
		{ NULL, NULL },
	};

	if (print_table("Images space usage", images,
			"{{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}\t"
			"{{.SharedSize}}\t{{.UniqueSize}}\t{{.Containers}}",
			image_titles, e) < 0)
		return -1;
	puts("");
	if (print_table("Containers space usage", boxes,
			"{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.LocalVolumes}}\t{{.Size}}\t"
			"{{.RunningFor}}\t{{.Status}}\t{{.Names}}",
			box_titles, e) < 0)
		return -1;
	puts("");
	return print_table("Local Volumes space usage", volumes, "{{.Name}}\t{{.Links}}\t{{.Size}}",
			   volume_titles, e);
}

/* -v with a format: one object of all. */
static int print_formatted(const struct js *images, const struct js *boxes,
			   const struct js *volumes, const char *format, struct err *e)
{
	own_js struct js *all = js_object();
	own_format struct format *f = NULL;
	own_str struct str out = STR_INIT;

	js_set(all, "Images", js_copy(images));
	js_set(all, "Containers", js_copy(boxes));
	js_set(all, "Volumes", js_copy(volumes));
	f = format_parse(strcmp(format, "json") == 0 ? "{{json .}}" : format, e);
	if (f == NULL || format_run(f, all, false, &out, e) < 0)
		return -1;
	puts(out.s ? out.s : "");
	return 0;
}

static int run_df(struct zl *z, void *flags, const struct operands *ops, struct err *e)
{
	const struct df_flags *f = flags;
	struct df d OWN(df_free) = { 0 };
	own_js struct js *images = NULL, *boxes = NULL, *volumes = NULL;

	(void)ops;
	if (df_read(z, &d, e) < 0)
		return -1;
	if (!f->verbose)
		return print_sums(&d, f->format, e);
	images = image_rows(&d);
	boxes = box_rows(&d);
	volumes = volume_rows(&d);
	if (f->format && *f->format && strcmp(f->format, "table") != 0)
		return print_formatted(images, boxes, volumes, f->format, e);
	return print_verbose(images, boxes, volumes, e);
}

const struct command cmd_system_df = {
	.names = "system df",
	.help = "Show disk usage",
	.usage = "[OPTIONS]",
	.run = run_df,
	.opts = df_opts,
	.flags_size = sizeof(struct df_flags),
};
