/* client.h: making a client connection; the rest is box.h. */
#ifndef ZL_BOX_CLIENT_H
#define ZL_BOX_CLIENT_H

#include <sys/types.h>

#include "runtime/box/box.h"

/* Takes the socket over, also when it fails. */
struct box_client *client_new(int sock, struct err *e);
/* It is the connection to a holder that this process forked. */
void client_launched(struct box_client *c, pid_t holder);

/* spec.json is another: the holder follows, or has a reason why not. *machine: its VM's process. */
int client_reread(struct box_client *c, int *machine, struct err *e);

/* A request without waiting for its reply, which client_reply takes. */
struct ctl_msg;
int client_post(struct box_client *c, const struct ctl_msg *m, const int *fds, size_t nfds,
		struct err *e);
int client_reply(struct box_client *c, uint32_t *task, struct err *e);

#endif
