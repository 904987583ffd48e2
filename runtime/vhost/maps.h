/* maps.h: mappings of guest memory that sessions share. */
#ifndef ZL_VHOST_MAPS_H
#define ZL_VHOST_MAPS_H

#include <stdint.h>

#include "runtime/base/err.h"
#include "runtime/vhost/session.h"

struct vhost_map;

/* Maps [offset, offset + size) of fd, or finds that it is mapped. fd stays the caller's. */
struct vhost_map *vhost_map_get(struct vhost_maps *maps, int fd, uint64_t offset, uint64_t size,
				struct err *e);
void vhost_map_put(struct vhost_maps *maps, struct vhost_map *m);
uint8_t *vhost_map_host(const struct vhost_map *m);

#endif
