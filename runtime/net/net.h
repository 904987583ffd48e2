/* net.h: a container's network: frames in, frames out, sockets of the host between. */
#ifndef ZL_NET_NET_H
#define ZL_NET_NET_H

#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/base/confine.h"
#include "runtime/base/err.h"

/*
 * Theory of operation.
 *
 * The guest's one neighbour on its link is this engine: a router that owns
 * the gateway's and the name server's address. What the guest sends to
 * anybody else leaves the host through ordinary sockets of the holder's, as if
 * a program on the host had sent it (TCP and UDP over IPv4 and IPv6, and ICMP
 * echo where net.ipv4.ping_group_range allows it); nothing on the host needs
 * to be set up for it, and nothing can come in by itself. Packets to the name
 * server's port 53 go to the host's own name server, which is looked up in
 * /etc/resolv.conf again whenever that changes.
 *
 * The host's loopback is not to be reached: frames to addresses that mean it
 * are dropped (filter.c), and so are connections to the gateway, unless
 * net_config.host_loopback says that the gateway's address is to be the
 * host's 127.0.0.1 and ::1.
 *
 * The engine has no thread and no loop; one thread makes all calls after
 * net_new. It owns its sockets only. A turn of that thread:
 *
 *	net_wait	what to wait for, and how long
 *	(poll)
 *	net_turn	takes what the sockets have, sends what is due
 *	net_input	as often as there are frames of the guest's
 *
 * Frames for the guest come from within net_turn and net_input.
 *
 * One engine a process: the library keeps some of its state in globals.
 */

/* The link as every container has it: each is alone on its own. */
#define NET_GATEWAY    "10.0.2.2"
#define NET_NAMESERVER "10.0.2.3"
#define NET_ADDRESS    "10.0.2.15"
#define NET_NETWORK    "10.0.2.0"
#define NET_MASK       "255.255.255.0"
#define NET_PREFIX     24

#define NET_GATEWAY6	"fd7a:6c00::2"
#define NET_NAMESERVER6 "fd7a:6c00::3"
#define NET_ADDRESS6	"fd7a:6c00::15"
#define NET_NETWORK6	"fd7a:6c00::"
#define NET_PREFIX6	64

/*
 * The largest IP packet on the link. Nothing of it is ever seen on a wire: a
 * TCP segment is read and written by one call on each side.
 */
#define NET_MTU	      65520U
#define NET_MAC_LEN   6U
#define NET_ETH_LEN   14U
#define NET_FRAME_MAX (NET_ETH_LEN + NET_MTU)

struct net_config {
	bool host_loopback; /* the gateway is the host's loopback */
};

/* A frame for the guest, without checksum; it is taken or dropped, and not kept. */
typedef void net_output_fn(void *arg, const uint8_t *frame, size_t len);

struct net;

struct net *net_new(const struct net_config *c, net_output_fn *output, void *arg, struct err *e);
void net_free(struct net *n);

/* A frame of the guest's; what makes no sense is dropped. It is not changed while this runs. */
void net_input(struct net *n, const uint8_t *frame, size_t len);

/*
 * Puts the sockets behind the first `reserved` elements, which are the
 * caller's, of an array that stays n's; *timeout_ms is -1 if nothing is due.
 * Elements in all.
 */
size_t net_wait(struct net *n, size_t reserved, struct pollfd **fds, int *timeout_ms);
/* After every net_wait, with what poll said; before net_input, whose idea of time it is. */
void net_turn(struct net *n);

/*
 * Whether a frame may leave: false for addresses that mean the host itself,
 * and for whatever is neither IPv4, IPv6 nor ARP (filter.c).
 */
bool net_allowed(const uint8_t *frame, size_t len);
/* Whether a frame can make another socket necessary. */
bool net_opens(const uint8_t *frame, size_t len);

/* The system calls of the thread that makes these calls, but for net_new and net_free. */
extern const struct confine_list net_calls;

#endif
