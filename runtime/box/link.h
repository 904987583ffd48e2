/* link.h: a container's network interface, by its spec. */
#ifndef ZL_BOX_LINK_H
#define ZL_BOX_LINK_H

#include <stdbool.h>
#include <stdint.h>

#include "runtime/box/spec.h"

/* Values of box_spec.network; "" is the bridge, too. */
#define BOX_NETWORK_BRIDGE "bridge"
#define BOX_NETWORK_NONE   "none"

/* What --add-host takes for the address at which the guest finds the host. */
#define BOX_HOST_GATEWAY "host-gateway"

#define BOX_MAC_LEN 6

struct box_link {
	const char *name; /* in the guest */
	uint8_t mac[BOX_MAC_LEN];
	char mac_text[3 * BOX_MAC_LEN];
	const char *address, *gateway, *address6, *gateway6;
	unsigned prefix, prefix6;
	const char *nameserver, *nameserver6; /* the host's, as the guest reaches them */
	bool host_gateway;		      /* the gateway is to be the host's loopback */
};

/* "bridge" or "none". */
const char *box_network(const struct box_spec *s);
/* False: it has no interface but the loopback. */
bool box_link(const struct box_spec *s, struct box_link *l);

#endif
