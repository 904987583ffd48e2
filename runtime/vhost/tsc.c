/* tsc.c: the frequency of the host's time stamp counter, which a TCG guest sees as its own. */
#include <time.h>

#include "runtime/vhost/qemu.h"

/*
 * Under TCG the guest's RDTSC reads the host's counter. Told its frequency,
 * Linux need not measure it (tens of milliseconds against an emulated PIT,
 * and imprecise). We measure it more cheaply: two pairs of (counter, clock)
 * that lie TSC_SPAN_NS apart, each pair the best of a few, so that the error
 * of a reading is some 30 ns: 15 ppm.
 */
#define TSC_SPAN_NS 2000000U
#define TSC_TRIES   16

#if defined(__x86_64__)
#include <x86intrin.h>

static uint64_t ns_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000U + (uint64_t)ts.tv_nsec;
}

void tsc_start(struct tsc_clock *c)
{
	uint64_t best = UINT64_MAX;

	for (int i = 0; i < TSC_TRIES; i++) {
		uint64_t before = __rdtsc(), ns = ns_now(), after = __rdtsc();

		if (after - before >= best)
			continue;
		best = after - before;
		c->ticks = before + best / 2;
		c->ns = ns;
	}
}

unsigned tsc_khz(const struct tsc_clock *c)
{
	struct tsc_clock now;

	while (ns_now() - c->ns < TSC_SPAN_NS)
		;
	tsc_start(&now);
	if (now.ticks <= c->ticks || now.ns <= c->ns)
		return 0;
	return (unsigned)((now.ticks - c->ticks) * 1000000 / (now.ns - c->ns));
}
#else
void tsc_start(struct tsc_clock *c)
{
	c->ticks = c->ns = 0;
}

unsigned tsc_khz(const struct tsc_clock *c)
{
	(void)c;
	return 0;
}
#endif
