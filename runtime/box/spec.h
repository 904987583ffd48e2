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
#define BOX_IP_MAX 46 /* an address as text */

enum box_mount_kind {
	BOX_MOUNT_BIND,
	BOX_MOUNT_TMPFS,
	BOX_MOUNT_VOLUME,
};

struct box_mount {
	enum box_mount_kind kind;
	char *source;  /* bind, volume: absolute path on the host; exists when it is started */
	char *target;  /* absolute in the container */
	char *options; /* tmpfs: as mount(8)'s -o; "" otherwise */
	char *name;    /* volume: its name; "" until an anonymous one is made */
	char *subpath; /* volume: the folder of it that is mounted; "": all of it */
	char *mode;    /* what -v said behind its second colon, for inspect */
	bool read_only;
	bool by_mount;	/* said by --mount: a missing source of a bind is not made */
	bool nocopy;	/* volume: nothing of the image's is copied into it */
	bool anonymous; /* volume: nobody gave it a name */
	struct strv volume_labels, volume_options; /* for one that is made; not kept */
};

/* -p: a port of the container's that the host gives out. */
struct box_port {
	char ip[BOX_IP_MAX];  /* of the host, numeric; "": all it has */
	uint16_t first, last; /* of the host: the first of these that is free; 0: any */
	uint16_t port;	      /* of the container */
	bool udp;
};

/* How docker's attach flags (-a, -d) came out: which streams `run` follows. */
#define BOX_ATTACH_STDIN  (1U << 0)
#define BOX_ATTACH_STDOUT (1U << 1)
#define BOX_ATTACH_STDERR (1U << 2)

/*
 * What bounds it, and `zl update` can change. Zero, or "", is "no bound of its own". CPUs and
 * nodes are the host's.
 */
struct box_limits {
	uint64_t memory;	     /* bytes */
	uint64_t memory_reservation; /* bytes it is to keep when memory gets scarce inside */
	int64_t memory_swap;	     /* bytes of both, as asked for: a VM has no swap; -1: any */
	uint64_t nano_cpus;	     /* docker's unit */
	int64_t cpu_quota;	     /* microseconds in each cpu_period */
	uint64_t cpu_period;	     /* microseconds */
	uint64_t cpu_shares;	     /* docker's unit: 1024 is the usual weight */
	uint64_t pids;		     /* processes and threads */
	char *cpuset_cpus;	     /* "0-2,7" */
	char *cpuset_mems;
};

/*
 * A check that runs in the container time and again, as the image's HEALTHCHECK and the flags came
 * out. Nanoseconds; 0: docker's default (health.h).
 */
struct box_health {
	struct strv
		test; /* "CMD" and a command, or "CMD-SHELL" and a line; "NONE" or empty: none */
	struct strv shell; /* what runs the line of "CMD-SHELL"; empty: /bin/sh -c */
	int64_t interval_ns, timeout_ns, start_period_ns, start_interval_ns;
	int64_t retries;
};

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
	bool detached;	   /* for inspect: run -d */
	unsigned attach;   /* BOX_ATTACH_* */
	uint64_t caps;	   /* 1 << CAP_*: what the workload may have */
	uint64_t shm_size; /* bytes */
	char *machine;	   /* "", "kvm", "qemu" */
	char *network;	   /* "" or "bridge", "none": link.h */
	char *kernel;	   /* path of a file, or name of an image; "": the embedded one */
	char *platform;	   /* "linux/amd64" */

	struct box_limits limits;
	struct strv ulimits;	  /* "nofile=1024:2048" */
	struct strv sysctls;	  /* "net.core.somaxconn=1024" */
	struct strv devices;	  /* "/dev/fuse:/dev/fuse:rwm", in the VM and in the container */
	struct strv device_rules; /* for inspect: a container may make any device of its VM's */
	int64_t oom_score_adj;
	bool no_new_privs, system_paths /* nothing masked */, writable_cgroups;
	struct strv security_opts; /* for inspect: as typed */
	char *ipc;		   /* "private", "shareable", "none": no /dev/shm */

	struct strv dns, dns_options, dns_search; /* instead of the host's resolv.conf's */
	struct strv exposed;			  /* "80/tcp": the image's and --expose's */
	char *log_driver;			  /* "json-file", "none" */
	struct strv log_opts;			  /* "max-size=10m" */
	struct strv annotations;		  /* for inspect: "key=value" */
	char *cidfile, *isolation, *userns, *volume_driver; /* for inspect: as typed */

	char *stop_signal;    /* "SIGTERM" */
	int64_t stop_timeout; /* seconds; -1: wait for ever */

	char *restart;	     /* "", "no", "always", "unless-stopped", "on-failure": restart.h */
	int64_t restart_max; /* of "on-failure": at most so many times; 0: as often as it fails */

	struct box_health health;

	struct strv volumes_from; /* for inspect: as typed */
	struct box_mount *mounts;
	unsigned nmounts;
	struct box_port *ports;
	unsigned nports;
	bool publish_all; /* for inspect: -P */
	/* ns after the start: so long who connects to a port waits until somebody listens */
	int64_t publish_wait;
};

void box_spec_init(struct box_spec *s); /* empty strings, docker's defaults, a new random id */
void box_spec_free(struct box_spec *s);
/* Appends a mount; strings are copied. What else there is to say is set in what it returns. */
struct box_mount *box_spec_add_mount(struct box_spec *s, enum box_mount_kind kind,
				     const char *source, const char *target, const char *options,
				     bool read_only);
void box_mount_free(struct box_mount *m);
void box_spec_add_port(struct box_spec *s, const struct box_port *p);
struct js *box_spec_to_json(const struct box_spec *s);
int box_spec_from_json(struct box_spec *s, const struct js *j, struct err *e);

#endif
