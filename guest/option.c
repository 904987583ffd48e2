/* option.c: mount options, resource limits, sysctls; see option.h. */
#include "guest/option.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "guest/sys.h"
#include "runtime/base/own.h"
#include "runtime/base/parse.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const struct {
	const char *name;
	uint64_t set, clear;
} mount_flags[] = {
	{ "defaults", 0, 0 },
	{ "rw", 0, SYS_MOUNT_RDONLY },
	{ "ro", SYS_MOUNT_RDONLY, 0 },
	{ "suid", 0, SYS_MOUNT_NOSUID },
	{ "nosuid", SYS_MOUNT_NOSUID, 0 },
	{ "dev", 0, SYS_MOUNT_NODEV },
	{ "nodev", SYS_MOUNT_NODEV, 0 },
	{ "exec", 0, SYS_MOUNT_NOEXEC },
	{ "noexec", SYS_MOUNT_NOEXEC, 0 },
	{ "atime", 0, SYS_MOUNT_ATIME_MASK },
	{ "relatime", 0, SYS_MOUNT_ATIME_MASK },
	{ "norelatime", 0, SYS_MOUNT_ATIME_MASK },
	{ "noatime", SYS_MOUNT_NOATIME, SYS_MOUNT_ATIME_MASK },
	{ "strictatime", SYS_MOUNT_STRICTATIME, SYS_MOUNT_ATIME_MASK },
	{ "nostrictatime", 0, SYS_MOUNT_ATIME_MASK },
	{ "diratime", 0, SYS_MOUNT_NODIRATIME },
	{ "nodiratime", SYS_MOUNT_NODIRATIME, 0 },
	/* of no effect on a tmpfs of one container, and accepted by docker */
	{ "async", 0, 0 },
	{ "sync", 0, 0 },
	{ "dirsync", 0, 0 },
	{ "mand", 0, 0 },
	{ "nomand", 0, 0 },
	{ "private", 0, 0 },
	{ "rprivate", 0, 0 },
};

static const char *const tmpfs_keys[] = { "size", "mode",      "uid",  "gid",
					  "huge", "nr_inodes", "mpol", "nr_blocks" };

static bool apply_flag(const char *name, uint64_t *attrs)
{
	for (size_t i = 0; i < COUNT(mount_flags); i++)
		if (strcmp(mount_flags[i].name, name) == 0) {
			*attrs = (*attrs & ~mount_flags[i].clear) | mount_flags[i].set;
			return true;
		}
	return false;
}

static bool is_tmpfs_key(const char *option)
{
	size_t n = strcspn(option, "=");

	if (option[n] == 0)
		return false;
	for (size_t i = 0; i < COUNT(tmpfs_keys); i++)
		if (strlen(tmpfs_keys[i]) == n && memcmp(tmpfs_keys[i], option, n) == 0)
			return true;
	return false;
}

int tmpfs_options_parse(const char *text, struct tmpfs_options *out, struct err *e)
{
	own_strv struct strv parts = STRV_INIT;

	*out = (struct tmpfs_options){ .attrs = SYS_MOUNT_NOEXEC | SYS_MOUNT_NOSUID |
						SYS_MOUNT_NODEV };
	strv_split(&parts, text, ',');
	for (size_t i = 0; i < parts.n; i++) {
		const char *o = parts.v[i];

		if (*o == 0 || apply_flag(o, &out->attrs))
			continue;
		if (!is_tmpfs_key(o)) {
			err_set(e, EINVAL, "invalid tmpfs option [\"%s\"]", o);
			tmpfs_options_free(out);
			return -EINVAL;
		}
		if (str_starts(o, "mode="))
			out->mode_given = true;
		strv_add(&out->data, o);
	}
	return 0;
}

void tmpfs_options_free(struct tmpfs_options *o)
{
	strv_free(&o->data);
}

static const struct {
	const char *name;
	int resource;
} limits[] = {
	{ "as", RLIMIT_AS },
	{ "core", RLIMIT_CORE },
	{ "cpu", RLIMIT_CPU },
	{ "data", RLIMIT_DATA },
	{ "fsize", RLIMIT_FSIZE },
	{ "locks", RLIMIT_LOCKS },
	{ "memlock", RLIMIT_MEMLOCK },
	{ "msgqueue", RLIMIT_MSGQUEUE },
	{ "nice", RLIMIT_NICE },
	{ "nofile", RLIMIT_NOFILE },
	{ "nproc", RLIMIT_NPROC },
	{ "rss", RLIMIT_RSS },
	{ "rtprio", RLIMIT_RTPRIO },
	{ "rttime", RLIMIT_RTTIME },
	{ "sigpending", RLIMIT_SIGPENDING },
	{ "stack", RLIMIT_STACK },
};

static bool limit_value(const char *s, rlim_t *out)
{
	uint64_t v;

	if (strcmp(s, "-1") == 0 || strcmp(s, "unlimited") == 0) {
		*out = RLIM_INFINITY;
		return true;
	}
	if (!parse_u64(s, 0, INT64_MAX, &v))
		return false;
	*out = v;
	return true;
}

int rlimit_parse(const char *text, int *resource, struct rlimit *out, struct err *e)
{
	size_t n = strcspn(text, "=");
	own_free char *soft = NULL;
	const char *hard;

	*resource = -1;
	for (size_t i = 0; i < COUNT(limits); i++)
		if (strlen(limits[i].name) == n && memcmp(limits[i].name, text, n) == 0)
			*resource = limits[i].resource;
	if (*resource < 0 || text[n] == 0)
		return err_set(e, EINVAL, "invalid ulimit: %s", text);
	text += n + 1;
	hard = strchr(text, ':');
	soft = xstrndup(text, hard ? (size_t)(hard - text) : strlen(text));
	hard = hard ? hard + 1 : soft;
	if (!limit_value(soft, &out->rlim_cur) || !limit_value(hard, &out->rlim_max) ||
	    out->rlim_cur > out->rlim_max)
		return err_set(e, EINVAL, "invalid ulimit: %s", text);
	return 0;
}

int sysctl_parse(const char *text, char **path, const char **value, struct err *e)
{
	size_t n = strcspn(text, "=");
	own_free char *p = xstrndup(text, n);
	own_strv struct strv parts = STRV_INIT;
	char *sep;

	if (n == 0 || text[n] == 0)
		return err_set(e, EINVAL, "invalid sysctl: %s", text);
	/* The first separator decides: after a slash dots are part of the names. */
	sep = strpbrk(p, "./");
	if (sep && *sep == '.')
		for (char *c = p; *c; c++)
			*c = *c == '.' ? '/' : *c == '/' ? '.' : *c;
	strv_split(&parts, p, '/');
	for (size_t i = 0; i < parts.n; i++)
		if (parts.v[i][0] == 0 || strcmp(parts.v[i], ".") == 0 ||
		    strcmp(parts.v[i], "..") == 0)
			return err_set(e, EINVAL, "invalid sysctl: %s", text);
	*value = text + n + 1;
	*path = steal_ptr(&p);
	return 0;
}

const char *error_text(int code, char *buf, size_t size)
{
	/* Where the C library's words are not the kernel's, which Go uses. */
	static const struct {
		int code;
		const char *text;
	} own[] = {
		{ ENOMEM, "cannot allocate memory" },
		{ EIO, "input/output error" },
		{ ENAMETOOLONG, "file name too long" },
		{ ELOOP, "too many levels of symbolic links" },
		{ EBUSY, "device or resource busy" },
		{ ENXIO, "no such device or address" },
		{ EAGAIN, "resource temporarily unavailable" },
		{ EXDEV, "invalid cross-device link" },
	};

	for (size_t i = 0; i < COUNT(own); i++)
		if (own[i].code == code)
			return own[i].text;
	snprintf(buf, size, "%s", strerror(code));
	buf[0] = (char)tolower((unsigned char)buf[0]);
	return buf;
}
