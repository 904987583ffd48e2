/* flags.c: the options `run` and `create` share; see flags.h. */
#include "cmd/flags.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/fd.h"

/* Largest --env-file. */
#define ENV_FILE_MAX (4U << 20)

#define AT(member) offsetof(struct run_flags, member)

/* Rows in any order; help sorts them. */
#define SHARED_ROWS                                                                                     \
	{ OPT_LIST,	0,    "add-host", "list",                                                       \
	  AT(add_host), NULL, NULL,	  "Add a custom host-to-IP mapping (host:ip)" },                \
		{ OPT_LIST,                                                                             \
		  'a',                                                                                  \
		  "attach",                                                                             \
		  "list",                                                                               \
		  AT(attach),                                                                           \
		  NULL,                                                                                 \
		  "stdin|stdout|stderr",                                                                \
		  "Attach to STDIN, STDOUT or STDERR" },                                                \
		{ OPT_LIST,    0,    "cap-add",	    "list",                                             \
		  AT(cap_add), NULL, "@capability", "Add Linux capabilities" },                         \
		{ OPT_LIST,	0,    "cap-drop",    "list",                                            \
		  AT(cap_drop), NULL, "@capability", "Drop Linux capabilities" },                       \
		{ OPT_TEXT,    0,    "cidfile", "string",                                               \
		  AT(cidfile), NULL, "@file",	"Write the container ID to the file" },                 \
		{ OPT_TEXT, 0, "cpus", "decimal", AT(cpus), NULL, NULL, "Number of CPUs" },             \
		{ OPT_TEXT,	  0,	"domainname", "string",                                         \
		  AT(domainname), NULL, NULL,	      "Container NIS domain name" },                    \
		{ OPT_TEXT,	  0,                                                                    \
		  "entrypoint",	  "string",                                                             \
		  AT(entrypoint), NULL,                                                                 \
		  NULL,		  "Overwrite the default ENTRYPOINT of the image" },                    \
		{ OPT_LIST, 'e', "env", "list", AT(env), NULL, "@env", "Set environment variables" },   \
		{ OPT_LIST,	0,    "env-file", "list",                                               \
		  AT(env_file), NULL, "@file",	  "Read in a file of environment variables" },          \
		{ OPT_LIST,	 0,    "group-add", "list",                                             \
		  AT(group_add), NULL, NULL,	    "Add additional groups to join" },                  \
		{ OPT_TEXT,	'h',  "hostname", "string",                                             \
		  AT(hostname), NULL, NULL,	  "Container host name" },                              \
		{ OPT_BOOL,                                                                             \
		  0,                                                                                    \
		  "init",                                                                               \
		  NULL,                                                                                 \
		  AT(init),                                                                             \
		  NULL,                                                                                 \
		  NULL,                                                                                 \
		  "Run an init inside the container that forwards signals and reaps processes" },       \
		{ OPT_BOOL,	   'i',	 "interactive", NULL,                                           \
		  AT(interactive), NULL, NULL,		"Keep STDIN open even if not attached" },       \
		{ OPT_LIST,  'l',  "label", "list",                                                     \
		  AT(label), NULL, NULL,    "Set meta data on a container" },                           \
		{ OPT_TEXT,    0,    "machine",	 "string",                                              \
		  AT(machine), NULL, "kvm|qemu", "Machine to run on: kvm or qemu (env ZL_MACHINE)" },   \
		{ OPT_SIZE,                                                                             \
		  'm',                                                                                  \
		  "memory",                                                                             \
		  "bytes",                                                                              \
		  AT(memory),                                                                           \
		  NULL,                                                                                 \
		  "128m|256m|512m|1g|2g|4g",                                                            \
		  "Memory limit" },                                                                     \
		{ OPT_TEXT, 0,	  "name", "string",                                                     \
		  AT(name), NULL, NULL,	  "Assign a name to the container" },                           \
		{ OPT_TEXT,                                                                             \
		  0,                                                                                    \
		  "platform",                                                                           \
		  "string",                                                                             \
		  AT(platform),                                                                         \
		  NULL,                                                                                 \
		  "linux/amd64|linux/arm64|linux/386|linux/arm/v7",                                     \
		  "Set platform if the image is made for several" },                                    \
		{ OPT_BOOL,	  0,	"privileged", NULL,                                             \
		  AT(privileged), NULL, NULL,	      "Give extended privileges to this container" },   \
		{ OPT_TEXT,                                                                             \
		  0,                                                                                    \
		  "pull",                                                                               \
		  "string",                                                                             \
		  AT(pull),                                                                             \
		  "missing",                                                                            \
		  "always|missing|never|newer",                                                         \
		  "Pull image before running (always, missing, never, newer)" },                        \
		{ OPT_BOOL, 'q', "quiet", NULL, AT(quiet), NULL, NULL, "Suppress the pull output" },    \
		{ OPT_BOOL,	 0,                                                                     \
		  "read-only",	 NULL,                                                                  \
		  AT(read_only), NULL,                                                                  \
		  NULL,		 "Mount the container's root filesystem as read only" },                \
		{ OPT_BOOL, 0, "rm", NULL, AT(rm), NULL, NULL, "Remove the container when it exits" },  \
		{ OPT_SIZE, 0, "shm-size", "bytes", AT(shm_size), NULL, NULL, "Size of /dev/shm" },     \
		{ OPT_TEXT,	   0,	 "stop-signal", "string",                                       \
		  AT(stop_signal), NULL, "@signal",	"Signal to stop the container" },               \
		{ OPT_INT,	    0,	  "stop-timeout", "int",                                        \
		  AT(stop_timeout), "-2", NULL,		  "Timeout (in seconds) to stop a container" }, \
		{ OPT_LIST, 0, "tmpfs", "list", AT(tmpfs), NULL, NULL, "Mount a tmpfs folder" },        \
		{ OPT_BOOL, 't', "tty", NULL, AT(tty), NULL, NULL, "Allocate a pseudo-TTY" },           \
		{ OPT_TEXT, 'u',  "user", "string",                                                     \
		  AT(user), NULL, NULL,	  "Username or UID (format: <name|uid>[:<group|gid>])" },       \
		{ OPT_LIST,   'v',                                                                      \
		  "volume",   "list",                                                                   \
		  AT(volume), NULL,                                                                     \
		  "@dir",     "Bind mount a host folder or file (source:target[:ro])" },                \
		{ OPT_TEXT,    'w',  "workdir", "string",                                               \
		  AT(workdir), NULL, NULL,	"Working folder inside the container" },

const struct opt create_opts[] = { SHARED_ROWS{ .kind = OPT_END } };

const struct opt run_opts[] = {
	SHARED_ROWS{ OPT_BOOL, 'd', "detach", NULL, AT(detach), NULL, NULL,
		     "Run container in background and print container ID" },
	{ OPT_TEXT, 0, "detach-keys", "string", AT(detach_keys), NULL, NULL,
	  "Override the key sequence for detaching a container" },
	{ OPT_BOOL, 0, "sig-proxy", NULL, AT(sig_proxy), "true", NULL,
	  "Proxy received signals to the process" },
	{ .kind = OPT_END },
};

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
	if (eq) {
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

int flags_env(const struct strv *files, const struct strv *env, struct strv *out, struct err *e)
{
	for (size_t i = 0; i < files->n; i++) {
		own_str struct str text = STR_INIT;
		int rc = file_read(AT_FDCWD, files->v[i], ENV_FILE_MAX, &text, e);

		if (rc == 0)
			rc = env_file_parse(text.s ? text.s : "", text.len, environ, out, e);
		if (rc < 0)
			return err_wrap(e, "--env-file %s", files->v[i]);
	}
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
