/* link.c: a container's network interface; see link.h. */
#include "runtime/box/link.h"

#include <stdio.h>
#include <string.h>

#include "runtime/net/net.h"

_Static_assert(BOX_MAC_LEN == NET_MAC_LEN, "both are Ethernet's");

/* Locally administered, as docker's begin; the rest is the container's own. */
static const uint8_t mac_begin[] = { 0x02, 0x42 };

const char *box_network(const struct box_spec *s)
{
	return strcmp(s->network, BOX_NETWORK_NONE) == 0 ? BOX_NETWORK_NONE : BOX_NETWORK_BRIDGE;
}

static bool wants_host(const struct box_spec *s)
{
	for (size_t i = 0; i < s->extra_hosts.n; i++) {
		const char *colon = strchr(s->extra_hosts.v[i], ':');

		if (colon && strcmp(colon + 1, BOX_HOST_GATEWAY) == 0)
			return true;
	}
	return false;
}

static void set_mac(struct box_link *l, const char *id)
{
	memcpy(l->mac, mac_begin, sizeof(mac_begin));
	for (size_t i = sizeof(mac_begin); i < sizeof(l->mac); i++, id += 2)
		sscanf(id, "%2hhx", &l->mac[i]);
	for (size_t i = 0; i < sizeof(l->mac); i++)
		snprintf(l->mac_text + 3 * i, sizeof(l->mac_text) - 3 * i, "%02x%s", l->mac[i],
			 i + 1 < sizeof(l->mac) ? ":" : "");
}

bool box_link(const struct box_spec *s, struct box_link *l)
{
	*l = (struct box_link){ .name = "eth0",
				.address = NET_ADDRESS,
				.gateway = NET_GATEWAY,
				.address6 = NET_ADDRESS6,
				.gateway6 = NET_GATEWAY6,
				.prefix = NET_PREFIX,
				.prefix6 = NET_PREFIX6,
				.nameserver = NET_NAMESERVER,
				.nameserver6 = NET_NAMESERVER6,
				.host_gateway = wants_host(s) };
	if (strcmp(box_network(s), BOX_NETWORK_NONE) == 0)
		return false;
	set_mac(l, s->id);
	return true;
}
