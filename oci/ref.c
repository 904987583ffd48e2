/* ref.c: docker's grammar of image names: parse, complete, shorten. */
#include "oci/ref.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "oci/image.h"
#include "runtime/base/own.h"
#include "runtime/base/parse.h"
#include "runtime/base/str.h"

/*
 *	name      = [domain "/"] path [":" tag] ["@" digest]
 *	domain    = host [":" port]		host: labels of letters, digits and
 *						inner dashes, or [ipv6]
 *	path      = component *("/" component)
 *	component = alnum *(separator alnum)	lower case; separator: . _ __ or dashes
 *	tag       = word *127(word / "." / "-")
 *
 * What stands before the first slash is a domain only if it looks like one:
 * it holds a dot, a colon or a capital letter, or is "localhost".
 */

#define OFFICIAL_PREFIX "library/"

/* Longest part of a malformed name that is repeated in a message. */
#define QUOTE_MAX 120

static bool is_lower(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool is_upper(char c)
{
	return c >= 'A' && c <= 'Z';
}

static bool is_alnum(char c)
{
	return is_lower(c) || is_upper(c);
}

/* Passes over one separator of a path component; its length, 0 if there is none. */
static size_t separator_len(const char *s)
{
	if (s[0] == '.')
		return 1;
	if (s[0] == '_')
		return s[1] == '_' ? 2 : 1;
	return strspn(s, "-");
}

static bool component_ok(const char *s)
{
	for (;;) {
		size_t n = 0;

		while (is_lower(s[n]))
			n++;
		if (n == 0)
			return false;
		s += n;
		if (*s == '\0')
			return true;
		n = separator_len(s);
		if (n == 0)
			return false;
		s += n;
	}
}

static bool path_ok(const char *path)
{
	own_strv struct strv parts = STRV_INIT;

	strv_split(&parts, path, '/');
	for (size_t i = 0; i < parts.n; i++)
		if (!component_ok(parts.v[i]))
			return false;
	return true;
}

static bool host_label_ok(const char *s)
{
	size_t n = strlen(s);

	for (size_t i = 0; i < n; i++)
		if (!is_alnum(s[i]) && s[i] != '-')
			return false;
	return n > 0 && s[0] != '-' && s[n - 1] != '-';
}

static bool host_ok(const char *host)
{
	own_strv struct strv labels = STRV_INIT;

	strv_split(&labels, host, '.');
	for (size_t i = 0; i < labels.n; i++)
		if (!host_label_ok(labels.v[i]))
			return false;
	return true;
}

static bool domain_ok(const char *domain)
{
	const char *end = strchr(domain, ']'), *colon;
	own_free char *host = NULL;
	uint64_t port;

	if (domain[0] == '[') {
		if (end == NULL || end == domain + 1 ||
		    strspn(domain + 1, "0123456789abcdefABCDEF:.") != (size_t)(end - domain - 1))
			return false;
		return end[1] == '\0' ||
		       (end[1] == ':' && parse_u64(end + 2, 1, UINT16_MAX, &port));
	}
	colon = strchr(domain, ':');
	if (colon && !parse_u64(colon + 1, 1, UINT16_MAX, &port))
		return false;
	host = colon ? xstrndup(domain, (size_t)(colon - domain)) : xstrdup(domain);
	return host_ok(host);
}

static bool tag_ok(const char *tag)
{
	size_t n = strlen(tag);

	if (n == 0 || n > REF_TAG_MAX || (!is_alnum(tag[0]) && tag[0] != '_'))
		return false;
	for (size_t i = 1; i < n; i++)
		if (!is_alnum(tag[i]) && strchr("_.-", tag[i]) == NULL)
			return false;
	return true;
}

static bool looks_like_domain(const char *s, size_t n)
{
	if (n == strlen("localhost") && memcmp(s, "localhost", n) == 0)
		return true;
	for (size_t i = 0; i < n; i++)
		if (s[i] == '.' || s[i] == ':' || is_upper(s[i]))
			return true;
	return false;
}

static bool has_upper(const char *s)
{
	while (*s && !is_upper(*s))
		s++;
	return *s != '\0';
}

/* Takes a tag and a digest off the end of `rest`. */
static int take_suffixes(char *rest, struct ref *out, struct err *e)
{
	char *at = strchr(rest, '@'), *slash, *colon;

	if (at) {
		*at = '\0';
		if (digest_parse(at + 1, &out->digest, e) < 0)
			return err_wrap(e, "invalid reference format");
		out->has_digest = true;
	}
	slash = strrchr(rest, '/');
	colon = strrchr(slash ? slash : rest, ':');
	/* A colon within the brackets of an address belongs to no tag. */
	if (colon && strchr(colon, ']') == NULL) {
		*colon = '\0';
		if (!tag_ok(colon + 1))
			return err_set(e, EINVAL, "invalid reference format: invalid tag \"%.*s\"",
				       QUOTE_MAX, colon + 1);
		out->tag = xstrdup(colon + 1);
	}
	return 0;
}

/* Divides "domain/path" and adds what docker leaves out. */
static void divide(const char *rest, struct ref *out)
{
	const char *slash = strchr(rest, '/');

	if (slash && looks_like_domain(rest, (size_t)(slash - rest))) {
		out->domain = xstrndup(rest, (size_t)(slash - rest));
		rest = slash + 1;
	} else {
		out->domain = xstrdup(REF_DOMAIN_DEFAULT);
	}
	if (strcmp(out->domain, "index.docker.io") == 0) {
		free(out->domain);
		out->domain = xstrdup(REF_DOMAIN_DEFAULT);
	}
	if (strcmp(out->domain, REF_DOMAIN_DEFAULT) == 0 && strchr(rest, '/') == NULL)
		out->path = xasprintf(OFFICIAL_PREFIX "%s", rest);
	else
		out->path = xstrdup(rest);
}

static int check(const char *name, const struct ref *r, struct err *e)
{
	if (has_upper(r->path))
		return err_set(e, EINVAL,
			       "invalid reference format: repository name (%.*s) must be lowercase",
			       QUOTE_MAX, r->path);
	if (!domain_ok(r->domain) || !path_ok(r->path))
		return err_set(e, EINVAL, "invalid reference format: \"%.*s\"", QUOTE_MAX, name);
	if (strlen(r->domain) + 1 + strlen(r->path) > REF_NAME_MAX)
		return err_set(e, EINVAL,
			       "invalid reference format: repository name must not be more than %d "
			       "characters",
			       REF_NAME_MAX);
	return 0;
}

int ref_parse(const char *name, struct ref *out, struct err *e)
{
	own_free char *rest = xstrdup(name);
	struct digest d;
	int r;

	*out = (struct ref)REF_INIT;
	if (*name == '\0')
		return err_set(e, EINVAL, "invalid reference format: the name is empty");
	r = take_suffixes(rest, out, e);
	if (r == 0 && digest_parse_hex(rest, &d))
		r = err_set(
			e, EINVAL,
			"invalid repository name (%s), cannot specify 64-byte hexadecimal strings",
			rest);
	if (r == 0) {
		divide(rest, out);
		r = check(name, out, e);
	}
	if (r < 0) {
		ref_free(out);
		return r;
	}
	if (out->tag == NULL && !out->has_digest)
		out->tag = xstrdup(REF_TAG_DEFAULT);
	return 0;
}

void ref_free(struct ref *r)
{
	free(r->domain);
	free(r->path);
	free(r->tag);
	*r = (struct ref)REF_INIT;
}

char *ref_repository(const struct ref *r)
{
	return xasprintf("%s/%s", r->domain, r->path);
}

char *ref_familiar_repository(const struct ref *r)
{
	const char *slash = strchr(r->path, '/');

	if (strcmp(r->domain, REF_DOMAIN_DEFAULT) != 0)
		return ref_repository(r);
	if (str_starts(r->path, OFFICIAL_PREFIX) &&
	    strchr(r->path + strlen(OFFICIAL_PREFIX), '/') == NULL)
		return xstrdup(r->path + strlen(OFFICIAL_PREFIX));
	/* Where the short name would be taken for another registry's, it has to be the long one. */
	if (slash && looks_like_domain(r->path, (size_t)(slash - r->path)))
		return ref_repository(r);
	return xstrdup(r->path);
}

static char *with_suffix(const char *repository, const struct ref *r)
{
	char text[DIGEST_TEXT_MAX];

	if (r->has_digest)
		return xasprintf("%s@%s", repository, digest_format(text, &r->digest));
	return xasprintf("%s:%s", repository, r->tag);
}

char *ref_full(const struct ref *r)
{
	own_free char *repository = ref_repository(r);

	return with_suffix(repository, r);
}

char *ref_familiar(const struct ref *r)
{
	own_free char *repository = ref_familiar_repository(r);

	return with_suffix(repository, r);
}

char *image_name_full(const char *name, bool tag)
{
	own_ref struct ref r = REF_INIT;

	if (ref_parse(name, &r, NULL) < 0)
		return NULL;
	return tag ? ref_full(&r) : ref_repository(&r);
}

char *image_name_familiar(const char *name)
{
	own_ref struct ref r = REF_INIT;

	if (ref_parse(name, &r, NULL) < 0)
		return xstrdup(name);
	return ref_familiar(&r);
}

void image_name_split(const char *name, char **repository, char **tag)
{
	own_ref struct ref r = REF_INIT;

	if (ref_parse(name, &r, NULL) < 0) {
		*repository = xstrdup(name);
		*tag = xstrdup("<none>");
		return;
	}
	*repository = ref_familiar_repository(&r);
	*tag = xstrdup(r.has_digest ? "<none>" : r.tag);
}

int image_name_check(const char *name, struct err *e)
{
	own_ref struct ref r = REF_INIT;

	return ref_parse(name, &r, e);
}
