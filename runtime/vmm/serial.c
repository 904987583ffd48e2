/* serial.c: a 16550A just complete enough for Linux's console: output only, always ready. */
#include <unistd.h>

#include "runtime/vmm/vmm.h"

enum { THR, IER, FCR_IIR, LCR, MCR, LSR, MSR, SCR };

#define LCR_DLAB     0x80
#define IER_THRI     0x02 /* tell when the transmitter is empty */
#define LSR_EMPTY    0x60 /* transmitter and holding register empty: always */
#define IIR_NONE     0x01 /* no interrupt pending */
#define IIR_THRI     0x02
#define IIR_FIFO     0xc0
#define MSR_PRESENT  0xb0 /* DCD, DSR, CTS */
#define MCR_LOOPBACK 0x10

/* Most a guest can write to the console's log; more is dropped (as in vhost/spawn.c). */
#define CONSOLE_MAX (16U << 20)

/* The transmitter is empty again as soon as it was filled: the driver goes on by interrupt. */
static void transmitter_empty(struct serial *s)
{
	uint64_t one = 1;

	if (!(s->ier & IER_THRI))
		return;
	s->thri = true;
	if (write(s->irq_fd, &one, sizeof(one)) < 0)
		return; /* full: it is pending anyway */
}

static void put(struct serial *s, uint8_t v)
{
	/* what is lost is nobody's error: the disk is full, or the guest too talkative */
	if (s->written < CONSOLE_MAX && write(s->fd, &v, 1) == 1)
		s->written++;
}

uint8_t serial_in(struct serial *s, unsigned reg)
{
	uint8_t iir;

	switch (reg) {
	case THR:
		return s->lcr & LCR_DLAB ? s->dll : 0;
	case IER:
		return s->lcr & LCR_DLAB ? s->dlm : s->ier;
	case FCR_IIR:
		iir = s->thri ? IIR_THRI : IIR_NONE;
		s->thri = false;
		return iir | IIR_FIFO;
	case LCR:
		return s->lcr;
	case MCR:
		return s->mcr;
	case LSR:
		return LSR_EMPTY;
	case MSR:
		/* in loopback mode the modem's outputs are its inputs (the driver probes this) */
		if (s->mcr & MCR_LOOPBACK)
			return (uint8_t)((s->mcr & 0x0c) << 4 | (s->mcr & 0x02) << 3 |
					 (s->mcr & 0x01) << 5);
		return MSR_PRESENT;
	case SCR:
		return s->scr;
	}
	return 0xff;
}

void serial_out(struct serial *s, unsigned reg, uint8_t v)
{
	switch (reg) {
	case THR:
		if (s->lcr & LCR_DLAB) {
			s->dll = v;
			break;
		}
		if (!(s->mcr & MCR_LOOPBACK))
			put(s, v);
		transmitter_empty(s);
		break;
	case IER:
		if (s->lcr & LCR_DLAB) {
			s->dlm = v;
			break;
		}
		s->ier = v & 0x0f;
		transmitter_empty(s);
		break;
	case LCR:
		s->lcr = v;
		break;
	case MCR:
		s->mcr = v & 0x1f;
		break;
	case SCR:
		s->scr = v;
		break;
	}
}
