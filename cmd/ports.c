/* ports.c: published ports as docker shows them; see ports.h. */
#include "cmd/ports.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/own.h"
#include "runtime/base/parse.h"

bool port_range(const char *text, unsigned *from, unsigned *to)
{
	const char *dash = strchr(text, '-');
	own_free char *first = dash ? xstrndup(text, (size_t)(dash - text)) : xstrdup(text);
	uint64_t a, b;

	if (!parse_u64(first, 0, UINT16_MAX, &a))
		return false;
	b = a;
	if (dash && !parse_u64(dash + 1, a, UINT16_MAX, &b))
		return false;
	*from = (unsigned)a;
	*to = (unsigned)b;
	return true;
}

static const char *proto_of(bool udp)
{
	return udp ? "udp" : "tcp";
}

static void add_ip(const char *ip, struct str *out)
{
	str_addf(out, strchr(ip, ':') ? "[%s]" : "%s", ip);
}

void port_address(const struct box_port_bound *p, struct str *out)
{
	add_ip(p->ip, out);
	str_addf(out, ":%u", p->host_port);
}

/* --- the column: neighbours are one range */

/* One entry; an exposed port has no ip. */
struct shown {
	const char *ip;
	unsigned host, port;
	bool udp;
};

static int shown_order(const void *a, const void *b)
{
	const struct shown *x = a, *y = b;
	bool x6 = x->ip && strchr(x->ip, ':'), y6 = y->ip && strchr(y->ip, ':');
	int c;

	if (x->udp != y->udp)
		return x->udp - y->udp;
	if ((x->ip == NULL) != (y->ip == NULL))
		return (x->ip == NULL) - (y->ip == NULL);
	if (x6 != y6)
		return x6 - y6;
	c = x->ip ? strcmp(x->ip, y->ip) : 0;
	if (c)
		return c;
	if (x->port != y->port)
		return x->port < y->port ? -1 : 1;
	return x->host < y->host ? -1 : x->host > y->host;
}

static bool is_bound(const struct box *b, unsigned port, bool udp)
{
	for (unsigned i = 0; i < b->state.nports; i++)
		if (b->state.ports[i].port == port && b->state.ports[i].udp == udp)
			return true;
	return false;
}

bool port_exposed(const char *text, unsigned *port, bool *udp)
{
	own_free char *number = xstrndup(text, strcspn(text, "/"));
	const char *proto = text + strlen(number);
	unsigned to;

	*udp = strcmp(proto, "/udp") == 0;
	return port_range(number, port, &to) && (*udp || strcmp(proto, "/tcp") == 0);
}

static void add_range(struct str *out, unsigned from, unsigned to)
{
	str_addf(out, from == to ? "%u" : "%u-%u", from, to);
}

static void add_shown(struct str *out, const struct shown *first, const struct shown *last)
{
	if (out->len)
		str_add(out, ", ");
	if (first->ip) {
		add_ip(first->ip, out);
		str_add_char(out, ':');
		add_range(out, first->host, last->host);
		str_add(out, "->");
	}
	add_range(out, first->port, last->port);
	str_addf(out, "/%s", proto_of(first->udp));
}

static bool follows(const struct shown *a, const struct shown *b)
{
	return a->udp == b->udp && (a->ip == NULL) == (b->ip == NULL) &&
	       (a->ip == NULL || (strcmp(a->ip, b->ip) == 0 && b->host == a->host + 1)) &&
	       b->port == a->port + 1;
}

void ports_column(const struct box *b, struct str *out)
{
	size_t n = 0, most = b->state.nports + b->spec.exposed.n;
	own_free struct shown *v = xcalloc(most + 1, sizeof(*v));

	if (b->state.status != BOX_RUNNING && b->state.status != BOX_PAUSED)
		return;
	for (unsigned i = 0; i < b->state.nports; i++) {
		const struct box_port_bound *p = &b->state.ports[i];

		v[n++] = (struct shown){ p->ip, p->host_port, p->port, p->udp };
	}
	for (size_t i = 0; i < b->spec.exposed.n; i++) {
		struct shown s = { .ip = NULL };

		if (port_exposed(b->spec.exposed.v[i], &s.port, &s.udp) &&
		    !is_bound(b, s.port, s.udp))
			v[n++] = s;
	}
	qsort(v, n, sizeof(*v), shown_order);
	for (size_t i = 0, k; i < n; i = k) {
		for (k = i + 1; k < n && follows(&v[k - 1], &v[k]); k++)
			;
		add_shown(out, &v[i], &v[k - 1]);
	}
}

/* --- inspect */

static void add_binding(struct js *ports, unsigned port, bool udp, const char *ip,
			const char *host_port)
{
	char name[16];
	struct js *list, *one = js_object();

	snprintf(name, sizeof(name), "%u/%s", port, proto_of(udp));
	list = js_get(ports, name);
	if (!js_is_array(list)) {
		js_set(ports, name, js_array());
		list = js_get(ports, name);
	}
	js_set_text(one, "HostIp", ip);
	js_set_text(one, "HostPort", host_port);
	js_push(list, one);
}

struct js *ports_bound(const struct box *b)
{
	struct js *ports = js_object();

	if (b->state.status != BOX_RUNNING && b->state.status != BOX_PAUSED)
		return ports;
	for (size_t i = 0; i < b->spec.exposed.n; i++)
		js_set(ports, b->spec.exposed.v[i], js_null());
	for (unsigned i = 0; i < b->state.nports; i++) {
		const struct box_port_bound *p = &b->state.ports[i];
		char text[16];

		snprintf(text, sizeof(text), "%u", p->host_port);
		add_binding(ports, p->port, p->udp, p->ip, text);
	}
	return ports;
}

struct js *ports_asked(const struct box *b)
{
	struct js *ports = js_object();

	for (unsigned i = 0; i < b->spec.nports; i++) {
		const struct box_port *p = &b->spec.ports[i];
		own_str struct str text = STR_INIT;

		if (p->first || p->last)
			add_range(&text, p->first, p->last);
		add_binding(ports, p->port, p->udp, p->ip, text.s ? text.s : "");
	}
	return ports;
}
