/* client.h: making a client connection; the rest is box.h. */
#ifndef ZL_BOX_CLIENT_H
#define ZL_BOX_CLIENT_H

#include <sys/types.h>

#include "runtime/box/box.h"

/* Takes the socket over, also when it fails. */
struct box_client *client_new(int sock, struct err *e);
/* It is the connection to a holder that this process forked. */
void client_launched(struct box_client *c, pid_t holder);

#endif
