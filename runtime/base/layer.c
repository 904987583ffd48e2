/* layer.c: the text of LAYER_XATTR_STAT, and what host file stands for what; see layer.h. */
#include "runtime/base/layer.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define PERM_BITS 07777U
#define HOST_PERM 0777U

static const struct {
	const char *name;
	uint32_t mode;
} types[] = {
	{ "file", S_IFREG }, { "dir", S_IFDIR },     { "symlink", S_IFLNK },
	{ "pipe", S_IFIFO }, { "socket", S_IFSOCK },
};

#define NTYPES (sizeof(types) / sizeof(types[0]))

size_t layer_stat_format(char *buf, const struct layer_stat *st)
{
	const char *type = types[0].name;
	int n;

	if (S_ISBLK(st->mode) || S_ISCHR(st->mode)) {
		n = snprintf(buf, LAYER_STAT_MAX, "%u:%u:0%o:%s-%u-%u", st->uid, st->gid,
			     st->mode & PERM_BITS, S_ISBLK(st->mode) ? "block" : "char",
			     st->rdev_major, st->rdev_minor);
		return (size_t)n;
	}
	for (size_t i = 0; i < NTYPES; i++)
		if ((st->mode & S_IFMT) == types[i].mode)
			type = types[i].name;
	n = snprintf(buf, LAYER_STAT_MAX, "%u:%u:0%o:%s", st->uid, st->gid, st->mode & PERM_BITS,
		     type);
	return (size_t)n;
}

/* Digits in `base`, at most max, up to a character that is none; NULL if there are none. */
static const char *number(const char *p, const char *end, unsigned base, uint32_t max, uint32_t *v)
{
	uint64_t n = 0;
	const char *start = p;

	for (; p < end && *p >= '0' && (unsigned)(*p - '0') < base; p++) {
		n = n * base + (unsigned)(*p - '0');
		if (n > max)
			return NULL;
	}
	*v = (uint32_t)n;
	return p == start ? NULL : p;
}

static bool parse_type(const char *p, const char *end, struct layer_stat *st)
{
	size_t n = (size_t)(end - p);

	for (size_t i = 0; i < NTYPES; i++) {
		if (strlen(types[i].name) == n && memcmp(types[i].name, p, n) == 0) {
			st->mode |= types[i].mode;
			return true;
		}
	}
	if (n > 6 && memcmp(p, "block-", 6) == 0) {
		st->mode |= S_IFBLK;
		p += 6;
	} else if (n > 5 && memcmp(p, "char-", 5) == 0) {
		st->mode |= S_IFCHR;
		p += 5;
	} else {
		return false;
	}
	p = number(p, end, 10, UINT32_MAX, &st->rdev_major);
	if (p == NULL || p == end || *p++ != '-')
		return false;
	return number(p, end, 10, UINT32_MAX, &st->rdev_minor) == end;
}

bool layer_stat_parse(const char *text, size_t len, uint32_t host_mode, struct layer_stat *st)
{
	const char *p = text, *end = text + len;
	struct layer_stat s = { 0 };

	p = number(p, end, 10, UINT32_MAX, &s.uid);
	if (p == NULL || p == end || *p++ != ':')
		return false;
	p = number(p, end, 10, UINT32_MAX, &s.gid);
	if (p == NULL || p == end || *p++ != ':')
		return false;
	p = number(p, end, 8, 0177777, &s.mode);
	if (p == NULL)
		return false;
	s.mode &= PERM_BITS;
	if (p == end)
		s.mode |= host_mode & S_IFMT;
	else if (*p++ != ':' || !parse_type(p, end, &s))
		return false;
	*st = s;
	return true;
}

bool layer_stat_is_whiteout(const struct layer_stat *st)
{
	return S_ISCHR(st->mode) && st->rdev_major == 0 && st->rdev_minor == 0;
}

uint32_t layer_host_mode(const struct layer_stat *st)
{
	uint32_t perm = st->mode & HOST_PERM;

	if (S_ISDIR(st->mode))
		return S_IFDIR | perm | 0700;
	if (S_ISLNK(st->mode) && st->uid == 0 && st->gid == 0)
		return S_IFLNK | 0777;
	return S_IFREG | perm | 0600;
}

bool layer_stat_needed(const struct layer_stat *st)
{
	uint32_t host = layer_host_mode(st);

	if (st->uid || st->gid || (host & S_IFMT) != (st->mode & S_IFMT))
		return true;
	return !S_ISLNK(st->mode) && (host & PERM_BITS) != (st->mode & PERM_BITS);
}
