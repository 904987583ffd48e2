/* fuzz_fuse.c: a hostile guest's FUSE requests, against a union and against a bind. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "runtime/base/cursor.h"
#include "runtime/base/fd.h"
#include "runtime/base/layer.h"
#include "runtime/fuse/fuse.h"

/*
 * The input: which engine (bits of the first byte: 0 a bind, 1 with all of INIT's
 * flags, 2 without INIT, 3 with a window), then requests: operation, node, room for the reply,
 * length of the body, body. Nodes are given as small numbers, since ids are
 * handed out one by one; a handle in the body that is 0xff bytes is the last
 * one that was opened. Files may not grow large, so that no allocation fills
 * the disk.
 */
#define REQUESTS_MAX  64
#define FILE_SIZE_MAX (1U << 20)
#define ROOM_MAX      8192U

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char place[128], upper[160], layer[160], host[160];

static void put(const char *root, const char *name, const char *text, const char *stat_text)
{
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", root, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0 || fd_write_full(fd, text, strlen(text)) < 0)
		abort();
	if (stat_text && fsetxattr(fd, LAYER_XATTR_STAT, stat_text, strlen(stat_text), 0) < 0)
		abort();
	close(fd);
}

static void make_folder(char *path, size_t size, const char *name)
{
	snprintf(path, size, "%s/%s", place, name);
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		abort();
}

static void clean_up(void)
{
	dir_remove_all(AT_FDCWD, place, NULL);
}

static void prepare(void)
{
	const struct rlimit limit = { FILE_SIZE_MAX, FILE_SIZE_MAX };
	const char *tmp = getenv("TMPDIR");
	char dir[256], from[256], to[256];

	if (*place)
		return;
	snprintf(place, sizeof(place), "%s/zl-fuzz-XXXXXX", tmp ? tmp : "/tmp");
	if (mkdtemp(place) == NULL)
		abort();
	atexit(clean_up);
	signal(SIGXFSZ, SIG_IGN);
	setrlimit(RLIMIT_FSIZE, &limit);
	make_folder(layer, sizeof(layer), "layer");
	put(layer, "a", "content", NULL);
	put(layer, "b", "owned", "1:2:04755:file");
	put(layer, "w", "", "0:0:0:char-0-0");
	make_folder(dir, sizeof(dir), "layer/d");
	put(layer, "d/x", "x", NULL);
	snprintf(from, sizeof(from), "%s/d/x", layer);
	snprintf(to, sizeof(to), "%s/h", layer);
	if (link(from, to) < 0)
		abort();
}

static struct fuse *start(bool bind)
{
	const char *layers[] = { layer };
	struct fuse_share u = { .name = "s", .layers = layers, .nlayers = 1, .upper = upper };
	struct fuse_share b = { .name = "s", .path = host };
	char dir[256];

	if (!bind) {
		make_folder(upper, sizeof(upper), "upper");
		return fuse_new(&u, 1, NULL);
	}
	make_folder(host, sizeof(host), "host");
	make_folder(dir, sizeof(dir), "host/d");
	put(host, "a", "a", NULL);
	put(host, "d/x", "x", NULL);
	return fuse_new(&b, 1, NULL);
}

#define WINDOW_SIZE (4 * FUSE_WINDOW_RANGE)

/* A window that maps nothing and believes nothing. */
static void check_range(uint64_t at, uint64_t len)
{
	if (at % FUSE_WINDOW_RANGE || len % FUSE_WINDOW_RANGE || len == 0 || at >= WINDOW_SIZE ||
	    len > WINDOW_SIZE - at)
		abort();
}

static int fake_map(void *arg, uint64_t at, uint64_t len, int fd, uint64_t off, bool write)
{
	struct stat st;
	int flags = fcntl(fd, F_GETFL);

	(void)arg;
	check_range(at, len);
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || off % FUSE_WINDOW_RANGE ||
	    off > INT64_MAX - len)
		abort();
	if (write && (flags & O_ACCMODE) != O_RDWR)
		abort();
	return off ? -ENOMEM : 0;
}

static int fake_unmap(void *arg, uint64_t at, uint64_t len)
{
	(void)arg;
	check_range(at, len);
	return 0;
}

/* The reply to one request; a handle it holds is kept for later ones. */
static void ask(struct fuse *f, uint32_t op, uint64_t node, const void *body, size_t n, size_t room,
		uint64_t *fh)
{
	static uint8_t req[sizeof(struct fuse_in_header) + 65536], rep[ROOM_MAX];
	struct fuse_in_header h = { .len = (uint32_t)(sizeof(h) + n),
				    .opcode = op,
				    .nodeid = node };
	struct fuse_out_header oh;
	struct iovec out[2] = { { req, sizeof(h) / 2 }, { req + sizeof(h) / 2, 0 } };
	struct iovec in[2] = { { rep, room / 3 }, { rep + room / 3, room - room / 3 } };
	ssize_t got;

	memcpy(req, &h, sizeof(h));
	if (n)
		memcpy(req + sizeof(h), body, n);
	out[1].iov_len = sizeof(h) + n - out[0].iov_len;
	memset(rep, 0, sizeof(oh));
	got = fuse_handle(f, out, 2, in, 2);
	if (got > (ssize_t)room || (got > 0 && got < (ssize_t)sizeof(oh)))
		abort();
	if (got <= 0)
		return;
	memcpy(&oh, rep, sizeof(oh));
	if (oh.len != (size_t)got || oh.error > 0 || oh.error < -1000)
		abort();
	if (oh.error == 0 && (op == FUSE_OPEN || op == FUSE_OPENDIR) && got >= 24)
		memcpy(fh, rep + sizeof(oh), sizeof(*fh));
	if (oh.error == 0 && op == FUSE_CREATE && got >= 160)
		memcpy(fh, rep + sizeof(oh) + sizeof(struct fuse_entry_out), sizeof(*fh));
}

static void init(struct fuse *f, bool all)
{
	struct fuse_init_in in = { .major = 7,
				   .minor = 38,
				   .flags = all ? UINT32_MAX : 0,
				   .flags2 = all ? UINT32_MAX : 0 };
	uint64_t fh;

	ask(f, FUSE_INIT, 0, &in, sizeof(in), 256, &fh);
	ask(f, FUSE_LOOKUP, FUSE_ROOT_ID, "s", 2, 256, &fh);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct fuse_window window = { WINDOW_SIZE, NULL, fake_map, fake_unmap };
	static const uint64_t any = UINT64_MAX;
	struct cur c = cur_of(data, size);
	uint8_t kind, op, node, room, len;
	struct fuse *f;
	uint64_t fh = 0;

	if (!cur_u8(&c, &kind))
		return 0;
	prepare();
	f = start(kind & 1);
	if (f == NULL)
		abort();
	if (kind & 8)
		fuse_set_window(f, &window);
	if (!(kind & 4))
		init(f, kind & 2);
	for (int i = 0; i < REQUESTS_MAX; i++) {
		const void *body;
		uint8_t copy[256];

		if (!cur_u8(&c, &op) || !cur_u8(&c, &node) || !cur_u8(&c, &room) ||
		    !cur_u8(&c, &len) || !cur_bytes(&c, len, &body))
			break;
		memcpy(copy, body, len);
		if (len >= sizeof(fh) && memcmp(copy, &any, sizeof(any)) == 0)
			memcpy(copy, &fh, sizeof(fh));
		ask(f, op & 0x3f, node, copy, len, room < 250 ? (size_t)room * 2 : ROOM_MAX, &fh);
	}
	fuse_free(f);
	dir_remove_all(AT_FDCWD, *upper ? upper : "/nonexistent", NULL);
	dir_remove_all(AT_FDCWD, *host ? host : "/nonexistent", NULL);
	return 0;
}
