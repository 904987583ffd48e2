/* bundle.c: unpacks the embedded kernel and initramfs; see bundle.h. */
#include "runtime/box/bundle.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include "runtime/base/fd.h"
#include "runtime/base/own.h"

#define KERNEL_FILE "vmlinux"
#define INITRD_FILE "initramfs"
/* Larger than any kernel of ours. */
#define KERNEL_MAX (256ULL << 20)

/* cmd/embed.S */
extern const unsigned char kernel_embedded[], kernel_embedded_end[];
extern const unsigned char initramfs_embedded[], initramfs_embedded_end[];
extern const char bundle_id[];

/* As numbers: to the compiler the two labels are different objects. */
static size_t packed_size(void)
{
	return (uintptr_t)kernel_embedded_end - (uintptr_t)kernel_embedded;
}

/*
 * Unpacking touched all of the packed kernel; the holder is forked from here
 * and would count these pages as its own for as long as it lives.
 */
static void forget_packed(void)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	uintptr_t from = ((uintptr_t)kernel_embedded + page - 1) & ~(page - 1);
	uintptr_t to = (uintptr_t)kernel_embedded_end & ~(page - 1);

	if (to > from)
		madvise((void *)from, to - from, MADV_DONTNEED);
}

static size_t kernel_size(void)
{
	unsigned long long n = ZSTD_getFrameContentSize(kernel_embedded, packed_size());

	return n > KERNEL_MAX ? 0 : (size_t)n; /* unknown and error are huge */
}

static size_t initrd_size(void)
{
	return (uintptr_t)initramfs_embedded_end - (uintptr_t)initramfs_embedded;
}

static bool file_is(int dir, const char *name, size_t size)
{
	struct stat st;

	return fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
	       (size_t)st.st_size == size;
}

static bool complete(int dir)
{
	return file_is(dir, KERNEL_FILE, kernel_size()) && file_is(dir, INITRD_FILE, initrd_size());
}

static int put_kernel(int dir, struct err *e)
{
	own_fd int fd = openat(dir, KERNEL_FILE, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	size_t n = kernel_size(), got;
	int rc;
	void *p;

	if (n == 0)
		return err_set(e, EINVAL, "the embedded kernel is damaged");
	if (fd < 0)
		return err_sys(e, "create %s", KERNEL_FILE);
	/* reserves the space, so that a full disk is an error and no SIGBUS */
	rc = posix_fallocate(fd, 0, (off_t)n);
	if (rc)
		return err_set(e, rc, "write %s: %s", KERNEL_FILE, strerror(rc));
	p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		return err_sys(e, "map %s", KERNEL_FILE);
	got = ZSTD_decompress(p, n, kernel_embedded, packed_size());
	munmap(p, n);
	forget_packed();
	if (ZSTD_isError(got) || got != n)
		return err_set(e, EINVAL, "unpack the embedded kernel: %s",
			       ZSTD_isError(got) ? ZSTD_getErrorName(got) : "too short");
	if (fsync(fd) < 0)
		return err_sys(e, "write %s", KERNEL_FILE);
	return 0;
}

/* Outdated bundles, and what a killed zl left, unless somebody uses them. */
static void sweep(int all)
{
	own_fd int again = openat(all, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	own_dir DIR *dir = again < 0 ? NULL : fdopendir(again);
	struct dirent *de;

	if (dir == NULL)
		return;
	again = -1;
	while ((de = readdir(dir))) {
		own_fd int fd = -1;

		if (strcmp(de->d_name, ".") == 0 || strcmp(de->d_name, "..") == 0 ||
		    strcmp(de->d_name, bundle_id) == 0)
			continue;
		fd = openat(all, de->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd >= 0 && fd_lock(fd, LOCK_EX | LOCK_NB) == 0)
			dir_remove_all(all, de->d_name, NULL);
	}
}

/* Makes the bundle aside and renames it into place; its folder, locked. */
static int unpack(int all, struct err *e)
{
	own_free char *tmp = NULL;
	own_fd int dir = -1;
	unsigned long long r;
	int rc;

	random_bytes(&r, sizeof(r));
	tmp = xasprintf(".new-%016llx", r);
	if (mkdirat(all, tmp, 0700) < 0)
		return err_sys(e, "create folder kernel/%s", tmp);
	dir = openat(all, tmp, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return err_sys(e, "open kernel/%s", tmp);
	fd_lock(dir, LOCK_SH);
	rc = put_kernel(dir, e);
	if (rc == 0)
		rc = file_write_atomic(dir, INITRD_FILE, initramfs_embedded, initrd_size(), 0600,
				       true, e);
	if (rc == 0 && renameat(all, tmp, all, bundle_id) < 0 && errno != EEXIST &&
	    errno != ENOTEMPTY)
		rc = err_sys(e, "create kernel/%s", bundle_id);
	if (rc < 0 || faccessat(all, tmp, F_OK, 0) == 0)
		dir_remove_all(all, tmp, NULL); /* failed, or another zl was first */
	if (rc < 0)
		return rc;
	close(dir);
	dir = openat(all, bundle_id, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return err_sys(e, "open kernel/%s", bundle_id);
	fd_lock(dir, LOCK_SH);
	sweep(all);
	return steal_fd(&dir);
}

/* The folder of the embedded bundle, locked against removal. */
static int embedded(const char *root, struct err *e)
{
	own_free char *path = xasprintf("%s/kernel", root);
	own_fd int all = -1, dir = -1;

	if (dir_make_all(path, 0700, e) < 0)
		return -EIO;
	all = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (all < 0)
		return err_sys(e, "open %s", path);
	dir = openat(all, bundle_id, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir >= 0) {
		fd_lock(dir, LOCK_SH);
		if (complete(dir))
			return steal_fd(&dir);
		/* a disk that lost what it had: once more */
		dir_remove_all(all, bundle_id, NULL);
	}
	return unpack(all, e);
}

int bundle_get(const struct box_dirs *d, struct bundle *b, struct err *e)
{
	*b = (struct bundle){ .lock = -1 };
	if (d->kernel)
		b->kernel = xstrdup(d->kernel);
	if (d->initrd)
		b->initrd = xstrdup(d->initrd);
	if (b->kernel && b->initrd)
		return 0;
	b->lock = embedded(d->root, e);
	if (b->lock < 0) {
		bundle_free(b);
		return err_wrap(e, "prepare the guest kernel");
	}
	if (b->kernel == NULL)
		b->kernel = xasprintf("%s/kernel/%s/%s", d->root, bundle_id, KERNEL_FILE);
	if (b->initrd == NULL)
		b->initrd = xasprintf("%s/kernel/%s/%s", d->root, bundle_id, INITRD_FILE);
	return 0;
}

void bundle_free(struct bundle *b)
{
	free(b->kernel);
	free(b->initrd);
	if (b->lock >= 0)
		close(b->lock);
	*b = (struct bundle){ .lock = -1 };
}
