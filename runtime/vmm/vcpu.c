/* vcpu.c: a thread that runs one vcpu, and what it leaves KVM_RUN for. */
#include <errno.h>
#include <linux/kvm.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "runtime/base/own.h"
#include "runtime/vmm/vmm.h"

/*
 * Interrupting KVM_RUN without a race: the signal alone could arrive just
 * before the ioctl and be lost, so that the kicker first sets immediate_exit
 * in the shared page: then KVM_RUN returns at once with EINTR, however the
 * two meet. The signal's handler does nothing.
 */
#define VCPU_SIGNAL SIGUSR1
#define VCPU_STACK  (128U << 10)

#define KBD_PORT  0x64
#define KBD_RESET 0xfe

/* The system calls of a vcpu's thread. */
static const struct confine_call calls[] = {
	CONFINE_IF(ioctl, 1, KVM_RUN),
	CONFINE_IF(ioctl, 1, KVM_KVMCLOCK_CTRL),
	/* the registers are logged when the hypervisor fails */
	CONFINE_RARE_IF(ioctl, 1, KVM_GET_REGS, "KVM failed"),
	CONFINE_RARE_IF(ioctl, 1, KVM_GET_SREGS, "KVM failed"),
	CONFINE_CALL(rt_sigreturn),
	CONFINE_CALL(futex),
	CONFINE_RARE(clock_gettime, "where the clock cannot be read without a call"),
	CONFINE_CALL(write), /* interrupts, the console, calls for the loop's thread */
	CONFINE_CALL(madvise),
	CONFINE_CALL(rt_sigprocmask),
	CONFINE_CALL(exit),
	CONFINE_ALLOCATING,
	CONFINE_ABORTING,
};

const struct confine_list vcpu_calls = { calls, sizeof(calls) / sizeof(calls[0]) };

static void on_signal(int sig)
{
	(void)sig;
}

static bool port_out(struct vmm *v, uint16_t port, uint8_t value)
{
	if (port >= VMM_PORT_SERIAL && port < VMM_PORT_SERIAL + 8) {
		pthread_mutex_lock(&v->serial_lock);
		serial_out(&v->serial, port - VMM_PORT_SERIAL, value);
		pthread_mutex_unlock(&v->serial_lock);
	} else if (port == VMM_PORT_END) {
		vmm_set_end(v, VMM_POWERED_OFF, "the guest powered off");
		return false;
	} else if (port == KBD_PORT && value == KBD_RESET) {
		vmm_set_end(v, VMM_TRIPLE_FAULT, "the guest reset itself");
		return false;
	}
	return true;
}

static uint8_t port_in(struct vmm *v, uint16_t port)
{
	uint8_t r = 0xff;

	if (port >= VMM_PORT_SERIAL && port < VMM_PORT_SERIAL + 8) {
		pthread_mutex_lock(&v->serial_lock);
		r = serial_in(&v->serial, port - VMM_PORT_SERIAL);
		pthread_mutex_unlock(&v->serial_lock);
	}
	return r;
}

/* The end, with the registers for --debug. */
static bool end(struct vcpu *c, enum vmm_end how, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
static bool end(struct vcpu *c, enum vmm_end how, const char *fmt, ...)
{
	char text[sizeof(c->vmm->end_text)];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	x86_dump(c);
	vmm_set_end(c->vmm, how, text);
	return false;
}

static bool end_no_memory(struct vcpu *c)
{
	return end(c, VMM_ERROR,
		   "the host could not provide memory that the guest touched: it is out of "
		   "memory or its disk is full, or a file mapped into the guest was cut short");
}

/* Ports without a device read as all ones and swallow what is written. */
static bool on_port(struct vcpu *c)
{
	struct kvm_run *r = c->run;
	uint8_t *data = (uint8_t *)r + r->io.data_offset;
	bool going = true;

	for (uint32_t i = 0; i < r->io.count && going; i++, data += r->io.size) {
		if (r->io.direction == KVM_EXIT_IO_OUT) {
			going = port_out(c->vmm, r->io.port, data[0]);
		} else {
			memset(data, 0xff, r->io.size);
			data[0] = port_in(c->vmm, r->io.port);
		}
	}
	return going;
}

static bool on_mmio(struct vcpu *c)
{
	struct kvm_run *r = c->run;
	uint64_t off = r->mmio.phys_addr - VMM_VIRTIO_BASE;
	uint64_t index = off / VMM_VIRTIO_STEP;
	uint32_t len = r->mmio.len <= sizeof(r->mmio.data) ? r->mmio.len : sizeof(r->mmio.data);

	if (gmem_at(&c->vmm->mem, r->mmio.phys_addr, 1) ||
	    gmem_window_at(&c->vmm->mem, r->mmio.phys_addr, 1))
		return end_no_memory(c); /* KVM emulated the access, and could not reach it */
	if (r->mmio.phys_addr < VMM_VIRTIO_BASE || index >= c->vmm->ndevs) {
		if (!r->mmio.is_write)
			memset(r->mmio.data, 0xff, len);
		return true;
	}
	off %= VMM_VIRTIO_STEP;
	if (r->mmio.is_write)
		mmio_write(&c->vmm->devs[index], off, r->mmio.data, len);
	else
		mmio_read(&c->vmm->devs[index], off, r->mmio.data, len);
	return true;
}

bool vcpu_exit(struct vcpu *c)
{
	struct kvm_run *r = c->run;

	switch (r->exit_reason) {
	case KVM_EXIT_IO:
		return on_port(c);
	case KVM_EXIT_MMIO:
		return on_mmio(c);
	case KVM_EXIT_INTR:
	case KVM_EXIT_IRQ_WINDOW_OPEN:
		return true;
	case KVM_EXIT_SHUTDOWN: /* a triple fault: reboot=t and panics end in one by intent */
		return end(c, VMM_TRIPLE_FAULT, "the guest's kernel panicked or reset the VM");
	case KVM_EXIT_SYSTEM_EVENT:
		return end(c, VMM_TRIPLE_FAULT, "the guest's kernel ended the VM");
	case KVM_EXIT_FAIL_ENTRY:
		return end(c, VMM_ERROR, "the processor refused to run the guest (reason 0x%llx)",
			   r->fail_entry.hardware_entry_failure_reason);
	case KVM_EXIT_INTERNAL_ERROR:
		if (r->internal.suberror == KVM_INTERNAL_ERROR_EMULATION)
			return end(c, VMM_ERROR,
				   "the guest ran an instruction that KVM cannot emulate");
		return end(c, VMM_ERROR, "KVM met its internal error %u", r->internal.suberror);
	default:
		return end(c, VMM_ERROR, "KVM left the guest for what zl has no name for (exit %u)",
			   r->exit_reason);
	}
}

/* KVM_RUN itself has failed. */
static void end_failed(struct vcpu *c, int error)
{
	if (error == EFAULT || error == EHWPOISON)
		end_no_memory(c);
	else
		end(c, VMM_ERROR, "KVM could not run the guest: %s", strerror(error));
}

/* Waits while the VM is paused; false when it is being ended. */
static bool may_run(struct vcpu *c)
{
	struct vmm *v = c->vmm;
	bool stop;

	pthread_mutex_lock(&v->lock);
	/* seen: a kick from now on sets it again */
	__atomic_store_n(&c->run->immediate_exit, 0, __ATOMIC_SEQ_CST);
	if (v->pause && !v->stop) {
		v->awake--;
		pthread_cond_broadcast(&v->cond);
		while (v->pause && !v->stop)
			pthread_cond_wait(&v->cond, &v->lock);
		v->awake++;
		/* tells the guest's watchdogs that it was away; an error does no harm */
		ioctl(c->fd, KVM_KVMCLOCK_CTRL, 0);
	}
	stop = v->stop;
	pthread_mutex_unlock(&v->lock);
	return !stop;
}

static void *vcpu_main(void *arg)
{
	struct vcpu *c = arg;

	confine_thread_or_die(&c->vmm->confine);
	while (may_run(c)) {
		if (ioctl(c->fd, KVM_RUN, 0) < 0) {
			if (errno == EINTR || errno == EAGAIN)
				continue;
			end_failed(c, errno);
			break;
		}
		if (!vcpu_exit(c))
			break;
	}
	pthread_mutex_lock(&c->vmm->lock);
	c->vmm->awake--;
	pthread_cond_broadcast(&c->vmm->cond);
	pthread_mutex_unlock(&c->vmm->lock);
	return NULL;
}

int vcpu_init(struct vcpu *c, struct vmm *v, unsigned index, struct err *e)
{
	*c = (struct vcpu){ .vmm = v, .index = index, .run = MAP_FAILED };
	c->fd = ioctl(v->vm_fd, KVM_CREATE_VCPU, index);
	if (c->fd < 0)
		return err_sys(e, "KVM_CREATE_VCPU");
	c->run = mmap(NULL, (size_t)v->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, c->fd, 0);
	if (c->run == MAP_FAILED)
		return err_sys(e, "map the vcpu");
	return 0;
}

int vcpu_start(struct vcpu *c, struct err *e)
{
	struct sigaction sa = { .sa_handler = on_signal };
	sigset_t all, old, only;
	pthread_attr_t attr;
	int rc;

	sigaction(VCPU_SIGNAL, &sa, NULL);
	sigfillset(&all);
	sigemptyset(&only);
	sigaddset(&only, VCPU_SIGNAL);
	sigdelset(&all, VCPU_SIGNAL);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, VCPU_STACK);
	/* the thread takes no signal but the kick */
	pthread_sigmask(SIG_BLOCK, &all, &old);
	pthread_sigmask(SIG_UNBLOCK, &only, NULL);
	pthread_mutex_lock(&c->vmm->lock);
	rc = pthread_create(&c->thread, &attr, vcpu_main, c);
	c->vmm->awake += rc == 0;
	pthread_mutex_unlock(&c->vmm->lock);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	if (rc)
		return err_set(e, rc, "start a vcpu: %s", strerror(rc));
	c->started = true;
	return 0;
}

void vcpu_kick(struct vcpu *c)
{
	if (c->run == MAP_FAILED)
		return; /* it could not be made */
	__atomic_store_n(&c->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
	if (c->started)
		pthread_kill(c->thread, VCPU_SIGNAL);
}

void vcpu_free(struct vcpu *c)
{
	if (c->started)
		pthread_join(c->thread, NULL);
	if (c->run != MAP_FAILED)
		munmap(c->run, (size_t)c->vmm->run_size);
	if (c->fd >= 0)
		close(c->fd);
}
