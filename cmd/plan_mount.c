/* plan_mount.c: -v, --tmpfs, --volumes-from and an image's VOLUMEs become mounts of a box spec. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/plan.h"
#include "runtime/base/own.h"
#include "runtime/box/volume.h"

/* What docker gives a tmpfs; each can be turned round by --tmpfs' own options. */
#define TMPFS_DEFAULTS "noexec,nosuid,nodev"

char *plan_path_clean(const char *path)
{
	own_strv struct strv parts = STRV_INIT, kept = STRV_INIT;
	struct str s = STR_INIT;

	strv_split(&parts, path, '/');
	for (size_t i = 0; i < parts.n; i++) {
		const char *p = parts.v[i];

		if (*p == 0 || strcmp(p, ".") == 0)
			continue;
		if (strcmp(p, "..") != 0)
			strv_add(&kept, p);
		else if (kept.n)
			strv_remove(&kept, kept.n - 1);
	}
	for (size_t i = 0; i < kept.n; i++)
		str_addf(&s, "/%s", kept.v[i]);
	if (kept.n == 0)
		str_add_char(&s, '/');
	return str_steal(&s);
}

char *plan_clean_target(const char *target, struct err *e)
{
	own_free char *clean = NULL;

	if (*target != '/') {
		err_set(e, EINVAL, "invalid mount path: '%s' mount path must be absolute", target);
		return NULL;
	}
	clean = plan_path_clean(target);
	if (strcmp(clean, "/") == 0) {
		err_set(e, EINVAL, "invalid specification: destination can't be '/'");
		return NULL;
	}
	return steal_ptr(&clean);
}

/* The host's side of a bind: absolute, ./relative, ~/home; NULL: it is none of these. */
char *plan_clean_source(const char *source, const struct plan_host *h)
{
	own_free char *joined = NULL;

	if (*source == '/')
		return plan_path_clean(source);
	if (source[0] == '~' && (source[1] == '/' || source[1] == 0) && h->home) {
		joined = xasprintf("%s/%s", h->home, source + 1);
		return plan_path_clean(joined);
	}
	if (*source != '.')
		return NULL;
	joined = xasprintf("%s/%s", h->cwd, source);
	return plan_path_clean(joined);
}

int plan_propagation(const char *word, struct err *e)
{
	static const char *const same[] = { "private", "rprivate", "slave", "rslave", NULL };

	/* what is mounted on the host below a share is seen through it; not the other way round */
	for (size_t i = 0; same[i]; i++)
		if (strcmp(word, same[i]) == 0)
			return 0;
	if (strcmp(word, "shared") == 0 || strcmp(word, "rshared") == 0)
		return err_set(e, ENOTSUP,
			       "propagation \"%s\" is not possible: what is mounted in the machine "
			       "is not mounted on the host",
			       word);
	return err_set(e, EINVAL, "invalid propagation mode: %s", word);
}

/* "ro,z": what each means for a mount into a virtual machine. */
static int volume_mode(struct box_mount *m, const char *text, struct err *e)
{
	/* no SELinux labels and no caches to relax between host and guest: nothing to do */
	static const char *const same[] = {
		"z", "Z", "cached", "delegated", "consistent", "default"
	};
	own_strv struct strv words = STRV_INIT;

	strv_split(&words, text, ',');
	for (size_t i = 0; i < words.n; i++) {
		const char *w = words.v[i];
		bool known = strcmp(w, "ro") == 0 || strcmp(w, "rw") == 0;

		if (known)
			m->read_only = strcmp(w, "ro") == 0;
		for (size_t k = 0; k < sizeof(same) / sizeof(same[0]); k++)
			known = known || strcmp(w, same[k]) == 0;
		if (m->kind == BOX_MOUNT_VOLUME && strcmp(w, "nocopy") == 0)
			known = m->nocopy = true;
		if (!known && plan_propagation(w, NULL) == -EINVAL)
			return err_set(e, EINVAL, "invalid mode: %s", text);
		if (!known && plan_propagation(w, e) < 0)
			return -ENOTSUP;
	}
	return 0;
}

static int set_mode(struct box_mount *m, const char *text, struct err *e)
{
	free(m->mode);
	m->mode = xstrdup(text);
	return volume_mode(m, text, e);
}

int plan_volume(struct box_spec *s, const char *text, const struct plan_host *h, struct err *e)
{
	own_strv struct strv parts = STRV_INIT;
	own_free char *source = NULL, *target = NULL;
	struct box_mount *m;

	strv_split(&parts, text, ':');
	if (parts.n > 3 || *parts.v[0] == 0 || (parts.n > 1 && *parts.v[1] == 0))
		return err_set(e, EINVAL, "invalid volume specification: '%s'", text);
	target = plan_clean_target(parts.v[parts.n > 1], e);
	if (target == NULL)
		return err_wrap(e, "invalid volume specification: '%s'", text);
	if (parts.n == 1) {
		m = box_spec_add_mount(s, BOX_MOUNT_VOLUME, "", target, "", false);
		m->anonymous = true;
		return 0;
	}
	source = plan_clean_source(parts.v[0], h);
	if (source) {
		m = box_spec_add_mount(s, BOX_MOUNT_BIND, source, target, "", false);
		return parts.n == 3 ? set_mode(m, parts.v[2], e) : 0;
	}
	if (volume_name_check(parts.v[0], e) < 0)
		return -EINVAL;
	m = box_spec_add_mount(s, BOX_MOUNT_VOLUME, "", target, "", false);
	free(m->name);
	m->name = xstrdup(parts.v[0]);
	return set_mode(m, parts.n == 3 ? parts.v[2] : "z", e);
}

/* ---- what others have */

static bool has_target(const struct box_spec *s, const char *target)
{
	for (unsigned i = 0; i < s->nmounts; i++)
		if (strcmp(s->mounts[i].target, target) == 0)
			return true;
	return false;
}

void plan_volumes_from(struct box_spec *s, const struct box_spec *from, bool read_only)
{
	for (unsigned i = 0; i < from->nmounts; i++) {
		const struct box_mount *m = &from->mounts[i];
		struct box_mount *to;

		if (m->kind == BOX_MOUNT_TMPFS || has_target(s, m->target))
			continue;
		to = box_spec_add_mount(s, m->kind, m->source, m->target, "",
					m->read_only || read_only);
		free(to->name);
		to->name = xstrdup(m->name);
		free(to->subpath);
		to->subpath = xstrdup(m->subpath);
		free(to->mode);
		to->mode = xstrdup(m->mode);
		to->by_mount = m->by_mount;
		to->nocopy = m->nocopy;
		to->anonymous = m->anonymous;
	}
}

int plan_image_volumes(struct box_spec *s, const struct js *config, struct err *e)
{
	const struct js *volumes = js_get(js_get(config, "config"), "Volumes");
	struct js *value;
	const char *path;
	void *it = NULL;

	while (js_each(volumes, &it, &path, &value)) {
		own_free char *target = plan_clean_target(path, e);

		if (target == NULL)
			return err_wrap(e, "the image's volumes");
		if (!has_target(s, target))
			box_spec_add_mount(s, BOX_MOUNT_VOLUME, "", target, "", false)->anonymous =
				true;
	}
	return plan_sort_mounts(s, e);
}

/* ---- tmpfs */

static bool tmpfs_option_known(const char *word)
{
	static const char *const plain[] = {
		"rw",	      "exec",	  "noexec",	"suid",	       "nosuid",	"dev",
		"nodev",      "async",	  "sync",	"atime",       "noatime",	"diratime",
		"nodiratime", "relatime", "norelatime", "strictatime", "nostrictatime",
	};
	static const char *const valued[] = {
		"size=", "mode=", "uid=", "gid=", "nr_inodes=", "nr_blocks=", "mpol=",
	};

	for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++)
		if (strcmp(word, plain[i]) == 0)
			return true;
	for (size_t i = 0; i < sizeof(valued) / sizeof(valued[0]); i++)
		if (str_starts(word, valued[i]) && word[strlen(valued[i])])
			return true;
	return false;
}

int plan_tmpfs(struct box_spec *s, const char *text, struct err *e)
{
	own_strv struct strv words = STRV_INIT;
	own_str struct str options = STR_INIT;
	own_free char *path = NULL, *target = NULL;
	const char *colon = strchr(text, ':');
	bool read_only = false;

	path = colon ? xstrndup(text, (size_t)(colon - text)) : xstrdup(text);
	target = plan_clean_target(path, e);
	if (target == NULL)
		return -EINVAL;
	str_add(&options, TMPFS_DEFAULTS);
	if (colon && colon[1])
		strv_split(&words, colon + 1, ',');
	for (size_t i = 0; i < words.n; i++) {
		const char *w = words.v[i];

		if (strcmp(w, "ro") == 0)
			read_only = true;
		else if (!tmpfs_option_known(w))
			return err_set(e, EINVAL, "invalid tmpfs option \"%s\"", w);
		else if (strcmp(w, "rw") == 0)
			read_only = false;
		else
			str_addf(&options, ",%s", w);
	}
	box_spec_add_mount(s, BOX_MOUNT_TMPFS, "", target, options.s, read_only);
	return 0;
}

static unsigned depth(const char *path)
{
	unsigned n = 0;

	for (; *path; path++)
		n += *path == '/';
	return n;
}

int plan_sort_mounts(struct box_spec *s, struct err *e)
{
	/* a stable insertion sort: mounts are few */
	for (unsigned i = 1; i < s->nmounts; i++) {
		struct box_mount m = s->mounts[i];
		unsigned k = i;

		for (; k > 0 && depth(s->mounts[k - 1].target) > depth(m.target); k--)
			s->mounts[k] = s->mounts[k - 1];
		s->mounts[k] = m;
	}
	for (unsigned i = 0; i < s->nmounts; i++)
		for (unsigned k = 0; k < i; k++)
			if (strcmp(s->mounts[i].target, s->mounts[k].target) == 0)
				return err_set(e, EINVAL, "Duplicate mount point: %s",
					       s->mounts[i].target);
	return 0;
}
