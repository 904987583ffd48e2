/* union_up.c: copy-up: from a layer into the upper, without the guest noticing. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "runtime/base/own.h"
#include "runtime/base/str.h"
#include "runtime/fuse/union.h"

#define COPY_BUF   (256U << 10)
#define COPY_CHUNK (64UL << 20)

void union_tmp_name(struct share *s, char *buf, size_t size)
{
	snprintf(buf, size, "t%" PRIu64, s->seq++);
}

/* --- names of one file that lie in layers */

static void low_name(uint64_t ino, char *buf, size_t size)
{
	snprintf(buf, size, "%" PRIu64 ".lower", ino);
}

int64_t union_low_names(const struct share *s, uint64_t ino, int64_t none)
{
	char name[40], text[24];
	ssize_t n;

	if (!s->index_used)
		return none;
	low_name(ino, name, sizeof(name));
	n = readlinkat(s->index_fd, name, text, sizeof(text) - 1);
	if (n <= 0)
		return none;
	text[n] = 0;
	return strtoll(text, NULL, 10);
}

static int low_names_set(struct share *s, uint64_t ino, int64_t left)
{
	char name[40], text[24], tmp[32];

	low_name(ino, name, sizeof(name));
	snprintf(text, sizeof(text), "%" PRId64, left);
	union_tmp_name(s, tmp, sizeof(tmp));
	if (symlinkat(text, s->tmp_fd, tmp) < 0)
		return -errno;
	if (renameat(s->tmp_fd, tmp, s->index_fd, name) < 0) {
		unlinkat(s->tmp_fd, tmp, 0);
		return -errno;
	}
	s->index_used = true;
	return 0;
}

/* The file is copied up: its xattr counts from now on. */
static void low_names_forget(struct share *s, uint64_t ino)
{
	char name[40];

	low_name(ino, name, sizeof(name));
	unlinkat(s->index_fd, name, 0);
}

int union_low_names_drop(struct fuse *f, struct share *s, const struct found *r, uint64_t ino)
{
	int64_t left;

	(void)f;
	if (r->where == WHERE_UPPER) { /* copied up: found by the index */
		left = r->m.low_names > 0 ? r->m.low_names - 1 : 0;
		return meta_write_origin(r->fd, ino, left);
	}
	left = (int64_t)r->m.st.st_nlink; /* as union_find has it */
	return low_names_set(s, ino, left > 0 ? left - 1 : 0);
}

/* --- data */

static int copy_plain(int from, int to, off_t at, off_t end)
{
	own_free char *buf = xmalloc(COPY_BUF);

	while (at < end) {
		size_t want = end - at < (off_t)COPY_BUF ? (size_t)(end - at) : COPY_BUF;
		ssize_t got = pread(from, buf, want, at);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return got < 0 ? -errno : 0;
		for (ssize_t done = 0; done < got;) {
			ssize_t put = pwrite(to, buf + done, (size_t)(got - done), at + done);

			if (put < 0 && errno != EINTR)
				return -errno;
			done += put > 0 ? put : 0;
		}
		at += got;
	}
	return 0;
}

static int copy_extent(int from, int to, off_t at, off_t end)
{
	while (at < end) {
		off_t in = at, out = at;
		size_t want = (size_t)(end - at) < COPY_CHUNK ? (size_t)(end - at) : COPY_CHUNK;
		ssize_t n = copy_file_range(from, &in, to, &out, want, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == ENOSPC || errno == EIO || errno == EDQUOT || errno == EFBIG))
			return -errno;
		if (n <= 0)
			return copy_plain(from, to, at, end);
		at += n;
	}
	return 0;
}

/* The first `end` bytes, holes as holes. */
static int copy_data(int from, int to, off_t size, off_t end)
{
	off_t data = 0, hole;
	int rc;

	if (end == size && size > 0 && ioctl(to, FICLONE, from) == 0)
		return 0;
	while (data < end) {
		data = lseek(from, data, SEEK_DATA);
		if (data < 0 && errno == ENXIO)
			break;
		hole = data < 0 ? -1 : lseek(from, data, SEEK_HOLE);
		if (hole < 0) { /* no such notion here: all is data */
			data = data < 0 ? 0 : data;
			hole = end;
		}
		hole = hole < end ? hole : end;
		rc = data < hole ? copy_extent(from, to, data, hole) : 0;
		if (rc < 0)
			return rc;
		data = hole;
	}
	return ftruncate(to, end) < 0 ? -errno : 0;
}

/* --- into place */

/* Renames from tmp into the parent folder, whose times the guest must not see change. */
static int move_in(struct share *s, const char *tmp, int dirfd, const char *name)
{
	struct stat st;

	if (fstat(dirfd, &st) < 0)
		return -errno;
	if (renameat(s->tmp_fd, tmp, dirfd, name) < 0)
		return -errno;
	futimens(dirfd, (struct timespec[2]){ st.st_atim, st.st_mtim });
	return 0;
}

/* Gives the copy what belongs to it but is not data. */
static int dress(int from, int to, uint32_t mode_now, const struct meta *m, uint64_t ino,
		 int64_t low_names)
{
	int rc = from >= 0 ? meta_copy_xattrs(from, to) : 0;

	if (rc == 0)
		rc = meta_write(to, mode_now, &m->ls);
	if (rc == 0)
		rc = meta_write_origin(to, ino, low_names);
	if (rc == 0 && futimens(to, (struct timespec[2]){ m->st.st_atim, m->st.st_mtim }) < 0)
		rc = -errno;
	return rc;
}

/* The names a layer's file keeps in layers when the one n is known by is covered. */
static int64_t names_left(const struct node *n, const struct meta *m)
{
	int64_t names = (int64_t)m->st.st_nlink;

	if (!S_ISREG(m->st.st_mode) || names < 2)
		return -1;
	names = union_low_names(n->share, n->ino, names) - (n->gone ? 0 : 1);
	return names > 0 ? names : -1;
}

/* Under the lock again: the copy in tmp becomes the file. */
static int settle(struct fuse *f, struct node *n, const char *tmp, int fd, int64_t low_names)
{
	struct share *s = n->share;
	char name[40];
	struct stat st;
	int rc = 0, dirfd;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (low_names >= 0) {
		snprintf(name, sizeof(name), "%" PRIu64, n->ino);
		if (linkat(s->tmp_fd, tmp, s->index_fd, name, 0) < 0)
			return -errno;
		s->index_used = true;
	}
	if (n->gone && low_names < 0) {
		snprintf(name, sizeof(name), "%" PRIu64, n->id);
		rc = renameat(s->tmp_fd, tmp, s->orphan_fd, name) < 0 ? -errno : 0;
	} else if (n->gone) {
		unlinkat(s->tmp_fd, tmp, 0);
	} else {
		dirfd = folder_fd(f, n->parent);
		rc = dirfd < 0 ? dirfd : move_in(s, tmp, dirfd, n->name);
	}
	if (rc < 0) {
		if (low_names >= 0)
			unlinkat(s->index_fd, name, 0);
		return rc;
	}
	if (!n->gone)
		folder_name_up(n->parent, n->name);
	if (n->place == PLACE_PINNED)
		file_unpin(f, n); /* it was the layer's */
	n->place = low_names >= 0 ? PLACE_INDEX : n->gone ? PLACE_ORPHAN : PLACE_NAME;
	n->where = WHERE_UPPER;
	node_rekey(f, n, WHERE_UPPER, st.st_ino);
	return 0;
}

/* The copying itself, without the lock. */
static int copy_whole(int from, int to, const struct meta *m, uint64_t ino, int64_t low_names,
		      uint64_t limit)
{
	uint64_t size = (uint64_t)m->st.st_size;
	int rc = copy_data(from, to, m->st.st_size, (off_t)(size < limit ? size : limit));

	return rc < 0 ? rc : dress(from, to, S_IFREG | 0600, m, ino, low_names);
}

static int copy_link(const struct spot *sp, int to, const struct meta *m, uint64_t ino)
{
	char target[PATH_MAX];
	ssize_t n = readlinkat(sp->dirfd, sp->name, target, sizeof(target));

	if (n < 0)
		return -errno;
	if (pwrite(to, target, (size_t)n, 0) != n)
		return -EIO;
	return dress(-1, to, S_IFREG | 0600, m, ino, -1);
}

/* n is marked busy. */
static int up(struct fuse *f, struct node *n, uint64_t limit)
{
	struct ofile *from = NULL;
	int64_t low_names;
	struct spot sp;
	struct meta m;
	char tmp[32];
	int rc, to;

	rc = union_file(f, n, false, &from);
	if (rc == 0)
		rc = meta_of_fd(from->fd, false, &m);
	else if (rc == -ELOOP)
		rc = union_meta(f, n, &m);
	if (rc < 0)
		goto out;
	low_names = names_left(n, &m);
	union_tmp_name(n->share, tmp, sizeof(tmp));
	to = openat(n->share->tmp_fd, tmp, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (to < 0) {
		rc = -errno;
		goto out;
	}
	if (from) {
		fuse_unlock(f);
		rc = copy_whole(from->fd, to, &m, n->ino, low_names, limit);
		fuse_lock(f);
	} else {
		rc = union_spot(f, n, &sp);
		if (rc == 0)
			rc = copy_link(&sp, to, &m, n->ino);
	}
	if (rc == 0)
		rc = settle(f, n, tmp, to, low_names);
	if (rc < 0) {
		unlinkat(n->share->tmp_fd, tmp, 0);
		close(to);
	} else {
		if (n->share->index_used && m.st.st_nlink > 1)
			low_names_forget(n->share, n->ino);
		file_cache(f, n, ofile_new(to, true));
		window_moved(f, n, n->file);
	}
out:
	ofile_put(from);
	return rc;
}

int union_up(struct fuse *f, struct node *n, uint64_t limit)
{
	int rc;

	while (n->busy)
		fuse_wait_copied(f);
	if (n->share->read_only)
		return -EROFS;
	if (n->where == WHERE_UPPER)
		return 0;
	if (!n->gone) {
		rc = union_dir_up(f, n->parent);
		if (rc < 0)
			return rc;
	}
	n->busy = true;
	rc = up(f, n, limit);
	n->busy = false;
	pthread_cond_broadcast(&f->copied);
	return rc;
}

static int dir_up_one(struct fuse *f, struct node *n)
{
	struct share *s = n->share;
	own_fd int to = -1;
	struct meta m;
	char tmp[32];
	struct stat st;
	int from = union_dir_source(f, n, &m), pfd, rc;

	if (from < 0)
		return from;
	union_tmp_name(s, tmp, sizeof(tmp));
	if (mkdirat(s->tmp_fd, tmp, 0700) < 0)
		return -errno;
	to = openat(s->tmp_fd, tmp, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	rc = to < 0 || fstat(to, &st) < 0 ? -errno : 0;
	if (rc == 0)
		rc = dress(from, to, st.st_mode, &m, n->ino, -1);
	if (rc == 0) {
		pfd = folder_fd(f, n->parent);
		rc = pfd < 0 ? pfd : move_in(s, tmp, pfd, n->name);
	}
	if (rc < 0) {
		unlinkat(s->tmp_fd, tmp, AT_REMOVEDIR);
		return rc;
	}
	n->folder->upper = true;
	n->where = WHERE_UPPER;
	node_rekey(f, n, WHERE_UPPER, st.st_ino);
	folder_give_fd(f, n->folder, steal_fd(&to));
	folder_name_up(n->parent, n->name);
	return 0;
}

int union_dir_up(struct fuse *f, struct node *n)
{
	own_free struct node **chain = NULL;
	size_t depth = 0, cap = 0;
	int rc = 0;

	if (n->share->read_only)
		return -EROFS;
	if (n->gone)
		return -ENOENT;
	for (struct node *a = n; !a->folder->upper; a = a->parent) {
		if (depth == cap) {
			cap = cap ? cap * 2 : 16;
			chain = xrealloc(chain, cap * sizeof(*chain));
		}
		chain[depth++] = a;
	}
	while (depth && rc == 0)
		rc = dir_up_one(f, chain[--depth]);
	return rc;
}

int union_symlink_to_file(struct fuse *f, struct node *n)
{
	struct share *s = n->share;
	struct spot sp;
	struct meta m;
	char tmp[32];
	struct stat st;
	int rc, to;

	rc = union_meta(f, n, &m);
	if (rc < 0 || !S_ISLNK(m.st.st_mode))
		return rc;
	union_tmp_name(s, tmp, sizeof(tmp));
	to = openat(s->tmp_fd, tmp, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (to < 0)
		return -errno;
	rc = union_spot(f, n, &sp);
	if (rc == 0)
		rc = copy_link(&sp, to, &m, n->ino);
	if (rc == 0 && fstat(to, &st) < 0)
		rc = -errno;
	if (rc == 0)
		rc = move_in(s, tmp, sp.dirfd, sp.name);
	if (rc < 0) {
		unlinkat(s->tmp_fd, tmp, 0);
		close(to);
		return rc;
	}
	node_rekey(f, n, WHERE_UPPER, st.st_ino);
	file_cache(f, n, ofile_new(to, true));
	return 0;
}
