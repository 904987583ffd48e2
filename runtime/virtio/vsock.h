/* vsock.h: the vsock device (virtio 1.2, 5.10); its connections end here, in user space. */
#ifndef ZL_VIRTIO_VSOCK_H
#define ZL_VIRTIO_VSOCK_H

#include <stdbool.h>
#include <sys/uio.h>

#include "runtime/virtio/device.h"

/*
 * The guest is CID VSOCK_GUEST_CID, the host CID 2. Stream connections only.
 * Both directions work without a copy: data from the guest is handed to the
 * user as it lies in guest memory, and data for the guest is read by the
 * user straight into guest memory. Flow control is vsock's credit: what the
 * user did not take stays in the connection's buffer (at most
 * VSOCK_BUF_SIZE) and the guest is not granted more.
 *
 * Everything runs on the device's loop. The data the callbacks see is the
 * guest's and may change under their hands: copy before judging.
 *
 * Callbacks come from the loop, never from within a call of yours (but for
 * `closed` in vsock_reset, and in virtio_vsock_free for all that are left).
 * They may call whatever is below but virtio_vsock_free; the machine and the
 * device are not to be freed in them.
 */
#define VSOCK_GUEST_CID 3
#define VSOCK_BUF_SIZE	(256U << 10)
/* Most connections at a time; past them the guest's dials are refused. */
#define VSOCK_CONNS_MAX 8192U

struct vsock_conn;

/* A connection's user. `arg` is what accept set, or connect was given. */
struct vsock_conn_ops {
	/*
	 * Data from the guest, n > 0 segments. Returns how many bytes were
	 * taken; fewer than all: the rest is kept and offered again after
	 * vsock_resume(). A negative value resets the connection (the guest
	 * sees EPIPE / ECONNRESET); `closed` then follows.
	 */
	ssize_t (*push)(struct vsock_conn *c, void *arg, const struct iovec *iov, int n);
	/*
	 * Room for data to the guest; called only after vsock_want_pull, as
	 * long as there is room. Returns the bytes put into iov; 0: end of
	 * file (half-closes this direction); -EAGAIN: nothing now, stops
	 * asking until the next vsock_want_pull; other negative: reset.
	 */
	ssize_t (*pull)(struct vsock_conn *c, void *arg, const struct iovec *iov, int n);
	/* The guest will send no more; all it sent was taken by push. */
	void (*eof)(struct vsock_conn *c, void *arg);
	/*
	 * The connection is over: both directions ended, a reset, or the
	 * device went away. Called exactly once; c is gone when it returns.
	 */
	void (*closed)(struct vsock_conn *c, void *arg);
	/* connect only: the guest accepted. May be NULL. */
	void (*connected)(struct vsock_conn *c, void *arg);
};

/*
 * The guest dials `port`: returns the ops and sets *arg, or NULL to refuse.
 */
typedef const struct vsock_conn_ops *vsock_accept_fn(void *ctx, struct vsock_conn *c, uint32_t port,
						     void **arg);

struct virtio_device *virtio_vsock_new(struct loop *l, vsock_accept_fn *accept, void *ctx,
				       struct err *e);
/* Ends all connections first (closed is called for each). */
void virtio_vsock_free(struct virtio_device *d);

/* Dials the guest's port; `closed` without `connected` means refused. */
struct vsock_conn *vsock_connect(struct virtio_device *d, uint32_t port,
				 const struct vsock_conn_ops *ops, void *arg);

/* The port the guest's end has; at most 1023: only a privileged process there can. */
uint32_t vsock_guest_port(const struct vsock_conn *c);
/* There is data to pull (edge: ask again after -EAGAIN). */
void vsock_want_pull(struct vsock_conn *c);
/*
 * Sends bytes, keeping those that do not fit at once in a buffer of the
 * connection's own; for control messages, also before the guest accepted a
 * dial. They go before what pull brings. 0, or
 * -ENOBUFS when more than `limit` bytes (VSOCK_SEND_MAX) would be waiting.
 */
#define VSOCK_SEND_MAX (8U << 20)
int vsock_send(struct vsock_conn *c, const void *buf, size_t n);
/* How many bytes of vsock_send's wait to be sent. */
size_t vsock_waiting(const struct vsock_conn *c);
/* Offers kept data to push again. */
void vsock_resume(struct vsock_conn *c);
/* No more data to the guest, after what waits was sent. */
void vsock_end(struct vsock_conn *c);
/* Resets at once. `closed` is called before this returns. */
void vsock_reset(struct vsock_conn *c);

#endif
