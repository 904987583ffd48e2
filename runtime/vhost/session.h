/* session.h: serves one device to a vhost-user front end over a socket. */
#ifndef ZL_VHOST_SESSION_H
#define ZL_VHOST_SESSION_H

#include <stdbool.h>

#include "runtime/base/loop.h"
#include "runtime/virtio/device.h"

/*
 * Mappings of guest memory, shared by the sessions of one machine: each is
 * told of the same memory, and mapping it once keeps page tables and the
 * process's resident size small.
 */
struct vhost_map;
struct vhost_maps {
	struct vhost_map *first;
};

struct session;

/*
 * The session is over: `why` is a clause, or NULL when the front end closed
 * the socket. Called at most once, on the loop, with the session still there
 * and its queues as they were; session_free is the next thing to do, but not
 * from within.
 */
typedef void session_gone_fn(void *arg, struct session *s, const char *why);

/*
 * Takes over `sock`. With `has_config` the front end fetches the device's
 * config space from us. The device must not be freed before the session.
 */
struct session *session_new(struct loop *l, int sock, struct virtio_device *d, bool has_config,
			    struct vhost_maps *maps, session_gone_fn *gone, void *arg,
			    struct err *e);
/* Stops the device's queues, closes the socket. NULL is allowed. */
void session_free(struct session *s);

const char *session_device_name(const struct session *s);

#endif
