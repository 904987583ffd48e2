/* certs.c: certs.d, a folder of certificates for each registry, as docker has it. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "oci/config.h"
#include "runtime/base/fd.h"
#include "runtime/base/own.h"

/* What is known of one host; found once, kept to the end. */
struct known {
	struct known *next;
	char *host;
	struct host_certs certs;
	bool has; /* there is a folder */
	struct err err;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct known *all;

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The folder's files in the order of their names. */
static int list(DIR *d, const char *path, struct strv *names, struct err *e)
{
	struct dirent *de;

	while ((de = readdir(d)) != NULL) {
		if (de->d_name[0] == '.')
			continue;
		if (names->n == CERTS_FILES_MAX)
			return err_set(e, E2BIG, "%s: more than %d files", path, CERTS_FILES_MAX);
		strv_add(names, de->d_name);
	}
	if (names->n)
		qsort(names->v, names->n, sizeof(*names->v), by_name);
	return 0;
}

/* *.crt is an authority, *.cert with *.key of the same name is what we show. */
static int take(struct host_certs *c, const char *path, const struct strv *names, const char *name,
		struct err *e)
{
	own_free char *full = xasprintf("%s/%s", path, name), *key = NULL;
	own_str struct str pem = STR_INIT;
	size_t n = strlen(name);

	if (str_ends(name, ".crt")) {
		int r = file_read(AT_FDCWD, full, CERTS_BYTES_MAX, &pem, e);

		if (r < 0)
			return r;
		key = xasprintf("%s%s\n", c->ca ? c->ca : "", pem.s ? pem.s : "");
		free(c->ca);
		c->ca = steal_ptr(&key);
	} else if (str_ends(name, ".cert")) {
		key = xasprintf("%.*s.key", (int)(n - 5), name);
		if (!strv_has(names, key))
			return err_set(e, ENOENT, "%s: missing key %s for client certificate %s",
				       path, key, name);
		if (c->cert == NULL) {
			c->cert = steal_ptr(&full);
			c->key = xasprintf("%s/%s", path, key);
		}
	} else if (str_ends(name, ".key")) {
		key = xasprintf("%.*s.cert", (int)(n - 4), name);
		if (!strv_has(names, key))
			return err_set(e, ENOENT, "%s: missing client certificate %s for key %s",
				       path, key, name);
	}
	return 0;
}

/* Positive: there is no such folder. */
static int read_folder(const char *path, struct host_certs *c, struct err *e)
{
	own_strv struct strv names = STRV_INIT;
	own_dir DIR *d = opendir(path);
	int r;

	if (d == NULL)
		return errno == ENOENT || errno == ENOTDIR ? 1 : err_sys(e, "open %s", path);
	r = list(d, path, &names, e);
	for (size_t i = 0; r == 0 && i < names.n; i++)
		r = take(c, path, &names, names.v[i], e);
	return r;
}

static void find(struct known *k)
{
	const char *config = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
	own_strv struct strv dirs = STRV_INIT;

	if (strchr(k->host, '/') || k->host[0] == '.')
		return;
	if (config && *config == '/')
		strv_addf(&dirs, "%s/zl/certs.d/%s", config, k->host);
	else if (home && *home == '/')
		strv_addf(&dirs, "%s/.config/zl/certs.d/%s", home, k->host);
	strv_addf(&dirs, "%s/certs.d/%s", CONFIG_SYSTEM, k->host);
	strv_addf(&dirs, "/etc/docker/certs.d/%s", k->host);
	for (size_t i = 0; i < dirs.n; i++) {
		int r = read_folder(dirs.v[i], &k->certs, &k->err);

		k->has = r <= 0;
		if (k->has)
			return;
	}
}

int config_certs(const char *host, const struct host_certs **out, struct err *e)
{
	struct known *k;
	int r;

	pthread_mutex_lock(&lock);
	for (k = all; k && strcmp(k->host, host) != 0; k = k->next)
		;
	if (k == NULL) {
		k = xcalloc(1, sizeof(*k));
		k->host = xstrdup(host);
		k->next = all;
		all = k;
		find(k);
	}
	*out = k->has && k->err.code == 0 ? &k->certs : NULL;
	r = -k->err.code;
	if (r < 0 && e)
		*e = k->err;
	pthread_mutex_unlock(&lock);
	return r;
}
