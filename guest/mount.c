/* mount.c: the container's mount tree, made in task 1's process. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "guest/child.h"
#include "guest/option.h"
#include "guest/sys.h"
#include "guest/target.h"
#include "runtime/base/fd.h"
#include "runtime/base/masked.h"
#include "runtime/base/own.h"

/*
 * Theory of operation.
 *
 * The mount namespace is the agent's, and holds nothing but the initramfs. The
 * share with the container's root is mounted somewhere in it, its entry "root"
 * goes over "/", and becomes our root: from then on every path is the
 * container's, and nothing below can be named any more (".." ends at the
 * namespace's root, which is followed up to the mount on top of it). Sources
 * that lie below are kept by descriptors. The agent stays where it is, below,
 * and names no path from here on. That the namespace is shared with it keeps
 * the mounts from being taken down, one after the other, between the end of
 * task 1 and the moment at which the agent hears of it.
 *
 * Mounts are made detached and then attached to a descriptor of their target,
 * so that no symlink of the image's can divert them, and no /proc is needed
 * for it. All are private.
 */

#define NO_SUID_EXEC_DEV (SYS_MOUNT_NOSUID | SYS_MOUNT_NOEXEC | SYS_MOUNT_NODEV)

/* Places in the initramfs. */
#define AT_ROOT_SHARE "/r"
#define AT_HOST_SHARE "/h"
#define AT_FILES      "/f"

/* Bytes of /etc/hosts and the like, with room for the workload's own changes. */
#define FILES_SIZE "size=16m"

/* As docker's. */
#define DEV_SIZE "size=65536k"
#define DEV_MODE "mode=755"

/* A new file system, detached; opts: "key=value" or "flag", NULL-terminated. */
static int fs_new(const char *type, const char *source, const char *const *opts, uint64_t attrs,
		  struct err *e)
{
	own_fd int fs = sys_fsopen(type);
	int fd;

	if (fs < 0)
		return err_sys(e, "%s", type);
	if (sys_fsconfig(fs, SYS_FSCONFIG_SET_STRING, "source", source) < 0)
		return err_sys(e, "%s: source %s", type, source);
	for (; opts && *opts; opts++) {
		own_free char *key = xstrndup(*opts, strcspn(*opts, "="));
		const char *value = strchr(*opts, '=');
		int rc = value ? sys_fsconfig(fs, SYS_FSCONFIG_SET_STRING, key, value + 1)
			       : sys_fsconfig(fs, SYS_FSCONFIG_SET_FLAG, key, NULL);

		if (rc < 0)
			return err_sys(e, "mount %s: option %s", type, *opts);
	}
	if (sys_fsconfig(fs, SYS_FSCONFIG_CREATE, NULL, NULL) < 0)
		return err_sys(e, "mount %s", type);
	fd = sys_fsmount(fs, attrs);
	return fd < 0 ? err_sys(e, "mount %s", type) : fd;
}

/* Where the machine has a window for files (DAX), it says so on the kernel's command line. */
int mount_virtiofs(const char *tag, struct err *e)
{
	const char *dax = strcmp(tag, WIRE_FS_ROOT) == 0 ? getenv("dax") : NULL;
	own_free char *opt = dax ? xasprintf("dax=%s", dax) : NULL;
	const char *const opts[] = { opt, NULL };

	return fs_new("virtiofs", tag, opts, 0, e);
}

int mount_cgroup(struct err *e)
{
	static const char *const opts[] = { "nsdelegate", NULL };

	return fs_new("cgroup2", "cgroup", opts, NO_SUID_EXEC_DEV, e);
}

int mount_proc(struct err *e)
{
	return fs_new("proc", "proc", NULL, NO_SUID_EXEC_DEV, e);
}

static int attach(int mount, int target, const char *path, struct err *e)
{
	return sys_move_mount(mount, target) < 0 ? err_sys(e, "mount over %s", path) : 0;
}

/* Mounts a new file system over `path`, which is made if it is missing. */
static int mount_fs(const char *type, const char *path, const char *const *opts, uint64_t attrs,
		    struct err *e)
{
	own_fd int at = target_make(AT_FDCWD, path, true, e);
	own_fd int fs = -1;

	if (at < 0)
		return at;
	fs = fs_new(type, type, opts, attrs, e);
	return fs < 0 ? fs : attach(fs, at, path, e);
}

/* ---- the root */

/* Attaches the agent's detached mount in the initramfs; takes nothing over. */
static int place(int mount, const char *at, struct err *e)
{
	own_fd int fd = -1;

	if (mkdir(at, 0700) < 0 && errno != EEXIST)
		return err_sys(e, "create %s", at);
	fd = open(at, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(e, "open %s", at);
	return attach(mount, fd, at, e);
}

/* Returns the root's mount. */
static int enter_root(const struct agent *a, struct err *e)
{
	own_fd int old = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	own_fd int root = -1;
	int rc = place(a->root_fs, AT_ROOT_SHARE, e);

	if (rc < 0)
		return rc;
	root = sys_open_tree(a->root_fs, "root", AT_SYMLINK_NOFOLLOW);
	if (root < 0 || old < 0)
		return err_sys(e, "open the container's root");
	rc = attach(root, old, "/", e);
	if (rc < 0)
		return rc;
	if (fchdir(root) < 0 || chroot(".") < 0)
		return err_sys(e, "enter the container's root");
	return steal_fd(&root);
}

/* ---- /dev */

struct node {
	const char *name;
	unsigned major, minor;
};

static const struct node nodes[] = {
	{ "null", 1, 3 },   { "zero", 1, 5 },	 { "full", 1, 7 },
	{ "random", 1, 8 }, { "urandom", 1, 9 }, { "tty", 5, 0 },
};

static const struct {
	const char *name, *target;
} links[] = {
	{ "fd", "/proc/self/fd" },	 { "stdin", "/proc/self/fd/0" },
	{ "stdout", "/proc/self/fd/1" }, { "stderr", "/proc/self/fd/2" },
	{ "ptmx", "pts/ptmx" },		 { "core", "/proc/kcore" },
};

/* Copies the kernel's device nodes, for the privileged; what is there stays. */
static int copy_nodes(int from, int to, int depth, struct err *e)
{
	own_dir DIR *d = NULL;
	own_fd int fd = openat(from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct dirent *de;

	d = fd < 0 ? NULL : fdopendir(fd);
	if (d == NULL)
		return err_sys(e, "read the kernel's devices");
	fd = -1;
	while ((de = readdir(d))) {
		const char *name = de->d_name;
		struct stat st;
		int rc = 0;

		if (name[0] == '.' || fstatat(dirfd(d), name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		if (S_ISDIR(st.st_mode) && depth > 0) {
			own_fd int sub = openat(dirfd(d), name, O_PATH | O_CLOEXEC);
			own_fd int made = -1;

			if (mkdirat(to, name, 0755) < 0 && errno != EEXIST)
				return err_sys(e, "create /dev/%s", name);
			made = openat(to, name, O_PATH | O_CLOEXEC);
			rc = copy_nodes(sub, made, depth - 1, e);
		} else if ((S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode)) &&
			   strcmp(name, "console") != 0) { /* that is the terminal, if any */
			if (mknodat(to, name, st.st_mode, st.st_rdev) < 0 && errno != EEXIST)
				return err_sys(e, "create /dev/%s", name);
		}
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* As a host's udev would have it; else as the kernel has it. */
static mode_t node_mode(const char *name, mode_t mode)
{
	return strcmp(name, "fuse") == 0 || strcmp(name, "net/tun") == 0 ? S_IFCHR | 0666 : mode;
}

/* "net/tun:/dev/net/tun" */
static int make_device(int all, const char *device, struct err *e)
{
	const char *path = strchr(device, ':'), *base = path ? strrchr(path, '/') : NULL;
	own_free char *name = base ? xstrndup(device, (size_t)(path - device)) : NULL;
	own_free char *folder = base ? xstrndup(path + 1, (size_t)(base - path)) : NULL;
	struct stat st, there;
	own_fd int at = -1;

	if (name == NULL)
		return err_set(e, EINVAL, "invalid device: %s", device);
	if (fstatat(all, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return err_sys(e, "the machine has no device /dev/%s", name);
	at = target_make(AT_FDCWD, folder, true, e);
	if (at < 0)
		return at;
	if (mknodat(at, base + 1, node_mode(name, st.st_mode), st.st_rdev) == 0)
		return 0;
	if (errno == EEXIST && fstatat(at, base + 1, &there, AT_SYMLINK_NOFOLLOW) == 0 &&
	    (there.st_mode & S_IFMT) == (st.st_mode & S_IFMT) && there.st_rdev == st.st_rdev)
		return 0;
	return err_set(e, EEXIST, "create the device %s: another file is there", path + 1);
}

static int make_devices(const struct strv *devices, struct err *e)
{
	own_fd int all = -1;
	mode_t mask;
	int rc = 0;

	if (devices->n == 0)
		return 0;
	all = fs_new("devtmpfs", "devtmpfs", NULL, 0, e);
	if (all < 0)
		return all;
	for (size_t i = 0; rc == 0 && i < devices->n; i++) {
		mask = umask(0);
		rc = make_device(all, devices->v[i], e);
		umask(mask);
	}
	return rc;
}

static int fill_dev(bool privileged, struct err *e)
{
	own_fd int dev = open("/dev", O_PATH | O_DIRECTORY | O_CLOEXEC);
	own_fd int all = -1;
	mode_t mask = umask(0);

	for (size_t i = 0; i < sizeof(nodes) / sizeof(nodes[0]); i++)
		if (mknodat(dev, nodes[i].name, S_IFCHR | 0666,
			    makedev(nodes[i].major, nodes[i].minor)) < 0)
			return err_sys(e, "create /dev/%s", nodes[i].name);
	umask(mask);
	for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++)
		if (symlinkat(links[i].target, dev, links[i].name) < 0)
			return err_sys(e, "create /dev/%s", links[i].name);
	if (!privileged)
		return 0;
	all = fs_new("devtmpfs", "devtmpfs", NULL, 0, e);
	return all < 0 ? all : copy_nodes(all, dev, 2, e);
}

static int mount_dev(const struct wire_boot *b, struct err *e)
{
	static const char *const dev[] = { DEV_MODE, DEV_SIZE, NULL };
	static const char *const pts[] = { "newinstance", "ptmxmode=0666", "mode=0620", "gid=5",
					   NULL };
	own_free char *size = xasprintf("size=%llu", (unsigned long long)b->shm_size);
	const char *shm[] = { "mode=1777", size, NULL };
	bool privileged = b->task.flags & WIRE_TASK_PRIVILEGED;
	int rc;

	rc = mount_fs("tmpfs", "/dev", dev, SYS_MOUNT_NOSUID | SYS_MOUNT_STRICTATIME, e);
	if (rc == 0)
		rc = fill_dev(privileged, e);
	if (rc == 0)
		rc = mount_fs("devpts", "/dev/pts", pts, SYS_MOUNT_NOSUID | SYS_MOUNT_NOEXEC, e);
	if (rc == 0 && !(b->flags & WIRE_BOOT_NO_SHM))
		rc = mount_fs("tmpfs", "/dev/shm", shm, NO_SUID_EXEC_DEV, e);
	if (rc == 0)
		rc = mount_fs("mqueue", "/dev/mqueue", NULL, NO_SUID_EXEC_DEV, e);
	return rc < 0 ? rc : make_devices(&b->devices, e);
}

int mount_console(int slave, struct err *e)
{
	own_fd int at = -1, tree = -1;

	if (mknod("/dev/console", S_IFREG | 0600, 0) < 0 && errno != EEXIST)
		return err_sys(e, "create /dev/console");
	at = open("/dev/console", O_PATH | O_NOFOLLOW | O_CLOEXEC);
	tree = sys_open_tree(slave, "", SYS_AT_EMPTY_PATH);
	if (at < 0 || tree < 0)
		return err_sys(e, "open /dev/console");
	return attach(tree, at, "/dev/console", e);
}

/* ---- /proc and /sys */

/* Mounted over what has to be an ordinary folder, or the rest would go astray. */
static int mount_plain(const char *type, const char *path, uint64_t attrs, struct err *e)
{
	struct stat st;

	if (lstat(path, &st) == 0 && !S_ISDIR(st.st_mode))
		return err_set(e, ENOTDIR, "%s must be an ordinary directory in the image", path);
	return mount_fs(type, path, NULL, attrs, e);
}

static int write_sysctl(const char *text, struct err *e)
{
	own_free char *path = NULL;
	own_fd int dir = -1, fd = -1;
	const char *value;
	int rc = sysctl_parse(text, &path, &value, e);

	if (rc < 0)
		return rc;
	dir = open("/proc/sys", O_PATH | O_DIRECTORY | O_CLOEXEC);
	fd = openat(dir, path, O_WRONLY | O_CLOEXEC);
	rc = fd < 0 ? -errno : fd_write_full(fd, value, strlen(value));
	if (rc < 0)
		return err_set(e, -rc, "set sysctl %s: %s", text, strerror(-rc));
	return 0;
}

/*
 * The whole VM's; a kernel may lack what one is about. What a program maps it
 * need not have yet: it may come (memory.c). And an idle VM is to be idle: no
 * looking twice a second whether there is something to compact, nor every
 * second for counters to sum up.
 */
static void write_own_sysctls(void)
{
	static const char *const own[] = { "vm.overcommit_memory=1",
					   "vm.compaction_proactiveness=0",
					   "vm.stat_interval=300" };

	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
		write_sysctl(own[i], NULL);
}

static int write_sysctls(const struct wire_boot *b, struct err *e)
{
	/* docker's, in a network of the container's own. */
	static const char *const defaults[] = { "net.ipv4.ip_unprivileged_port_start=0",
						"net.ipv4.ping_group_range=0 2147483647" };
	int rc = 0;

	write_own_sysctls();
	for (size_t i = 0; rc == 0 && i < sizeof(defaults) / sizeof(defaults[0]); i++)
		rc = write_sysctl(defaults[i], e);
	for (size_t i = 0; rc == 0 && i < b->sysctls.n; i++)
		rc = write_sysctl(b->sysctls.v[i], e);
	return rc;
}

static int mount_kernel_fs(const struct wire_boot *b, struct err *e)
{
	uint64_t ro = b->task.flags & WIRE_TASK_PRIVILEGED ? 0 : SYS_MOUNT_RDONLY;
	int rc;

	rc = mount_plain("proc", "/proc", NO_SUID_EXEC_DEV, e);
	if (rc == 0)
		rc = write_sysctls(b, e);
	if (rc == 0)
		rc = mount_plain("sysfs", "/sys", NO_SUID_EXEC_DEV | ro, e);
	if (rc == 0)
		rc = mount_fs("cgroup2", "/sys/fs/cgroup", NULL,
			      NO_SUID_EXEC_DEV | (b->flags & WIRE_BOOT_CGROUP_WRITE ? 0 : ro), e);
	return rc;
}

/* Hides a path of /proc or /sys; one that does not exist needs no hiding. */
static int mask(const char *path, struct err *e)
{
	static const char *const empty[] = { "size=0", NULL };
	own_fd int at = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	own_fd int over = -1;
	struct stat st;

	if (at < 0)
		return errno == ENOENT || errno == ENOTDIR ? 0 : err_sys(e, "mask %s", path);
	if (fstat(at, &st) < 0)
		return err_sys(e, "mask %s", path);
	if (S_ISDIR(st.st_mode)) {
		over = fs_new("tmpfs", "tmpfs", empty, NO_SUID_EXEC_DEV | SYS_MOUNT_RDONLY, e);
		if (over < 0)
			return over;
	} else {
		over = sys_open_tree(AT_FDCWD, "/dev/null", AT_SYMLINK_NOFOLLOW);
		if (over < 0)
			return err_sys(e, "mask %s", path);
	}
	return attach(over, at, path, e);
}

static int make_read_only(const char *path, struct err *e)
{
	own_fd int at = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	own_fd int tree = -1;

	if (at < 0)
		return errno == ENOENT ? 0 : err_sys(e, "open %s", path);
	tree = sys_open_tree(at, "", SYS_AT_EMPTY_PATH | SYS_AT_RECURSIVE);
	if (tree < 0 || sys_mount_setattr(tree, SYS_AT_RECURSIVE, SYS_MOUNT_RDONLY, 0) < 0)
		return err_sys(e, "make %s read-only", path);
	return attach(tree, at, path, e);
}

static int restrict_kernel_fs(struct err *e)
{
	static const char *const masked[] = MASKED_PATHS, *const read_only[] = READONLY_PATHS;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < sizeof(masked) / sizeof(masked[0]); i++)
		rc = mask(masked[i], e);
	for (size_t i = 0; rc == 0 && i < sizeof(read_only) / sizeof(read_only[0]); i++)
		rc = make_read_only(read_only[i], e);
	return rc;
}

/* ---- what BOOT asks for */

static int mount_bind(int host, const struct wire_mount *m, struct err *e)
{
	own_fd int tree = sys_open_tree(host, m->source, AT_SYMLINK_NOFOLLOW);
	own_fd int at = -1;
	struct stat st;

	if (tree < 0 || fstat(tree, &st) < 0)
		return err_sys(e, "open the source of %s", m->target);
	at = target_make(AT_FDCWD, m->target, S_ISDIR(st.st_mode), e);
	if (at < 0)
		return at;
	if (m->read_only && sys_mount_setattr(tree, 0, SYS_MOUNT_RDONLY, 0) < 0)
		return err_sys(e, "make %s read-only", m->target);
	return attach(tree, at, m->target, e);
}

static int mount_tmpfs(const struct wire_mount *m, struct err *e)
{
	OWN(tmpfs_options_free) struct tmpfs_options o = { 0 };
	own_fd int at = -1, fs = -1;
	bool there;
	struct stat st;
	int rc = tmpfs_options_parse(m->options, &o, e);

	if (rc < 0)
		return rc;
	there = stat(m->target, &st) == 0;
	at = target_make(AT_FDCWD, m->target, true, e);
	if (at < 0)
		return at;
	if (there && !o.mode_given) /* as the folder it hides; else the kernel's 1777 */
		strv_addf(&o.data, "mode=%o", (unsigned)st.st_mode & 07777);
	if (m->read_only)
		o.attrs |= SYS_MOUNT_RDONLY;
	fs = fs_new("tmpfs", "tmpfs", (const char *const *)o.data.v, o.attrs, e);
	return fs < 0 ? fs : attach(fs, at, m->target, e);
}

static int mount_mounts(int host, const struct wire_boot *b, struct err *e)
{
	int rc = 0;

	for (uint32_t i = 0; rc == 0 && i < b->nmounts; i++)
		rc = b->mounts[i].kind == WIRE_MOUNT_BIND ? mount_bind(host, &b->mounts[i], e)
							  : mount_tmpfs(&b->mounts[i], e);
	return rc;
}

static bool is_mounted_by_user(const struct wire_boot *b, const char *path)
{
	for (uint32_t i = 0; i < b->nmounts; i++)
		if (strcmp(b->mounts[i].target, path) == 0)
			return true;
	return false;
}

/* Writes the file into `dir`, of the agent's own, and mounts it over its path. */
static int mount_file(int dir, unsigned n, const struct wire_file *f, struct err *e)
{
	own_free char *name = xasprintf("%u", n);
	own_fd int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	own_fd int at = -1, tree = -1;
	int rc = fd < 0 ? -errno : fd_write_full(fd, f->data, strlen(f->data));

	if (rc < 0 || fchmod(fd, f->mode) < 0)
		return err_set(e, rc < 0 ? -rc : errno, "write %s", f->path);
	tree = sys_open_tree(dir, name, AT_SYMLINK_NOFOLLOW);
	if (tree < 0)
		return err_sys(e, "mount %s", f->path);
	at = target_make(AT_FDCWD, f->path, false, e);
	return at < 0 ? at : attach(tree, at, f->path, e);
}

static int mount_files(int dir, const struct wire_boot *b, struct err *e)
{
	int rc = 0;

	for (uint32_t i = 0; rc == 0 && i < b->nfiles; i++)
		if (!is_mounted_by_user(b, b->files[i].path))
			rc = mount_file(dir, i, &b->files[i], e);
	return rc;
}

/* The tmpfs of the files, attached in the initramfs. */
static int place_files(struct err *e)
{
	static const char *const opts[] = { "mode=755", FILES_SIZE, NULL };
	own_fd int fs = fs_new("tmpfs", "tmpfs", opts, SYS_MOUNT_NOSUID | SYS_MOUNT_NODEV, e);
	int rc = fs < 0 ? fs : place(fs, AT_FILES, e);

	return rc < 0 ? rc : steal_fd(&fs);
}

int mount_container(const struct agent *a, const struct wire_boot *b, struct err *e)
{
	own_fd int files = -1, root = -1, cwd = -1;
	int rc = 0;

	if (a->host_fs >= 0)
		rc = place(a->host_fs, AT_HOST_SHARE, e);
	if (rc == 0 && b->nfiles)
		rc = files = place_files(e);
	if (rc < 0)
		return rc;
	root = enter_root(a, e);
	if (root < 0)
		return root;
	rc = mount_kernel_fs(b, e);
	if (rc == 0)
		rc = mount_dev(b, e);
	if (rc == 0)
		rc = mount_mounts(a->host_fs, b, e);
	if (rc == 0)
		rc = mount_files(files, b, e);
	if (rc == 0 && !(b->task.flags & WIRE_TASK_PRIVILEGED) &&
	    !(b->flags & WIRE_BOOT_SYSTEM_PATHS))
		rc = restrict_kernel_fs(e);
	if (rc < 0)
		return rc;
	if (*b->task.cwd) {
		cwd = target_make(AT_FDCWD, b->task.cwd, true, e);
		if (cwd < 0)
			return cwd;
	}
	if ((b->flags & WIRE_BOOT_ROOT_READ_ONLY) &&
	    sys_mount_setattr(root, 0, SYS_MOUNT_RDONLY, 0) < 0)
		return err_sys(e, "make the root read-only");
	return 0;
}
