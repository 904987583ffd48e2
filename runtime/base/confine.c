/* confine.c: seccomp filters from lists, Landlock rules, privileges; see confine.h. */
#include "runtime/base/confine.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/log.h"
#include "runtime/base/own.h"

#if defined(__SANITIZE_ADDRESS__)
#define CONFINE_OFF 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define CONFINE_OFF 1
#endif
#endif
#ifndef CONFINE_OFF
#define CONFINE_OFF 0
#endif

#if defined(__x86_64__)
#define ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCH AUDIT_ARCH_AARCH64
#endif

/* Most rows of all lists of one thread. */
#define ROWS_MAX 256

/* What younger headers have. */
#define ACCESS_TRUNCATE (1ULL << 14) /* version 3 */
#define ACCESS_IOCTL	(1ULL << 15) /* version 5: on devices that are opened */
#define NET_BIND	1ULL	     /* version 4: TCP */
#define NET_CONNECT	2ULL

#define LANDLOCK_LEAST 2 /* with moves between folders */

/* --- system calls */

static size_t rows_of(const struct confine *c, const struct confine_call **rows)
{
	size_t n = 0;

	for (unsigned l = 0; l < CONFINE_LISTS_MAX && c->lists[l]; l++) {
		for (size_t i = 0; i < c->lists[l]->n; i++) {
			assert(n < ROWS_MAX);
			rows[n++] = &c->lists[l]->calls[i];
		}
	}
	return n;
}

static uint32_t value_of(const struct confine *c, const struct confine_call *r)
{
	if (r->op == CONFINE_SELF)
		return (uint32_t)getpid();
	return r->op == CONFINE_CHILD ? (uint32_t)c->child : r->value;
}

bool confine_lists(const struct confine *c, int nr, const uint64_t args[6], size_t *row)
{
	const struct confine_call *rows[ROWS_MAX];
	size_t n = rows_of(c, rows);

	for (size_t i = 0; i < n; i++) {
		uint32_t v = value_of(c, rows[i]), a = (uint32_t)args[rows[i]->arg];

		if (rows[i]->nr != nr)
			continue;
		*row = i;
		if (rows[i]->op == CONFINE_ANY ||
		    (rows[i]->op == CONFINE_WITHOUT ? (a & v) == 0 : a == v))
			return true;
	}
	return false;
}

static int by_number(const void *pa, const void *pb)
{
	const struct confine_call *a = *(const struct confine_call *const *)pa;
	const struct confine_call *b = *(const struct confine_call *const *)pb;

	return a->nr - b->nr;
}

struct program {
	const struct confine *c;
	const struct confine_call **rows; /* by number */
	struct sock_filter *out;
	size_t n;
	uint32_t yes, no;
};

static void emit(struct program *p, uint16_t code, uint32_t k, uint8_t jt, uint8_t jf)
{
	assert(p->n < CONFINE_FILTER_MAX);
	p->out[p->n++] = (struct sock_filter){ code, jt, jf, k };
}

/* The rows [from, to) of one number: each condition in turn. */
static void emit_call(struct program *p, size_t from, size_t to)
{
	emit(p, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)p->rows[from]->nr, 1, 0);
	emit(p, BPF_RET | BPF_K, p->no, 0, 0);
	for (size_t i = from; i < to; i++) {
		const struct confine_call *r = p->rows[i];

		if (r->op != CONFINE_ANY) {
			emit(p, BPF_LD | BPF_W | BPF_ABS,
			     (uint32_t)(offsetof(struct seccomp_data, args) + r->arg * 8), 0, 0);
			if (r->op == CONFINE_WITHOUT)
				emit(p, BPF_JMP | BPF_JSET | BPF_K, r->value, 1, 0);
			else
				emit(p, BPF_JMP | BPF_JEQ | BPF_K, value_of(p->c, r), 0, 1);
		}
		emit(p, BPF_RET | BPF_K, p->yes, 0, 0);
		if (r->op == CONFINE_ANY)
			return;
	}
	emit(p, BPF_RET | BPF_K, p->no, 0, 0);
}

/* The first row from `at` on (down to `from`) that starts a number's rows. */
static size_t first_of(const struct program *p, size_t from, size_t at)
{
	while (at > from && p->rows[at - 1]->nr == p->rows[at]->nr)
		at--;
	return at;
}

static void emit_tree(struct program *p, size_t from, size_t to)
{
	size_t mid = first_of(p, from, from + (to - from) / 2), hole;

	if (mid == from) { /* the middle is of the first number: go on where that ends */
		for (mid = from; mid < to && p->rows[mid]->nr == p->rows[from]->nr; mid++)
			;
		if (mid == to) {
			emit_call(p, from, to);
			return;
		}
	}
	emit(p, BPF_JMP | BPF_JGE | BPF_K, (uint32_t)p->rows[mid]->nr, 0, 1);
	hole = p->n;
	emit(p, BPF_JMP | BPF_JA, 0, 0, 0);
	emit_tree(p, from, mid);
	p->out[hole].k = (uint32_t)(p->n - hole - 1);
	emit_tree(p, mid, to);
}

size_t confine_compile(const struct confine *c, uint32_t yes, uint32_t no, struct sock_filter *out)
{
	const struct confine_call *rows[ROWS_MAX];
	struct program p = { .c = c, .rows = rows, .out = out, .yes = yes, .no = no };
	size_t n = rows_of(c, rows);

	qsort(rows, n, sizeof(rows[0]), by_number);
	emit(&p, BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch), 0, 0);
	emit(&p, BPF_JMP | BPF_JEQ | BPF_K, ARCH, 1, 0);
	emit(&p, BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS, 0, 0);
	emit(&p, BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr), 0, 0);
	emit_tree(&p, 0, n);
	return p.n;
}

static int filter_calls(const struct confine *c)
{
	struct sock_filter code[CONFINE_FILTER_MAX];
	struct sock_fprog prog = { .filter = code };

	if (confine_records())
		return confine_record_thread(c);
	prog.len = (unsigned short)confine_compile(c, SECCOMP_RET_ALLOW, SECCOMP_RET_KILL_PROCESS,
						   code);
	/* no call of the holder's computes on what an attacker could read by speculation */
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW, &prog) <
	    0)
		return -errno;
	return 0;
}

bool confine_has_seccomp(void)
{
	uint32_t action = SECCOMP_RET_KILL_PROCESS;

	return !CONFINE_OFF && syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0;
}

/* --- files */

int confine_landlock_version(void)
{
	long v = CONFINE_OFF ? -1
			     : syscall(SYS_landlock_create_ruleset, NULL, 0,
				       LANDLOCK_CREATE_RULESET_VERSION);

	return v < LANDLOCK_LEAST ? 0 : (int)v;
}

static int rules_new(uint64_t net)
{
	struct {
		uint64_t fs, net;
	} handled = { .fs = (LANDLOCK_ACCESS_FS_REFER << 1) - 1 };
	int version = confine_landlock_version();

	if (version == 0)
		return -1;
	if (version >= 3)
		handled.fs |= ACCESS_TRUNCATE;
	if (version >= 4)
		handled.net = net;
	if (version >= 5)
		handled.fs |= ACCESS_IOCTL;
	return (int)syscall(SYS_landlock_create_ruleset, &handled, sizeof(handled), 0);
}

int confine_rules_new(void)
{
	return rules_new(NET_BIND | NET_CONNECT);
}

int confine_rules_new_networked(void)
{
	return rules_new(NET_BIND);
}

static uint64_t access_bits(unsigned access, bool folder)
{
	static const struct {
		unsigned access;
		uint64_t file, folder;
	} map[] = {
		{ CONFINE_READ, LANDLOCK_ACCESS_FS_READ_FILE, LANDLOCK_ACCESS_FS_READ_DIR },
		{ CONFINE_WRITE, LANDLOCK_ACCESS_FS_WRITE_FILE | ACCESS_TRUNCATE, 0 },
		{ CONFINE_FILES, 0,
		  LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SYM |
			  LANDLOCK_ACCESS_FS_REMOVE_FILE },
		{ CONFINE_FOLDERS, 0, LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_REMOVE_DIR },
		{ CONFINE_NEW_FOLDERS, 0, LANDLOCK_ACCESS_FS_MAKE_DIR },
		{ CONFINE_SOCKETS, 0, LANDLOCK_ACCESS_FS_MAKE_SOCK },
		{ CONFINE_SPECIAL, 0,
		  LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO |
			  LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_BLOCK |
			  LANDLOCK_ACCESS_FS_REFER },
	};
	uint64_t bits = 0;

	for (size_t i = 0; i < sizeof(map) / sizeof(map[0]); i++) {
		if (access & map[i].access)
			bits |= map[i].file | (folder ? map[i].folder : 0);
	}
	if (confine_landlock_version() < 3)
		bits &= ~ACCESS_TRUNCATE;
	return bits;
}

int confine_rules_add(int rules, const char *path, unsigned access, struct err *e)
{
	struct landlock_path_beneath_attr at = { 0 };
	own_fd int fd = rules < 0 ? -1 : open(path, O_PATH | O_CLOEXEC);
	struct stat st;

	if (fd < 0)
		return rules < 0 || errno == ENOENT ? 0 : err_sys(e, "open %s", path);
	if (fstat(fd, &st) < 0)
		return err_sys(e, "look at %s", path);
	at.allowed_access = access_bits(access, S_ISDIR(st.st_mode));
	at.parent_fd = fd;
	if (syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &at, 0) < 0)
		return err_sys(e, "allow access to %s", path);
	return 0;
}

/* --- privileges */

static int set_capabilities(uint64_t keep)
{
	struct __user_cap_header_struct h = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct d[2];

	if (syscall(SYS_capget, &h, d) < 0)
		return -errno;
	for (unsigned i = 0; i < 2; i++) {
		d[i].permitted &= (uint32_t)(keep >> (32 * i));
		d[i].effective = d[i].permitted;
		d[i].inheritable = 0;
	}
	return syscall(SYS_capset, &h, d) < 0 ? -errno : 0;
}

int confine_no_capabilities(void)
{
	if (CONFINE_OFF)
		return 0;
	/* root's exec would bring them back, and forget PR_SET_PDEATHSIG on the way */
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? -errno : set_capabilities(0);
}

int confine_process(uint64_t keep, struct err *e)
{
	struct rlimit none = { 0, 0 };

	if (CONFINE_OFF)
		return 0;
	setrlimit(RLIMIT_CORE, &none);
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	/* who may not take from the bounding set has nothing in it that counts: see NO_NEW_PRIVS */
	for (int cap = 0; cap <= CAP_LAST_CAP; cap++) {
		if (!(keep >> cap & 1))
			prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
	}
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return err_sys(e, "give up privileges");
	if (set_capabilities(keep) < 0)
		return err_sys(e, "give up capabilities");
	return 0;
}

int confine_thread(const struct confine *c, struct err *e)
{
	int rc;

	if (CONFINE_OFF)
		return 0;
	if (c->rules >= 0 && syscall(SYS_landlock_restrict_self, c->rules, 0) < 0)
		return err_sys(e, "confine %s to its files", c->name);
	if (!confine_has_seccomp())
		return 0;
	rc = filter_calls(c);
	if (rc < 0)
		return err_set(e, -rc, "confine %s to its system calls: %s", c->name,
			       strerror(-rc));
	return 0;
}

void confine_thread_or_die(const struct confine *c)
{
	struct err e = ERR_INIT;

	if (confine_thread(c, &e) == 0)
		return;
	log_warn("%s", e.msg);
	abort();
}
