/* fs_calls.c: the system calls of a file system's thread (virtio/fs.c, all of fuse/). */
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/mman.h>

#include "runtime/base/confine.h"
#include "runtime/virtio/fs.h"

#define WINDOW_RARE "with KVM only: dax.bats"

static const struct confine_call all_calls[] = {
	/* the queues, the lock */
	CONFINE_CALL(epoll_wait),
	CONFINE_CALL(futex),
	CONFINE_RARE(clock_gettime, "where the clock cannot be read without a call"),
	/* finding and opening */
	CONFINE_CALL(openat),
	CONFINE_CALL(close),
	CONFINE_CALL(readlinkat),
	CONFINE_CALL(getdents64),
	CONFINE_CALL(sysinfo), /* qsort asks how much memory there is */
	CONFINE_CALL(fstatfs),
	CONFINE_IF(fcntl, 1, F_DUPFD_CLOEXEC),
	/* content */
	CONFINE_CALL(write),
	CONFINE_CALL(preadv),
	CONFINE_CALL(pwritev),
	CONFINE_CALL(lseek),
	CONFINE_CALL(ftruncate),
	CONFINE_CALL(fallocate),
	CONFINE_CALL(copy_file_range),
	CONFINE_CALL(fsync),
	CONFINE_CALL(fdatasync),
	CONFINE_CALL(syncfs),
	/* names and times */
	CONFINE_CALL(mkdirat),
	CONFINE_CALL(symlinkat),
	CONFINE_CALL(linkat),
	CONFINE_CALL(unlinkat),
	CONFINE_CALL(renameat),
	CONFINE_CALL(renameat2),
	CONFINE_CALL(utimensat),
	/* what a guest keeps in the window of mapped files (virtio/bounce.h) */
	{ SYS_process_vm_readv, CONFINE_SELF, 0, 0, "process_vm_readv itself", WINDOW_RARE },
	{ SYS_process_vm_writev, CONFINE_SELF, 0, 0, "process_vm_writev itself", WINDOW_RARE },
	/* the end */
	CONFINE_CALL(madvise),
	CONFINE_CALL(rt_sigprocmask),
	CONFINE_CALL(exit),
	CONFINE_ALLOCATING,
	CONFINE_ABORTING,
};

/* The union of layers and what the container wrote. */
static const struct confine_call union_calls[] = {
	CONFINE_CALL(openat2),
	CONFINE_CALL(newfstatat),
	CONFINE_CALL(pread64),
	CONFINE_CALL(pwrite64),
	CONFINE_IF(ioctl, 1, FICLONE),
	CONFINE_CALL(fchmod),
	CONFINE_CALL(fgetxattr),
	CONFINE_CALL(fsetxattr),
	CONFINE_CALL(flistxattr),
	CONFINE_CALL(fremovexattr),
	/* removing whole folders: an opaque one's, what an earlier run left */
	CONFINE_IF(fcntl, 1, F_GETFL),
	CONFINE_IF(fcntl, 1, F_SETFD),
	CONFINE_RARE(fchmodat, "folders that an ordinary user made unreadable"),
};

/* Folders and files of the host. */
static const struct confine_call bind_calls[] = {
	CONFINE_CALL(statx),
	CONFINE_IF(fcntl, 1, F_SETFL),
	CONFINE_CALL(chmod),
	CONFINE_RARE(fchownat, "as root"),
	CONFINE_RARE(mknodat, "as root"),
	CONFINE_CALL(getxattr),
	CONFINE_CALL(setxattr),
	CONFINE_CALL(listxattr),
	CONFINE_CALL(removexattr),
};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

const struct confine_list virtio_fs_calls = { all_calls, COUNT(all_calls) };
const struct confine_list virtio_fs_union_calls = { union_calls, COUNT(union_calls) };
const struct confine_list virtio_fs_bind_calls = { bind_calls, COUNT(bind_calls) };
