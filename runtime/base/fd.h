/* fd.h: whole reads and writes, files, folders, locks, passing descriptors. */
#ifndef ZL_BASE_FD_H
#define ZL_BASE_FD_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "runtime/base/err.h"
#include "runtime/base/str.h"

/* Reads until n bytes or end of file; the count, or -errno. */
ssize_t fd_read_full(int fd, void *buf, size_t n);
/* Writes all n bytes; 0 or -errno. */
int fd_write_full(int fd, const void *buf, size_t n);
/* O_NONBLOCK on or off; 0 or -errno. */
int fd_set_nonblock(int fd, bool on);

/*
 * The whole file `path` below dirfd (AT_FDCWD allowed), at most max bytes
 * (-EFBIG past it), appended to out. A missing file is -ENOENT.
 */
int file_read(int dirfd, const char *path, size_t max, struct str *out, struct err *e);
/*
 * Writes the file aside, and renames it into place: readers see the old or
 * the new content, never a part. mode as in open(2). With `sync` it is on
 * the disk before it is visible.
 */
int file_write_atomic(int dirfd, const char *path, const void *data, size_t n, mode_t mode,
		      bool sync, struct err *e);

/* mkdir -p; 0 also where it exists already. */
int dir_make_all(const char *path, mode_t mode, struct err *e);
/*
 * rm -rf of `name` below dirfd; follows no symlink, makes unreadable folders
 * readable first. 0 also where it does not exist. A tree of any depth takes no
 * more than a few dozen descriptors.
 */
int dir_remove_all(int dirfd, const char *name, struct err *e);

/*
 * flock(2) on an open file. LOCK_EX or LOCK_SH, optionally | LOCK_NB; -EAGAIN
 * when it is held by another and LOCK_NB was given.
 */
int fd_lock(int fd, int how);

/* Most descriptors carried by one message. */
#define FD_PASS_MAX 8

/*
 * One message with descriptors over a unix socket (SOCK_SEQPACKET). Sending
 * leaves the descriptors with the caller. Received ones are close-on-exec and
 * belong to the caller; *nfds is in: room, out: count.
 * recv: the number of bytes, 0 at end of file, or -errno (-EMSGSIZE when the
 * message or its descriptors did not fit: nothing is then handed over).
 */
int fd_send(int sock, const void *buf, size_t n, const int *fds, size_t nfds);
ssize_t fd_recv(int sock, void *buf, size_t n, int *fds, size_t *nfds);

#endif
