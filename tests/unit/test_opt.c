/* test_opt.c: option rows, the command table, completion's nearest word. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "cmd/cmd.h"
#include "cmd/opt.h"

struct sample {
	bool all, interactive, tty, proxy;
	const char *name;
	struct strv env;
	int64_t last;
	uint64_t memory;
};

#define AT(member) offsetof(struct sample, member)

static const struct opt rows[] = {
	{ OPT_BOOL, 'a', "all", NULL, AT(all), NULL, NULL, "All of it" },
	{ OPT_LIST, 'e', "env", "list", AT(env), NULL, "@env", "Environment" },
	{ OPT_BOOL, 'i', "interactive", NULL, AT(interactive), NULL, NULL, "Stdin" },
	{ OPT_INT, 'n', "last", "int", AT(last), "-1", NULL, "The last" },
	{ OPT_SIZE, 'm', "memory", "bytes", AT(memory), NULL, NULL, "Memory" },
	{ OPT_TEXT, 0, "name", "string", AT(name), "none", NULL, "Name" },
	{ OPT_TEXT, 0, "nome", "string", AT(name), NULL, NULL, NULL },
	{ OPT_BOOL, 0, "sig-proxy", NULL, AT(proxy), "true", NULL, "Proxy" },
	{ OPT_BOOL, 't', "tty", NULL, AT(tty), NULL, NULL, "Terminal" },
	{ .kind = OPT_END },
};

static struct sample s;
static struct operands ops;
static struct err err;

/* Reads the words, apart by blanks. */
static int parse(const char *line, enum opt_order order)
{
	static char buf[512];
	static char *argv[64];
	int argc = 0;

	opt_free(rows, &s);
	memset(&s, 0, sizeof(s));
	memset(&err, 0, sizeof(err));
	opt_defaults(rows, &s);
	snprintf(buf, sizeof(buf), "%s", line);
	for (char *w = buf; *w;) {
		char *end = w + strcspn(w, " ");

		argv[argc++] = w;
		w = *end ? end + 1 : end;
		*end = 0;
	}
	return opt_parse(rows, &s, argc, argv, order, &ops, &err);
}

static void test_defaults(void **state)
{
	(void)state;
	assert_int_equal(parse("", OPT_ANYWHERE), 0);
	assert_false(s.all);
	assert_true(s.proxy);
	assert_int_equal(s.last, -1);
	assert_string_equal(s.name, "none");
	assert_int_equal(ops.n, 0);
}

static void test_long(void **state)
{
	(void)state;
	assert_int_equal(parse("--all --name=x --last 5 -m 6m", OPT_ANYWHERE), 0);
	assert_true(s.all);
	assert_string_equal(s.name, "x");
	assert_int_equal(s.last, 5);
	assert_int_equal(s.memory, 6 << 20);
	assert_int_equal(parse("--all=false --sig-proxy=0 --name=", OPT_ANYWHERE), 0);
	assert_false(s.all);
	assert_false(s.proxy);
	assert_string_equal(s.name, "");
	assert_int_equal(parse("--name a=b=c", OPT_ANYWHERE), 0);
	assert_string_equal(s.name, "a=b=c");
}

static void test_clusters(void **state)
{
	(void)state;
	assert_int_equal(parse("-it", OPT_ANYWHERE), 0);
	assert_true(s.interactive && s.tty);
	assert_int_equal(parse("-ie A=1 -eB=2 -e=C=3 -itn7", OPT_ANYWHERE), 0);
	assert_true(s.interactive && s.tty);
	assert_int_equal(s.env.n, 3);
	assert_string_equal(s.env.v[0], "A=1");
	assert_string_equal(s.env.v[1], "B=2");
	assert_string_equal(s.env.v[2], "C=3");
	assert_int_equal(s.last, 7);
	assert_int_equal(parse("-it=false", OPT_ANYWHERE), 0);
	assert_true(s.interactive);
	assert_false(s.tty);
}

static void test_operands(void **state)
{
	(void)state;
	assert_int_equal(parse("x -a y", OPT_ANYWHERE), 0);
	assert_true(s.all);
	assert_int_equal(ops.n, 2);
	assert_string_equal(ops.v[1], "y");
	assert_int_equal(parse("-i x -a y", OPT_FIRST), 0);
	assert_false(s.all);
	assert_int_equal(ops.n, 3);
	assert_string_equal(ops.v[1], "-a");
	assert_int_equal(parse("-i -- -a -- y", OPT_ANYWHERE), 0);
	assert_false(s.all);
	assert_int_equal(ops.n, 3);
	assert_string_equal(ops.v[0], "-a");
	assert_string_equal(ops.v[1], "--");
	assert_int_equal(parse("- -a", OPT_ANYWHERE), 0);
	assert_int_equal(ops.n, 1);
}

static void refused(const char *line, const char *words)
{
	if (parse(line, OPT_ANYWHERE) != -EINVAL || strcmp(err.msg, words) != 0)
		fail_msg("%s: \"%s\", not \"%s\"", line, err.msg, words);
}

static void test_errors(void **state)
{
	(void)state;
	refused("--nme x", "unknown flag: --nme; did you mean --name?");
	refused("--sigproxy", "unknown flag: --sigproxy; did you mean --sig-proxy?");
	refused("--completely-else", "unknown flag: --completely-else");
	refused("-ix", "unknown shorthand flag: 'x' in -x");
	refused("--name", "flag needs an argument: --name");
	refused("-ie", "flag needs an argument: 'e' in -ie");
	refused("--all=maybe",
		"invalid argument \"maybe\" for \"-a, --all\" flag: must be true or false");
	refused("-n x", "invalid argument \"x\" for \"-n, --last\" flag: must be a whole number");
	refused("-m -1",
		"invalid argument \"-1\" for \"-m, --memory\" flag: must be a size such as "
		"512m or 2g");
	refused("--=x", "bad flag syntax: --=x");
}

static void test_help(void **state)
{
	own_str struct str out = STR_INIT;

	(void)state;
	assert_int_equal(parse("x --help", OPT_ANYWHERE), 1);
	assert_int_equal(parse("-h", OPT_ANYWHERE), 1);
	assert_int_equal(parse("x --help", OPT_FIRST), 0);
	opt_help(rows, &out);
	assert_string_equal(out.s, "  -a, --all            All of it\n"
				   "  -e, --env list       Environment\n"
				   "  -i, --interactive    Stdin\n"
				   "  -n, --last int       The last\n"
				   "  -m, --memory bytes   Memory\n"
				   "      --name string    Name (default \"none\")\n"
				   "      --sig-proxy      Proxy (default true)\n"
				   "  -t, --tty            Terminal\n");
}

static void test_nearest(void **state)
{
	static const char *const words[] = {
		"images", "inspect", "ps", "pull", "run", "rm", "rmi"
	};

	(void)state;
	assert_string_equal(nearest_word("imges", words, 7), "images");
	assert_string_equal(nearest_word("image", words, 7), "images");
	assert_string_equal(nearest_word("pul", words, 7), "pull");
	assert_string_equal(nearest_word("rnu", words, 7), "run");
	assert_string_equal(nearest_word("insepct", words, 7), "inspect");
	assert_null(nearest_word("nothinglikethat", words, 7));
	assert_null(nearest_word("zzzzz", words, 7));
}

static const struct command *find(const char *one, const char *two, int *used)
{
	char a[32], b[32];
	char *argv[] = { a, b };
	const struct group *group;

	snprintf(a, sizeof(a), "%s", one);
	snprintf(b, sizeof(b), "%s", two ? two : "");
	return command_find(two ? 2 : 1, argv, used, &group);
}

static void test_table(void **state)
{
	int used;

	(void)state;
	assert_ptr_equal(find("run", NULL, &used), &cmd_run);
	assert_int_equal(used, 1);
	assert_ptr_equal(find("container", "ls", &used), &cmd_ps);
	assert_int_equal(used, 2);
	assert_ptr_equal(find("container", "ps", &used), &cmd_ps);
	assert_ptr_equal(find("image", "inspect", &used), &cmd_image_inspect);
	assert_ptr_equal(find("image", "rm", &used), &cmd_rmi);
	assert_ptr_equal(find("system", "info", &used), &cmd_info);
	assert_null(find("container", "nosuch", &used));
	assert_null(find("container", NULL, &used));
	assert_null(find("ls", NULL, &used));
	assert_null(find("container ls", NULL, &used));
}

/* Every row is complete, and its options clash with none of their own. */
static void test_rows(void **state)
{
	(void)state;
	for (const struct command *const *c = commands; *c; c++) {
		const struct opt *opts = (*c)->opts;

		assert_non_null((*c)->run);
		assert_non_null((*c)->help);
		assert_non_null((*c)->usage);
		for (const struct opt *o = opts; o && o->kind != OPT_END; o++) {
			assert_ptr_equal(opt_by_name(opts, o->name, strlen(o->name)), o);
			if (o->letter)
				assert_ptr_equal(opt_by_letter(opts, o->letter), o);
			assert_true((o->kind == OPT_BOOL) == (o->arg == NULL));
			assert_true(o->field < (*c)->flags_size);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults), cmocka_unit_test(test_long),
		cmocka_unit_test(test_clusters), cmocka_unit_test(test_operands),
		cmocka_unit_test(test_errors),	 cmocka_unit_test(test_help),
		cmocka_unit_test(test_nearest),	 cmocka_unit_test(test_table),
		cmocka_unit_test(test_rows),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);

	opt_free(rows, &s);
	return failed;
}
