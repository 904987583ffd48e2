/* fuzz_auth.c: challenges, credentials files, base64. The first byte says which. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "oci/auth.h"
#include "oci/creds.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void challenge(const char *text)
{
	struct strv headers = STRV_INIT;
	struct auth_challenge c;

	strv_split(&headers, text, '\n');
	auth_challenge_parse(&headers, &c);
	if (c.scheme == AUTH_BEARER && c.realm == NULL)
		abort();
	auth_challenge_free(&c);
	strv_free(&headers);
}

static void credentials(const char *text, size_t n)
{
	struct js *j = js_parse(text, n, NULL);
	struct auth_creds c;

	if (creds_in(j, "r.io/team/app", &c) && !c.identity_token && !c.registry_token &&
	    !(c.user && c.password))
		abort();
	free(auth_basic(&c));
	auth_creds_free(&c);
	js_free(j);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str plain = STR_INIT;
	char *text;

	if (size == 0)
		return 0;
	text = xstrndup((const char *)data + 1, size - 1);
	if (data[0] == 'c')
		challenge(text);
	else if (data[0] == 'j')
		credentials((const char *)data + 1, size - 1);
	else if (data[0] == 'b')
		auth_base64_decode(text, &plain);
	str_free(&plain);
	free(text);
	return 0;
}
