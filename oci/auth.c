/* auth.c: challenges, and the tokens that answer them. */
#include "oci/auth.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "runtime/base/json.h"
#include "runtime/base/own.h"

/* What we call ourselves to token servers. */
#define CLIENT_ID "zl"

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

void auth_base64_encode(struct str *out, const char *p, size_t n)
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
	auth_base64_encode(&out, plain.s, plain.len);
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
		       char **refresh, struct err *e)
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
	text = js_text(js_get(j, "refresh_token"));
	if (refresh && text && token_ok(text)) {
		free(*refresh);
		*refresh = xstrdup(text);
	}
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
static char *token_url(const struct auth_challenge *c, const char *scope, const char *user,
		       bool offline)
{
	char *url = xstrdup(c->realm);
	own_strv struct strv scopes = STRV_INIT;
	struct {
		const char *key, *value;
	} extra[] = { { "account", user },
		      { "service", c->service },
		      { "client_id", offline ? CLIENT_ID : NULL },
		      { "offline_token", offline ? "true" : NULL } };
	const size_t n = sizeof(extra) / sizeof(*extra);

	strv_split(&scopes, scope, ' ');
	for (size_t i = 0; url && i < n + scopes.n; i++) {
		const char *key = i < n ? extra[i].key : "scope";
		const char *value = i < n ? extra[i].value : scopes.v[i - n];
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
	       const struct auth_creds *creds, char **token, int64_t *expires, char **refresh,
	       struct err *e)
{
	own_str struct str body = STR_INIT, form = STR_INIT;
	own_response struct http_response resp = { 0 };
	own_free char *url = NULL, *basic = NULL, *host = http_url_host(c->realm);
	struct http_request q = { .into = &body, .max = AUTH_TOKEN_MAX };
	int r;

	if (!str_starts(c->realm, "https://") && !http_plain_allowed(from))
		return err_set(e, EPROTO,
			       "%s: names a token server without HTTPS, which is refused: "
			       "\"%.200s\"",
			       from, c->realm);
	if (creds->identity_token) {
		form_add(&form, "grant_type", "refresh_token");
		form_add(&form, "service", c->service ? c->service : "");
		form_add(&form, "client_id", CLIENT_ID);
		if (*scope)
			form_add(&form, "scope", scope);
		form_add(&form, "refresh_token", creds->identity_token);
		q.form = form.s;
		url = xstrdup(c->realm);
	} else {
		basic = auth_basic(creds);
		q.authorization = basic;
		url = token_url(c, scope, basic ? creds->user : NULL, refresh != NULL);
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
	return token_parse(&body, host, token, expires, refresh, e);
}
