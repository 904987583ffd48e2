#!/usr/bin/env bats
# machine.bats: hosts whose /dev/kvm is of no use: one line says why, and what to do. No VM is started.

load ../lib/common

setup_file() {
	zl_setup_file
	load_images busybox
	cpuinfos
}

teardown_file() {
	zl_teardown_file
}

@test "no /dev/kvm" {
	on_host "$PWD/virtual" none 'zl run --rm --machine kvm busybox true'
	status_is 125
	one_line_error
	stderr_has "there is no /dev/kvm: switch on virtualisation in the firmware"
	on_host "$PWD/virtual" none 'zl info --format {{.Machine}}'
	status_is 0
	output_is qemu
}

@test "a processor that does not virtualise" {
	[ -e /dev/kvm ] || skip "no /dev/kvm"
	on_host "$PWD/plain" as-it-is 'zl run --rm --machine kvm busybox true'
	status_is 125
	one_line_error
	stderr_has "/dev/kvm only emulates here (the processor shows neither vmx nor svm): switch on nested"
	on_host "$PWD/plain" as-it-is 'zl info --format {{.Machine}}'
	output_is qemu
}

@test "a /dev/kvm that may not be opened" {
	[ "$(id -u)" = 0 ] && [ -e /dev/kvm ] || skip "takes root, and a /dev/kvm"
	[ "$(stat -c %A /dev/kvm | cut -c8-9)" != rw ] || skip "everybody may open it here"
	chmod 755 "$BATS_RUN_TMPDIR" "$BATS_FILE_TMPDIR" "$BATS_FILE_TMPDIR/.." # to get to zl
	mkdir -m 777 "$BATS_TEST_TMPDIR/other"
	export other=$BATS_TEST_TMPDIR/other
	on_host "$PWD/virtual" as-it-is 'ZL_ROOT=$other HOME=$other XDG_RUNTIME_DIR=$other setpriv \
		--reuid 65534 --regid 65534 --clear-groups "$ZL" info --format "{{.Machine}} {{.MachineReason}}"'
	status_is 0
	output_has "qemu /dev/kvm may not be opened: join the group kvm"
}

@test "a processor that another hypervisor uses" {
	[ -e /dev/kvm ] || skip "no /dev/kvm"
	on_host "$PWD/virtual" as-it-is 'python3 "$lib/busy.py" "$ZL" run --rm --machine kvm busybox true'
	status_is 125
	one_line_error
	stderr_has "in use by another hypervisor (VirtualBox, VMware): stop it"
}

@test "machines by name" {
	run --separate-stderr zl run --machine xen busybox true
	status_is 125
	stderr_has 'invalid argument "xen" for "--machine" flag: must be kvm or qemu'
	ZL_MACHINE=xen run --separate-stderr zl run -q --rm busybox true
	status_is 125
	one_line_error
	stderr_has "ZL_MACHINE=xen: must be kvm or qemu"
}
