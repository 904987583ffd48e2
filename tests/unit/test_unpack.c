/* test_unpack.c: what layers become, and what hostile ones cannot do. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "oci/unpack.h"
#include "runtime/base/fd.h"
#include "runtime/base/layer.h"
#include "runtime/base/own.h"
#include "tests/unit/tarball.h"

/*
 * Each test has a folder with the layer in "layer" and beside it a canary:
 * files that an archive which leaves its folder would change.
 */
static char *top;
static int topfd, dfd;
static struct unpack_result res;
static struct err err;

static void put(int at, const char *name, const char *text)
{
	assert_int_equal(file_write_atomic(at, name, text, strlen(text), 0644, false, &err), 0);
}

static int set_up(void **state)
{
	(void)state;
	err = (struct err)ERR_INIT;
	top = scratch_dir();
	if (top == NULL)
		return -1;
	topfd = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	put(topfd, "canary", "alive");
	mkdirat(topfd, "cage", 0755);
	put(topfd, "cage/bird", "sings");
	mkdirat(topfd, "layer", 0700);
	dfd = openat(topfd, "layer", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return dfd < 0 ? -1 : 0;
}

static void text_is(int at, const char *name, const char *want)
{
	own_str struct str s = STR_INIT;

	assert_int_equal(file_read(at, name, 1 << 20, &s, &err), 0);
	assert_string_equal(s.s, want);
}

static int count_entries(int at)
{
	own_dir DIR *d = fdopendir(openat(at, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	int n = 0;

	while (readdir(d))
		n++;
	return n - 2;
}

static int tear_down(void **state)
{
	struct stat st;

	(void)state;
	text_is(topfd, "canary", "alive");
	text_is(topfd, "cage/bird", "sings");
	assert_int_equal(fstatat(topfd, "canary", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0644);
	assert_int_equal(st.st_nlink, 1);
	assert_int_equal(count_entries(topfd), 3);
	close(dfd);
	close(topfd);
	assert_int_equal(dir_remove_all(AT_FDCWD, top, NULL), 0);
	free(top);
	return 0;
}

/* ---- feeding and looking ---- */

struct feed {
	const char *p;
	size_t n, piece;
	int fail_with; /* at the end, instead of an end */
};

static ssize_t feed_read(void *arg, const void **buf, struct err *e)
{
	struct feed *f = arg;
	size_t n = f->n < f->piece ? f->n : f->piece;

	if (n == 0 && f->fail_with)
		return err_set(e, f->fail_with, "the line is dead");
	*buf = f->p;
	f->p += n;
	f->n -= n;
	return (ssize_t)n;
}

static int unpack_limited(const struct str *t, size_t piece, const struct unpack_limits *limits)
{
	struct feed f = { t->s, t->len, piece, 0 };

	return unpack_layer(dfd, feed_read, &f, limits, &res, &err);
}

/* Ends the archive and unpacks it; it must succeed. */
static void unpack_good(struct str *t)
{
	tar_end(t);
	if (unpack_limited(t, 65536, NULL) != 0)
		fail_msg("%s", err.msg);
	str_free(t);
}

/* The same, but it must be refused with this code and a sentence that has `word` in it. */
static void unpack_bad(struct str *t, int code, const char *word)
{
	tar_end(t);
	assert_int_equal(unpack_limited(t, 65536, NULL), -code);
	if (strstr(err.msg, word) == NULL)
		fail_msg("\"%s\" lacks \"%s\"", err.msg, word);
	str_free(t);
}

static bool missing(const char *name)
{
	return faccessat(dfd, name, F_OK, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT;
}

static struct stat host_stat(const char *name)
{
	struct stat st;

	if (fstatat(dfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		fail_msg("%s: %s", name, strerror(errno));
	return st;
}

static ssize_t xattr_of(const char *name, const char *key, char *buf, size_t n)
{
	own_free char *path = xasprintf("%s/layer/%s", top, name);
	ssize_t got = lgetxattr(path, key, buf, n - 1);

	if (got >= 0)
		buf[got] = 0;
	return got;
}

static void xattr_is(const char *name, const char *key, const char *want)
{
	char buf[256];

	if (want == NULL) {
		assert_int_equal(xattr_of(name, key, buf, sizeof(buf)), -1);
		return;
	}
	assert_true(xattr_of(name, key, buf, sizeof(buf)) >= 0);
	assert_string_equal(buf, want);
}

/* What the guest will see: owner, type and mode, as "uid:gid:mode" with the type's bits. */
static void guest_is(const char *name, unsigned uid, unsigned gid, unsigned mode)
{
	struct stat host = host_stat(name);
	struct layer_stat st = { 0, 0, host.st_mode, 0, 0 };
	char buf[LAYER_STAT_MAX];
	ssize_t n = xattr_of(name, LAYER_XATTR_STAT, buf, sizeof(buf));

	if (n >= 0)
		assert_true(layer_stat_parse(buf, (size_t)n, host.st_mode, &st));
	assert_int_equal(st.uid, uid);
	assert_int_equal(st.gid, gid);
	if (!S_ISLNK(st.mode))
		assert_int_equal(st.mode, mode);
	else
		assert_true(S_ISLNK(mode));
	assert_true(S_ISLNK(host.st_mode) || (host.st_mode & 0600) == 0600);
	assert_int_equal(host.st_mode & 07000, 0);
}

static bool is_whiteout(const char *name)
{
	char buf[LAYER_STAT_MAX];
	struct layer_stat st;
	ssize_t n = xattr_of(name, LAYER_XATTR_STAT, buf, sizeof(buf));

	return n > 0 && layer_stat_parse(buf, (size_t)n, S_IFREG, &st) &&
	       layer_stat_is_whiteout(&st);
}

static void link_is(const char *name, const char *want)
{
	char buf[256];
	ssize_t n = readlinkat(dfd, name, buf, sizeof(buf) - 1);

	assert_true(n > 0);
	buf[n] = 0;
	assert_string_equal(buf, want);
}

/* ---- faithful ---- */

static void test_modes_and_owners(void **state)
{
	struct str t = STR_INIT;

	(void)state;
	tar_dir(&t, "./", 0755);
	tar_file(&t, "./plain", 0644, "x");
	tar_file(&t, "exec", 0755, "x");
	tar_file(&t, "secret", 0, "x");
	tar_file(&t, "suid", 04755, "x");
	tar_add(&t, '0', "owned", &(struct tar_head){ .mode = 0640, .uid = 1000, .gid = 42 }, "hi",
		2);
	tar_add(&t, '5', "tmp/", &(struct tar_head){ .mode = 01777 }, NULL, 0);
	tar_add(&t, '5', "home", &(struct tar_head){ .mode = 0500, .uid = 7, .gid = 8 }, NULL, 0);
	tar_file(&t, "home/in", 0600, "inside");
	unpack_good(&t);
	guest_is("plain", 0, 0, S_IFREG | 0644);
	guest_is("exec", 0, 0, S_IFREG | 0755);
	guest_is("secret", 0, 0, S_IFREG | 0);
	guest_is("suid", 0, 0, S_IFREG | 04755);
	guest_is("owned", 1000, 42, S_IFREG | 0640);
	guest_is("tmp", 0, 0, S_IFDIR | 01777);
	guest_is("home", 7, 8, S_IFDIR | 0500);
	guest_is(".", 0, 0, S_IFDIR | 0755);
	xattr_is("plain", LAYER_XATTR_STAT, NULL);
	xattr_is("exec", LAYER_XATTR_STAT, NULL);
	xattr_is(".", LAYER_XATTR_IMPLIED, NULL);
	text_is(dfd, "home/in", "inside");
	text_is(dfd, "owned", "hi");
	assert_int_equal(res.size, 4 + 2 + 6);
	assert_int_equal(res.entries, 9);
}

static void test_umask(void **state)
{
	struct str t = STR_INIT;
	mode_t old = umask(077);

	(void)state;
	tar_file(&t, "a", 0666, "x");
	tar_dir(&t, "d", 0777);
	tar_file(&t, "implied/x", 0644, "x");
	unpack_good(&t);
	umask(old);
	assert_int_equal(host_stat("a").st_mode & 0777, 0666);
	assert_int_equal(host_stat("d").st_mode & 0777, 0777);
	assert_int_equal(host_stat("implied").st_mode & 0777, 0755);
	assert_int_equal(host_stat(".").st_mode & 0777, 0755);
}

static void test_kinds(void **state)
{
	struct str t = STR_INIT;
	char buf[64];

	(void)state;
	tar_symlink(&t, "ln", "../../etc/passwd");
	tar_add(&t, '2', "owned-ln", &(struct tar_head){ .uid = 5, .link = "target" }, NULL, 0);
	tar_file(&t, "file", 0644, "content");
	tar_hardlink(&t, "hard", "./file");
	tar_hardlink(&t, "hardlink-to-link", "/ln");
	tar_add(&t, '3', "null", &(struct tar_head){ .mode = 0666, .major = 1, .minor = 3 }, NULL,
		0);
	tar_add(&t, '4', "disk", &(struct tar_head){ .mode = 0660, .gid = 6, .major = 8 }, NULL, 0);
	tar_add(&t, '6', "fifo", &(struct tar_head){ .mode = 0600 }, NULL, 0);
	unpack_good(&t);
	link_is("ln", "../../etc/passwd");
	link_is("hardlink-to-link", "../../etc/passwd");
	assert_true(S_ISREG(host_stat("owned-ln").st_mode));
	guest_is("owned-ln", 5, 0, S_IFLNK | 0777);
	text_is(dfd, "owned-ln", "target");
	assert_int_equal(host_stat("file").st_ino, host_stat("hard").st_ino);
	guest_is("null", 0, 0, S_IFCHR | 0666);
	assert_true(xattr_of("null", LAYER_XATTR_STAT, buf, sizeof(buf)) > 0);
	assert_string_equal(buf, "0:0:0666:char-1-3");
	assert_true(S_ISREG(host_stat("null").st_mode));
	guest_is("disk", 0, 6, S_IFBLK | 0660);
	guest_is("fifo", 0, 0, S_IFIFO | 0600);
}

static void test_xattrs(void **state)
{
	static const char cap[] =
		"\1\0\0\2\0\4\0\0\0\0\0\0\0\0\0\0\0\0\0"; /* 20 bytes with its NUL */
	struct str t = STR_INIT, r = STR_INIT;
	char buf[256];

	(void)state;
	tar_record(&r, "SCHILY.xattr.security.capability", cap, sizeof(cap));
	tar_record(&r, "SCHILY.xattr.user.\xff=", "v", 1);
	tar_records(&t, &r);
	tar_file(&t, "ping", 0755, "x");
	tar_pax(&t, "SCHILY.xattr.user.overlay.opaque", "y", 1);
	tar_dir(&t, "d", 0755);
	tar_pax(&t, "SCHILY.xattr.user.on-link", "z", 1);
	tar_symlink(&t, "ln", "target");
	tar_pax(&t, "SCHILY.xattr.user.containers.override_stat", "6:6:0777", 8);
	tar_file(&t, "forged", 0644, "x");
	unpack_good(&t);
	str_free(&r);
	assert_int_equal(xattr_of("ping", LAYER_XATTR_PREFIX "security.capability", buf,
				  sizeof(buf)),
			 sizeof(cap));
	assert_memory_equal(buf, cap, sizeof(cap));
	xattr_is("d", LAYER_XATTR_PREFIX "user.overlay.opaque", "y");
	xattr_is("d", LAYER_XATTR_OPAQUE, NULL); /* what an archive says is the guest's own */
	xattr_is("ln", LAYER_XATTR_PREFIX "user.on-link", "z");
	guest_is("ln", 0, 0, S_IFLNK | 0777);
	text_is(dfd, "ln", "target");
	guest_is("forged", 0, 0, S_IFREG | 0644);
}

static void test_times(void **state)
{
	struct str t = STR_INIT;
	struct tar_head h = { .mode = 0755, .mtime = 1111111111 };

	(void)state;
	tar_add(&t, '5', "d/", &h, NULL, 0);
	tar_add(&t, '5', "d/e/", &h, NULL, 0);
	tar_pax(&t, "mtime", "1234567890.123456789", 20);
	tar_file(&t, "d/e/f", 0644, "x");
	tar_add(&t, '2', "d/ln", &(struct tar_head){ .mtime = 999, .link = "f" }, NULL, 0);
	tar_add(&t, '6', "d/fifo", &(struct tar_head){ .mode = 0644, .mtime = 998 }, NULL, 0);
	tar_pax(&t, "mtime", "5000000000", 10);
	tar_file(&t, "future", 0644, "x");
	tar_add(&t, '5', "./", &(struct tar_head){ .mode = 0755, .mtime = 77 }, NULL, 0);
	unpack_good(&t);
	assert_int_equal(host_stat("d").st_mtim.tv_sec, 1111111111);
	assert_int_equal(host_stat("d/e").st_mtim.tv_sec, 1111111111);
	assert_int_equal(host_stat("d/e/f").st_mtim.tv_sec, 1234567890);
	assert_int_equal(host_stat("d/e/f").st_mtim.tv_nsec, 123456789);
	assert_int_equal(host_stat("d/ln").st_mtim.tv_sec, 999);
	assert_int_equal(host_stat("d/fifo").st_mtim.tv_sec, 998);
	assert_int_equal(host_stat("future").st_mtim.tv_sec, 5000000000);
	assert_int_equal(host_stat(".").st_mtim.tv_sec, 77);
}

/* So many folders, and so long paths, that their times no longer stay in memory. */
static void test_times_of_many_folders(void **state)
{
	struct str t = STR_INIT;
	char parent[1000] = "", path[1100];

	(void)state;
	for (int i = 0; i < 9; i++)
		snprintf(parent + strlen(parent), sizeof(parent) - strlen(parent), "%0100d/", i);
	for (int i = 0; i < 1500; i++) {
		snprintf(path, sizeof(path), "%s%d/", parent, i);
		tar_pax(&t, "path", path, strlen(path));
		tar_add(&t, '5', "x", &(struct tar_head){ .mode = 0755, .mtime = 1000 + i }, NULL,
			0);
		strcat(path, "f");
		tar_pax(&t, "path", path, strlen(path));
		tar_file(&t, "x", 0644, "");
	}
	unpack_good(&t);
	for (int i = 0; i < 1500; i += 50) {
		snprintf(path, sizeof(path), "%s%d", parent, i);
		assert_int_equal(host_stat(path).st_mtim.tv_sec, 1000 + i);
	}
}

static void test_names(void **state)
{
	char longest[256], deep[2000] = "", path[4096];
	struct str t = STR_INIT;

	(void)state;
	memset(longest, 'n', 255);
	longest[255] = 0;
	for (int i = 0; i < 100; i++)
		strcat(deep, "directory-name/");
	strcat(deep, "file");
	tar_file(&t, "latin\xe9\xff", 0644, "1");
	tar_file(&t, "._mac", 0644, "2");
	tar_pax(&t, "path", longest, 255);
	tar_file(&t, "short", 0644, "3");
	tar_pax(&t, "path", deep, strlen(deep));
	tar_file(&t, "short", 0644, "4");
	tar_pax(&t, "path", "gr\xc3\xbc\xc3\x9f/\xf0\x9f\x98\x80", 11);
	tar_file(&t, "short", 0644, "5");
	tar_pax(&t, "path", "bad\xc3\x28utf8", 9);
	tar_file(&t, "short", 0644, "6");
	tar_file(&t, "//slashes///in/./it", 0644, "7");
	tar_file(&t, " spaces \n", 0644, "8");
	unpack_good(&t);
	text_is(dfd, "latin\xe9\xff", "1");
	text_is(dfd, "._mac", "2");
	text_is(dfd, longest, "3");
	text_is(dfd, "gr\xc3\xbc\xc3\x9f/\xf0\x9f\x98\x80", "5");
	text_is(dfd, "bad\xc3\x28utf8", "6");
	text_is(dfd, "slashes/in/it", "7");
	text_is(dfd, " spaces \n", "8");
	snprintf(path, sizeof(path), "%s", deep);
	text_is(dfd, path, "4");
	xattr_is("slashes", LAYER_XATTR_IMPLIED, "y");
	xattr_is("slashes/in", LAYER_XATTR_IMPLIED, "y");
	xattr_is(".", LAYER_XATTR_IMPLIED, "y");
}

static void test_sparse(void **state)
{
	/* GNU's format 1.0: the map stands in front of the data: one piece of 4 bytes at 1 MiB */
	static const char map[512] = "1\n1048576\n4\n";
	struct str t = STR_INIT, r = STR_INIT, data = STR_INIT;
	struct stat st;
	char buf[4];
	int fd;

	(void)state;
	tar_record(&r, "GNU.sparse.major", "1", 1);
	tar_record(&r, "GNU.sparse.minor", "0", 1);
	tar_record(&r, "GNU.sparse.name", "holes", 5);
	tar_record(&r, "GNU.sparse.realsize", "4194304", 7);
	tar_records(&t, &r);
	str_add_mem(&data, map, sizeof(map));
	str_add(&data, "DATA");
	tar_add(&t, '0', "GNUSparseFile.0/holes", &(struct tar_head){ .mode = 0644 }, data.s,
		data.len);
	unpack_good(&t);
	str_free(&r);
	str_free(&data);
	st = host_stat("holes");
	assert_int_equal(st.st_size, 4194304);
	assert_true(st.st_blocks * 512 < 1 << 20);
	fd = openat(dfd, "holes", O_RDONLY | O_CLOEXEC);
	assert_int_equal(pread(fd, buf, 4, 1 << 20), 4);
	assert_memory_equal(buf, "DATA", 4);
	close(fd);
	assert_int_equal(res.size, 4194304);
}

static void test_duplicates(void **state)
{
	struct str t = STR_INIT;

	(void)state;
	tar_file(&t, "a", 0644, "first and longer");
	tar_hardlink(&t, "a-link", "a");
	tar_file(&t, "a", 0600, "second");
	tar_dir(&t, "d", 0755);
	tar_file(&t, "d/x/y", 0644, "x");
	tar_add(&t, '5', "d", &(struct tar_head){ .mode = 0700, .uid = 3 }, NULL, 0);
	tar_dir(&t, "was-dir", 0755);
	tar_file(&t, "was-dir/gone", 0644, "x");
	tar_file(&t, "was-dir", 0644, "now a file");
	tar_file(&t, "was-file", 0644, "x");
	tar_dir(&t, "was-file", 0711);
	tar_file(&t, "was-file/in", 0644, "in");
	tar_symlink(&t, "s", "../canary");
	tar_file(&t, "s", 0644, "not through the link");
	tar_dir(&t, "to-link", 0755);
	tar_symlink(&t, "to-link", "../cage");
	tar_symlink(&t, "to-link", "../cage2");
	tar_hardlink(&t, "a", "a"); /* onto itself: stays */
	unpack_good(&t);
	text_is(dfd, "a", "second");
	text_is(dfd, "a-link", "first and longer");
	assert_int_equal(host_stat("a").st_mode & 0777, 0600);
	text_is(dfd, "d/x/y", "x");
	guest_is("d", 3, 0, S_IFDIR | 0700);
	text_is(dfd, "was-dir", "now a file");
	text_is(dfd, "was-file/in", "in");
	guest_is("was-file", 0, 0, S_IFDIR | 0711);
	text_is(dfd, "s", "not through the link");
	link_is("to-link", "../cage2");
}

static void test_whiteouts(void **state)
{
	struct str t = STR_INIT;

	(void)state;
	tar_file(&t, ".wh.gone", 0, "");
	tar_file(&t, "usr/lib/.wh.libx", 0, "content that nobody reads");
	tar_dir(&t, "opaque", 0755);
	tar_file(&t, "opaque/.wh..wh..opq", 0, "");
	tar_file(&t, "opaque/kept", 0644, "kept");
	tar_file(&t, ".wh..wh.aufs", 0, "");
	tar_file(&t, ".wh..wh.plnk/1.2", 0, "");
	/* a whiteout and the same name anew: the new one, and what was below is hidden */
	tar_file(&t, ".wh.again", 0, "");
	tar_dir(&t, "again", 0755);
	tar_dir(&t, "before", 0755);
	tar_file(&t, "before/x", 0644, "x");
	tar_file(&t, ".wh.before", 0, "");
	tar_file(&t, ".wh.file", 0, "");
	tar_file(&t, "file", 0644, "new");
	tar_file(&t, ".wh.file", 0, "");
	tar_file(&t, ".wh.implied", 0, "");
	tar_file(&t, "implied/x", 0644, "x");
	unpack_good(&t);
	assert_true(is_whiteout("gone"));
	assert_int_equal(host_stat("gone").st_size, 0);
	assert_true(is_whiteout("usr/lib/libx"));
	assert_int_equal(host_stat("usr/lib/libx").st_size, 0);
	xattr_is("opaque", LAYER_XATTR_OPAQUE, "y");
	text_is(dfd, "opaque/kept", "kept");
	assert_true(missing("opaque/.wh..wh..opq"));
	assert_true(missing(".wh..wh.aufs"));
	assert_true(missing(".wh..wh.plnk"));
	xattr_is("again", LAYER_XATTR_OPAQUE, "y");
	guest_is("again", 0, 0, S_IFDIR | 0755);
	xattr_is("before", LAYER_XATTR_OPAQUE, "y");
	text_is(dfd, "before/x", "x");
	text_is(dfd, "file", "new");
	xattr_is("implied", LAYER_XATTR_OPAQUE, "y");
	text_is(dfd, "implied/x", "x");
}

/* "lib" -> "usr/lib", then "lib/x": as a chroot would see it. */
static void test_through_links(void **state)
{
	struct str t = STR_INIT;

	(void)state;
	tar_dir(&t, "usr/lib", 0755);
	tar_symlink(&t, "lib", "usr/lib");
	tar_file(&t, "lib/a", 0644, "a");
	tar_symlink(&t, "abs", "/usr/lib");
	tar_file(&t, "abs/b", 0644, "b");
	tar_symlink(&t, "usr/up", "../../../lib/new/./");
	tar_file(&t, "usr/up/c", 0644, "c");
	tar_add(&t, '2', "owned", &(struct tar_head){ .uid = 9, .link = "/usr" }, NULL, 0);
	tar_file(&t, "owned/d", 0644, "d");
	tar_hardlink(&t, "e", "owned/lib/a");
	tar_file(&t, "lib/.wh.f", 0644, "");
	unpack_good(&t);
	text_is(dfd, "usr/lib/a", "a");
	text_is(dfd, "usr/lib/b", "b");
	text_is(dfd, "usr/lib/new/c", "c");
	text_is(dfd, "usr/d", "d");
	text_is(dfd, "e", "a");
	assert_true(is_whiteout("usr/lib/f"));
	link_is("lib", "usr/lib");
}

/* ---- hostile ---- */

static void test_dotdot(void **state)
{
	static const char *const names[] = { "../canary", "a/../../canary", "..", "a/..",
					     "/..",	  "./../cage/bird" };

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct str t = STR_INIT;

		tar_file(&t, names[i], 0644, "escaped");
		unpack_bad(&t, EBADMSG, "\"..\"");
		tar_dir(&t, names[i], 0777);
		unpack_bad(&t, EBADMSG, "\"..\"");
		tar_symlink(&t, names[i], "x");
		unpack_bad(&t, EBADMSG, "\"..\"");
		tar_file(&t, "x", 0644, "x");
		tar_hardlink(&t, names[i], "x");
		unpack_bad(&t, EBADMSG, "\"..\"");
		tar_hardlink(&t, "y", names[i]);
		unpack_bad(&t, EBADMSG, "\"..\"");
	}
}

static void test_absolute(void **state)
{
	own_free char *name = xasprintf("%s/canary", top);
	struct str t = STR_INIT;

	(void)state;
	tar_file(&t, name, 0600, "inside");
	unpack_good(&t);
	text_is(dfd, name + 1, "inside");
}

static void test_links_out(void **state)
{
	own_free char *cage = xasprintf("%s/cage", top);
	struct str t = STR_INIT;
	char bird[256];

	(void)state;
	tar_symlink(&t, "out", "../cage");
	tar_symlink(&t, "abs", cage);
	tar_symlink(&t, "root", "/");
	tar_symlink(&t, "up", "..");
	tar_symlink(&t, "twice", "out");
	tar_file(&t, "out/bird", 0644, "dead");
	tar_file(&t, "abs/bird", 0644, "dead");
	tar_file(&t, "up/canary", 0644, "dead");
	tar_file(&t, "twice/x", 0644, "dead");
	tar_file(&t, "root/root2", 0644, "x");
	tar_dir(&t, "out", 0700); /* replaces the link, not what it names */
	tar_file(&t, "out/.wh..wh..opq", 0644, "");
	unpack_good(&t);
	text_is(dfd, "cage/bird", "dead");
	snprintf(bird, sizeof(bird), "%s/bird", cage + 1);
	text_is(dfd, bird, "dead");
	text_is(dfd, "canary", "dead");
	text_is(dfd, "root2", "x");
}

static void test_hard_links_out(void **state)
{
	own_free char *canary = xasprintf("%s/canary", top);
	struct str t = STR_INIT;

	(void)state;
	tar_hardlink(&t, "x", canary);
	unpack_bad(&t, EBADMSG, "which the layer does not have");
	tar_symlink(&t, "out", "..");
	tar_hardlink(&t, "x", "out/canary");
	unpack_bad(&t, EBADMSG, "which the layer does not have");
	/* a hard link to a symlink is the symlink; writing "through" it replaces it */
	tar_symlink(&t, "s", "../canary");
	tar_hardlink(&t, "h", "s");
	tar_file(&t, "h", 0600, "dead");
	unpack_good(&t);
	text_is(dfd, "h", "dead");
	tar_dir(&t, "dir", 0755);
	tar_hardlink(&t, "x", "dir");
	unpack_bad(&t, EBADMSG, "which is no file");
	tar_hardlink(&t, "x", "/");
	unpack_bad(&t, EBADMSG, "which is no file");
	tar_hardlink(&t, "x", "nothing");
	unpack_bad(&t, EBADMSG, "which the layer does not have");
	tar_file(&t, ".wh.hidden", 0, "");
	tar_hardlink(&t, "x", "hidden");
	unpack_bad(&t, EBADMSG, "which the layer does not have");
	/* the way to the target is what the link replaces */
	tar_dir(&t, "own", 0755);
	tar_file(&t, "own/target", 0644, "x");
	tar_hardlink(&t, "own", "own/target");
	unpack_bad(&t, EBADMSG, "which the layer does not have");
}

static void test_link_loops(void **state)
{
	struct str t = STR_INIT;

	(void)state;
	tar_symlink(&t, "a", "b");
	tar_symlink(&t, "b", "a");
	tar_file(&t, "a/x", 0644, "x");
	unpack_bad(&t, EBADMSG, "too many symlinks");
	tar_symlink(&t, "c", "c/c/c/c");
	tar_file(&t, "c/x", 0644, "x");
	unpack_bad(&t, EBADMSG, "too many symlinks");
	tar_file(&t, "f", 0644, "x");
	tar_file(&t, "f/x", 0644, "x");
	unpack_bad(&t, EBADMSG, "which is no folder");
	tar_add(&t, '6', "fifo", &(struct tar_head){ 0 }, NULL, 0);
	tar_file(&t, "fifo/x", 0644, "x");
	unpack_bad(&t, EBADMSG, "which is no folder");
}

/* A folder's time is set at the end: by then its path may be a link. */
static void test_times_through_replaced_folder(void **state)
{
	struct timespec before = host_stat("../cage").st_mtim;
	struct str t = STR_INIT;

	(void)state;
	tar_add(&t, '5', "a", &(struct tar_head){ .mode = 0755, .mtime = 55 }, NULL, 0);
	tar_add(&t, '5', "a/cage", &(struct tar_head){ .mode = 0755, .mtime = 55 }, NULL, 0);
	tar_symlink(&t, "a", "..");
	unpack_good(&t);
	assert_int_equal(host_stat("../cage").st_mtim.tv_sec, before.tv_sec);
	link_is("a", "..");
}

static void test_odd_entries(void **state)
{
	struct str t = STR_INIT;

	(void)state;
	tar_file(&t, ".wh.", 0, "");
	unpack_bad(&t, EBADMSG, "whiteout of no name");
	tar_file(&t, ".wh...", 0, "");
	unpack_bad(&t, EBADMSG, "whiteout of no name");
	tar_file(&t, "./.", 0644, "x");
	unpack_bad(&t, EBADMSG, "root folder");
	tar_symlink(&t, "/", "x");
	unpack_bad(&t, EBADMSG, "root folder");
	tar_symlink(&t, "empty", "");
	unpack_bad(&t, EBADMSG, "target of 0 bytes");
	tar_pax(&t, "uid", "4294967296", 10);
	tar_file(&t, "x", 0644, "x");
	unpack_bad(&t, EBADMSG, "owner beyond 32 bits");
	/* what is said of names must not reach a terminal as it is */
	tar_file(&t, "\x1b]0;owned\x07/..", 0644, "x");
	unpack_bad(&t, EBADMSG, "\\x1b]0;owned\\x07");
}

static void test_too_long(void **state)
{
	struct str t = STR_INIT;
	char path[8192] = "";

	(void)state;
	memset(path, 'n', 256);
	tar_pax(&t, "path", path, 256);
	tar_file(&t, "x", 0644, "x");
	unpack_bad(&t, EBADMSG, "a name of 256 bytes");
	*path = 0;
	for (int i = 0; i < 2050; i++)
		strcat(path, "ab/");
	tar_pax(&t, "path", path, strlen(path));
	tar_file(&t, "x", 0644, "x");
	unpack_bad(&t, EBADMSG, "longer than 4095 bytes");
	*path = 0;
	for (int i = 0; i < 600; i++)
		strcat(path, "a/");
	tar_pax(&t, "path", path, strlen(path));
	tar_dir(&t, "x", 0755);
	unpack_bad(&t, EFBIG, "deeper than 512 folders");
	*path = 0;
	for (int i = 0; i < 500; i++)
		strcat(path, "a/");
	tar_pax(&t, "path", path, strlen(path));
	tar_dir(&t, "x", 0755);
	strcat(path, "f");
	tar_pax(&t, "path", path, strlen(path));
	tar_file(&t, "x", 0644, "deep");
	unpack_good(&t);
}

/* ---- bombs ---- */

static void test_limits(void **state)
{
	struct str t = STR_INIT;
	char name[32];

	(void)state;
	for (int i = 0; i < 20; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		tar_file(&t, name, 0644, "0123456789");
	}
	tar_end(&t);
	assert_int_equal(unpack_limited(&t, 4096, &(struct unpack_limits){ .entries = 19 }),
			 -EFBIG);
	assert_non_null(strstr(err.msg, "more than 19 entries"));
	assert_int_equal(unpack_limited(&t, 4096, &(struct unpack_limits){ .bytes = 20000 }),
			 -EFBIG);
	assert_non_null(strstr(err.msg, "larger than 20000 bytes"));
	assert_int_equal(unpack_limited(&t, 4096, &(struct unpack_limits){ .entries = 20 }), 0);
	str_free(&t);
	/* a sparse file of an exabyte costs nothing to store, but to read */
	tar_pax(&t, "GNU.sparse.realsize", "1152921504606846976", 19);
	tar_pax(&t, "GNU.sparse.map", "0,0", 3);
	tar_file(&t, "huge", 0644, "");
	tar_end(&t);
	unpack_limited(&t, 4096, NULL);
	assert_true(missing("huge") || host_stat("huge").st_size < INT64_C(1) << 40);
	str_free(&t);
}

static void test_compression_bomb(void **state)
{
	const size_t step = 64 << 20;
	own_free char *zeros = xcalloc(1, step);
	struct str t = STR_INIT, packed = STR_INIT;

	(void)state;
	tar_file(&t, "x", 0644, "x");
	tar_end(&t);
	pack('z', t.s, t.len, &packed);
	for (int i = 0; i < 18; i++) /* after the end mark: nothing comes on the disk */
		pack('z', zeros, step, &packed);
	assert_int_equal(unpack_limited(&packed, 1024, NULL), -EFBIG);
	assert_non_null(strstr(err.msg, "compression bomb"));
	str_free(&t);
	str_free(&packed);
}

/* A map of a sparse file, or a chain of headers, that would not end. */
static void test_header_bombs(void **state)
{
	struct str t = STR_INIT, data = STR_INIT, r = STR_INIT;
	const int pieces = 3000000;

	(void)state;
	str_addf(&data, "%d\n", pieces);
	for (int i = 0; i < pieces; i++)
		str_add(&data, "0\n0\n");
	tar_record(&r, "GNU.sparse.major", "1", 1);
	tar_record(&r, "GNU.sparse.minor", "0", 1);
	tar_record(&r, "GNU.sparse.name", "holes", 5);
	tar_record(&r, "GNU.sparse.realsize", "4096", 4);
	tar_records(&t, &r);
	tar_add(&t, '0', "x", &(struct tar_head){ .mode = 0644 }, data.s, data.len);
	unpack_bad(&t, EFBIG, "bytes of headers");
	str_free(&data);
	str_free(&r);
	for (int i = 0; i < 5000; i++)
		tar_pax(&t, "comment", "x", 1);
	tar_file(&t, "x", 0644, "x");
	unpack_bad(&t, EBADMSG, "damaged");
}

static void test_many_entries(void **state)
{
	/* A tenth where the quick tests are wanted: nothing takes longer. */
	const int entries = getenv("QUICK") ? 10000 : 100000;
	struct str t = STR_INIT;
	char name[64];

	(void)state;
	for (int i = 0; i < entries; i++) {
		snprintf(name, sizeof(name), "a/b/c/d/e/f/g/h/%d/%d", i % 100, i);
		tar_file(&t, name, 0644, "");
	}
	unpack_good(&t);
	assert_int_equal(res.entries, entries);
	snprintf(name, sizeof(name), "a/b/c/d/e/f/g/h/99/%d", entries - 1);
	text_is(dfd, name, "");
}

/* ---- packing, damage ---- */

static void sample(struct str *t)
{
	own_free char *big = xmalloc(700000);

	for (uint32_t i = 0, x = 1; i < 700000; i++) {
		x = x * 1664525 + 1013904223; /* nothing that packs well */
		big[i] = (char)(x >> 24);
	}
	tar_file(t, "small", 0644, "small");
	tar_add(t, '0', "big", &(struct tar_head){ .mode = 0644 }, big, 700000);
	tar_end(t);
	str_add(t, "after the end"); /* counts for the diff id */
}

static void packed_ok(const struct str *packed, const struct str *t, size_t piece)
{
	struct digest want;

	digest_of(t->s, t->len, &want);
	if (unpack_limited(packed, piece, NULL) != 0)
		fail_msg("%s", err.msg);
	assert_true(digest_equal(&res.diff_id, &want));
	assert_int_equal(res.packed, packed->len);
	assert_int_equal(res.bytes, t->len);
	assert_int_equal(host_stat("big").st_size, 700000);
	text_is(dfd, "small", "small");
}

static void test_packings(void **state)
{
	struct str t = STR_INIT;

	(void)state;
	sample(&t);
	packed_ok(&t, &t, 1 << 20);
	packed_ok(&t, &t, 7);
	for (const char *how = "gzxb"; *how; how++) {
		struct str p = STR_INIT;

		pack(*how, t.s, t.len, &p);
		packed_ok(&p, &t, 1 << 20);
		packed_ok(&p, &t, 1);
		str_free(&p);
		/* in two streams, the second one again in two */
		pack(*how, t.s, 300001, &p);
		pack(*how, t.s + 300001, 1, &p);
		pack(*how, t.s + 300002, t.len - 300002, &p);
		packed_ok(&p, &t, 1000);
		str_free(&p);
	}
	str_free(&t);
}

static void test_zeros_behind_gzip(void **state)
{
	struct str t = STR_INIT, p = STR_INIT;
	static const char zeros[1000];

	(void)state;
	sample(&t);
	pack('g', t.s, t.len, &p);
	str_add_mem(&p, zeros, sizeof(zeros));
	packed_ok(&p, &t, 512);
	str_add(&p, "garbage");
	assert_int_equal(unpack_limited(&p, 512, NULL), -EBADMSG);
	str_free(&t);
	str_free(&p);
}

static void test_damage(void **state)
{
	struct str t = STR_INIT;

	(void)state;
	sample(&t);
	for (const char *how = "gzxb"; *how; how++) {
		struct str p = STR_INIT;

		pack(*how, t.s, t.len, &p);
		p.len -= 5;
		assert_int_equal(unpack_limited(&p, 4096, NULL), -EBADMSG);
		assert_non_null(strstr(err.msg, "cut short"));
		p.len /= 2;
		assert_int_equal(unpack_limited(&p, 4096, NULL), -EBADMSG);
		/* what is no block of the format any more */
		memset(p.s + p.len / 2, 0xa5, 2000);
		assert_int_equal(unpack_limited(&p, 4096, NULL), -EBADMSG);
		str_free(&p);
	}
	t.len = 300000;
	assert_int_equal(unpack_limited(&t, 4096, NULL), -EBADMSG);
	assert_non_null(strstr(err.msg, "tar archive is damaged"));
	t.len = 700;
	assert_int_equal(unpack_limited(&t, 4096, NULL), -EBADMSG);
	memset(t.s, 'x', 512);
	assert_int_equal(unpack_limited(&t, 4096, NULL), -EBADMSG);
	str_free(&t);
	/* a damaged header is not passed over, with all it stands for */
	tar_file(&t, "a", 0644, "a");
	tar_file(&t, "b", 0644, "b");
	t.s[1024 + 50] ^= 1;
	unpack_bad(&t, EBADMSG, "tar archive is damaged");
}

static void test_no_entries(void **state)
{
	struct str t = STR_INIT;

	(void)state;
	str_add(&t, "");
	assert_int_equal(unpack_limited(&t, 4096, NULL), 0);
	assert_int_equal(res.entries, 0);
	tar_end(&t);
	assert_int_equal(unpack_limited(&t, 4096, NULL), 0);
	str_free(&t);
	assert_int_equal(count_entries(dfd), 0);
}

static void test_reader_fails(void **state)
{
	struct str t = STR_INIT;
	struct feed f;

	(void)state;
	sample(&t);
	for (size_t n = 0; n < t.len; n += 100001) {
		f = (struct feed){ t.s, n, 4096, ETIMEDOUT };
		assert_int_equal(unpack_layer(dfd, feed_read, &f, NULL, &res, &err), -ETIMEDOUT);
		assert_string_equal(err.msg, "the line is dead");
	}
	str_free(&t);
}

/* A disk that takes no more; the same way a full one fails. */
static void test_write_fails(void **state)
{
	struct rlimit old, small;
	struct str t = STR_INIT;
	int rc;

	(void)state;
	sample(&t);
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	small = old;
	small.rlim_cur = 400000;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	rc = unpack_limited(&t, 4096, NULL);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_int_equal(rc, -EFBIG);
	assert_non_null(strstr(err.msg, "write big: File too large"));
	str_free(&t);
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

/* thorough: with what takes long, and is the same for everybody. */
static int run(bool thorough)
{
	const struct CMUnitTest tests[] = {
		T(test_modes_and_owners),
		T(test_umask),
		T(test_kinds),
		T(test_xattrs),
		T(test_times),
		T(test_times_of_many_folders),
		T(test_names),
		T(test_sparse),
		T(test_duplicates),
		T(test_whiteouts),
		T(test_through_links),
		T(test_dotdot),
		T(test_absolute),
		T(test_links_out),
		T(test_hard_links_out),
		T(test_link_loops),
		T(test_times_through_replaced_folder),
		T(test_odd_entries),
		T(test_too_long),
		T(test_limits),
		T(test_packings),
		T(test_zeros_behind_gzip),
		T(test_damage),
		T(test_no_entries),
		T(test_reader_fails),
		T(test_write_fails),
	};
	const struct CMUnitTest long_tests[] = {
		T(test_compression_bomb),
		T(test_header_bombs),
		T(test_many_entries),
	};

	if (thorough && cmocka_run_group_tests(long_tests, NULL, NULL))
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Root first tries it all as an ordinary user. */
int main(void)
{
	int status = 0;
	pid_t child;

	if (geteuid() == 0) {
		child = fork();
		if (child == 0)
			_exit(setgid(65534) || setuid(65534) ? 1 : run(false));
		if (child < 0 || waitpid(child, &status, 0) < 0)
			return 1;
	}
	return run(true) || status;
}
