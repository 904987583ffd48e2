/* ports.h: published ports as docker shows them. */
#ifndef ZL_CMD_PORTS_H
#define ZL_CMD_PORTS_H

#include <stdbool.h>

#include "runtime/base/json.h"
#include "runtime/box/box.h"

/* "80" or "8000-8010": 0 to 65535, in order. */
bool port_range(const char *text, unsigned *from, unsigned *to);

/* Of a spec's `exposed`, "80/tcp"; false for what is none of ours (sctp). */
bool port_exposed(const char *text, unsigned *port, bool *udp);

/* "0.0.0.0:8080->80/tcp, [::]:8080->80/tcp, 443/tcp"; nothing unless it runs. */
void ports_column(const struct box *b, struct str *out);
/* { "80/tcp": [ { "HostIp": ..., "HostPort": ... } ], "443/tcp": null }: as they are. */
struct js *ports_bound(const struct box *b);
/* The same, as they were asked for: HostConfig.PortBindings. */
struct js *ports_asked(const struct box *b);
/* "0.0.0.0:8080", "[::]:8080"; what `zl port` prints. */
void port_address(const struct box_port_bound *p, struct str *out);

#endif
