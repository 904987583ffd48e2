/* ops_file.c: operations on files' data: the lock is dropped while data moves. */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/own.h"
#include "runtime/fuse/call.h"

/* Most that one COPY_FILE_RANGE moves: its reply counts in 32 bits. */
#define COPY_RANGE_MAX 0x7ffff000UL

static void put_ofile(struct ofile **o)
{
	ofile_put(*o);
}
#define own_ofile __attribute__((cleanup(put_ofile)))

struct handle *call_handle(struct call *c, uint64_t fh)
{
	struct handle *h = fh ? handle_find(c->f, fh) : NULL;

	return h && h->node == c->node ? h : NULL;
}

int data_file(struct fuse *f, struct node *n, uint64_t fh, bool write, struct ofile **o)
{
	struct handle *h = fh ? handle_find(f, fh) : NULL;

	*o = NULL;
	if (n->folder)
		return -EISDIR;
	if (n->type != S_IFREG)
		return -EINVAL;
	if (write && n->share->read_only)
		return -EROFS;
	if (n->share->is_union)
		return n->share->ops->open(f, n, write ? O_RDWR : O_RDONLY, o);
	if (h == NULL || h->node != n || h->file == NULL)
		return -EBADF;
	*o = ofile_get(h->file);
	return 0;
}

/* Gives a bind's open file a handle; takes o. */
static int open_out(struct call *c, struct node *n, struct ofile *o, struct fuse_open_out *out)
{
	struct handle *h;

	memset(out, 0, sizeof(*out));
	if (n->share->is_union) {
		out->open_flags = FOPEN_KEEP_CACHE;
		ofile_put(o);
		return 0;
	}
	h = handle_new(c->f, n, o);
	if (h == NULL)
		return -ENFILE;
	out->fh = h->id;
	return 0;
}

int op_open(struct call *c)
{
	int flags = (int)c->arg.open.flags & (O_ACCMODE | O_TRUNC | O_APPEND);
	bool write = (flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC);
	struct node *n = c->node;
	struct fuse_open_out out;
	struct ofile *o = NULL;
	int rc;

	if (c->f->open_less)
		return -ENOSYS;
	if (n->folder)
		return -EISDIR;
	if (n->type != S_IFREG)
		return -EINVAL;
	if (write && n->share->read_only)
		return -EROFS;
	/* a union is opened when data is read or written */
	if (!n->share->is_union)
		rc = n->share->ops->open(c->f, n, flags, &o);
	else
		rc = 0;
	if (rc == 0 && o && (flags & O_TRUNC) && (c->arg.open.open_flags & FUSE_OPEN_KILL_SUIDGID))
		rc = n->share->ops->killpriv(c->f, n, o);
	if (rc < 0) {
		ofile_put(o);
		return rc;
	}
	rc = open_out(c, n, o, &out);
	if (rc < 0)
		return rc;
	return call_put(c, 0, &out, sizeof(out)) < 0 ? -EIO : (int)sizeof(out);
}

static int reply_create(struct call *c, struct node *n, const struct attr *a, struct ofile *o)
{
	struct fuse_entry_out entry;
	struct fuse_open_out open;
	int rc = open_out(c, n, o, &open);

	if (rc == 0) {
		entry_out(c->f, n, a, &entry);
		call_put(c, 0, &entry, sizeof(entry));
		call_put(c, sizeof(entry), &open, sizeof(open));
		rc = sizeof(entry) + sizeof(open);
	}
	node_put(c->f, n);
	return rc;
}

/* Somebody (on the host) was faster, or the name was not known to be there. */
static int create_existing(struct call *c, int flags)
{
	struct node *n;
	struct attr a;
	struct ofile *o = NULL;
	int rc = c->node->share->ops->lookup(c->f, c->node, c->name, 0, &n, &a);

	if (rc < 0)
		return rc == -ENOENT ? -EEXIST : rc;
	if (n->type != S_IFREG)
		rc = n->folder ? -EISDIR : -EEXIST;
	else if (!n->share->is_union || (flags & O_TRUNC))
		rc = n->share->ops->open(c->f, n, flags, &o);
	if (rc == 0 && o && n->share->is_union && ftruncate(o->fd, 0) < 0)
		rc = -errno;
	if (rc == 0 && (flags & O_TRUNC))
		rc = n->share->ops->getattr(c->f, n, &a);
	if (rc == 0)
		return reply_create(c, n, &a, o);
	ofile_put(o);
	node_put(c->f, n);
	return rc;
}

static int create(struct call *c, const char *name)
{
	const struct fuse_create_in *in = &c->arg.create;
	struct make m = { .mode = S_IFREG | (in->mode & 07777),
			  .uid = c->h.uid,
			  .gid = c->h.gid,
			  .flags = (int)in->flags & (O_ACCMODE | O_APPEND) };
	struct ofile *o = NULL;
	struct node *n;
	struct attr a;
	int rc;

	if (c->node->folder == NULL)
		return -ENOTDIR;
	rc = c->node->share->ops->make(c->f, c->node, name, &m, &n, &a, &o);
	if (rc == -EEXIST && name && !(in->flags & O_EXCL))
		return create_existing(c, (int)in->flags & (O_ACCMODE | O_APPEND | O_TRUNC));
	return rc < 0 ? rc : reply_create(c, n, &a, o);
}

int op_create(struct call *c)
{
	return create(c, c->name);
}

int op_tmpfile(struct call *c)
{
	return create(c, NULL);
}

int op_release(struct call *c)
{
	struct handle *h = handle_find(c->f, c->arg.release.fh);

	if (h)
		handle_free(c->f, h);
	return 0;
}

int op_read(struct call *c)
{
	const struct fuse_read_in *in = &c->arg.read;
	size_t size = in->size < c->room ? in->size : c->room;
	own_ofile struct ofile *o = NULL;
	ssize_t n;
	int rc = data_file(c->f, c->node, in->fh, false, &o);

	if (rc < 0)
		return rc;
	if (in->offset > INT64_MAX - size)
		return -EINVAL;
	if (size > CALL_DATA_MAX)
		size = CALL_DATA_MAX;
	fuse_unlock(c->f);
	n = iov_file_io(o->fd, false, c->in, c->nin, sizeof(struct fuse_out_header), size,
			in->offset);
	if (n > 0)
		atomic_fetch_add(&c->f->bytes_read, (uint64_t)n);
	fuse_lock(c->f);
	return (int)n;
}

int op_write(struct call *c)
{
	const struct fuse_write_in *in = &c->arg.write;
	struct fuse_write_out out = { 0 };
	own_ofile struct ofile *o = NULL;
	ssize_t n;
	int rc;

	if (in->size > c->left || in->size > CALL_DATA_MAX ||
	    in->offset > (uint64_t)INT64_MAX - in->size)
		return -EINVAL;
	rc = data_file(c->f, c->node, in->fh, true, &o);
	if (rc == 0 && (in->write_flags & FUSE_WRITE_KILL_SUIDGID))
		rc = c->node->share->ops->killpriv(c->f, c->node, o);
	if (rc == 0)
		rc = window_back(c->f, c->node, o->fd, in->offset);
	if (rc < 0)
		return rc;
	fuse_unlock(c->f);
	n = iov_file_io(o->fd, true, c->out, c->nout, c->out_at, in->size, in->offset);
	if (n > 0)
		atomic_fetch_add(&c->f->bytes_written, (uint64_t)n);
	fuse_lock(c->f);
	if (n < 0)
		return (int)n;
	out.size = (uint32_t)n;
	return call_put(c, 0, &out, sizeof(out)) < 0 ? -EIO : (int)sizeof(out);
}

int op_fsync(struct call *c)
{
	bool data = c->arg.fsync.fsync_flags & FUSE_FSYNC_FDATASYNC;
	own_ofile struct ofile *o = NULL;
	int rc;

	if (c->node->share->is_union && c->node->where != WHERE_UPPER)
		return 0; /* nothing was ever written */
	rc = data_file(c->f, c->node, c->arg.fsync.fh, false, &o);
	if (rc < 0)
		return rc;
	fuse_unlock(c->f);
	rc = (data ? fdatasync(o->fd) : fsync(o->fd)) < 0 ? -errno : 0;
	fuse_lock(c->f);
	return rc;
}

int op_fallocate(struct call *c)
{
	const struct fuse_fallocate_in *in = &c->arg.fallocate;
	own_ofile struct ofile *o = NULL;
	int mode = (int)in->mode;
	int rc;

	if (in->mode & ~(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE |
			 FALLOC_FL_COLLAPSE_RANGE | FALLOC_FL_INSERT_RANGE))
		return -EOPNOTSUPP;
	if (in->length == 0 || in->length > INT64_MAX || in->offset > INT64_MAX - in->length)
		return -EINVAL;
	rc = data_file(c->f, c->node, in->fh, true, &o);
	if (rc == 0 && !(in->mode & FALLOC_FL_KEEP_SIZE))
		rc = window_back(c->f, c->node, o->fd, in->offset + in->length);
	if (rc < 0)
		return rc;
	/* what the guest may write to keeps its blocks */
	if (c->node->writable && (mode & FALLOC_FL_PUNCH_HOLE))
		mode = FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE;
	fuse_unlock(c->f);
	do
		rc = fallocate(o->fd, mode, (off_t)in->offset, (off_t)in->length) < 0 ? -errno : 0;
	while (rc == -EINTR);
	fuse_lock(c->f);
	return rc;
}

int op_lseek(struct call *c)
{
	const struct fuse_lseek_in *in = &c->arg.lseek;
	struct fuse_lseek_out out;
	own_ofile struct ofile *o = NULL;
	off_t at;
	int rc;

	/*
	 * The guest asks without writing back first: where it caches writes, our answer would
	 * call a hole what it has just written. Told no, it takes all of a file for data.
	 */
	if (c->f->is_union)
		return -ENOSYS;
	if (in->whence != SEEK_DATA && in->whence != SEEK_HOLE)
		return -EINVAL;
	if (in->offset > INT64_MAX)
		return -ENXIO;
	rc = data_file(c->f, c->node, in->fh, false, &o);
	if (rc < 0)
		return rc;
	/* the descriptor's own position means nothing to anybody */
	at = lseek(o->fd, (off_t)in->offset, (int)in->whence);
	if (at < 0)
		return -errno;
	out.offset = (uint64_t)at;
	return call_put(c, 0, &out, sizeof(out)) < 0 ? -EIO : (int)sizeof(out);
}

int op_copy_file_range(struct call *c)
{
	const struct fuse_copy_file_range_in *in = &c->arg.copy;
	struct node *to = node_by_id(c->f, in->nodeid_out);
	own_ofile struct ofile *from_file = NULL, *to_file = NULL;
	struct fuse_write_out out = { 0 };
	off_t at_in = (off_t)in->off_in, at_out = (off_t)in->off_out;
	size_t len = in->len < COPY_RANGE_MAX ? in->len : COPY_RANGE_MAX;
	ssize_t n;
	int rc;

	if (to == NULL)
		return -ESTALE;
	if (to->share == NULL)
		return -EROFS;
	if (in->flags || in->off_in > INT64_MAX - len || in->off_out > INT64_MAX - len)
		return -EINVAL;
	node_get(to);
	/* first the one that may be copied up: the other could be the same file */
	rc = data_file(c->f, to, in->fh_out, true, &to_file);
	if (rc == 0 && to->writable)
		rc = -EXDEV; /* it could share blocks then: the guest copies by itself */
	if (rc == 0)
		rc = data_file(c->f, c->node, in->fh_in, false, &from_file);
	if (rc == 0) {
		fuse_unlock(c->f);
		n = copy_file_range(from_file->fd, &at_in, to_file->fd, &at_out, len, 0);
		rc = n < 0 ? -errno : 0;
		out.size = n > 0 ? (uint32_t)n : 0;
		fuse_lock(c->f);
	}
	node_put(c->f, to);
	if (rc < 0)
		return rc;
	return call_put(c, 0, &out, sizeof(out)) < 0 ? -EIO : (int)sizeof(out);
}
