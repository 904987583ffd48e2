/* bounce.c: copies of the segments that lie in a window of files; see bounce.h. */
#include "runtime/virtio/bounce.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "runtime/base/str.h"

/* A writable segment; guest: NULL where it is not in the window. */
struct bounce_seg {
	void *guest, *copy;
	size_t len;
};

struct virtq_bounce {
	struct virtq_bounce *next;
	uint16_t head;
	uint16_t at; /* the queue's `next` when the chain was popped */
	size_t bytes;
	uint8_t *copies;
	unsigned nin;
	struct bounce_seg in[];
};

typedef ssize_t move_fn(pid_t pid, const struct iovec *local, unsigned long nlocal,
			const struct iovec *remote, unsigned long nremote, unsigned long flags);

/* All of it or nothing: a page that is not there ends the transfer short. */
static int move(move_fn *fn, void *copy, void *guest, size_t len)
{
	struct iovec local = { copy, len }, remote = { guest, len };

	return fn(getpid(), &local, 1, &remote, 1, 0) == (ssize_t)len ? 0 : -EFAULT;
}

static void bounce_free(struct virtq *q, struct virtq_bounce **at)
{
	struct virtq_bounce *b = *at;

	*at = b->next;
	q->bounced_bytes -= b->bytes;
	free(b->copies);
	free(b);
}

int bounce_begin(struct virtq *q, struct virtq_chain *c)
{
	struct virtq_bounce *b;
	size_t bytes = 0;
	uint8_t *to;

	for (unsigned i = 0; i < c->nout + c->nin; i++) {
		if (!c->window[i])
			continue;
		if (c->seg[i].iov_len > VIRTQ_BOUNCE_MAX - bytes)
			return -EPROTO;
		bytes += c->seg[i].iov_len;
	}
	if (bytes > VIRTQ_BOUNCE_MAX - q->bounced_bytes)
		return -EPROTO;
	b = xcalloc(1, sizeof(*b) + c->nin * sizeof(b->in[0]));
	/* zeros: what a device leaves out must not be the holder's memory */
	b->copies = to = xcalloc(1, bytes);
	b->head = c->head;
	b->at = q->next;
	b->bytes = bytes;
	b->next = q->bounced;
	q->bounced = b;
	q->bounced_bytes += bytes;
	for (unsigned i = 0; i < c->nout + c->nin; i++) {
		struct iovec *v = &c->seg[i];
		void *guest = c->window[i] ? v->iov_base : NULL;

		if (guest) {
			v->iov_base = to;
			to += v->iov_len;
		}
		if (i >= c->nout)
			b->in[b->nin++] = (struct bounce_seg){ guest, v->iov_base, v->iov_len };
		else if (guest && move(process_vm_readv, v->iov_base, guest, v->iov_len) < 0)
			return -EPROTO;
	}
	return 0;
}

void bounce_end(struct virtq *q, uint16_t head, uint32_t written)
{
	struct virtq_bounce **at = &q->bounced, *b;
	size_t left = written;

	while (*at && (*at)->head != head)
		at = &(*at)->next;
	b = *at;
	if (b == NULL)
		return;
	for (unsigned i = 0; i < b->nin && left; i++) {
		size_t n = b->in[i].len < left ? b->in[i].len : left;

		if (b->in[i].guest && move(process_vm_writev, b->in[i].copy, b->in[i].guest, n) < 0)
			q->broken = true;
		left -= n;
	}
	bounce_free(q, at);
}

void bounce_unpop(struct virtq *q)
{
	if (q->bounced->at == q->next)
		bounce_free(q, &q->bounced);
}

void virtq_stop(struct virtq *q)
{
	while (q->bounced)
		bounce_free(q, &q->bounced);
}
