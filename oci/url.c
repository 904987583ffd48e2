/* url.c: addresses: their parts, what they lead to, and which of them are refused. */
#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "oci/config.h"
#include "oci/http.h"
#include "runtime/base/own.h"

bool http_host_is_loopback(const char *host)
{
	unsigned a, b, c, d;
	int n = 0;

	if (str_starts(host, "[::1]"))
		return host[5] == '\0' || host[5] == ':';
	if (strncasecmp(host, "localhost", 9) == 0)
		return host[9] == '\0' || host[9] == ':';
	return sscanf(host, "%3u.%3u.%3u.%3u%n", &a, &b, &c, &d, &n) == 4 && a == 127 && b < 256 &&
	       c < 256 && d < 256 && (host[n] == '\0' || host[n] == ':');
}

char *http_url_origin(const char *url)
{
	CURLU *u = curl_url();
	char *scheme = NULL, *host = NULL, *port = NULL, *origin = NULL;

	if (u && curl_url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK &&
	    curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
	    curl_url_get(u, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
	    curl_url_get(u, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) == CURLUE_OK)
		origin = xasprintf("%s://%s:%s", scheme, host, port);
	curl_free(scheme);
	curl_free(host);
	curl_free(port);
	curl_url_cleanup(u);
	return origin;
}

char *http_url_host(const char *url)
{
	CURLU *u = curl_url();
	char *host = NULL, *port = NULL, *text = NULL;

	if (u && curl_url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK &&
	    curl_url_get(u, CURLUPART_HOST, &host, 0) == CURLUE_OK) {
		curl_url_get(u, CURLUPART_PORT, &port, 0);
		text = xasprintf("%s%s%s", host, port ? ":" : "", port ? port : "");
	}
	curl_free(host);
	curl_free(port);
	curl_url_cleanup(u);
	return text ? text : xasprintf("%.100s", url);
}

char *http_url_query(const char *url, const char *key, const char *value)
{
	own_free char *pair = xasprintf("%s=%s", key, value);
	CURLU *u = curl_url();
	char *text = NULL, *copy = NULL;

	if (u && curl_url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK &&
	    curl_url_set(u, CURLUPART_QUERY, pair, CURLU_APPENDQUERY | CURLU_URLENCODE) ==
		    CURLUE_OK &&
	    curl_url_get(u, CURLUPART_URL, &text, 0) == CURLUE_OK)
		copy = xstrdup(text);
	curl_free(text);
	curl_url_cleanup(u);
	return copy;
}

char *http_url_join(const char *base, const char *location)
{
	CURLU *u = curl_url();
	char *text = NULL, *user = NULL, *copy = NULL;

	if (u && curl_url_set(u, CURLUPART_URL, base, 0) == CURLUE_OK &&
	    curl_url_set(u, CURLUPART_URL, location, 0) == CURLUE_OK &&
	    curl_url_get(u, CURLUPART_USER, &user, 0) != CURLUE_OK &&
	    curl_url_get(u, CURLUPART_URL, &text, 0) == CURLUE_OK)
		copy = xstrdup(text);
	curl_free(text);
	curl_free(user);
	curl_url_cleanup(u);
	return copy;
}

bool http_same_origin(const char *a, const char *b)
{
	own_free char *x = http_url_origin(a), *y = http_url_origin(b);

	return x && y && strcmp(x, y) == 0;
}

bool http_plain_allowed(const char *host)
{
	return http_host_is_loopback(host) || config_insecure(host);
}

int http_url_check(const char *url, const char *from, struct err *e)
{
	own_free char *origin = http_url_origin(url), *host = http_url_host(url);
	own_free char *from_host = from ? http_url_host(from) : NULL;

	if (origin == NULL)
		return err_set(e, EINVAL, "%s: malformed address \"%.200s\"",
			       from_host ? from_host : "request", url);
	if (str_starts(origin, "https://"))
		return 0;
	if (!str_starts(origin, "http://"))
		return err_set(e, EPROTO, "%s: neither HTTP nor HTTPS: \"%.200s\"",
			       from_host ? from_host : host, url);
	if (from_host && !http_plain_allowed(from_host))
		return err_set(e, EPROTO, "%s: redirects to plain HTTP at %s, which is refused",
			       from_host, host);
	if (!http_plain_allowed(host))
		return err_set(e, EPROTO,
			       "%s: plain HTTP is refused but for this machine itself and for "
			       "\"insecure-registries\" (zl-config(5))",
			       host);
	return 0;
}
