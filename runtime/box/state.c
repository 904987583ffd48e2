/* state.c: what became of a container: state.json, its lock, its vanishing; see state.h. */
#include "runtime/box/state.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "runtime/base/fd.h"
#include "runtime/base/json.h"
#include "runtime/base/own.h"

static const char *const status_names[] = {
	[BOX_CREATED] = "created",	 [BOX_RUNNING] = "running", [BOX_PAUSED] = "paused",
	[BOX_RESTARTING] = "restarting", [BOX_EXITED] = "exited",   [BOX_DEAD] = "dead",
};

static const char *const health_names[] = {
	[BOX_HEALTH_NONE] = "none",
	[BOX_HEALTH_STARTING] = "starting",
	[BOX_HEALTH_HEALTHY] = "healthy",
	[BOX_HEALTH_UNHEALTHY] = "unhealthy",
};

const char *box_status_name(enum box_status s)
{
	return status_names[s];
}

const char *box_health_name(enum box_health_status s)
{
	return health_names[s];
}

bool box_is_running(const struct box *b)
{
	return b->state.status == BOX_RUNNING || b->state.status == BOX_PAUSED ||
	       b->state.status == BOX_RESTARTING;
}

bool box_id_full(const char *s)
{
	return strlen(s) == BOX_ID_LEN && strspn(s, "0123456789abcdef") == BOX_ID_LEN;
}

char *box_path(const struct box_dirs *d, const char *id)
{
	return xasprintf("%s/containers/%s", d->root, id);
}

char *box_sock_path(const struct box_dirs *d, const char *id)
{
	return xasprintf("%s/%s.sock", d->runtime, id);
}

int box_dir_open(const struct box_dirs *d, const char *id)
{
	own_free char *path = box_path(d, id);
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

bool box_dir_current(const struct box_dirs *d, const char *id, int dirfd)
{
	own_free char *path = box_path(d, id);
	struct stat a, b;

	return fstat(dirfd, &a) == 0 && stat(path, &b) == 0 && a.st_ino == b.st_ino &&
	       a.st_dev == b.st_dev;
}

int box_lock_try(int dirfd)
{
	own_fd int fd =
		openat(dirfd, BOX_LOCK_FILE, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	int rc;

	if (fd < 0)
		return -errno;
	rc = fd_lock(fd, LOCK_EX | LOCK_NB);
	return rc < 0 ? rc : steal_fd(&fd);
}

int box_lock_wait(int dirfd)
{
	/* flock knows no time limit, and who has the lock may be busy: ask again, ever less often
	 */
	long pause_ms = 1;

	for (long waited = 0;; waited += pause_ms) {
		int fd = box_lock_try(dirfd);

		if (fd != -EAGAIN || waited > BOX_LOCK_WAIT_MS)
			return fd;
		if (waited > 10 * pause_ms && pause_ms < 50)
			pause_ms *= 2;
		nanosleep(&(struct timespec){ .tv_nsec = pause_ms * 1000000 }, NULL);
	}
}

int64_t state_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

void state_set_error(struct box_state *s, const char *text)
{
	free(s->error);
	s->error = xstrdup(text ? text : "");
}

void state_drop_ports(struct box_state *s)
{
	free(s->ports);
	s->ports = NULL;
	s->nports = 0;
}

void state_set_socket(struct box_state *s, const char *path)
{
	free(s->socket);
	s->socket = xstrdup(path ? path : "");
	if (path == NULL) /* without a holder nothing is published */
		state_drop_ports(s);
}

void state_free(struct box_state *s)
{
	free(s->error);
	free(s->socket);
	s->error = s->socket = NULL;
	state_drop_ports(s);
}

bool state_claims_holder(const struct box_state *s)
{
	return s->status == BOX_RUNNING || s->status == BOX_PAUSED || s->status == BOX_RESTARTING ||
	       (s->status == BOX_CREATED && s->pid != 0);
}

int spec_write(int dirfd, const struct box_spec *s, struct err *e)
{
	own_js struct js *j = box_spec_to_json(s);
	own_free char *text = js_dump(j, 1);

	return file_write_atomic(dirfd, BOX_SPEC_FILE, text, strlen(text), 0600, false, e);
}

static void swap_text(char **a, char **b)
{
	char *t = *a;

	*a = *b;
	*b = t;
}

void spec_take_changes(struct box_spec *s, struct box_spec *now)
{
	struct box_limits before = s->limits;

	swap_text(&s->name, &now->name);
	swap_text(&s->restart, &now->restart);
	s->restart_max = now->restart_max;
	s->limits = now->limits;
	now->limits = before;
}

void spec_refresh(int dirfd, struct box_spec *s)
{
	struct box_spec now;

	if (spec_read(dirfd, &now, NULL) < 0)
		return;
	spec_take_changes(s, &now);
	box_spec_free(&now);
}

int spec_read(int dirfd, struct box_spec *s, struct err *e)
{
	own_js struct js *j = js_read(dirfd, BOX_SPEC_FILE, BOX_JSON_MAX, e);

	return j ? box_spec_from_json(s, j, e) : -EIO;
}

/* What is not there is 0 or "": reading is most of the time of a `ps`. */
static void set_number(struct js *j, const char *key, int64_t v)
{
	if (v)
		js_set_int(j, key, v);
}

static struct js *ports_to_json(const struct box_state *s)
{
	struct js *ports = js_array();

	for (unsigned i = 0; i < s->nports; i++) {
		struct js *j = js_object();

		js_set_text(j, "ip", s->ports[i].ip);
		js_set_int(j, "host_port", s->ports[i].host_port);
		js_set_int(j, "port", s->ports[i].port);
		js_set_bool(j, "udp", s->ports[i].udp);
		js_push(ports, j);
	}
	return ports;
}

int state_write(int dirfd, const struct box_state *s, struct err *e)
{
	own_js struct js *j = js_object();
	own_free char *text = NULL;

	js_set_text(j, "status", status_names[s->status]);
	set_number(j, "exit_code", s->exit_code);
	set_number(j, "started_ns", s->started_ns);
	set_number(j, "finished_ns", s->finished_ns);
	set_number(j, "pid", s->pid);
	set_number(j, "keeper", s->keeper);
	set_number(j, "restart_count", s->restart_count);
	if (s->oom_killed)
		js_set_bool(j, "oom_killed", true);
	if (s->stopped)
		js_set_bool(j, "stopped", true);
	if (s->health != BOX_HEALTH_NONE)
		js_set_text(j, "health", health_names[s->health]);
	if (s->error && s->error[0])
		js_set_text(j, "error", s->error);
	if (s->socket && s->socket[0])
		js_set_text(j, "socket", s->socket);
	if (s->nports)
		js_set(j, "ports", ports_to_json(s));
	text = js_dump(j, 0);
	return file_write_atomic(dirfd, BOX_STATE_FILE, text, strlen(text), 0600, false, e);
}

/* The word's place among the names, or -1. */
static int place_of(const char *word, const char *const *names, int n)
{
	for (int i = 0; word && i < n; i++) {
		if (strcmp(word, names[i]) == 0)
			return i;
	}
	return -1;
}

static int64_t int_of(const struct js *j, const char *key, int64_t min, int64_t max)
{
	int64_t v;

	return js_int(js_get(j, key), &v) && v >= min && v <= max ? v : 0;
}

static void get_ports(struct box_state *s, const struct js *ports)
{
	size_t n = js_len(ports);

	state_drop_ports(s);
	s->ports = n ? xcalloc(n, sizeof(*s->ports)) : NULL;
	for (; s->nports < n; s->nports++) {
		const struct js *j = js_at(ports, s->nports);
		struct box_port_bound *p = &s->ports[s->nports];
		const char *ip = js_text(js_get(j, "ip"));

		snprintf(p->ip, sizeof(p->ip), "%s", ip ? ip : "");
		p->host_port = (uint16_t)int_of(j, "host_port", 0, UINT16_MAX);
		p->port = (uint16_t)int_of(j, "port", 0, UINT16_MAX);
		p->udp = js_true(js_get(j, "udp"));
	}
}

int state_read(int dirfd, struct box_state *s, struct err *e)
{
	own_js struct js *j = js_read(dirfd, BOX_STATE_FILE, BOX_JSON_MAX, e);
	int found = place_of(js_text(js_get(j, "status")), status_names, BOX_DEAD + 1);
	int health = place_of(js_text(js_get(j, "health")), health_names, BOX_HEALTH_UNHEALTHY + 1);

	if (j == NULL)
		return e && e->code ? -e->code : -EIO;
	if (found < 0)
		return err_set(e, EINVAL, "%s: no status", BOX_STATE_FILE);
	s->status = (enum box_status)found;
	s->exit_code = (int)int_of(j, "exit_code", 0, 255);
	s->oom_killed = js_true(js_get(j, "oom_killed"));
	s->stopped = js_true(js_get(j, "stopped"));
	s->health = health < 0 ? BOX_HEALTH_NONE : (enum box_health_status)health;
	state_set_error(s, js_text(js_get(j, "error")));
	state_set_socket(s, js_text(js_get(j, "socket")));
	s->started_ns = int_of(j, "started_ns", 0, INT64_MAX);
	s->finished_ns = int_of(j, "finished_ns", 0, INT64_MAX);
	s->pid = (int)int_of(j, "pid", 0, INT32_MAX);
	s->keeper = (int)int_of(j, "keeper", 0, INT32_MAX);
	s->restart_count = (unsigned)int_of(j, "restart_count", 0, UINT32_MAX);
	get_ports(s, js_get(j, "ports"));
	return 0;
}

int box_guard(const struct box_dirs *d, int how, struct err *e)
{
	own_free char *path = xasprintf("%s/containers/.lock", d->root);
	own_fd int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	int rc;

	if (fd < 0)
		return err_sys(e, "open %s", path);
	rc = fd_lock(fd, how);
	return rc < 0 ? rc : steal_fd(&fd);
}

int box_vanish(const struct box_dirs *d, const char *id, struct err *e)
{
	own_free char *path = box_path(d, id), *sock = box_sock_path(d, id);
	own_free char *gone = xasprintf("%s/containers/.gone-%s", d->root, id);
	own_fd int dirfd = box_dir_open(d, id);
	struct box_spec spec;

	if (rename(path, gone) < 0 && errno != ENOENT)
		return err_sys(e, "remove container %s", id);
	/* the name it has now: a rename that is under way ends first, none begins any more */
	if (dirfd >= 0 && fd_lock(dirfd, LOCK_EX) == 0 && spec_read(dirfd, &spec, NULL) == 0) {
		name_drop(d, spec.name, id);
		box_spec_free(&spec);
	}
	unlink(sock);
	return 0;
}

int box_erase(const struct box_dirs *d, const char *id, struct err *e)
{
	own_free char *gone = xasprintf("%s/containers/.gone-%s", d->root, id);

	return dir_remove_all(AT_FDCWD, gone, e);
}

void box_sweep(const struct box_dirs *d)
{
	own_free char *path = xasprintf("%s/containers", d->root);
	own_fd int guard = box_guard(d, LOCK_EX | LOCK_NB, NULL);
	own_dir DIR *dir = guard < 0 ? NULL : opendir(path);
	struct dirent *de;

	while (dir && (de = readdir(dir))) {
		if (str_starts(de->d_name, ".new-") || str_starts(de->d_name, ".gone-"))
			dir_remove_all(dirfd(dir), de->d_name, NULL);
	}
}
