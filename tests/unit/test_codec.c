/* test_codec.c: frames of the wire protocol, there and back, and broken ones. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "vsock/codec.h"
#include "vsock/item.h"

/* The frame in `s`, which must be the only one. */
static struct wire_frame only_frame(const struct str *s, uint16_t type)
{
	struct wire_frame f;

	assert_int_equal(wire_frame_next(s->s, s->len, &f), 1);
	assert_int_equal(f.type, type);
	assert_int_equal(f.used, s->len);
	assert_int_equal(f.len, s->len - WIRE_HEADER_SIZE);
	return f;
}

static void test_frames(void **state)
{
	own_str struct str s = STR_INIT;
	struct wire_time t = { .realtime_ns = 0x0102030405060708 };
	static const unsigned char bytes[] = { 8, 0, 0, 0, WIRE_TIME, 0, 0, 0,
					       8, 7, 6, 5, 4,	      3, 2, 1 };
	struct wire_frame f;

	(void)state;
	wire_put_time(&s, &t);
	assert_int_equal(s.len, sizeof(bytes));
	assert_memory_equal(s.s, bytes, sizeof(bytes));
	for (size_t n = 0; n < s.len; n++)
		assert_int_equal(wire_frame_next(s.s, n, &f), 0);
	wire_put_time(&s, &t);
	assert_int_equal(wire_frame_next(s.s, s.len, &f), 1);
	assert_int_equal(f.used, 16);
	s.s[6] = 1; /* reserved */
	assert_int_equal(wire_frame_next(s.s, s.len, &f), -EPROTO);
}

static void test_frame_too_large(void **state)
{
	unsigned char head[WIRE_HEADER_SIZE] = { 0 };
	uint32_t n = WIRE_FRAME_MAX + 1;
	struct wire_frame f;

	(void)state;
	memcpy(head, &n, sizeof(n));
	assert_int_equal(wire_frame_next(head, sizeof(head), &f), -EPROTO);
	n--;
	memcpy(head, &n, sizeof(n));
	assert_int_equal(wire_frame_next(head, sizeof(head), &f), 0);
}

/*
 * Every shorter payload, and one that is longer, must be refused. A copy on
 * the heap lets a sanitizer see reads past the end.
 */
#define refuse_other_lengths(f, get, m)                                    \
	do {                                                               \
		for (size_t n_ = 0; n_ <= (f).len + 1; n_++) {             \
			unsigned char *p_ = calloc(1, n_ ? n_ : 1);        \
			size_t keep_ = n_ < (f).len ? n_ : (f).len;        \
                                                                           \
			memcpy(p_, (f).payload, keep_);                    \
			if (n_ != (f).len)                                 \
				assert_int_equal(get(p_, n_, m), -EPROTO); \
			free(p_);                                          \
		}                                                          \
	} while (0)

static void test_guest_messages(void **state)
{
	/* static: their padding is zero */
	static struct wire_hello hello = { 1, 123456789012, 1ULL << 40, 77 }, hello2;
	static struct wire_open opened = { 9, WIRE_TTY }, open2;
	static struct wire_ending ending = { WIRE_TASK_MAIN }, ending2;
	static struct wire_oom oom = { 1ULL << 40 }, oom2;
	static struct wire_started started = { 3, 4000000000U }, started2;
	static struct wire_exited exited = { 2, 137, 9, 1 }, exited2;
	own_str struct str a = STR_INIT, b = STR_INIT, c = STR_INIT, d = STR_INIT;
	struct wire_frame f;

	(void)state;
	wire_put_hello(&a, &hello);
	f = only_frame(&a, WIRE_HELLO);
	assert_int_equal(wire_get_hello(f.payload, f.len, &hello2), 0);
	assert_memory_equal(&hello, &hello2, sizeof(hello));
	refuse_other_lengths(f, wire_get_hello, &hello2);

	wire_put_open(&b, &opened);
	f = only_frame(&b, WIRE_STREAM);
	assert_int_equal(wire_get_open(f.payload, f.len, &open2), 0);
	assert_int_equal(open2.task, 9);
	assert_int_equal(open2.which, WIRE_TTY);
	refuse_other_lengths(f, wire_get_open, &open2);
	b.s[b.len - 1] = WIRE_TTY + 1;
	assert_int_equal(wire_get_open(f.payload, f.len, &open2), -EPROTO);

	wire_put_started(&c, &started);
	f = only_frame(&c, WIRE_STARTED);
	assert_int_equal(wire_get_started(f.payload, f.len, &started2), 0);
	assert_memory_equal(&started, &started2, sizeof(started));
	refuse_other_lengths(f, wire_get_started, &started2);

	c.len = 0;
	wire_put_ending(&c, &ending);
	f = only_frame(&c, WIRE_ENDING);
	assert_int_equal(wire_get_ending(f.payload, f.len, &ending2), 0);
	assert_int_equal(ending2.task, WIRE_TASK_MAIN);
	refuse_other_lengths(f, wire_get_ending, &ending2);

	c.len = 0;
	wire_put_oom(&c, &oom);
	f = only_frame(&c, WIRE_OOM);
	assert_int_equal(wire_get_oom(f.payload, f.len, &oom2), 0);
	assert_int_equal(oom2.kills, 1ULL << 40);
	refuse_other_lengths(f, wire_get_oom, &oom2);

	wire_put_exited(&d, &exited);
	f = only_frame(&d, WIRE_EXITED);
	assert_int_equal(wire_get_exited(f.payload, f.len, &exited2), 0);
	assert_int_equal(exited2.task, 2);
	assert_int_equal(exited2.code, 137);
	assert_int_equal(exited2.signal, 9);
	assert_int_equal(exited2.oom, 1);
	refuse_other_lengths(f, wire_get_exited, &exited2);
	d.s[d.len - 1] = 2;
	assert_int_equal(wire_get_exited(f.payload, f.len, &exited2), -EPROTO);
}

static void test_failed(void **state)
{
	struct wire_failed m = { 1, 127, (char *)"exec: \"x\": not found" }, got;
	own_str struct str s = STR_INIT;
	struct wire_frame f;

	(void)state;
	wire_put_failed(&s, &m);
	f = only_frame(&s, WIRE_FAILED);
	assert_int_equal(wire_get_failed(f.payload, f.len, &got), 0);
	assert_int_equal(got.task, 1);
	assert_int_equal(got.exit_code, 127);
	assert_string_equal(got.message, m.message);
	wire_failed_free(&got);
	refuse_other_lengths(f, wire_get_failed, &got);
	s.s[s.len - 3] = 0; /* no string of C's */
	assert_int_equal(wire_get_failed(f.payload, f.len, &got), -EPROTO);
	assert_null(got.message);
}

static void test_memory(void **state)
{
	struct wire_memory m = { .bytes = 5ULL << 30 }, got;
	own_str struct str s = STR_INIT;
	struct wire_frame f;

	(void)state;
	wire_put_memory(&s, &m);
	f = only_frame(&s, WIRE_MEMORY);
	assert_int_equal(wire_get_memory(f.payload, f.len, &got), 0);
	assert_int_equal(got.bytes, 5ULL << 30);
	refuse_other_lengths(f, wire_get_memory, &got);
}

static void test_usage(void **state)
{
	struct wire_query q = { 8, 1 }, q2;
	static struct wire_process p = { .query = 8,
					 .pid = 1,
					 .ppid = 0,
					 .pgid = 3,
					 .sid = 4,
					 .ruid = 5,
					 .uid = 6,
					 .rgid = 7,
					 .gid = 9,
					 .tty = 0x8801,
					 .threads = 10,
					 .nice = 39,
					 .priority = 11,
					 .state = 'S',
					 .foreground = 1,
					 .cpu_ms = 1ULL << 40,
					 .age_ms = 12,
					 .virtual_size = 1ULL << 41,
					 .resident_size = 13,
					 .name = (char *)"sh",
					 .command = (char *)"sh -c x" },
				   p2;
	static struct wire_stats u = { 8, 1, 2, 3, 4, 5, 6, 7, 1ULL << 50 }, u2;
	own_str struct str a = STR_INIT, b = STR_INIT, c = STR_INIT;
	struct wire_frame f;

	(void)state;
	wire_put_query(&a, &q);
	f = only_frame(&a, WIRE_QUERY);
	assert_int_equal(wire_get_query(f.payload, f.len, &q2), 0);
	assert_int_equal(q2.id, 8);
	assert_int_equal(q2.processes, 1);
	refuse_other_lengths(f, wire_get_query, &q2);
	a.s[a.len - 1] = 2;
	assert_int_equal(wire_get_query(f.payload, f.len, &q2), -EPROTO);

	wire_put_process(&b, &p);
	f = only_frame(&b, WIRE_PROCESS);
	assert_int_equal(wire_get_process(f.payload, f.len, &p2), 0);
	assert_string_equal(p2.name, p.name);
	assert_string_equal(p2.command, p.command);
	free(p2.name);
	free(p2.command);
	p2.name = p.name;
	p2.command = p.command;
	assert_memory_equal(&p, &p2, sizeof(p));
	refuse_other_lengths(f, wire_get_process, &p2);

	wire_put_stats(&c, &u);
	f = only_frame(&c, WIRE_STATS);
	assert_int_equal(wire_get_stats(f.payload, f.len, &u2), 0);
	assert_memory_equal(&u, &u2, sizeof(u));
	refuse_other_lengths(f, wire_get_stats, &u2);
}

static void test_small_host_messages(void **state)
{
	struct wire_signal sig = { 5, 64 }, sig2;
	struct wire_resize size = { 6, 65535, 1 }, size2;
	struct wire_time time = { 42 }, time2;
	own_str struct str a = STR_INIT, b = STR_INIT, c = STR_INIT;
	struct wire_frame f;

	(void)state;
	wire_put_signal(&a, &sig);
	f = only_frame(&a, WIRE_SIGNAL);
	assert_int_equal(wire_get_signal(f.payload, f.len, &sig2), 0);
	assert_memory_equal(&sig, &sig2, sizeof(sig));
	refuse_other_lengths(f, wire_get_signal, &sig2);
	a.s[a.len - 4] = 65;
	assert_int_equal(wire_get_signal(f.payload, f.len, &sig2), -EPROTO);
	a.s[a.len - 4] = 0;
	assert_int_equal(wire_get_signal(f.payload, f.len, &sig2), -EPROTO);

	wire_put_resize(&b, &size);
	f = only_frame(&b, WIRE_RESIZE);
	assert_int_equal(wire_get_resize(f.payload, f.len, &size2), 0);
	assert_int_equal(size2.task, 6);
	assert_int_equal(size2.rows, 65535);
	assert_int_equal(size2.cols, 1);
	refuse_other_lengths(f, wire_get_resize, &size2);

	wire_put_time(&c, &time);
	f = only_frame(&c, WIRE_TIME);
	assert_int_equal(wire_get_time(f.payload, f.len, &time2), 0);
	assert_int_equal(time2.realtime_ns, 42);
	refuse_other_lengths(f, wire_get_time, &time2);
}

static void test_forward(void **state)
{
	struct wire_forward m = { WIRE_FORWARD_UDP, 53, 10000 }, m2;
	own_str struct str s = STR_INIT;
	struct wire_frame f;

	(void)state;
	wire_put_forward(&s, &m);
	f = only_frame(&s, WIRE_FORWARD);
	assert_int_equal(wire_get_forward(f.payload, f.len, &m2), 0);
	assert_int_equal(m2.proto, WIRE_FORWARD_UDP);
	assert_int_equal(m2.port, 53);
	assert_int_equal(m2.patience_ms, 10000);
	refuse_other_lengths(f, wire_get_forward, &m2);
	s.s[WIRE_HEADER_SIZE] = 2; /* neither */
	assert_int_equal(wire_get_forward(f.payload, f.len, &m2), -EPROTO);
	s.s[WIRE_HEADER_SIZE] = WIRE_FORWARD_TCP;
	s.s[WIRE_HEADER_SIZE + 1] = 0; /* no port */
	assert_int_equal(wire_get_forward(f.payload, f.len, &m2), -EPROTO);
}

static void test_limits(void **state)
{
	static const struct {
		struct wire_limits l;
		int want;
	} rows[] = {
		{ { 0 }, 0 },
		{ { 1, 2, 3, 4, WIRE_CPU_PERIOD_MIN, WIRE_CPU_WEIGHT_MAX }, 0 },
		{ { .cpu_period = WIRE_CPU_PERIOD_MAX }, 0 },
		{ { .cpu_quota = 1 }, -EPROTO },
		{ { .cpu_quota = 1, .cpu_period = WIRE_CPU_PERIOD_MIN - 1 }, -EPROTO },
		{ { .cpu_period = WIRE_CPU_PERIOD_MAX + 1 }, -EPROTO },
		{ { .cpu_weight = WIRE_CPU_WEIGHT_MAX + 1 }, -EPROTO },
	};
	struct wire_limits got;
	struct wire_frame f;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		own_str struct str s = STR_INIT;

		wire_put_limits(&s, &rows[i].l);
		f = only_frame(&s, WIRE_LIMITS);
		assert_int_equal(wire_get_limits(f.payload, f.len, &got), rows[i].want);
		if (rows[i].want == 0)
			assert_memory_equal(&got, &rows[i].l, sizeof(got));
		refuse_other_lengths(f, wire_get_limits, &got);
	}
}

static void test_sync(void **state)
{
	struct wire_sync sync = { 7 }, sync2;
	struct wire_synced synced = { 0xfffffffe, ENOSPC }, synced2;
	own_str struct str a = STR_INIT, b = STR_INIT;
	struct wire_frame f;

	(void)state;
	wire_put_sync(&a, &sync);
	f = only_frame(&a, WIRE_SYNC);
	assert_int_equal(wire_get_sync(f.payload, f.len, &sync2), 0);
	assert_int_equal(sync2.request, 7);
	refuse_other_lengths(f, wire_get_sync, &sync2);

	wire_put_synced(&b, &synced);
	f = only_frame(&b, WIRE_SYNCED);
	assert_int_equal(wire_get_synced(f.payload, f.len, &synced2), 0);
	assert_int_equal(synced2.request, 0xfffffffe);
	assert_int_equal(synced2.error, ENOSPC);
	refuse_other_lengths(f, wire_get_synced, &synced2);
	b.s[b.len - 1] = 1; /* no errno is as large */
	assert_int_equal(wire_get_synced(f.payload, f.len, &synced2), -EPROTO);
}

static void fill_task(struct wire_task *t, uint32_t id)
{
	*t = (struct wire_task){ .id = id,
				 .flags = WIRE_TASK_TTY | WIRE_TASK_NO_NEW_PRIVS,
				 .rows = 24,
				 .cols = 80,
				 .caps = 0xa80425fb,
				 .cwd = xstrdup("/work"),
				 .user = xstrdup("joe:wheel") };
	strv_add(&t->argv, "sh");
	strv_add(&t->argv, "-c");
	strv_add(&t->argv, "");
	strv_add(&t->env, "PATH=/bin");
	strv_add(&t->groups, "audio");
}

static void check_task(const struct wire_task *t, uint32_t id)
{
	assert_int_equal(t->id, id);
	assert_int_equal(t->flags, WIRE_TASK_TTY | WIRE_TASK_NO_NEW_PRIVS);
	assert_int_equal(t->rows, 24);
	assert_int_equal(t->cols, 80);
	assert_int_equal(t->caps, 0xa80425fb);
	assert_int_equal(t->argv.n, 3);
	assert_string_equal(t->argv.v[1], "-c");
	assert_string_equal(t->argv.v[2], "");
	assert_null(t->argv.v[3]);
	assert_int_equal(t->env.n, 1);
	assert_string_equal(t->env.v[0], "PATH=/bin");
	assert_string_equal(t->cwd, "/work");
	assert_string_equal(t->user, "joe:wheel");
	assert_int_equal(t->groups.n, 1);
	assert_string_equal(t->groups.v[0], "audio");
}

static void test_exec(void **state)
{
	own_str struct str s = STR_INIT, none = STR_INIT, flags = STR_INIT, first = STR_INIT;
	struct wire_task t, got;
	struct wire_frame f;

	(void)state;
	fill_task(&t, 7);
	wire_put_exec(&s, &t);
	f = only_frame(&s, WIRE_EXEC);
	assert_int_equal(wire_get_exec(f.payload, f.len, &got), 0);
	check_task(&got, 7);
	wire_task_free(&got);
	refuse_other_lengths(f, wire_get_exec, &got);

	t.flags |= 1U << 30;
	wire_put_exec(&flags, &t);
	f = only_frame(&flags, WIRE_EXEC);
	assert_int_equal(wire_get_exec(f.payload, f.len, &got), -EPROTO);
	t.flags = 0;
	t.id = WIRE_TASK_MAIN; /* only BOOT may start it */
	wire_put_exec(&first, &t);
	f = only_frame(&first, WIRE_EXEC);
	assert_int_equal(wire_get_exec(f.payload, f.len, &got), -EPROTO);
	t.id = 7;
	strv_free(&t.argv); /* nothing to execute */
	wire_put_exec(&none, &t);
	f = only_frame(&none, WIRE_EXEC);
	assert_int_equal(wire_get_exec(f.payload, f.len, &got), -EPROTO);
	wire_task_free(&t);
}

static void fill_boot(struct wire_boot *b)
{
	*b = (struct wire_boot){ .flags = WIRE_BOOT_SYNC_ROOT,
				 .realtime_ns = 1700000000000000000,
				 .shm_size = 64 << 20,
				 .limits = { 512 << 20, 1 << 20, 99, 50000, 100000, 39 },
				 .oom_score_adj = -7,
				 .memory_room = 7ULL << 30,
				 .hostname = xstrdup("box"),
				 .nmounts = 2,
				 .nfiles = 1,
				 .nlinks = 1 };
	b->mounts = xcalloc(2, sizeof(*b->mounts));
	b->mounts[0] = (struct wire_mount){ WIRE_MOUNT_BIND, 1, xstrdup("0/data"), xstrdup("/data"),
					    xstrdup("") };
	b->mounts[1] = (struct wire_mount){ WIRE_MOUNT_TMPFS, 0, NULL, xstrdup("/run"),
					    xstrdup("size=1m") };
	b->files = xcalloc(1, sizeof(*b->files));
	b->files[0] = (struct wire_file){ xstrdup("/etc/hosts"), 0644, xstrdup("127.0.0.1 a\n") };
	b->links = xcalloc(1, sizeof(*b->links));
	b->links[0].name = xstrdup("eth0");
	strv_add(&b->links[0].addresses, "10.0.2.15/24");
	strv_add(&b->links[0].addresses, "fd00::2/64");
	strv_add(&b->links[0].gateways, "10.0.2.2");
	strv_add(&b->sysctls, "net.core.somaxconn=1");
	strv_add(&b->rlimits, "nofile=1:2");
	strv_add(&b->devices, "fuse:/dev/fuse");
	fill_task(&b->task, WIRE_TASK_MAIN);
}

static void test_boot(void **state)
{
	own_str struct str s = STR_INIT;
	struct wire_boot b, got;
	struct wire_frame f;

	(void)state;
	fill_boot(&b);
	wire_put_boot(&s, &b);
	f = only_frame(&s, WIRE_BOOT);
	assert_int_equal(wire_get_boot(f.payload, f.len, &got), 0);
	assert_int_equal(got.flags, WIRE_BOOT_SYNC_ROOT);
	assert_int_equal(got.realtime_ns, 1700000000000000000);
	assert_int_equal(got.shm_size, 64 << 20);
	assert_memory_equal(&got.limits, &b.limits, sizeof(got.limits));
	assert_int_equal(got.oom_score_adj, -7);
	assert_string_equal(got.devices.v[0], "fuse:/dev/fuse");
	assert_int_equal(got.memory_room, 7ULL << 30);
	assert_string_equal(got.hostname, "box");
	assert_string_equal(got.domainname, ""); /* NULL is written as nothing */
	assert_int_equal(got.nmounts, 2);
	assert_int_equal(got.mounts[0].kind, WIRE_MOUNT_BIND);
	assert_int_equal(got.mounts[0].read_only, 1);
	assert_string_equal(got.mounts[0].source, "0/data");
	assert_string_equal(got.mounts[1].target, "/run");
	assert_string_equal(got.mounts[1].options, "size=1m");
	assert_int_equal(got.nfiles, 1);
	assert_string_equal(got.files[0].path, "/etc/hosts");
	assert_int_equal(got.files[0].mode, 0644);
	assert_string_equal(got.files[0].data, "127.0.0.1 a\n");
	assert_int_equal(got.nlinks, 1);
	assert_string_equal(got.links[0].name, "eth0");
	assert_int_equal(got.links[0].addresses.n, 2);
	assert_string_equal(got.links[0].addresses.v[1], "fd00::2/64");
	assert_int_equal(got.links[0].gateways.n, 1);
	assert_string_equal(got.sysctls.v[0], "net.core.somaxconn=1");
	assert_string_equal(got.rlimits.v[0], "nofile=1:2");
	check_task(&got.task, WIRE_TASK_MAIN);
	wire_boot_free(&got);
	refuse_other_lengths(f, wire_get_boot, &got);
	wire_boot_free(&b);
}

/* Each byte broken in turn: never more than a refusal (or another valid message). */
static void test_boot_broken(void **state)
{
	static const unsigned char values[] = { 0, 1, 0x7f, 0x80, 0xff };
	own_str struct str s = STR_INIT;
	struct wire_boot b, got;
	unsigned refused = 0;

	(void)state;
	fill_boot(&b);
	wire_put_boot(&s, &b);
	wire_boot_free(&b);
	for (size_t i = WIRE_HEADER_SIZE; i < s.len; i++) {
		char was = s.s[i];

		for (size_t k = 0; k < sizeof(values); k++) {
			s.s[i] = (char)values[k];
			if (wire_get_boot(s.s + WIRE_HEADER_SIZE, s.len - WIRE_HEADER_SIZE, &got) ==
			    0) {
				wire_boot_free(&got);
			} else {
				refused++;
				assert_null(got.mounts);
				assert_null(got.hostname);
				assert_null(got.task.argv.v);
			}
		}
		s.s[i] = was;
	}
	assert_true(refused > 100);
}

/* A count that promises more than can follow costs no memory. */
static void test_counts(void **state)
{
	struct wire_task t = { .id = 2 }, got;
	own_str struct str s = STR_INIT;
	uint32_t huge = 0xffffffff;

	(void)state;
	strv_add(&t.argv, "a");
	wire_put_exec(&s, &t);
	memcpy(s.s + WIRE_HEADER_SIZE + 20, &huge, sizeof(huge)); /* argv's count */
	assert_int_equal(wire_get_exec(s.s + WIRE_HEADER_SIZE, s.len - WIRE_HEADER_SIZE, &got),
			 -EPROTO);
	wire_task_free(&t);
}

static void test_items(void **state)
{
	const struct entry_xattr xattr = { "user.x", "a\0b", 3 };
	const struct entry x = { .path = "dir/na\nme",
				 .mode = 0104750,
				 .uid = 1,
				 .gid = 4000000000U,
				 .size = 5000000000ULL,
				 .mtime = { -5, 999999999 },
				 .target = "",
				 .link = "other",
				 .fd = -1,
				 .xattrs = &xattr,
				 .nxattrs = 1 };
	own_str struct str out = STR_INIT;
	struct wire_frame f;
	const void *data;
	struct item m;
	uint64_t off;
	size_t n;

	(void)state;
	item_put_entry(&out, &x);
	assert_int_equal(wire_frame_next(out.s, out.len, &f), 1);
	assert_int_equal(f.type, ITEM_ENTRY);
	assert_int_equal(item_get_entry(f.payload, f.len, &m), 0);
	assert_string_equal(m.x.path, x.path);
	assert_string_equal(m.x.link, "other");
	assert_string_equal(m.x.target, "");
	assert_int_equal(m.x.mode, x.mode);
	assert_int_equal(m.x.gid, x.gid);
	assert_int_equal(m.x.size, x.size);
	assert_int_equal(m.x.mtime.tv_sec, -5);
	assert_int_equal(m.x.mtime.tv_nsec, 999999999);
	assert_int_equal(m.x.nxattrs, 1);
	assert_int_equal(m.x.xattrs[0].len, 3);
	assert_memory_equal(m.x.xattrs[0].value, "a\0b", 3);
	item_free(&m);
	for (n = 0; n < f.len; n++) /* no shorter one is taken */
		assert_int_equal(item_get_entry(f.payload, n, &m), -EPROTO);

	out.len = 0;
	item_put_piece(&out, 1ULL << 40, "data", 4);
	assert_int_equal(wire_frame_next(out.s, out.len, &f), 1);
	assert_int_equal(item_get_piece(f.payload, f.len, &off, &data, &n), 0);
	assert_int_equal(off, 1ULL << 40);
	assert_int_equal(n, 4);
	assert_memory_equal(data, "data", 4);
	assert_int_equal(item_get_piece(f.payload, 7, &off, &data, &n), -EPROTO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_items),
		cmocka_unit_test(test_frames),
		cmocka_unit_test(test_frame_too_large),
		cmocka_unit_test(test_guest_messages),
		cmocka_unit_test(test_failed),
		cmocka_unit_test(test_memory),
		cmocka_unit_test(test_small_host_messages),
		cmocka_unit_test(test_forward),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_exec),
		cmocka_unit_test(test_boot),
		cmocka_unit_test(test_boot_broken),
		cmocka_unit_test(test_counts),
		cmocka_unit_test(test_usage),
		cmocka_unit_test(test_sync),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
