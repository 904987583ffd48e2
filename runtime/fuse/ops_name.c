/* ops_name.c: operations on names and attributes. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "runtime/base/own.h"
#include "runtime/fuse/call.h"

/* The kernel's way of putting a device number into 32 bits. */
static uint32_t dev_encode(uint32_t major, uint32_t minor)
{
	return (minor & 0xff) | (major & 0xfff) << 8 | (minor & 0xfff00) << 12;
}

void attr_out(const struct fuse *f, const struct node *n, const struct attr *a,
	      struct fuse_attr *to)
{
	*to = (struct fuse_attr){
		.ino = a->ino,
		.size = a->size,
		.blocks = a->blocks,
		.atime = (uint64_t)a->atime.tv_sec,
		.mtime = (uint64_t)a->mtime.tv_sec,
		.ctime = (uint64_t)a->ctime.tv_sec,
		.atimensec = (uint32_t)a->atime.tv_nsec,
		.mtimensec = (uint32_t)a->mtime.tv_nsec,
		.ctimensec = (uint32_t)a->ctime.tv_nsec,
		.mode = a->mode,
		.nlink = a->nlink,
		.uid = a->uid,
		.gid = a->gid,
		.rdev = dev_encode(a->rdev_major, a->rdev_minor),
		.blksize = a->blksize,
		.flags = window_wanted(f, n, a->size) ? FUSE_ATTR_DAX : 0,
	};
}

void entry_out(struct fuse *f, struct node *n, const struct attr *a, struct fuse_entry_out *to)
{
	memset(to, 0, sizeof(*to));
	to->nodeid = n->id;
	to->entry_valid = to->attr_valid = cache_time(f);
	attr_out(f, n, a, &to->attr);
	n->nlookup++;
}

/* Ends an operation that made or found n, whose reference it takes. */
static int reply_entry(struct call *c, struct node *n, const struct attr *a)
{
	struct fuse_entry_out out;

	entry_out(c->f, n, a, &out);
	node_put(c->f, n);
	return call_put(c, 0, &out, sizeof(out)) < 0 ? -EIO : (int)sizeof(out);
}

static int reply_attr(struct call *c, const struct attr *a)
{
	struct fuse_attr_out out = { .attr_valid = cache_time(c->f) };

	attr_out(c->f, c->node, a, &out.attr);
	return call_put(c, 0, &out, sizeof(out)) < 0 ? -EIO : (int)sizeof(out);
}

/* The engine's own root: a read-only folder of the shares. */
static void root_attr(const struct fuse *f, struct attr *a)
{
	*a = (struct attr){ .ino = FUSE_ROOT_ID,
			    .mode = S_IFDIR | 0555,
			    .nlink = 2 + f->nshares,
			    .blksize = 4096 };
}

static int lookup_share(struct call *c, struct node **n, struct attr *a)
{
	for (unsigned i = 0; i < c->f->nshares; i++) {
		struct share *s = &c->f->share[i];

		if (strcmp(s->name, c->name) != 0)
			continue;
		*n = s->root;
		node_get(s->root);
		return s->ops->getattr(c->f, s->root, a);
	}
	return -ENOENT;
}

int op_lookup(struct call *c)
{
	struct fuse_entry_out none = { .entry_valid = cache_time(c->f) };
	struct node *n = NULL;
	struct attr a;
	int rc;

	if (c->node->share == NULL)
		rc = lookup_share(c, &n, &a);
	else if (c->node->folder == NULL)
		rc = -ENOTDIR;
	else
		rc = c->node->share->ops->lookup(c->f, c->node, c->name, 0, &n, &a);
	if (rc == 0)
		return reply_entry(c, n, &a);
	if (n)
		node_put(c->f, n);
	/* a name that is not there may be remembered as such */
	if (rc == -ENOENT && c->f->is_union && c->node->share)
		return call_put(c, 0, &none, sizeof(none)) < 0 ? -EIO : (int)sizeof(none);
	return rc;
}

int op_getattr(struct call *c)
{
	struct attr a;
	int rc = 0;

	if (c->node->share)
		rc = c->node->share->ops->getattr(c->f, c->node, &a);
	else
		root_attr(c->f, &a);
	return rc < 0 ? rc : reply_attr(c, &a);
}

static struct timespec time_in(uint64_t sec, uint32_t nsec, bool now)
{
	if (now)
		return (struct timespec){ .tv_nsec = UTIME_NOW };
	return (struct timespec){ (time_t)sec, nsec < 1000000000 ? (long)nsec : 999999999 };
}

int op_setattr(struct call *c)
{
	const struct fuse_setattr_in *in = &c->arg.setattr;
	struct change ch = {
		.valid = in->valid,
		.mode = in->mode,
		.uid = in->uid,
		.gid = in->gid,
		.size = in->size,
		.atime = time_in(in->atime, in->atimensec, in->valid & FATTR_ATIME_NOW),
		.mtime = time_in(in->mtime, in->mtimensec, in->valid & FATTR_MTIME_NOW),
	};
	struct handle *h = NULL;
	struct attr a;
	int rc;

	if ((ch.valid & FATTR_SIZE) && ch.size > INT64_MAX)
		return -EFBIG;
	if (ch.valid & FATTR_ATIME_NOW)
		ch.valid |= FATTR_ATIME;
	if (ch.valid & FATTR_MTIME_NOW)
		ch.valid |= FATTR_MTIME;
	if (ch.valid & FATTR_FH)
		h = call_handle(c, in->fh);
	if (h && h->file)
		ch.file = ofile_get(h->file);
	rc = c->node->share->ops->setattr(c->f, c->node, &ch, &a);
	ofile_put(ch.file);
	return rc < 0 ? rc : reply_attr(c, &a);
}

int op_readlink(struct call *c)
{
	char buf[CALL_LINK_MAX + 1];
	ssize_t n;

	if (!S_ISLNK(c->node->type))
		return -EINVAL;
	n = c->node->share->ops->readlink(c->f, c->node, buf, sizeof(buf));
	if (n < 0)
		return (int)n;
	if ((size_t)n > CALL_LINK_MAX)
		n = CALL_LINK_MAX;
	return call_put(c, 0, buf, (size_t)n) < 0 ? -EIO : (int)n;
}

static int make(struct call *c, struct make *m)
{
	struct node *n;
	struct attr a;
	int rc;

	if (c->node->folder == NULL)
		return -ENOTDIR;
	m->uid = c->h.uid;
	m->gid = c->h.gid;
	rc = c->node->share->ops->make(c->f, c->node, c->name, m, &n, &a, NULL);
	return rc < 0 ? rc : reply_entry(c, n, &a);
}

int op_symlink(struct call *c)
{
	struct make m = { .mode = S_IFLNK | 0777, .target = c->name2 };

	return make(c, &m);
}

int op_mknod(struct call *c)
{
	const struct fuse_mknod_in *in = &c->arg.mknod;
	struct make m = { .mode = in->mode & (S_IFMT | 07777) };

	switch (in->mode & S_IFMT) {
	case 0:
		m.mode |= S_IFREG;
		break;
	case S_IFCHR:
	case S_IFBLK:
		m.rdev_major = (in->rdev >> 8) & 0xfff;
		m.rdev_minor = (in->rdev & 0xff) | ((in->rdev >> 12) & 0xfff00);
		break;
	case S_IFREG:
	case S_IFIFO:
	case S_IFSOCK:
		break;
	default:
		return -EINVAL;
	}
	return make(c, &m);
}

int op_mkdir(struct call *c)
{
	struct make m = { .mode = S_IFDIR | (c->arg.mkdir.mode & 07777) };

	return make(c, &m);
}

static int remove_name(struct call *c, bool folder)
{
	if (c->node->folder == NULL)
		return -ENOTDIR;
	return c->node->share->ops->remove(c->f, c->node, c->name, folder);
}

int op_unlink(struct call *c)
{
	return remove_name(c, false);
}

int op_rmdir(struct call *c)
{
	return remove_name(c, true);
}

static int rename_to(struct call *c, uint64_t newdir, unsigned flags)
{
	struct node *to = node_by_id(c->f, newdir);
	int rc;

	if (to == NULL)
		return -ESTALE;
	if (c->node->share != to->share)
		return -EXDEV;
	if (c->node->folder == NULL || to->folder == NULL)
		return -ENOTDIR;
	node_get(to);
	rc = c->node->share->ops->rename(c->f, c->node, c->name, to, c->name2, flags);
	node_put(c->f, to);
	return rc;
}

int op_rename(struct call *c)
{
	return rename_to(c, c->arg.rename.newdir, 0);
}

int op_rename2(struct call *c)
{
	return rename_to(c, c->arg.rename2.newdir, c->arg.rename2.flags);
}

int op_link(struct call *c)
{
	struct node *n = node_by_id(c->f, c->arg.link.oldnodeid);
	struct attr a;
	int rc;

	if (n == NULL)
		return -ESTALE;
	if (n->share != c->node->share)
		return -EXDEV;
	if (c->node->folder == NULL)
		return -ENOTDIR;
	if (n->folder)
		return -EPERM;
	node_get(n);
	rc = n->share->ops->link(c->f, n, c->node, c->name, &a);
	if (rc == 0)
		return reply_entry(c, n, &a);
	node_put(c->f, n);
	return rc;
}
