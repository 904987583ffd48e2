/* call.h: one request: what the guest wrote, where the reply goes. */
#ifndef ZL_FUSE_CALL_H
#define ZL_FUSE_CALL_H

#include "runtime/fuse/engine.h"

/* Two names as long as the kernel lets through, or a name and a symlink's target. */
#define CALL_TAIL_MAX 5200
#define CALL_NAME_MAX FUSE_NAME_LEN_MAX
#define CALL_LINK_MAX 4095
/* The largest read, write and readdir. */
#define CALL_DATA_MAX (1U << 20)
/* What an operation returns that has no reply. */
#define CALL_NO_REPLY INT32_MIN

/*
 * The fixed part of the request (arg) and its names are copies, taken before
 * anything is judged: the guest can change its memory at any time. Only data
 * that is written goes straight from the guest's memory to the file.
 */
struct call {
	struct fuse *f;
	struct fuse_in_header h;
	struct node *node; /* h.nodeid's; a reference */
	union {
		struct fuse_forget_in forget;
		struct fuse_batch_forget_in batch_forget;
		struct fuse_getattr_in getattr;
		struct fuse_setattr_in setattr;
		struct fuse_mknod_in mknod;
		struct fuse_mkdir_in mkdir;
		struct fuse_rename_in rename;
		struct fuse_rename2_in rename2;
		struct fuse_link_in link;
		struct fuse_open_in open;
		struct fuse_create_in create;
		struct fuse_read_in read;
		struct fuse_write_in write;
		struct fuse_release_in release;
		struct fuse_fsync_in fsync;
		struct fuse_setxattr_in setxattr;
		struct fuse_getxattr_in getxattr;
		struct fuse_init_in init;
		struct fuse_fallocate_in fallocate;
		struct fuse_lseek_in lseek;
		struct fuse_copy_file_range_in copy;
		struct fuse_setupmapping_in setupmapping;
		struct fuse_removemapping_in removemapping;
	} arg;
	const char *name, *name2; /* into tail */
	/* what is left of the request */
	const struct iovec *out;
	int nout;
	size_t out_at; /* bytes of all segments passed over */
	size_t left;
	/* room for the reply, without its header */
	const struct iovec *in;
	int nin;
	size_t room;
	char tail[CALL_TAIL_MAX];
};

/* Bytes of all segments together, and not past SIZE_MAX / 2. */
size_t iov_length(const struct iovec *v, int n);
/* Copies from `at` on, out of or into the segments; the caller has checked the length. */
void iov_get(const struct iovec *v, int n, size_t at, void *to, size_t len);
void iov_put(const struct iovec *v, int n, size_t at, const void *from, size_t len);
/*
 * Reads a file into, or writes it from, the segments' bytes [at, at + len).
 * The bytes moved; -errno when none were.
 */
ssize_t iov_file_io(int fd, bool write, const struct iovec *v, int n, size_t at, size_t len,
		    uint64_t off);

/* The request's next n bytes; false if there are fewer. */
bool call_take(struct call *c, void *to, size_t n);
/* Puts bytes at offset `at` of the reply; what does not fit is -EIO. */
int call_put(struct call *c, size_t at, const void *from, size_t n);

/* An operation: the reply's bytes (without header), -errno, or CALL_NO_REPLY. Locked. */
typedef int op_fn(struct call *c);

/* How the fixed part is followed by names. */
enum call_names {
	NAMES_NONE,
	NAMES_ONE,    /* a file's name */
	NAMES_TWO,    /* two of them */
	NAMES_TARGET, /* a file's name and a symlink's target */
	NAMES_XATTR,  /* an attribute's name */
	NAMES_OWN,    /* the operation takes them itself */
};

struct op_row {
	op_fn *fn;
	uint16_t size;	/* of the fixed part; zeros are added up to it */
	uint16_t least; /* of it that must be there */
	uint16_t reply; /* least room for the reply */
	uint8_t names;
	bool no_node; /* nodeid is not looked at */
	bool any;     /* also on the engine's own root */
	bool no_reply;
};

#define OP_MAX 64
extern const struct op_row op_table[OP_MAX];

/* --- helpers of the operations */

/* n: whose they are. */
void attr_out(const struct fuse *f, const struct node *n, const struct attr *a,
	      struct fuse_attr *to);
/* Fills an entry, and counts it as one of the guest's references to n. */
void entry_out(struct fuse *f, struct node *n, const struct attr *a, struct fuse_entry_out *to);
/* How long the guest may rely on names and attributes, in seconds. */
uint64_t cache_time(const struct fuse *f);
/*
 * The open file behind a request, a reference: the handle's, or in a union the
 * node's own, for which the lock may be dropped.
 */
int data_file(struct fuse *f, struct node *n, uint64_t fh, bool write, struct ofile **o);
/* The handle of this call's node, or NULL. */
struct handle *call_handle(struct call *c, uint64_t fh);

op_fn op_init, op_destroy, op_statfs, op_forget, op_batch_forget, op_interrupt, op_syncfs;
op_fn op_lookup, op_getattr, op_setattr, op_readlink, op_symlink, op_mknod, op_mkdir, op_unlink,
	op_rmdir, op_rename, op_rename2, op_link;
op_fn op_open, op_create, op_tmpfile, op_read, op_write, op_release, op_fsync, op_fallocate,
	op_lseek, op_copy_file_range;
op_fn op_opendir, op_readdir, op_readdirplus, op_releasedir, op_fsyncdir;
op_fn op_setupmapping, op_removemapping;
op_fn op_setxattr, op_getxattr, op_listxattr, op_removexattr;

#endif
