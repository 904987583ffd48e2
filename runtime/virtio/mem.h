/* mem.h: guest memory as the host sees it; the only door to it. */
#ifndef ZL_VIRTIO_MEM_H
#define ZL_VIRTIO_MEM_H

#include <stddef.h>
#include <stdint.h>

/* vhost-user hands over at most 8 regions; the VMM needs two. */
#define GMEM_REGIONS_MAX 8

struct gmem_region {
	uint64_t gpa;  /* first guest-physical address */
	uint64_t size; /* bytes */
	uint8_t *host; /* where it is mapped here */
};

struct gmem {
	unsigned n;
	struct gmem_region r[GMEM_REGIONS_MAX];
};

/*
 * The host address of [gpa, gpa + len), or NULL unless the whole range lies
 * within one region. len 0 is NULL. The bytes behind it may change at any
 * moment: copy first, then check, then use the copy.
 */
void *gmem_at(const struct gmem *m, uint64_t gpa, uint64_t len);

#endif
