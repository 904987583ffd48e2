/* fuzz_virtq.c: random memory as a virtqueue. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "runtime/base/cursor.h"
#include "runtime/virtio/queue.h"

/*
 * The guest's memory is small and holds the rings at its start, so that
 * random addresses often meet and rings overlap what they describe. The
 * input: shape and start, the steps' operations, then the image of the
 * memory, from its start; the steps also write to it, as a guest would.
 */
#define RAM   4096U
#define STEPS 256

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Behind the guest's memory, a page apart: a page that is there and one that is not. */
#define WINDOW 8192U

static unsigned signals;

/* Made once: queues that see a copy of it only. */
static uint8_t *window(void)
{
	static uint8_t *p;

	if (p == NULL) {
		p = mmap(NULL, WINDOW, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (p == MAP_FAILED || mprotect(p, WINDOW / 2, PROT_READ | PROT_WRITE) < 0)
			abort();
	}
	return p;
}

static void count(struct virtq *q)
{
	(void)q;
	signals++;
}

/* Every byte handed out must be ours. */
static size_t touch(struct virtq_chain *c)
{
	size_t sum = 0, len = 0;

	for (unsigned i = 0; i < c->nout + c->nin; i++) {
		const uint8_t *p = c->seg[i].iov_base;

		sum += p[0] + p[c->seg[i].iov_len - 1];
		len += c->seg[i].iov_len;
	}
	if (len != c->out_len + c->in_len || c->nout + c->nin == 0)
		abort();
	for (unsigned i = 0; i < c->nin; i++)
		memset(c->in[i].iov_base, (int)sum, c->in[i].iov_len > 8 ? 8 : c->in[i].iov_len);
	return c->in_len;
}

static void step(struct virtq *q, struct virtq_chain *c, uint8_t op)
{
	int r = virtq_pop(q, c);

	if (r < 0 && (r != -EPROTO || virtq_pop(q, c) != -EPROTO))
		abort();
	if (r > 0) {
		uint32_t written = (uint32_t)touch(c);

		if (op & 1)
			virtq_unpop(q);
		else
			virtq_push(q, c->head, written);
	}
	if (op & 2)
		virtq_want_kick(q, op & 4);
	if (op & 8)
		virtq_notify(q);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct virtq_chain c;
	struct cur in = cur_of(data, size), ops;
	uint8_t *ram, shape = 0, nops = 0, op;
	const void *script;
	struct gmem mem = { .n = 1, .r = { { 0x1000, RAM, NULL } } };
	struct virtq q = { .mem = &mem, .kick_fd = -1, .signal = count };
	size_t n;

	if (!cur_u8(&in, &shape) || !cur_u16(&in, &q.next) || !cur_u8(&in, &nops) ||
	    !cur_bytes(&in, nops, &script))
		return 0;
	ops = cur_of(script, nops);
	ram = aligned_alloc(16, RAM); /* on the heap: the sanitizer sees its end */
	memset(ram, 0, RAM);
	n = cur_left(&in) < RAM ? cur_left(&in) : RAM;
	cur_copy(&in, ram, n);
	mem.r[0].host = ram;
	if (shape & 2)
		mem.window = (struct gmem_region){ 0x3000, WINDOW, window() };
	q.size = (uint16_t)(1U << (shape & 5)); /* 1, 2, 16 or 32 */
	q.event_idx = shape & 0x80;
	q.desc = ram;
	q.avail = ram + (size_t)16 * q.size;
	q.used = ram + 1024;
	virtq_init(&q);
	for (int i = 0; i < STEPS; i++) {
		uint16_t at = 0;

		if (!cur_u8(&ops, &op))
			op = (uint8_t)(i * 37);
		step(&q, &c, op);
		if ((op & 0x10) && cur_u16(&ops, &at))
			cur_u8(&ops, &ram[at % RAM]);
		if (op & 0x20)
			((uint16_t *)q.avail)[1]++; /* one more is available */
	}
	virtq_stop(&q);
	if (q.bounced_bytes)
		abort();
	free(ram);
	return 0;
}
