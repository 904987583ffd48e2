/* test_fuse_dax.c: files mapped into a window: what is seen there, and what never may be. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "runtime/base/own.h"
#include "runtime/base/str.h"
#include "tests/unit/fuse_client.h"

#define RANGE	   FUSE_WINDOW_RANGE
#define RANGES	   8U
#define BIG	   (3 * RANGE + 12345) /* bytes of the layer's large file */
#define BLOCK	   4096U
#define DAX_OFFERS (FUSE_MAP_ALIGNMENT | FUSE_INIT_EXT)
#define READ_ONLY  FUSE_SETUPMAPPING_FLAG_READ
#define WRITABLE   (FUSE_SETUPMAPPING_FLAG_READ | FUSE_SETUPMAPPING_FLAG_WRITE)

struct world {
	char place[256], upper[300], layer[300];
	struct client c;
	uint8_t *window;
	unsigned maps, unmaps;
	bool fail; /* the next map */
};

/* --- the window: real mappings, every address checked */

static int map(void *arg, uint64_t at, uint64_t len, int fd, uint64_t off, bool write)
{
	struct world *w = arg;
	int prot = PROT_READ | (write ? PROT_WRITE : 0);

	assert_true(at % RANGE == 0 && len % RANGE == 0 && len && off % RANGE == 0);
	assert_true(at < RANGES * RANGE && len <= RANGES * RANGE - at);
	w->maps++;
	if (w->fail) {
		mmap(w->window + at, len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
		     0);
		return -ENOMEM;
	}
	return mmap(w->window + at, len, prot, MAP_SHARED | MAP_FIXED, fd, (off_t)off) == MAP_FAILED
		       ? -errno
		       : 0;
}

static int unmap(void *arg, uint64_t at, uint64_t len)
{
	struct world *w = arg;

	assert_true(at % RANGE == 0 && len % RANGE == 0 && len);
	assert_true(at < RANGES * RANGE && len <= RANGES * RANGE - at);
	w->unmaps++;
	return mmap(w->window + at, len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
		    0) == MAP_FAILED
		       ? -errno
		       : 0;
}

/* Whether a byte of the window can be read: asked of the kernel, which has no signals. */
static bool there(const struct world *w, uint64_t at)
{
	char byte;
	struct iovec local = { &byte, 1 }, remote = { w->window + at, 1 };

	return process_vm_readv(getpid(), &local, 1, &remote, 1, 0) == 1;
}

/* What block i of the large file begins with. */
static uint32_t block_word(uint32_t i)
{
	return i * 2654435761U + 17;
}

static uint32_t word_at(const struct world *w, uint64_t at)
{
	uint32_t v;

	memcpy(&v, w->window + at, sizeof(v));
	return v;
}

static void put_large(const struct world *w, const char *name, uint64_t size)
{
	own_free char *path = xasprintf("%s/%s", w->layer, name);
	int fd;

	put_file(w->layer, name, "");
	fd = open(path, O_WRONLY);
	assert_true(fd >= 0);
	for (uint64_t at = 0; at + 4 < size; at += BLOCK) {
		uint32_t v = block_word((uint32_t)(at / BLOCK));

		assert_int_equal(pwrite(fd, &v, sizeof(v), (off_t)at), sizeof(v));
	}
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	close(fd);
}

/* --- the client's side */

static void init(struct world *w, uint32_t flags, uint32_t flags2)
{
	struct fuse_init_in in = { .major = FUSE_KERNEL_VERSION,
				   .minor = FUSE_KERNEL_MINOR_VERSION,
				   .flags = CLIENT_FLAGS | flags,
				   .flags2 = flags2 };
	struct part p = PART(in);
	struct fuse_entry_out e = { 0 };

	client_call(&w->c, FUSE_INIT, 0, &p, 1, &w->c.init, sizeof(w->c.init));
	assert_int_equal(client_lookup(&w->c, FUSE_ROOT_ID, "root", &e), 0);
	w->c.root = e.nodeid;
}

static void start(struct world *w, bool read_only)
{
	const char *layers[] = { w->layer };
	struct fuse_share share = { .name = "root",
				    .layers = layers,
				    .nlayers = 1,
				    .upper = w->upper,
				    .read_only = read_only };
	struct fuse_window window = { RANGES * RANGE, w, map, unmap };
	struct err e = ERR_INIT;

	memset(&w->c, 0, sizeof(w->c));
	w->c.f = fuse_new(&share, 1, &e);
	if (w->c.f == NULL)
		fail_msg("%s", e.msg);
	fuse_set_window(w->c.f, &window);
	init(w, DAX_OFFERS, FUSE_HAS_INODE_DAX >> 32);
}

static int setup(void **state)
{
	struct world *w = xcalloc(1, sizeof(*w));

	place_make(w->place, sizeof(w->place));
	snprintf(w->upper, sizeof(w->upper), "%s/upper", w->place);
	snprintf(w->layer, sizeof(w->layer), "%s/layer", w->place);
	mkdir(w->upper, 0700);
	mkdir(w->layer, 0755);
	put_large(w, "big", BIG);
	put_large(w, "dir/other", 2 * RANGE);
	put_file(w->layer, "small", "small");
	w->window = mmap(NULL, RANGES * RANGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(w->window, MAP_FAILED);
	start(w, false);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	fuse_free(w->c.f);
	munmap(w->window, RANGES * RANGE);
	place_remove(w->place);
	free(w);
	return 0;
}

static int set_mapping(struct world *w, uint64_t node, uint64_t off, uint64_t len, uint64_t flags,
		       uint64_t at)
{
	struct fuse_setupmapping_in in = {
		.fh = UINT64_MAX, .foffset = off, .len = len, .flags = flags, .moffset = at
	};
	struct part p = PART(in);

	return (int)client_call(&w->c, FUSE_SETUPMAPPING, node, &p, 1, NULL, 0);
}

static int show(struct world *w, const char *path, uint64_t off, uint64_t flags, unsigned range)
{
	return set_mapping(w, client_node(&w->c, path), off, RANGE, flags, range * RANGE);
}

static int take_away(struct world *w, uint64_t at, uint64_t len)
{
	struct fuse_removemapping_in in = { .count = 1 };
	struct fuse_removemapping_one one = { .moffset = at, .len = len };
	struct part p[] = { PART(in), PART(one) };

	return (int)client_call(&w->c, FUSE_REMOVEMAPPING, 0, p, 2, NULL, 0);
}

static int do_fallocate(struct world *w, uint64_t node, uint32_t mode, uint64_t off, uint64_t len)
{
	struct fuse_fallocate_in in = { .offset = off, .length = len, .mode = mode };
	struct part p = PART(in);

	return (int)client_call(&w->c, FUSE_FALLOCATE, node, &p, 1, NULL, 0);
}

static bool is_dax(struct world *w, const char *path)
{
	struct fuse_entry_out e;
	struct fuse_attr a;

	assert_int_equal(client_walk(&w->c, path, &e), 0);
	assert_int_equal(client_getattr(&w->c, e.nodeid, &a), 0);
	assert_int_equal(a.flags & FUSE_ATTR_DAX, e.attr.flags & FUSE_ATTR_DAX);
	return a.flags & FUSE_ATTR_DAX;
}

/* Blocks of the upper's file, unwritten ones too. */
static uint64_t blocks(struct world *w, const char *path)
{
	own_free char *host = xasprintf("%s/%s", w->upper, path);
	struct stat st;

	assert_int_equal(stat(host, &st), 0);
	return (uint64_t)st.st_blocks * 512;
}

/* --- tests */

static void negotiation(void **state)
{
	struct world *w = *state;

	assert_true(w->c.init.flags & FUSE_MAP_ALIGNMENT);
	assert_true(w->c.init.flags2 & (FUSE_HAS_INODE_DAX >> 32));
	assert_int_equal(w->c.init.map_alignment, 21);
	assert_true(is_dax(w, "big"));
	assert_true(is_dax(w, "dir/other"));
	assert_false(is_dax(w, "small"));
	assert_false(is_dax(w, "dir"));
	assert_false(is_dax(w, ""));

	/* a guest without a window of its own does not offer the one, an old kernel not the other
	 */
	init(w, 0, FUSE_HAS_INODE_DAX >> 32);
	assert_false(w->c.init.flags & FUSE_MAP_ALIGNMENT);
	assert_false(is_dax(w, "big"));
	assert_int_equal(show(w, "big", 0, READ_ONLY, 0), -EOPNOTSUPP);
	assert_int_equal(take_away(w, 0, RANGE), -EOPNOTSUPP);
	init(w, DAX_OFFERS, 0);
	assert_false(is_dax(w, "big"));

	/* no window at all */
	fuse_set_window(w->c.f, NULL);
	init(w, DAX_OFFERS, FUSE_HAS_INODE_DAX >> 32);
	assert_int_equal(w->c.init.map_alignment, 0);
	assert_false(w->c.init.flags2 & (FUSE_HAS_INODE_DAX >> 32));
	assert_false(is_dax(w, "big"));
	assert_int_equal(show(w, "big", 0, READ_ONLY, 0), -EOPNOTSUPP);
	assert_int_equal(w->maps, 0);
}

static void reading(void **state)
{
	struct world *w = *state;

	assert_int_equal(show(w, "big", 0, READ_ONLY, 2), 0);
	assert_int_equal(show(w, "big", 3 * RANGE, READ_ONLY, 0), 0);
	assert_int_equal(word_at(w, 2 * RANGE), block_word(0));
	assert_int_equal(word_at(w, 2 * RANGE + 511 * BLOCK), block_word(511));
	assert_int_equal(word_at(w, 0), block_word(3 * 512));
	assert_true(there(w, 3 * BLOCK));  /* the last page, in part */
	assert_false(there(w, 4 * BLOCK)); /* beyond the end */
	assert_false(there(w, RANGE));
	/* another file takes the range over */
	assert_int_equal(show(w, "dir/other", RANGE, READ_ONLY, 2), 0);
	assert_int_equal(word_at(w, 2 * RANGE), block_word(512));
	assert_int_equal(take_away(w, 2 * RANGE, RANGE), 0);
	assert_false(there(w, 2 * RANGE));
	assert_true(there(w, 0));
	/* several at once */
	assert_int_equal(
		set_mapping(w, client_node(&w->c, "big"), 0, 4 * RANGE, READ_ONLY, 4 * RANGE), 0);
	assert_int_equal(word_at(w, 6 * RANGE), block_word(1024));
	assert_int_equal(take_away(w, 0, RANGES * RANGE), 0);
	for (unsigned i = 0; i < RANGES; i++)
		assert_false(there(w, i * RANGE));
}

/* What is mapped stays mapped while the file moves to the upper, and shows what is written. */
static void copy_up(void **state)
{
	struct world *w = *state;
	uint64_t big = client_node(&w->c, "big");
	own_free char *low = xasprintf("%s/big", w->layer);
	char text[8] = "";
	int fd;

	assert_int_equal(show(w, "big", 0, READ_ONLY, 0), 0);
	assert_int_equal(show(w, "big", RANGE, READ_ONLY, 1), 0);
	assert_int_equal(show(w, "big", 0, WRITABLE, 0), 0);
	assert_false(
		is_dax(w, "big")); /* who gets to know it from now on has it in the page cache */
	memcpy(w->window + 100, "window", 6);
	assert_int_equal(client_read(&w->c, big, text, 6, 100), 6);
	assert_string_equal(text, "window");
	/* the other range, which nobody asked for anew */
	assert_int_equal(word_at(w, RANGE), block_word(512));
	assert_int_equal(client_write(&w->c, big, "server", 6, RANGE + 8), 6);
	assert_memory_equal(w->window + RANGE + 8, "server", 6);
	assert_int_equal(word_at(w, RANGE), block_word(512));
	/* the layer is what it was */
	fd = open(low, O_RDONLY);
	assert_int_equal(pread(fd, text, 6, 100), 6);
	close(fd);
	assert_memory_equal(text, "\0\0\0\0\0\0", 6);
}

/* By other ways than a mapping: a write, a change of mode, a truncation, an unlink before it. */
static void copy_up_otherwise(void **state)
{
	struct world *w = *state;
	uint64_t big = client_node(&w->c, "big"), other = client_node(&w->c, "dir/other");

	assert_int_equal(show(w, "big", 0, READ_ONLY, 0), 0);
	assert_int_equal(client_write(&w->c, big, "written", 7, 40), 7);
	assert_memory_equal(w->window + 40, "written", 7);
	assert_int_equal(show(w, "dir/other", RANGE, READ_ONLY, 1), 0);
	assert_int_equal(client_unlink(&w->c, "dir/other"), 0);
	assert_int_equal(word_at(w, RANGE), block_word(512));
	assert_int_equal(client_write(&w->c, other, "orphan", 6, RANGE + 8), 6);
	assert_memory_equal(w->window + RANGE + 8, "orphan", 6);
	/* forgotten, it is still mapped, and taken away in the end */
	client_forget(&w->c, other, 1);
	assert_memory_equal(w->window + RANGE + 8, "orphan", 6);
	assert_int_equal(take_away(w, RANGE, RANGE), 0);
	assert_false(there(w, RANGE));
}

static void truncation(void **state)
{
	struct world *w = *state;
	uint64_t big = client_node(&w->c, "big");

	assert_int_equal(show(w, "big", 0, READ_ONLY, 0), 0);
	assert_int_equal(client_truncate(&w->c, big, 5000), 0); /* copies up no more than that */
	assert_true(there(w, BLOCK));
	assert_false(there(w, 2 * BLOCK));
	assert_int_equal(word_at(w, BLOCK), block_word(1));
	assert_int_equal(client_truncate(&w->c, big, 3 * BLOCK), 0);
	assert_int_equal(word_at(w, 2 * BLOCK), 0);
	assert_int_equal(client_truncate(&w->c, big, 0), 0);
	assert_false(there(w, 0));
	assert_int_equal(show(w, "big", 0, READ_ONLY, 1), -ENXIO);
	assert_int_equal(client_write(&w->c, big, "again", 5, 0), 5);
	assert_memory_equal(w->window, "again", 5);
}

/* What the guest may write to has its blocks, whatever it does to the file. */
static void no_holes(void **state)
{
	struct world *w = *state;
	uint64_t big = client_node(&w->c, "big");

	assert_int_equal(show(w, "big", 0, WRITABLE, 0), 0);
	assert_int_equal(show(w, "big", 3 * RANGE, WRITABLE, 3), 0);
	assert_true(blocks(w, "big") >= RANGE);
	assert_int_equal(do_fallocate(w, big, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, RANGE),
			 0);
	assert_int_equal(word_at(w, 5 * BLOCK), 0);
	assert_true(blocks(w, "big") >= RANGE);
	/* shorter, and longer again by all three ways */
	assert_int_equal(client_truncate(&w->c, big, 100), 0);
	assert_int_equal(client_truncate(&w->c, big, RANGE / 2), 0);
	assert_true(blocks(w, "big") >= RANGE / 2);
	assert_int_equal(client_truncate(&w->c, big, 100), 0);
	assert_int_equal(client_write(&w->c, big, "x", 1, RANGE), 1);
	assert_true(blocks(w, "big") >= RANGE);
	assert_int_equal(client_truncate(&w->c, big, 100), 0);
	assert_int_equal(do_fallocate(w, big, 0, RANGE, BLOCK), 0);
	assert_true(blocks(w, "big") >= RANGE);
	memset(w->window, 7, RANGE);
	/* blocks are not shared with another file: the guest is told to copy by itself */
	{
		struct fuse_copy_file_range_in in = { .nodeid_out = big, .len = BLOCK };
		struct part p = PART(in);
		struct fuse_write_out out;
		uint64_t other = client_node(&w->c, "dir/other");

		assert_int_equal(client_call(&w->c, FUSE_COPY_FILE_RANGE, other, &p, 1, &out,
					     sizeof(out)),
				 -EXDEV);
	}
	/* not mapped any more, it is a file as others are */
	assert_int_equal(take_away(w, 0, RANGE), 0);
	assert_int_equal(take_away(w, 3 * RANGE, RANGE), 0);
	assert_int_equal(do_fallocate(w, big, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, RANGE),
			 0);
	assert_true(blocks(w, "big") < RANGE);
}

static void names_change(void **state)
{
	struct world *w = *state;
	uint64_t big = client_node(&w->c, "big");

	assert_int_equal(show(w, "big", 0, READ_ONLY, 0), 0);
	assert_int_equal(client_rename(&w->c, "big", "renamed", 0), 0);
	assert_int_equal(client_write(&w->c, big, "moved", 5, 8), 5);
	assert_memory_equal(w->window + 8, "moved", 5);
	assert_int_equal(show(w, "renamed", 0, WRITABLE, 0), 0);
	memcpy(w->window + 8, "MOVED", 5);
	assert_int_equal(client_unlink(&w->c, "renamed"), 0);
	assert_memory_equal(w->window + 8, "MOVED", 5);
	assert_int_equal(client_write(&w->c, big, "gone!", 5, 8), 5);
	assert_memory_equal(w->window + 8, "gone!", 5);
}

static void hostile(void **state)
{
	struct world *w = *state;
	uint64_t big = client_node(&w->c, "big"), dir = client_node(&w->c, "dir");
	const uint64_t end = RANGES * RANGE;
	struct fuse_removemapping_in many = { .count = 1000000 };
	struct part p = PART(many);

	assert_int_equal(set_mapping(w, big, 0, RANGE, READ_ONLY, 4096), -EINVAL);
	assert_int_equal(set_mapping(w, big, 4096, RANGE, READ_ONLY, 0), -EINVAL);
	assert_int_equal(set_mapping(w, big, 0, 4096, READ_ONLY, 0), -EINVAL);
	assert_int_equal(set_mapping(w, big, 0, 0, READ_ONLY, 0), -EINVAL);
	assert_int_equal(set_mapping(w, big, 0, RANGE, READ_ONLY, end), -EINVAL);
	assert_int_equal(set_mapping(w, big, 0, 2 * RANGE, READ_ONLY, end - RANGE), -EINVAL);
	assert_int_equal(set_mapping(w, big, 0, -RANGE, READ_ONLY, 2 * RANGE), -EINVAL);
	assert_int_equal(set_mapping(w, big, 0, RANGE, READ_ONLY, -RANGE), -EINVAL);
	assert_int_equal(set_mapping(w, big, -RANGE, RANGE, READ_ONLY, 0), -EINVAL);
	assert_int_equal(set_mapping(w, big, 1ULL << 62, RANGE, READ_ONLY, 0), -ENXIO);
	assert_int_equal(set_mapping(w, big, 4 * RANGE, RANGE, READ_ONLY, 0), -ENXIO);
	assert_int_equal(set_mapping(w, big, 0, RANGE, 255, 0), -EINVAL);
	assert_int_equal(set_mapping(w, dir, 0, RANGE, READ_ONLY, 0), -EISDIR);
	assert_int_equal(set_mapping(w, 999, 0, RANGE, READ_ONLY, 0), -ESTALE);
	assert_int_equal(set_mapping(w, FUSE_ROOT_ID, 0, RANGE, READ_ONLY, 0), -EROFS);
	assert_int_equal(w->maps, 0);
	assert_int_equal(take_away(w, 0, 4096), -EINVAL);
	assert_int_equal(take_away(w, 0, 0), -EINVAL);
	assert_int_equal(take_away(w, end, RANGE), -EINVAL);
	assert_int_equal(take_away(w, RANGE, -RANGE), -EINVAL);
	assert_int_equal(client_call(&w->c, FUSE_REMOVEMAPPING, 0, &p, 1, NULL, 0), -EINVAL);
	assert_int_equal(w->unmaps, 0);
	/* however often, there are as many mappings as ranges */
	for (unsigned i = 0; i < 3000; i++)
		assert_int_equal(show(w, i % 3 ? "big" : "dir/other", i % 2 * RANGE,
				      i % 5 ? READ_ONLY : WRITABLE, i % RANGES),
				 0);
	assert_int_equal(take_away(w, 0, end), 0);
}

static void read_only_share(void **state)
{
	struct world *w = *state;

	fuse_free(w->c.f);
	start(w, true);
	assert_true(is_dax(w, "big"));
	assert_int_equal(show(w, "big", 0, WRITABLE, 0), -EROFS);
	assert_int_equal(show(w, "big", 0, READ_ONLY, 0), 0);
	assert_int_equal(word_at(w, 0), block_word(0));
}

/* Others truncate a bind's files as they like: it never has a window. */
static void binds(void **state)
{
	struct world *w = *state;
	struct fuse_share share = { .name = "root", .path = w->layer };
	struct fuse_window window = { RANGES * RANGE, w, map, unmap };

	fuse_free(w->c.f);
	w->c.f = fuse_new(&share, 1, NULL);
	assert_non_null(w->c.f);
	fuse_set_window(w->c.f, &window);
	init(w, DAX_OFFERS, FUSE_HAS_INODE_DAX >> 32);
	assert_false(w->c.init.flags & FUSE_MAP_ALIGNMENT);
	assert_false(is_dax(w, "big"));
	assert_int_equal(show(w, "big", 0, READ_ONLY, 0), -EOPNOTSUPP);
}

static void resets(void **state)
{
	struct world *w = *state;

	assert_int_equal(show(w, "big", 0, READ_ONLY, 0), 0);
	assert_int_equal(show(w, "dir/other", 0, WRITABLE, 5), 0);
	fuse_reset(w->c.f);
	assert_false(there(w, 0));
	assert_false(there(w, 5 * RANGE));
	init(w, DAX_OFFERS, FUSE_HAS_INODE_DAX >> 32);
	assert_int_equal(show(w, "big", 0, READ_ONLY, 0), 0);
	init(w, DAX_OFFERS, FUSE_HAS_INODE_DAX >> 32); /* a new mount */
	assert_false(there(w, 0));
	assert_int_equal(show(w, "big", 0, READ_ONLY, 0), 0);
	client_call(&w->c, FUSE_DESTROY, 0, NULL, 0, NULL, 0);
	assert_false(there(w, 0));
	/* the window is gone: nothing is asked of it any more */
	w->maps = w->unmaps = 0;
	init(w, DAX_OFFERS, FUSE_HAS_INODE_DAX >> 32);
	assert_int_equal(show(w, "big", 0, READ_ONLY, 0), 0);
	fuse_set_window(w->c.f, NULL);
	assert_int_equal(show(w, "big", 0, READ_ONLY, 0), -EOPNOTSUPP);
	assert_int_equal(take_away(w, 0, RANGE), -EOPNOTSUPP);
	assert_int_equal(w->maps, 1);
	assert_int_equal(w->unmaps, 0);
}

/* The host cannot map: an error for the guest, and nothing of the past is left in the range. */
static void map_fails(void **state)
{
	struct world *w = *state;

	assert_int_equal(show(w, "big", 0, READ_ONLY, 0), 0);
	w->fail = true;
	assert_int_equal(show(w, "big", RANGE, READ_ONLY, 0), -ENOMEM);
	assert_false(there(w, 0));
	w->fail = false;
	assert_int_equal(show(w, "big", 0, READ_ONLY, 0), 0);
	w->fail = true;
	assert_int_equal(client_chmod(&w->c, "big", 0600), 0); /* copies up */
	assert_false(there(w, 0));
	w->fail = false;
	assert_int_equal(show(w, "big", 0, READ_ONLY, 0), 0);
	assert_int_equal(word_at(w, 0), block_word(0));
}

static int all(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(negotiation, setup, teardown),
		cmocka_unit_test_setup_teardown(reading, setup, teardown),
		cmocka_unit_test_setup_teardown(copy_up, setup, teardown),
		cmocka_unit_test_setup_teardown(copy_up_otherwise, setup, teardown),
		cmocka_unit_test_setup_teardown(truncation, setup, teardown),
		cmocka_unit_test_setup_teardown(no_holes, setup, teardown),
		cmocka_unit_test_setup_teardown(names_change, setup, teardown),
		cmocka_unit_test_setup_teardown(hostile, setup, teardown),
		cmocka_unit_test_setup_teardown(read_only_share, setup, teardown),
		cmocka_unit_test_setup_teardown(binds, setup, teardown),
		cmocka_unit_test_setup_teardown(resets, setup, teardown),
		cmocka_unit_test_setup_teardown(map_fails, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
	umask(022);
	return run_as_both(all);
}
