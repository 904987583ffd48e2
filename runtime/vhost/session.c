/* session.c: the vhost-user protocol, the back end's side; see session.h. */
#include "runtime/vhost/session.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "runtime/base/cursor.h"
#include "runtime/base/fd.h"
#include "runtime/base/log.h"
#include "runtime/base/own.h"
#include "runtime/base/str.h"
#include "runtime/vhost/maps.h"
#include "runtime/vhost/proto.h"

/*
 * Theory of operation.
 *
 * The front end describes its memory (SET_MEM_TABLE) and each ring: size,
 * addresses in its own address space, where to go on, the two eventfds.
 * A ring runs once all of it is known and it is enabled; whatever changes
 * then, the ring is stopped, changed and started again if it still may run.
 * GET_VRING_BASE ends a ring's run. When that was the last ring, the guest
 * has reset the device (or stopped), and so do we.
 *
 * Requests are read into `buf` until one is whole, with the descriptors that
 * came along; dispatch goes by a table which also holds the payload's least
 * size. Any error ends the session: there is no way to make up for it.
 * Descriptors not taken by the handler are closed after it.
 */

struct vring {
	struct session *s;
	struct virtq q;
	uint64_t desc, avail, used; /* in the front end's address space */
	uint16_t num, next;
	int kick, call;
	bool has_addr, enabled, running;
};

struct region {
	uint64_t user; /* first address in the front end's address space */
	struct vhost_map *map;
};

struct session {
	struct loop *loop;
	struct virtio_device *d;
	struct vhost_maps *maps;
	struct loop_watch *watch;
	session_gone_fn *gone;
	void *gone_arg;
	int sock;
	bool has_config, started, over;
	uint64_t features, protocol;
	struct gmem mem;
	struct region region[GMEM_REGIONS_MAX];
	struct vring ring[VIRTIO_QUEUES_MAX];

	uint8_t buf[VU_HEADER_SIZE + VU_PAYLOAD_MAX];
	size_t have;
	int fds[VU_FDS_MAX];
	size_t nfds;
};

/* A request as its handler sees it. */
struct request {
	struct vu_header hdr;
	struct cur in;
	bool replied;
};

static void close_fds(struct session *s)
{
	for (size_t i = 0; i < s->nfds; i++)
		own_fd_(&s->fds[i]);
	s->nfds = 0;
}

static void session_over(struct session *s, const char *why)
{
	if (s->over)
		return;
	s->over = true;
	loop_del(s->watch);
	s->watch = NULL;
	s->gone(s->gone_arg, s, why);
}

static void device_broken(struct virtio_device *d, const char *why)
{
	session_over(d->transport, why);
}

/* ---- rings ---- */

static void ring_signal(struct virtq *q)
{
	const struct vring *r = q->signal_arg;
	uint64_t one = 1;
	ssize_t n;

	if (r->call < 0)
		return;
	do
		n = write(r->call, &one, sizeof(one));
	while (n < 0 && errno == EINTR);
}

/* The host address of [user, user + len) in the front end's address space, or NULL. */
static void *user_at(const struct session *s, uint64_t user, uint64_t len, uint64_t align)
{
	for (unsigned i = 0; i < s->mem.n; i++) {
		uint64_t off = user - s->region[i].user;

		if (user < s->region[i].user || off >= s->mem.r[i].size)
			continue;
		if (len > s->mem.r[i].size - off || ((uintptr_t)s->mem.r[i].host + off) % align)
			return NULL;
		return s->mem.r[i].host + off;
	}
	return NULL;
}

static void ring_stop(struct vring *r)
{
	struct session *s = r->s;

	if (!r->running)
		return;
	s->d->ops->queue_stop(s->d, (unsigned)(r - s->ring));
	r->next = r->q.next;
	r->running = false;
}

static int ring_start(struct vring *r, struct err *e)
{
	struct session *s = r->s;
	uint64_t n = r->num;
	int rc;

	if (r->running || !r->enabled || !r->has_addr || r->kick < 0 || n == 0)
		return 0;
	memset(&r->q, 0, sizeof(r->q));
	r->q.mem = &s->mem;
	r->q.size = r->num;
	r->q.desc = user_at(s, r->desc, 16 * n, 16);
	r->q.avail = user_at(s, r->avail, 6 + 2 * n, 2);
	r->q.used = user_at(s, r->used, 6 + 8 * n, 4);
	if (!r->q.desc || !r->q.avail || !r->q.used)
		return err_set(e, EPROTO, "a ring lies outside of guest memory");
	r->q.event_idx = s->features & VU_F_EVENT_IDX;
	r->q.next = r->next;
	r->q.kick_fd = r->kick;
	r->q.signal = ring_signal;
	r->q.signal_arg = r;
	virtq_init(&r->q);
	rc = s->d->ops->queue_start(s->d, (unsigned)(r - s->ring), &r->q, e);
	if (rc < 0)
		return rc;
	if (!s->started)
		log_step("kernel entered: its driver of the %s device is up", s->d->ops->name);
	r->running = s->started = true;
	return 0;
}

static bool any_running(const struct session *s)
{
	for (unsigned i = 0; i < s->d->ops->num_vhost_queues; i++) {
		if (s->ring[i].running)
			return true;
	}
	return false;
}

static int ring_of(struct session *s, uint32_t index, struct vring **r, struct err *e)
{
	if (index >= s->d->ops->num_vhost_queues)
		return err_set(e, EPROTO, "queue %u does not exist", index);
	*r = &s->ring[index];
	return 0;
}

/* ---- requests ---- */

static int reply(struct session *s, struct request *rq, const void *payload, uint32_t n,
		 struct err *e)
{
	uint8_t buf[VU_HEADER_SIZE + VU_PAYLOAD_MAX];
	struct wcur w = wcur_of(buf, sizeof(buf));
	ssize_t sent;

	wcur_u32(&w, rq->hdr.request);
	wcur_u32(&w, VU_FLAG_VERSION | VU_FLAG_REPLY);
	wcur_u32(&w, n);
	wcur_bytes(&w, payload, n);
	rq->replied = true;
	do
		sent = send(s->sock, buf, wcur_len(&w), MSG_NOSIGNAL | MSG_DONTWAIT);
	while (sent < 0 && errno == EINTR);
	if (sent < 0)
		return err_sys(e, "answering request %u", rq->hdr.request);
	if ((size_t)sent != wcur_len(&w))
		return err_set(e, EPROTO, "answering request %u: short write", rq->hdr.request);
	return 0;
}

static int reply_u64(struct session *s, struct request *rq, uint64_t v, struct err *e)
{
	return reply(s, rq, &v, sizeof(v), e);
}

static uint64_t offered_features(const struct session *s)
{
	return s->d->ops->features | VU_F_VERSION_1 | VU_F_INDIRECT_DESC | VU_F_EVENT_IDX |
	       VU_F_PROTOCOL_FEATURES;
}

static uint64_t offered_protocol(const struct session *s)
{
	return VU_PROTOCOL_F_MQ | VU_PROTOCOL_F_REPLY_ACK |
	       (s->has_config ? VU_PROTOCOL_F_CONFIG : 0);
}

static int get_features(struct session *s, struct request *rq, struct err *e)
{
	return reply_u64(s, rq, offered_features(s), e);
}

static int set_features(struct session *s, struct request *rq, struct err *e)
{
	uint64_t v = 0;

	cur_u64(&rq->in, &v);
	if (v & ~offered_features(s))
		return err_set(e, EPROTO, "features %#llx were not offered",
			       (unsigned long long)(v & ~offered_features(s)));
	s->features = v;
	if (s->d->ops->set_features)
		s->d->ops->set_features(s->d, v & ~VU_F_PROTOCOL_FEATURES);
	return 0;
}

static int get_protocol_features(struct session *s, struct request *rq, struct err *e)
{
	return reply_u64(s, rq, offered_protocol(s), e);
}

static int set_protocol_features(struct session *s, struct request *rq, struct err *e)
{
	cur_u64(&rq->in, &s->protocol);
	if (s->protocol & ~offered_protocol(s))
		return err_set(e, EPROTO, "protocol features were not offered");
	return 0;
}

static int get_queue_num(struct session *s, struct request *rq, struct err *e)
{
	return reply_u64(s, rq, s->d->ops->num_vhost_queues, e);
}

static int nothing(struct session *s, struct request *rq, struct err *e)
{
	(void)s, (void)rq, (void)e;
	return 0;
}

static void mem_drop(struct session *s)
{
	for (unsigned i = 0; i < s->mem.n; i++)
		vhost_map_put(s->maps, s->region[i].map);
	s->mem.n = 0;
}

static int mem_add(struct session *s, struct cur *in, int fd, struct err *e)
{
	struct gmem_region *g = &s->mem.r[s->mem.n];
	struct region *r = &s->region[s->mem.n];
	uint64_t offset;

	if (!cur_u64(in, &g->gpa) || !cur_u64(in, &g->size) || !cur_u64(in, &r->user) ||
	    !cur_u64(in, &offset))
		return err_set(e, EPROTO, "memory table is too short");
	if (g->size > UINT64_MAX - g->gpa || g->size > UINT64_MAX - r->user)
		return err_set(e, EPROTO, "memory region is out of range");
	r->map = vhost_map_get(s->maps, fd, offset, g->size, e);
	if (r->map == NULL)
		return -e->code;
	g->host = vhost_map_host(r->map);
	s->mem.n++;
	return 0;
}

static int set_mem_table(struct session *s, struct request *rq, struct err *e)
{
	uint32_t n = 0, padding = 0;
	int rc = 0;

	cur_u32(&rq->in, &n);
	cur_u32(&rq->in, &padding);
	if (n > VU_REGIONS_MAX || n != s->nfds)
		return err_set(e, EPROTO, "memory table with %u regions, %zu descriptors", n,
			       s->nfds);
	for (unsigned i = 0; i < s->d->ops->num_vhost_queues; i++)
		ring_stop(&s->ring[i]);
	mem_drop(s);
	for (uint32_t i = 0; i < n && rc == 0; i++)
		rc = mem_add(s, &rq->in, s->fds[i], e);
	for (unsigned i = 0; i < s->d->ops->num_vhost_queues && rc == 0; i++)
		rc = ring_start(&s->ring[i], e);
	return rc;
}

/* Most ring requests: a pair of numbers. */
static int ring_state(struct session *s, struct request *rq, struct vring **r, uint32_t *num,
		      struct err *e)
{
	uint32_t index = 0;

	cur_u32(&rq->in, &index);
	cur_u32(&rq->in, num);
	return ring_of(s, index, r, e);
}

static int set_vring_num(struct session *s, struct request *rq, struct err *e)
{
	struct vring *r = NULL;
	uint32_t num = 0;
	int rc = ring_state(s, rq, &r, &num, e);

	if (rc < 0)
		return rc;
	if (num == 0 || num > s->d->ops->queue_size_max || (num & (num - 1)))
		return err_set(e, EPROTO, "queue size %u", num);
	ring_stop(r);
	r->num = (uint16_t)num;
	return ring_start(r, e);
}

static int set_vring_base(struct session *s, struct request *rq, struct err *e)
{
	struct vring *r = NULL;
	uint32_t num = 0;
	int rc = ring_state(s, rq, &r, &num, e);

	if (rc < 0)
		return rc;
	ring_stop(r);
	r->next = (uint16_t)num;
	return ring_start(r, e);
}

static int set_vring_enable(struct session *s, struct request *rq, struct err *e)
{
	struct vring *r = NULL;
	uint32_t num = 0;
	int rc = ring_state(s, rq, &r, &num, e);

	if (rc < 0)
		return rc;
	r->enabled = num;
	if (!r->enabled)
		ring_stop(r);
	return ring_start(r, e);
}

static int get_vring_base(struct session *s, struct request *rq, struct err *e)
{
	struct vring *r = NULL;
	uint32_t num, answer[2];
	int rc = ring_state(s, rq, &r, &num, e);

	if (rc < 0)
		return rc;
	ring_stop(r);
	own_fd_(&r->kick);
	r->kick = -1;
	if (s->started && !any_running(s)) {
		s->started = false;
		if (s->d->ops->reset)
			s->d->ops->reset(s->d);
	}
	answer[0] = (uint32_t)(r - s->ring);
	answer[1] = r->next;
	return reply(s, rq, answer, sizeof(answer), e);
}

static int set_vring_addr(struct session *s, struct request *rq, struct err *e)
{
	uint32_t index = 0, flags = 0;
	struct vring *r = NULL;
	int rc;

	cur_u32(&rq->in, &index);
	cur_u32(&rq->in, &flags);
	rc = ring_of(s, index, &r, e);
	if (rc < 0)
		return rc;
	ring_stop(r);
	cur_u64(&rq->in, &r->desc);
	cur_u64(&rq->in, &r->used);
	cur_u64(&rq->in, &r->avail);
	r->has_addr = true;
	return ring_start(r, e);
}

/* The descriptor of SET_VRING_KICK, _CALL and _ERR, or -1. */
static int ring_fd(struct session *s, struct request *rq, struct vring **r, int *fd, struct err *e)
{
	uint64_t v = 0;
	int rc;

	cur_u64(&rq->in, &v);
	rc = ring_of(s, v & VU_RING_MASK, r, e);
	if (rc < 0)
		return rc;
	if (s->nfds != ((v & VU_RING_NOFD) ? 0 : 1))
		return err_set(e, EPROTO, "request %u with %zu descriptors", rq->hdr.request,
			       s->nfds);
	*fd = s->nfds ? s->fds[0] : -1;
	s->nfds = 0;
	return 0;
}

static int set_vring_kick(struct session *s, struct request *rq, struct err *e)
{
	struct vring *r = NULL;
	int fd, rc = ring_fd(s, rq, &r, &fd, e);

	if (rc < 0)
		return rc;
	ring_stop(r);
	own_fd_(&r->kick);
	r->kick = fd;
	return ring_start(r, e);
}

static int set_vring_call(struct session *s, struct request *rq, struct err *e)
{
	struct vring *r = NULL;
	int fd, rc = ring_fd(s, rq, &r, &fd, e);

	if (rc < 0)
		return rc;
	/* A write to a full eventfd must not block: one unread count is enough. */
	if (fd >= 0)
		fd_set_nonblock(fd, true);
	ring_stop(r); /* another thread may be writing to it */
	own_fd_(&r->call);
	r->call = fd;
	return ring_start(r, e);
}

static int set_vring_err(struct session *s, struct request *rq, struct err *e)
{
	struct vring *r = NULL;
	int fd, rc = ring_fd(s, rq, &r, &fd, e);

	if (rc == 0)
		own_fd_(&fd);
	return rc;
}

static int config_range(struct request *rq, uint32_t *off, uint32_t *size, struct err *e)
{
	uint32_t flags;

	cur_u32(&rq->in, off);
	cur_u32(&rq->in, size);
	cur_u32(&rq->in, &flags);
	if (*size > VU_CONFIG_MAX || *off > VU_CONFIG_MAX - *size || *size > cur_left(&rq->in))
		return err_set(e, EPROTO, "config space: offset %u, size %u", *off, *size);
	return 0;
}

static int get_config(struct session *s, struct request *rq, struct err *e)
{
	uint8_t buf[VU_CONFIG_HEAD + VU_CONFIG_MAX];
	struct wcur w = wcur_of(buf, sizeof(buf));
	uint32_t off = 0, size = 0;
	int rc = config_range(rq, &off, &size, e);

	if (rc < 0)
		return rc;
	wcur_u32(&w, off);
	wcur_u32(&w, size);
	wcur_u32(&w, 0);
	memset(w.p, 0, size);
	if (s->d->ops->config_read)
		s->d->ops->config_read(s->d, off, w.p, size);
	return reply(s, rq, buf, VU_CONFIG_HEAD + size, e);
}

static int set_config(struct session *s, struct request *rq, struct err *e)
{
	uint32_t off = 0, size = 0;
	int rc = config_range(rq, &off, &size, e);

	if (rc == 0 && s->d->ops->config_write)
		s->d->ops->config_write(s->d, off, rq->in.p, size);
	return rc;
}

static const struct {
	int (*fn)(struct session *s, struct request *rq, struct err *e);
	uint32_t least;
} requests[VU_REQUESTS] = {
	[VU_GET_FEATURES] = { get_features, 0 },
	[VU_SET_FEATURES] = { set_features, 8 },
	[VU_SET_OWNER] = { nothing, 0 },
	[VU_RESET_OWNER] = { nothing, 0 },
	[VU_SET_MEM_TABLE] = { set_mem_table, VU_MEM_HEAD },
	[VU_SET_VRING_NUM] = { set_vring_num, VU_VRING_STATE },
	[VU_SET_VRING_ADDR] = { set_vring_addr, VU_VRING_ADDR },
	[VU_SET_VRING_BASE] = { set_vring_base, VU_VRING_STATE },
	[VU_GET_VRING_BASE] = { get_vring_base, VU_VRING_STATE },
	[VU_SET_VRING_KICK] = { set_vring_kick, 8 },
	[VU_SET_VRING_CALL] = { set_vring_call, 8 },
	[VU_SET_VRING_ERR] = { set_vring_err, 8 },
	[VU_GET_PROTOCOL_FEATURES] = { get_protocol_features, 0 },
	[VU_SET_PROTOCOL_FEATURES] = { set_protocol_features, 8 },
	[VU_GET_QUEUE_NUM] = { get_queue_num, 0 },
	[VU_SET_VRING_ENABLE] = { set_vring_enable, VU_VRING_STATE },
	[VU_GET_CONFIG] = { get_config, VU_CONFIG_HEAD },
	[VU_SET_CONFIG] = { set_config, VU_CONFIG_HEAD },
};

static int dispatch(struct session *s, const struct vu_header *hdr, struct err *e)
{
	struct request rq = { .hdr = *hdr, .in = cur_of(s->buf + VU_HEADER_SIZE, hdr->size) };
	int rc;

	if (hdr->request >= VU_REQUESTS || requests[hdr->request].fn == NULL)
		return err_set(e, EPROTO, "unknown request %u", hdr->request);
	if (hdr->size < requests[hdr->request].least)
		return err_set(e, EPROTO, "request %u with %u bytes", hdr->request, hdr->size);
	rc = requests[hdr->request].fn(s, &rq, e);
	if (rc < 0)
		return rc;
	if ((hdr->flags & VU_FLAG_NEED_REPLY) && (s->protocol & VU_PROTOCOL_F_REPLY_ACK) &&
	    !rq.replied)
		return reply_u64(s, &rq, 0, e);
	return 0;
}

/* ---- the socket ---- */

static int take_fds(struct session *s, struct msghdr *msg, struct err *e)
{
	bool too_many = msg->msg_flags & MSG_CTRUNC;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
			if (s->nfds < VU_FDS_MAX) {
				s->fds[s->nfds++] = fd;
			} else {
				close(fd);
				too_many = true;
			}
		}
	}
	return too_many ? err_set(e, EPROTO, "too many descriptors") : 0;
}

/* Reads towards `want` bytes in buf. 1: they are there; 0: not yet; -EPIPE: end of file. */
static int fill(struct session *s, size_t want, struct err *e)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(VU_FDS_MAX * sizeof(int))];
	} control;

	while (s->have < want) {
		struct iovec iov = { s->buf + s->have, want - s->have };
		struct msghdr msg = { .msg_iov = &iov,
				      .msg_iovlen = 1,
				      .msg_control = &control,
				      .msg_controllen = sizeof(control) };
		ssize_t n = recvmsg(s->sock, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return 0;
		if (n == 0 || (n < 0 && errno == ECONNRESET))
			return -EPIPE;
		if (n < 0)
			return err_sys(e, "reading a request");
		s->have += (size_t)n;
		if (take_fds(s, &msg, e) < 0)
			return -EPROTO;
	}
	return 1;
}

/* 1: one request was served; 0: none is whole; < 0: over (-EPIPE: end of file). */
static int serve(struct session *s, struct err *e)
{
	struct vu_header hdr;
	int rc = fill(s, VU_HEADER_SIZE, e);

	if (rc <= 0)
		return rc;
	memcpy(&hdr, s->buf, sizeof(hdr));
	if ((hdr.flags & VU_FLAG_VERSION_MASK) != VU_FLAG_VERSION || hdr.size > VU_PAYLOAD_MAX)
		return err_set(e, EPROTO, "malformed request");
	rc = fill(s, VU_HEADER_SIZE + hdr.size, e);
	if (rc <= 0)
		return rc;
	rc = dispatch(s, &hdr, e);
	close_fds(s);
	s->have = 0;
	return rc < 0 ? rc : 1;
}

static void readable(void *arg, uint32_t events)
{
	struct session *s = arg;
	struct err e = ERR_INIT;
	int rc;

	(void)events;
	do
		rc = serve(s, &e);
	while (rc > 0 && !s->over);
	if (rc < 0)
		session_over(s, rc == -EPIPE ? NULL : e.msg);
}

struct session *session_new(struct loop *l, int sock, struct virtio_device *d, bool has_config,
			    struct vhost_maps *maps, session_gone_fn *gone, void *arg,
			    struct err *e)
{
	struct session *s = xcalloc(1, sizeof(*s));

	s->loop = l;
	s->d = d;
	s->maps = maps;
	s->gone = gone;
	s->gone_arg = arg;
	s->sock = sock;
	s->has_config = has_config;
	for (unsigned i = 0; i < VIRTIO_QUEUES_MAX; i++) {
		s->ring[i].s = s;
		s->ring[i].kick = s->ring[i].call = -1;
	}
	s->watch = loop_add(l, sock, EPOLLIN, readable, s, e);
	if (s->watch == NULL) {
		session_free(s);
		return NULL;
	}
	d->broken = device_broken;
	d->transport = s;
	return s;
}

void session_free(struct session *s)
{
	if (s == NULL)
		return;
	s->over = true;
	loop_del(s->watch);
	for (unsigned i = 0; i < s->d->ops->num_vhost_queues; i++) {
		ring_stop(&s->ring[i]);
		own_fd_(&s->ring[i].kick);
		own_fd_(&s->ring[i].call);
	}
	s->d->broken = NULL;
	s->d->transport = NULL;
	mem_drop(s);
	close_fds(s);
	own_fd_(&s->sock);
	free(s);
}

const char *session_device_name(const struct session *s)
{
	return s->d->ops->name;
}
