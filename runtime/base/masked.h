/* masked.h: docker's paths that a container without privileges does not see, or cannot write to. */
#ifndef ZL_BASE_MASKED_H
#define ZL_BASE_MASKED_H

/* Initialisers of arrays of strings: the agent covers them, inspect lists them. */
#define MASKED_PATHS                                                                    \
	{                                                                               \
		"/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/latency_stats",       \
			"/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug",   \
			"/proc/scsi", "/sys/firmware", "/sys/devices/virtual/powercap", \
	}
#define READONLY_PATHS                                                                    \
	{                                                                                 \
		"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger", \
	}

#endif
