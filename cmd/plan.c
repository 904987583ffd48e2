/* plan.c: flags + image config -> box spec, by docker's rules; pure. */
#include "cmd/plan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "runtime/base/own.h"
#include "runtime/base/parse.h"

#define PATH_DEFAULT "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define HOSTNAME_MAX 64U
/* How much of the id is the default host name. */
#define SHORT_ID 12

static void set_text(char **field, const char *value)
{
	free(*field);
	*field = xstrdup(value ? value : "");
}

/* The config part of an image's config. */
static const struct js *config_of(const struct image *i)
{
	return i ? js_get(i->config, "config") : NULL;
}

/*
 * docker: a command on the line replaces CMD, an --entrypoint replaces
 * ENTRYPOINT and drops CMD; --entrypoint "" leaves neither.
 */
static int plan_argv(struct box_spec *s, const struct plan_input *in, struct err *e)
{
	const char *entrypoint = in->flags->entrypoint;

	for (int i = 0; i < in->command->n; i++)
		strv_add(&s->cmd, in->command->v[i]);
	if (entrypoint) {
		if (*entrypoint)
			strv_add(&s->entrypoint, entrypoint);
	} else {
		js_strings(js_get(config_of(in->image), "Entrypoint"), &s->entrypoint);
		if (s->cmd.n == 0)
			js_strings(js_get(config_of(in->image), "Cmd"), &s->cmd);
	}
	strv_add_all(&s->argv, &s->entrypoint);
	strv_add_all(&s->argv, &s->cmd);
	if (s->argv.n == 0 && in->image)
		return err_set(e, EINVAL, "no command specified");
	return 0;
}

/* PATH, HOSTNAME and TERM under the image's, under the user's. */
static void plan_env(struct box_spec *s, const struct plan_input *in)
{
	own_strv struct strv image = STRV_INIT;

	strv_add(&s->env, PATH_DEFAULT);
	strv_addf(&s->env, "HOSTNAME=%s", s->hostname);
	if (s->tty)
		strv_add(&s->env, "TERM=xterm");
	js_strings(js_get(config_of(in->image), "Env"), &image);
	for (size_t i = 0; i < image.n; i++)
		if (strchr(image.v[i], '='))
			strv_env_set(&s->env, image.v[i]);
	for (size_t i = 0; i < in->env->n; i++) {
		if (strchr(in->env->v[i], '='))
			strv_env_set(&s->env, in->env->v[i]);
		else
			strv_env_unset(&s->env, in->env->v[i]);
	}
}

static void plan_labels(struct box_spec *s, const struct plan_input *in)
{
	struct js *value;
	const char *key;
	void *it = NULL;

	while (js_each(js_get(config_of(in->image), "Labels"), &it, &key, &value))
		strv_addf(&s->labels, "%s=%s", key, js_text(value) ? js_text(value) : "");
	for (size_t i = 0; i < in->labels->n; i++)
		strv_env_set(&s->labels, in->labels->v[i]);
}

static int plan_hostname(struct box_spec *s, const struct run_flags *f, struct err *e)
{
	static const char good[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
				   "-_.";
	const char *name = f->hostname;

	if (name == NULL || *name == 0) {
		free(s->hostname);
		s->hostname = xstrndup(s->id, SHORT_ID);
	} else if (strlen(name) > HOSTNAME_MAX || strspn(name, good) != strlen(name) ||
		   *name == '-' || *name == '.') {
		return err_set(e, EINVAL, "invalid hostname format: %s", name);
	} else {
		set_text(&s->hostname, name);
	}
	set_text(&s->domainname, f->domainname);
	return 0;
}

static int plan_attach(struct box_spec *s, const struct run_flags *f, struct err *e)
{
	static const struct {
		const char *name;
		unsigned bit;
	} streams[] = {
		{ "stdin", BOX_ATTACH_STDIN },
		{ "stdout", BOX_ATTACH_STDOUT },
		{ "stderr", BOX_ATTACH_STDERR },
	};

	for (size_t i = 0; i < f->attach.n; i++) {
		unsigned bit = 0;

		for (size_t k = 0; k < 3; k++)
			if (strcasecmp(f->attach.v[i], streams[k].name) == 0)
				bit = streams[k].bit;
		if (bit == 0)
			return err_set(e, EINVAL,
				       "invalid argument \"%s\" for \"-a, --attach\" flag: valid "
				       "streams are STDIN, STDOUT and STDERR",
				       f->attach.v[i]);
		s->attach |= bit;
	}
	if (f->attach.n == 0 && !f->detach) {
		s->attach = BOX_ATTACH_STDOUT | BOX_ATTACH_STDERR;
		if (f->interactive)
			s->attach |= BOX_ATTACH_STDIN;
	}
	return 0;
}

static int plan_stop(struct box_spec *s, const struct plan_input *in, struct err *e)
{
	const char *sig = in->flags->stop_signal;

	if (sig == NULL)
		sig = js_text(js_get(config_of(in->image), "StopSignal"));
	if (sig && *sig) {
		if (parse_signal(sig) == 0)
			return err_set(e, EINVAL, "invalid signal: %s", sig);
		set_text(&s->stop_signal, sig);
	}
	if (in->flags->stop_timeout != STOP_TIMEOUT_UNSET)
		s->stop_timeout = in->flags->stop_timeout;
	return 0;
}

static int plan_cwd(struct box_spec *s, const struct plan_input *in, struct err *e)
{
	const char *cwd = in->flags->workdir;

	if (cwd && *cwd && *cwd != '/')
		return err_set(e, EINVAL,
			       "the working directory '%s' is invalid, it needs to be an absolute "
			       "path",
			       cwd);
	if (cwd == NULL || *cwd == 0)
		cwd = js_text(js_get(config_of(in->image), "WorkingDir"));
	set_text(&s->cwd, cwd);
	return 0;
}

static int plan_mounts(struct box_spec *s, const struct plan_input *in, struct err *e)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < in->flags->mount.n; i++)
		rc = plan_mount(s, in->flags->mount.v[i], &in->host, e);
	for (size_t i = 0; rc == 0 && i < in->flags->volume.n; i++)
		rc = plan_volume(s, in->flags->volume.v[i], &in->host, e);
	for (size_t i = 0; rc == 0 && i < in->flags->tmpfs.n; i++)
		rc = plan_tmpfs(s, in->flags->tmpfs.v[i], e);
	return rc < 0 ? rc : plan_sort_mounts(s, e);
}

static void plan_simple(struct box_spec *s, const struct plan_input *in)
{
	const struct run_flags *f = in->flags;
	const char *user =
		f->user && *f->user ? f->user : js_text(js_get(config_of(in->image), "User"));

	set_text(&s->image, in->image_name);
	set_text(&s->image_id, in->image ? in->image->id : "");
	set_text(&s->user, user);
	set_text(&s->machine, f->machine);
	set_text(&s->kernel, f->kernel);
	set_text(&s->platform, f->platform);
	if (in->image)
		strv_add_all(&s->layers, &in->image->layers);
	strv_add_all(&s->groups, &f->group_add);
	s->tty = f->tty;
	s->open_stdin = f->interactive;
	s->init = f->init;
	s->read_only = f->read_only;
	s->privileged = f->privileged;
	s->auto_remove = f->rm;
	s->detached = f->detach;
	if (f->shm_size)
		s->shm_size = f->shm_size;
}

/* What makes no sense whatever the image is. */
static int plan_flags(const struct run_flags *f, struct err *e)
{
	if (f->detach && f->attach.n)
		return err_set(e, EINVAL,
			       "conflicting options: cannot specify both --attach and --detach");
	if (f->machine && strcmp(f->machine, "kvm") != 0 && strcmp(f->machine, "qemu") != 0)
		return err_set(
			e, EINVAL,
			"invalid argument \"%s\" for \"--machine\" flag: must be kvm or qemu",
			f->machine);
	if (f->stop_timeout < -1 && f->stop_timeout != STOP_TIMEOUT_UNSET)
		return err_set(e, EINVAL,
			       "invalid argument \"%lld\" for \"--stop-timeout\" flag: must be a "
			       "number of seconds, or -1",
			       (long long)f->stop_timeout);
	if (f->name && *f->name)
		return name_check(f->name + (*f->name == '/'), e);
	return 0;
}

int plan_make(struct box_spec *s, const struct plan_input *in, struct err *e)
{
	const struct run_flags *f = in->flags;
	int rc = plan_flags(f, e);

	if (rc < 0)
		return rc;
	plan_simple(s, in);
	if (f->name)
		set_text(&s->name, f->name + (*f->name == '/'));
	rc = plan_hostname(s, f, e);
	if (rc == 0)
		rc = plan_argv(s, in, e);
	if (rc < 0)
		return rc;
	plan_env(s, in);
	plan_labels(s, in);
	if (rc == 0)
		rc = plan_cwd(s, in, e);
	if (rc == 0)
		rc = limits_set(&s->limits, &f->limits, &in->host.limits, in->warnings, e);
	if (rc == 0)
		rc = plan_inside(s, f, e);
	if (rc == 0)
		rc = plan_modes(s, in, e);
	if (rc == 0)
		rc = plan_net(s, in, e);
	if (rc == 0)
		rc = plan_attach(s, f, e);
	if (rc == 0)
		rc = plan_stop(s, in, e);
	if (rc == 0)
		rc = plan_restart(s, f, e);
	if (rc == 0)
		rc = plan_health(s, f, config_of(in->image), e);
	if (rc == 0)
		rc = caps_apply(&s->caps, &f->cap_add, &f->cap_drop, e);
	if (rc == 0 && f->privileged)
		s->caps = caps_all();
	if (rc == 0)
		rc = plan_ports(s, f, e);
	return rc < 0 ? rc : plan_mounts(s, in, e);
}
