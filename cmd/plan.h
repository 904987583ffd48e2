/* plan.h: flags + image config -> box spec, by docker's rules. */
#ifndef ZL_CMD_PLAN_H
#define ZL_CMD_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include "cmd/flags.h"
#include "oci/image.h"
#include "runtime/base/err.h"
#include "runtime/box/spec.h"

/* What a plan depends on besides flags and image; so that it is a pure function. */
struct plan_host {
	const char *cwd;  /* for relative bind sources */
	const char *home; /* for ~; NULL: unknown */
	struct limit_host limits;
};

struct plan_input {
	const struct run_flags *flags;
	const struct strv *env;		/* as flags_env made it */
	const struct strv *labels;	/* as flags_labels made them */
	const struct operands *command; /* what follows the image; n may be 0 */
	const char *image_name;		/* as typed */
	const struct image *image;	/* NULL: only check what the user wrote, before a pull */
	struct plan_host host;
	struct strv *warnings; /* lines for stderr are appended; NULL: not wanted */
};

/* Fills a spec made by box_spec_init. */
int plan_make(struct box_spec *s, const struct plan_input *in, struct err *e);

/* plan_inside.c: what is found inside */
int plan_inside(struct box_spec *s, const struct run_flags *f, struct err *e);
/* plan_modes.c: what means little in a machine, or would be a lie */
int plan_modes(struct box_spec *s, const struct plan_input *in, struct err *e);
/* plan_net.c: names, addresses, ports */
int plan_net(struct box_spec *s, const struct plan_input *in, struct err *e);
/* plan_life.c; config: the image's, NULL: there is none yet */
int plan_restart(struct box_spec *s, const struct run_flags *f, struct err *e);
int plan_health(struct box_spec *s, const struct run_flags *f, const struct js *config,
		struct err *e);
/* plan_port.c: after what is exposed is known */
int plan_ports(struct box_spec *s, const struct run_flags *f, struct err *e);

/* plan_mount.c */
int plan_volume(struct box_spec *s, const char *text, const struct plan_host *h, struct err *e);
int plan_tmpfs(struct box_spec *s, const char *text, struct err *e);
/* Outer targets in front of inner ones; -EINVAL when two are the same. */
int plan_sort_mounts(struct box_spec *s, struct err *e);
/* The mounts of another container (--volumes-from) that this one has nothing of its own for. */
void plan_volumes_from(struct box_spec *s, const struct box_spec *from, bool read_only);
/* The volumes that an image wants where nothing else is mounted; after all other mounts. */
int plan_image_volumes(struct box_spec *s, const struct js *config, struct err *e);
/* A mount's target, cleaned, to be freed; NULL with docker's words. */
char *plan_clean_target(const char *target, struct err *e);
/* The host's side of a bind, to be freed: absolute, ./relative, ~/home; NULL: it is none of these.
 */
char *plan_clean_source(const char *source, const struct plan_host *h);
/* Whether a bind's propagation can be had. */
int plan_propagation(const char *word, struct err *e);

/* plan_mount_flag.c */
int plan_mount(struct box_spec *s, const char *text, const struct plan_host *h, struct err *e);
/* "/a//b/../c/" -> "/a/c"; owned by the caller. */
char *plan_path_clean(const char *path);

/* caps.c: docker's --cap-add and --cap-drop on a set of 1 << CAP_*. */
int caps_apply(uint64_t *caps, const struct strv *add, const struct strv *drop, struct err *e);
uint64_t caps_all(void);
/* The names "CHOWN" ..., in order; NULL past the last. */
const char *cap_name(unsigned cap);

/* names.c: a name such as docker makes up for a container; turn > 0 adds a number. */
char *name_random(unsigned turn);
/* Whether docker would take the name; e has its words. */
int name_check(const char *name, struct err *e);

#endif
