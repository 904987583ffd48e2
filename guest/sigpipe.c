/* sigpipe.c: would the container's PID 1 have died of SIGPIPE were it an ordinary process? */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "guest/agent.h"
#include "guest/child.h"
#include "runtime/base/fd.h"
#include "runtime/base/own.h"

/*
 * The kernel spares the init of a PID namespace every signal it has no
 * handler for. So a workload that is PID 1 survives a write into a pipe
 * nobody reads: a loop of a shell's would go on for ever, where in any
 * pipeline it ends by SIGPIPE. The agent makes up for that: it notices the
 * first write after the reader went away, and if PID 1 must have been the
 * writer and neither handles nor ignores SIGPIPE, ends it as the signal would
 * have. Other processes meet the signal by themselves.
 */

#define TEXT_MAX (64 << 10)

/* The hexadecimal mask behind `name` in a status file; all ones if it is not there. */
static uint64_t mask_of(const char *status, const char *name)
{
	const char *at = strstr(status, name);

	return at ? strtoull(at + strlen(name), NULL, 16) : UINT64_MAX;
}

bool sigpipe_status_is_default(const char *status)
{
	uint64_t bit = 1ULL << (SIGPIPE - 1);

	return !(mask_of(status, "\nSigBlk:") & bit) && !(mask_of(status, "\nSigIgn:") & bit) &&
	       !(mask_of(status, "\nSigCgt:") & bit);
}

static bool has_default(pid_t pid)
{
	own_str struct str status = STR_INIT;
	own_free char *path = xasprintf("%d/status", (int)pid);
	own_fd int proc = mount_proc(NULL);

	return proc >= 0 && file_read(proc, path, TEXT_MAX, &status, NULL) == 0 &&
	       sigpipe_status_is_default(status.s);
}

/* Nothing but `pid` in the container. */
static bool is_alone(const struct agent *a, pid_t pid)
{
	own_str struct str procs = STR_INIT;
	char *end;

	if (file_read(a->cgroup, "cgroup.procs", TEXT_MAX, &procs, NULL) < 0)
		return false;
	return strtol(procs.s, &end, 10) == pid && strcmp(end, "\n") == 0;
}

bool sigpipe_is_deadly(const struct agent *a, pid_t pid)
{
	return is_alone(a, pid) && has_default(pid);
}
