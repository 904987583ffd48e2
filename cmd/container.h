/* container.h: what commands on containers share. */
#ifndef ZL_CMD_CONTAINER_H
#define ZL_CMD_CONTAINER_H

#include <stdbool.h>

#include "cmd/cmd.h"
#include "cmd/flags.h"

/* As many digits of an id as docker shows. */
#define SHORT_ID_LEN 12

/* ops: the image, then the command. NULL with the error. */
struct box *container_make(struct zl *z, const struct run_flags *f, const struct operands *ops,
			   struct err *e);

/*
 * mounts.c: completes a spec's mounts and makes what they need: --volumes-from, the image's
 * volumes, missing sources, volumes. A lock to be closed when the container is there, as
 * volumes_prepare's.
 */
int container_mounts(struct zl *z, const struct run_flags *f, const struct image *i,
		     struct box_spec *s, struct err *e);

/* Says on stderr that there is no hardware virtualisation, and why; the second, if there will be
 * none. */
void note_slow(const char *why);
void note_emulation(const char *machine);
/* The machine a container would run on: its own choice, ZL_MACHINE, or what is there. */
int machine_wanted(const char *machine);

int pull_policy_parse(const char *text, enum pull_policy *p, struct err *e);

/* --kernel of a new container: a file's path becomes absolute, a name must be one. */
int kernel_settle(char **kernel, struct err *e);
/*
 * Finds the kernel that b is to boot where it is not the embedded one (--kernel, ZL_KERNEL), for
 * the start that follows: a file, or the /vmlinux of an image, pulled if it is newer.
 */
int container_kernel(struct zl *z, const struct box *b, bool quiet, struct err *e);

/*
 * Starts b with nothing attached. The exit code is 0, or docker's 125 to 127 with e set.
 * quiet: without a note where it turns out to be slow.
 */
int container_start_detached(struct zl *z, struct box *b, bool quiet, struct err *e);
/*
 * Follows a started or joined task to its end; the exit code. A holder that let us go is
 * looked after: why, and whether the container still runs.
 */
struct follow;
int container_follow(struct zl *z, const struct box *b, struct follow *f, struct box_client *c,
		     struct err *e);
/* Starts b in the foreground; the streams are f's. */
int container_start_attached(struct zl *z, struct box *b, struct follow *f, struct err *e);

/*
 * Before a container's files are read: a running one writes out what it has and is stopped
 * (pause). NULL where there is nothing to undo by container_unsettle.
 */
struct box_client *container_settle(struct zl *z, struct box *b, bool pause);
void container_unsettle(struct box_client *c);

#endif
