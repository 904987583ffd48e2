/* vsock_priv.h: what vsock.c (queues, packets) and vsock_conn.c (connections) share. */
#ifndef ZL_VIRTIO_VSOCK_PRIV_H
#define ZL_VIRTIO_VSOCK_PRIV_H

#include <sys/queue.h>

#include "runtime/virtio/vsock.h"

#define VSOCK_HOST_CID 2
/* The first of the ports our own dials come from. */
#define VSOCK_PORT_FIRST 0x40000000U
#define VSOCK_BUCKETS	 2048U
/* The first may have VSOCK_BUF_SIZE waiting, those beyond less: 53 MiB in all at worst. */
#define VSOCK_BIG_CONNS	 64U
#define VSOCK_BUF_SMALL	 (32U << 10)
#define VSOCK_MANY_CONNS 384U
#define VSOCK_BUF_LEAST	 (4U << 10)
/* Answers to packets of no connection that may wait before the guest has to. */
#define VSOCK_STRAY_RESETS 128U
#define VSOCK_RESETS	   (VSOCK_CONNS_MAX + VSOCK_STRAY_RESETS)

/* virtio 1.2, 5.10.6 */
#define VSOCK_TYPE_STREAM   1U
#define VSOCK_SHUTDOWN_RCV  1U
#define VSOCK_SHUTDOWN_SEND 2U

enum vsock_op {
	VSOCK_OP_INVALID,
	VSOCK_OP_REQUEST,
	VSOCK_OP_RESPONSE,
	VSOCK_OP_RST,
	VSOCK_OP_SHUTDOWN,
	VSOCK_OP_RW,
	VSOCK_OP_CREDIT_UPDATE,
	VSOCK_OP_CREDIT_REQUEST,
};

struct vsock_hdr {
	uint64_t src_cid, dst_cid;
	uint32_t src_port, dst_port, len;
	uint16_t type, op;
	uint32_t flags, buf_alloc, fwd_cnt;
} __attribute__((packed));

enum vsock_state {
	VSOCK_CONNECTING, /* we dialled; waits for RESPONSE or RST */
	VSOCK_OPEN,
	VSOCK_DRAINING, /* the guest is gone in good order; kept data is still to be taken */
	VSOCK_DEAD,	/* closed was called; freed when no call is on the stack */
};

/* Control packets waiting for room in the guest's rx queue: one bit each, never a list. */
#define VSOCK_PEND_REQUEST  (1U << 0)
#define VSOCK_PEND_RESPONSE (1U << 1)
#define VSOCK_PEND_CREDIT   (1U << 2)

struct vsock_conn {
	struct vsock_dev *dev;
	const struct vsock_conn_ops *ops;
	void *arg;
	enum vsock_state state;
	uint32_t host_port, guest_port;
	bool hashed, on_send, on_resume;
	TAILQ_ENTRY(vsock_conn) hash_link, send_link, resume_link, all_link;
	unsigned pend;

	/* guest -> host */
	uint32_t buf_alloc, fwd_cnt, told_fwd_cnt;
	uint8_t *kept; /* a ring of buf_alloc bytes, only while there is something in it */
	uint32_t kept_off, kept_len;
	bool guest_ended; /* SHUTDOWN_SEND came: nothing follows */
	bool eof_told;

	/* host -> guest */
	uint32_t peer_alloc, peer_fwd_cnt, tx_cnt;
	uint8_t *out; /* vsock_send's bytes [out_off, out_len) */
	size_t out_off, out_len, out_cap;
	bool want_pull;
	bool ending;	 /* vsock_end, or pull said end of file */
	bool end_sent;	 /* SHUTDOWN_SEND went out */
	bool guest_deaf; /* SHUTDOWN_RCV came: the guest wants no more */
};

TAILQ_HEAD(vsock_list, vsock_conn);

/* A reset to be sent that belongs to no connection (any more). */
struct vsock_rst {
	uint32_t host_port, guest_port;
	uint16_t type;
};

struct vsock_dev {
	struct virtio_device d;
	vsock_accept_fn *accept;
	void *ctx;

	struct virtq *rx, *tx; /* NULL while stopped */
	struct loop_watch *rx_watch, *tx_watch;
	struct loop_timer *again; /* a round is due */
	unsigned depth;		  /* rounds and calls on the stack: the dead are not freed */
	bool in_round, broken;

	struct vsock_list buckets[VSOCK_BUCKETS];
	struct vsock_list all, send, resume, dead;
	unsigned nconns;
	uint32_t next_port;

	/*
	 * A ring with a place for every connection there may be, so that a
	 * connection can always end, and some for strays.
	 */
	struct vsock_rst resets[VSOCK_RESETS];
	unsigned resets_off, nresets;

	struct virtq_chain chain;
};

/* vsock.c */
void vsock_schedule(struct vsock_dev *v);

/* vsock_conn.c */
void vsock_enter(struct vsock_dev *v);
void vsock_leave(struct vsock_dev *v);
struct vsock_conn *vsock_find(struct vsock_dev *v, uint32_t host_port, uint32_t guest_port);
void vsock_queue_reset(struct vsock_dev *v, uint32_t host_port, uint32_t guest_port, uint16_t type);
/* Whether the connection has something to send that it may send now. */
bool vsock_can_send(const struct vsock_conn *c);
/* Puts it on the list of those with something to send, if so. */
void vsock_ready(struct vsock_conn *c);
/* Ends it: `closed` is called; with rst the guest is told. */
void vsock_close(struct vsock_conn *c, bool rst);
/* Tells of end of file, and closes what is over in both directions. */
void vsock_settle(struct vsock_conn *c);
/* Hands kept data to the user. */
void vsock_offer(struct vsock_conn *c);
/* A packet from the guest; iov is its payload of hdr->len bytes. */
void vsock_receive(struct vsock_dev *v, const struct vsock_hdr *hdr, const struct iovec *iov,
		   int n);
/* Free bytes of credit for sending to the guest. */
uint32_t vsock_credit(const struct vsock_conn *c);

#endif
