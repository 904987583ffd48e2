#!/bin/sh
# Packs the agent as an initramfs, an uncompressed cpio, without root: guest/initramfs.sh AGENT >initramfs
set -eu

ino=0

# entry NAME MODE SIZE MAJOR MINOR: the header and name of one file ("newc": see the kernel's
# Documentation/driver-api/early-userspace/buffer-format.rst).
entry() {
	ino=$((ino + 1))
	printf '070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%s\0' "$ino" "$2" 0 0 1 0 \
		"$3" 0 0 "$4" "$5" $((${#1} + 1)) 0 "$1"
	pad $((110 + ${#1} + 1))
}

# Everything starts at a multiple of four bytes.
pad() {
	head -c $((-$1 & 3)) /dev/zero
}

size=$(wc -c <"$1")
entry dev 0040755 0 0 0
entry dev/console 0020600 0 5 1
entry init 0100755 "$size" 0 0
cat "$1"
pad "$size"
entry 'TRAILER!!!' 0 0 0 0
