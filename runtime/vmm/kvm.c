/* kvm.c: the built-in machine on /dev/kvm: assembles memory, devices and vcpus; see vmm.h. */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "runtime/base/log.h"
#include "runtime/base/own.h"
#include "runtime/base/str.h"
#include "runtime/vmm/vmm.h"

#define KVM_DEVICE   "/dev/kvm"
#define CPUS_DEFAULT 4 /* or the host's, if it has fewer */
#define HUGE_PAGE    (2UL << 20)

/*
 * What the kernel is told. Its console is a virtio device; earlyprintk (behind
 * "quiet", or it would first say all there is) costs ten exits and is for its
 * last words until then. The per-CPU areas are made of pages: else 2 MiB are
 * cleared, and so taken from the host, for them. A lock prefix costs one CPU
 * little, patching 7000 of them away costs a lot.
 */
#define CMDLINE_BASE                                                                \
	"quiet loglevel=1 earlyprintk=ttyS0 console=hvc0 8250.nr_uarts=0 reboot=t " \
	"panic=-1 swiotlb=noforce tsc=reliable noreplace-smp percpu_alloc=page"
/* No parameter of the kernel's, so that it is a variable in the agent's environment. */
#define CMDLINE_WINDOW "dax=inode"

bool vmm_call(struct vmm *v, void (*fn)(void *arg), void *arg)
{
	struct vmm_call c = { .fn = fn, .arg = arg }, **at;
	uint64_t one = 1;

	if (pthread_equal(pthread_self(), v->loop_thread)) {
		fn(arg);
		return true;
	}
	pthread_mutex_lock(&v->lock);
	if (v->stop) {
		pthread_mutex_unlock(&v->lock);
		return false;
	}
	for (at = &v->calls; *at; at = &(*at)->next)
		;
	*at = &c;
	if (write(v->call_fd, &one, sizeof(one)) < 0)
		c.dropped = true;	  /* cannot happen: the counter never fills */
	pthread_cond_broadcast(&v->cond); /* kvm_pause serves calls too */
	while (!c.done && !c.dropped)
		pthread_cond_wait(&v->cond, &v->lock);
	pthread_mutex_unlock(&v->lock);
	return c.done;
}

void vmm_set_end(struct vmm *v, enum vmm_end end, const char *text)
{
	uint64_t one = 1;

	pthread_mutex_lock(&v->lock);
	if (v->end == VMM_RUNNING) {
		v->end = end;
		snprintf(v->end_text, sizeof(v->end_text), "%s", text);
	}
	pthread_mutex_unlock(&v->lock);
	if (write(v->call_fd, &one, sizeof(one)) < 0)
		return; /* full: the loop is awake */
}

static void report_end(struct vmm *v)
{
	struct machine_end end = { .reason = v->end_text };
	machine_end_fn *ended = v->ended;
	bool over;

	pthread_mutex_lock(&v->lock);
	over = v->end != VMM_RUNNING; /* then nobody writes to it any more */
	pthread_mutex_unlock(&v->lock);
	if (!over || ended == NULL)
		return;
	end.orderly = v->end != VMM_ERROR;
	v->ended = NULL;
	ended(v->ended_arg, &end); /* may free v */
}

/*
 * What vcpu threads asked for; on the loop's thread, with v->lock held. No
 * more than was asked for until now: vcpus that go on asking wake the loop
 * again, and must not keep it from everything else.
 */
static void serve_calls(struct vmm *v)
{
	unsigned waiting = 0;

	for (struct vmm_call *c = v->calls; c; c = c->next)
		waiting++;
	while (v->calls && waiting--) {
		struct vmm_call *c = v->calls;

		v->calls = c->next;
		pthread_mutex_unlock(&v->lock);
		c->fn(c->arg);
		pthread_mutex_lock(&v->lock);
		c->done = true;
		pthread_cond_broadcast(&v->cond);
	}
}

static void on_call(void *arg, uint32_t events)
{
	struct vmm *v = arg;
	uint64_t n;

	(void)events;
	if (read(v->call_fd, &n, sizeof(n)) < 0)
		return;
	pthread_mutex_lock(&v->lock);
	serve_calls(v);
	pthread_mutex_unlock(&v->lock);
	report_end(v);
}

static int add_slot(struct vmm *v, uint64_t gpa, uint8_t *host, uint64_t size, struct err *e)
{
	struct kvm_userspace_memory_region r = {
		.slot = v->slots,
		.guest_phys_addr = gpa,
		.memory_size = size,
		.userspace_addr = (uint64_t)(uintptr_t)host,
	};

	if (ioctl(v->vm_fd, KVM_SET_USER_MEMORY_REGION, &r) < 0)
		return err_sys(e, "give the VM its memory");
	v->slots++;
	return 0;
}

static int add_memory(struct vmm *v, uint64_t gpa, uint64_t off, uint64_t size, struct err *e)
{
	v->mem.r[v->mem.n++] = (struct gmem_region){ gpa, size, v->ram + off };
	return add_slot(v, gpa, v->ram + off, size, e);
}

/*
 * Room for guest memory, NULL if there is none. Anonymous, since the devices
 * live in this process and nobody shares it: shared (memfd) pages cost about
 * twice the time per first touch. In huge pages if the host has some to
 * spare, hence aligned: a boot takes 2600 faults less, of 6400, and 10 MB more.
 */
static void *reserve(uint64_t size)
{
	uint8_t *p = mmap(NULL, size + HUGE_PAGE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	uint64_t before;

	if (p == MAP_FAILED)
		return NULL;
	before = -(uintptr_t)p & (HUGE_PAGE - 1);
	if (before)
		munmap(p, before);
	p += before;
	munmap(p + size, HUGE_PAGE - before);
	madvise(p, size, MADV_HUGEPAGE);
	/* a dump of the holder is no dump of the guest */
	madvise(p, size, MADV_DONTDUMP);
	return p;
}

static int make_memory(struct vmm *v, uint64_t size, struct err *e)
{
	uint64_t low = size < VMM_HOLE ? size : VMM_HOLE;
	int rc;

	v->ram = reserve(size);
	v->ram_size = size;
	if (v->ram == NULL)
		return err_sys(e, "make the guest's memory (%llu MiB)",
			       (unsigned long long)(size >> 20));
	rc = add_memory(v, 0, 0, low, e);
	if (rc == 0 && size > low)
		rc = add_memory(v, VMM_HIGH, low, size - low, e);
	return rc;
}

/*
 * The devices know the whole room from the start, so that no table changes
 * while their threads read it; KVM gets its slots as the guest grows, since
 * older ones keep 0.2 % of a slot's size in tables. A host that accounts
 * strictly for what is mapped may not let us have the room: then all the
 * memory there will be is there from the start.
 */
static int make_all_memory(struct vmm *v, const struct machine_spec *spec, struct err *e)
{
	uint64_t start = spec->mem;

	if (spec->mem_more && spec->mem_start <= VMM_HOLE)
		v->more = reserve(spec->mem_more);
	if (v->more) {
		v->more_size = spec->mem_more;
		start = spec->mem_start;
	}
	if (make_memory(v, start & ~(uint64_t)0xfff, e) < 0)
		return -ENOMEM;
	if (v->more)
		v->mem.r[v->mem.n++] =
			(struct gmem_region){ MACHINE_MORE_AT, v->more_size, v->more };
	return 0;
}

static uint64_t kvm_room(const struct machine *m)
{
	return ((const struct vmm *)m)->more_size;
}

/* Each slot is as large as all before it: a dozen will do, however a guest asks. */
static int kvm_grow(struct machine *m, uint64_t bytes, struct err *e)
{
	struct vmm *v = (struct vmm *)m;
	uint64_t from = v->more_given, to = VMM_MORE_FIRST;
	int rc;

	if (bytes <= from)
		return 0;
	while (to < bytes)
		to *= 2;
	if (to > v->more_size)
		to = v->more_size;
	rc = add_slot(v, MACHINE_MORE_AT + from, v->more + from, to - from, e);
	if (rc == 0)
		v->more_given = to;
	return rc;
}

static int open_kvm(struct vmm *v, struct err *e)
{
	v->kvm_fd = open(KVM_DEVICE, O_RDWR | O_CLOEXEC);
	if (v->kvm_fd < 0)
		return err_sys(e, "open %s", KVM_DEVICE);
	if (ioctl(v->kvm_fd, KVM_GET_API_VERSION, 0) != KVM_API_VERSION)
		return err_set(e, ENODEV, "%s speaks an unknown version", KVM_DEVICE);
	v->run_size = ioctl(v->kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	do {
		v->vm_fd = ioctl(v->kvm_fd, KVM_CREATE_VM, 0);
	} while (v->vm_fd < 0 && errno == EINTR);
	if (v->vm_fd < 0 && errno == EBUSY)
		return err_set(e, EBUSY,
			       "%s: the processor's virtualisation is in use by another "
			       "hypervisor (VirtualBox, VMware): stop it",
			       KVM_DEVICE);
	if (v->vm_fd < 0)
		return err_sys(e, "KVM_CREATE_VM");
	return 0;
}

static char *make_cmdline(const struct vmm *v, const struct machine_spec *spec)
{
	struct str s = STR_INIT;

	str_add(&s, CMDLINE_BASE);
	for (unsigned i = 0; i < v->ndevs; i++)
		str_addf(&s, " virtio_mmio.device=4K@0x%llx:%u",
			 VMM_VIRTIO_BASE + i * VMM_VIRTIO_STEP, VMM_VIRTIO_IRQ + i);
	if (v->mem.window.size)
		str_add(&s, " " CMDLINE_WINDOW);
	if (spec->cmdline && *spec->cmdline)
		str_addf(&s, " %s", spec->cmdline);
	return str_steal(&s);
}

static int assemble(struct vmm *v, const struct machine_spec *spec, struct err *e)
{
	own_free char *cmdline = NULL;
	uint32_t entry, info;
	int rc = open_kvm(v, e);

	if (rc == 0)
		rc = x86_vm_init(v, e);
	if (rc == 0)
		rc = make_all_memory(v, spec, e);
	if (rc == 0)
		shown_add(v);
	for (unsigned i = 0; rc == 0 && i < spec->ndevices; i++) {
		rc = mmio_init(&v->devs[i], v, spec->devices[i], i, e);
		v->ndevs++;
		if (rc == 0 && v->shown)
			mmio_show(&v->devs[i], v->shown + i * VMM_VIRTIO_STEP);
		if (rc == 0)
			rc = mmio_attach(&v->devs[i], e);
		if (rc == 0 && spec->devices[i]->shm_size)
			window_add(v, &v->devs[i]);
	}
	if (rc < 0)
		return rc;
	cmdline = make_cmdline(v, spec);
	rc = boot_load(v, spec, cmdline, &entry, &info, e);
	for (unsigned i = 0; rc == 0 && i < v->ncpus; i++) {
		rc = vcpu_init(&v->cpus[i], v, i, e);
		if (rc == 0)
			rc = x86_vcpu_init(&v->cpus[i], entry, info, e);
	}
	for (unsigned i = 0; rc == 0 && i < v->ncpus; i++)
		rc = vcpu_start(&v->cpus[i], e);
	return rc;
}

static void stop_vcpus(struct vmm *v)
{
	pthread_mutex_lock(&v->lock);
	v->stop = true;
	while (v->calls) {
		v->calls->dropped = true;
		v->calls = v->calls->next;
	}
	pthread_cond_broadcast(&v->cond);
	pthread_mutex_unlock(&v->lock);
	for (unsigned i = 0; i < v->ncpus; i++)
		if (v->cpus[i].vmm)
			vcpu_kick(&v->cpus[i]);
	for (unsigned i = 0; i < v->ncpus; i++)
		if (v->cpus[i].vmm)
			vcpu_free(&v->cpus[i]);
}

static void kvm_free(struct machine *m)
{
	struct vmm *v = (struct vmm *)m;

	stop_vcpus(v);
	for (unsigned i = 0; i < v->ndevs; i++)
		mmio_free(&v->devs[i]);
	loop_del(v->call_watch);
	if (v->call_fd >= 0)
		close(v->call_fd);
	if (v->confine.rules >= 0)
		close(v->confine.rules);
	if (v->vm_fd >= 0)
		close(v->vm_fd);
	if (v->kvm_fd >= 0)
		close(v->kvm_fd);
	window_free(v);
	shown_free(v);
	if (v->ram)
		munmap(v->ram, v->ram_size);
	if (v->more)
		munmap(v->more, v->more_size);
	if (v->serial.fd >= 0)
		close(v->serial.fd);
	pthread_mutex_destroy(&v->lock);
	pthread_mutex_destroy(&v->serial_lock);
	pthread_cond_destroy(&v->cond);
	free(v->cpus);
	free(v);
}

static unsigned default_cpus(void)
{
	cpu_set_t set;
	int n = sched_getaffinity(0, sizeof(set), &set) < 0 ? 1 : CPU_COUNT(&set);

	return n < 1 ? 1 : n > CPUS_DEFAULT ? CPUS_DEFAULT : (unsigned)n;
}

static struct machine *kvm_start(struct loop *l, const struct machine_spec *spec,
				 machine_end_fn *ended, void *arg, struct err *e)
{
	struct vmm *v = xcalloc(1, sizeof(*v));

	v->m.ops = &machine_kvm;
	v->loop = l;
	v->loop_thread = pthread_self();
	v->pause = spec->held;
	v->confine = (struct confine){ .name = "vcpu",
				       .lists = { &vcpu_calls },
				       .rules = confine_rules_new() }; /* no file at all */
	v->ended = ended;
	v->ended_arg = arg;
	v->kvm_fd = v->vm_fd = v->serial.fd = v->call_fd = v->acked_fd = -1;
	v->ncpus = spec->cpus ? spec->cpus : default_cpus();
	v->m.cpus = v->ncpus;
	v->cpus = xcalloc(v->ncpus, sizeof(*v->cpus));
	pthread_mutex_init(&v->lock, NULL);
	pthread_mutex_init(&v->serial_lock, NULL);
	pthread_cond_init(&v->cond, NULL);
	v->serial.fd = open(spec->console, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	v->call_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (v->serial.fd < 0 || v->call_fd < 0)
		err_sys(e, "open the console log %s", spec->console);
	else if (v->ncpus > VMM_CPUS_MAX)
		err_set(e, ERANGE, "a VM has 1 to %d vcpus", VMM_CPUS_MAX);
	else if ((v->call_watch = loop_add(l, v->call_fd, EPOLLIN, on_call, v, e)) &&
		 assemble(v, spec, e) == 0)
		return &v->m;
	kvm_free(&v->m);
	return NULL;
}

/*
 * Returns when every vcpu waits in may_run. One may be on its way there by a
 * register access that needs this very thread: that is served meanwhile.
 */
static int kvm_pause(struct machine *m, struct err *e)
{
	struct vmm *v = (struct vmm *)m;

	(void)e;
	pthread_mutex_lock(&v->lock);
	v->pause = true;
	for (unsigned i = 0; i < v->ncpus; i++)
		vcpu_kick(&v->cpus[i]);
	while (v->awake) {
		if (v->calls)
			serve_calls(v);
		else
			pthread_cond_wait(&v->cond, &v->lock);
	}
	pthread_mutex_unlock(&v->lock);
	return 0;
}

static int kvm_resume(struct machine *m, struct err *e)
{
	struct vmm *v = (struct vmm *)m;

	(void)e;
	pthread_mutex_lock(&v->lock);
	v->pause = false;
	pthread_cond_broadcast(&v->cond);
	pthread_mutex_unlock(&v->lock);
	return 0;
}

static int kvm_pid(const struct machine *m)
{
	(void)m;
	return 0;
}

/* Of the loop's thread; a vcpu's own are in vcpu.c. */
static const struct confine_call calls[] = {
	CONFINE_IF(ioctl, 1, KVM_SET_USER_MEMORY_REGION), /* the guest grows */
	CONFINE_CALL(munmap),
	{ SYS_tgkill, CONFINE_SELF, 0, 0, "tgkill a vcpu", NULL },
	CONFINE_CALL(getpid), /* pthread_kill */
};

static const struct confine_list calls_list = { calls, sizeof(calls) / sizeof(calls[0]) };

const struct machine_ops machine_kvm = {
	.name = "kvm",
	.start = kvm_start,
	.pause = kvm_pause,
	.resume = kvm_resume,
	.free = kvm_free,
	.pid = kvm_pid,
	.calls = &calls_list,
	.room = kvm_room,
	.grow = kvm_grow,
};
