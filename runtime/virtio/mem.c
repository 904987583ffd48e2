/* mem.c: from guest-physical ranges to host addresses; see mem.h. */
#include "runtime/virtio/mem.h"

void *gmem_at(const struct gmem *m, uint64_t gpa, uint64_t len)
{
	for (unsigned i = 0; i < m->n; i++) {
		const struct gmem_region *r = &m->r[i];
		uint64_t off;

		if (gpa < r->gpa)
			continue;
		off = gpa - r->gpa;
		if (off >= r->size)
			continue;
		if (len == 0 || len > r->size - off)
			return NULL;
		return r->host + off;
	}
	return NULL;
}
