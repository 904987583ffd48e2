/* embed.S: what rides inside the executable: guest kernel, initramfs and the image "hello". */
	.macro	embed name, file
	.section .rodata.\name, "a", @progbits
	.global	\name, \name\()_end
	.type	\name, @object
	.balign	16
\name:
	.incbin	"\file"
\name\()_end:
	.size	\name, . - \name
	.byte	0
	.endm

	embed	kernel_embedded, "kernel/vmlinux.zst"
	embed	initramfs_embedded, "initramfs"
	embed	image_embedded, "hello.tar"

/* Names the pair of kernel and initramfs: a hash of both, as text. */
	embed	bundle_id, "bundle_id"

	.section .note.GNU-stack, "", @progbits
