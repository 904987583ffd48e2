/* maps.c: mappings of guest memory that sessions share; see maps.h. */
#include "runtime/vhost/maps.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/str.h"

struct vhost_map {
	struct vhost_map *next;
	unsigned refs;
	dev_t dev;
	ino_t ino;
	uint64_t offset, size;
	uint8_t *host;
};

struct vhost_map *vhost_map_get(struct vhost_maps *maps, int fd, uint64_t offset, uint64_t size,
				struct err *e)
{
	struct vhost_map *m;
	struct stat st;
	void *host;

	if (fstat(fd, &st) < 0) {
		err_sys(e, "guest memory");
		return NULL;
	}
	/* Past the end of the file a read would be a SIGBUS. */
	if (size == 0 || offset > INT64_MAX || size > (uint64_t)INT64_MAX - offset ||
	    (uint64_t)st.st_size < offset + size) {
		err_set(e, EPROTO, "guest memory is smaller than announced");
		return NULL;
	}
	for (m = maps->first; m; m = m->next) {
		if (m->dev != st.st_dev || m->ino != st.st_ino || m->offset != offset ||
		    m->size != size)
			continue;
		m->refs++;
		return m;
	}
	host = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd,
		    (off_t)offset);
	if (host == MAP_FAILED) {
		err_sys(e, "mapping guest memory");
		return NULL;
	}
	madvise(host, size, MADV_DONTDUMP);
	m = xcalloc(1, sizeof(*m));
	*m = (struct vhost_map){ .next = maps->first,
				 .refs = 1,
				 .dev = st.st_dev,
				 .ino = st.st_ino,
				 .offset = offset,
				 .size = size,
				 .host = host };
	maps->first = m;
	return m;
}

void vhost_map_put(struct vhost_maps *maps, struct vhost_map *m)
{
	struct vhost_map **at;

	if (m == NULL || --m->refs)
		return;
	for (at = &maps->first; *at != m; at = &(*at)->next)
		;
	*at = m->next;
	munmap(m->host, m->size);
	free(m);
}

uint8_t *vhost_map_host(const struct vhost_map *m)
{
	return m->host;
}
