/* spec.h: a box spec: all there is to know to run a container. */
#ifndef ZL_BOX_SPEC_H
#define ZL_BOX_SPEC_H

#include <stdbool.h>
#include <stdint.h>

#include "runtime/base/err.h"
#include "runtime/base/json.h"
#include "runtime/base/str.h"

/*
 * Made by cmd/plan.c from flags and image config, kept as spec.json in the
 * container's folder, never changed by running. Pure data.
 */
#define BOX_ID_LEN 64 /* hex digits */

enum box_mount_kind {
	BOX_MOUNT_BIND,
	BOX_MOUNT_TMPFS,
};

struct box_mount {
	enum box_mount_kind kind;
	char *source;  /* bind: absolute path on the host, file or folder; exists */
	char *target;  /* absolute in the container */
	char *options; /* tmpfs: as mount(8)'s -o; "" otherwise */
	bool read_only;
};

/* How docker's attach flags (-a, -d) came out: which streams `run` follows. */
#define BOX_ATTACH_STDIN  (1U << 0)
#define BOX_ATTACH_STDOUT (1U << 1)
#define BOX_ATTACH_STDERR (1U << 2)

struct box_spec {
	char id[BOX_ID_LEN + 1];
	char *name;
	char *image;	    /* as the user typed it */
	char *image_id;	    /* "sha256:<hex>" */
	int64_t created_ns; /* since 1970 */
	struct strv layers; /* absolute paths, topmost first */

	struct strv argv;	/* complete: entrypoint + cmd; never empty */
	struct strv entrypoint; /* for inspect: as merged */
	struct strv cmd;
	struct strv env; /* complete "KEY=value" */
	char *cwd;	 /* "" is "/" */
	char *user;
	struct strv groups;
	char *hostname; /* never empty */
	char *domainname;
	struct strv extra_hosts; /* "name:ip" */
	struct strv labels;	 /* "key=value" */

	bool tty, open_stdin, init, read_only, privileged, auto_remove;
	bool detached;	    /* for inspect: run -d */
	unsigned attach;    /* BOX_ATTACH_* */
	uint64_t caps;	    /* 1 << CAP_*: what the workload may have */
	uint64_t memory;    /* bytes; 0: default */
	uint64_t nano_cpus; /* docker's unit; 0: default */
	uint64_t shm_size;  /* bytes */
	char *machine;	    /* "", "kvm", "qemu" */
	char *platform;	    /* "linux/amd64" */

	char *stop_signal;    /* "SIGTERM" */
	int64_t stop_timeout; /* seconds; -1: wait for ever */

	struct box_mount *mounts;
	unsigned nmounts;
};

void box_spec_init(struct box_spec *s); /* empty strings, docker's defaults, a new random id */
void box_spec_free(struct box_spec *s);
/* Appends a mount; strings are copied. */
void box_spec_add_mount(struct box_spec *s, enum box_mount_kind kind, const char *source,
			const char *target, const char *options, bool read_only);
struct js *box_spec_to_json(const struct box_spec *s);
int box_spec_from_json(struct box_spec *s, const struct js *j, struct err *e);

#endif
