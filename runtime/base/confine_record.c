/* confine_record.c: which of the listed system calls are made, for the tests; see confine.h. */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "runtime/base/confine.h"
#include "runtime/base/str.h"

/*
 * A thread of its own answers the filters, which here ask about every call:
 * it notes the call and lets it go on. What is written:
 *
 *	list THREAD<tab>CALL<tab>WHY	a row; WHY it is rare, or nothing
 *	seen THREAD<tab>CALL		it was made
 *	miss THREAD<tab>NUMBER ARGUMENTS	not listed
 *
 * A thread that confines itself first rings, then installs its filter, whose
 * calls wait until the recorder, having been rung for, has its descriptor.
 */
#define THREADS_MAX 40
#define MISSES_MAX  256

struct recorded {
	const struct confine *c;
	atomic_int listener;
	bool *seen;
};

static struct {
	int fd, bell; /* fd -1: off */
	pthread_mutex_t lock;
	unsigned n;
	struct recorded of[THREADS_MAX];
	struct {
		const struct confine *c;
		int nr;
		uint32_t arg;
	} miss[MISSES_MAX];
	unsigned nmiss;
} rec = { .fd = -1, .bell = -1, .lock = PTHREAD_MUTEX_INITIALIZER };

bool confine_records(void)
{
	return rec.fd >= 0;
}

static void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void say(const char *fmt, ...)
{
	char line[512];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	if (n > 0 && write(rec.fd, line, n < (int)sizeof(line) ? (size_t)n : sizeof(line) - 1) < 0)
		return; /* a test would miss it */
}

static const struct confine_call *row_at(const struct confine *c, size_t row)
{
	unsigned l = 0;

	for (; row >= c->lists[l]->n; l++)
		row -= c->lists[l]->n;
	return &c->lists[l]->calls[row];
}

static size_t rows(const struct confine *c)
{
	size_t n = 0;

	for (unsigned l = 0; l < CONFINE_LISTS_MAX && c->lists[l]; l++)
		n += c->lists[l]->n;
	return n;
}

static void note_missing(const struct confine *c, const struct seccomp_data *d)
{
	for (unsigned i = 0; i < rec.nmiss; i++) {
		if (rec.miss[i].c == c && rec.miss[i].nr == d->nr &&
		    rec.miss[i].arg == (uint32_t)d->args[1])
			return;
	}
	if (rec.nmiss == MISSES_MAX)
		return;
	rec.miss[rec.nmiss].c = c;
	rec.miss[rec.nmiss].nr = d->nr;
	rec.miss[rec.nmiss++].arg = (uint32_t)d->args[1];
	say("miss %s\t%d 0x%llx 0x%llx 0x%llx 0x%llx\n", c->name, d->nr,
	    (unsigned long long)d->args[0], (unsigned long long)d->args[1],
	    (unsigned long long)d->args[2], (unsigned long long)d->args[3]);
}

static void note(struct recorded *r, const struct seccomp_data *d)
{
	uint64_t args[6];
	size_t row;

	for (unsigned i = 0; i < 6; i++)
		args[i] = d->args[i];
	if (!confine_lists(r->c, d->nr, args, &row)) {
		note_missing(r->c, d);
	} else if (!r->seen[row]) {
		r->seen[row] = true;
		say("seen %s\t%s\n", r->c->name, row_at(r->c, row)->name);
	}
}

static void answer(struct recorded *r)
{
	struct seccomp_notif in = { 0 };
	struct seccomp_notif_resp out = { .flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE };

	if (ioctl(r->listener, SECCOMP_IOCTL_NOTIF_RECV, &in) < 0)
		return; /* a signal took the call back */
	note(r, &in.data);
	out.id = in.id;
	ioctl(r->listener, SECCOMP_IOCTL_NOTIF_SEND, &out);
}

/* Takes in the thread that has rung. */
static void admit(struct pollfd *fds, unsigned *n)
{
	struct recorded *r = &rec.of[*n];
	uint64_t count;

	if (read(rec.bell, &count, sizeof(count)) < 0)
		return;
	while (atomic_load(&r->listener) == 0)
		sched_yield();
	fds[++*n] = (struct pollfd){ .fd = atomic_load(&r->listener), .events = POLLIN };
	r->seen = xcalloc(rows(r->c), sizeof(*r->seen));
	for (size_t i = 0; i < rows(r->c); i++) {
		const struct confine_call *row = row_at(r->c, i);

		say("list %s\t%s\t%s\n", r->c->name, row->name, row->rare ? row->rare : "");
	}
}

static void *record(void *arg)
{
	struct pollfd fds[THREADS_MAX + 1] = { { .fd = rec.bell, .events = POLLIN } };
	unsigned n = 0;

	(void)arg;
	for (;;) {
		if (poll(fds, n + 1, -1) < 0)
			continue;
		for (unsigned i = 1; i <= n; i++) {
			if (fds[i].revents & POLLIN)
				answer(&rec.of[i - 1]);
			else if (fds[i].revents) /* its thread has ended */
				fds[i].fd = -1;
		}
		if (fds[0].revents & POLLIN)
			admit(fds, &n);
	}
	return NULL;
}

void confine_record_start(void)
{
	const char *path = getenv("ZL_CONFINE_RECORD");
	sigset_t all, old;
	pthread_t thread;

	if (path == NULL || path[0] != '/')
		return;
	rec.fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	rec.bell = eventfd(0, EFD_CLOEXEC | EFD_SEMAPHORE);
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &old);
	if (rec.fd < 0 || rec.bell < 0 || pthread_create(&thread, NULL, record, NULL) != 0)
		abort(); /* a record was asked for */
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}

int confine_record_thread(const struct confine *c)
{
	struct sock_filter code[CONFINE_FILTER_MAX];
	struct sock_fprog prog = { .filter = code };
	struct recorded *r;
	uint64_t one = 1;
	long fd = -ENOSPC;

	prog.len = (unsigned short)confine_compile(c, SECCOMP_RET_USER_NOTIF,
						   SECCOMP_RET_USER_NOTIF, code);
	pthread_mutex_lock(&rec.lock);
	r = &rec.of[rec.n];
	if (rec.n < THREADS_MAX && write(rec.bell, &one, sizeof(one)) > 0) {
		r->c = c;
		rec.n++;
		fd = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER,
			     &prog);
		if (fd < 0)
			abort(); /* the recorder waits for it */
		atomic_store(&r->listener, (int)fd);
	}
	pthread_mutex_unlock(&rec.lock);
	return fd < 0 ? (int)fd : 0;
}
