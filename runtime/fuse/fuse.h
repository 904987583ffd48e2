/* fuse.h: the file server: FUSE request bytes in, reply bytes out. */
#ifndef ZL_FUSE_FUSE_H
#define ZL_FUSE_FUSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "runtime/base/err.h"

/*
 * The engine knows no virtio, owns no thread and no loop, and may be called
 * from several threads at once.
 *
 * One engine shows one tree: its root (nodeid 1) is a read-only folder of the
 * engine's own whose entries are the shares. A share is
 *
 *  - a union: the container's writable upper folder over N read-only layers
 *    (layer.h says how layers are stored). Nobody else changes these, so
 *    the guest may cache all of it for ever; or
 *  - a bind: one folder (or one file in a folder) of the host's, which others
 *    change too, so that nothing is cached beyond what they would see.
 *
 * An engine holds shares of one of the two kinds only, as caching is
 * negotiated once per connection.
 */
struct fuse;

/*
 * Descriptors: an engine keeps to about a third of what RLIMIT_NOFILE (soft)
 * leaves, 96 at least and 6144 at most, whatever the guest has open; binds
 * refuse further open files with ENFILE.
 */
struct fuse_place {
	const char *path; /* "/a/b"; borrowed, must outlive the engine; NULL: the list's end */
	bool folder;	  /* or an empty file */
};

struct fuse_share {
	const char *name;	   /* entry in the engine's root: "root", "0", "1" ... */
	const char *const *layers; /* union: read-only, topmost first */
	unsigned nlayers;
	const char *upper; /* union: the writable folder, which owns <upper>.work too (layer.h);
			    * NULL: read-only */
	const char *path;  /* bind: a folder of the host's; NULL: a union */
	const char *only;  /* bind: the one entry of `path` that is shown; NULL: all */
	const char
		*below; /* bind: the folder in `path` that is shown, reached by no link; or NULL */
	bool read_only;
	const struct fuse_place *places; /* union, the first share: see fuse_prepare; or NULL */
	bool look; /* union: read_only, and of the upper nothing is made or cleared */
};

/* Opens every share's folders. Paths are not needed afterwards. */
struct fuse *fuse_new(const struct fuse_share *shares, unsigned n, struct err *e);
/* When no thread is in fuse_handle any more. */
void fuse_free(struct fuse *f);

/*
 * What need not wait for the guest's first request, while it boots: what is
 * missing of the first share's places is made, root's, as mkdir and mknod would,
 * if no symlink is in the way, so that the guest finds its mount points. Any
 * thread, once; an engine works without it too.
 */
void fuse_prepare(struct fuse *f);

/*
 * Serves one request: `out` is what the guest wrote (fuse_in_header first),
 * `in` is room for the reply (fuse_out_header first). Both may lie in guest
 * memory and change at any moment. Returns the bytes put into `in`: 0 for
 * requests without a reply (FORGET); -EPROTO when the request is too short
 * to be answered at all, or `in` too small for any reply.
 */
ssize_t fuse_handle(struct fuse *f, const struct iovec *out, int nout, const struct iovec *in,
		    int nin);

/*
 * The FUSE connection is gone (device reset): forgets every node and handle.
 */
void fuse_reset(struct fuse *f);

/*
 * A window of the guest's memory, into which the engine maps pages of a union's
 * files (DAX; window.c). Offsets and lengths are within size and multiples of
 * FUSE_WINDOW_RANGE. Both return 0 or -errno; map replaces what is there, and
 * when it fails nothing is there.
 */
#define FUSE_WINDOW_SHIFT 21
#define FUSE_WINDOW_RANGE (1ULL << FUSE_WINDOW_SHIFT)
struct fuse_window {
	uint64_t size; /* a multiple of FUSE_WINDOW_RANGE */
	void *arg;
	/* Shows the file from `off` on at window offset `at`; write: the guest may change it. */
	int (*map)(void *arg, uint64_t at, uint64_t len, int fd, uint64_t off, bool write);
	int (*unmap)(void *arg, uint64_t at, uint64_t len);
};
/*
 * When no thread is in fuse_handle. NULL takes the window away: nothing of it
 * is unmapped, and map and unmap are not called any more. An engine of binds
 * does not use it: others may truncate their files at any time.
 */
void fuse_set_window(struct fuse *f, const struct fuse_window *w);

/* For the holder's stats: bytes read and written by the guest through this engine. */
void fuse_counters(const struct fuse *f, uint64_t *bytes_read, uint64_t *bytes_written);

#endif
