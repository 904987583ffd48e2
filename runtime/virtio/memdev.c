/* memdev.c: the virtio-mem device; see memdev.h. */
#include "runtime/virtio/memdev.h"

#include <assert.h>
#include <linux/virtio_mem.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "runtime/base/str.h"
#include "runtime/virtio/served.h"

/* Linux asks one thing at a time. */
#define MEMDEV_QUEUE_SIZE 8

struct memdev {
	struct virtio_device d;
	struct served_queue queue;
	struct virtq_chain chain;
	uint64_t addr, size;	     /* of the region */
	uint64_t requested, plugged; /* bytes */
	uint64_t bits[(MEMDEV_BLOCKS_MAX + 63) / 64];
};

static bool is_plugged(const struct memdev *m, uint64_t block)
{
	return m->bits[block / 64] >> (block % 64) & 1;
}

/* How many of the blocks [from, from + n) are plugged. */
static uint64_t count_plugged(const struct memdev *m, uint64_t from, uint64_t n)
{
	uint64_t count = 0;

	for (uint64_t i = from; i < from + n; i++)
		count += is_plugged(m, i);
	return count;
}

/* The blocks a request is about; false when they are not all within the region. */
static bool blocks_of(const struct memdev *m, uint64_t addr, uint16_t n, uint64_t *from)
{
	uint64_t all = m->size / MEMDEV_BLOCK;

	if (addr < m->addr || (addr - m->addr) % MEMDEV_BLOCK || n == 0)
		return false;
	*from = (addr - m->addr) / MEMDEV_BLOCK;
	return *from < all && n <= all - *from;
}

static uint16_t plug(struct memdev *m, uint64_t from, uint64_t n)
{
	uint64_t bytes = n * MEMDEV_BLOCK;

	/* what is usable is what was requested: nothing above it is there */
	if ((from + n) * MEMDEV_BLOCK > m->requested || count_plugged(m, from, n))
		return VIRTIO_MEM_RESP_ERROR;
	if (bytes > m->requested - m->plugged)
		return VIRTIO_MEM_RESP_NACK;
	for (uint64_t i = from; i < from + n; i++)
		m->bits[i / 64] |= 1ULL << (i % 64);
	m->plugged += bytes;
	return VIRTIO_MEM_RESP_ACK;
}

/* What was in the blocks is gone. */
static void unplug(struct memdev *m, uint64_t from, uint64_t n)
{
	for (uint64_t i = from; i < from + n; i++) {
		void *p = gmem_at(m->queue.q->mem, m->addr + i * MEMDEV_BLOCK, MEMDEV_BLOCK);

		if (!is_plugged(m, i))
			continue;
		if (p)
			madvise(p, MEMDEV_BLOCK, MADV_DONTNEED);
		m->bits[i / 64] &= ~(1ULL << (i % 64));
		m->plugged -= MEMDEV_BLOCK;
	}
}

static void answer(struct memdev *m, const struct virtio_mem_req *rq, struct virtio_mem_resp *resp)
{
	uint64_t from = 0, n = rq->u.plug.nb_blocks, has;
	/* the three with operands have them at the same places */
	bool valid = blocks_of(m, rq->u.plug.addr, rq->u.plug.nb_blocks, &from);

	resp->type = VIRTIO_MEM_RESP_ERROR;
	if (rq->type == VIRTIO_MEM_REQ_UNPLUG_ALL) {
		unplug(m, 0, m->size / MEMDEV_BLOCK);
		resp->type = VIRTIO_MEM_RESP_ACK;
		return;
	}
	if (!valid)
		return;
	has = count_plugged(m, from, n);
	switch (rq->type) {
	case VIRTIO_MEM_REQ_PLUG:
		resp->type = plug(m, from, n);
		break;
	case VIRTIO_MEM_REQ_UNPLUG:
		if (has != n)
			return;
		unplug(m, from, n);
		resp->type = VIRTIO_MEM_RESP_ACK;
		break;
	case VIRTIO_MEM_REQ_STATE:
		resp->type = VIRTIO_MEM_RESP_ACK;
		resp->u.state.state = has == n ? VIRTIO_MEM_STATE_PLUGGED
				      : has    ? VIRTIO_MEM_STATE_MIXED
					       : VIRTIO_MEM_STATE_UNPLUGGED;
		break;
	}
}

static void gather(void *to, size_t len, const struct iovec *iov, unsigned n)
{
	for (unsigned i = 0; i < n && len; i++) {
		size_t k = iov[i].iov_len < len ? iov[i].iov_len : len;

		gmem_copy(to, iov[i].iov_base, k);
		to = (uint8_t *)to + k;
		len -= k;
	}
}

static void scatter(const struct iovec *iov, unsigned n, const void *from, size_t len)
{
	for (unsigned i = 0; i < n && len; i++) {
		size_t k = iov[i].iov_len < len ? iov[i].iov_len : len;

		memcpy(iov[i].iov_base, from, k);
		from = (const uint8_t *)from + k;
		len -= k;
	}
}

static ssize_t serve(struct virtio_device *d, unsigned index, struct virtq_chain *c)
{
	struct memdev *m = (struct memdev *)d;
	struct virtio_mem_resp resp = { 0 };
	struct virtio_mem_req rq;

	(void)index;
	if (c->out_len < sizeof(rq) || c->in_len < sizeof(resp))
		return -1;
	gather(&rq, sizeof(rq), c->out, c->nout);
	answer(m, &rq, &resp);
	scatter(c->in, c->nin, &resp, sizeof(resp));
	if (d->config_changed)
		d->config_changed(d, false); /* plugged_size; the driver knows */
	return sizeof(resp);
}

static void config_read(struct virtio_device *d, uint32_t off, void *buf, uint32_t len)
{
	const struct memdev *m = (const struct memdev *)d;
	struct virtio_mem_config c = {
		.block_size = MEMDEV_BLOCK,
		.addr = m->addr,
		.region_size = m->size,
		.usable_region_size = m->requested,
		.plugged_size = m->plugged,
		.requested_size = m->requested,
	};

	memset(buf, 0, len);
	if (off < sizeof(c))
		memcpy(buf, (uint8_t *)&c + off, len < sizeof(c) - off ? len : sizeof(c) - off);
}

static int queue_start(struct virtio_device *d, unsigned index, struct virtq *q, struct err *e)
{
	struct memdev *m = (struct memdev *)d;

	return served_start(&m->queue, d, index, q, &m->chain, serve, e);
}

static void queue_stop(struct virtio_device *d, unsigned index)
{
	(void)index;
	served_stop(&((struct memdev *)d)->queue);
}

/* A reset of the device unplugs nothing (5.15.6.1): the driver asks for that itself. */
static const struct virtio_device_ops memdev_ops = {
	.name = "mem",
	.id = VIRTIO_ID_MEM,
	.num_queues = 1,
	.queue_size_max = MEMDEV_QUEUE_SIZE,
	.config_read = config_read,
	.queue_start = queue_start,
	.queue_stop = queue_stop,
};

struct virtio_device *memdev_new(struct loop *l, uint64_t addr, uint64_t size)
{
	struct memdev *m = xcalloc(1, sizeof(*m));

	assert(size && addr % MEMDEV_BLOCK == 0 && size % MEMDEV_BLOCK == 0 &&
	       size / MEMDEV_BLOCK <= MEMDEV_BLOCKS_MAX);
	m->d.ops = &memdev_ops;
	m->d.loop = l;
	m->addr = addr;
	m->size = size;
	return &m->d;
}

void memdev_free(struct virtio_device *d)
{
	free(d);
}

void memdev_request(struct virtio_device *d, uint64_t bytes)
{
	struct memdev *m = (struct memdev *)d;

	bytes -= bytes % MEMDEV_BLOCK;
	if (bytes > m->size)
		bytes = m->size;
	if (bytes <= m->requested)
		return;
	m->requested = bytes;
	if (d->config_changed)
		d->config_changed(d, true);
}

uint64_t memdev_requested(const struct virtio_device *d)
{
	return ((const struct memdev *)d)->requested;
}

uint64_t memdev_plugged(const struct virtio_device *d)
{
	return ((const struct memdev *)d)->plugged;
}
