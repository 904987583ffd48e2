/* tree.c: a container's files as they are now, without its machine. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/own.h"
#include "runtime/box/state.h"
#include "runtime/fuse/walk.h"

int box_tree(const struct box *b, bool changes, entry_fn *fn, void *arg, struct err *e)
{
	own_free char *upper = xasprintf("%s/" BOX_UPPER, b->dir);
	bool has_upper = access(upper, F_OK) == 0;

	if (!has_upper && (changes || b->spec.layers.n == 0))
		return 0;
	return fuse_walk((const char *const *)b->spec.layers.v, (unsigned)b->spec.layers.n,
			 has_upper ? upper : NULL, changes, fn, arg, e);
}
