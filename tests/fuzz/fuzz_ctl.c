/* fuzz_ctl.c: messages on a container's control socket, and specs as JSON. */
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include "runtime/box/ctl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ctl_msg m;
	struct box_exec x;
	struct box_spec spec;
	struct js *j;
	int fd = memfd_create("fuzz", 0);

	ctl_get(&m, data, size);
	if (fd >= 0 && write(fd, data, size) == (ssize_t)size && ctl_exec_read(fd, &x, NULL) == 0)
		ctl_exec_free(&x);
	close(fd);
	j = js_parse((const char *)data, size, NULL);
	if (j && box_spec_from_json(&spec, j, NULL) == 0)
		box_spec_free(&spec);
	js_free(j);
	return 0;
}
