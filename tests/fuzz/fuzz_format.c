/* fuzz_format.c: any text as a --format template, and as an --env-file. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/flags.h"
#include "cmd/format.h"
#include "runtime/base/own.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

static const char data[] =
	"{\"Name\":\"web\",\"N\":3,\"R\":1.5,\"Yes\":true,\"Nil\":null,\"List\":[\"x\",\"y\"],"
	"\"Labels\":{\"a\":\"1\",\"b\":\"2\"},\"State\":{\"Status\":\"running\"}}";

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
	own_js struct js *j = js_parse(data, strlen(data), NULL);
	own_free char *text = xstrndup((const char *)input, size);
	own_strv struct strv env = STRV_INIT;
	own_str struct str out = STR_INIT;
	struct err e = ERR_INIT;
	struct format *f = format_parse(text, &e);

	if (f) {
		format_run(f, j, false, &out, &e);
		format_run(f, j, true, &out, &e);
	} else if (e.msg[0] == 0) {
		abort();
	}
	format_free(f);
	env_file_parse((const char *)input, size, NULL, &env, &e);
	return 0;
}
