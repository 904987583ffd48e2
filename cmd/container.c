/* container.c: making and starting containers, as run, create, start and restart do. */
#include "cmd/container.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd/follow.h"
#include "cmd/plan.h"
#include "runtime/base/fd.h"
#include "runtime/base/log.h"
#include "runtime/base/own.h"
#include "runtime/box/events.h"
#include "runtime/box/volume.h"
#include "runtime/machine.h"

/* How often a made-up name may turn out to be taken. */
#define NAME_TURNS 32
/* The main process of a container (vsock/wire.h has the same). */
#define TASK_MAIN 1

int pull_policy_parse(const char *text, enum pull_policy *p, struct err *e)
{
	static const struct {
		const char *word;
		enum pull_policy policy;
	} words[] = {
		{ "", PULL_MISSING },
		{ "missing", PULL_MISSING },
		{ "if-not-present", PULL_MISSING },
		{ "always", PULL_ALWAYS },
		{ "never", PULL_NEVER },
		{ "newer", PULL_NEWER },
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strcmp(text, words[i].word) == 0) {
			*p = words[i].policy;
			return 0;
		}
	}
	return err_set(e, EINVAL,
		       "invalid pull option: '%s': must be one of \"always\", \"missing\", "
		       "\"never\" or \"newer\"",
		       text);
}

int machine_wanted(const char *machine)
{
	if (machine == NULL || *machine == 0)
		machine = getenv("ZL_MACHINE");
	if (machine && strcmp(machine, "kvm") == 0)
		return MACHINE_KVM;
	if (machine && strcmp(machine, "qemu") == 0)
		return MACHINE_QEMU;
	return MACHINE_AUTO;
}

void note_slow(const char *why)
{
	/* a terminal may be in raw mode already */
	fprintf(stderr, "zl: note: running in software emulation, which is slow: %s%s\n", why,
		isatty(STDERR_FILENO) ? "\r" : "");
}

void note_emulation(const char *machine)
{
	char why[256] = "";

	if (machine_choose((enum machine_kind)machine_wanted(machine), why, sizeof(why)) ==
	    MACHINE_QEMU)
		note_slow(why);
}

static struct image *get_image(struct zl *z, const struct run_flags *f, const char *name,
			       struct err *e)
{
	struct pull_options o = { .platform = f->platform, .quiet = f->quiet };
	struct image *i;

	if (pull_policy_parse(f->pull ? f->pull : "", &o.policy, e) < 0)
		return NULL;
	i = zl_pull(z, name, &o, e);
	if (i)
		log_step("image %s resolved: %s", name, i->id);
	return i;
}

/* Creates it under its name, or under made-up ones until one is free. */
static struct box *create_named(struct zl *z, struct box_spec *s, struct err *e)
{
	struct box *b = NULL;

	if (s->name && *s->name)
		return box_create(&z->dirs, s, e);
	for (unsigned turn = 0; turn < NAME_TURNS; turn++) {
		*e = (struct err)ERR_INIT;
		free(s->name);
		s->name = name_random(turn);
		b = box_create(&z->dirs, s, e);
		if (b || e->code != EEXIST)
			return b;
	}
	return NULL;
}

/* Its volumes cannot go while it comes. */
static struct box *create_with_mounts(struct zl *z, const struct run_flags *f,
				      const struct image *i, struct box_spec *s, struct err *e)
{
	own_fd int guard = container_mounts(z, f, i, s, e);
	struct box *b = guard < 0 ? NULL : create_named(z, s, e);

	if (b == NULL && guard >= 0) {
		close(steal_fd(&guard));
		volumes_release(&z->dirs, s, true);
	}
	return b;
}

static int check_cidfile(const char *path, struct err *e)
{
	struct stat st;

	if (path && lstat(path, &st) == 0)
		return err_set(e, EEXIST,
			       "container ID file found, make sure the other container isn't "
			       "running or delete %s",
			       path);
	return 0;
}

static int write_cidfile(const char *path, const char *id, struct err *e)
{
	own_fd int fd = path ? open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666) : -1;

	if (path == NULL)
		return 0;
	if (fd < 0 || fd_write_full(fd, id, strlen(id)) < 0)
		return err_sys(e, "failed to create the container ID file %s", path);
	return 0;
}

/* The folders of a plan are owned here. */
struct context {
	char *cwd, *home;
	struct strv env, labels, warnings;
};

static void context_free(struct context *c)
{
	free(c->cwd);
	free(c->home);
	strv_free(&c->env);
	strv_free(&c->labels);
	strv_free(&c->warnings);
}

static int context_fill(struct context *c, const struct run_flags *f, struct plan_input *in,
			struct err *e)
{
	int rc;

	c->cwd = getcwd(NULL, 0);
	c->home = home_folder();
	in->host = (struct plan_host){
		.cwd = c->cwd ? c->cwd : "/",
		.home = c->home,
	};
	limit_host_fill(&in->host.limits);
	in->env = &c->env;
	in->labels = &c->labels;
	rc = flags_env(&f->env_file, &f->env, &c->env, e);
	return rc < 0 ? rc : flags_labels(&f->label_file, &f->label, &c->labels, e);
}

/* What the user wrote is checked before anything is pulled. */
static int check_plan(const struct plan_input *in, struct err *e)
{
	struct box_spec scratch;
	int rc;

	box_spec_init(&scratch);
	rc = plan_make(&scratch, in, e);
	box_spec_free(&scratch);
	return rc;
}

struct box *container_make(struct zl *z, const struct run_flags *f, const struct operands *ops,
			   struct err *e)
{
	struct context c OWN(context_free) = { NULL, NULL, STRV_INIT, STRV_INIT, STRV_INIT };
	const struct operands command = { ops->v + 1, ops->n - 1 };
	struct box_spec spec OWN(box_spec_free);
	own_image struct image *image = NULL;
	own_box struct box *b = NULL;
	struct plan_input in = { .flags = f, .command = &command, .image_name = ops->v[0] };

	box_spec_init(&spec);
	if (context_fill(&c, f, &in, e) < 0 || check_plan(&in, e) < 0 ||
	    check_cidfile(f->cidfile, e) < 0)
		return NULL;
	image = get_image(z, f, ops->v[0], e);
	if (image == NULL)
		return NULL;
	in.image = image;
	in.warnings = &c.warnings;
	if (plan_make(&spec, &in, e) < 0 || kernel_settle(&spec.kernel, e) < 0)
		return NULL;
	b = create_with_mounts(z, f, image, &spec, e);
	for (size_t i = 0; b && i < c.warnings.n; i++)
		fprintf(stderr, "%s\n", c.warnings.v[i]);
	if (b)
		log_step("root prepared: container %.12s over %zu layers", spec.id, spec.layers.n);
	if (b && write_cidfile(f->cidfile, b->spec.id, e) < 0) {
		box_remove(&z->dirs, b, false, NULL);
		return NULL;
	}
	return steal_ptr(&b);
}

/* A container made with --rm that never ran is gone as if it had; the holder may have seen to it.
 */
static void forget_failed(struct zl *z, struct box *b)
{
	if (b->spec.auto_remove)
		box_remove(&z->dirs, b, false, NULL);
}

/*
 * ZL_MACHINE is for this start only: the holder, forked from us, sees it in the
 * spec; the container's folder does not.
 */
static int apply_machine(struct box *b, struct err *e)
{
	const char *machine = getenv("ZL_MACHINE");

	if (machine == NULL || *machine == 0 || b->spec.machine[0])
		return 0;
	if (strcmp(machine, "kvm") != 0 && strcmp(machine, "qemu") != 0)
		return err_set(e, EINVAL, "ZL_MACHINE=%s: must be kvm or qemu", machine);
	free(b->spec.machine);
	b->spec.machine = xstrdup(machine);
	return 0;
}

int container_start_detached(struct zl *z, struct box *b, bool quiet, struct err *e)
{
	struct box_event ev = { .code = EXIT_CLIENT };

	fflush(NULL);
	if (apply_machine(b, e) < 0 || container_kernel(z, b, quiet, e) < 0 ||
	    box_start(&z->dirs, b, &ev, e) < 0) {
		forget_failed(z, b);
		return ev.code;
	}
	if (ev.message[0] && !quiet)
		note_slow(ev.message);
	return 0;
}

/* The holder closed the connection without an event about our task. */
static int after_gone(struct zl *z, const struct box *b, struct box_client *c, struct err *e)
{
	own_box struct box *now = box_find(&z->dirs, b->spec.id, NULL);

	if (now && (now->state.status == BOX_RUNNING || now->state.status == BOX_PAUSED)) {
		err_set(e, EPIPE, "the output was closed; container %s keeps running", b->spec.id);
		return 128 + 13; /* SIGPIPE */
	}
	if (!box_client_killed(c, e) && now && now->state.error && now->state.error[0])
		err_set(e, EIO, "%s", now->state.error);
	return EXIT_CLIENT;
}

int container_follow(struct zl *z, const struct box *b, struct follow *f, struct box_client *c,
		     struct err *e)
{
	int code = follow_run(f, c, TASK_MAIN, e);

	follow_close(f);
	if (code == FOLLOW_DETACHED) {
		events_say_box(&z->dirs, &b->spec, "detach", NULL);
		fputs("read escape sequence\n", stderr);
		return 0;
	}
	if (code == FOLLOW_GONE)
		return after_gone(z, b, c, e);
	return code < 0 ? EXIT_CLIENT : code;
}

int container_start_attached(struct zl *z, struct box *b, struct follow *f, struct err *e)
{
	struct box_client *c;
	int code = EXIT_CLIENT;

	if (apply_machine(b, e) == 0 && container_kernel(z, b, f->quiet, e) == 0 &&
	    follow_open(f, e) == 0) {
		fflush(NULL);
		c = box_launch(&z->dirs, b, &f->io, e);
		if (c) {
			follow_lent(f, e);
			code = container_follow(z, b, f, c, e);
			box_client_free(c);
		}
	}
	follow_close(f);
	if (!f->started && e->msg[0])
		forget_failed(z, b);
	return code;
}
