/* volume.c: zl volume create, ls, inspect, rm. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cmd/cmd.h"
#include "cmd/human.h"
#include "cmd/show.h"
#include "cmd/table_out.h"
#include "cmd/volume.h"
#include "runtime/base/own.h"

/* What docker labels a volume with that nobody named. */
#define LABEL_ANONYMOUS "com.docker.volume.anonymous"

/* ---- create */

struct create_flags {
	const char *driver, *name;
	struct strv label, opt;
};

#define AT(member) offsetof(struct create_flags, member)

static const struct opt create_rows[] = {
	{ OPT_TEXT, 'd', "driver", "string", AT(driver), "local", "local",
	  "Specify volume driver name" },
	{ OPT_LIST, 0, "label", "list", AT(label), NULL, NULL, "Set metadata for a volume" },
	{ OPT_TEXT, 0, "name", "string", AT(name), NULL, NULL, NULL },
	{ OPT_LIST, 'o', "opt", "map", AT(opt), NULL,
	  "type=none|o=bind|device=", "Set driver specific options" },
	{ .kind = OPT_END },
};

static int run_create(struct zl *z, void *flags, const struct operands *ops, struct err *e)
{
	const struct create_flags *f = flags;
	own_strv struct strv labels = STRV_INIT;
	struct volume_new n = { .name = ops->n ? ops->v[0] : f->name,
				.labels = &labels,
				.options = &f->opt };
	struct volume v OWN(volume_free) = { .name = NULL };

	if (ops->n && f->name && strcmp(f->name, ops->v[0]) != 0)
		return err_set(e, EINVAL,
			       "conflicting options: cannot specify a volume-name through both "
			       "--name and as a positional arg");
	if (strcmp(f->driver, "local") != 0)
		return err_set(e, ENOENT,
			       "create %s: error looking up volume plugin %s: plugin \"%s\" not "
			       "found",
			       n.name ? n.name : "", f->driver, f->driver);
	for (size_t i = 0; i < f->label.n; i++)
		strv_addf(&labels, "%s%s", f->label.v[i], strchr(f->label.v[i], '=') ? "" : "=");
	n.anonymous = n.name == NULL || *n.name == 0;
	if (volume_create(&z->dirs, &n, &v, e) < 0)
		return -1;
	puts(v.name);
	return 0;
}

const struct command cmd_volume_create = {
	.names = "volume create",
	.help = "Create a volume",
	.usage = "[OPTIONS] [VOLUME]",
	.run = run_create,
	.opts = create_rows,
	.flags_size = sizeof(struct create_flags),
	.max = 1,
};

/* ---- as JSON */

static struct js *labels_of(const struct volume *v)
{
	struct js *j = labels_object(&v->labels);

	if (v->anonymous)
		js_set_text(j, LABEL_ANONYMOUS, "");
	return j;
}

static struct js *object_or_null(struct js *j)
{
	if (js_len(j))
		return j;
	js_free(j);
	return js_null();
}

struct js *volume_inspected(const struct volume *v)
{
	struct js *j = js_object();
	char at[64];

	rfc3339(v->created_ns / NS_PER_S * NS_PER_S, at, sizeof(at));
	js_set_text(j, "CreatedAt", at);
	js_set_text(j, "Driver", "local");
	js_set(j, "Labels", object_or_null(labels_of(v)));
	js_set_text(j, "Mountpoint", v->mountpoint);
	js_set_text(j, "Name", v->name);
	js_set(j, "Options", object_or_null(labels_object(&v->options)));
	js_set_text(j, "Scope", "local");
	return j;
}

struct js *volume_row(const struct volume *v, bool sizes)
{
	own_js struct js *labels = labels_of(v);
	own_str struct str text = STR_INIT;
	struct js *row = js_object(), *value;
	char size[32] = "N/A", links[16] = "N/A";
	const char *key;
	void *it = NULL;

	while (js_each(labels, &it, &key, &value))
		str_addf(&text, "%s%s=%s", text.len ? "," : "", key, js_text(value));
	if (sizes) {
		human_size(volume_size(v), size, sizeof(size));
		snprintf(links, sizeof(links), "%zu", v->users.n);
	}
	js_set_text(row, "Availability", "N/A");
	js_set_text(row, "Driver", "local");
	js_set_text(row, "Group", "N/A");
	js_set_text(row, "Labels", text.s ? text.s : "");
	js_set_text(row, "Links", links);
	js_set_text(row, "Mountpoint", v->mountpoint);
	js_set_text(row, "Name", v->name);
	js_set_text(row, "Scope", "local");
	js_set_text(row, "Size", size);
	js_set_text(row, "Status", "N/A");
	return row;
}

/* ---- ls */

struct ls_flags {
	const char *format;
	struct strv filter;
	bool quiet;
};

#undef AT
#define AT(member) offsetof(struct ls_flags, member)

static const struct opt ls_rows[] = {
	{ OPT_LIST, 'f', "filter", "filter", AT(filter), NULL,
	  "dangling=|driver=|label=|name=", "Provide filter values (e.g. \"dangling=true\")" },
	{ OPT_TEXT, 0, "format", "string", AT(format), NULL, "table|json",
	  "Format output: 'table', 'table TEMPLATE', 'json' or a Go template" },
	{ OPT_BOOL, 'q', "quiet", NULL, AT(quiet), NULL, NULL, "Only display volume names" },
	{ .kind = OPT_END },
};

bool volume_matches(const struct volume *v, const struct filters *f)
{
	own_strv struct strv labels = STRV_INIT;
	bool any_name = false, name = false;

	strv_add_all(&labels, &v->labels);
	if (v->anonymous)
		strv_add(&labels, LABEL_ANONYMOUS "=");
	for (size_t i = 0; i < f->n; i++) {
		const char *key = f->keys.v[i], *value = f->values.v[i];

		if (strcmp(key, "name") == 0) {
			any_name = true;
			name = name || strstr(v->name, value);
		} else if (strcmp(key, "driver") == 0 && strcmp(value, "local") != 0) {
			return false;
		} else if (strcmp(key, "dangling") == 0 &&
			   (strcmp(value, "true") == 0 || strcmp(value, "1") == 0) !=
				   (v->users.n == 0)) {
			return false;
		}
	}
	return (name || !any_name) && labels_match(f, &labels);
}

static int check_filters(const struct filters *f, struct err *e)
{
	static const char *const good[] = { "true", "false", "1", "0" };

	for (size_t i = 0; i < f->n; i++) {
		bool known = strcmp(f->keys.v[i], "dangling") != 0;

		for (size_t k = 0; k < 4; k++)
			known = known || strcmp(f->values.v[i], good[k]) == 0;
		if (!known)
			return err_set(e, EINVAL, "invalid filter 'dangling=%s'", f->values.v[i]);
	}
	return 0;
}

static int run_ls(struct zl *z, void *flags, const struct operands *ops, struct err *e)
{
	static const char *const keys[] = { "dangling", "driver", "label", "name", NULL };
	static const struct table_title titles[] = {
		{ "Availability", "AVAILABILITY" },
		{ "Driver", "DRIVER" },
		{ "Group", "GROUP" },
		{ "Labels", "LABELS" },
		{ "Links", "LINKS" },
		{ "Mountpoint", "MOUNTPOINT" },
		{ "Name", "VOLUME NAME" },
		{ "Scope", "SCOPE" },
		{ "Size", "SIZE" },
		{ "Status", "STATUS" },
		{ NULL, NULL },
	};
	const struct ls_flags *f = flags;
	struct filters filters OWN(filters_free) = { STRV_INIT, STRV_INIT, 0 };
	struct volume_list all OWN(volume_list_free) = { NULL, 0 };
	own_js struct js *rows = js_array();
	own_str struct str out = STR_INIT;
	int rc = filters_parse(&f->filter, keys, &filters, e);

	(void)ops;
	if (rc == 0)
		rc = check_filters(&filters, e);
	if (rc == 0)
		rc = volume_list(&z->dirs, &all, e);
	if (rc < 0)
		return rc;
	for (size_t i = 0; i < all.n; i++) {
		if (!volume_matches(&all.v[i], &filters))
			continue;
		if (f->quiet && f->format == NULL)
			puts(all.v[i].name);
		js_push(rows, volume_row(&all.v[i], false));
	}
	if (f->quiet && f->format == NULL)
		return 0;
	if (table_list(rows, f->format, "{{.Driver}}\t{{.Name}}", titles, &out, e) < 0)
		return -1;
	fputs(out.s ? out.s : "", stdout);
	return 0;
}

const struct command cmd_volume_ls = {
	.names = "volume ls, volume list",
	.help = "List volumes",
	.usage = "[OPTIONS]",
	.run = run_ls,
	.opts = ls_rows,
	.flags_size = sizeof(struct ls_flags),
};

/* ---- rm */

struct rm_flags {
	bool force;
};

static const struct opt rm_rows[] = {
	{ OPT_BOOL, 'f', "force", NULL, offsetof(struct rm_flags, force), NULL, NULL,
	  "Force the removal of one or more volumes" },
	{ .kind = OPT_END },
};

static int rm_one(struct zl *z, void *flags, const char *name, struct err *e)
{
	const struct rm_flags *f = flags;
	int rc = volume_remove(&z->dirs, name, e);

	if (rc < 0 && !(rc == -ENOENT && f->force))
		return rc;
	puts(name);
	return 0;
}

static int run_rm(struct zl *z, void *flags, const struct operands *ops, struct err *e)
{
	(void)e;
	return for_each_operand(z, flags, ops, rm_one);
}

const struct command cmd_volume_rm = {
	.names = "volume rm, volume remove",
	.help = "Remove one or more volumes",
	.usage = "[OPTIONS] VOLUME [VOLUME...]",
	.run = run_rm,
	.opts = rm_rows,
	.flags_size = sizeof(struct rm_flags),
	.min = 1,
	.max = ANY_NUMBER,
	.complete = "@volume",
};
