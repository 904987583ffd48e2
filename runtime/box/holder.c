/* holder.c: the process that owns a container's VM, from fork to end; see holder.h. */
#include "runtime/box/holder.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "runtime/base/fd.h"
#include "runtime/base/log.h"
#include "runtime/base/own.h"
#include "runtime/base/parse.h"
#include "runtime/box/placement.h"
#include "runtime/box/publish.h"
#include "runtime/box/restart.h"
#include "runtime/box/state.h"
#include "runtime/box/volume.h"
#include "vsock/codec.h"

/* A VM that has not started its workload after so long never will; software emulation is slow. */
#define BOOT_PATIENCE_S	    90
#define BOOT_PATIENCE_S_MAX 86400
/* Most descriptors the holder is started with. */
#define KEEP_MAX 10

/* --- the process */

static int by_number(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

/* Closes all descriptors from 3 on but these. */
static void close_others(int *keep, size_t n)
{
	unsigned from = 3;

	qsort(keep, n, sizeof(*keep), by_number);
	for (size_t i = 0; i < n; i++) {
		if (keep[i] < (int)from)
			continue;
		if (keep[i] > (int)from)
			syscall(SYS_close_range, from, (unsigned)keep[i] - 1, 0U);
		from = (unsigned)keep[i] + 1;
	}
	syscall(SYS_close_range, from, ~0U, 0U);
}

static int keep_fd(int fd, int *keep, size_t *n)
{
	int mine = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 3);

	if (mine >= 0)
		keep[(*n)++] = mine;
	return mine;
}

void holder_detach(struct holder_start *s)
{
	int *handed[] = { &s->sock, &s->lock, &s->said, &s->listen, &s->over };
	int *io[] = { &s->io.in, &s->io.out, &s->io.err };
	int keep[KEEP_MAX], null;
	size_t n = 0;
	struct rlimit files;

	setsid();
	if (chdir("/") < 0)
		_exit(BOX_CODE_FAILED);
	for (size_t i = 0; i < sizeof(handed) / sizeof(handed[0]); i++)
		*handed[i] = keep_fd(*handed[i], keep, &n);
	for (size_t i = 0; s->has_io && i < sizeof(io) / sizeof(io[0]); i++)
		*io[i] = keep_fd(*io[i], keep, &n);
	if (s->bundle->lock >= 0)
		keep[n++] = s->bundle->lock;
	close_others(keep, n);
	null = open("/dev/null", O_RDWR);
	for (int fd = 0; fd <= 2 && null >= 0; fd++)
		dup2(null, fd);
	if (null > 2)
		close(null);
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	mallopt(M_ARENA_MAX, 2);
	mallopt(M_TRIM_THRESHOLD, 128 << 10);
}

/*
 * The control socket; once more where it was lost (a runtime folder does not
 * outlive its login session, a container does).
 */
static int open_control(struct holder *h, struct err *e)
{
	mode_t before = umask(077);
	int sock = h->phase >= HOLDER_ENDED ? -ESRCH : dir_make_all(h->dirs->runtime, 0700, e);

	if (sock == 0)
		sock = ctl_bind(h->socket, e);
	umask(before);
	if (sock < 0)
		return sock;
	ctl_close(h->ctl);
	return ctl_listen(h->ctl, sock, e);
}

static void on_signal(void *arg, uint32_t events)
{
	struct holder *h = arg;
	struct signalfd_siginfo si;
	int sig = parse_signal(h->spec->stop_signal);

	(void)events;
	if (read(h->signal_fd, &si, sizeof(si)) != sizeof(si))
		return;
	h->quit = h->quit || si.ssi_signo != SIGHUP;
	if (si.ssi_signo == SIGHUP)
		open_control(h, NULL); /* a client cannot find the socket */
	else if (h->phase >= HOLDER_ENDED)
		loop_stop(h->loop, 0); /* no more patience with slow readers */
	else if (h->phase == HOLDER_BOOTING)
		request_signal(h, SIGKILL);
	else
		request_stop(h, sig ? sig : SIGTERM, h->spec->stop_timeout);
}

static int watch_signals(struct holder *h, struct err *e)
{
	sigset_t set;

	for (int sig = 1; sig < NSIG; sig++)
		signal(sig, sig == SIGPIPE ? SIG_IGN : SIG_DFL);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_SETMASK, &set, NULL);
	h->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (h->signal_fd < 0)
		return err_sys(e, "signalfd");
	h->signals = loop_add(h->loop, h->signal_fd, EPOLLIN, on_signal, h, e);
	return h->signals ? 0 : -EIO;
}

/* --- phases */

static void boot_too_long(void *arg)
{
	struct holder *h = arg;

	h->watchdog = NULL;
	holder_end(h, TASK_FAILED, BOX_CODE_FAILED,
		   "the VM did not start its workload in time: see console.log in the "
		   "container's folder");
}

void holder_alone(struct holder *h)
{
	log_to(h->log_fd);
	if (h->log)
		logfile_limit(h->log, 0);
}

void holder_started(struct holder *h)
{
	log_step("workload started");
	h->phase = HOLDER_RUNNING;
	loop_cancel(h->watchdog);
	h->watchdog = NULL;
	h->state.status = BOX_RUNNING;
	h->state.exit_code = 0;
	h->state.oom_killed = false;
	state_set_error(&h->state, NULL);
	h->state.started_ns = state_now();
	health_start(h);
	state_write(h->dirfd, &h->state, NULL);
	volumes_tell(&h->events, h->spec, true);
	events_box(&h->events, h->spec, "start", NULL);
	task_say(h->main, machine_note(h->vm.machine));
	for (struct ctl_peer *p = ctl_next(h->ctl, NULL); p; p = ctl_next(h->ctl, p))
		task_event(h->main, p);
	task_say(h->main, NULL); /* for those who see it start only */
	for (unsigned i = 0; i < h->nwaiting; i++)
		request_signal(h, h->waiting[i]);
	h->nwaiting = 0;
	publish_serve(h->publish, h->vm.vsock, (uint64_t)h->spec->publish_wait);
	agent_keep_time(h->agent);
	malloc_trim(0);
}

void holder_end(struct holder *h, int how, int code, const char *message)
{
	if (h->phase >= HOLDER_ENDING)
		return;
	log_step("workload %s: %d%s%s", how == TASK_FAILED ? "not started" : "exited", code,
		 message[0] ? ": " : "", message);
	h->phase = HOLDER_ENDING;
	agent_mute(h->agent);
	loop_cancel(h->watchdog);
	loop_cancel(h->stop_timer);
	loop_cancel(h->doubt);
	h->watchdog = h->stop_timer = h->doubt = NULL;
	health_stop(h);
	task_over(h->main, how, code, message);
}

/* Whether the policy says so, and there is a keeper to hear it. */
static bool starts_again(struct holder *h)
{
	if (h->over < 0 || h->stopped || h->quit || (!h->main->started && !h->again))
		return false;
	spec_refresh(h->dirfd, h->spec);
	return restart_wanted(h->spec, &h->state) && write(h->over, "", 1) == 1;
}

/* What `ps` and `inspect` will say from now on. */
static void write_end(struct holder *h)
{
	const struct task *t = h->main;

	state_drop_ports(&h->state);
	h->state.exit_code = t->code;
	state_set_error(&h->state, t->message);
	h->state.finished_ns = state_now();
	h->state.stopped = h->stopped;
	if (starts_again(h)) {
		h->state.status = BOX_RESTARTING;
		h->state.restart_count++;
		state_write(h->dirfd, &h->state, NULL);
		return;
	}
	h->state.pid = h->state.keeper = 0;
	state_set_socket(&h->state, NULL);
	if (t->how == TASK_EXITED)
		h->state.status = BOX_EXITED;
	else
		h->state.status = h->state.started_ns ? BOX_EXITED : BOX_CREATED;
	state_write(h->dirfd, &h->state, NULL);
}

static void add_died(struct holder *h)
{
	char code[16], seconds[32];

	snprintf(code, sizeof(code), "%d", h->main->code);
	snprintf(seconds, sizeof(seconds), "%lld",
		 (long long)(state_now() - h->state.started_ns) / 1000000000);
	events_box(&h->events, h->spec, "die", "execDuration", seconds, "exitCode", code, NULL);
	volumes_tell(&h->events, h->spec, false);
}

/* Tells the clients that have got all their output, and lets them go. */
static void tell(struct holder *h)
{
	struct ctl_peer *p, *next;

	for (p = ctl_next(h->ctl, NULL); p; p = next) {
		next = ctl_next(h->ctl, p);
		if (!task_written(h->main, p))
			continue;
		for (struct task *t = h->tasks; t; t = t->next) {
			if (t->owner == p) {
				t->over = true;
				t->code = BOX_CODE_KILLED;
				task_event(t, p);
			}
		}
		task_event(h->main, p);
		ctl_drop(p);
	}
}

static void close_log(struct holder *h)
{
	logfile_close(h->log);
	h->log = NULL;
	for (int i = 0; i < 4; i++) {
		if (h->main->stream[i])
			io_stream_log(h->main->stream[i], NULL, LOG_STDOUT);
	}
}

/*
 * All that is to be seen of the container's end, and the word to who waits for it; then what
 * takes long. Who asks in between sees the end in state.json, or nothing, and waits for the lock.
 */
static void finish(struct holder *h)
{
	own_fd int guard = -1;

	h->phase = HOLDER_ENDED;
	publish_close(h->publish);
	h->publish = NULL;
	if (h->spec->auto_remove)
		guard = box_guard(h->dirs, LOCK_SH, NULL);
	if (h->main->started)
		add_died(h);
	if (guard < 0 || box_vanish(h->dirs, h->spec->id, NULL) < 0) {
		close_log(h);
		write_end(h);
	} else {
		events_box(&h->events, h->spec, "destroy", NULL);
	}
	tell(h);
	log_step("clients told");
	close_log(h);
	ctl_close(h->ctl);
	if (h->state.status != BOX_RESTARTING)
		unlink(h->socket);
	vm_free(h);
	log_step("VM ended");
	if (guard >= 0)
		box_erase(h->dirs, h->spec->id, NULL);
	if (guard >= 0)
		volumes_release(h->dirs, h->spec, true);
	close(h->lock);
	h->lock = -1;
	own_fd_(&h->over);
}

/* An exec that is over and whose client has everything. */
static void tidy_tasks(struct holder *h)
{
	struct task *t, *next;

	for (t = h->tasks; t; t = next) {
		next = t->next;
		if (t == h->main || !t->over || !t->settled)
			continue;
		health_over(h, t);
		if (t->owner && !task_written(t, t->owner))
			continue;
		if (t->owner)
			task_event(t, t->owner);
		task_free(t);
	}
}

static void tidy(void *arg)
{
	struct holder *h = arg;

	h->tidy = NULL;
	if (h->phase == HOLDER_RUNNING)
		tidy_tasks(h);
	if (h->phase == HOLDER_ENDING && h->main->settled)
		finish(h);
	else if (h->phase == HOLDER_ENDED)
		tell(h);
	if (h->phase == HOLDER_ENDED && ctl_next(h->ctl, NULL) == NULL)
		loop_stop(h->loop, 0);
}

void holder_check(struct holder *h)
{
	if (h->tidy == NULL)
		h->tidy = loop_after(h->loop, 0, tidy, h);
}

/* --- start */

static void open_log(struct holder *h, int said)
{
	h->log_fd = openat(h->dirfd, BOX_HOLDER_LOG,
			   O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
	log_to(said >= 0 ? said : h->log_fd);
}

/* Where the output is kept, if it is. */
static int open_output(struct holder *h, struct err *e)
{
	struct log_config c;

	if (log_config_of(&c, h->spec, e) < 0)
		return -EINVAL;
	if (!c.none)
		h->log = logfile_open(h->dirfd, &c, e);
	log_config_free(&c);
	return c.none || h->log ? 0 : -EIO;
}

static int make_main(struct holder *h, struct holder_start *s, struct err *e)
{
	struct box_spec *spec = h->spec;

	h->main = task_new(h, WIRE_TASK_MAIN, spec->tty, spec->open_stdin);
	h->next_task = WIRE_TASK_MAIN;
	if (open_output(h, e) < 0)
		return -EIO;
	for (int i = WIRE_STDOUT; h->log && i < 4; i++) {
		if (h->main->stream[i])
			io_stream_log(h->main->stream[i], h->log,
				      i == WIRE_STDERR ? LOG_STDERR : LOG_STDOUT);
	}
	if (h->main->stream[WIRE_STDIN])
		io_stream_end_with_sources(h->main->stream[WIRE_STDIN],
					   spec->attach & BOX_ATTACH_STDIN);
	if (s->has_io) {
		h->rows = s->io.rows;
		h->cols = s->io.cols;
		if (h->log && spec->auto_remove && s->io.out >= 0 && (spec->tty || s->io.err >= 0))
			logfile_limit(h->log, LOG_FOREGROUND_MAX);
		events_box(&h->events, spec, "attach", NULL);
		task_attach(h->main, &s->io, h->starter);
	}
	return 0;
}

/* Seconds; ZL_BOOT_TIMEOUT is for hosts that are slower than all expectation. */
static uint64_t boot_patience(void)
{
	const char *text = getenv("ZL_BOOT_TIMEOUT");
	uint64_t s;

	return text && parse_u64(text, 1, BOOT_PATIENCE_S_MAX, &s) ? s : BOOT_PATIENCE_S;
}

/* As it is while the machine boots. */
static void begin_state(struct holder *h)
{
	struct box_state *st = &h->state;

	st->pid = getpid();
	state_set_socket(st, h->socket);
	if (h->again)
		return; /* RESTARTING, with all that is to be known of its last life */
	st->status = BOX_CREATED;
	st->exit_code = 0;
	st->oom_killed = st->stopped = false;
	st->restart_count = 0;
	st->health = BOX_HEALTH_NONE;
	state_set_error(st, NULL);
}

static int start(struct holder *h, struct holder_start *s, struct err *e)
{
	uint64_t patience = boot_patience(); /* now: the environment will be gone */
	int rc;

	h->socket = box_sock_path(h->dirs, h->spec->id);
	h->dirfd = box_dir_open(h->dirs, h->spec->id);
	if (h->dirfd < 0)
		return err_set(e, -h->dirfd, "open container %s", h->spec->id);
	open_log(h, s->said);
	events_open(&h->events, h->dirs);
	rc = watch_signals(h, e);
	if (rc == 0)
		rc = make_main(h, s, e);
	if (rc < 0)
		return rc;
	begin_state(h);
	h->publish = publish_open(h->loop, h->spec, &h->state, e);
	if (h->publish == NULL && h->spec->nports)
		return -EADDRINUSE;
	rc = state_write(h->dirfd, &h->state, e);
	if (rc == 0)
		rc = s->listen >= 0 ? ctl_listen(h->ctl, s->listen, e) : open_control(h, e);
	umask(0); /* the guest's modes are its own */
	if (rc == 0)
		rc = vm_start(h, e);
	if (rc < 0)
		return rc;
	log_step("VM process up: %s, pid %d", machine_name(h->vm.machine),
		 machine_pid(h->vm.machine));
	h->watchdog = loop_after(h->loop, patience * 1000000000, boot_too_long, h);
	return 0;
}

static void release(struct holder *h)
{
	ctl_free(h->ctl);
	loop_cancel(h->tidy);
	query_forget(h, NULL);
	while (h->tasks)
		task_free(h->tasks);
	request_free(h);
	agent_free(h->agent);
	str_free(&h->health.output);
	box_health_log_free(&h->health.log);
	loop_del(h->signals);
	events_close(&h->events);
	state_free(&h->state);
	free(h->socket);
	loop_free(h->loop);
}

void holder_run(struct holder_start *s)
{
	struct err e = ERR_INIT;
	int rc;
	struct holder h = {
		.dirs = s->dirs,
		.spec = &s->box->spec,
		.state = s->box->state,
		.bundle = s->bundle,
		.again = s->again,
		.dirfd = -1,
		.signal_fd = -1,
		.log_fd = -1,
		.events = EVENTS_NOWHERE,
	};

	holder_detach(s);
	prctl(PR_SET_NAME, BOX_HOLDER_COMM);
	h.lock = s->lock;
	h.over = s->over;
	rc = placement_apply(&s->box->spec.limits, &e); /* while we may still do such things */
	if (rc == 0)
		rc = confine_holder(&e);
	s->box->state.error = s->box->state.socket = NULL;
	s->box->state.ports = NULL;
	s->box->state.nports = h.state.nports = 0;
	h.state.ports = NULL;
	h.loop = loop_new(&e);
	if (h.loop == NULL)
		_exit(BOX_CODE_FAILED);
	h.agent = agent_new(h.loop, &task_agent_ops, &h);
	h.ctl = ctl_new(h.loop, &request_ops, &h);
	if (s->sock >= 0)
		h.starter = ctl_add(h.ctl, s->sock, &e);
	if (rc == 0)
		rc = start(&h, s, &e);
	if (rc < 0) {
		if (h.main == NULL)
			h.main = task_new(&h, WIRE_TASK_MAIN, false, false);
		holder_end(&h, TASK_FAILED, BOX_CODE_FAILED, e.msg);
	}
	loop_run(h.loop);
	release(&h);
	_exit(0);
}
