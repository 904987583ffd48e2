/* test_plan.c: flags and image config become a box spec by docker's rules. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cmd/flags.h"
#include "cmd/plan.h"

#define CAP(n)	     (1ULL << (n))
#define DEFAULT_PATH "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

static struct box_spec spec;
static struct err err;

/* Plans `line` (options, then maybe "IMAGE" and a command; words apart by '~') for a config. */
static int plan(const char *config, const char *line)
{
	struct run_flags f;
	own_strv struct strv words = STRV_INIT, env = STRV_INIT;
	struct operands ops, command;
	char *argv[64];
	struct image image = { .id = "sha256:abc" };
	struct plan_input in = { .flags = &f,
				 .env = &env,
				 .command = &command,
				 .image_name = "img",
				 .image = &image,
				 .host = { "/here", "/home/me", 4, 4ULL << 30 } };
	int rc;

	box_spec_free(&spec);
	box_spec_init(&spec);
	memset(&err, 0, sizeof(err));
	memset(&f, 0, sizeof(f));
	opt_defaults(run_opts, &f);
	strv_split(&words, line, '~');
	/* the reader moves pointers about */
	memcpy(argv, words.v, words.n * sizeof(char *));
	rc = opt_parse(run_opts, &f, (int)words.n, argv, OPT_FIRST, &ops, &err);
	image.config = js_parse(config, strlen(config), NULL);
	command = (struct operands){ ops.n ? ops.v + 1 : NULL, ops.n ? ops.n - 1 : 0 };
	if (rc == 0)
		rc = flags_env(&f.env_file, &f.env, &env, &err);
	if (rc == 0)
		rc = plan_make(&spec, &in, &err);
	js_free(image.config);
	opt_free(run_opts, &f);
	return rc;
}

static const char *joined(const struct strv *v)
{
	static struct str out;

	out.len = 0;
	str_add(&out, "");
	for (size_t i = 0; i < v->n; i++)
		str_addf(&out, "%s%s", i ? "~" : "", v->v[i]);
	return out.s;
}

static void done(void)
{
	box_spec_free(&spec);
}

#define CONFIG(members) "{\"config\":{" members "}}"
#define BOTH		CONFIG("\"Entrypoint\":[\"/ep\",\"-x\"],\"Cmd\":[\"c\",\"d e\"]")
#define SH		CONFIG("\"Cmd\":[\"sh\"]")

static void test_argv(void **state)
{
	static const struct {
		const char *config, *line, *want;
	} rows[] = {
		{ BOTH, "img", "/ep~-x~c~d e" },
		{ BOTH, "img~mine~too", "/ep~-x~mine~too" },
		{ BOTH, "--entrypoint~/other~img", "/other" },
		{ BOTH, "--entrypoint=/other~img~a", "/other~a" },
		{ BOTH, "--entrypoint=~img~a", "a" },
		{ SH, "img", "sh" },
		{ SH, "img~ls~-la", "ls~-la" },
		{ SH, "img~", "" },
		{ CONFIG("\"Entrypoint\":[\"/ep\"]"), "img", "/ep" },
		{ CONFIG("\"Entrypoint\":null,\"Cmd\":null"), "img~x", "x" },
		{ CONFIG("\"Entrypoint\":\"no list\",\"Cmd\":[1,\"x\"]"), "img", "x" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (plan(rows[i].config, rows[i].line) != 0 ||
		    strcmp(joined(&spec.argv), rows[i].want) != 0)
			fail_msg("%s %s: %s %s", rows[i].config, rows[i].line, joined(&spec.argv),
				 err.msg);
	}
	assert_int_equal(plan("{}", "img"), -EINVAL);
	assert_string_equal(err.msg, "no command specified");
	assert_int_equal(plan(BOTH, "--entrypoint=~img"), -EINVAL);
	assert_int_equal(plan("null", "img"), -EINVAL);
	done();
}

static void test_env(void **state)
{
	static const char config[] =
		CONFIG("\"Cmd\":[\"sh\"],\"Env\":[\"A=image\",\"B=image\",\"bad\"]");

	(void)state;
	setenv("ZL_TEST_OWN", "own=1", 1);
	unsetenv("ZL_TEST_NONE");
	assert_int_equal(plan(config, "-h~me~img"), 0);
	assert_string_equal(joined(&spec.env), DEFAULT_PATH "~HOSTNAME=me~A=image~B=image");
	assert_int_equal(
		plan(config, "-th~me~-e~A=flag~-e~ZL_TEST_OWN~-e~B~-e~ZL_TEST_NONE~-e~E=~img"), 0);
	assert_string_equal(joined(&spec.env),
			    DEFAULT_PATH "~HOSTNAME=me~TERM=xterm~A=flag~ZL_TEST_OWN=own=1~E=");
	assert_int_equal(plan(CONFIG("\"Cmd\":[\"sh\"],\"Env\":[\"PATH=/only\"]"),
			      "-h~me~-e~HOSTNAME=x~img"),
			 0);
	assert_string_equal(joined(&spec.env), "PATH=/only~HOSTNAME=x");
	assert_int_equal(plan(SH, "-e~=x~img"), -EINVAL);
	done();
}

static void test_env_file(void **state)
{
	static const char text[] =
		"\357\273\277# note\nA=1\r\n\n  B = two \nOWN\nNONE\nC=\"q\"\nlast=x";
	static const char good[] = "#\nA=1\r\n\n  B= two \nOWN\nNONE\nC=\"q\"\nlast=x";
	char own_pair[] = "OWN=mine";
	char *own[] = { own_pair, NULL };
	own_strv struct strv out = STRV_INIT;

	(void)state;
	assert_int_equal(env_file_parse("B = two", 7, own, &out, &err), -EINVAL);
	assert_non_null(strstr(err.msg, "variable 'B ' contains whitespaces"));
	assert_int_equal(env_file_parse("=x", 2, own, &out, &err), -EINVAL);
	assert_non_null(strstr(err.msg, "no variable name on line '=x'"));
	assert_int_equal(env_file_parse("A=\0", 3, own, &out, &err), -EINVAL);
	assert_int_equal(env_file_parse(text, sizeof(text) - 1, own, &out, &err), -EINVAL);
	strv_free(&out);
	assert_int_equal(env_file_parse(good, sizeof(good) - 1, own, &out, &err), 0);
	assert_string_equal(joined(&out), "A=1~B= two ~OWN=mine~C=\"q\"~last=x");
}

static void test_identity(void **state)
{
	static const char config[] =
		CONFIG("\"Cmd\":[\"sh\"],\"User\":\"app\",\"WorkingDir\":\"/w\",\"StopSignal\":"
		       "\"SIGQUIT\",\"Labels\":{\"a\":\"image\",\"b\":\"image\"}");

	(void)state;
	assert_int_equal(plan(config, "img"), 0);
	assert_string_equal(spec.user, "app");
	assert_string_equal(spec.cwd, "/w");
	assert_string_equal(spec.stop_signal, "SIGQUIT");
	assert_int_equal(spec.stop_timeout, 10);
	assert_int_equal(strlen(spec.hostname), 12);
	assert_memory_equal(spec.hostname, spec.id, 12);
	assert_string_equal(spec.image, "img");
	assert_string_equal(spec.image_id, "sha256:abc");
	assert_int_equal(plan(config,
			      "-u~0:5~-w~/x~--stop-signal~9~--stop-timeout=-1~-l~b=flag~-l~c~-h~"
			      "host.example~--domainname~d~--name=/web~img"),
			 0);
	assert_string_equal(spec.user, "0:5");
	assert_string_equal(spec.cwd, "/x");
	assert_string_equal(spec.stop_signal, "9");
	assert_int_equal(spec.stop_timeout, -1);
	assert_string_equal(joined(&spec.labels), "a=image~b=flag~c=");
	assert_string_equal(spec.hostname, "host.example");
	assert_string_equal(spec.domainname, "d");
	assert_string_equal(spec.name, "web");
	done();
}

static void test_switches(void **state)
{
	(void)state;
	assert_int_equal(plan(SH, "-it~--rm~--init~--read-only~img"), 0);
	assert_true(spec.tty && spec.open_stdin && spec.auto_remove && spec.init && spec.read_only);
	assert_int_equal(spec.attach, BOX_ATTACH_STDIN | BOX_ATTACH_STDOUT | BOX_ATTACH_STDERR);
	assert_int_equal(plan(SH, "--rm=false~img"), 0);
	assert_false(spec.auto_remove);
	assert_int_equal(spec.attach, BOX_ATTACH_STDOUT | BOX_ATTACH_STDERR);
	assert_int_equal(plan(SH, "-d~img"), 0);
	assert_true(spec.detached);
	assert_int_equal(spec.attach, 0);
	assert_int_equal(plan(SH, "-a~StdOut~-a~stdin~img"), 0);
	assert_int_equal(spec.attach, BOX_ATTACH_STDIN | BOX_ATTACH_STDOUT);
	assert_int_equal(plan(SH, "-m~512m~--cpus~1.5~--shm-size~1g~--machine~qemu~img"), 0);
	assert_int_equal(spec.limits.memory, 512 << 20);
	assert_int_equal(spec.limits.nano_cpus, 1500000000);
	assert_int_equal(spec.shm_size, 1 << 30);
	assert_string_equal(spec.machine, "qemu");
	assert_int_equal(plan(SH, "-m~4g~--cpus~4~img"), 0);
	assert_int_equal(plan(SH, "-m~6m~--cpus~0.01~img"), 0);
	assert_int_equal(plan(SH, "-m~0~img"), 0);
	assert_int_equal(spec.limits.memory, 0);
	assert_int_equal(plan(SH, "--cpus~0~img"), 0);
	assert_int_equal(spec.limits.nano_cpus, 0);
	done();
}

static void test_caps(void **state)
{
	uint64_t all = caps_all(), usual;

	(void)state;
	assert_int_equal(plan(SH, "img"), 0);
	usual = spec.caps;
	assert_true(usual & CAP(0) && !(usual & CAP(21)));
	assert_int_equal(
		plan(SH, "--cap-add~sys_admin~--cap-add~CAP_NET_ADMIN~--cap-drop~chown~img"), 0);
	assert_true(spec.caps == ((usual | CAP(21) | CAP(12)) & ~CAP(0)));
	assert_int_equal(plan(SH, "--cap-add~ALL~--cap-drop~KILL~img"), 0);
	assert_true(spec.caps == (all & ~CAP(5)));
	assert_int_equal(plan(SH, "--cap-drop~all~--cap-add~KILL~img"), 0);
	assert_true(spec.caps == CAP(5));
	assert_int_equal(plan(SH, "--privileged~--cap-drop~ALL~img"), 0);
	assert_true(spec.caps == all && spec.privileged);
	assert_int_equal(plan(SH, "--cap-add~FLY~img"), -EINVAL);
	assert_string_equal(err.msg, "invalid CapAdd: unknown capability: \"FLY\"");
	assert_string_equal(cap_name(40), "CHECKPOINT_RESTORE");
	assert_null(cap_name(41));
	done();
}

static void test_mounts(void **state)
{
	(void)state;
	assert_int_equal(plan(SH, "-v~/a//b/../c:/x/y/z/:ro~-v~./d:/x~-v~..:/up~-v~~img"), -EINVAL);
	assert_int_equal(
		plan(SH, "-v~/a//b/../c:/x/y/z/:ro,z~-v~./d:/x~-v~..:/up~--tmpfs~/t:size=1m,exec,"
			 "ro~img"),
		0);
	assert_int_equal(spec.nmounts, 4);
	assert_string_equal(spec.mounts[0].source, "/here/d");
	assert_string_equal(spec.mounts[0].target, "/x");
	assert_string_equal(spec.mounts[1].source, "/");
	assert_string_equal(spec.mounts[2].target, "/t");
	assert_string_equal(spec.mounts[2].options, "noexec,nosuid,nodev,size=1m,exec");
	assert_true(spec.mounts[2].read_only);
	assert_int_equal(spec.mounts[2].kind, BOX_MOUNT_TMPFS);
	assert_string_equal(spec.mounts[3].source, "/a/c");
	assert_string_equal(spec.mounts[3].target, "/x/y/z");
	assert_true(spec.mounts[3].read_only);
	done();
}

static void test_home_mount(void **state)
{
	const struct plan_host host = { "/here", "/home/me", 1, 0 },
			       homeless = { "/here", NULL, 1, 0 };

	(void)state;
	box_spec_free(&spec);
	box_spec_init(&spec);
	assert_int_equal(plan_volume(&spec, "~/x:/y", &host, &err), 0);
	assert_string_equal(spec.mounts[0].source, "/home/me/x");
	assert_int_equal(plan_volume(&spec, "~/x:/z", &homeless, &err), -EINVAL);
	done();
}

static void test_hosts(void **state)
{
	(void)state;
	assert_int_equal(
		plan(SH, "--add-host~db:10.0.0.7~--add-host~six:::1~--add-host~b=[::2]~img"), 0);
	assert_string_equal(joined(&spec.extra_hosts), "db:10.0.0.7~six:::1~b:::2");
	done();
}

static void test_refusals(void **state)
{
	static const struct {
		const char *line, *words;
	} rows[] = {
		{ "-v~relative~img", "invalid volume specification: 'relative'" },
		{ "-v~a:b:c:d~img", "invalid volume specification: 'a:b:c:d'" },
		{ "-v~/a:b~img", "invalid mount path: 'b' mount path must be absolute" },
		{ "-v~/a:/~img", "invalid specification: destination can't be '/'" },
		{ "-v~/a:/x/..~img", "invalid specification: destination can't be '/'" },
		{ "-v~/a:/b:fast~img", "invalid mode: fast" },
		{ "-v~/a:/b:shared~img", "invalid mode: shared" },
		{ "-v~data:/b~img", "named volumes are not supported yet: \"data\"" },
		{ "-v~/data~img", "anonymous volumes are not supported yet: \"/data\"" },
		{ "-v~a/b:/c~img", "invalid characters for a local volume name" },
		{ "-v~/a:/x~--tmpfs~/x/~img", "Duplicate mount point: /x" },
		{ "--tmpfs~rel~img", "invalid mount path: 'rel'" },
		{ "--tmpfs~/t:loop~img", "invalid tmpfs option \"loop\"" },
		{ "--tmpfs~/t:size=~img", "invalid tmpfs option \"size=\"" },
		{ "--add-host~nocolon~img", "bad format for add-host: \"nocolon\"" },
		{ "--add-host~x:999.1.1.1~img", "invalid IP address in add-host: \"999.1.1.1\"" },
		{ "--add-host~x:host-gateway~img", "host-gateway is not supported yet" },
		{ "-a~nothing~img", "valid streams are STDIN, STDOUT and STDERR" },
		{ "-d~-a~stdin~img",
		  "conflicting options: cannot specify both --attach and --detach" },
		{ "-m~5m~img", "minimum memory limit allowed is 6MB" },
		{ "-m~6291455~img", "minimum memory limit allowed is 6MB" },
		{ "-m~1~img", "minimum memory limit allowed is 6MB" },
		{ "-m~4097m~img",
		  "range of memory is from 6MB to 4GiB, as there is no more available" },
		{ "-m~8191p~img", "range of memory is from 6MB to 4GiB" },
		{ "-m~17179869184p~img",
		  "invalid argument \"17179869184p\" for \"-m, --memory\" flag" },
		{ "-m~lots~img", "invalid argument \"lots\" for \"-m, --memory\" flag" },
		{ "-m~~img", "invalid argument \"\" for \"-m, --memory\" flag" },
		{ "-m~nan~img", "invalid argument \"nan\" for \"-m, --memory\" flag" },
		{ "-m=-1~img", "invalid argument \"-1\" for \"-m, --memory\" flag" },
		{ "--cpus=-1~img", "invalid argument \"-1\" for \"--cpus\" flag" },
		{ "--cpus~nan~img", "invalid argument \"nan\" for \"--cpus\" flag" },
		{ "--cpus~inf~img", "invalid argument \"inf\" for \"--cpus\" flag" },
		{ "--cpus~1e1~img", "invalid argument \"1e1\" for \"--cpus\" flag" },
		{ "--cpus~99999999999999999999~img", "invalid argument" },
		{ "--cpus~many~img", "invalid argument \"many\" for \"--cpus\" flag" },
		{ "--cpus~4.01~img", "range of CPUs is from 0.01 to 4.00" },
		{ "--cpus~0.001~img", "range of CPUs is from 0.01 to 4.00" },
		{ "--machine~xen~img", "must be kvm or qemu" },
		{ "--stop-signal~SIGNOPE~img", "invalid signal: SIGNOPE" },
		{ "--stop-timeout=-5~img", "\"--stop-timeout\" flag" },
		{ "--name~bad/name~img", "Invalid container name (bad/name)" },
		{ "--name~x~img", "Invalid container name (x)" },
		{ "--name~_x~img", "Invalid container name (_x)" },
		{ "-h~bad host~img", "invalid hostname format: bad host" },
		{ "-w~rel~img", "the working directory 'rel' is invalid" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (plan(SH, rows[i].line) >= 0 || strstr(err.msg, rows[i].words) == NULL)
			fail_msg("%s: \"%s\"", rows[i].line, err.msg);
	done();
}

static void test_names(void **state)
{
	(void)state;
	for (unsigned turn = 0; turn < 20; turn++) {
		char *name = name_random(turn);

		assert_int_equal(name_check(name, NULL), 0);
		assert_non_null(strchr(name, '_'));
		free(name);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_argv),	 cmocka_unit_test(test_env),
		cmocka_unit_test(test_env_file), cmocka_unit_test(test_identity),
		cmocka_unit_test(test_switches), cmocka_unit_test(test_caps),
		cmocka_unit_test(test_mounts),	 cmocka_unit_test(test_home_mount),
		cmocka_unit_test(test_hosts),	 cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
