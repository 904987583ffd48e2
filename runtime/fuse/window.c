/* window.c: DAX: pages of a union's files mapped into the guest from the host's page cache. */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "runtime/base/log.h"
#include "runtime/base/str.h"
#include "runtime/fuse/call.h"

/*
 * Theory of operation.
 *
 * The window is a piece of the guest's address space, cut into ranges of 2 MiB,
 * each of which shows 2 MiB of some file, or nothing. The guest says what goes
 * where (SETUPMAPPING) and when it is over (REMOVEMAPPING); it fills, reuses and
 * reclaims ranges as it sees fit. Its own page cache is out of the game for such
 * a file: read, write and mmap all go to the range, which is the host's page
 * cache, shared by every VM that runs from the same layer.
 *
 * Which files: the guest asks for each inode by FUSE_ATTR_DAX, once, when it gets
 * to know it. We say so for regular files of the layers from DAX_FILE_MIN on.
 * Files in the upper are written, grow and shrink, and nobody shares them: they
 * stay with the guest's page cache.
 *
 * Copy-up: a file that the guest has mapped and now wants to write to moves to the
 * upper; then all of its ranges are mapped anew from there (window_moved), in the
 * guest's page tables the addresses stay, and whoever has it open or mapped sees
 * what is written. The next attributes that are sent of it come without
 * FUSE_ATTR_DAX, which lets the guest forget the inode with its last user, and
 * find it anew as one for the page cache.
 *
 * What must not happen: that the guest touches a page of the window which the
 * host cannot provide, for that is the VM's end. It keeps to the file's size as
 * it knows it, and nobody but it changes a union's files. Then there is the full
 * disk: a page that is written for the first time wants a block. So a range is
 * mapped for writing only after all of its blocks were allocated, and while it
 * is, no hole comes to be in it: what grows the file allocates first
 * (window_back), punching becomes zeroing, copying in does not share blocks.
 * That holds only on file systems which overwrite in place: window_fits.
 *
 * What is different: Linux 6.1 leaves a mapped file's mtime as it was when it is
 * overwritten in place, and keeps it, once it has it, against what the server says.
 * The host's kernel has set it; the guest sees it when it gets to know the inode
 * anew. What truncates, extends or replaces the file sets it at once.
 */

/*
 * Smaller files are read. A range costs a round trip and page faults one by one,
 * where a read of as much is copied at once; and it takes 2 MiB of the window
 * however small the file. What is gained is the host's memory, and that counts
 * where files are large.
 */
#define DAX_FILE_MIN (2ULL << 20)

#ifndef XFS_SUPER_MAGIC
#define XFS_SUPER_MAGIC 0x58465342
#endif

struct window_range {
	struct node *node; /* referenced; NULL: free */
	uint64_t off;	   /* in the file */
	bool write;
};

static unsigned range_count(const struct fuse *f)
{
	return (unsigned)(f->window.size >> FUSE_WINDOW_SHIFT);
}

static void range_forget(struct fuse *f, struct window_range *r)
{
	struct node *n = r->node;

	if (n == NULL)
		return;
	n->mapped--;
	n->writable -= r->write;
	r->node = NULL;
	node_put(f, n);
}

static void range_take(struct window_range *r, struct node *n, uint64_t off, bool write)
{
	node_get(n);
	n->mapped++;
	n->writable += write;
	*r = (struct window_range){ n, off, write };
}

static uint64_t range_at(const struct fuse *f, const struct window_range *r)
{
	return (uint64_t)(r - f->ranges) << FUSE_WINDOW_SHIFT;
}

void fuse_set_window(struct fuse *f, const struct fuse_window *w)
{
	fuse_lock(f);
	if (f->ranges)
		for (unsigned i = 0; i < range_count(f); i++)
			range_forget(f, &f->ranges[i]);
	free(f->ranges);
	f->ranges = NULL;
	f->dax = false;
	f->window = w && f->is_union ? *w : (struct fuse_window){ 0 };
	if (f->window.size)
		f->ranges = xcalloc(range_count(f), sizeof(*f->ranges));
	fuse_unlock(f);
}

void window_clear(struct fuse *f)
{
	bool any = false;

	for (unsigned i = 0; i < range_count(f); i++) {
		any |= f->ranges[i].node != NULL;
		range_forget(f, &f->ranges[i]);
	}
	if (any && f->window.unmap(f->window.arg, 0, f->window.size) < 0)
		log_step("the DAX window cannot be cleared");
	f->dax = false;
}

static bool look_whether_fits(const struct share *s)
{
	struct statfs st;
	bool fits;
	int fd;

	if (!s->is_union)
		return false;
	if (s->upper_fd < 0)
		return true; /* nothing is written */
	if (fstatfs(s->upper_fd, &st) < 0 ||
	    (st.f_type != EXT4_SUPER_MAGIC && st.f_type != XFS_SUPER_MAGIC &&
	     st.f_type != TMPFS_MAGIC))
		return false;
	/* ext2 and ext3 say they were ext4, and cannot allocate ahead */
	fd = openat(s->tmp_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd < 0)
		return false;
	fits = fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 1) == 0;
	close(fd);
	return fits;
}

bool window_fits(struct share *s)
{
	if (!s->fits_known)
		s->fits = look_whether_fits(s);
	s->fits_known = true;
	return s->fits;
}

bool window_wanted(const struct fuse *f, const struct node *n, uint64_t size)
{
	return f->dax && n->share && n->share->dax && n->type == S_IFREG &&
	       n->where != WHERE_UPPER && size >= DAX_FILE_MIN;
}

/* Blocks of its own for [off, off + len), whatever lies there now. */
static int allocate(int fd, uint64_t off, uint64_t len)
{
	int mode = FALLOC_FL_UNSHARE_RANGE | FALLOC_FL_KEEP_SIZE, rc;

	do { /* xfs, where a copy can share blocks, has the first mode; the others the second */
		rc = fallocate(fd, mode, (off_t)off, (off_t)len);
		if (rc < 0 && (errno == EOPNOTSUPP || errno == EINVAL) &&
		    (mode & FALLOC_FL_UNSHARE_RANGE))
			mode = FALLOC_FL_KEEP_SIZE;
		else if (rc < 0 && errno != EINTR)
			return -errno;
	} while (rc < 0);
	return 0;
}

/* The same for the part of a range that a file of `size` bytes fills. */
static int allocate_range(int fd, uint64_t off, uint64_t size)
{
	if (off >= size)
		return 0;
	return allocate(fd, off, size - off < FUSE_WINDOW_RANGE ? size - off : FUSE_WINDOW_RANGE);
}

int window_back(struct fuse *f, struct node *n, int fd, uint64_t size)
{
	struct stat st;
	int rc = 0;

	if (n->writable == 0)
		return 0;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (size <= (uint64_t)st.st_size)
		return 0;
	for (unsigned i = 0; i < range_count(f) && rc == 0; i++) {
		const struct window_range *r = &f->ranges[i];

		if (r->node == n && r->write)
			rc = allocate_range(fd, r->off, size);
	}
	return rc;
}

void window_moved(struct fuse *f, struct node *n, const struct ofile *o)
{
	for (unsigned i = 0; i < range_count(f) && n->mapped; i++) {
		struct window_range *r = &f->ranges[i];
		int rc;

		if (r->node != n)
			continue;
		rc = f->window.map(f->window.arg, range_at(f, r), FUSE_WINDOW_RANGE, o->fd, r->off,
				   r->write);
		if (rc < 0) { /* better no page than one of the past */
			log_step("DAX: a range cannot be mapped anew: %s", strerror(-rc));
			range_forget(f, r);
		}
	}
}

/* A range of the guest's that lies within the window, in whole ranges. */
static bool in_window(const struct fuse *f, uint64_t at, uint64_t len)
{
	return at % FUSE_WINDOW_RANGE == 0 && len % FUSE_WINDOW_RANGE == 0 && len &&
	       at < f->window.size && len <= f->window.size - at;
}

static int map_range(struct fuse *f, uint64_t at, struct node *n, const struct ofile *o,
		     uint64_t off, bool write)
{
	struct window_range *r = &f->ranges[at >> FUSE_WINDOW_SHIFT];
	int rc = f->window.map(f->window.arg, at, FUSE_WINDOW_RANGE, o->fd, off, write);

	range_forget(f, r);
	if (rc == 0)
		range_take(r, n, off, write);
	return rc;
}

int op_setupmapping(struct call *c)
{
	const struct fuse_setupmapping_in *in = &c->arg.setupmapping;
	bool write = in->flags & FUSE_SETUPMAPPING_FLAG_WRITE;
	struct fuse *f = c->f;
	struct node *n = c->node;
	struct ofile *o;
	struct stat st;
	int rc;

	if (!f->dax || !n->share->dax)
		return -EOPNOTSUPP;
	if (!in_window(f, in->moffset, in->len) || in->foffset % FUSE_WINDOW_RANGE ||
	    in->foffset > INT64_MAX - in->len ||
	    (in->flags & ~(uint64_t)(FUSE_SETUPMAPPING_FLAG_WRITE | FUSE_SETUPMAPPING_FLAG_READ)))
		return -EINVAL;
	rc = data_file(f, n, 0, write, &o);
	if (rc < 0)
		return rc;
	if (fstat(o->fd, &st) < 0)
		rc = -errno;
	else if (in->foffset >= (uint64_t)st.st_size)
		rc = -ENXIO;
	for (uint64_t i = 0; rc == 0 && i < in->len; i += FUSE_WINDOW_RANGE) {
		if (write)
			rc = allocate_range(o->fd, in->foffset + i, (uint64_t)st.st_size);
		if (rc == 0)
			rc = map_range(f, in->moffset + i, n, o, in->foffset + i, write);
	}
	ofile_put(o);
	return rc;
}

static int unmap_ranges(struct fuse *f, uint64_t at, uint64_t len)
{
	int rc;

	if (!in_window(f, at, len))
		return -EINVAL;
	rc = f->window.unmap(f->window.arg, at, len);
	for (uint64_t i = 0; rc == 0 && i < len; i += FUSE_WINDOW_RANGE)
		range_forget(f, &f->ranges[(at + i) >> FUSE_WINDOW_SHIFT]);
	return rc;
}

int op_removemapping(struct call *c)
{
	struct fuse_removemapping_one one;
	int rc = 0;

	if (!c->f->dax)
		return -EOPNOTSUPP;
	for (uint32_t i = 0; rc == 0 && i < c->arg.removemapping.count; i++) {
		if (!call_take(c, &one, sizeof(one)))
			return -EINVAL;
		rc = unmap_ranges(c->f, one.moffset, one.len);
	}
	return rc;
}
