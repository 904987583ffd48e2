/* confine.c: what the holder's threads may do once the guest runs; see base/confine.h. */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "runtime/base/confine.h"
#include "runtime/base/own.h"
#include "runtime/box/holder.h"
#include "runtime/box/publish.h"
#include "runtime/box/state.h"
#include "runtime/virtio/fs.h"
#include "runtime/virtio/net.h"

/*
 * As root, the file servers give files to other users and work on those of
 * others; that is all of root that is needed once the VM was started.
 */
#define KEEP                                                                                      \
	(1ULL << CAP_CHOWN | 1ULL << CAP_DAC_OVERRIDE | 1ULL << CAP_FOWNER | 1ULL << CAP_FSETID | \
	 1ULL << CAP_SETFCAP)

#define RESOLV_CONF "/etc/resolv.conf"
#define WINDOW_RARE "with KVM, of other devices than file systems only: test_virtq"

static const struct confine_call loop_calls[] = {
	/* the loop */
	CONFINE_CALL(epoll_wait),
	CONFINE_CALL(epoll_ctl),
	CONFINE_CALL(futex),
	CONFINE_RARE(clock_gettime, "where the clock cannot be read without a call"),
	CONFINE_CALL(read),
	CONFINE_CALL(write),
	CONFINE_CALL(close),
	CONFINE_CALL(getrandom),
	/* clients, their streams */
	CONFINE_CALL(accept4),
	CONFINE_CALL(getsockopt),
	CONFINE_CALL(geteuid),
	CONFINE_CALL(recvmsg),
	CONFINE_CALL(recvfrom),
	CONFINE_CALL(sendmsg),
	CONFINE_CALL(shutdown),
	CONFINE_CALL(readv),
	CONFINE_CALL(writev),
	CONFINE_RARE(poll, "a terminal that cannot be opened anew: test_stdio"),
	CONFINE_IF(fcntl, 1, F_GETFL),
	CONFINE_IF(fcntl, 1, F_SETFL),
	/* the container's folder: state, log, console */
	CONFINE_CALL(openat),
	CONFINE_CALL(newfstatat),
	CONFINE_CALL(pread64),
	CONFINE_CALL(lseek),
	CONFINE_RARE(ftruncate, "a log on a full disk: test_logfile"),
	CONFINE_CALL(renameat),
	CONFINE_CALL(rename),
	CONFINE_CALL(unlinkat),
	CONFINE_CALL(unlink),
	CONFINE_CALL(readlinkat),
	CONFINE_CALL(getdents64),
	CONFINE_RARE(fchmod, "folders that an ordinary user made unreadable: test_fd"),
	CONFINE_RARE(fchmodat, "folders that an ordinary user made unreadable: test_fd"),
	CONFINE_CALL(flock),
	CONFINE_IF(fcntl, 1, F_SETFD),
	/* a control socket that was lost */
	CONFINE_IF(socket, 0, AF_UNIX),
	CONFINE_CALL(bind),
	CONFINE_CALL(listen),
	CONFINE_CALL(mkdir),
	CONFINE_CALL(umask),
	/* memory */
	CONFINE_CALL(madvise),
	CONFINE_ALLOCATING,
	/* what a guest keeps in the window of mapped files (virtio/bounce.h) */
	{ SYS_process_vm_readv, CONFINE_SELF, 0, 0, "process_vm_readv itself", WINDOW_RARE },
	{ SYS_process_vm_writev, CONFINE_SELF, 0, 0, "process_vm_writev itself", WINDOW_RARE },
	/* the end */
	CONFINE_CALL(exit_group),
	CONFINE_RARE(rt_sigprocmask, "abort()"),
	CONFINE_ABORTING,
};

const struct confine_list holder_loop_calls = { loop_calls,
						sizeof(loop_calls) / sizeof(*loop_calls) };
int confine_holder(struct err *e)
{
	confine_record_start();
	return confine_process(KEEP, e);
}

int confine_keeper(struct err *e)
{
	return confine_process(KEEP, e);
}

static struct confine *of_thread(struct confine *c, const char *name)
{
	*c = (struct confine){ .name = name, .rules = confine_rules_new() };
	return c;
}

/* The container's root: its layers, and what it wrote. */
const struct confine *confine_root_fs(struct holder *h, struct err *e)
{
	struct confine *c = of_thread(&h->confine.root_fs, "fs root");
	own_free char *upper = xasprintf("%s/containers/%s/" BOX_UPPER, h->dirs->root, h->spec->id);
	own_free char *work = xasprintf("%s.work", upper);
	int rc = 0;

	c->lists[0] = &virtio_fs_calls;
	c->lists[1] = &virtio_fs_union_calls;
	for (size_t i = 0; i < h->spec->layers.n && rc == 0; i++)
		rc = confine_rules_add(c->rules, h->spec->layers.v[i], CONFINE_READ, e);
	if (rc == 0)
		rc = confine_rules_add(c->rules, upper, CONFINE_ALL, e);
	if (rc == 0)
		rc = confine_rules_add(c->rules, work, CONFINE_ALL, e);
	return rc < 0 ? NULL : c;
}

/* Folders and files of the host. */
const struct confine *confine_host_fs(struct holder *h, struct err *e)
{
	struct confine *c = of_thread(&h->confine.host_fs, "fs host");

	c->lists[0] = &virtio_fs_calls;
	c->lists[1] = &virtio_fs_bind_calls;
	for (unsigned i = 0; i < h->spec->nmounts; i++) {
		const struct box_mount *m = &h->spec->mounts[i];

		if (m->kind != BOX_MOUNT_TMPFS &&
		    confine_rules_add(c->rules, m->source,
				      m->read_only ? CONFINE_READ : CONFINE_ALL, e) < 0)
			return NULL;
	}
	return c;
}

/*
 * The host's name servers change when it moves between networks; then the file
 * is replaced. Where it is a link into a folder of its own (systemd-resolved,
 * NetworkManager, resolvconf) that folder may be read. In /etc itself there are
 * secrets for root to read, who sees only changes of the file that is there.
 */
static int allow_resolv_conf(int rules, struct err *e)
{
	own_free char *file = realpath(RESOLV_CONF, NULL);
	char *slash = file ? strrchr(file, '/') : NULL;
	int rc = confine_rules_add(rules, RESOLV_CONF, CONFINE_READ, e);

	if (slash == NULL || slash == file || rc < 0)
		return rc;
	*slash = 0;
	return strcmp(file, "/etc") == 0 && geteuid() == 0
		       ? 0
		       : confine_rules_add(rules, file, CONFINE_READ, e);
}

const struct confine *confine_net(struct holder *h, struct err *e)
{
	struct confine *c = &h->confine.net;

	*c = (struct confine){ .name = "net",
			       .lists = { &virtio_net_calls, &net_calls },
			       .rules = confine_rules_new_networked() };
	return allow_resolv_conf(c->rules, e) < 0 ? NULL : c;
}

/*
 * A runtime folder does not outlive its login session: it and what it lies in
 * may have to be made anew, which takes no more than making folders and
 * sockets there.
 */
static int allow_socket(const struct holder *h, int rules, struct err *e)
{
	own_free char *above = xstrdup(h->dirs->runtime);
	int rc = confine_rules_add(rules, h->dirs->runtime, CONFINE_SOCKETS | CONFINE_FILES, e);

	for (int i = 0; i < 2 && rc == 0; i++) {
		char *slash = strrchr(above, '/');

		if (slash == NULL || slash == above)
			break;
		*slash = 0;
		rc = confine_rules_add(rules, above, CONFINE_SOCKETS | CONFINE_NEW_FOLDERS, e);
	}
	return rc;
}

/* --rm: its folder is renamed and its name dropped, under locks. */
static int allow_removal(const struct holder *h, int rules, struct err *e)
{
	own_free char *all = xasprintf("%s/containers", h->dirs->root);
	own_free char *guard = xasprintf("%s/.lock", all);
	own_free char *names = xasprintf("%s/names", h->dirs->root);
	int rc = confine_rules_add(rules, all, CONFINE_FOLDERS, e);

	if (rc == 0)
		rc = confine_rules_add(rules, guard, CONFINE_READ | CONFINE_WRITE, e);
	if (rc == 0)
		rc = confine_rules_add(rules, names, CONFINE_READ | CONFINE_WRITE | CONFINE_FILES,
				       e);
	return rc;
}

/* --rm: it leaves its volumes; those that nobody named go with it. */
static int allow_release(const struct holder *h, int rules, struct err *e)
{
	own_free char *all = xasprintf("%s/volumes", h->dirs->root);
	own_free char *guard = xasprintf("%s/.lock", all);
	own_free char *log = xasprintf("%s/events", h->dirs->root);
	bool anonymous = false;
	int rc = 0;

	for (unsigned i = 0; rc == 0 && i < h->spec->nmounts; i++) {
		const struct box_mount *m = &h->spec->mounts[i];
		own_free char *path =
			xasprintf("%s/%s%s", all, m->name, m->anonymous ? "" : "/users");

		if (m->kind != BOX_MOUNT_VOLUME)
			continue;
		anonymous = anonymous || m->anonymous;
		rc = confine_rules_add(rules, path, m->anonymous ? CONFINE_ALL : CONFINE_FILES, e);
	}
	if (rc < 0 || !anonymous)
		return rc;
	rc = confine_rules_add(rules, all, CONFINE_FOLDERS, e);
	if (rc == 0)
		rc = confine_rules_add(rules, guard, CONFINE_READ | CONFINE_WRITE, e);
	if (rc == 0) /* what is told of it */
		rc = confine_rules_add(rules, log, CONFINE_READ | CONFINE_WRITE, e);
	return rc;
}

/* The loop's thread: the last to be confined. */
int confine_loop(struct holder *h, struct err *e)
{
	struct confine *c = of_thread(&h->confine.loop, "loop");
	own_free char *own = box_path(h->dirs, h->spec->id);
	int rc = confine_rules_add(c->rules, own, CONFINE_ALL, e);

	c->lists[0] = machine_calls(h->vm.machine); /* first: what both have is noted as its */
	c->lists[1] = &holder_loop_calls;
	c->lists[2] = h->publish ? &publish_calls : NULL;
	c->child = machine_pid(h->vm.machine);
	if (rc == 0)
		rc = confine_rules_add(c->rules, RESOLV_CONF, CONFINE_READ, e);
	if (rc == 0)
		rc = allow_socket(h, c->rules, e);
	if (rc == 0 && h->spec->auto_remove)
		rc = allow_removal(h, c->rules, e);
	if (rc == 0 && h->spec->auto_remove)
		rc = allow_release(h, c->rules, e);
	return rc < 0 ? rc : confine_thread(c, e);
}

/* The variables' text is to be overwritten where it is. */
static char **copy_environment(void)
{
	size_t n = 0;
	char **copy;

	while (environ && environ[n])
		n++;
	copy = xcalloc(n + 1, sizeof(*copy));
	while (n--)
		copy[n] = xstrdup(environ[n]);
	return copy;
}

/*
 * What the starting zl was called with: operands and environment, in one
 * piece, and strings that were put into the environment since. All of it may
 * be secret; in its place comes what ps is to show.
 */
void confine_past(const struct box_dirs *d, const char *id, const char *comm, bool environment)
{
	char *from = program_invocation_name, *to = from + strlen(from) + 1;
	char **kept = environment ? copy_environment() : NULL;
	own_free char *own = box_path(d, id);

	for (char **v = environ; v && *v; v++) {
		size_t n = strlen(*v);

		if (*v > from && *v + n + 1 > to) /* the stack is above all else */
			to = *v + n + 1;
		else
			explicit_bzero(*v, n);
	}
	environ = kept;
	explicit_bzero(from, (size_t)(to - from));
	snprintf(from, (size_t)(to - from), "%s %s", comm, own);
}
