/* fuse_client.c: see fuse_client.h. */
#include "tests/unit/fuse_client.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "runtime/base/fd.h"

#define REQUEST_MAX ((1U << 20) + 4096)

/* Cuts a buffer into segments at odd places, as a guest's memory may lie. */
static int cut(void *buf, size_t n, struct iovec *v, int max)
{
	size_t at = 0, step = 7;
	int k = 0;

	while (at < n && k < max - 1) {
		size_t len = n - at < step ? n - at : step;

		v[k++] = (struct iovec){ (char *)buf + at, len };
		at += len;
		step = step * 3 + 5;
	}
	if (at < n)
		v[k++] = (struct iovec){ (char *)buf + at, n - at };
	return k;
}

ssize_t client_call(struct client *c, uint32_t opcode, uint64_t node, const struct part *parts,
		    unsigned nparts, void *reply, size_t max)
{
	static char req[REQUEST_MAX], rep[REQUEST_MAX];
	struct fuse_in_header h = { .opcode = opcode,
				    .unique = ++c->unique,
				    .nodeid = node,
				    .uid = c->uid,
				    .gid = c->gid,
				    .pid = 1 };
	struct fuse_out_header oh;
	struct iovec out[16], in[16];
	size_t n = sizeof(h);
	ssize_t got;

	for (unsigned i = 0; i < nparts; i++) {
		memcpy(req + n, parts[i].p, parts[i].n);
		n += parts[i].n;
	}
	h.len = (uint32_t)n;
	memcpy(req, &h, sizeof(h));
	got = fuse_handle(c->f, out, cut(req, n, out, 16), in, cut(rep, sizeof(oh) + max, in, 16));
	if (opcode == FUSE_FORGET || opcode == FUSE_BATCH_FORGET || opcode == FUSE_INTERRUPT)
		return got;
	if (got < (ssize_t)sizeof(oh))
		return -EPROTO;
	memcpy(&oh, rep, sizeof(oh));
	if (oh.unique != h.unique || oh.len != (size_t)got || oh.error > 0 || oh.error <= -1000)
		return -EBADMSG;
	if (oh.error)
		return got == sizeof(oh) ? oh.error : -EBADMSG;
	got -= (ssize_t)sizeof(oh);
	if (reply && got)
		memcpy(reply, rep + sizeof(oh), (size_t)got);
	return got;
}

void client_start(struct client *c, struct fuse *f, const char *share)
{
	struct fuse_init_in in = { .major = FUSE_KERNEL_VERSION,
				   .minor = FUSE_KERNEL_MINOR_VERSION,
				   .max_readahead = 131072,
				   .flags = CLIENT_FLAGS };
	struct part p = PART(in);
	struct fuse_entry_out e = { 0 };

	memset(c, 0, sizeof(*c));
	c->f = f;
	client_call(c, FUSE_INIT, 0, &p, 1, &c->init, sizeof(c->init));
	if (share && client_lookup(c, FUSE_ROOT_ID, share, &e) == 0)
		c->root = e.nodeid;
}

/* A reply of fixed size: 0, -errno, or -EBADMSG when it has another size. */
static int fixed(ssize_t got, size_t want)
{
	return got < 0 ? (int)got : got == (ssize_t)want ? 0 : -EBADMSG;
}

int client_lookup(struct client *c, uint64_t dir, const char *name, struct fuse_entry_out *e)
{
	struct part p = PART_STR(name);
	int rc = fixed(client_call(c, FUSE_LOOKUP, dir, &p, 1, e, sizeof(*e)), sizeof(*e));

	return rc == 0 && e->nodeid == 0 ? -ENOENT : rc;
}

int client_walk(struct client *c, const char *path, struct fuse_entry_out *e)
{
	uint64_t at = c->root;

	memset(e, 0, sizeof(*e));
	e->nodeid = at;
	while (*path) {
		char name[NAME_MAX * 5];
		size_t n = strcspn(path, "/");
		int rc;

		memcpy(name, path, n);
		name[n] = 0;
		rc = client_lookup(c, at, name, e);
		if (rc < 0)
			return rc;
		at = e->nodeid;
		path += n + (path[n] == '/');
	}
	return 0;
}

uint64_t client_node(struct client *c, const char *path)
{
	struct fuse_entry_out e;

	return client_walk(c, path, &e) < 0 ? 0 : e.nodeid;
}

/* The folder's node and the last name. */
static int split(struct client *c, const char *path, uint64_t *dir, const char **name)
{
	const char *slash = strrchr(path, '/');
	char up[4096];

	*name = slash ? slash + 1 : path;
	if (slash == NULL) {
		*dir = c->root;
		return 0;
	}
	memcpy(up, path, (size_t)(slash - path));
	up[slash - path] = 0;
	*dir = client_node(c, up);
	return *dir ? 0 : -ENOENT;
}

int client_getattr(struct client *c, uint64_t node, struct fuse_attr *a)
{
	struct fuse_getattr_in in = { 0 };
	struct fuse_attr_out out;
	struct part p = PART(in);
	int rc = fixed(client_call(c, FUSE_GETATTR, node, &p, 1, &out, sizeof(out)), sizeof(out));

	*a = out.attr;
	return rc;
}

int client_stat(struct client *c, const char *path, struct fuse_attr *a)
{
	uint64_t n = client_node(c, path);

	return n ? client_getattr(c, n, a) : -ENOENT;
}

int client_create(struct client *c, const char *path, uint32_t mode, struct fuse_entry_out *e,
		  uint64_t *fh)
{
	struct fuse_create_in in = { .flags = O_RDWR | O_CREAT | O_EXCL, .mode = mode };
	struct {
		struct fuse_entry_out e;
		struct fuse_open_out o;
	} out;
	const char *name;
	uint64_t dir;
	int rc = split(c, path, &dir, &name);

	if (rc == 0) {
		struct part p[] = { PART(in), PART_STR(name) };

		rc = fixed(client_call(c, FUSE_CREATE, dir, p, 2, &out, sizeof(out)), sizeof(out));
	}
	if (rc == 0 && e)
		*e = out.e;
	if (rc == 0 && fh)
		*fh = out.o.fh;
	return rc;
}

static int make_entry(struct client *c, uint32_t op, const char *path, struct part arg,
		      const char *more)
{
	struct fuse_entry_out e;
	const char *name;
	uint64_t dir;
	int rc = split(c, path, &dir, &name);

	if (rc < 0)
		return rc;
	if (more) {
		struct part p[] = { PART_STR(name), PART_STR(more) };

		return fixed(client_call(c, op, dir, p, 2, &e, sizeof(e)), sizeof(e));
	}
	struct part p[] = { arg, PART_STR(name) };

	return fixed(client_call(c, op, dir, p, 2, &e, sizeof(e)), sizeof(e));
}

int client_mkdir(struct client *c, const char *path, uint32_t mode)
{
	struct fuse_mkdir_in in = { .mode = mode };

	return make_entry(c, FUSE_MKDIR, path, PART(in), NULL);
}

int client_mknod(struct client *c, const char *path, uint32_t mode, uint32_t rdev)
{
	struct fuse_mknod_in in = { .mode = mode, .rdev = rdev };

	return make_entry(c, FUSE_MKNOD, path, PART(in), NULL);
}

int client_symlink(struct client *c, const char *target, const char *path)
{
	return make_entry(c, FUSE_SYMLINK, path, (struct part){ NULL, 0 }, target);
}

ssize_t client_readlink(struct client *c, const char *path, char *buf, size_t size)
{
	uint64_t n = client_node(c, path);
	ssize_t len;

	if (n == 0)
		return -ENOENT;
	len = client_call(c, FUSE_READLINK, n, NULL, 0, buf, size - 1);
	if (len >= 0)
		buf[len] = 0;
	return len;
}

static int remove_path(struct client *c, uint32_t op, const char *path)
{
	const char *name;
	uint64_t dir;
	int rc = split(c, path, &dir, &name);

	if (rc < 0)
		return rc;
	struct part p = PART_STR(name);

	return (int)client_call(c, op, dir, &p, 1, NULL, 0);
}

int client_unlink(struct client *c, const char *path)
{
	return remove_path(c, FUSE_UNLINK, path);
}

int client_rmdir(struct client *c, const char *path)
{
	return remove_path(c, FUSE_RMDIR, path);
}

int client_rename(struct client *c, const char *from, const char *to, uint32_t flags)
{
	const char *a, *b;
	uint64_t dir;
	struct fuse_rename2_in in = { .flags = flags };
	int rc = split(c, from, &dir, &a);

	if (rc == 0)
		rc = split(c, to, &in.newdir, &b);
	if (rc < 0)
		return rc;
	struct part p[] = { PART(in), PART_STR(a), PART_STR(b) };

	return (int)client_call(c, FUSE_RENAME2, dir, p, 3, NULL, 0);
}

int client_link(struct client *c, uint64_t node, const char *path, struct fuse_entry_out *e)
{
	struct fuse_link_in in = { .oldnodeid = node };
	struct fuse_entry_out tmp;
	const char *name;
	uint64_t dir;
	int rc = split(c, path, &dir, &name);

	if (rc < 0)
		return rc;
	struct part p[] = { PART(in), PART_STR(name) };

	e = e ? e : &tmp;
	return fixed(client_call(c, FUSE_LINK, dir, p, 2, e, sizeof(*e)), sizeof(*e));
}

ssize_t client_read_fh(struct client *c, uint64_t node, uint64_t fh, void *buf, size_t n,
		       uint64_t off)
{
	struct fuse_read_in in = { .fh = fh, .offset = off, .size = (uint32_t)n };
	struct part p = PART(in);

	return client_call(c, FUSE_READ, node, &p, 1, buf, n);
}

ssize_t client_write_fh(struct client *c, uint64_t node, uint64_t fh, const void *buf, size_t n,
			uint64_t off, uint32_t write_flags)
{
	struct fuse_write_in in = {
		.fh = fh, .offset = off, .size = (uint32_t)n, .write_flags = write_flags
	};
	struct part p[] = { PART(in), { buf, n } };
	struct fuse_write_out out;
	int rc = fixed(client_call(c, FUSE_WRITE, node, p, 2, &out, sizeof(out)), sizeof(out));

	return rc < 0 ? rc : (ssize_t)out.size;
}

ssize_t client_read(struct client *c, uint64_t node, void *buf, size_t n, uint64_t off)
{
	return client_read_fh(c, node, 0, buf, n, off);
}

ssize_t client_write(struct client *c, uint64_t node, const void *buf, size_t n, uint64_t off)
{
	return client_write_fh(c, node, 0, buf, n, off, 0);
}

int client_open(struct client *c, uint64_t node, uint32_t flags, uint64_t *fh)
{
	struct fuse_open_in in = { .flags = flags };
	struct fuse_open_out out;
	struct part p = PART(in);
	int rc = fixed(client_call(c, FUSE_OPEN, node, &p, 1, &out, sizeof(out)), sizeof(out));

	*fh = out.fh;
	return rc;
}

int client_setattr(struct client *c, uint64_t node, struct fuse_setattr_in *in, struct fuse_attr *a)
{
	struct fuse_attr_out out;
	struct part p = { in, sizeof(*in) };
	int rc = fixed(client_call(c, FUSE_SETATTR, node, &p, 1, &out, sizeof(out)), sizeof(out));

	if (rc == 0 && a)
		*a = out.attr;
	return rc;
}

int client_chmod(struct client *c, const char *path, uint32_t mode)
{
	struct fuse_setattr_in in = { .valid = FATTR_MODE, .mode = mode };

	return client_setattr(c, client_node(c, path), &in, NULL);
}

int client_chown(struct client *c, const char *path, uint32_t uid, uint32_t gid)
{
	struct fuse_setattr_in in = { .valid = FATTR_UID | FATTR_GID | FATTR_KILL_SUIDGID,
				      .uid = uid,
				      .gid = gid };

	return client_setattr(c, client_node(c, path), &in, NULL);
}

int client_truncate(struct client *c, uint64_t node, uint64_t size)
{
	struct fuse_setattr_in in = { .valid = FATTR_SIZE, .size = size };

	return client_setattr(c, node, &in, NULL);
}

int client_setxattr(struct client *c, uint64_t node, const char *name, const char *value,
		    uint32_t flags)
{
	struct fuse_setxattr_in in = { .size = (uint32_t)strlen(value), .flags = flags };
	struct part p[] = { PART(in), PART_STR(name), { value, strlen(value) } };

	return (int)client_call(c, FUSE_SETXATTR, node, p, 3, NULL, 0);
}

ssize_t client_getxattr(struct client *c, uint64_t node, const char *name, char *buf, size_t n)
{
	struct fuse_getxattr_in in = { .size = (uint32_t)n };
	struct part p[] = { PART(in), PART_STR(name) };
	ssize_t got = client_call(c, FUSE_GETXATTR, node, p, 2, buf, n ? n : 8);

	if (got >= 0 && (size_t)got < n)
		buf[got] = 0;
	return got;
}

int client_removexattr(struct client *c, uint64_t node, const char *name)
{
	struct part p = PART_STR(name);

	return (int)client_call(c, FUSE_REMOVEXATTR, node, &p, 1, NULL, 0);
}

void client_forget(struct client *c, uint64_t node, uint64_t n)
{
	struct fuse_forget_in in = { .nlookup = n };
	struct part p = PART(in);

	client_call(c, FUSE_FORGET, node, &p, 1, NULL, 0);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int list(struct client *c, const char *path, char *buf, size_t size, uint32_t chunk,
		bool plus)
{
	uint64_t dir = client_node(c, path), off = 0, fh = 0;
	struct fuse_open_in open_in = { .flags = O_RDONLY };
	struct fuse_open_out open_out = { 0 };
	struct part op = PART(open_in);
	char data[65536], *names[4096];
	size_t n = 0;
	ssize_t got;

	if (dir == 0)
		return -ENOENT;
	got = client_call(c, FUSE_OPENDIR, dir, &op, 1, &open_out, sizeof(open_out));
	if (got < 0 && got != -ENOSYS)
		return (int)got;
	fh = open_out.fh;
	*buf = 0;
	for (;;) {
		struct fuse_read_in in = { .fh = fh, .offset = off, .size = chunk };
		struct part p = PART(in);

		got = client_call(c, plus ? FUSE_READDIRPLUS : FUSE_READDIR, dir, &p, 1, data,
				  chunk);
		if (got <= 0)
			break;
		for (ssize_t at = 0; at < got;) {
			struct fuse_dirent de;
			const char *rec = data + at + (plus ? sizeof(struct fuse_entry_out) : 0);

			memcpy(&de, rec, FUSE_NAME_OFFSET);
			if (de.namelen > NAME_MAX || de.off <= off)
				return -EBADMSG;
			off = de.off;
			names[n] = strndup(rec + FUSE_NAME_OFFSET, de.namelen);
			if (strcmp(names[n], ".") == 0 || strcmp(names[n], "..") == 0)
				free(names[n]);
			else
				n++;
			at += (ssize_t)(FUSE_DIRENT_ALIGN(FUSE_NAME_OFFSET + de.namelen) +
					(plus ? sizeof(struct fuse_entry_out) : 0));
		}
	}
	qsort(names, n, sizeof(names[0]), by_name);
	for (size_t i = 0; i < n; i++) {
		if (strlen(buf) + strlen(names[i]) + 2 < size)
			strcat(strcat(buf, names[i]), " ");
		free(names[i]);
	}
	if (fh) {
		struct fuse_release_in rel = { .fh = fh };
		struct part p = PART(rel);

		client_call(c, FUSE_RELEASEDIR, dir, &p, 1, NULL, 0);
	}
	return (int)got;
}

int client_list(struct client *c, const char *path, char *buf, size_t size)
{
	return list(c, path, buf, size, 4096, false);
}

int client_list_plus(struct client *c, const char *path, char *buf, size_t size, uint32_t chunk)
{
	return list(c, path, buf, size, chunk, true);
}

int client_text(struct client *c, const char *path, char *buf, size_t size)
{
	uint64_t n = client_node(c, path), fh = 0;
	ssize_t got;
	int rc;

	*buf = 0;
	if (n == 0)
		return -ENOENT;
	rc = client_open(c, n, O_RDONLY, &fh);
	if (rc < 0 && rc != -ENOSYS)
		return rc;
	got = client_read_fh(c, n, rc < 0 ? 0 : fh, buf, size - 1, 0);
	if (rc == 0 && fh) {
		struct fuse_release_in rel = { .fh = fh };
		struct part p = PART(rel);

		client_call(c, FUSE_RELEASE, n, &p, 1, NULL, 0);
	}
	if (got < 0)
		return (int)got;
	buf[got] = 0;
	return 0;
}

/* --- a place to work in */

void place_make(char *buf, size_t size)
{
	const char *dirs[] = { getenv("TMPDIR"), "/tmp", "/var/tmp" };

	for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++) {
		if (dirs[i] == NULL)
			continue;
		snprintf(buf, size, "%s/zl-fuse-XXXXXX", dirs[i]);
		if (mkdtemp(buf) == NULL)
			continue;
		if (setxattr(buf, "user.probe", "y", 1, 0) == 0)
			return;
		rmdir(buf);
	}
	fprintf(stderr, "no folder for temporary files that keeps user xattrs (set TMPDIR)\n");
	exit(1);
}

void place_remove(const char *path)
{
	dir_remove_all(AT_FDCWD, path, NULL);
}

void put_dir(const char *root, const char *path)
{
	char full[4096];

	snprintf(full, sizeof(full), "%s/%s", root, path);
	if (dir_make_all(full, 0755, NULL) < 0)
		abort();
}

void put_file(const char *root, const char *path, const char *text)
{
	char full[4096], *slash;
	int fd;

	snprintf(full, sizeof(full), "%s/%s", root, path);
	slash = strrchr(full, '/');
	*slash = 0;
	if (dir_make_all(full, 0755, NULL) < 0)
		abort();
	*slash = '/';
	fd = open(full, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0 || fd_write_full(fd, text, strlen(text)) < 0)
		abort();
	close(fd);
}

void put_xattr(const char *root, const char *path, const char *name, const char *value)
{
	char full[4096];

	snprintf(full, sizeof(full), "%s/%s", root, path);
	if (setxattr(full, name, value, strlen(value), 0) < 0)
		abort();
}

int run_as_both(int (*tests)(void))
{
	int rc = tests(), status;
	pid_t pid;

	if (geteuid() != 0)
		return rc;
	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		if (setgroups(0, NULL) < 0 || setgid(65534) < 0 || setuid(65534) < 0)
			_exit(125);
		exit(tests());
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return 1;
	return rc ? rc : WEXITSTATUS(status);
}
