/* env.c: environments and labels as given by --env, --env-file, --label-file; see flags.h. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "cmd/flags.h"
#include "runtime/base/fd.h"
#include "runtime/base/own.h"

/* Largest --env-file, largest --label-file. */
#define ENV_FILE_MAX (4U << 20)

static const char *own_value(char *const *own, const char *key, size_t n)
{
	for (; own && *own; own++)
		if (strncmp(*own, key, n) == 0 && (*own)[n] == '=')
			return *own + n + 1;
	return NULL;
}

/* One line, without its newline. */
static int env_line(const char *line, size_t n, char *const *own, struct strv *out, struct err *e)
{
	const char *eq, *value;
	size_t key;

	while (n && isspace((unsigned char)*line)) {
		line++;
		n--;
	}
	if (n == 0 || *line == '#')
		return 0;
	if (memchr(line, 0, n))
		return err_set(e, EINVAL, "poorly formatted environment: a line holds a NUL byte");
	eq = memchr(line, '=', n);
	key = eq ? (size_t)(eq - line) : n;
	if (key == 0)
		return err_set(e, EINVAL,
			       "poorly formatted environment: no variable name on line '%.*s'",
			       (int)n, line);
	for (size_t i = 0; i < key; i++)
		if (isspace((unsigned char)line[i]))
			return err_set(e, EINVAL,
				       "poorly formatted environment: variable '%.*s' contains "
				       "whitespaces",
				       (int)key, line);
	if (eq || own == NULL) {
		strv_addf(out, "%.*s", (int)n, line);
		return 0;
	}
	value = own_value(own, line, key);
	if (value)
		strv_addf(out, "%.*s=%s", (int)key, line, value);
	return 0;
}

int env_file_parse(const char *text, size_t len, char *const *own, struct strv *out, struct err *e)
{
	const char *end = text + len;

	if (len >= 3 && memcmp(text, "\357\273\277", 3) == 0)
		text += 3;
	while (text < end) {
		const char *nl = memchr(text, '\n', (size_t)(end - text));
		size_t n = (size_t)((nl ? nl : end) - text), line = n;
		int rc;

		if (line && text[line - 1] == '\r')
			line--;
		rc = env_line(text, line, own, out, e);
		if (rc < 0)
			return rc;
		text += n + (nl != NULL);
	}
	return 0;
}

static int read_file(const char *flag, const char *path, char *const *own, struct strv *out,
		     struct err *e)
{
	own_str struct str text = STR_INIT;
	int rc = file_read(AT_FDCWD, path, ENV_FILE_MAX, &text, e);

	if (rc == 0)
		rc = env_file_parse(text.s ? text.s : "", text.len, own, out, e);
	return rc < 0 ? err_wrap(e, "%s %s", flag, path) : 0;
}

int flags_env(const struct strv *files, const struct strv *env, struct strv *out, struct err *e)
{
	for (size_t i = 0; i < files->n; i++)
		if (read_file("--env-file", files->v[i], environ, out, e) < 0)
			return -EINVAL;
	for (size_t i = 0; i < env->n; i++) {
		const char *pair = env->v[i], *value;

		if (*pair == 0 || *pair == '=')
			return err_set(e, EINVAL, "invalid environment variable: %s", pair);
		value = strchr(pair, '=') ? NULL : own_value(environ, pair, strlen(pair));
		if (value)
			strv_addf(out, "%s=%s", pair, value);
		else
			strv_add(out, pair);
	}
	return 0;
}

int flags_labels(const struct strv *files, const struct strv *labels, struct strv *out,
		 struct err *e)
{
	own_strv struct strv all = STRV_INIT;

	for (size_t i = 0; i < files->n; i++)
		if (read_file("--label-file", files->v[i], NULL, &all, e) < 0)
			return -EINVAL;
	for (size_t i = 0; i < labels->n; i++) {
		const char *label = labels->v[i] + strspn(labels->v[i], " \t");
		size_t key = strcspn(label, "=");

		if (key == 0)
			return err_set(e, EINVAL, "invalid label '%s': empty name", labels->v[i]);
		if (strcspn(label, " \t") < key)
			return err_set(e, EINVAL, "label '%.*s' contains whitespaces", (int)key,
				       label);
		strv_add(&all, labels->v[i]);
	}
	for (size_t i = 0; i < all.n; i++) {
		own_free char *pair =
			strchr(all.v[i], '=') ? xstrdup(all.v[i]) : xasprintf("%s=", all.v[i]);

		strv_env_set(out, pair);
	}
	return 0;
}
