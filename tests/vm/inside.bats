#!/usr/bin/env bats
# inside.bats: the container inside its VM: namespaces, capabilities, masks, --init, --privileged.

load ../lib/common

setup_file() {
	zl_setup_file
	load_images busybox
}

teardown_file() {
	zl_teardown_file
}

setup() {
	needs_vm
}

# bats test_tags=core
@test "PID 1 is the workload, in namespaces of its own" {
	in_vm 'echo $$; ps -o pid | wc -l; for n in pid mnt uts ipc cgroup; do readlink /proc/self/ns/$n; done | sort -u | wc -l'
	[ "${lines[0]}" = 1 ]
	[ "${lines[1]}" -le 5 ] || fail "more processes than ours: $output"
	[ "${lines[2]}" = 5 ]
}

@test "a process of the container's cannot speak for the agent" {
	run --separate-stderr zl run -q --rm -u 1000 busybox sh -c \
		'probe vsock 1024; probe vsock 1025; sleep 1; echo still here'
	status_is 0
	output_is 'still here'
}

@test "docker's default capabilities, for root and for a user" {
	in_vm 'grep Cap /proc/self/status'
	output_has "CapPrm:"$'\t'"00000000a80425fb"
	output_has "CapEff:"$'\t'"00000000a80425fb"
	output_has "CapBnd:"$'\t'"00000000a80425fb"
	run -0 zl run -q --rm -u 1000 busybox grep Cap /proc/self/status
	output_has "CapEff:"$'\t'"0000000000000000"
	output_has "CapBnd:"$'\t'"00000000a80425fb"
}

# bats test_tags=core
@test "what a container must not do" {
	in_vm 'mount -t tmpfs none /mnt 2>/dev/null || echo no-mount
		hostname other 2>/dev/null || echo no-hostname
		mknod /tmp/mem c 1 1 && cat /tmp/mem >/dev/null 2>&1 || echo no-mem
		echo 1 2>/dev/null >/proc/sys/kernel/panic || echo no-sysctl
		echo b 2>/dev/null >/proc/sysrq-trigger || echo no-sysrq
		test -z "$(cat /proc/kcore 2>/dev/null | head -c 1)" && echo no-kcore
		test -z "$(ls /sys/firmware 2>/dev/null)" && echo no-firmware
		touch /sys/x 2>/dev/null || echo no-sys
		reboot -f 2>/dev/null || echo no-reboot
		date -s 2001-01-01 2>&1 | grep -q "not permitted" && echo no-clock'
	for word in mount hostname mem sysctl sysrq kcore firmware sys reboot clock; do
		output_has "no-$word"
	done
}

@test "what a container finds: /dev, /proc, /sys, /dev/shm, cgroup" {
	in_vm 'for f in null zero full random urandom tty ptmx; do test -c /dev/$f || echo missing $f; done
		for l in stdin stdout stderr fd; do test -L /dev/$l || echo missing $l; done
		head -c 8 /dev/zero | wc -c; head -c 16 /dev/urandom | wc -c
		stat -f -c %T /dev/shm /dev/pts /proc; stat -c %a /dev/shm /tmp
		ls /sys/fs/cgroup | grep -c cgroup; ulimit -n; umask'
	[[ $output != *missing* ]] || fail "$output"
	output_has $'8\n16\ntmpfs'
	output_has $'1777\n1777'
	[ "${lines[-1]}" = 0022 ]
}

@test "--privileged lifts them" {
	run -0 zl run -q --rm --privileged busybox sh -c \
		'grep CapEff /proc/self/status; mount -t tmpfs none /mnt && echo mounted; echo 5 >/proc/sys/kernel/panic && echo sysctl'
	output_has mounted
	output_has sysctl
	[[ $output != *00000000a80425fb* ]]
}

@test "the wall clock is the host's, and loopback is up" {
	before=$(date +%s)
	in_vm 'date +%s; ip -o addr show lo; ping -c 1 -W 5 127.0.0.1 >/dev/null && echo pong'
	guest=${lines[0]}
	[ "$guest" -ge "$before" ] && [ "$guest" -le "$(date +%s)" ]
	output_has 127.0.0.1
	output_has pong
}

@test "--init reaps and forwards" {
	run --separate-stderr zl run -q --rm --init busybox sh -c 'echo $$; probe orphan; echo $?'
	status_is 0
	[ "${lines[0]}" != 1 ]
	zl run -qd --name initsig --init busybox probe signals 1
	wait_until 30 bash -c 'zl logs initsig | grep -q ready'
	zl kill -s USR2 initsig
	run -0 within 30 zl wait initsig
	output_is 0
	run -0 zl logs initsig
	output_has "got 12"
	zl rm initsig
}

@test "the end of PID 1 is the end of all; what it leaves behind holds nothing up" {
	run --separate-stderr within 60 zl run -q --rm busybox sh -c 'sleep 1000 & sleep 1000 & echo main; exit 6'
	status_is 6
	output_is main
	run --separate-stderr within 60 zl run -q --rm busybox probe orphan
	status_is 3
}

@test "a fork bomb's worth of processes and short-lived ones" {
	in_vm 'i=0; while [ $i -lt 300 ]; do /bin/true & i=$((i + 1)); done; wait; echo done'
	output_is done
}
