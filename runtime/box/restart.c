/* restart.c: restart policies: read, changed, and what they come to; see restart.h. */
#include "runtime/box/restart.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/own.h"
#include "runtime/base/parse.h"
#include "runtime/box/state.h"

#define RETRIES_MAX INT32_MAX

int box_restart_parse(const char *text, char **policy, int64_t *retries, struct err *e)
{
	static const char *const names[] = { "always", "no", "on-failure", "unless-stopped" };
	size_t n = strcspn(text, ":");
	own_free char *name = xstrndup(text, n);
	const char *count = text[n] ? text + n + 1 : "";
	bool negative = *count == '-', known = *text == 0;
	uint64_t value = 0;

	if (n == 0 && text[0])
		return err_set(e, EINVAL,
			       "invalid restart policy format: no policy provided before colon");
	if (*count && !parse_u64(count + negative, 0, RETRIES_MAX, &value))
		return err_set(e, EINVAL,
			       "invalid restart policy format: maximum retry count must be an "
			       "integer");
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		known = known || strcmp(name, names[i]) == 0;
	if (!known)
		return err_set(e, EINVAL,
			       "invalid restart policy: unknown policy '%s'; use one of 'always', "
			       "'no', 'on-failure', or 'unless-stopped'",
			       name);
	if (strcmp(name, "on-failure") != 0 && value)
		return err_set(e, EINVAL,
			       "invalid restart policy: maximum retry count can only be used with "
			       "'on-failure'%s",
			       negative ? " and cannot be negative" : "");
	if (negative && value)
		return err_set(e, EINVAL,
			       "invalid restart policy: maximum retry count cannot be negative");
	free(*policy);
	*policy = *text ? steal_ptr(&name) : xstrdup("no");
	*retries = (int64_t)value;
	return 0;
}

static bool is(const struct box_spec *s, const char *policy)
{
	return strcmp(s->restart, policy) == 0;
}

bool restart_is_kept(const struct box_spec *s)
{
	return s->restart[0] && !is(s, "no");
}

bool restart_wanted(const struct box_spec *s, const struct box_state *st)
{
	if (is(s, "always") || is(s, "unless-stopped"))
		return true;
	return is(s, "on-failure") && st->exit_code != 0 &&
	       (s->restart_max == 0 || st->restart_count < (uint64_t)s->restart_max);
}

uint64_t restart_delay(uint64_t last_ns, uint64_t ran_ns)
{
	uint64_t next = last_ns * RESTART_DELAY_FACTOR;

	if (last_ns == 0 || ran_ns >= RESTART_SETTLED_NS)
		return RESTART_DELAY_NS;
	return next < RESTART_DELAY_MAX_NS ? next : RESTART_DELAY_MAX_NS;
}

bool restart_signal_ends(const struct box_spec *s, int sig)
{
	return sig == SIGKILL || sig == SIGTERM || sig == SIGINT || sig == SIGQUIT ||
	       sig == parse_signal(s->stop_signal);
}

bool box_restarts_after_crash(const struct box *b)
{
	if (box_is_running(b) || b->state.started_ns == 0)
		return false;
	return is(&b->spec, "always") || (is(&b->spec, "unless-stopped") && !b->state.stopped);
}
