/* mem.c: from guest-physical ranges to host addresses; see mem.h. */
#include "runtime/virtio/mem.h"

/* Whether gpa lies in the region; then *host is where, or NULL if len reaches out of it. */
static bool region_at(const struct gmem_region *r, uint64_t gpa, uint64_t len, void **host)
{
	uint64_t off = gpa - r->gpa;

	if (gpa < r->gpa || off >= r->size)
		return false;
	*host = len == 0 || len > r->size - off ? NULL : r->host + off;
	return true;
}

void *gmem_at(const struct gmem *m, uint64_t gpa, uint64_t len)
{
	void *host;

	for (unsigned i = 0; i < m->n; i++) {
		if (region_at(&m->r[i], gpa, len, &host))
			return host;
	}
	return NULL;
}

void *gmem_window_at(const struct gmem *m, uint64_t gpa, uint64_t len)
{
	void *host;

	return region_at(&m->window, gpa, len, &host) ? host : NULL;
}
