#!/usr/bin/env bats
# memory.bats: what a container may use, and what the host gives and gets back.

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

teardown() {
	zl ps -aq | xargs -r "$ZL" rm -f >/dev/null
}

# MiB of the holder's own memory, in which the guest's is (KVM); what has pages apart is not shown
# to an ordinary user.
guest_mib() {
	awk '/^RssAnon/ { print int($2 / 1024) }' "/proc/$(zl inspect -f '{{.State.Pid}}' "$1")/status"
}

guest_below() {
	[ "$(guest_mib "$1")" -lt "$2" ]
}

says() {
	[ "$(zl logs "$1" 2>/dev/null | tail -n 1)" = "$2" ]
}

# bats test_tags=kvm
@test "memory that the guest frees goes back to the host within seconds" {
	zl run -qd --name frees -m 512m busybox probe hold 256
	wait_until 60 says frees holds
	held=$(guest_mib frees)
	[ "$held" -ge 256 ]
	zl kill -s USR1 frees
	wait_until 20 says frees freed
	wait_until 15 guest_below frees $((held - 150)) || fail "of $held MiB still $(guest_mib frees)"
}

# bats test_tags=kvm
@test "without -m the machine starts small, grows as a program allocates, and gives it back" {
	run --separate-stderr zl run -q --rm busybox sh -c \
		'awk "/MemTotal/ { print \$2 < 300000 }" /proc/meminfo; probe mem 600
		awk "/MemTotal/ { print (\$2 > 600000) }" /proc/meminfo'
	status_is 0
	output_is $'1\ntouched\n1'

	zl run -qd --name grows busybox probe hold 600
	wait_until 60 says grows holds
	held=$(guest_mib grows)
	[ "$held" -ge 600 ]
	[ "$(zl inspect -f '{{.HostConfig.Memory}}' grows)" = 0 ]
	zl kill -s USR1 grows
	wait_until 20 says grows freed
	wait_until 15 guest_below grows $((held - 400)) || fail "of $held MiB still $(guest_mib grows)"
}

# bats test_tags=kvm
@test "without -m several programs allocate at the same time; none is killed" {
	run --separate-stderr zl run -q --rm busybox sh -c \
		'for i in 1 2 3 4; do probe mem 150 & pids="$pids $!"; done
		for p in $pids; do wait $p || exit 1; done'
	status_is 0
}

@test "-m is the limit: seen in the cgroup, and past it an OOM kill" {
	run --separate-stderr zl run -q --rm -m 64m busybox sh -c \
		'cat /sys/fs/cgroup/memory.max; probe mem 50'
	status_is 0
	output_is $'67108864\ntouched'
	run --separate-stderr zl run -q --name over -m 64m busybox probe mem 80
	status_is 137
	[ "$(zl inspect -f '{{.State.OOMKilled}} {{.HostConfig.Memory}}' over)" = "true 67108864" ]
	run --separate-stderr zl run -q --rm -m 6m busybox sh -c 'probe mem 2; probe mem 20; echo $?'
	output_is $'touched\n137'
}

@test "an OOM kill of another than task 1: told at once, and kept" {
	zl run -qd --name child -m 64m busybox sh -c 'probe mem 200; while [ ! -e /end ]; do sleep 0.1; done'
	wait_until 60 bash -c '[ "$(zl inspect -f "{{.State.OOMKilled}} {{.State.Status}}" child)" = "true running" ]'
	zl exec child touch /end
	run -0 zl wait child
	output_is 0
	[ "$(zl inspect -f '{{.State.OOMKilled}} {{.State.ExitCode}}' child)" = "true 0" ]
	run -0 zl events --since 1h --until 0s --filter container=child --filter event=oom --format '{{.Action}}'
	output_is oom
	run -0 zl start child
	[ "$(zl inspect -f '{{.State.OOMKilled}}' child)" = false ] || [ "$(zl events --since 1h --until 0s -f container=child -f event=oom | wc -l)" = 2 ]
	zl rm -f child
}

@test "one may map more than there is, as long as it is not touched" {
	run --separate-stderr zl run -q --rm -m 64m busybox dd if=/dev/zero of=/dev/null bs=500M count=0
	status_is 0
}
