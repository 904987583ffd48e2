/* wire.h: the contract between host and guest, compiled into both. */
#ifndef ZL_VSOCK_WIRE_H
#define ZL_VSOCK_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/base/str.h"

/*
 * Theory of operation.
 *
 * The guest dials, the host answers; both ends of zl are always of the same
 * build, so there is one version and no negotiation: HELLO carries it, and
 * anything else is an error.
 *
 * WIRE_PORT_CONTROL carries frames: a header of 8 bytes { u32 length of the
 * payload, u16 type, u16 zero }, then the payload, at most WIRE_FRAME_MAX
 * bytes; numbers little-endian, a string is u32 length + bytes, a list is
 * u32 count + items. The host treats the guest as hostile: a bad frame ends
 * the VM.
 *
 * Every stdio stream of every task has a connection of its own to
 * WIRE_PORT_STREAM, which opens with one frame STREAM { u32 task, u8 which }
 * from the guest and is then raw bytes: WIRE_STDIN from host to guest,
 * WIRE_STDOUT and WIRE_STDERR from guest to host, WIRE_TTY both ways. End of
 * file is vsock's half-close; a side that no longer reads resets, which the
 * other end sees as EPIPE: in the guest that closes the workload's pipe, so
 * that it meets SIGPIPE as in any pipeline.
 *
 *	guest                                 host
 *	HELLO            ->
 *	                 <-                   BOOT (machine's set-up + task 1)
 *	(stream connections of task 1) ->
 *	STARTED          ->                   or FAILED
 *	                 <-                   SIGNAL, RESIZE, TIME, LIMITS, EXEC ...
 *	MEMORY           ->                   whenever the container needs more
 *	                 <-                   QUERY: what does the container use?
 *	PROCESS ... STATS ->                  the answer
 *	                 <-                   SYNC: what was written is to be on the host
 *	SYNCED           ->                   it is, or not, and why
 *	OOM              ->                   whenever the OOM killer strikes
 *	ENDING           ->                   before it syncs; for a SIGKILL to task 1
 *	EXITED           ->                   after all its output was sent, and
 *	                                      synced as BOOT asked
 *	                 <-                   BYE: the VM may be killed at any
 *	                                      moment after EXITED of task 1
 *
 * Task 1 is the container's own process; when it ends, all others are killed.
 *
 * Where BOOT has WIRE_BOOT_FORWARD, the host dials WIRE_PORT_FORWARD in the
 * guest, from STARTED on, for each connection (and each peer of a datagram
 * socket) that a published port gets. It begins with a frame FORWARD; the
 * agent connects within the guest and answers with the byte
 * WIRE_FORWARD_OPEN, or resets when nothing listens. Then raw bytes go both
 * ways, half-closed as each side is; or datagrams, each after its length as
 * u16.
 */

#define WIRE_VERSION	  1
#define WIRE_PORT_CONTROL 1024
#define WIRE_PORT_STREAM  1025
/* The one port at which the guest listens: see struct wire_forward. */
#define WIRE_PORT_FORWARD 1026
/*
 * The agent dials from ports up to this one, which in the guest take CAP_NET_BIND_SERVICE; the
 * host refuses all others: anybody in the container can open a vsock.
 */
#define WIRE_AGENT_PORT_MAX 1023U
#define WIRE_FRAME_MAX	    (4U << 20)
#define WIRE_HEADER_SIZE    8
#define WIRE_TASK_MAIN	    1

/* The tags of the two virtiofs devices; WIRE_FS_HOST only where BOOT has a mount from it. */
#define WIRE_FS_ROOT "root" /* one share, "root": the container's root */
#define WIRE_FS_HOST "host" /* shares "0", "1" ...: bind mounts and volumes */

enum wire_type {
	/* guest -> host */
	WIRE_HELLO = 1,
	WIRE_STREAM,
	WIRE_STARTED,
	WIRE_FAILED,
	WIRE_EXITED,
	WIRE_MEMORY,
	WIRE_ENDING,
	WIRE_PROCESS,
	WIRE_STATS,
	WIRE_SYNCED,
	WIRE_OOM,
	/* host -> guest */
	WIRE_BOOT = 32,
	WIRE_EXEC,
	WIRE_SIGNAL,
	WIRE_RESIZE,
	WIRE_LIMITS,
	WIRE_TIME,
	WIRE_QUERY,
	WIRE_SYNC,
	WIRE_FORWARD,
};

enum wire_stream {
	WIRE_STDIN,
	WIRE_STDOUT,
	WIRE_STDERR,
	WIRE_TTY,
};

struct wire_hello {
	uint32_t version;
	uint64_t boot_ns;   /* guest's CLOCK_BOOTTIME when the agent's main began */
	uint64_t mem_total; /* bytes, MemTotal of /proc/meminfo */
	uint64_t mem_free;  /* bytes, MemFree */
};

/* Opens a stream connection. */
struct wire_open {
	uint32_t task;
	uint8_t which; /* enum wire_stream */
};

/* The process of the task runs (its execve succeeded). */
struct wire_started {
	uint32_t task;
	uint32_t pid; /* in the container's PID namespace; 1 for task 1 */
};

/* The task could not be started. */
struct wire_failed {
	uint32_t task;
	uint8_t exit_code; /* as docker's: 126, 127, 1 where it is too late, or 125 for all else */
	char *message; /* docker's wording, e.g. exec: "x": executable file not found in $PATH */
};

/* The task ended; everything it wrote has been sent. */
struct wire_exited {
	uint32_t task;
	uint8_t code;	/* exit code, or 128 + signal */
	uint8_t signal; /* the signal that ended it, or 0 */
	uint8_t oom;	/* 1: of task 1: the guest's OOM killer struck in its life */
};

/* The OOM killer has struck in the container, so often by now. */
struct wire_oom {
	uint64_t kills;
};

/*
 * The guest would like to have so much of BOOT's memory_room, in all. It comes
 * by way of virtio-mem, or it does not: there is no answer.
 */
struct wire_memory {
	uint64_t bytes;
};

/*
 * Task 1 got SIGKILL as the host asked, or has ended and is about to be synced: EXITED follows
 * when that is done. A guest that is asked to kill and does not even say this is not waited for.
 */
struct wire_ending {
	uint32_t task;
};

/*
 * Everything the container had written when SYNC came, to its root and to what is mounted from
 * the host, was handed to the host. SYNCs are answered in any order.
 */
struct wire_synced {
	uint32_t request; /* that of SYNC */
	uint32_t error;	  /* 0, or an errno: not all of it */
};

struct wire_sync {
	uint32_t request;
};

struct wire_signal {
	uint32_t task;
	uint32_t signal;
};

struct wire_resize {
	uint32_t task;
	uint16_t rows, cols;
};

/* Sets the guest's wall clock. */
struct wire_time {
	uint64_t realtime_ns; /* since 1970 */
};

/* Answered by STATS with this number, before which every process is told if that is asked for. */
struct wire_query {
	uint32_t id;
	uint8_t processes; /* 0 or 1 */
};

/* Most bytes of PROCESS frames in an answer: rather leave processes out. */
#define WIRE_PROCESSES_MAX (8U << 20)
/* Longest command line of a process, and its shortest name in [brackets]. */
#define WIRE_COMMAND_MAX (16U << 10)

/* A process of the container's, as the files in its /proc tell. */
struct wire_process {
	uint32_t query;
	uint32_t pid, ppid; /* in the container; a parent outside of it is 0 */
	uint32_t pgid, sid;
	uint32_t ruid, uid, rgid, gid; /* real, effective */
	uint32_t tty;		       /* device number, as in /proc/PID/stat; 0: none */
	uint32_t threads;
	uint32_t nice;			      /* + 20 */
	uint32_t priority;		      /* + 100 */
	uint8_t state;			      /* its letter */
	uint8_t foreground;		      /* 1: of its terminal's foreground group */
	uint64_t cpu_ms, age_ms;	      /* time used; time since it was started */
	uint64_t virtual_size, resident_size; /* bytes */
	char *name;			      /* of its program, at most 15 bytes as a rule */
	char *command; /* its arguments, apart by spaces; "[name]" if it has none */
};

/* What the container has used and uses. */
struct wire_stats {
	uint32_t query;
	uint32_t pids;	   /* its threads */
	uint64_t clock_ns; /* the guest's CLOCK_MONOTONIC when it looked */
	uint64_t cpu_ns;
	uint64_t memory,
		memory_cache;	 /* bytes; of these: page cache that could be dropped at once */
	uint64_t memory_max;	 /* what it may use, or all there will ever be */
	uint64_t net_rx, net_tx; /* bytes, but for the loopback's */
};

/* struct wire_forward.proto */
#define WIRE_FORWARD_TCP 0
#define WIRE_FORWARD_UDP 1
/* What the guest answers, once it is connected. */
#define WIRE_FORWARD_OPEN 'o'
/* Longest datagram. */
#define WIRE_DATAGRAM_MAX 65535U

/* The first frame of a connection to WIRE_PORT_FORWARD. */
struct wire_forward {
	uint8_t proto;
	uint16_t port;	      /* in the container; not 0 */
	uint32_t patience_ms; /* TCP: so long it may take until somebody listens there */
};

/* struct wire_task.flags */
#define WIRE_TASK_TTY	       (1U << 0) /* a pseudo-terminal: one WIRE_TTY stream */
#define WIRE_TASK_STDIN	       (1U << 1) /* stdin is connected; else /dev/null */
#define WIRE_TASK_INIT	       (1U << 2) /* the agent's small init is PID 1 (--init); task 1 only */
#define WIRE_TASK_PRIVILEGED   (1U << 3) /* all capabilities, no masks, writable /sys */
#define WIRE_TASK_NO_STDOUT    (1U << 4) /* no stream: /dev/null */
#define WIRE_TASK_NO_STDERR    (1U << 5)
#define WIRE_TASK_NO_NEW_PRIVS (1U << 6)
#define WIRE_TASK_UNPACK       (1U << 7) /* EXEC: makes files below argv[0] (item.h) */

struct wire_task {
	uint32_t id; /* WIRE_TASK_MAIN in BOOT; unique, above it, in EXEC */
	uint32_t flags;
	uint16_t rows, cols; /* first size of the terminal; 0: unknown */
	uint64_t caps;	     /* bounding, permitted and effective set: 1 << CAP_* */
	struct strv argv;    /* argv[0] is searched in the container's PATH */
	struct strv env;     /* complete, but for HOME, which the guest adds from /etc/passwd */
	char *cwd;	     /* "" is "/"; created where it does not exist (BOOT only) */
	char *user;	     /* as docker's: "", uid, name, uid:gid, name:group ... */
	struct strv groups;  /* --group-add: names or numbers, besides /etc/group's */
};

enum wire_mount_kind {
	WIRE_MOUNT_BIND,  /* share `source` of WIRE_FS_HOST */
	WIRE_MOUNT_TMPFS, /* options as mount(8)'s -o */
};

struct wire_mount {
	uint8_t kind;
	uint8_t read_only;
	char *source; /* "0/name": share and the entry in it; "0": the share's root */
	char *target; /* absolute in the container; created where missing */
	char *options;
};

/* A small file the host makes, e.g. /etc/hosts: mounted over its path from the guest's memory. */
struct wire_file {
	char *path;
	uint32_t mode;
	char *data; /* text */
};

/* Of the container's cgroup, in BOOT and, changed, in LIMITS. 0: none of its own. */
#define WIRE_CPU_PERIOD_MIN 1000U
#define WIRE_CPU_PERIOD_MAX 1000000U
#define WIRE_CPU_WEIGHT_MAX 10000U

struct wire_limits {
	uint64_t memory_max; /* bytes */
	uint64_t memory_low; /* bytes that are not reclaimed while there are others */
	uint64_t pids_max;
	uint64_t cpu_quota;  /* microseconds in each cpu_period */
	uint32_t cpu_period; /* microseconds, WIRE_CPU_PERIOD_MIN to _MAX; 0 without a quota */
	uint32_t cpu_weight; /* 1 to WIRE_CPU_WEIGHT_MAX */
};

/*
 * The container's network interface, of which the machine's only network device
 * becomes `name`. No links: the loopback is all there is.
 */
struct wire_link {
	char *name;	       /* "eth0" */
	struct strv addresses; /* "10.0.2.15/24", "fd00::2/64" */
	struct strv gateways;  /* "10.0.2.2", "fd00::1": of the default routes */
};

/* struct wire_boot.flags */
#define WIRE_BOOT_ROOT_READ_ONLY (1U << 0)
#define WIRE_BOOT_SYNC_ROOT	 (1U << 1) /* sync the root before EXITED; else only other mounts */
#define WIRE_BOOT_SYSTEM_PATHS	 (1U << 2) /* nothing of /proc and /sys is masked or read-only */
#define WIRE_BOOT_CGROUP_WRITE	 (1U << 3) /* /sys/fs/cgroup is writable */
#define WIRE_BOOT_NO_SHM	 (1U << 4) /* without /dev/shm */
#define WIRE_BOOT_FORWARD	 (1U << 5) /* listen at WIRE_PORT_FORWARD */
#define WIRE_OOM_SCORE_MAX	 1000

struct wire_boot {
	uint32_t flags;
	uint64_t realtime_ns;
	uint64_t shm_size; /* bytes of /dev/shm */
	struct wire_limits limits;
	int32_t oom_score_adj; /* of every task; -WIRE_OOM_SCORE_MAX to WIRE_OOM_SCORE_MAX */
	uint64_t memory_room;  /* bytes the guest may get later (MEMORY); 0: it has all */
	char *hostname;
	char *domainname;
	struct wire_mount *mounts; /* in the order they are to be mounted */
	uint32_t nmounts;
	struct wire_file *files;
	uint32_t nfiles;
	struct wire_link *links; /* at most one, so far */
	uint32_t nlinks;
	struct strv sysctls; /* "net.core.somaxconn=1024" */
	struct strv rlimits; /* "nofile=1024:2048" */
	struct strv devices; /* "net/tun:/dev/net/tun": a device of the kernel's, and where */
	struct wire_task task;
};

#endif
