/* resolv.c: what a container's resolver is told, from the host's resolv.conf. */
#include <arpa/inet.h>
#include <string.h>

#include "runtime/base/own.h"
#include "runtime/box/holder.h"
#include "runtime/box/link.h"

#define BLANKS " \t"

/* The keyword at the start of a line, and what follows it; false: it is another. */
static bool keyword_is(const char *line, const char *word, const char **rest)
{
	size_t n = strlen(word);

	if (strncmp(line, word, n) != 0 || line[n] == 0 || strchr(BLANKS, line[n]) == NULL)
		return false;
	*rest = line + n + strspn(line + n, BLANKS);
	return **rest != 0;
}

/* Whether there is a name server of the family, by its address. */
static bool has_server(const struct strv *lines, int family)
{
	for (size_t i = 0; i < lines->n; i++) {
		unsigned char addr[sizeof(struct in6_addr)];
		own_free char *text = NULL;
		const char *rest;

		if (!keyword_is(lines->v[i], "nameserver", &rest))
			continue;
		text = xstrndup(rest, strcspn(rest, BLANKS "%"));
		if (inet_pton(family, text, addr) == 1)
			return true;
	}
	return false;
}

/* The lines of the host's file that begin with none of the words. */
static void add_lines(struct str *out, const char *text, const char *const *words)
{
	for (const char *line = text, *end; *line; line = end) {
		size_t word = strcspn(line, " \t\n");
		bool mine = false;

		end = line + strcspn(line, "\n");
		end += *end == '\n';
		for (const char *const *w = words; *w; w++)
			mine = mine || (strlen(*w) == word && strncmp(line, *w, word) == 0);
		if (!mine)
			str_add_mem(out, line, (size_t)(end - line));
	}
	if (out->len && out->s[out->len - 1] != '\n')
		str_add_char(out, '\n');
}

static void add_list(struct str *out, const char *word, const struct strv *values)
{
	str_add(out, word);
	for (size_t i = 0; i < values->n; i++)
		str_addf(out, " %s", values->v[i]);
	str_add_char(out, '\n');
}

/* The host's: through the name server that the engine puts in its place. */
static void add_host_server(struct str *out, const char *host, const struct box_link *l)
{
	own_strv struct strv lines = STRV_INIT;

	strv_split(&lines, host, '\n');
	str_addf(out, "nameserver %s\n",
		 has_server(&lines, AF_INET) || !has_server(&lines, AF_INET6) ? l->nameserver
									      : l->nameserver6);
}

/* The host's, but for what --dns and its kin replace; a search list of "." is none. */
char *resolv_for(const struct box_spec *spec, const char *host)
{
	const char *words[5] = { NULL };
	struct str s = STR_INIT;
	struct box_link link;
	bool linked = box_link(spec, &link);
	unsigned n = 0;

	if (linked || spec->dns.n)
		words[n++] = "nameserver";
	if (spec->dns_search.n) {
		words[n++] = "search";
		words[n++] = "domain";
	}
	if (spec->dns_options.n)
		words[n++] = "options";
	add_lines(&s, host, words);
	if (linked && spec->dns.n == 0)
		add_host_server(&s, host, &link);
	for (size_t i = 0; i < spec->dns.n; i++)
		str_addf(&s, "nameserver %s\n", spec->dns.v[i]);
	if (spec->dns_search.n && !strv_has(&spec->dns_search, "."))
		add_list(&s, "search", &spec->dns_search);
	if (spec->dns_options.n)
		add_list(&s, "options", &spec->dns_options);
	return str_steal(&s);
}
