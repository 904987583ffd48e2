/* plan_mount.c: -v and --tmpfs become mounts of a box spec. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/plan.h"
#include "runtime/base/own.h"

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

/* The mount's target, cleaned; NULL with docker's words. */
static char *clean_target(const char *target, struct err *e)
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

/* The host's side of -v: absolute, ./relative, ~/home; NULL: refused. */
static char *clean_source(const char *source, const struct plan_host *h, struct err *e)
{
	own_free char *joined = NULL;

	if (*source == '/')
		return plan_path_clean(source);
	if (source[0] == '~' && (source[1] == '/' || source[1] == 0) && h->home) {
		joined = xasprintf("%s/%s", h->home, source + 1);
		return plan_path_clean(joined);
	}
	if (*source == '.') {
		joined = xasprintf("%s/%s", h->cwd, source);
		return plan_path_clean(joined);
	}
	if (strchr(source, '/'))
		err_set(e, EINVAL,
			"\"%s\" includes invalid characters for a local volume name; for a "
			"folder of the host write an absolute path or ./%s",
			source, source);
	else
		err_set(e, ENOTSUP,
			"named volumes are not supported yet: \"%s\"; for a folder of the host "
			"write an absolute path or ./%s",
			source, source);
	return NULL;
}

/* "ro,z": what each means for a bind mount into a virtual machine. */
static int volume_mode(const char *text, bool *read_only, struct err *e)
{
	/* no SELinux labels and no caches to relax between host and guest: nothing to do */
	static const char *const same[] = { "z",	  "Z",	     "cached",	"delegated",
					    "consistent", "private", "rprivate" };
	own_strv struct strv words = STRV_INIT;

	strv_split(&words, text, ',');
	for (size_t i = 0; i < words.n; i++) {
		const char *w = words.v[i];
		bool known = strcmp(w, "ro") == 0 || strcmp(w, "rw") == 0;

		if (known)
			*read_only = strcmp(w, "ro") == 0;
		for (size_t k = 0; k < sizeof(same) / sizeof(same[0]); k++)
			known = known || strcmp(w, same[k]) == 0;
		if (!known)
			return err_set(e, EINVAL, "invalid mode: %s", text);
	}
	return 0;
}

int plan_volume(struct box_spec *s, const char *text, const struct plan_host *h, struct err *e)
{
	own_strv struct strv parts = STRV_INIT;
	own_free char *source = NULL, *target = NULL;
	bool read_only = false;
	int rc;

	strv_split(&parts, text, ':');
	if (parts.n == 1 && *parts.v[0] == '/')
		return err_set(
			e, ENOTSUP,
			"anonymous volumes are not supported yet: \"%s\"; what the container "
			"writes there is kept with the container",
			text);
	if (parts.n < 2 || parts.n > 3 || *parts.v[0] == 0 || *parts.v[1] == 0)
		return err_set(e, EINVAL, "invalid volume specification: '%s'", text);
	target = clean_target(parts.v[1], e);
	source = target ? clean_source(parts.v[0], h, e) : NULL;
	if (source == NULL)
		return -EINVAL;
	rc = parts.n == 3 ? volume_mode(parts.v[2], &read_only, e) : 0;
	if (rc < 0)
		return rc;
	box_spec_add_mount(s, BOX_MOUNT_BIND, source, target, "", read_only);
	return 0;
}

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
	target = clean_target(path, e);
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
