/* fuse_client.h: a small FUSE client for tests: builds requests, takes replies apart. */
#ifndef ZL_TESTS_FUSE_CLIENT_H
#define ZL_TESTS_FUSE_CLIENT_H

#include <linux/fuse.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "runtime/fuse/fuse.h"

/* Flags a Linux 6.1 guest offers. */
#define CLIENT_FLAGS                                                                           \
	(FUSE_ASYNC_READ | FUSE_POSIX_LOCKS | FUSE_ATOMIC_O_TRUNC | FUSE_EXPORT_SUPPORT |      \
	 FUSE_BIG_WRITES | FUSE_DONT_MASK | FUSE_FLOCK_LOCKS | FUSE_HAS_IOCTL_DIR |            \
	 FUSE_AUTO_INVAL_DATA | FUSE_DO_READDIRPLUS | FUSE_READDIRPLUS_AUTO | FUSE_ASYNC_DIO | \
	 FUSE_WRITEBACK_CACHE | FUSE_NO_OPEN_SUPPORT | FUSE_PARALLEL_DIROPS |                  \
	 FUSE_HANDLE_KILLPRIV | FUSE_POSIX_ACL | FUSE_ABORT_ERROR | FUSE_MAX_PAGES |           \
	 FUSE_CACHE_SYMLINKS | FUSE_NO_OPENDIR_SUPPORT | FUSE_EXPLICIT_INVAL_DATA |            \
	 FUSE_HANDLE_KILLPRIV_V2 | FUSE_SETXATTR_EXT | FUSE_INIT_EXT)

struct client {
	struct fuse *f;
	uint64_t unique;
	uint32_t uid, gid;
	uint64_t root; /* nodeid of the share used by paths */
	struct fuse_init_out init;
};

/* A request's parts after the header. */
struct part {
	const void *p;
	size_t n;
};

#define PART(x)	    ((struct part){ &(x), sizeof(x) })
#define PART_STR(s) ((struct part){ (s), strlen(s) + 1 })

/* One request; the reply's bytes without header (at most max) or -errno of the reply. */
ssize_t client_call(struct client *c, uint32_t opcode, uint64_t node, const struct part *parts,
		    unsigned nparts, void *reply, size_t max);
/* INIT, and a lookup of the share. */
void client_start(struct client *c, struct fuse *f, const char *share);

/* All of these return 0 or a value, or -errno. A path is below the share's root, "" is it. */
int client_lookup(struct client *c, uint64_t dir, const char *name, struct fuse_entry_out *e);
int client_walk(struct client *c, const char *path, struct fuse_entry_out *e);
uint64_t client_node(struct client *c, const char *path); /* 0: not there */
int client_stat(struct client *c, const char *path, struct fuse_attr *a);
int client_getattr(struct client *c, uint64_t node, struct fuse_attr *a);
int client_create(struct client *c, const char *path, uint32_t mode, struct fuse_entry_out *e,
		  uint64_t *fh);
int client_mkdir(struct client *c, const char *path, uint32_t mode);
int client_mknod(struct client *c, const char *path, uint32_t mode, uint32_t rdev);
int client_symlink(struct client *c, const char *target, const char *path);
ssize_t client_readlink(struct client *c, const char *path, char *buf, size_t size);
int client_unlink(struct client *c, const char *path);
int client_rmdir(struct client *c, const char *path);
int client_rename(struct client *c, const char *from, const char *to, uint32_t flags);
int client_link(struct client *c, uint64_t node, const char *path, struct fuse_entry_out *e);
ssize_t client_read_fh(struct client *c, uint64_t node, uint64_t fh, void *buf, size_t n,
		       uint64_t off);
ssize_t client_write_fh(struct client *c, uint64_t node, uint64_t fh, const void *buf, size_t n,
			uint64_t off, uint32_t write_flags);
ssize_t client_read(struct client *c, uint64_t node, void *buf, size_t n, uint64_t off);
ssize_t client_write(struct client *c, uint64_t node, const void *buf, size_t n, uint64_t off);
int client_open(struct client *c, uint64_t node, uint32_t flags, uint64_t *fh);
int client_setattr(struct client *c, uint64_t node, struct fuse_setattr_in *in,
		   struct fuse_attr *a);
int client_chmod(struct client *c, const char *path, uint32_t mode);
int client_chown(struct client *c, const char *path, uint32_t uid, uint32_t gid);
int client_truncate(struct client *c, uint64_t node, uint64_t size);
int client_setxattr(struct client *c, uint64_t node, const char *name, const char *value,
		    uint32_t flags);
ssize_t client_getxattr(struct client *c, uint64_t node, const char *name, char *buf, size_t n);
int client_removexattr(struct client *c, uint64_t node, const char *name);
void client_forget(struct client *c, uint64_t node, uint64_t n);
/* The folder's names without . and .., sorted, each followed by a space. */
int client_list(struct client *c, const char *path, char *buf, size_t size);
/* The same by READDIRPLUS in replies of `chunk` bytes. */
int client_list_plus(struct client *c, const char *path, char *buf, size_t size, uint32_t chunk);
/* The content of a small file as a string: "" and -errno when it cannot be read. */
int client_text(struct client *c, const char *path, char *buf, size_t size);
/* Asserts that it is there and reads as `want`. */
#define assert_text(c, path, want)                                               \
	do {                                                                     \
		char text_[256];                                                 \
		assert_int_equal(client_text(c, path, text_, sizeof(text_)), 0); \
		assert_string_equal(text_, want);                                \
	} while (0)

/* --- a place to work in */

/* A fresh folder where user xattrs work; its path is kept in buf. Ends the program if none. */
void place_make(char *buf, size_t size);
void place_remove(const char *path);
/* Writes a file of the host's, folders above it included. */
void put_file(const char *root, const char *path, const char *text);
void put_dir(const char *root, const char *path);
/* The format's xattr on a file of the host's. */
void put_xattr(const char *root, const char *path, const char *name, const char *value);
/*
 * Runs the tests, and as root once more in a child that is nobody: all of it
 * holds for an ordinary user.
 */
int run_as_both(int (*tests)(void));

#endif
