/* tar_in.h: entries of a hostile tar archive, packed or not; tar_in.c alone knows libarchive. */
#ifndef ZL_OCI_TAR_IN_H
#define ZL_OCI_TAR_IN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "oci/unpack.h"
#include "runtime/base/err.h"

/*
 * Most bytes of headers in front of one entry: long names, xattrs, the map of
 * a sparse file, which libarchive keeps in memory.
 */
#define TAR_HEADER_MAX (8u << 20)

/*
 * libarchive is given plain bytes by ahead.h, and never sees packed ones, so that
 * every byte goes into the diff id, also those after the archive's end mark.
 * It runs in the C locale and gives names back as the bytes that are in the
 * archive; it warns of those it cannot convert, which is no error here.
 */
struct tar_in;

/* As the archive has it, unchecked; strings live until the next entry. */
struct tar_entry {
	const char *path;		/* never NULL */
	mode_t type;			/* S_IFMT bits; of a hard link mostly 0 */
	const char *hardlink, *symlink; /* targets, or NULL */
	int64_t size, uid, gid;
	mode_t perm; /* twelve bits */
	uint64_t major, minor;
	struct timespec mtime; /* 0 if there is none */
};

struct tar_in *tar_in_new(unpack_read_fn *read, void *arg, const struct unpack_limits *limits,
			  bool hash);
/* res (may be NULL) as in ahead_finish. NULL is allowed. */
void tar_in_free(struct tar_in *t, struct unpack_result *res);
/*
 * The next entry, valid until the next call, with what was left of the last one's
 * content passed over. 1 at the end; then all of the input has been read.
 */
int tar_in_next(struct tar_in *t, struct tar_entry *te, struct err *e);
/* The entry's next xattr, in no order; false after the last. */
bool tar_in_xattr(struct tar_in *t, const char **name, const void **value, size_t *len);
/*
 * The next piece of the entry's content and where in the file it belongs: pieces come in order,
 * never beyond the entry's size. 1 at its end.
 */
int tar_in_data(struct tar_in *t, const void **buf, size_t *n, int64_t *off, struct err *e);

#endif
