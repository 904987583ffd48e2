/* help.c: help is the tables printed; also the generated part of the manual pages. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cmd/cmd.h"

#define GLOBAL(member) offsetof(struct global_flags, member)

const struct opt global_opts[] = {
	{ OPT_BOOL, 'D', "debug", NULL, GLOBAL(debug), NULL, NULL,
	  "Print each start-up step with its time" },
	{ OPT_TEXT, 0, "root", "string", GLOBAL(root), NULL, "@dir",
	  "Folder of images and containers (env ZL_ROOT)" },
	{ OPT_BOOL, 'v', "version", NULL, GLOBAL(version), NULL, NULL,
	  "Print version information and quit" },
	{ OPT_END },
};

/* The one-word rows with (or without) the flag. */
static void add_commands(struct str *out, const char *title, unsigned flag)
{
	str_addf(out, "\n%s:\n", title);
	for (const struct command *const *c = commands; *c; c++) {
		char name[64];

		if ((*c)->flags & CMD_HIDDEN || ((*c)->flags & CMD_COMMON) != flag ||
		    !command_top_name(*c, name, sizeof(name)))
			continue;
		str_addf(out, "  %-10s  %s\n", name, (*c)->help);
	}
}

void help_top(struct str *out)
{
	str_add(out, "\nUsage:  zl [OPTIONS] COMMAND\n\n"
		     "Runs each container image in a virtual machine of its own\n");
	add_commands(out, "Common Commands", CMD_COMMON);
	str_add(out, "\nManagement Commands:\n");
	for (const struct group *g = groups; g->name; g++)
		str_addf(out, "  %-10s  %s\n", g->name, g->help);
	add_commands(out, "Commands", 0);
	str_add(out, "\nGlobal Options:\n");
	opt_help(global_opts, out);
	str_add(out, "\nRun 'zl COMMAND --help' for more information on a command.\n");
}

void help_group(const struct group *g, struct str *out)
{
	str_addf(out, "\nUsage:  zl %s COMMAND\n\n%s\n\nCommands:\n", g->name, g->help);
	for (const struct command *const *c = commands; *c; c++) {
		const char *at = NULL;
		char name[64];
		size_t n = strlen(g->name);

		while (command_next_name(*c, &at, name, sizeof(name))) {
			if (strncmp(name, g->name, n) != 0 || name[n] != ' ')
				continue;
			str_addf(out, "  %-10s  %s\n", name + n + 1, (*c)->help);
			break;
		}
	}
	str_addf(out, "\nRun 'zl %s COMMAND --help' for more information on a command.\n", g->name);
}

void help_command(const struct command *c, const char *typed, struct str *out)
{
	const char *at = NULL;
	char name[64];
	unsigned n = 0;

	str_addf(out, "\nUsage:  zl %s%s%s\n\n%s\n", typed, *c->usage ? " " : "", c->usage,
		 c->help);
	if (strchr(c->names, ',')) {
		str_add(out, "\nAliases:\n ");
		while (command_next_name(c, &at, name, sizeof(name)))
			str_addf(out, "%s zl %s", n++ ? "," : "", name);
		str_add_char(out, '\n');
	}
	if (c->opts && c->opts->kind != OPT_END) {
		str_add(out, "\nOptions:\n");
		opt_help(c->opts, out);
	}
}

static int run_help(struct zl *z, void *flags, const struct operands *ops, struct err *e)
{
	own_str struct str out = STR_INIT;
	const struct group *group = NULL;
	const struct command *c;
	int used;

	(void)z;
	(void)flags;
	c = command_find(ops->n, ops->v, &used, &group);
	if (ops->n == 0) {
		help_top(&out);
	} else if (c && used == ops->n) {
		char name[64];

		snprintf(name, sizeof(name), "%.20s%s%.20s", ops->v[0], used > 1 ? " " : "",
			 used > 1 ? ops->v[1] : "");
		help_command(c, name, &out);
	} else if (group && ops->n == 1) {
		help_group(group, &out);
	} else {
		return command_unknown(ops->n, ops->v, group, e);
	}
	fputs(out.s, stdout);
	return 0;
}

const struct command cmd_help = {
	.names = "help",
	.help = "Show help on zl or one of its commands",
	.usage = "[COMMAND]",
	.run = run_help,
	.max = 2,
	.flags = CMD_PURE,
	.complete = "@command",
};

/*
 * `zl __man synopsis|options [COMMAND]` prints that part of a manual page, in
 * mdoc. man/update writes it into the pages, tests/cli/man.bats sees to it
 * that this was done.
 */

/* "[ARG...]" becomes ".Op Ar arg ..." */
static void man_operand(const char *word, size_t n, struct str *out)
{
	bool optional = word[0] == '[';
	bool many;

	if (optional) {
		word++;
		n -= 2;
	}
	many = n > 3 && memcmp(word + n - 3, "...", 3) == 0;
	n -= many ? 3 : 0;
	str_add(out, optional ? ".Op Ar " : ".Ar ");
	for (size_t i = 0; i < n; i++)
		str_add_char(out,
			     (char)(word[i] >= 'A' && word[i] <= 'Z' ? word[i] | 0x20 : word[i]));
	str_add(out, many ? " ...\n" : "\n");
}

/* Operands are apart by blanks, but within "[ps OPTIONS]"; brackets do not nest but in "[:TAG]". */
static void man_usage(const char *usage, struct str *out)
{
	while (*usage) {
		size_t n = strcspn(usage, " "), in = strcspn(usage, "]");

		if (*usage == '[' && in > n && usage[in])
			n = in + 1;

		man_operand(usage, n, out);
		usage += n;
		usage += strspn(usage, " ");
	}
}

static void man_synopsis(const struct command *c, struct str *out)
{
	const char *at = NULL;
	char name[64];

	while (command_next_name(c, &at, name, sizeof(name))) {
		str_addf(out, ".Nm zl %s\n", name);
		man_usage(c->usage, out);
	}
}

static int run_man(struct zl *z, void *flags, const struct operands *ops, struct err *e)
{
	bool synopsis = strcmp(ops->v[0], "synopsis") == 0;
	own_str struct str out = STR_INIT;
	const struct group *group = NULL;
	const struct command *c = NULL;
	int used;

	(void)z;
	(void)flags;
	if (ops->n > 1) {
		c = command_find(ops->n - 1, ops->v + 1, &used, &group);
		if (c == NULL)
			return command_unknown(ops->n - 1, ops->v + 1, group, e);
	}
	if (synopsis && c)
		man_synopsis(c, &out);
	else if (!synopsis)
		opt_man(c ? c->opts : global_opts, &out);
	fputs(out.s ? out.s : "", stdout);
	return 0;
}

const struct command cmd_man = {
	.names = "__man",
	.help = "Print the generated part of a manual page",
	.usage = "synopsis|options [COMMAND]",
	.run = run_man,
	.min = 1,
	.max = 3,
	.flags = CMD_PURE | CMD_HIDDEN,
};
