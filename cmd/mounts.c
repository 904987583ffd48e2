/* mounts.c: what a container's mounts need before it is made: others' volumes, sources, volumes. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "cmd/container.h"
#include "cmd/plan.h"
#include "runtime/base/fd.h"
#include "runtime/base/own.h"
#include "runtime/box/volume.h"

/* What a missing source folder of -v is made with. */
#define SOURCE_MODE 0755

/* "CONTAINER" or "CONTAINER:ro" */
static int from_one(struct zl *z, struct box_spec *s, const char *text, struct err *e)
{
	const char *colon = strchr(text, ':'), *mode = colon ? colon + 1 : "rw";
	own_free char *who = xstrndup(text, strcspn(text, ":"));
	own_box struct box *b = NULL;

	if (*who == 0)
		return err_set(e, EINVAL, "malformed volumes-from specification: %s", text);
	if (strcmp(mode, "ro") != 0 && strcmp(mode, "rw") != 0 && strcmp(mode, "z") != 0 &&
	    strcmp(mode, "Z") != 0)
		return err_set(e, EINVAL, "invalid mode for volumes-from: %s", mode);
	b = box_find(&z->dirs, who, e);
	if (b == NULL)
		return -ENOENT;
	plan_volumes_from(s, &b->spec, strcmp(mode, "ro") == 0);
	return 0;
}

/* docker makes the missing source of a -v as a folder, but not that of a --mount. */
static int make_source(const struct box_mount *m, struct err *e)
{
	struct stat st;
	int rc;

	if (stat(m->source, &st) == 0) {
		if (!S_ISSOCK(st.st_mode))
			return 0;
		return err_set(e, ENOTSUP,
			       "mount %s: a socket of the host's cannot be reached from inside a "
			       "machine",
			       m->source);
	}
	if (errno == ENOENT && m->by_mount)
		return err_set(e, ENOENT,
			       "invalid mount config for type \"bind\": bind source path does not "
			       "exist: %s",
			       m->source);
	if (errno != ENOENT)
		return err_sys(e, "invalid mount source %s", m->source);
	rc = dir_make_all(m->source, SOURCE_MODE, e);
	return rc < 0 ? err_wrap(e, "create mount source %s", m->source) : 0;
}

static int make_sources(const struct box_spec *s, struct err *e)
{
	int rc = 0;

	for (unsigned i = 0; rc == 0 && i < s->nmounts; i++)
		if (s->mounts[i].kind == BOX_MOUNT_BIND)
			rc = make_source(&s->mounts[i], e);
	return rc;
}

int container_mounts(struct zl *z, const struct run_flags *f, const struct image *i,
		     struct box_spec *s, struct err *e)
{
	int rc = 0;

	for (size_t k = 0; rc == 0 && k < f->volumes_from.n; k++)
		rc = from_one(z, s, f->volumes_from.v[k], e);
	strv_add_all(&s->volumes_from, &f->volumes_from);
	if (rc == 0)
		rc = plan_image_volumes(s, i->config, e);
	if (rc == 0)
		rc = make_sources(s, e);
	return rc < 0 ? rc : volumes_prepare(&z->dirs, s, e);
}
