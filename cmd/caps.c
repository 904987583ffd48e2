/* caps.c: Linux capabilities by name, added and dropped as docker does. */
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "cmd/plan.h"

/* By number: include/uapi/linux/capability.h. */
static const char *const names[] = {
	"CHOWN",
	"DAC_OVERRIDE",
	"DAC_READ_SEARCH",
	"FOWNER",
	"FSETID",
	"KILL",
	"SETGID",
	"SETUID",
	"SETPCAP",
	"LINUX_IMMUTABLE",
	"NET_BIND_SERVICE",
	"NET_BROADCAST",
	"NET_ADMIN",
	"NET_RAW",
	"IPC_LOCK",
	"IPC_OWNER",
	"SYS_MODULE",
	"SYS_RAWIO",
	"SYS_CHROOT",
	"SYS_PTRACE",
	"SYS_PACCT",
	"SYS_ADMIN",
	"SYS_BOOT",
	"SYS_NICE",
	"SYS_RESOURCE",
	"SYS_TIME",
	"SYS_TTY_CONFIG",
	"MKNOD",
	"LEASE",
	"AUDIT_WRITE",
	"AUDIT_CONTROL",
	"SETFCAP",
	"MAC_OVERRIDE",
	"MAC_ADMIN",
	"SYSLOG",
	"WAKE_ALARM",
	"BLOCK_SUSPEND",
	"AUDIT_READ",
	"PERFMON",
	"BPF",
	"CHECKPOINT_RESTORE",
};

#define NAMES (sizeof(names) / sizeof(names[0]))

const char *cap_name(unsigned cap)
{
	return cap < NAMES ? names[cap] : NULL;
}

uint64_t caps_all(void)
{
	return (1ULL << NAMES) - 1;
}

/* The set a word stands for; 0: unknown. */
static uint64_t cap_bits(const char *word)
{
	if (strcasecmp(word, "ALL") == 0)
		return caps_all();
	if (strncasecmp(word, "CAP_", 4) == 0)
		word += 4;
	for (unsigned i = 0; i < NAMES; i++)
		if (strcasecmp(word, names[i]) == 0)
			return 1ULL << i;
	return 0;
}

static int collect(const struct strv *words, const char *flag, uint64_t *bits, bool *all,
		   struct err *e)
{
	for (size_t i = 0; i < words->n; i++) {
		uint64_t b = cap_bits(words->v[i]);

		if (b == 0)
			return err_set(e, EINVAL, "invalid %s: unknown capability: \"%s\"", flag,
				       words->v[i]);
		if (strcasecmp(words->v[i], "ALL") == 0)
			*all = true;
		else
			*bits |= b;
	}
	return 0;
}

/* docker: ALL on one side is the start, single ones on the other side are exceptions. */
int caps_apply(uint64_t *caps, const struct strv *add, const struct strv *drop, struct err *e)
{
	uint64_t added = 0, dropped = 0;
	bool add_all = false, drop_all = false;
	int rc = collect(add, "CapAdd", &added, &add_all, e);

	if (rc == 0)
		rc = collect(drop, "CapDrop", &dropped, &drop_all, e);
	if (rc < 0)
		return rc;
	if (add_all)
		*caps = caps_all() & ~dropped;
	else if (drop_all)
		*caps = added;
	else
		*caps = (*caps & ~dropped) | added;
	return 0;
}
