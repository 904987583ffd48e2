/* volume.h: volumes: folders with a name that outlive containers. */
#ifndef ZL_BOX_VOLUME_H
#define ZL_BOX_VOLUME_H

#include <stdbool.h>
#include <stdint.h>

#include "runtime/box/box.h"

/*
 * A volume is a folder, <root>/volumes/<name>/:
 *
 *	_data/		its files, as a bind mount shows them (fuse/bind.h): owners that the host
 *			refuses are kept beside them
 *	volume.json	labels, options, when it was made
 *	users/<id>	an empty file for each container that has it; one whose container is
 *			gone says nothing
 *	lock		held while image files are copied into it
 *	filling		that was begun; who finds it without its lock begins again

 *
 * It appears and goes by rename (".new-...", ".gone-..."). Who makes a container, or a volume,
 * holds volumes/.lock shared from before its volumes are looked at until the container is there;
 * who removes one holds it exclusively. So a volume in use cannot go, and nobody has to
 * read other containers' files to know.
 */
struct volume {
	char *name;
	char *data; /* absolute: its files: mountpoint, or the folder its options name */
	char *mountpoint;
	struct strv labels, options; /* "key=value" */
	bool anonymous;
	int64_t created_ns; /* since 1970 */
	struct strv users;  /* ids of the containers that have it */
};

void volume_free(struct volume *v);

/* What is made: name NULL or "" is an anonymous one's, 64 hex digits. */
struct volume_new {
	const char *name;
	bool anonymous; /* nobody asked for it by name: it goes with its container */
	const struct strv *labels, *options; /* may be NULL */
};
/* One that is there already is fine, and stays as it is. */
int volume_create(const struct box_dirs *d, const struct volume_new *n, struct volume *out,
		  struct err *e);
/* -ENOENT: get x: no such volume */
int volume_find(const struct box_dirs *d, const char *name, struct volume *out, struct err *e);
/* Whether docker would take the name; e has its words. */
int volume_name_check(const char *name, struct err *e);
/* What of the options cannot be had here is refused. */
int volume_options_check(const struct strv *options, struct err *e);

struct volume_list {
	struct volume *v;
	size_t n;
};
/* All, by name. */
int volume_list(const struct box_dirs *d, struct volume_list *out, struct err *e);
void volume_list_free(struct volume_list *l);

/* -EBUSY: remove x: volume is in use - [ids] */
int volume_remove(const struct box_dirs *d, const char *name, struct err *e);
/* Bytes of its files. */
uint64_t volume_size(const struct volume *v);

/*
 * Makes ready all volumes of a spec that is to become a container: makes those that are missing,
 * gives anonymous ones their names, copies into empty ones what the image has there,
 * and sets the mounts' sources. The result is a lock to be closed when the container is there;
 * if it never comes, volumes_release.
 */
int volumes_prepare(const struct box_dirs *d, struct box_spec *s, struct err *e);
/* The container is gone, or going; anonymous: its anonymous volumes go with it. */
void volumes_release(const struct box_dirs *d, const struct box_spec *s, bool anonymous);
/* The events of a start (mount) or end. */
struct events;
void volumes_tell(const struct events *ev, const struct box_spec *s, bool mount);

#endif
