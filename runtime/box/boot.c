/* boot.c: from a box spec to the agent's BOOT message; see wire.h. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "runtime/base/fd.h"
#include "runtime/base/own.h"
#include "runtime/box/holder.h"
#include "runtime/box/state.h"
#include "vsock/codec.h"

#define RESOLV_MAX (64U << 10)

static const char hosts_head[] = "127.0.0.1\tlocalhost\n"
				 "::1\tlocalhost ip6-localhost ip6-loopback\n"
				 "fe00::\tip6-localnet\n"
				 "ff00::\tip6-mcastprefix\n"
				 "ff02::1\tip6-allnodes\n"
				 "ff02::2\tip6-allrouters\n";

static char *hosts_text(const struct box_spec *spec)
{
	struct str s = STR_INIT;

	str_add(&s, hosts_head);
	for (size_t i = 0; i < spec->extra_hosts.n; i++) {
		const char *pair = spec->extra_hosts.v[i], *colon = strchr(pair, ':');

		if (colon)
			str_addf(&s, "%s\t%.*s\n", colon + 1, (int)(colon - pair), pair);
	}
	/* the container's own name, at the only address it has */
	str_add(&s, "127.0.0.1\t");
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

static char *resolv_text(void)
{
	struct str s = STR_INIT;

	if (file_read(AT_FDCWD, "/etc/resolv.conf", RESOLV_MAX, &s, NULL) < 0 ||
	    (s.len && memchr(s.s, 0, s.len)))
		s.len = 0;
	if (s.s)
		s.s[s.len] = 0;
	return str_steal(&s);
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

		w->kind = m->kind == BOX_MOUNT_BIND ? WIRE_MOUNT_BIND : WIRE_MOUNT_TMPFS;
		w->read_only = m->read_only;
		w->target = xstrdup(m->target);
		w->options = xstrdup(m->options);
		if (m->kind != BOX_MOUNT_BIND) {
			w->source = xstrdup("");
			continue;
		}
		boot_bind_split(m->source, &dir, &entry, NULL);
		w->source = entry ? xasprintf("%u/%s", share, entry) : xasprintf("%u", share);
		share++;
	}
}

static void set_task(struct wire_task *t, const struct box_spec *spec, unsigned short rows,
		     unsigned short cols)
{
	t->id = WIRE_TASK_MAIN;
	t->flags = (spec->tty ? WIRE_TASK_TTY : 0) | (spec->open_stdin ? WIRE_TASK_STDIN : 0) |
		   (spec->init ? WIRE_TASK_INIT : 0) |
		   (spec->privileged ? WIRE_TASK_PRIVILEGED : 0);
	t->rows = rows;
	t->cols = cols;
	t->caps = spec->caps;
	strv_add_all(&t->argv, &spec->argv);
	strv_add_all(&t->env, &spec->env);
	t->cwd = xstrdup(spec->cwd);
	t->user = xstrdup(spec->user);
	strv_add_all(&t->groups, &spec->groups);
}

void boot_frame(struct str *out, const struct box_spec *spec, uint64_t room, unsigned short rows,
		unsigned short cols)
{
	struct wire_boot b = { .flags = 0 };

	/* what nobody will see again need not reach the disk */
	b.flags = (spec->read_only ? WIRE_BOOT_ROOT_READ_ONLY : 0) |
		  (spec->auto_remove ? 0 : WIRE_BOOT_SYNC_ROOT);
	b.realtime_ns = (uint64_t)state_now();
	b.shm_size = spec->shm_size;
	b.memory_max = spec->limits.memory;
	b.memory_room = room;
	b.hostname = xstrdup(spec->hostname);
	b.domainname = xstrdup(spec->domainname);
	b.files = xcalloc(3, sizeof(*b.files));
	add_file(&b, spec, "/etc/hosts", hosts_text(spec));
	add_file(&b, spec, "/etc/hostname", xasprintf("%s\n", spec->hostname));
	add_file(&b, spec, "/etc/resolv.conf", resolv_text());
	add_mounts(&b, spec);
	set_task(&b.task, spec, rows, cols);
	wire_put_boot(out, &b);
	wire_boot_free(&b);
}
