/* creds_helper.h: programs docker-credential-NAME, which keep credentials for others. */
#ifndef ZL_OCI_CREDS_HELPER_H
#define ZL_OCI_CREDS_HELPER_H

#include "runtime/base/err.h"
#include "runtime/base/str.h"

/*
 * Runs docker-credential-<name> VERB with `input` on its stdin; what it prints goes to out. The
 * helper may talk to the user on the terminal. 0; 1: it says that it has no such credentials;
 * negative: there is no such program, or it failed.
 */
int creds_helper(const char *name, const char *verb, const char *input, struct str *out,
		 struct err *e);

#endif
