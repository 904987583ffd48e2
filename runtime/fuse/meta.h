/* meta.h: a stored file's owner, mode and kind (base/layer.h). */
#ifndef ZL_FUSE_META_H
#define ZL_FUSE_META_H

#include <sys/stat.h>

#include "runtime/base/layer.h"

/* What a file in a layer or an upper is, read from it. */
struct meta {
	struct stat st;	      /* the host's file */
	struct layer_stat ls; /* what the guest sees */
	bool whiteout;
	bool opaque;	   /* folders */
	bool implied;	   /* folders: a layer below says what it is */
	bool redirected;   /* folders of an upper */
	bool has_origin;   /* uppers: */
	uint64_t origin;   /* the inode number it keeps */
	int64_t low_names; /* its names that still lie in a layer; -1: it has no index entry */
};

/* A regular file or folder by descriptor. upper: look for what only uppers have. 0 or -errno. */
int meta_of_fd(int fd, bool upper, struct meta *m);
/* A symlink of the host's, after fstatat. */
void meta_of_symlink(const struct stat *st, struct meta *m);
/*
 * Opens `name` below dirfd, if it is a regular file or a folder, and reads
 * what it is; *fd is -1 for a symlink. -ENOENT, or -EIO for a kind of file
 * that has no place in a store.
 */
int meta_open(int dirfd, const char *name, bool upper, bool writable, int *fd, struct meta *m);

/* Makes the open file look like ls: xattr and the host's mode. host: its mode now. */
int meta_write(int fd, uint32_t host_mode, const struct layer_stat *ls);
int meta_write_origin(int fd, uint64_t origin, int64_t low_names);
/* The redirect's text, NUL-terminated; -ENODATA, -EIO if malformed. */
int meta_redirect(int fd, char *buf, size_t size);
/* setuid, setgid as write(2) and chown(2) clear them. */
uint32_t meta_killed_mode(uint32_t mode);

/* All of the guest's xattrs from one file to another. */
int meta_copy_xattrs(int from, int to);

/* Longest list of names the host gives out (XATTR_LIST_MAX). */
#define META_LIST_MAX 65536

#endif
