/* boot.c: from a box spec to the agent's BOOT message; see wire.h. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "runtime/base/fd.h"
#include "runtime/base/own.h"
#include "runtime/box/holder.h"
#include "runtime/box/link.h"
#include "runtime/box/state.h"
#include "vsock/codec.h"

#define RESOLV_MAX (64U << 10)
/* docker's */
#define CPU_PERIOD 100000U /* microseconds, where none was given */
#define SHARES_MIN 2U
#define SHARES_MAX 262144U

static const char hosts_head[] = "127.0.0.1\tlocalhost\n"
				 "::1\tlocalhost ip6-localhost ip6-loopback\n"
				 "fe00::\tip6-localnet\n"
				 "ff00::\tip6-mcastprefix\n"
				 "ff02::1\tip6-allnodes\n"
				 "ff02::2\tip6-allrouters\n";

static char *hosts_text(const struct box_spec *spec)
{
	struct str s = STR_INIT;
	struct box_link link;
	bool linked = box_link(spec, &link);

	str_add(&s, hosts_head);
	for (size_t i = 0; i < spec->extra_hosts.n; i++) {
		const char *pair = spec->extra_hosts.v[i], *colon = strchr(pair, ':');

		if (colon)
			str_addf(&s, "%s\t%.*s\n",
				 strcmp(colon + 1, BOX_HOST_GATEWAY) ? colon + 1 : link.gateway,
				 (int)(colon - pair), pair);
	}
	str_addf(&s, "%s\t", linked ? link.address : "127.0.0.1");
	if (spec->domainname[0])
		str_addf(&s, "%s.%s ", spec->hostname, spec->domainname);
	str_addf(&s, "%s\n", spec->hostname);
	return str_steal(&s);
}

static bool is_mounted(const struct box_spec *spec, const char *path)
{
	for (unsigned i = 0; i < spec->nmounts; i++) {
		if (strcmp(spec->mounts[i].target, path) == 0)
			return true;
	}
	return false;
}

/* What the user mounts there himself stays his. `data` is taken over. */
static void add_file(struct wire_boot *b, const struct box_spec *spec, const char *path, char *data)
{
	if (is_mounted(spec, path)) {
		free(data);
		return;
	}
	b->files[b->nfiles++] =
		(struct wire_file){ .path = xstrdup(path), .mode = 0644, .data = data };
}

void boot_places(const struct box_spec *spec, struct fuse_place places[BOOT_PLACES_MAX])
{
	static const struct fuse_place all[BOOT_PLACES_MAX - 1] = {
		{ "/proc", true },	 { "/sys", true },	     { "/dev", true },
		{ "/etc/hosts", false }, { "/etc/hostname", false }, { "/etc/resolv.conf", false },
	};
	unsigned n = 0;

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (!is_mounted(spec, all[i].path))
			places[n++] = all[i];
	places[n] = (struct fuse_place){ .path = NULL };
}

static char *resolv_text(const struct box_spec *spec)
{
	own_str struct str host = STR_INIT;
	bool text = file_read(AT_FDCWD, "/etc/resolv.conf", RESOLV_MAX, &host, NULL) == 0 &&
		    host.len && memchr(host.s, 0, host.len) == NULL;

	return resolv_for(spec, text ? host.s : "");
}

int boot_bind_split(const char *source, char **dir, char **entry, struct err *e)
{
	const char *slash = strrchr(source, '/');
	struct stat st;

	*dir = *entry = NULL;
	if (stat(source, &st) < 0)
		return err_sys(e, "mount %s", source);
	if (S_ISDIR(st.st_mode)) {
		*dir = xstrdup(source);
		return 0;
	}
	if (slash == NULL || slash[1] == 0)
		return err_set(e, EINVAL, "mount %s: not an absolute path", source);
	*dir = slash == source ? xstrdup("/") : xstrndup(source, (size_t)(slash - source));
	*entry = xstrdup(slash + 1);
	return 0;
}

static void add_mounts(struct wire_boot *b, const struct box_spec *spec)
{
	unsigned share = 0;

	b->mounts = xcalloc(spec->nmounts, sizeof(*b->mounts));
	for (unsigned i = 0; i < spec->nmounts; i++) {
		const struct box_mount *m = &spec->mounts[i];
		struct wire_mount *w = &b->mounts[b->nmounts++];
		own_free char *dir = NULL, *entry = NULL;

		w->kind = m->kind == BOX_MOUNT_TMPFS ? WIRE_MOUNT_TMPFS : WIRE_MOUNT_BIND;
		w->read_only = m->read_only;
		w->target = xstrdup(m->target);
		w->options = xstrdup(m->options);
		if (m->kind == BOX_MOUNT_TMPFS) {
			w->source = xstrdup("");
			continue;
		}
		if (m->kind == BOX_MOUNT_BIND)
			boot_bind_split(m->source, &dir, &entry, NULL);
		w->source = entry ? xasprintf("%u/%s", share, entry) : xasprintf("%u", share);
		share++;
	}
}

static void add_link(struct wire_boot *b, const struct box_spec *spec)
{
	struct wire_link *w;
	struct box_link l;

	if (!box_link(spec, &l))
		return;
	b->links = w = xcalloc(1, sizeof(*w));
	b->nlinks = 1;
	w->name = xstrdup(l.name);
	strv_addf(&w->addresses, "%s/%u", l.address, l.prefix);
	strv_addf(&w->addresses, "%s/%u", l.address6, l.prefix6);
	strv_add(&w->gateways, l.gateway);
	strv_add(&w->gateways, l.gateway6);
}

static void set_task(struct wire_task *t, const struct box_spec *spec, unsigned short rows,
		     unsigned short cols)
{
	t->id = WIRE_TASK_MAIN;
	t->flags = (spec->tty ? WIRE_TASK_TTY : 0) | (spec->open_stdin ? WIRE_TASK_STDIN : 0) |
		   (spec->init ? WIRE_TASK_INIT : 0) |
		   (spec->privileged ? WIRE_TASK_PRIVILEGED : 0) |
		   (spec->no_new_privs ? WIRE_TASK_NO_NEW_PRIVS : 0);
	t->rows = rows;
	t->cols = cols;
	t->caps = spec->caps;
	strv_add_all(&t->argv, &spec->argv);
	strv_add_all(&t->env, &spec->env);
	t->cwd = xstrdup(spec->cwd);
	t->user = xstrdup(spec->user);
	strv_add_all(&t->groups, &spec->groups);
}

/* docker's shares, 2 to 262144 of which 1024 are usual, on cgroup v2's scale, as its runtimes do.
 */
static uint32_t weight_of(uint64_t shares)
{
	if (shares == 0)
		return 0;
	shares = shares < SHARES_MIN ? SHARES_MIN : shares > SHARES_MAX ? SHARES_MAX : shares;
	return (uint32_t)(1 + (shares - SHARES_MIN) * (WIRE_CPU_WEIGHT_MAX - 1) /
				      (SHARES_MAX - SHARES_MIN));
}

void boot_limits(struct wire_limits *w, const struct box_limits *l)
{
	*w = (struct wire_limits){ .memory_max = l->memory,
				   .memory_low = l->memory_reservation,
				   .pids_max = l->pids,
				   .cpu_quota = l->cpu_quota > 0 ? (uint64_t)l->cpu_quota : 0,
				   .cpu_period = (uint32_t)l->cpu_period,
				   .cpu_weight = weight_of(l->cpu_shares) };
	if (l->nano_cpus) {
		w->cpu_period = CPU_PERIOD;
		w->cpu_quota = l->nano_cpus * CPU_PERIOD / 1000000000;
	}
	if (w->cpu_quota && w->cpu_period == 0)
		w->cpu_period = CPU_PERIOD;
}

/* "/dev/fuse:/x:rwm" -> "fuse:/x" */
static void add_devices(struct wire_boot *b, const struct box_spec *spec)
{
	const size_t dev = strlen("/dev/");

	for (size_t i = 0; i < spec->devices.n; i++) {
		const char *device = spec->devices.v[i], *end = strrchr(device, ':');

		if (end && (size_t)(end - device) > dev)
			strv_addf(&b->devices, "%.*s", (int)(end - device - (ptrdiff_t)dev),
				  device + dev);
	}
}

void boot_frame(struct str *out, const struct box_spec *spec, uint64_t room, unsigned short rows,
		unsigned short cols)
{
	struct wire_boot b = { .flags = 0 };

	/* what nobody will see again need not reach the disk */
	b.flags = (spec->read_only ? WIRE_BOOT_ROOT_READ_ONLY : 0) |
		  (spec->auto_remove ? 0 : WIRE_BOOT_SYNC_ROOT) |
		  (spec->system_paths ? WIRE_BOOT_SYSTEM_PATHS : 0) |
		  (spec->writable_cgroups ? WIRE_BOOT_CGROUP_WRITE : 0) |
		  (strcmp(spec->ipc, "none") == 0 ? WIRE_BOOT_NO_SHM : 0) |
		  (spec->nports ? WIRE_BOOT_FORWARD : 0);
	b.realtime_ns = (uint64_t)state_now();
	b.shm_size = spec->shm_size;
	boot_limits(&b.limits, &spec->limits);
	b.oom_score_adj = (int32_t)spec->oom_score_adj;
	strv_add_all(&b.rlimits, &spec->ulimits);
	strv_add_all(&b.sysctls, &spec->sysctls);
	add_devices(&b, spec);
	b.memory_room = room;
	b.hostname = xstrdup(spec->hostname);
	b.domainname = xstrdup(spec->domainname);
	b.files = xcalloc(3, sizeof(*b.files));
	add_file(&b, spec, "/etc/hosts", hosts_text(spec));
	add_file(&b, spec, "/etc/hostname", xasprintf("%s\n", spec->hostname));
	add_file(&b, spec, "/etc/resolv.conf", resolv_text(spec));
	add_mounts(&b, spec);
	add_link(&b, spec);
	set_task(&b.task, spec, rows, cols);
	wire_put_boot(out, &b);
	wire_boot_free(&b);
}
