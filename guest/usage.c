/* usage.c: what the container uses, and its processes: the answer to QUERY. */
#include "guest/usage.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "guest/agent.h"
#include "guest/child.h"
#include "runtime/base/fd.h"
#include "runtime/base/own.h"
#include "vsock/codec.h"

/*
 * Nothing here runs unless the host asks. Processes are read from a /proc of
 * the agent's own, which shows all of the VM's; those that have a number in
 * the container's PID namespace, the agent's child, are the container's. One
 * that ends while it is looked at is left out.
 */

/* Longest file of a process's but its command line. */
#define PROC_FILE_MAX (16U << 10)
/* So many bytes of command lines are told; the other processes have names only. */
#define COMMANDS_MAX	 (1U << 20)
#define CGROUP_DEPTH_MAX 16

/* ---- one process */

/* The rest of the line that begins with key; NULL. */
static const char *line_of(const char *text, const char *key)
{
	size_t n = strlen(key);

	for (const char *at = text; at; at = strchr(at, '\n')) {
		at += *at == '\n';
		if (strncmp(at, key, n) == 0)
			return at + n;
	}
	return NULL;
}

/* The i-th number of the line, counted from 0; false if it has fewer. */
static bool number_of(const char *text, const char *key, unsigned i, uint64_t *out)
{
	const char *at = line_of(text, key);

	for (; at; i--) {
		char *end;

		at += strspn(at, " \t");
		if (*at < '0' || *at > '9')
			return false;
		*out = strtoull(at, &end, 10);
		if (i == 0)
			return true;
		at = end;
	}
	return false;
}

static uint32_t id_of(const char *status, const char *key, unsigned i)
{
	uint64_t v = 0;

	return number_of(status, key, i, &v) ? (uint32_t)v : 0;
}

/* Numbers of /proc/PID/stat, from the one after the name on: proc(5) counts them from 3. */
#define STAT_FIRST 3
enum {
	STAT_TTY = 7,
	STAT_TPGID = 8,
	STAT_PGRP = 5,
	STAT_UTIME = 14,
	STAT_STIME = 15,
	STAT_PRIORITY = 18,
	STAT_NICE = 19,
	STAT_THREADS = 20,
	STAT_START = 22,
	STAT_VSIZE = 23,
	STAT_RSS = 24,
	STAT_COUNT,
};

/* False if there are too few. The name may hold anything, parentheses too. */
static bool stat_numbers(const char *stat, char *state, int64_t v[STAT_COUNT])
{
	const char *at = strrchr(stat, ')');

	if (at == NULL || at[1] != ' ' || at[2] == 0)
		return false;
	*state = at[2];
	at += 3;
	for (int i = STAT_FIRST + 1; i < STAT_COUNT; i++) {
		char *end;

		v[i] = strtoll(at, &end, 10);
		if (end == at)
			return false;
		at = end;
	}
	return true;
}

static uint64_t ticks_ms(int64_t ticks, const struct usage_clock *clock)
{
	return ticks > 0 ? (uint64_t)ticks * 1000 / clock->ticks : 0;
}

bool usage_process(const char *stat, const char *status, const struct usage_clock *clock,
		   struct wire_process *p, uint32_t *parent)
{
	int64_t v[STAT_COUNT];
	uint64_t pid, started;
	char state;

	/* the first is the agent's number, the second the container's */
	if (!number_of(status, "NSpid:", 1, &pid) || !stat_numbers(stat, &state, v))
		return false;
	if (state < 'A' || state > 'z')
		return false;
	p->pid = (uint32_t)pid;
	p->pgid = id_of(status, "NSpgid:", 1);
	p->sid = id_of(status, "NSsid:", 1);
	p->ruid = id_of(status, "Uid:", 0);
	p->uid = id_of(status, "Uid:", 1);
	p->rgid = id_of(status, "Gid:", 0);
	p->gid = id_of(status, "Gid:", 1);
	p->tty = (uint32_t)v[STAT_TTY];
	p->threads = (uint32_t)v[STAT_THREADS];
	p->nice = (uint32_t)(v[STAT_NICE] + 20);
	p->priority = (uint32_t)(v[STAT_PRIORITY] + 100);
	p->state = (uint8_t)state;
	p->foreground = v[STAT_TPGID] > 0 && v[STAT_TPGID] == v[STAT_PGRP];
	p->cpu_ms = ticks_ms(v[STAT_UTIME] + v[STAT_STIME], clock);
	started = ticks_ms(v[STAT_START], clock);
	p->age_ms = clock->now_ms > started ? clock->now_ms - started : 0;
	p->virtual_size = (uint64_t)v[STAT_VSIZE];
	p->resident_size = (uint64_t)v[STAT_RSS] * clock->page_size;
	*parent = id_of(status, "PPid:", 0);
	return true;
}

char *usage_command(const char *cmdline, size_t n, const char *name)
{
	char *s;

	while (n && (cmdline[n - 1] == 0 || cmdline[n - 1] == ' '))
		n--;
	if (n == 0)
		return xasprintf("[%s]", name);
	if (n > WIRE_COMMAND_MAX)
		n = WIRE_COMMAND_MAX;
	s = xmalloc(n + 1);
	for (size_t i = 0; i < n; i++)
		s[i] = cmdline[i] ? cmdline[i] : ' ';
	s[n] = 0;
	return s;
}

/* ---- all of them */

struct found {
	struct wire_process p;
	uint32_t agent_pid, agent_parent;
};

struct list {
	struct found *v;
	size_t n, cap;
	size_t commands; /* bytes */
};

/* A file of a process's; empty when it has ended meanwhile. */
static void read_some(int dir, const char *name, size_t max, struct str *out)
{
	own_fd int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	ssize_t n = 1;

	out->len = 0;
	str_reserve(out, max);
	while (fd >= 0 && out->len < max && n > 0) {
		n = read(fd, out->s + out->len, max - out->len);
		out->len += n > 0 ? (size_t)n : 0;
	}
	out->s[out->len] = 0;
}

/* The program's name, between the parentheses. */
static char *name_of(const char *stat)
{
	const char *from = strchr(stat, '('), *to = strrchr(stat, ')');

	return from && to && to > from ? xstrndup(from + 1, (size_t)(to - from - 1)) : xstrdup("");
}

static void look_at(struct list *l, int proc, const char *pid, const struct usage_clock *clock)
{
	own_str struct str stat = STR_INIT, text = STR_INIT;
	own_fd int dir = openat(proc, pid, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct found f = { .agent_pid = (uint32_t)strtoul(pid, NULL, 10) };

	if (dir < 0)
		return;
	read_some(dir, "stat", PROC_FILE_MAX, &stat);
	read_some(dir, "status", PROC_FILE_MAX, &text);
	if (!usage_process(stat.s, text.s, clock, &f.p, &f.agent_parent))
		return;
	f.p.name = name_of(stat.s);
	text.len = 0;
	if (l->commands < COMMANDS_MAX)
		read_some(dir, "cmdline", WIRE_COMMAND_MAX, &text);
	f.p.command = usage_command(text.s, text.len, f.p.name);
	l->commands += text.len;
	if (l->n == l->cap) {
		l->cap = l->cap ? 2 * l->cap : 64;
		l->v = xrealloc(l->v, l->cap * sizeof(*l->v));
	}
	l->v[l->n++] = f;
}

static void find_processes(struct list *l, int proc)
{
	struct usage_clock clock = { .ticks = (uint32_t)sysconf(_SC_CLK_TCK),
				     .page_size = (uint32_t)sysconf(_SC_PAGESIZE) };
	int fd = openat(proc, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct timespec ts;
	struct dirent *entry;

	clock_gettime(CLOCK_BOOTTIME, &ts);
	clock.now_ms = (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
	while (d && (entry = readdir(d)))
		if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9')
			look_at(l, proc, entry->d_name, &clock);
	if (d)
		closedir(d);
	else if (fd >= 0)
		close(fd);
}

static uint32_t in_container(const struct list *l, uint32_t agent_pid)
{
	for (size_t i = 0; i < l->n; i++)
		if (l->v[i].agent_pid == agent_pid)
			return l->v[i].p.pid;
	return 0;
}

static void put_processes(struct str *out, uint32_t query, int proc)
{
	struct list l = { 0 };
	size_t before = out->len;

	find_processes(&l, proc);
	for (size_t i = 0; i < l.n; i++) {
		struct wire_process *p = &l.v[i].p;
		size_t at = out->len;

		p->query = query;
		p->ppid = in_container(&l, l.v[i].agent_parent);
		wire_put_process(out, p);
		if (out->len - before > WIRE_PROCESSES_MAX)
			out->len = at;
	}
	for (size_t i = 0; i < l.n; i++)
		wire_process_free(&l.v[i].p);
	free(l.v);
}

/* ---- the whole */

void usage_net(const char *dev, uint64_t *rx, uint64_t *tx)
{
	*rx = *tx = 0;
	for (const char *line = dev; line; line = strchr(line, '\n')) {
		const char *name = line + strspn(line, "\n "), *colon = strchr(name, ':');
		const char *end = name + strcspn(name, "\n");
		unsigned long long v[9] = { 0 };

		line = end;
		if (colon == NULL || colon > end || strncmp(name, "lo:", 3) == 0)
			continue;
		if (sscanf(colon + 1, "%llu%llu%llu%llu%llu%llu%llu%llu%llu", v, v + 1, v + 2,
			   v + 3, v + 4, v + 5, v + 6, v + 7, v + 8) != 9)
			continue;
		*rx += v[0];
		*tx += v[8];
	}
}

/* Threads in a cgroup and those below it: what pids.current says where there is that. */
static uint32_t count_threads(int cgroup, unsigned depth)
{
	own_str struct str text = STR_INIT;
	DIR *d = NULL;
	struct dirent *entry;
	uint32_t n = 0;
	int fd;

	if (file_read(cgroup, "cgroup.threads", 4U << 20, &text, NULL) == 0)
		for (size_t i = 0; i < text.len; i++)
			n += text.s[i] == '\n';
	fd = depth < CGROUP_DEPTH_MAX ? openat(cgroup, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
				      : -1;
	if (fd >= 0)
		d = fdopendir(fd);
	while (d && (entry = readdir(d))) {
		own_fd int below = -1;

		if (entry->d_type != DT_DIR || entry->d_name[0] == '.')
			continue;
		below = openat(cgroup, entry->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (below >= 0)
			n += count_threads(below, depth + 1);
	}
	if (d)
		closedir(d);
	return n;
}

static uint32_t pids_of(const struct agent *a)
{
	own_str struct str text = STR_INIT;

	if (file_read(a->cgroup, "pids.current", PROC_FILE_MAX, &text, NULL) == 0)
		return (uint32_t)strtoul(text.s, NULL, 10);
	return count_threads(a->cgroup, 0);
}

static uint64_t cpu_ns(const struct agent *a)
{
	own_str struct str text = STR_INIT;
	uint64_t us = 0;

	if (file_read(a->cgroup, "cpu.stat", PROC_FILE_MAX, &text, NULL) == 0)
		number_of(text.s, "usage_usec ", 0, &us);
	return us * 1000;
}

/* Without the controller there is the VM's, of which little is not the container's. */
static void memory_of_vm(int proc, struct wire_stats *m)
{
	own_str struct str text = STR_INIT;
	uint64_t anon = 0, cached = 0;

	if (file_read(proc, "meminfo", PROC_FILE_MAX, &text, NULL) < 0)
		return;
	number_of(text.s, "AnonPages:", 0, &anon);
	number_of(text.s, "Cached:", 0, &cached);
	number_of(text.s, "Inactive(file):", 0, &m->memory_cache);
	m->memory = (anon + cached) * 1024;
	m->memory_cache *= 1024;
}

static void memory_of(const struct agent *a, int proc, struct wire_stats *m)
{
	own_str struct str current = STR_INIT, text = STR_INIT;

	m->memory_max = memory_limit(a);
	if (file_read(a->cgroup, "memory.current", PROC_FILE_MAX, &current, NULL) < 0) {
		memory_of_vm(proc, m);
		return;
	}
	m->memory = strtoull(current.s, NULL, 10);
	if (file_read(a->cgroup, "memory.stat", PROC_FILE_MAX, &text, NULL) == 0)
		number_of(text.s, "inactive_file ", 0, &m->memory_cache);
}

void usage_answer(struct agent *a, const struct wire_query *q)
{
	own_fd int proc = mount_proc(NULL);
	own_str struct str dev = STR_INIT;
	struct wire_stats m = { .query = q->id };
	struct timespec ts;

	if (proc >= 0 && q->processes)
		put_processes(&a->out, q->id, proc);
	clock_gettime(CLOCK_MONOTONIC, &ts);
	m.clock_ns = (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
	m.cpu_ns = cpu_ns(a);
	m.pids = pids_of(a);
	memory_of(a, proc, &m);
	if (proc >= 0 && file_read(proc, "self/net/dev", PROC_FILE_MAX, &dev, NULL) == 0)
		usage_net(dev.s, &m.net_rx, &m.net_tx);
	if (m.memory_cache > m.memory)
		m.memory_cache = m.memory;
	wire_put_stats(&a->out, &m);
	serve_flush(a);
}
