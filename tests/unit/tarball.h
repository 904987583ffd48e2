/* tarball.h: writes tar archives byte by byte, also such as no tar would write. */
#ifndef ZL_TESTS_TARBALL_H
#define ZL_TESTS_TARBALL_H

#include <stddef.h>
#include <stdint.h>

#include "runtime/base/str.h"

/* What of a header is not said by name and type. */
struct tar_head {
	unsigned mode, uid, gid;
	int64_t mtime;
	const char *link;
	unsigned major, minor;
};

/* Any entry; name and link at most 100 bytes (longer: tar_pax "path", "linkpath"). */
void tar_add(struct str *t, char type, const char *name, const struct tar_head *h, const void *data,
	     size_t n);
/* The usual ones, 0:0, time 0. */
void tar_file(struct str *t, const char *name, unsigned mode, const char *text);
void tar_dir(struct str *t, const char *name, unsigned mode);
void tar_symlink(struct str *t, const char *name, const char *target);
void tar_hardlink(struct str *t, const char *name, const char *target);
/* A pax header with one record, for the next entry. */
void tar_pax(struct str *t, const char *key, const void *value, size_t n);
/* Several records in one header: made with tar_record, added with tar_records. */
void tar_record(struct str *records, const char *key, const void *value, size_t n);
void tar_records(struct str *t, const struct str *records);
/* The end mark. */
void tar_end(struct str *t);

/* Packs with gzip, zstd, xz or bzip2 ('g', 'z', 'x', 'b'), appending to out. */
void pack(char how, const void *p, size_t n, struct str *out);

/*
 * A new folder that can hold user xattrs, in $TMPDIR, /tmp or /var/tmp; to be freed. NULL: there is
 * none.
 */
char *scratch_dir(void);

#endif
