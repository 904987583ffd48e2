/* bind.h: what the files of a bind share share. */
#ifndef ZL_FUSE_BIND_H
#define ZL_FUSE_BIND_H

#include <sys/stat.h>

#include "runtime/fuse/engine.h"

/*
 * Theory of operation.
 *
 * A bind shows a folder of the host's, which others change while we look.
 * Every access goes by a folder's descriptor (O_PATH) and one name, or by an
 * O_PATH descriptor of the file itself, which is compared with the node: a
 * file that took another's name has another device, inode number or birth
 * time, and the old node is stale. What is opened for data is first opened as
 * O_PATH, found to be a regular file, and then opened again by way of
 * /proc/self/fd: so no device, fifo or socket is ever opened, whoever renames
 * what in between.
 *
 * Root on the host: owners, modes and attributes are real. An ordinary user:
 * what is his is shown as root's, others' as nobody's; what the guest wants
 * otherwise is kept in LAYER_XATTR_STAT beside the file: owner, group, the
 * bits above 0777, the kind. Files and folders always stay readable and
 * writable for their owner on the host, as root in the guest expects of them:
 * where the guest took that away, the nine permission bits are kept too, and
 * believed as long as the host's are what they led to. Only a symlink's owner
 * cannot be kept. Device nodes are made in this form in either case: the guest
 * must not be able to make one on the host.
 */

#define BIND_NOBODY   65534
#define BIND_PROC_MAX 32

/* The way to a file by its descriptor that everything follows. */
void bind_proc(int fd, char *buf);
/* A descriptor for the node: *owned is to be closed. -ESTALE: the name leads elsewhere now. */
int bind_fd(struct fuse *f, struct node *n, int *fd, int *owned);
int bind_statx(int fd, struct statx *x);
/* What the guest sees of an open (O_PATH) file. */
int bind_attr(struct fuse *f, int fd, struct attr *a, struct statx *x);
/* The permission bits a file gets on the host. */
uint32_t bind_host_perm(const struct fuse *f, uint32_t mode);
/* Makes the guest see owner, bits and kind of ls; its permission bits become the file's. */
int bind_dress(struct fuse *f, int fd, const struct layer_stat *ls);
int bind_getattr(struct fuse *f, struct node *n, struct attr *a);
/* The node of an open file that `name` was found to be; a reference. */
int bind_node(struct fuse *f, struct node *dir, const char *name, int fd, const struct statx *x,
	      uint32_t type, struct node **node);
/* Opens a name as O_PATH, without following it. */
int bind_open_name(struct fuse *f, struct node *dir, const char *name);

int bind_make(struct fuse *f, struct node *dir, const char *name, const struct make *m,
	      struct node **node, struct attr *a, struct ofile **o);
int bind_setattr(struct fuse *f, struct node *n, const struct change *c, struct attr *a);
int bind_killpriv(struct fuse *f, struct node *n, struct ofile *o);
ssize_t bind_getxattr(struct fuse *f, struct node *n, const char *name, void *buf, size_t size);
ssize_t bind_listxattr(struct fuse *f, struct node *n, char *buf, size_t size);
int bind_setxattr(struct fuse *f, struct node *n, const char *name, const void *value, size_t size,
		  int flags);
int bind_removexattr(struct fuse *f, struct node *n, const char *name);

#endif
