/* auth.c: challenges, the users' stored credentials, bearer tokens. */
#include "oci/auth.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "oci/ref.h"
#include "runtime/base/fd.h"
#include "runtime/base/json.h"
#include "runtime/base/log.h"
#include "runtime/base/own.h"

/* docker's key for its own hub in config.json, without what is stripped from every key. */
#define HUB_KEY "index.docker.io"

/* ---- challenges: RFC 9110, 11.6.1 ---- */

static bool is_token_char(char c)
{
	return isalnum((unsigned char)c) || (c && strchr("!#$%&'*+-.^_`|~", c));
}

static const char *skip_blanks(const char *s)
{
	while (*s == ' ' || *s == '\t')
		s++;
	return s;
}

static const char *skip_token(const char *s)
{
	while (is_token_char(*s))
		s++;
	return s;
}

/* A quoted string from its opening quote; NULL if it does not end. */
static const char *take_quoted(const char *s, struct str *out)
{
	for (s++; *s != '"'; s++) {
		if (*s == '\\')
			s++;
		if (*s == '\0')
			return NULL;
		str_add_char(out, *s);
	}
	return s + 1;
}

static void param_set(struct auth_challenge *c, const char *key, size_t n, const char *value)
{
	const struct {
		const char *name;
		char **to;
	} params[] = {
		{ "realm", &c->realm },
		{ "service", &c->service },
		{ "scope", &c->scope },
		{ "error", &c->error },
	};

	for (size_t i = 0; i < sizeof(params) / sizeof(*params); i++) {
		if (strlen(params[i].name) != n || strncasecmp(params[i].name, key, n) != 0 ||
		    *params[i].to)
			continue;
		*params[i].to = xstrdup(value);
	}
}

/* "key = value" into c; where it is no such thing s is returned unmoved, NULL: malformed. */
static const char *take_param(const char *s, struct auth_challenge *c)
{
	const char *end = skip_token(s), *v = skip_blanks(end);
	own_str struct str value = STR_INIT;

	if (end == s || *v != '=')
		return s;
	v = skip_blanks(v + 1);
	if (*v == '"') {
		v = take_quoted(v, &value);
		if (v == NULL)
			return NULL;
	} else {
		const char *stop = v;

		/* Some servers leave the quotes out even around addresses. */
		while (*stop && *stop != ',' && *stop != ' ' && *stop != '\t')
			stop++;
		str_add_mem(&value, v, (size_t)(stop - v));
		v = stop;
	}
	param_set(c, s, (size_t)(end - s), value.s ? value.s : "");
	return v;
}

/* One scheme with its parameters; NULL at the end or where it is malformed. */
static const char *take_challenge(const char *s, struct auth_challenge *c)
{
	const char *name, *end;

	while (*s == ',' || *s == ' ' || *s == '\t')
		s++;
	name = s;
	end = skip_token(name);
	if (end == name)
		return NULL;
	if (end - name == 6 && strncasecmp(name, "bearer", 6) == 0)
		c->scheme = AUTH_BEARER;
	else if (end - name == 5 && strncasecmp(name, "basic", 5) == 0)
		c->scheme = AUTH_BASIC;
	s = skip_blanks(end);
	for (;;) {
		const char *next;

		while (*s == ',' || *s == ' ' || *s == '\t')
			s++;
		next = take_param(s, c);
		if (next == NULL)
			return NULL;
		if (next == s)
			return *s ? s : NULL; /* the next scheme's name */
		s = next;
	}
}

void auth_challenge_parse(const struct strv *headers, struct auth_challenge *out)
{
	*out = (struct auth_challenge){ 0 };
	for (size_t i = 0; i < headers->n; i++) {
		const char *s = headers->v[i];

		if (strlen(s) > AUTH_CHALLENGE_MAX)
			continue;
		while (s) {
			own_challenge struct auth_challenge c = { 0 };

			s = take_challenge(s, &c);
			/* A bearer challenge without a realm cannot be answered. */
			if (c.scheme <= out->scheme || (c.scheme == AUTH_BEARER && !c.realm))
				continue;
			auth_challenge_free(out);
			*out = c;
			c = (struct auth_challenge){ 0 };
		}
	}
}

void auth_challenge_free(struct auth_challenge *c)
{
	free(c->realm);
	free(c->service);
	free(c->scope);
	free(c->error);
	*c = (struct auth_challenge){ 0 };
}

/* ---- credentials ---- */

static const char base64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

int auth_base64_decode(const char *text, struct str *out)
{
	size_t n = strlen(text);
	uint32_t bits = 0;
	unsigned have = 0;

	while (n && (text[n - 1] == '=' || text[n - 1] == '\n'))
		n--;
	for (size_t i = 0; i < n; i++) {
		const char *at = text[i] ? strchr(base64, text[i]) : NULL;

		if (at == NULL)
			return -EINVAL;
		bits = bits << 6 | (uint32_t)(at - base64);
		have += 6;
		if (have >= 8) {
			have -= 8;
			str_add_char(out, (char)(bits >> have));
			bits &= (1u << have) - 1;
		}
	}
	return have >= 6 || bits ? -EINVAL : 0;
}

static void base64_encode(struct str *out, const char *p, size_t n)
{
	const unsigned char *b = (const unsigned char *)p;

	for (size_t i = 0; i < n; i += 3) {
		size_t left = n - i;
		uint32_t v = (uint32_t)b[i] << 16 | (left > 1 ? (uint32_t)b[i + 1] << 8 : 0) |
			     (left > 2 ? b[i + 2] : 0);

		str_add_char(out, base64[v >> 18]);
		str_add_char(out, base64[v >> 12 & 63]);
		str_add_char(out, left > 1 ? base64[v >> 6 & 63] : '=');
		str_add_char(out, left > 2 ? base64[v & 63] : '=');
	}
}

char *auth_basic(const struct auth_creds *c)
{
	own_str struct str plain = STR_INIT;
	struct str out = STR_INIT;

	if (c->user == NULL || c->password == NULL)
		return NULL;
	str_addf(&plain, "%s:%s", c->user, c->password);
	str_add(&out, "Basic ");
	base64_encode(&out, plain.s, plain.len);
	return str_steal(&out);
}

void auth_creds_free(struct auth_creds *c)
{
	free(c->user);
	free(c->password);
	free(c->identity_token);
	free(c->registry_token);
	*c = (struct auth_creds){ 0 };
}

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
	if (strcmp(s, HUB_KEY) == 0 || strcmp(s, "registry-1.docker.io") == 0) {
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
	char *colon;

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

bool auth_creds_in(const struct js *config, const char *repository, struct auth_creds *out)
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

bool auth_creds_find(const char *repository, struct auth_creds *out)
{
	own_strv struct strv paths = STRV_INIT;
	bool found = false;

	*out = (struct auth_creds){ 0 };
	credential_files(&paths);
	for (size_t i = 0; !found && i < paths.n; i++) {
		struct err err = ERR_INIT;
		own_js struct js *j = js_read(AT_FDCWD, paths.v[i], AUTH_CONFIG_MAX, &err);

		if (j)
			found = auth_creds_in(j, repository, out);
		else if (err.code != ENOENT && err.code != ENOTDIR)
			log_warn("%s is passed over: %s", paths.v[i], err.msg);
	}
	return found;
}

/* ---- tokens ---- */

/* What goes into a header must not end it. */
static bool token_ok(const char *s)
{
	for (const char *p = s; *p; p++)
		if (*p <= ' ' || *p > '~')
			return false;
	return *s != '\0';
}

static int64_t now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec;
}

static int token_parse(const struct str *body, const char *host, char **token, int64_t *expires,
		       struct err *e)
{
	struct err why = ERR_INIT;
	own_js struct js *j = js_parse(body->s ? body->s : "", body->len, &why);
	const char *text = js_text(js_get(j, "token"));
	int64_t life;

	if (j == NULL)
		return err_set(e, EPROTO, "%s: the token server's answer is not valid JSON", host);
	if (text == NULL || *text == '\0')
		text = js_text(js_get(j, "access_token"));
	if (text == NULL || !token_ok(text))
		return err_set(e, EPROTO, "%s: the token server's answer holds no token", host);
	if (!js_int(js_get(j, "expires_in"), &life) || life < AUTH_EXPIRES_DEFAULT)
		life = AUTH_EXPIRES_DEFAULT;
	*token = xasprintf("Bearer %s", text);
	/* A little less, for the way. */
	*expires = now_s() + (life < INT32_MAX ? life : INT32_MAX) - AUTH_EXPIRES_DEFAULT / 6;
	return 0;
}

static void form_add(struct str *form, const char *key, const char *value)
{
	str_addf(form, "%s%s=", form->len ? "&" : "", key);
	for (const char *p = value; *p; p++) {
		if (isalnum((unsigned char)*p) || strchr("-._~", *p))
			str_add_char(form, *p);
		else
			str_addf(form, "%%%02X", (unsigned char)*p);
	}
}

/* The address with service and scopes; a scope may be several, divided by spaces. */
static char *token_url(const struct auth_challenge *c, const char *scope, const char *user)
{
	char *url = xstrdup(c->realm);
	own_strv struct strv scopes = STRV_INIT;
	struct {
		const char *key, *value;
	} extra[] = { { "account", user }, { "service", c->service } };

	strv_split(&scopes, scope, ' ');
	for (size_t i = 0; url && i < 2 + scopes.n; i++) {
		const char *key = i < 2 ? extra[i].key : "scope";
		const char *value = i < 2 ? extra[i].value : scopes.v[i - 2];
		char *longer;

		if (value == NULL || *value == '\0')
			continue;
		longer = http_url_query(url, key, value);
		free(url);
		url = longer;
	}
	return url;
}

int auth_token(struct http *h, const char *from, const struct auth_challenge *c, const char *scope,
	       const struct auth_creds *creds, char **token, int64_t *expires, struct err *e)
{
	own_str struct str body = STR_INIT, form = STR_INIT;
	own_response struct http_response resp = { 0 };
	own_free char *url = NULL, *basic = NULL, *host = http_url_host(c->realm);
	struct http_request q = { .into = &body, .max = AUTH_TOKEN_MAX };
	int r;

	if (!str_starts(c->realm, "https://") && !http_host_is_loopback(from))
		return err_set(e, EPROTO,
			       "%s: names a token server without HTTPS, which is refused: "
			       "\"%.200s\"",
			       from, c->realm);
	if (creds->identity_token) {
		form_add(&form, "grant_type", "refresh_token");
		form_add(&form, "service", c->service ? c->service : "");
		form_add(&form, "client_id", "zl");
		form_add(&form, "scope", scope);
		form_add(&form, "refresh_token", creds->identity_token);
		q.form = form.s;
		url = xstrdup(c->realm);
	} else {
		basic = auth_basic(creds);
		q.authorization = basic;
		url = token_url(c, scope, basic ? creds->user : NULL);
	}
	if (url == NULL)
		return err_set(e, EPROTO, "%s: names a malformed token server \"%.200s\"", from,
			       c->realm);
	q.url = url;
	r = http_do(h, &q, &resp, e);
	if (r < 0)
		return err_wrap(e, "token for %s", from);
	if (resp.status == 401 || resp.status == 403)
		return err_set(e, EACCES, "%s: the token server refuses %s (HTTP status %d)", host,
			       basic || form.len ? "your credentials"
						 : "access without credentials",
			       resp.status);
	if (resp.status != 200)
		return err_set(e, EPROTO, "%s: the token server answers with HTTP status %d", host,
			       resp.status);
	return token_parse(&body, host, token, expires, e);
}
