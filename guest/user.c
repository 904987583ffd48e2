/* user.c: docker's user specifications -> uid, gid, groups, home; see user.h. */
#include "guest/user.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/own.h"

/*
 * docker's rules: what looks like a number is one, even if a user has such a
 * name; a number need not be in /etc/passwd; a group given with the user
 * replaces all its groups, else those of /etc/group that list the user apply.
 * Lines that are too short or whose numbers are none are passed over.
 */

#define PASSWD_FIELDS 7
#define GROUP_FIELDS  4

/* A part of a file's text. */
struct part {
	const char *p;
	size_t n;
};

static bool part_is(struct part a, const char *s)
{
	return strlen(s) == a.n && memcmp(a.p, s, a.n) == 0;
}

/* The next part up to `sep`; false at the end of the text. */
static bool part_next(struct part *rest, char sep, struct part *out)
{
	const char *end;

	if (rest->p == NULL)
		return false;
	end = rest->n ? memchr(rest->p, sep, rest->n) : NULL;
	out->p = rest->p;
	if (end == NULL) {
		out->n = rest->n;
		*rest = (struct part){ NULL, 0 };
	} else {
		out->n = (size_t)(end - rest->p);
		rest->n -= out->n + 1;
		rest->p = end + 1;
	}
	return true;
}

static struct part trim(struct part a)
{
	static const char blanks[] = " \t\r\v\f";

	while (a.n && strchr(blanks, *a.p) && *a.p)
		a.p++, a.n--;
	while (a.n && strchr(blanks, a.p[a.n - 1]) && a.p[a.n - 1])
		a.n--;
	return a;
}

/* The next line that is not empty, split at its colons; missing fields are empty. */
static bool line_next(struct part *file, struct part *field, size_t nfields)
{
	struct part line;

	while (part_next(file, '\n', &line)) {
		struct part rest = trim(line);

		if (rest.n == 0)
			continue;
		for (size_t i = 0; i < nfields; i++)
			if (!part_next(&rest, ':', &field[i]))
				field[i] = (struct part){ "", 0 };
		return true;
	}
	return false;
}

/* Decimal digits only; values past 2^63 do not fit and are no numbers. */
static bool number(struct part a, uint64_t *out)
{
	uint64_t v = 0;

	if (a.n == 0)
		return false;
	for (size_t i = 0; i < a.n; i++) {
		if (a.p[i] < '0' || a.p[i] > '9' || v > (INT64_MAX - 9) / 10)
			return false;
		v = v * 10 + (uint64_t)(a.p[i] - '0');
	}
	*out = v;
	return true;
}

static bool id_of(struct part a, uint32_t *out)
{
	uint64_t v;

	if (!number(a, &v) || v > USER_ID_MAX)
		return false;
	*out = (uint32_t)v;
	return true;
}

static int out_of_range(struct err *e)
{
	return err_set(e, EINVAL, "uids and gids must be in range 0-%u", USER_ID_MAX);
}

static void add_group(struct user *u, uint32_t gid)
{
	for (size_t i = 0; i < u->ngroups; i++)
		if (u->groups[i] == gid)
			return;
	if (u->ngroups == USER_GROUPS_MAX)
		return;
	if ((u->ngroups & (u->ngroups - 1)) == 0) /* grows at powers of two */
		u->groups =
			xrealloc(u->groups, (u->ngroups ? u->ngroups * 2 : 1) * sizeof(*u->groups));
	u->groups[u->ngroups++] = gid;
}

static struct part whole(const struct str *s)
{
	return (struct part){ s->len ? s->s : "", s->len };
}

/* Sets uid, gid, home; *name is the matched entry's name, empty if none matched. */
static int find_user(const char *arg, const struct str *passwd, struct user *u, struct part *name,
		     struct err *e)
{
	struct part file = whole(passwd), f[PASSWD_FIELDS];
	uint64_t want = 0;
	bool numeric = *arg == 0 || number((struct part){ arg, strlen(arg) }, &want);

	*name = (struct part){ "", 0 };
	while (line_next(&file, f, PASSWD_FIELDS)) {
		uint32_t uid, gid;

		if (!id_of(f[2], &uid) || !id_of(f[3], &gid))
			continue;
		if (numeric ? uid != want : !part_is(f[0], arg))
			continue;
		u->uid = uid;
		u->gid = gid;
		if (f[5].n)
			u->home = xstrndup(f[5].p, f[5].n);
		*name = f[0];
		return 0;
	}
	if (!numeric)
		return err_set(e, EINVAL,
			       "unable to find user %s: no matching entries in passwd file", arg);
	if (want > USER_ID_MAX)
		return out_of_range(e);
	u->uid = (uint32_t)want;
	return 0;
}

static int find_group(const char *arg, const struct str *group, uint32_t *out, struct err *e)
{
	struct part file = whole(group), f[GROUP_FIELDS];
	uint64_t want;

	if (number((struct part){ arg, strlen(arg) }, &want)) {
		if (want > USER_ID_MAX)
			return out_of_range(e);
		*out = (uint32_t)want;
		return 0;
	}
	while (line_next(&file, f, GROUP_FIELDS))
		if (part_is(f[0], arg) && id_of(f[2], out))
			return 0;
	return err_set(e, EINVAL, "unable to find group %s: no matching entries in group file",
		       arg);
}

/* The groups that list the user. */
static void add_groups_of(struct user *u, struct part name, const struct str *group)
{
	struct part file = whole(group), f[GROUP_FIELDS], member;
	uint32_t gid;

	while (line_next(&file, f, GROUP_FIELDS)) {
		struct part members = f[3];

		if (!id_of(f[2], &gid))
			continue;
		while (part_next(&members, ',', &member))
			if (member.n == name.n && memcmp(member.p, name.p, name.n) == 0) {
				add_group(u, gid);
				break;
			}
	}
}

static int resolve(const char *spec, const struct strv *more, const struct str *passwd,
		   const struct str *group, struct user *u, struct err *e)
{
	size_t ulen = strcspn(spec, ":");
	own_free char *arg = xstrndup(spec, ulen);
	const char *garg = spec[ulen] ? spec + ulen + 1 : "";
	struct part name;
	uint32_t gid;
	int rc;

	rc = find_user(arg, passwd, u, &name, e);
	if (rc < 0)
		return rc;
	if (*garg) {
		rc = find_group(garg, group, &u->gid, e);
		if (rc < 0)
			return rc;
	}
	/* Its own group too, or a setgid program could shed it where it denies access. */
	add_group(u, u->gid);
	if (*garg == 0 && name.n)
		add_groups_of(u, name, group);
	for (size_t i = 0; i < more->n; i++) {
		rc = find_group(more->v[i], group, &gid, e);
		if (rc < 0)
			return rc;
		add_group(u, gid);
	}
	if (u->home == NULL)
		u->home = xstrdup("/");
	return 0;
}

int user_resolve(const char *spec, const struct strv *more, const struct str *passwd,
		 const struct str *group, struct user *out, struct err *e)
{
	int rc;

	memset(out, 0, sizeof(*out));
	rc = resolve(spec, more, passwd, group, out, e);
	if (rc < 0)
		user_free(out);
	return rc;
}

void user_free(struct user *u)
{
	free(u->groups);
	free(u->home);
	memset(u, 0, sizeof(*u));
}
