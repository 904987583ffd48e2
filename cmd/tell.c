/* tell.c: what happens to images, told to the log of events; see runtime/box/events.h. */
#include <string.h>

#include "cmd/cmd.h"
#include "cmd/prune.h"
#include "runtime/base/own.h"
#include "runtime/box/events.h"

void tell_image(struct zl *z, const char *action, const char *name, const char *as)
{
	own_image struct image *i = image_find(z->store, name, NULL);
	own_strv struct strv labels = STRV_INIT;
	own_free char *familiar = as ? image_name_familiar(as) : NULL;

	if (i == NULL)
		return;
	image_labels(i->config, &labels);
	events_say_image(&z->dirs, action, i->id, familiar ? familiar : i->id, &labels);
}

void tell_remote(struct zl *z, const char *action, const char *name, const struct image *i)
{
	own_free char *full = image_name_full(name, true), *repository = NULL, *tag = NULL;
	own_free char *familiar = full ? image_name_familiar(full) : NULL;
	own_strv struct strv labels = STRV_INIT;

	if (familiar == NULL)
		return;
	image_name_split(full, &repository, &tag);
	if (i)
		image_labels(i->config, &labels);
	events_say_image(&z->dirs, action, familiar, repository ? repository : familiar, &labels);
}

void tell_removed(struct zl *z, const char *id, const struct strv *report)
{
	for (size_t i = 0; i < report->n; i++) {
		const char *line = report->v[i];

		if (str_starts(line, "Untagged: "))
			events_say_image(&z->dirs, "untag", id, id, NULL);
		else if (str_starts(line, "Deleted: ") && str_ends(line, id))
			events_say_image(&z->dirs, "delete", id, id, NULL);
	}
}
