/* platform.c: os/arch/variant as docker writes, completes and compares them. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "oci/manifest.h"
#include "runtime/base/parse.h"
#include "runtime/base/str.h"

#if defined(__x86_64__)
#define HOST_ARCH "amd64"
#elif defined(__aarch64__)
#define HOST_ARCH "arm64"
#elif defined(__riscv)
#define HOST_ARCH "riscv64"
#else
#error "name this processor as OCI does"
#endif

/* Other spellings, and what a spelling says of the variant. */
static const struct {
	const char *alias, *arch, *variant;
} aliases[] = {
	{ "x86_64", "amd64", "" },    { "x86-64", "amd64", "" }, { "aarch64", "arm64", "" },
	{ "armhf", "arm", "v7" },     { "armel", "arm", "v6" },	 { "i386", "386", "" },
	{ "i486", "386", "" },	      { "i586", "386", "" },	 { "i686", "386", "" },
	{ "ppc64el", "ppc64le", "" },
};

static const char *const arches[] = { "amd64",	 "arm64",  "arm",      "386",	 "riscv64",
				      "ppc64le", "s390x",  "mips64le", "mips64", "loong64",
				      "mips",	 "mipsle", "ppc64",    "wasm" };

static bool is_arch(const char *s)
{
	for (size_t i = 0; i < sizeof(arches) / sizeof(*arches); i++)
		if (strcmp(arches[i], s) == 0)
			return true;
	return false;
}

/* One spelling for each thing: no "v8" on arm64, no "v1" on amd64, always a variant on arm. */
static void normalise(struct platform *p)
{
	for (size_t i = 0; i < sizeof(aliases) / sizeof(*aliases); i++) {
		if (strcmp(p->arch, aliases[i].alias) != 0)
			continue;
		snprintf(p->arch, sizeof(p->arch), "%s", aliases[i].arch);
		if (*p->variant == '\0')
			snprintf(p->variant, sizeof(p->variant), "%s", aliases[i].variant);
	}
	if (strcmp(p->arch, "arm64") == 0 &&
	    (strcmp(p->variant, "v8") == 0 || strcmp(p->variant, "8") == 0))
		*p->variant = '\0';
	if (strcmp(p->arch, "amd64") == 0 && strcmp(p->variant, "v1") == 0)
		*p->variant = '\0';
	if (strcmp(p->arch, "arm") == 0) {
		if (*p->variant == '\0')
			snprintf(p->variant, sizeof(p->variant), "v7");
		else if (isdigit((unsigned char)*p->variant) && p->variant[1] == '\0')
			snprintf(p->variant, sizeof(p->variant), "v%c", p->variant[0]);
	}
}

/* One part of a platform in lower case; false if it is empty, too long or strange. */
static bool part_copy(char *buf, size_t size, const char *s)
{
	size_t n = strlen(s);

	if (n == 0 || n >= size)
		return false;
	for (size_t i = 0; i <= n; i++) {
		if (s[i] && !isalnum((unsigned char)s[i]) && strchr("._-", s[i]) == NULL)
			return false;
		buf[i] = (char)tolower((unsigned char)s[i]);
	}
	return true;
}

int platform_parse(const char *text, struct platform *out, struct err *e)
{
	own_strv struct strv parts = STRV_INIT;
	bool ok;

	*out = (struct platform){ "linux", HOST_ARCH, "" };
	if (text == NULL)
		return 0;
	strv_split(&parts, text, '/');
	if (parts.n == 1) {
		/* A word alone is an architecture if it is one, else a system. */
		ok = part_copy(out->arch, sizeof(out->arch), parts.v[0]);
		normalise(out);
		if (ok && !is_arch(out->arch)) {
			*out = (struct platform){ "", HOST_ARCH, "" };
			ok = part_copy(out->os, sizeof(out->os), parts.v[0]) &&
			     strcmp(out->os, "linux") == 0;
		}
	} else {
		ok = parts.n <= 3 && part_copy(out->os, sizeof(out->os), parts.v[0]) &&
		     part_copy(out->arch, sizeof(out->arch), parts.v[1]) &&
		     (parts.n < 3 || part_copy(out->variant, sizeof(out->variant), parts.v[2]));
	}
	if (!ok)
		return err_set(e, EINVAL,
			       "\"%.100s\": unknown operating system or architecture: invalid "
			       "platform (as in linux/amd64, linux/arm64, linux/arm/v7)",
			       text);
	normalise(out);
	return 0;
}

/* "v7" as 7; 0 without a variant or with one we know no order for. */
static int variant_level(const struct platform *p)
{
	uint64_t level;

	return p->variant[0] == 'v' && parse_u64(p->variant + 1, 0, 99, &level) ? (int)level : 0;
}

int platform_rank(const struct platform *want, const struct platform *have)
{
	struct platform w = *want, h = *have;
	int level;

	normalise(&w);
	normalise(&h);
	if (strcmp(w.os, h.os) != 0 || strcmp(w.arch, h.arch) != 0)
		return 0;
	if (strcmp(w.variant, h.variant) == 0)
		return 1000;
	/* Older code runs on a newer processor, never the other way round. */
	level = variant_level(&h);
	if (*h.variant && level == 0)
		return 0;
	return level < variant_level(&w) ? 1 + level : 0;
}

char *platform_format(char *buf, const struct platform *p)
{
	snprintf(buf, PLATFORM_TEXT_MAX, "%s/%s%s%s", p->os, p->arch, *p->variant ? "/" : "",
		 p->variant);
	return buf;
}
