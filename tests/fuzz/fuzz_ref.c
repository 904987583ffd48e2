/* fuzz_ref.c: image names; what is accepted must mean the same when written out in full. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "oci/image.h"
#include "oci/ref.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = xstrndup((const char *)data, size), *full, *again, *repository, *tag;
	struct err e = ERR_INIT;
	struct ref r;

	if (ref_parse(text, &r, &e) == 0) {
		full = ref_full(&r);
		/* Paths and addresses are made of these. */
		if (strstr(r.path, "..") || strpbrk(full, " \t\r\n\"?#%\\") || *r.path == '/')
			abort();
		ref_free(&r);
		if (ref_parse(full, &r, &e) < 0)
			abort();
		again = ref_full(&r);
		if (strcmp(full, again) != 0)
			abort();
		free(again);
		again = image_name_familiar(full);
		ref_free(&r);
		if (ref_parse(again, &r, &e) < 0)
			abort();
		free(again);
		again = ref_full(&r);
		if (strcmp(full, again) != 0)
			abort();
		image_name_split(full, &repository, &tag);
		free(repository);
		free(tag);
		free(again);
		free(full);
		ref_free(&r);
	} else if (e.msg[0] == '\0' || r.domain || r.path || r.tag) {
		abort();
	}
	free(text);
	return 0;
}
