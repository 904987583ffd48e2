#!/usr/bin/env bats
# kernel.bats: another guest kernel: from a file, from an image of a registry that moves and goes away.

load ../lib/common

setup_file() {
	zl_setup_file
	registry_start
	registry_push busybox
	load_images busybox
}

teardown_file() {
	zl_teardown_file
}

setup() {
	needs_vm
	cd "$BATS_TEST_TMPDIR" || return
}

silent() {
	! registry_answers "$1"
}

# kernel_numbered N: the embedded kernel, which calls itself build N, as ./vmlinux.
kernel_numbered() {
	python3 - "$ZL_ROOT"/kernel/*/vmlinux "$VERSION" "$1" <<-'END'
		import sys
		data, version = open(sys.argv[1], "rb").read(), sys.argv[2].encode()
		assert version[:2] == b"#1" and version in data
		open("vmlinux", "wb").write(data.replace(version, b"#" + sys.argv[3].encode() + version[2:]))
	END
}

# publish N: that kernel as the image $REGISTRY/kernel, from a store of its own.
publish() {
	kernel_numbered "$1"
	tar -c vmlinux | ZL_ROOT=$PWD/publisher zl import - "$REGISTRY/kernel" >/dev/null
	ZL_ROOT=$PWD/publisher zl push -q "$REGISTRY/kernel"
}

@test "ZL_KERNEL names an image: pulled, pulled anew, used as it is here without its registry" {
	run -0 zl run -q --rm busybox uname -v
	VERSION=$output
	export ZL_KERNEL=$REGISTRY/kernel
	publish 7
	run -0 --separate-stderr within 60 zl run -q --rm busybox uname -v
	output_is "#7${VERSION#"#1"}"
	publish 8
	run -0 --separate-stderr within 60 zl run -q --rm busybox uname -v
	output_is "#8${VERSION#"#1"}"
	# What holds no kernel, and what is none: nothing is booted instead.
	ZL_KERNEL=$REGISTRY/busybox run --separate-stderr zl run -q --rm busybox true
	status_is 125
	one_line_error
	stderr_has "kernel $REGISTRY/busybox: the image holds no file /vmlinux"
	kill "$(cat "$BATS_FILE_TMPDIR/servers/registry/pid")"
	wait_until 20 silent "$REGISTRY"
	run -0 --separate-stderr within 60 zl run -q --rm busybox uname -v
	output_is "#8${VERSION#"#1"}"
	stderr_has "using the image that is here"
	zl rmi "$ZL_KERNEL"
	run --separate-stderr zl run -q --rm busybox true
	status_is 125
	one_line_error
	stderr_has "kernel $ZL_KERNEL: "
	stderr_has "${REGISTRY%:*}"
	# A file; the container remembers it, wherever it is started from.
	unset ZL_KERNEL
	kernel_numbered 9
	zl create -q --name nine --kernel ./vmlinux busybox uname -v
	cd /
	run -0 --separate-stderr within 60 zl start -a nine
	output_is "#9${VERSION#"#1"}"
	zl rm nine
	for name in /no/such/kernel ./nosuch "NO NAME"; do
		run --separate-stderr zl create -q --kernel "$name" busybox true
		one_line_error
	done
}
