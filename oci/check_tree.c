/* check_tree.c: whether two unpacked layers are the same. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "oci/check.h"
#include "oci/tree.h"
#include "runtime/base/fd.h"
#include "runtime/base/layer.h"
#include "runtime/base/own.h"
#include "runtime/base/str.h"

#define READ_BYTES (128u << 10)
/* XATTR_LIST_MAX, XATTR_SIZE_MAX */
#define XATTR_MAX 65536
/* Folders in folders; what unpacking allows. */
#define DEPTH_MAX UNPACK_DEPTH_MAX

struct compare {
	struct str path;
	char *a, *b; /* READ_BYTES */
	struct err *e;
};

static int differs(struct compare *c, const char *what)
{
	char shown[TREE_SHOW_MAX];

	err_set(c->e, EBADMSG, "/%s: %s", tree_show(shown, c->path.s), what);
	return 1;
}

static int unreadable(struct compare *c, int error)
{
	char shown[TREE_SHOW_MAX];

	return err_set(c->e, error, "/%s: %s", tree_show(shown, c->path.s), strerror(error));
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void sort(struct strv *v)
{
	if (v->n)
		qsort(v->v, v->n, sizeof(*v->v), by_name);
}

static bool same_list(const struct strv *a, const struct strv *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (strcmp(a->v[i], b->v[i]) != 0)
			return false;
	return true;
}

/* The names of attributes that say something of the file. */
static int attr_names(int fd, char *buf, struct strv *out)
{
	ssize_t n = flistxattr(fd, buf, XATTR_MAX);

	if (n < 0)
		return errno == EOPNOTSUPP ? 0 : -errno;
	for (ssize_t i = 0; i < n; i += (ssize_t)strlen(buf + i) + 1)
		if (str_starts(buf + i, "user.") && strcmp(buf + i, XATTR_LAYER_SIZE) != 0)
			strv_add(out, buf + i);
	sort(out);
	return 0;
}

static int same_attrs(struct compare *c, int a, int b, bool *implied)
{
	own_strv struct strv na = STRV_INIT, nb = STRV_INIT;
	int ra = attr_names(a, c->a, &na), rb = attr_names(b, c->b, &nb);

	if (ra < 0 || rb < 0)
		return unreadable(c, ra < 0 ? -ra : -rb);
	if (!same_list(&na, &nb))
		return differs(c, "other attributes");
	*implied = strv_has(&na, LAYER_XATTR_IMPLIED);
	for (size_t i = 0; i < na.n; i++) {
		ssize_t x = fgetxattr(a, na.v[i], c->a, XATTR_MAX);
		ssize_t y = fgetxattr(b, na.v[i], c->b, XATTR_MAX);

		if (x < 0 || y < 0)
			return unreadable(c, errno);
		if (x != y || memcmp(c->a, c->b, (size_t)x) != 0)
			return differs(c, "another attribute");
	}
	return 0;
}

static int same_content(struct compare *c, int a, int b)
{
	for (;;) {
		ssize_t x = fd_read_full(a, c->a, READ_BYTES),
			y = fd_read_full(b, c->b, READ_BYTES);

		if (x < 0 || y < 0)
			return unreadable(c, x < 0 ? (int)-x : (int)-y);
		if (x != y || memcmp(c->a, c->b, (size_t)x) != 0)
			return differs(c, "other content");
		if (x == 0)
			return 0;
	}
}

static bool same_time(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

static int same_link(struct compare *c, int da, int db, const char *name)
{
	ssize_t x = readlinkat(da, name, c->a, PATH_MAX), y = readlinkat(db, name, c->b, PATH_MAX);

	if (x < 0 || y < 0)
		return unreadable(c, errno);
	return x != y || memcmp(c->a, c->b, (size_t)x) != 0 ? differs(c, "another target") : 0;
}

static int same_folder(struct compare *c, int a, int b, unsigned depth);

/* Both are there, with the same name. */
static int same_entry(struct compare *c, int da, int db, const char *name, unsigned depth)
{
	int flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, rc;
	own_fd int a = -1, b = -1;
	bool implied = false;
	struct stat x, y;

	if (fstatat(da, name, &x, AT_SYMLINK_NOFOLLOW) < 0 ||
	    fstatat(db, name, &y, AT_SYMLINK_NOFOLLOW) < 0)
		return unreadable(c, errno);
	if (x.st_mode != y.st_mode)
		return differs(c, "another kind or mode");
	if (!S_ISDIR(x.st_mode) && (x.st_size != y.st_size || x.st_nlink != y.st_nlink))
		return differs(c, "another size or number of links");
	if (S_ISLNK(x.st_mode))
		return same_time(&x.st_mtim, &y.st_mtim) ? same_link(c, da, db, name)
							 : differs(c, "another time");
	if (!S_ISREG(x.st_mode) && !S_ISDIR(x.st_mode))
		return differs(c, "a file of a kind that has no place here");
	a = openat(da, name, flags);
	b = openat(db, name, flags);
	if (a < 0 || b < 0)
		return unreadable(c, errno);
	rc = same_attrs(c, a, b, &implied);
	if (rc == 0 && !implied && !same_time(&x.st_mtim, &y.st_mtim))
		rc = differs(c, "another time");
	if (rc)
		return rc;
	return S_ISDIR(x.st_mode) ? same_folder(c, a, b, depth + 1) : same_content(c, a, b);
}

static int names_of(int fd, struct strv *out)
{
	int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	own_dir DIR *d = copy < 0 ? NULL : fdopendir(copy);
	struct dirent *de;

	if (d == NULL) {
		if (copy >= 0)
			close(copy);
		return -errno;
	}
	while ((de = readdir(d)))
		if (strcmp(de->d_name, ".") != 0 && strcmp(de->d_name, "..") != 0)
			strv_add(out, de->d_name);
	sort(out);
	return 0;
}

static int same_folder(struct compare *c, int a, int b, unsigned depth)
{
	own_strv struct strv na = STRV_INIT, nb = STRV_INIT;
	int ra = names_of(a, &na), rb = names_of(b, &nb), rc = 0;
	size_t len = c->path.len;

	if (ra < 0 || rb < 0)
		return unreadable(c, ra < 0 ? -ra : -rb);
	if (depth > DEPTH_MAX)
		return unreadable(c, ELOOP);
	if (!same_list(&na, &nb))
		return differs(c, "other files in it");
	for (size_t i = 0; rc == 0 && i < na.n; i++) {
		str_addf(&c->path, "%s%s", len ? "/" : "", na.v[i]);
		rc = same_entry(c, a, b, na.v[i], depth);
		c->path.len = len;
		c->path.s[len] = 0;
	}
	return rc;
}

int check_same_tree(int a, int b, struct err *e)
{
	struct compare c = { .a = xmalloc(READ_BYTES), .b = xmalloc(READ_BYTES), .e = e };
	bool implied;
	int rc;

	str_add(&c.path, "");
	rc = same_attrs(&c, a, b, &implied);
	if (rc == 0)
		rc = same_folder(&c, a, b, 0);
	str_free(&c.path);
	free(c.a);
	free(c.b);
	return rc;
}
