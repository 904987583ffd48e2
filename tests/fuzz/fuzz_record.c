/* fuzz_record.c: lines of a container's log. */
#include <stddef.h>
#include <stdint.h>

#include "runtime/box/logfile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct log_record r = { .data = STR_INIT };

	log_record_parse((const char *)data, size, &r);
	log_record_free(&r);
	return 0;
}
