/* logconf.c: --log-driver and --log-opt, in docker's words; see logfile.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/json.h"
#include "runtime/base/own.h"
#include "runtime/base/parse.h"
#include "runtime/box/logfile.h"
#include "runtime/box/spec.h"

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The pairs of `all` whose keys are in the list "a,b". */
static void add_named(struct strv *found, const char *list, const struct strv *all)
{
	own_strv struct strv keys = STRV_INIT;

	strv_split(&keys, list, ',');
	for (size_t i = 0; i < keys.n; i++) {
		const char *value = keys.v[i][0] ? strv_env_get(all, keys.v[i]) : NULL;

		if (value)
			strv_addf(found, "%s=%s", keys.v[i], value);
	}
}

/* By name, as docker writes them. */
static int set_attrs(struct log_config *c, struct strv *pairs, struct err *e)
{
	own_js struct js *j = js_object();

	if (pairs->n == 0)
		return 0;
	qsort(pairs->v, pairs->n, sizeof(*pairs->v), by_text);
	for (size_t i = 0; i < pairs->n; i++) {
		size_t n = strcspn(pairs->v[i], "=");
		own_free char *key = xstrndup(pairs->v[i], n);

		js_set_text(j, key, pairs->v[i] + n + 1);
	}
	c->attrs = js_dump(j, 0);
	if (strlen(c->attrs) > LOG_ATTRS_MAX)
		return err_set(e, EINVAL,
			       "log-opt: the labels and variables are longer than %u KiB",
			       LOG_ATTRS_MAX >> 10);
	return 0;
}

static int set_option(struct log_config *c, const char *key, const char *value,
		      const struct box_spec *s, struct strv *attrs, struct err *e)
{
	uint64_t n;

	if (strcmp(key, "max-size") == 0) {
		if (!parse_size_decimal(value, &c->max_size))
			return err_set(e, EINVAL, "invalid size: '%s'", value);
		return c->max_size ? 0 : err_set(e, EINVAL, "max-size must be a positive number");
	}
	if (strcmp(key, "max-file") == 0) {
		if (!parse_u64(value, 0, UINT32_MAX, &n))
			return err_set(e, EINVAL, "max-file: \"%s\": invalid number", value);
		if (n < 1)
			return err_set(e, EINVAL, "max-file cannot be less than 1");
		if (n > LOG_FILES_MAX)
			return err_set(e, EINVAL, "max-file cannot be more than %d", LOG_FILES_MAX);
		c->max_files = (unsigned)n;
		return 0;
	}
	if (strcmp(key, "labels") == 0) {
		add_named(attrs, value, &s->labels);
		return 0;
	}
	if (strcmp(key, "env") == 0) {
		add_named(attrs, value, &s->env);
		return 0;
	}
	return err_set(e, EINVAL, "unknown log opt '%s' for json-file log driver", key);
}

int log_config_of(struct log_config *c, const struct box_spec *s, struct err *e)
{
	own_strv struct strv attrs = STRV_INIT;
	int rc = 0;

	*c = (struct log_config){ .none = strcmp(s->log_driver, "none") == 0, .max_files = 1 };
	if (c->none)
		return s->log_opts.n == 0
			       ? 0
			       : err_set(e, EINVAL, "invalid logging opts for driver none");
	if (strcmp(s->log_driver, "json-file") != 0)
		return err_set(e, EINVAL, "logger: no log driver named '%s' is registered",
			       s->log_driver);
	for (size_t i = 0; i < s->log_opts.n && rc == 0; i++) {
		const char *opt = s->log_opts.v[i];
		size_t n = strcspn(opt, "=");
		own_free char *key = xstrndup(opt, n);

		rc = set_option(c, key, opt[n] ? opt + n + 1 : "", s, &attrs, e);
	}
	if (rc == 0)
		rc = set_attrs(c, &attrs, e);
	if (rc < 0)
		log_config_free(c);
	return rc;
}

void log_config_free(struct log_config *c)
{
	free(c->attrs);
	c->attrs = NULL;
}
