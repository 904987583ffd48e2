/* test_spec.c: box specs survive JSON, bad ones are refused. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "runtime/box/spec.h"

static void set(char **field, const char *value)
{
	free(*field);
	*field = xstrdup(value);
}

static void fill(struct box_spec *s)
{
	struct box_mount *m;

	box_spec_init(s);
	set(&s->name, "brave_hopper");
	set(&s->image, "busybox");
	set(&s->image_id, "sha256:1234");
	set(&s->cwd, "/srv/\xff\x01 x");
	set(&s->user, "1000:users");
	set(&s->hostname, "h\"ost");
	set(&s->stop_signal, "SIGINT");
	strv_add(&s->layers, "/l/2");
	strv_add(&s->layers, "/l/1");
	strv_add(&s->argv, "printf");
	strv_add(&s->argv, "");
	strv_add(&s->argv, "\xc3\x28 and \xf0\x9f\x90\xb3");
	strv_add(&s->env, "A=\n\t\x7f");
	strv_add(&s->groups, "wheel");
	strv_add(&s->extra_hosts, "db:10.0.0.1");
	strv_add(&s->labels, "a=b");
	s->tty = s->auto_remove = true;
	s->attach = BOX_ATTACH_STDIN | BOX_ATTACH_STDERR;
	s->caps = UINT64_MAX;
	s->limits.memory = 1ULL << 63;
	s->limits.nano_cpus = 1500000000;
	s->limits.memory_swap = -1;
	s->limits.pids = 7;
	set(&s->limits.cpuset_cpus, "0-2,7");
	set(&s->log_driver, "none");
	strv_add(&s->ulimits, "nofile=1:2");
	strv_add(&s->dns_search, ".");
	s->oom_score_adj = -1000;
	s->no_new_privs = true;
	s->stop_timeout = -1;
	set(&s->restart, "on-failure");
	s->restart_max = 3;
	strv_add(&s->health.test, "CMD-SHELL");
	strv_add(&s->health.test, "a\xff z");
	strv_add(&s->health.shell, "/bin/ash");
	s->health.interval_ns = 1LL << 62;
	s->health.retries = 7;
	box_spec_add_mount(s, BOX_MOUNT_BIND, "/src \xfe", "/dst", NULL, true);
	box_spec_add_mount(s, BOX_MOUNT_TMPFS, NULL, "/tmp", "size=1m", false);
	m = box_spec_add_mount(s, BOX_MOUNT_VOLUME, "/volumes/v/_data", "/v", NULL, false);
	set(&m->name, "v");
	set(&m->subpath, "a/b");
	set(&m->mode, "z");
	m->by_mount = m->nocopy = m->anonymous = true;
}

/* Through text, as through the file. */
static int through(const struct box_spec *s, struct box_spec *out)
{
	struct err e = ERR_INIT;
	struct js *j = box_spec_to_json(s), *k;
	char *text = js_dump(j, 1);
	int rc;

	k = js_parse(text, strlen(text), &e);
	assert_non_null(k);
	rc = box_spec_from_json(out, k, &e);
	js_free(k);
	js_free(j);
	free(text);
	return rc;
}

static void lists_equal(const struct strv *a, const struct strv *b)
{
	assert_int_equal(a->n, b->n);
	for (size_t i = 0; i < a->n; i++)
		assert_string_equal(a->v[i], b->v[i]);
}

static void round_trip(void **state)
{
	struct box_spec a, b;

	(void)state;
	fill(&a);
	assert_int_equal(through(&a, &b), 0);
	assert_string_equal(a.id, b.id);
	assert_string_equal(a.name, b.name);
	assert_string_equal(a.image, b.image);
	assert_string_equal(a.image_id, b.image_id);
	assert_string_equal(a.cwd, b.cwd);
	assert_string_equal(a.user, b.user);
	assert_string_equal(a.hostname, b.hostname);
	assert_string_equal(a.domainname, b.domainname);
	assert_string_equal(a.machine, b.machine);
	assert_string_equal(a.kernel, b.kernel);
	assert_string_equal(a.platform, b.platform);
	assert_string_equal(a.stop_signal, b.stop_signal);
	lists_equal(&a.layers, &b.layers);
	lists_equal(&a.argv, &b.argv);
	lists_equal(&a.env, &b.env);
	lists_equal(&a.groups, &b.groups);
	lists_equal(&a.extra_hosts, &b.extra_hosts);
	lists_equal(&a.labels, &b.labels);
	lists_equal(&a.ulimits, &b.ulimits);
	lists_equal(&a.dns_search, &b.dns_search);
	assert_string_equal(b.limits.cpuset_cpus, "0-2,7");
	assert_string_equal(b.log_driver, "none");
	assert_string_equal(b.restart, "on-failure");
	lists_equal(&a.health.test, &b.health.test);
	lists_equal(&a.health.shell, &b.health.shell);
	assert_true(b.restart_max == 3 && b.health.interval_ns == 1LL << 62 &&
		    b.health.retries == 7);
	assert_string_equal(b.ipc, "private");
	assert_true(b.limits.memory_swap == -1 && b.limits.pids == 7 && b.oom_score_adj == -1000);
	assert_true(b.no_new_privs && !b.system_paths);
	assert_true(b.tty && b.auto_remove);
	assert_false(b.open_stdin || b.init || b.read_only || b.privileged || b.detached);
	assert_int_equal(a.attach, b.attach);
	assert_true(a.caps == b.caps && a.limits.memory == b.limits.memory &&
		    a.limits.nano_cpus == b.limits.nano_cpus);
	assert_true(a.shm_size == b.shm_size && b.shm_size == 64U << 20);
	assert_int_equal(b.stop_timeout, -1);
	assert_true(a.created_ns == b.created_ns && a.created_ns > 0);
	assert_int_equal(b.nmounts, 3);
	assert_string_equal(b.mounts[2].name, "v");
	assert_string_equal(b.mounts[2].subpath, "a/b");
	assert_string_equal(b.mounts[2].mode, "z");
	assert_true(b.mounts[2].by_mount && b.mounts[2].nocopy && b.mounts[2].anonymous);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(a.mounts[i].kind, b.mounts[i].kind);
		assert_string_equal(a.mounts[i].source, b.mounts[i].source);
		assert_string_equal(a.mounts[i].target, b.mounts[i].target);
		assert_string_equal(a.mounts[i].options, b.mounts[i].options);
		assert_int_equal(a.mounts[i].read_only, b.mounts[i].read_only);
	}
	box_spec_free(&a);
	box_spec_free(&b);
}

static void ids_differ(void **state)
{
	struct box_spec a, b;

	(void)state;
	box_spec_init(&a);
	box_spec_init(&b);
	assert_int_equal(strlen(a.id), BOX_ID_LEN);
	assert_int_equal(strspn(a.id, "0123456789abcdef"), BOX_ID_LEN);
	assert_string_not_equal(a.id, b.id);
	box_spec_free(&a);
	box_spec_free(&b);
}

#define ID64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void bad_ones(void **state)
{
	static const char *const bad[] = {
		"null",
		"[]",
		"{}",
		"{\"id\":\"0123\",\"argv\":[\"a\"]}",
		"{\"id\":\"../" ID64 "\",\"argv\":[\"a\"]}",
		"{\"id\":\"" ID64 "\"}",
		"{\"id\":\"" ID64 "\",\"argv\":\"a\"}",
		"{\"id\":\"" ID64 "\",\"argv\":[{\"bytes\":\"f\"}]}",
		"{\"id\":\"" ID64 "\",\"argv\":[{\"bytes\":\"00\"}]}",
		"{\"id\":\"" ID64 "\",\"argv\":[\"a\"],\"mounts\":[{}]}",
		"{\"id\":\"" ID64
		"\",\"argv\":[\"a\"],\"mounts\":[{\"kind\":\"x\",\"target\":\"/\"}]}",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct err e = ERR_INIT;
		struct js *j = js_parse(bad[i], strlen(bad[i]), &e);
		struct box_spec s;

		assert_non_null(j);
		assert_int_equal(box_spec_from_json(&s, j, &e), -EINVAL);
		assert_true(e.msg[0] != 0);
		js_free(j);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(round_trip),
		cmocka_unit_test(ids_differ),
		cmocka_unit_test(bad_ones),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
