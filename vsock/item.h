/* item.h: files on their way into a running container: what stdin of an unpacking task carries. */
#ifndef ZL_VSOCK_ITEM_H
#define ZL_VSOCK_ITEM_H

#include "runtime/base/entry.h"
#include "runtime/base/str.h"

/*
 * Frames as on the control connection (wire.h), from the host: ENTRY for each file, its content
 * behind it in any number of PIECEs, holes left out; END after the last one. The task
 * (WIRE_TASK_UNPACK) ends with 0 when all is done, or says on stderr why not.
 */
enum item_type {
	ITEM_ENTRY = 64,
	ITEM_PIECE,
	ITEM_END,
};

struct item {
	struct entry x; /* without content */
	void *payload;
	struct strv texts;
	struct entry_xattr *xattrs;
};

void item_put_entry(struct str *out, const struct entry *x);
void item_put_piece(struct str *out, uint64_t off, const void *p, size_t n);
void item_put_end(struct str *out);

/* A frame's payload; -EPROTO when it is malformed, m then owns nothing. */
int item_get_entry(const void *p, size_t n, struct item *m);
int item_get_piece(const void *p, size_t n, uint64_t *off, const void **data, size_t *len);
void item_free(struct item *m);

#endif
