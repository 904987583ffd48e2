/* inspect_box.c: a container in docker's JSON: names, types and nesting are docker's. */
#include <stdio.h>
#include <string.h>

#include "cmd/human.h"
#include "cmd/inspect.h"
#include "cmd/ports.h"
#include "cmd/show.h"
#include "runtime/base/own.h"
#include "runtime/box/link.h"

/* What is not said of a container that stops as docker's do, if nobody says otherwise. */
#define STOP_TIMEOUT_DOCKER 10

static void set_time(struct js *j, const char *key, int64_t ns)
{
	char buf[64];

	rfc3339(ns, buf, sizeof(buf));
	js_set_text(j, key, buf);
}

/* Without a check docker has no such key. */
static void set_health(struct js *state, const struct box *b)
{
	struct box_health_log log OWN(box_health_log_free) = { 0 };
	struct js *j, *all;

	if (b->state.health == BOX_HEALTH_NONE || box_health_log(b, &log) < 0)
		return;
	j = js_object();
	all = js_array();
	js_set_text(j, "Status", box_health_name(b->state.health));
	js_set_int(j, "FailingStreak", log.streak);
	for (unsigned i = 0; i < log.n; i++) {
		struct js *one = js_object();

		set_time(one, "Start", log.v[i].start_ns);
		set_time(one, "End", log.v[i].end_ns);
		js_set_int(one, "ExitCode", log.v[i].exit_code);
		js_set_text(one, "Output", log.v[i].output);
		js_push(all, one);
	}
	js_set(j, "Log", all);
	js_set(state, "Health", j);
}

static void set_healthcheck(struct js *config, const struct box_health *h)
{
	struct js *j;

	if (h->test.n == 0)
		return;
	j = js_object();
	js_set(j, "Test", js_of_strings(&h->test));
	if (h->interval_ns)
		js_set_int(j, "Interval", h->interval_ns);
	if (h->timeout_ns)
		js_set_int(j, "Timeout", h->timeout_ns);
	if (h->start_period_ns)
		js_set_int(j, "StartPeriod", h->start_period_ns);
	if (h->start_interval_ns)
		js_set_int(j, "StartInterval", h->start_interval_ns);
	if (h->retries)
		js_set_int(j, "Retries", h->retries);
	js_set(config, "Healthcheck", j);
}

static struct js *state_of(const struct box *b)
{
	const struct box_state *s = &b->state;
	struct js *j = js_object();

	js_set_text(j, "Status", box_status_name(s->status));
	js_set_bool(j, "Running", box_is_running(b));
	js_set_bool(j, "Paused", s->status == BOX_PAUSED);
	js_set_bool(j, "Restarting", s->status == BOX_RESTARTING);
	js_set_bool(j, "OOMKilled", s->oom_killed);
	js_set_bool(j, "Dead", s->status == BOX_DEAD);
	js_set_int(j, "Pid", s->status == BOX_RUNNING || s->status == BOX_PAUSED ? s->pid : 0);
	js_set_int(j, "ExitCode", s->exit_code);
	js_set_text(j, "Error", s->error ? s->error : "");
	set_time(j, "StartedAt", s->started_ns);
	set_time(j, "FinishedAt", s->finished_ns);
	set_health(j, b);
	return j;
}

static struct js *mounts_of(const struct box_spec *s)
{
	struct js *all = js_array();

	for (unsigned i = 0; i < s->nmounts; i++) {
		const struct box_mount *m = &s->mounts[i];
		struct js *j;

		if (m->kind == BOX_MOUNT_TMPFS)
			continue; /* in HostConfig, as docker has those of --tmpfs */
		j = js_object();
		js_set_text(j, "Type", m->kind == BOX_MOUNT_BIND ? "bind" : "volume");
		if (m->kind == BOX_MOUNT_VOLUME)
			js_set_text(j, "Name", m->name);
		js_set_text(j, "Source", m->source);
		js_set_text(j, "Destination", m->target);
		if (m->kind == BOX_MOUNT_VOLUME)
			js_set_text(j, "Driver", "local");
		js_set_text(j, "Mode", m->mode);
		js_set_bool(j, "RW", !m->read_only);
		js_set_text(j, "Propagation", m->kind == BOX_MOUNT_BIND ? "rprivate" : "");
		js_push(all, j);
	}
	return all;
}

/*
 * What docker calls Config.Env has no HOSTNAME and TERM of its own making; they
 * stand right behind PATH where plan.c put them.
 */
static struct js *env_of(const struct box_spec *s)
{
	own_free char *hostname = xasprintf("HOSTNAME=%s", s->hostname);
	struct js *j = js_array();

	for (size_t i = 0; i < s->env.n; i++)
		if (strcmp(s->env.v[i], hostname) != 0 &&
		    !(s->tty && strcmp(s->env.v[i], "TERM=xterm") == 0))
			js_push(j, js_of_text(s->env.v[i]));
	return j;
}

static struct js *exposed_of(const struct box_spec *s)
{
	struct js *j = js_object();

	for (size_t i = 0; i < s->exposed.n; i++)
		js_set(j, s->exposed.v[i], js_object());
	return j;
}

/* The volumes without a name that it was made with, its image's among them. */
static struct js *volumes_of(const struct box_spec *s)
{
	struct js *j = js_object();

	for (unsigned i = 0; i < s->nmounts; i++)
		if (s->mounts[i].anonymous && !s->mounts[i].by_mount)
			js_set(j, s->mounts[i].target, js_object());
	if (js_len(j))
		return j;
	js_free(j);
	return js_null();
}

static struct js *config_of(const struct box_spec *s)
{
	struct js *j = js_object();

	js_set_text(j, "Hostname", s->hostname);
	js_set_text(j, "Domainname", s->domainname);
	js_set_text(j, "User", s->user);
	js_set_bool(j, "AttachStdin", s->attach & BOX_ATTACH_STDIN);
	js_set_bool(j, "AttachStdout", s->attach & BOX_ATTACH_STDOUT);
	js_set_bool(j, "AttachStderr", s->attach & BOX_ATTACH_STDERR);
	if (s->exposed.n)
		js_set(j, "ExposedPorts", exposed_of(s));
	js_set_bool(j, "Tty", s->tty);
	js_set_bool(j, "OpenStdin", s->open_stdin);
	js_set_bool(j, "StdinOnce", s->open_stdin && s->attach & BOX_ATTACH_STDIN);
	js_set(j, "Env", env_of(s));
	js_set(j, "Cmd", strings_or_null(&s->cmd));
	set_healthcheck(j, &s->health);
	js_set_text(j, "Image", s->image);
	js_set(j, "Volumes", volumes_of(s));
	js_set_text(j, "WorkingDir", s->cwd);
	js_set(j, "Entrypoint", strings_or_null(&s->entrypoint));
	js_set(j, "OnBuild", js_null());
	js_set(j, "Labels", labels_object(&s->labels));
	js_set_text(j, "StopSignal", s->stop_signal);
	if (s->stop_timeout != STOP_TIMEOUT_DOCKER)
		js_set_int(j, "StopTimeout", s->stop_timeout);
	return j;
}

/* A field with what it says as long as nothing is known: "", 0, false, null or {}. */
struct field {
	const char *key;
	enum { TEXT, NUMBER, FLAG, NONE, OBJECT } kind;
};

static struct js *empty_fields(const struct field *f)
{
	struct js *j = js_object();

	for (; f->key; f++)
		js_set(j, f->key,
		       f->kind == TEXT	   ? js_of_text("")
		       : f->kind == NUMBER ? js_of_int(0)
		       : f->kind == FLAG   ? js_of_bool(false)
		       : f->kind == NONE   ? js_null()
					   : js_object());
	return j;
}

/* What docker says of each network that a container is in, in its order. */
static const struct field endpoint_fields[] = {
	{ "IPAMConfig", NONE },	       { "Links", NONE },
	{ "Aliases", NONE },	       { "MacAddress", TEXT },
	{ "DriverOpts", NONE },	       { "GwPriority", NUMBER },
	{ "NetworkID", TEXT },	       { "EndpointID", TEXT },
	{ "Gateway", TEXT },	       { "IPAddress", TEXT },
	{ "IPPrefixLen", NUMBER },     { "IPv6Gateway", TEXT },
	{ "GlobalIPv6Address", TEXT }, { "GlobalIPv6PrefixLen", NUMBER },
	{ "DNSNames", NONE },	       { NULL, NONE },
};

static const struct field network_fields[] = {
	{ "Bridge", TEXT },
	{ "SandboxID", TEXT },
	{ "SandboxKey", TEXT },
	{ "Ports", OBJECT },
	{ "HairpinMode", FLAG },
	{ "LinkLocalIPv6Address", TEXT },
	{ "LinkLocalIPv6PrefixLen", NUMBER },
	{ "SecondaryIPAddresses", NONE },
	{ "SecondaryIPv6Addresses", NONE },
	{ "EndpointID", TEXT },
	{ "Gateway", TEXT },
	{ "GlobalIPv6Address", TEXT },
	{ "GlobalIPv6PrefixLen", NUMBER },
	{ "IPAddress", TEXT },
	{ "IPPrefixLen", NUMBER },
	{ "IPv6Gateway", TEXT },
	{ "MacAddress", TEXT },
	{ "Networks", OBJECT },
	{ NULL, NONE },
};

/* What is known of the container's network replaces the fields in their places. */
static void set_addresses(struct js *j, const struct box_link *l)
{
	js_set_text(j, "Gateway", l->gateway);
	js_set_text(j, "GlobalIPv6Address", l->address6);
	js_set_int(j, "GlobalIPv6PrefixLen", l->prefix6);
	js_set_text(j, "IPAddress", l->address);
	js_set_int(j, "IPPrefixLen", l->prefix);
	js_set_text(j, "IPv6Gateway", l->gateway6);
	js_set_text(j, "MacAddress", l->mac_text);
}

static struct js *network_of(const struct box *b)
{
	struct js *j = empty_fields(network_fields), *networks = js_object();
	struct js *endpoint = empty_fields(endpoint_fields);
	struct box_link link;

	/* docker: a container that does not run has no address */
	if (box_link(&b->spec, &link) &&
	    (b->state.status == BOX_RUNNING || b->state.status == BOX_PAUSED)) {
		set_addresses(j, &link);
		set_addresses(endpoint, &link);
	}
	js_set(networks, box_network(&b->spec), endpoint);
	js_set(j, "Ports", ports_bound(b));
	js_set(j, "Networks", networks);
	return j;
}

static void set_command(struct js *j, const struct box_spec *s)
{
	own_strv struct strv args = STRV_INIT;

	for (size_t i = 1; i < s->argv.n; i++)
		strv_add(&args, s->argv.v[i]);
	js_set_text(j, "Path", s->argv.n ? s->argv.v[0] : "");
	js_set(j, "Args", js_of_strings(&args));
}

/* Where the files are that the container's root is made of. */
static struct js *graph_driver_of(const struct box *b)
{
	struct js *j = js_object(), *data = js_object();
	own_str struct str lower = STR_INIT;
	own_free char *upper = xasprintf("%s/upper", b->dir);

	for (size_t i = 0; i < b->spec.layers.n; i++)
		str_addf(&lower, "%s%s", i ? ":" : "", b->spec.layers.v[i]);
	js_set_text(data, "LowerDir", lower.s ? lower.s : "");
	js_set_text(data, "UpperDir", upper);
	js_set(j, "Data", data);
	js_set_text(j, "Name", "zl");
	return j;
}

struct js *inspect_box(const struct box *b, const uint64_t *root_size)
{
	const struct box_spec *s = &b->spec;
	own_free char *name = xasprintf("/%s", s->name);
	own_free char *log = xasprintf("%s/log.json", b->dir);
	struct js *j = js_object();

	js_set_text(j, "Id", s->id);
	set_time(j, "Created", s->created_ns);
	set_command(j, s);
	js_set(j, "State", state_of(b));
	js_set_text(j, "Image", s->image_id);
	js_set_text(j, "ResolvConfPath", "");
	js_set_text(j, "HostnamePath", "");
	js_set_text(j, "HostsPath", "");
	js_set_text(j, "LogPath", strcmp(s->log_driver, "none") == 0 ? "" : log);
	js_set_text(j, "Name", name);
	js_set_int(j, "RestartCount", b->state.restart_count);
	js_set_text(j, "Driver", "zl");
	js_set_text(j, "Platform", "linux");
	js_set_text(j, "MountLabel", "");
	js_set_text(j, "ProcessLabel", "");
	js_set_text(j, "AppArmorProfile", "");
	js_set(j, "ExecIDs", js_null());
	js_set(j, "HostConfig", inspect_host_config(b));
	js_set(j, "GraphDriver", graph_driver_of(b));
	if (root_size) {
		uint64_t own = box_size(b);

		js_set_int(j, "SizeRw", (int64_t)own);
		js_set_int(j, "SizeRootFs", (int64_t)(own + *root_size));
	}
	js_set(j, "Mounts", mounts_of(s));
	js_set(j, "Config", config_of(s));
	js_set(j, "NetworkSettings", network_of(b));
	return j;
}
