/* fuse.c: the engine's life, and the operations that are about the whole of it. */
#include "runtime/fuse/fuse.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "runtime/base/own.h"
#include "runtime/base/str.h"
#include "runtime/fuse/call.h"

/* Descriptors that are others' business, and the share of the rest that one engine takes. */
#define FDS_OTHERS  192
#define FDS_ENGINES 3
#define FDS_LEAST   96
#define FDS_MOST    6144
/* As long as the guest runs. */
#define CACHE_FOR_EVER (365ULL * 24 * 3600)
/* Requests under way at once; what the kernel has by default is 12. */
#define BACKGROUND_MAX 128
/* The oldest protocol that is spoken: 7.31, Linux 5.4, the first with virtiofs. */
#define MINOR_LEAST 31

/* --- the lock */

void fuse_lock(struct fuse *f)
{
	pthread_mutex_lock(&f->lock);
	f->epoch++;
}

void fuse_unlock(struct fuse *f)
{
	struct chore *c = f->chores, *next;

	f->chores = NULL;
	pthread_mutex_unlock(&f->lock);
	for (; c; c = next) {
		next = c->next;
		if (c->close_fd >= 0)
			close(c->close_fd);
		if (c->unlink_at >= 0)
			unlinkat(c->unlink_at, c->name, 0);
		free(c);
	}
}

void fuse_wait_copied(struct fuse *f)
{
	pthread_cond_wait(&f->copied, &f->lock);
	f->epoch++;
}

static struct chore *chore_new(struct fuse *f)
{
	struct chore *c = xcalloc(1, sizeof(*c));

	c->close_fd = c->unlink_at = -1;
	c->next = f->chores;
	f->chores = c;
	return c;
}

void chore_close(struct fuse *f, int fd)
{
	chore_new(f)->close_fd = fd;
}

void chore_unlink(struct fuse *f, int dirfd, const char *name)
{
	struct chore *c = chore_new(f);

	c->unlink_at = dirfd;
	snprintf(c->name, sizeof(c->name), "%s", name);
}

/* --- inode numbers */

uint32_t fuse_dev_index(struct fuse *f, uint64_t dev)
{
	for (unsigned i = 0; i < f->ndevs; i++) {
		if (f->devs[i] == dev)
			return i;
	}
	if (f->ndevs == DEVS_MAX) /* numbers may clash then; nodes do not */
		return DEVS_MAX + (uint32_t)(dev ^ dev >> 32) % DEVS_MAX;
	f->devs[f->ndevs] = dev;
	return f->ndevs++;
}

/* Of the first device as they are. 1 is the engine's own root. */
uint64_t fuse_ino(uint32_t dev_index, uint64_t ino)
{
	ino ^= (uint64_t)dev_index << 48;
	return ino < 2 ? ino + 2 : ino;
}

/* --- life */

static void set_limits(struct fuse *f)
{
	struct rlimit r = { 1024, 1024 };
	uint64_t n;

	getrlimit(RLIMIT_NOFILE, &r);
	n = r.rlim_cur > FDS_OTHERS ? (r.rlim_cur - FDS_OTHERS) / FDS_ENGINES : 0;
	n = n < FDS_LEAST ? FDS_LEAST : n > FDS_MOST ? FDS_MOST : n;
	f->max_folder_fds = (unsigned)n / 3;
	f->max_files = (unsigned)n / 3;
	f->max_pins = (unsigned)n / 4;
	f->max_handles = (unsigned)n * 2 / 3; /* binds have no cached files */
}

static int make_roots(struct fuse *f)
{
	uint64_t next = f->next_id;
	struct node *n;
	int rc = 0;

	f->next_id = FUSE_ROOT_ID;
	n = node_new(f, NULL, NULL, NULL, S_IFDIR, 0, 0, 0);
	f->next_id = next; /* ids are not used again, even after a reset */
	n->ino = FUSE_ROOT_ID;
	f->root = n;
	for (unsigned i = 0; i < f->nshares && rc == 0; i++)
		rc = f->share[i].ops->root(f, &f->share[i]);
	return rc;
}

static void copy_places(struct fuse *f, const struct fuse_place *p)
{
	size_t n = 0;

	while (p[n++].path)
		;
	f->places = xcalloc(n, sizeof(*p));
	memcpy(f->places, p, n * sizeof(*p));
}

static int open_share(struct fuse *f, struct share *s, const struct fuse_share *from, struct err *e)
{
	s->name = xstrdup(from->name);
	s->read_only = from->read_only;
	f->nshares++;
	if (from->places)
		copy_places(f, from->places);
	if (from->path)
		return bind_open_share(f, s, from->path, from->only, from->below, e);
	return union_open_share(f, s, from->layers, from->nlayers, from->upper, from->look, e);
}

struct fuse *fuse_new(const struct fuse_share *shares, unsigned n, struct err *e)
{
	struct fuse *f = xcalloc(1, sizeof(*f));
	int rc = 0;

	pthread_mutex_init(&f->lock, NULL);
	pthread_cond_init(&f->copied, NULL);
	pthread_cond_init(&f->idle, NULL);
	link_init(&f->folders);
	link_init(&f->files);
	f->next_id = FUSE_ROOT_ID + 1;
	f->uid = geteuid();
	f->gid = getegid();
	f->root_user = f->uid == 0;
	f->share = xcalloc(n, sizeof(*f->share));
	set_limits(f);
	f->is_union = n == 0 || shares[0].path == NULL;
	for (unsigned i = 0; i < n && rc == 0; i++) {
		if ((shares[i].path == NULL) != f->is_union)
			rc = err_set(e, EINVAL, "unions and binds in one engine");
		else
			rc = open_share(f, &f->share[i], &shares[i], e);
	}
	if (rc == 0) {
		rc = make_roots(f);
		if (rc < 0)
			err_set(e, -rc, "read the root folder: %s", strerror(-rc));
	}
	if (rc < 0) {
		fuse_free(f);
		return NULL;
	}
	return f;
}

/* Waits until no call but the `own` ones of the caller is under way; then nothing is known. */
static void forget_all(struct fuse *f, unsigned own)
{
	f->started = false; /* no call starts any more */
	while (f->active > own) {
		pthread_cond_wait(&f->idle, &f->lock);
		f->epoch++;
	}
	window_clear(f);
	handles_free(f);
	nodes_free(f);
	f->root = NULL;
}

void fuse_free(struct fuse *f)
{
	if (f == NULL)
		return;
	fuse_lock(f);
	forget_all(f, 0);
	fuse_unlock(f);
	for (unsigned i = 0; i < f->nshares; i++) {
		if (f->share[i].ops)
			f->share[i].ops->close(&f->share[i]);
		free(f->share[i].name);
	}
	free(f->share);
	free(f->places);
	free(f->ranges);
	pthread_cond_destroy(&f->copied);
	pthread_cond_destroy(&f->idle);
	pthread_mutex_destroy(&f->lock);
	free(f);
}

void fuse_reset(struct fuse *f)
{
	fuse_lock(f);
	forget_all(f, 0);
	make_roots(f);
	fuse_unlock(f);
}

void fuse_counters(const struct fuse *f, uint64_t *bytes_read, uint64_t *bytes_written)
{
	*bytes_read = atomic_load(&f->bytes_read);
	*bytes_written = atomic_load(&f->bytes_written);
}

uint64_t cache_time(const struct fuse *f)
{
	return f->is_union ? CACHE_FOR_EVER : 0;
}

/* --- operations */

static bool all_writable(const struct fuse *f)
{
	for (unsigned i = 0; i < f->nshares; i++) {
		if (f->share[i].read_only)
			return false;
	}
	return true;
}

/*
 * A union needs no OPEN; only where a share is read-only does the kernel ask,
 * so that it hears of that before it caches writes.
 */
static uint64_t wanted(const struct fuse *f)
{
	uint64_t flags = FUSE_ASYNC_READ | FUSE_BIG_WRITES | FUSE_DO_READDIRPLUS |
			 FUSE_READDIRPLUS_AUTO | FUSE_ASYNC_DIO | FUSE_PARALLEL_DIROPS |
			 FUSE_MAX_PAGES | FUSE_HANDLE_KILLPRIV_V2 | FUSE_SETXATTR_EXT |
			 FUSE_INIT_EXT;

	if (!f->is_union)
		return flags | FUSE_AUTO_INVAL_DATA | FUSE_ATOMIC_O_TRUNC;
	flags |= FUSE_WRITEBACK_CACHE | FUSE_CACHE_SYMLINKS | FUSE_EXPLICIT_INVAL_DATA |
		 FUSE_NO_OPENDIR_SUPPORT;
	/* the guest offers the first of the two only where its kernel and device have a window */
	if (f->window.size)
		flags |= FUSE_MAP_ALIGNMENT | FUSE_HAS_INODE_DAX;
	return all_writable(f) ? flags | FUSE_NO_OPEN_SUPPORT : flags;
}

int op_init(struct call *c)
{
	const struct fuse_init_in *in = &c->arg.init;
	struct fuse *f = c->f;
	uint64_t offered = in->flags, flags;
	struct fuse_init_out out = { .major = FUSE_KERNEL_VERSION,
				     .minor = FUSE_KERNEL_MINOR_VERSION };

	if (in->major > FUSE_KERNEL_VERSION) /* the kernel asks again, in our version */
		return call_put(c, 0, &out, sizeof(out)) < 0 ? -EIO : (int)sizeof(out);
	if (in->major < FUSE_KERNEL_VERSION || in->minor < MINOR_LEAST)
		return -EPROTO;
	if (offered & FUSE_INIT_EXT)
		offered |= (uint64_t)in->flags2 << 32;
	if (f->started) { /* a new mount knows nothing of the old one's nodes */
		forget_all(f, 1);
		make_roots(f);
	}
	flags = wanted(f) & offered;
	f->dax = (flags & FUSE_MAP_ALIGNMENT) && (flags & FUSE_HAS_INODE_DAX);
	for (unsigned i = 0; i < f->nshares && f->dax; i++)
		f->share[i].dax = window_fits(&f->share[i]);
	if (f->dax)
		out.map_alignment = FUSE_WINDOW_SHIFT;
	else
		flags &= ~(uint64_t)(FUSE_MAP_ALIGNMENT | FUSE_HAS_INODE_DAX);
	f->open_less = flags & FUSE_NO_OPEN_SUPPORT;
	f->opendir_less = flags & FUSE_NO_OPENDIR_SUPPORT;
	f->setxattr_ext = flags & FUSE_SETXATTR_EXT;
	f->started = true;
	out.max_readahead = in->max_readahead;
	out.flags = (uint32_t)flags;
	out.flags2 = (uint32_t)(flags >> 32);
	out.max_background = BACKGROUND_MAX;
	out.congestion_threshold = BACKGROUND_MAX * 3 / 4;
	out.max_write = CALL_DATA_MAX;
	out.max_pages = CALL_DATA_MAX / 4096;
	out.time_gran = 1;
	return call_put(c, 0, &out, sizeof(out)) < 0 ? -EIO : (int)sizeof(out);
}

int op_destroy(struct call *c)
{
	forget_all(c->f, 1);
	return make_roots(c->f);
}

int op_interrupt(struct call *c)
{
	(void)c;
	return CALL_NO_REPLY; /* nothing here waits for anything but the disk */
}

int op_statfs(struct call *c)
{
	const struct share *s = c->node->share ? c->node->share : c->f->share;
	struct fuse_statfs_out out = { 0 };
	struct statvfs v;
	int fd;

	if (c->f->nshares == 0)
		return -ENODEV;
	fd = !s->is_union ? s->bind_fd : s->upper_fd >= 0 ? s->upper_fd : s->layer_fd[0];
	if (fstatvfs(fd, &v) < 0)
		return -errno;
	out.st = (struct fuse_kstatfs){
		.blocks = v.f_blocks,
		.bfree = v.f_bfree,
		.bavail = v.f_bavail,
		.files = v.f_files,
		.ffree = v.f_ffree,
		.bsize = (uint32_t)v.f_bsize,
		.namelen = CALL_NAME_MAX,
		.frsize = (uint32_t)v.f_frsize,
	};
	return call_put(c, 0, &out, sizeof(out)) < 0 ? -EIO : (int)sizeof(out);
}

static void forget(struct fuse *f, uint64_t id, uint64_t count)
{
	struct node *n = node_by_id(f, id);

	if (n && n->nlookup)
		node_forget(f, n, count);
}

int op_forget(struct call *c)
{
	forget(c->f, c->h.nodeid, c->arg.forget.nlookup);
	return CALL_NO_REPLY;
}

int op_batch_forget(struct call *c)
{
	struct fuse_forget_one one;

	for (uint32_t i = 0; i < c->arg.batch_forget.count; i++) {
		if (!call_take(c, &one, sizeof(one)))
			break;
		forget(c->f, one.nodeid, one.nlookup);
	}
	return CALL_NO_REPLY;
}

/* The kernel asks on sync(2) and when it unmounts. */
int op_syncfs(struct call *c)
{
	struct fuse *f = c->f;
	own_free int *fd = xcalloc(f->nshares, sizeof(*fd));
	int rc = 0;

	for (unsigned i = 0; i < f->nshares; i++) {
		const struct share *s = &f->share[i];

		fd[i] = s->is_union ? s->upper_fd : s->read_only ? -1 : s->bind_fd;
		if (fd[i] >= 0 && s->only)
			fd[i] = openat(fd[i], s->only,
				       O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
		else if (fd[i] >= 0)
			fd[i] = openat(fd[i], ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	}
	fuse_unlock(f);
	for (unsigned i = 0; i < f->nshares; i++) {
		if (fd[i] < 0)
			continue;
		if (syncfs(fd[i]) < 0)
			rc = -errno;
		close(fd[i]);
	}
	fuse_lock(f);
	return rc;
}
