/* target.h: mount targets, resolved inside the container's root. */
#ifndef ZL_GUEST_TARGET_H
#define ZL_GUEST_TARGET_H

#include <stdbool.h>

#include "runtime/base/err.h"

/*
 * An O_PATH descriptor on `path` as a process whose root is `root` sees it:
 * no symlink leads out. What is missing is made, folders as 0755, the last
 * component a folder or an empty file. -ENOTDIR or -EISDIR if what is there
 * is of the other kind.
 */
int target_make(int root, const char *path, bool folder, struct err *e);
/* The same without making anything; -ENOENT where there is nothing. */
int target_open(int root, const char *path);

#endif
