/* each.c: one error does not keep a command from its other operands. */
#include <stdio.h>

#include "cmd/cmd.h"

void complain(const struct err *e)
{
	fflush(stdout);
	fprintf(stderr, "zl: %s\n", e->msg);
}

int for_each_operand(struct zl *z, void *flags, const struct operands *ops, each_fn *fn)
{
	int failed = 0;

	for (int i = 0; i < ops->n; i++) {
		struct err e = ERR_INIT;

		if (fn(z, flags, ops->v[i], &e) < 0) {
			complain(&e);
			failed = 1;
		}
	}
	return failed;
}
