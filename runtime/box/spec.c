/* spec.c: a box spec to JSON and back; see spec.h. */
#include "runtime/box/spec.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "runtime/base/own.h"
#include "runtime/base/parse.h"

/* docker's defaults */
#define SHM_SIZE_DEFAULT     (64ULL << 20)
#define STOP_TIMEOUT_DEFAULT 10
#define CAPS_DEFAULT                                                                         \
	(1ULL << 0 | 1ULL << 1 | 1ULL << 3 | 1ULL << 4 | 1ULL << 5 | 1ULL << 6 | 1ULL << 7 | \
	 1ULL << 8 | 1ULL << 10 | 1ULL << 13 | 1ULL << 18 | 1ULL << 27 | 1ULL << 29 | 1ULL << 31)

/* ours: docker resets who comes too early */
#define PUBLISH_WAIT_DEFAULT (10LL * 1000000000)

/* Most mounts a spec.json may hold. */
#define SPEC_MOUNTS_MAX 1024

/*
 * The fields by type, so that init, free, writing and reading cannot drift
 * apart.
 */
#define TEXT_FIELDS(X)        \
	X(name)               \
	X(image)              \
	X(image_id)           \
	X(cwd)                \
	X(user)               \
	X(hostname)           \
	X(domainname)         \
	X(machine)            \
	X(kernel)             \
	X(network)            \
	X(platform)           \
	X(stop_signal)        \
	X(restart)            \
	X(limits.cpuset_cpus) \
	X(limits.cpuset_mems) \
	X(ipc) X(log_driver) X(cidfile) X(isolation) X(userns) X(volume_driver)
#define LIST_FIELDS(X)   \
	X(layers)        \
	X(argv)          \
	X(entrypoint)    \
	X(cmd)           \
	X(env)           \
	X(groups)        \
	X(extra_hosts)   \
	X(labels)        \
	X(volumes_from)  \
	X(health.test)   \
	X(health.shell)  \
	X(ulimits)       \
	X(sysctls)       \
	X(devices)       \
	X(device_rules)  \
	X(security_opts) \
	X(dns) X(dns_options) X(dns_search) X(exposed) X(log_opts) X(annotations)
#define BOOL_FIELDS(X) \
	X(tty)         \
	X(open_stdin)  \
	X(init)        \
	X(read_only)   \
	X(privileged)  \
	X(auto_remove) \
	X(detached) X(publish_all) X(no_new_privs) X(system_paths) X(writable_cgroups)
#define MOUNT_TEXT_FIELDS(X) X(source) X(target) X(options) X(name) X(subpath) X(mode)
#define MOUNT_BOOL_FIELDS(X) X(read_only) X(by_mount) X(nocopy) X(anonymous)
#define INT_FIELDS(X)               \
	X(created_ns)               \
	X(stop_timeout)             \
	X(restart_max)              \
	X(health.interval_ns)       \
	X(health.timeout_ns)        \
	X(health.start_period_ns)   \
	X(health.start_interval_ns) \
	X(health.retries) X(publish_wait) X(oom_score_adj) X(limits.memory_swap) X(limits.cpu_quota)
/* Unsigned ones are kept as decimal text: JSON numbers end at 2^63. */
#define U64_FIELDS(X)                \
	X(caps)                      \
	X(shm_size)                  \
	X(limits.memory)             \
	X(limits.memory_reservation) \
	X(limits.nano_cpus) X(limits.cpu_period) X(limits.cpu_shares) X(limits.pids)

static void set_default(char **field, const char *value)
{
	free(*field);
	*field = xstrdup(value);
}

/*
 * What is not in a spec.json: what most containers have is not written, as most of the time of a
 * `ps` is spent on reading them. So what stands here must stay as it is.
 */
static void set_defaults(struct box_spec *s)
{
	memset(s, 0, sizeof(*s));
#define X(f) s->f = xstrdup("");
	TEXT_FIELDS(X)
#undef X
	set_default(&s->stop_signal, "SIGTERM");
	set_default(&s->ipc, "private");
	set_default(&s->log_driver, "json-file");
	s->stop_timeout = STOP_TIMEOUT_DEFAULT;
	s->publish_wait = PUBLISH_WAIT_DEFAULT;
	s->shm_size = SHM_SIZE_DEFAULT;
	s->caps = CAPS_DEFAULT;
}

void box_spec_init(struct box_spec *s)
{
	unsigned char id[BOX_ID_LEN / 2];
	struct timespec now;

	set_defaults(s);
	random_bytes(id, sizeof(id));
	hex_encode(s->id, id, sizeof(id));
	clock_gettime(CLOCK_REALTIME, &now);
	s->created_ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

void box_spec_free(struct box_spec *s)
{
#define X(f) free(s->f);
	TEXT_FIELDS(X)
#undef X
#define X(f) strv_free(&s->f);
	LIST_FIELDS(X)
#undef X
	for (unsigned i = 0; i < s->nmounts; i++)
		box_mount_free(&s->mounts[i]);
	free(s->mounts);
	free(s->ports);
	memset(s, 0, sizeof(*s));
}

void box_mount_free(struct box_mount *m)
{
#define X(f) free(m->f);
	MOUNT_TEXT_FIELDS(X)
#undef X
	strv_free(&m->volume_labels);
	strv_free(&m->volume_options);
	memset(m, 0, sizeof(*m));
}

struct box_mount *box_spec_add_mount(struct box_spec *s, enum box_mount_kind kind,
				     const char *source, const char *target, const char *options,
				     bool read_only)
{
	s->mounts = xrealloc(s->mounts, (s->nmounts + 1) * sizeof(*s->mounts));
	s->mounts[s->nmounts++] = (struct box_mount){
		.kind = kind,
		.source = xstrdup(source ? source : ""),
		.target = xstrdup(target),
		.options = xstrdup(options ? options : ""),
		.name = xstrdup(""),
		.subpath = xstrdup(""),
		.mode = xstrdup(""),
		.read_only = read_only,
	};
	return &s->mounts[s->nmounts - 1];
}

static void set_u64(struct js *j, const char *key, uint64_t v)
{
	char *text = xasprintf("%llu", (unsigned long long)v);

	js_set_text(j, key, text);
	free(text);
}

/*
 * Arguments, environment and paths are bytes, JSON is Unicode: what is no
 * UTF-8 is kept as { "bytes": "<hex>" }.
 */
static struct js *bytes_to_json(const char *s)
{
	struct js *j = js_of_text(s), *o;
	own_free char *hex = NULL;
	const char *kept = js_text(j);

	if (kept && strcmp(kept, s) == 0)
		return j;
	js_free(j);
	hex = xmalloc(2 * strlen(s) + 1);
	hex_encode(hex, s, strlen(s));
	o = js_object();
	js_set_text(o, "bytes", hex);
	return o;
}

static int hex_digit(char c)
{
	const char *digits = "0123456789abcdef", *at = c ? strchr(digits, c) : NULL;

	return at ? (int)(at - digits) : -1;
}

/* Owned by the caller; NULL if it is neither. */
static char *bytes_from_json(const struct js *j)
{
	const char *t = js_text(j), *hex = js_text(js_get(j, "bytes"));
	own_str struct str s = STR_INIT;

	if (t)
		return xstrdup(t);
	if (hex == NULL)
		return NULL;
	for (; hex[0]; hex += 2) {
		int hi = hex_digit(hex[0]), lo = hi < 0 ? -1 : hex_digit(hex[1]);

		if (lo < 0 || (hi | lo) == 0)
			return NULL;
		str_add_char(&s, (char)(hi << 4 | lo));
	}
	return str_steal(&s);
}

static struct js *list_to_json(const struct strv *v)
{
	struct js *arr = js_array();

	for (size_t i = 0; i < v->n; i++)
		js_push(arr, bytes_to_json(v->v[i]));
	return arr;
}

static void get_list(const struct js *j, const char *key, struct strv *out)
{
	const struct js *arr = js_get(j, key);

	for (size_t i = 0; i < js_len(arr); i++) {
		char *s = bytes_from_json(js_at(arr, i));

		if (s)
			strv_take(out, s);
	}
}

static const char *const mount_kinds[] = {
	[BOX_MOUNT_BIND] = "bind", [BOX_MOUNT_TMPFS] = "tmpfs", [BOX_MOUNT_VOLUME] = "volume"
};
#define N_KINDS (sizeof(mount_kinds) / sizeof(mount_kinds[0]))

static struct js *mount_to_json(const struct box_mount *m)
{
	struct js *j = js_object();

	js_set_text(j, "kind", mount_kinds[m->kind]);
#define X(f) js_set(j, #f, bytes_to_json(m->f));
	MOUNT_TEXT_FIELDS(X)
#undef X
#define X(f) js_set_bool(j, #f, m->f);
	MOUNT_BOOL_FIELDS(X)
#undef X
	return j;
}

void box_spec_add_port(struct box_spec *s, const struct box_port *p)
{
	s->ports = xrealloc(s->ports, (s->nports + 1) * sizeof(*s->ports));
	s->ports[s->nports++] = *p;
}

static struct js *port_to_json(const struct box_port *p)
{
	struct js *j = js_object();

	js_set_text(j, "ip", p->ip);
	js_set_int(j, "first", p->first);
	js_set_int(j, "last", p->last);
	js_set_int(j, "port", p->port);
	js_set_bool(j, "udp", p->udp);
	return j;
}

struct js *box_spec_to_json(const struct box_spec *s)
{
	struct js *j = js_object(), *mounts = js_array(), *ports = js_array();
	struct box_spec usual;

	set_defaults(&usual);
	js_set_text(j, "id", s->id);
#define X(f)                            \
	if (strcmp(s->f, usual.f) != 0) \
		js_set(j, #f, bytes_to_json(s->f));
	TEXT_FIELDS(X)
#undef X
#define X(f)        \
	if (s->f.n) \
		js_set(j, #f, list_to_json(&s->f));
	LIST_FIELDS(X)
#undef X
#define X(f)                 \
	if (s->f != usual.f) \
		js_set_bool(j, #f, s->f);
	BOOL_FIELDS(X)
#undef X
#define X(f)                 \
	if (s->f != usual.f) \
		js_set_int(j, #f, s->f);
	INT_FIELDS(X)
#undef X
#define X(f)                 \
	if (s->f != usual.f) \
		set_u64(j, #f, s->f);
	U64_FIELDS(X)
#undef X
	box_spec_free(&usual);
	js_set_int(j, "attach", s->attach);
	for (unsigned i = 0; i < s->nmounts; i++)
		js_push(mounts, mount_to_json(&s->mounts[i]));
	js_set(j, "mounts", mounts);
	for (unsigned i = 0; i < s->nports; i++)
		js_push(ports, port_to_json(&s->ports[i]));
	js_set(j, "ports", ports);
	return j;
}

static void get_text(const struct js *j, const char *key, char **out)
{
	char *t = bytes_from_json(js_get(j, key));

	if (t == NULL)
		return;
	free(*out);
	*out = t;
}

static void get_u64(const struct js *j, const char *key, uint64_t *out)
{
	const char *t = js_text(js_get(j, key));
	uint64_t v;

	if (t && parse_u64(t, 0, UINT64_MAX, &v))
		*out = v;
}

static int get_mounts(struct box_spec *s, const struct js *mounts, struct err *e)
{
	size_t n = js_len(mounts);

	if (n > SPEC_MOUNTS_MAX)
		return err_set(e, EINVAL, "more than %d mounts", SPEC_MOUNTS_MAX);
	for (size_t i = 0; i < n; i++) {
		const struct js *m = js_at(mounts, i);
		const char *kind = js_text(js_get(m, "kind"));
		struct box_mount *to;
		unsigned k = 0;

		while (k < N_KINDS && (kind == NULL || strcmp(kind, mount_kinds[k]) != 0))
			k++;
		if (k == N_KINDS || js_get(m, "target") == NULL)
			return err_set(e, EINVAL, "mount %zu is malformed", i);
		to = box_spec_add_mount(s, (enum box_mount_kind)k, NULL, "", NULL, false);
#define X(f) get_text(m, #f, &to->f);
		MOUNT_TEXT_FIELDS(X)
#undef X
#define X(f) to->f = js_true(js_get(m, #f));
		MOUNT_BOOL_FIELDS(X)
#undef X
	}
	return 0;
}

static uint16_t get_port(const struct js *j, const char *key)
{
	int64_t v;

	return js_int(js_get(j, key), &v) && v >= 0 && v <= UINT16_MAX ? (uint16_t)v : 0;
}

static void get_ports(struct box_spec *s, const struct js *ports)
{
	for (size_t i = 0; i < js_len(ports); i++) {
		const struct js *j = js_at(ports, i);
		const char *ip = js_text(js_get(j, "ip"));
		struct box_port p = { .first = get_port(j, "first"),
				      .last = get_port(j, "last"),
				      .port = get_port(j, "port"),
				      .udp = js_true(js_get(j, "udp")) };

		snprintf(p.ip, sizeof(p.ip), "%s", ip ? ip : "");
		if (p.port)
			box_spec_add_port(s, &p);
	}
}

static bool id_valid(const char *id)
{
	return id && strlen(id) == BOX_ID_LEN && strspn(id, "0123456789abcdef") == BOX_ID_LEN;
}

int box_spec_from_json(struct box_spec *s, const struct js *j, struct err *e)
{
	const char *id = js_text(js_get(j, "id"));
	int64_t attach = 0;

	set_defaults(s);
	if (!id_valid(id)) {
		err_set(e, EINVAL, "container spec: no valid id");
		goto fail;
	}
	memcpy(s->id, id, sizeof(s->id));
#define X(f) get_text(j, #f, &s->f);
	TEXT_FIELDS(X)
#undef X
#define X(f) get_list(j, #f, &s->f);
	LIST_FIELDS(X)
#undef X
#define X(f)                           \
	if (js_is_bool(js_get(j, #f))) \
		s->f = js_true(js_get(j, #f));
	BOOL_FIELDS(X)
#undef X
#define X(f) js_int(js_get(j, #f), &s->f);
	INT_FIELDS(X)
#undef X
#define X(f) get_u64(j, #f, &s->f);
	U64_FIELDS(X)
#undef X
	if (js_int(js_get(j, "attach"), &attach))
		s->attach = (unsigned)attach &
			    (BOX_ATTACH_STDIN | BOX_ATTACH_STDOUT | BOX_ATTACH_STDERR);
	if (s->argv.n == 0) {
		err_set(e, EINVAL, "container spec: no command");
		goto fail;
	}
	get_ports(s, js_get(j, "ports"));
	if (get_mounts(s, js_get(j, "mounts"), e) < 0) {
		err_wrap(e, "container spec");
		goto fail;
	}
	return 0;
fail:
	box_spec_free(s);
	return -EINVAL;
}
