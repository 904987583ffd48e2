/* fuzz_manifest.c: manifests, indexes, image configs, platforms and times. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "oci/manifest.h"
#include "runtime/base/str.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct err e = ERR_INIT;
	char buf[PLATFORM_TEXT_MAX], *text;
	struct image_config c;
	struct platform p;
	struct manifest m;
	int64_t t;

	if (manifest_parse(data, size, NULL, &m, &e) == 0) {
		if (m.nlayers > MANIFEST_LAYERS_MAX || m.nentries > INDEX_ENTRIES_MAX)
			abort();
		platform_parse(NULL, &p, NULL);
		manifest_select(&m, &p, &e);
		manifest_free(&m);
	} else if (e.msg[0] == '\0' || m.layers || m.entries) {
		abort();
	}
	if (image_config_parse(data, size, &c, &e) == 0) {
		platform_format(buf, &c.platform);
		image_config_free(&c);
	} else if (c.js || c.diff_ids) {
		abort();
	}
	text = xstrndup((const char *)data, size);
	if (platform_parse(text, &p, &e) == 0 && platform_rank(&p, &p) <= 0)
		abort();
	time_parse_rfc3339(text, &t);
	free(text);
	return 0;
}
