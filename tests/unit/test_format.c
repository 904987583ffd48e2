/* test_format.c: --format's templates, and columns. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "cmd/format.h"
#include "cmd/human.h"
#include "cmd/show.h"
#include "cmd/table_out.h"

static const char data[] =
	"{\"Name\":\"/"
	"web\",\"Id\":\"0123456789abcdef\",\"N\":3,\"R\":1.5,\"Yes\":true,\"No\":false,"
	"\"Nil\":null,\"Empty\":\"\",\"State\":{\"Status\":\"running\",\"Pid\":42},"
	"\"Labels\":{\"b\":\"2\",\"a\":\"1\",\"com.example.x-y\":\"z\"},"
	"\"List\":[\"x\",\"y\",\"z\"],\"None\":[],"
	"\"Mounts\":[{\"Source\":\"/s\",\"RW\":true},{\"Source\":\"/t\",\"RW\":false}],"
	"\"Ports\":{\"80/tcp\":[{\"HostPort\":\"8080\"}]}}";

static struct err err;

/* The result is good until the next call. */
static const char *render(const char *template)
{
	static struct str out;
	own_js struct js *j = js_parse(data, strlen(data), NULL);
	own_format struct format *f = NULL;

	memset(&err, 0, sizeof(err));
	str_free(&out);
	f = format_parse(template, &err);
	if (f == NULL || format_run(f, j, false, &out, &err) < 0) {
		str_free(&out);
		return err.msg;
	}
	return out.s ? out.s : "";
}

struct pair {
	const char *template, *want;
};

static void check_all(const struct pair *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const char *got = render(p[i].template);

		if (strcmp(got, p[i].want) != 0)
			fail_msg("%s: \"%s\", not \"%s\"", p[i].template, got, p[i].want);
	}
	render("");
}

#define CHECK(pairs) check_all(pairs, sizeof(pairs) / sizeof(pairs[0]))

static void test_values(void **state)
{
	static const struct pair pairs[] = {
		{ "plain", "plain" },
		{ "{{.Name}}", "/web" },
		{ "a{{ .State.Status }}b", "arunningb" },
		{ "{{.State.Pid}} {{.R}} {{.Yes}} {{.Nil}}", "42 1.5 true <nil>" },
		{ "{{.List}} {{.State}}", "[x y z] map[Pid:42 Status:running]" },
		{ "{{json .State}}", "{\"Status\":\"running\",\"Pid\":42}" },
		{ "{{json .Name}} {{json .List}}", "\"/web\" [\"x\",\"y\",\"z\"]" },
		{ "{{\"a\\tb\\n\"}}{{`raw\\t`}}", "a\tb\nraw\\t" },
		{ "{{12}} {{-3}} {{1.25}} {{0x10}} {{'a'}} {{true}}", "12 -3 1.25 16 97 true" },
		{ "{{$.Name}} {{(index .Mounts 1).Source}}", "/web /t" },
		{ "{{/* note */}}x{{- /* note */ -}}  y", "xy" },
		{ "a  {{- .N -}}  b", "a3b" },
		{ "{{.Labels \"a\"}}", "1" },
		{ "{ {{.N}} }", "{ 3 }" },
	};

	(void)state;
	CHECK(pairs);
}

static void test_control(void **state)
{
	static const struct pair pairs[] = {
		{ "{{if .Yes}}y{{else}}n{{end}}", "y" },
		{ "{{if .No}}y{{else if .None}}m{{else}}n{{end}}", "n" },
		{ "{{if eq .State.Status \"running\"}}up{{end}}", "up" },
		{ "{{if and .Yes (gt .N 2)}}both{{end}}", "both" },
		{ "{{range .List}}[{{.}}]{{end}}", "[x][y][z]" },
		{ "{{range $i, $v := .List}}{{$i}}={{$v}};{{end}}", "0=x;1=y;2=z;" },
		{ "{{range $k, $v := .Labels}}{{$k}}={{$v}} {{end}}",
		  "a=1 b=2 com.example.x-y=z " },
		{ "{{range .None}}x{{else}}none{{end}}", "none" },
		{ "{{range .List}}{{if eq . \"y\"}}{{break}}{{end}}{{.}}{{end}}", "x" },
		{ "{{range .List}}{{if eq . \"y\"}}{{continue}}{{end}}{{.}}{{end}}", "xz" },
		{ "{{range .Mounts}}{{.Source}}:{{$.N}} {{end}}", "/s:3 /t:3 " },
		{ "{{with .State}}{{.Pid}}{{end}}{{with .Empty}}x{{else}}-{{end}}", "42-" },
		{ "{{$x := .N}}{{$x}}{{$x = .Name}}{{$x}}", "3/web" },
		{ "{{range $p, $c := .Ports}}{{$p}}->{{(index $c 0).HostPort}}{{end}}",
		  "80/tcp->8080" },
		{ "{{with $y := .N}}{{$y}}{{.}}{{end}}", "33" },
	};

	(void)state;
	CHECK(pairs);
}

static void test_functions(void **state)
{
	static const struct pair pairs[] = {
		{ "{{join .List \", \"}}", "x, y, z" },
		{ "{{upper .State.Status}} {{lower \"ABC\"}} {{title \"web one\"}}",
		  "RUNNING abc Web One" },
		{ "{{.Id | truncate}}",
		  "template: executing \"truncate\": wrong number of args for "
		  "truncate: want 2 got 1" },
		{ "{{truncate .Id 4}}|{{pad .N 1 1}}",
		  "template: error calling pad: wrong type of value: int" },
		{ "{{truncate .Id 4}}|{{pad \"x\" 1 2}}|", "0123| x  |" },
		{ "{{split \"a,b\" \",\"}} {{len .List}} {{len .Name}}", "[a b] 3 4" },
		{ "{{index .List 1}} {{index .Labels \"a\"}} [{{index .Labels \"q\"}}]", "y 1 []" },
		{ "{{index .Ports \"80/tcp\" 0 \"HostPort\"}}", "8080" },
		{ "{{slice .Id 0 4}} {{slice .List 1}}", "0123 [y z]" },
		{ "{{printf \"%s-%d-%v-%5s|%-4s|%03d|%.2f|%q|%%\" .Name .N .Yes \"r\" \"l\" 7 .R "
		  "\"s\"}}",
		  "/web-3-true-    r|l   |007|1.50|\"s\"|%" },
		{ "{{printf \"%d\" .Name}} {{printf \"%s\"}}", "%!d(string=/web) %!s(MISSING)" },
		{ "{{printf \"x\" 1}}", "x%!(EXTRA int=1)" },
		{ "{{println .N \"a\"}}{{print 1 2 \"a\" \"b\" 3}}", "3 a\n1 2ab3" },
		{ "{{eq .N 1 2 3}} {{ne .N 3}} {{lt 1 2}} {{le 2 2}} {{gt \"b\" \"a\"}} {{ge 1 2}}",
		  "true false true true true false" },
		{ "{{or .Empty \"d\"}} {{and .Yes .No}} {{not .No}}", "d false true" },
		{ "{{.List | len | printf \"%d!\"}}", "3!" },
		{ "{{or .Yes .Nil.Deeper}}", "true" },
		{ "{{.Name | printf \"%s=%s\" \"n\" | upper}}", "N=/WEB" },
	};

	(void)state;
	CHECK(pairs);
}

static void test_errors(void **state)
{
	static const struct pair pairs[] = {
		{ "{{.Nope}}", "template: executing <.Nope>: map has no entry for key \"Nope\"" },
		{ "{{.Nil.X}}", "template: executing <.X>: nil data; no entry for key \"X\"" },
		{ "{{.Name.X}}",
		  "template: executing <.X>: can't evaluate field X of what is no object" },
		{ "{{nosuch}}", "template parsing error: function \"nosuch\" not defined" },
		{ "{{index .List 7}}", "template: error calling index: index out of range: 7" },
		{ "{{eq .N \"3\"}}",
		  "template: error calling eq: incompatible types for comparison: "
		  "int and string" },
		{ "{{.Name 1}}", "template: can't give argument to what is no function" },
	};
	static const char *const broken[] = {
		"{{",
		"{{.Name",
		"{{.Name}",
		"{{if .Yes}}",
		"{{end}}",
		"{{else}}",
		"{{}}",
		"{{(.Name}}",
		"{{.Name)}}",
		"{{\"open}}",
		"{{'ab'}}",
		"{{`open}}",
		"{{1x}}",
		"{{/* x }}",
		"{{if}}x{{end}}",
		"{{break}}",
		"{{range .List}}{{else}}{{else}}{{end}}",
		"{{$x}}",
		"{{1 2}}",
		"{{| .Name}}",
		"{{.Name |}}",
		"{{template \"x\"}}",
		"{{\"\\q\"}}",
		"{{@}}",
		"{{1e999}}",
		"{{.Name.}}x",
		"{{\"a\"\"b\"}}",
	};

	(void)state;
	CHECK(pairs);
	for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
		render(broken[i]);
		if (err.msg[0] == 0 || strncmp(err.msg, "template", 8) != 0)
			fail_msg("%s: accepted, or \"%s\"", broken[i], err.msg);
	}
	render("");
}

static void test_deep(void **state)
{
	own_str struct str s = STR_INIT;

	(void)state;
	str_add(&s, "{{");
	for (int i = 0; i < 5000; i++)
		str_add_char(&s, '(');
	render(s.s);
	assert_non_null(strstr(err.msg, "too deep"));
	s.len = 0;
	for (int i = 0; i < 5000; i++)
		str_add(&s, "{{if 1}}");
	render(s.s);
	assert_non_null(strstr(err.msg, "too deep"));
	s.len = 0;
	str_add(&s, "{{if 0}}");
	for (int i = 0; i < 5000; i++)
		str_add(&s, "{{else if 0}}");
	str_add(&s, "{{end}}");
	render(s.s);
	assert_non_null(strstr(err.msg, "too deep"));
	render("");
}

static const struct table_title titles[] = {
	{ "ID", "CONTAINER ID" },
	{ "Label", "" },
	{ "Names", "NAMES" },
	{ NULL, NULL },
};

static const char *list(const char *format)
{
	static const char text[] =
		"[{\"ID\":\"0123456789ab\",\"Names\":\"web\",\"Label\":{\"a.b-c\":"
		"\"1\"}},{\"ID\":\"ba9876543210\",\"Names\":\"\303\244\303\266\","
		"\"Label\":{}}]";
	static struct str out;
	own_js struct js *rows = js_parse(text, strlen(text), NULL);

	memset(&err, 0, sizeof(err));
	str_free(&out);
	if (rows && table_list(rows, format, "{{.Names}}\t{{.ID}}", titles, &out, &err) < 0)
		return err.msg;
	return out.s ? out.s : "";
}

static void test_table(void **state)
{
	own_js struct js *none = js_array();
	own_str struct str out = STR_INIT;

	(void)state;
	assert_string_equal(list(NULL), "NAMES     CONTAINER ID\n"
					"web       0123456789ab\n"
					"\303\244\303\266        ba9876543210\n");
	assert_string_equal(list("table {{.ID}}\\t{{upper .Names}}"),
			    "CONTAINER ID   NAMES\n0123456789ab   WEB\nba9876543210   "
			    "\303\244\303\266\n");
	assert_string_equal(list("{{.ID}}:{{.Names}}"),
			    "0123456789ab:web\nba9876543210:\303\244\303\266\n");
	assert_string_equal(list("table {{.ID}}\t{{.Label \"a.b-c\"}}"),
			    "CONTAINER ID   B C\n0123456789ab   1\nba9876543210   \n");
	assert_int_equal(strncmp(list("json"), "{\"ID\":\"0123456789ab\",\"Names\":\"web\"", 33),
			 0);
	assert_string_equal(list("{{.Nope}}"),
			    "template: executing <.Nope>: map has no entry for key \"Nope\"");
	assert_string_equal(list("x"), "x\nx\n");
	assert_int_equal(table_list(none, "table", "{{.ID}}", titles, &out, NULL), 0);
	assert_string_equal(out.s, "CONTAINER ID\n");
}

static void test_human(void **state)
{
	static const struct {
		int64_t seconds;
		const char *want;
	} spans[] = {
		{ 0, "Less than a second" }, { 1, "1 second" },		 { 59, "59 seconds" },
		{ 60, "About a minute" },    { 120, "2 minutes" },	 { 3600, "About an hour" },
		{ 7200, "2 hours" },	     { 86400 * 3, "3 days" },	 { 86400 * 15, "2 weeks" },
		{ 86400 * 70, "2 months" },  { 86400 * 800, "2 years" },
	};
	static const struct {
		uint64_t bytes;
		const char *want;
	} sizes[] = {
		{ 0, "0B" },
		{ 999, "999B" },
		{ 4261550, "4.26MB" },
		{ 133000000, "133MB" },
		{ 1020000000, "1.02GB" },
	};
	char buf[64];
	int64_t ns;

	(void)state;
	for (size_t i = 0; i < sizeof(spans) / sizeof(spans[0]); i++) {
		human_span(spans[i].seconds, buf, sizeof(buf));
		assert_string_equal(buf, spans[i].want);
	}
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		human_size(sizes[i].bytes, buf, sizeof(buf));
		assert_string_equal(buf, sizes[i].want);
	}
	rfc3339(1700000000LL * NS_PER_S + 5, buf, sizeof(buf));
	assert_string_equal(buf, "2023-11-14T22:13:20.000000005Z");
	rfc3339(0, buf, sizeof(buf));
	assert_string_equal(buf, "0001-01-01T00:00:00Z");
	assert_true(parse_moment("2023-11-14T22:13:20.5Z", 0, &ns));
	assert_int_equal(ns, 1700000000LL * NS_PER_S + NS_PER_S / 2);
	assert_true(parse_moment("2023-11-14T23:13:20+01:00", 0, &ns));
	assert_int_equal(ns, 1700000000LL * NS_PER_S);
	assert_true(parse_moment("1700000000.25", 0, &ns));
	assert_int_equal(ns, 1700000000LL * NS_PER_S + NS_PER_S / 4);
	assert_true(parse_moment("10m", 1000 * NS_PER_S, &ns));
	assert_int_equal(ns, 400 * NS_PER_S);
	assert_false(parse_moment("yesterday", 0, &ns));
	assert_false(parse_moment("2023-13-01", 0, &ns));
	assert_false(parse_moment("", 0, &ns));
}

static void test_ellipsis(void **state)
{
	own_str struct str s = STR_INIT;

	(void)state;
	str_add(&s, "0123456789012345678901");
	text_ellipsis(&s, 20);
	assert_string_equal(s.s, "0123456789012345678\342\200\246");
	s.len = 0;
	str_add(&s, "\303\244\303\244\303\244");
	text_ellipsis(&s, 3);
	assert_string_equal(s.s, "\303\244\303\244\303\244");
	text_ellipsis(&s, 2);
	assert_string_equal(s.s, "\303\244\342\200\246");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values),	  cmocka_unit_test(test_control),
		cmocka_unit_test(test_functions), cmocka_unit_test(test_errors),
		cmocka_unit_test(test_deep),	  cmocka_unit_test(test_table),
		cmocka_unit_test(test_human),	  cmocka_unit_test(test_ellipsis),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
