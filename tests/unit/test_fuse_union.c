/* test_fuse_union.c: layers and upper as one tree, by FUSE requests; as root and as nobody. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "runtime/base/layer.h"
#include "runtime/base/str.h"
#include "tests/unit/fuse_client.h"

#define LAYERS 2

struct world {
	char place[256], upper[300], layer[LAYERS][300];
	const struct fuse_place *places;
	struct client c;
};

/* Opens the engine (again): nothing but what is on the disk is known then. */
static void world_open(struct world *w, bool read_only)
{
	const char *layers[] = { w->layer[0], w->layer[1] };
	struct fuse_share share = { .name = "root",
				    .layers = layers,
				    .nlayers = LAYERS,
				    .upper = w->upper,
				    .places = w->places,
				    .read_only = read_only };
	struct err e = ERR_INIT;
	struct fuse *f = fuse_new(&share, 1, &e);

	if (f == NULL)
		fail_msg("%s", e.msg);
	client_start(&w->c, f, "root");
	assert_int_not_equal(w->c.root, 0);
}

static void world_reopen(struct world *w)
{
	fuse_free(w->c.f);
	world_open(w, false);
}

static int setup(void **state)
{
	struct world *w = xcalloc(1, sizeof(*w));
	const char *top, *low;

	place_make(w->place, sizeof(w->place));
	snprintf(w->upper, sizeof(w->upper), "%s/upper", w->place);
	snprintf(w->layer[0], sizeof(w->layer[0]), "%s/l0", w->place);
	snprintf(w->layer[1], sizeof(w->layer[1]), "%s/l1", w->place);
	top = w->layer[0];
	low = w->layer[1];
	mkdir(w->upper, 0700);
	mkdir(top, 0755);
	mkdir(low, 0755);
	put_file(low, "etc/passwd", "low passwd");
	put_file(low, "etc/hosts", "low hosts");
	put_file(low, "dir/a", "low a");
	put_file(low, "dir/sub/deep", "deep");
	put_file(low, "hidden/x", "x");
	put_file(low, "opaque/low", "low");
	put_file(low, "gone", "gone");
	put_file(low, "hard/one", "hard");
	put_file(low, "empty/.keep", "");
	put_file(top, "etc/hosts", "top hosts");
	put_file(top, "dir/b", "top b");
	put_file(top, "opaque/top", "top");
	put_xattr(top, "opaque", LAYER_XATTR_OPAQUE, "y");
	put_file(top, "gone", "");
	put_xattr(top, "gone", LAYER_XATTR_STAT, "0:0:0:char-0-0");
	put_file(top, "hidden", "");
	put_xattr(top, "hidden", LAYER_XATTR_STAT, "0:0:0:char-0-0");
	put_file(low, "owned", "owned");
	put_xattr(low, "owned", LAYER_XATTR_STAT, "5:6:04711:file");
	put_xattr(low, "owned", LAYER_XATTR_PREFIX "user.color", "red");
	put_file(low, "null", "");
	put_xattr(low, "null", LAYER_XATTR_STAT, "0:0:0666:char-1-3");
	world_open(w, false);
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

#define assert_names(c, path, want)                                                          \
	do {                                                                                 \
		char names_[4096];                                                           \
		assert_int_equal(client_list(c, path, names_, sizeof(names_)), 0);           \
		assert_string_equal(names_, want);                                           \
		assert_int_equal(client_list_plus(c, path, names_, sizeof(names_), 600), 0); \
		assert_string_equal(names_, want);                                           \
	} while (0)

static void write_text(struct client *c, const char *path, const char *text)
{
	struct fuse_entry_out e;
	uint64_t n = client_node(c, path);

	if (n == 0) {
		assert_int_equal(client_create(c, path, 0644, &e, NULL), 0);
		n = e.nodeid;
	} else {
		assert_int_equal(client_truncate(c, n, 0), 0);
	}
	assert_int_equal(client_write(c, n, text, strlen(text), 0), strlen(text));
}

static struct fuse_attr attr_of(struct client *c, const char *path)
{
	struct fuse_attr a;

	assert_int_equal(client_stat(c, path, &a), 0);
	return a;
}

static void merges(void **state)
{
	struct client *c = &((struct world *)*state)->c;
	struct fuse_attr a;

	assert_text(c, "etc/passwd", "low passwd");
	assert_text(c, "etc/hosts", "top hosts");
	assert_text(c, "dir/sub/deep", "deep");
	assert_text(c, "dir/b", "top b");
	assert_int_equal(client_node(c, "gone"), 0);
	assert_int_equal(client_node(c, "hidden"), 0);
	assert_int_equal(client_node(c, "opaque/low"), 0);
	assert_text(c, "opaque/top", "top");
	assert_names(c, "", "dir empty etc hard null opaque owned ");
	assert_names(c, "dir", "a b sub ");
	assert_names(c, "opaque", "top ");
	a = attr_of(c, "owned");
	assert_int_equal(a.mode, S_IFREG | 04711);
	assert_int_equal(a.uid, 5);
	assert_int_equal(a.gid, 6);
	a = attr_of(c, "null");
	assert_int_equal(a.mode, S_IFCHR | 0666);
	assert_int_equal(a.rdev, 1 << 8 | 3);
	assert_int_equal(a.size, 0);
}

static void copies_up(void **state)
{
	struct world *w = *state;
	struct client *c = &w->c;
	uint64_t n = client_node(c, "etc/passwd");
	struct fuse_attr before = attr_of(c, "etc/passwd"), after;
	struct fuse_attr dir = attr_of(c, "etc");
	char buf[64];

	assert_int_equal(client_read(c, n, buf, 3, 0), 3);
	assert_int_equal(client_write(c, n, "NEW", 3, 4), 3);
	assert_int_equal(client_read(c, n, buf, 10, 0), 10);
	assert_memory_equal(buf, "low NEWswd", 10);
	after = attr_of(c, "etc/passwd");
	assert_int_equal(after.ino, before.ino);
	assert_int_equal(client_node(c, "etc/passwd"), n);
	after = attr_of(c, "etc"); /* a copy-up is no change of the folder */
	assert_int_equal(after.ino, dir.ino);
	assert_int_equal(after.mtime, dir.mtime);
	assert_int_equal(after.mtimensec, dir.mtimensec);
	world_reopen(w);
	assert_text(c, "etc/passwd", "low NEWswd");
	assert_int_equal(attr_of(c, "etc/passwd").ino, before.ino);
	/* the layer is as it was */
	assert_int_equal(client_unlink(c, "etc/passwd"), 0);
	assert_int_equal(client_node(c, "etc/passwd"), 0);
	world_reopen(w);
	assert_int_equal(client_node(c, "etc/passwd"), 0);
}

/* What cannot change anything must not copy: chown -R 0:0 over an image. */
static void idle_changes_copy_nothing(void **state)
{
	struct world *w = *state;
	char path[400];

	assert_int_equal(client_chown(&w->c, "etc/passwd", 0, 0), 0);
	assert_int_equal(client_chmod(&w->c, "etc/passwd", 0644), 0);
	assert_int_equal(client_removexattr(&w->c, client_node(&w->c, "etc/passwd"), "user.no"),
			 -ENODATA);
	snprintf(path, sizeof(path), "%s/etc/passwd", w->upper);
	assert_int_equal(access(path, F_OK), -1);
}

static void copies_up_attributes(void **state)
{
	struct world *w = *state;
	struct client *c = &w->c;
	struct fuse_attr a;
	char buf[64];

	assert_int_equal(client_chmod(c, "owned", 0600), 0);
	world_reopen(w);
	a = attr_of(c, "owned");
	assert_int_equal(a.mode, S_IFREG | 0600);
	assert_int_equal(a.uid, 5);
	assert_int_equal(client_getxattr(c, client_node(c, "owned"), "user.color", buf, 64), 3);
	assert_string_equal(buf, "red");
	assert_text(c, "owned", "owned");
	/* a device of a layer gets another owner */
	assert_int_equal(client_chown(c, "null", 3, 4), 0);
	a = attr_of(c, "null");
	assert_int_equal(a.mode, S_IFCHR | 0666);
	assert_int_equal(a.uid, 3);
	assert_int_equal(a.rdev, 1 << 8 | 3);
}

static void keeps_holes(void **state)
{
	struct world *w = *state;
	struct client *c = &w->c;
	char path[400];
	struct stat st;
	uint64_t n;
	int fd;

	snprintf(path, sizeof(path), "%s/sparse", w->layer[1]);
	fd = open(path, O_RDWR | O_CREAT, 0644);
	assert_int_equal(pwrite(fd, "head", 4, 0), 4);
	assert_int_equal(pwrite(fd, "tail", 4, 64 << 20), 4);
	close(fd);
	n = client_node(c, "sparse");
	assert_int_equal(client_write(c, n, "HEAD", 4, 0), 4);
	snprintf(path, sizeof(path), "%s/sparse", w->upper);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, (64 << 20) + 4);
	assert_true(st.st_blocks < 2048);
	assert_int_equal(client_read(c, n, path, 4, 64 << 20), 4);
	assert_memory_equal(path, "tail", 4);
	/* truncated while it is copied up: not even copied */
	assert_int_equal(client_truncate(c, client_node(c, "etc/hosts"), 3), 0);
	assert_text(c, "etc/hosts", "top");
}

static void removes_and_makes_again(void **state)
{
	struct world *w = *state;
	struct client *c = &w->c;

	assert_int_equal(client_unlink(c, "etc/hosts"), 0);
	assert_names(c, "etc", "passwd ");
	assert_int_equal(client_unlink(c, "etc/hosts"), -ENOENT);
	write_text(c, "etc/hosts", "mine");
	world_reopen(w);
	assert_text(c, "etc/hosts", "mine");
	assert_int_equal(client_rmdir(c, "dir"), -ENOTEMPTY);
	assert_int_equal(client_unlink(c, "dir/a"), 0);
	assert_int_equal(client_unlink(c, "dir/b"), 0);
	assert_int_equal(client_unlink(c, "dir/sub"), -EISDIR);
	assert_int_equal(client_unlink(c, "dir/sub/deep"), 0);
	assert_int_equal(client_rmdir(c, "dir/sub"), 0);
	assert_int_equal(client_rmdir(c, "dir"), 0);
	assert_int_equal(client_node(c, "dir"), 0);
	assert_int_equal(client_rmdir(c, "etc/hosts"), -ENOTDIR);
	/* a new folder of that name has nothing to do with the old one */
	assert_int_equal(client_mkdir(c, "dir", 0750), 0);
	assert_names(c, "dir", "");
	write_text(c, "dir/inside", "inside");
	/* it hides one of a layer, and is not empty */
	assert_int_equal(client_rmdir(c, "dir"), -ENOTEMPTY);
	world_reopen(w);
	assert_names(c, "dir", "inside ");
	assert_int_equal(client_unlink(c, "dir/inside"), 0);
	assert_int_equal(client_rmdir(c, "dir"), 0);
	world_reopen(w);
	assert_int_equal(client_node(c, "dir"), 0);
}

static void renames_files(void **state)
{
	struct world *w = *state;
	struct client *c = &w->c;
	uint64_t n = client_node(c, "etc/passwd");

	assert_int_equal(client_rename(c, "etc/passwd", "dir/moved", 0), 0);
	assert_int_equal(client_node(c, "etc/passwd"), 0);
	assert_int_equal(client_node(c, "dir/moved"), n);
	assert_int_equal(client_rename(c, "dir/moved", "etc/hosts", RENAME_NOREPLACE), -EEXIST);
	assert_int_equal(client_rename(c, "dir/moved", "etc/hosts", 0), 0);
	assert_text(c, "etc/hosts", "low passwd");
	assert_int_equal(client_rename(c, "etc/hosts", "dir", 0), -EISDIR);
	assert_int_equal(client_rename(c, "dir", "etc/hosts", 0), -ENOTDIR);
	assert_int_equal(client_rename(c, "nothing", "etc/x", 0), -ENOENT);
	assert_int_equal(client_rename(c, "etc/hosts", "etc/hosts", 0), 0);
	assert_int_equal(client_rename(c, "etc/hosts", "dir/a", RENAME_EXCHANGE), 0);
	assert_text(c, "etc/hosts", "low a");
	assert_text(c, "dir/a", "low passwd");
	assert_int_equal(client_rename(c, "dir/a", "dir/z", RENAME_EXCHANGE), -ENOENT);
	assert_int_equal(client_rename(c, "dir/a", "dir/z", 1U << 7), -EINVAL);
	world_reopen(w);
	assert_names(c, "etc", "hosts ");
	assert_names(c, "dir", "a b sub ");
	assert_text(c, "etc/hosts", "low a");
}

/* A guest's overlayfs makes 0:0 devices, and expects to see them. */
static void renames_with_whiteout(void **state)
{
	struct world *w = *state;
	struct client *c = &w->c;

	assert_int_equal(client_rename(c, "dir/a", "dir/c", RENAME_WHITEOUT), 0);
	assert_int_equal(attr_of(c, "dir/a").mode, S_IFCHR);
	assert_int_equal(attr_of(c, "dir/a").rdev, 0);
	assert_int_equal(client_mknod(c, "dir/w", S_IFCHR, 0), 0);
	world_reopen(w);
	assert_names(c, "dir", "a b c sub w ");
	assert_int_equal(attr_of(c, "dir/w").mode, S_IFCHR);
	assert_int_equal(attr_of(c, "dir/w").size, 0);
	assert_int_equal(client_unlink(c, "dir/a"), 0);
	assert_int_equal(client_node(c, "dir/a"), 0);
}

static void renames_folders(void **state)
{
	struct world *w = *state;
	struct client *c = &w->c;
	uint64_t deep = client_node(c, "dir/sub/deep"), ino = attr_of(c, "dir").ino;
	char buf[16];

	assert_int_equal(client_rename(c, "dir", "etc/dir2", 0), 0);
	assert_int_equal(client_read(c, deep, buf, 16, 0), 4);
	assert_names(c, "etc/dir2", "a b sub ");
	assert_int_equal(client_node(c, "etc/dir2/sub/deep"), deep);
	write_text(c, "etc/dir2/sub/deep", "deeper");
	write_text(c, "etc/dir2/new", "new");
	assert_int_equal(client_rename(c, "etc/dir2/sub", "sub2", 0), 0);
	assert_names(c, "sub2", "deep ");
	assert_names(c, "etc/dir2", "a b new ");
	/* folders under their old names are others */
	assert_int_equal(client_mkdir(c, "dir", 0755), 0);
	assert_names(c, "dir", "");
	assert_int_equal(client_rename(c, "etc", "etc/dir2/etc", 0), -EINVAL);
	world_reopen(w);
	assert_names(c, "", "dir empty etc hard null opaque owned sub2 ");
	assert_names(c, "etc/dir2", "a b new ");
	assert_text(c, "sub2/deep", "deeper");
	assert_text(c, "etc/dir2/b", "top b");
	assert_int_equal(attr_of(c, "etc/dir2").ino, ino);
	/* over a folder that is empty but for what it hides */
	assert_int_equal(client_unlink(c, "empty/.keep"), 0);
	assert_int_equal(client_rename(c, "etc/dir2", "hard", 0), -ENOTEMPTY);
	assert_int_equal(client_rename(c, "etc/dir2", "empty", 0), 0);
	assert_names(c, "empty", "a b new ");
	assert_int_equal(client_node(c, "etc/dir2"), 0);
	/* over a name of a layer that is hidden: what is there must not show through */
	assert_int_equal(client_rename(c, "dir", "hidden", 0), 0);
	assert_names(c, "hidden", "");
	assert_int_equal(client_rename(c, "empty", "etc", RENAME_EXCHANGE), 0);
	assert_names(c, "etc", "a b new ");
	assert_names(c, "empty", "hosts passwd ");
	world_reopen(w);
	assert_names(c, "etc", "a b new ");
	assert_names(c, "empty", "hosts passwd ");
	assert_names(c, "hidden", "");
}

static void hard_links_of_a_layer(void **state)
{
	struct world *w = *state;
	struct client *c = &w->c;
	char from[400], to[400];
	uint64_t ino, n;

	snprintf(from, sizeof(from), "%s/hard/one", w->layer[1]);
	for (const char *const *name = (const char *const[]){ "two", "three", NULL }; *name;
	     name++) {
		snprintf(to, sizeof(to), "%s/hard/%s", w->layer[1], *name);
		assert_int_equal(link(from, to), 0);
	}
	ino = attr_of(c, "hard/one").ino;
	n = client_node(c, "hard/one");
	assert_int_equal(client_node(c, "hard/three"), n);
	assert_int_equal(attr_of(c, "hard/two").nlink, 3);
	/* one name goes before it is copied up */
	assert_int_equal(client_unlink(c, "hard/three"), 0);
	assert_int_equal(attr_of(c, "hard/two").nlink, 2);
	world_reopen(w);
	assert_int_equal(attr_of(c, "hard/two").nlink, 2);
	write_text(c, "hard/one", "changed");
	assert_text(c, "hard/two", "changed");
	assert_int_equal(attr_of(c, "hard/one").nlink, 2);
	world_reopen(w);
	assert_text(c, "hard/two", "changed");
	assert_int_equal(attr_of(c, "hard/two").ino, ino);
	assert_int_equal(client_link(c, client_node(c, "hard/two"), "hard/four", NULL), 0);
	assert_int_equal(attr_of(c, "hard/one").nlink, 3);
	assert_int_equal(client_rename(c, "hard/two", "hard/five", 0), 0);
	assert_int_equal(client_unlink(c, "hard/one"), 0);
	assert_int_equal(client_unlink(c, "hard/four"), 0);
	assert_int_equal(attr_of(c, "hard/five").nlink, 1);
	world_reopen(w);
	assert_names(c, "hard", "five ");
	assert_text(c, "hard/five", "changed");
	assert_int_equal(client_unlink(c, "hard/five"), 0);
	snprintf(from, sizeof(from), "%s.work/index/%llu", w->upper, (unsigned long long)ino);
	assert_int_equal(access(from, F_OK), -1);
}

static void links(void **state)
{
	struct world *w = *state;
	struct client *c = &w->c;
	uint64_t n = client_node(c, "etc/hosts");
	struct fuse_entry_out e;

	assert_int_equal(client_link(c, n, "etc/hosts2", &e), 0);
	assert_int_equal(e.nodeid, n);
	assert_int_equal(e.attr.nlink, 2);
	assert_int_equal(client_link(c, n, "dir/b", NULL), -EEXIST);
	assert_int_equal(client_link(c, client_node(c, "dir"), "dir2", NULL), -EPERM);
	assert_int_equal(client_unlink(c, "etc/hosts"), 0);
	assert_int_equal(client_walk(c, "etc/hosts2", &e), 0);
	assert_int_equal(e.nodeid, n);
	assert_int_equal(e.attr.nlink, 1);
	assert_int_equal(client_rename(c, "etc/hosts2", "etc/hosts3", 0), 0);
	assert_int_equal(client_link(c, n, "etc/hosts2", NULL), 0);
	assert_int_equal(client_unlink(c, "etc/hosts3"), 0);
	assert_int_equal(client_link(c, n, "gone", NULL), 0); /* onto a whiteout, by a lost name */
	world_reopen(w);
	assert_int_equal(client_node(c, "gone"), client_node(c, "etc/hosts2"));
	assert_text(c, "gone", "top hosts");
	/* symlinks too, and then they change together */
	assert_int_equal(client_symlink(c, "target", "s1"), 0);
	assert_int_equal(client_link(c, client_node(c, "s1"), "s2", NULL), 0);
	assert_int_equal(client_chown(c, "s1", 7, 8), 0);
	world_reopen(w);
	assert_int_equal(attr_of(c, "s2").uid, 7);
	assert_int_equal(attr_of(c, "s2").nlink, 2);
}

static void open_files_outlive_their_names(void **state)
{
	struct world *w = *state;
	struct client *c = &w->c;
	uint64_t low = client_node(c, "etc/passwd"), made, dir;
	char buf[16], path[400];
	struct fuse_attr a;

	write_text(c, "made", "made");
	made = client_node(c, "made");
	assert_int_equal(client_unlink(c, "made"), 0);
	assert_int_equal(client_unlink(c, "etc/passwd"), 0);
	assert_int_equal(client_read(c, made, buf, 16, 0), 4);
	assert_int_equal(client_write(c, made, "more", 4, 4), 4);
	assert_int_equal(client_getattr(c, made, &a), 0);
	assert_int_equal(a.nlink, 0);
	assert_int_equal(a.size, 8);
	/* one of a layer is copied up although it has no name */
	assert_int_equal(client_read(c, low, buf, 3, 0), 3);
	assert_int_equal(client_getattr(c, low, &a), 0);
	assert_int_equal(a.nlink, 0);
	assert_int_equal(client_write(c, low, "LOW", 3, 0), 3);
	assert_int_equal(client_read(c, low, buf, 10, 0), 10);
	assert_memory_equal(buf, "LOW passwd", 10);
	assert_int_equal(client_getattr(c, low, &a), 0);
	assert_int_equal(a.nlink, 0);
	/* replaced by rename */
	write_text(c, "old", "old");
	write_text(c, "new", "new");
	made = client_node(c, "old");
	assert_int_equal(client_rename(c, "new", "old", 0), 0);
	assert_text(c, "old", "new");
	assert_int_equal(client_read(c, made, buf, 16, 0), 3);
	assert_memory_equal(buf, "old", 3);
	/* a removed folder can still be looked at, but not filled */
	assert_int_equal(client_mkdir(c, "d", 0755), 0);
	dir = client_node(c, "d");
	assert_int_equal(client_rmdir(c, "d"), 0);
	assert_int_equal(client_getattr(c, dir, &a), 0);
	assert_int_equal(a.nlink, 0);
	struct fuse_mkdir_in in = { .mode = 0755 };
	struct part p[] = { PART(in), PART_STR("x") };
	struct fuse_entry_out e;
	assert_int_equal(client_call(c, FUSE_MKDIR, dir, p, 2, &e, sizeof(e)), -ENOENT);
	/* what is forgotten leaves nothing */
	client_forget(c, low, 1000);
	assert_int_equal(client_getattr(c, low, &a), -ESTALE);
	snprintf(path, sizeof(path), "%s.work/orphan", w->upper);
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(mkdir(path, 0700), 0);
}

/* More removed files than descriptors may be kept for. */
static void many_files_without_names(void **state)
{
	struct client *c = &((struct world *)*state)->c;
	enum { N = 3000 };
	uint64_t *node = xcalloc(N, sizeof(*node));
	struct fuse_attr a;
	char name[32], buf[32];

	for (int i = 0; i < N; i++) {
		snprintf(name, sizeof(name), "n%d", i);
		write_text(c, name, name);
		node[i] = client_node(c, name);
		assert_int_equal(client_unlink(c, name), 0);
	}
	for (int i = 0; i < N; i++) {
		snprintf(name, sizeof(name), "n%d", i);
		assert_int_equal(client_read(c, node[i], buf, sizeof(buf), 0), strlen(name));
		assert_memory_equal(buf, name, strlen(name));
		assert_int_equal(client_getattr(c, node[i], &a), 0);
		assert_int_equal(a.nlink, 0);
		client_forget(c, node[i], 1000);
	}
	free(node);
}

static void files_without_a_name(void **state)
{
	struct world *w = *state;
	struct client *c = &w->c;
	struct fuse_create_in in = { .flags = O_RDWR, .mode = 0640 };
	struct part p[] = { PART(in), PART_STR("#1") };
	struct {
		struct fuse_entry_out e;
		struct fuse_open_out o;
	} out;
	struct fuse_entry_out e;

	assert_int_equal(client_call(c, FUSE_TMPFILE, client_node(c, "etc"), p, 2, &out,
				     sizeof(out)),
			 sizeof(out));
	assert_int_equal(out.e.attr.nlink, 0);
	assert_int_equal(client_write(c, out.e.nodeid, "tmp", 3, 0), 3);
	assert_names(c, "etc", "hosts passwd ");
	assert_int_equal(client_link(c, out.e.nodeid, "etc/named", &e), 0);
	assert_int_equal(e.attr.nlink, 1);
	world_reopen(w);
	assert_text(c, "etc/named", "tmp");
	assert_int_equal(attr_of(c, "etc/named").mode, S_IFREG | 0640);
}

static void owners_and_kinds(void **state)
{
	struct world *w = *state;
	struct client *c = &w->c;
	struct fuse_attr a;
	char buf[64];

	c->uid = 1000;
	c->gid = 1001;
	assert_int_equal(client_create(c, "f", 0604, NULL, NULL), 0);
	assert_int_equal(client_mkdir(c, "d", 01777), 0);
	assert_int_equal(client_symlink(c, "to", "s"), 0);
	assert_int_equal(client_mknod(c, "p", S_IFIFO | 0600, 0), 0);
	assert_int_equal(client_mknod(c, "k", S_IFSOCK | 0600, 0), 0);
	assert_int_equal(client_mknod(c, "b", S_IFBLK | 0660, 0x12345678), 0);
	assert_int_equal(client_mknod(c, "r", 0644, 0), 0);
	c->uid = c->gid = 0;
	world_reopen(w);
	for (const char *const *n = (const char *const[]){ "f", "d", "s", "p", "k", "b", NULL }; *n;
	     n++) {
		a = attr_of(c, *n);
		assert_int_equal(a.uid, 1000);
		assert_int_equal(a.gid, 1001);
	}
	assert_int_equal(attr_of(c, "f").mode, S_IFREG | 0604);
	assert_int_equal(attr_of(c, "d").mode, S_IFDIR | 01777);
	assert_int_equal(attr_of(c, "d").nlink, 2);
	assert_int_equal(attr_of(c, "s").mode, S_IFLNK | 0777);
	assert_int_equal(attr_of(c, "s").size, 2);
	assert_int_equal(client_readlink(c, "s", buf, sizeof(buf)), 2);
	assert_string_equal(buf, "to");
	assert_int_equal(attr_of(c, "p").mode, S_IFIFO | 0600);
	assert_int_equal(attr_of(c, "b").rdev, 0x12345678);
	assert_int_equal(attr_of(c, "r").mode, S_IFREG | 0644);
	/* a mode without any bit is no hindrance for us */
	assert_int_equal(client_chmod(c, "f", 0), 0);
	assert_int_equal(client_write(c, client_node(c, "f"), "x", 1, 0), 1);
	assert_int_equal(client_chmod(c, "d", 0), 0);
	assert_int_equal(client_create(c, "d/in", 0600, NULL, NULL), 0);
	world_reopen(w);
	assert_int_equal(attr_of(c, "f").mode, S_IFREG);
	assert_int_equal(attr_of(c, "d").mode, S_IFDIR);
	assert_names(c, "d", "in ");
}

static void symlinks_change(void **state)
{
	struct world *w = *state;
	struct client *c = &w->c;
	char path[400], buf[64];
	struct stat st;
	uint64_t n, ino;

	assert_int_equal(client_symlink(c, "somewhere", "s"), 0);
	snprintf(path, sizeof(path), "%s/s", w->upper);
	assert_int_equal(lstat(path, &st), 0);
	assert_true(S_ISLNK(st.st_mode)); /* root's are the host's own */
	n = client_node(c, "s");
	ino = attr_of(c, "s").ino;
	assert_int_equal(client_chown(c, "s", 0, 0), 0);
	assert_int_equal(client_setxattr(c, n, "trusted.t", "v", 0), 0);
	assert_int_equal(client_getxattr(c, n, "trusted.t", buf, sizeof(buf)), 1);
	assert_int_equal(client_chown(c, "s", 1, 2), 0);
	assert_int_equal(client_node(c, "s"), n);
	world_reopen(w);
	assert_int_equal(client_readlink(c, "s", buf, sizeof(buf)), 9);
	assert_string_equal(buf, "somewhere");
	assert_int_equal(attr_of(c, "s").uid, 1);
	assert_int_equal(attr_of(c, "s").ino, ino);
	/* removed while the guest holds it */
	assert_int_equal(client_symlink(c, "other", "t"), 0);
	n = client_node(c, "t");
	assert_int_equal(client_unlink(c, "t"), 0);
	assert_int_equal(client_call(c, FUSE_READLINK, n, NULL, 0, buf, 63), 5);
}

static void inherits_group(void **state)
{
	struct client *c = &((struct world *)*state)->c;

	assert_int_equal(client_mkdir(c, "g", 0755), 0);
	assert_int_equal(client_chown(c, "g", 0, 55), 0);
	assert_int_equal(client_chmod(c, "g", 02755), 0);
	assert_int_equal(client_create(c, "g/f", 0644, NULL, NULL), 0);
	assert_int_equal(client_mkdir(c, "g/d", 0755), 0);
	assert_int_equal(attr_of(c, "g/f").gid, 55);
	assert_int_equal(attr_of(c, "g/f").mode, S_IFREG | 0644);
	assert_int_equal(attr_of(c, "g/d").mode, S_IFDIR | 02755);
}

static void clears_setuid(void **state)
{
	struct client *c = &((struct world *)*state)->c;
	struct fuse_setattr_in cut = { .valid = FATTR_SIZE | FATTR_KILL_SUIDGID, .size = 1 };
	uint64_t n;

	write_text(c, "f", "text");
	n = client_node(c, "f");
	assert_int_equal(client_chmod(c, "f", 06755), 0);
	assert_int_equal(client_write_fh(c, n, 0, "x", 1, 0, 0), 1);
	assert_int_equal(attr_of(c, "f").mode, S_IFREG | 06755);
	assert_int_equal(client_write_fh(c, n, 0, "x", 1, 0, FUSE_WRITE_KILL_SUIDGID), 1);
	assert_int_equal(attr_of(c, "f").mode, S_IFREG | 0755);
	assert_int_equal(client_chmod(c, "f", 06745), 0); /* no x for the group: not setgid's */
	assert_int_equal(client_chown(c, "f", 1, 1), 0);
	assert_int_equal(attr_of(c, "f").mode, S_IFREG | 02745);
	assert_int_equal(client_chmod(c, "f", 04711), 0);
	assert_int_equal(client_setxattr(c, n, "security.capability", "caps", 0), 0);
	assert_int_equal(client_setattr(c, n, &cut, NULL), 0);
	assert_int_equal(attr_of(c, "f").mode, S_IFREG | 0711);
	assert_int_equal(client_getxattr(c, n, "security.capability", NULL, 0), -ENODATA);
	assert_int_equal(client_mkdir(c, "d", 02755), 0);
	assert_int_equal(client_chown(c, "d", 1, 1), 0);
	assert_int_equal(attr_of(c, "d").mode, S_IFDIR | 02755);
}

static void times(void **state)
{
	struct world *w = *state;
	struct client *c = &w->c;
	struct fuse_setattr_in in = { .valid = FATTR_ATIME | FATTR_MTIME,
				      .atime = 1000,
				      .atimensec = 123456789,
				      .mtime = (uint64_t)-5,
				      .mtimensec = 999999999 };
	struct fuse_setattr_in now = { .valid = FATTR_MTIME | FATTR_MTIME_NOW };
	struct fuse_attr a;

	assert_int_equal(client_setattr(c, client_node(c, "etc/passwd"), &in, &a), 0);
	assert_int_equal(a.mtime, (uint64_t)-5);
	world_reopen(w);
	a = attr_of(c, "etc/passwd");
	assert_int_equal(a.atime, 1000);
	assert_int_equal(a.atimensec, 123456789);
	assert_int_equal(a.mtime, (uint64_t)-5);
	assert_int_equal(a.mtimensec, 999999999);
	assert_int_equal(client_setattr(c, client_node(c, "etc/passwd"), &now, &a), 0);
	assert_true((int64_t)a.mtime > 1600000000);
	assert_int_equal(a.atime, 1000);
}

static void xattrs(void **state)
{
	struct world *w = *state;
	struct client *c = &w->c;
	uint64_t n = client_node(c, "dir/a");
	struct fuse_getxattr_in ask = { .size = 4096 };
	struct part p = PART(ask);
	char buf[4096], name[300];
	ssize_t got;

	assert_int_equal(client_setxattr(c, n, "user.one", "1", XATTR_REPLACE), -ENODATA);
	assert_int_equal(client_setxattr(c, n, "user.one", "1", XATTR_CREATE), 0);
	assert_int_equal(client_setxattr(c, n, "user.one", "2", XATTR_CREATE), -EEXIST);
	assert_int_equal(client_setxattr(c, n, "security.two", "second", 0), 0);
	assert_int_equal(client_setxattr(c, n, "system.posix_acl_access", "x", 0), -EOPNOTSUPP);
	world_reopen(w);
	n = client_node(c, "dir/a");
	assert_int_equal(client_getxattr(c, n, "security.two", buf, 3), -ERANGE);
	assert_int_equal(client_getxattr(c, n, "security.two", buf, sizeof(buf)), 6);
	assert_string_equal(buf, "second");
	assert_int_equal(client_getxattr(c, n, "user.none", buf, sizeof(buf)), -ENODATA);
	/* the names of the format are not the guest's to see or to set */
	assert_int_equal(client_getxattr(c, n, LAYER_XATTR_ORIGIN, buf, sizeof(buf)), -ENODATA);
	assert_int_equal(client_setxattr(c, n, LAYER_XATTR_STAT, "9:9:0", 0), 0);
	assert_int_equal(attr_of(c, "dir/a").uid, 0);
	got = client_call(c, FUSE_LISTXATTR, n, &p, 1, buf, sizeof(buf));
	assert_int_equal(got,
			 sizeof("user.one") + sizeof("security.two") + sizeof(LAYER_XATTR_STAT));
	assert_int_equal(client_removexattr(c, n, "user.one"), 0);
	assert_int_equal(client_removexattr(c, n, "user.one"), -ENODATA);
	memset(name, 'n', sizeof(name));
	memcpy(name, "user.", 5);
	name[250] = 0;
	assert_int_equal(client_setxattr(c, n, name, "v", 0), -ERANGE);
	/* folders and the root have them too */
	assert_int_equal(client_setxattr(c, c->root, "user.root", "r", 0), 0);
	world_reopen(w);
	assert_int_equal(client_getxattr(c, c->root, "user.root", buf, sizeof(buf)), 1);
}

static void root_of_its_own(void **state)
{
	struct world *w = *state;

	assert_int_equal(attr_of(&w->c, "").mode, S_IFDIR | 0755); /* not the upper's 0700 */
	assert_int_equal(client_chmod(&w->c, "", 0711), 0);
	world_reopen(w);
	assert_int_equal(attr_of(&w->c, "").mode, S_IFDIR | 0711);
}

static void implied_folders(void **state)
{
	struct world *w = *state;
	struct client *c = &w->c;

	put_xattr(w->layer[1], "etc", LAYER_XATTR_STAT, "7:8:0710:dir");
	put_xattr(w->layer[0], "etc", LAYER_XATTR_IMPLIED, "y");
	assert_int_equal(attr_of(c, "etc").mode, S_IFDIR | 0710);
	assert_int_equal(attr_of(c, "etc").uid, 7);
	write_text(c, "etc/new", "new");
	world_reopen(w);
	assert_int_equal(attr_of(c, "etc").mode, S_IFDIR | 0710);
	assert_names(c, "etc", "hosts new passwd ");
}

static void read_only(void **state)
{
	struct world *w = *state;
	struct client *c = &w->c;
	uint64_t n, fh;

	fuse_free(c->f);
	world_open(w, true);
	assert_false(c->init.flags & FUSE_NO_OPEN_SUPPORT);
	n = client_node(c, "etc/passwd");
	assert_text(c, "etc/passwd", "low passwd");
	assert_int_equal(client_open(c, n, O_RDWR, &fh), -EROFS);
	assert_int_equal(client_open(c, n, O_RDONLY, &fh), 0);
	assert_int_equal(client_write(c, n, "x", 1, 0), -EROFS);
	assert_int_equal(client_truncate(c, n, 0), -EROFS);
	assert_int_equal(client_chmod(c, "etc/passwd", 0600), -EROFS);
	assert_int_equal(client_create(c, "new", 0644, NULL, NULL), -EROFS);
	assert_int_equal(client_mkdir(c, "new", 0755), -EROFS);
	assert_int_equal(client_symlink(c, "t", "new"), -EROFS);
	assert_int_equal(client_mknod(c, "new", S_IFIFO, 0), -EROFS);
	assert_int_equal(client_unlink(c, "etc/passwd"), -EROFS);
	assert_int_equal(client_rmdir(c, "dir"), -EROFS);
	assert_int_equal(client_rename(c, "etc", "etc2", 0), -EROFS);
	assert_int_equal(client_link(c, n, "new", NULL), -EROFS);
	assert_int_equal(client_setxattr(c, n, "user.x", "y", 0), -EROFS);
	assert_int_equal(client_removexattr(c, n, "user.x"), -EROFS);
}

/* Cookies mean the same while names come and go, and the folder's list is made anew. */
static void reading_while_it_changes(void **state)
{
	struct client *c = &((struct world *)*state)->c;
	uint64_t dir, off = 0;
	char name[32], data[1024];
	bool seen[400] = { false };
	int rounds = 0;
	ssize_t got;

	assert_int_equal(client_mkdir(c, "many", 0755), 0);
	dir = client_node(c, "many");
	for (int i = 0; i < 400; i++) {
		snprintf(name, sizeof(name), "many/%d", i);
		assert_int_equal(client_create(c, name, 0644, NULL, NULL), 0);
	}
	for (;; rounds++) {
		struct fuse_read_in in = { .offset = off, .size = sizeof(data) };
		struct part p = PART(in);

		got = client_call(c, FUSE_READDIR, dir, &p, 1, data, sizeof(data));
		assert_true(got >= 0);
		if (got == 0)
			break;
		for (ssize_t at = 0; at < got;) {
			struct fuse_dirent de;

			memcpy(&de, data + at, FUSE_NAME_OFFSET);
			snprintf(name, sizeof(name), "%.*s", (int)de.namelen,
				 data + at + FUSE_NAME_OFFSET);
			at += (ssize_t)FUSE_DIRENT_ALIGN(FUSE_NAME_OFFSET + de.namelen);
			off = de.off;
			if (name[0] < '0' || name[0] > '9')
				continue;
			assert_false(seen[atoi(name)]);
			seen[atoi(name)] = true;
			if (atoi(name) % 3 == 0) {
				char path[64];

				snprintf(path, sizeof(path), "many/%s", name);
				assert_int_equal(client_unlink(c, path), 0);
			}
		}
		snprintf(name, sizeof(name), "many/new%d", rounds);
		assert_int_equal(client_create(c, name, 0644, NULL, NULL), 0);
	}
	for (int i = 0; i < 400; i++)
		assert_true(seen[i]);
}

static void no_way_out(void **state)
{
	struct world *w = *state;
	struct client *c = &w->c;
	struct fuse_entry_out e;
	char path[400], buf[16];
	uint64_t n;

	put_file(w->place, "secret", "secret");
	assert_int_equal(client_symlink(c, "../secret", "up"), 0);
	assert_int_equal(client_symlink(c, "/", "abs"), 0);
	assert_int_equal(client_symlink(c, "..", "dots"), 0);
	assert_int_equal(client_lookup(c, client_node(c, "dots"), "secret", &e), -ENOTDIR);
	assert_int_equal(client_lookup(c, client_node(c, "abs"), "etc", &e), -ENOTDIR);
	n = client_node(c, "up");
	assert_int_equal(client_read(c, n, buf, sizeof(buf), 0), -EINVAL);
	assert_int_equal(client_write(c, n, "x", 1, 0), -EINVAL);
	assert_int_equal(client_truncate(c, n, 0), -EINVAL);
	assert_int_equal(client_lookup(c, c->root, "..", &e), -EINVAL);
	assert_int_equal(client_lookup(c, c->root, "../secret", &e), -EINVAL);
	assert_int_equal(client_lookup(c, c->root, "etc/passwd", &e), -EINVAL);
	/* a symlink put in the place of a folder behind our back */
	n = client_node(c, "etc");
	world_reopen(w);
	n = client_node(c, "etc");
	snprintf(path, sizeof(path), "%s/etc", w->upper);
	assert_int_equal(symlink(w->place, path), 0);
	assert_int_equal(client_lookup(c, n, "secret", &e), -ENOENT);
}

static void *copier(void *arg)
{
	struct client *c = arg;
	struct fuse_write_in in = { .offset = 0, .size = 1 };
	struct {
		struct fuse_in_header h;
		struct fuse_write_in w;
		char data[8];
	} req = { .h = { .len = sizeof(req.h) + sizeof(in) + 1,
			 .opcode = FUSE_WRITE,
			 .nodeid = c->root } };
	char rep[64];

	for (int i = 0; i < 50; i++) {
		struct iovec out = { &req, req.h.len }, back = { rep, sizeof(rep) };

		in.offset = (uint64_t)(c->unique * 50 + (unsigned)i);
		req.w = in;
		req.data[0] = (char)('a' + c->unique);
		if (fuse_handle(c->f, &out, 1, &back, 1) < 0)
			return (void *)1;
	}
	return NULL;
}

/* Several threads copy up the same file; each write is in the result. */
static void copy_up_from_many_threads(void **state)
{
	struct world *w = *state;
	struct client c[4];
	pthread_t t[4];
	char *big = xcalloc(1, 3000001), buf[200];
	uint64_t n;
	void *bad;

	memset(big, '.', 3000000);
	put_file(w->layer[1], "big", big);
	n = client_node(&w->c, "big");
	for (unsigned i = 0; i < 4; i++) {
		c[i] = (struct client){ .f = w->c.f, .root = n, .unique = i };
		assert_int_equal(pthread_create(&t[i], NULL, copier, &c[i]), 0);
	}
	for (unsigned i = 0; i < 4; i++) {
		pthread_join(t[i], &bad);
		assert_null(bad);
	}
	assert_int_equal(client_read(&w->c, n, buf, 200, 0), 200);
	for (unsigned i = 0; i < 200; i++)
		assert_int_equal(buf[i], 'a' + i / 50);
	assert_int_equal(client_read(&w->c, n, buf, 1, 2999999), 1);
	assert_int_equal(attr_of(&w->c, "big").size, 3000000);
	free(big);
}

static void deep_trees(void **state)
{
	struct world *w = *state;
	struct client *c = &w->c;
	enum { DEPTH = 1500 };
	uint64_t at = c->root, *node = xcalloc(DEPTH, sizeof(*node));
	struct fuse_mkdir_in in = { .mode = 0755 };
	struct part p[] = { PART(in), PART_STR("d") };
	struct fuse_entry_out e;

	for (int i = 0; i < DEPTH; i++) {
		assert_int_equal(client_call(c, FUSE_MKDIR, at, p, 2, &e, sizeof(e)), sizeof(e));
		node[i] = at = e.nodeid;
	}
	/* the first again, then the last: all in between may have been closed */
	assert_int_equal(client_lookup(c, c->root, "d", &e), 0);
	assert_int_equal(e.nodeid, node[0]);
	assert_int_equal(client_call(c, FUSE_MKDIR, at, p, 2, &e, sizeof(e)), sizeof(e));
	for (int i = 0; i < DEPTH; i++)
		client_forget(c, node[i], 1000);
	client_forget(c, e.nodeid, 1);
	assert_int_equal(client_lookup(c, c->root, "d", &e), 0);
	free(node);
}

static void data_operations(void **state)
{
	struct client *c = &((struct world *)*state)->c;
	struct fuse_fallocate_in alloc = { .length = 1 << 20 };
	struct fuse_fallocate_in punch = { .mode = 3, .offset = 65536, .length = 65536 };
	struct fuse_lseek_in seek = { .whence = SEEK_DATA, .offset = 65536 };
	struct fuse_lseek_out sought;
	struct fuse_copy_file_range_in copy = { .len = 9, .off_out = 3 };
	struct fuse_write_out copied;
	struct fuse_fsync_in sync = { 0 };
	char *buf = xcalloc(1, 1 << 20);
	uint64_t n;

	write_text(c, "f", "x");
	n = client_node(c, "f");
	struct part p = PART(alloc);
	assert_int_equal(client_call(c, FUSE_FALLOCATE, n, &p, 1, NULL, 0), 0);
	assert_int_equal(attr_of(c, "f").size, 1 << 20);
	memset(buf, 'd', 1 << 20);
	assert_int_equal(client_write(c, n, buf, 1 << 20, 0), 1 << 20);
	p = PART(punch);
	assert_int_equal(client_call(c, FUSE_FALLOCATE, n, &p, 1, NULL, 0), 0);
	p = PART(seek);
	/* of holes a guest that caches writes is not told */
	assert_int_equal(client_call(c, FUSE_LSEEK, n, &p, 1, &sought, sizeof(sought)), -ENOSYS);
	assert_int_equal(client_read(c, n, buf, 1 << 20, 0), 1 << 20);
	assert_int_equal(buf[65535], 'd');
	assert_int_equal(buf[65536], 0);
	/* from one layer's file onto another: the second is copied up */
	copy.nodeid_out = client_node(c, "etc/hosts");
	p = PART(copy);
	assert_int_equal(client_call(c, FUSE_COPY_FILE_RANGE, client_node(c, "etc/passwd"), &p, 1,
				     &copied, sizeof(copied)),
			 sizeof(copied));
	assert_text(c, "etc/hosts", "toplow passw");
	p = PART(sync);
	assert_int_equal(client_call(c, FUSE_FSYNC, n, &p, 1, NULL, 0), 0);
	assert_int_equal(client_call(c, FUSE_FSYNC, client_node(c, "etc/passwd"), &p, 1, NULL, 0),
			 0);
	assert_int_equal(client_call(c, FUSE_FSYNCDIR, client_node(c, "etc"), &p, 1, NULL, 0), 0);
	assert_int_equal(client_call(c, FUSE_SYNCFS, FUSE_ROOT_ID, NULL, 0, NULL, 0), 0);
	assert_int_equal(client_write(c, n, "far", 3, 5ULL << 32), 3);
	assert_int_equal(attr_of(c, "f").size, (5ULL << 32) + 3);
	assert_int_equal(client_write(c, n, "x", 1, UINT64_MAX), -EINVAL);
	assert_int_equal(client_write(c, n, "x", 1, INT64_MAX), -EINVAL);
	free(buf);
}

/* Mount points come to be as a guest would make them, and nothing that is there changes. */
static void places(void **state)
{
	static const struct fuse_place some[] = {
		{ "/proc", true },     { "/etc/hosts", false }, { "/etc/new", false },
		{ "/x/y/z", true },    { "/hidden/x", false },	{ "/dir/a/below", false },
		{ "/link/in", false }, { NULL, false },
	};
	struct world *w = *state;
	struct client *c = &w->c;

	assert_int_equal(client_symlink(c, "etc", "link"), 0);
	w->places = some;
	world_reopen(w);
	assert_int_equal(client_node(c, "proc"), 0);
	fuse_prepare(c->f);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(attr_of(c, "proc").mode, S_IFDIR | 0755);
		assert_int_equal(attr_of(c, "proc").uid, 0);
		assert_text(c, "etc/hosts", "top hosts");
		assert_int_equal(attr_of(c, "etc/new").mode, S_IFREG | 0644);
		assert_text(c, "etc/new", "");
		assert_int_equal(attr_of(c, "x/y/z").mode, S_IFDIR | 0755);
		assert_names(c, "hidden", "x ");
		assert_text(c, "hidden/x", "");
		assert_text(c, "dir/a", "low a");
		assert_true(S_ISLNK(attr_of(c, "link").mode));
		assert_int_equal(client_node(c, "etc/in"), 0);
		world_reopen(w);
		fuse_prepare(c->f); /* all there */
	}
}

static int all(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(merges, setup, teardown),
		cmocka_unit_test_setup_teardown(copies_up, setup, teardown),
		cmocka_unit_test_setup_teardown(idle_changes_copy_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(copies_up_attributes, setup, teardown),
		cmocka_unit_test_setup_teardown(keeps_holes, setup, teardown),
		cmocka_unit_test_setup_teardown(removes_and_makes_again, setup, teardown),
		cmocka_unit_test_setup_teardown(renames_files, setup, teardown),
		cmocka_unit_test_setup_teardown(renames_with_whiteout, setup, teardown),
		cmocka_unit_test_setup_teardown(renames_folders, setup, teardown),
		cmocka_unit_test_setup_teardown(hard_links_of_a_layer, setup, teardown),
		cmocka_unit_test_setup_teardown(links, setup, teardown),
		cmocka_unit_test_setup_teardown(open_files_outlive_their_names, setup, teardown),
		cmocka_unit_test_setup_teardown(many_files_without_names, setup, teardown),
		cmocka_unit_test_setup_teardown(files_without_a_name, setup, teardown),
		cmocka_unit_test_setup_teardown(owners_and_kinds, setup, teardown),
		cmocka_unit_test_setup_teardown(symlinks_change, setup, teardown),
		cmocka_unit_test_setup_teardown(inherits_group, setup, teardown),
		cmocka_unit_test_setup_teardown(clears_setuid, setup, teardown),
		cmocka_unit_test_setup_teardown(times, setup, teardown),
		cmocka_unit_test_setup_teardown(xattrs, setup, teardown),
		cmocka_unit_test_setup_teardown(root_of_its_own, setup, teardown),
		cmocka_unit_test_setup_teardown(implied_folders, setup, teardown),
		cmocka_unit_test_setup_teardown(read_only, setup, teardown),
		cmocka_unit_test_setup_teardown(reading_while_it_changes, setup, teardown),
		cmocka_unit_test_setup_teardown(no_way_out, setup, teardown),
		cmocka_unit_test_setup_teardown(copy_up_from_many_threads, setup, teardown),
		cmocka_unit_test_setup_teardown(deep_trees, setup, teardown),
		cmocka_unit_test_setup_teardown(data_operations, setup, teardown),
		cmocka_unit_test_setup_teardown(places, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
	umask(022);
	return run_as_both(all);
}
