/* fuzz_codec.c: whatever a peer sends, decoded; what decodes must encode to the same bytes. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "vsock/codec.h"
#include "vsock/item.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

union message {
	struct wire_hello hello;
	struct wire_open open;
	struct wire_started started;
	struct wire_ending ending;
	struct wire_oom oom;
	struct wire_failed failed;
	struct wire_exited exited;
	struct wire_memory memory;
	struct wire_boot boot;
	struct wire_task task;
	struct wire_signal signal;
	struct wire_resize resize;
	struct wire_limits limits;
	struct wire_time time;
	struct wire_query query;
	struct wire_process process;
	struct wire_stats stats;
	struct wire_sync sync;
	struct wire_synced synced;
	struct wire_forward forward;
};

#define CASE(TYPE, name, field, release)                               \
	case TYPE:                                                     \
		if (wire_get_##name(f->payload, f->len, &m.field) < 0) \
			return;                                        \
		wire_put_##name(&out, &m.field);                       \
		release;                                               \
		break;

static bool one_item(const struct wire_frame *f, struct str *out)
{
	const void *data;
	struct item m;
	uint64_t off;
	size_t n;

	if (f->type == ITEM_PIECE && item_get_piece(f->payload, f->len, &off, &data, &n) == 0) {
		item_put_piece(out, off, data, n);
		return true;
	}
	if (f->type != ITEM_ENTRY || item_get_entry(f->payload, f->len, &m) < 0)
		return false;
	item_put_entry(out, &m.x);
	item_free(&m);
	return true;
}

static void one(const struct wire_frame *f, const uint8_t *whole)
{
	own_str struct str out = STR_INIT;
	union message m;

	switch (f->type) {
		CASE(WIRE_HELLO, hello, hello, )
		CASE(WIRE_STREAM, open, open, )
		CASE(WIRE_STARTED, started, started, )
		CASE(WIRE_ENDING, ending, ending, )
		CASE(WIRE_OOM, oom, oom, )
		CASE(WIRE_FAILED, failed, failed, wire_failed_free(&m.failed))
		CASE(WIRE_EXITED, exited, exited, )
		CASE(WIRE_MEMORY, memory, memory, )
		CASE(WIRE_BOOT, boot, boot, wire_boot_free(&m.boot))
		CASE(WIRE_EXEC, exec, task, wire_task_free(&m.task))
		CASE(WIRE_SIGNAL, signal, signal, )
		CASE(WIRE_RESIZE, resize, resize, )
		CASE(WIRE_LIMITS, limits, limits, )
		CASE(WIRE_TIME, time, time, )
		CASE(WIRE_QUERY, query, query, )
		CASE(WIRE_PROCESS, process, process, wire_process_free(&m.process))
		CASE(WIRE_STATS, stats, stats, )
		CASE(WIRE_SYNC, sync, sync, )
		CASE(WIRE_SYNCED, synced, synced, )
		CASE(WIRE_FORWARD, forward, forward, )
	default:
		if (!one_item(f, &out))
			return;
	}
	/* One message has one form only. */
	assert(out.len == f->used && memcmp(out.s, whole, out.len) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *copy = malloc(size ? size : 1); /* its end is the sanitizer's */
	const uint8_t *at = copy;
	struct wire_frame f;

	memcpy(copy, data, size);
	while (wire_frame_next(at, size, &f) == 1) {
		one(&f, at);
		at += f.used;
		size -= f.used;
	}
	free(copy);
	return 0;
}
