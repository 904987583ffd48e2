/* test_fuse_proto.c: the protocol's edges: negotiation, malformed requests, room for replies. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/str.h"
#include "tests/unit/fuse_client.h"

struct world {
	char place[256], upper[300], layer[300];
	struct fuse *f;
	struct client c;
};

static int setup(void **state)
{
	struct world *w = xcalloc(1, sizeof(*w));
	const char *layers[] = { w->layer };
	struct fuse_share share = {
		.name = "root", .layers = layers, .nlayers = 1, .upper = w->upper
	};
	struct err e = ERR_INIT;

	place_make(w->place, sizeof(w->place));
	snprintf(w->upper, sizeof(w->upper), "%s/upper", w->place);
	snprintf(w->layer, sizeof(w->layer), "%s/layer", w->place);
	mkdir(w->upper, 0700);
	put_file(w->layer, "file", "content");
	put_file(w->layer, "dir/in", "in");
	w->f = fuse_new(&share, 1, &e);
	if (w->f == NULL)
		fail_msg("%s", e.msg);
	*state = w;
	return 0;
}

static int setup_started(void **state)
{
	struct world *w;

	setup(state);
	w = *state;
	client_start(&w->c, w->f, "root");
	return w->c.root ? 0 : -1;
}

static int teardown(void **state)
{
	struct world *w = *state;

	fuse_free(w->f);
	place_remove(w->place);
	free(w);
	return 0;
}

/* A request as it is, in one segment, with so much room for the reply; the reply's error. */
static int raw(struct fuse *f, const void *req, size_t n, size_t room, ssize_t *handled)
{
	static char rep[70000];
	struct fuse_out_header oh = { 0 };
	struct iovec out = { (void *)req, n }, in = { rep, room };
	ssize_t got;

	memset(rep, 0xee, sizeof(rep));
	got = fuse_handle(f, &out, 1, &in, room ? 1 : 0);
	if (handled)
		*handled = got;
	for (size_t i = room; i < room + 64; i++) /* nothing is written past the room */
		assert_int_equal((uint8_t)rep[i], 0xee);
	if (got < (ssize_t)sizeof(oh))
		return 0;
	memcpy(&oh, rep, sizeof(oh));
	assert_int_equal(oh.len, got);
	assert_true(oh.error <= 0 && oh.error > -1000);
	if (oh.error)
		assert_int_equal(got, sizeof(oh));
	return oh.error;
}

struct request {
	struct fuse_in_header h;
	char body[6000];
};

static size_t request(struct request *r, uint32_t op, uint64_t node, const void *body, size_t n)
{
	memset(r, 0, sizeof(r->h));
	r->h = (struct fuse_in_header){
		.len = (uint32_t)(sizeof(r->h) + n), .opcode = op, .unique = 7, .nodeid = node
	};
	memcpy(r->body, body, n);
	return r->h.len;
}

static void negotiates(void **state)
{
	struct world *w = *state;
	struct client *c = &w->c;
	struct fuse_init_in in = { .major = 7, .minor = 31, .flags = CLIENT_FLAGS };
	struct fuse_init_out out;
	struct part p = PART(in);
	struct fuse_attr a;

	c->f = w->f;
	assert_int_equal(client_getattr(c, FUSE_ROOT_ID, &a), -EINVAL); /* INIT comes first */
	in.minor = 30;
	assert_int_equal(client_call(c, FUSE_INIT, 0, &p, 1, &out, sizeof(out)), -EPROTO);
	in.major = 8; /* the answer is our version, and the kernel asks again */
	assert_int_equal(client_call(c, FUSE_INIT, 0, &p, 1, &out, sizeof(out)), sizeof(out));
	assert_int_equal(out.major, 7);
	assert_int_equal(out.flags, 0);
	in.major = 7;
	in.minor = 38;
	p.n = 16; /* as kernels before 7.36 send it */
	assert_int_equal(client_call(c, FUSE_INIT, 0, &p, 1, &out, sizeof(out)), sizeof(out));
	assert_int_equal(out.minor, FUSE_KERNEL_MINOR_VERSION);
	assert_int_equal(out.max_write, 1 << 20);
	assert_int_equal(out.max_pages, 256);
	assert_true(out.flags & FUSE_WRITEBACK_CACHE);
	assert_true(out.flags & FUSE_NO_OPEN_SUPPORT);
	assert_true(out.flags & FUSE_NO_OPENDIR_SUPPORT);
	assert_true(out.flags & FUSE_HANDLE_KILLPRIV_V2);
	/* locks stay in the guest, truncation comes as SETATTR, atime as the kernel has it */
	assert_false(out.flags & (FUSE_POSIX_LOCKS | FUSE_FLOCK_LOCKS | FUSE_ATOMIC_O_TRUNC |
				  FUSE_EXPORT_SUPPORT | FUSE_POSIX_ACL | FUSE_AUTO_INVAL_DATA));
	/* nothing that was not offered */
	in.flags = FUSE_BIG_WRITES;
	assert_int_equal(client_call(c, FUSE_INIT, 0, &p, 1, &out, sizeof(out)), sizeof(out));
	assert_int_equal(out.flags, FUSE_BIG_WRITES);
}

static void opens_where_it_must(void **state)
{
	struct world *w = *state;
	struct fuse_init_in in = { .major = 7, .minor = 36 };
	struct part p = PART(in);
	uint64_t n, fh = 1;
	char names[64];

	w->c.f = w->f;
	assert_true(client_call(&w->c, FUSE_INIT, 0, &p, 1, &w->c.init, sizeof(w->c.init)) > 0);
	struct fuse_entry_out e;
	assert_int_equal(client_lookup(&w->c, FUSE_ROOT_ID, "root", &e), 0);
	w->c.root = e.nodeid;
	n = client_node(&w->c, "file");
	assert_int_equal(client_open(&w->c, n, O_RDWR, &fh), 0);
	assert_int_equal(fh, 0);
	assert_int_equal(client_open(&w->c, client_node(&w->c, "dir"), O_RDWR, &fh), -EISDIR);
	assert_int_equal(client_list(&w->c, "", names, sizeof(names)), 0);
	assert_string_equal(names, "dir file ");
	/* SETXATTR is the short form here */
	struct {
		uint32_t size, flags;
	} set = { 1, 0 };
	struct part sp[] = { PART(set), PART_STR("user.a"), { "v", 1 } };
	assert_int_equal(client_call(&w->c, FUSE_SETXATTR, n, sp, 3, NULL, 0), 0);
	assert_int_equal(client_getxattr(&w->c, n, "user.a", names, 8), 1);
}

static void root_of_the_engine(void **state)
{
	struct client *c = &((struct world *)*state)->c;
	struct fuse_read_in in = { .size = 4096 };
	struct part p = PART(in), name = PART_STR("x");
	struct fuse_statfs_out st;
	struct fuse_entry_out e;
	struct fuse_attr a;
	char data[4096];
	struct fuse_dirent de;

	assert_int_equal(client_getattr(c, FUSE_ROOT_ID, &a), 0);
	assert_int_equal(a.mode, S_IFDIR | 0555);
	assert_int_equal(client_lookup(c, FUSE_ROOT_ID, "other", &e), -ENOENT);
	assert_int_equal(client_call(c, FUSE_READDIR, FUSE_ROOT_ID, &p, 1, data, sizeof(data)),
			 32 * 3);
	memcpy(&de, data + 64, FUSE_NAME_OFFSET);
	assert_memory_equal(data + 64 + FUSE_NAME_OFFSET, "root", de.namelen);
	assert_int_equal(client_call(c, FUSE_UNLINK, FUSE_ROOT_ID, &name, 1, NULL, 0), -EROFS);
	assert_int_equal(client_call(c, FUSE_RMDIR, FUSE_ROOT_ID, &name, 1, NULL, 0), -EROFS);
	assert_int_equal(client_call(c, FUSE_STATFS, FUSE_ROOT_ID, NULL, 0, &st, sizeof(st)),
			 sizeof(st));
	assert_true(st.st.blocks > 0);
	assert_int_equal(st.st.namelen, 255);
	client_forget(c, FUSE_ROOT_ID, 100);
	assert_int_equal(client_getattr(c, FUSE_ROOT_ID, &a), 0);
	/* a share's root has no name in a share */
	client_forget(c, c->root, 100);
	assert_int_equal(client_getattr(c, c->root, &a), 0);
}

static void unknown(void **state)
{
	struct client *c = &((struct world *)*state)->c;
	struct fuse_attr a;
	static const uint32_t ops[] = { 0,  7,	  19,	      FUSE_GETLK, FUSE_SETLKW, FUSE_ACCESS,
					37, 39,	  40,	      41,	  52,	       63,
					64, 4096, UINT32_MAX, FUSE_FLUSH };

	for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++)
		assert_int_equal(client_call(c, ops[i], c->root, NULL, 0, NULL, 0), -ENOSYS);
	assert_int_equal(client_getattr(c, 12345, &a), -ESTALE);
	assert_int_equal(client_getattr(c, 0, &a), -ESTALE);
}

static void bad_names(void **state)
{
	struct world *w = *state;
	struct client *c = &w->c;
	struct request r;
	struct fuse_mkdir_in mk = { .mode = 0755 };
	char body[5200], longest[300];
	size_t n;
	static const struct {
		const char *name;
		size_t n; /* NUL included */
		int error;
	} rows[] = {
		{ "", 1, -EINVAL },	{ ".", 2, -EINVAL },   { "..", 3, -EINVAL },
		{ "a/b", 4, -EINVAL },	{ "/", 2, -EINVAL },   { "abc", 3, -EINVAL },
		{ "a\0b", 4, -EINVAL }, { "a\0", 3, -EINVAL }, { "", 0, -EINVAL },
		{ "...", 4, 0 },	{ "\xff\n", 3, 0 },
	};

	memcpy(body, &mk, sizeof(mk));
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		memcpy(body + sizeof(mk), rows[i].name, rows[i].n);
		n = request(&r, FUSE_MKDIR, c->root, body, sizeof(mk) + rows[i].n);
		assert_int_equal(raw(w->f, &r, n, 4096, NULL), rows[i].error);
	}
	memset(longest, 'n', sizeof(longest));
	longest[255] = 0;
	assert_int_equal(client_mkdir(c, longest, 0755), 0);
	assert_int_equal(client_rmdir(c, longest), 0);
	longest[255] = 'n';
	longest[256] = 0;
	assert_int_equal(client_mkdir(c, longest, 0755), -ENAMETOOLONG);
	assert_int_equal(client_node(c, longest), 0);
	memset(body + sizeof(mk), 'x', sizeof(body) - sizeof(mk));
	n = request(&r, FUSE_MKDIR, c->root, body, sizeof(body));
	assert_int_equal(raw(w->f, &r, n, 4096, NULL), -EINVAL);
	/* two names, the second missing */
	struct fuse_rename_in re = { c->root };
	memcpy(body, &re, sizeof(re));
	memcpy(body + sizeof(re), "file", 5);
	n = request(&r, FUSE_RENAME, c->root, body, sizeof(re) + 5);
	assert_int_equal(raw(w->f, &r, n, 4096, NULL), -EINVAL);
	memcpy(body + sizeof(re) + 5, "..", 3);
	n = request(&r, FUSE_RENAME, c->root, body, sizeof(re) + 8);
	assert_int_equal(raw(w->f, &r, n, 4096, NULL), -EINVAL);
	/* an empty target, and one that is too long */
	assert_int_equal(client_symlink(c, "", "s"), -ENOENT);
	memset(body, 't', 4096);
	body[4096] = 0;
	assert_int_equal(client_symlink(c, body, "s"), -ENAMETOOLONG);
	body[4095] = 0;
	assert_int_equal(client_symlink(c, body, "s"), 0);
	assert_int_equal(client_readlink(c, "s", longest, 200), -EIO); /* no room for it */
}

/* Every operation, cut at every place: an error, or no answer at all, but never a crash. */
static void truncated(void **state)
{
	struct world *w = *state;
	struct request r;
	char zeros[256] = { 0 };
	ssize_t got;

	for (uint32_t op = 1; op < 60; op++) {
		if (op == FUSE_DESTROY || op == FUSE_INIT)
			continue;
		for (size_t n = 0; n < 100; n++) {
			size_t len = request(&r, op, w->c.root, zeros, n);

			raw(w->f, &r, len, 4096, &got);
			assert_true(got >= 0);
			raw(w->f, &r, len, 16, &got);
			r.h.len = (uint32_t)len + 1; /* longer than it is */
			if (op == FUSE_FORGET || op == FUSE_BATCH_FORGET || op == FUSE_INTERRUPT)
				continue;
			assert_true(raw(w->f, &r, len, 4096, &got) < 0);
			r.h.len = (uint32_t)(n % 40);
			assert_true(raw(w->f, &r, len, 4096, &got) < 0);
			r.h.len = (uint32_t)len;
			r.h.total_extlen = (uint16_t)(n / 8 + 1);
			assert_true(raw(w->f, &r, len, 4096, &got) < 0);
		}
	}
	for (size_t n = 0; n < sizeof(r.h); n++) {
		raw(w->f, &r, n, 4096, &got);
		assert_int_equal(got, -EPROTO);
	}
}

static void no_room_for_the_reply(void **state)
{
	struct world *w = *state;
	struct client *c = &w->c;
	struct fuse_create_in cr = { .flags = O_RDWR, .mode = 0644 };
	struct fuse_read_in rd = { .size = 4096 };
	struct request r;
	char body[64];
	ssize_t got;
	size_t n;

	memcpy(body, &cr, sizeof(cr));
	memcpy(body + sizeof(cr), "new", 4);
	n = request(&r, FUSE_CREATE, c->root, body, sizeof(cr) + 4);
	raw(w->f, &r, n, 15, &got);
	assert_int_equal(got, -EPROTO);
	assert_int_equal(raw(w->f, &r, n, 16, &got), -EIO);
	assert_int_equal(raw(w->f, &r, n, 159, &got), -EIO);
	assert_int_equal(client_node(c, "new"), 0); /* not made, as nobody would know */
	assert_int_equal(raw(w->f, &r, n, 160, &got), 0);
	assert_int_equal(got, 160);
	/* a read gives what there is room for */
	n = request(&r, FUSE_READ, client_node(c, "file"), &rd, sizeof(rd));
	assert_int_equal(raw(w->f, &r, n, 16 + 3, &got), 0);
	assert_int_equal(got, 16 + 3);
	/* the first entry does not fit: not the end of the folder */
	n = request(&r, FUSE_READDIR, c->root, &rd, sizeof(rd));
	assert_int_equal(raw(w->f, &r, n, 16 + 8, &got), -EINVAL);
	n = request(&r, FUSE_FORGET, c->root, &rd, 8);
	raw(w->f, &r, n, 0, &got);
	assert_int_equal(got, 0);
}

static void bad_values(void **state)
{
	struct world *w = *state;
	struct client *c = &w->c;
	uint64_t n = client_node(c, "file"), dir = client_node(c, "dir"), fh;
	struct fuse_setxattr_in set = { .size = 5 };
	struct fuse_write_in wr = { .size = 100 };
	struct fuse_fallocate_in fa = { .length = 1, .mode = 0x400 };
	struct fuse_copy_file_range_in cp = { .nodeid_out = n, .len = 1, .flags = 1 };
	struct part sp[] = { PART(set), PART_STR("user.a"), { "1234", 4 } };
	struct part wp[] = { PART(wr), { "short", 5 } }, fp = PART(fa), cpp = PART(cp);
	char buf[16];

	assert_int_equal(client_call(c, FUSE_SETXATTR, n, sp, 3, NULL, 0), -EINVAL);
	set.size = 70000;
	assert_int_equal(client_call(c, FUSE_SETXATTR, n, sp, 3, NULL, 0), -E2BIG);
	assert_int_equal(client_setxattr(c, n, "", "v", 0), -ERANGE);
	assert_int_equal(client_setxattr(c, n, "user.a", "v", 99), -EINVAL);
	assert_int_equal(client_call(c, FUSE_WRITE, n, wp, 2, buf, 8), -EINVAL);
	assert_int_equal(client_call(c, FUSE_FALLOCATE, n, &fp, 1, NULL, 0), -EOPNOTSUPP);
	fa.mode = 0;
	fa.length = 0;
	assert_int_equal(client_call(c, FUSE_FALLOCATE, n, &fp, 1, NULL, 0), -EINVAL);
	fa.offset = fa.length = INT64_MAX;
	assert_int_equal(client_call(c, FUSE_FALLOCATE, n, &fp, 1, NULL, 0), -EINVAL);
	assert_int_equal(client_call(c, FUSE_COPY_FILE_RANGE, n, &cpp, 1, buf, 8), -EINVAL);
	cp.flags = 0;
	cp.nodeid_out = 999;
	assert_int_equal(client_call(c, FUSE_COPY_FILE_RANGE, n, &cpp, 1, buf, 8), -ESTALE);
	cp.nodeid_out = FUSE_ROOT_ID;
	assert_int_equal(client_call(c, FUSE_COPY_FILE_RANGE, n, &cpp, 1, buf, 8), -EROFS);
	cp.nodeid_out = dir;
	assert_int_equal(client_call(c, FUSE_COPY_FILE_RANGE, n, &cpp, 1, buf, 8), -EISDIR);
	assert_int_equal(client_read(c, dir, buf, 8, 0), -EISDIR);
	assert_int_equal(client_read(c, n, buf, 8, UINT64_MAX), -EINVAL);
	assert_int_equal(client_read(c, n, buf, 8, INT64_MAX - 8), 0);
	assert_int_equal(client_truncate(c, n, UINT64_MAX), -EFBIG);
	assert_int_equal(client_truncate(c, dir, 0), -EISDIR);
	assert_int_equal(client_mknod(c, "odd", 0170000, 0), -EINVAL);
	assert_int_equal(client_open(c, n, O_RDWR, &fh), -ENOSYS); /* not needed */
	assert_int_equal(client_mkdir(c, "file/x", 0755), -ENOTDIR);
	assert_int_equal(client_rename(c, "file", "dir/in/x", 0), -ENOTDIR);
}

static void starts_again(void **state)
{
	struct world *w = *state;
	struct client *c = &w->c, other;
	uint64_t old = client_node(c, "file");
	struct fuse_attr a;
	struct fuse_batch_forget_in bf = { .count = 1000000 };
	struct fuse_forget_one one[2] = { { old, 1 }, { 777, 5 } };
	struct part p[] = { PART(bf), PART(one) };

	assert_int_equal(client_getattr(c, old, &a), 0);
	assert_int_equal(client_call(c, FUSE_BATCH_FORGET, 0, p, 2, NULL, 0), 0);
	assert_int_equal(client_getattr(c, old, &a), -ESTALE);
	old = client_node(c, "dir");
	assert_int_equal(client_call(c, FUSE_DESTROY, 0, NULL, 0, NULL, 0), 0);
	assert_int_equal(client_getattr(c, old, &a), -EINVAL);
	client_start(&other, w->f, "root");
	assert_int_equal(client_getattr(&other, old, &a), -ESTALE); /* ids do not come again */
	assert_int_not_equal(client_node(&other, "dir/in"), 0);
	fuse_reset(w->f);
	assert_int_equal(client_getattr(&other, FUSE_ROOT_ID, &a), -EINVAL);
	client_start(&other, w->f, "root");
	assert_int_not_equal(client_node(&other, "dir/in"), 0);
	client_start(&other, w->f, "root"); /* INIT without DESTROY */
	assert_int_not_equal(client_node(&other, "dir/in"), 0);
}

static void counts_bytes(void **state)
{
	struct world *w = *state;
	uint64_t n = client_node(&w->c, "file"), in, out;
	char buf[16];

	client_read(&w->c, n, buf, 4, 0);
	client_write(&w->c, n, "12", 2, 0);
	fuse_counters(w->f, &in, &out);
	assert_int_equal(in, 4);
	assert_int_equal(out, 2);
}

static void refuses_to_start(void **state)
{
	struct world *w = *state;
	const char *layers[] = { "/nowhere/at/all" };
	struct fuse_share bad[] = {
		{ .name = "root", .layers = layers, .nlayers = 1, .upper = w->upper },
		{ .name = "root" },
		{ .name = "0", .path = "/nowhere/at/all" },
		{ .name = "0", .path = "/dev/null" },
	};
	struct fuse_share mixed[] = { { .name = "0", .path = w->place },
				      { .name = "1", .upper = w->upper } };
	struct err e = ERR_INIT;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		e.code = 0;
		assert_null(fuse_new(&bad[i], 1, &e));
		assert_int_not_equal(e.code, 0);
	}
	assert_null(fuse_new(mixed, 2, &e));
	assert_int_equal(e.code, EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(negotiates, setup, teardown),
		cmocka_unit_test_setup_teardown(opens_where_it_must, setup, teardown),
		cmocka_unit_test_setup_teardown(root_of_the_engine, setup_started, teardown),
		cmocka_unit_test_setup_teardown(unknown, setup_started, teardown),
		cmocka_unit_test_setup_teardown(bad_names, setup_started, teardown),
		cmocka_unit_test_setup_teardown(truncated, setup_started, teardown),
		cmocka_unit_test_setup_teardown(no_room_for_the_reply, setup_started, teardown),
		cmocka_unit_test_setup_teardown(bad_values, setup_started, teardown),
		cmocka_unit_test_setup_teardown(starts_again, setup_started, teardown),
		cmocka_unit_test_setup_teardown(counts_bytes, setup_started, teardown),
		cmocka_unit_test_setup_teardown(refuses_to_start, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
