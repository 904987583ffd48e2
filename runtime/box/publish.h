/* publish.h: published ports: the host's sockets, joined with what listens in the container. */
#ifndef ZL_BOX_PUBLISH_H
#define ZL_BOX_PUBLISH_H

#include "runtime/base/confine.h"
#include "runtime/base/err.h"
#include "runtime/base/loop.h"
#include "runtime/box/box.h"

struct virtio_device;
struct publish;

/*
 * Binds all that the spec publishes, and writes into state what came of it
 * (also which ports were chosen). The sockets listen from now on; clients wait
 * until publish_serve. NULL with docker's words when a port is taken, and
 * without an error when nothing is published.
 */
struct publish *publish_open(struct loop *l, const struct box_spec *spec, struct box_state *state,
			     struct err *e);
/*
 * The workload runs: from now on clients are connected to it. Where nobody
 * listens yet they wait, until `patience` after now is over.
 */
void publish_serve(struct publish *p, struct virtio_device *vsock, uint64_t patience_ns);
/* Ends all connections, frees the ports. Before the vsock device is freed; NULL is allowed. */
void publish_close(struct publish *p);

/* What it calls, confined. */
extern const struct confine_list publish_calls;

#endif
