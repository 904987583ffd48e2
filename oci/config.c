/* config.c: the configuration files, and what they say of a host. */
#include "oci/config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "runtime/base/own.h"
#include "runtime/base/parse.h"

static struct config loaded;
static struct err load_error;
static pthread_mutex_t extra_lock = PTHREAD_MUTEX_INITIALIZER;
static struct strv extra; /* config_add_insecure's */

void config_free(struct config *c)
{
	strv_free(&c->insecure);
	strv_free(&c->mirrors);
	free(c->http_proxy);
	free(c->https_proxy);
	free(c->no_proxy);
	*c = (struct config){ 0 };
}

/* ---- one key, one function ---- */

static int set_list(const struct js *v, struct strv *to, struct err *e)
{
	bool fill = to->n == 0;

	if (!js_is_array(v))
		return err_set(e, EINVAL, "it is no list");
	for (size_t i = 0; i < js_len(v); i++) {
		const char *text = js_text(js_at(v, i));

		if (text == NULL || *text == '\0')
			return err_set(e, EINVAL, "it holds what is no text");
		if (fill)
			strv_add(to, text);
	}
	return 0;
}

static int set_insecure(const struct js *v, struct config *c, struct err *e)
{
	return set_list(v, &c->insecure, e);
}

static int set_mirrors(const struct js *v, struct config *c, struct err *e)
{
	int r = set_list(v, &c->mirrors, e);

	for (size_t i = 0; r == 0 && i < c->mirrors.n; i++) {
		const char *url = c->mirrors.v[i];

		if (!str_starts(url, "https://") && !str_starts(url, "http://"))
			r = err_set(e, EINVAL, "\"%.200s\" does not begin with https:// or http://",
				    url);
		else if (strpbrk(url, "?#@ "))
			r = err_set(e, EINVAL, "\"%.200s\" is no plain address", url);
	}
	return r;
}

static int set_text(const struct js *v, char **to, struct err *e)
{
	const char *text = js_text(v);

	if (text == NULL)
		return err_set(e, EINVAL, "it is no text");
	if (*to == NULL)
		*to = xstrdup(text);
	return 0;
}

static int set_proxies(const struct js *v, struct config *c, struct err *e)
{
	const char *key;
	struct js *one;
	void *it = NULL;
	int r = js_is_object(v) ? 0 : err_set(e, EINVAL, "it is no object");

	while (r == 0 && js_each(v, &it, &key, &one)) {
		if (strcmp(key, "http-proxy") == 0)
			r = set_text(one, &c->http_proxy, e);
		else if (strcmp(key, "https-proxy") == 0)
			r = set_text(one, &c->https_proxy, e);
		else if (strcmp(key, "no-proxy") == 0)
			r = set_text(one, &c->no_proxy, e);
		else
			r = err_set(e, EINVAL, "unknown key \"%.100s\"", key);
	}
	return r;
}

static int set_number(const struct js *v, unsigned *to, struct err *e)
{
	int64_t n;

	if (!js_int(v, &n) || n < 1 || n > CONFIG_TRANSFERS_MAX)
		return err_set(e, EINVAL, "it is no number from 1 to %d", CONFIG_TRANSFERS_MAX);
	if (*to == 0)
		*to = (unsigned)n;
	return 0;
}

static int set_downloads(const struct js *v, struct config *c, struct err *e)
{
	return set_number(v, &c->downloads, e);
}

static int set_uploads(const struct js *v, struct config *c, struct err *e)
{
	return set_number(v, &c->uploads, e);
}

static int set_attempts(const struct js *v, struct config *c, struct err *e)
{
	return set_number(v, &c->attempts, e);
}

static const struct {
	const char *key;
	int (*set)(const struct js *v, struct config *c, struct err *e);
} keys[] = {
	{ "insecure-registries", set_insecure },
	{ "max-concurrent-downloads", set_downloads },
	{ "max-concurrent-uploads", set_uploads },
	{ "max-download-attempts", set_attempts },
	{ "proxies", set_proxies },
	{ "registry-mirrors", set_mirrors },
};

static int set_key(const char *key, const struct js *v, struct config *c, struct err *e)
{
	for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++)
		if (strcmp(keys[i].key, key) == 0)
			return keys[i].set(v, c, e);
	return err_set(e, EINVAL, "zl knows no such key");
}

int config_parse(const struct js *j, const char *name, struct config *c, struct err *e)
{
	const char *key;
	struct js *v;
	void *it = NULL;

	if (!js_is_object(j))
		return err_set(e, EINVAL, "%s: it is no JSON object", name);
	while (js_each(j, &it, &key, &v))
		if (set_key(key, v, c, e) < 0)
			return err_wrap(e, "%s: \"%.100s\"", name, key);
	return 0;
}

/* ---- the files ---- */

static int load_file(const char *path, struct err *e)
{
	own_js struct js *j = js_read(AT_FDCWD, path, CONFIG_FILE_MAX, e);

	if (j)
		return config_parse(j, path, &loaded, e);
	return e->code == ENOENT || e->code == ENOTDIR ? 0 : -e->code;
}

static void load_once(void)
{
	const char *config = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
	own_free char *path = NULL;
	int r = 0;

	if (config && *config == '/')
		path = xasprintf("%s/zl/config.json", config);
	else if (home && *home == '/')
		path = xasprintf("%s/.config/zl/config.json", home);
	if (path)
		r = load_file(path, &load_error);
	if (r == 0) {
		load_error = (struct err)ERR_INIT;
		r = load_file(CONFIG_SYSTEM "/config.json", &load_error);
	}
	if (r == 0)
		load_error = (struct err)ERR_INIT;
}

int config_load(struct err *e)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, load_once);
	if (load_error.code && e)
		*e = load_error;
	return -load_error.code;
}

const struct config *config_get(void)
{
	return &loaded;
}

/* ---- insecure registries ---- */

/* "a.b.c.d/n": whether the address (without its port) lies in it. */
static bool in_network(const char *network, const char *address)
{
	own_free char *base = xstrndup(network, strcspn(network, "/"));
	const char *slash = strchr(network, '/');
	uint8_t a[16], b[16];
	uint64_t bits;
	int family = strchr(base, ':') ? AF_INET6 : AF_INET;

	if (slash == NULL || !parse_u64(slash + 1, 0, family == AF_INET6 ? 128 : 32, &bits) ||
	    inet_pton(family, base, a) != 1 || inet_pton(family, address, b) != 1)
		return false;
	for (size_t i = 0; i < bits; i++)
		if ((a[i / 8] ^ b[i / 8]) & (0x80 >> i % 8))
			return false;
	return true;
}

/* "name" of "name:port", "::1" of "[::1]:port"; owned by the caller. */
static char *without_port(const char *host)
{
	if (*host == '[')
		return xstrndup(host + 1, strcspn(host + 1, "]"));
	return xstrndup(host, strcspn(host, ":"));
}

static bool list_says(const struct strv *list, const char *host)
{
	own_free char *name = without_port(host);

	for (size_t i = 0; i < list->n; i++) {
		const char *entry = list->v[i];

		/* docker: an entry without a port is for all of the host's, one with is for it. */
		if (strcasecmp(entry, host) == 0 || strcasecmp(entry, name) == 0 ||
		    in_network(entry, name))
			return true;
	}
	return false;
}

bool config_says_insecure(const struct config *c, const char *host)
{
	return list_says(&c->insecure, host);
}

bool config_insecure(const char *host)
{
	bool is;

	pthread_mutex_lock(&extra_lock);
	is = list_says(&extra, host);
	pthread_mutex_unlock(&extra_lock);
	return is || config_says_insecure(&loaded, host);
}

void config_add_insecure(const char *host)
{
	pthread_mutex_lock(&extra_lock);
	if (!strv_has(&extra, host))
		strv_add(&extra, host);
	pthread_mutex_unlock(&extra_lock);
}
