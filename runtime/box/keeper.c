/* keeper.c: starts a container again and again, as its restart policy says; see keeper.h. */
#include "runtime/box/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/base/fd.h"
#include "runtime/base/log.h"
#include "runtime/base/own.h"
#include "runtime/base/parse.h"
#include "runtime/box/restart.h"
#include "runtime/box/state.h"

struct keeper {
	struct holder_start *start;
	struct box_spec *spec;
	int dirfd;
	struct loop *loop;
	int signal_fd;
	char *socket;	   /* path of the control socket */
	int sock;	   /* it, listening */
	struct stat bound; /* what the path is if it is still this socket's */
	pid_t holder;	   /* 0: none that is not known to be dead */
	int death;	   /* how the last one ended, as of waitpid */
	int client;	   /* the starting one's, during the first life; else -1 */
	int over;	   /* readable when the life is over; -1 between two */
	bool said;	   /* the holder has written its end down */
	int adopted;	   /* a client's connection to a holder that is not its child; else -1 */
	uint64_t began;	   /* loop_now() when it began */
	uint64_t delay;	   /* before the last one */
	struct loop_watch *over_watch;
	struct ctl *ctl;	  /* between two lives */
	struct loop_timer *again; /* likewise */
	struct box_state state;	  /* likewise: RESTARTING */
	bool quit;		  /* no further life */
};

/* --- the control socket */

static int bind_socket(struct keeper *k, struct err *e)
{
	mode_t before = umask(077);
	int sock = dir_make_all(k->start->dirs->runtime, 0700, e);

	if (sock == 0)
		sock = ctl_bind(k->socket, e);
	umask(before);
	if (sock < 0)
		return sock;
	if (k->sock >= 0)
		close(k->sock);
	k->sock = sock;
	if (stat(k->socket, &k->bound) < 0)
		memset(&k->bound, 0, sizeof(k->bound));
	return 0;
}

/* A holder whose clients could not find the socket any more has made it anew. */
static void check_socket(struct keeper *k)
{
	struct stat now;

	if (stat(k->socket, &now) < 0 || now.st_ino != k->bound.st_ino ||
	    now.st_dev != k->bound.st_dev)
		bind_socket(k, NULL);
}

/* --- the end */

static void finish(struct keeper *k) __attribute__((noreturn));
static void finish(struct keeper *k)
{
	ctl_free(k->ctl); /* who was told of it gets to read it */
	_exit(0);
}

/* The container does not start again. */
static void end_for_good(struct keeper *k)
{
	struct ctl_msg m = { .type = CTL_EVENT, .task = WIRE_TASK_MAIN, .kind = BOX_EV_EXITED };

	k->state.status = BOX_EXITED;
	k->state.pid = k->state.keeper = 0;
	state_set_socket(&k->state, NULL);
	state_write(k->dirfd, &k->state, NULL);
	unlink(k->socket);
	m.code = k->state.exit_code;
	snprintf(m.text, sizeof(m.text), "%s", k->state.error);
	for (struct ctl_peer *p = k->ctl ? ctl_next(k->ctl, NULL) : NULL; p;
	     p = ctl_next(k->ctl, p))
		ctl_send(p, &m);
	finish(k);
}

/* --- between two lives: requests */

static void request(void *arg, struct ctl_peer *p, const struct ctl_msg *m, int *fds, size_t nfds)
{
	struct keeper *k = arg;
	char text[BOX_MESSAGE_MAX];

	while (nfds)
		close(fds[--nfds]);
	snprintf(text, sizeof(text),
		 "Container %s is restarting, wait until the container is running", k->spec->id);
	if (m->type == CTL_STOP ||
	    (m->type == CTL_SIGNAL && restart_signal_ends(k->spec, (int)m->signal))) {
		ctl_reply(p, 0, WIRE_TASK_MAIN, NULL);
		k->state.stopped = true;
		end_for_good(k);
	} else if (m->type == CTL_SIGNAL) {
		ctl_reply(p, 0, WIRE_TASK_MAIN, NULL); /* as docker: it comes to nothing */
	} else if (m->type == CTL_ATTACH) {
		ctl_reply(p, -EBUSY, 0,
			  "you cannot attach to a restarting container, wait until it is running");
	} else if (m->type < CTL_REPLY) {
		ctl_reply(p, -EBUSY, 0, text);
	} else {
		ctl_reply(p, -EPROTO, 0, "the container's zl is of another version");
	}
}

static void nothing(void *arg, struct ctl_peer *p)
{
	(void)arg;
	(void)p;
}

static const struct ctl_ops between_ops = { .request = request,
					    .joined = nothing,
					    .left = nothing };

/* --- lives */

static void life_over(void *arg, uint32_t events);

/* What the first life has of the starting client is not the next one's. */
static void take_client(struct keeper *k)
{
	struct holder_start *s = k->start;
	int *io[] = { &s->io.in, &s->io.out, &s->io.err };

	for (size_t i = 0; i < sizeof(io) / sizeof(io[0]); i++) {
		if (s->has_io && *io[i] >= 0)
			close(*io[i]);
	}
	s->has_io = false;
	if (s->said >= 0)
		close(s->said);
	s->said = -1;
	if (s->sock >= 0)
		k->client = s->sock;
	s->sock = -1;
}

/* Its holder did not get to say so. The socket is useless if the holder let the client go. */
static void tell_client(int sock, int how, const char *text)
{
	struct ctl_msg m = { .type = CTL_EVENT,
			     .task = WIRE_TASK_MAIN,
			     .kind = (uint8_t)how,
			     .code = BOX_CODE_FAILED };
	char buf[CTL_MSG_MAX];

	snprintf(m.text, sizeof(m.text), "%s", text);
	if (sock >= 0)
		fd_send(sock, buf, ctl_put(&m, buf), NULL, 0);
}

/* -EAGAIN: not now. */
static int live(struct keeper *k, struct err *e)
{
	struct holder_start *s = k->start;
	int over[2];

	state_free(&s->box->state);
	if (state_read(k->dirfd, &s->box->state, e) < 0)
		return -EIO;
	if (s->again)
		spec_refresh(k->dirfd, k->spec);
	if (pipe2(over, O_CLOEXEC | O_NONBLOCK) < 0)
		return err_sys(e, "pipe"), -EAGAIN;
	s->box->state.keeper = getpid();
	s->listen = k->sock;
	s->over = over[1];
	k->began = loop_now();
	k->said = false;
	k->holder = fork();
	if (k->holder == 0)
		holder_run(s);
	close(over[1]);
	k->over_watch = k->holder < 0 ? NULL : loop_add(k->loop, over[0], EPOLLIN, life_over, k, e);
	if (k->over_watch == NULL) {
		err_sys(e, "fork");
		close(over[0]);
		return -EAGAIN;
	}
	k->over = over[0];
	take_client(k);
	s->again = true;
	return 0;
}

static void back_off(struct keeper *k);
static void shrink(void);

static void start_again(void *arg)
{
	struct keeper *k = arg;
	struct err e = ERR_INIT;
	int rc;

	k->again = NULL;
	ctl_free(k->ctl); /* they look where the container is, and find the next holder */
	k->ctl = NULL;
	rc = live(k, &e);
	if (rc == -EIO)
		finish(k); /* somebody has removed its folder by hand */
	if (rc < 0) {
		state_set_error(&k->state, e.msg);
		back_off(k);
	}
	shrink();
}

/* Answers what comes in on the control socket. */
static void serve(struct keeper *k)
{
	int sock = fcntl(k->sock, F_DUPFD_CLOEXEC, 3);

	if (k->ctl == NULL)
		k->ctl = ctl_new(k->loop, &between_ops, k);
	ctl_close(k->ctl);
	if (sock >= 0)
		ctl_listen(k->ctl, sock, NULL);
}

/* state is RESTARTING. */
static void back_off(struct keeper *k)
{
	k->delay = restart_delay(k->delay, loop_now() - k->began);
	check_socket(k);
	serve(k);
	k->state.pid = getpid();
	k->state.keeper = getpid();
	state_set_socket(&k->state, k->socket);
	state_write(k->dirfd, &k->state, NULL);
	k->again = loop_after(k->loop, k->delay, start_again, k);
}

/* The holder was killed, or crashed: what it would have written. */
static void write_death(struct keeper *k)
{
	struct box_state *st = &k->state;
	char text[128];
	bool began = st->status == BOX_RUNNING || st->status == BOX_PAUSED;

	if (k->holder)
		waitpid(k->holder, &k->death, 0);
	k->holder = 0;
	snprintf(text, sizeof(text), "the container's zl process was killed%s%s%s",
		 WIFSIGNALED(k->death) ? " (SIG" : "",
		 WIFSIGNALED(k->death) ? signal_name(WTERMSIG(k->death)) : "",
		 WIFSIGNALED(k->death) ? ")" : "");
	state_set_error(st, text);
	tell_client(k->client, BOX_EV_EXITED, text);
	if (began)
		events_say_box(k->start->dirs, k->spec, "die", "exitCode", "137", NULL);
	st->exit_code = began ? BOX_CODE_KILLED : BOX_CODE_FAILED;
	st->finished_ns = state_now();
	if (st->health != BOX_HEALTH_NONE)
		st->health = BOX_HEALTH_UNHEALTHY;
	spec_refresh(k->dirfd, k->spec);
	if (st->status != BOX_CREATED && restart_wanted(k->spec, st)) {
		st->status = BOX_RESTARTING;
		st->restart_count++;
		return;
	}
	st->status = st->status == BOX_CREATED && st->started_ns == 0 ? BOX_CREATED : BOX_EXITED;
	st->pid = st->keeper = 0;
	state_set_socket(st, NULL);
	state_write(k->dirfd, st, NULL);
	unlink(k->socket);
	finish(k);
}

/* Its end is written down. */
static void go_on(struct keeper *k)
{
	if (k->state.status != BOX_RESTARTING)
		finish(k);
	if (k->quit)
		end_for_good(k);
	back_off(k);
}

static void life_over(void *arg, uint32_t events)
{
	struct keeper *k = arg;
	char byte;
	ssize_t n;

	(void)events;
	/* a byte: it starts again, that is being written down; the end: its VM is gone, too */
	n = read(k->over, &byte, 1);
	if (n != 0) {
		k->said = k->said || n > 0;
		return;
	}
	loop_del(k->over_watch);
	close(k->over);
	k->over = -1;
	state_free(&k->state);
	if (state_read(k->dirfd, &k->state, NULL) < 0)
		finish(k); /* its folder is gone, or as good as that */
	if (state_claims_holder(&k->state) && !(k->said && k->state.status == BOX_RESTARTING))
		write_death(k);
	own_fd_(&k->client);
	go_on(k);
}

/* --- the process */

static void reap(struct keeper *k)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid != k->holder)
			continue; /* an earlier one, which had slow readers */
		k->holder = 0;
		k->death = status;
	}
}

static void on_signal(void *arg, uint32_t events)
{
	struct keeper *k = arg;
	struct signalfd_siginfo si;

	(void)events;
	if (read(k->signal_fd, &si, sizeof(si)) != sizeof(si))
		return;
	if (si.ssi_signo == SIGCHLD) {
		reap(k);
		return;
	}
	if (si.ssi_signo == SIGHUP) {
		if (k->again && bind_socket(k, NULL) == 0)
			serve(k); /* a client could not find it */
		return;
	}
	k->quit = true; /* the host goes down: nobody said that the container is to stay so */
	if (k->adopted >= 0)
		finish(k);
	if (k->again)
		end_for_good(k);
	else if (k->holder)
		kill(k->holder, (int)si.ssi_signo);
}

static int watch_signals(struct keeper *k, struct err *e)
{
	static const int sigs[] = { SIGTERM, SIGINT, SIGHUP, SIGCHLD };
	sigset_t set;

	for (int sig = 1; sig < NSIG; sig++)
		signal(sig, sig == SIGPIPE ? SIG_IGN : SIG_DFL);
	sigemptyset(&set);
	for (size_t i = 0; i < sizeof(sigs) / sizeof(sigs[0]); i++)
		sigaddset(&set, sigs[i]);
	sigprocmask(SIG_SETMASK, &set, NULL);
	k->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (k->signal_fd < 0 || !loop_add(k->loop, k->signal_fd, EPOLLIN, on_signal, k, e))
		return err_sys(e, "signalfd");
	return 0;
}

static int prepare(struct keeper *k, struct err *e)
{
	k->loop = loop_new(e);
	k->dirfd = box_dir_open(k->start->dirs, k->spec->id);
	k->socket = box_sock_path(k->start->dirs, k->spec->id);
	if (k->loop == NULL || k->dirfd < 0)
		return err_set(e, EIO, "open container %s", k->spec->id);
	return watch_signals(k, e);
}

/* Unmaps a part of the executable that is never written to: it comes back where it is used. */
static int forget_part(struct dl_phdr_info *info, size_t size, void *arg)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);

	(void)size;
	(void)arg;
	for (unsigned i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &info->dlpi_phdr[i];
		uintptr_t from = (info->dlpi_addr + p->p_vaddr) & ~(page - 1);

		if (p->p_type == PT_LOAD && !(p->p_flags & PF_W))
			madvise((void *)from, info->dlpi_addr + p->p_vaddr + p->p_memsz - from,
				MADV_DONTNEED);
	}
	return 0;
}

/* It will do nothing for long: what it used to come here need not stay. */
static void shrink(void)
{
	malloc_trim(0);
	dl_iterate_phdr(forget_part, NULL);
}

void keeper_run(struct holder_start *s)
{
	struct err e = ERR_INIT;
	struct keeper k = { .start = s,
			    .spec = &s->box->spec,
			    .dirfd = -1,
			    .sock = -1,
			    .client = -1,
			    .over = -1,
			    .adopted = -1 };

	holder_detach(s);
	prctl(PR_SET_NAME, BOX_KEEPER_COMM);
	if (confine_keeper(&e) == 0 && prepare(&k, &e) == 0 && bind_socket(&k, &e) == 0) {
		confine_past(s->dirs, k.spec->id, BOX_KEEPER_COMM, true);
		if (live(&k, &e) == 0) {
			shrink();
			loop_run(k.loop);
			_exit(0);
		}
	}
	tell_client(s->sock, BOX_EV_FAILED, e.msg);
	_exit(BOX_CODE_FAILED);
}

/* --- a container that got its policy while it ran */

/* The holder is gone, or as good as gone. Whoever is first at the lock says what comes next. */
static void take_over(struct keeper *k)
{
	struct box_state *st = &k->state;
	int lock = box_lock_wait(k->dirfd);

	if (lock < 0 || !box_dir_current(k->start->dirs, k->spec->id, k->dirfd) ||
	    state_read(k->dirfd, st, NULL) < 0)
		finish(k);
	k->start->lock = lock;
	k->start->again = true;
	k->began = loop_now();
	spec_refresh(k->dirfd, k->spec);
	if (state_claims_holder(st)) {
		write_death(k);
	} else if (st->status == BOX_EXITED && !st->stopped && restart_wanted(k->spec, st)) {
		st->status = BOX_RESTARTING;
		st->restart_count++;
	}
	go_on(k);
}

static void adopted_says(void *arg, uint32_t events)
{
	struct keeper *k = arg;
	char waste[CTL_MSG_MAX];

	(void)events;
	if (recv(k->adopted, waste, sizeof(waste), 0) > 0)
		return;
	loop_del(k->over_watch);
	own_fd_(&k->adopted);
	take_over(k);
}

static void adopt(struct holder_start *s) __attribute__((noreturn));
static void adopt(struct holder_start *s)
{
	struct keeper k = {
		.start = s, .spec = &s->box->spec, .dirfd = -1, .sock = -1, .client = -1, .over = -1
	};

	holder_detach(s);
	prctl(PR_SET_NAME, BOX_KEEPER_COMM);
	k.adopted = s->sock;
	s->sock = -1;
	if (confine_keeper(NULL) < 0 || prepare(&k, NULL) < 0)
		_exit(BOX_CODE_FAILED);
	confine_past(s->dirs, k.spec->id, BOX_KEEPER_COMM, true);
	k.over_watch = loop_add(k.loop, k.adopted, EPOLLIN, adopted_says, &k, NULL);
	if (k.over_watch == NULL)
		_exit(BOX_CODE_FAILED);
	shrink();
	loop_run(k.loop);
	_exit(0);
}

int keeper_adopt(const struct box_dirs *d, struct box *b, struct err *e)
{
	struct bundle bundle = { .lock = -1 };
	struct holder_start s = { .dirs = d,
				  .box = b,
				  .bundle = &bundle,
				  .lock = -1,
				  .said = -1,
				  .listen = -1,
				  .over = -1 };
	pid_t pid;

	s.sock = ctl_connect(b->state.socket);
	if (s.sock < 0)
		return err_set(e, -s.sock, "connect to container %s: %s", b->spec.id,
			       strerror(-s.sock));
	pid = bundle_get(d, &bundle, e) < 0 ? -1 : fork();
	if (pid == 0)
		adopt(&s);
	if (pid < 0 && e && e->code == 0)
		err_sys(e, "fork");
	close(s.sock);
	bundle_free(&bundle);
	return pid < 0 ? -EIO : 0;
}
