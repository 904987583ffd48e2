/* cancel.c: the flag of what runs, for signal handlers. */
#include "oci/cancel.h"

#include "oci/image.h"

static _Atomic(atomic_bool *) running;
static atomic_bool cancelled;

void cancel_begin(atomic_bool *flag)
{
	atomic_store(&running, flag);
	atomic_store(flag, atomic_load(&cancelled));
}

void cancel_end(void)
{
	atomic_store(&running, NULL);
}

bool cancel_wanted(void)
{
	return atomic_load(&cancelled);
}

void image_cancel(void)
{
	atomic_bool *flag;

	atomic_store(&cancelled, true);
	flag = atomic_load(&running);
	if (flag)
		atomic_store(flag, true);
}
