/* rng.c: the entropy device; see rng.h. */
#include "runtime/virtio/rng.h"

#include <stdlib.h>

#include "runtime/base/str.h"
#include "runtime/virtio/served.h"

#define RNG_QUEUE_SIZE 16
/* Most bytes given at once; a guest that asks for more gets its answer in parts. */
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

static const struct virtio_device_ops rng_ops = {
	.name = "entropy",
	.id = VIRTIO_ID_RNG,
	.num_queues = 1,
	.queue_size_max = RNG_QUEUE_SIZE,
	.queue_start = queue_start,
	.queue_stop = queue_stop,
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
