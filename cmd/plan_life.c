/* plan_life.c: --restart and --health-*, and the image's HEALTHCHECK, into the spec. */
#include <errno.h>
#include <string.h>

#include "cmd/plan.h"
#include "runtime/base/own.h"
#include "runtime/base/parse.h"
#include "runtime/box/box.h"

/* docker's least, of whatever is not 0. */
#define DURATION_MIN_NS 1000000
/* What fits into docker's type of a duration. */
#define DURATION_MAX_NS INT64_MAX

int plan_restart(struct box_spec *s, const struct run_flags *f, struct err *e)
{
	if (box_restart_parse(f->restart ? f->restart : "no", &s->restart, &s->restart_max, e) < 0)
		return -EINVAL;
	if (f->rm && strcmp(s->restart, "no") != 0)
		return err_set(e, EINVAL,
			       "conflicting options: cannot specify both --restart and --rm");
	return 0;
}

/* docker's rows: the flag, where it goes, and what docker's daemon calls it. */
static const struct duration_row {
	const char *flag, *word, *image_key;
	size_t from, to;
} durations[] = {
#define ROW(field, word, key)                                                         \
	{                                                                             \
		"health-" word, key, key, offsetof(struct run_flags, health_##field), \
			offsetof(struct box_health, field##_ns)                       \
	}
	ROW(interval, "interval", "Interval"),
	ROW(timeout, "timeout", "Timeout"),
	ROW(start_period, "start-period", "StartPeriod"),
	ROW(start_interval, "start-interval", "StartInterval"),
#undef ROW
};

#define DURATIONS (sizeof(durations) / sizeof(durations[0]))

static const char *flag_of(const struct run_flags *f, const struct duration_row *r)
{
	const char *text;

	memcpy(&text, (const char *)f + r->from, sizeof(text));
	return text;
}

static void set_duration(struct box_health *h, const struct duration_row *r, int64_t ns)
{
	memcpy((char *)h + r->to, &ns, sizeof(ns));
}

static int parse_flag(struct box_health *h, const struct duration_row *r, const char *text,
		      struct err *e)
{
	bool negative = *text == '-';
	uint64_t ns;

	if (!parse_duration(text + negative, &ns) || ns > DURATION_MAX_NS)
		return err_set(e, EINVAL,
			       "invalid argument \"%s\" for \"--%s\" flag: time: invalid duration "
			       "\"%s\"",
			       text, r->flag, text);
	if (negative && ns)
		return err_set(e, EINVAL, "--%s cannot be negative", r->flag);
	if (ns && ns < DURATION_MIN_NS)
		return err_set(e, EINVAL, "%s in Healthcheck cannot be less than 1ms", r->word);
	set_duration(h, r, (int64_t)ns);
	return 0;
}

static int plan_flags(struct box_health *h, const struct run_flags *f, struct err *e)
{
	bool any = f->health_cmd || f->health_retries;

	for (size_t i = 0; i < DURATIONS; i++) {
		const char *text = flag_of(f, &durations[i]);

		any = any || text;
		if (text && parse_flag(h, &durations[i], text, e) < 0)
			return -EINVAL;
	}
	if (f->no_healthcheck && any)
		return err_set(e, EINVAL, "--no-healthcheck conflicts with --health-* options");
	if (f->health_retries < 0)
		return err_set(e, EINVAL, "--health-retries cannot be negative");
	h->retries = f->health_retries;
	if (f->no_healthcheck) {
		strv_add(&h->test, "NONE");
	} else if (f->health_cmd && *f->health_cmd) {
		strv_add(&h->test, "CMD-SHELL");
		strv_add(&h->test, f->health_cmd);
	}
	return 0;
}

/* What the user did not say, the image may; docker takes each field by itself. */
static void add_image(struct box_health *h, const struct js *config)
{
	const struct js *check = js_get(config, "Healthcheck");
	int64_t v;

	if (h->test.n == 0)
		js_strings(js_get(check, "Test"), &h->test);
	for (size_t i = 0; i < DURATIONS; i++) {
		int64_t mine;

		memcpy(&mine, (const char *)h + durations[i].to, sizeof(mine));
		if (mine == 0 && js_int(js_get(check, durations[i].image_key), &v) && v > 0)
			set_duration(h, &durations[i], v);
	}
	if (h->retries == 0 && js_int(js_get(check, "Retries"), &v) && v > 0)
		h->retries = v;
	js_strings(js_get(config, "Shell"), &h->shell);
}

int plan_health(struct box_spec *s, const struct run_flags *f, const struct js *config,
		struct err *e)
{
	int rc = plan_flags(&s->health, f, e);

	if (rc == 0)
		add_image(&s->health, config);
	return rc;
}
