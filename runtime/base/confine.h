/* confine.h: what a thread may do from now on: privileges, files, system calls. */
#ifndef ZL_BASE_CONFINE_H
#define ZL_BASE_CONFINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <sys/types.h>

#include "runtime/base/err.h"

/*
 * Theory of operation.
 *
 * Privileges are the process's and dropped once (confine_process). Files and
 * system calls are each thread's own: a thread confines itself before it
 * touches what comes from the guest, and no way leads back. Threads that are
 * started later inherit what their maker may; so threads that need more than
 * their maker are made before the maker confines itself.
 *
 * System calls are listed in the room of the thread (struct confine_list),
 * compiled into one seccomp filter: a search tree over the numbers, then the
 * conditions of one call. A call that is not listed kills the process, with
 * SIGSYS and a line in the kernel's log.
 *
 * Files: a Landlock ruleset, where the kernel has it (Linux 5.19 or later:
 * before, it refuses every rename between folders). It governs opening,
 * making, renaming and removing by path, whatever descriptor it starts from;
 * not what is open already, nor attributes.
 *
 * With ZL_CONFINE_RECORD=FILE in the environment (for developers: nothing is
 * refused then) every listed call that is made, and every call that is not
 * listed, is noted in FILE: confine_record.c, tests/lib/calls.
 *
 * Built with sanitizers, nothing of this is done: they make calls of their own.
 */

enum confine_op {
	CONFINE_ANY,	 /* allowed whatever its arguments */
	CONFINE_IS,	 /* if the argument is `value` (its low 32 bits) */
	CONFINE_WITHOUT, /* if the argument has none of the bits of `value` */
	CONFINE_SELF,	 /* if the argument is this process's number */
	CONFINE_CHILD,	 /* ... that of confine.child */
};

/* A permitted call; several rows of one number are alternatives. */
struct confine_call {
	int nr;
	enum confine_op op;
	unsigned arg; /* 0 .. 5 */
	uint32_t value;
	const char *name; /* for people; with `value` in words */
	/*
	 * Why no run of the VM tests makes it, and which test does; NULL: some VM test
	 * makes it, and it is a mistake to list it if none does.
	 */
	const char *rare;
};

#define CONFINE_CALL(call)                                 \
	{                                                  \
		SYS_##call, CONFINE_ANY, 0, 0, #call, NULL \
	}
#define CONFINE_RARE(call, why)                           \
	{                                                 \
		SYS_##call, CONFINE_ANY, 0, 0, #call, why \
	}
#define CONFINE_IF(call, n, v)                                   \
	{                                                        \
		SYS_##call, CONFINE_IS, n, v, #call " " #v, NULL \
	}
#define CONFINE_RARE_IF(call, n, v, why)                        \
	{                                                       \
		SYS_##call, CONFINE_IS, n, v, #call " " #v, why \
	}

/* malloc, in threads that allocate little; abort(). Both are in tests/unit/test_confine.c. */
#define CONFINE_ALLOCATING                                                                   \
	{ SYS_mmap, CONFINE_WITHOUT, 2, PROT_EXEC, "mmap without PROT_EXEC", "malloc" },     \
		{ SYS_mprotect, CONFINE_WITHOUT, 2, PROT_EXEC, "mprotect without PROT_EXEC", \
		  "malloc" },                                                                \
		CONFINE_RARE(munmap, "malloc"), CONFINE_RARE(mremap, "malloc"),              \
		CONFINE_RARE(brk, "malloc")
#define CONFINE_ABORTING                                                   \
	CONFINE_RARE(getpid, "abort()"), CONFINE_RARE(gettid, "abort()"),  \
	{                                                                  \
		SYS_tgkill, CONFINE_SELF, 0, 0, "tgkill itself", "abort()" \
	}

struct confine_list {
	const struct confine_call *calls;
	size_t n;
};

#define CONFINE_LISTS_MAX 4

struct confine {
	const char *name; /* of the kind of thread: "loop", "vcpu" */
	const struct confine_list *lists[CONFINE_LISTS_MAX]; /* NULL after the last */
	pid_t child;					     /* for CONFINE_CHILD; 0: none */
	int rules; /* of confine_rules_new; borrowed; -1: none */
};

/*
 * The process: no new privileges by exec, no core files, its memory closed to
 * others of the same user, and of root's capabilities only `keep` (bits by
 * CAP_*), of which none pass on.
 */
int confine_process(uint64_t keep, struct err *e);
/* Gives up the last capabilities, and new ones by exec: of a child, of a thread. 0 or -errno. */
int confine_no_capabilities(void);

/*
 * The calling thread. -ve only where the kernel has the means and refused. It
 * is for once: a second time adds to the first.
 */
int confine_thread(const struct confine *c, struct err *e);
/* The same, for threads that have nobody to tell: ends the process if it fails. */
void confine_thread_or_die(const struct confine *c);

enum confine_access {
	CONFINE_READ = 1,	  /* content of files, names in folders */
	CONFINE_WRITE = 2,	  /* content of files that are there */
	CONFINE_FILES = 4,	  /* make, remove and rename files */
	CONFINE_FOLDERS = 8,	  /* make, remove and rename folders */
	CONFINE_SOCKETS = 16,	  /* make sockets */
	CONFINE_SPECIAL = 32,	  /* make sockets, pipes and devices; move between folders */
	CONFINE_NEW_FOLDERS = 64, /* make folders */
};
#define CONFINE_ALL 63

/* An empty ruleset: nothing is allowed. -1: the kernel cannot. The caller closes it. */
int confine_rules_new(void);
/* The same, but for connections by TCP, which are left alone (Landlock knows of them since 6.7). */
int confine_rules_new_networked(void);
/*
 * Allows `access` (confine_access bits) to a file, or to a folder and what is
 * below it. A path that does not exist is left out. With rules -1: nothing.
 */
int confine_rules_add(int rules, const char *path, unsigned access, struct err *e);

/* What there is on this kernel, in this build: 0: no Landlock (or one that is too old). */
int confine_landlock_version(void);
bool confine_has_seccomp(void);

/* --- within confine*.c */

struct sock_filter;
#define CONFINE_FILTER_MAX 1024
/*
 * The filter's instructions (tests look at them); the number of them. `yes` and
 * `no` are SECCOMP_RET_* values.
 */
size_t confine_compile(const struct confine *c, uint32_t yes, uint32_t no, struct sock_filter *out);
/* Whether a call is listed; *row its row, counted over all lists. */
bool confine_lists(const struct confine *c, int nr, const uint64_t args[6], size_t *row);

/* Once, while there is only one thread and it is not confined. Does nothing without the variable.
 */
void confine_record_start(void);
/* Whether it runs; then it installs the filter that reports to it. */
bool confine_records(void);
int confine_record_thread(const struct confine *c);

#endif
