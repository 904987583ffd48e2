/* cancel.h: a signal ends what talks to registries: see image_cancel. */
#ifndef ZL_OCI_CANCEL_H
#define ZL_OCI_CANCEL_H

#include <stdatomic.h>
#include <stdbool.h>

/* From here on image_cancel sets the flag too; it is set now if there was one before. */
void cancel_begin(atomic_bool *flag);
void cancel_end(void);
/* Whether image_cancel was called. */
bool cancel_wanted(void);

#endif
