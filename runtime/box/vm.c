/* vm.c: a container's VM: file servers, devices, machine. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/fd.h"
#include "runtime/base/log.h"
#include "runtime/base/own.h"
#include "runtime/box/holder.h"
#include "runtime/box/link.h"
#include "runtime/box/placement.h"
#include "runtime/box/state.h"
#include "runtime/fuse/fuse.h"
#include "runtime/virtio/balloon.h"
#include "runtime/virtio/console.h"
#include "runtime/virtio/fs.h"
#include "runtime/virtio/memdev.h"
#include "runtime/virtio/net.h"
#include "runtime/virtio/rng.h"
#include "runtime/virtio/vsock.h"

/*
 * Memory. -m is the container's limit, kept by its cgroup, as with docker; the
 * machine has some more, for its kernel. Without -m docker has no limit: then
 * a machine that can grow starts with MEMORY_START, and gets what the
 * container uses up to what the host has. Every GiB declared at the start
 * costs some 10 million instructions (a fifth of the start in all) and
 * 16 MiB of page structures; MEMORY_START keeps it below 5 % of the start. A
 * machine that cannot grow has MEMORY_FIXED, or half the host's.
 */
#define MEMORY_START	   (256ULL << 20)
#define MEMORY_FIXED	   (1ULL << 30)
#define MEMORY_KERNEL	   (32ULL << 20) /* and a 32nd of what there is */
#define MEMORY_KERNEL_PART 32

/* The container is charged for its pages; counting each object of its kernel costs every call. */
#define CMDLINE "cgroup.memory=nosocket,nokmem"

/*
 * Address space for files mapped into the guest (virtio/fs.h). At every start the
 * guest's driver describes each of its pages in 64 bytes, as the kernel does for
 * memory itself; so it is a part of the memory that there is at the start.
 * tests/bench/dax measures what it costs and gains. A smaller window would have
 * the guest unmap and map again more often: it does so when less than a fifth is
 * free, at two round trips for each 2 MiB.
 */
#define DAX_WINDOW	(128ULL << 20)
#define DAX_WINDOW_MIN	(32ULL << 20)
#define DAX_WINDOW_PART 4 /* of the memory, at most */

/* What a message about a dead VM shows of its console. */
#define CONSOLE_TAIL_LINES 8
#define CONSOLE_TAIL_MAX   1200
#define CONSOLE_READ	   (16U << 10)

static struct fuse *serve_root(const struct holder *h, struct err *e)
{
	own_free char *upper = xasprintf("%s/containers/%s/" BOX_UPPER, h->dirs->root, h->spec->id);
	struct fuse_place places[BOOT_PLACES_MAX];
	struct fuse_share root = {
		.name = "root",
		.layers = (const char *const *)h->spec->layers.v,
		.nlayers = (unsigned)h->spec->layers.n,
		.upper = upper,
		.places = places,
	};

	boot_places(h->spec, places);
	return fuse_new(&root, 1, e);
}

/* One share for each bind mount, in their order. NULL without an error if there is none. */
static struct fuse *serve_binds(const struct box_spec *spec, struct err *e)
{
	struct fuse_share *shares = xcalloc(spec->nmounts, sizeof(*shares));
	own_strv struct strv texts = STRV_INIT;
	struct fuse *f = NULL;
	unsigned n = 0;

	for (unsigned i = 0; i < spec->nmounts; i++) {
		const struct box_mount *m = &spec->mounts[i];
		char *dir, *entry;

		if (m->kind == BOX_MOUNT_TMPFS)
			continue;
		if (m->kind == BOX_MOUNT_VOLUME) {
			dir = xstrdup(m->source);
			entry = NULL;
			shares[n].below = *m->subpath ? m->subpath : NULL;
		} else if (boot_bind_split(m->source, &dir, &entry, e) < 0) {
			goto out;
		}
		shares[n].name = xasprintf("%u", n);
		shares[n].path = dir;
		shares[n].only = entry;
		shares[n].read_only = m->read_only;
		strv_take(&texts, (char *)(uintptr_t)shares[n].name);
		strv_take(&texts, dir);
		if (entry)
			strv_take(&texts, entry);
		n++;
	}
	if (n)
		f = fuse_new(shares, n, e);
out:
	free(shares);
	return f;
}

static bool has_binds(const struct box_spec *spec)
{
	for (unsigned i = 0; i < spec->nmounts; i++) {
		if (spec->mounts[i].kind != BOX_MOUNT_TMPFS)
			return true;
	}
	return false;
}

static uint64_t host_memory(void)
{
	return (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* Whole MiB. */
static uint64_t memory_of(const struct box_spec *spec)
{
	uint64_t host = host_memory(), want = spec->limits.memory;

	if (want)
		want += MEMORY_KERNEL + want / MEMORY_KERNEL_PART;
	else
		want = host / 2 < MEMORY_FIXED ? host / 2 : MEMORY_FIXED;
	want &= ~(uint64_t)0xfffff;
	return want < MACHINE_MEM_MIN ? MACHINE_MEM_MIN : want;
}

/* What may come later on top of MEMORY_START. */
static uint64_t more_of(const struct box_spec *spec)
{
	uint64_t host = host_memory(), most = MEMDEV_BLOCKS_MAX * MEMDEV_BLOCK, more;

	if (spec->limits.memory || host <= MEMORY_START)
		return 0;
	more = host - MEMORY_START;
	more -= more % MEMDEV_BLOCK;
	return more < most ? more : most;
}

static uint64_t window_of(const struct box_spec *spec)
{
	uint64_t memory = more_of(spec) ? MEMORY_START : memory_of(spec);
	uint64_t most = memory / DAX_WINDOW_PART & ~(DAX_WINDOW_MIN - 1);

	if (most > DAX_WINDOW)
		return DAX_WINDOW;
	return most < DAX_WINDOW_MIN ? DAX_WINDOW_MIN : most;
}

/* ZL_DAX=off is for comparisons, and for whoever has a guest kernel that does it badly. */
static int ask_window(struct virtio_device *root, const struct box_spec *spec, struct err *e)
{
	const char *dax = getenv("ZL_DAX");

	if (dax && *dax && strcmp(dax, "on") != 0 && strcmp(dax, "off") != 0)
		return err_set(e, EINVAL, "ZL_DAX=%s: must be on or off", dax);
	if (dax == NULL || strcmp(dax, "off") != 0)
		virtio_fs_ask_window(root, window_of(spec));
	return 0;
}

static int make_network(struct holder *h, struct virtio_device **devices, unsigned *n,
			struct err *e)
{
	const struct confine *confine;
	struct net_config conf;
	struct box_link link;

	if (!box_link(h->spec, &link))
		return 0;
	conf.host_loopback = link.host_gateway;
	confine = confine_net(h, e);
	h->vm.net = confine ? virtio_net_new(h->loop, link.mac, &conf, confine, e) : NULL;
	if (h->vm.net == NULL)
		return -EIO;
	devices[(*n)++] = h->vm.net;
	return 0;
}

static int make_devices(struct holder *h, struct virtio_device **devices, unsigned *n,
			struct err *e)
{
	own_fd int log = openat(h->dirfd, BOX_CONSOLE_FILE,
				O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
	const struct confine *confine;
	struct vm *vm = &h->vm;
	int rc;

	if (log < 0)
		return err_sys(e, "create %s", BOX_CONSOLE_FILE);
	/* the first, so that the kernel can be heard early */
	devices[(*n)++] = vm->console = virtio_console_new(h->loop, steal_fd(&log));
	vm->root_fs = serve_root(h, e);
	confine = vm->root_fs ? confine_root_fs(h, e) : NULL;
	if (confine == NULL)
		return -EIO;
	vm->root_dev = virtio_fs_new(h->loop, WIRE_FS_ROOT, vm->root_fs, confine, e);
	if (vm->root_dev == NULL)
		return -EIO;
	rc = ask_window(vm->root_dev, h->spec, e);
	if (rc < 0)
		return rc;
	devices[(*n)++] = vm->root_dev;
	if (has_binds(h->spec)) {
		vm->host_fs = serve_binds(h->spec, e);
		confine = vm->host_fs ? confine_host_fs(h, e) : NULL;
		if (confine == NULL)
			return -EIO;
		vm->host_dev = virtio_fs_new(h->loop, WIRE_FS_HOST, vm->host_fs, confine, e);
		if (vm->host_dev == NULL)
			return -EIO;
		devices[(*n)++] = vm->host_dev;
	}
	vm->vsock = virtio_vsock_new(h->loop, agent_accept, h->agent, e);
	if (vm->vsock == NULL)
		return -EIO;
	devices[(*n)++] = vm->vsock;
	devices[(*n)++] = vm->rng = virtio_rng_new(h->loop);
	devices[(*n)++] = vm->balloon = virtio_balloon_new(h->loop);
	if (more_of(h->spec)) {
		vm->memdev = memdev_new(h->loop, MACHINE_MORE_AT, more_of(h->spec));
		devices[(*n)++] = vm->memdev;
	}
	return make_network(h, devices, n, e);
}

/* As many as it may make use of; 0: the machine's default. The cgroup keeps it to a fraction. */
static unsigned cpus_of(const struct box_spec *spec)
{
	struct wire_limits l;
	uint64_t want;

	boot_limits(&l, &spec->limits);
	if (l.cpu_quota == 0)
		return 0;
	want = (l.cpu_quota + l.cpu_period - 1) / l.cpu_period;
	return want > placement_cpus() ? placement_cpus() : (unsigned)want;
}

static enum machine_kind kind_of(const struct box_spec *spec)
{
	if (strcmp(spec->machine, "kvm") == 0)
		return MACHINE_KVM;
	return strcmp(spec->machine, "qemu") == 0 ? MACHINE_QEMU : MACHINE_AUTO;
}

/*
 * Where to begin: at the line that says why the kernel gave up, if there is
 * one (what follows it is a long trace), else some lines before the end.
 */
static size_t tail_start(const char *buf, size_t n)
{
	const char *panic = memmem(buf, n, "Kernel panic", strlen("Kernel panic"));
	size_t from = panic ? (size_t)(panic - buf) : n;
	int lines = 1;

	while (from > 0 && buf[from - 1] != '\n')
		from--;
	while (!panic && from > 0 && lines < CONSOLE_TAIL_LINES) {
		for (from--; from > 0 && buf[from - 1] != '\n'; from--)
			;
		lines++;
	}
	return from;
}

/* The telling lines of what the guest's kernel and agent said, indented; "" if none. */
static void console_tail(const struct holder *h, char *out, size_t size)
{
	own_fd int fd = openat(h->dirfd, BOX_CONSOLE_FILE, O_RDONLY | O_CLOEXEC);
	own_free char *buf = xmalloc(CONSOLE_READ);
	off_t end = fd < 0 ? 0 : lseek(fd, 0, SEEK_END);
	size_t used = 0, i, lines = 0;
	ssize_t n;

	out[0] = 0;
	n = pread(fd, buf, CONSOLE_READ, end > (off_t)CONSOLE_READ ? end - (off_t)CONSOLE_READ : 0);
	while (n > 0 && (buf[n - 1] == '\n' || buf[n - 1] == '\r' || buf[n - 1] == 0))
		n--;
	i = n > 0 ? tail_start(buf, (size_t)n) : 0;
	for (bool first = true; n > 0 && i < (size_t)n && used + 8 < size; i++) {
		unsigned char c = (unsigned char)buf[i];

		if (first && lines++ == CONSOLE_TAIL_LINES)
			break;
		if (first)
			used += (size_t)snprintf(out + used, size - used, "\n  ");
		first = c == '\n';
		if (c >= ' ' && c != 0x7f)
			out[used++] = (char)c;
		else if (c == '\t')
			out[used++] = ' ';
		out[used] = 0;
	}
}

static void vm_ended(void *arg, const struct machine_end *end)
{
	struct holder *h = arg;
	char tail[CONSOLE_TAIL_MAX + CONSOLE_TAIL_LINES * 4], message[BOX_MESSAGE_MAX];

	if (h->killed) {
		holder_end(h, TASK_EXITED, BOX_CODE_KILLED, "");
		return;
	}
	console_tail(h, tail, sizeof(tail));
	snprintf(message, sizeof(message), "the VM ended unexpectedly: %s%s%s", end->reason,
		 tail[0] ? "; its console says:" : "", tail);
	holder_end(h, h->main->started ? TASK_EXITED : TASK_FAILED, BOX_CODE_FAILED, message);
}

int vm_start(struct holder *h, struct err *e)
{
	own_free char *console =
		xasprintf("%s/containers/%s/" BOX_CONSOLE_FILE, h->dirs->root, h->spec->id);
	struct virtio_device *devices[HOLDER_DEVICES_MAX];
	struct machine_spec spec = {
		.kind = kind_of(h->spec),
		.mem = memory_of(h->spec),
		.mem_start = MEMORY_START,
		.mem_more = more_of(h->spec),
		.cmdline = CMDLINE,
		.kernel = h->bundle->kernel,
		.initrd = h->bundle->initrd,
		.console = console,
		.devices = devices,
		.held = true,
	};
	int rc;

	spec.cpus = cpus_of(h->spec);
	rc = make_devices(h, devices, &spec.ndevices, e);
	if (rc < 0)
		return e && e->code ? -e->code : rc;
	h->vm.memory = h->spec->limits.memory;
	h->vm.machine = machine_start(h->loop, &spec, vm_ended, h, e);
	if (h->vm.machine == NULL)
		return -EIO;
	if (machine_pid(h->vm.machine) > 0)
		placement_weigh(&h->spec->limits, machine_pid(h->vm.machine));
	confine_past(h->dirs, h->spec->id, BOX_HOLDER_COMM, false);
	rc = confine_loop(h, e);
	return rc < 0 ? rc : machine_resume(h->vm.machine, e);
}

void vm_grow(struct holder *h, uint64_t bytes)
{
	struct vm *vm = &h->vm;
	uint64_t room = machine_room(vm->machine);
	struct err e = ERR_INIT;

	bytes = bytes < room ? bytes - bytes % MEMDEV_BLOCK : room;
	if (bytes <= (vm->memdev ? memdev_requested(vm->memdev) : room))
		return;
	if (machine_grow(vm->machine, bytes, &e) < 0) {
		log_warn("the machine cannot get more memory: %s", e.msg);
		return;
	}
	log_step("memory: %llu MiB more than at the start", (unsigned long long)(bytes >> 20));
	memdev_request(vm->memdev, bytes);
}

void vm_free(struct holder *h)
{
	struct vm *vm = &h->vm;

	machine_free(vm->machine);
	virtio_console_free(vm->console);
	memdev_free(vm->memdev);
	virtio_net_free(vm->net);
	virtio_balloon_free(vm->balloon);
	virtio_rng_free(vm->rng);
	if (vm->vsock)
		virtio_vsock_free(vm->vsock);
	if (vm->host_dev)
		virtio_fs_free(vm->host_dev);
	if (vm->root_dev)
		virtio_fs_free(vm->root_dev);
	if (vm->host_fs)
		fuse_free(vm->host_fs);
	if (vm->root_fs)
		fuse_free(vm->root_fs);
	memset(vm, 0, sizeof(*vm));
}
