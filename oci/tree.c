/* tree.c: an archive's paths become files below one folder; see tree.h. */
#include "oci/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "oci/tree_walk.h"
#include "oci/unpack.h"
#include "runtime/base/fd.h"
#include "runtime/base/own.h"
#include "runtime/base/str.h"

/*
 * Folders' times are noted until the end: this many bytes of them in memory,
 * and more in a nameless file.
 */
#define TIMES_MEMORY (1u << 20)

struct dir_time {
	int64_t sec;
	uint32_t nsec;
	uint32_t len; /* of the path that follows, from the root */
};

struct tree {
	struct walk at;	  /* the folder of the last entry */
	struct walk link; /* the folder of the last hard link's target */
	mode_t umask;
	struct str times;
	int timesfd; /* -1: all are in memory */
};

const char *tree_show(char *buf, const char *path)
{
	size_t n = 0;

	for (; *path && n + 8 < TREE_SHOW_MAX; path++) {
		unsigned char c = (unsigned char)*path;

		if (c >= 0x20 && c < 0x7f)
			buf[n++] = *path;
		else
			n += (size_t)snprintf(buf + n, 5, "\\x%02x", c);
	}
	snprintf(buf + n, TREE_SHOW_MAX - n, "%s", *path ? "..." : "");
	return buf;
}

/* "write usr/bin/x: No space left on device": what is said of the disk's errors. */
static int disk_error(struct err *e, const char *what, const char *path)
{
	char shown[TREE_SHOW_MAX];

	return err_sys(e, "%s %s", what, tree_show(shown, path));
}

/*
 * Of the process, without changing it. Where it cannot be had, every mode is
 * set explicitly.
 */
static mode_t read_umask(void)
{
	own_str struct str text = STR_INIT;
	const char *line;

	if (file_read(AT_FDCWD, "/proc/self/status", 65536, &text, NULL) < 0)
		return 0777;
	line = strstr(text.s, "\nUmask:");
	return line ? (mode_t)strtoul(line + strlen("\nUmask:"), NULL, 8) & 0777 : 0777;
}

int tree_new(int rootfd, struct tree **out, struct err *e)
{
	struct tree *t = xcalloc(1, sizeof(*t));

	walk_init(&t->at, rootfd);
	walk_init(&t->link, rootfd);
	t->timesfd = -1;
	t->umask = read_umask();
	if (fchmod(rootfd, 0755) < 0 || fsetxattr(rootfd, LAYER_XATTR_IMPLIED, "y", 1, 0) < 0) {
		int rc = err_sys(e, "set up the layer's folder");

		tree_free(t);
		return rc;
	}
	*out = t;
	return 0;
}

void tree_free(struct tree *t)
{
	if (t == NULL)
		return;
	walk_free(&t->at);
	walk_free(&t->link);
	if (t->timesfd >= 0)
		close(t->timesfd);
	str_free(&t->times);
	free(t);
}

/* ---- names ---- */

/*
 * Goes to the folder of path and gives its last component, "" for the root
 * itself (a path without any), in name (NAME_MAX + 1 bytes).
 */
static int go_to_parent(struct walk *w, const char *path, bool make, char *name, struct err *e)
{
	char clean[UNPACK_PATH_MAX + 1];
	const char *slash, *last;
	int rc = path_clean(path, clean, e);

	if (rc < 0)
		return rc;
	slash = strrchr(clean, '/');
	rc = walk_to(w, slash ? clean : "", slash ? (size_t)(slash - clean) : 0, make, e);
	if (rc < 0)
		return rc;
	last = slash ? slash + 1 : clean;
	memcpy(name, last, strlen(last) + 1); /* at most NAME_MAX: path_clean */
	return 0;
}

/* As go_to_parent, for all that cannot be the root. */
static int go_to_entry(struct tree *t, const char *path, char *name, struct err *e)
{
	char shown[TREE_SHOW_MAX];
	int rc = go_to_parent(&t->at, path, true, name, e);

	if (rc == 0 && *name == 0)
		return err_set(e, EBADMSG, "the entry \"%s\" would replace the root folder",
			       tree_show(shown, path));
	return rc;
}

/* What is there under an entry's name, when it is not a folder that stays. */
static int clear_way(struct tree *t, const char *name, const char *path, struct err *e)
{
	int dirfd = walk_fd(&t->at);

	if (unlinkat(dirfd, name, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR && errno != EPERM)
		return disk_error(e, "replace", path);
	walk_reset(&t->link); /* it may be in there */
	return dir_remove_all(dirfd, name, e);
}

/* ---- attributes ---- */

static int set_xattr(int fd, const char *name, const void *value, size_t len, const char *path,
		     struct err *e)
{
	char shown[TREE_SHOW_MAX], full[XATTR_NAME_MAX + 1];

	if (strlen(name) > XATTR_NAME_MAX - strlen(LAYER_XATTR_PREFIX))
		return err_set(e, EBADMSG, "an xattr of %s has a name of more than %zu bytes",
			       tree_show(shown, path),
			       (size_t)XATTR_NAME_MAX - strlen(LAYER_XATTR_PREFIX));
	snprintf(full, sizeof(full), LAYER_XATTR_PREFIX "%s", name);
	if (fsetxattr(fd, full, value, len, 0) == 0)
		return 0;
	if (errno == ENOSPC || errno == E2BIG || errno == ERANGE)
		return err_sys(e,
			       "set an xattr of %zu bytes of %s (too large for the file system?)",
			       len, tree_show(shown, path));
	return disk_error(e, "set an xattr of", path);
}

/* Owner, type, bits the host cannot hold, and the guest's xattrs. */
static int set_attrs(int fd, const struct tree_attr *a, bool stat_needed, const char *path,
		     struct err *e)
{
	int rc = 0;

	if (stat_needed) {
		char text[LAYER_STAT_MAX];
		size_t n = layer_stat_format(text, &a->st);

		if (fsetxattr(fd, LAYER_XATTR_STAT, text, n, 0) < 0)
			return disk_error(e, "set the owner of", path);
	}
	for (size_t i = 0; rc == 0 && i < a->nxattrs; i++)
		rc = set_xattr(fd, a->xattrs[i].name, a->xattrs[i].value, a->xattrs[i].len, path,
			       e);
	return rc;
}

static int set_time(int fd, const struct tree_attr *a, const char *path, struct err *e)
{
	const struct timespec ts[2] = { { 0, UTIME_OMIT }, a->mtime };

	return futimens(fd, ts) < 0 ? disk_error(e, "set the time of", path) : 0;
}

/* ---- folders ---- */

static int note_time(struct tree *t, const struct tree_attr *a, struct err *e)
{
	struct dir_time d = { a->mtime.tv_sec, (uint32_t)a->mtime.tv_nsec, (uint32_t)t->at.len };
	int rc;

	str_add_mem(&t->times, &d, sizeof(d));
	str_add_mem(&t->times, t->at.path, t->at.len);
	if (t->times.len < TIMES_MEMORY)
		return 0;
	if (t->timesfd < 0) {
		t->timesfd = openat(t->at.rootfd, ".", O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
		if (t->timesfd < 0 && (errno == EOPNOTSUPP || errno == EISDIR))
			return 0; /* then it stays in memory */
		if (t->timesfd < 0)
			return err_sys(e, "create a temporary file");
	}
	rc = fd_write_full(t->timesfd, t->times.s, t->times.len);
	if (rc < 0)
		return err_set(e, -rc, "write a temporary file: %s", strerror(-rc));
	t->times.len = 0;
	return 0;
}

/*
 * A folder where something is already: 0 if it is a folder, 1 if it was
 * replaced. *opaque: by this layer's own whiteout, which it takes over.
 */
static int merge_dir(struct tree *t, const char *name, mode_t mode, const char *path, bool *opaque,
		     struct err *e)
{
	int dirfd = walk_fd(&t->at);
	struct stat st;

	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return disk_error(e, "stat", path);
	if (S_ISDIR(st.st_mode))
		return 0;
	*opaque = walk_is_whiteout(dirfd, name);
	if (unlinkat(dirfd, name, 0) < 0 || mkdirat(dirfd, name, mode) < 0)
		return disk_error(e, "replace", path);
	return 1;
}

/* The folder t->at is in; merged: it was there already. */
static int finish_dir(struct tree *t, const struct tree_attr *a, bool merged, bool opaque,
		      const char *path, struct err *e)
{
	mode_t mode = layer_host_mode(&a->st) & 0777;
	int fd = walk_fd(&t->at), rc;

	if ((merged || (mode & t->umask)) && fchmod(fd, mode) < 0)
		return disk_error(e, "set the mode of", path);
	if (merged && ((fremovexattr(fd, LAYER_XATTR_IMPLIED) < 0 && errno != ENODATA) ||
		       (fremovexattr(fd, LAYER_XATTR_STAT) < 0 && errno != ENODATA)))
		return disk_error(e, "set the owner of", path);
	if (opaque && fsetxattr(fd, LAYER_XATTR_OPAQUE, "y", 1, 0) < 0)
		return disk_error(e, "make opaque", path);
	rc = set_attrs(fd, a, layer_stat_needed(&a->st), path, e);
	return rc < 0 ? rc : note_time(t, a, e);
}

int tree_dir(struct tree *t, const char *path, const struct tree_attr *a, struct err *e)
{
	mode_t mode = layer_host_mode(&a->st) & 0777;
	bool merged = false, opaque = false;
	char name[NAME_MAX + 1];
	int rc = go_to_parent(&t->at, path, true, name, e);

	if (rc < 0)
		return rc;
	if (*name == 0)
		return finish_dir(t, a, true, false, path, e);
	if (mkdirat(walk_fd(&t->at), name, mode) < 0) {
		if (errno != EEXIST)
			return disk_error(e, "create folder", path);
		rc = merge_dir(t, name, mode, path, &opaque, e);
		if (rc < 0)
			return rc;
		merged = rc == 0;
	}
	rc = walk_down(&t->at, name, e);
	return rc < 0 ? rc : finish_dir(t, a, merged, opaque, path, e);
}

/* ---- files ---- */

/* A new file under the entry's name, in the way of which nothing may be. */
static int new_file(struct tree *t, const char *name, mode_t mode, const char *path, int *fd,
		    struct err *e)
{
	for (int tries = 0;; tries++) {
		int rc;

		*fd = openat(walk_fd(&t->at), name,
			     O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode & 0777);
		if (*fd >= 0)
			break;
		if (errno != EEXIST || tries)
			return disk_error(e, "create", path);
		rc = clear_way(t, name, path, e);
		if (rc < 0)
			return rc;
	}
	if ((mode & t->umask) && fchmod(*fd, mode & 0777) < 0) {
		int rc = disk_error(e, "set the mode of", path);

		close(*fd);
		return rc;
	}
	return 0;
}

int tree_file_begin(struct tree *t, const char *path, const struct tree_attr *a, int *out,
		    struct err *e)
{
	char name[NAME_MAX + 1];
	int fd, rc = go_to_entry(t, path, name, e);

	if (rc == 0)
		rc = new_file(t, name, layer_host_mode(&a->st), path, &fd, e);
	if (rc < 0)
		return rc;
	rc = set_attrs(fd, a, layer_stat_needed(&a->st), path, e);
	if (rc < 0) {
		close(fd);
		return rc;
	}
	*out = fd;
	return 0;
}

int tree_file_end(struct tree *t, int fd, const struct tree_attr *a, struct err *e)
{
	int rc = set_time(fd, a, t->at.path, e);

	/* Network and quota file systems tell of lost writes here. */
	if (close(fd) < 0 && rc == 0)
		rc = disk_error(e, "write to", t->at.path);
	return rc;
}

/* What stands for kinds that the host cannot or may not have: a file, and its type in an xattr. */
static int stand_in(struct tree *t, const char *name, const char *path, const void *data, size_t n,
		    const struct tree_attr *a, struct err *e)
{
	mode_t mode = S_ISLNK(a->st.mode) ? 0777 : layer_host_mode(&a->st);
	int fd, rc = new_file(t, name, mode, path, &fd, e);

	if (rc < 0)
		return rc;
	if (n)
		rc = fd_write_full(fd, data, n);
	if (rc < 0) {
		errno = -rc;
		rc = disk_error(e, "write", path);
	}
	if (rc == 0)
		rc = set_attrs(fd, a, true, path, e);
	if (rc < 0) {
		close(fd);
		return rc;
	}
	return tree_file_end(t, fd, a, e);
}

int tree_symlink(struct tree *t, const char *path, const char *target, const struct tree_attr *a,
		 struct err *e)
{
	const struct timespec ts[2] = { { 0, UTIME_OMIT }, a->mtime };
	char name[NAME_MAX + 1], shown[TREE_SHOW_MAX];
	size_t len = strlen(target);
	int rc = go_to_entry(t, path, name, e);

	if (rc < 0)
		return rc;
	if (len == 0 || len > UNPACK_PATH_MAX)
		return err_set(e, EBADMSG, "the symlink %s has a target of %zu bytes",
			       tree_show(shown, path), len);
	if (a->nxattrs || layer_stat_needed(&a->st))
		return stand_in(t, name, path, target, len, a, e);
	if (symlinkat(target, walk_fd(&t->at), name) < 0) {
		if (errno != EEXIST)
			return disk_error(e, "create symlink", path);
		rc = clear_way(t, name, path, e);
		if (rc < 0)
			return rc;
		if (symlinkat(target, walk_fd(&t->at), name) < 0)
			return disk_error(e, "create symlink", path);
	}
	if (utimensat(walk_fd(&t->at), name, ts, AT_SYMLINK_NOFOLLOW) < 0)
		return disk_error(e, "set the time of", path);
	return 0;
}

int tree_node(struct tree *t, const char *path, const struct tree_attr *a, struct err *e)
{
	char name[NAME_MAX + 1];
	int rc = go_to_entry(t, path, name, e);

	return rc < 0 ? rc : stand_in(t, name, path, NULL, 0, a, e);
}

/* ---- links ---- */

/* Whether both names are links to one file: then there is nothing to do, and nothing to remove. */
static bool same_file(int fd1, const char *name1, int fd2, const char *name2)
{
	struct stat a, b;

	return fstatat(fd1, name1, &a, AT_SYMLINK_NOFOLLOW) == 0 &&
	       fstatat(fd2, name2, &b, AT_SYMLINK_NOFOLLOW) == 0 && a.st_ino == b.st_ino &&
	       a.st_dev == b.st_dev;
}

static int link_error(const char *path, const char *target, struct err *e)
{
	char s1[TREE_SHOW_MAX], s2[TREE_SHOW_MAX];

	if (errno == ENOENT)
		return err_set(e, EBADMSG,
			       "the hard link %s is to %s, which the layer does not have",
			       tree_show(s1, path), tree_show(s2, target));
	if (errno == EPERM)
		return err_set(e, EBADMSG, "the hard link %s is to %s, which is no file",
			       tree_show(s1, path), tree_show(s2, target));
	return err_sys(e, "link %s to %s", tree_show(s1, path), tree_show(s2, target));
}

int tree_link(struct tree *t, const char *path, const char *target, struct err *e)
{
	char name[NAME_MAX + 1], from[NAME_MAX + 1];
	int fromfd, dirfd, rc = go_to_parent(&t->link, target, false, from, e);

	if (rc == -ENOENT || (rc == 0 && *from == 0)) {
		errno = rc == 0 ? EPERM : ENOENT;
		return link_error(path, target, e);
	}
	if (rc == 0)
		rc = go_to_entry(t, path, name, e);
	if (rc < 0)
		return rc;
	fromfd = walk_fd(&t->link);
	dirfd = walk_fd(&t->at);
	if (walk_is_whiteout(fromfd, from)) {
		errno = ENOENT;
		return link_error(path, target, e);
	}
	if (linkat(fromfd, from, dirfd, name, 0) == 0)
		return 0;
	if (errno != EEXIST || faccessat(fromfd, from, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
		return link_error(path, target, e);
	if (same_file(fromfd, from, dirfd, name))
		return 0;
	rc = clear_way(t, name, path, e);
	if (rc < 0)
		return rc;
	/* Clearing may have taken the target's folder with it: look again. */
	rc = go_to_parent(&t->link, target, false, from, e);
	if (rc < 0 && rc != -ENOENT)
		return rc;
	if (rc < 0 || linkat(walk_fd(&t->link), from, dirfd, name, 0) < 0) {
		errno = rc < 0 ? ENOENT : errno;
		return link_error(path, target, e);
	}
	return 0;
}

/* ---- whiteouts ---- */

int tree_whiteout(struct tree *t, const char *path, struct err *e)
{
	static const struct tree_attr whiteout = { .st = { .mode = S_IFCHR } };
	char name[NAME_MAX + 1];
	struct stat st;
	int dirfd, rc = go_to_entry(t, path, name, e);

	if (rc < 0)
		return rc;
	dirfd = walk_fd(&t->at);
	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return stand_in(t, name, path, NULL, 0, &whiteout, e);
	if (!S_ISDIR(st.st_mode))
		return 0; /* this layer's own hides what is below anyway */
	return tree_opaque(t, path, e);
}

int tree_opaque(struct tree *t, const char *path, struct err *e)
{
	char clean[UNPACK_PATH_MAX + 1];
	int rc = path_clean(path, clean, e);

	if (rc == 0)
		rc = walk_to(&t->at, clean, strlen(clean), true, e);
	if (rc < 0)
		return rc;
	if (fsetxattr(walk_fd(&t->at), LAYER_XATTR_OPAQUE, "y", 1, 0) < 0)
		return disk_error(e, "make opaque", path);
	return 0;
}

/* ---- the end ---- */

/* A folder that was replaced since has no time to set. */
static int apply_time(struct tree *t, const struct dir_time *d, const char *path, struct err *e)
{
	const struct timespec ts[2] = { { 0, UTIME_OMIT }, { d->sec, d->nsec } };
	struct err ignored = ERR_INIT;
	int rc = walk_to(&t->at, path, d->len, false, &ignored);

	if (rc == -ENOENT || rc == -EBADMSG || rc == -EFBIG)
		return 0;
	if (rc < 0 || futimens(walk_fd(&t->at), ts) < 0)
		return err_set(e, rc < 0 ? -rc : errno, "set a folder's time: %s",
			       strerror(rc < 0 ? -rc : errno));
	return 0;
}

static int apply_times(struct tree *t, const char *p, size_t n, struct err *e)
{
	int rc = 0;

	while (rc == 0 && n) {
		struct dir_time d;

		memcpy(&d, p, sizeof(d));
		rc = apply_time(t, &d, p + sizeof(d), e);
		p += sizeof(d) + d.len;
		n -= sizeof(d) + d.len;
	}
	return rc;
}

/* From the file, a piece at a time; a piece ends at a record's end, as it was written. */
static int apply_spilled(struct tree *t, struct err *e)
{
	FILE *f = fdopen(t->timesfd, "r");
	char path[UNPACK_PATH_MAX + 1];
	struct dir_time d;
	int rc = 0;

	if (f == NULL)
		return err_sys(e, "read a temporary file");
	t->timesfd = -1;
	rewind(f);
	while (rc == 0 && fread(&d, sizeof(d), 1, f) == 1) {
		if (d.len > UNPACK_PATH_MAX || fread(path, 1, d.len, f) != d.len)
			rc = err_set(e, EIO, "read a temporary file");
		else
			rc = apply_time(t, &d, path, e);
	}
	if (rc == 0 && ferror(f))
		rc = err_sys(e, "read a temporary file");
	fclose(f);
	return rc;
}

int tree_finish(struct tree *t, struct err *e)
{
	int rc = t->timesfd >= 0 ? apply_spilled(t, e) : 0;

	return rc < 0 ? rc : apply_times(t, t->times.s, t->times.len, e);
}
