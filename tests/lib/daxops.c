/* daxops.c: what programs do with a large file of an image: daxops FOLDER (with f2 f4 f8: MiB) */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/*
 * Prints what it sees after each step, sums of whole files among it. The same must
 * come out whether the files are mapped from the host or read into the guest.
 */
#define MIB (1 << 20)

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static uint64_t sum_of(const void *p, size_t n)
{
	const uint8_t *b = p;
	uint64_t h = 14695981039346656037ULL;

	for (size_t i = 0; i < n; i++)
		h = (h ^ b[i]) * 1099511628211ULL;
	return h;
}

static void show_file(const char *step, const char *path)
{
	static uint8_t buf[64 << 10];
	int fd = open(path, O_RDONLY);
	uint64_t h = 0, total = 0;
	struct stat st;
	ssize_t n;

	if (fd < 0 || fstat(fd, &st) < 0)
		die(path);
	while ((n = read(fd, buf, sizeof(buf))) > 0) {
		h = h * 31 + sum_of(buf, (size_t)n);
		total += (uint64_t)n;
	}
	if (n < 0)
		die(path);
	close(fd);
	printf("%s: %s size %lld read %llu sum %016llx\n", step, path, (long long)st.st_size,
	       (unsigned long long)total, (unsigned long long)h);
}

static uint8_t *map_file(const char *path, int flags, size_t size)
{
	int fd = open(path, flags);
	uint8_t *p;

	if (fd < 0)
		die(path);
	p = mmap(NULL, size, PROT_READ | (flags == O_RDWR ? PROT_WRITE : 0), MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		die("mmap");
	close(fd);
	return p;
}

/* Both ways of writing, seen by both ways of reading, the file having been mapped before. */
static void write_while_mapped(void)
{
	const uint8_t *ro = map_file("f8", O_RDONLY, 8 * MIB);
	int fd = open("f8", O_RDWR), old = open("f8", O_RDONLY);
	char text[16] = "";
	uint8_t *rw;

	printf("mapped: %016llx\n", (unsigned long long)sum_of(ro, 8 * MIB));
	if (pwrite(fd, "written", 7, MIB + 5) != 7)
		die("pwrite");
	printf("by write: %.7s", ro + MIB + 5);
	pread(old, text, 7, MIB + 5);
	printf(" %s\n", text);
	rw = map_file("f8", O_RDWR, 8 * MIB);
	memcpy(rw + 5 * MIB - 3, "mapped", 6);
	pread(old, text, 6, 5 * MIB - 3);
	printf("by mapping: %.6s %.6s\n", ro + 5 * MIB - 3, text);
	printf("mapped: %016llx\n", (unsigned long long)sum_of(ro, 8 * MIB));
	if (msync(rw, 8 * MIB, MS_SYNC) < 0 || fsync(fd) < 0)
		die("sync");
	munmap((void *)(uintptr_t)ro, 8 * MIB);
	munmap(rw, 8 * MIB);
	close(fd);
	close(old);
	show_file("written", "f8");
}

static void change_size(void)
{
	uint8_t *rw = map_file("f8", O_RDWR, 8 * MIB);
	int fd = open("f8", O_RDWR), zeros = 0;
	pid_t pid;
	int status;

	rw[7 * MIB] = 1;
	if (ftruncate(fd, 5 * MIB + 100) < 0)
		die("ftruncate");
	show_file("shorter", "f8");
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		_exit(rw[7 * MIB]); /* beyond the end: SIGBUS */
	}
	waitpid(pid, &status, 0);
	printf("beyond the end: signal %d\n", WIFSIGNALED(status) ? WTERMSIG(status) : 0);
	if (ftruncate(fd, 8 * MIB) < 0)
		die("ftruncate");
	for (size_t i = 5 * MIB + 100; i < 8 * MIB; i++)
		zeros += rw[i] == 0;
	printf("longer: %d zeros\n", zeros);
	rw[6 * MIB] = 7;
	show_file("longer", "f8");
	if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 100, 3 * MIB) < 0)
		printf("punch: %s\n", strerror(errno));
	printf("punched: %d %d\n", rw[100], rw[2 * MIB]);
	memcpy(rw + 2 * MIB, "in the hole", 11);
	show_file("punched", "f8");
	if (pwrite(fd, "far", 3, 9 * MIB) != 3)
		die("pwrite");
	show_file("extended", "f8");
	munmap(rw, 8 * MIB);
	close(fd);
	fd = open("f8", O_RDWR | O_TRUNC);
	if (write(fd, "anew", 4) != 4)
		die("write");
	close(fd);
	show_file("anew", "f8");
}

/* Mapped files as buffers of reads and writes that bypass the guest's page cache. */
static void as_buffers(void)
{
	uint8_t *from = map_file("f4", O_RDONLY, 4 * MIB), *to;
	int fd = open("direct", O_RDWR | O_CREAT | O_DIRECT, 0644);

	if (fd < 0)
		die("direct");
	for (size_t at = 0; at < 4 * MIB;) {
		ssize_t n = pwrite(fd, from + at, 4 * MIB - at, (off_t)at);

		if (n <= 0)
			die("O_DIRECT write");
		at += (size_t)n;
	}
	show_file("direct", "direct");
	to = map_file("f4", O_RDWR, 4 * MIB);
	if (pread(fd, to, MIB, 2 * MIB) != MIB)
		die("O_DIRECT read");
	close(fd);
	printf("direct: %016llx\n", (unsigned long long)sum_of(from, 4 * MIB));
	/* into itself, at the end */
	fd = open("f4", O_WRONLY | O_APPEND);
	if (write(fd, to + 4096, 2 * MIB) != 2 * MIB)
		die("append");
	close(fd);
	munmap(from, 4 * MIB);
	munmap(to, 4 * MIB);
	show_file("appended", "f4");
}

static void copies(void)
{
	int in = open("f4", O_RDONLY), out = open("copy", O_RDWR | O_CREAT, 0644);
	off_t from = 12345, to = MIB;

	if (sendfile(out, in, NULL, 4 * MIB) <= 0)
		die("sendfile");
	close(out);
	show_file("sent", "copy");
	out = open("f2", O_RDWR);
	if (copy_file_range(in, &from, out, &to, MIB / 2, 0) <= 0)
		die("copy_file_range");
	close(in);
	close(out);
	show_file("copied", "f2");
}

static void names(void)
{
	uint8_t *rw = map_file("f2", O_RDWR, 2 * MIB);
	int fd = open("f2", O_RDWR);
	struct stat st;

	if (rename("f2", "g2") < 0)
		die("rename");
	rw[17] = 'r';
	show_file("renamed", "g2");
	if (unlink("g2") < 0)
		die("unlink");
	rw[MIB] = 'u';
	if (pwrite(fd, "unlinked", 8, 4096) != 8 || fstat(fd, &st) < 0)
		die("unlinked");
	printf("unlinked: %.8s %c %c, %d names, %016llx\n", rw + 4096, rw[17], rw[MIB],
	       (int)st.st_nlink, (unsigned long long)sum_of(rw, 2 * MIB));
	munmap(rw, 2 * MIB);
	close(fd);
}

#define LONG_AGO 1000000000

static void age(int fd)
{
	const struct timespec times[2] = { { .tv_sec = LONG_AGO }, { .tv_sec = LONG_AGO } };

	if (futimens(fd, times) < 0)
		die("futimens");
}

static void show_age(const char *step, const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0)
		die(path);
	printf("%s: %s is %s\n", step, path, st.st_mtime == LONG_AGO ? "old" : "new");
}

/* What was written to is newer, whichever way; what was only looked at, or copied, is not. */
static void times(void)
{
	int fd = open("f8", O_RDWR);
	uint8_t *p, *own;

	age(fd);
	own = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	if (own == MAP_FAILED)
		die("mmap");
	own[1] = 'o';
	own[5000] += own[MIB - 1];
	munmap(own, MIB);
	show_age("written in private", "f8");
	p = map_file("f8", O_RDWR, 8 * MIB);
	printf("mapped: %016llx\n", (unsigned long long)sum_of(p, 8 * MIB));
	show_age("read", "f8");
	if (pwrite(fd, "x", 1, 3 * MIB) != 1)
		die("pwrite");
	show_age("written", "f8");
	age(fd);
	p[12345] = 'm';
	show_age("written in the mapping", "f8");
	if (msync(p, 8 * MIB, MS_SYNC) < 0)
		die("msync");
	show_age("synced", "f8");
	age(fd);
	p[12345] = 'n';
	if (msync(p, 8 * MIB, MS_SYNC) < 0)
		die("msync");
	show_age("synced again", "f8");
	age(fd);
	close(fd);
	show_age("closed", "f8");
	p[6 * MIB] = 'l';
	munmap(p, 8 * MIB);
	show_age("unmapped", "f8");
}

int main(int argc, char **argv)
{
	if (argc != 2 || chdir(argv[1]) < 0)
		die("daxops: FOLDER");
	show_file("first", "f8");
	times();
	write_while_mapped();
	change_size();
	as_buffers();
	copies();
	names();
	puts("end");
	return 0;
}
