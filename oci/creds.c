/* creds.c: credentials in files: found by repository, kept and forgotten as docker does. */
#include "oci/creds.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "oci/creds_helper.h"
#include "oci/ref.h"
#include "runtime/base/fd.h"
#include "runtime/base/log.h"
#include "runtime/base/own.h"

/* What helpers call the user where the secret is an identity token. */
#define TOKEN_USER "<token>"

/* "https://host/v1/" and the like as "host"; owned by the caller. */
static char *key_normalise(const char *key)
{
	static const char *const ends[] = { "/v1", "/v2" };
	char *s;
	size_t n;

	if (str_starts(key, "https://"))
		key += 8;
	else if (str_starts(key, "http://"))
		key += 7;
	s = xstrdup(key);
	for (n = strlen(s); n && s[n - 1] == '/'; n--)
		s[n - 1] = '\0';
	for (size_t i = 0; i < sizeof(ends) / sizeof(*ends); i++)
		if (str_ends(s, ends[i]))
			s[strlen(s) - strlen(ends[i])] = '\0';
	if (strcmp(s, "index.docker.io") == 0 || strcmp(s, "registry-1.docker.io") == 0) {
		free(s);
		s = xstrdup(REF_DOMAIN_DEFAULT);
	}
	return s;
}

/* Length of the match where key names the repository or a folder above it; 0: it does not. */
static size_t key_match(const char *key, const char *repository)
{
	size_t n = strlen(key);

	if (n == 0 || strncmp(key, repository, n) != 0)
		return 0;
	return repository[n] == '\0' || repository[n] == '/' ? n : 0;
}

static char *text_of(const struct js *j)
{
	const char *s = js_text(j);

	return s && *s ? xstrdup(s) : NULL;
}

static bool creds_of_entry(const struct js *entry, struct auth_creds *out)
{
	const char *auth = js_text(js_get(entry, "auth"));
	own_str struct str plain = STR_INIT;
	const char *colon;

	*out = (struct auth_creds){ 0 };
	out->identity_token = text_of(js_get(entry, "identitytoken"));
	out->registry_token = text_of(js_get(entry, "registrytoken"));
	out->user = text_of(js_get(entry, "username"));
	out->password = text_of(js_get(entry, "password"));
	if (out->password == NULL && auth && auth_base64_decode(auth, &plain) == 0 && plain.s &&
	    strlen(plain.s) == plain.len && (colon = strchr(plain.s, ':')) != NULL) {
		free(out->user);
		out->user = xstrndup(plain.s, (size_t)(colon - plain.s));
		out->password = xstrdup(colon + 1);
	}
	return (out->user && out->password) || out->identity_token || out->registry_token;
}

bool creds_in(const struct js *config, const char *repository, struct auth_creds *out)
{
	struct js *entry;
	const char *key;
	void *it = NULL;
	size_t best = 0;

	*out = (struct auth_creds){ 0 };
	while (js_each(js_get(config, "auths"), &it, &key, &entry)) {
		own_free char *k = key_normalise(key);
		own_creds struct auth_creds c = { 0 };
		size_t n = key_match(k, repository);

		if (n <= best || !creds_of_entry(entry, &c))
			continue;
		best = n;
		auth_creds_free(out);
		*out = c;
		c = (struct auth_creds){ 0 };
	}
	return best > 0;
}

static void add_path(struct strv *paths, const char *dir, const char *rest)
{
	if (dir && *dir)
		strv_addf(paths, "%s%s", dir, rest);
}

static void credential_files(struct strv *paths)
{
	const char *home = getenv("HOME"), *docker = getenv("DOCKER_CONFIG");
	const char *config = getenv("XDG_CONFIG_HOME");

	if (docker && *docker)
		add_path(paths, docker, "/config.json");
	else
		add_path(paths, home, "/.docker/config.json");
	add_path(paths, getenv("REGISTRY_AUTH_FILE"), "");
	add_path(paths, getenv("XDG_RUNTIME_DIR"), "/containers/auth.json");
	if (config && *config)
		add_path(paths, config, "/containers/auth.json");
	else
		add_path(paths, home, "/.config/containers/auth.json");
}

/* ---- helpers ---- */

/* As helpers and docker's file name a registry. */
static const char *server_key(const char *domain)
{
	return strcmp(domain, REF_DOMAIN_DEFAULT) == 0 ? CREDS_HUB : domain;
}

/* The helper a file names for a registry, or NULL. */
static const char *helper_for(const struct js *config, const char *domain)
{
	const char *key, *name;
	struct js *v;
	void *it = NULL;

	while (js_each(js_get(config, "credHelpers"), &it, &key, &v)) {
		own_free char *k = key_normalise(key);

		if (strcmp(k, domain) == 0 && js_text(v) && *js_text(v))
			return js_text(v);
	}
	name = js_text(js_get(config, "credsStore"));
	return name && *name ? name : NULL;
}

bool creds_from_answer(const char *text, size_t n, struct auth_creds *out)
{
	own_js struct js *j = js_parse(text, n, NULL);
	const char *user = js_text(js_get(j, "Username")), *secret = js_text(js_get(j, "Secret"));

	*out = (struct auth_creds){ 0 };
	if (user == NULL || secret == NULL || *secret == '\0')
		return false;
	if (strcmp(user, TOKEN_USER) == 0) {
		out->identity_token = xstrdup(secret);
		return true;
	}
	out->user = xstrdup(user);
	out->password = xstrdup(secret);
	return true;
}

/* 1: it has some, 0: it has none. */
static int ask_helper(const char *name, const char *domain, struct auth_creds *out, struct err *e)
{
	own_str struct str answer = STR_INIT;
	int r = creds_helper(name, "get", server_key(domain), &answer, e);

	if (r != 0)
		return r < 0 ? r : 0;
	if (!creds_from_answer(answer.s ? answer.s : "", answer.len, out))
		return err_set(e, EPROTO,
			       "credential helper docker-credential-%s: its answer for %s is no "
			       "credentials",
			       name, domain);
	return 1;
}

static int find_in(const struct js *config, const char *repository, struct auth_creds *out,
		   struct err *e)
{
	own_free char *domain = xstrndup(repository, strcspn(repository, "/"));
	const char *helper = helper_for(config, domain);
	int r;

	/* It comes before what is in the file, as docker has it. */
	if (helper) {
		r = ask_helper(helper, domain, out, e);
		if (r != 0)
			return r;
	}
	return creds_in(config, repository, out);
}

int creds_find(const char *repository, struct auth_creds *out, struct err *e)
{
	own_strv struct strv paths = STRV_INIT;
	int found = 0;

	*out = (struct auth_creds){ 0 };
	credential_files(&paths);
	for (size_t i = 0; found == 0 && i < paths.n; i++) {
		struct err err = ERR_INIT;
		own_js struct js *j = js_read(AT_FDCWD, paths.v[i], AUTH_CONFIG_MAX, &err);

		if (j)
			found = find_in(j, repository, out, e);
		else if (err.code != ENOENT && err.code != ENOTDIR)
			log_warn("%s is passed over: %s", paths.v[i], err.msg);
	}
	return found;
}

/* ---- docker's file ---- */

/* docker's config.json, held against other zl's while it is changed. */
struct file {
	char *dir, *path; /* path: with links followed */
	int lock;
	struct js *j;
};

static void file_close(struct file *f)
{
	if (f->lock >= 0)
		close(f->lock);
	free(f->dir);
	free(f->path);
	js_free(f->j);
}

static int file_open(struct file *f, struct err *e)
{
	const char *docker = getenv("DOCKER_CONFIG"), *home = getenv("HOME");
	struct err err = ERR_INIT;
	char *real;
	int r;

	*f = (struct file){ .lock = -1 };
	if (docker && *docker)
		f->dir = xstrdup(docker);
	else if (home && *home)
		f->dir = xasprintf("%s/.docker", home);
	else
		return err_set(e, ENOENT,
			       "no folder for credentials: neither DOCKER_CONFIG nor HOME is set");
	r = dir_make_all(f->dir, 0700, e);
	if (r < 0)
		return r;
	f->lock = open(f->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (f->lock < 0)
		return err_sys(e, "open %s", f->dir);
	r = fd_lock(f->lock, LOCK_EX);
	if (r < 0)
		return err_set(e, -r, "lock %s: %s", f->dir, strerror(-r));
	f->path = xasprintf("%s/config.json", f->dir);
	real = realpath(f->path, NULL);
	if (real) {
		free(f->path);
		f->path = real;
	}
	f->j = js_read(AT_FDCWD, f->path, AUTH_CONFIG_MAX, &err);
	if (f->j == NULL && err.code == ENOENT)
		f->j = js_object();
	if (f->j && js_is_object(f->j))
		return 0;
	/* What cannot be read must not be overwritten. */
	return err_set(e, err.code ? err.code : EINVAL, "%s%s", err.code ? "" : f->path,
		       err.code ? err.msg : ": it is no JSON object");
}

static int file_save(struct file *f, struct err *e)
{
	own_free char *text = js_dump(f->j, 8);
	own_str struct str out = STR_INIT;

	str_addf(&out, "%s\n", text);
	return file_write_atomic(AT_FDCWD, f->path, out.s, out.len, 0600, true, e);
}

/* The object "auths" of the file, made where it is missing. */
static struct js *file_auths(struct file *f)
{
	struct js *auths = js_get(f->j, "auths");

	if (!js_is_object(auths)) {
		js_set(f->j, "auths", js_object());
		auths = js_get(f->j, "auths");
	}
	return auths;
}

static int give_helper(const char *name, const char *domain, const struct auth_creds *c,
		       struct err *e)
{
	own_str struct str answer = STR_INIT;
	own_js struct js *j = js_object();
	own_free char *text = NULL;
	int r;

	js_set_text(j, "ServerURL", server_key(domain));
	js_set_text(j, "Username", c->identity_token ? TOKEN_USER : c->user);
	js_set_text(j, "Secret", c->identity_token ? c->identity_token : c->password);
	text = js_dump(j, 0);
	r = creds_helper(name, "store", text, &answer, e);
	return r > 0 ? err_set(e, EIO,
			       "docker-credential-%s store: it does not know what it is given",
			       name)
		     : r;
}

/* All spellings of the registry's key go; whether there was one. */
static bool auths_drop(struct js *auths, const char *domain)
{
	own_strv struct strv gone = STRV_INIT;
	const char *key;
	struct js *v;
	void *it = NULL;

	while (js_each(auths, &it, &key, &v)) {
		own_free char *k = key_normalise(key);

		if (strcmp(k, domain) == 0)
			strv_add(&gone, key);
	}
	for (size_t i = 0; i < gone.n; i++)
		js_del(auths, gone.v[i]);
	return gone.n > 0;
}

static void auths_put(struct js *auths, const char *domain, const struct auth_creds *c, bool helper)
{
	struct js *entry = js_object();
	struct auth_creds shown = { c->user,
				    c->identity_token ? (char *)(uintptr_t) "" : c->password, NULL,
				    NULL };
	own_free char *basic = helper ? NULL : auth_basic(&shown);

	auths_drop(auths, domain);
	if (basic)
		js_set_text(entry, "auth", basic + strlen("Basic "));
	if (!helper && c->identity_token)
		js_set_text(entry, "identitytoken", c->identity_token);
	js_set(auths, server_key(domain), entry);
}

int creds_store(const char *domain, const struct auth_creds *c, char **plain, struct err *e)
{
	struct file f OWN(file_close);
	const char *helper;
	int r = file_open(&f, e);

	if (plain)
		*plain = NULL;
	if (r < 0)
		return r;
	helper = helper_for(f.j, domain);
	if (helper)
		r = give_helper(helper, domain, c, e);
	if (r < 0)
		return r;
	/* An empty entry says that the helper has it; docker lists them so. */
	auths_put(file_auths(&f), domain, c, helper != NULL);
	r = file_save(&f, e);
	if (r == 0 && helper == NULL && plain)
		*plain = xstrdup(f.path);
	return r;
}

int creds_erase(const char *domain, struct err *e)
{
	struct file f OWN(file_close);
	own_str struct str answer = STR_INIT;
	const char *helper;
	int r = file_open(&f, e);

	if (r < 0)
		return r;
	helper = helper_for(f.j, domain);
	if (helper)
		r = creds_helper(helper, "erase", server_key(domain), &answer, e);
	if (r < 0)
		return r;
	return auths_drop(js_get(f.j, "auths"), domain) ? file_save(&f, e) : 0;
}
