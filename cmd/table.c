/* table.c: the table of commands, and how a command line finds its row. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cmd/cmd.h"

/* Room for every word that may follow `zl` or a group's name. */
#define WORDS_MAX 96

const struct command *const commands[] = {
	&cmd_run,
	&cmd_exec,
	&cmd_ps,
	&cmd_pull,
	&cmd_push,
	&cmd_images,
	&cmd_version,
	&cmd_info,
	/* by name from here on */
	&cmd_attach,
	&cmd_commit,
	&cmd_cp,
	&cmd_create,
	&cmd_diff,
	&cmd_events,
	&cmd_export,
	&cmd_help,
	&cmd_history,
	&cmd_import,
	&cmd_inspect,
	&cmd_kill,
	&cmd_load,
	&cmd_login,
	&cmd_logout,
	&cmd_logs,
	&cmd_pause,
	&cmd_port,
	&cmd_rename,
	&cmd_restart,
	&cmd_rm,
	&cmd_rmi,
	&cmd_save,
	&cmd_search,
	&cmd_start,
	&cmd_stats,
	&cmd_stop,
	&cmd_tag,
	&cmd_top,
	&cmd_unpause,
	&cmd_update,
	&cmd_wait,
	/* in groups only */
	&cmd_container_inspect,
	&cmd_container_prune,
	&cmd_image_inspect,
	&cmd_image_prune,
	&cmd_manifest_inspect,
	&cmd_system_check,
	&cmd_system_df,
	&cmd_system_prune,
	&cmd_volume_create,
	&cmd_volume_inspect,
	&cmd_volume_ls,
	&cmd_volume_prune,
	&cmd_volume_rm,
	/* hidden */
	&cmd_complete,
	&cmd_man,
	NULL,
};

const struct group groups[] = {
	{ "container", "Manage containers" },
	{ "image", "Manage images" },
	{ "manifest", "Look at manifests in registries" },
	{ "system", "Manage zl" },
	{ "volume", "Manage volumes" },
	{ NULL, NULL },
};

/* *at starts as NULL and walks through "a, b, c". */
bool command_next_name(const struct command *c, const char **at, char *name, size_t size)
{
	const char *from = *at ? *at : c->names;
	size_t n;

	from += strspn(from, ", ");
	n = strcspn(from, ",");
	if (n == 0)
		return false;
	snprintf(name, size, "%.*s", (int)n, from);
	*at = from + n;
	return true;
}

bool command_top_name(const struct command *c, char *name, size_t size)
{
	const char *at = NULL;

	while (command_next_name(c, &at, name, size))
		if (strchr(name, ' ') == NULL)
			return true;
	return false;
}

static const struct command *by_name(const char *name)
{
	for (const struct command *const *c = commands; *c; c++) {
		const char *at = NULL;
		char one[64];

		while (command_next_name(*c, &at, one, sizeof(one)))
			if (strcmp(one, name) == 0)
				return *c;
	}
	return NULL;
}

const struct command *command_find(int argc, char **argv, int *used, const struct group **group)
{
	const struct command *c;
	char two[64];

	*group = NULL;
	*used = 0;
	if (argc < 1 || strchr(argv[0], ' '))
		return NULL;
	for (const struct group *g = groups; g->name; g++)
		if (strcmp(g->name, argv[0]) == 0)
			*group = g;
	*used = 1;
	if (*group == NULL)
		return by_name(argv[0]);
	if (argc < 2 || strchr(argv[1], ' '))
		return NULL;
	snprintf(two, sizeof(two), "%.20s %.20s", argv[0], argv[1]);
	c = by_name(two);
	*used = c ? 2 : 1;
	return c;
}

/* What may follow `zl` (group NULL) or the group; the words live in buf. */
static size_t next_words(const struct group *group, const char **words, char buf[][64])
{
	size_t n = 0, prefix = group ? strlen(group->name) + 1 : 0;

	for (const struct command *const *c = commands; *c; c++) {
		const char *at = NULL;
		char one[64];

		while (!((*c)->flags & CMD_HIDDEN) && n < WORDS_MAX &&
		       command_next_name(*c, &at, one, sizeof(one))) {
			const char *space = strchr(one, ' ');

			if (group == NULL ? space != NULL
					  : space == NULL || !str_starts(one, group->name))
				continue;
			snprintf(buf[n], sizeof(buf[n]), "%s", one + prefix);
			words[n] = buf[n];
			n++;
		}
	}
	for (const struct group *g = groups; group == NULL && g->name && n < WORDS_MAX; g++)
		words[n++] = g->name;
	return n;
}

int command_unknown(int argc, char **argv, const struct group *group, struct err *e)
{
	const char *words[WORDS_MAX], *near;
	char buf[WORDS_MAX][64];
	const char *typed = group && argc > 1 ? argv[1] : argv[0];
	const char *gap = group ? " " : "", *front = group ? group->name : "";

	near = nearest_word(typed, words, next_words(group, words, buf));
	if (near)
		return err_set(e, EINVAL,
			       "'%s%s%.200s' is not a zl command; did you mean 'zl %s%s%s'?", front,
			       gap, typed, front, gap, near);
	return err_set(e, EINVAL, "'%s%s%.200s' is not a zl command", front, gap, typed);
}
