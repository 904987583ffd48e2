/* prune.h: what the pruning commands share. */
#ifndef ZL_CMD_PRUNE_H
#define ZL_CMD_PRUNE_H

#include <stdbool.h>
#include <stdint.h>

#include "cmd/show.h"
#include "oci/image.h"
#include "runtime/box/box.h"

/* --filter of prune: what may go. */
struct prune_filter {
	int64_t until; /* seconds since 1970; 0: any time */
	struct filters filters;
};

int prune_filter_parse(const struct strv *texts, struct prune_filter *f, struct err *e);
void prune_filter_free(struct prune_filter *f);
/* Whether every `label` filter is met and no `label!` one; labels: "key=value". */
bool labels_match(const struct filters *f, const struct strv *labels);
/* The labels of an image's config as "key=value", appended. */
void image_labels(const struct js *config, struct strv *out);

/* Prints the question and reads the answer. Only "y" is yes. */
bool confirm(const char *question);

/* Which images containers use; asked under the store's lock. */
struct image_users {
	struct box_list boxes;
	char by[13];
};
image_in_use_fn image_used;

#endif
