/* complete.c: zl __complete: what could stand where the cursor is, for the shells. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/container.h"
#include "cmd/plan.h"
#include "cmd/show.h"
#include "cmd/volume.h"
#include "runtime/base/own.h"
#include "runtime/base/parse.h"

/*
 * `zl __complete -- WORD...`: the words behind `zl`, the last one (maybe empty)
 * is being typed. Prints candidates that begin with it, one a line, with a
 * description behind a tab; a line ":file" or ":dir" means that the shell
 * is to offer paths too. completions/ holds the three shells' ends of it.
 */
struct completing {
	struct zl *z;
	const char *typed; /* what candidates must begin with */
	const char *front; /* put in front of them: "--pull=" */
	struct str out;
};

static void offer(struct completing *c, const char *word, const char *help)
{
	if (!str_starts(word, c->typed))
		return;
	str_addf(&c->out, "%s%s", c->front, word);
	if (help && *help)
		str_addf(&c->out, "\t%s", help);
	str_add_char(&c->out, '\n');
}

/* --- what the values stand for */

static void offer_boxes(struct completing *c, const char *which)
{
	struct box_list list;
	size_t before = c->out.len;

	if (box_list(&c->z->dirs, &list, NULL) < 0)
		return;
	for (int ids = 0; ids < 2 && c->out.len == before; ids++) {
		for (size_t i = 0; i < list.n; i++) {
			const struct box *b = list.v[i];
			bool alive = box_is_running(b);
			char id[SHORT_ID_LEN + 1];

			if ((strcmp(which, "@running") == 0 && !alive) ||
			    (strcmp(which, "@stopped") == 0 && alive) ||
			    (strcmp(which, "@pausable") == 0 && b->state.status != BOX_RUNNING) ||
			    (strcmp(which, "@paused") == 0 && b->state.status != BOX_PAUSED))
				continue;
			snprintf(id, sizeof(id), "%.12s", b->spec.id);
			offer(c, ids ? id : b->spec.name, b->spec.image);
		}
	}
	box_list_free(&list);
}

static void offer_volumes(struct completing *c)
{
	struct volume_list list;

	if (volume_list(&c->z->dirs, &list, NULL) < 0)
		return;
	for (size_t i = 0; i < list.n; i++)
		offer(c, list.v[i].name, NULL);
	volume_list_free(&list);
}

/* What may be copied: a container's file, or the host's. */
static void offer_sides(struct completing *c)
{
	struct box_list list;

	if (box_list(&c->z->dirs, &list, NULL) == 0) {
		for (size_t i = 0; i < list.n; i++) {
			own_free char *side = xasprintf("%s:", list.v[i]->spec.name);

			offer(c, side, list.v[i]->spec.image);
		}
		box_list_free(&list);
	}
	str_add(&c->out, ":file\n");
}

static void offer_images(struct completing *c)
{
	struct image_list list;
	struct err e = ERR_INIT;
	size_t before = c->out.len;

	if (zl_store(c->z, &e) < 0 || image_list(c->z->store, &list, &e) < 0)
		return;
	for (size_t i = 0; i < list.n; i++) {
		own_free char *name = list.v[i]->name ? image_name_familiar(list.v[i]->name) : NULL;

		if (name)
			offer(c, name, NULL);
	}
	for (size_t i = 0; i < list.n && c->out.len == before; i++) {
		char id[SHORT_ID_LEN + 1];

		snprintf(id, sizeof(id), "%.12s", hex_of(list.v[i]->id));
		offer(c, id, NULL);
	}
	image_list_free(&list);
}

static void offer_signals(struct completing *c)
{
	for (int sig = 1; signal_name(sig); sig++)
		offer(c, signal_name(sig), NULL);
}

static void offer_caps(struct completing *c)
{
	offer(c, "ALL", "all of them");
	for (unsigned i = 0; cap_name(i); i++)
		offer(c, cap_name(i), NULL);
}

static void offer_env(struct completing *c)
{
	for (char **v = environ; *v; v++) {
		own_free char *name = xstrndup(*v, strcspn(*v, "="));

		offer(c, name, NULL);
	}
}

/* Words behind `zl` (group NULL) or behind a group's name. */
static void offer_commands(struct completing *c, const struct group *group)
{
	size_t n = group ? strlen(group->name) : 0;

	for (const struct command *const *k = commands; *k; k++) {
		const char *at = NULL;
		char name[64];

		while (!((*k)->flags & CMD_HIDDEN) &&
		       command_next_name(*k, &at, name, sizeof(name))) {
			if (group == NULL && strchr(name, ' ') == NULL)
				offer(c, name, (*k)->help);
			else if (group && strncmp(name, group->name, n) == 0 && name[n] == ' ')
				offer(c, name + n + 1, (*k)->help);
		}
	}
	for (const struct group *g = groups; group == NULL && g->name; g++)
		offer(c, g->name, g->help);
}

static void offer_values(struct completing *c, const char *values)
{
	own_strv struct strv words = STRV_INIT;

	if (values == NULL)
		return;
	if (strcmp(values, "@mount") == 0) { /* a volume's name, or a folder */
		offer_volumes(c);
		str_add(&c->out, ":dir\n");
	} else if (strcmp(values, "@file") == 0 || strcmp(values, "@dir") == 0)
		str_addf(&c->out, ":%s\n", values + 1);
	else if (strcmp(values, "@image") == 0)
		offer_images(c);
	else if (strcmp(values, "@signal") == 0)
		offer_signals(c);
	else if (strcmp(values, "@capability") == 0)
		offer_caps(c);
	else if (strcmp(values, "@env") == 0)
		offer_env(c);
	else if (strcmp(values, "@command") == 0)
		offer_commands(c, NULL);
	else if (strcmp(values, "@volume") == 0)
		offer_volumes(c);
	else if (strcmp(values, "@cp") == 0)
		offer_sides(c);
	else if (*values == '@')
		offer_boxes(c, values);
	else
		strv_split(&words, values, '|');
	if (strcmp(values, "@object") == 0) {
		offer_images(c);
		offer_volumes(c);
	}
	for (size_t i = 0; i < words.n; i++)
		offer(c, words.v[i], NULL);
}

static void offer_options(struct completing *c, const struct opt *rows)
{
	for (const struct opt *o = rows; o && o->kind != OPT_END; o++) {
		own_free char *name = xasprintf("--%s", o->name);

		if (o->help)
			offer(c, name, o->help);
	}
	offer(c, "--help", "Show help");
}

/* --- where the cursor is */

/* Whether the word, an option, takes the next word as its value; that option. */
static const struct opt *wants_value(const struct opt *rows, const char *word)
{
	const struct opt *o;

	if (str_starts(word, "--")) {
		if (strchr(word, '='))
			return NULL;
		o = opt_by_name(rows, word + 2, strlen(word + 2));
		return o && o->kind != OPT_BOOL ? o : NULL;
	}
	for (const char *l = word + 1; *l; l++) {
		o = opt_by_letter(rows, *l);
		if (o == NULL)
			return NULL;
		if (o->kind != OPT_BOOL)
			return l[1] ? NULL : o;
	}
	return NULL;
}

/* The last word among options: "--x=...", "--...", or neither (false). */
static bool complete_option(struct completing *c, const struct opt *rows)
{
	const char *word = c->typed, *eq = strchr(word, '=');
	const struct opt *o;

	if (*word != '-')
		return false;
	if (eq && str_starts(word, "--")) {
		own_free char *front = xstrndup(word, (size_t)(eq + 1 - word));

		o = opt_by_name(rows, word + 2, (size_t)(eq - word) - 2);
		c->front = front;
		c->typed = eq + 1;
		if (o)
			offer_values(c, o->kind == OPT_BOOL ? "true|false" : o->values);
		c->front = "";
		return true;
	}
	offer_options(c, rows);
	return true;
}

/* words: behind the command's name; the last one is being typed. */
static void complete_command(struct completing *c, const struct command *k, int n, char **words)
{
	bool options = true;
	int operands = 0;

	for (int i = 0; i < n - 1; i++) {
		const struct opt *o;

		if (!options || words[i][0] != '-' || words[i][1] == 0) {
			operands++;
			options = options && !(k->flags & CMD_FIRST);
		} else if (strcmp(words[i], "--") == 0) {
			options = false;
		} else if ((o = wants_value(k->opts, words[i])) != NULL && ++i == n - 1) {
			offer_values(c, o->values);
			return;
		}
	}
	if (options && complete_option(c, k->opts))
		return;
	if (k->max != ANY_NUMBER && operands >= k->max)
		return;
	if (k->flags & CMD_FIRST && operands > 0)
		offer_values(c, "@file");
	else
		offer_values(c, k->complete);
}

/* Passes over the global options; the index of the first other word, at most n - 1. */
static int pass_globals(struct completing *c, int n, char **words, const char **root, bool *done)
{
	int i = 0;

	*done = false;
	while (i < n - 1 && words[i][0] == '-') {
		const struct opt *o = wants_value(global_opts, words[i]);

		if (str_starts(words[i], "--root="))
			*root = words[i] + strlen("--root=");
		i++;
		if (o && i == n - 1) {
			offer_values(c, o->values);
			*done = true;
			return i;
		}
		if (o)
			*root = words[i++];
	}
	return i;
}

static void complete(struct completing *c, int n, char **words)
{
	const struct group *group;
	const struct command *k;
	const char *root = NULL;
	struct err e = ERR_INIT;
	bool done;
	int i = pass_globals(c, n, words, &root, &done), used;

	if (done)
		return;
	if (root) {
		zl_free(c->z);
		if (zl_dirs(c->z, root, false, &e) < 0)
			return;
	}
	if (i == n - 1) {
		if (!complete_option(c, global_opts))
			offer_commands(c, NULL);
		return;
	}
	k = command_find(n - i, words + i, &used, &group);
	if (k && i + used <= n - 1)
		complete_command(c, k, n - i - used, words + i + used);
	else if (group && i + 2 == n)
		offer_commands(c, group);
}

static int run_complete(struct zl *z, void *flags, const struct operands *ops, struct err *e)
{
	struct completing c = { .z = z, .front = "", .out = STR_INIT };
	bool dashes = ops->n && strcmp(ops->v[0], "--") == 0;
	char *none[] = { (char *)(uintptr_t) "" };
	int n = ops->n - dashes;
	char **words = n ? ops->v + dashes : none;

	(void)flags;
	(void)e;
	n = n ? n : 1;
	c.typed = words[n - 1];
	complete(&c, n, words);
	fputs(c.out.s ? c.out.s : "", stdout);
	str_free(&c.out);
	return 0;
}

const struct command cmd_complete = {
	.names = "__complete",
	.help = "Print what could stand where the cursor is",
	.usage = "-- WORD...",
	.run = run_complete,
	.flags = CMD_HIDDEN | CMD_RAW | CMD_PURE,
};
