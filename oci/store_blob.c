/* store_blob.c: blobs, read and written; see store.h. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "oci/store_impl.h"
#include "runtime/base/fd.h"
#include "runtime/base/own.h"

/*
 * What is small (manifests, configs) is on the disk before it is visible. Of
 * large blobs only the writing is started: what a power failure leaves of one
 * is shorter than it should be, and so not taken for it (store_blob_has).
 */
#define BLOB_SYNC_MAX (UINT64_C(1) << 20)
/* Read at once when hashing what a killed writer has left. */
#define REHASH_BYTES (256 * 1024)

struct blob_writer {
	struct store *s;
	bool known; /* `want` is */
	struct digest want;
	uint64_t size; /* UINT64_MAX: not known */
	int fd;
	uint64_t have;
	struct digest_stream *sum;
	char name[TMP_NAME_MAX]; /* in tmp/ */
};

bool store_blob_has(struct store *s, const struct digest *d, uint64_t size)
{
	char hex[DIGEST_HEX_LEN + 1];
	struct stat st;

	/* A lease that cannot be written (a full or read-only disk) must not hide what is there. */
	store_pin_blob(s, d, NULL);
	if (fstatat(s->blobsfd, digest_hex(hex, d), &st, AT_SYMLINK_NOFOLLOW) < 0)
		return false;
	return S_ISREG(st.st_mode) && (size == UINT64_MAX || (uint64_t)st.st_size == size);
}

int store_blob_open(struct store *s, const struct digest *d, int *out, uint64_t *size,
		    struct err *e)
{
	char hex[DIGEST_HEX_LEN + 1];
	own_fd int fd = openat(s->blobsfd, digest_hex(hex, d), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	struct stat st;

	if (fd < 0 && errno == ENOENT)
		return err_set(e, ENOENT, "blob sha256:%s is not in the store", hex);
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(e, "open %s/blobs/sha256/%s", s->root, hex);
	if (size)
		*size = (uint64_t)st.st_size;
	*out = steal_fd(&fd);
	return 0;
}

int store_blob_read(struct store *s, const struct digest *d, size_t max, struct str *out,
		    struct err *e)
{
	char hex[DIGEST_HEX_LEN + 1];
	size_t before = out->len;
	struct digest got;
	int rc = file_read(s->blobsfd, digest_hex(hex, d), max, out, e);

	if (rc == -ENOENT)
		return err_set(e, ENOENT, "blob sha256:%s is not in the store", hex);
	if (rc < 0)
		return err_wrap(e, "blob");
	digest_of(out->s + before, out->len - before, &got);
	if (!digest_equal(&got, d))
		return err_set(e, EBADMSG, "blob sha256:%s in the store is damaged", hex);
	return 0;
}

int store_blob_put(struct store *s, const void *data, size_t n, struct digest *d, struct err *e)
{
	struct blob_writer *w;
	int rc;

	digest_of(data, n, d);
	rc = store_blob_begin(s, d, n, 0, NULL, &w, e);
	if (rc != 0)
		return rc < 0 ? rc : 0;
	rc = blob_writer_restart(w, e);
	if (rc == 0)
		rc = blob_writer_add(w, data, n, e);
	if (rc == 0)
		return blob_writer_commit(w, NULL, e);
	blob_writer_abort(w, false);
	return rc;
}

/* ---- writing ---- */

static void writer_free(struct blob_writer *w)
{
	if (w->fd >= 0)
		close(w->fd); /* and with it the lock */
	digest_free(w->sum);
	free(w);
}

/* Takes in what a killed writer has left. */
static int adopt_part(struct blob_writer *w, struct err *e)
{
	own_free char *buf = NULL;
	struct stat st;
	ssize_t got;

	if (fstat(w->fd, &st) < 0)
		return err_sys(e, "stat %s/tmp/%s", w->s->root, w->name);
	if (st.st_size == 0)
		return 0;
	if ((uint64_t)st.st_size > w->size)
		return blob_writer_restart(w, e);
	buf = xmalloc(REHASH_BYTES);
	while ((got = fd_read_full(w->fd, buf, REHASH_BYTES)) > 0) {
		digest_add(w->sum, buf, (size_t)got);
		w->have += (uint64_t)got;
	}
	if (got < 0)
		return blob_writer_restart(w, e);
	return 0;
}

/* 1: the blob is there after all; -ESTALE: look again. */
static int lock_part(struct blob_writer *w, unsigned flags, const struct store_wait *wait,
		     struct err *e)
{
	int rc = tmp_lock(w->s, w->name, flags, wait, w->known ? &w->want : NULL, &w->fd, e);

	if (rc < 0)
		return rc;
	if (w->known && store_blob_has(w->s, &w->want, w->size)) {
		unlinkat(w->s->tmpfd, w->name, 0);
		return 1;
	}
	return 0;
}

int store_blob_begin(struct store *s, const struct digest *d, uint64_t size, unsigned flags,
		     const struct store_wait *wait, struct blob_writer **out, struct err *e)
{
	struct blob_writer *w;
	int rc = 0;

	*out = NULL;
	if (d) {
		rc = store_pin_blob(s, d, e);
		if (rc < 0)
			return rc;
		if (store_blob_has(s, d, size))
			return 1;
	}
	store_sweep_once(s);
	w = xcalloc(1, sizeof(*w));
	w->s = s;
	w->size = size;
	w->fd = -1;
	w->sum = digest_begin();
	if (d) {
		w->known = true;
		w->want = *d;
	}
	tmp_name(w->name, "blob", d);
	do {
		rc = lock_part(w, flags, wait, e);
	} while (rc == -ESTALE && !(d && store_blob_has(s, d, size)));
	if (rc == -ESTALE)
		rc = 1;
	if (rc == 0)
		rc = adopt_part(w, e);
	if (rc != 0) {
		writer_free(w);
		return rc;
	}
	*out = w;
	return 0;
}

uint64_t blob_writer_have(const struct blob_writer *w)
{
	return w->have;
}

int blob_writer_restart(struct blob_writer *w, struct err *e)
{
	struct digest unused;

	digest_end(w->sum, &unused);
	w->have = 0;
	if (ftruncate(w->fd, 0) < 0 || lseek(w->fd, 0, SEEK_SET) < 0)
		return err_sys(e, "truncate %s/tmp/%s", w->s->root, w->name);
	return 0;
}

ssize_t blob_writer_pread(struct blob_writer *w, void *buf, size_t n, uint64_t off)
{
	ssize_t got;

	do {
		got = pread(w->fd, buf, n, (off_t)off);
	} while (got < 0 && errno == EINTR);
	return got < 0 ? -errno : got;
}

int blob_writer_add(struct blob_writer *w, const void *p, size_t n, struct err *e)
{
	int rc;

	if (w->size != UINT64_MAX && n > w->size - w->have)
		return err_set(e, EFBIG, "longer than the %llu bytes it should have",
			       (unsigned long long)w->size);
	rc = fd_write_full(w->fd, p, n);
	if (rc < 0) {
		/* What a full disk has taken of it must not be taken for more than it is. */
		if (ftruncate(w->fd, (off_t)w->have) == 0)
			lseek(w->fd, (off_t)w->have, SEEK_SET);
		return err_set(e, -rc, "write to the store %s: %s", w->s->root, strerror(-rc));
	}
	digest_add(w->sum, p, n);
	w->have += n;
	return 0;
}

static int verify(struct blob_writer *w, const struct digest *got, struct err *e)
{
	char want_hex[DIGEST_HEX_LEN + 1], got_hex[DIGEST_HEX_LEN + 1];

	if (w->size != UINT64_MAX && w->have != w->size)
		return err_set(e, EBADMSG, "has %llu bytes instead of %llu",
			       (unsigned long long)w->have, (unsigned long long)w->size);
	if (w->known && !digest_equal(got, &w->want))
		return err_set(e, EBADMSG, "its content is sha256:%s instead of sha256:%s",
			       digest_hex(got_hex, got), digest_hex(want_hex, &w->want));
	return 0;
}

/* From tmp/ to blobs/, written out if it is small. */
static int publish(struct blob_writer *w, const struct digest *d, struct err *e)
{
	char hex[DIGEST_HEX_LEN + 1];
	struct store *s = w->s;

	if (w->have <= BLOB_SYNC_MAX) {
		if (fdatasync(w->fd) < 0)
			return err_sys(e, "write to the store %s", s->root);
	} else {
		sync_file_range(w->fd, 0, 0, SYNC_FILE_RANGE_WRITE);
	}
	if (renameat(s->tmpfd, w->name, s->blobsfd, digest_hex(hex, d)) < 0)
		return err_sys(e, "create %s/blobs/sha256/%s", s->root, hex);
	return 0;
}

int blob_writer_commit(struct blob_writer *w, struct digest *d, struct err *e)
{
	struct store *s = w->s;
	struct digest got;
	int rc;

	digest_end(w->sum, &got);
	rc = verify(w, &got, e);
	if (rc == 0 && !w->known)
		rc = store_pin_blob(s, &got, e);
	/* One that is there already stays: others may have it open or linked. */
	if (rc == 0 && !w->known && store_blob_has(s, &got, w->have))
		unlinkat(s->tmpfd, w->name, 0);
	else if (rc == 0)
		rc = publish(w, &got, e);
	if (rc == 0 && d)
		*d = got;
	if (rc < 0)
		unlinkat(s->tmpfd, w->name, 0);
	writer_free(w);
	return rc;
}

void blob_writer_abort(struct blob_writer *w, bool keep)
{
	if (!keep || !w->known || w->have == 0)
		unlinkat(w->s->tmpfd, w->name, 0);
	writer_free(w);
}
