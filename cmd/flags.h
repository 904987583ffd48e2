/* flags.h: the options `run` and `create` share, as typed. */
#ifndef ZL_CMD_FLAGS_H
#define ZL_CMD_FLAGS_H

#include <stdbool.h>
#include <stdint.h>

#include "cmd/limits.h"
#include "cmd/opt.h"
#include "runtime/base/err.h"
#include "runtime/base/str.h"

struct run_flags {
	struct strv add_host, annotation, attach, cap_add, cap_drop, device, device_cgroup_rule,
		dns, dns_option, dns_search, env, env_file, expose, group_add, label, label_file,
		link, link_local_ip, log_opt, network, network_alias, security_opt, storage_opt,
		sysctl, mount, publish, tmpfs, ulimit, volume, volumes_from;
	const char *cgroup_parent, *cgroupns, *cidfile, *detach_keys, *domainname, *entrypoint,
		*gpus, *hostname, *ip, *ip6, *ipc, *isolation, *kernel, *log_driver, *mac_address,
		*machine, *name, *pid, *platform, *pull, *runtime, *stop_signal, *user, *userns,
		*uts, *volume_driver, *workdir, *publish_wait;
	bool detach, disable_content_trust, init, interactive, oom_kill_disable, privileged, quiet,
		read_only, rm, sig_proxy, tty, use_api_socket, publish_all;
	uint64_t shm_size;
	int64_t memory_swappiness, oom_score_adj, stop_timeout;
	struct limit_flags limits;
	const char *restart, *health_cmd, *health_interval, *health_timeout, *health_start_period,
		*health_start_interval;
	bool no_healthcheck;
	int64_t health_retries;
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
 * without a value; NULL: these are appended as they are.
 */
int env_file_parse(const char *text, size_t len, char *const *own, struct strv *out, struct err *e);
/* The labels of --label-file's lines, then --label's, as "key=value"; a later one counts. */
int flags_labels(const struct strv *files, const struct strv *labels, struct strv *out,
		 struct err *e);

#endif
