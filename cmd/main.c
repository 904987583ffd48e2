/* main.c: the one way in and the one way out: finds the command, runs it, prints its error. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "runtime/base/log.h"
#include "runtime/base/own.h"

/* A closed stdin, stdout or stderr would be reused by the next open. */
static void fill_standard_fds(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	} while (fd >= 0 && fd <= 2 && fcntl(fd, F_SETFD, 0) == 0);
	if (fd >= 0)
		close(fd);
}

/* A mistake in the command line: what it is, and where to read on. */
static int usage_error(const struct err *e, const char *name, int code)
{
	size_t n = strlen(e->msg);

	fflush(stdout);
	fprintf(stderr, "zl: %s%s See 'zl %s%s--help'.\n", e->msg,
		n && e->msg[n - 1] == '?' ? "" : ".", name, *name ? " " : "");
	return code;
}

static int check_count(const struct zl *z, int n, struct err *e)
{
	const struct command *c = z->cmd;

	if (n >= c->min && (c->max == ANY_NUMBER || n <= c->max))
		return 0;
	if (c->max == 0)
		return err_set(e, EINVAL, "\"zl %s\" accepts no arguments", z->name);
	if (c->min == c->max)
		return err_set(e, EINVAL, "\"zl %s\" requires exactly %d argument%s", z->name,
			       c->min, c->min == 1 ? "" : "s");
	if (c->min && c->max != ANY_NUMBER)
		return err_set(e, EINVAL, "\"zl %s\" requires at least %d and at most %d arguments",
			       z->name, c->min, c->max);
	if (n < c->min)
		return err_set(e, EINVAL, "\"zl %s\" requires at least %d argument%s", z->name,
			       c->min, c->min == 1 ? "" : "s");
	return err_set(e, EINVAL, "\"zl %s\" requires at most %d argument%s", z->name, c->max,
		       c->max == 1 ? "" : "s");
}

static int print_help(const struct zl *z)
{
	own_str struct str out = STR_INIT;

	help_command(z->cmd, z->name, &out);
	fputs(out.s, stdout);
	return 0;
}

/* argv: what follows the command's name. */
static int run_command(struct zl *z, const struct global_flags *g, int argc, char **argv)
{
	const struct command *c = z->cmd;
	own_free void *flags = calloc(1, c->flags_size ? c->flags_size : 1);
	struct operands ops = { argv, argc };
	struct err e = ERR_INIT;
	int rc;

	if (flags == NULL)
		abort();
	opt_defaults(c->opts, flags);
	if (!(c->flags & CMD_RAW)) {
		rc = opt_parse(c->opts, flags, argc, argv,
			       c->flags & CMD_FIRST ? OPT_FIRST : OPT_ANYWHERE, &ops, &e);
		if (rc > 0)
			rc = print_help(z);
		else if (rc < 0)
			rc = usage_error(&e, z->name, EXIT_CLIENT);
		else if (check_count(z, ops.n, &e) < 0)
			rc = usage_error(&e, z->name, 1);
		else
			rc = -1;
		if (rc >= 0) {
			opt_free(c->opts, flags);
			return rc;
		}
	}
	rc = zl_dirs(z, g->root, !(c->flags & CMD_PURE), &e);
	if (rc == 0)
		rc = c->run(z, flags, &ops, &e);
	if (e.msg[0])
		complain(&e);
	if (rc < 0 && str_starts(e.msg, "invalid argument \"")) /* a flag's, read late */
		rc = EXIT_CLIENT;
	else if (rc < 0)
		rc = c->failure ? c->failure : 1;
	opt_free(c->opts, flags);
	zl_free(z);
	return rc;
}

/* The words after the global options. */
static int dispatch(struct zl *z, const struct global_flags *g, int argc, char **argv)
{
	own_str struct str out = STR_INIT;
	const struct group *group;
	struct err e = ERR_INIT;
	int used;

	if (argc == 0) {
		help_top(&out);
		fputs(out.s, stdout);
		return 0;
	}
	z->cmd = command_find(argc, argv, &used, &group);
	if (z->cmd) {
		snprintf(z->name, sizeof(z->name), "%.20s%s%.20s", argv[0], used > 1 ? " " : "",
			 used > 1 ? argv[1] : "");
		return run_command(z, g, argc - used, argv + used);
	}
	if (group && (argc == 1 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
		help_group(group, &out);
		fputs(out.s, stdout);
		return 0;
	}
	command_unknown(argc, argv, group, &e);
	return usage_error(&e, group ? group->name : "", 1);
}

int main(int argc, char **argv)
{
	struct global_flags g = { NULL, false, false };
	struct operands words;
	struct err e = ERR_INIT;
	struct zl z = { .name = "" };
	own_str struct str out = STR_INIT;
	int rc;

	log_start();
	fill_standard_fds();
	rc = opt_parse(global_opts, &g, argc > 0 ? argc - 1 : 0, argv + 1, OPT_FIRST, &words, &e);
	log_debug_on = g.debug;
	if (rc < 0) {
		rc = usage_error(&e, "", EXIT_CLIENT);
	} else if (rc > 0) {
		help_top(&out);
		fputs(out.s, stdout);
		rc = 0;
	} else if (g.version) {
		printf("zl version %s\n", ZL_VERSION);
	} else {
		rc = dispatch(&z, &g, words.n, words.v);
	}
	if (fflush(stdout) != 0 || ferror(stdout)) {
		fprintf(stderr, "zl: write to stdout: %s\n", strerror(errno));
		rc = rc ? rc : 1;
	}
	log_step("exit code %d", rc);
	return rc;
}
