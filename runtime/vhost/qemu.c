/* qemu.c: the software machine: QEMU's microvm under TCG, with our devices over vhost-user. */
#include "runtime/vhost/qemu.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/base/log.h"
#include "runtime/base/own.h"
#include "runtime/vhost/session.h"
#include "runtime/virtio/device.h"

/*
 * Theory of operation.
 *
 * Guest memory is a memfd of ours which QEMU opens through /proc; each
 * device has a socket pair, whose one end QEMU inherits. No name of any of
 * it is in the file system. A network device's front end takes no descriptor:
 * it connects to a name in the abstract namespace, a door that opens for this
 * process only, once.
 *
 * The end of the VM is always seen at one place: the pidfd. A device whose
 * guest broke the rules, or a front end that talks nonsense, leaves a reason
 * and kills the process; the pidfd does the rest. When QEMU ends by itself
 * its sockets are closed first; only if the process is then still there
 * after a while, something is wrong with it.
 */
#define GONE_TIMEOUT_NS 2000000000U
#define REASON_MAX	512
/* A second one costs half as much again at the start, and ticks when idle. */
#define CPUS_DEFAULT 1

struct door {
	struct qemu *q;
	struct virtio_device *device;
	int fd; /* listens; -1: it is shut, or there is none */
	struct loop_watch *watch;
	unsigned index; /* of its session */
};

struct qemu {
	struct machine m;
	struct loop *loop;
	machine_end_fn *ended;
	void *arg;
	struct qemu_proc proc;
	struct loop_watch *watch;
	struct loop_timer *gone_timer;
	struct vhost_maps maps;
	struct session *sessions[MACHINE_DEVICES_MAX];
	struct door doors[MACHINE_DEVICES_MAX];
	char reason[REASON_MAX];
};

static void fail(struct qemu *q, const char *device, const char *why)
{
	if (q->reason[0] == '\0')
		snprintf(q->reason, sizeof(q->reason), "the VM's %s device failed: %s", device,
			 why);
	if (q->proc.pid > 0)
		kill(q->proc.pid, SIGKILL);
}

static void gone_too_long(void *arg)
{
	struct qemu *q = arg;

	q->gone_timer = NULL;
	fail(q, "virtio", "QEMU closed its connection");
}

static void session_gone(void *arg, struct session *s, const char *why)
{
	struct qemu *q = arg;

	if (why)
		fail(q, session_device_name(s), why);
	else if (q->gone_timer == NULL)
		q->gone_timer = loop_after(q->loop, GONE_TIMEOUT_NS, gone_too_long, q);
}

static void process_ended(void *arg, uint32_t events)
{
	struct qemu *q = arg;
	char why[REASON_MAX], reason[REASON_MAX];
	struct machine_end end;

	(void)events;
	loop_del(q->watch);
	q->watch = NULL;
	loop_cancel(q->gone_timer);
	q->gone_timer = NULL;
	end.orderly = qemu_reap(&q->proc, why, sizeof(why)) && q->reason[0] == '\0';
	memcpy(reason, q->reason[0] ? q->reason : why, sizeof(reason));
	end.reason = reason;
	q->ended(q->arg, &end);
}

static int check_spec(const struct machine_spec *spec, struct err *e)
{
	long host = sysconf(_SC_NPROCESSORS_ONLN);
	bool has_config, by_name;

	if (spec->cpus == 0 || (long)spec->cpus > host)
		return err_set(e, EINVAL, "%u CPUs: this host allows 1 to %ld", spec->cpus, host);
	if (spec->mem < MACHINE_MEM_MIN)
		return err_set(e, EINVAL, "%llu MiB of memory: a VM needs at least %llu MiB",
			       (unsigned long long)(spec->mem >> 20), MACHINE_MEM_MIN >> 20);
	if (access(spec->kernel, R_OK) < 0)
		return err_sys(e, "guest kernel %s", spec->kernel);
	if (access(spec->initrd, R_OK) < 0)
		return err_sys(e, "guest initramfs %s", spec->initrd);
	if (spec->ndevices > MACHINE_DEVICES_MAX)
		return err_set(e, EINVAL, "%u devices", spec->ndevices);
	for (unsigned i = 0; i < spec->ndevices; i++) {
		if (!qemu_knows_device(spec->devices[i]->ops->id, &has_config, &by_name))
			return err_set(e, ENOTSUP, "QEMU cannot be given a %s device",
				       spec->devices[i]->ops->name);
	}
	return 0;
}

static int open_memory(const struct machine_spec *spec, struct err *e)
{
	own_fd int fd = memfd_create("zl-guest", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, (off_t)(spec->mem >> 20 << 20)) < 0)
		return err_sys(e, "guest memory");
	return steal_fd(&fd);
}

static void shut(struct door *d)
{
	loop_del(d->watch);
	d->watch = NULL;
	own_fd_(&d->fd);
	d->fd = -1;
}

/* Somebody has come to the door: QEMU, or a stranger, who is sent away. */
static void knocked(void *arg, uint32_t events)
{
	struct door *d = arg;
	struct qemu *q = d->q;
	own_fd int fd = accept4(d->fd, NULL, NULL, SOCK_CLOEXEC);
	struct err e = ERR_INIT;
	socklen_t len = sizeof(struct ucred);
	struct ucred who;

	(void)events;
	if (fd < 0 || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) < 0 ||
	    who.pid != q->proc.pid)
		return;
	shut(d);
	q->sessions[d->index] = session_new(q->loop, steal_fd(&fd), d->device, false, &q->maps,
					    session_gone, q, &e);
	if (q->sessions[d->index] == NULL)
		fail(q, d->device->ops->name, e.msg);
}

/* The kernel chooses the name. */
static int open_door(struct door *d, char name[QEMU_NAME_MAX], struct err *e)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	socklen_t len = sizeof(at);

	d->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (d->fd < 0 || bind(d->fd, (struct sockaddr *)&at, sizeof(at.sun_family)) < 0 ||
	    listen(d->fd, 1) < 0 || getsockname(d->fd, (struct sockaddr *)&at, &len) < 0)
		return err_sys(e, "socket for QEMU");
	len -= (socklen_t)offsetof(struct sockaddr_un, sun_path) + 1;
	if (len >= QEMU_NAME_MAX)
		return err_set(e, ENAMETOOLONG, "socket for QEMU");
	memcpy(name, at.sun_path + 1, len);
	d->watch = loop_add(d->q->loop, d->fd, EPOLLIN, knocked, d, e);
	return d->watch ? 0 : -e->code;
}

static int open_sessions(struct qemu *q, const struct machine_spec *spec, struct qemu_args *a,
			 struct err *e)
{
	for (unsigned i = 0; i < spec->ndevices; i++) {
		bool has_config = false, by_name = false;
		struct door *d = &q->doors[i];
		int sv[2];

		qemu_knows_device(spec->devices[i]->ops->id, &has_config, &by_name);
		if (by_name) {
			*d = (struct door){ q, spec->devices[i], -1, NULL, i };
			if (open_door(d, a->names[i], e) < 0)
				return -e->code;
			continue;
		}
		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) < 0)
			return err_sys(e, "socketpair");
		a->sockets[i] = sv[1];
		q->sessions[i] = session_new(q->loop, sv[0], spec->devices[i], has_config, &q->maps,
					     session_gone, q, e);
		if (q->sessions[i] == NULL)
			return -e->code;
	}
	return 0;
}

static int launch(struct qemu *q, const struct machine_spec *spec, struct qemu_args *a,
		  const struct tsc_clock *tsc, struct err *e)
{
	own_strv struct strv argv = STRV_INIT;
	int keep[MACHINE_DEVICES_MAX + 1], rc;
	unsigned nkeep = 0;

	a->memfd = open_memory(spec, e);
	if (a->memfd < 0)
		return a->memfd;
	rc = open_sessions(q, spec, a, e);
	if (rc < 0)
		return rc;
	a->tsc_khz = tsc_khz(tsc);
	qemu_command(spec, a, &argv);
	keep[nkeep++] = a->memfd;
	for (unsigned i = 0; i < spec->ndevices; i++) {
		if (a->sockets[i] >= 0)
			keep[nkeep++] = a->sockets[i];
	}
	rc = qemu_spawn(&q->proc, &argv, keep, nkeep, e);
	if (rc < 0)
		return rc;
	q->watch = loop_add(q->loop, q->proc.pidfd, EPOLLIN, process_ended, q, e);
	return q->watch ? 0 : -e->code;
}

static void qemu_free(struct machine *m)
{
	struct qemu *q = (struct qemu *)m;
	char why[REASON_MAX];

	loop_del(q->watch);
	loop_cancel(q->gone_timer);
	if (q->proc.pid > 0)
		kill(q->proc.pid, SIGKILL);
	for (unsigned i = 0; i < MACHINE_DEVICES_MAX; i++) {
		shut(&q->doors[i]);
		session_free(q->sessions[i]);
	}
	if (q->proc.pid > 0)
		qemu_reap(&q->proc, why, sizeof(why));
	free(q);
}

/* With our default, and without the devices that are our own machine's only: no queue here. */
static struct machine_spec served_spec(const struct machine_spec *spec,
				       struct virtio_device **served)
{
	struct machine_spec s = *spec;

	if (s.cpus == 0)
		s.cpus = CPUS_DEFAULT;
	s.devices = served;
	s.ndevices = 0;
	for (unsigned i = 0; i < spec->ndevices && i < MACHINE_DEVICES_MAX; i++) {
		if (spec->devices[i]->ops->num_vhost_queues)
			served[s.ndevices++] = spec->devices[i];
	}
	return s;
}

static struct machine *qemu_start(struct loop *l, const struct machine_spec *all,
				  machine_end_fn *ended, void *arg, struct err *e)
{
	struct virtio_device *served[MACHINE_DEVICES_MAX];
	const struct machine_spec s = served_spec(all, served), *spec = &s;
	struct qemu_args a = { .memfd = -1 };
	own_free char *binary = NULL;
	struct tsc_clock tsc;
	struct qemu *q;
	int rc;

	tsc_start(&tsc);
	binary = qemu_binary(e);
	if (binary == NULL || check_spec(spec, e) < 0)
		return NULL;
	a.binary = binary;
	q = xcalloc(1, sizeof(*q));
	q->m.ops = &machine_qemu;
	q->m.cpus = spec->cpus;
	q->loop = l;
	q->ended = ended;
	q->arg = arg;
	q->proc.pid = q->proc.pidfd = q->proc.err_pipe = -1;
	for (unsigned i = 0; i < MACHINE_DEVICES_MAX; i++)
		a.sockets[i] = q->doors[i].fd = -1;
	rc = launch(q, spec, &a, &tsc, e);
	for (unsigned i = 0; i < MACHINE_DEVICES_MAX; i++)
		own_fd_(&a.sockets[i]);
	own_fd_(&a.memfd);
	if (rc < 0) {
		qemu_free(&q->m);
		return NULL;
	}
	log_step("QEMU is up, process %d", q->proc.pid);
	return &q->m;
}

static int send_signal(struct qemu *q, int sig, struct err *e)
{
	if (q->proc.pid <= 0)
		return err_set(e, ESRCH, "the VM has ended");
	if (kill(q->proc.pid, sig) < 0)
		return err_sys(e, "signal QEMU");
	return 0;
}

/*
 * Pausing stops the process: all its threads, which is what is waited for.
 * The guest's clocks follow the host's counter, so they are right after it.
 */
static int qemu_pause(struct machine *m, struct err *e)
{
	struct qemu *q = (struct qemu *)m;
	int rc = send_signal(q, SIGSTOP, e);
	siginfo_t si;

	/* one that ends instead is left to process_ended */
	while (rc == 0 && waitid(P_PID, (id_t)q->proc.pid, &si, WSTOPPED | WEXITED | WNOWAIT) < 0) {
		if (errno != EINTR)
			rc = err_sys(e, "wait for QEMU to stop");
	}
	return rc;
}

static int qemu_resume(struct machine *m, struct err *e)
{
	return send_signal((struct qemu *)m, SIGCONT, e);
}

static int qemu_pid(const struct machine *m)
{
	return ((const struct qemu *)m)->proc.pid;
}

static const struct confine_call calls[] = {
	{ SYS_kill, CONFINE_CHILD, 0, 0, "kill QEMU", NULL },
	CONFINE_CALL(wait4),
	CONFINE_CALL(waitid),
	CONFINE_CALL(sendto),
	/* guest memory */
	{ SYS_mmap, CONFINE_WITHOUT, 2, PROT_EXEC, "mmap of memory", NULL },
	CONFINE_CALL(munmap),
};

static const struct confine_list calls_list = { calls, sizeof(calls) / sizeof(calls[0]) };

const struct machine_ops machine_qemu = {
	.name = "qemu",
	.start = qemu_start,
	.pause = qemu_pause,
	.resume = qemu_resume,
	.free = qemu_free,
	.pid = qemu_pid,
	.calls = &calls_list,
};
