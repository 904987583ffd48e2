/* tree_walk.c: walking below a root without ever leaving it; see tree_walk.h. */
#include "oci/tree_walk.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "oci/tree.h"
#include "runtime/base/fd.h"
#include "runtime/base/layer.h"
#include "runtime/base/own.h"
#include "runtime/base/str.h"

/* Symlinks followed for one path; the kernel's number. */
#define WALK_LINKS_MAX 40
/* Mode of folders that no entry speaks of. */
#define IMPLIED_MODE 0755

#define DIR_FLAGS (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

int path_clean(const char *path, char *out, struct err *e)
{
	char shown[TREE_SHOW_MAX];
	size_t n = 0;

	for (const char *p = path; *p;) {
		size_t len = strcspn(p, "/");

		if (len == 2 && p[0] == '.' && p[1] == '.')
			return err_set(e, EBADMSG, "the path %s has a \"..\" in it",
				       tree_show(shown, path));
		if (len > NAME_MAX)
			return err_set(e, EBADMSG, "the path %s has a name of %zu bytes",
				       tree_show(shown, path), len);
		if (len && !(len == 1 && p[0] == '.')) {
			if (n + 1 + len > UNPACK_PATH_MAX)
				return err_set(e, EBADMSG, "the path %s is longer than %d bytes",
					       tree_show(shown, path), UNPACK_PATH_MAX);
			if (n)
				out[n++] = '/';
			memcpy(out + n, p, len);
			n += len;
		}
		p += len + (p[len] == '/');
	}
	out[n] = 0;
	return 0;
}

void walk_init(struct walk *w, int rootfd)
{
	w->rootfd = rootfd;
	w->depth = 0;
	w->len = 0;
	w->path[0] = 0;
	w->levels[0] = (struct walk_level){ -1, 0 };
}

static void level_close(struct walk_level *l)
{
	if (l->fd >= 0)
		close(l->fd);
	l->fd = -1;
}

void walk_free(struct walk *w)
{
	walk_reset(w);
}

/* Up to a level; its descriptor may not be there. */
static void rise(struct walk *w, unsigned depth)
{
	while (w->depth > depth)
		level_close(&w->levels[w->depth--]);
	w->len = w->levels[w->depth].len;
	w->path[w->len] = 0;
}

void walk_reset(struct walk *w)
{
	rise(w, 0);
}

static int level_fd(const struct walk *w, unsigned depth)
{
	return depth ? w->levels[depth].fd : w->rootfd;
}

/* A level's own name, into buf (NAME_MAX + 1). */
static void level_name(const struct walk *w, unsigned depth, char *buf)
{
	size_t from = w->levels[depth - 1].len + (depth > 1);
	size_t len = w->levels[depth].len - from;

	memcpy(buf, w->path + from, len);
	buf[len] = 0;
}

/* Opens what is not kept on the way to the folder we are in. */
static int reopen(struct walk *w, struct err *e)
{
	unsigned from = w->depth;
	char shown[TREE_SHOW_MAX];

	while (level_fd(w, from) < 0)
		from--;
	while (from < w->depth) {
		char name[NAME_MAX + 1];
		int fd;

		level_name(w, from + 1, name);
		fd = openat(level_fd(w, from), name, DIR_FLAGS);
		if (fd < 0)
			return err_sys(e, "open folder %s", tree_show(shown, w->path));
		w->levels[++from].fd = fd;
		if (from - 1 >= WALK_FDS)
			level_close(&w->levels[from - 1]);
	}
	return 0;
}

int walk_fd(struct walk *w)
{
	return level_fd(w, w->depth);
}

/* The folder fd, which is `name` in the one we are in, is where we are now. Takes fd. */
static int push(struct walk *w, int fd, const char *name, struct err *e)
{
	size_t len = strlen(name);
	char shown[TREE_SHOW_MAX];

	if (w->depth == UNPACK_DEPTH_MAX || w->len + 1 + len > UNPACK_PATH_MAX) {
		close(fd);
		return err_set(e, EFBIG, "the path %s goes deeper than %d folders",
			       tree_show(shown, w->path), UNPACK_DEPTH_MAX);
	}
	if (w->depth >= WALK_FDS)
		level_close(&w->levels[w->depth]);
	if (w->depth)
		w->path[w->len++] = '/';
	memcpy(w->path + w->len, name, len + 1);
	w->len += len;
	w->levels[++w->depth] = (struct walk_level){ fd, w->len };
	return 0;
}

int walk_down(struct walk *w, const char *name, struct err *e)
{
	char shown[TREE_SHOW_MAX];
	int fd = openat(walk_fd(w), name, DIR_FLAGS);

	if (fd < 0)
		return err_sys(e, "open folder %s", tree_show(shown, name));
	return push(w, fd, name, e);
}

/* ---- what is in the way ---- */

/* A file's layer_stat, if it has one of its own. */
static bool stat_of(int fd, struct layer_stat *st)
{
	char text[LAYER_STAT_MAX];
	ssize_t n = fgetxattr(fd, LAYER_XATTR_STAT, text, sizeof(text));

	return n > 0 && layer_stat_parse(text, (size_t)n, S_IFREG, st);
}

bool walk_is_whiteout(int dirfd, const char *name)
{
	own_fd int fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct layer_stat st;

	return fd >= 0 && stat_of(fd, &st) && layer_stat_is_whiteout(&st);
}

/*
 * The target of a symlink, whichever way it is stored; owned by the caller. NULL: it is none;
 * *whiteout says whether it is one of these.
 */
static char *link_target(int dirfd, const char *name, bool *whiteout)
{
	own_fd int fd = -1;
	char buf[UNPACK_PATH_MAX + 1];
	ssize_t n = readlinkat(dirfd, name, buf, sizeof(buf));
	struct layer_stat st;

	*whiteout = false;
	if (n >= 0)
		return xstrndup(buf, (size_t)n);
	fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 || !stat_of(fd, &st))
		return NULL;
	*whiteout = layer_stat_is_whiteout(&st);
	if (!S_ISLNK(st.mode))
		return NULL;
	n = fd_read_full(fd, buf, sizeof(buf));
	return n > 0 ? xstrndup(buf, (size_t)n) : NULL;
}

static int make_implied(struct walk *w, const char *name, bool opaque, struct err *e)
{
	char shown[TREE_SHOW_MAX];
	int rc, fd;

	if (mkdirat(walk_fd(w), name, IMPLIED_MODE) < 0)
		return err_sys(e, "create folder %s", tree_show(shown, name));
	rc = walk_down(w, name, e);
	if (rc < 0)
		return rc;
	fd = walk_fd(w);
	if (fchmod(fd, IMPLIED_MODE) < 0 || fsetxattr(fd, LAYER_XATTR_IMPLIED, "y", 1, 0) < 0 ||
	    (opaque && fsetxattr(fd, LAYER_XATTR_OPAQUE, "y", 1, 0) < 0))
		return err_sys(e, "set up folder %s", tree_show(shown, name));
	return 0;
}

/* ---- walking ---- */

/* What is left of a path, while symlinks put their targets in front of it. */
struct rest {
	char *p;      /* the next component */
	char *buffer; /* owned */
	unsigned links;
};

/* The next component into name (NAME_MAX + 1); 0 at the end. */
static int next_name(struct rest *r, char *name, struct err *e)
{
	size_t len;

	for (;;) {
		r->p += strspn(r->p, "/");
		len = strcspn(r->p, "/");
		if (len == 0)
			return 0;
		if (len > NAME_MAX)
			return err_set(e, EBADMSG, "a symlink's target has a name of %zu bytes",
				       len);
		memcpy(name, r->p, len);
		name[len] = 0;
		r->p += len;
		if (strcmp(name, ".") != 0)
			return 1;
	}
}

static int follow(struct walk *w, struct rest *r, const char *target, const char *name,
		  struct err *e)
{
	char shown[TREE_SHOW_MAX];
	char *longer;

	if (++r->links > WALK_LINKS_MAX)
		return err_set(e, EBADMSG, "too many symlinks on the way through %s",
			       tree_show(shown, name));
	longer = xasprintf("%s/%s", target, r->p);
	if (*target == '/')
		rise(w, 0);
	free(r->buffer);
	r->p = r->buffer = longer;
	return reopen(w, e);
}

/* One component that cannot simply be opened as a folder. */
static int odd_step(struct walk *w, struct rest *r, const char *name, bool make, struct err *e)
{
	char s1[TREE_SHOW_MAX], s2[TREE_SHOW_MAX];
	own_free char *target = NULL;
	bool whiteout;

	if (errno == ENOENT)
		return make ? make_implied(w, name, false, e) : -ENOENT;
	if (errno != ENOTDIR && errno != ELOOP)
		return err_sys(e, "open folder %s", tree_show(s1, name));
	target = link_target(walk_fd(w), name, &whiteout);
	if (target)
		return follow(w, r, target, name, e);
	if (whiteout && !make)
		return -ENOENT;
	if (whiteout) {
		if (unlinkat(walk_fd(w), name, 0) < 0)
			return err_sys(e, "replace %s", tree_show(s1, name));
		return make_implied(w, name, true, e);
	}
	return err_set(e, EBADMSG, "a path goes through %s%s%s, which is no folder",
		       tree_show(s1, w->path), w->depth ? "/" : "", tree_show(s2, name));
}

static int step(struct walk *w, struct rest *r, const char *name, bool make, struct err *e)
{
	int fd;

	if (strcmp(name, "..") == 0) { /* of a symlink's target only */
		rise(w, w->depth ? w->depth - 1 : 0);
		return reopen(w, e);
	}
	fd = openat(walk_fd(w), name, DIR_FLAGS);
	return fd >= 0 ? push(w, fd, name, e) : odd_step(w, r, name, make, e);
}

/* As many levels as path and the way we stand on have in common; *used: of path. */
static unsigned common(const struct walk *w, const char *path, size_t len, size_t *used)
{
	unsigned depth = 0;

	*used = 0;
	while (depth < w->depth) {
		size_t end = w->levels[depth + 1].len;

		if (end > len || (end < len && path[end] != '/') ||
		    memcmp(path + *used, w->path + *used, end - *used) != 0)
			break;
		*used = end;
		depth++;
	}
	return depth;
}

int walk_to(struct walk *w, const char *path, size_t len, bool make, struct err *e)
{
	struct rest r = { NULL, NULL, 0 };
	char name[NAME_MAX + 1];
	size_t used;
	unsigned depth = common(w, path, len, &used);
	int rc;

	if (depth == w->depth && used == len)
		return 0;
	rise(w, depth);
	rc = reopen(w, e);
	r.p = r.buffer = xstrndup(path + used, len - used);
	while (rc == 0) {
		rc = next_name(&r, name, e);
		if (rc != 1)
			break;
		rc = step(w, &r, name, make, e);
	}
	free(r.buffer);
	if (rc < 0 && level_fd(w, w->depth) < 0)
		walk_reset(w);
	return rc;
}
