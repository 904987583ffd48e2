/* plan_mount_flag.c: --mount becomes a mount of a box spec. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cmd/plan.h"
#include "runtime/base/own.h"
#include "runtime/base/parse.h"
#include "runtime/box/volume.h"

/*
 * Fields apart by commas as in a line of CSV, each KEY=VALUE or, of some, KEY alone. The kind may
 * come last, so all are read before anything is made of them.
 */

/* Of which kind of mount an option is; 0: of all. */
#define OF_BIND	  1U
#define OF_VOLUME 2U
#define OF_TMPFS  4U

struct asked {
	const struct plan_host *host;
	enum box_mount_kind kind;
	char *source, *target, *subpath;
	bool read_only, nocopy;
	struct strv labels, options;
	struct str tmpfs;
	unsigned of; /* kinds whose options were given */
};

static void asked_free(struct asked *a)
{
	free(a->source);
	free(a->target);
	free(a->subpath);
	strv_free(&a->labels);
	strv_free(&a->options);
	str_free(&a->tmpfs);
}

typedef int field_fn(struct asked *a, const char *key, const char *value, struct err *e);

static void set(char **field, const char *value)
{
	free(*field);
	*field = xstrdup(value);
}

static int on_type(struct asked *a, const char *key, const char *value, struct err *e)
{
	static const char *const kinds[] = { "bind", "tmpfs", "volume" };

	(void)key;
	for (unsigned i = 0; i < 3; i++) {
		if (strcasecmp(value, kinds[i]) == 0) {
			a->kind = (enum box_mount_kind)i;
			return 0;
		}
	}
	return err_set(e, EINVAL, "mount type unknown: \"%s\"", value);
}

static int on_source(struct asked *a, const char *key, const char *value, struct err *e)
{
	(void)key;
	(void)e;
	set(&a->source, value);
	return 0;
}

static int on_target(struct asked *a, const char *key, const char *value, struct err *e)
{
	(void)key;
	(void)e;
	set(&a->target, value);
	return 0;
}

static int flag(const char *key, const char *value, bool *out, struct err *e)
{
	static const char *const yes[] = { "true", "1", "t", "T", "TRUE", "True" };
	static const char *const no[] = { "false", "0", "f", "F", "FALSE", "False" };

	for (size_t i = 0; i < 6; i++) {
		if (strcmp(value, yes[i]) == 0 || strcmp(value, no[i]) == 0) {
			*out = strcmp(value, yes[i]) == 0;
			return 0;
		}
	}
	return err_set(e, EINVAL, "invalid value for %s: %s", key, value);
}

static int on_read_only(struct asked *a, const char *key, const char *value, struct err *e)
{
	return flag(key, value, &a->read_only, e);
}

static int on_nocopy(struct asked *a, const char *key, const char *value, struct err *e)
{
	return flag(key, value, &a->nocopy, e);
}

/* Everything is as consistent as can be. */
static int on_consistency(struct asked *a, const char *key, const char *value, struct err *e)
{
	(void)a;
	(void)key;
	if (strcasecmp(value, "consistent") == 0 || strcasecmp(value, "cached") == 0 ||
	    strcasecmp(value, "delegated") == 0 || strcasecmp(value, "default") == 0)
		return 0;
	return err_set(e, EINVAL, "invalid value for consistency: %s", value);
}

static int on_propagation(struct asked *a, const char *key, const char *value, struct err *e)
{
	(void)a;
	(void)key;
	return plan_propagation(value, e);
}

/* What is mounted on the host below the source is seen, and not to be changed where that is so. */
static int on_recursive(struct asked *a, const char *key, const char *value, struct err *e)
{
	(void)a;
	if (strcmp(value, "enabled") == 0)
		return 0;
	return err_set(e, ENOTSUP, "%s=%s is not possible: what the host has mounted below is seen",
		       key, value);
}

static int on_subpath(struct asked *a, const char *key, const char *value, struct err *e)
{
	own_strv struct strv parts = STRV_INIT;

	(void)key;
	strv_split(&parts, value, '/');
	if (*value == '/' || strv_has(&parts, ".."))
		return err_set(e, EINVAL, "subpath must be a relative path within the volume");
	set(&a->subpath, value);
	return 0;
}

static int on_label(struct asked *a, const char *key, const char *value, struct err *e)
{
	(void)key;
	(void)e;
	strv_addf(&a->labels, "%s%s", value, strchr(value, '=') ? "" : "=");
	return 0;
}

static int on_opt(struct asked *a, const char *key, const char *value, struct err *e)
{
	(void)key;
	(void)e;
	strv_add(&a->options, value);
	return 0;
}

static int on_driver(struct asked *a, const char *key, const char *value, struct err *e)
{
	(void)a;
	(void)key;
	if (strcmp(value, "local") == 0)
		return 0;
	return err_set(e, ENOTSUP, "error looking up volume plugin %s: plugin \"%s\" not found",
		       value, value);
}

static int on_size(struct asked *a, const char *key, const char *value, struct err *e)
{
	uint64_t bytes;

	if (!parse_size(value, &bytes))
		return err_set(e, EINVAL, "invalid value for %s: %s", key, value);
	str_addf(&a->tmpfs, ",size=%llu", (unsigned long long)bytes);
	return 0;
}

static int on_mode(struct asked *a, const char *key, const char *value, struct err *e)
{
	char *end;
	unsigned long mode = strtoul(value, &end, 8);

	if (*value == 0 || *end || mode > 07777)
		return err_set(e, EINVAL, "invalid value for %s: %s", key, value);
	str_addf(&a->tmpfs, ",mode=%lo", mode);
	return 0;
}

static const struct {
	const char *key;
	field_fn *fn;
	unsigned of;
	bool alone; /* may stand without a value */
} fields[] = {
	{ "type", on_type, 0, false },
	{ "source", on_source, 0, false },
	{ "src", on_source, 0, false },
	{ "target", on_target, 0, false },
	{ "dst", on_target, 0, false },
	{ "destination", on_target, 0, false },
	{ "readonly", on_read_only, 0, true },
	{ "ro", on_read_only, 0, true },
	{ "consistency", on_consistency, 0, false },
	{ "bind-propagation", on_propagation, OF_BIND, false },
	{ "bind-recursive", on_recursive, OF_BIND, false },
	{ "volume-nocopy", on_nocopy, OF_VOLUME, true },
	{ "volume-subpath", on_subpath, OF_VOLUME, false },
	{ "volume-label", on_label, OF_VOLUME, false },
	{ "volume-opt", on_opt, OF_VOLUME, false },
	{ "volume-driver", on_driver, OF_VOLUME, false },
	{ "tmpfs-size", on_size, OF_TMPFS, false },
	{ "tmpfs-mode", on_mode, OF_TMPFS, false },
};

static int on_field(struct asked *a, const char *text, struct err *e)
{
	size_t n = strcspn(text, "=");
	own_free char *key = xstrndup(text, n);

	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		if (strcasecmp(key, fields[i].key) != 0)
			continue;
		a->of |= fields[i].of;
		if (text[n] == 0 && !fields[i].alone)
			break;
		return fields[i].fn(a, fields[i].key, text[n] ? text + n + 1 : "true", e);
	}
	if (text[n] == 0)
		return err_set(e, EINVAL, "invalid field '%s' must be a key=value pair", text);
	return err_set(e, EINVAL, "unexpected key '%s' in '%s'", key, text);
}

/* The next field; quotes keep commas together. */
static bool next_field(const char **at, struct str *out)
{
	bool quoted = false;

	if (*at == NULL)
		return false;
	out->len = 0;
	str_add(out, "");
	for (; **at && (quoted || **at != ','); ++*at) {
		if (**at != '"')
			str_add_char(out, **at);
		else if (quoted && (*at)[1] == '"')
			str_add_char(out, *++*at);
		else
			quoted = !quoted;
	}
	*at = **at ? *at + 1 : NULL;
	return true;
}

static int check_kinds(const struct asked *a, struct err *e)
{
	static const unsigned of[] = { OF_BIND, OF_TMPFS, OF_VOLUME };
	static const char *const names[] = { "bind", "tmpfs", "volume" };

	for (unsigned i = 0; i < 3; i++)
		if ((a->of & of[i]) && (unsigned)a->kind != i)
			return err_set(e, EINVAL, "cannot mix '%s-*' options with mount type '%s'",
				       names[i], names[a->kind]);
	return 0;
}

static int add_bind(struct box_spec *s, const struct asked *a, const char *target, struct err *e)
{
	own_free char *source = NULL;

	if (a->source == NULL || *a->source == 0)
		return err_set(e, EINVAL,
			       "invalid mount config for type \"bind\": field Source must not be "
			       "empty");
	source = plan_clean_source(a->source, a->host);
	if (source == NULL)
		return err_set(e, EINVAL,
			       "invalid mount config for type \"bind\": invalid mount path: '%s' "
			       "mount path must be absolute",
			       a->source);
	box_spec_add_mount(s, BOX_MOUNT_BIND, source, target, "", a->read_only)->by_mount = true;
	return 0;
}

static int add_volume(struct box_spec *s, const struct asked *a, const char *target, struct err *e)
{
	struct box_mount *m;
	int rc = volume_options_check(&a->options, e);

	if (rc == 0 && a->source && *a->source)
		rc = volume_name_check(a->source, e);
	if (rc < 0)
		return rc;
	m = box_spec_add_mount(s, BOX_MOUNT_VOLUME, "", target, "", a->read_only);
	if (a->source)
		set(&m->name, a->source);
	if (a->subpath)
		set(&m->subpath, a->subpath);
	m->anonymous = *m->name == 0;
	m->nocopy = a->nocopy;
	m->by_mount = true;
	strv_add_all(&m->volume_labels, &a->labels);
	strv_add_all(&m->volume_options, &a->options);
	return 0;
}

static int add_tmpfs(struct box_spec *s, const struct asked *a, const char *target, struct err *e)
{
	own_free char *options = xasprintf("noexec,nosuid,nodev%s", a->tmpfs.s ? a->tmpfs.s : "");

	if (a->source && *a->source)
		return err_set(e, EINVAL,
			       "invalid mount config for type \"tmpfs\": field Source must not be "
			       "specified");
	box_spec_add_mount(s, BOX_MOUNT_TMPFS, "", target, options, a->read_only)->by_mount = true;
	return 0;
}

static int add(struct box_spec *s, const struct asked *a, struct err *e)
{
	own_free char *target = NULL;
	int rc = check_kinds(a, e);

	if (rc == 0 && (a->target == NULL || *a->target == 0))
		rc = err_set(e, EINVAL, "target is required");
	if (rc < 0)
		return rc;
	target = plan_clean_target(a->target, e);
	if (target == NULL)
		return -EINVAL;
	if (a->kind == BOX_MOUNT_BIND)
		return add_bind(s, a, target, e);
	return a->kind == BOX_MOUNT_TMPFS ? add_tmpfs(s, a, target, e)
					  : add_volume(s, a, target, e);
}

int plan_mount(struct box_spec *s, const char *text, const struct plan_host *h, struct err *e)
{
	struct asked a OWN(asked_free) = { .host = h, .kind = BOX_MOUNT_VOLUME };
	own_str struct str field = STR_INIT;
	const char *at = text;
	int rc = 0;

	while (rc == 0 && next_field(&at, &field))
		rc = on_field(&a, field.s, e);
	if (rc == 0)
		rc = add(s, &a, e);
	return rc < 0 ? err_wrap(e, "invalid argument \"%s\" for \"--mount\" flag", text) : 0;
}
