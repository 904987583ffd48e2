/* usage.c: a client's end of QUERY, and what a container takes of the host; see usage.h. */
#include "runtime/box/usage.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "runtime/base/fd.h"
#include "runtime/base/own.h"
#include "runtime/box/client.h"
#include "runtime/box/ctl.h"
#include "vsock/codec.h"

#define PROC_FILE_MAX (64U << 10)
/* More than a holder ever writes. */
#define ANSWER_MAX (2 * WIRE_PROCESSES_MAX)

int box_usage_ask(struct box_client *c, bool processes, int *fd, struct err *e)
{
	struct ctl_msg m = { .type = CTL_QUERY, .task = processes };
	own_fd int file = memfd_create("usage", MFD_CLOEXEC);
	int rc;

	*fd = -1;
	if (file < 0)
		return err_sys(e, "memfd_create");
	rc = client_post(c, &m, &file, 1, e);
	if (rc == 0)
		*fd = steal_fd(&file);
	return rc;
}

static int add_process(struct box_usage *u, const struct wire_frame *f)
{
	struct wire_process *p;

	/* doubled whenever it is full */
	if ((u->nprocesses & (u->nprocesses - 1)) == 0)
		u->processes = xrealloc(u->processes,
					(u->nprocesses ? 2 * u->nprocesses : 1) * sizeof(*p));
	p = &u->processes[u->nprocesses];
	if (wire_get_process(f->payload, f->len, p) < 0)
		return -EPROTO;
	u->nprocesses++;
	return 0;
}

static int read_answer(const struct str *text, struct box_usage *u)
{
	size_t at = sizeof(u->host);
	struct wire_frame f;

	if (text->len < at)
		return -EPROTO;
	memcpy(&u->host, text->s, at);
	while (wire_frame_next(text->s + at, text->len - at, &f) == 1) {
		at += f.used;
		if (f.type == WIRE_STATS)
			return wire_get_stats(f.payload, f.len, &u->stats);
		if (f.type != WIRE_PROCESS || add_process(u, &f) < 0)
			return -EPROTO;
	}
	return -EPROTO;
}

int box_usage_take(struct box_client *c, int *fd, struct box_usage *u, struct err *e)
{
	own_str struct str text = STR_INIT;
	own_fd int file = steal_fd(fd);
	char path[64];
	int rc = client_reply(c, NULL, e);

	memset(u, 0, sizeof(*u));
	if (rc < 0)
		return rc;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
	rc = file_read(AT_FDCWD, path, ANSWER_MAX, &text, e);
	if (rc == 0 && read_answer(&text, u) < 0)
		rc = err_set(e, EPROTO, "the container's zl process gave a malformed answer");
	if (rc < 0)
		box_usage_free(u);
	return rc;
}

void box_usage_free(struct box_usage *u)
{
	for (size_t i = 0; i < u->nprocesses; i++)
		wire_process_free(&u->processes[i]);
	free(u->processes);
	memset(u, 0, sizeof(*u));
}

/* --- the host's memory */

struct resident {
	uint64_t anon, shared;
};

static uint64_t kib_of(const char *status, const char *key)
{
	const char *at = strstr(status, key);

	return at ? strtoull(at + strlen(key), NULL, 10) * 1024 : 0;
}

static int resident_of(long pid, struct resident *r)
{
	own_str struct str text = STR_INIT;
	char path[64];
	int rc;

	snprintf(path, sizeof(path), "/proc/%ld/status", pid);
	rc = file_read(AT_FDCWD, path, PROC_FILE_MAX, &text, NULL);
	if (rc < 0)
		return rc;
	r->anon += kib_of(text.s, "\nRssAnon:");
	r->shared = kib_of(text.s, "\nRssShmem:");
	return 0;
}

/*
 * The guest's memory is shared by the holder and, with QEMU, by that: it
 * counts once, as the one that has touched more of it sees it.
 */
int box_host_memory(const struct box *b, uint64_t *bytes, struct err *e)
{
	own_str struct str children = STR_INIT;
	struct resident r = { 0 };
	uint64_t shared;
	char path[64], *at, *end;

	if (b->state.pid <= 0 || resident_of(b->state.pid, &r) < 0)
		return err_set(e, ESRCH, "container %s is not running", b->spec.id);
	shared = r.shared;
	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", b->state.pid, b->state.pid);
	if (file_read(AT_FDCWD, path, PROC_FILE_MAX, &children, NULL) == 0) {
		for (at = children.s; at; at = end) {
			long pid = strtol(at, &end, 10);

			if (end == at)
				break;
			if (resident_of(pid, &r) == 0 && r.shared > shared)
				shared = r.shared;
		}
	}
	*bytes = r.anon + shared;
	return 0;
}
