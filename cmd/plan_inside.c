/* plan_inside.c: what a container finds inside: ulimits, sysctls, devices, security options. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cmd/plan.h"
#include "runtime/base/own.h"
#include "runtime/base/parse.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static bool is_one_of(const char *word, const char *const *words, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(word, words[i]) == 0)
			return true;
	return false;
}

/* The part of text in front of sep, or all of it; owned by the caller. */
static char *front_of(const char *text, char sep)
{
	const char *at = strchr(text, sep);

	return at ? xstrndup(text, (size_t)(at - text)) : xstrdup(text);
}

/* ---- --ulimit */

static bool limit_parse(const char *s, int64_t *out)
{
	uint64_t v = 0;

	*out = -1;
	if (strcmp(s, "-1") == 0)
		return true;
	if (!parse_u64(s, 0, INT64_MAX, &v))
		return false;
	*out = (int64_t)v;
	return true;
}

static int ulimit_error(const char *text, const char *why, struct err *e)
{
	return err_set(e, EINVAL, "invalid argument \"%s\" for \"--ulimit\" flag: %s", text, why);
}

/* "name=soft[:hard]" -> "name=soft:hard"; -1 is unlimited. */
static int plan_ulimit(struct box_spec *s, const char *text, struct err *e)
{
	static const char *const names[] = {
		"core",	  "cpu",   "data", "fsize",  "locks",  "memlock",    "msgqueue", "nice",
		"nofile", "nproc", "rss",  "rtprio", "rttime", "sigpending", "stack"
	};
	own_free char *name = front_of(text, '='), *pair = NULL;
	own_strv struct strv values = STRV_INIT;
	own_free char *why = NULL;
	int64_t soft, hard;

	if (strchr(text, '=') == NULL) {
		why = xasprintf("invalid ulimit argument: %s", text);
		return ulimit_error(text, why, e);
	}
	if (!is_one_of(name, names, COUNT(names))) {
		why = xasprintf("invalid ulimit type: %s", name);
		return ulimit_error(text, why, e);
	}
	strv_split(&values, text + strlen(name) + 1, ':');
	if (values.n > 2) {
		why = xasprintf("too many limit value arguments - %s, can only have up to two, "
				"`soft[:hard]`",
				text + strlen(name) + 1);
		return ulimit_error(text, why, e);
	}
	if (!limit_parse(values.v[0], &soft) || !limit_parse(values.v[values.n - 1], &hard))
		return ulimit_error(text, "must be numbers, or -1", e);
	if (hard != -1 && (soft == -1 || soft > hard)) {
		why = xasprintf("ulimit soft limit must be less than or equal to hard limit: "
				"%" PRId64 " > %" PRId64,
				soft, hard);
		return ulimit_error(text, why, e);
	}
	pair = xasprintf("%s=%" PRId64 ":%" PRId64, name, soft, hard);
	strv_env_set(&s->ulimits, pair);
	return 0;
}

/* ---- --sysctl */

/*
 * docker takes those that belong to a namespace. A container has a kernel of
 * its own here, so every one is its own; which there are the kernel says.
 */
static int plan_sysctl(struct box_spec *s, const char *text, struct err *e)
{
	static const char good[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
				   "_-./:@";
	own_free char *name = front_of(text, '=');

	if (strchr(text, '=') == NULL || *name == 0 || name[strspn(name, good)] ||
	    strpbrk(name, "./") == name || strstr(name, "..") || strstr(name, "//"))
		return err_set(e, EINVAL,
			       "invalid argument \"%s\" for \"--sysctl\" flag: sysctl '%s' is not "
			       "allowed",
			       text, text);
	strv_env_set(&s->sysctls, text);
	return 0;
}

/* ---- --device */

/* What the machine's kernel has besides what every container finds. */
static const char *const machine_devices[] = {
	"/dev/null", "/dev/zero",    "/dev/full", "/dev/random", "/dev/urandom",
	"/dev/tty",  "/dev/net/tun", "/dev/fuse", "/dev/kmsg",
};

/* A composition of r, w and m, each at most once. */
static bool is_device_mode(const char *mode)
{
	if (*mode == 0 || strlen(mode) > 3 || mode[strspn(mode, "rwm")])
		return false;
	for (const char *c = mode; *c; c++)
		if (strchr(c + 1, *c))
			return false;
	return true;
}

/* "source[:target][:mode]" -> "source:target:mode" */
static int plan_device(struct box_spec *s, const char *text, struct err *e)
{
	own_strv struct strv part = STRV_INIT;
	own_free char *target = NULL;
	const char *mode = "rwm", *at;
	int paths;

	strv_split(&part, text, ':');
	if (part.n > 3 || part.v[0][0] == 0)
		return err_set(e, EINVAL, "bad format for path: %s", text);
	paths = part.n == 3 || (part.n == 2 && !is_device_mode(part.v[1])) ? 2 : 1;
	if (part.n > (size_t)paths)
		mode = part.v[paths];
	if (!is_device_mode(mode))
		return err_set(e, EINVAL, "bad mode specified: %s", mode);
	at = part.v[paths - 1];
	if (*at != '/')
		return err_set(e, EINVAL, "%s is not an absolute path", at);
	if (!is_one_of(part.v[0], machine_devices, COUNT(machine_devices)))
		return err_set(e, ENODEV,
			       "error gathering device information while adding custom device "
			       "\"%s\": no such device in a container's machine; of those that are "
			       "not there anyway it has /dev/fuse, /dev/net/tun and /dev/kmsg",
			       part.v[0]);
	if (strchr(mode, 'r') == NULL || strchr(mode, 'w') == NULL)
		return err_set(e, ENOTSUP,
			       "--device %s: a device of the machine's is the container's to read "
			       "and to write",
			       text);
	target = plan_path_clean(at);
	strv_addf(&s->devices, "%s:%s:%s", part.v[0], target, mode);
	return 0;
}

static bool is_device_number(const char **at)
{
	const char *from = *at;

	*at += **at == '*' ? 1 : strspn(*at, "0123456789");
	return *at > from;
}

/* "c 10:200 rwm": in the machine, none is forbidden in the first place. */
static int plan_device_rule(struct box_spec *s, const char *text, struct err *e)
{
	const char *at = text;
	bool good = *at && strchr("acb", *at) && at[1] == ' ';

	at += 2 * good;
	good = good && is_device_number(&at) && *at++ == ':' && is_device_number(&at) &&
	       *at++ == ' ' && *at && strlen(at) <= 3 && at[strspn(at, "rwm")] == 0;
	if (!good)
		return err_set(e, EINVAL,
			       "invalid argument \"%s\" for \"--device-cgroup-rule\" flag: invalid "
			       "device cgroup format '%s'",
			       text, text);
	strv_add(&s->device_rules, text);
	return 0;
}

/* ---- --security-opt */

static int security_switch(const char *opt, const char *value, bool *out, struct err *e)
{
	return parse_bool(value, out) ? 0
				      : err_set(e, EINVAL, "invalid --security-opt 2: \"%s\"", opt);
}

static int plan_security(struct box_spec *s, const char *opt, struct err *e)
{
	size_t n = strcspn(opt, opt[strcspn(opt, "=")] ? "=" : ":");
	const char *value = opt[n] ? opt + n + 1 : NULL;
	own_free char *key = xstrndup(opt, n);

	if (value == NULL && strcmp(key, "no-new-privileges") != 0)
		return err_set(e, EINVAL, "invalid --security-opt: \"%s\"", opt);
	if (strcmp(key, "no-new-privileges") == 0)
		return security_switch(opt, value ? value : "true", &s->no_new_privs, e);
	if (strcmp(key, "writable-cgroups") == 0)
		return security_switch(opt, value, &s->writable_cgroups, e);
	if (strcmp(opt, "systempaths=unconfined") == 0) {
		s->system_paths = true;
		return 0;
	}
	if (strcmp(key, "seccomp") == 0 && strcmp(value, "unconfined") != 0)
		return err_set(e, ENOTSUP,
			       "--security-opt %s: seccomp profiles are not supported: a container "
			       "has all system calls of a kernel of its own",
			       opt);
	if (strcmp(key, "apparmor") == 0 && strcmp(value, "unconfined") != 0)
		return err_set(e, ENOTSUP,
			       "--security-opt %s: the machine's kernel has no AppArmor", opt);
	if (strcmp(key, "label") == 0 && strcmp(value, "disable") != 0)
		return err_set(e, ENOTSUP, "--security-opt %s: the machine's kernel has no SELinux",
			       opt);
	if (strcmp(key, "seccomp") == 0 || strcmp(key, "apparmor") == 0 ||
	    strcmp(key, "label") == 0)
		return 0;
	return err_set(e, EINVAL, "invalid --security-opt 2: \"%s\"", opt);
}

static int plan_security_opts(struct box_spec *s, const struct strv *opts, struct err *e)
{
	for (size_t i = 0; i < opts->n; i++) {
		int rc = plan_security(s, opts->v[i], e);

		if (rc < 0)
			return rc;
		/* docker's client keeps that one to itself */
		if (strcmp(opts->v[i], "systempaths=unconfined") != 0)
			strv_add(&s->security_opts, opts->v[i]);
	}
	return 0;
}

typedef int plan_text_fn(struct box_spec *s, const char *text, struct err *e);

static int plan_each(struct box_spec *s, const struct strv *texts, plan_text_fn *fn, struct err *e)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < texts->n; i++)
		rc = fn(s, texts->v[i], e);
	return rc;
}

int plan_inside(struct box_spec *s, const struct run_flags *f, struct err *e)
{
	int rc = plan_each(s, &f->ulimit, plan_ulimit, e);

	if (rc == 0)
		rc = plan_each(s, &f->sysctl, plan_sysctl, e);
	if (rc == 0)
		rc = plan_each(s, &f->device, plan_device, e);
	if (rc == 0)
		rc = plan_each(s, &f->device_cgroup_rule, plan_device_rule, e);
	return rc < 0 ? rc : plan_security_opts(s, &f->security_opt, e);
}
