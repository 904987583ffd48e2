/* test_fuse_mount.c: the file server behind this kernel's /dev/fuse, against a plain folder. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/fs.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "runtime/base/own.h"
#include "runtime/base/str.h"
#include "tests/unit/fuse_client.h"

/*
 * Random operations are done twice, on a mounted union or bind and on a
 * folder of the host's, and must end alike each time; now and then, and once
 * more after the server was started anew, both trees must be alike. Needs
 * root and /dev/fuse. The seed is fixed; FUSE_MOUNT_SEED and FUSE_MOUNT_OPS
 * give others.
 *
 * With operands, UID COMMAND LAYER..., it tests nothing: the union of these
 * layers, the topmost first, is mounted, served by this user, and the shell's
 * COMMAND run, which finds it at $SHOWN. tests/cli/faithful.bats looks at it so.
 */
#define OPS_DEFAULT  3000
#define CHECK_EVERY  500
#define DEPTH_MAX    4
#define HELD_MAX     12
#define DATA_MAX     70000
#define SERVERS	     3
#define REQUEST_ROOM ((1U << 20) + 8192)

struct world {
	char place[256], upper[300], layer[2][300], host[300], plain[300], mount[300], shown[320];
	bool bind;
	const char *const *layers; /* shown in place of the two, read-only */
	unsigned nlayers;
	uid_t uid; /* of the server */
	int dev;
	pid_t server;
	unsigned seed;
	int held[HELD_MAX][2], nheld;
};

static uint32_t rnd(struct world *w, uint32_t n)
{
	w->seed = w->seed * 1103515245U + 12345U;
	return (w->seed >> 8) % n;
}

/* --- the server */

static void *serve(void *arg)
{
	struct {
		struct fuse *f;
		int dev;
	} *s = arg;
	own_free char *in = xmalloc(REQUEST_ROOM), *out = xmalloc(REQUEST_ROOM);

	for (;;) {
		struct iovec req = { in, 0 };
		struct iovec rep[2] = { { out, 16 }, { out + 16, REQUEST_ROOM - 16 } };
		ssize_t n = read(s->dev, in, REQUEST_ROOM);

		if (n < 0 && (errno == EINTR || errno == EAGAIN || errno == ENOENT))
			continue;
		if (n <= 0)
			return NULL; /* unmounted */
		req.iov_len = (size_t)n;
		n = fuse_handle(s->f, &req, 1, rep, 2);
		if (n > 0 && write(s->dev, out, (size_t)n) < 0 && errno != ENOENT)
			abort();
	}
}

static int server_main(struct world *w)
{
	const char *layers[] = { w->layer[0], w->layer[1] };
	struct fuse_share share = {
		.name = "s", .layers = layers, .nlayers = 2, .upper = w->upper
	};
	struct fuse_share bind = { .name = "s", .path = w->host };
	struct fuse_share shown = { .name = "s", .layers = w->layers, .nlayers = w->nlayers };
	const struct fuse_share *of = w->bind ? &bind : w->layers ? &shown : &share;
	struct err e = ERR_INIT;
	struct {
		struct fuse *f;
		int dev;
	} s = { fuse_new(of, 1, &e), w->dev };
	pthread_t t[SERVERS];

	if (s.f == NULL) {
		fprintf(stderr, "%s\n", e.msg);
		return 1;
	}
	for (int i = 0; i < SERVERS; i++)
		pthread_create(&t[i], NULL, serve, &s);
	for (int i = 0; i < SERVERS; i++)
		pthread_join(t[i], NULL);
	fuse_free(s.f);
	return 0;
}

static void start(struct world *w)
{
	char options[128];

	w->dev = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	assert_true(w->dev >= 0);
	snprintf(options, sizeof(options),
		 "fd=%d,rootmode=40000,user_id=0,group_id=0,default_permissions,allow_other",
		 w->dev);
	assert_int_equal(mount("zl", w->mount, "fuse.zl", 0, options), 0);
	fflush(NULL);
	w->server = fork();
	if (w->server == 0) {
		if (w->uid && (setgroups(0, NULL) < 0 || setgid(w->uid) < 0 || setuid(w->uid) < 0))
			_exit(1);
		exit(server_main(w)); /* not _exit: leaks are to be found */
	}
	close(w->dev);
	assert_true(w->server > 0);
}

static void stop(struct world *w)
{
	int status = -1;

	assert_int_equal(umount2(w->mount, 0), 0);
	assert_int_equal(waitpid(w->server, &status, 0), w->server);
	w->server = 0;
	assert_int_equal(status, 0);
}

/* --- the trees */

static void lower_tree(const char *root, const char *text)
{
	char from[400], to[400];

	put_file(root, "a/a", text);
	put_file(root, "a/b/c/d", text);
	put_file(root, "b/a", text);
	put_file(root, "c", text);
	for (const char *const *n = (const char *const[]){ "b/b", "a/c", NULL }; *n; n++) {
		snprintf(from, sizeof(from), "%s/b/a", root);
		snprintf(to, sizeof(to), "%s/%s", root, *n);
		assert_int_equal(link(from, to), 0);
	}
	snprintf(to, sizeof(to), "%s/a/e", root);
	assert_int_equal(symlink("b", to), 0);
}

static int fixture(void **state, bool bind)
{
	struct world *w = xcalloc(1, sizeof(*w));
	const char *seed = getenv("FUSE_MOUNT_SEED");

	w->bind = bind;
	w->seed = seed ? (unsigned)strtoul(seed, NULL, 10) : 42;
	place_make(w->place, sizeof(w->place));
	snprintf(w->upper, sizeof(w->upper), "%s/upper", w->place);
	snprintf(w->layer[0], sizeof(w->layer[0]), "%s/l0", w->place);
	snprintf(w->layer[1], sizeof(w->layer[1]), "%s/l1", w->place);
	snprintf(w->host, sizeof(w->host), "%s/host", w->place);
	snprintf(w->plain, sizeof(w->plain), "%s/plain", w->place);
	snprintf(w->mount, sizeof(w->mount), "%s/mount", w->place);
	snprintf(w->shown, sizeof(w->shown), "%s/s", w->mount);
	mkdir(w->mount, 0755);
	mkdir(w->upper, 0700);
	lower_tree(w->layer[1], "low");
	put_file(w->layer[0], "d/e", "top");
	put_dir(w->layer[0], "a/b");
	lower_tree(w->plain, "low");
	put_file(w->plain, "d/e", "top");
	lower_tree(w->host, "low");
	put_file(w->host, "d/e", "top");
	start(w);
	*state = w;
	return 0;
}

static int setup_union(void **state)
{
	return fixture(state, false);
}

static int setup_bind(void **state)
{
	return fixture(state, true);
}

static int teardown(void **state)
{
	struct world *w = *state;

	for (int i = 0; i < w->nheld; i++) {
		close(w->held[i][0]);
		close(w->held[i][1]);
	}
	if (w->server) {
		umount2(w->mount, MNT_DETACH);
		waitpid(w->server, NULL, 0);
	}
	place_remove(w->place);
	free(w);
	return 0;
}

static int no_dots(const struct dirent *de)
{
	return strcmp(de->d_name, ".") != 0 && strcmp(de->d_name, "..") != 0;
}

struct dump {
	struct str text;
	ino_t ino[4096]; /* in the order in which they were seen */
	size_t n;
};

static size_t ino_number(struct dump *d, ino_t ino)
{
	for (size_t i = 0; i < d->n; i++) {
		if (d->ino[i] == ino)
			return i;
	}
	if (d->n < sizeof(d->ino) / sizeof(d->ino[0]))
		d->ino[d->n++] = ino;
	return d->n;
}

static void dump_content(struct dump *d, const char *path, const struct stat *st)
{
	own_fd int fd = open(path, O_RDONLY | O_NOFOLLOW);
	uint64_t sum = 14695981039346656037ULL;
	unsigned char buf[8192];
	ssize_t n;

	while ((n = read(fd, buf, sizeof(buf))) > 0) {
		for (ssize_t i = 0; i < n; i++)
			sum = (sum ^ buf[i]) * 1099511628211ULL;
	}
	str_addf(&d->text, " size %lld links %u inode %zu sum %llx", (long long)st->st_size,
		 (unsigned)st->st_nlink, ino_number(d, st->st_ino), (unsigned long long)sum);
}

static void dump_xattr(struct dump *d, const char *path, const char *name)
{
	char value[256];
	ssize_t n = lgetxattr(path, name, value, sizeof(value));

	if (n >= 0)
		str_addf(&d->text, " %s=%.*s", name, (int)n, value);
}

static void dump_tree(struct dump *d, const char *path, size_t skip)
{
	struct dirent **de = NULL;
	int n = scandir(path, &de, no_dots, alphasort);

	for (int i = 0; i < n; i++) {
		own_free char *sub = xasprintf("%s/%s", path, de[i]->d_name);
		char target[256];
		struct stat st;
		ssize_t len;

		assert_int_equal(lstat(sub, &st), 0);
		str_addf(&d->text, "%s %o %u:%u", sub + skip, st.st_mode, st.st_uid, st.st_gid);
		if (S_ISREG(st.st_mode))
			dump_content(d, sub, &st);
		if (S_ISLNK(st.st_mode)) {
			len = readlink(sub, target, sizeof(target));
			str_addf(&d->text, " -> %.*s", (int)len, target);
		}
		dump_xattr(d, sub, "user.one");
		dump_xattr(d, sub, "trusted.two");
		str_add_char(&d->text, '\n');
		if (S_ISDIR(st.st_mode))
			dump_tree(d, sub, skip);
		free(de[i]);
	}
	free(de);
}

static void assert_alike(struct world *w, int op)
{
	struct dump *a = xcalloc(1, sizeof(*a)), *b = xcalloc(1, sizeof(*b));
	const char *x, *y;

	dump_tree(a, w->shown, strlen(w->shown));
	dump_tree(b, w->plain, strlen(w->plain));
	x = a->text.s ? a->text.s : "";
	y = b->text.s ? b->text.s : "";
	while (*x && *x == *y)
		x++, y++;
	while (x > a->text.s && x[-1] != '\n')
		x--, y--;
	if (*x || *y)
		fail_msg("after operation %d:\n%.*s\n%.*s", op, (int)strcspn(x, "\n"), x,
			 (int)strcspn(y, "\n"), y);
	str_free(&a->text);
	str_free(&b->text);
	free(a);
	free(b);
}

/* --- the operations */

enum op {
	OP_CREATE,
	OP_WRITE,
	OP_APPEND,
	OP_TRUNCATE,
	OP_MAP,
	OP_UNLINK,
	OP_RMDIR,
	OP_MKDIR,
	OP_RENAME,
	OP_EXCHANGE,
	OP_NOREPLACE,
	OP_LINK,
	OP_SYMLINK,
	OP_FIFO,
	OP_CHMOD,
	OP_CHOWN,
	OP_TIMES,
	OP_SETXATTR,
	OP_REMOVEXATTR,
	OP_READ,
	OP_COUNT,
};

struct step {
	enum op op;
	char a[64], b[64];
	uint32_t x, y;
	char data[DATA_MAX];
	size_t len;
};

static void random_path(struct world *w, char *buf)
{
	unsigned depth = 1 + rnd(w, DEPTH_MAX);

	*buf = 0;
	for (unsigned i = 0; i < depth; i++)
		sprintf(buf + strlen(buf), "/%c", 'a' + (int)rnd(w, 5));
}

static int file_op(const struct step *s, const char *a)
{
	int flags = s->op == OP_CREATE	 ? O_RDWR | O_CREAT | (s->x & 1 ? O_EXCL : O_TRUNC)
		    : s->op == OP_APPEND ? O_WRONLY | O_APPEND
		    : s->op == OP_READ	 ? O_RDONLY
					 : O_RDWR;
	own_fd int fd = open(a, flags | O_NONBLOCK, 0640);
	char buf[4096];
	struct stat st;
	char *map;
	int rc;

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return -1;
	if (s->op == OP_READ) {
		ssize_t n = pread(fd, buf, sizeof(buf), s->x % 8192);

		return n <= 0 ? (int)n : (uint8_t)buf[0] ^ (uint8_t)buf[n - 1];
	}
	if (s->op != OP_MAP)
		return (int)pwrite(fd, s->data, s->len, s->op == OP_WRITE ? s->x % 100000 : 0);
	if (st.st_size == 0)
		return 0;
	map = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		return -1;
	rc = (uint8_t)map[s->x % st.st_size];
	map[s->y % st.st_size] = s->data[0];
	munmap(map, (size_t)st.st_size);
	return rc;
}

static int apply(const struct step *s, const char *root)
{
	static const mode_t modes[] = { 0644, 0600, 04755, 02755, 01777, 0, 0444 };
	const struct timespec ts[2] = { { s->x, 5 }, { s->y, 7 } };
	char a[400], b[400];

	snprintf(a, sizeof(a), "%s%s", root, s->a);
	snprintf(b, sizeof(b), "%s%s", root, s->b);
	switch (s->op) {
	case OP_TRUNCATE:
		return truncate(a, s->x % 120000);
	case OP_UNLINK:
		return unlink(a);
	case OP_RMDIR:
		return rmdir(a);
	case OP_MKDIR:
		return mkdir(a, 0755);
	case OP_RENAME:
		return rename(a, b);
	case OP_EXCHANGE:
		return renameat2(AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE);
	case OP_NOREPLACE:
		return renameat2(AT_FDCWD, a, AT_FDCWD, b, RENAME_NOREPLACE);
	case OP_LINK:
		return link(a, b);
	case OP_SYMLINK:
		return symlink("b/c", a);
	case OP_FIFO:
		return mkfifo(a, 0600);
	case OP_CHMOD:
		return chmod(a, modes[s->x % 7]);
	case OP_CHOWN:
		return lchown(a, s->x % 3 * 50000, s->y % 3);
	case OP_TIMES:
		return utimensat(AT_FDCWD, a, ts, AT_SYMLINK_NOFOLLOW);
	case OP_SETXATTR:
		return lsetxattr(a, s->x & 1 ? "user.one" : "trusted.two", s->data,
				 s->len % 100 + 1, 0);
	case OP_REMOVEXATTR:
		return lremovexattr(a, s->x & 1 ? "user.one" : "trusted.two");
	default:
		return file_op(s, a);
	}
}

static void step_random(struct world *w, struct step *s)
{
	static const size_t sizes[] = { 1, 100, 5000, DATA_MAX };

	s->op = (enum op)rnd(w, OP_COUNT);
	random_path(w, s->a);
	random_path(w, s->b);
	s->x = rnd(w, 1 << 24);
	s->y = rnd(w, 1 << 24);
	s->len = sizes[rnd(w, 4)];
	memset(s->data, 'a' + (int)rnd(w, 26), s->len);
}

/* Files that stay open, whatever becomes of their names. */
static void held_step(struct world *w, const struct step *s, int op)
{
	char path[2][400], got[2][512];
	struct stat st[2];
	int i;

	snprintf(path[0], sizeof(path[0]), "%s%s", w->shown, s->a);
	snprintf(path[1], sizeof(path[1]), "%s%s", w->plain, s->a);
	if (w->nheld < HELD_MAX && lstat(path[1], &st[1]) == 0 && S_ISREG(st[1].st_mode)) {
		for (i = 0; i < 2; i++) {
			w->held[w->nheld][i] = open(path[i], O_RDWR);
			assert_true(w->held[w->nheld][i] >= 0);
		}
		w->nheld++;
	}
	if (w->nheld == 0)
		return;
	int *fd = w->held[rnd(w, (uint32_t)w->nheld)];

	for (i = 0; i < 2; i++) {
		assert_int_equal(pwrite(fd[i], s->data, s->len, s->y % 50000), s->len);
		memset(got[i], 0, sizeof(got[i]));
		assert_true(pread(fd[i], got[i], sizeof(got[i]), s->x % 60000) >= 0);
		assert_int_equal(fstat(fd[i], &st[i]), 0);
	}
	if (memcmp(got[0], got[1], sizeof(got[0])) != 0 || st[0].st_size != st[1].st_size ||
	    st[0].st_nlink != st[1].st_nlink)
		fail_msg("operation %d: an open file of %s differs", op, s->a);
	if (s->x % 3 == 0) {
		close(fd[0]);
		close(fd[1]);
		w->nheld--;
		memmove(fd, w->held[w->nheld], sizeof(w->held[0]));
	}
}

static void like_a_plain_folder(void **state)
{
	struct world *w = *state;
	const char *ops = getenv("FUSE_MOUNT_OPS");
	int n = ops ? atoi(ops) : OPS_DEFAULT;
	struct step *s = xcalloc(1, sizeof(*s));

	for (int i = 0; i < n; i++) {
		int rc[2], err[2];

		step_random(w, s);
		errno = 0;
		rc[0] = apply(s, w->shown);
		err[0] = rc[0] < 0 ? errno : 0;
		errno = 0;
		rc[1] = apply(s, w->plain);
		err[1] = rc[1] < 0 ? errno : 0;
		if (rc[0] != rc[1] || err[0] != err[1])
			fail_msg("operation %d (%d %s %s): %d %s, but %d %s", i, s->op, s->a, s->b,
				 rc[0], strerror(err[0]), rc[1], strerror(err[1]));
		if (i % 8 == 0)
			held_step(w, s, i);
		if (i % CHECK_EVERY == 0)
			assert_alike(w, i);
	}
	assert_alike(w, n);
	for (; w->nheld; w->nheld--) {
		close(w->held[w->nheld - 1][0]);
		close(w->held[w->nheld - 1][1]);
	}
	stop(w);
	start(w);
	assert_alike(w, n + 1);
	stop(w);
	free(s);
}

static bool can_mount(void)
{
	if (geteuid() != 0 || access("/dev/fuse", R_OK | W_OK) < 0)
		return false;
	return unshare(CLONE_NEWNS) == 0 &&
	       mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
}

static int show(uid_t uid, const char *command, const char *const *layers, unsigned nlayers)
{
	struct world w = { .uid = uid, .layers = layers, .nlayers = nlayers };
	int status;

	place_make(w.place, sizeof(w.place));
	snprintf(w.mount, sizeof(w.mount), "%s/mount", w.place);
	snprintf(w.shown, sizeof(w.shown), "%s/s", w.mount);
	mkdir(w.mount, 0755);
	start(&w);
	setenv("SHOWN", w.shown, 1);
	status = system(command);
	stop(&w);
	place_remove(w.place);
	return status != 0;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(like_a_plain_folder, setup_union, teardown),
		cmocka_unit_test_setup_teardown(like_a_plain_folder, setup_bind, teardown),
	};

	umask(0);
	if (!can_mount()) {
		printf("1..1\nok 1 like_a_plain_folder # skip needs root and /dev/fuse\n");
		return argc > 1 ? 77 : 0;
	}
	if (argc > 3)
		return show((uid_t)strtoul(argv[1], NULL, 10), argv[2],
			    (const char *const *)argv + 3, (unsigned)argc - 3);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
