/* volume_prune.c: zl volume prune. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cmd/cmd.h"
#include "cmd/human.h"
#include "cmd/volume.h"
#include "runtime/base/own.h"

struct prune_flags {
	bool all, force;
	struct strv filter;
};

#define AT(member) offsetof(struct prune_flags, member)

static const struct opt prune_rows[] = {
	{ OPT_BOOL, 'a', "all", NULL, AT(all), NULL, NULL,
	  "Remove all unused volumes, not just anonymous ones" },
	{ OPT_LIST, 0, "filter", "filter", AT(filter), NULL, "label=|label!=|all=true",
	  "Provide filter values (e.g. \"label=<label>\")" },
	{ OPT_BOOL, 'f', "force", NULL, AT(force), NULL, NULL, "Do not prompt for confirmation" },
	{ .kind = OPT_END },
};

int prune_volumes(struct zl *z, bool all, const struct filters *filters, uint64_t *bytes,
		  struct err *e)
{
	struct volume_list list OWN(volume_list_free) = { NULL, 0 };
	size_t gone = 0;
	int rc = volume_list(&z->dirs, &list, e);

	if (rc < 0)
		return rc;
	for (size_t i = 0; i < list.n; i++) {
		const struct volume *v = &list.v[i];
		uint64_t size;

		if (v->users.n || (!all && !v->anonymous) || !volume_matches(v, filters))
			continue;
		size = volume_size(v);
		/* what is taken into use in this very moment is left alone */
		if (volume_remove(&z->dirs, v->name, NULL) < 0)
			continue;
		if (gone++ == 0)
			puts("Deleted Volumes:");
		puts(v->name);
		*bytes += size;
	}
	if (gone)
		puts("");
	return 0;
}

static int run_prune(struct zl *z, void *flags, const struct operands *ops, struct err *e)
{
	static const char *const keys[] = { "label", "label!", "all", NULL };
	struct filters filters OWN(filters_free) = { STRV_INIT, STRV_INIT, 0 };
	const struct prune_flags *f = flags;
	bool all = f->all;
	uint64_t bytes = 0;
	char text[32];
	int rc = filters_parse(&f->filter, keys, &filters, e);

	(void)ops;
	for (size_t i = 0; rc == 0 && i < filters.n; i++)
		if (strcmp(filters.keys.v[i], "all") == 0)
			all = strcmp(filters.values.v[i], "true") == 0 ||
			      strcmp(filters.values.v[i], "1") == 0;
	if (rc < 0)
		return rc;
	if (!f->force &&
	    !confirm(all ? "WARNING! This will remove all local volumes not used by at least one "
			   "container.\nAre you sure you want to continue?"
			 : "WARNING! This will remove anonymous local volumes not used by at "
			   "least one container.\nAre you sure you want to continue?"))
		return 0;
	rc = prune_volumes(z, all, &filters, &bytes, e);
	if (rc < 0)
		return rc;
	human_size(bytes, text, sizeof(text));
	printf("Total reclaimed space: %s\n", text);
	return 0;
}

const struct command cmd_volume_prune = {
	.names = "volume prune",
	.help = "Remove unused local volumes",
	.usage = "[OPTIONS]",
	.run = run_prune,
	.opts = prune_rows,
	.flags_size = sizeof(struct prune_flags),
};
