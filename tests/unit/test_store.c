/* test_store.c: blobs, layers, names, locks between processes, garbage. */
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
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "oci/manifest.h"
#include "oci/store.h"
#include "runtime/base/fd.h"
#include "runtime/base/own.h"
#include "tests/unit/tarball.h"

static char *top, *root;
static struct store *st;
static struct err err;

static int set_up(void **state)
{
	(void)state;
	err = (struct err)ERR_INIT;
	top = scratch_dir();
	if (top == NULL)
		return -1;
	root = xasprintf("%s/a/root", top);
	st = store_open(root, &err);
	return st ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	if (st)
		store_close(st);
	assert_int_equal(dir_remove_all(AT_FDCWD, top, NULL), 0);
	free(root);
	free(top);
	return 0;
}

#define good(expr)                                          \
	do {                                                \
		if ((expr) != 0)                            \
			fail_msg("%s: %s", #expr, err.msg); \
	} while (0)

static void said(const char *word)
{
	if (strstr(err.msg, word) == NULL)
		fail_msg("\"%s\" lacks \"%s\"", err.msg, word);
}

/* Names in a folder below the root, but for "." and "..". */
static int count(const char *dir)
{
	own_free char *path = xasprintf("%s/%s", root, dir);
	own_dir DIR *d = opendir(path);
	int n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	return n - 2;
}

static bool there(const char *fmt, const char *arg)
{
	own_free char *tail = xasprintf(fmt, arg);
	own_free char *path = xasprintf("%s/%s", root, tail);

	return faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static struct digest put_blob(const char *text)
{
	struct digest d;

	good(store_blob_put(st, text, strlen(text), &d, &err));
	return d;
}

static struct digest digest_text(const char *text)
{
	struct digest d;

	digest_of(text, strlen(text), &d);
	return d;
}

/* ---- opening ---- */

static void test_open(void **state)
{
	own_free char *path = xasprintf("%s/oci-layout", root);
	own_str struct str s = STR_INIT;
	own_js struct js *j = NULL;
	struct stat sb;

	(void)state;
	good(file_read(AT_FDCWD, path, 1000, &s, &err));
	assert_string_equal(s.s, "{\"imageLayoutVersion\":\"1.0.0\"}");
	free(path);
	path = xasprintf("%s/index.json", root);
	j = js_read(AT_FDCWD, path, 1000, &err);
	assert_non_null(j);
	assert_int_equal(js_len(js_get(j, "manifests")), 0);
	assert_int_equal(stat(root, &sb), 0);
	assert_int_equal(sb.st_mode & 07777, 0700);
	store_close(st);
	st = store_open(root, &err); /* a second time, as it is now */
	assert_non_null(st);
	assert_int_equal(count("tmp"), 0);
	assert_null(store_open("relative", &err));
	said("no absolute path");
	assert_null(store_open("/proc/self/status/x", &err));
}

/* ---- blobs ---- */

static void test_blob(void **state)
{
	struct digest want = digest_text("hello world"), got;
	own_str struct str s = STR_INIT;
	struct blob_writer *w;
	uint64_t size;
	int fd;

	(void)state;
	assert_false(store_blob_has(st, &want, UINT64_MAX));
	assert_int_equal(store_blob_open(st, &want, &fd, &size, &err), -ENOENT);
	assert_int_equal(store_blob_read(st, &want, 100, &s, &err), -ENOENT);
	assert_int_equal(store_blob_begin(st, &want, 11, 0, NULL, &w, &err), 0);
	assert_int_equal(blob_writer_have(w), 0);
	good(blob_writer_add(w, "hello ", 6, &err));
	assert_false(store_blob_has(st, &want, UINT64_MAX)); /* nothing half-done is visible */
	assert_int_equal(count("blobs/sha256"), 0);
	good(blob_writer_add(w, "world", 5, &err));
	assert_int_equal(blob_writer_add(w, "!", 1, &err), -EFBIG);
	good(blob_writer_commit(w, &got, &err));
	assert_true(digest_equal(&got, &want));
	assert_true(store_blob_has(st, &want, 11));
	assert_false(store_blob_has(st, &want, 12));
	good(store_blob_open(st, &want, &fd, &size, &err));
	assert_int_equal(size, 11);
	close(fd);
	good(store_blob_read(st, &want, 100, &s, &err));
	assert_string_equal(s.s, "hello world");
	assert_int_equal(store_blob_read(st, &want, 10, &s, &err), -EFBIG);
	assert_int_equal(store_blob_begin(st, &want, 11, 0, NULL, &w, &err), 1);
}

static void test_blob_unknown_digest(void **state)
{
	struct digest want = digest_text("abc"), got;
	struct blob_writer *w;

	(void)state;
	for (int i = 0; i < 2; i++) { /* the second time it is there already */
		assert_int_equal(store_blob_begin(st, NULL, UINT64_MAX, 0, NULL, &w, &err), 0);
		good(blob_writer_add(w, "abc", 3, &err));
		good(blob_writer_commit(w, &got, &err));
		assert_true(digest_equal(&got, &want));
		assert_true(store_blob_has(st, &want, 3));
	}
	assert_int_equal(count("blobs/sha256"), 1);
}

static void test_blob_wrong(void **state)
{
	struct digest d = digest_text("right");
	struct blob_writer *w;

	(void)state;
	assert_int_equal(store_blob_begin(st, &d, 5, 0, NULL, &w, &err), 0);
	good(blob_writer_add(w, "wrong", 5, &err));
	assert_int_equal(blob_writer_commit(w, NULL, &err), -EBADMSG);
	said("instead of sha256:");
	assert_int_equal(store_blob_begin(st, &d, 5, 0, NULL, &w, &err), 0);
	assert_int_equal(blob_writer_have(w), 0); /* nothing of it is kept */
	good(blob_writer_add(w, "righ", 4, &err));
	assert_int_equal(blob_writer_commit(w, NULL, &err), -EBADMSG);
	said("4 bytes instead of 5");
	assert_false(store_blob_has(st, &d, UINT64_MAX));
	assert_int_equal(count("blobs/sha256"), 0);
}

static void test_blob_damaged(void **state)
{
	struct digest d = put_blob("content");
	char hex[DIGEST_HEX_LEN + 1];
	own_free char *path = xasprintf("%s/blobs/sha256/%s", root, digest_hex(hex, &d));
	own_str struct str s = STR_INIT;
	struct blob_writer *w;

	(void)state;
	assert_int_equal(truncate(path, 3), 0); /* as a power failure leaves it */
	assert_int_equal(store_blob_read(st, &d, 100, &s, &err), -EBADMSG);
	assert_int_equal(store_blob_begin(st, &d, 7, 0, NULL, &w, &err), 0); /* made anew */
	good(blob_writer_add(w, "content", 7, &err));
	good(blob_writer_commit(w, NULL, &err));
	good(store_blob_read(st, &d, 100, &s, &err));
}

static void test_blob_continued(void **state)
{
	struct digest d = digest_text("one two three");
	struct blob_writer *w;
	char buf[8];
	pid_t child = fork();

	(void)state;
	if (child == 0) { /* a zl that is killed */
		struct store *s = store_open(root, &err);

		if (store_blob_begin(s, &d, 13, 0, NULL, &w, &err) != 0 ||
		    blob_writer_add(w, "one two", 7, &err) != 0)
			_exit(1);
		raise(SIGKILL);
	}
	waitpid(child, NULL, 0);
	assert_int_equal(store_blob_begin(st, &d, 13, 0, NULL, &w, &err), 0);
	assert_int_equal(blob_writer_have(w), 7);
	assert_int_equal(blob_writer_pread(w, buf, 8, 4), 3);
	assert_memory_equal(buf, "two", 3);
	good(blob_writer_add(w, " three", 6, &err));
	good(blob_writer_commit(w, NULL, &err));
	assert_true(store_blob_has(st, &d, 13));
	/* a part that is kept, continued with what does not fit, and begun anew */
	d = digest_text("xyz");
	assert_int_equal(store_blob_begin(st, &d, 3, 0, NULL, &w, &err), 0);
	good(blob_writer_add(w, "xx", 2, &err));
	blob_writer_abort(w, true);
	assert_int_equal(store_blob_begin(st, &d, 3, 0, NULL, &w, &err), 0);
	assert_int_equal(blob_writer_have(w), 2);
	good(blob_writer_restart(w, &err));
	good(blob_writer_add(w, "xyz", 3, &err));
	good(blob_writer_commit(w, NULL, &err));
	/* a part that is longer than the blob is none */
	d = digest_text("ab");
	assert_int_equal(store_blob_begin(st, &d, UINT64_MAX, 0, NULL, &w, &err), 0);
	good(blob_writer_add(w, "abcd", 4, &err));
	blob_writer_abort(w, true);
	assert_int_equal(store_blob_begin(st, &d, 2, 0, NULL, &w, &err), 0);
	assert_int_equal(blob_writer_have(w), 0);
	blob_writer_abort(w, true);
	assert_int_equal(count("tmp"), 1); /* our lease */
}

/* ---- two at once ---- */

/* A child that holds a blob's or a layer's lock until it is told to finish, in one way or other. */
struct other {
	pid_t pid;
	int go; /* written to */
};

static void other_blob(struct store *s, const char *text, bool commit)
{
	struct digest d = digest_text(text);
	struct blob_writer *w;

	if (store_blob_begin(s, &d, strlen(text), 0, NULL, &w, NULL) != 0)
		_exit(1);
	if (write(STDOUT_FILENO, "r", 1) != 1 || read(STDIN_FILENO, &(char){ 0 }, 1) != 1)
		_exit(1);
	if (!commit)
		raise(SIGKILL);
	if (blob_writer_add(w, text, strlen(text), NULL) || blob_writer_commit(w, NULL, NULL))
		_exit(1);
}

static void other_layer(struct store *s, const char *text, bool commit)
{
	struct digest d = digest_text(text);
	struct layer_writer *w;
	int fd;

	if (store_layer_begin(s, &d, 0, NULL, &w, NULL) != 0)
		_exit(1);
	fd = openat(layer_writer_dir(w), "file", O_CREAT | O_WRONLY, 0644);
	if (fd < 0 || write(STDOUT_FILENO, "r", 1) != 1 || read(STDIN_FILENO, &(char){ 0 }, 1) != 1)
		_exit(1);
	if (!commit)
		raise(SIGKILL);
	if (layer_writer_commit(w, &d, 10, NULL))
		_exit(1);
}

static struct other other_start(void (*fn)(struct store *s, const char *text, bool commit),
				const char *text, bool commit)
{
	int to[2], from[2];
	struct other o;
	char c;

	assert_int_equal(pipe2(to, O_CLOEXEC), 0);
	assert_int_equal(pipe2(from, O_CLOEXEC), 0);
	o.go = to[1];
	o.pid = fork();
	if (o.pid == 0) {
		struct store *s = store_open(root, NULL);

		dup2(to[0], STDIN_FILENO);
		dup2(from[1], STDOUT_FILENO);
		fn(s, text, commit);
		store_close(s);
		_exit(0);
	}
	close(to[0]);
	close(from[1]);
	assert_int_equal(read(from[0], &c, 1), 1); /* it has the lock */
	close(from[0]);
	return o;
}

static void let_go(void *arg, const struct digest *d)
{
	struct other *o = arg;

	assert_non_null(d);
	assert_true(o->go >= 0); /* told once */
	assert_int_equal(write(o->go, "g", 1), 1);
	close(o->go);
	o->go = -1;
}

static void test_blob_of_another(void **state)
{
	struct digest d = digest_text("shared");
	struct other o = other_start(other_blob, "shared", true);
	struct store_wait wait = { let_go, &o };
	struct blob_writer *w;

	(void)state;
	assert_int_equal(store_blob_begin(st, &d, 6, STORE_NOWAIT, NULL, &w, &err), -EAGAIN);
	assert_int_equal(store_blob_begin(st, &d, 6, 0, &wait, &w, &err), 1);
	assert_int_equal(o.go, -1);
	waitpid(o.pid, NULL, 0);
	/* and one that is killed */
	d = digest_text("lost");
	o = other_start(other_blob, "lost", false);
	assert_int_equal(store_blob_begin(st, &d, 4, 0, &wait, &w, &err), 0);
	waitpid(o.pid, NULL, 0);
	good(blob_writer_add(w, "lost", 4, &err));
	good(blob_writer_commit(w, NULL, &err));
}

static void test_layer_of_another(void **state)
{
	struct digest d = digest_text("shared");
	struct other o = other_start(other_layer, "shared", true);
	struct store_wait wait = { let_go, &o };
	struct layer_writer *w;
	uint64_t size;

	(void)state;
	assert_false(store_layer_has(st, &d, NULL));
	store_sweep(st, 0); /* takes nothing that somebody holds */
	assert_int_equal(store_layer_begin(st, &d, STORE_NOWAIT, NULL, &w, &err), -EAGAIN);
	assert_int_equal(store_layer_begin(st, &d, 0, &wait, &w, &err), 1);
	assert_true(store_layer_has(st, &d, &size));
	assert_int_equal(size, 10);
	waitpid(o.pid, NULL, 0);
	d = digest_text("lost");
	o = other_start(other_layer, "lost", false);
	assert_int_equal(store_layer_begin(st, &d, 0, &wait, &w, &err), 0);
	waitpid(o.pid, NULL, 0);
	/* its file is gone */
	assert_int_equal(faccessat(layer_writer_dir(w), "file", F_OK, 0), -1);
	layer_writer_abort(w);
	store_sweep(st, 0);
	assert_int_equal(count("tmp"), 1); /* our lease */
}

/* ---- layers ---- */

static void make_layer(const char *text, uint64_t size)
{
	struct digest d = digest_text(text);
	struct layer_writer *w;

	assert_int_equal(store_layer_begin(st, &d, 0, NULL, &w, &err), 0);
	good(file_write_atomic(layer_writer_dir(w), "file", text, strlen(text), 0644, false, &err));
	good(layer_writer_commit(w, &d, size, &err));
}

static void test_layer(void **state)
{
	struct digest d = digest_text("l"), other = digest_text("other");
	own_free char *path = store_layer_path(st, &d);
	struct layer_writer *w;
	uint64_t size;

	(void)state;
	assert_int_equal(store_layer_begin(st, &d, 0, NULL, &w, &err), 0);
	assert_false(store_layer_has(st, &d, NULL));
	assert_int_equal(layer_writer_commit(w, &other, 5, &err), -EBADMSG);
	said("diff id is sha256:");
	assert_false(store_layer_has(st, &d, NULL));
	assert_int_equal(count("tmp"), 1); /* our lease */
	make_layer("l", 1234);
	assert_true(store_layer_has(st, &d, &size));
	assert_int_equal(size, 1234);
	assert_int_equal(access(path, F_OK), 0);
	assert_int_equal(store_layer_begin(st, &d, 0, NULL, &w, &err), 1);
	/* of a diff id that shows only at the end; it may be there by then */
	for (int i = 0; i < 2; i++) {
		assert_int_equal(store_layer_begin(st, NULL, 0, NULL, &w, &err), 0);
		good(layer_writer_commit(w, &other, 7, &err));
		assert_true(store_layer_has(st, &other, NULL));
	}
	assert_int_equal(count("layers"), 2);
	assert_int_equal(count("tmp"), 1);
}

/* On a ramfs of its own, which has none. Exits with the test's result; 77: it cannot be mounted. */
static void without_xattrs(void)
{
	own_free char *dir = xasprintf("%s/ramfs", top);
	struct layer_writer *w;
	struct store *s;
	int rc;

	if (unshare(CLONE_NEWNS) < 0 || mount("", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mkdir(dir, 0700) < 0 || mount("ramfs", dir, "ramfs", 0, NULL) < 0)
		_exit(77);
	s = store_open(dir, &err);
	rc = s ? store_layer_begin(s, NULL, 0, NULL, &w, &err) : 0;
	if (rc != -EOPNOTSUPP || strstr(err.msg, " has no user xattrs: use ext4, xfs or btrfs, "
						 "or name another folder by --root") == NULL)
		_exit(1);
	_exit(0);
}

static void test_no_xattrs(void **state)
{
	pid_t child = fork();
	int status;

	(void)state;
	if (child == 0)
		without_xattrs();
	waitpid(child, &status, 0);
	/* A root that may not mount has no such file system. */
	assert_true(WIFEXITED(status));
	assert_true(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 77);
}

/* ---- names ---- */

static struct store_image image_of(const char *name, const char *id)
{
	return (struct store_image){ .name = (char *)name,
				     .media_type = (char *)MEDIA_OCI_MANIFEST,
				     .manifest = digest_text(id),
				     .manifest_size = 77,
				     .source = digest_text("source"),
				     .id = digest_text(id),
				     .size = 1000000,
				     .created = 1700000000,
				     .platform = (char *)"linux/arm64/v8",
				     .known = true };
}

static void add_image(const char *name, const char *id)
{
	struct store_image i = image_of(name, id);

	good(store_image_add(st, &i, &err));
}

/* "name=id name=id ..." of all entries; "-" for no name. */
static void images_are(const char *want)
{
	own_store_images struct store_images l = { 0 };
	own_str struct str s = STR_INIT;

	good(store_images_read(st, &l, &err));
	str_add(&s, "");
	for (size_t i = 0; i < l.n; i++) {
		const char *ids[] = { "A", "B", "C" }, *id = "?";

		for (int k = 0; k < 3; k++) {
			struct digest d = digest_text(ids[k]);

			if (digest_equal(&d, &l.v[i].id))
				id = ids[k];
		}
		str_addf(&s, "%s%s=%s", i ? " " : "", l.v[i].name ? l.v[i].name : "-", id);
	}
	assert_string_equal(s.s, want);
}

static void test_names(void **state)
{
	own_store_images struct store_images l = { 0 };
	struct digest d = digest_text("A");

	(void)state;
	images_are("");
	add_image("x:1", "A");
	images_are("x:1=A");
	good(store_images_read(st, &l, &err));
	assert_string_equal(l.v[0].platform, "linux/arm64/v8");
	assert_string_equal(l.v[0].media_type, MEDIA_OCI_MANIFEST);
	assert_true(digest_equal(&l.v[0].id, &d) && digest_equal(&l.v[0].manifest, &d));
	assert_int_equal(l.v[0].manifest_size, 77);
	assert_int_equal(l.v[0].size, 1000000);
	assert_int_equal(l.v[0].created, 1700000000);
	assert_true(l.v[0].known);
	d = digest_text("source");
	assert_true(digest_equal(&l.v[0].source, &d));
	assert_ptr_equal(store_images_find(&l, "x:1"), &l.v[0]);
	assert_null(store_images_find(&l, "x:2"));
	/* the same again, a second name, the name for another image */
	add_image("x:1", "A");
	images_are("x:1=A");
	add_image("x:2", "A");
	images_are("x:1=A x:2=A");
	add_image("x:1", "B");
	images_are("x:2=A x:1=B");
	add_image("x:2", "C"); /* A has no name any more */
	images_are("-=A x:1=B x:2=C");
	add_image(NULL, "B"); /* it has one: nothing to add */
	images_are("-=A x:1=B x:2=C");
	add_image("y:1", "A");
	images_are("x:1=B x:2=C y:1=A");
}

static int drop_first(void *arg, struct store_images *l, struct err *e)
{
	(void)e;
	store_images_drop(l, 0);
	return *(int *)arg;
}

static void test_edit(void **state)
{
	int rc = 0;

	(void)state;
	add_image("x:1", "A");
	add_image("x:2", "B");
	good(store_images_edit(st, drop_first, &rc, &err));
	images_are("x:1=A x:2=B"); /* 0: nothing to write */
	rc = -EPERM;
	assert_int_equal(store_images_edit(st, drop_first, &rc, &err), -EPERM);
	images_are("x:1=A x:2=B");
	rc = 1;
	good(store_images_edit(st, drop_first, &rc, &err));
	images_are("x:2=B");
	assert_false(there("tmp/%s", "index.json"));
}

/* What skopeo and umoci have put there stays as it is. */
static void test_foreign_entry(void **state)
{
	own_free char *path = xasprintf("%s/index.json", root);
	own_store_images struct store_images l = { 0 };
	own_str struct str s = STR_INIT;
	char text[DIGEST_TEXT_MAX];
	struct digest d = digest_text("foreign");

	(void)state;
	str_addf(&s,
		 "{\"schemaVersion\":2,\"manifests\":[{\"mediaType\":\"application/x\",\"digest\":"
		 "\"%s\",\"size\":5,\"urls\":[\"u\"],\"annotations\":{\"org.opencontainers.image."
		 "ref.name\":\"latest\",\"more\":\"kept\"}},{\"digest\":\"md5:x\"},7]}",
		 digest_format(text, &d));
	good(file_write_atomic(AT_FDCWD, path, s.s, s.len, 0644, false, &err));
	add_image("x:1", "A");
	images_are("latest=? x:1=A");
	good(store_images_read(st, &l, &err));
	assert_false(l.v[0].known);
	assert_true(digest_equal(&l.v[0].manifest, &d));
	assert_int_equal(l.v[0].manifest_size, 5);
	s.len = 0;
	good(file_read(AT_FDCWD, path, 100000, &s, &err));
	assert_non_null(strstr(s.s, "\"urls\":[\"u\"]"));
	assert_non_null(strstr(s.s, "\"more\":\"kept\""));
	/* and what is no JSON is an error, not an empty list */
	good(file_write_atomic(AT_FDCWD, path, "{\"manif", 7, 0644, false, &err));
	store_images_free(&l);
	assert_int_equal(store_images_read(st, &l, &err), -EBADMSG);
	said("index.json is damaged");
	assert_int_equal(store_image_add(st, &(struct store_image){ 0 }, &err), -EBADMSG);
}

/* Many at once lose nothing. */
#define WRITERS 4
#define EACH	25

static void test_edits_at_once(void **state)
{
	own_store_images struct store_images l = { 0 };
	pid_t pids[WRITERS];

	(void)state;
	for (int w = 0; w < WRITERS; w++) {
		pids[w] = fork();
		if (pids[w] == 0) {
			struct store *s = store_open(root, NULL);
			int bad = 0;

			for (int i = 0; i < EACH; i++) {
				own_free char *name = xasprintf("n:%d-%d", w, i);
				struct store_image im = image_of(name, name);

				bad |= store_image_add(s, &im, NULL) != 0;
			}
			_exit(bad);
		}
	}
	for (int w = 0; w < WRITERS; w++) {
		int status;

		waitpid(pids[w], &status, 0);
		assert_int_equal(status, 0);
	}
	good(store_images_read(st, &l, &err));
	assert_int_equal(l.n, WRITERS * EACH);
}

/* ---- garbage ---- */

/* An image of one layer in the store: manifest, config, layer blob, unpacked layer. */
struct whole {
	struct digest manifest, config, blob, diff;
};

static struct whole make_image(const char *name, const char *seed)
{
	own_free char *blob = xasprintf("blob %s", seed);
	own_free char *config = NULL, *manifest = NULL;
	char c[DIGEST_TEXT_MAX], b[DIGEST_TEXT_MAX], d[DIGEST_TEXT_MAX];
	struct whole w = { .diff = digest_text(seed) };
	struct store_image i = image_of(name, seed);

	config = xasprintf("{\"architecture\":\"amd64\",\"os\":\"linux\",\"config\":{},\"rootfs\":"
			   "{\"type\":\"layers\",\"diff_ids\":[\"%s\"]}}",
			   digest_format(d, &w.diff));
	w.config = put_blob(config);
	w.blob = put_blob(blob);
	manifest = xasprintf("{\"schemaVersion\":2,\"mediaType\":\"" MEDIA_OCI_MANIFEST
			     "\",\"config\":{\"mediaType\":\"" MEDIA_OCI_CONFIG
			     "\",\"digest\":\"%s\",\"size\":%zu},\"layers\":[{\"mediaType\":"
			     "\"" MEDIA_OCI_LAYER "\",\"digest\":\"%s\",\"size\":%zu}]}",
			     digest_format(c, &w.config), strlen(config), digest_format(b, &w.blob),
			     strlen(blob));
	w.manifest = put_blob(manifest);
	make_layer(seed, 100);
	i.manifest = i.source = w.manifest;
	i.id = w.config;
	if (name)
		good(store_image_add(st, &i, &err));
	return w;
}

static bool whole_there(const struct whole *w)
{
	return store_blob_has(st, &w->manifest, UINT64_MAX) &&
	       store_blob_has(st, &w->config, UINT64_MAX) &&
	       store_blob_has(st, &w->blob, UINT64_MAX) && store_layer_has(st, &w->diff, NULL);
}

static int no_refs(void *arg, struct strv *refs, struct err *e)
{
	const char *ref = arg;

	if (ref && strcmp(ref, "fail") == 0)
		return err_set(e, EIO, "cannot tell");
	if (ref)
		strv_add(refs, ref);
	return 0;
}

static void test_gc(void **state)
{
	struct whole a = make_image("a:1", "a"), b = make_image("b:1", "b");
	struct store_gc_stats stats;
	own_strv struct strv removed = STRV_INIT;
	int one = 1;

	(void)state;
	store_set_refs(st, no_refs, NULL);
	good(store_gc(st, &stats, NULL, &err));
	assert_int_equal(stats.blobs + stats.layers, 0);
	good(store_images_edit(st, drop_first, &one, &err)); /* a */
	good(store_gc(st, &stats, &removed, &err));
	assert_int_equal(stats.blobs, 3);
	assert_int_equal(stats.layers, 1);
	assert_true(stats.bytes > 100);
	assert_int_equal(removed.n, 1);
	assert_false(store_layer_has(st, &a.diff, NULL));
	assert_int_equal(count("blobs/sha256"), 3);
	assert_true(whole_there(&b));
	assert_int_equal(count("tmp"), 1); /* our lease */
}

static void test_gc_without_refs(void **state)
{
	struct whole a = make_image(NULL, "a");

	(void)state;
	good(store_gc(st, NULL, NULL, &err));
	assert_true(store_layer_has(st, &a.diff, NULL)); /* a container may be on it */
	assert_int_equal(count("blobs/sha256"), 0);
	store_set_refs(st, no_refs, (void *)"fail");
	assert_int_equal(store_gc(st, NULL, NULL, &err), -EIO);
	assert_string_equal(err.msg, "cannot tell");
	assert_true(store_layer_has(st, &a.diff, NULL));
}

static void test_gc_containers(void **state)
{
	struct whole a = make_image(NULL, "a"), b = make_image(NULL, "b");
	own_free char *path = store_layer_path(st, &a.diff);
	char text[DIGEST_TEXT_MAX];

	(void)state;
	store_set_refs(st, no_refs, path);
	good(store_gc(st, NULL, NULL, &err));
	assert_true(store_layer_has(st, &a.diff, NULL));
	assert_false(store_layer_has(st, &b.diff, NULL));
	b = make_image(NULL, "b");
	store_set_refs(st, no_refs, digest_format(text, &b.config));
	good(store_gc(st, NULL, NULL, &err));
	assert_true(store_blob_has(st, &b.config, UINT64_MAX));
	assert_false(store_layer_has(st, &a.diff, NULL));
}

/* What another handle counts on stays until it is closed, or its process ends. */
static void test_gc_leases(void **state)
{
	struct store *other = store_open(root, &err);
	struct whole a = make_image(NULL, "a");
	pid_t child;

	(void)state;
	store_set_refs(st, no_refs, NULL);
	good(store_pin_layer(other, &a.diff, &err));
	good(store_pin_blob(other, &a.config, &err));
	good(store_pin_blob(other, &a.config, &err));
	good(store_gc(st, NULL, NULL, &err));
	assert_true(store_layer_has(st, &a.diff, NULL));
	assert_true(store_blob_has(st, &a.config, UINT64_MAX));
	assert_false(store_blob_has(st, &a.manifest, UINT64_MAX));
	/* a child that inherited the handle may close it: it is not his to end */
	child = fork();
	if (child == 0) {
		store_close(other);
		_exit(0);
	}
	waitpid(child, NULL, 0);
	good(store_gc(st, NULL, NULL, &err));
	assert_true(store_layer_has(st, &a.diff, NULL));
	store_close(other);
	good(store_gc(st, NULL, NULL, &err));
	assert_false(store_layer_has(st, &a.diff, NULL));
	assert_int_equal(count("blobs/sha256"), 0);
	/* and of a process that was killed nothing counts */
	a = make_image(NULL, "a");
	child = fork();
	if (child == 0) {
		other = store_open(root, NULL);
		store_pin_layer(other, &a.diff, NULL);
		raise(SIGKILL);
	}
	waitpid(child, NULL, 0);
	assert_int_equal(count("tmp"), 2);
	good(store_gc(st, NULL, NULL, &err));
	assert_false(store_layer_has(st, &a.diff, NULL));
	assert_int_equal(count("tmp"), 1);
}

/* One image with a hole in it does not keep the garbage, and keeps what it has. */
static void test_gc_broken_image(void **state)
{
	struct whole a = make_image("a:1", "a"), b = make_image(NULL, "b");
	char hex[DIGEST_HEX_LEN + 1];
	own_free char *path = xasprintf("%s/blobs/sha256/%s", root, digest_hex(hex, &a.manifest));

	(void)state;
	assert_int_equal(unlink(path), 0);
	store_set_refs(st, no_refs, NULL);
	good(store_gc(st, NULL, NULL, &err));
	assert_true(store_blob_has(st, &a.config, UINT64_MAX));
	assert_true(store_layer_has(st, &a.diff, NULL));
	assert_false(store_layer_has(st, &b.diff, NULL));
}

static void test_sweep(void **state)
{
	struct digest d = digest_text("part");
	struct blob_writer *w;
	pid_t child = fork();

	(void)state;
	if (child == 0) { /* leaves a lease, a part of a blob and half a layer */
		struct store *s = store_open(root, NULL);
		struct layer_writer *lw;

		store_blob_begin(s, &d, 4, 0, NULL, &w, NULL);
		blob_writer_add(w, "pa", 2, NULL);
		store_layer_begin(s, &d, 0, NULL, &lw, NULL);
		mkdirat(layer_writer_dir(lw), "sub", 0);
		raise(SIGKILL);
	}
	waitpid(child, NULL, 0);
	assert_int_equal(count("tmp"), 4);
	store_sweep(st, STORE_PART_KEEP_S);
	assert_int_equal(count("tmp"), 1); /* the part */
	assert_int_equal(store_blob_begin(st, &d, 4, STORE_NOWAIT, NULL, &w, &err), 0);
	assert_int_equal(blob_writer_have(w), 2);
	store_sweep(st, 0);
	assert_int_equal(blob_writer_add(w, "rt", 2, &err), 0);
	good(blob_writer_commit(w, NULL, &err)); /* ours was not swept */
	good(store_gc(st, NULL, NULL, &err));
	assert_int_equal(count("tmp"), 1);
}

/* Writers and a collector for a while: whoever has pinned finds it there. */
struct race {
	int stop;
	int lost;
};

static void *collect(void *arg)
{
	struct race *r = arg;
	struct store *s = store_open(root, NULL);

	store_set_refs(s, no_refs, NULL);
	while (!__atomic_load_n(&r->stop, __ATOMIC_RELAXED))
		store_gc(s, NULL, NULL, NULL);
	store_close(s);
	return NULL;
}

static void *write_and_look(void *arg)
{
	struct race *r = arg;

	for (int i = 0; i < 150; i++) {
		struct store *s = store_open(root, NULL);
		own_str struct str text = STR_INIT;
		struct digest d, layer = digest_text("layer");
		struct layer_writer *w;

		store_blob_put(s, "racing", 6, &d, NULL);
		if (store_layer_begin(s, &layer, 0, NULL, &w, NULL) == 0)
			layer_writer_commit(w, &layer, 1, NULL);
		if (store_blob_read(s, &d, 100, &text, NULL) < 0 ||
		    !store_layer_has(s, &layer, NULL))
			__atomic_add_fetch(&r->lost, 1, __ATOMIC_RELAXED);
		store_close(s);
	}
	return NULL;
}

static void test_gc_races(void **state)
{
	struct race r = { 0 };
	pthread_t gc, writers[3];

	(void)state;
	assert_int_equal(pthread_create(&gc, NULL, collect, &r), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&writers[i], NULL, write_and_look, &r), 0);
	for (int i = 0; i < 3; i++)
		pthread_join(writers[i], NULL);
	__atomic_store_n(&r.stop, 1, __ATOMIC_RELAXED);
	pthread_join(gc, NULL);
	assert_int_equal(r.lost, 0);
}

/* A store one may only read still shows its images. */
static void test_read_only(void **state)
{
	struct whole a = make_image("a:1", "a");
	own_str struct str s = STR_INIT;

	(void)state;
	store_close(st);
	assert_int_equal(chmod(root, 0500), 0);
	for (const char *const *p = (const char *const[]){ "tmp", "blobs/sha256", NULL }; *p; p++) {
		own_free char *dir = xasprintf("%s/%s", root, *p);

		assert_int_equal(chmod(dir, 0500), 0);
	}
	st = store_open(root, &err);
	assert_non_null(st);
	assert_true(whole_there(&a));
	good(store_blob_read(st, &a.config, 10000, &s, &err));
	{
		own_store_images struct store_images l = { 0 };

		good(store_images_read(st, &l, &err));
		assert_int_equal(l.n, 1);
	}
	assert_int_equal(store_blob_put(st, "new", 3, &a.blob, &err), -EACCES);
	said("Permission denied");
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static int run(void)
{
	const struct CMUnitTest tests[] = {
		T(test_open),
		T(test_blob),
		T(test_blob_unknown_digest),
		T(test_blob_wrong),
		T(test_blob_damaged),
		T(test_blob_continued),
		T(test_blob_of_another),
		T(test_layer_of_another),
		T(test_layer),
		T(test_names),
		T(test_edit),
		T(test_foreign_entry),
		T(test_edits_at_once),
		T(test_gc),
		T(test_gc_without_refs),
		T(test_gc_containers),
		T(test_gc_leases),
		T(test_gc_broken_image),
		T(test_sweep),
		T(test_gc_races),
	};
	/* Permissions stop only ordinary users, and only root can mount. */
	const struct CMUnitTest users[] = { T(test_read_only) };
	const struct CMUnitTest roots[] = { T(test_no_xattrs) };
	int failed = cmocka_run_group_tests(tests, NULL, NULL);

	if (geteuid() == 0)
		return failed + cmocka_run_group_tests(roots, NULL, NULL);
	return failed + cmocka_run_group_tests(users, NULL, NULL);
}

/* Root first tries it all as an ordinary user. */
int main(void)
{
	int status = 0;
	pid_t child;

	if (geteuid() == 0) {
		child = fork();
		if (child == 0)
			_exit(setgid(65534) || setuid(65534) ? 1 : run());
		if (child < 0 || waitpid(child, &status, 0) < 0)
			return 1;
	}
	return run() || status;
}
