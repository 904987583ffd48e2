/* mem.h: guest memory as the host sees it; the only door to it. */
#ifndef ZL_VIRTIO_MEM_H
#define ZL_VIRTIO_MEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

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
	/*
	 * A device's shared memory (device.h), or size 0. Files of the host's are mapped
	 * into it: touching it can raise SIGBUS, so that it is no memory for gmem_at.
	 */
	struct gmem_region window;
};

/*
 * The host address of [gpa, gpa + len), or NULL unless the whole range lies
 * within one region. len 0 is NULL. The bytes behind it may change at any
 * moment: copy first, then check, then use the copy.
 */
void *gmem_at(const struct gmem *m, uint64_t gpa, uint64_t len);

/* The same within the window; only for the kernel to read and write there (bounce.h). */
void *gmem_window_at(const struct gmem *m, uint64_t gpa, uint64_t len);

/*
 * memcpy out of guest memory: afterwards the copy is what is looked at. The
 * barrier keeps the compiler from reading the guest's bytes a second time.
 */
static inline void gmem_copy(void *to, const void *from, size_t n)
{
	memcpy(to, from, n);
	__asm__ volatile("" ::: "memory");
}

#endif
