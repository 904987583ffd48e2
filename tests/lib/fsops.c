/* fsops.c: file system operations as programs do them, run inside a container: fsops FOLDER */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#ifndef RENAME_NOREPLACE
#define RENAME_NOREPLACE 1
#define RENAME_EXCHANGE	 2
#endif

/* A check returns from its function at the first thing that is not so. */
#define OK(cond)                                                                          \
	do {                                                                              \
		if (!(cond)) {                                                            \
			printf("# line %d: %s (%s)\n", __LINE__, #cond, strerror(errno)); \
			return false;                                                     \
		}                                                                         \
	} while (0)
#define FAILS(err, call) OK((errno = 0, (call)) == -1 && errno == (err))

static bool put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	OK(fd >= 0);
	OK(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	OK(close(fd) == 0);
	return true;
}

static bool holds(const char *path, const char *text)
{
	char buf[256] = "";
	int fd = open(path, O_RDONLY);
	ssize_t n;

	OK(fd >= 0);
	n = read(fd, buf, sizeof(buf) - 1);
	OK(n >= 0);
	OK(close(fd) == 0);
	OK(strcmp(buf, text) == 0);
	return true;
}

static struct stat st_of(const char *path)
{
	struct stat st = { 0 };

	if (lstat(path, &st) < 0)
		memset(&st, 0, sizeof(st));
	return st;
}

static bool create_read_append_truncate(void)
{
	struct stat st;
	int fd;

	OK(put("f", "hello") && holds("f", "hello"));
	FAILS(EEXIST, open("f", O_CREAT | O_EXCL | O_WRONLY, 0600));
	fd = open("f", O_WRONLY | O_APPEND);
	OK(fd >= 0 && write(fd, " world", 6) == 6 && close(fd) == 0);
	OK(holds("f", "hello world"));
	OK(truncate("f", 4) == 0 && holds("f", "hell"));
	fd = open("f", O_RDWR);
	OK(ftruncate(fd, 1 << 20) == 0 && fstat(fd, &st) == 0 && st.st_size == 1 << 20);
	OK(pwrite(fd, "x", 1, 5000) == 1 && fsync(fd) == 0 && fdatasync(fd) == 0);
	OK(close(fd) == 0);
	fd = open("f", O_RDONLY | O_TRUNC | O_CREAT, 0600);
	OK(fd >= 0 && fstat(fd, &st) == 0 && st.st_size == 0 && close(fd) == 0);
	OK(unlink("f") == 0);
	FAILS(ENOENT, open("f", O_RDONLY));
	return true;
}

static bool big_file(void)
{
	enum { CHUNK = 1 << 20, CHUNKS = 24 };
	static uint32_t buf[CHUNK / 4], back[CHUNK / 4];
	int fd = open("big", O_RDWR | O_CREAT, 0600);

	OK(fd >= 0);
	for (uint32_t c = 0; c < CHUNKS; c++) {
		for (uint32_t i = 0; i < CHUNK / 4; i++)
			buf[i] = i * 2654435761U + c;
		OK(write(fd, buf, CHUNK) == CHUNK);
	}
	for (uint32_t c = 0; c < CHUNKS; c++) {
		OK(pread(fd, back, CHUNK, (off_t)c * CHUNK) == CHUNK);
		for (uint32_t i = 0; i < CHUNK / 4; i++)
			OK(back[i] == i * 2654435761U + c);
	}
	OK(close(fd) == 0 && unlink("big") == 0);
	return true;
}

static bool renames(void)
{
	OK(put("a", "A") && put("b", "B") && rename("a", "b") == 0 && holds("b", "A"));
	FAILS(ENOENT, rename("a", "c"));
	OK(put("a", "A2"));
	FAILS(EEXIST, syscall(SYS_renameat2, AT_FDCWD, "a", AT_FDCWD, "b", RENAME_NOREPLACE));
	if (syscall(SYS_renameat2, AT_FDCWD, "a", AT_FDCWD, "b", RENAME_EXCHANGE) == 0)
		OK(holds("a", "A") && holds("b", "A2"));
	else
		OK(errno == EINVAL);
	OK(mkdir("d1", 0755) == 0 && put("d1/x", "x") && rename("d1", "d2") == 0);
	OK(holds("d2/x", "x") && mkdir("d1", 0755) == 0);
	FAILS(ENOTEMPTY, rename("d1", "d2"));
	OK(unlink("d2/x") == 0 && rename("d1", "d2") == 0);
	FAILS(EINVAL, rename("d2", "d2/inside"));
	FAILS(EISDIR, rename("a", "d2"));
	FAILS(ENOTDIR, rename("d2", "a"));
	OK(rmdir("d2") == 0 && unlink("a") == 0 && unlink("b") == 0);
	return true;
}

static bool folders(void)
{
	OK(mkdir("d", 0700) == 0);
	FAILS(EEXIST, mkdir("d", 0700));
	OK(put("d/f", ""));
	FAILS(ENOTEMPTY, rmdir("d"));
	FAILS(ENOTDIR, mkdir("d/f/x", 0700));
	FAILS(ENOTDIR, open("d/f", O_RDONLY | O_DIRECTORY));
	FAILS(EISDIR, open("d", O_WRONLY));
	FAILS(EISDIR, unlink("d"));
	OK(unlink("d/f") == 0 && rmdir("d") == 0);
	FAILS(ENOENT, rmdir("d"));
	return true;
}

static bool many_entries(void)
{
	enum { N = 1500 };
	static bool seen[N];
	char name[64];
	struct dirent *e;
	DIR *d;
	int n = 0;

	OK(mkdir("many", 0755) == 0);
	for (int i = 0; i < N; i++) {
		snprintf(name, sizeof(name), "many/entry-with-a-longish-name-%d", i);
		int fd = open(name, O_CREAT | O_WRONLY, 0644);
		OK(fd >= 0 && close(fd) == 0);
	}
	d = opendir("many");
	OK(d);
	while ((e = readdir(d)))
		if (e->d_name[0] != '.') {
			int i = atoi(strrchr(e->d_name, '-') + 1);
			OK(i >= 0 && i < N && !seen[i] && e->d_type == DT_REG);
			seen[i] = true;
			n++;
		}
	OK(n == N);
	/* Deleting while reading must reach every entry, as rm -r does it. */
	rewinddir(d);
	while ((e = readdir(d)))
		if (e->d_name[0] != '.')
			OK(unlinkat(dirfd(d), e->d_name, 0) == 0);
	closedir(d);
	OK(rmdir("many") == 0);
	return true;
}

static bool modes_and_owners(void)
{
	struct stat st;

	OK(put("f", "x") && chmod("f", 04755) == 0 && stat("f", &st) == 0);
	OK((st.st_mode & 07777) == 04755 && st.st_uid == 0 && st.st_gid == 0);
	OK(chown("f", 1234, 4321) == 0 && stat("f", &st) == 0);
	OK(st.st_uid == 1234 && st.st_gid == 4321 && S_ISREG(st.st_mode));
	OK(chmod("f", 0) == 0 && stat("f", &st) == 0 && (st.st_mode & 07777) == 0);
	OK(holds("f", "x")); /* root reads all the same */
	OK(mkdir("d", 0755) == 0 && chmod("d", 03777) == 0 && stat("d", &st) == 0);
	OK((st.st_mode & 07777) == 03777 && S_ISDIR(st.st_mode));
	OK(chown("d", 0, 77) == 0 && chmod("d", 02775) == 0 && put("d/child", ""));
	OK(stat("d/child", &st) == 0 && st.st_gid == 77); /* setgid folders hand on the group */
	OK(symlink("f", "l") == 0 && lchown("l", 5, 6) == 0 && lstat("l", &st) == 0);
	OK(st.st_uid == 5 && st.st_gid == 6 && S_ISLNK(st.st_mode));
	OK(unlink("l") == 0 && unlink("f") == 0 && unlink("d/child") == 0 && rmdir("d") == 0);
	return true;
}

static bool as_user(void)
{
	int status;
	pid_t pid;

	OK(mkdir("u", 0755) == 0 && put("u/secret", "s") && chmod("u/secret", 0600) == 0);
	OK(put("u/shared", "s") && chmod("u/shared", 0666) == 0);
	OK(mkdir("u/t", 01777) == 0 && chmod("u/t", 01777) == 0 && put("u/t/roots", ""));
	fflush(stdout);
	pid = fork();
	OK(pid >= 0);
	if (!pid) {
		if (setgid(1000) || setuid(1000))
			_exit(1);
		if (open("u/secret", O_RDONLY) != -1 || errno != EACCES)
			_exit(2);
		if (open("u/new", O_CREAT | O_WRONLY, 0644) != -1 || errno != EACCES)
			_exit(3);
		if (open("u/shared", O_RDWR) < 0)
			_exit(4);
		if (chmod("u/shared", 0777) != -1 || errno != EPERM)
			_exit(5);
		int fd = open("u/t/mine", O_CREAT | O_WRONLY, 0644);
		struct stat st;
		if (fd < 0 || fstat(fd, &st) || st.st_uid != 1000 || st.st_gid != 1000)
			_exit(6);
		if (unlink("u/t/roots") != -1 || (errno != EPERM && errno != EACCES))
			_exit(7);
		if (unlink("u/t/mine"))
			_exit(8);
		_exit(0);
	}
	OK(waitpid(pid, &status, 0) == pid);
	if (status)
		printf("# child's status %d\n", WEXITSTATUS(status));
	OK(status == 0);
	OK(unlink("u/t/roots") == 0 && rmdir("u/t") == 0 && unlink("u/secret") == 0);
	OK(unlink("u/shared") == 0 && rmdir("u") == 0);
	return true;
}

static bool links(void)
{
	char buf[64] = "";

	OK(put("f", "linked") && link("f", "l") == 0);
	OK(st_of("f").st_nlink == 2 && st_of("f").st_ino == st_of("l").st_ino);
	OK(unlink("f") == 0 && holds("l", "linked") && st_of("l").st_nlink == 1);
	OK(symlink("l", "s") == 0 && readlink("s", buf, sizeof(buf)) == 1 && buf[0] == 'l');
	OK(holds("s", "linked"));
	FAILS(ELOOP, open("s", O_RDONLY | O_NOFOLLOW));
	OK(symlink("loop", "loop") == 0);
	FAILS(ELOOP, open("loop", O_RDONLY));
	FAILS(EEXIST, link("l", "s"));
	OK(mkdir("d", 0755) == 0);
	FAILS(EPERM, link("d", "d2"));
	OK(rmdir("d") == 0 && unlink("l") == 0 && unlink("s") == 0 && unlink("loop") == 0);
	return true;
}

static bool unlinked_but_open(void)
{
	char buf[8];
	int fd = open("f", O_CREAT | O_RDWR, 0600);
	struct stat st;

	OK(fd >= 0 && write(fd, "abc", 3) == 3 && unlink("f") == 0);
	OK(fstat(fd, &st) == 0 && st.st_nlink == 0 && st.st_size == 3);
	OK(write(fd, "def", 3) == 3 && pread(fd, buf, 6, 0) == 6 && !memcmp(buf, "abcdef", 6));
	OK(ftruncate(fd, 2) == 0 && fstat(fd, &st) == 0 && st.st_size == 2 && close(fd) == 0);
	return true;
}

static bool xattrs(void)
{
	char buf[256];
	ssize_t n;

	OK(put("f", ""));
	OK(setxattr("f", "user.one", "1", 1, XATTR_CREATE) == 0);
	FAILS(EEXIST, setxattr("f", "user.one", "1", 1, XATTR_CREATE));
	OK(setxattr("f", "user.two", "", 0, 0) == 0);
	OK(getxattr("f", "user.one", buf, sizeof(buf)) == 1 && buf[0] == '1');
	OK(getxattr("f", "user.two", buf, sizeof(buf)) == 0);
	n = listxattr("f", buf, sizeof(buf));
	OK(n == (ssize_t)(sizeof("user.one") + sizeof("user.two")));
	FAILS(ERANGE, listxattr("f", buf, 3));
	OK(removexattr("f", "user.one") == 0);
	FAILS(ENODATA, getxattr("f", "user.one", buf, sizeof(buf)));
	OK(setxattr("f", "trusted.overlay.opaque", "y", 1, 0) == 0 || errno == EPERM);
	OK(unlink("f") == 0);
	return true;
}

static bool mappings(void)
{
	enum { LEN = 64 << 10 };
	int fd = open("m", O_CREAT | O_RDWR, 0600);
	char *p, *q, c;

	OK(fd >= 0 && ftruncate(fd, LEN) == 0);
	p = mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	OK(p != MAP_FAILED);
	strcpy(p + 5000, "mapped");
	OK(msync(p, LEN, MS_SYNC) == 0);
	OK(pread(fd, &c, 1, 5000) == 1 && c == 'm');
	OK(pwrite(fd, "M", 1, 5000) == 1 && p[5000] == 'M');
	q = mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	OK(q != MAP_FAILED && !strcmp(q + 5000, "Mapped"));
	q[5000] = 'x';
	OK(p[5000] == 'M');
	OK(munmap(p, LEN) == 0 && munmap(q, LEN) == 0 && close(fd) == 0 && unlink("m") == 0);
	return true;
}

static bool tmpfile_or_refusal(void)
{
	char path[64];
	int fd = open(".", O_TMPFILE | O_RDWR, 0600);

	if (fd < 0) {
		OK(errno == EOPNOTSUPP || errno == EISDIR);
		return true;
	}
	OK(write(fd, "tmp", 3) == 3);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	OK(linkat(AT_FDCWD, path, AT_FDCWD, "named", AT_SYMLINK_FOLLOW) == 0);
	OK(holds("named", "tmp") && close(fd) == 0 && unlink("named") == 0);
	return true;
}

static bool holes_and_space(void)
{
	int fd = open("h", O_CREAT | O_RDWR, 0600);
	struct stat st;
	struct statfs sf;

	OK(fd >= 0);
	OK(fallocate(fd, 0, 0, 100000) == 0 || errno == EOPNOTSUPP);
	OK(ftruncate(fd, 0) == 0 && pwrite(fd, "end", 3, 1 << 20) == 3);
	OK(fstat(fd, &st) == 0 && st.st_size == (1 << 20) + 3 && st.st_blocks < 1024);
	OK(lseek(fd, 0, SEEK_DATA) <= 1 << 20 && lseek(fd, 0, SEEK_HOLE) >= 0);
	OK(statfs(".", &sf) == 0 && sf.f_bsize > 0 && sf.f_blocks > 0 && sf.f_namelen == 255);
	OK(close(fd) == 0 && unlink("h") == 0);
	return true;
}

static bool times(void)
{
	struct timespec ts[2] = { { 1000000000, 123456789 }, { 1100000000, 987654321 } };
	struct stat st;

	OK(put("f", "x") && utimensat(AT_FDCWD, "f", ts, 0) == 0 && stat("f", &st) == 0);
	OK(st.st_mtim.tv_sec == 1100000000 && st.st_mtim.tv_nsec == 987654321);
	OK(st.st_atim.tv_sec == 1000000000 && st.st_ctim.tv_sec > 1100000000);
	OK(put("f", "y") && stat("f", &st) == 0 && st.st_mtim.tv_sec > 1100000000);
	OK(unlink("f") == 0);
	return true;
}

static bool special_files(void)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX, .sun_path = "sock" };
	struct stat st;
	char c;
	int fd, s;

	OK(mkfifo("p", 0640) == 0 && lstat("p", &st) == 0 && S_ISFIFO(st.st_mode));
	fd = open("p", O_RDWR);
	OK(fd >= 0 && write(fd, "z", 1) == 1 && read(fd, &c, 1) == 1 && c == 'z' && close(fd) == 0);
	s = socket(AF_UNIX, SOCK_STREAM, 0);
	OK(s >= 0 && bind(s, (struct sockaddr *)&sun, sizeof(sun)) == 0 && listen(s, 1) == 0);
	OK(lstat("sock", &st) == 0 && S_ISSOCK(st.st_mode));
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	OK(connect(fd, (struct sockaddr *)&sun, sizeof(sun)) == 0 && close(fd) == 0);
	OK(close(s) == 0 && unlink("sock") == 0 && unlink("p") == 0);
	OK(mknod("null", S_IFCHR | 0666, makedev(1, 3)) == 0 && lstat("null", &st) == 0);
	OK(S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3) && unlink("null") == 0);
	return true;
}

static bool locks(void)
{
	struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 10 };
	int a = open("k", O_CREAT | O_RDWR, 0600), b = open("k", O_RDWR), status;
	pid_t pid;

	OK(a >= 0 && b >= 0 && flock(a, LOCK_EX | LOCK_NB) == 0);
	FAILS(EWOULDBLOCK, flock(b, LOCK_EX | LOCK_NB));
	OK(flock(a, LOCK_UN) == 0 && flock(b, LOCK_SH) == 0 && flock(b, LOCK_UN) == 0);
	OK(fcntl(a, F_SETLK, &l) == 0);
	pid = fork();
	OK(pid >= 0);
	if (!pid)
		_exit(fcntl(b, F_SETLK, &l) == -1 && (errno == EAGAIN || errno == EACCES) ? 0 : 1);
	OK(waitpid(pid, &status, 0) == pid && status == 0);
	OK(close(a) == 0 && close(b) == 0 && unlink("k") == 0);
	return true;
}

static bool copies(void)
{
	int in, out;
	loff_t off = 0;

	OK(put("src", "0123456789"));
	in = open("src", O_RDONLY);
	out = open("dst", O_CREAT | O_RDWR, 0600);
	OK(in >= 0 && out >= 0);
	OK(copy_file_range(in, &off, out, NULL, 10, 0) == 10 && holds("dst", "0123456789"));
	OK(close(in) == 0 && close(out) == 0 && unlink("src") == 0 && unlink("dst") == 0);
	return true;
}

static bool names(void)
{
	char longest[257];

	memset(longest, 'n', sizeof(longest));
	longest[256] = 0;
	FAILS(ENAMETOOLONG, open(longest, O_CREAT | O_WRONLY, 0600));
	longest[255] = 0;
	OK(put(longest, "n") && holds(longest, "n") && unlink(longest) == 0);
	OK(put("new\nline \xff\xfe", "odd") && holds("new\nline \xff\xfe", "odd"));
	OK(unlink("new\nline \xff\xfe") == 0);
	OK(put(".wh.looks-like-a-whiteout", "w") && holds(".wh.looks-like-a-whiteout", "w"));
	OK(unlink(".wh.looks-like-a-whiteout") == 0);
	return true;
}

/* The image's own file changes: an inode keeps its identity, open readers see later writes. */
static bool copy_up(void)
{
	static const char path[] = "/etc/second-layer";
	struct stat before = st_of(path), after;
	char c = 0, *p;
	int r = open(path, O_RDONLY), w;

	OK(before.st_ino && r >= 0);
	p = mmap(NULL, 4096, PROT_READ, MAP_SHARED, r, 0);
	OK(p != MAP_FAILED && p[0] == 's');
	w = open(path, O_RDWR);
	OK(w >= 0 && pwrite(w, "S", 1, 0) == 1 && close(w) == 0);
	after = st_of(path);
	OK(after.st_ino == before.st_ino && after.st_dev == before.st_dev);
	OK(pread(r, &c, 1, 0) == 1 && c == 'S' && p[0] == 'S');
	OK(munmap(p, 4096) == 0 && close(r) == 0 && holds(path, "Second"));
	OK(chmod(path, 0600) == 0 && (st_of(path).st_mode & 07777) == 0600);
	OK(link(path, "/etc/linked") == 0 && st_of(path).st_nlink == 2);
	OK(unlink("/etc/linked") == 0);
	OK(unlink(path) == 0 && access(path, F_OK) == -1 && errno == ENOENT);
	OK(put(path, "second") && holds(path, "second"));
	return true;
}

/* Folders of the image: filled, emptied, removed, made anew, renamed. */
static bool lower_folders(void)
{
	OK(put("/mnt/x", "x") && holds("/mnt/x", "x") && unlink("/mnt/x") == 0);
	OK(rmdir("/mnt") == 0 && access("/mnt", F_OK) == -1 && mkdir("/mnt", 0755) == 0);
	if (rename("/home", "/home2") == 0) {
		OK(access("/home2/user", F_OK) == 0 && access("/home", F_OK) == -1);
		OK(rename("/home2", "/home") == 0);
	} else {
		OK(errno == EXDEV);
	}
	OK(access("/home/user", F_OK) == 0);
	return true;
}

#define CHECK(f)      \
	{             \
#f, f \
	}
static const struct {
	const char *name;
	bool (*run)(void);
} checks[] = {
	CHECK(create_read_append_truncate),
	CHECK(big_file),
	CHECK(renames),
	CHECK(folders),
	CHECK(many_entries),
	CHECK(modes_and_owners),
	CHECK(as_user),
	CHECK(links),
	CHECK(unlinked_but_open),
	CHECK(xattrs),
	CHECK(mappings),
	CHECK(tmpfile_or_refusal),
	CHECK(holes_and_space),
	CHECK(times),
	CHECK(special_files),
	CHECK(locks),
	CHECK(copies),
	CHECK(names),
	CHECK(copy_up),
	CHECK(lower_folders),
};

int main(int argc, char **argv)
{
	int bad = 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	umask(022);
	if (argc < 2 || chdir(argv[1]) < 0) {
		perror("fsops: FOLDER");
		return 2;
	}
	for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]); i++) {
		if (argc > 2 && strcmp(argv[2], checks[i].name) != 0)
			continue;
		bool ok = checks[i].run();

		printf("%s %s\n", ok ? "ok" : "FAILED", checks[i].name);
		bad += !ok;
	}
	return bad ? 1 : 0;
}
