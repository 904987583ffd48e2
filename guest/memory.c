/* memory.c: memory that comes when the container needs it. */
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/sysinfo.h>

#include "guest/agent.h"
#include "runtime/base/fd.h"
#include "runtime/base/own.h"
#include "vsock/codec.h"

/*
 * Theory of operation.
 *
 * -m is the container's cgroup's memory.max (limits.c): past it the kernel's
 * OOM killer strikes in the container, as with docker.
 *
 * Without -m the VM starts small and has room for more: virtio-mem's driver
 * adds what the host offers, and the host offers what we ask for (MEMORY).
 * To know when, without looking again and again, the cgroup gets a
 * memory.high below what there is. A task that crosses it is throttled by the
 * kernel, the more the further it goes, and memory.events, which we watch,
 * tells us. There are two such marks: at `soft` we ask, and lift the mark to
 * `hard`, so that as a rule nobody has to wait; from `hard` on tasks are held
 * up until the memory has come, before anybody would have to be killed. The
 * kernel announces each block that is put to use by a uevent, and the marks
 * move up.
 *
 * Page cache alone is no reason to grow: beyond CACHE_FREE the kernel rather
 * drops what was read. Without any more room, or when what we asked for does
 * not come, the mark is taken away, and the VM is what limits.
 *
 * Memory is never given back as such: what the container frees, the balloon's
 * free page reports return to the host.
 */
#define MIB	   (1ULL << 20)
#define BLOCK	   (128 * MIB) /* what the kernel puts to use as one */
#define CACHE_FREE (512 * MIB)
/* What is not the container's: page structures of the next blocks, buffers, watermarks. */
#define RESERVE	     (8 * MIB)
#define RESERVE_PART 16
/* `soft` is so much of the whole below `hard`. */
#define SOFT_PART 8
/* How long it may take until memory that was asked for comes. */
#define PATIENCE_NS (5ULL * 1000000000)

#define STAT_MAX   8192
#define UEVENT_MAX 4096

struct memory {
	struct agent *agent;
	int events, uevents;
	struct loop_watch *events_watch, *uevents_watch;
	struct loop_timer *patience; /* runs while we wait for what we asked for */
	uint64_t start, total;	     /* MemTotal, at the start and now */
	uint64_t others;	     /* not the container's, at the start */
	uint64_t room, asked;	     /* of the host */
};

static void write_high(const struct memory *m, const char *text)
{
	struct err e = ERR_INIT;

	if (cgroup_write(m->agent, "memory.high", text, &e) < 0)
		agent_say("%s", e.msg);
}

static void set_mark(const struct memory *m, uint64_t bytes)
{
	own_free char *text = xasprintf("%llu", (unsigned long long)bytes);

	write_high(m, text);
}

static uint64_t mem_total(uint64_t *unused)
{
	struct sysinfo si;

	if (sysinfo(&si) < 0)
		return 0;
	if (unused)
		*unused = (uint64_t)si.freeram * si.mem_unit;
	return (uint64_t)si.totalram * si.mem_unit;
}

static uint64_t hard_mark(const struct memory *m)
{
	uint64_t others = m->others + RESERVE + m->total / RESERVE_PART;

	return m->total > 2 * others ? m->total - others : m->total / 2;
}

static uint64_t soft_mark(const struct memory *m)
{
	return hard_mark(m) - m->total / SOFT_PART;
}

static uint64_t read_number(int dir, const char *name)
{
	own_str struct str text = STR_INIT;

	return file_read(dir, name, STAT_MAX, &text, NULL) < 0 ? 0 : strtoull(text.s, NULL, 10);
}

static uint64_t stat_value(const char *stat, const char *key)
{
	const char *at = strstr(stat, key);

	return at ? strtoull(at + strlen(key), NULL, 10) : 0;
}

/* What the container uses, and what of it is page cache that is not worth growing for. */
static uint64_t used(const struct memory *m, uint64_t *surplus)
{
	uint64_t all = read_number(m->agent->cgroup, "memory.current"), cache;
	own_str struct str stat = STR_INIT;

	*surplus = 0;
	if (file_read(m->agent->cgroup, "memory.stat", STAT_MAX, &stat, NULL) < 0)
		return all;
	cache = stat_value(stat.s, "\nactive_file ") + stat_value(stat.s, "\ninactive_file ");
	if (cache > CACHE_FREE)
		*surplus = cache - CACHE_FREE < all ? cache - CACHE_FREE : all;
	return all;
}

/* From here on the VM is what limits. */
static void let_go(struct memory *m)
{
	loop_cancel(m->patience);
	loop_del(m->events_watch);
	m->patience = NULL;
	m->events_watch = NULL;
	write_high(m, "max");
}

static void no_patience(void *arg)
{
	struct memory *m = arg;

	m->patience = NULL;
	agent_say("memory that was asked for did not come");
	let_go(m);
}

static void ask(struct memory *m)
{
	uint64_t step = m->total / 2 + BLOCK - 1, left = m->room - m->asked;
	struct wire_memory w;

	step -= step % BLOCK;
	m->asked += step < left ? step : left;
	w.bytes = m->asked;
	wire_put_memory(&m->agent->out, &w);
	serve_flush(m->agent);
	m->patience = loop_after(m->agent->loop, PATIENCE_NS, no_patience, m);
}

/* Sets the mark to what there is, and asks for more if that will not do. */
static void review(struct memory *m)
{
	uint64_t surplus, all = used(m, &surplus);
	bool high = all >= soft_mark(m);

	if (all - surplus >= soft_mark(m) && m->patience == NULL) {
		if (m->asked >= m->room) {
			let_go(m);
			return;
		}
		ask(m);
	}
	/* A mark below what is in use would have us search for what can be dropped. */
	set_mark(m, high || m->patience ? hard_mark(m) : soft_mark(m));
}

/* Reading it is what makes the next change be told. */
static void read_events(const struct memory *m)
{
	char text[256];

	if (pread(m->events, text, sizeof(text), 0) < 0)
		agent_say("memory.events: %s", strerror(errno));
}

static void on_events(void *arg, uint32_t events)
{
	struct memory *m = arg;

	(void)events;
	read_events(m);
	review(m);
}

static void on_uevent(void *arg, uint32_t events)
{
	struct memory *m = arg;
	char text[UEVENT_MAX];
	uint64_t total;

	(void)events;
	while (recv(m->uevents, text, sizeof(text), MSG_DONTWAIT) > 0)
		;
	total = mem_total(NULL);
	if (total <= m->total)
		return;
	m->total = total;
	/* a page here and there of a block is the kernel's own */
	if (m->patience && total - m->start + BLOCK / 2 >= m->asked) {
		loop_cancel(m->patience);
		m->patience = NULL;
	}
	if (m->events_watch)
		review(m);
}

static int open_uevents(void)
{
	struct sockaddr_nl name = { .nl_family = AF_NETLINK, .nl_groups = 1 };
	own_fd int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
			       NETLINK_KOBJECT_UEVENT);

	if (fd < 0 || bind(fd, (struct sockaddr *)&name, sizeof(name)) < 0)
		return -errno;
	return steal_fd(&fd);
}

/* Nothing comes unasked; who cannot ask has what it has. */
static void watch(struct memory *m)
{
	struct agent *a = m->agent;
	struct err e = ERR_INIT;

	m->events = openat(a->cgroup, "memory.events", O_RDONLY | O_CLOEXEC);
	m->uevents = open_uevents();
	if (m->events < 0 || m->uevents < 0) {
		agent_say("memory: %s", strerror(errno));
		return;
	}
	read_events(m);
	m->uevents_watch = loop_add(a->loop, m->uevents, EPOLLIN, on_uevent, m, &e);
	m->events_watch = loop_add(a->loop, m->events, EPOLLPRI, on_events, m, &e);
	if (m->uevents_watch && m->events_watch)
		set_mark(m, soft_mark(m));
}

void memory_apply(struct agent *a, const struct wire_boot *b)
{
	uint64_t unused = 0;
	struct memory *m;

	if (b->memory_room == 0)
		return;
	m = a->memory = xcalloc(1, sizeof(*m));
	m->agent = a;
	m->room = b->memory_room;
	m->start = m->total = mem_total(&unused);
	m->others = m->total - unused;
	if (cgroup_enable(a, "memory", NULL) < 0)
		return; /* a kernel without it: the VM's size is the limit */
	oom_watch(a);
	watch(m);
}

uint64_t memory_limit(const struct agent *a)
{
	const struct memory *m = a->memory;

	if (a->limits.memory_max)
		return a->limits.memory_max;
	return m ? m->start + m->room : mem_total(NULL);
}
