/* config.h: zl's own configuration: registries that are insecure, mirrors, proxies, certificates.
 */
#ifndef ZL_OCI_CONFIG_H
#define ZL_OCI_CONFIG_H

#include <stdbool.h>
#include <stddef.h>

#include "runtime/base/err.h"
#include "runtime/base/json.h"
#include "runtime/base/str.h"

/*
 * Two files of JSON with the keys of docker's daemon.json (man/zl-config.5): the user's,
 * $XDG_CONFIG_HOME/zl/config.json, and the machine's, /etc/zl/config.json. A key that is in the
 * user's file counts, else the machine's. A key nobody knows is an error: what is written there is
 * meant to have an effect.
 */
#define CONFIG_SYSTEM	"/etc/zl"
#define CONFIG_FILE_MAX (1u << 20)
/* Largest file of certificates, and most files in one folder of them. */
#define CERTS_BYTES_MAX (4u << 20)
#define CERTS_FILES_MAX 256
/* Bounds of the numbers of blobs at once, and of attempts. */
#define CONFIG_TRANSFERS_MAX 64

struct config {
	struct strv insecure; /* insecure-registries: hosts (with ports), addresses, a.b.c.d/n */
	struct strv mirrors;  /* registry-mirrors: URLs, for docker.io */
	char *http_proxy, *https_proxy, *no_proxy; /* proxies; NULL: the environment's */
	unsigned downloads, uploads, attempts;	   /* max-...; 0: zl's own choice */
};

/* One parsed file into c, where c has nothing yet; name: the file's, for messages. */
int config_parse(const struct js *j, const char *name, struct config *c, struct err *e);
void config_free(struct config *c);

/* Reads the files, once in a process; the error, if any, every time. */
int config_load(struct err *e);
/* What was read; before config_load, or without files: nothing set. */
const struct config *config_get(void);

/* Whether c says that this host ("name", "name:port", "[::1]:port") need not prove who it is. */
bool config_says_insecure(const struct config *c, const char *host);
/* The same of what was read, or was said by config_add_insecure (--insecure). */
bool config_insecure(const char *host);
void config_add_insecure(const char *host);

/* Certificates for one host; each NULL where there is none. */
struct host_certs {
	char *ca;	  /* PEM: authorities that are trusted besides the machine's */
	char *cert, *key; /* files: what we show who asks who we are */
};

/*
 * From certs.d/<host>/ in the user's folder, /etc/zl and /etc/docker, the first there is: *.crt,
 * *.cert and *.key as docker has them. Kept for the process; *out is borrowed, and NULL where
 * there is no folder.
 */
int config_certs(const char *host, const struct host_certs **out, struct err *e);

#endif
