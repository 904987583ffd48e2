/* search.c: repositories by a word: the Hub's search, other registries' catalogues. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "oci/config.h"
#include "oci/endpoint.h"
#include "oci/ref.h"
#include "oci/remote.h"
#include "runtime/base/own.h"

/* The host of the Hub's search. */
#define HUB_SEARCH "index.docker.io"

/* "host[:port]/term", as docker tells the two apart: owned by the caller; NULL: the Hub's. */
static char *split_host(const char **term)
{
	size_t n = strcspn(*term, "/");
	char *host;

	if ((*term)[n] == '\0')
		return NULL;
	host = xstrndup(*term, n);
	if (strpbrk(host, ".:") == NULL && strcmp(host, "localhost") != 0) {
		free(host);
		return NULL;
	}
	*term += n + 1;
	if (strcmp(host, REF_DOMAIN_DEFAULT) == 0 || strcmp(host, HUB_SEARCH) == 0) {
		free(host);
		return NULL;
	}
	return host;
}

/* One page: its JSON. *next (may be NULL): the query of the page after it, or NULL. */
static struct js *page(struct endpoint *p, const char *where, char **next, struct err *e)
{
	own_response struct http_response resp = { 0 };
	own_str struct str body = STR_INIT;
	struct http_request q = { .into = &body, .max = SEARCH_PAGE_BYTES };
	struct err why = ERR_INIT;
	struct js *j;

	if (endpoint_ask(p, where, &q, &resp, e) < 0)
		return NULL;
	if (resp.status != 200) {
		own_str struct str words = STR_INIT;

		endpoint_words(&resp, &words);
		err_set(e, resp.status == 401 || resp.status == 403 ? EACCES : ENOTSUP,
			"%s: it cannot be searched: it does not list its repositories (HTTP status "
			"%d%s%s)",
			endpoint_host(p), resp.status, words.len ? ", " : "",
			words.len ? words.s : "");
		return NULL;
	}
	j = js_parse(body.s ? body.s : "", body.len, &why);
	if (j == NULL)
		err_set(e, EPROTO, "%s: its answer to a search is not valid JSON",
			endpoint_host(p));
	if (next)
		*next = resp.link ? search_next(resp.link) : NULL;
	return j;
}

/* RFC 8288: <target>; rel="next", several apart by commas. */
char *search_next(const char *link)
{
	while ((link = strchr(link, '<')) != NULL) {
		const char *end = strchr(link, '>'), *stop, *query;
		own_free char *params = NULL;

		if (end == NULL)
			return NULL;
		stop = strchr(end, '<');
		params = xstrndup(end + 1, stop ? (size_t)(stop - end - 1) : strlen(end + 1));
		query = memchr(link, '?', (size_t)(end - link));
		if (query && (strcasestr(params, "rel=\"next\"") || strcasestr(params, "rel=next")))
			return xstrndup(query, (size_t)(end - query));
		link = end + 1;
	}
	return NULL;
}

static struct js *row_of(const char *name, const char *description, int64_t stars, bool official,
			 bool automated)
{
	struct js *row = js_object();

	js_set_text(row, "name", name);
	js_set_text(row, "description", description ? description : "");
	js_set_int(row, "star_count", stars);
	js_set_bool(row, "is_official", official);
	js_set_bool(row, "is_automated", automated);
	return row;
}

/* ---- the Hub ---- */

static struct js *search_hub(const char *term, unsigned limit, struct err *e)
{
	const struct endpoint_options o = { .host = HUB_SEARCH,
					    .repository = REF_DOMAIN_DEFAULT,
					    .scope = "" };
	struct endpoint *p = endpoint_new(&o);
	own_free char *base = xasprintf("https://" HUB_SEARCH "/v1/search?n=%u", limit);
	own_free char *url = http_url_query(base, "q", term);
	own_js struct js *j = page(p, url ? url : base, NULL, e);
	struct js *rows = NULL;

	endpoint_free(p);
	if (j == NULL)
		return NULL;
	if (!js_is_array(js_get(j, "results"))) {
		err_set(e, EPROTO, HUB_SEARCH ": its answer holds no results");
		return NULL;
	}
	rows = js_array();
	for (size_t i = 0; i < js_len(js_get(j, "results")) && i < limit; i++) {
		const struct js *one = js_at(js_get(j, "results"), i);
		const char *name = js_text(js_get(one, "name"));
		int64_t stars = 0;

		js_int(js_get(one, "star_count"), &stars);
		if (name)
			js_push(rows, row_of(name, js_text(js_get(one, "description")), stars,
					     js_true(js_get(one, "is_official")),
					     js_true(js_get(one, "is_automated"))));
	}
	return rows;
}

/* ---- catalogues ---- */

static void take_names(struct js *rows, const struct js *catalogue, const char *host,
		       const char *term, unsigned limit)
{
	const struct js *names = js_get(catalogue, "repositories");

	for (size_t i = 0; i < js_len(names) && js_len(rows) < limit; i++) {
		const char *name = js_text(js_at(names, i));
		own_free char *full = NULL;

		if (name == NULL || (*term && strcasestr(name, term) == NULL))
			continue;
		full = xasprintf("%s/%s", host, name);
		js_push(rows, row_of(full, "", 0, false, false));
	}
}

static struct js *search_catalogue(const char *host, const char *term, unsigned limit,
				   struct err *e)
{
	const struct endpoint_options o = { .host = host,
					    .repository = host,
					    .scope = "registry:catalog:*" };
	struct endpoint *p = endpoint_new(&o);
	char *next = xasprintf("?n=%d", SEARCH_CATALOGUE_N);
	struct js *rows = js_array();

	for (int i = 0; next && js_len(rows) < limit; i++) {
		own_free char *where = xasprintf("_catalog%s", next);
		own_free char *last = steal_ptr(&next);
		own_js struct js *j = NULL;

		if (i == SEARCH_PAGES_MAX)
			err_set(e, ELOOP, "%s: its catalogue has more than %d pages", host, i);
		else
			j = page(p, where, &next, e);
		if (j && !js_is_array(js_get(j, "repositories"))) {
			err_set(e, EPROTO, "%s: its answer is no catalogue", host);
			js_free(j);
			j = NULL;
		}
		/* A page that names itself as the next one would never end. */
		if (j && next && strcmp(next, last) == 0) {
			free(next);
			next = NULL;
		}
		if (j == NULL) {
			js_free(rows);
			rows = NULL;
			break;
		}
		take_names(rows, j, host, term, limit);
	}
	free(next);
	endpoint_free(p);
	return rows;
}

struct js *remote_search(const char *term, unsigned limit, struct err *e)
{
	own_free char *host = NULL;

	if (config_load(e) < 0)
		return NULL;
	host = split_host(&term);
	return host ? search_catalogue(host, term, limit, e) : search_hub(term, limit, e);
}
