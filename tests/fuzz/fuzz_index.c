/* fuzz_index.c: any index.json: what is read in place is what the JSON library reads. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "oci/store_impl.h"
#include "runtime/base/own.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool same_text(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool same(const struct store_image *a, const struct store_image *b)
{
	own_free char *x = a->foreign ? js_dump(a->foreign, 0) : NULL;
	own_free char *y = b->foreign ? js_dump(b->foreign, 0) : NULL;

	return same_text(a->name, b->name) && same_text(a->media_type, b->media_type) &&
	       same_text(a->platform, b->platform) && same_text(x, y) &&
	       digest_equal(&a->manifest, &b->manifest) && digest_equal(&a->source, &b->source) &&
	       digest_equal(&a->id, &b->id) && a->manifest_size == b->manifest_size &&
	       a->size == b->size && a->created == b->created && a->tagged == b->tagged &&
	       a->known == b->known;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	own_store_images struct store_images fast = { 0 }, slow = { 0 };
	own_free char *copy = xmalloc(size + 1);
	struct err e = ERR_INIT, f = ERR_INIT;
	int rc;

	if (size)
		memcpy(copy, data, size);
	rc = images_parse_json(copy, size, &slow, &e);
	if (images_parse(copy, size, &fast, &f) != rc || strcmp(e.msg, f.msg) != 0)
		abort();
	if (fast.n != slow.n || (rc < 0 && e.msg[0] == 0))
		abort();
	for (size_t i = 0; i < fast.n; i++)
		if (!same(&fast.v[i], &slow.v[i]))
			abort();
	return 0;
}
