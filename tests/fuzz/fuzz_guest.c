/* fuzz_guest.c: the agent's parsers of what images and users write: passwd, group, options. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "guest/option.h"
#include "guest/usage.h"
#include "guest/user.h"
#include "runtime/base/err.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The next NUL-terminated piece of the input; the last may lack its NUL. */
static void piece(const uint8_t **at, size_t *left, struct str *out)
{
	const uint8_t *nul = *left ? memchr(*at, 0, *left) : NULL;
	size_t n = nul ? (size_t)(nul - *at) : *left;

	str_add_mem(out, *at, n);
	*at += nul ? n + 1 : n;
	*left -= nul ? n + 1 : n;
}

static void users(const char *spec, const struct str *passwd, const struct str *group)
{
	own_strv struct strv more = STRV_INIT;
	struct err e = ERR_INIT;
	struct user u;

	strv_add(&more, "7");
	if (user_resolve(spec, &more, passwd, group, &u, &e) == 0) {
		assert(u.uid <= USER_ID_MAX && u.gid <= USER_ID_MAX && u.home && u.ngroups >= 1);
		for (size_t i = 0; i < u.ngroups; i++)
			assert(u.groups[i] <= USER_ID_MAX);
		user_free(&u);
	} else {
		assert(e.msg[0]);
	}
}

static void options(const char *text)
{
	struct tmpfs_options o;
	struct rlimit lim;
	const char *value;
	char *path;
	int what;

	if (tmpfs_options_parse(text, &o, NULL) == 0)
		tmpfs_options_free(&o);
	if (rlimit_parse(text, &what, &lim, NULL) == 0)
		assert(lim.rlim_cur <= lim.rlim_max);
	if (sysctl_parse(text, &path, &value, NULL) == 0) {
		assert(*path && *path != '/' && strstr(path, "//") == NULL);
		free(path);
	}
}

/* The kernel writes these, but for names and command lines. */
static void processes(const struct str *stat, const struct str *status)
{
	const struct usage_clock clock = { 1000, 100, 4096 };
	struct wire_process p = { 0 };
	uint64_t rx, tx;
	uint32_t parent;

	if (usage_process(stat->s, status->s, &clock, &p, &parent))
		assert(p.state >= 'A' && p.state <= 'z' && p.foreground <= 1);
	usage_net(status->s, &rx, &tx);
	p.command = usage_command(status->s, status->len, stat->s);
	assert(strlen(p.command) <= WIRE_COMMAND_MAX || p.command[0] == '[');
	free(p.command);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	own_str struct str spec = STR_INIT, passwd = STR_INIT, group = STR_INIT;

	piece(&data, &size, &spec);
	piece(&data, &size, &passwd);
	str_add_mem(&group, data, size); /* NULs and all */
	users(spec.s, &passwd, &group);
	options(spec.s);
	options(passwd.s);
	processes(&spec, &passwd);
	return 0;
}
