/* fuzz_change.c: any lines as --change: what they leave is a config that can be stored. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/change.h"
#include "runtime/base/own.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Lists of text stay lists of text, whatever was put into them. */
static void check_list(const struct js *config, const char *key)
{
	const struct js *list = js_get(config, key);

	if (list && !js_is_array(list) && !js_is_null(list))
		abort();
	for (size_t i = 0; i < js_len(list); i++)
		if (!js_is_string(js_at(list, i)))
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char was[] = "{\"Env\":[\"PATH=/bin\"],\"Cmd\":[\"sh\"],\"Labels\":null}";
	static const char *const lists[] = { "Env", "Cmd", "Entrypoint", "OnBuild" };
	own_free char *text = xstrndup((const char *)data, size), *written = NULL;
	own_js struct js *config = js_parse(was, strlen(was), NULL), *again = NULL;
	own_strv struct strv lines = STRV_INIT;
	struct err e = ERR_INIT;

	strv_split(&lines, text, '\n');
	if (config_change(config, &lines, &e) < 0 && e.msg[0] == 0)
		abort();
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
		check_list(config, lists[i]);
	written = js_dump(config, 0);
	again = written ? js_parse(written, strlen(written), NULL) : NULL;
	if (again == NULL)
		abort();
	return 0;
}
