/* prune.c: zl image prune, container prune and system prune: what nobody needs any more goes. */
#include "cmd/prune.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cmd/cmd.h"
#include "cmd/human.h"
#include "cmd/volume.h"
#include "runtime/base/own.h"
#include "runtime/box/events.h"

struct prune_flags {
	bool all, force, volumes;
	struct strv filter;
};

#define AT(member) offsetof(struct prune_flags, member)
#define FILTER_ROW                                                                        \
	{                                                                                 \
		OPT_LIST, 0, "filter", "filter", AT(filter), NULL,                        \
			"until=|label=|label!=", "Provide filter values (e.g. until=24h)" \
	}
#define FORCE_ROW                                                    \
	{                                                            \
		OPT_BOOL, 'f', "force", NULL, AT(force), NULL, NULL, \
			"Do not prompt for confirmation"             \
	}

static const struct opt container_opts[] = {
	FILTER_ROW,
	FORCE_ROW,
	{ .kind = OPT_END },
};

static const struct opt image_opts[] = {
	{ OPT_BOOL, 'a', "all", NULL, AT(all), NULL, NULL,
	  "Remove all unused images, not just dangling ones" },
	FILTER_ROW,
	FORCE_ROW,
	{ .kind = OPT_END },
};

static const struct opt system_opts[] = {
	{ OPT_BOOL, 'a', "all", NULL, AT(all), NULL, NULL,
	  "Remove all unused images, not just dangling ones" },
	FILTER_ROW,
	FORCE_ROW,
	{ OPT_BOOL, 0, "volumes", NULL, AT(volumes), NULL, NULL, "Prune anonymous volumes" },
	{ .kind = OPT_END },
};

/* --- filters */

int prune_filter_parse(const struct strv *texts, struct prune_filter *f, struct err *e)
{
	static const char *const keys[] = { "until", "label", "label!", NULL };
	int64_t ns;

	*f = (struct prune_filter){ 0 };
	if (filters_parse(texts, keys, &f->filters, e) < 0)
		return -EINVAL;
	for (size_t i = 0; i < f->filters.n; i++) {
		if (strcmp(f->filters.keys.v[i], "until") != 0)
			continue;
		if (f->until)
			return err_set(e, EINVAL, "more than one until filter specified");
		if (!parse_moment(f->filters.values.v[i], now_ns(), &ns))
			return err_set(e, EINVAL, "invalid filter 'until=%s'",
				       f->filters.values.v[i]);
		f->until = ns / NS_PER_S;
	}
	return 0;
}

void prune_filter_free(struct prune_filter *f)
{
	filters_free(&f->filters);
}

static bool has_label(const struct strv *labels, const char *want)
{
	size_t n = strcspn(want, "=");

	for (size_t i = 0; i < labels->n; i++) {
		const char *have = labels->v[i];

		if (strcmp(have, want) == 0)
			return true;
		if (want[n] == 0 && strncmp(have, want, n) == 0 && have[n] == '=')
			return true;
	}
	return false;
}

bool labels_match(const struct filters *f, const struct strv *labels)
{
	for (size_t i = 0; i < f->n; i++) {
		const char *key = f->keys.v[i];

		if (strcmp(key, "label") == 0 && !has_label(labels, f->values.v[i]))
			return false;
		if (strcmp(key, "label!") == 0 && has_label(labels, f->values.v[i]))
			return false;
	}
	return true;
}

void image_labels(const struct js *config, struct strv *out)
{
	const struct js *labels = js_get(js_get(config, "config"), "Labels");
	struct js *value;
	const char *key;
	void *at = NULL;

	while (js_each(labels, &at, &key, &value))
		strv_addf(out, "%s=%s", key, js_text(value) ? js_text(value) : "");
}

bool confirm(const char *question)
{
	int first, c;

	printf("%s [y/N] ", question);
	fflush(stdout);
	first = c = getchar();
	while (c != '\n' && c != EOF) {
		c = getchar();
		if (c != '\n' && c != EOF)
			first = 0;
	}
	return tolower(first) == 'y';
}

/* --- images */

bool image_used(void *arg, const char *image_id, const char **by)
{
	struct image_users *u = arg;

	for (size_t i = 0; i < u->boxes.n; i++) {
		if (strcmp(u->boxes.v[i]->spec.image_id, image_id) != 0)
			continue;
		snprintf(u->by, sizeof(u->by), "%.12s", u->boxes.v[i]->spec.id);
		*by = u->by;
		return true;
	}
	return false;
}

struct image_choice {
	const struct prune_filter *filter;
	struct strv ids; /* of the images that go */
	struct image_users users;
	bool all;
};

static bool image_goes(void *arg, const struct image *i)
{
	struct image_choice *c = arg;
	own_strv struct strv labels = STRV_INIT;
	const char *by;

	if ((i->name && !c->all) || image_used(&c->users, i->id, &by))
		return false;
	if (c->filter->until && i->created > c->filter->until)
		return false;
	image_labels(i->config, &labels);
	if (!labels_match(&c->filter->filters, &labels))
		return false;
	strv_add(&c->ids, i->id);
	return true;
}

/* docker's event for all that a prune gave back. */
static void tell_pruned(struct zl *z, const char *type, uint64_t bytes)
{
	char text[24];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)bytes);
	events_say(&z->dirs, type, "prune", "", "reclaimed", text, NULL);
}

static int prune_images(struct zl *z, bool all, const struct prune_filter *filter, uint64_t *bytes,
			struct err *e)
{
	struct image_choice c = { .filter = filter, .all = all };
	own_strv struct strv report = STRV_INIT;
	uint64_t got = 0;
	int rc = zl_store(z, e);

	if (rc == 0)
		rc = box_list(&z->dirs, &c.users.boxes, e);
	if (rc < 0)
		return rc;
	rc = image_prune(z->store, image_goes, &c, &report, &got, e);
	box_list_free(&c.users.boxes);
	for (size_t i = 0; i < report.n; i++) {
		const char *id = report.v[i] + strlen("Deleted: ");

		if (str_starts(report.v[i], "Deleted: ") && strv_has(&c.ids, id))
			events_say_image(&z->dirs, "delete", id, id, NULL);
	}
	strv_free(&c.ids);
	if (rc == 0)
		tell_pruned(z, "image", got);
	if (report.n)
		puts("Deleted Images:");
	for (size_t i = 0; i < report.n; i++)
		printf("%c%s\n", tolower(report.v[i][0]), report.v[i] + 1);
	if (report.n)
		puts("");
	*bytes += got;
	return rc;
}

static void say_total(uint64_t bytes)
{
	char text[32];

	human_size(bytes, text, sizeof(text));
	printf("Total reclaimed space: %s\n", text);
}

static int run_image_prune(struct zl *z, void *flags, const struct operands *ops, struct err *e)
{
	const struct prune_flags *f = flags;
	struct prune_filter filter OWN(prune_filter_free);
	uint64_t bytes = 0;
	int rc = prune_filter_parse(&f->filter, &filter, e);

	(void)ops;
	if (rc < 0)
		return rc;
	if (!f->force &&
	    !confirm(f->all ? "WARNING! This will remove all images without at least one "
			      "container associated to them.\nAre you sure you want to continue?"
			    : "WARNING! This will remove all dangling images.\n"
			      "Are you sure you want to continue?"))
		return 0;
	rc = prune_images(z, f->all, &filter, &bytes, e);
	if (rc == 0)
		say_total(bytes);
	return rc;
}

/* --- containers */

static bool box_goes(const struct box *b, const struct prune_filter *filter)
{
	if (box_is_running(b) || b->state.status == BOX_DEAD)
		return false;
	if (filter->until && b->spec.created_ns / NS_PER_S > filter->until)
		return false;
	return labels_match(&filter->filters, &b->spec.labels);
}

/* What starts, or goes by itself, in this very moment is left alone without a word. */
static int prune_boxes(struct zl *z, const struct prune_filter *filter, uint64_t *bytes,
		       struct err *e)
{
	struct box_list boxes;
	size_t gone = 0;
	int rc = box_list(&z->dirs, &boxes, e);

	if (rc < 0)
		return rc;
	for (size_t i = 0; i < boxes.n; i++) {
		uint64_t size;

		if (!box_goes(boxes.v[i], filter))
			continue;
		size = box_size(boxes.v[i]);
		if (box_remove(&z->dirs, boxes.v[i], false, NULL) < 0)
			continue;
		if (gone++ == 0)
			puts("Deleted Containers:");
		puts(boxes.v[i]->spec.id);
		*bytes += size;
	}
	if (gone)
		puts("");
	tell_pruned(z, "container", *bytes);
	box_list_free(&boxes);
	return 0;
}

static int run_container_prune(struct zl *z, void *flags, const struct operands *ops, struct err *e)
{
	const struct prune_flags *f = flags;
	struct prune_filter filter OWN(prune_filter_free);
	uint64_t bytes = 0;
	int rc = prune_filter_parse(&f->filter, &filter, e);

	(void)ops;
	if (rc < 0)
		return rc;
	if (!f->force && !confirm("WARNING! This will remove all stopped containers.\n"
				  "Are you sure you want to continue?"))
		return 0;
	rc = prune_boxes(z, &filter, &bytes, e);
	if (rc == 0)
		say_total(bytes);
	return rc;
}

/* --- everything */

static bool confirm_all(const struct prune_flags *f)
{
	own_str struct str text = STR_INIT;

	str_add(&text, "WARNING! This will remove:\n  - all stopped containers\n");
	if (f->volumes)
		str_add(&text, "  - all anonymous volumes not used by at least one container\n");
	str_add(&text, f->all ? "  - all images without at least one container associated to them\n"
			      : "  - all dangling images\n");
	if (f->filter.n) {
		str_add(&text, "\n  Items to be pruned will be filtered with:\n");
		for (size_t i = 0; i < f->filter.n; i++)
			str_addf(&text, "  - %s\n", f->filter.v[i]);
	}
	str_add(&text, "\nAre you sure you want to continue?");
	return confirm(text.s);
}

static int run_system_prune(struct zl *z, void *flags, const struct operands *ops, struct err *e)
{
	const struct prune_flags *f = flags;
	struct prune_filter filter OWN(prune_filter_free);
	uint64_t bytes = 0;
	int rc = prune_filter_parse(&f->filter, &filter, e);

	(void)ops;
	if (rc < 0)
		return rc;
	if (f->volumes && filter.until)
		return err_set(e, EINVAL,
			       "The \"until\" filter is not supported with \"--volumes\"");
	if (!f->force && !confirm_all(f))
		return 0;
	rc = prune_boxes(z, &filter, &bytes, e);
	if (rc == 0 && f->volumes)
		rc = prune_volumes(z, false, &filter.filters, &bytes, e);
	if (rc == 0)
		rc = prune_images(z, f->all, &filter, &bytes, e);
	if (rc == 0)
		say_total(bytes);
	return rc;
}

const struct command cmd_image_prune = {
	.names = "image prune",
	.help = "Remove unused images",
	.usage = "[OPTIONS]",
	.run = run_image_prune,
	.opts = image_opts,
	.flags_size = sizeof(struct prune_flags),
};

const struct command cmd_container_prune = {
	.names = "container prune",
	.help = "Remove all stopped containers",
	.usage = "[OPTIONS]",
	.run = run_container_prune,
	.opts = container_opts,
	.flags_size = sizeof(struct prune_flags),
};

const struct command cmd_system_prune = {
	.names = "system prune",
	.help = "Remove unused data",
	.usage = "[OPTIONS]",
	.run = run_system_prune,
	.opts = system_opts,
	.flags_size = sizeof(struct prune_flags),
};
