/* fuzz_tar_out.c: entries with any names, numbers and attributes come back from their archive. */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "oci/tar_in.h"
#include "oci/tar_out.h"
#include "runtime/base/cursor.h"
#include "runtime/base/own.h"
#include "runtime/base/str.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define ENTRIES_MAX 32
#define XATTRS_MAX  4
#define CONTENT_MAX 3000
/* Longer than any field of a header, in a few bytes of input. */
#define STRETCH 7

#define check(x)                 \
	do {                     \
		if (!(x))        \
			abort(); \
	} while (0)

struct made {
	struct entry x;
	struct entry_xattr xattrs[XATTRS_MAX];
	char *path, *target, *names[XATTRS_MAX];
};

static int content = -1;

static void make_content(void)
{
	content = memfd_create("content", MFD_CLOEXEC);
	for (int i = 0; i < CONTENT_MAX; i++)
		if (write(content, &(char){ (char)('a' + i % 26) }, 1) != 1)
			abort();
}

/* Bytes of the input as a name: no NUL, nothing empty between slashes, no dots alone. */
static char *get_name(struct cur *c, bool slashes)
{
	struct str s = STR_INIT;
	const void *p;
	uint8_t n = 0, times = 0;

	if (!cur_u8(c, &n) || !cur_u8(c, &times) || n > cur_left(c) || !cur_bytes(c, n, &p) ||
	    n == 0)
		return xstrdup("n");
	for (int k = 0; k <= times % STRETCH; k++)
		str_add_mem(&s, p, n);
	for (size_t i = 0; i < s.len; i++)
		if (s.s[i] == 0 || (s.s[i] == '/' && (!slashes || i == 0 || i + 1 == s.len ||
						      s.s[i - 1] == '/' || s.s[i - 1] == '.')))
			s.s[i] = '_';
	if (s.s[s.len - 1] == '.')
		s.s[s.len - 1] = '_';
	return str_steal(&s);
}

static void get_xattrs(struct cur *c, struct made *m)
{
	uint8_t n = 0;

	if (!cur_u8(c, &n))
		return;
	for (int i = 0; i < n % (XATTRS_MAX + 1); i++) {
		own_free char *name = get_name(c, true);
		const void *p = "";
		uint8_t len = 0;

		if (cur_u8(c, &len) && (len > cur_left(c) || !cur_bytes(c, len, &p)))
			len = 0;
		/* the number: no two of the same name */
		m->names[i] = xasprintf("user.%d%s", i, name);
		m->xattrs[m->x.nxattrs++] = (struct entry_xattr){ m->names[i], p, len };
	}
	m->x.xattrs = m->xattrs;
}

/* False at the end of the input. */
static bool get_entry(struct cur *c, struct made *m, const struct made *before)
{
	static const uint32_t types[] = { S_IFREG, S_IFDIR, S_IFLNK, S_IFCHR,
					  S_IFBLK, S_IFIFO, S_IFSOCK };
	uint8_t kind, link;
	uint16_t mode, bytes;
	uint32_t device;
	uint64_t mtime;

	*m = (struct made){ .x = { .fd = -1 } };
	if (!cur_u8(c, &kind) || !cur_u8(c, &link) || !cur_u16(c, &mode) || !cur_u16(c, &bytes) ||
	    !cur_u32(c, &m->x.uid) || !cur_u32(c, &m->x.gid) || !cur_u32(c, &device) ||
	    !cur_u64(c, &mtime))
		return false;
	m->path = get_name(c, true);
	m->target = get_name(c, true);
	m->x.path = m->path;
	m->x.kind = kind % 16 == 15 ? ENTRY_WHITEOUT : kind % 16 == 14 ? ENTRY_OPAQUE : ENTRY_FILE;
	m->x.mode = types[kind / 16 % 7] | (mode & 07777);
	m->x.mtime.tv_sec = (int64_t)mtime >> 24;
	if (S_ISREG(m->x.mode)) {
		m->x.size = bytes % CONTENT_MAX;
		m->x.fd = content;
	} else if (S_ISLNK(m->x.mode)) {
		m->x.target = m->target;
	}
	m->x.major = device >> 20;
	m->x.minor = device & 0xfffff;
	if (before && link % 4 == 3 && before->x.kind == ENTRY_FILE && !S_ISDIR(m->x.mode) &&
	    !S_ISSOCK(m->x.mode))
		m->x.link = before->path;
	get_xattrs(c, m);
	return true;
}

static void made_free(struct made *m)
{
	free(m->path);
	free(m->target);
	for (int i = 0; i < XATTRS_MAX; i++)
		free(m->names[i]);
}

static int collect(void *arg, const void *p, size_t n, struct err *e)
{
	(void)e;
	str_add_mem(arg, p, n);
	return 0;
}

/* The name it has in the archive; owned by the caller. */
static char *archived(const struct entry *x)
{
	const char *slash = strrchr(x->path, '/');
	int folder = slash ? (int)(slash + 1 - x->path) : 0;

	if (x->kind == ENTRY_OPAQUE)
		return xasprintf("%s/.wh..wh..opq", x->path);
	if (x->kind == ENTRY_WHITEOUT)
		return xasprintf("%.*s.wh.%s", folder, x->path, x->path + folder);
	return xasprintf("%s%s", x->path, S_ISDIR(x->mode) ? "/" : "");
}

static void check_xattrs(struct tar_in *t, const struct entry *x)
{
	size_t found = 0, len;
	const char *name;
	const void *value;

	while (tar_in_xattr(t, &name, &value, &len)) {
		size_t i = 0;

		while (i < x->nxattrs && strcmp(x->xattrs[i].name, name) != 0)
			i++;
		check(i < x->nxattrs && x->xattrs[i].len == len);
		check(len == 0 || memcmp(x->xattrs[i].value, value, len) == 0);
		found++;
	}
	check(found == (x->link ? 0 : x->nxattrs));
}

static void check_content(struct tar_in *t, const struct entry *x)
{
	int64_t at = 0, off;
	const void *p;
	size_t n;
	int rc;

	while ((rc = tar_in_data(t, &p, &n, &off, NULL)) == 0) {
		check(off == at);
		for (size_t i = 0; i < n; i++)
			check(((const char *)p)[i] == (char)('a' + (at + (int64_t)i) % 26));
		at += (int64_t)n;
	}
	check(rc == 1 && (uint64_t)at == x->size);
}

static void check_entry(struct tar_in *t, const struct tar_entry *te, const struct entry *x)
{
	own_free char *name = archived(x);

	check(strcmp(te->path, name) == 0);
	if (x->kind != ENTRY_FILE)
		return;
	check(te->perm == (x->mode & 07777) && te->uid == x->uid && te->gid == x->gid);
	check(te->mtime.tv_sec == x->mtime.tv_sec && te->mtime.tv_nsec == 0);
	check_xattrs(t, x);
	check((te->hardlink != NULL) == (x->link != NULL));
	if (x->link) {
		check(strcmp(te->hardlink, x->link) == 0);
		return;
	}
	check(te->type == (x->mode & S_IFMT));
	if (S_ISLNK(x->mode))
		check(te->symlink && strcmp(te->symlink, x->target) == 0);
	if (S_ISCHR(x->mode) || S_ISBLK(x->mode))
		check(te->major == x->major && te->minor == x->minor);
	if (S_ISREG(x->mode))
		check_content(t, x);
}

struct feed {
	const struct str *s;
	bool done;
};

static ssize_t feed_read(void *arg, const void **buf, struct err *e)
{
	struct feed *f = arg;

	(void)e;
	*buf = f->s->s;
	if (f->done)
		return 0;
	f->done = true;
	return (ssize_t)f->s->len;
}

static void read_back(const struct str *archive, const struct made *made, size_t n)
{
	const struct unpack_limits limits = { 0 };
	struct feed f = { archive, false };
	struct tar_in *t = tar_in_new(feed_read, &f, &limits, false);
	struct tar_entry te;

	for (size_t i = 0; i < n; i++) {
		const struct entry *x = &made[i].x;

		if (x->kind == ENTRY_FILE && S_ISSOCK(x->mode))
			continue;
		check(tar_in_next(t, &te, NULL) == 0);
		check_entry(t, &te, x);
	}
	check(tar_in_next(t, &te, NULL) == 1);
	tar_in_free(t, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cur c = cur_of(data, size);
	own_str struct str archive = STR_INIT;
	struct tar_out *t = tar_out_new(collect, &archive);
	/* The root first, as in a tree: a name may begin as packed archives do. */
	struct made made[ENTRIES_MAX] = { { .x = { .path = ".", .mode = S_IFDIR, .fd = -1 } } };
	struct err e = ERR_INIT;
	size_t n = 1;

	if (content < 0)
		make_content();
	check(tar_out_entry(t, &made[0].x, &e) == 0);
	while (n < ENTRIES_MAX && get_entry(&c, &made[n], n > 1 ? &made[n - 1] : NULL))
		check(tar_out_entry(t, &made[n++].x, &e) == 0);
	check(tar_out_end(t, &e) == 0 && archive.len % 10240 == 0);
	read_back(&archive, made, n);
	tar_out_free(t);
	for (size_t i = 1; i < n; i++)
		made_free(&made[i]);
	return 0;
}
