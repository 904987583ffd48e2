/* user.h: docker's user specifications, looked up in the container's /etc/passwd and /etc/group. */
#ifndef ZL_GUEST_USER_H
#define ZL_GUEST_USER_H

#include <stddef.h>
#include <stdint.h>

#include "runtime/base/err.h"
#include "runtime/base/str.h"

/* Largest uid and gid docker accepts as a number. */
#define USER_ID_MAX 2147483647U
/* The kernel's NGROUPS_MAX: groups past it are left out. */
#define USER_GROUPS_MAX 65536

struct user {
	uint32_t uid, gid;
	uint32_t *groups; /* supplementary, gid first */
	size_t ngroups;
	char *home; /* "/" where /etc/passwd has none */
};

/*
 * spec is "", "user", "user:group", each a name or a number; `more` are
 * further supplementary groups (--group-add). passwd and group are the
 * files' contents ("" if there is none): bytes of the image's, not trusted.
 * On failure e has docker's words and out owns nothing.
 */
int user_resolve(const char *spec, const struct strv *more, const struct str *passwd,
		 const struct str *group, struct user *out, struct err *e);
void user_free(struct user *u);

#endif
