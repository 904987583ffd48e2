/* plan_port.c: -p and -P: which ports of the container's the host gives out. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cmd/plan.h"
#include "cmd/ports.h"
#include "runtime/base/own.h"
#include "runtime/base/parse.h"

/* A flag may stand for that many ports. */
#define PORTS_MAX 65535U

/* "[ip:][host:]container[/proto]", apart. */
struct publication {
	char *ip, *host, *port, *proto;
};

static void publication_free(struct publication *p)
{
	free(p->ip);
	free(p->host);
	free(p->port);
	free(p->proto);
}

/* "published=8080,target=80,protocol=tcp" -> "8080:80/tcp"; owned; NULL: malformed. */
static char *standard_notation(const char *text, struct err *e)
{
	own_free char *published = xstrdup(""), *target = xstrdup(""), *proto = xstrdup("tcp");
	own_strv struct strv fields = STRV_INIT;

	strv_split(&fields, text, ',');
	for (size_t i = 0; i < fields.n; i++) {
		char *eq = strchr(fields.v[i], '='), **to = NULL;

		if (eq == NULL) {
			err_set(e, EINVAL,
				"invalid publish opts format (should be name=value but got '%s')",
				fields.v[i]);
			return NULL;
		}
		*eq = 0;
		if (strcmp(fields.v[i], "published") == 0)
			to = &published;
		else if (strcmp(fields.v[i], "target") == 0)
			to = &target;
		else if (strcmp(fields.v[i], "protocol") == 0)
			to = &proto;
		else if (strcmp(fields.v[i], "mode") != 0 || strcmp(eq + 1, "host") != 0) {
			err_set(e, EINVAL, "invalid publish option: %s=%s", fields.v[i], eq + 1);
			return NULL;
		}
		if (to) {
			free(*to);
			*to = xstrdup(eq + 1);
		}
	}
	return *published ? xasprintf("%s:%s/%s", published, target, proto)
			  : xasprintf("%s/%s", target, proto);
}

/* Takes the text apart at its last two colons outside of brackets. */
static int take_apart(struct publication *p, const char *text, struct err *e)
{
	own_free char *rest = xstrdup(text);
	char *slash = strrchr(rest, '/'), *colon;

	p->proto = xstrdup(slash ? slash + 1 : "tcp");
	if (slash)
		*slash = 0;
	colon = strrchr(rest, ':');
	p->port = xstrdup(colon ? colon + 1 : rest);
	if (colon == NULL)
		*rest = 0;
	else
		*colon = 0;
	colon = strrchr(rest, ':');
	if (rest[0] == '[' && (colon == NULL || strchr(colon, ']'))) {
		p->ip = xstrdup(rest); /* "[::1]::80" has no host port */
		p->host = xstrdup("");
	} else {
		p->host = xstrdup(colon ? colon + 1 : rest);
		if (colon)
			*colon = 0;
		p->ip = xstrdup(colon ? rest : "");
	}
	if (*p->port == 0)
		return err_set(e, EINVAL, "no port specified: %s<empty>", text);
	if (strcmp(p->proto, "sctp") == 0)
		return err_set(e, ENOTSUP, "publish %s: SCTP is not supported, only tcp and udp",
			       text);
	if (strcmp(p->proto, "tcp") != 0 && strcmp(p->proto, "udp") != 0)
		return err_set(e, EINVAL, "invalid proto: %s", p->proto);
	return 0;
}

/* The host's address, without brackets, in one spelling; "" is all. */
static int plan_ip(const char *text, char out[BOX_IP_MAX], struct err *e)
{
	size_t n = strlen(text);
	own_free char *bare = *text == '[' && n > 1 && text[n - 1] == ']'
				      ? xstrndup(text + 1, n - 2)
				      : xstrdup(text);
	unsigned char addr[16];
	int family = strchr(bare, ':') ? AF_INET6 : AF_INET;

	out[0] = 0;
	if (*bare == 0)
		return 0;
	if (inet_pton(family, bare, addr) != 1)
		return err_set(e, EINVAL, "invalid IP address: %s", text);
	inet_ntop(family, addr, out, BOX_IP_MAX);
	return 0;
}

static int publish_one(struct box_spec *s, const struct publication *p, const char *text,
		       struct err *e)
{
	struct box_port port = { .udp = strcmp(p->proto, "udp") == 0 };
	unsigned from, to, first = 0, last = 0;
	int rc = plan_ip(p->ip, port.ip, e);

	if (rc < 0)
		return rc;
	if (!port_range(p->port, &from, &to) || from == 0)
		return err_set(e, EINVAL, "invalid containerPort: %s", p->port);
	if (*p->host && !port_range(p->host, &first, &last))
		return err_set(e, EINVAL, "invalid hostPort: %s", p->host);
	if (*p->host && last - first != to - from && from != to)
		return err_set(e, EINVAL,
			       "invalid ranges specified for container and host Ports: %s and %s",
			       p->port, p->host);
	for (unsigned i = 0; from + i <= to; i++) {
		char name[16];

		port.port = (uint16_t)(from + i);
		port.first = (uint16_t)(first + (*p->host ? i : 0));
		port.last = from == to ? (uint16_t)last : port.first;
		if (s->nports >= PORTS_MAX)
			return err_set(e, EINVAL, "publish %s: too many ports", text);
		box_spec_add_port(s, &port);
		snprintf(name, sizeof(name), "%u/%s", port.port, p->proto);
		if (!strv_has(&s->exposed, name))
			strv_add(&s->exposed, name);
	}
	return 0;
}

static int publish(struct box_spec *s, const char *text, struct err *e)
{
	own_free char *standard = strchr(text, '=') ? standard_notation(text, e) : xstrdup(text);
	struct publication p = { NULL, NULL, NULL, NULL };
	int rc;

	if (standard == NULL)
		return -EINVAL;
	rc = take_apart(&p, standard, e);
	if (rc == 0)
		rc = publish_one(s, &p, text, e);
	publication_free(&p);
	return rc;
}

/* -P: what is exposed and not published yet, at any free port. */
static void publish_all(struct box_spec *s)
{
	for (size_t i = 0; i < s->exposed.n; i++) {
		struct box_port port = { .first = 0 };
		bool there = false;
		unsigned n;

		if (!port_exposed(s->exposed.v[i], &n, &port.udp) || n == 0)
			continue;
		port.port = (uint16_t)n;
		for (unsigned k = 0; k < s->nports; k++)
			there |= s->ports[k].port == port.port && s->ports[k].udp == port.udp;
		if (!there)
			box_spec_add_port(s, &port);
	}
}

int plan_ports(struct box_spec *s, const struct run_flags *f, struct err *e)
{
	uint64_t wait;

	for (size_t i = 0; i < f->publish.n; i++) {
		int rc = publish(s, f->publish.v[i], e);

		if (rc < 0)
			return rc;
	}
	s->publish_all = f->publish_all;
	if (f->publish_all)
		publish_all(s);
	if (f->publish_wait == NULL)
		return 0;
	if (!parse_duration(f->publish_wait, &wait) || wait > INT64_MAX)
		return err_set(e, EINVAL,
			       "invalid argument \"%s\" for \"--publish-wait\" flag: must be a "
			       "duration such as 500ms or 10s",
			       f->publish_wait);
	s->publish_wait = (int64_t)wait;
	return 0;
}
