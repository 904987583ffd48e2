/* publish_impl.h: what publish.c (sockets, connections) and publish_udp.c (datagrams) share. */
#ifndef ZL_BOX_PUBLISH_IMPL_H
#define ZL_BOX_PUBLISH_IMPL_H

#include <netinet/in.h>
#include <sys/queue.h>
#include <sys/socket.h>

#include "runtime/box/publish.h"
#include "runtime/virtio/vsock.h"
#include "vsock/wire.h"

/* More connections wait in their sockets' backlogs; some are left for streams of tasks. */
#define FLOWS_MAX (VSOCK_CONNS_MAX - 1024U)
/* Of those, peers of datagram sockets; the one that was silent for longest makes room. */
#define PEERS_MAX 1024U

/* A socket of the host's. */
struct door {
	struct publish *all;
	int fd;
	struct loop_watch *watch;
	struct box_port_bound bound;
};

/* A client: a connection, or the peer of a datagram socket. */
struct flow {
	TAILQ_ENTRY(flow) link;
	struct door *door;
	struct vsock_conn *conn;
	bool opened;   /* the guest said WIRE_FORWARD_OPEN */
	bool finished; /* the guest's side has ended in good order */

	int fd; /* a connection's; -1: datagrams */
	struct loop_watch *watch;

	struct sockaddr_storage peer; /* who it is */
	socklen_t peer_len;
	union {
		struct in_pktinfo v4;
		struct in6_pktinfo v6;
	} via;	    /* the address of ours it sent to */
	char *part; /* of a datagram of the guest's that is not complete */
	size_t part_len;
	uint64_t used_ns; /* when it last said or got something */
};

TAILQ_HEAD(flows, flow);

struct publish {
	struct loop *loop;
	struct virtio_device *vsock; /* NULL before publish_serve */
	uint64_t until_ns;	     /* end of patience */
	struct door *doors;
	unsigned ndoors;
	struct flows flows; /* connections */
	struct flows peers; /* the one that was silent for longest first */
	unsigned nflows, npeers;
	bool full; /* doors are not watched */
	bool closing;
	struct loop_timer *reopen, *sweep;
	char *buf; /* one datagram and its length */
};

/* Dials the guest for it, and says what it is for. False: no connection is left. */
bool publish_dial(struct flow *f, uint8_t proto, const struct vsock_conn_ops *ops);
/* Takes the byte that the guest says first off; how many bytes of iov that was, or -EPROTO. */
ssize_t publish_opened(struct flow *f, const struct iovec *iov);

/* publish_udp.c */
void publish_datagrams(void *door, uint32_t events);

#endif
