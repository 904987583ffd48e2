/* item.c: files on their way into a running container, as frames; see item.h. */
#include "vsock/item.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "runtime/base/cursor.h"
#include "vsock/wire.h"

/* What of an entry is there besides its numbers. */
#define HAS_TARGET 1U
#define HAS_LINK   2U
/* Least bytes of an extended attribute. */
#define XATTR_MIN 8

static void put_u32(struct str *o, uint32_t v)
{
	str_add_mem(o, &v, sizeof(v));
}

static void put_u64(struct str *o, uint64_t v)
{
	str_add_mem(o, &v, sizeof(v));
}

static void put_bytes(struct str *o, const void *p, size_t n)
{
	put_u32(o, (uint32_t)n);
	str_add_mem(o, p, n);
}

static void put_header(struct str *o, enum item_type type, size_t n)
{
	uint16_t t = (uint16_t)type, zero = 0;

	put_u32(o, (uint32_t)n);
	str_add_mem(o, &t, sizeof(t));
	str_add_mem(o, &zero, sizeof(zero));
}

void item_put_entry(struct str *out, const struct entry *x)
{
	own_str struct str s = STR_INIT;

	put_u32(&s, (x->target ? HAS_TARGET : 0) | (x->link ? HAS_LINK : 0));
	put_u32(&s, x->mode);
	put_u32(&s, x->uid);
	put_u32(&s, x->gid);
	put_u32(&s, x->major);
	put_u32(&s, x->minor);
	put_u64(&s, x->size);
	put_u64(&s, (uint64_t)x->mtime.tv_sec);
	put_u32(&s, (uint32_t)x->mtime.tv_nsec);
	put_bytes(&s, x->path, strlen(x->path));
	if (x->target)
		put_bytes(&s, x->target, strlen(x->target));
	if (x->link)
		put_bytes(&s, x->link, strlen(x->link));
	put_u32(&s, (uint32_t)x->nxattrs);
	for (size_t i = 0; i < x->nxattrs; i++) {
		put_bytes(&s, x->xattrs[i].name, strlen(x->xattrs[i].name));
		put_bytes(&s, x->xattrs[i].value, x->xattrs[i].len);
	}
	put_header(out, ITEM_ENTRY, s.len);
	str_add_mem(out, s.s, s.len);
}

void item_put_piece(struct str *out, uint64_t off, const void *p, size_t n)
{
	put_header(out, ITEM_PIECE, sizeof(off) + n);
	put_u64(out, off);
	str_add_mem(out, p, n);
}

void item_put_end(struct str *out)
{
	put_header(out, ITEM_END, 0);
}

static bool get_text(struct cur *c, struct item *m, const char **out)
{
	const void *p;
	uint32_t n;

	if (!cur_u32(c, &n) || !cur_bytes(c, n, &p) || memchr(p, 0, n))
		return false;
	strv_take(&m->texts, xstrndup(p, n));
	*out = m->texts.v[m->texts.n - 1];
	return true;
}

static bool get_xattrs(struct cur *c, struct item *m)
{
	uint32_t n, len;

	if (!cur_u32(c, &n) || n > cur_left(c) / XATTR_MIN)
		return false;
	m->xattrs = xcalloc(n, sizeof(*m->xattrs));
	for (uint32_t i = 0; i < n; i++) {
		if (!get_text(c, m, &m->xattrs[i].name) || !cur_u32(c, &len) ||
		    !cur_bytes(c, len, &m->xattrs[i].value))
			return false;
		m->xattrs[i].len = len;
	}
	m->x.xattrs = m->xattrs;
	m->x.nxattrs = n;
	return true;
}

int item_get_entry(const void *p, size_t n, struct item *m)
{
	uint32_t has, nsec;
	struct cur c;
	uint64_t sec;

	*m = (struct item){ .x = { .fd = -1 }, .payload = xmalloc(n + 1) };
	memcpy(m->payload, p, n); /* attributes' values stay where they are */
	c = cur_of(m->payload, n);
	if (cur_u32(&c, &has) && (has & ~(HAS_TARGET | HAS_LINK)) == 0 && cur_u32(&c, &m->x.mode) &&
	    cur_u32(&c, &m->x.uid) && cur_u32(&c, &m->x.gid) && cur_u32(&c, &m->x.major) &&
	    cur_u32(&c, &m->x.minor) && cur_u64(&c, &m->x.size) && cur_u64(&c, &sec) &&
	    cur_u32(&c, &nsec) && nsec < 1000000000 && get_text(&c, m, &m->x.path) &&
	    (!(has & HAS_TARGET) || get_text(&c, m, &m->x.target)) &&
	    (!(has & HAS_LINK) || get_text(&c, m, &m->x.link)) && get_xattrs(&c, m) &&
	    cur_left(&c) == 0 && (!S_ISLNK(m->x.mode) || m->x.target || m->x.link)) {
		m->x.mtime = (struct timespec){ (time_t)sec, (long)nsec };
		return 0;
	}
	item_free(m);
	return -EPROTO;
}

int item_get_piece(const void *p, size_t n, uint64_t *off, const void **data, size_t *len)
{
	struct cur c = cur_of(p, n);

	if (!cur_u64(&c, off) || *off > INT64_MAX - n)
		return -EPROTO;
	*len = cur_left(&c);
	return cur_bytes(&c, *len, data) ? 0 : -EPROTO;
}

void item_free(struct item *m)
{
	strv_free(&m->texts);
	free(m->xattrs);
	free(m->payload);
	*m = (struct item){ .x = { .fd = -1 } };
}
