/* test_plan.c: flags and image config become a box spec by docker's rules. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "cmd/flags.h"
#include "cmd/plan.h"
#include "runtime/base/own.h"

#define CAP(n)	     (1ULL << (n))
#define DEFAULT_PATH "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

static struct box_spec spec;
static struct strv warnings;
static struct err err;

/* Plans `line` (options, then maybe "IMAGE" and a command; words apart by '~') for a config. */
static int plan(const char *config, const char *line)
{
	struct run_flags f;
	own_strv struct strv words = STRV_INIT, env = STRV_INIT, labels = STRV_INIT;
	struct operands ops, command;
	char *argv[64];
	struct image image = { .id = "sha256:abc" };
	struct plan_input in = { .flags = &f,
				 .env = &env,
				 .labels = &labels,
				 .warnings = &warnings,
				 .command = &command,
				 .image_name = "img",
				 .image = &image,
				 .host = {
					 "/here", "/home/me", { 4, 4ULL << 30, "0-3", "0", 0 } } };
	int rc;

	box_spec_free(&spec);
	box_spec_init(&spec);
	strv_free(&warnings);
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
		rc = flags_labels(&f.label_file, &f.label, &labels, &err);
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
	strv_free(&warnings);
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

/* "ip:first-last:port/proto" of each. */
static const char *ports_text(void)
{
	static struct str out;

	out.len = 0;
	str_add(&out, "");
	for (unsigned i = 0; i < spec.nports; i++) {
		const struct box_port *p = &spec.ports[i];

		str_addf(&out, "%s%s %u-%u %u/%s", i ? ", " : "", p->ip, p->first, p->last, p->port,
			 p->udp ? "udp" : "tcp");
	}
	return out.s;
}

static void test_ports(void **state)
{
	static const struct {
		const char *flags, *want; /* NULL: refused, and `why` is said */
		const char *why;
	} rows[] = {
		{ "-p~80", " 0-0 80/tcp", NULL },
		{ "-p~8080:80", " 8080-8080 80/tcp", NULL },
		{ "-p~127.0.0.1:8080:80/udp", "127.0.0.1 8080-8080 80/udp", NULL },
		{ "-p~127.0.0.1::80", "127.0.0.1 0-0 80/tcp", NULL },
		{ "-p~[::1]:8080:80", "::1 8080-8080 80/tcp", NULL },
		{ "-p~[0:0::1]::80", "::1 0-0 80/tcp", NULL },
		{ "-p~::1:8080:80", "::1 8080-8080 80/tcp", NULL },
		{ "-p~8000-8001:80-81", " 8000-8000 80/tcp,  8001-8001 81/tcp", NULL },
		{ "-p~80-81", " 0-0 80/tcp,  0-0 81/tcp", NULL },
		{ "-p~8000-8010:80", " 8000-8010 80/tcp", NULL },
		{ "-p~0:80", " 0-0 80/tcp", NULL },
		{ "-p~published=8080,target=80,protocol=udp", " 8080-8080 80/udp", NULL },
		{ "-p~target=80", " 0-0 80/tcp", NULL },
		{ "-P", " 0-0 1/tcp,  0-0 2/udp", NULL },
		{ "-P~-p~5:1~--expose~9", " 5-5 1/tcp,  0-0 2/udp,  0-0 9/tcp", NULL },
		{ "-p~", NULL, "no port specified" },
		{ "-p~8080:", NULL, "no port specified: 8080:<empty>" },
		{ "-p~x:80", NULL, "invalid hostPort: x" },
		{ "-p~80:x", NULL, "invalid containerPort: x" },
		{ "-p~80:0", NULL, "invalid containerPort: 0" },
		{ "-p~65536:80", NULL, "invalid hostPort: 65536" },
		{ "-p~80:65536", NULL, "invalid containerPort: 65536" },
		{ "-p~8:9-8", NULL, "invalid containerPort: 9-8" },
		{ "-p~80-82:80-81", NULL,
		  "invalid ranges specified for container and host Ports: 80-81 and 80-82" },
		{ "-p~1.2.3:80:80", NULL, "invalid IP address: 1.2.3" },
		{ "-p~host:80:80", NULL, "invalid IP address: host" },
		{ "-p~80/sctp", NULL, "SCTP is not supported" },
		{ "-p~80/x", NULL, "invalid proto: x" },
		{ "-p~published=80,nonsense", NULL, "invalid publish opts format" },
		{ "-p~80~--publish-wait~x", NULL, "--publish-wait" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		own_free char *line = xasprintf("%s~img", rows[i].flags);
		int rc = plan("{\"config\":{\"Cmd\":[\"x\"],\"ExposedPorts\":{\"1/tcp\":{},"
			      "\"2/udp\":{}}}}",
			      line);

		if (rows[i].want) {
			assert_int_equal(rc, 0);
			assert_string_equal(ports_text(), rows[i].want);
		} else {
			assert_true(rc < 0);
			assert_non_null(strstr(err.msg, rows[i].why));
		}
	}
	assert_int_equal(plan(SH, "-p~80/udp~-p~1-2~--publish-wait~1m~img"), 0);
	assert_string_equal(joined(&spec.exposed), "80/udp~1/tcp~2/tcp");
	assert_int_equal(spec.publish_wait, 60LL * 1000000000);
	done();
}

static void test_home_mount(void **state)
{
	const struct plan_host host = { "/here", "/home/me", { .cpus = 1 } },
			       homeless = { "/here", NULL, { .cpus = 1 } };

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

static void test_limits(void **state)
{
	(void)state;
	assert_int_equal(plan(SH, "img"), 0);
	assert_int_equal(spec.limits.pids, 0);
	assert_int_equal(warnings.n, 0);
	assert_int_equal(plan(SH,
			      "-m~64m~--memory-reservation~32m~--memory-swap~64m~--pids-limit~9~"
			      "-c~512~--cpu-quota~5000~--cpu-period~20000~--cpuset-cpus~0,2-3~"
			      "--cpuset-mems~0~img"),
			 0);
	assert_int_equal(warnings.n, 0);
	assert_int_equal(spec.limits.memory, 64 << 20);
	assert_int_equal(spec.limits.memory_reservation, 32 << 20);
	assert_int_equal(spec.limits.memory_swap, 64 << 20);
	assert_int_equal(spec.limits.pids, 9);
	assert_int_equal(spec.limits.cpu_shares, 512);
	assert_int_equal(spec.limits.cpu_quota, 5000);
	assert_int_equal(spec.limits.cpu_period, 20000);
	assert_string_equal(spec.limits.cpuset_cpus, "0,2-3");
	assert_string_equal(spec.limits.cpuset_mems, "0");
	assert_int_equal(plan(SH, "--pids-limit=-1~--cpu-quota=-1~--memory-swap=-1~img"), 0);
	assert_int_equal(spec.limits.pids, 0);
	assert_int_equal(spec.limits.cpu_quota, 0);
	assert_int_equal(spec.limits.memory_swap, -1);
	done();
}

/* What cannot be had, and docker only warns of. */
static void test_warnings(void **state)
{
	static const struct {
		const char *line, *words;
	} rows[] = {
		{ "-m~64m~--memory-swap~128m~img",
		  "WARNING: Your kernel does not support swap limit "
		  "capabilities" },
		{ "-m~64m~--memory-swap=-1~img", "Memory limited without swap." },
		{ "--memory-swappiness~0~img", "Memory swappiness discarded." },
		{ "--oom-kill-disable~img",
		  "WARNING: Your kernel does not support OomKillDisable." },
		{ "--kernel-memory~64m~img", "Flag --kernel-memory has been deprecated" },
		{ "--blkio-weight~300~img", "Weight discarded." },
		{ "--cpu-shares~2048~img", "WARNING: --cpu-shares above 1024 takes root" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (plan(SH, rows[i].line) != 0 || warnings.n != 1 ||
		    strstr(warnings.v[0], rows[i].words) == NULL)
			fail_msg("%s: \"%s\" \"%s\"", rows[i].line, joined(&warnings), err.msg);
	done();
}

static void test_inside(void **state)
{
	(void)state;
	assert_int_equal(plan(SH, "--ulimit~nofile=5~--ulimit~core=0:-1~--ulimit~nofile=7:9~"
				  "--ulimit~memlock=-1~--sysctl~net.core.somaxconn=1~"
				  "--sysctl~vm/swappiness=3~--oom-score-adj=-100~img"),
			 0);
	assert_string_equal(joined(&spec.ulimits), "nofile=7:9~core=0:-1~memlock=-1:-1");
	assert_string_equal(joined(&spec.sysctls), "net.core.somaxconn=1~vm/swappiness=3");
	assert_int_equal(spec.oom_score_adj, -100);
	assert_int_equal(plan(SH, "--device~/dev/fuse~--device~/dev/net/tun:rw~"
				  "--device~/dev/net/tun:/a//tun:rwm~"
				  "--device-cgroup-rule~c 10:* rwm~img"),
			 0);
	assert_string_equal(joined(&spec.devices),
			    "/dev/fuse:/dev/fuse:rwm~/dev/net/tun:/dev/net/tun:rw~"
			    "/dev/net/tun:/a/tun:rwm");
	assert_string_equal(joined(&spec.device_rules), "c 10:* rwm");
	assert_int_equal(plan(SH,
			      "--security-opt~no-new-privileges~--security-opt~"
			      "seccomp=unconfined~--security-opt~apparmor:unconfined~"
			      "--security-opt~label=disable~--security-opt~"
			      "systempaths=unconfined~--security-opt~writable-cgroups=true~img"),
			 0);
	assert_true(spec.no_new_privs && spec.system_paths && spec.writable_cgroups);
	assert_string_equal(joined(&spec.security_opts),
			    "no-new-privileges~seccomp=unconfined~apparmor:unconfined~"
			    "label=disable~writable-cgroups=true");
	assert_int_equal(plan(SH, "--security-opt~no-new-privileges:false~img"), 0);
	assert_false(spec.no_new_privs);
	done();
}

static void test_modes(void **state)
{
	(void)state;
	assert_int_equal(plan(SH,
			      "--ipc~none~--userns~host~--cgroupns~private~--isolation~default~"
			      "--runtime~zl~--volume-driver~local~--disable-content-trust~"
			      "--pid=~--uts=~--cgroup-parent=~--annotation~a=b~--annotation~c~"
			      "--log-driver~json-file~--log-opt~max-size=1m~--log-opt~max-file=3~"
			      "--cidfile~/c~img"),
			 0);
	assert_string_equal(spec.ipc, "none");
	assert_string_equal(spec.userns, "host");
	assert_string_equal(joined(&spec.annotations), "a=b~c=");
	assert_string_equal(joined(&spec.log_opts), "max-size=1m~max-file=3");
	assert_string_equal(spec.log_driver, "json-file");
	assert_string_equal(spec.cidfile, "/c");
	assert_int_equal(warnings.n, 0);
	assert_int_equal(plan(SH, "img"), 0);
	assert_string_equal(spec.ipc, "private");
	done();
}

static void test_net(void **state)
{
	static const char exposing[] =
		CONFIG("\"Cmd\":[\"sh\"],\"ExposedPorts\":{\"80/tcp\":{},\"bad\":{}}");

	(void)state;
	assert_int_equal(plan(exposing, "--dns~1.2.3.4~--dns~fd00::1~--dns-opt~a:1~--dns-option~b~"
					"--dns-search~x.example~--dns-search~.~--expose~80~"
					"--expose~8000-8002/udp~img"),
			 0);
	assert_string_equal(joined(&spec.dns), "1.2.3.4~fd00::1");
	assert_string_equal(joined(&spec.dns_options), "a:1~b");
	assert_string_equal(joined(&spec.dns_search), "x.example~.");
	assert_string_equal(joined(&spec.exposed), "80/tcp~8000/udp~8001/udp~8002/udp");
	done();
}

static void test_label_file(void **state)
{
	static const char text[] = "# note\na=file\nb\nc=file\n";
	char path[] = "/tmp/zl-labels-XXXXXX";
	own_free char *line = NULL;
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	close(fd);
	line = xasprintf("--label-file~%s~-l~c=flag~-l~d~img", path);
	assert_int_equal(plan(CONFIG("\"Cmd\":[\"sh\"],\"Labels\":{\"a\":\"image\"}"), line), 0);
	assert_string_equal(joined(&spec.labels), "a=file~b=~c=flag~d=");
	unlink(path);
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
		{ "-v~/a:/b:shared~img", "propagation \"shared\" is not possible" },
		{ "-v~d:/b~img", "volume name is too short" },
		{ "-v~/src:/b:nocopy~img", "invalid mode: nocopy" },
		{ "-v~vol:/b:rshared~img", "propagation \"rshared\" is not possible" },
		{ "--mount~type=volume~img", "target is required" },
		{ "-v~a/b:/c~img", "invalid characters for a local volume name" },
		{ "-v~/a:/x~--tmpfs~/x/~img", "Duplicate mount point: /x" },
		{ "--tmpfs~rel~img", "invalid mount path: 'rel'" },
		{ "--tmpfs~/t:loop~img", "invalid tmpfs option \"loop\"" },
		{ "--tmpfs~/t:size=~img", "invalid tmpfs option \"size=\"" },
		{ "--add-host~nocolon~img", "bad format for add-host: \"nocolon\"" },
		{ "--add-host~x:999.1.1.1~img", "invalid IP address in add-host: \"999.1.1.1\"" },
		{ "--network~host~img", "--network host is not supported" },
		{ "--network~container:x~img", "share no network" },
		{ "--net~nowhere~img", "network nowhere not found" },
		{ "--network~none~--network~bridge~img", "one network only" },
		{ "-a~nothing~img", "valid streams are STDIN, STDOUT and STDERR" },
		{ "-d~-a~stdin~img",
		  "conflicting options: cannot specify both --attach and --detach" },
		{ "-m~5m~img", "Minimum memory limit allowed is 6MB" },
		{ "-m~6291455~img", "Minimum memory limit allowed is 6MB" },
		{ "-m~1~img", "Minimum memory limit allowed is 6MB" },
		{ "-m~4097m~img",
		  "Range of memory is from 6MB to 4GiB, as there is no more available" },
		{ "-m~8191p~img", "Range of memory is from 6MB to 4GiB" },
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
		{ "--cpus~4.01~img", "Range of CPUs is from 0.01 to 4.00" },
		{ "--cpus~0.001~img", "Range of CPUs is from 0.01 to 4.00" },
		{ "--machine~xen~img", "must be kvm or qemu" },
		{ "--stop-signal~SIGNOPE~img", "invalid signal: SIGNOPE" },
		{ "--stop-timeout=-5~img", "\"--stop-timeout\" flag" },
		{ "--name~bad/name~img", "Invalid container name (bad/name)" },
		{ "--name~x~img", "Invalid container name (x)" },
		{ "--name~_x~img", "Invalid container name (_x)" },
		{ "-h~bad host~img", "invalid hostname format: bad host" },
		{ "-w~rel~img", "the working directory 'rel' is invalid" },
		/* limits */
		{ "--memory-swap~64m~img", "You should always set the Memory limit when using" },
		{ "-m~64m~--memory-swap~32m~img",
		  "Minimum memoryswap limit should be larger than memory limit, see usage" },
		{ "--memory-swap~x~img", "invalid argument \"x\" for \"--memory-swap\" flag" },
		{ "--memory-reservation~5m~img", "Minimum memory reservation allowed is 6MB" },
		{ "-m~32m~--memory-reservation~64m~img",
		  "Minimum memory limit can not be less than memory reservation limit" },
		{ "--cpus~1~--cpu-quota~5000~img",
		  "Conflicting options: Nano CPUs and CPU Quota cannot both be set" },
		{ "--cpus~1~--cpu-period~5000~img",
		  "Conflicting options: Nano CPUs and CPU Period cannot both be set" },
		{ "--cpu-period~999~img", "CPU cfs period can not be less than 1ms" },
		{ "--cpu-period~1000001~img", "or larger than 1s (i.e. 1000000)" },
		{ "--cpu-quota~999~img", "CPU cfs quota can not be less than 1ms" },
		{ "--cpu-rt-runtime~5~img", "kernel does not support CPU real-time scheduler" },
		{ "--cpu-shares=-1~img", "shares: invalid argument" },
		{ "--cpuset-cpus~x~img", "Invalid value x for cpuset cpus" },
		{ "--cpuset-cpus~0,~img", "Invalid value 0, for cpuset cpus" },
		{ "--cpuset-cpus~3-2~img", "Invalid value 3-2 for cpuset cpus" },
		{ "--cpuset-cpus~99999~img", "Invalid value 99999 for cpuset cpus" },
		{ "--cpuset-cpus~2-4~img",
		  "Requested CPUs are not available - requested 2-4, available: 0-3" },
		{ "--cpuset-mems~1~img",
		  "Requested memory nodes are not available - requested 1, available: 0" },
		{ "--blkio-weight~9~img", "Range of blkio weight is from 10 to 1000" },
		{ "--device-read-bps~/dev/sda:1mb~img",
		  "limits of block devices are not supported" },
		{ "--memory-swappiness~101~img", "Valid memory swappiness range is 0-100" },
		{ "--oom-score-adj~1001~img", "range for oom score adj is [-1000, 1000]" },
		/* inside */
		{ "--ulimit~nofile~img", "flag: invalid ulimit argument: nofile" },
		{ "--ulimit~files=1~img", "flag: invalid ulimit type: files" },
		{ "--ulimit~as=1~img", "flag: invalid ulimit type: as" },
		{ "--ulimit~nofile=1:2:3~img", "too many limit value arguments - 1:2:3" },
		{ "--ulimit~nofile=x~img", "must be numbers, or -1" },
		{ "--ulimit~nofile=~img", "must be numbers, or -1" },
		{ "--ulimit~nofile=3:2~img", "less than or equal to hard limit: 3 > 2" },
		{ "--ulimit~nofile=-1:2~img", "less than or equal to hard limit: -1 > 2" },
		{ "--sysctl~a.b~img", "flag: sysctl 'a.b' is not allowed" },
		{ "--sysctl~=1~img", "flag: sysctl '=1' is not allowed" },
		{ "--sysctl~../x=1~img", "is not allowed" },
		{ "--sysctl~a b=1~img", "is not allowed" },
		{ "--device~/dev/kvm~img", "error gathering device information while adding custom "
					   "device \"/dev/kvm\": no such device" },
		{ "--device~:/x~img", "bad format for path: :/x" },
		{ "--device~/a:/b:/c:rw~img", "bad format for path: /a:/b:/c:rw" },
		{ "--device~/dev/fuse:/x:rx~img", "bad mode specified: rx" },
		{ "--device~/dev/fuse:/x:rr~img", "bad mode specified: rr" },
		{ "--device~/dev/fuse:x~img", "x is not an absolute path" },
		{ "--device~/dev/fuse:r~img", "is the container's to read and to write" },
		{ "--device-cgroup-rule~c 1:2~img", "invalid device cgroup format 'c 1:2'" },
		{ "--device-cgroup-rule~x 1:2 r~img", "invalid device cgroup format" },
		{ "--device-cgroup-rule~c 1:2 rwmr~img", "invalid device cgroup format" },
		{ "--security-opt~nothing~img", "invalid --security-opt: \"nothing\"" },
		{ "--security-opt~x=y~img", "invalid --security-opt 2: \"x=y\"" },
		{ "--security-opt~no-new-privileges=x~img", "invalid --security-opt 2" },
		{ "--security-opt~seccomp=/x.json~img", "seccomp profiles are not supported" },
		{ "--security-opt~apparmor=x~img", "the machine's kernel has no AppArmor" },
		{ "--security-opt~label=user:x~img", "the machine's kernel has no SELinux" },
		/* modes */
		{ "--pid~host~img", "--pid host is not supported: a container has a kernel of its "
				    "own" },
		{ "--pid~container:x~img", "--pid container:x is not supported" },
		{ "--pid~x~img", "--pid: invalid PID mode" },
		{ "--uts~host~img", "--uts host is not supported" },
		{ "--uts~x~img", "--uts: invalid UTS mode" },
		{ "--userns~x~img", "--userns: invalid USER mode" },
		{ "--cgroupns~host~img", "--cgroupns host is not supported" },
		{ "--cgroupns~x~img", "--cgroupns: invalid CGROUP mode" },
		{ "--ipc~host~img", "--ipc host is not supported" },
		{ "--ipc~x~img", "invalid IPC mode: x" },
		{ "--isolation~hyperv~img", "invalid isolation 'hyperv' on linux" },
		{ "--runtime~runc~img", "unknown or invalid runtime name: runc" },
		{ "--cgroup-parent~/x~img", "--cgroup-parent is not supported" },
		{ "--gpus~all~img",
		  "could not select device driver \"\" with capabilities: [[gpu]]" },
		{ "--use-api-socket~img", "--use-api-socket is not supported" },
		{ "--disable-content-trust=false~img", "is not supported: images are verified" },
		{ "--volume-driver~nfs~img", "plugin \"nfs\" not found" },
		{ "--storage-opt~size~img", "invalid storage option" },
		{ "--storage-opt~size=1g~img", "--storage-opt is not supported" },
		{ "--log-driver~syslog~img", "logger: no log driver named 'syslog' is registered" },
		{ "--log-driver~none~--log-opt~max-size=1m~img",
		  "invalid logging opts for driver none" },
		{ "--log-opt~tag=x~img", "unknown log opt 'tag' for json-file log driver" },
		/* network */
		{ "--dns~x~img", "IP address is not correctly formatted: x" },
		{ "--dns-search~-a.b~img", "-a.b is not a valid domain" },
		{ "--dns-search~1.2~img", "1.2 is not a valid domain" },
		{ "--dns-option~a b~img", "it is more than one" },
		{ "--expose~1:2~img", "invalid port format for --expose: 1:2" },
		{ "--expose~2-1~img", "invalid range format for --expose: 2-1" },
		{ "--expose~x~img", "invalid range format for --expose: x" },
		{ "--expose~65536~img", "invalid range format for --expose: 65536" },
		{ "--expose~1/x~img", "invalid proto: x" },
		{ "--ip~10.0.0.1~img", "user specified IP address is supported on user defined" },
		{ "--network-alias~x~img", "network-scoped aliases are only supported for" },
		{ "--net-alias~x~img", "network-scoped aliases are only supported for" },
		{ "--link~x~img", "--link x is not supported" },
		{ "--mac-address~x~img", "--mac-address is not supported" },
		{ "-l~=x~img", "invalid label '=x': empty name" },
		{ "-l~a b=x~img", "label 'a b' contains whitespaces" },
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
		cmocka_unit_test(test_argv),	   cmocka_unit_test(test_env),
		cmocka_unit_test(test_env_file),   cmocka_unit_test(test_identity),
		cmocka_unit_test(test_switches),   cmocka_unit_test(test_caps),
		cmocka_unit_test(test_mounts),	   cmocka_unit_test(test_home_mount),
		cmocka_unit_test(test_hosts),	   cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_names),	   cmocka_unit_test(test_limits),
		cmocka_unit_test(test_warnings),   cmocka_unit_test(test_inside),
		cmocka_unit_test(test_modes),	   cmocka_unit_test(test_net),
		cmocka_unit_test(test_label_file), cmocka_unit_test(test_ports),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
