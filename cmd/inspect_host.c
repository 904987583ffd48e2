/* inspect_host.c: a container's HostConfig in docker's JSON: what it was asked to be on its host.
 */
#include <stdio.h>
#include <string.h>

#include "cmd/inspect.h"
#include "cmd/plan.h"
#include "cmd/ports.h"
#include "cmd/show.h"
#include "runtime/base/masked.h"
#include "runtime/base/own.h"
#include "runtime/box/link.h"

/* docker: an empty list of strings is null in some places. */
struct js *strings_or_null(const struct strv *v)
{
	return v->n ? js_of_strings(v) : js_null();
}

static struct js *binds_of(const struct box_spec *s)
{
	struct js *j = js_array();

	for (unsigned i = 0; i < s->nmounts; i++) {
		const struct box_mount *m = &s->mounts[i];
		own_free char *text = NULL;

		if (m->kind == BOX_MOUNT_TMPFS || m->by_mount || m->anonymous)
			continue;
		text = xasprintf("%s:%s%s", m->kind == BOX_MOUNT_VOLUME ? m->name : m->source,
				 m->target, m->read_only ? ":ro" : "");
		js_push(j, js_of_text(text));
	}
	if (js_len(j))
		return j;
	js_free(j);
	return js_null();
}

/* A map that docker leaves out when it is empty. Takes v. */
static void set_unless_empty(struct js *j, const char *key, struct js *v)
{
	if (js_len(v))
		js_set(j, key, v);
	else
		js_free(v);
}

static struct js *tmpfs_of(const struct box_spec *s)
{
	struct js *j = js_object();

	for (unsigned i = 0; i < s->nmounts; i++)
		if (s->mounts[i].kind == BOX_MOUNT_TMPFS && !s->mounts[i].by_mount)
			js_set_text(j, s->mounts[i].target, s->mounts[i].options);
	return j;
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

static struct js *log_config_of(const struct box_spec *s)
{
	struct js *j = js_object();

	js_set_text(j, "Type", s->log_driver);
	js_set(j, "Config", labels_object(&s->log_opts));
	return j;
}

static struct js *restart_policy_of(const struct box_spec *s)
{
	struct js *j = js_object();

	js_set_text(j, "Name", s->restart[0] ? s->restart : "no");
	js_set_int(j, "MaximumRetryCount", s->restart_max);
	return j;
}

/* "host:container:rwm" */
static struct js *devices_of(const struct box_spec *s)
{
	static const char *const keys[] = { "PathOnHost", "PathInContainer", "CgroupPermissions" };
	struct js *all = js_array();

	for (size_t i = 0; i < s->devices.n; i++) {
		own_strv struct strv parts = STRV_INIT;
		struct js *j = js_object();

		strv_split(&parts, s->devices.v[i], ':');
		for (size_t k = 0; k < 3; k++)
			js_set_text(j, keys[k], k < parts.n ? parts.v[k] : "");
		js_push(all, j);
	}
	return all;
}

/* "nofile=1024:2048" */
static struct js *ulimits_of(const struct box_spec *s)
{
	struct js *all = js_array();

	for (size_t i = 0; i < s->ulimits.n; i++) {
		struct js *j = js_object();
		char name[32];
		long long soft = 0, hard = 0;
		int n = sscanf(s->ulimits.v[i], "%31[^=]=%lld:%lld", name, &soft, &hard);

		js_set_text(j, "Name", n > 0 ? name : "");
		js_set_int(j, "Hard", n > 2 ? hard : soft);
		js_set_int(j, "Soft", soft);
		js_push(all, j);
	}
	return all;
}

static void set_names(struct js *j, const struct box_spec *s)
{
	js_set(j, "Dns", js_of_strings(&s->dns));
	js_set(j, "DnsOptions", js_of_strings(&s->dns_options));
	js_set(j, "DnsSearch", js_of_strings(&s->dns_search));
	js_set(j, "ExtraHosts", strings_or_null(&s->extra_hosts));
	js_set(j, "GroupAdd", strings_or_null(&s->groups));
	js_set_text(j, "IpcMode", s->ipc);
	js_set_text(j, "Cgroup", "");
	js_set(j, "Links", js_null());
	js_set_int(j, "OomScoreAdj", s->oom_score_adj);
	js_set_text(j, "PidMode", "");
	js_set_bool(j, "Privileged", s->privileged);
	js_set_bool(j, "PublishAllPorts", s->publish_all);
	js_set_bool(j, "ReadonlyRootfs", s->read_only);
	js_set(j, "SecurityOpt", strings_or_null(&s->security_opts));
	set_unless_empty(j, "Tmpfs", tmpfs_of(s));
	js_set_text(j, "UTSMode", "");
	js_set_text(j, "UsernsMode", s->userns);
	js_set_int(j, "ShmSize", (int64_t)s->shm_size);
	set_unless_empty(j, "Sysctls", labels_object(&s->sysctls));
	js_set_text(j, "Runtime", s->machine && *s->machine ? s->machine : "zl");
	js_set_text(j, "Isolation", s->isolation);
}

static void set_limits(struct js *j, const struct box_spec *s)
{
	static const char *const blkio[] = { "BlkioWeightDevice", "BlkioDeviceReadBps",
					     "BlkioDeviceWriteBps", "BlkioDeviceReadIOps",
					     "BlkioDeviceWriteIOps" };
	const struct box_limits *l = &s->limits;

	js_set_int(j, "CpuShares", (int64_t)l->cpu_shares);
	js_set_int(j, "Memory", (int64_t)l->memory);
	js_set_int(j, "NanoCpus", (int64_t)l->nano_cpus);
	js_set_text(j, "CgroupParent", "");
	js_set_int(j, "BlkioWeight", 0);
	for (size_t i = 0; i < sizeof(blkio) / sizeof(blkio[0]); i++)
		js_set(j, blkio[i], js_array());
	js_set_int(j, "CpuPeriod", (int64_t)l->cpu_period);
	js_set_int(j, "CpuQuota", l->cpu_quota);
	js_set_int(j, "CpuRealtimePeriod", 0);
	js_set_int(j, "CpuRealtimeRuntime", 0);
	js_set_text(j, "CpusetCpus", l->cpuset_cpus ? l->cpuset_cpus : "");
	js_set_text(j, "CpusetMems", l->cpuset_mems ? l->cpuset_mems : "");
	js_set(j, "Devices", devices_of(s));
	js_set(j, "DeviceCgroupRules", strings_or_null(&s->device_rules));
	js_set(j, "DeviceRequests", js_null());
	js_set_int(j, "MemoryReservation", (int64_t)l->memory_reservation);
	js_set_int(j, "MemorySwap", l->memory_swap);
	js_set(j, "MemorySwappiness", js_null());
	js_set(j, "OomKillDisable", js_null());
	js_set(j, "PidsLimit", l->pids ? js_of_int((int64_t)l->pids) : js_null());
	js_set(j, "Ulimits", ulimits_of(s));
	js_set_int(j, "CpuCount", 0);
	js_set_int(j, "CpuPercent", 0);
	js_set_int(j, "IOMaximumIOps", 0);
	js_set_int(j, "IOMaximumBandwidth", 0);
}

static void set_paths(struct js *j, const struct box_spec *s)
{
	static const char *const masked[] = MASKED_PATHS, *const read_only[] = READONLY_PATHS;
	bool bare = s->privileged || s->system_paths;
	struct js *a = bare ? js_null() : js_array(), *b = bare ? js_null() : js_array();

	for (size_t i = 0; !bare && i < sizeof(masked) / sizeof(masked[0]); i++)
		js_push(a, js_of_text(masked[i]));
	for (size_t i = 0; !bare && i < sizeof(read_only) / sizeof(read_only[0]); i++)
		js_push(b, js_of_text(read_only[i]));
	js_set(j, "MaskedPaths", a);
	js_set(j, "ReadonlyPaths", b);
}

struct js *inspect_host_config(const struct box *b)
{
	const struct box_spec *s = &b->spec;
	struct js *j = js_object(), *console = js_array();

	js_set(j, "Binds", binds_of(s));
	js_set_text(j, "ContainerIDFile", s->cidfile);
	js_set(j, "LogConfig", log_config_of(s));
	js_set_text(j, "NetworkMode", box_network(s));
	js_set(j, "PortBindings", ports_asked(b));
	js_set(j, "RestartPolicy", restart_policy_of(s));
	js_set_bool(j, "AutoRemove", s->auto_remove);
	js_set_text(j, "VolumeDriver", s->volume_driver);
	js_set(j, "VolumesFrom", strings_or_null(&s->volumes_from));
	js_push(console, js_of_int(0));
	js_push(console, js_of_int(0));
	js_set(j, "ConsoleSize", console);
	set_unless_empty(j, "Annotations", labels_object(&s->annotations));
	set_caps(j, s);
	js_set_text(j, "CgroupnsMode", "private");
	set_names(j, s);
	set_limits(j, s);
	set_paths(j, s);
	if (s->init)
		js_set_bool(j, "Init", true);
	return j;
}
