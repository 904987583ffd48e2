/* unpack.h: a layer's archive, as it streams in, becomes files in a folder. */
#ifndef ZL_OCI_UNPACK_H
#define ZL_OCI_UNPACK_H

#include <stdint.h>
#include <sys/types.h>

#include "oci/digest.h"
#include "runtime/base/err.h"

/*
 * Where bytes come from: *buf is set to the next ones, which stay valid until
 * the next call. Returns their number, 0 at the end, or -errno with e set.
 * It may block. It is called by one thread at a time, not always the same one.
 */
typedef ssize_t unpack_read_fn(void *arg, const void **buf, struct err *e);

/* What is refused; 0 in a field is the default below. */
struct unpack_limits {
	uint64_t bytes;	  /* of the uncompressed archive */
	uint64_t entries; /* files, folders and links */
	uint64_t ratio;	  /* uncompressed bytes for one compressed byte */
};

#define UNPACK_BYTES_MAX   (UINT64_C(1) << 40)
#define UNPACK_ENTRIES_MAX UINT64_C(10000000)
/* gzip's own limit is 1032; beyond UNPACK_RATIO_FREE bytes no honest layer comes near this. */
#define UNPACK_RATIO_MAX  UINT64_C(400)
#define UNPACK_RATIO_FREE (UINT64_C(1) << 30)
#define UNPACK_PATH_MAX	  4095 /* bytes of a path */
#define UNPACK_DEPTH_MAX  512  /* folders in a path */
#define UNPACK_XATTRS_MAX 256  /* of one file */

struct unpack_result {
	struct digest diff_id; /* of the uncompressed archive */
	uint64_t packed;       /* bytes read */
	uint64_t bytes;	       /* of the uncompressed archive */
	uint64_t size;	       /* of the regular files */
	uint64_t entries;
};

/*
 * Reads a layer (tar, plain or compressed with gzip, zstd, xz or bzip2: what
 * it is shows from its first bytes) to its very end, and makes its files in
 * the empty folder dirfd, in the format of runtime/base/layer.h. Names cannot
 * leave the folder, whatever they are. On failure the folder holds a part,
 * for the caller to remove. -EBADMSG: the archive is damaged or hostile;
 * -EFBIG: it is beyond a limit; anything else is the disk's or the reader's.
 */
int unpack_layer(int dirfd, unpack_read_fn *read, void *arg, const struct unpack_limits *limits,
		 struct unpack_result *res, struct err *e);

/* An unpack_read_fn for a descriptor; arg is a struct unpack_fd. */
struct unpack_fd {
	int fd;
	char *buf; /* UNPACK_FD_BYTES */
};
#define UNPACK_FD_BYTES (256 * 1024)
ssize_t unpack_read_fd(void *arg, const void **buf, struct err *e);

#endif
