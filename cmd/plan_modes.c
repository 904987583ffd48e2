/* plan_modes.c: docker's flags that mean little, or something else, where a container is a VM. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cmd/plan.h"
#include "runtime/base/own.h"
#include "runtime/box/logfile.h"

/*
 * What means the same in a machine is taken; what would be a lie is refused
 * with the reason. docker's own words where docker refuses, too.
 */
#define OOM_SCORE_MAX 1000

static bool given(const char *text)
{
	return text && *text;
}

static void set_text(char **field, const char *value)
{
	free(*field);
	*field = xstrdup(value ? value : "");
}

/* ---- namespaces */

/* A namespace flag: its words, and why those that share cannot be had. */
struct mode {
	const char *flag, *value;
	const char *taken; /* words apart by '|' that change nothing */
	const char *bad;   /* docker's words for what is none; "%s" is the value */
};

static bool among(const char *word, const char *words)
{
	size_t n = strlen(word);

	for (const char *at = words; *at; at += strcspn(at, "|"), at += *at == '|')
		if (strcspn(at, "|") == n && strncmp(at, word, n) == 0)
			return true;
	return false;
}

static int check_mode(const struct mode *m, struct err *e)
{
	if (!given(m->value) || among(m->value, m->taken))
		return 0;
	if (strcmp(m->value, "host") == 0)
		return err_set(e, ENOTSUP,
			       "%s host is not supported: a container has a kernel of its own, "
			       "which knows nothing of the host's",
			       m->flag);
	if (str_starts(m->value, "container:") && m->value[10])
		return err_set(
			e, ENOTSUP,
			"%s %s is not supported: the other container has a kernel of its own",
			m->flag, m->value);
	return err_set(e, EINVAL, "%s", m->bad);
}

static int plan_namespaces(struct box_spec *s, const struct run_flags *f, struct err *e)
{
	own_free char *ipc = xasprintf("invalid IPC mode: %s", f->ipc ? f->ipc : "");
	const struct mode modes[] = {
		{ "--pid", f->pid, "", "--pid: invalid PID mode" },
		{ "--uts", f->uts, "", "--uts: invalid UTS mode" },
		{ "--userns", f->userns, "host", "--userns: invalid USER mode" },
		{ "--cgroupns", f->cgroupns, "private", "--cgroupns: invalid CGROUP mode" },
		{ "--ipc", f->ipc, "private|shareable|none", ipc },
	};

	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
		if (check_mode(&modes[i], e) < 0)
			return -EINVAL;
	if (given(f->ipc))
		set_text(&s->ipc, f->ipc);
	set_text(&s->userns, f->userns);
	return 0;
}

/* ---- what is docker's own */

static int plan_engine(struct box_spec *s, const struct run_flags *f, struct err *e)
{
	if (given(f->isolation) && strcasecmp(f->isolation, "default") != 0)
		return err_set(e, EINVAL, "invalid isolation '%s' on linux", f->isolation);
	if (given(f->runtime) && strcmp(f->runtime, "zl") != 0)
		return err_set(e, EINVAL, "unknown or invalid runtime name: %s", f->runtime);
	if (given(f->cgroup_parent))
		return err_set(e, ENOTSUP,
			       "--cgroup-parent is not supported: a container's machine stays in "
			       "the cgroup that zl was started in");
	if (given(f->gpus))
		return err_set(e, ENOTSUP,
			       "could not select device driver \"\" with capabilities: [[gpu]]: a "
			       "container's machine has no GPU");
	if (f->use_api_socket)
		return err_set(e, ENOTSUP,
			       "--use-api-socket is not supported: there is no service, and so no "
			       "socket of it");
	if (!f->disable_content_trust)
		return err_set(
			e, ENOTSUP,
			"--disable-content-trust=false is not supported: images are verified "
			"by their digests only");
	if (given(f->volume_driver) && strcmp(f->volume_driver, "local") != 0)
		return err_set(e, ENOTSUP,
			       "error looking up volume plugin %s: plugin \"%s\" not found",
			       f->volume_driver, f->volume_driver);
	for (size_t i = 0; i < f->storage_opt.n; i++)
		if (strchr(f->storage_opt.v[i], '=') == NULL)
			return err_set(e, EINVAL, "invalid storage option");
	if (f->storage_opt.n)
		return err_set(e, ENOTSUP,
			       "--storage-opt is not supported: what a container writes is bounded "
			       "by the file system of the store");
	set_text(&s->isolation, f->isolation);
	set_text(&s->volume_driver, f->volume_driver);
	return 0;
}

/* ---- memory's end */

static int plan_oom(struct box_spec *s, const struct run_flags *f, struct strv *warnings,
		    struct err *e)
{
	if (f->oom_score_adj < -OOM_SCORE_MAX || f->oom_score_adj > OOM_SCORE_MAX)
		return err_set(e, EINVAL,
			       "Invalid value %" PRId64
			       ", range for oom score adj is [-1000, 1000]",
			       f->oom_score_adj);
	if (f->memory_swappiness < -1 || f->memory_swappiness > 100)
		return err_set(e, EINVAL,
			       "invalid value: %" PRId64 ". Valid memory swappiness range is 0-100",
			       f->memory_swappiness);
	s->oom_score_adj = f->oom_score_adj;
	if (f->memory_swappiness >= 0 && warnings)
		strv_add(warnings, "WARNING: Your kernel does not support memory swappiness "
				   "capabilities or the cgroup is not mounted. Memory swappiness "
				   "discarded.");
	if (f->oom_kill_disable && warnings)
		strv_add(warnings, "WARNING: Your kernel does not support OomKillDisable. "
				   "OomKillDisable discarded.");
	return 0;
}

/* ---- logs */

static int plan_log(struct box_spec *s, const struct run_flags *f, struct err *e)
{
	struct log_config c;
	int rc;

	if (given(f->log_driver))
		set_text(&s->log_driver, f->log_driver);
	for (size_t i = 0; i < f->log_opt.n; i++) {
		const char *opt = f->log_opt.v[i];
		own_free char *pair = strchr(opt, '=') ? xstrdup(opt) : xasprintf("%s=", opt);

		strv_env_set(&s->log_opts, pair);
	}
	rc = log_config_of(&c, s, e);
	if (rc == 0)
		log_config_free(&c);
	return rc;
}

static void plan_annotations(struct box_spec *s, const struct strv *annotations)
{
	for (size_t i = 0; i < annotations->n; i++) {
		const char *a = annotations->v[i];
		own_free char *pair = strchr(a, '=') ? xstrdup(a) : xasprintf("%s=", a);

		strv_env_set(&s->annotations, pair);
	}
}

int plan_modes(struct box_spec *s, const struct plan_input *in, struct err *e)
{
	const struct run_flags *f = in->flags;
	int rc = plan_namespaces(s, f, e);

	if (rc == 0)
		rc = plan_engine(s, f, e);
	if (rc == 0)
		rc = plan_oom(s, f, in->warnings, e);
	if (rc == 0)
		rc = plan_log(s, f, e);
	plan_annotations(s, &f->annotation);
	set_text(&s->cidfile, f->cidfile);
	return rc;
}
