/* life.c: containers are made, found, listed and removed; see box.h. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "runtime/base/fd.h"
#include "runtime/base/layer.h"
#include "runtime/base/own.h"
#include "runtime/box/events.h"
#include "runtime/box/state.h"
#include "runtime/box/volume.h"

void box_free(struct box *b)
{
	if (b == NULL)
		return;
	if (b->lock >= 0)
		close(b->lock);
	box_spec_free(&b->spec);
	state_free(&b->state);
	free(b->dir);
	free(b);
}

void box_free_(struct box **b)
{
	box_free(*b);
}

static struct box *box_new(const struct box_dirs *d, const char *id)
{
	struct box *b = xcalloc(1, sizeof(*b));

	b->lock = -1;
	b->dir = box_path(d, id);
	state_set_error(&b->state, NULL);
	state_set_socket(&b->state, NULL);
	return b;
}

/* The container's "/" looks like the image's: the upper folder is what shows. */
static int make_upper(int dirfd, const struct box_spec *spec, struct err *e)
{
	const char *top = spec->layers.n ? spec->layers.v[0] : NULL;
	mode_t mode = 0755;
	char text[LAYER_STAT_MAX];
	own_fd int fd = -1;
	struct stat st;
	ssize_t n;

	if (mkdirat(dirfd, BOX_UPPER, 0700) < 0)
		return err_sys(e, "create folder %s", BOX_UPPER);
	fd = openat(dirfd, BOX_UPPER, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(e, "open %s", BOX_UPPER);
	if (top && stat(top, &st) == 0)
		mode = st.st_mode & 0777;
	n = top ? getxattr(top, LAYER_XATTR_STAT, text, sizeof(text)) : -1;
	if (n > 0 && fsetxattr(fd, LAYER_XATTR_STAT, text, (size_t)n, 0) < 0)
		return err_sys(e, "set an attribute of %s", BOX_UPPER);
	if (fchmod(fd, mode) < 0)
		return err_sys(e, "chmod %s", BOX_UPPER);
	return 0;
}

/* Fills the folder .new-<id>; its lock is then held by b. */
static int fill_folder(const struct box_dirs *d, struct box *b, const char *making, struct err *e)
{
	own_fd int dirfd = -1;
	int rc;

	if (mkdir(making, 0700) < 0)
		return err_sys(e, "create folder %s", making);
	dirfd = open(making, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dirfd < 0)
		return err_sys(e, "open %s", making);
	b->lock = box_lock_try(dirfd);
	if (b->lock < 0)
		return err_set(e, -b->lock, "lock %s: %s", making, strerror(-b->lock));
	rc = make_upper(dirfd, &b->spec, e);
	if (rc == 0)
		rc = spec_write(dirfd, &b->spec, e);
	if (rc == 0)
		rc = state_write(dirfd, &b->state, e);
	if (rc == 0 && b->spec.name[0])
		rc = name_take(d, b->spec.name, b->spec.id, e);
	return rc;
}

struct box *box_create(const struct box_dirs *d, const struct box_spec *spec, struct err *e)
{
	own_free char *all = xasprintf("%s/containers", d->root);
	own_free char *making = xasprintf("%s/.new-%s", all, spec->id);
	own_js struct js *j = box_spec_to_json(spec);
	own_fd int guard = -1;
	own_box struct box *b = box_new(d, spec->id);

	if (box_spec_from_json(&b->spec, j, e) < 0 || dir_make_all(all, 0700, e) < 0)
		return NULL;
	guard = box_guard(d, LOCK_SH, e);
	if (guard < 0)
		return NULL;
	if (fill_folder(d, b, making, e) < 0) {
		dir_remove_all(AT_FDCWD, making, NULL);
		return NULL;
	}
	if (rename(making, b->dir) < 0) {
		err_sys(e, "create container %s", spec->id);
		name_drop(d, b->spec.name, b->spec.id);
		dir_remove_all(AT_FDCWD, making, NULL);
		return NULL;
	}
	events_say_box(d, &b->spec, "create", NULL);
	return steal_ptr(&b);
}

/* Its holder was killed: what that would have told, whoever finds it tells. */
static void tell_died(const struct box_dirs *d, const struct box *b)
{
	if (b->state.status != BOX_CREATED)
		events_say_box(d, &b->spec, "die", "exitCode", "137", NULL);
}

/*
 * state.json claims a holder: if the lock is free, it died without a word.
 * 0: all is said in b->state; -ENOENT: an auto_remove one, removed now.
 */
static int reconcile(const struct box_dirs *d, struct box *b, int dirfd)
{
	own_fd int lock = box_lock_try(dirfd);
	own_fd int guard = -1;

	if (lock < 0 || !box_dir_current(d, b->spec.id, dirfd))
		return lock < 0 ? 0 : -ENOENT;
	/* it may have ended in order between our reading and the lock */
	if (state_read(dirfd, &b->state, NULL) < 0 || !state_claims_holder(&b->state))
		return 0;
	tell_died(d, b);
	if (b->spec.auto_remove) {
		unlink(b->state.socket);
		guard = box_guard(d, LOCK_SH, NULL);
		if (guard >= 0 && box_vanish(d, b->spec.id, NULL) == 0) {
			events_say_box(d, &b->spec, "destroy", NULL);
			box_erase(d, b->spec.id, NULL);
			volumes_release(d, &b->spec, true);
		}
		return -ENOENT;
	}
	unlink(b->state.socket);
	state_set_socket(&b->state, NULL);
	if (b->state.status == BOX_CREATED) {
		b->state.exit_code = BOX_CODE_FAILED;
		state_set_error(&b->state, "the start was cut short: the container's zl process "
					   "was killed");
	} else {
		if (b->state.status != BOX_RESTARTING) {
			b->state.exit_code = BOX_CODE_KILLED;
			b->state.finished_ns = state_now();
		}
		b->state.status = BOX_EXITED;
		state_set_error(&b->state, "the container's zl process was killed");
	}
	if (b->state.health != BOX_HEALTH_NONE)
		b->state.health = BOX_HEALTH_UNHEALTHY;
	b->state.pid = b->state.keeper = 0;
	state_write(dirfd, &b->state, NULL);
	return 0;
}

/* A folder whose files say nothing sensible can still be removed. */
static void dead(struct box *b, const char *id, const struct err *why)
{
	box_spec_free(&b->spec);
	box_spec_init(&b->spec);
	snprintf(b->spec.id, sizeof(b->spec.id), "%s", id);
	b->spec.created_ns = 0;
	strv_add(&b->spec.argv, "");
	b->state.status = BOX_DEAD;
	state_set_error(&b->state, why->msg);
}

static struct box *load(const struct box_dirs *d, const char *id, struct err *e)
{
	own_fd int dirfd = box_dir_open(d, id);
	own_box struct box *b = box_new(d, id);
	struct err why = ERR_INIT;

	if (dirfd == -ENOENT) {
		err_set(e, ENOENT, "No such container: %s", id);
		return NULL;
	}
	if (dirfd < 0) { /* it is there, whatever it is */
		err_set(&why, -dirfd, "open its folder: %s", strerror(-dirfd));
		dead(b, id, &why);
		return steal_ptr(&b);
	}
	if (spec_read(dirfd, &b->spec, &why) < 0 || state_read(dirfd, &b->state, &why) < 0) {
		if (!box_dir_current(d, id, dirfd)) {
			err_set(e, ENOENT, "No such container: %s", id);
			return NULL;
		}
		dead(b, id, &why);
		return steal_ptr(&b);
	}
	if (state_claims_holder(&b->state) && reconcile(d, b, dirfd) < 0) {
		err_set(e, ENOENT, "No such container: %s", id);
		return NULL;
	}
	return steal_ptr(&b);
}

/* The one folder whose id starts with prefix. */
static int find_prefix(const struct box_dirs *d, const char *prefix, char out[BOX_ID_LEN + 1],
		       struct err *e)
{
	own_free char *path = xasprintf("%s/containers", d->root);
	own_dir DIR *dir = opendir(path);
	struct dirent *de;
	bool found = false;

	if (prefix[0] == 0 || prefix[strspn(prefix, "0123456789abcdef")])
		return -ENOENT;
	while (dir && (de = readdir(dir))) {
		if (!str_starts(de->d_name, prefix) || !box_id_full(de->d_name))
			continue;
		if (found)
			return err_set(e, EINVAL, "multiple IDs found with provided prefix: %s",
				       prefix);
		memcpy(out, de->d_name, BOX_ID_LEN + 1);
		found = true;
	}
	return found ? 0 : -ENOENT;
}

struct box *box_find(const struct box_dirs *d, const char *who, struct err *e)
{
	const char *name = who[0] == '/' ? who + 1 : who;
	char id[BOX_ID_LEN + 1];
	struct box *b;
	int rc = 0;

	if (box_id_full(who)) {
		b = load(d, who, e);
		if (b)
			return b;
	}
	if (!name_get(d, name, id))
		rc = find_prefix(d, who, id, e);
	if (rc == 0) {
		b = load(d, id, e);
		if (b || (e && e->code != ENOENT))
			return b;
	}
	if (rc == 0 || rc == -ENOENT)
		err_set(e, ENOENT, "No such container: %s", who);
	return NULL;
}

static int newest_first(const void *pa, const void *pb)
{
	const struct box *a = *(struct box *const *)pa, *b = *(struct box *const *)pb;

	if (a->spec.created_ns != b->spec.created_ns)
		return a->spec.created_ns < b->spec.created_ns ? 1 : -1;
	return strcmp(a->spec.id, b->spec.id);
}

int box_list(const struct box_dirs *d, struct box_list *out, struct err *e)
{
	own_free char *path = xasprintf("%s/containers", d->root);
	own_dir DIR *dir = opendir(path);
	struct dirent *de;
	bool litter = false;
	int rc;

	*out = (struct box_list){ NULL, 0 };
	if (dir == NULL)
		return errno == ENOENT ? 0 : err_sys(e, "open %s", path);
	while ((errno = 0, de = readdir(dir))) {
		struct box *b;

		if (str_starts(de->d_name, ".new-") || str_starts(de->d_name, ".gone-"))
			litter = true;
		if (!box_id_full(de->d_name))
			continue;
		b = load(d, de->d_name, NULL);
		if (b == NULL)
			continue;
		if ((out->n & (out->n - 1)) == 0)
			out->v = xrealloc(out->v, (out->n ? 2 * out->n : 1) * sizeof(*out->v));
		out->v[out->n++] = b;
	}
	if (errno) { /* a list that may lack some is none: the collector goes by it */
		rc = err_sys(e, "read %s", path);
		box_list_free(out);
		return rc;
	}
	if (out->n)
		qsort(out->v, out->n, sizeof(*out->v), newest_first);
	if (litter)
		box_sweep(d);
	return 0;
}

void box_list_free(struct box_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		box_free(l->v[i]);
	free(l->v);
	*l = (struct box_list){ NULL, 0 };
}

/*
 * Kills a holder or a keeper by its number, which state.json has: if it died without a word, the
 * number may be another process's by now.
 */
static void kill_named(int pid, const char *name)
{
	own_fd int fd = pid > 1 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
	own_free char *path = xasprintf("/proc/%d/comm", pid);
	own_free char *want = xasprintf("%s\n", name);
	own_str struct str comm = STR_INIT;

	/* the pidfd came first: if this is the name of its process, it stays that process */
	if (fd >= 0 && file_read(AT_FDCWD, path, BOX_COMM_MAX, &comm, NULL) == 0 &&
	    strcmp(comm.s, want) == 0)
		syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0);
}

/* Ends a running container at once, whatever state it is in. */
static void force_end(const struct box_dirs *d, struct box *b)
{
	struct err e = ERR_INIT;

	if (box_stop(d, b, SIGKILL, 0, &e) == 0 || e.code == ESRCH)
		return;
	/* its socket is lost: the processes themselves; the VM dies with the holder */
	kill_named(b->state.keeper, BOX_KEEPER_COMM);
	kill_named(b->state.pid, BOX_HOLDER_COMM);
}

int box_remove(const struct box_dirs *d, struct box *b, bool force, struct err *e)
{
	const char *id = b->spec.id;
	own_fd int dirfd = box_dir_open(d, id);
	own_fd int guard = -1;
	own_fd int lock = steal_fd(&b->lock);
	int rc;

	if (dirfd == -ENOENT)
		return err_set(e, ENOENT, "No such container: %s", id);
	if (dirfd < 0)
		return err_set(e, -dirfd, "open %s: %s", b->dir, strerror(-dirfd));
	if (lock < 0)
		lock = box_lock_try(dirfd);
	if (lock == -EAGAIN && state_read(dirfd, &b->state, NULL) == 0 &&
	    state_claims_holder(&b->state)) {
		if (!force)
			return err_set(e, EBUSY,
				       "cannot remove container \"/%s\": container is %s%s",
				       b->spec.name, box_status_name(b->state.status),
				       b->state.status == BOX_PAUSED
					       ? " and must be unpaused first"
					       : ": stop the container before removing or "
						 "force remove");
		force_end(d, b);
	}
	if (lock == -EAGAIN)
		lock = box_lock_wait(dirfd);
	if (!box_dir_current(d, id, dirfd))
		return 0; /* auto_remove came first */
	if (lock < 0)
		return err_set(e, -lock, "lock container %s: %s", id, strerror(-lock));
	guard = box_guard(d, LOCK_SH, e);
	if (guard < 0)
		return guard;
	rc = box_vanish(d, id, e);
	if (rc < 0)
		return rc;
	events_say_box(d, &b->spec, "destroy", NULL);
	rc = box_erase(d, id, e);
	volumes_release(d, &b->spec, b->spec.auto_remove);
	return rc;
}

/* Follows it to its end. 0: *exit_code is set; -EAGAIN: look at its state again. */
static int follow(const struct box_dirs *d, struct box *b, int *exit_code, struct err *e)
{
	struct box_client *c = box_connect(d, b, NULL);
	own_fd int dirfd = -1, lock = -1;
	struct box_event ev;
	int rc;

	if (c) {
		do {
			rc = box_client_next(c, &ev, e);
		} while (rc == 0 && ev.kind == BOX_EV_STARTED);
		box_client_free(c);
		if (rc < 0 || ev.kind == BOX_EV_GONE)
			return rc < 0 ? rc : -EAGAIN;
		*exit_code = ev.code;
		return 0;
	}
	/* it ends just now, or its socket is lost: the lock tells when it has ended */
	dirfd = box_dir_open(d, b->spec.id);
	lock = dirfd < 0 ? -1 : openat(dirfd, BOX_LOCK_FILE, O_RDWR | O_CLOEXEC);
	if (lock >= 0)
		fd_lock(lock, LOCK_SH);
	return -EAGAIN;
}

int box_wait(const struct box_dirs *d, struct box *b, int *exit_code, struct err *e)
{
	int rc;

	do {
		own_box struct box *now = load(d, b->spec.id, NULL);

		if (now == NULL)
			return err_set(e, ENOENT, "No such container: %s", b->spec.id);
		if (!state_claims_holder(&now->state)) {
			*exit_code = now->state.exit_code;
			return 0;
		}
		rc = follow(d, now, exit_code, e);
	} while (rc == -EAGAIN);
	return rc;
}
