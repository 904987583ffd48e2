/* sys.h: system calls of Linux 6.1 the C libraries have no functions for. */
#ifndef ZL_GUEST_SYS_H
#define ZL_GUEST_SYS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

/*
 * The kernel's headers for these collide with one C library's or the other's,
 * hence names of our own. All return what the system call returns: -1 and
 * errno on failure.
 */

/* openat2(2) */
#define SYS_RESOLVE_NO_MAGICLINKS 0x02
#define SYS_RESOLVE_NO_SYMLINKS	  0x04
#define SYS_RESOLVE_IN_ROOT	  0x10

struct sys_open_how {
	uint64_t flags, mode, resolve;
};

static inline int sys_openat2(int dirfd, const char *path, uint64_t flags, uint64_t resolve)
{
	struct sys_open_how how = { .flags = flags, .resolve = resolve };

	return (int)syscall(SYS_openat2, dirfd, path, &how, sizeof(how));
}

/*
 * statx(2) of a file's kind and size only: the rest (times that reading has
 * changed) may cost a request to the file server.
 */
#define SYS_STATX_TYPE_MODE_SIZE (0x1U | 0x2U | 0x200U)

struct sys_statx {
	uint32_t mask, blksize;
	uint64_t attributes;
	uint32_t nlink, uid, gid;
	uint16_t mode, pad;
	uint64_t ino, size;
	uint64_t rest[26];
};

static inline int sys_stat_some(int dirfd, const char *path, struct sys_statx *st)
{
	return (int)syscall(SYS_statx, dirfd, path, *path ? 0 : 0x1000 /* AT_EMPTY_PATH */,
			    SYS_STATX_TYPE_MODE_SIZE, st);
}
_Static_assert(sizeof(struct sys_statx) == 256, "as in the kernel");

/* The mount calls that work on descriptors: fsopen(2) and its kin. */
#define SYS_FSCONFIG_SET_FLAG	0U
#define SYS_FSCONFIG_SET_STRING 1U
#define SYS_FSCONFIG_CREATE	6U

#define SYS_MOUNT_RDONLY      0x01ULL
#define SYS_MOUNT_NOSUID      0x02ULL
#define SYS_MOUNT_NODEV	      0x04ULL
#define SYS_MOUNT_NOEXEC      0x08ULL
#define SYS_MOUNT_ATIME_MASK  0x70ULL
#define SYS_MOUNT_RELATIME    0x00ULL
#define SYS_MOUNT_NOATIME     0x10ULL
#define SYS_MOUNT_STRICTATIME 0x20ULL
#define SYS_MOUNT_NODIRATIME  0x80ULL

#define SYS_AT_EMPTY_PATH 0x1000U
#define SYS_AT_RECURSIVE  0x8000U

static inline int sys_fsopen(const char *type)
{
	return (int)syscall(SYS_fsopen, type, 1U /* FSOPEN_CLOEXEC */);
}

static inline int sys_fsconfig(int fd, unsigned cmd, const char *key, const char *value)
{
	return (int)syscall(SYS_fsconfig, fd, cmd, key, value, 0);
}

static inline int sys_fsmount(int fd, uint64_t attrs)
{
	return (int)syscall(SYS_fsmount, fd, 1U /* FSMOUNT_CLOEXEC */, (unsigned)attrs);
}

/* A detached copy of the mount at the path; flags: SYS_AT_*, AT_SYMLINK_NOFOLLOW. */
static inline int sys_open_tree(int dirfd, const char *path, unsigned flags)
{
	return (int)syscall(SYS_open_tree, dirfd, path,
			    flags | 1U /* OPEN_TREE_CLONE */ | 02000000U /* O_CLOEXEC */);
}

/* Attaches a detached mount over what `target` is open on. */
static inline int sys_move_mount(int mount, int target)
{
	return (int)syscall(SYS_move_mount, mount, "", target, "",
			    0x04U | 0x40U /* both are empty paths */);
}

static inline int sys_mount_setattr(int mount, unsigned flags, uint64_t set, uint64_t clear)
{
	struct {
		uint64_t set, clear, propagation, userns_fd;
	} attr = { set, clear, 0, 0 };

	return (int)syscall(SYS_mount_setattr, mount, "", flags | SYS_AT_EMPTY_PATH, &attr,
			    sizeof(attr));
}

/* clone3(2) */
#define SYS_CLONE_CLEAR_SIGHAND 0x100000000ULL
#define SYS_CLONE_INTO_CGROUP	0x200000000ULL

/* As fork(2), with a pidfd, in the given cgroup. */
static inline pid_t sys_clone(uint64_t flags, int *pidfd, int cgroup)
{
	struct {
		uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls,
			set_tid, set_tid_size, cgroup;
	} args = {
		.flags = flags | 0x1000U /* CLONE_PIDFD */ | SYS_CLONE_CLEAR_SIGHAND |
			 SYS_CLONE_INTO_CGROUP,
		.pidfd = (uint64_t)(uintptr_t)pidfd,
		.exit_signal = 17, /* SIGCHLD */
		.cgroup = (uint64_t)cgroup,
	};

	return (pid_t)syscall(SYS_clone3, &args, sizeof(args));
}

static inline int sys_pidfd_open(pid_t pid)
{
	return (int)syscall(SYS_pidfd_open, pid, 0U);
}

static inline int sys_pidfd_send_signal(int pidfd, int sig)
{
	return (int)syscall(SYS_pidfd_send_signal, pidfd, sig, NULL, 0U);
}

/* capset(2), all three sets of the calling process. */
static inline int sys_capset(uint64_t effective, uint64_t permitted, uint64_t inheritable)
{
	struct {
		uint32_t version;
		int pid;
	} head = { 0x20080522U /* _LINUX_CAPABILITY_VERSION_3 */, 0 };
	struct {
		uint32_t effective, permitted, inheritable;
	} data[2] = {
		{ (uint32_t)effective, (uint32_t)permitted, (uint32_t)inheritable },
		{ (uint32_t)(effective >> 32), (uint32_t)(permitted >> 32),
		  (uint32_t)(inheritable >> 32) },
	};

	return (int)syscall(SYS_capset, &head, data);
}

#endif
