/* test_fuse_bind.c: folders of the host as shares, by FUSE requests; as root and as nobody. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "runtime/base/layer.h"
#include "runtime/base/str.h"
#include "tests/unit/fuse_client.h"

struct world {
	char place[256], host[300];
	struct client c;
};

static void world_open(struct world *w, const char *only, bool read_only)
{
	struct fuse_share share = {
		.name = "0", .path = w->host, .only = only, .read_only = read_only
	};
	struct err e = ERR_INIT;
	struct fuse *f = fuse_new(&share, 1, &e);

	if (f == NULL)
		fail_msg("%s", e.msg);
	client_start(&w->c, f, "0");
	assert_int_not_equal(w->c.root, 0);
}

static void world_reopen(struct world *w, const char *only, bool read_only)
{
	fuse_free(w->c.f);
	world_open(w, only, read_only);
}

static int setup(void **state)
{
	struct world *w = xcalloc(1, sizeof(*w));

	place_make(w->place, sizeof(w->place));
	snprintf(w->host, sizeof(w->host), "%s/host", w->place);
	put_file(w->host, "a", "a");
	put_file(w->host, "dir/b", "b");
	put_file(w->host, "dir/sub/c", "c");
	put_file(w->place, "secret", "secret");
	world_open(w, NULL, false);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	fuse_free(w->c.f);
	place_remove(w->place);
	free(w);
	return 0;
}

static struct fuse_attr attr_of(struct client *c, const char *path)
{
	struct fuse_attr a;

	assert_int_equal(client_stat(c, path, &a), 0);
	return a;
}

static struct stat host_stat(const struct world *w, const char *path)
{
	char full[400];
	struct stat st;

	snprintf(full, sizeof(full), "%s/%s", w->host, path);
	assert_int_equal(lstat(full, &st), 0);
	return st;
}

static void host_path(const struct world *w, const char *path, char *buf, size_t size)
{
	snprintf(buf, size, "%s/%s", w->host, path);
}

static void reads_and_lists(void **state)
{
	struct client *c = &((struct world *)*state)->c;
	struct fuse_entry_out e;
	char names[256];

	assert_text(c, "dir/sub/c", "c");
	assert_int_equal(client_list(c, "", names, sizeof(names)), 0);
	assert_string_equal(names, "a dir ");
	assert_int_equal(client_list_plus(c, "dir", names, sizeof(names), 300), 0);
	assert_string_equal(names, "b sub ");
	assert_int_equal(client_walk(c, "a", &e), 0);
	assert_int_equal(e.entry_valid, 0); /* others change it */
	assert_int_equal(e.attr_valid, 0);
	assert_int_equal(e.attr.uid, 0); /* ours is root's */
	assert_int_equal(client_lookup(c, c->root, "none", &e), -ENOENT);
	assert_false(c->init.flags & FUSE_WRITEBACK_CACHE);
	assert_true(c->init.flags & FUSE_AUTO_INVAL_DATA);
}

static void sees_the_host_change(void **state)
{
	struct world *w = *state;
	struct client *c = &w->c;
	uint64_t old = client_node(c, "a"), dir = client_node(c, "dir"), fh;
	char path[400], other[400], buf[16], names[64];
	struct fuse_attr a;

	assert_int_equal(client_open(c, old, O_RDONLY, &fh), 0);
	/* another file of the same name is another node */
	put_file(w->host, "tmp", "new a");
	host_path(w, "tmp", path, sizeof(path));
	host_path(w, "a", other, sizeof(other));
	assert_int_equal(rename(path, other), 0);
	assert_int_not_equal(client_node(c, "a"), old);
	assert_text(c, "a", "new a");
	/* what was open stays what it was */
	assert_int_equal(client_read_fh(c, old, fh, buf, sizeof(buf), 0), 1);
	assert_memory_equal(buf, "a", 1);
	assert_int_equal(client_getattr(c, old, &a), 0);
	assert_int_equal(a.nlink, 0);
	struct fuse_release_in rel = { .fh = fh };
	struct part p = PART(rel);
	assert_int_equal(client_call(c, FUSE_RELEASE, old, &p, 1, NULL, 0), 0);
	assert_int_equal(client_getattr(c, old, &a), -ESTALE);
	assert_int_equal(client_read_fh(c, old, fh, buf, sizeof(buf), 0), -EBADF);
	/* moved: the same node under its new name */
	host_path(w, "dir", path, sizeof(path));
	host_path(w, "moved", other, sizeof(other));
	assert_int_equal(rename(path, other), 0);
	assert_int_equal(client_node(c, "dir"), 0);
	assert_int_equal(client_node(c, "moved"), dir);
	assert_text(c, "moved/b", "b");
	put_file(w->host, "moved/added", "added");
	assert_int_equal(client_list(c, "moved", names, sizeof(names)), 0);
	assert_string_equal(names, "added b sub ");
}

/* The host moves a folder below one that was in it. */
static void folders_turned_inside_out(void **state)
{
	struct world *w = *state;
	struct client *c = &w->c;
	char a[400], b[400];

	assert_int_not_equal(client_node(c, "dir/sub"), 0);
	host_path(w, "dir/sub", a, sizeof(a));
	host_path(w, "sub", b, sizeof(b));
	assert_int_equal(rename(a, b), 0);
	host_path(w, "dir", a, sizeof(a));
	host_path(w, "sub/dir", b, sizeof(b));
	assert_int_equal(rename(a, b), 0);
	uint64_t sub = client_node(c, "sub");
	assert_int_not_equal(sub, 0);
	assert_text(c, "sub/dir/b", "b");
	/* the guest asks in the order in which it does harm */
	host_path(w, "sub/dir", a, sizeof(a));
	host_path(w, "dir", b, sizeof(b));
	assert_int_equal(rename(a, b), 0);
	host_path(w, "sub", a, sizeof(a));
	host_path(w, "dir/sub", b, sizeof(b));
	uint64_t dir = client_node(c, "dir");
	assert_int_equal(rename(a, b), 0);
	struct fuse_entry_out e;
	assert_int_equal(client_lookup(c, dir, "sub", &e), 0);
	assert_int_equal(e.nodeid, sub);
	assert_text(c, "dir/sub/c", "c");
}

static void makes_files_of_the_user(void **state)
{
	struct world *w = *state;
	struct client *c = &w->c;
	bool root = geteuid() == 0;
	struct fuse_attr a;
	char buf[64];
	uint64_t n, fh;

	c->uid = 1000;
	c->gid = 100;
	assert_int_equal(client_create(c, "f", 0640, NULL, &fh), 0);
	n = client_node(c, "f");
	assert_int_equal(client_write_fh(c, n, fh, "data", 4, 0, 0), 4);
	assert_int_equal(client_mkdir(c, "d", 0751), 0);
	assert_int_equal(client_symlink(c, "f", "s"), 0);
	assert_int_equal(client_mknod(c, "p", S_IFIFO | 0600, 0), 0);
	c->uid = c->gid = 0;
	world_reopen(w, NULL, false);
	a = attr_of(c, "f");
	assert_int_equal(a.uid, 1000);
	assert_int_equal(a.gid, 100);
	assert_int_equal(a.mode, S_IFREG | 0640);
	assert_int_equal(attr_of(c, "d").mode, S_IFDIR | 0751);
	assert_int_equal(attr_of(c, "d").uid, 1000);
	assert_int_equal(attr_of(c, "p").mode, S_IFIFO | 0600);
	assert_int_equal(client_readlink(c, "s", buf, sizeof(buf)), 1);
	assert_int_equal(host_stat(w, "f").st_uid, root ? 1000 : geteuid());
	assert_int_equal(host_stat(w, "f").st_mode, S_IFREG | 0640);
	assert_true(S_ISLNK(host_stat(w, "s").st_mode));
	assert_text(c, "f", "data");
}

static void never_makes_devices(void **state)
{
	struct world *w = *state;
	struct client *c = &w->c;
	struct fuse_attr a;
	uint64_t n, fh;

	assert_int_equal(client_mknod(c, "disk", S_IFBLK | 0666, 8 << 8), 0);
	assert_int_equal(client_mknod(c, "null", S_IFCHR | 0666, 1 << 8 | 3), 0);
	assert_true(S_ISREG(host_stat(w, "disk").st_mode));
	world_reopen(w, NULL, false);
	a = attr_of(c, "disk");
	assert_int_equal(a.mode, S_IFBLK | 0666);
	assert_int_equal(a.rdev, 8 << 8);
	n = client_node(c, "null");
	assert_int_equal(client_open(c, n, O_RDWR, &fh), -EINVAL);
	assert_int_equal(client_chown(c, "null", 1, 2), 0);
	assert_int_equal(attr_of(c, "null").uid, 1);
	assert_int_equal(attr_of(c, "null").mode, S_IFCHR | 0666);
}

static void opens_only_regular_files(void **state)
{
	struct world *w = *state;
	struct client *c = &w->c;
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	char path[400];
	uint64_t n, fh;
	int s;

	host_path(w, "fifo", path, sizeof(path));
	assert_int_equal(mkfifo(path, 0600), 0);
	host_path(w, "sock", path, sizeof(path));
	assert_true(strlen(path) < sizeof(sun.sun_path));
	strcpy(sun.sun_path, path);
	s = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(s, (struct sockaddr *)&sun, sizeof(sun)), 0);
	close(s);
	for (const char *const *name = (const char *const[]){ "fifo", "sock", NULL }; *name;
	     name++) {
		n = client_node(c, *name);
		assert_int_equal(client_open(c, n, O_RDONLY, &fh), -EINVAL);
		assert_int_equal(client_truncate(c, n, 0), -EINVAL);
	}
	/* a regular file that became a fifo: nobody waits for its other end */
	n = client_node(c, "a");
	host_path(w, "a", path, sizeof(path));
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(client_open(c, n, O_RDONLY, &fh), -ESTALE);
	assert_int_equal(client_truncate(c, n, 0), -ESTALE);
	if (geteuid() == 0) {
		host_path(w, "dev", path, sizeof(path));
		if (mknod(path, S_IFCHR | 0666, 1 << 8 | 5) == 0) {
			n = client_node(c, "dev");
			assert_int_equal(attr_of(c, "dev").mode, S_IFCHR | 0644);
			assert_int_equal(client_open(c, n, O_RDONLY, &fh), -EINVAL);
		}
	}
}

static void no_way_out(void **state)
{
	struct world *w = *state;
	struct client *c = &w->c;
	struct fuse_entry_out e;
	char path[400], buf[400];
	uint64_t n, fh;

	host_path(w, "out", path, sizeof(path));
	assert_int_equal(symlink("../secret", path), 0);
	host_path(w, "up", path, sizeof(path));
	assert_int_equal(symlink("..", path), 0);
	n = client_node(c, "out");
	assert_int_equal(client_open(c, n, O_RDWR, &fh), -EINVAL);
	assert_int_equal(client_lookup(c, client_node(c, "up"), "secret", &e), -ENOTDIR);
	assert_int_equal(client_lookup(c, c->root, "..", &e), -EINVAL);
	/* magic links of /proc lead nowhere */
	host_path(w, "fd", path, sizeof(path));
	assert_int_equal(symlink("/proc/self/fd/0", path), 0);
	assert_int_equal(client_open(c, client_node(c, "fd"), O_RDONLY, &fh), -EINVAL);
	/* a folder that became a symlink */
	n = client_node(c, "dir");
	client_list(c, "dir", buf, sizeof(buf));
	world_reopen(w, NULL, false);
	n = client_node(c, "dir/sub");
	host_path(w, "dir/sub", path, sizeof(path));
	host_path(w, "away", buf, sizeof(buf));
	assert_int_equal(rename(path, buf), 0);
	assert_int_equal(symlink("../..", path), 0);
	assert_int_equal(client_lookup(c, n, "secret", &e), -ENOENT);
	assert_int_equal(client_lookup(c, client_node(c, "dir/sub"), "secret", &e), -ENOTDIR);
}

static atomic_bool stop;

/* Swaps a folder and a symlink that leads out, as fast as it can. */
static void *swapper(void *arg)
{
	struct world *w = arg;
	char a[400], b[400];

	host_path(w, "flip", a, sizeof(a));
	host_path(w, "flop", b, sizeof(b));
	while (!atomic_load(&stop))
		renameat2(AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE);
	return NULL;
}

static void no_way_out_by_racing(void **state)
{
	struct world *w = *state;
	struct client *c = &w->c;
	struct fuse_entry_out e;
	char path[400];
	pthread_t t;
	int hits = 0;

	put_file(w->host, "flip/inside", "inside");
	host_path(w, "flop", path, sizeof(path));
	assert_int_equal(symlink("..", path), 0);
	atomic_store(&stop, false);
	assert_int_equal(pthread_create(&t, NULL, swapper, w), 0);
	for (int i = 0; i < 20000; i++) {
		uint64_t n = client_node(c, "flip");

		if (n && client_lookup(c, n, "secret", &e) == 0)
			hits++;
		if (n && client_lookup(c, n, "inside", &e) == 0) {
			char text[16];

			client_text(c, "flip/inside", text, sizeof(text));
			if (*text && strcmp(text, "inside") != 0)
				hits++;
		}
		if (n)
			client_forget(c, n, 1000);
	}
	atomic_store(&stop, true);
	pthread_join(t, NULL);
	assert_int_equal(hits, 0);
}

static void one_file_only(void **state)
{
	struct world *w = *state;
	struct client *c = &w->c;
	char names[64];
	uint64_t n, fh;

	world_reopen(w, "a", false);
	assert_int_equal(client_list(c, "", names, sizeof(names)), 0);
	assert_string_equal(names, "a ");
	assert_int_equal(client_node(c, "dir"), 0);
	assert_int_equal(client_create(c, "b", 0644, NULL, NULL), -EROFS);
	assert_int_equal(client_mkdir(c, "b", 0755), -EROFS);
	assert_int_equal(client_unlink(c, "a"), -EROFS);
	assert_int_equal(client_rename(c, "a", "b", 0), -EROFS);
	assert_int_equal(client_link(c, client_node(c, "a"), "b", NULL), -EROFS);
	n = client_node(c, "a");
	assert_int_equal(client_open(c, n, O_WRONLY | O_TRUNC, &fh), 0);
	assert_int_equal(client_write_fh(c, n, fh, "new", 3, 0, 0), 3);
	assert_text(c, "a", "new");
}

static void read_only(void **state)
{
	struct world *w = *state;
	struct client *c = &w->c;
	uint64_t n, fh;

	world_reopen(w, NULL, true);
	n = client_node(c, "a");
	assert_text(c, "a", "a");
	assert_int_equal(client_open(c, n, O_WRONLY, &fh), -EROFS);
	assert_int_equal(client_open(c, n, O_RDONLY | O_TRUNC, &fh), -EROFS);
	assert_int_equal(client_open(c, n, O_RDONLY, &fh), 0);
	assert_int_equal(client_write_fh(c, n, fh, "x", 1, 0, 0), -EROFS);
	assert_int_equal(client_truncate(c, n, 0), -EROFS);
	assert_int_equal(client_chmod(c, "a", 0600), -EROFS);
	assert_int_equal(client_create(c, "new", 0644, NULL, NULL), -EROFS);
	assert_int_equal(client_mkdir(c, "new", 0755), -EROFS);
	assert_int_equal(client_symlink(c, "t", "new"), -EROFS);
	assert_int_equal(client_mknod(c, "new", S_IFIFO, 0), -EROFS);
	assert_int_equal(client_unlink(c, "a"), -EROFS);
	assert_int_equal(client_rmdir(c, "dir"), -EROFS);
	assert_int_equal(client_rename(c, "a", "b", 0), -EROFS);
	assert_int_equal(client_link(c, n, "new", NULL), -EROFS);
	assert_int_equal(client_setxattr(c, n, "user.x", "y", 0), -EROFS);
	assert_int_equal(client_removexattr(c, n, "user.x"), -EROFS);
	assert_int_equal(host_stat(w, "a").st_size, 1);
}

static void changes_stick(void **state)
{
	struct world *w = *state;
	struct client *c = &w->c;
	bool root = geteuid() == 0;
	struct fuse_attr a;
	char path[400], buf[64];

	assert_int_equal(client_chown(c, "a", 12, 34), 0);
	assert_int_equal(client_chmod(c, "a", 04751), 0);
	assert_int_equal(client_chmod(c, "dir/b", 0400), 0);
	assert_int_equal(client_chmod(c, "dir", 01500), 0);
	world_reopen(w, NULL, false);
	a = attr_of(c, "a");
	assert_int_equal(a.uid, 12);
	assert_int_equal(a.gid, 34);
	assert_int_equal(a.mode, S_IFREG | 04751);
	assert_int_equal(attr_of(c, "dir").mode, S_IFDIR | 01500);
	assert_int_equal(attr_of(c, "dir/b").mode, S_IFREG | 0400);
	assert_int_equal(host_stat(w, "a").st_uid, root ? 12 : geteuid());
	assert_int_equal(host_stat(w, "a").st_mode, S_IFREG | (root ? 04751 : 0751));
	/* root in the guest is stopped by no mode, and the file is the host user's */
	assert_int_equal(client_create(c, "dir/new", 0, NULL, NULL), 0);
	assert_int_equal(client_truncate(c, client_node(c, "dir/b"), 0), 0);
	assert_int_equal(client_unlink(c, "dir/b"), 0);
	/* the host's chmod is the last word */
	host_path(w, "dir", path, sizeof(path));
	assert_int_equal(chmod(path, 0711), 0);
	assert_int_equal(attr_of(c, "dir").mode & 0777, 0711);
	assert_int_equal(client_setxattr(c, client_node(c, "a"), LAYER_XATTR_STAT, "0:0:0", 0),
			 -EPERM);
	assert_int_equal(client_setxattr(c, client_node(c, "a"), "user.mine", "m", 0), 0);
	assert_int_equal(client_setxattr(c, client_node(c, "a"), "trusted.x", "t", 0), 0);
	world_reopen(w, NULL, false);
	assert_int_equal(client_getxattr(c, client_node(c, "a"), "trusted.x", buf, 64), 1);
	assert_int_equal(client_getxattr(c, client_node(c, "a"), LAYER_XATTR_STAT, buf, 64),
			 -ENODATA);
	host_path(w, "a", path, sizeof(path));
	assert_int_equal(getxattr(path, "user.mine", buf, sizeof(buf)), 1);
	struct fuse_getxattr_in ask = { .size = 64 };
	struct part p = PART(ask);
	assert_int_equal(client_call(c, FUSE_LISTXATTR, client_node(c, "a"), &p, 1, buf, 64),
			 sizeof("user.mine") + sizeof("trusted.x"));
}

static void names_change(void **state)
{
	struct world *w = *state;
	struct client *c = &w->c;
	uint64_t a = client_node(c, "a"), b = client_node(c, "dir/b"), fh;
	char buf[16];

	assert_int_equal(client_rename(c, "a", "dir/b", RENAME_NOREPLACE), -EEXIST);
	assert_int_equal(client_rename(c, "a", "dir/b", RENAME_EXCHANGE), 0);
	assert_int_equal(client_node(c, "a"), b);
	assert_int_equal(client_node(c, "dir/b"), a);
	assert_int_equal(client_link(c, a, "l", NULL), 0);
	assert_int_equal(client_node(c, "l"), a);
	assert_int_equal(attr_of(c, "l").nlink, 2);
	assert_int_equal(client_unlink(c, "dir/b"), 0);
	assert_text(c, "l", "a");
	assert_int_equal(client_rmdir(c, "dir"), -ENOTEMPTY);
	assert_int_equal(client_unlink(c, "dir"), -EISDIR);
	/* open, and then removed */
	assert_int_equal(client_open(c, a, O_RDWR, &fh), 0);
	assert_int_equal(client_unlink(c, "l"), 0);
	assert_int_equal(client_write_fh(c, a, fh, "xyz", 3, 0, 0), 3);
	assert_int_equal(client_read_fh(c, a, fh, buf, 16, 0), 3);
	assert_int_equal(client_read_fh(c, b, fh, buf, 16, 0), -EBADF); /* another's handle */
	assert_int_equal(client_node(c, "l"), 0);
}

static void appends_with_the_host(void **state)
{
	struct world *w = *state;
	struct client *c = &w->c;
	uint64_t n = client_node(c, "a"), fh;

	assert_int_equal(client_open(c, n, O_WRONLY | O_APPEND, &fh), 0);
	put_file(w->host, "a", "host wrote ");
	/* the guest believes that the file is as long as it was */
	assert_int_equal(client_write_fh(c, n, fh, "guest", 5, 1, 0), 5);
	assert_text(c, "a", "host wrote guest");
}

/* So many folders that descriptors are closed; then the first is another folder on the host. */
static void folders_are_compared_when_opened_again(void **state)
{
	struct world *w = *state;
	struct client *c = &w->c;
	uint64_t dir = client_node(c, "dir");
	struct fuse_entry_out e;
	char path[400], away[400], name[32];

	assert_int_equal(client_lookup(c, dir, "b", &e), 0);
	for (int i = 0; i < 2200; i++) {
		snprintf(name, sizeof(name), "many/%d", i);
		put_dir(w->host, name);
		assert_int_not_equal(client_node(c, name), 0);
	}
	host_path(w, "dir", path, sizeof(path));
	host_path(w, "away", away, sizeof(away));
	assert_int_equal(rename(path, away), 0);
	put_file(w->host, "dir/b", "another");
	assert_int_equal(client_lookup(c, dir, "b", &e), -ESTALE);
	assert_text(c, "dir/b", "another");
}

static void finds_holes(void **state)
{
	struct world *w = *state;
	struct client *c = &w->c;
	struct fuse_lseek_in in = { .whence = SEEK_HOLE };
	struct part p = PART(in);
	struct fuse_lseek_out out;
	char path[400];
	uint64_t n;

	host_path(w, "a", path, sizeof(path));
	assert_int_equal(truncate(path, 4 << 20), 0);
	n = client_node(c, "a");
	assert_int_equal(client_open(c, n, O_RDONLY, &in.fh), 0);
	assert_int_equal(client_call(c, FUSE_LSEEK, n, &p, 1, &out, sizeof(out)), sizeof(out));
	assert_true(out.offset > 0 && out.offset < 4 << 20);
	in.whence = SEEK_DATA;
	in.offset = out.offset;
	assert_int_equal(client_call(c, FUSE_LSEEK, n, &p, 1, &out, sizeof(out)), -ENXIO);
	in.whence = SEEK_END;
	assert_int_equal(client_call(c, FUSE_LSEEK, n, &p, 1, &out, sizeof(out)), -EINVAL);
}

static void handles_are_bounded(void **state)
{
	struct client *c = &((struct world *)*state)->c;
	uint64_t n = client_node(c, "a"), fh = 0, first = 0;
	int rc = 0, count = 0;

	for (; rc == 0 && count < 100000; count++) {
		rc = client_open(c, n, O_RDONLY, &fh);
		first = first ? first : fh;
	}
	assert_int_equal(rc, -ENFILE);
	struct fuse_release_in rel = { .fh = first };
	struct part p = PART(rel);
	assert_int_equal(client_call(c, FUSE_RELEASE, n, &p, 1, NULL, 0), 0);
	assert_int_equal(client_open(c, n, O_RDONLY, &fh), 0);
	assert_int_not_equal(fh, first);
}

static int all(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(reads_and_lists, setup, teardown),
		cmocka_unit_test_setup_teardown(sees_the_host_change, setup, teardown),
		cmocka_unit_test_setup_teardown(folders_turned_inside_out, setup, teardown),
		cmocka_unit_test_setup_teardown(makes_files_of_the_user, setup, teardown),
		cmocka_unit_test_setup_teardown(never_makes_devices, setup, teardown),
		cmocka_unit_test_setup_teardown(opens_only_regular_files, setup, teardown),
		cmocka_unit_test_setup_teardown(no_way_out, setup, teardown),
		cmocka_unit_test_setup_teardown(no_way_out_by_racing, setup, teardown),
		cmocka_unit_test_setup_teardown(one_file_only, setup, teardown),
		cmocka_unit_test_setup_teardown(read_only, setup, teardown),
		cmocka_unit_test_setup_teardown(changes_stick, setup, teardown),
		cmocka_unit_test_setup_teardown(names_change, setup, teardown),
		cmocka_unit_test_setup_teardown(appends_with_the_host, setup, teardown),
		cmocka_unit_test_setup_teardown(folders_are_compared_when_opened_again, setup,
						teardown),
		cmocka_unit_test_setup_teardown(finds_holes, setup, teardown),
		cmocka_unit_test_setup_teardown(handles_are_bounded, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
	umask(022);
	return run_as_both(all);
}
