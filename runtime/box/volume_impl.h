/* volume_impl.h: what volume.c and volume_use.c share. */
#ifndef ZL_BOX_VOLUME_IMPL_H
#define ZL_BOX_VOLUME_IMPL_H

#include "runtime/box/volume.h"

#define VOLUME_DATA  "_data"
#define VOLUME_USERS "users"

char *volume_path(const struct box_dirs *d, const char *name);
/* volumes/.lock, made where it is missing, as a locked descriptor. */
int volume_guard(const struct box_dirs *d, int how, struct err *e);
/* volume_create by one who has the guard. */
int volume_create_guarded(const struct box_dirs *d, const struct volume_new *n, struct volume *out,
			  struct err *e);
/* Takes away what killed ones left, if nobody else is at work. */
void volume_sweep(const struct box_dirs *d);

#endif
