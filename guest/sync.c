/* sync.c: what the container wrote goes to the host: when it ends, and when the host asks. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest/agent.h"
#include "guest/sys.h"
#include "runtime/base/own.h"
#include "vsock/codec.h"

/* One SYNC: a process of its own waits for the disk, so that the agent need not. */
struct syncing {
	struct syncing *next;
	uint32_t request;
	pid_t pid;
	int pidfd;
	struct loop_watch *watch;
};

static int sync_mount(int mount)
{
	own_fd int fd = -1;

	if (mount < 0)
		return 0;
	fd = openat(mount, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 || syncfs(fd) < 0 ? -errno : 0;
}

int sync_mounts(const struct agent *a, bool root)
{
	int rc = sync_mount(a->host_fs), rc_root = root ? sync_mount(a->root_fs) : 0;

	return rc < 0 ? rc : rc_root;
}

static void answer(struct agent *a, uint32_t request, int error)
{
	struct wire_synced m = { .request = request, .error = (uint32_t)error };

	wire_put_synced(&a->out, &m);
	serve_flush(a);
}

static void on_exit_of_one(void *arg, uint32_t events)
{
	(void)events;
	task_reap(arg);
}

static int launch(struct agent *a, struct syncing *s)
{
	struct err e = ERR_INIT;

	s->pid = fork();
	if (s->pid == 0)
		_exit(-sync_mounts(a, true)); /* an errno of the kernel's fits */
	if (s->pid < 0)
		return errno;
	s->pidfd = sys_pidfd_open(s->pid);
	if (s->pidfd >= 0)
		s->watch = loop_add(a->loop, s->pidfd, EPOLLIN, on_exit_of_one, a, &e);
	return s->watch ? 0 : EAGAIN;
}

static void drop(struct agent *a, struct syncing *s)
{
	struct syncing **at = &a->syncs;

	while (*at != s)
		at = &(*at)->next;
	*at = s->next;
	loop_del(s->watch);
	if (s->pidfd >= 0)
		close(s->pidfd);
	free(s);
}

void sync_start(struct agent *a, const struct wire_sync *m)
{
	struct syncing *s = xcalloc(1, sizeof(*s));
	int error;

	*s = (struct syncing){ .next = a->syncs, .request = m->request, .pid = -1, .pidfd = -1 };
	a->syncs = s;
	error = launch(a, s);
	if (error == 0)
		return;
	drop(a, s);
	answer(a, m->request, error);
}

void sync_exited(struct agent *a, pid_t pid, int status)
{
	struct syncing *s = a->syncs;
	uint32_t request;

	while (s && s->pid != pid)
		s = s->next;
	if (s == NULL)
		return;
	request = s->request;
	drop(a, s);
	answer(a, request, WIFEXITED(status) ? WEXITSTATUS(status) : EINTR);
}
