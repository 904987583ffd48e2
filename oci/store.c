/* store.c: the store's folders, its lock, leases and pins; see store.h. */
#include "oci/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "oci/store_impl.h"
#include "runtime/base/fd.h"
#include "runtime/base/own.h"

#define EMPTY_INDEX                                         \
	"{\"schemaVersion\":2,\"mediaType\":\"application/" \
	"vnd.oci.image.index.v1+json\",\"manifests\":[]}"

/* ---- opening ---- */

static int open_dir(struct store *s, const char *name, int *fd, struct err *e)
{
	*fd = openat(s->rootfd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (*fd < 0)
		return err_sys(e, "open %s/%s", s->root, name);
	return 0;
}

/* Makes what is missing. oci-layout comes last: where it is, all the rest is. */
static int make_layout(struct store *s, struct err *e)
{
	static const char *const dirs[] = { "blobs", "blobs/sha256", "layers", "tmp" };
	int rc;

	for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++) {
		if (mkdirat(s->rootfd, dirs[i], 0700) < 0 && errno != EEXIST)
			return err_sys(e, "create folder %s/%s", s->root, dirs[i]);
	}
	if (faccessat(s->rootfd, STORE_INDEX, F_OK, 0) < 0) {
		own_free char *tmp = NULL;
		char name[TMP_NAME_MAX];

		/* linked, not renamed: another zl may have been faster, and its index is no longer
		 * empty */
		tmp_name(name, "index", NULL);
		tmp = xasprintf("tmp/%s", name);
		rc = file_write_atomic(s->rootfd, tmp, EMPTY_INDEX, strlen(EMPTY_INDEX), 0644, true,
				       e);
		if (rc < 0)
			return rc;
		rc = linkat(s->rootfd, tmp, s->rootfd, STORE_INDEX, 0) < 0 && errno != EEXIST
			     ? err_sys(e, "create %s/%s", s->root, STORE_INDEX)
			     : 0;
		unlinkat(s->rootfd, tmp, 0);
		if (rc < 0)
			return rc;
	}
	return file_write_atomic(s->rootfd, "oci-layout", STORE_LAYOUT, strlen(STORE_LAYOUT), 0644,
				 true, e);
}

static int open_parts(struct store *s, struct err *e)
{
	int rc;

	s->rootfd = open(s->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->rootfd < 0 && errno == ENOENT) {
		rc = dir_make_all(s->root, 0700, e);
		if (rc < 0)
			return rc;
		s->rootfd = open(s->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	}
	if (s->rootfd < 0)
		return err_sys(e, "open the store %s", s->root);
	if (faccessat(s->rootfd, "oci-layout", F_OK, 0) < 0) {
		rc = make_layout(s, e);
		if (rc < 0)
			return rc;
	}
	rc = open_dir(s, "blobs/sha256", &s->blobsfd, e);
	if (rc == 0)
		rc = open_dir(s, "layers", &s->layersfd, e);
	if (rc == 0)
		rc = open_dir(s, "tmp", &s->tmpfd, e);
	if (rc < 0)
		return rc;
	s->lockfd = openat(s->rootfd, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (s->lockfd >= 0)
		return 0;
	s->lock_errno = errno;
	if (errno == EROFS || errno == EACCES)
		s->lockfd = openat(s->rootfd, "lock", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (s->lockfd < 0 && errno != ENOENT && errno != EROFS && errno != EACCES)
		return err_sys(e, "open %s/lock", s->root);
	return 0;
}

struct store *store_open(const char *root, struct err *e)
{
	struct store *s;

	if (root[0] != '/') {
		err_set(e, EINVAL, "the store's folder %s is no absolute path", root);
		return NULL;
	}
	s = xcalloc(1, sizeof(*s));
	s->root = xstrdup(root);
	s->rootfd = s->blobsfd = s->layersfd = s->tmpfd = s->lockfd = s->leasefd = -1;
	pthread_mutex_init(&s->mutex, NULL);
	if (open_parts(s, e) < 0) {
		store_close(s);
		return NULL;
	}
	return s;
}

void store_close(struct store *s)
{
	const int fds[] = { s->rootfd, s->blobsfd, s->layersfd, s->lockfd };

	/*
	 * The lock on a lease is shared with children that were forked since:
	 * only its maker ends it, and explicitly.
	 */
	if (s->leasefd >= 0) {
		if (s->lease_pid == getpid()) {
			unlinkat(s->tmpfd, s->lease, 0);
			flock(s->leasefd, LOCK_UN);
		}
		close(s->leasefd);
	}
	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
		if (fds[i] >= 0)
			close(fds[i]);
	}
	if (s->tmpfd >= 0)
		close(s->tmpfd);
	pthread_mutex_destroy(&s->mutex);
	pins_free(&s->pinned);
	free(s->root);
	free(s);
}

void store_set_refs(struct store *s, store_refs_fn *fn, void *arg)
{
	s->refs = fn;
	s->refs_arg = arg;
}

/* ---- the lock ---- */

int store_lock(struct store *s, int how, struct err *e)
{
	int rc = 0;

	pthread_mutex_lock(&s->mutex);
	if (s->lockfd >= 0)
		rc = fd_lock(s->lockfd, how);
	else
		rc = -s->lock_errno; /* who only reads does without it */
	if (rc < 0) {
		pthread_mutex_unlock(&s->mutex);
		return err_set(e, -rc, "lock the store %s: %s", s->root, strerror(-rc));
	}
	return 0;
}

void store_unlock(struct store *s)
{
	if (s->lockfd >= 0)
		flock(s->lockfd, LOCK_UN);
	pthread_mutex_unlock(&s->mutex);
}

/* ---- things in tmp/ ---- */

void tmp_name(char *out, const char *kind, const struct digest *d)
{
	char hex[DIGEST_HEX_LEN + 1];

	if (d) {
		digest_hex(hex, d);
	} else {
		unsigned char r[16];

		random_bytes(r, sizeof(r));
		hex_encode(hex, r, sizeof(r));
	}
	snprintf(out, TMP_NAME_MAX, "%s-%s", kind, hex);
}

int tmp_lock(struct store *s, const char *name, unsigned flags, const struct store_wait *wait,
	     const struct digest *d, int *out, struct err *e)
{
	own_fd int fd = openat(s->tmpfd, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
	struct stat locked, named;
	int rc;

	if (fd < 0)
		return err_sys(e, "create %s/tmp/%s", s->root, name);
	rc = fd_lock(fd, LOCK_EX | LOCK_NB);
	if (rc == -EAGAIN && (flags & STORE_NOWAIT))
		return err_set(e, EAGAIN, "another zl is making it");
	if (rc == -EAGAIN) {
		if (wait && wait->waiting)
			wait->waiting(wait->arg, d);
		rc = fd_lock(fd, LOCK_EX);
	}
	if (rc < 0)
		return err_set(e, -rc, "lock %s/tmp/%s: %s", s->root, name, strerror(-rc));
	if (fstat(fd, &locked) < 0)
		return err_sys(e, "stat %s/tmp/%s", s->root, name);
	if (fstatat(s->tmpfd, name, &named, AT_SYMLINK_NOFOLLOW) < 0 ||
	    named.st_ino != locked.st_ino)
		return -ESTALE;
	*out = steal_fd(&fd);
	return 0;
}

void store_sweep_once(struct store *s)
{
	bool first;

	pthread_mutex_lock(&s->mutex);
	first = !s->swept;
	s->swept = true;
	pthread_mutex_unlock(&s->mutex);
	if (first)
		store_sweep(s, STORE_PART_KEEP_S);
}

/* ---- pins ---- */

void pins_add(struct pins *p, char kind, const struct digest *d)
{
	if (p->n == p->cap) {
		p->cap = p->cap ? p->cap * 2 : 32;
		p->v = xrealloc(p->v, p->cap * sizeof(*p->v));
	}
	p->v[p->n].kind = kind;
	p->v[p->n++].d = *d;
}

bool pins_have(const struct pins *p, char kind, const struct digest *d)
{
	for (size_t i = 0; i < p->n; i++) {
		if (p->v[i].kind == kind && digest_equal(&p->v[i].d, d))
			return true;
	}
	return false;
}

int pin_cmp(const void *a, const void *b)
{
	const struct pin *x = a, *y = b;

	if (x->kind != y->kind)
		return x->kind < y->kind ? -1 : 1;
	return memcmp(&x->d, &y->d, sizeof(x->d));
}

void pins_sort(struct pins *p)
{
	if (p->n)
		qsort(p->v, p->n, sizeof(*p->v), pin_cmp);
}

bool pins_marked(const struct pins *p, char kind, const struct digest *d)
{
	struct pin key = { .kind = kind, .d = *d };

	return p->n && bsearch(&key, p->v, p->n, sizeof(*p->v), pin_cmp);
}

void pins_free(struct pins *p)
{
	free(p->v);
	*p = (struct pins){ 0 };
}

/* Under the store's lock, so that no collector sees a lease that is not locked yet. */
static int lease_open(struct store *s, struct err *e)
{
	char name[TMP_NAME_MAX];
	int fd, rc;

	tmp_name(name, "l", NULL);
	snprintf(s->lease, sizeof(s->lease), "lease-%.16s", name + 2);
	fd = openat(s->tmpfd, s->lease, O_RDWR | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_sys(e, "create %s/tmp/%s", s->root, s->lease);
	rc = fd_lock(fd, LOCK_EX | LOCK_NB);
	if (rc < 0) {
		close(fd);
		unlinkat(s->tmpfd, s->lease, 0);
		return err_set(e, -rc, "lock %s/tmp/%s: %s", s->root, s->lease, strerror(-rc));
	}
	s->leasefd = fd;
	s->lease_pid = getpid();
	return 0;
}

static int pin(struct store *s, char kind, const struct digest *d, struct err *e)
{
	char line[PIN_LINE_LEN + 1];
	int rc = store_lock(s, LOCK_SH, e);

	if (rc < 0)
		return rc;
	if (pins_have(&s->pinned, kind, d)) {
		store_unlock(s);
		return 0;
	}
	if (s->leasefd < 0)
		rc = lease_open(s, e);
	if (rc == 0) {
		line[0] = kind;
		digest_hex(line + 1, d);
		line[PIN_LINE_LEN - 1] = '\n';
		rc = fd_write_full(s->leasefd, line, PIN_LINE_LEN);
		if (rc < 0)
			rc = err_set(e, -rc, "write %s/tmp/%s: %s", s->root, s->lease,
				     strerror(-rc));
		else
			pins_add(&s->pinned, kind, d);
	}
	store_unlock(s);
	return rc;
}

int store_pin_blob(struct store *s, const struct digest *d, struct err *e)
{
	return pin(s, PIN_BLOB, d, e);
}

int store_pin_layer(struct store *s, const struct digest *diff_id, struct err *e)
{
	return pin(s, PIN_LAYER, diff_id, e);
}
