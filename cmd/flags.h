/* flags.h: the options `run` and `create` share, as typed. */
#ifndef ZL_CMD_FLAGS_H
#define ZL_CMD_FLAGS_H

#include <stdbool.h>
#include <stdint.h>

#include "cmd/opt.h"
#include "runtime/base/err.h"
#include "runtime/base/str.h"

struct run_flags {
	struct strv add_host, attach, cap_add, cap_drop, env, env_file, group_add, label, tmpfs,
		volume;
	const char *cidfile, *cpus, *detach_keys, *domainname, *entrypoint, *hostname, *kernel,
		*machine, *name, *platform, *pull, *stop_signal, *user, *workdir;
	bool detach, init, interactive, privileged, quiet, read_only, rm, sig_proxy, tty;
	uint64_t memory, shm_size;
	int64_t stop_timeout;
};

/* stop_timeout where none was given. */
#define STOP_TIMEOUT_UNSET (-2)

/* The first rows are for `run` alone. */
#define RUN_ONLY_OPTS 3
extern const struct opt run_opts[];
#define create_opts (run_opts + RUN_ONLY_OPTS)

/*
 * The environment of one container: --env-file's lines, then -e's, read against
 * our own environment; "KEY" alone means: not even the image's. Reads files.
 */
int flags_env(const struct strv *files, const struct strv *env, struct strv *out, struct err *e);
/*
 * An --env-file's text, appended to out. own: our environment, for lines
 * without a value.
 */
int env_file_parse(const char *text, size_t len, char *const *own, struct strv *out, struct err *e);

#endif
