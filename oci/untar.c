/* untar.c: any tar archive as entries, for who copies files into a container. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "oci/image.h"
#include "oci/tar_in.h"
#include "oci/tree.h"
#include "oci/tree_walk.h"
#include "runtime/base/own.h"

struct untar {
	struct tar_in *in;
	entry_fn *fn;
	void *arg;
	char path[UNPACK_PATH_MAX + 2], link[UNPACK_PATH_MAX + 2];
};

static int next_piece(void *arg, const void **p, size_t *n, int64_t *off, struct err *e)
{
	return tar_in_data(arg, p, n, off, e);
}

static int bad(const struct tar_entry *te, const char *what, struct err *e)
{
	char shown[TREE_SHOW_MAX];

	return err_set(e, EBADMSG, "the tar archive has an entry %s: %s",
		       tree_show(shown, te->path), what);
}

static int one(struct untar *u, const struct tar_entry *te, struct err *e)
{
	struct entry_xattr xattrs[UNPACK_XATTRS_MAX];
	struct entry x = { .path = u->path,
			   .mode = te->type | te->perm,
			   .uid = (uint32_t)te->uid,
			   .gid = (uint32_t)te->gid,
			   .major = (uint32_t)te->major,
			   .minor = (uint32_t)te->minor,
			   .size = te->type == S_IFREG && te->size > 0 ? (uint64_t)te->size : 0,
			   .mtime = te->mtime,
			   .fd = -1,
			   .xattrs = xattrs };
	int rc = path_clean(te->path, u->path, e);

	if (rc == 0 && te->hardlink) {
		rc = path_clean(te->hardlink, u->link, e);
		x.link = u->link;
		x.size = 0;
	} else if (rc == 0 && te->type == S_IFLNK) {
		if (te->symlink == NULL || *te->symlink == 0)
			return bad(te, "a link to nothing", e);
		x.target = te->symlink;
	} else if (rc == 0 && te->type == 0) {
		return bad(te, "of an unknown kind", e);
	}
	if (rc < 0)
		return rc;
	if (te->uid < 0 || te->uid > UINT32_MAX || te->gid < 0 || te->gid > UINT32_MAX)
		return bad(te, "an owner out of range", e);
	while (x.nxattrs < UNPACK_XATTRS_MAX &&
	       tar_in_xattr(u->in, &xattrs[x.nxattrs].name, &xattrs[x.nxattrs].value,
			    &xattrs[x.nxattrs].len))
		x.nxattrs++;
	if (S_ISREG(x.mode) && x.link == NULL) {
		x.next = next_piece;
		x.next_arg = u->in;
	}
	return u->fn(u->arg, &x, e);
}

int image_untar(int fd, entry_fn *fn, void *arg, struct err *e)
{
	own_free char *buf = xmalloc(UNPACK_FD_BYTES);
	/* the caller's own archive, unpacked for him: only what nobody means is refused */
	const struct unpack_limits limits = { .ratio = UINT64_MAX };
	struct unpack_fd from = { .fd = fd, .buf = buf };
	struct untar *u = xcalloc(1, sizeof(*u));
	struct tar_entry te;
	int rc;

	u->fn = fn;
	u->arg = arg;
	u->in = tar_in_new(unpack_read_fd, &from, &limits, false);
	while ((rc = tar_in_next(u->in, &te, e)) == 0) {
		rc = one(u, &te, e);
		if (rc < 0)
			break;
	}
	tar_in_free(u->in, NULL);
	free(u);
	return rc < 0 ? rc : 0;
}
