/* progress.h: a pull as the user sees it: a line for each layer. */
#ifndef ZL_OCI_PROGRESS_H
#define ZL_OCI_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "oci/digest.h"

/*
 * On a terminal the layers' lines are changed in place, at most every
 * PROGRESS_MS; elsewhere each change of state is a line of its own. Any
 * thread may call any function.
 */
#define PROGRESS_MS 100

struct progress;

/* fd: where it goes; negative: nowhere. */
struct progress *progress_new(int fd);
/* Leaves the lines as they are, and the cursor below them. */
void progress_free(struct progress *p);
void progress_free_(struct progress **p);
#define own_progress __attribute__((cleanup(progress_free_)))

/* A line among or after the layers' lines; the newline is added. */
void progress_say(struct progress *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Adds a layer's line (all of them come before their changes); its number. */
size_t progress_row(struct progress *p, const struct digest *blob);
/*
 * What the layer does now: "Downloading", "Pull complete". total: of the bar behind
 * it, 0: none. The text is copied.
 */
void progress_set(struct progress *p, size_t row, const char *state, uint64_t at, uint64_t total);

#endif
