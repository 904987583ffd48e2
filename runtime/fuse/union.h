/* union.h: what the files of the union share: finding, copying up, placing. */
#ifndef ZL_FUSE_UNION_H
#define ZL_FUSE_UNION_H

#include "runtime/fuse/engine.h"
#include "runtime/fuse/meta.h"

/*
 * Theory of operation.
 *
 * A name is looked for in the upper part of its folder, then in the folder's
 * parts in the layers, topmost first. The first that has it decides: a
 * whiteout hides it, a file is the answer, a folder is merged with the folders
 * of that name below it, down to one that is opaque, to a whiteout or to a
 * file. Which layers a folder has parts in is found out once, when it is
 * looked up, so that a deep tree costs no more for having many layers above.
 *
 * What is changed is copied up first: made aside in <upper>.work/tmp, complete
 * with owner, times and attributes, then renamed into place. It keeps the
 * inode number it had (LAYER_XATTR_ORIGIN) and its node.
 *
 * A folder of the layers that is renamed gets a redirect: the path of what it
 * merges with, from the layers' root. All below it then follows by itself.
 *
 * A file of a layer with several names is one file: once it is copied up, it
 * has a further name, its inode number, in <upper>.work/index, and each of its
 * names that still lies in the layer leads there. LAYER_XATTR_ORIGIN of such a
 * file also counts those names, for the link count. As long as it is not
 * copied up, names removed are counted in a symlink "INODE.lower" there.
 *
 * A file whose last name is removed while the guest holds it is kept by a
 * descriptor, or, when there are too many of these, under its nodeid in
 * <upper>.work/orphan, which is emptied at the next start.
 */
struct found {
	bool exists;
	bool hidden;	/* the upper part has a whiteout of this name */
	bool in_upper;	/* the upper part has the name itself */
	bool multi;	/* a layer's file with several names, or one that was */
	uint16_t where; /* of the topmost part */
	int fd;		/* of the topmost part, -1: a symlink */
	struct meta m;	/* of the topmost part */
	char *redirect; /* folders */
	unsigned nparts;
	uint16_t parts[LAYERS_MAX]; /* folders: the layers */
};

/* Where a node can be opened. */
struct spot {
	int dirfd; /* borrowed */
	const char *name;
	char buf[32];
};

/* 0, also where there is no such name (exists: false). rank as in struct share_ops. */
int union_find(struct fuse *f, struct node *dir, const char *name, unsigned rank, struct found *r);
void found_free(struct found *r);
#define own_found __attribute__((cleanup(found_free)))
/* Whether a layer has the name: it then needs a whiteout to be hidden. 0, 1 or -errno. */
int union_in_layers(struct fuse *f, struct node *dir, const char *name);
/* The node of what was found, with a reference; descriptors of r may be taken over. */
int union_node(struct fuse *f, struct node *dir, const char *name, struct found *r,
	       struct node **node);
/* The node of what was found, if the guest knows it; no reference. */
struct node *union_known(struct fuse *f, struct node *dir, const struct found *r);
/* The inode number shown of what was found. */
uint64_t union_ino(const struct share *s, uint16_t where, const struct meta *m);
int union_spot(struct fuse *f, struct node *n, struct spot *sp);
/* A folder that lies in layers only: the part that says what it is; borrowed. */
int union_dir_source(struct fuse *f, struct node *n, struct meta *m);
/* What a node is now. */
int union_meta(struct fuse *f, struct node *n, struct meta *m);
/* The node's file, open (write: it must be in the upper); a reference. -ELOOP: a host symlink. */
int union_file(struct fuse *f, struct node *n, bool write, struct ofile **o);
void union_attr(struct fuse *f, const struct node *n, const struct meta *m, struct attr *a);
int union_getattr(struct fuse *f, struct node *n, struct attr *a);

/* --- union_up.c */

#define UP_ALL UINT64_MAX

/* Copies up a file of any kind but a folder; of its data no more than `limit` bytes. */
int union_up(struct fuse *f, struct node *n, uint64_t limit);
int union_dir_up(struct fuse *f, struct node *n);
/* Makes a symlink of the host's in the upper a file, which can have an owner and xattrs. */
int union_symlink_to_file(struct fuse *f, struct node *n);
/* A name for something in tmp. */
void union_tmp_name(struct share *s, char *buf, size_t size);
/* Names of a layer's file that are visible in the layers still. */
int64_t union_low_names(const struct share *s, uint64_t ino, int64_t none);
/* One of them less. */
int union_low_names_drop(struct fuse *f, struct share *s, const struct found *r, uint64_t ino);

/* --- union_make.c, union_remove.c, union_rename.c, union_attr.c */

int union_root(struct fuse *f, struct share *s);
void union_close(struct share *s);
int union_make(struct fuse *f, struct node *dir, const char *name, const struct make *m,
	       struct node **node, struct attr *a, struct ofile **o);
int union_link(struct fuse *f, struct node *n, struct node *dir, const char *name, struct attr *a);
int union_remove(struct fuse *f, struct node *dir, const char *name, bool folder);
int union_rename(struct fuse *f, struct node *from, const char *name, struct node *to,
		 const char *newname, unsigned flags);
int union_setattr(struct fuse *f, struct node *n, const struct change *c, struct attr *a);
ssize_t union_getxattr(struct fuse *f, struct node *n, const char *name, void *buf, size_t size);
ssize_t union_listxattr(struct fuse *f, struct node *n, char *buf, size_t size);
int union_setxattr(struct fuse *f, struct node *n, const char *name, const void *value, size_t size,
		   int flags);
int union_removexattr(struct fuse *f, struct node *n, const char *name);
int union_killpriv(struct fuse *f, struct node *n, struct ofile *o);

/* Puts a whiteout at `name` in an upper folder, in place of any file there. */
int union_whiteout(struct share *s, int dirfd, const char *name);
/* A guest's own character device 0:0 at `name`, in place of any file there. */
int union_guest_whiteout(struct share *s, int dirfd, const char *name);
/* -ENOTEMPTY unless the merged folder is empty. */
int union_empty(struct fuse *f, struct node *dir);
/* Removes a folder of the upper that holds only whiteouts from `name`; whiteout: leaves one. */
int union_discard_dir(struct share *s, int dirfd, const char *name, bool whiteout);
/* The folder was removed; the guest may still hold it. */
void union_dir_gone(struct fuse *f, struct node *n);

/*
 * A name of n's goes: begin before, end after (rc: whether it went). What the
 * guest still holds is kept reachable. n may be NULL: the guest knows nothing
 * of it. dirfd/name: where the upper has the name, if r->in_upper.
 */
struct keep {
	struct ofile *file;
	bool orphan;
	bool last; /* it was the last name */
};
int union_keep_begin(struct fuse *f, struct node *n, const struct found *r, struct node *dir,
		     const char *name, int dirfd, struct keep *k);
void union_keep_end(struct fuse *f, struct node *n, const struct found *r, struct node *dir,
		    const char *name, int rc, struct keep *k);

#endif
