/* port.c: zl port. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cmd/cmd.h"
#include "cmd/ports.h"
#include "runtime/base/own.h"
#include "runtime/base/parse.h"

/* "80", "80/udp". */
static int private_parse(const char *text, unsigned *port, bool *udp, struct err *e)
{
	own_free char *number = xstrndup(text, strcspn(text, "/"));
	const char *proto = text + strlen(number);
	uint64_t v;

	*udp = strcmp(proto, "/udp") == 0;
	if (!parse_u64(number, 0, UINT16_MAX, &v))
		return err_set(e, EINVAL, "invalid port '%s'", number);
	if (*proto && !*udp && strcmp(proto, "/tcp") != 0)
		return err_set(e, EINVAL, "invalid proto: %s", proto + 1);
	*port = (unsigned)v;
	return 0;
}

static int run_port(struct zl *z, void *flags, const struct operands *ops, struct err *e)
{
	own_box struct box *b = box_find(&z->dirs, ops->v[0], e);
	unsigned port = 0, found = 0;
	bool udp = false;

	(void)flags;
	if (b == NULL || (ops->n > 1 && private_parse(ops->v[1], &port, &udp, e) < 0))
		return -1;
	for (unsigned i = 0; i < b->state.nports; i++) {
		const struct box_port_bound *p = &b->state.ports[i];
		own_str struct str text = STR_INIT;

		if (ops->n > 1 && (p->port != port || p->udp != udp))
			continue;
		port_address(p, &text);
		if (ops->n > 1)
			printf("%s\n", text.s);
		else
			printf("%u/%s -> %s\n", p->port, p->udp ? "udp" : "tcp", text.s);
		found++;
	}
	if (ops->n > 1 && found == 0)
		return err_set(e, ENOENT, "no public port '%u/%s' published for %s", port,
			       udp ? "udp" : "tcp", ops->v[0]);
	return 0;
}

const struct command cmd_port = {
	.names = "container port, port",
	.help = "List port mappings or a specific mapping for the container",
	.usage = "CONTAINER [PRIVATE_PORT[/PROTO]]",
	.run = run_port,
	.min = 1,
	.max = 2,
	.complete = "@running",
};
