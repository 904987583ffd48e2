/* plan_net.c: docker's flags about names, addresses and ports of a container. */
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/plan.h"
#include "cmd/ports.h"
#include "runtime/base/own.h"
#include "runtime/box/link.h"

#define DOMAIN_MAX 254
/* docker's other names of networks */
#define NETWORK_DEFAULT "default"
#define NETWORK_HOST	"host"
#define NETWORK_OF	"container:"

static bool is_address(const char *text)
{
	unsigned char addr[16];

	return inet_pton(AF_INET, text, addr) == 1 || inet_pton(AF_INET6, text, addr) == 1;
}

/* Labels of letters, digits and inner dashes, one letter among them; a dot may end it. */
static bool is_domain(const char *text)
{
	bool letter = false;

	if (*text == 0 || strlen(text) > DOMAIN_MAX)
		return false;
	while (*text) {
		size_t n = strcspn(text, ".");

		if (n == 0 || *text == '-' || text[n - 1] == '-')
			return false;
		for (size_t i = 0; i < n; i++) {
			if (!isalnum((unsigned char)text[i]) && text[i] != '-')
				return false;
			letter = letter || isalpha((unsigned char)text[i]);
		}
		text += n + (text[n] == '.');
	}
	return letter;
}

static int plan_dns(struct box_spec *s, const struct run_flags *f, struct err *e)
{
	for (size_t i = 0; i < f->dns.n; i++)
		if (!is_address(f->dns.v[i]))
			return err_set(e, EINVAL,
				       "invalid argument \"%s\" for \"--dns\" flag: IP address is "
				       "not correctly formatted: %s",
				       f->dns.v[i], f->dns.v[i]);
	for (size_t i = 0; i < f->dns_search.n; i++)
		if (strcmp(f->dns_search.v[i], ".") != 0 && !is_domain(f->dns_search.v[i]))
			return err_set(e, EINVAL,
				       "invalid argument \"%s\" for \"--dns-search\" flag: %s is "
				       "not a valid domain",
				       f->dns_search.v[i], f->dns_search.v[i]);
	for (size_t i = 0; i < f->dns_option.n; i++)
		if (strpbrk(f->dns_option.v[i], " \t\n"))
			return err_set(e, EINVAL,
				       "invalid argument \"%s\" for \"--dns-option\" flag: it is "
				       "more than one",
				       f->dns_option.v[i]);
	strv_add_all(&s->dns, &f->dns);
	strv_add_all(&s->dns_search, &f->dns_search);
	strv_add_all(&s->dns_options, &f->dns_option);
	return 0;
}

/* "80", "80/udp", "8000-8010/tcp" -> "80/tcp" each. */
static int plan_expose(struct box_spec *s, const char *text, struct err *e)
{
	size_t n = strcspn(text, "/");
	const char *proto = text[n] ? text + n + 1 : "tcp";
	own_free char *ports = xstrndup(text, n);
	unsigned from, to;

	if (strchr(text, ':'))
		return err_set(e, EINVAL, "invalid port format for --expose: %s", text);
	if (strcmp(proto, "tcp") != 0 && strcmp(proto, "udp") != 0 && strcmp(proto, "sctp") != 0)
		return err_set(e, EINVAL, "invalid proto: %s", proto);
	if (!port_range(ports, &from, &to))
		return err_set(e, EINVAL,
			       "invalid range format for --expose: %s, error: invalid range "
			       "specified for port: %s",
			       text, ports);
	for (; from <= to; from++) {
		own_free char *port = xasprintf("%u/%s", from, proto);

		if (!strv_has(&s->exposed, port))
			strv_add(&s->exposed, port);
	}
	return 0;
}

/* The image's own are not the user's to be blamed for. */
static void expose_image(struct box_spec *s, const struct js *config)
{
	struct js *value;
	const char *key;
	void *it = NULL;

	while (js_each(js_get(config, "ExposedPorts"), &it, &key, &value))
		(void)plan_expose(s, key, NULL);
}

/* "name:ip", "name=ip", "name:host-gateway"; the address may stand in brackets. */
static int plan_add_host(struct box_spec *s, const char *text, struct err *e)
{
	size_t n = strcspn(text, ":="), len;
	own_free char *ip = NULL;

	if (n == 0 || text[n] == 0 || text[n + 1] == 0)
		return err_set(e, EINVAL, "bad format for add-host: \"%s\"", text);
	ip = xstrdup(text + n + 1);
	len = strlen(ip);
	if (*ip == '[' && ip[len - 1] == ']') {
		memmove(ip, ip + 1, len - 2);
		ip[len - 2] = 0;
	}
	if (strcmp(ip, BOX_HOST_GATEWAY) != 0 && !is_address(ip))
		return err_set(e, EINVAL, "invalid IP address in add-host: \"%s\"", ip);
	strv_addf(&s->extra_hosts, "%.*s:%s", (int)n, text, ip);
	return 0;
}

static int plan_network(struct box_spec *s, const struct run_flags *f, struct err *e)
{
	const char *name = f->network.n ? f->network.v[0] : BOX_NETWORK_BRIDGE;
	bool none = strcmp(name, BOX_NETWORK_NONE) == 0;

	if (f->network.n > 1)
		return err_set(e, ENOTSUP, "a container can be in one network only");
	if (strcmp(name, NETWORK_HOST) == 0)
		return err_set(e, ENOTSUP,
			       "--network host is not supported: a machine cannot share the host's "
			       "network; with --add-host NAME:host-gateway it reaches the host's "
			       "own services");
	if (str_starts(name, NETWORK_OF))
		return err_set(e, ENOTSUP,
			       "--network %s is not supported: containers are machines of their "
			       "own, which share no network",
			       name);
	if (!none && *name && strcmp(name, BOX_NETWORK_BRIDGE) != 0 &&
	    strcmp(name, NETWORK_DEFAULT) != 0)
		return err_set(e, ENOENT,
			       "network %s not found: there are only bridge and none so far", name);
	free(s->network);
	s->network = xstrdup(none ? BOX_NETWORK_NONE : BOX_NETWORK_BRIDGE);
	return 0;
}

/* What takes a network that containers share. */
static int check_shared(const struct run_flags *f, struct err *e)
{
	if ((f->ip && *f->ip) || (f->ip6 && *f->ip6) || f->link_local_ip.n)
		return err_set(e, ENOTSUP,
			       "user specified IP address is supported on user defined networks "
			       "only, and there are none");
	if (f->network_alias.n)
		return err_set(e, ENOTSUP,
			       "network-scoped aliases are only supported for user-defined "
			       "networks, and there are none");
	if (f->link.n)
		return err_set(e, ENOTSUP,
			       "--link %s is not supported: containers have no network in common",
			       f->link.v[0]);
	if (f->mac_address && *f->mac_address)
		return err_set(e, ENOTSUP,
			       "--mac-address is not supported: a container's is its own");
	return 0;
}

int plan_net(struct box_spec *s, const struct plan_input *in, struct err *e)
{
	const struct run_flags *f = in->flags;
	int rc = plan_dns(s, f, e);

	if (in->image)
		expose_image(s, js_get(in->image->config, "config"));
	for (size_t i = 0; rc == 0 && i < f->expose.n; i++)
		rc = plan_expose(s, f->expose.v[i], e);
	for (size_t i = 0; rc == 0 && i < f->add_host.n; i++)
		rc = plan_add_host(s, f->add_host.v[i], e);
	if (rc == 0)
		rc = plan_network(s, f, e);
	return rc < 0 ? rc : check_shared(f, e);
}
