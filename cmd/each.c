/* each.c: one error does not keep a command from its other operands. */
#include <stdio.h>

#include "cmd/cmd.h"

void complain(const struct err *e)
{
	char text[ERR_MSG_MAX];
	size_t n = 0;

	/* registries, archives and guests have a say in it: they get no escape sequences */
	for (const char *c = e->msg; *c && n + 1 < sizeof(text); c++)
		text[n++] = ((unsigned char)*c < ' ' && *c != '\n') || *c == 0x7f ? '?' : *c;
	text[n] = 0;
	fflush(stdout);
	fprintf(stderr, "zl: %s\n", text);
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
