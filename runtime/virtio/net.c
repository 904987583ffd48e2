/* net.c: the network device: a network engine behind queues; see net.h. */
#include "runtime/virtio/net.h"

#include <errno.h>
#include <linux/virtio_net.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "runtime/base/str.h"
#include "runtime/virtio/worker.h"

/*
 * Theory of operation.
 *
 * The worker's thread goes round: it takes what the guest has sent (at most
 * TURN frames), waits for the host's sockets, for the guest and for being
 * told to park, and lets the engine look at its sockets.
 *
 * A frame for the guest goes straight into its receive queue. When that has
 * no room, the frame is late: it is kept, and until all late frames are
 * delivered the engine is not called at all, so that no more of them come up
 * and the data stays in the host's sockets, where it holds the senders up.
 * What one call brings beyond LATE_MAX is lost, as it may be on any network.
 *
 * The guest's frames are copied before anybody looks at them: the guest could
 * change them meanwhile.
 */

enum { RX, TX, NET_QUEUES };

#define QUEUE_SIZE 1024U
#define NS_PER_MS  1000000L
#define TURN	   64U
#define LATE_MAX   (1U << 20)
#define HEADER_LEN sizeof(struct virtio_net_hdr_v1)
/* Most buffers that one frame is put into: Linux's hold 1.5 KiB at the least. */
#define MERGED_MAX 64U

/* virtio 1.2, 5.1.4 */
struct net_space {
	uint8_t mac[NET_MAC_LEN];
	uint16_t status, pairs, mtu;
} __attribute__((packed));

struct net_dev {
	struct virtio_device d;
	struct worker worker;
	struct net *net;
	struct net_space space;
	uint64_t features;
	struct virtq *q[NET_QUEUES];
	bool bad;	     /* the guest broke the rules of a queue */
	uint8_t *late;	     /* LATE_MAX bytes: lengths and frames; NULL until needed */
	size_t late_at, end; /* of what is late */
	uint8_t frame[NET_FRAME_MAX];
	struct virtq_chain chain[NET_QUEUES]; /* a frame of the guest's may bring one for it */
};

static bool has(const struct net_dev *n, unsigned feature)
{
	return n->features >> feature & 1;
}

/* --- to the guest */

/* A frame on its way into one chain or several. */
struct delivery {
	const uint8_t *frame;
	size_t len, done; /* with the header in front */
	struct virtio_net_hdr_v1 hdr;
	unsigned n;
	uint16_t head[MERGED_MAX];
	uint32_t written[MERGED_MAX];
	uint8_t *count[2]; /* where the header's num_buffers lies */
};

static void put_segment(struct delivery *v, uint8_t *to, size_t room)
{
	const size_t at = offsetof(struct virtio_net_hdr_v1, num_buffers);

	while (v->done < HEADER_LEN && room) {
		if (v->done >= at)
			v->count[v->done - at] = to;
		*to++ = ((const uint8_t *)&v->hdr)[v->done++];
		room--;
	}
	if (room > v->len - v->done)
		room = v->len - v->done;
	memcpy(to, v->frame + (v->done - HEADER_LEN), room);
	v->done += room;
}

static void put_chain(struct delivery *v, const struct virtq_chain *c)
{
	size_t before = v->done;

	for (unsigned i = 0; i < c->nin && v->done < v->len; i++)
		put_segment(v, c->in[i].iov_base, c->in[i].iov_len);
	v->head[v->n] = c->head;
	v->written[v->n++] = (uint32_t)(v->done - before);
}

/* 1: it is with the guest, or lost; 0: there is no room; -EPROTO. */
static int deliver(struct net_dev *n, const uint8_t *frame, size_t len)
{
	struct virtq *q = n->q[RX];
	struct delivery v = { .frame = frame, .len = len + HEADER_LEN };
	unsigned most = has(n, VIRTIO_NET_F_MRG_RXBUF) ? MERGED_MAX : 1;
	int r = 1;

	if (q == NULL)
		return 1;
	if (has(n, VIRTIO_NET_F_GUEST_CSUM))
		v.hdr.flags = VIRTIO_NET_HDR_F_DATA_VALID;
	while (v.done < v.len && v.n < most) {
		r = virtq_pop(q, &n->chain[RX]);
		if (r <= 0)
			break;
		if (n->chain[RX].nout || n->chain[RX].in_len < HEADER_LEN)
			return -EPROTO;
		put_chain(&v, &n->chain[RX]);
	}
	if (r < 0)
		return r;
	if (v.done < v.len) {
		for (unsigned i = 0; i < v.n; i++)
			virtq_unpop(q);
		return r == 0 ? 0 : 1; /* too large for this guest's buffers: lost */
	}
	*v.count[0] = (uint8_t)v.n;
	*v.count[1] = 0;
	for (unsigned i = 0; i < v.n; i++)
		virtq_push(q, v.head[i], v.written[i]);
	return 1;
}

static bool is_late(const struct net_dev *n)
{
	return n->end > n->late_at;
}

static void keep(struct net_dev *n, const uint8_t *frame, uint32_t len)
{
	if (n->late == NULL)
		n->late = xmalloc(LATE_MAX);
	if (len + sizeof(len) > LATE_MAX - n->end)
		return;
	memcpy(n->late + n->end, &len, sizeof(len));
	memcpy(n->late + n->end + sizeof(len), frame, len);
	n->end += len + sizeof(len);
}

/* The engine's net_output_fn. */
static void output(void *arg, const uint8_t *frame, size_t len)
{
	struct net_dev *n = arg;
	int r = is_late(n) ? 0 : deliver(n, frame, len);

	if (r < 0)
		n->bad = true;
	else if (r == 0)
		keep(n, frame, (uint32_t)len);
}

/* As many of the late frames as there is room for. */
static int deliver_late(struct net_dev *n)
{
	bool asked = false; /* for a kick, since there was last no room */

	while (is_late(n)) {
		uint32_t len;
		int r;

		memcpy(&len, n->late + n->late_at, sizeof(len));
		r = deliver(n, n->late + n->late_at + sizeof(len), len);
		if (r < 0)
			return r;
		if (r > 0)
			n->late_at += sizeof(len) + len;
		else if (asked)
			break;
		asked = r == 0;
		if (asked)
			virtq_want_kick(n->q[RX], true);
	}
	if (!is_late(n))
		n->late_at = n->end = 0;
	return 0;
}

/* --- from the guest */

/* Copies `n` bytes of what is readable, past the first `skip`. */
static void gather(const struct virtq_chain *c, size_t skip, uint8_t *to, size_t n)
{
	for (unsigned i = 0; i < c->nout && n; i++) {
		size_t len = c->out[i].iov_len;

		if (skip >= len) {
			skip -= len;
			continue;
		}
		len = len - skip < n ? len - skip : n;
		gmem_copy(to, (const uint8_t *)c->out[i].iov_base + skip, len);
		to += len;
		n -= len;
		skip = 0;
	}
}

/* The internet checksum (RFC 1071) of n bytes, in the order they have in memory. */
static uint16_t checksum(const uint8_t *p, size_t n)
{
	uint64_t sum = 0;

	for (; n >= sizeof(uint32_t); p += sizeof(uint32_t), n -= sizeof(uint32_t)) {
		uint32_t word;

		memcpy(&word, p, sizeof(word));
		sum += word;
	}
	for (unsigned i = 0; i < n; i++)
		sum += (uint64_t)p[i] << 8 * (i & 1);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

/* The checksum that the guest has left to us (virtio 1.2, 5.1.6.2). */
static bool complete(uint8_t *frame, size_t len, const struct virtio_net_hdr_v1 *h)
{
	size_t start = h->csum_start, at = start + h->csum_offset;
	uint16_t sum;

	if (!(h->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM))
		return true;
	if (start > len || at > len || len - at < sizeof(sum))
		return false;
	sum = checksum(frame + start, len - start);
	if (sum == 0)
		sum = 0xffff; /* none at all, to UDP; to TCP it is the same */
	memcpy(frame + at, &sum, sizeof(sum));
	return true;
}

/* 1, also for what is dropped; -EPROTO. */
static int take_frame(struct net_dev *n, const struct virtq_chain *c)
{
	struct virtio_net_hdr_v1 h;
	size_t len;

	if (c->nin || c->out_len < HEADER_LEN)
		return -EPROTO;
	len = c->out_len - HEADER_LEN;
	if (len > sizeof(n->frame))
		return 1;
	gather(c, 0, (uint8_t *)&h, sizeof(h));
	gather(c, HEADER_LEN, n->frame, len);
	if (h.gso_type == VIRTIO_NET_HDR_GSO_NONE && complete(n->frame, len, &h))
		net_input(n->net, n->frame, len);
	return 1;
}

/* 1: the turn ended, maybe with frames left; 0: none is left, a kick will tell; -EPROTO. */
static int take_frames(struct net_dev *n)
{
	struct virtq *q = n->q[TX];
	bool asked = false; /* for a kick, since the queue was last seen empty */
	int r = 1;

	if (q == NULL)
		return 0;
	for (unsigned i = 0; i < TURN && !is_late(n) && !worker_stopping(&n->worker); i++) {
		r = virtq_pop(q, &n->chain[TX]);
		if (r == 0 && !asked) {
			virtq_want_kick(q, true);
			asked = true;
			r = 1;
			continue;
		}
		if (r > 0)
			r = take_frame(n, &n->chain[TX]);
		if (r <= 0)
			break;
		virtq_push(q, n->chain[TX].head, 0);
		asked = false;
	}
	virtq_notify(q);
	return r;
}

/* --- the thread */

/* Waits for something to do, and lets the engine do its part. False: it is to park. */
static bool wait_and_turn(struct net_dev *n, bool hurry)
{
	enum { STOP, KICK, OURS };
	struct virtq *q = n->q[is_late(n) ? RX : TX];
	struct pollfd own[OURS], *fds = own;
	struct timespec limit;
	int timeout = -1;
	size_t nfds = OURS;
	uint64_t count;

	if (!is_late(n))
		nfds = net_wait(n->net, OURS, &fds, &timeout);
	fds[STOP] = (struct pollfd){ .fd = n->worker.stop, .events = POLLIN };
	fds[KICK] = (struct pollfd){ .fd = q ? q->kick_fd : -1, .events = POLLIN };
	timeout = hurry ? 0 : timeout;
	limit = (struct timespec){ timeout / 1000, timeout % 1000 * NS_PER_MS };
	/* not poll: after the process was stopped, that goes on by a call of another number */
	if (ppoll(fds, nfds, timeout < 0 ? NULL : &limit, NULL) < 0)
		return true;
	if (fds[STOP].revents)
		return false;
	if (fds[KICK].revents && read(q->kick_fd, &count, sizeof(count)) < 0)
		return true; /* somebody else's wake-up */
	if (!is_late(n))
		net_turn(n->net);
	return true;
}

static void serve(struct virtio_device *d)
{
	struct net_dev *n = (struct net_dev *)d;
	int r;

	do {
		r = deliver_late(n);
		if (r == 0 && !is_late(n))
			r = take_frames(n);
		if (n->q[RX])
			virtq_notify(n->q[RX]);
		if (r < 0 || n->bad) {
			worker_failed(&n->worker);
			return;
		}
	} while (wait_and_turn(n, r > 0 && !is_late(n)));
}

static const struct worker_ops worker_ops = { .serve = serve };

/* --- the device */

static void go_on(struct net_dev *n)
{
	if (n->q[RX] || n->q[TX])
		worker_go_on(&n->worker);
}

static int queue_start(struct virtio_device *d, unsigned index, struct virtq *q, struct err *e)
{
	struct net_dev *n = (struct net_dev *)d;

	(void)e;
	worker_park(&n->worker);
	n->q[index] = q;
	n->bad = false;
	virtq_want_kick(q, index == TX);
	go_on(n);
	return 0;
}

static void queue_stop(struct virtio_device *d, unsigned index)
{
	struct net_dev *n = (struct net_dev *)d;

	if (n->q[index] == NULL)
		return;
	worker_park(&n->worker);
	n->q[index] = NULL;
	if (index == RX)
		n->late_at = n->end = 0;
	go_on(n);
}

static void set_features(struct virtio_device *d, uint64_t features)
{
	((struct net_dev *)d)->features = features; /* no queue runs yet */
}

static void config_read(struct virtio_device *d, uint32_t off, void *buf, uint32_t len)
{
	const struct net_dev *n = (const struct net_dev *)d;

	memset(buf, 0, len);
	if (off >= sizeof(n->space))
		return;
	if (len > sizeof(n->space) - off)
		len = (uint32_t)sizeof(n->space) - off;
	memcpy(buf, (const uint8_t *)&n->space + off, len);
}

static const struct virtio_device_ops net_ops = {
	.name = "net",
	.id = VIRTIO_ID_NET,
	.num_queues = NET_QUEUES,
	.num_vhost_queues = NET_QUEUES,
	.queue_size_max = QUEUE_SIZE,
	.features = 1ULL << VIRTIO_NET_F_MAC | 1ULL << VIRTIO_NET_F_MTU |
		    1ULL << VIRTIO_NET_F_CSUM | 1ULL << VIRTIO_NET_F_GUEST_CSUM |
		    1ULL << VIRTIO_NET_F_MRG_RXBUF,
	.config_read = config_read,
	.set_features = set_features,
	.queue_start = queue_start,
	.queue_stop = queue_stop,
};

struct virtio_device *virtio_net_new(struct loop *l, const uint8_t mac[NET_MAC_LEN],
				     const struct net_config *conf, const struct confine *c,
				     struct err *e)
{
	struct net_dev *n = xcalloc(1, sizeof(*n));

	n->d.ops = &net_ops;
	n->d.loop = l;
	memcpy(n->space.mac, mac, NET_MAC_LEN);
	n->space.mtu = NET_MTU;
	n->net = net_new(conf, output, n, e);
	if (n->net == NULL || worker_start(&n->worker, &n->d, &worker_ops, c, e) < 0) {
		virtio_net_free(&n->d);
		return NULL;
	}
	return &n->d;
}

void virtio_net_free(struct virtio_device *d)
{
	struct net_dev *n = (struct net_dev *)d;

	if (n == NULL)
		return;
	if (n->worker.d)
		worker_end(&n->worker);
	net_free(n->net);
	free(n->late);
	free(n);
}

static const struct confine_call calls[] = {
	CONFINE_CALL(ppoll),
	CONFINE_CALL(read),
	CONFINE_CALL(write),
	CONFINE_CALL(futex),
	CONFINE_RARE(clock_gettime, "where the clock cannot be read without a call"),
	/* the end */
	CONFINE_CALL(madvise),
	CONFINE_CALL(rt_sigprocmask),
	CONFINE_CALL(exit),
	CONFINE_ALLOCATING,
	CONFINE_ABORTING,
};

const struct confine_list virtio_net_calls = { calls, sizeof(calls) / sizeof(calls[0]) };
