/* serial.c: as much of a 16550A as Linux's earlyprintk asks for: output only, always ready. */
#include <unistd.h>

#include "runtime/vmm/vmm.h"

/*
 * The guest's console is a virtio device (virtio/console.c). Until its driver
 * is up, what the kernel says at its loudest level, that is its panic, comes
 * here: ten accesses at boot, and two for each byte of last words.
 */
enum { THR, LCR = 3, LSR = 5 };

#define LCR_DLAB  0x80 /* THR is the divisor's low byte */
#define LSR_EMPTY 0x60 /* transmitter and holding register empty: always */

/* Most of it that goes to the log. */
#define SERIAL_MAX (64U << 10)

uint8_t serial_in(struct serial *s, unsigned reg)
{
	return reg == LSR ? LSR_EMPTY : reg == LCR ? s->lcr : 0;
}

void serial_out(struct serial *s, unsigned reg, uint8_t v)
{
	if (reg == LCR)
		s->lcr = v;
	/* what is lost is nobody's error: the disk is full, or the guest too talkative */
	if (reg == THR && !(s->lcr & LCR_DLAB) && s->written < SERIAL_MAX &&
	    write(s->fd, &v, 1) == 1)
		s->written++;
}
