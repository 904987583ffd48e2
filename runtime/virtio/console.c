/* console.c: the console device; see console.h. */
#include "runtime/virtio/console.h"

#include <stdlib.h>
#include <unistd.h>

#include "runtime/base/str.h"
#include "runtime/virtio/served.h"

enum { RECEIVE, TRANSMIT, CONSOLE_QUEUES };

/* Linux has one write on its way at a time, and fills the receive queue with a page for each slot.
 */
#define CONSOLE_QUEUE_SIZE 2

struct console {
	struct virtio_device d;
	struct served_queue queue;
	struct virtq_chain chain;
	int fd;
	size_t left;
};

/* What cannot be written is nobody's error: the disk is full, or the guest too talkative. */
static ssize_t serve(struct virtio_device *d, unsigned index, struct virtq_chain *c)
{
	struct console *s = (struct console *)d;

	(void)index;
	if (c->nin)
		return -1;
	for (unsigned i = 0; i < c->nout && s->left; i++) {
		size_t want = c->out[i].iov_len < s->left ? c->out[i].iov_len : s->left;
		ssize_t n = write(s->fd, c->out[i].iov_base, want);

		if (n < 0)
			break;
		s->left -= (size_t)n;
	}
	return 0;
}

/* There is no input: what the driver offers room for stays in the receive queue. */
static int queue_start(struct virtio_device *d, unsigned index, struct virtq *q, struct err *e)
{
	struct console *s = (struct console *)d;

	return index == TRANSMIT ? served_start(&s->queue, d, index, q, &s->chain, serve, e) : 0;
}

static void queue_stop(struct virtio_device *d, unsigned index)
{
	if (index == TRANSMIT)
		served_stop(&((struct console *)d)->queue);
}

static const struct virtio_device_ops console_ops = {
	.name = "console",
	.id = VIRTIO_ID_CONSOLE,
	.num_queues = CONSOLE_QUEUES,
	.queue_size_max = CONSOLE_QUEUE_SIZE,
	.queue_start = queue_start,
	.queue_stop = queue_stop,
};

struct virtio_device *virtio_console_new(struct loop *l, int fd)
{
	struct console *s = xcalloc(1, sizeof(*s));

	s->d.ops = &console_ops;
	s->d.loop = l;
	s->fd = fd;
	s->left = VIRTIO_CONSOLE_MAX;
	return &s->d;
}

void virtio_console_free(struct virtio_device *d)
{
	if (d == NULL)
		return;
	close(((struct console *)d)->fd);
	free(d);
}
