/* links.c: files with several names; see links.h. */
#include "runtime/base/links.h"

#include <stdlib.h>

#include "runtime/base/str.h"

#define LINKS_START 64

static struct links_slot *find(struct links_slot *t, size_t size, uint64_t dev, uint64_t ino)
{
	size_t i = ((ino ^ dev << 40) * 0x9e3779b97f4a7c15ULL >> 20) & (size - 1);

	while (t[i].path && (t[i].ino != ino || t[i].dev != dev))
		i = (i + 1) & (size - 1);
	return &t[i];
}

static void grow(struct links *l)
{
	size_t size = l->size ? l->size * 2 : LINKS_START;
	struct links_slot *bigger = xcalloc(size, sizeof(*bigger));

	for (size_t i = 0; i < l->size; i++)
		if (l->slot[i].path)
			*find(bigger, size, l->slot[i].dev, l->slot[i].ino) = l->slot[i];
	free(l->slot);
	l->slot = bigger;
	l->size = size;
}

const char *links_first(struct links *l, uint64_t dev, uint64_t ino, const char *path)
{
	struct links_slot *s;

	if (l->n * 2 >= l->size)
		grow(l);
	s = find(l->slot, l->size, dev, ino);
	if (s->path)
		return s->path;
	*s = (struct links_slot){ dev, ino, xstrdup(path) };
	l->n++;
	return NULL;
}

void links_free(struct links *l)
{
	for (size_t i = 0; i < l->size; i++)
		free(l->slot[i].path);
	free(l->slot);
	*l = (struct links){ 0 };
}
