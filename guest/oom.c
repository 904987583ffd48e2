/* oom.c: tells the host when the OOM killer strikes in the container. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "guest/agent.h"
#include "guest/child.h"
#include "runtime/base/fd.h"
#include "runtime/base/own.h"
#include "vsock/codec.h"

/*
 * As docker has it: whoever was killed in the container, it "was OOM killed".
 * The kernel counts per cgroup where the memory controller is on, and tells of
 * each change. Where it is not, the machine is what limits: then its own count
 * is looked at when task 1 was killed.
 */
#define EVENTS_MAX 512
#define VMSTAT_MAX (64 << 10)

static uint64_t kills(const char *text)
{
	const char *at = strstr(text, "\noom_kill ");

	return at ? strtoull(at + strlen("\noom_kill "), NULL, 10) : 0;
}

/* Reading it is also what makes the next change be told. */
static void look(struct agent *a)
{
	char text[EVENTS_MAX];
	ssize_t n = pread(a->oom_events, text, sizeof(text) - 1, 0);
	struct wire_oom m;

	text[n > 0 ? n : 0] = 0;
	m.kills = kills(text);
	if (m.kills <= a->oom_seen)
		return;
	a->oom_seen = m.kills;
	wire_put_oom(&a->out, &m);
	serve_flush(a);
}

static void on_events(void *arg, uint32_t events)
{
	(void)events;
	look(arg);
}

void oom_watch(struct agent *a)
{
	struct err e = ERR_INIT;

	if (a->oom_events >= 0)
		return;
	a->oom_events = openat(a->cgroup, "memory.events", O_RDONLY | O_CLOEXEC);
	if (a->oom_events < 0) {
		agent_say("memory.events: %s", strerror(errno));
		return;
	}
	look(a);
	if (loop_add(a->loop, a->oom_events, EPOLLPRI, on_events, a, &e) == NULL)
		agent_say("%s", e.msg);
}

bool oom_struck(struct agent *a, bool killed)
{
	own_str struct str text = STR_INIT;
	own_fd int proc = -1;

	if (a->oom_events >= 0) {
		look(a); /* its word may wait still */
		return a->oom_seen > 0;
	}
	proc = killed ? mount_proc(NULL) : -1;
	return proc >= 0 && file_read(proc, "vmstat", VMSTAT_MAX, &text, NULL) == 0 &&
	       kills(text.s) > 0;
}
