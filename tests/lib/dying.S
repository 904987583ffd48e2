/*
 * dying.S: a kernel that says why on the serial port, as earlyprintk does, and ends in a triple
 * fault; with HANGS, never.
 */
	.section .note.xen, "a", @note
	.long 4, 4, 18			/* XEN_ELFNOTE_PHYS32_ENTRY */
	.asciz "Xen"
	.long start

	.text
	.code32
	.globl start
start:
	mov $words, %esi
again:
	lodsb
	test %al, %al
	jz end
	mov %al, %bl
wait:
	mov $0x3fd, %dx			/* LSR */
	inb %dx, %al
	test $0x20, %al			/* transmitter empty */
	jz wait
	mov %bl, %al
	mov $0x3f8, %dx
	outb %al, %dx
	jmp again
end:
#ifdef HANGS
	cli
	hlt
#endif
	lidt none
	ud2

	.section .rodata
none:
	.word 0
	.long 0
words:
	.asciz "[    0.000000] Kernel panic - not syncing: no words without a console\n"
