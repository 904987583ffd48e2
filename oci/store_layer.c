/* store_layer.c: unpacked layers, from begin to commit; see store.h. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "oci/store_impl.h"
#include "runtime/base/fd.h"
#include "runtime/base/own.h"
#include "runtime/base/parse.h"

/* Decimal digits of 64 bits, and a NUL. */
#define SIZE_TEXT_MAX 24

struct layer_writer {
	struct store *s;
	bool known;
	struct digest want;
	int lockfd, dirfd;
	char name[TMP_NAME_MAX], lock[TMP_NAME_MAX]; /* in tmp/ */
};

char *store_layer_path(struct store *s, const struct digest *diff_id)
{
	char hex[DIGEST_HEX_LEN + 1];

	return xasprintf("%s/layers/%s", s->root, digest_hex(hex, diff_id));
}

uint64_t layer_size_get(int layersfd, const char *hex)
{
	own_fd int fd = openat(layersfd, hex, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	char text[SIZE_TEXT_MAX];
	uint64_t size;
	ssize_t n;

	if (fd < 0)
		return 0;
	n = fgetxattr(fd, XATTR_LAYER_SIZE, text, sizeof(text) - 1);
	if (n <= 0)
		return 0;
	text[n] = 0;
	return parse_u64(text, 0, UINT64_MAX, &size) ? size : 0;
}

bool store_layer_has(struct store *s, const struct digest *diff_id, uint64_t *size)
{
	char hex[DIGEST_HEX_LEN + 1];
	struct stat st;

	store_pin_layer(s, diff_id, NULL); /* as store_blob_has */
	if (fstatat(s->layersfd, digest_hex(hex, diff_id), &st, AT_SYMLINK_NOFOLLOW) < 0 ||
	    !S_ISDIR(st.st_mode))
		return false;
	if (size)
		*size = layer_size_get(s->layersfd, hex);
	return true;
}

static void writer_free(struct layer_writer *w)
{
	if (w->dirfd >= 0)
		close(w->dirfd);
	if (w->lockfd >= 0)
		close(w->lockfd);
	free(w);
}

/* Before the first file is written: it would fail at the first odd one otherwise. */
static int check_xattrs(struct layer_writer *w, struct err *e)
{
	if (fsetxattr(w->dirfd, XATTR_LAYER_SIZE, "0", 1, 0) == 0)
		return 0;
	if (errno != EOPNOTSUPP)
		return err_sys(e, "set an xattr in %s", w->s->root);
	return err_set(e, EOPNOTSUPP,
		       "the file system of %s has no user xattrs: use ext4, xfs or btrfs, "
		       "or name another folder by --root",
		       w->s->root);
}

static int make_dir(struct layer_writer *w, struct err *e)
{
	struct store *s = w->s;
	int rc = dir_remove_all(s->tmpfd, w->name, e);

	if (rc < 0)
		return rc;
	if (mkdirat(s->tmpfd, w->name, 0700) < 0)
		return err_sys(e, "create folder %s/tmp/%s", s->root, w->name);
	w->dirfd = openat(s->tmpfd, w->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (w->dirfd < 0)
		return err_sys(e, "open %s/tmp/%s", s->root, w->name);
	return check_xattrs(w, e);
}

static void remove_tree(struct layer_writer *w)
{
	dir_remove_all(w->s->tmpfd, w->name, NULL);
	unlinkat(w->s->tmpfd, w->lock, 0);
}

/* 1: the layer is there after all; -ESTALE: look again. */
static int lock_layer(struct layer_writer *w, unsigned flags, const struct store_wait *wait,
		      struct err *e)
{
	int rc = tmp_lock(w->s, w->lock, flags, wait, w->known ? &w->want : NULL, &w->lockfd, e);

	if (rc < 0)
		return rc;
	if (w->known && store_layer_has(w->s, &w->want, NULL)) {
		remove_tree(w);
		return 1;
	}
	return 0;
}

int store_layer_begin(struct store *s, const struct digest *diff_id, unsigned flags,
		      const struct store_wait *wait, struct layer_writer **out, struct err *e)
{
	struct layer_writer *w;
	int rc;

	*out = NULL;
	if (diff_id) {
		rc = store_pin_layer(s, diff_id, e);
		if (rc < 0)
			return rc;
		if (store_layer_has(s, diff_id, NULL))
			return 1;
	}
	store_sweep_once(s);
	w = xcalloc(1, sizeof(*w));
	w->s = s;
	w->lockfd = w->dirfd = -1;
	if (diff_id) {
		w->known = true;
		w->want = *diff_id;
	}
	tmp_name(w->name, "layer", diff_id);
	snprintf(w->lock, sizeof(w->lock), "%.80s.lock", w->name);
	do {
		rc = lock_layer(w, flags, wait, e);
	} while (rc == -ESTALE);
	if (rc == 0) {
		rc = make_dir(w, e);
		if (rc < 0)
			remove_tree(w);
	}
	if (rc != 0) {
		writer_free(w);
		return rc;
	}
	*out = w;
	return 0;
}

int layer_writer_dir(const struct layer_writer *w)
{
	return w->dirfd;
}

/* Another zl that did not know the diff id either may have been faster: then its tree is ours too.
 */
static int publish(struct layer_writer *w, const struct digest *diff_id, struct err *e)
{
	char hex[DIGEST_HEX_LEN + 1];
	struct store *s = w->s;

	digest_hex(hex, diff_id);
	if (renameat2(s->tmpfd, w->name, s->layersfd, hex, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno == EEXIST)
		return 0;
	/* Some file systems know no RENAME_NOREPLACE; onto a folder with content rename fails too.
	 */
	if (errno == EINVAL && renameat(s->tmpfd, w->name, s->layersfd, hex) == 0)
		return 0;
	if (errno == EEXIST || errno == ENOTEMPTY)
		return 0;
	return err_sys(e, "create %s/layers/%s", s->root, hex);
}

int layer_writer_commit(struct layer_writer *w, const struct digest *diff_id, uint64_t size,
			struct err *e)
{
	char want[DIGEST_HEX_LEN + 1], got[DIGEST_HEX_LEN + 1], text[SIZE_TEXT_MAX];
	int n = snprintf(text, sizeof(text), "%llu", (unsigned long long)size);
	int rc = 0;

	if (w->known && !digest_equal(diff_id, &w->want))
		rc = err_set(e, EBADMSG, "its diff id is sha256:%s instead of sha256:%s",
			     digest_hex(got, diff_id), digest_hex(want, &w->want));
	if (rc == 0 && !w->known)
		rc = store_pin_layer(w->s, diff_id, e);
	if (rc == 0 && fsetxattr(w->dirfd, XATTR_LAYER_SIZE, text, (size_t)n, 0) < 0)
		rc = err_sys(e, "set an xattr in %s", w->s->root);
	if (rc == 0)
		rc = publish(w, diff_id, e);
	remove_tree(w); /* if it was not renamed away */
	writer_free(w);
	return rc;
}

void layer_writer_abort(struct layer_writer *w)
{
	remove_tree(w);
	writer_free(w);
}
