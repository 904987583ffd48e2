/* option.h: text of BOOT -> numbers: mount options, resource limits, sysctls. */
#ifndef ZL_GUEST_OPTION_H
#define ZL_GUEST_OPTION_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>

#include "runtime/base/err.h"
#include "runtime/base/str.h"

/* What a -o string of a tmpfs says. */
struct tmpfs_options {
	uint64_t attrs;	  /* SYS_MOUNT_* */
	struct strv data; /* "size=64m", for the file system itself */
	bool mode_given;
};

/* Starts from docker's defaults: noexec,nosuid,nodev. On failure out owns nothing. */
int tmpfs_options_parse(const char *text, struct tmpfs_options *out, struct err *e);
void tmpfs_options_free(struct tmpfs_options *o);

/* "nofile=1024:2048", "nofile=1024"; -1 is unlimited. */
int rlimit_parse(const char *text, int *resource, struct rlimit *out, struct err *e);

/*
 * "net.core.somaxconn=1024" -> the path below /proc/sys ("net/core/somaxconn",
 * to be freed) and the value (pointing into text).
 */
int sysctl_parse(const char *text, char **path, const char **value, struct err *e);

/* The words of Go's, and so docker's, messages for an errno: "no such file or directory". */
const char *error_text(int code, char *buf, size_t size);

#endif
