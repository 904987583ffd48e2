/* codec.c: frames <-> structures of wire.h; see codec.h. */
#include "vsock/codec.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/cursor.h"

/*
 * Writers append to a struct str and cannot fail. Readers go through a
 * cursor and are strict: a payload must be used up to its last byte, unknown
 * flags, counts that cannot fit in what is left, and values out of range are
 * refused. A reader that fails frees what it had built.
 */

/* Least bytes an item takes on the wire; bounds a list's count by what is left. */
#define STRING_MIN 4
#define MOUNT_MIN  (2 + 3 * STRING_MIN)
#define FILE_MIN   (4 + 2 * STRING_MIN)
#define LINK_MIN   (3 * STRING_MIN)

#define SIGNAL_MAX 64
/* The largest errno there can be: MAX_ERRNO of Linux. */
#define ERRNO_MAX 4095
/* Of struct wire_process. */
#define PROCESS_NUMBERS 13

#define TASK_FLAGS                                                                 \
	(WIRE_TASK_TTY | WIRE_TASK_STDIN | WIRE_TASK_INIT | WIRE_TASK_PRIVILEGED | \
	 WIRE_TASK_NO_STDOUT | WIRE_TASK_NO_STDERR | WIRE_TASK_NO_NEW_PRIVS | WIRE_TASK_UNPACK)
#define BOOT_FLAGS                                                                 \
	(WIRE_BOOT_ROOT_READ_ONLY | WIRE_BOOT_SYNC_ROOT | WIRE_BOOT_SYSTEM_PATHS | \
	 WIRE_BOOT_CGROUP_WRITE | WIRE_BOOT_NO_SHM | WIRE_BOOT_FORWARD)

/* ---- writing */

static void put_u8(struct str *o, uint8_t v)
{
	str_add_mem(o, &v, sizeof(v));
}

static void put_u16(struct str *o, uint16_t v)
{
	str_add_mem(o, &v, sizeof(v));
}

static void put_u32(struct str *o, uint32_t v)
{
	str_add_mem(o, &v, sizeof(v));
}

static void put_u64(struct str *o, uint64_t v)
{
	str_add_mem(o, &v, sizeof(v));
}

static void put_string(struct str *o, const char *s)
{
	size_t n = s ? strlen(s) : 0;

	put_u32(o, (uint32_t)n);
	str_add_mem(o, s, n);
}

static void put_strings(struct str *o, const struct strv *v)
{
	put_u32(o, (uint32_t)v->n);
	for (size_t i = 0; i < v->n; i++)
		put_string(o, v->v[i]);
}

/* Writes a header; the length is set by frame_end, which is given what this returned. */
static size_t frame_begin(struct str *o, enum wire_type type)
{
	size_t at = o->len;

	put_u32(o, 0);
	put_u16(o, (uint16_t)type);
	put_u16(o, 0);
	return at;
}

static void frame_end(struct str *o, size_t at)
{
	uint32_t n = (uint32_t)(o->len - at - WIRE_HEADER_SIZE);

	memcpy(o->s + at, &n, sizeof(n));
}

void wire_put_hello(struct str *out, const struct wire_hello *m)
{
	size_t at = frame_begin(out, WIRE_HELLO);

	put_u32(out, m->version);
	put_u64(out, m->boot_ns);
	put_u64(out, m->mem_total);
	put_u64(out, m->mem_free);
	frame_end(out, at);
}

void wire_put_open(struct str *out, const struct wire_open *m)
{
	size_t at = frame_begin(out, WIRE_STREAM);

	put_u32(out, m->task);
	put_u8(out, m->which);
	frame_end(out, at);
}

void wire_put_started(struct str *out, const struct wire_started *m)
{
	size_t at = frame_begin(out, WIRE_STARTED);

	put_u32(out, m->task);
	put_u32(out, m->pid);
	frame_end(out, at);
}

void wire_put_ending(struct str *out, const struct wire_ending *m)
{
	size_t at = frame_begin(out, WIRE_ENDING);

	put_u32(out, m->task);
	frame_end(out, at);
}

void wire_put_oom(struct str *out, const struct wire_oom *m)
{
	size_t at = frame_begin(out, WIRE_OOM);

	put_u64(out, m->kills);
	frame_end(out, at);
}

void wire_put_failed(struct str *out, const struct wire_failed *m)
{
	size_t at = frame_begin(out, WIRE_FAILED);

	put_u32(out, m->task);
	put_u8(out, m->exit_code);
	put_string(out, m->message);
	frame_end(out, at);
}

void wire_put_exited(struct str *out, const struct wire_exited *m)
{
	size_t at = frame_begin(out, WIRE_EXITED);

	put_u32(out, m->task);
	put_u8(out, m->code);
	put_u8(out, m->signal);
	put_u8(out, m->oom);
	frame_end(out, at);
}

void wire_put_memory(struct str *out, const struct wire_memory *m)
{
	size_t at = frame_begin(out, WIRE_MEMORY);

	put_u64(out, m->bytes);
	frame_end(out, at);
}

static void put_task(struct str *out, const struct wire_task *t)
{
	put_u32(out, t->id);
	put_u32(out, t->flags);
	put_u16(out, t->rows);
	put_u16(out, t->cols);
	put_u64(out, t->caps);
	put_strings(out, &t->argv);
	put_strings(out, &t->env);
	put_string(out, t->cwd);
	put_string(out, t->user);
	put_strings(out, &t->groups);
}

static void put_limits(struct str *out, const struct wire_limits *l)
{
	put_u64(out, l->memory_max);
	put_u64(out, l->memory_low);
	put_u64(out, l->pids_max);
	put_u64(out, l->cpu_quota);
	put_u32(out, l->cpu_period);
	put_u32(out, l->cpu_weight);
}

void wire_put_boot(struct str *out, const struct wire_boot *m)
{
	size_t at = frame_begin(out, WIRE_BOOT);

	put_u32(out, m->flags);
	put_u64(out, m->realtime_ns);
	put_u64(out, m->shm_size);
	put_limits(out, &m->limits);
	put_u32(out, (uint32_t)m->oom_score_adj);
	put_u64(out, m->memory_room);
	put_string(out, m->hostname);
	put_string(out, m->domainname);
	put_u32(out, m->nmounts);
	for (uint32_t i = 0; i < m->nmounts; i++) {
		put_u8(out, m->mounts[i].kind);
		put_u8(out, m->mounts[i].read_only);
		put_string(out, m->mounts[i].source);
		put_string(out, m->mounts[i].target);
		put_string(out, m->mounts[i].options);
	}
	put_u32(out, m->nfiles);
	for (uint32_t i = 0; i < m->nfiles; i++) {
		put_string(out, m->files[i].path);
		put_u32(out, m->files[i].mode);
		put_string(out, m->files[i].data);
	}
	put_u32(out, m->nlinks);
	for (uint32_t i = 0; i < m->nlinks; i++) {
		put_string(out, m->links[i].name);
		put_strings(out, &m->links[i].addresses);
		put_strings(out, &m->links[i].gateways);
	}
	put_strings(out, &m->sysctls);
	put_strings(out, &m->rlimits);
	put_strings(out, &m->devices);
	put_task(out, &m->task);
	frame_end(out, at);
}

void wire_put_exec(struct str *out, const struct wire_task *m)
{
	size_t at = frame_begin(out, WIRE_EXEC);

	put_task(out, m);
	frame_end(out, at);
}

void wire_put_signal(struct str *out, const struct wire_signal *m)
{
	size_t at = frame_begin(out, WIRE_SIGNAL);

	put_u32(out, m->task);
	put_u32(out, m->signal);
	frame_end(out, at);
}

void wire_put_resize(struct str *out, const struct wire_resize *m)
{
	size_t at = frame_begin(out, WIRE_RESIZE);

	put_u32(out, m->task);
	put_u16(out, m->rows);
	put_u16(out, m->cols);
	frame_end(out, at);
}

void wire_put_limits(struct str *out, const struct wire_limits *m)
{
	size_t at = frame_begin(out, WIRE_LIMITS);

	put_limits(out, m);
	frame_end(out, at);
}

void wire_put_time(struct str *out, const struct wire_time *m)
{
	size_t at = frame_begin(out, WIRE_TIME);

	put_u64(out, m->realtime_ns);
	frame_end(out, at);
}

void wire_put_forward(struct str *out, const struct wire_forward *m)
{
	size_t at = frame_begin(out, WIRE_FORWARD);

	put_u8(out, m->proto);
	put_u16(out, m->port);
	put_u32(out, m->patience_ms);
	frame_end(out, at);
}

void wire_put_query(struct str *out, const struct wire_query *m)
{
	size_t at = frame_begin(out, WIRE_QUERY);

	put_u32(out, m->id);
	put_u8(out, m->processes);
	frame_end(out, at);
}

void wire_put_process(struct str *out, const struct wire_process *m)
{
	const uint32_t v[PROCESS_NUMBERS] = { m->query,	  m->pid,  m->ppid,    m->pgid, m->sid,
					      m->ruid,	  m->uid,  m->rgid,    m->gid,	m->tty,
					      m->threads, m->nice, m->priority };
	size_t at = frame_begin(out, WIRE_PROCESS);

	for (size_t i = 0; i < PROCESS_NUMBERS; i++)
		put_u32(out, v[i]);
	put_u8(out, m->state);
	put_u8(out, m->foreground);
	put_u64(out, m->cpu_ms);
	put_u64(out, m->age_ms);
	put_u64(out, m->virtual_size);
	put_u64(out, m->resident_size);
	put_string(out, m->name);
	put_string(out, m->command);
	frame_end(out, at);
}

void wire_put_stats(struct str *out, const struct wire_stats *m)
{
	size_t at = frame_begin(out, WIRE_STATS);

	put_u32(out, m->query);
	put_u32(out, m->pids);
	put_u64(out, m->clock_ns);
	put_u64(out, m->cpu_ns);
	put_u64(out, m->memory);
	put_u64(out, m->memory_cache);
	put_u64(out, m->memory_max);
	put_u64(out, m->net_rx);
	put_u64(out, m->net_tx);
	frame_end(out, at);
}

void wire_put_sync(struct str *out, const struct wire_sync *m)
{
	size_t at = frame_begin(out, WIRE_SYNC);

	put_u32(out, m->request);
	frame_end(out, at);
}

void wire_put_synced(struct str *out, const struct wire_synced *m)
{
	size_t at = frame_begin(out, WIRE_SYNCED);

	put_u32(out, m->request);
	put_u32(out, m->error);
	frame_end(out, at);
}

/* ---- reading */

static bool get_string(struct cur *c, char **out)
{
	const void *p;
	uint32_t n;

	if (!cur_u32(c, &n) || !cur_bytes(c, n, &p))
		return false;
	if (n && memchr(p, 0, n))
		return false;
	*out = xmalloc((size_t)n + 1);
	if (n)
		memcpy(*out, p, n);
	(*out)[n] = 0;
	return true;
}

static bool get_count(struct cur *c, size_t item_min, uint32_t *n)
{
	return cur_u32(c, n) && *n <= cur_left(c) / item_min;
}

static bool get_strings(struct cur *c, struct strv *v)
{
	uint32_t n;

	if (!get_count(c, STRING_MIN, &n))
		return false;
	for (uint32_t i = 0; i < n; i++) {
		char *s;

		if (!get_string(c, &s))
			return false;
		strv_take(v, s);
	}
	return true;
}

/* Turns "all was read" into a reader's result. */
static int done(const struct cur *c, bool ok)
{
	return ok && cur_left(c) == 0 ? 0 : -EPROTO;
}

int wire_get_hello(const void *p, size_t n, struct wire_hello *m)
{
	struct cur c = cur_of(p, n);

	memset(m, 0, sizeof(*m));
	return done(&c, cur_u32(&c, &m->version) && cur_u64(&c, &m->boot_ns) &&
				cur_u64(&c, &m->mem_total) && cur_u64(&c, &m->mem_free));
}

int wire_get_open(const void *p, size_t n, struct wire_open *m)
{
	struct cur c = cur_of(p, n);

	memset(m, 0, sizeof(*m));
	return done(&c, cur_u32(&c, &m->task) && cur_u8(&c, &m->which) &&
				m->task >= WIRE_TASK_MAIN && m->which <= WIRE_TTY);
}

int wire_get_started(const void *p, size_t n, struct wire_started *m)
{
	struct cur c = cur_of(p, n);

	memset(m, 0, sizeof(*m));
	return done(&c, cur_u32(&c, &m->task) && cur_u32(&c, &m->pid));
}

int wire_get_ending(const void *p, size_t n, struct wire_ending *m)
{
	struct cur c = cur_of(p, n);

	memset(m, 0, sizeof(*m));
	return done(&c, cur_u32(&c, &m->task));
}

int wire_get_oom(const void *p, size_t n, struct wire_oom *m)
{
	struct cur c = cur_of(p, n);

	memset(m, 0, sizeof(*m));
	return done(&c, cur_u64(&c, &m->kills));
}

int wire_get_failed(const void *p, size_t n, struct wire_failed *m)
{
	struct cur c = cur_of(p, n);
	int rc;

	memset(m, 0, sizeof(*m));
	rc = done(&c, cur_u32(&c, &m->task) && cur_u8(&c, &m->exit_code) &&
			      get_string(&c, &m->message));
	if (rc < 0)
		wire_failed_free(m);
	return rc;
}

int wire_get_exited(const void *p, size_t n, struct wire_exited *m)
{
	struct cur c = cur_of(p, n);

	memset(m, 0, sizeof(*m));
	return done(&c, cur_u32(&c, &m->task) && cur_u8(&c, &m->code) && cur_u8(&c, &m->signal) &&
				cur_u8(&c, &m->oom) && m->signal <= SIGNAL_MAX && m->oom <= 1);
}

int wire_get_memory(const void *p, size_t n, struct wire_memory *m)
{
	struct cur c = cur_of(p, n);

	memset(m, 0, sizeof(*m));
	return done(&c, cur_u64(&c, &m->bytes));
}

static bool get_task(struct cur *c, struct wire_task *t)
{
	return cur_u32(c, &t->id) && cur_u32(c, &t->flags) && (t->flags & ~TASK_FLAGS) == 0 &&
	       cur_u16(c, &t->rows) && cur_u16(c, &t->cols) && cur_u64(c, &t->caps) &&
	       get_strings(c, &t->argv) && t->argv.n > 0 && get_strings(c, &t->env) &&
	       get_string(c, &t->cwd) && get_string(c, &t->user) && get_strings(c, &t->groups);
}

static bool get_mount(struct cur *c, struct wire_mount *m)
{
	return cur_u8(c, &m->kind) && m->kind <= WIRE_MOUNT_TMPFS && cur_u8(c, &m->read_only) &&
	       m->read_only <= 1 && get_string(c, &m->source) && get_string(c, &m->target) &&
	       get_string(c, &m->options);
}

static bool get_mounts(struct cur *c, struct wire_boot *m)
{
	uint32_t n;

	if (!get_count(c, MOUNT_MIN, &n))
		return false;
	m->mounts = xcalloc(n, sizeof(*m->mounts));
	for (; m->nmounts < n; m->nmounts++)
		if (!get_mount(c, &m->mounts[m->nmounts])) {
			m->nmounts++; /* what it has is freed with the others */
			return false;
		}
	return true;
}

static bool get_file(struct cur *c, struct wire_file *f)
{
	return get_string(c, &f->path) && cur_u32(c, &f->mode) && f->mode <= 07777 &&
	       get_string(c, &f->data);
}

static bool get_files(struct cur *c, struct wire_boot *m)
{
	uint32_t n;

	if (!get_count(c, FILE_MIN, &n))
		return false;
	m->files = xcalloc(n, sizeof(*m->files));
	for (; m->nfiles < n; m->nfiles++)
		if (!get_file(c, &m->files[m->nfiles])) {
			m->nfiles++;
			return false;
		}
	return true;
}

static bool get_limits(struct cur *c, struct wire_limits *l)
{
	return cur_u64(c, &l->memory_max) && cur_u64(c, &l->memory_low) &&
	       cur_u64(c, &l->pids_max) && cur_u64(c, &l->cpu_quota) &&
	       cur_u32(c, &l->cpu_period) && cur_u32(c, &l->cpu_weight) &&
	       (l->cpu_quota == 0 || l->cpu_period >= WIRE_CPU_PERIOD_MIN) &&
	       l->cpu_period <= WIRE_CPU_PERIOD_MAX && l->cpu_weight <= WIRE_CPU_WEIGHT_MAX;
}

static bool get_oom_score(struct cur *c, int32_t *out)
{
	uint32_t v;

	if (!cur_u32(c, &v))
		return false;
	*out = (int32_t)v;
	return *out >= -WIRE_OOM_SCORE_MAX && *out <= WIRE_OOM_SCORE_MAX;
}

static bool get_links(struct cur *c, struct wire_boot *m)
{
	uint32_t n;

	if (!get_count(c, LINK_MIN, &n))
		return false;
	m->links = xcalloc(n, sizeof(*m->links));
	for (; m->nlinks < n; m->nlinks++) {
		struct wire_link *l = &m->links[m->nlinks];

		if (!get_string(c, &l->name) || !get_strings(c, &l->addresses) ||
		    !get_strings(c, &l->gateways)) {
			m->nlinks++; /* what there is of it is to be freed, too */
			return false;
		}
	}
	return true;
}

int wire_get_boot(const void *p, size_t n, struct wire_boot *m)
{
	struct cur c = cur_of(p, n);
	int rc;

	memset(m, 0, sizeof(*m));
	rc = done(&c, cur_u32(&c, &m->flags) && (m->flags & ~BOOT_FLAGS) == 0 &&
			      cur_u64(&c, &m->realtime_ns) && cur_u64(&c, &m->shm_size) &&
			      get_limits(&c, &m->limits) && get_oom_score(&c, &m->oom_score_adj) &&
			      cur_u64(&c, &m->memory_room) && get_string(&c, &m->hostname) &&
			      get_string(&c, &m->domainname) && get_mounts(&c, m) &&
			      get_files(&c, m) && get_links(&c, m) &&
			      get_strings(&c, &m->sysctls) && get_strings(&c, &m->rlimits) &&
			      get_strings(&c, &m->devices) && get_task(&c, &m->task) &&
			      m->task.id == WIRE_TASK_MAIN && !(m->task.flags & WIRE_TASK_UNPACK));
	if (rc < 0)
		wire_boot_free(m);
	return rc;
}

int wire_get_exec(const void *p, size_t n, struct wire_task *m)
{
	struct cur c = cur_of(p, n);
	int rc;

	memset(m, 0, sizeof(*m));
	rc = done(&c, get_task(&c, m) && m->id > WIRE_TASK_MAIN && !(m->flags & WIRE_TASK_INIT));
	if (rc < 0)
		wire_task_free(m);
	return rc;
}

int wire_get_signal(const void *p, size_t n, struct wire_signal *m)
{
	struct cur c = cur_of(p, n);

	memset(m, 0, sizeof(*m));
	return done(&c, cur_u32(&c, &m->task) && cur_u32(&c, &m->signal) && m->signal >= 1 &&
				m->signal <= SIGNAL_MAX);
}

int wire_get_resize(const void *p, size_t n, struct wire_resize *m)
{
	struct cur c = cur_of(p, n);

	memset(m, 0, sizeof(*m));
	return done(&c, cur_u32(&c, &m->task) && cur_u16(&c, &m->rows) && cur_u16(&c, &m->cols));
}

int wire_get_limits(const void *p, size_t n, struct wire_limits *m)
{
	struct cur c = cur_of(p, n);

	memset(m, 0, sizeof(*m));
	return done(&c, get_limits(&c, m));
}

int wire_get_time(const void *p, size_t n, struct wire_time *m)
{
	struct cur c = cur_of(p, n);

	memset(m, 0, sizeof(*m));
	return done(&c, cur_u64(&c, &m->realtime_ns));
}

int wire_get_query(const void *p, size_t n, struct wire_query *m)
{
	struct cur c = cur_of(p, n);

	memset(m, 0, sizeof(*m));
	return done(&c, cur_u32(&c, &m->id) && cur_u8(&c, &m->processes) && m->processes <= 1);
}

static bool get_process(struct cur *c, struct wire_process *m)
{
	uint32_t *const v[PROCESS_NUMBERS] = { &m->query,   &m->pid,  &m->ppid,	   &m->pgid,
					       &m->sid,	    &m->ruid, &m->uid,	   &m->rgid,
					       &m->gid,	    &m->tty,  &m->threads, &m->nice,
					       &m->priority };

	for (size_t i = 0; i < PROCESS_NUMBERS; i++)
		if (!cur_u32(c, v[i]))
			return false;
	return cur_u8(c, &m->state) && m->state >= 'A' && m->state <= 'z' &&
	       cur_u8(c, &m->foreground) && m->foreground <= 1 && cur_u64(c, &m->cpu_ms) &&
	       cur_u64(c, &m->age_ms) && cur_u64(c, &m->virtual_size) &&
	       cur_u64(c, &m->resident_size) && get_string(c, &m->name) &&
	       get_string(c, &m->command);
}

int wire_get_process(const void *p, size_t n, struct wire_process *m)
{
	struct cur c = cur_of(p, n);
	int rc;

	memset(m, 0, sizeof(*m));
	rc = done(&c, get_process(&c, m));
	if (rc < 0)
		wire_process_free(m);
	return rc;
}

int wire_get_stats(const void *p, size_t n, struct wire_stats *m)
{
	struct cur c = cur_of(p, n);

	memset(m, 0, sizeof(*m));
	return done(&c, cur_u32(&c, &m->query) && cur_u32(&c, &m->pids) &&
				cur_u64(&c, &m->clock_ns) && cur_u64(&c, &m->cpu_ns) &&
				cur_u64(&c, &m->memory) && cur_u64(&c, &m->memory_cache) &&
				cur_u64(&c, &m->memory_max) && cur_u64(&c, &m->net_rx) &&
				cur_u64(&c, &m->net_tx));
}

int wire_get_sync(const void *p, size_t n, struct wire_sync *m)
{
	struct cur c = cur_of(p, n);

	memset(m, 0, sizeof(*m));
	return done(&c, cur_u32(&c, &m->request));
}

int wire_get_synced(const void *p, size_t n, struct wire_synced *m)
{
	struct cur c = cur_of(p, n);

	memset(m, 0, sizeof(*m));
	return done(&c,
		    cur_u32(&c, &m->request) && cur_u32(&c, &m->error) && m->error <= ERRNO_MAX);
}

int wire_get_forward(const void *p, size_t n, struct wire_forward *m)
{
	struct cur c = cur_of(p, n);

	memset(m, 0, sizeof(*m));
	return done(&c, cur_u8(&c, &m->proto) && cur_u16(&c, &m->port) &&
				cur_u32(&c, &m->patience_ms) && m->proto <= WIRE_FORWARD_UDP &&
				m->port != 0);
}

int wire_frame_next(const void *buf, size_t n, struct wire_frame *f)
{
	struct cur c = cur_of(buf, n);
	uint16_t zero;
	uint32_t len;

	memset(f, 0, sizeof(*f));
	if (!cur_u32(&c, &len) || !cur_u16(&c, &f->type) || !cur_u16(&c, &zero))
		return 0;
	if (len > WIRE_FRAME_MAX || zero != 0)
		return -EPROTO;
	if (!cur_bytes(&c, len, &f->payload))
		return 0;
	f->len = len;
	f->used = WIRE_HEADER_SIZE + (size_t)len;
	return 1;
}

/* ---- freeing */

void wire_failed_free(struct wire_failed *m)
{
	free(m->message);
	memset(m, 0, sizeof(*m));
}

void wire_process_free(struct wire_process *m)
{
	free(m->name);
	free(m->command);
	memset(m, 0, sizeof(*m));
}

void wire_task_free(struct wire_task *m)
{
	strv_free(&m->argv);
	strv_free(&m->env);
	strv_free(&m->groups);
	free(m->cwd);
	free(m->user);
	memset(m, 0, sizeof(*m));
}

void wire_boot_free(struct wire_boot *m)
{
	for (uint32_t i = 0; i < m->nmounts; i++) {
		free(m->mounts[i].source);
		free(m->mounts[i].target);
		free(m->mounts[i].options);
	}
	for (uint32_t i = 0; i < m->nfiles; i++) {
		free(m->files[i].path);
		free(m->files[i].data);
	}
	for (uint32_t i = 0; i < m->nlinks; i++) {
		free(m->links[i].name);
		strv_free(&m->links[i].addresses);
		strv_free(&m->links[i].gateways);
	}
	free(m->mounts);
	free(m->files);
	free(m->links);
	free(m->hostname);
	free(m->domainname);
	strv_free(&m->sysctls);
	strv_free(&m->rlimits);
	strv_free(&m->devices);
	wire_task_free(&m->task);
	memset(m, 0, sizeof(*m));
}
