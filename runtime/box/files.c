/* files.c: a container's files from outside; see files.h. */
#include "runtime/box/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/fd.h"
#include "runtime/base/own.h"
#include "runtime/box/holder.h"
#include "runtime/box/state.h"
#include "runtime/fuse/files.h"
#include "vsock/item.h"

struct box_files {
	const struct box_dirs *d;
	struct box *b;
	struct files *v;
	struct box_client *c; /* NULL: it does not run */
	int lock;	      /* then this is held */
	bool *read_only;      /* of each mount */
	char *dir;
	int sock, err; /* the unpacking task's stdin and stderr */
	uint32_t task;
	struct str out;
};

/* ---- opening */

/* The mounts that have their source; texts owns their strings. */
static struct files_mount *mounts_of(const struct box_spec *s, struct strv *texts, unsigned *n)
{
	struct files_mount *m = xcalloc(s->nmounts, sizeof(*m));

	*n = 0;
	for (unsigned i = 0; i < s->nmounts; i++) {
		const char *below = s->mounts[i].subpath;
		char *dir, *entry;

		if (s->mounts[i].kind == BOX_MOUNT_TMPFS ||
		    boot_bind_split(s->mounts[i].source, &dir, &entry, NULL) < 0)
			continue;
		m[(*n)++] = (struct files_mount){ .target = s->mounts[i].target,
						  .dir = dir,
						  .only = entry,
						  .below = *below ? below : NULL,
						  .read_only = s->mounts[i].read_only };
		strv_take(texts, dir);
		if (entry)
			strv_take(texts, entry);
	}
	return m;
}

static struct files *open_tree(struct box_files *f, bool write, struct err *e)
{
	const struct box *b = f->b;
	own_free char *upper = xasprintf("%s/" BOX_UPPER, b->dir);
	own_strv struct strv texts = STRV_INIT;
	struct files_tree t = { .layers = (const char *const *)b->spec.layers.v,
				.nlayers = (unsigned)b->spec.layers.n,
				.upper = upper,
				.write = write };
	struct files_mount *m = mounts_of(&b->spec, &texts, &t.nmounts);
	struct files *v;

	t.mounts = m;
	f->read_only = xcalloc(t.nmounts, sizeof(*f->read_only));
	for (unsigned i = 0; i < t.nmounts; i++)
		f->read_only[i] = m[i].read_only;
	v = files_open(&t, e);
	free(m);
	return v;
}

/* Running: f->c is connected, and what it wrote is here. Else its lock is held. */
static int settle(struct box_files *f, struct err *e)
{
	own_fd int dirfd = box_dir_open(f->d, f->b->spec.id);
	int rc;

	if (dirfd < 0)
		return err_set(e, ENOENT, "No such container: %s", f->b->spec.id);
	for (;;) {
		f->lock = box_lock_try(dirfd);
		if (f->lock < 0 && f->lock != -EAGAIN)
			return err_set(e, -f->lock, "lock container %s: %s", f->b->spec.id,
				       strerror(-f->lock));
		rc = state_read(dirfd, &f->b->state, e);
		if (rc < 0 || f->lock >= 0)
			break;
		if (!state_claims_holder(&f->b->state)) {
			f->lock = box_lock_wait(dirfd);
			if (f->lock < 0)
				return err_set(e, -f->lock, "lock container %s: %s", f->b->spec.id,
					       strerror(-f->lock));
			break;
		}
		f->c = box_connect(f->d, f->b, e);
		if (f->c == NULL && e->code != ESRCH)
			return -e->code;
		if (f->c && f->b->state.status == BOX_RUNNING)
			rc = box_client_sync(f->c, e);
		if (f->c && rc != -ESRCH) /* else it ends just now */
			return rc;
		box_client_free(f->c);
		f->c = NULL;
		*e = (struct err)ERR_INIT;
	}
	if (rc == 0 && !box_dir_current(f->d, f->b->spec.id, dirfd))
		rc = err_set(e, ENOENT, "No such container: %s", f->b->spec.id);
	return rc;
}

struct box_files *box_files_open(const struct box_dirs *d, struct box *b, struct err *e)
{
	struct box_files *f = xcalloc(1, sizeof(*f));
	struct err why = ERR_INIT;

	*f = (struct box_files){ .d = d, .b = b, .lock = -1, .sock = -1, .err = -1 };
	if (settle(f, &why) == 0)
		f->v = open_tree(f, f->c == NULL, &why);
	if (f->v)
		return f;
	err_set(e, why.code ? why.code : EIO, "%s", why.msg);
	box_files_close(f);
	return NULL;
}

void box_files_close(struct box_files *f)
{
	if (f == NULL)
		return;
	files_close(f->v);
	own_fd_(&f->sock);
	own_fd_(&f->err);
	own_fd_(&f->lock);
	box_client_free(f->c);
	str_free(&f->out);
	free(f->read_only);
	free(f->dir);
	free(f);
}

int box_files_stat(struct box_files *f, const char *path, bool follow, struct entry *x, char **real,
		   struct err *e)
{
	return files_stat(f->v, path, follow, x, real, e);
}

int box_files_region(struct box_files *f, const char *path, struct err *e)
{
	struct err why = ERR_INIT;
	int i = files_mount_of(f->v, path, &why);

	if (i < 0)
		return i == -ENOENT ? BOX_FILES_ROOT : err_set(e, why.code, "%s", why.msg);
	return f->read_only[i] ? BOX_FILES_READ_ONLY : BOX_FILES_MOUNT;
}

int box_files_walk(struct box_files *f, const char *path, entry_fn *fn, void *arg, struct err *e)
{
	return files_walk(f->v, path, fn, arg, e);
}

/* ---- into a running one */

static int begin_task(struct box_files *f, struct err *e)
{
	struct box_exec x = { .argv = STRV_INIT, .open_stdin = true, .unpack = true };
	struct box_stdio io = { .in = -1, .out = -1, .err = -1 };
	int pair[2], pipes[2], rc;

	if (f->b->state.status == BOX_PAUSED)
		return err_set(e, EBUSY,
			       "Container %s is paused, unpause the container before copying "
			       "into it",
			       f->b->spec.id);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return err_sys(e, "socketpair");
	f->sock = pair[0];
	io.in = pair[1];
	if (pipe2(pipes, O_CLOEXEC) < 0) {
		close(io.in);
		return err_sys(e, "pipe");
	}
	f->err = pipes[0];
	io.err = pipes[1];
	strv_add(&x.argv, f->dir);
	rc = box_client_exec(f->c, &x, &io, &f->task, e);
	strv_free(&x.argv);
	close(io.in);
	close(io.err);
	return rc;
}

/* Waits for the task's end; what it said, if it failed. */
static int end_task(struct box_files *f, struct err *e)
{
	char text[ERR_MSG_MAX];
	struct box_event ev;
	ssize_t n;
	int rc;

	shutdown(f->sock, SHUT_WR);
	do {
		rc = box_client_next(f->c, &ev, e);
		if (rc < 0)
			return rc;
		if (ev.kind == BOX_EV_GONE ||
		    (ev.task == WIRE_TASK_MAIN && ev.kind != BOX_EV_STARTED))
			return err_set(e, ESRCH, "the container ended while it was copied into");
	} while (ev.task != f->task || ev.kind == BOX_EV_STARTED);
	if (ev.kind == BOX_EV_FAILED)
		return err_set(e, EIO, "%s", ev.message);
	if (ev.code == 0)
		return 0;
	n = fd_read_full(f->err, text, sizeof(text) - 1);
	text[n > 0 ? n : 0] = 0;
	return err_set(e, EIO, "%s", n > 0 ? text : "the copying was cut short");
}

/* What is in f->out goes to the task. -EPIPE: it has ended, and says why. */
static int send_out(struct box_files *f, struct err *e)
{
	const char *p = f->out.s;
	size_t n = f->out.len;

	f->out.len = 0;
	while (n) {
		ssize_t put = send(f->sock, p, n, MSG_NOSIGNAL);

		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0) {
			int rc = end_task(f, e);

			return rc < 0 ? rc : err_set(e, EPIPE, "the copying was cut short");
		}
		p += put;
		n -= (size_t)put;
	}
	return 0;
}

static int send_piece(void *arg, const void *p, size_t n, uint64_t off, struct err *e)
{
	struct box_files *f = arg;

	item_put_piece(&f->out, off, p, n);
	return send_out(f, e);
}

static int send_entry(struct box_files *f, const struct entry *x, struct err *e)
{
	int rc;

	item_put_entry(&f->out, x);
	rc = send_out(f, e);
	if (rc == 0 && S_ISREG(x->mode) && x->link == NULL)
		rc = entry_data(x, send_piece, f, e);
	return rc;
}

int box_files_begin(struct box_files *f, const char *dir, struct err *e)
{
	f->dir = xstrdup(dir);
	return f->c ? begin_task(f, e) : 0;
}

int box_files_add(void *files, const struct entry *x, struct err *e)
{
	struct box_files *f = files;

	return f->c ? send_entry(f, x, e) : files_add(f->v, f->dir, x, e);
}

int box_files_end(struct box_files *f, struct err *e)
{
	int rc;

	if (f->c == NULL)
		return files_finish(f->v, e);
	item_put_end(&f->out);
	rc = send_out(f, e);
	return rc < 0 ? rc : end_task(f, e);
}
