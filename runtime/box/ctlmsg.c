/* ctlmsg.c: control messages as bytes, and sockets at long paths; see ctl.h. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "runtime/base/cursor.h"
#include "runtime/base/fd.h"
#include "runtime/base/own.h"
#include "runtime/box/ctl.h"

#define CTL_BACKLOG 128
/* Most arguments, and most variables, of an exec. */
#define CTL_STRINGS_MAX (1U << 18)

size_t ctl_put(const struct ctl_msg *m, void *buf)
{
	struct wcur w = wcur_of(buf, CTL_MSG_MAX);
	size_t len = strnlen(m->text, sizeof(m->text) - 1);

	wcur_u16(&w, m->type);
	wcur_u8(&w, m->kind);
	wcur_u8(&w, m->streams);
	wcur_u32(&w, m->task);
	wcur_u32(&w, (uint32_t)m->code);
	wcur_u32(&w, m->signal);
	wcur_u64(&w, (uint64_t)m->timeout_s);
	wcur_u16(&w, m->rows);
	wcur_u16(&w, m->cols);
	wcur_u32(&w, (uint32_t)len);
	wcur_bytes(&w, m->text, len);
	return wcur_len(&w);
}

int ctl_get(struct ctl_msg *m, const void *buf, size_t n)
{
	struct cur c = cur_of(buf, n);
	uint32_t code, len;
	uint64_t timeout;

	memset(m, 0, sizeof(*m));
	if (!cur_u16(&c, &m->type) || !cur_u8(&c, &m->kind) || !cur_u8(&c, &m->streams) ||
	    !cur_u32(&c, &m->task) || !cur_u32(&c, &code) || !cur_u32(&c, &m->signal) ||
	    !cur_u64(&c, &timeout) || !cur_u16(&c, &m->rows) || !cur_u16(&c, &m->cols) ||
	    !cur_u32(&c, &len) || len >= sizeof(m->text) || !cur_copy(&c, m->text, len))
		return -EPROTO;
	m->code = (int32_t)code;
	m->timeout_s = (int64_t)timeout;
	return 0;
}

static void put_u32(struct str *s, uint32_t v)
{
	str_add_mem(s, &v, sizeof(v));
}

static void put_string(struct str *s, const char *t)
{
	put_u32(s, (uint32_t)strlen(t));
	str_add(s, t);
}

static void put_strings(struct str *s, const struct strv *v)
{
	put_u32(s, (uint32_t)v->n);
	for (size_t i = 0; i < v->n; i++)
		put_string(s, v->v[i]);
}

int ctl_exec_write(const struct box_exec *x, struct err *e)
{
	own_str struct str s = STR_INIT;
	own_fd int fd = memfd_create("exec", MFD_CLOEXEC);
	int rc;

	if (fd < 0)
		return err_sys(e, "memfd_create");
	put_u32(&s, (x->tty ? 1U : 0) | (x->open_stdin ? 2U : 0) | (x->privileged ? 4U : 0) |
			    (x->cwd ? 8U : 0) | (x->user ? 16U : 0) | (x->unpack ? 32U : 0));
	put_strings(&s, &x->argv);
	put_strings(&s, &x->env);
	put_string(&s, x->cwd ? x->cwd : "");
	put_string(&s, x->user ? x->user : "");
	if (s.len > CTL_EXEC_MAX)
		return err_set(e, E2BIG, "the command and its environment are too long");
	rc = fd_write_full(fd, s.s, s.len);
	if (rc < 0)
		return err_set(e, -rc, "write the command: %s", strerror(-rc));
	return steal_fd(&fd);
}

static bool get_string(struct cur *c, char **out)
{
	const void *p;
	uint32_t len;

	if (!cur_u32(c, &len) || !cur_bytes(c, len, &p) || memchr(p, 0, len))
		return false;
	*out = xstrndup(p, len);
	return true;
}

static bool get_strings(struct cur *c, struct strv *v)
{
	uint32_t n;
	char *s;

	if (!cur_u32(c, &n) || n > CTL_STRINGS_MAX)
		return false;
	while (n--) {
		if (!get_string(c, &s))
			return false;
		strv_take(v, s);
	}
	return true;
}

void ctl_exec_free(struct box_exec *x)
{
	strv_free(&x->argv);
	strv_free(&x->env);
	free((char *)(uintptr_t)x->cwd);
	free((char *)(uintptr_t)x->user);
	memset(x, 0, sizeof(*x));
}

int ctl_exec_read(int fd, struct box_exec *x, struct err *e)
{
	own_free char *buf = NULL, *cwd = NULL, *user = NULL;
	struct stat st;
	struct cur c;
	uint32_t flags;
	ssize_t n;

	memset(x, 0, sizeof(*x));
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size > CTL_EXEC_MAX)
		return err_set(e, EPROTO, "malformed request");
	buf = xmalloc((size_t)st.st_size);
	n = pread(fd, buf, (size_t)st.st_size, 0);
	c = cur_of(buf, n < 0 ? 0 : (size_t)n);
	if (!cur_u32(&c, &flags) || !get_strings(&c, &x->argv) || !get_strings(&c, &x->env) ||
	    !get_string(&c, &cwd) || !get_string(&c, &user) || x->argv.n == 0) {
		ctl_exec_free(x);
		return err_set(e, EPROTO, "malformed request");
	}
	x->tty = flags & 1;
	x->open_stdin = flags & 2;
	x->privileged = flags & 4;
	x->unpack = flags & 32;
	if (flags & 8)
		x->cwd = steal_ptr(&cwd);
	if (flags & 16)
		x->user = steal_ptr(&user);
	return 0;
}

/*
 * A socket's address has room for 107 bytes of path: a longer one is reached
 * through its folder's descriptor. *dirfd stays open for as long.
 */
static int address(const char *path, struct sockaddr_un *un, int *dirfd)
{
	own_free char *dir = xstrdup(path);
	char *slash = strrchr(dir, '/');
	int n;

	*un = (struct sockaddr_un){ .sun_family = AF_UNIX };
	*dirfd = -1;
	if (strlen(path) < sizeof(un->sun_path)) {
		memcpy(un->sun_path, path, strlen(path) + 1);
		return 0;
	}
	if (slash == NULL)
		return -ENAMETOOLONG;
	*slash = 0;
	*dirfd = open(dir[0] ? dir : "/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (*dirfd < 0)
		return -errno;
	n = snprintf(un->sun_path, sizeof(un->sun_path), "/proc/self/fd/%d/%s", *dirfd, slash + 1);
	return n < 0 || (size_t)n >= sizeof(un->sun_path) ? -ENAMETOOLONG : 0;
}

int ctl_bind(const char *path, struct err *e)
{
	own_fd int sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	own_fd int dirfd = -1;
	struct sockaddr_un un;
	int rc = sock < 0 ? -errno : address(path, &un, &dirfd);

	if (rc < 0)
		return err_set(e, -rc, "socket %s: %s", path, strerror(-rc));
	unlink(path);
	if (bind(sock, (struct sockaddr *)&un, sizeof(un)) < 0 || listen(sock, CTL_BACKLOG) < 0)
		return err_sys(e, "socket %s", path);
	return steal_fd(&sock);
}

int ctl_connect(const char *path)
{
	own_fd int sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	own_fd int dirfd = -1;
	struct sockaddr_un un;
	struct ucred peer;
	socklen_t len = sizeof(peer);
	int rc = sock < 0 ? -errno : address(path, &un, &dirfd);

	if (rc < 0)
		return rc;
	while (connect(sock, (struct sockaddr *)&un, sizeof(un)) < 0) {
		if (errno != EINTR)
			return -errno;
	}
	/* what is sent there (descriptors, environments) is for our own holder only */
	if (getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
		return -errno;
	return peer.uid == geteuid() || peer.uid == 0 ? steal_fd(&sock) : -EPERM;
}
