/* unpack.c: files the host copies into the container while it runs, made by a task of its own. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "guest/child.h"
#include "runtime/base/fd.h"
#include "runtime/base/own.h"
#include "vsock/codec.h"
#include "vsock/item.h"

/*
 * The task has joined the container: its root is ours, so every path and every
 * symlink on the way leads to the container's own files, tmpfs and volumes
 * included, and the guest's caches know of all that is done. The rules are those of
 * runtime/fuse/files_add.c, which does the same where no guest runs.
 */

#define READ_SIZE   (256U << 10)
#define FOLDER_MODE 0755

struct folder_time {
	char *path;
	struct timespec mtime;
};

struct unpack {
	const char *dir;
	struct str in;
	int fd; /* of the file that pieces belong to; -1 */
	struct item item;
	char *path; /* of the item */
	struct folder_time *times;
	size_t ntimes;
};

static int make_folders(const char *path, struct err *e)
{
	own_free char *above = NULL;
	const char *slash = strrchr(path, '/');
	struct stat st;
	int rc;

	if (slash == NULL || slash == path || stat(path, &st) == 0)
		return 0;
	above = xstrndup(path, (size_t)(slash - path));
	rc = make_folders(above, e);
	if (rc == 0 && mkdir(path, FOLDER_MODE) < 0 && errno != EEXIST)
		rc = err_sys(e, "create %s", path);
	return rc;
}

/* The folder a path lies in. */
static int make_parent(const char *path, struct err *e)
{
	own_free char *above = xstrndup(path, (size_t)(strrchr(path, '/') - path));

	return make_folders(above, e);
}

static int dress(const char *path, const struct entry *x, struct err *e)
{
	struct timespec ts[2] = { x->mtime, x->mtime };

	if (lchown(path, x->uid, x->gid) < 0)
		return err_sys(e, "change the owner of %s", path);
	if (!S_ISLNK(x->mode) && chmod(path, x->mode & 07777) < 0)
		return err_sys(e, "change the mode of %s", path);
	for (size_t i = 0; i < x->nxattrs; i++)
		if (lsetxattr(path, x->xattrs[i].name, x->xattrs[i].value, x->xattrs[i].len, 0) <
			    0 &&
		    errno != ENOTSUP)
			return err_sys(e, "set attribute %s of %s", x->xattrs[i].name, path);
	if (utimensat(AT_FDCWD, path, ts, AT_SYMLINK_NOFOLLOW) < 0)
		return err_sys(e, "set the time of %s", path);
	return 0;
}

/* 1: a folder is there, and is to be one. */
static int make_room(const char *path, bool folder, struct err *e)
{
	struct stat st;

	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0 : err_sys(e, "%s", path);
	if (S_ISDIR(st.st_mode) && folder)
		return 1;
	if (S_ISDIR(st.st_mode))
		return err_set(e, EISDIR, "cannot overwrite directory \"%s\" with non-directory",
			       path);
	if (folder)
		return err_set(e, ENOTDIR, "cannot overwrite non-directory \"%s\" with directory",
			       path);
	return unlink(path) < 0 ? err_sys(e, "create %s", path) : 0;
}

static int make_object(struct unpack *u, const struct entry *x, struct err *e)
{
	const char *path = u->path;
	own_free char *target = x->link ? xasprintf("%s/%s", u->dir, x->link) : NULL;
	int rc = 0;

	if (target) {
		rc = linkat(AT_FDCWD, target, AT_FDCWD, path, 0);
	} else if (S_ISDIR(x->mode)) {
		rc = mkdir(path, 0700);
	} else if (S_ISLNK(x->mode)) {
		rc = symlink(x->target, path);
	} else if (S_ISREG(x->mode)) {
		u->fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
		rc = u->fd;
	} else {
		rc = mknod(path, (x->mode & S_IFMT) | 0600, makedev(x->major, x->minor));
	}
	return rc < 0 ? err_sys(e, "create %s", path) : 0;
}

/* The file that pieces were written to is complete. */
static int finish_file(struct unpack *u, struct err *e)
{
	int rc = 0;

	if (u->fd < 0)
		return 0;
	if (ftruncate(u->fd, (off_t)u->item.x.size) < 0)
		rc = err_sys(e, "write %s", u->path);
	if (close(steal_fd(&u->fd)) < 0 && rc == 0)
		rc = err_sys(e, "write %s", u->path);
	return rc < 0 ? rc : dress(u->path, &u->item.x, e);
}

static void remember_time(struct unpack *u)
{
	if ((u->ntimes & (u->ntimes - 1)) == 0)
		u->times = xrealloc(u->times, (u->ntimes ? u->ntimes * 2 : 1) * sizeof(*u->times));
	u->times[u->ntimes++] = (struct folder_time){ xstrdup(u->path), u->item.x.mtime };
}

static int on_entry(struct unpack *u, const struct wire_frame *f, struct err *e)
{
	const struct entry *x = &u->item.x;
	bool folder;
	int rc = finish_file(u, e);

	item_free(&u->item);
	free(u->path);
	u->path = NULL;
	if (rc < 0)
		return rc;
	if (item_get_entry(f->payload, f->len, &u->item) < 0)
		return err_set(e, EPROTO, "the host sent a bad frame");
	folder = S_ISDIR(x->mode) && x->link == NULL;
	u->path = xasprintf("%s/%s", u->dir, x->path);
	rc = *x->path ? make_parent(u->path, e) : 0;
	if (rc == 0)
		rc = make_room(u->path, folder, e);
	if (rc == 0)
		rc = make_object(u, x, e);
	if (rc < 0 || x->link)
		return rc < 0 ? rc : 0;
	if (folder)
		remember_time(u);
	/* a file when it is written, which changes its time and takes capabilities away */
	return u->fd < 0 ? dress(u->path, x, e) : 0;
}

static int on_piece(struct unpack *u, const struct wire_frame *f, struct err *e)
{
	const void *data;
	const char *p;
	uint64_t off;
	size_t n;

	if (u->fd < 0 || item_get_piece(f->payload, f->len, &off, &data, &n) < 0)
		return err_set(e, EPROTO, "the host sent a bad frame");
	for (p = data; n;) {
		ssize_t put = pwrite(u->fd, p, n, (off_t)off);

		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return err_sys(e, "write %s", u->path);
		p += put;
		off += (uint64_t)put;
		n -= (size_t)put;
	}
	return 0;
}

static int on_end(struct unpack *u, struct err *e)
{
	int rc = finish_file(u, e);

	for (size_t i = 0; rc == 0 && i < u->ntimes; i++) {
		struct timespec ts[2] = { { .tv_nsec = UTIME_OMIT }, u->times[i].mtime };

		if (utimensat(AT_FDCWD, u->times[i].path, ts, 0) < 0)
			rc = err_sys(e, "set the time of %s", u->times[i].path);
	}
	return rc < 0 ? rc : 1;
}

/* The next frame, whole. */
static int next_frame(struct unpack *u, struct wire_frame *f, struct err *e)
{
	int rc;

	while ((rc = wire_frame_next(u->in.s, u->in.len, f)) == 0) {
		ssize_t n;

		str_reserve(&u->in, READ_SIZE);
		n = read(0, u->in.s + u->in.len, READ_SIZE);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? err_sys(e, "read")
				     : err_set(e, EPIPE, "the copying was cut short");
		u->in.len += (size_t)n;
	}
	return rc < 0 ? err_set(e, EPROTO, "the host sent a bad frame") : 0;
}

static int run(struct unpack *u, struct err *e)
{
	struct wire_frame f;
	int rc;

	do {
		rc = next_frame(u, &f, e);
		if (rc < 0)
			return rc;
		if (f.type == ITEM_ENTRY)
			rc = on_entry(u, &f, e);
		else if (f.type == ITEM_PIECE)
			rc = on_piece(u, &f, e);
		else
			rc = on_end(u, e);
		u->in.len -= f.used;
		memmove(u->in.s, u->in.s + f.used, u->in.len);
	} while (rc == 0);
	return rc < 0 ? rc : 0;
}

int unpack_run(const char *dir)
{
	struct unpack u = { .dir = strcmp(dir, "/") ? dir : "", .fd = -1 };
	struct err e = ERR_INIT;

	umask(0);
	if (run(&u, &e) == 0)
		return 0;
	(void)fd_write_full(2, e.msg, strlen(e.msg));
	return 1;
}
