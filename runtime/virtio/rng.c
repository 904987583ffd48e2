/* rng.c: the entropy device; see rng.h. */
#include "runtime/virtio/rng.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/base/str.h"
#include "runtime/virtio/served.h"

#define RNG_QUEUE_SIZE 16
/* Most bytes given at once: a guest asks for 64; one that asks for more gets its answer in parts.
 */
#define RNG_MAX 4096

struct rng {
	struct virtio_device d;
	struct served_queue queue;
	struct virtq_chain chain;
};

static ssize_t serve(struct virtio_device *d, unsigned index, struct virtq_chain *c)
{
	size_t done = 0;

	(void)d;
	(void)index;
	if (c->nout)
		return -1;
	for (unsigned i = 0; i < c->nin && done < RNG_MAX; i++) {
		size_t n = c->in[i].iov_len < RNG_MAX - done ? c->in[i].iov_len : RNG_MAX - done;

		random_bytes(c->in[i].iov_base, n);
		done += n;
	}
	return (ssize_t)done;
}

static void config_read(struct virtio_device *d, uint32_t off, void *buf, uint32_t len)
{
	(void)d;
	(void)off;
	memset(buf, 0, len); /* it has none */
}

static void config_write(struct virtio_device *d, uint32_t off, const void *buf, uint32_t len)
{
	(void)d;
	(void)off;
	(void)buf;
	(void)len;
}

static void set_features(struct virtio_device *d, uint64_t features)
{
	(void)d;
	(void)features;
}

static int queue_start(struct virtio_device *d, unsigned index, struct virtq *q, struct err *e)
{
	struct rng *r = (struct rng *)d;

	return served_start(&r->queue, d, index, q, &r->chain, serve, e);
}

static void queue_stop(struct virtio_device *d, unsigned index)
{
	(void)index;
	served_stop(&((struct rng *)d)->queue);
}

static void reset(struct virtio_device *d)
{
	(void)d;
}

static const struct virtio_device_ops rng_ops = {
	.name = "entropy",
	.id = VIRTIO_ID_RNG,
	.num_queues = 1,
	.queue_size_max = RNG_QUEUE_SIZE,
	.config_read = config_read,
	.config_write = config_write,
	.set_features = set_features,
	.queue_start = queue_start,
	.queue_stop = queue_stop,
	.reset = reset,
};

struct virtio_device *virtio_rng_new(struct loop *l)
{
	struct rng *r = xcalloc(1, sizeof(*r));

	r->d.ops = &rng_ops;
	r->d.loop = l;
	return &r->d;
}

void virtio_rng_free(struct virtio_device *d)
{
	free(d);
}
