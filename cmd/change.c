/* change.c: instructions of a Dockerfile on an image's config; see change.h. */
#include "cmd/change.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "runtime/base/own.h"
#include "runtime/base/parse.h"

struct change {
	struct js *config;
	bool cmd_set; /* by a change before this one */
};

typedef int change_fn(struct change *c, const char *rest, struct err *e);

/* ---- words ---- */

/* The next word, quotes and backslashes taken away as a Dockerfile has them; false at the end. */
static bool next_word(const char **at, struct str *out)
{
	const char *p = *at + strspn(*at, " \t");
	char quote = 0;

	out->len = 0;
	str_add(out, "");
	if (*p == 0)
		return false;
	for (; *p && (quote || (*p != ' ' && *p != '\t')); p++) {
		if (quote ? *p == quote : *p == '"' || *p == '\'')
			quote = quote ? 0 : *p;
		else if (*p == '\\' && quote != '\'' && p[1])
			str_add_char(out, *++p);
		else
			str_add_char(out, *p);
	}
	*at = p;
	return true;
}

/* ["a", "b"] as it stands, or NULL if it is not that. */
static struct js *json_list(const char *rest)
{
	struct js *j = *rest == '[' ? js_parse(rest, strlen(rest), NULL) : NULL;
	bool good = js_is_array(j);

	for (size_t i = 0; good && i < js_len(j); i++)
		good = js_is_string(js_at(j, i));
	if (good)
		return j;
	js_free(j);
	return NULL;
}

/* The exec form, or the shell form in /bin/sh -c. */
static struct js *command_of(const char *rest)
{
	struct js *j = json_list(rest);

	if (j == NULL) {
		j = js_array();
		js_push(j, js_of_text("/bin/sh"));
		js_push(j, js_of_text("-c"));
		js_push(j, js_of_text(rest));
	}
	return j;
}

/* The object or array `key` of the config, made if it is not there. */
static struct js *member(struct change *c, const char *key, bool array)
{
	struct js *j = js_get(c->config, key);

	if (array ? js_is_array(j) : js_is_object(j))
		return j;
	js_set(c->config, key, array ? js_array() : js_object());
	return js_get(c->config, key);
}

/* ---- instructions ---- */

static int change_cmd(struct change *c, const char *rest, struct err *e)
{
	(void)e;
	js_set(c->config, "Cmd", command_of(rest));
	c->cmd_set = true;
	return 0;
}

static int change_entrypoint(struct change *c, const char *rest, struct err *e)
{
	(void)e;
	js_set(c->config, "Entrypoint", command_of(rest));
	/* A command was meant for the entrypoint before. */
	if (!c->cmd_set)
		js_del(c->config, "Cmd");
	return 0;
}

static void set_env(struct change *c, const char *pair)
{
	own_strv struct strv env = STRV_INIT;

	js_strings(js_get(c->config, "Env"), &env);
	strv_env_set(&env, pair);
	js_set(c->config, "Env", js_of_strings(&env));
}

typedef void pair_fn(struct change *c, const char *pair);

/* key=value ..., or (the old form) key and the rest of the line. */
static int pairs(struct change *c, const char *name, const char *rest, pair_fn *fn, struct err *e)
{
	own_str struct str word = STR_INIT;
	const char *at = rest;

	if (!next_word(&at, &word))
		return err_set(e, EINVAL, "%s requires at least one argument", name);
	if (strchr(word.s, '=') == NULL) {
		at += strspn(at, " \t");
		if (*at == 0)
			return err_set(e, EINVAL, "%s must have two arguments", name);
		str_addf(&word, "=%s", at);
		fn(c, word.s);
		return 0;
	}
	do {
		if (strchr(word.s, '=') == NULL || *word.s == '=')
			return err_set(e, EINVAL,
				       "Syntax error - can't find = in \"%s\". Must be of the "
				       "form: name=value",
				       word.s);
		fn(c, word.s);
	} while (next_word(&at, &word));
	return 0;
}

static int change_env(struct change *c, const char *rest, struct err *e)
{
	return pairs(c, "ENV", rest, set_env, e);
}

static void set_label(struct change *c, const char *pair)
{
	const char *eq = strchr(pair, '=');
	own_free char *key = xstrndup(pair, (size_t)(eq - pair));

	js_set_text(member(c, "Labels", false), key, eq + 1);
}

static int change_label(struct change *c, const char *rest, struct err *e)
{
	return pairs(c, "LABEL", rest, set_label, e);
}

static int expose_one(struct change *c, const char *word, struct err *e)
{
	const char *slash = strchr(word, '/');
	own_free char *port = xstrndup(word, slash ? (size_t)(slash - word) : strlen(word));
	const char *proto = slash ? slash + 1 : "tcp";
	char *dash = strchr(port, '-');
	uint64_t from, to;

	if (dash)
		*dash++ = 0;
	if (!parse_u64(port, 0, 65535, &from) || !parse_u64(dash ? dash : port, from, 65535, &to) ||
	    (strcmp(proto, "tcp") != 0 && strcmp(proto, "udp") != 0 && strcmp(proto, "sctp") != 0))
		return err_set(e, EINVAL, "Invalid containerPort: %s", word);
	for (; from <= to; from++) {
		char key[24];

		snprintf(key, sizeof(key), "%u/%.4s", (unsigned)from, proto);
		js_set(member(c, "ExposedPorts", false), key, js_object());
	}
	return 0;
}

static int change_expose(struct change *c, const char *rest, struct err *e)
{
	own_str struct str word = STR_INIT;
	int rc = 0;

	while (rc == 0 && next_word(&rest, &word))
		rc = expose_one(c, word.s, e);
	return rc;
}

static int change_volume(struct change *c, const char *rest, struct err *e)
{
	own_js struct js *list = json_list(rest);
	own_str struct str word = STR_INIT;

	(void)e;
	for (size_t i = 0; i < js_len(list); i++)
		js_set(member(c, "Volumes", false), js_text(js_at(list, i)), js_object());
	while (list == NULL && next_word(&rest, &word))
		js_set(member(c, "Volumes", false), word.s, js_object());
	return 0;
}

static int change_user(struct change *c, const char *rest, struct err *e)
{
	(void)e;
	js_set_text(c->config, "User", rest);
	return 0;
}

static int change_workdir(struct change *c, const char *rest, struct err *e)
{
	const char *now = js_text(js_get(c->config, "WorkingDir"));
	own_free char *full = NULL;

	(void)e;
	now = now && *now ? now : "/";
	full = *rest == '/' ? xstrdup(rest)
			    : xasprintf("%s%s%s", now, str_ends(now, "/") ? "" : "/", rest);
	js_set_text(c->config, "WorkingDir", full);
	return 0;
}

static int change_stopsignal(struct change *c, const char *rest, struct err *e)
{
	if (parse_signal(rest) == 0)
		return err_set(e, EINVAL, "Invalid signal: %s", rest);
	js_set_text(c->config, "StopSignal", rest);
	return 0;
}

static int change_onbuild(struct change *c, const char *rest, struct err *e)
{
	if (strncasecmp(rest, "ONBUILD", 7) == 0)
		return err_set(e, EINVAL, "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed");
	js_push(member(c, "OnBuild", true), js_of_text(rest));
	return 0;
}

/* --interval=30s and its like; *rest then stands behind it. */
static int health_option(struct js *h, const char *word, struct err *e)
{
	static const struct {
		const char *flag, *key;
	} spans[] = {
		{ "--interval=", "Interval" },
		{ "--timeout=", "Timeout" },
		{ "--start-period=", "StartPeriod" },
		{ "--start-interval=", "StartInterval" },
	};
	uint64_t v;

	for (size_t i = 0; i < sizeof(spans) / sizeof(spans[0]); i++) {
		if (!str_starts(word, spans[i].flag))
			continue;
		if (!parse_duration(word + strlen(spans[i].flag), &v))
			return err_set(e, EINVAL, "HEALTHCHECK: invalid duration in %s", word);
		js_set_int(h, spans[i].key, (int64_t)v);
		return 0;
	}
	if (!str_starts(word, "--retries=") ||
	    !parse_u64(word + strlen("--retries="), 0, INT32_MAX, &v))
		return err_set(e, EINVAL, "HEALTHCHECK: unknown option %s", word);
	js_set_int(h, "Retries", (int64_t)v);
	return 0;
}

static int change_healthcheck(struct change *c, const char *rest, struct err *e)
{
	own_js struct js *h = js_object();
	own_str struct str word = STR_INIT;
	struct js *test = js_array(), *list;
	int rc = 0;

	js_set(h, "Test", test);
	while (rc == 0 && str_starts(rest, "--") && next_word(&rest, &word)) {
		rc = health_option(h, word.s, e);
		rest += strspn(rest, " \t");
	}
	if (rc < 0)
		return rc;
	if (strcasecmp(rest, "NONE") == 0) {
		js_push(test, js_of_text("NONE"));
	} else if (strncasecmp(rest, "CMD", 3) == 0 && (rest[3] == ' ' || rest[3] == '\t')) {
		rest += 3 + strspn(rest + 3, " \t");
		list = json_list(rest);
		js_push(test, js_of_text(list ? "CMD" : "CMD-SHELL"));
		for (size_t i = 0; i < js_len(list); i++)
			js_push(test, js_copy(js_at(list, i)));
		if (list == NULL)
			js_push(test, js_of_text(rest));
		js_free(list);
	} else {
		return err_set(e, EINVAL, "Unknown type \"%s\" in HEALTHCHECK (try CMD)", rest);
	}
	js_set(c->config, "Healthcheck", js_copy(h));
	return 0;
}

static const struct {
	const char *name;
	change_fn *fn;
} instructions[] = {
	{ "CMD", change_cmd },
	{ "ENTRYPOINT", change_entrypoint },
	{ "ENV", change_env },
	{ "EXPOSE", change_expose },
	{ "HEALTHCHECK", change_healthcheck },
	{ "LABEL", change_label },
	{ "ONBUILD", change_onbuild },
	{ "STOPSIGNAL", change_stopsignal },
	{ "USER", change_user },
	{ "VOLUME", change_volume },
	{ "WORKDIR", change_workdir },
};

static int change_one(struct change *c, const char *line, struct err *e)
{
	const char *start = line + strspn(line, " \t");
	size_t n = strcspn(start, " \t");
	own_free char *rest = NULL;

	rest = xstrdup(start + n + strspn(start + n, " \t"));
	for (size_t len = strlen(rest); len && isspace((unsigned char)rest[len - 1]);)
		rest[--len] = 0;
	for (size_t i = 0; i < sizeof(instructions) / sizeof(instructions[0]); i++) {
		if (strlen(instructions[i].name) != n ||
		    strncasecmp(instructions[i].name, start, n) != 0)
			continue;
		if (*rest == 0)
			return err_set(e, EINVAL, "%s requires at least one argument",
				       instructions[i].name);
		return instructions[i].fn(c, rest, e);
	}
	return err_set(e, EINVAL, "%.*s is not a valid change command", (int)n, start);
}

int config_change(struct js *config, const struct strv *changes, struct err *e)
{
	struct change c = { config, false };
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < changes->n; i++)
		rc = change_one(&c, changes->v[i], e);
	return rc;
}
