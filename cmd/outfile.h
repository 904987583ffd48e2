/* outfile.h: where save and export write: a file that appears when it is whole, or stdout. */
#ifndef ZL_CMD_OUTFILE_H
#define ZL_CMD_OUTFILE_H

#include "runtime/base/err.h"

struct outfile {
	int fd;
	char *path, *tmp, *dir; /* path NULL: stdout; tmp NULL: written in place */
};

/*
 * path NULL is stdout, which is refused in docker's words where it is a terminal. An
 * existing regular file is replaced when all is written; devices and pipes are written into.
 */
int outfile_open(struct outfile *o, const char *path, struct err *e);
/* rc: how the writing went; negative leaves nothing behind. Returns rc, or its own failure. */
int outfile_close(struct outfile *o, int rc, struct err *e);

#endif
