/* command.c: QEMU's command line for a machine_spec. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/str.h"
#include "runtime/vhost/qemu.h"
#include "runtime/virtio/device.h"

#define QEMU_NAME    "qemu-system-x86_64"
#define QEMU_PACKAGE "qemu-system-x86"
/* CONFIG_HZ of guest/kernel.config. */
#define GUEST_HZ 250U

/* The virtio devices that QEMU has a vhost-user front end for. */
static const struct {
	uint32_t id;
	const char *name;
	bool has_config; /* QEMU fetches the config space from us */
	bool has_tag;	 /* QEMU keeps the config space: a tag */
	bool has_size;	 /* takes queue-size= */
	bool has_netdev; /* QEMU keeps the config space, and the session is a netdev's */
} front_ends[] = {
	{ VIRTIO_ID_FS, "vhost-user-fs-device", false, true, true, false },
	{ VIRTIO_ID_VSOCK, "vhost-user-vsock-device", true, false, false, false },
	{ VIRTIO_ID_NET, "virtio-net-device", false, false, false, true },
};

#define NFRONT_ENDS (sizeof(front_ends) / sizeof(front_ends[0]))

static int front_end(uint32_t id)
{
	for (size_t i = 0; i < NFRONT_ENDS; i++) {
		if (front_ends[i].id == id)
			return (int)i;
	}
	return -1;
}

bool qemu_knows_device(uint32_t id, bool *has_config, bool *by_name)
{
	int i = front_end(id);

	if (i < 0)
		return false;
	*has_config = front_ends[i].has_config;
	*by_name = front_ends[i].has_netdev;
	return true;
}

char *qemu_binary(struct err *e)
{
	const char *name = getenv("ZL_QEMU"), *path = getenv("PATH");
	own_strv struct strv dirs = STRV_INIT;

	if (name && *name) {
		if (access(name, X_OK) == 0)
			return xstrdup(name);
		err_sys(e, "ZL_QEMU: %s", name);
		return NULL;
	}
	strv_split(&dirs, path && *path ? path : "/usr/local/bin:/usr/bin:/bin", ':');
	for (size_t i = 0; i < dirs.n; i++) {
		char *full = xasprintf("%s/%s", *dirs.v[i] ? dirs.v[i] : ".", QEMU_NAME);

		if (access(full, X_OK) == 0)
			return full;
		free(full);
	}
	err_set(e, ENOENT, "%s is not installed: apt-get install %s", QEMU_NAME, QEMU_PACKAGE);
	return NULL;
}

/* A value inside an option: its commas are doubled. */
static char *escape(const char *s)
{
	struct str out = STR_INIT;

	for (; *s; s++) {
		if (*s == ',')
			str_add_char(&out, ',');
		str_add_char(&out, *s);
	}
	return str_steal(&out);
}

/*
 * A network device is QEMU's own but for its two queues. Its third, for commands, is left out
 * with all that would need it: filters and offloads that nobody changes.
 */
static void add_netdev(struct strv *argv, struct str *dev, struct virtio_device *d, unsigned n)
{
	struct {
		uint8_t mac[6];
		uint16_t status, pairs, mtu;
	} __attribute__((packed)) space;

	d->ops->config_read(d, 0, &space, sizeof(space));
	strv_add(argv, "-netdev");
	strv_addf(argv, "vhost-user,id=n%u,chardev=c%u", n, n);
	str_addf(dev, ",netdev=n%u,host_mtu=%u,mac=", n, space.mtu);
	for (unsigned i = 0; i < sizeof(space.mac); i++)
		str_addf(dev, "%s%02x", i ? ":" : "", space.mac[i]);
	str_add(dev, ",ctrl_vq=off,ctrl_rx=off,ctrl_vlan=off,ctrl_rx_extra=off,ctrl_mac_addr=off,"
		     "ctrl_guest_offloads=off,guest_announce=off");
}

static void add_device(struct strv *argv, struct virtio_device *d, unsigned n,
		       const struct qemu_args *a)
{
	int i = front_end(d->ops->id);
	own_str struct str dev = STR_INIT;

	strv_add(argv, "-chardev");
	if (front_ends[i].has_netdev)
		strv_addf(argv, "socket,id=c%u,path=%s,abstract=on", n, a->names[n]);
	else
		strv_addf(argv, "socket,id=c%u,fd=%d", n, a->sockets[n]);
	str_add(&dev, front_ends[i].name);
	if (front_ends[i].has_netdev)
		add_netdev(argv, &dev, d, n);
	else
		str_addf(&dev, ",chardev=c%u", n);
	if (front_ends[i].has_tag) {
		char tag[64] = "", *safe;

		d->ops->config_read(d, 0, tag, 36);
		safe = escape(tag);
		str_addf(&dev, ",tag=%s", safe);
		free(safe);
	}
	if (front_ends[i].has_size)
		str_addf(&dev, ",queue-size=%u", d->ops->queue_size_max);
	strv_add(argv, "-device");
	strv_add(argv, dev.s);
}

/*
 * What the kernel is told, besides what the caller adds. A reset or a panic
 * ends QEMU (-no-reboot). No time goes into output nobody reads, nor into
 * measuring clocks we know (the local APIC's timer and a further CPU's delay
 * loop cost more than 100 ms each). One CPU can take its ticks from the PIT
 * instead, and still sleeps when idle; several would keep ticking. With one
 * CPU the kernel would patch away 7000 lock prefixes, 100 ms, which cost
 * nothing under TCG. The per-CPU areas are made of pages: else 2 MiB are
 * cleared for them.
 */
static char *kernel_command(const struct machine_spec *spec, const struct qemu_args *a)
{
	struct str s = STR_INIT;

	str_add(&s, "console=ttyS0 quiet loglevel=1 reboot=t panic=-1 swiotlb=noforce "
		    "no_timer_check noreplace-smp percpu_alloc=page");
	if (spec->cpus == 1)
		str_add(&s, " noapictimer");
	if (a->tsc_khz)
		str_addf(&s, " tsc=reliable tsc_early_khz=%u lpj=%u", a->tsc_khz,
			 (unsigned)((uint64_t)a->tsc_khz * 1000 / GUEST_HZ));
	if (spec->cmdline && *spec->cmdline)
		str_addf(&s, " %s", spec->cmdline);
	return str_steal(&s);
}

void qemu_command(const struct machine_spec *spec, const struct qemu_args *a, struct strv *argv)
{
	static const char *const fixed[] = {
		"-nodefaults",
		"-no-user-config",
		"-display",
		"none",
		"-no-reboot",
		"-monitor",
		"none",
		"-global",
		"virtio-mmio.force-legacy=false",
		"-accel",
		"tcg,thread=multi,tb-size=64",
		"-cpu",
		/* TCG runs rep movsb byte by byte: without ERMS the guest copies by words, 3 times
		   as fast. */
		"max,-erms,-fsrm",
		"-sandbox",
		("on,obsolete=deny,elevateprivileges=deny,spawn=deny,"
		 "resourcecontrol=deny"),
	};
	unsigned long long mib = spec->mem >> 20;

	strv_add(argv, a->binary);
	strv_add(argv, "-M");
	strv_add(argv, "microvm,acpi=off,x-option-roms=off,memory-backend=mem");
	for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++)
		strv_add(argv, fixed[i]);
	strv_add(argv, "-smp");
	strv_addf(argv, "%u", spec->cpus);
	strv_add(argv, "-m");
	strv_addf(argv, "%lluM", mib);
	strv_add(argv, "-object");
	strv_addf(argv, "memory-backend-file,id=mem,size=%lluM,mem-path=/proc/self/fd/%d,share=on",
		  mib, a->memfd);
	strv_add(argv, "-kernel");
	strv_add(argv, spec->kernel);
	strv_add(argv, "-initrd");
	strv_add(argv, spec->initrd);
	strv_add(argv, "-append");
	strv_take(argv, kernel_command(spec, a));
	strv_add(argv, "-serial");
	strv_addf(argv, "file:%s", spec->console);
	for (unsigned i = 0; i < spec->ndevices; i++)
		add_device(argv, spec->devices[i], i, a);
}
