/* fuzz_config.c: zl's config.json, helpers' answers, Link headers. The first byte says which. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "oci/config.h"
#include "oci/creds.h"
#include "oci/remote.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void config(const char *text, size_t n)
{
	struct js *j = js_parse(text, n, NULL);
	struct config c = { 0 };

	if (j && config_parse(j, "fuzz", &c, NULL) == 0 &&
	    (c.downloads > CONFIG_TRANSFERS_MAX || c.uploads > CONFIG_TRANSFERS_MAX))
		abort();
	config_says_insecure(&c, "registry.example:5000");
	config_says_insecure(&c, "10.1.2.3:80");
	config_says_insecure(&c, "[fd00::1]:5000");
	config_free(&c);
	js_free(j);
}

static void answer(const char *text, size_t n)
{
	struct auth_creds c;

	if (creds_from_answer(text, n, &c) && !c.identity_token && !(c.user && c.password))
		abort();
	auth_creds_free(&c);
}

static void link_header(const char *text)
{
	char *next = search_next(text);

	if (next && (*next != '?' || strchr(next, '>')))
		abort();
	free(next);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text;

	if (size == 0)
		return 0;
	text = xstrndup((const char *)data + 1, size - 1);
	if (data[0] == 'c')
		config((const char *)data + 1, size - 1);
	else if (data[0] == 'h')
		answer((const char *)data + 1, size - 1);
	else if (data[0] == 'l')
		link_header(text);
	free(text);
	return 0;
}
