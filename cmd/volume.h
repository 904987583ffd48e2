/* volume.h: what commands on volumes share. */
#ifndef ZL_CMD_VOLUME_H
#define ZL_CMD_VOLUME_H

#include "cmd/prune.h"
#include "cmd/show.h"
#include "runtime/base/json.h"
#include "runtime/box/volume.h"

struct zl;

/* A row of `zl volume ls`, with the size of its files; owned by the caller. */
struct js *volume_row(const struct volume *v, bool sizes);
/* As inspect shows it; owned by the caller. */
struct js *volume_inspected(const struct volume *v);
/* Whether all filters are met: dangling, driver, label, label!, name. */
bool volume_matches(const struct volume *v, const struct filters *f);

/* Removes what no container has, all or those that nobody named, and says which. */
int prune_volumes(struct zl *z, bool all, const struct filters *filters, uint64_t *bytes,
		  struct err *e);

#endif
