/* bundle.h: the kernel and initramfs that ride inside the executable, as files. */
#ifndef ZL_BOX_BUNDLE_H
#define ZL_BOX_BUNDLE_H

#include "runtime/box/box.h"

/*
 * Unpacked once into <root>/kernel/<id>/ by whoever is first, made aside and
 * renamed, so that nobody sees a part. `lock` keeps others from removing it
 * as outdated while it is in use.
 */
struct bundle {
	char *kernel, *initrd;
	int lock;
};

/* What d names, else the embedded files. */
int bundle_get(const struct box_dirs *d, struct bundle *b, struct err *e);
void bundle_free(struct bundle *b);

#endif
