/* inspect_box.c: a container in docker's JSON: names, types and nesting are docker's. */
#include <stdio.h>
#include <string.h>

#include "cmd/human.h"
#include "cmd/inspect.h"
#include "cmd/plan.h"
#include "cmd/show.h"
#include "runtime/base/own.h"

static void set_time(struct js *j, const char *key, int64_t ns)
{
	char buf[64];

	rfc3339(ns, buf, sizeof(buf));
	js_set_text(j, key, buf);
}

/* docker: an empty list of strings is null in some places. */
static struct js *strings_or_null(const struct strv *v)
{
	return v->n ? js_of_strings(v) : js_null();
}

static struct js *state_of(const struct box *b)
{
	const struct box_state *s = &b->state;
	struct js *j = js_object();

	js_set_text(j, "Status", box_status_name(s->status));
	js_set_bool(j, "Running", s->status == BOX_RUNNING || s->status == BOX_PAUSED);
	js_set_bool(j, "Paused", s->status == BOX_PAUSED);
	js_set_bool(j, "Restarting", false);
	js_set_bool(j, "OOMKilled", s->oom_killed);
	js_set_bool(j, "Dead", s->status == BOX_DEAD);
	js_set_int(j, "Pid", s->status == BOX_RUNNING || s->status == BOX_PAUSED ? s->pid : 0);
	js_set_int(j, "ExitCode", s->exit_code);
	js_set_text(j, "Error", s->error ? s->error : "");
	set_time(j, "StartedAt", s->started_ns);
	set_time(j, "FinishedAt", s->finished_ns);
	return j;
}

static struct js *binds_of(const struct box_spec *s)
{
	struct js *j = js_array();
	bool any = false;

	for (unsigned i = 0; i < s->nmounts; i++) {
		const struct box_mount *m = &s->mounts[i];
		own_free char *text = NULL;

		if (m->kind != BOX_MOUNT_BIND)
			continue;
		text = xasprintf("%s:%s%s", m->source, m->target, m->read_only ? ":ro" : "");
		js_push(j, js_of_text(text));
		any = true;
	}
	if (any)
		return j;
	js_free(j);
	return js_null();
}

static void set_tmpfs(struct js *host, const struct box_spec *s)
{
	struct js *j = js_object();

	for (unsigned i = 0; i < s->nmounts; i++)
		if (s->mounts[i].kind == BOX_MOUNT_TMPFS)
			js_set_text(j, s->mounts[i].target, s->mounts[i].options);
	if (js_len(j))
		js_set(host, "Tmpfs", j);
	else
		js_free(j);
}

/* The capabilities in `set` as docker's flags name them; null when there are none. */
static struct js *caps_of(uint64_t set)
{
	own_strv struct strv names = STRV_INIT;

	for (unsigned i = 0; cap_name(i); i++)
		if (set & 1ULL << i)
			strv_addf(&names, "CAP_%s", cap_name(i));
	return strings_or_null(&names);
}

static void set_caps(struct js *host, const struct box_spec *s)
{
	struct box_spec fresh;

	box_spec_init(&fresh);
	js_set(host, "CapAdd", s->privileged ? js_null() : caps_of(s->caps & ~fresh.caps));
	js_set(host, "CapDrop", s->privileged ? js_null() : caps_of(fresh.caps & ~s->caps));
	box_spec_free(&fresh);
}

static struct js *host_config_of(const struct box_spec *s)
{
	struct js *j = js_object(), *log = js_object(), *policy = js_object();

	js_set(j, "Binds", binds_of(s));
	js_set_text(log, "Type", "json-file");
	js_set(log, "Config", js_object());
	js_set(j, "LogConfig", log);
	js_set_text(j, "NetworkMode", "none");
	js_set(j, "PortBindings", js_object());
	js_set_text(policy, "Name", "no");
	js_set_int(policy, "MaximumRetryCount", 0);
	js_set(j, "RestartPolicy", policy);
	js_set_bool(j, "AutoRemove", s->auto_remove);
	set_caps(j, s);
	js_set(j, "ExtraHosts", strings_or_null(&s->extra_hosts));
	js_set(j, "GroupAdd", strings_or_null(&s->groups));
	js_set_bool(j, "Privileged", s->privileged);
	js_set_bool(j, "ReadonlyRootfs", s->read_only);
	js_set_int(j, "ShmSize", (int64_t)s->shm_size);
	js_set_int(j, "Memory", (int64_t)s->limits.memory);
	js_set_int(j, "NanoCpus", (int64_t)s->limits.nano_cpus);
	js_set(j, "Init", s->init ? js_of_bool(true) : js_null());
	js_set_text(j, "Runtime", s->machine && *s->machine ? s->machine : "zl");
	set_tmpfs(j, s);
	return j;
}

static struct js *mounts_of(const struct box_spec *s)
{
	struct js *all = js_array();

	for (unsigned i = 0; i < s->nmounts; i++) {
		const struct box_mount *m = &s->mounts[i];
		struct js *j = js_object();
		bool bind = m->kind == BOX_MOUNT_BIND;

		js_set_text(j, "Type", bind ? "bind" : "tmpfs");
		js_set_text(j, "Source", m->source);
		js_set_text(j, "Destination", m->target);
		js_set_text(j, "Mode", m->read_only ? "ro" : "");
		js_set_bool(j, "RW", !m->read_only);
		js_set_text(j, "Propagation", bind ? "rprivate" : "");
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

static struct js *config_of(const struct box_spec *s)
{
	struct js *j = js_object();

	js_set_text(j, "Hostname", s->hostname);
	js_set_text(j, "Domainname", s->domainname);
	js_set_text(j, "User", s->user);
	js_set_bool(j, "AttachStdin", s->attach & BOX_ATTACH_STDIN);
	js_set_bool(j, "AttachStdout", s->attach & BOX_ATTACH_STDOUT);
	js_set_bool(j, "AttachStderr", s->attach & BOX_ATTACH_STDERR);
	js_set_bool(j, "Tty", s->tty);
	js_set_bool(j, "OpenStdin", s->open_stdin);
	js_set_bool(j, "StdinOnce", s->open_stdin && s->attach & BOX_ATTACH_STDIN);
	js_set(j, "Env", env_of(s));
	js_set(j, "Cmd", strings_or_null(&s->cmd));
	js_set_text(j, "Image", s->image);
	js_set(j, "Volumes", js_null());
	js_set_text(j, "WorkingDir", s->cwd);
	js_set(j, "Entrypoint", strings_or_null(&s->entrypoint));
	js_set(j, "OnBuild", js_null());
	js_set(j, "Labels", labels_object(&s->labels));
	js_set_text(j, "StopSignal", s->stop_signal);
	js_set_int(j, "StopTimeout", s->stop_timeout);
	return j;
}

static struct js *network_of(void)
{
	struct js *j = js_object();

	js_set(j, "Ports", js_object());
	js_set_text(j, "Gateway", "");
	js_set_text(j, "IPAddress", "");
	js_set_int(j, "IPPrefixLen", 0);
	js_set_text(j, "MacAddress", "");
	js_set(j, "Networks", js_object());
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

struct js *inspect_box(const struct box *b)
{
	const struct box_spec *s = &b->spec;
	own_free char *name = xasprintf("/%s", s->name);
	own_free char *log = xasprintf("%s/log.json", b->dir);
	struct js *j = js_object(), *graph = js_object(), *data = js_object();

	js_set_text(j, "Id", s->id);
	set_time(j, "Created", s->created_ns);
	set_command(j, s);
	js_set(j, "State", state_of(b));
	js_set_text(j, "Image", s->image_id);
	js_set_text(j, "LogPath", log);
	js_set_text(j, "Name", name);
	js_set_int(j, "RestartCount", b->state.restart_count);
	js_set_text(j, "Driver", "zl");
	js_set_text(j, "Platform", "linux");
	js_set(j, "ExecIDs", js_null());
	js_set(j, "HostConfig", host_config_of(s));
	js_set_text(graph, "Name", "zl");
	js_set_text(data, "Dir", b->dir);
	js_set(data, "Layers", js_of_strings(&s->layers));
	js_set(graph, "Data", data);
	js_set(j, "GraphDriver", graph);
	js_set(j, "Mounts", mounts_of(s));
	js_set(j, "Config", config_of(s));
	js_set(j, "NetworkSettings", network_of());
	return j;
}
