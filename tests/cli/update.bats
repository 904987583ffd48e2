#!/usr/bin/env bats
# update.bats: zl update of containers that do not run; tests/vm/limits.bats has running ones.

load ../lib/common

setup_file() {
	zl_setup_file
	load_images busybox
}

teardown_file() {
	zl_teardown_file
}

teardown() {
	zl ps -aq | xargs -r "$ZL" rm >/dev/null
}

# What inspect says of the fields of HostConfig that are named.
host_config() {
	local field
	for field in "${@:2}"; do
		zl inspect -f "{{.HostConfig.$field}}" "$1"
	done | tr '\n' ' '
}

# bats test_tags=quick
@test "what is named changes, the rest stays" {
	zl create --name u1 -m 64m --pids-limit 5 busybox true
	zl create --name u2 --cpu-quota 5000 busybox true
	run -0 zl update --memory-reservation 32m -c 512 u1 u2
	output_is $'u1\nu2'
	[ "$(host_config u1 Memory MemoryReservation CpuShares PidsLimit)" = "67108864 33554432 512 5 " ]
	[ "$(host_config u2 Memory CpuShares CpuQuota)" = "0 512 5000 " ]
	zl container update --pids-limit=-1 --cpuset-cpus 0 --memory-swap 64m u1
	[ "$(host_config u1 Memory MemorySwap CpusetCpus PidsLimit)" = "67108864 67108864 0 <nil> " ]
	run -0 zl update -m 80m --memory-swap=-1 --kernel-memory 8m u1
	output_is $'u1\nWARNING: Your kernel does not support swap limit capabilities or the cgroup is not mounted. Memory limited without swap.\nFlag --kernel-memory has been deprecated, and no longer supported by the kernel'
}

# bats test_tags=quick
@test "a restart policy" {
	zl create --name p1 busybox true
	zl create --rm --name p2 busybox true
	zl update --restart on-failure:3 p1
	[ "$(host_config p1 RestartPolicy.Name RestartPolicy.MaximumRetryCount)" = "on-failure 3 " ]
	zl update --restart no --pids-limit 3 p1
	[ "$(host_config p1 RestartPolicy.Name PidsLimit)" = "no 3 " ]
	run --separate-stderr zl update --restart sometimes p1
	one_line_error
	stderr_has "unknown policy 'sometimes'"
	run --separate-stderr zl update --restart always p2
	one_line_error
	stderr_has "Restart policy cannot be updated because AutoRemove is enabled for the container"
}

# bats test_tags=quick
@test "what is refused, and that nothing changes" {
	zl create --name r1 -m 64m --memory-swap 64m --cpus 1 busybox true
	before=$(zl inspect r1)
	for row in \
		"|you must provide one or more flags when using this command" \
		"-m 5m|Minimum memory limit allowed is 6MB" \
		"-m 128m|Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time" \
		"--memory-reservation 128m|Minimum memory limit can not be less than memory reservation limit" \
		"--cpu-period 5000|Conflicting options: CPU Period cannot be updated as NanoCPUs has already been set" \
		"--cpu-quota 5000|Conflicting options: CPU Quota cannot be updated as NanoCPUs has already been set" \
		"--cpuset-cpus 8000|Requested CPUs are not available - requested 8000, available: " \
		"--blkio-weight 5|Range of blkio weight is from 10 to 1000"; do
		# shellcheck disable=SC2086 # options apart
		run --separate-stderr zl update ${row%%|*} r1
		one_line_error
		[ "$status" = 1 ]
		stderr_has "${row#*|}"
	done
	run --separate-stderr zl update --cpus 0.5 nobody r1
	[ "$status" = 1 ]
	stderr_has "No such container: nobody"
	output_is r1
	zl update --cpus 1 r1
	[ "$(zl inspect r1)" = "$before" ]
}

@test "many at once: all that was said holds" {
	zl create --name m1 busybox true
	for turn in 1 2 3 4 5; do
		zl update --pids-limit $turn m1 >/dev/null &
		zl update -m ${turn}0m m1 >/dev/null &
		zl update -c ${turn}00 m1 >/dev/null &
		wait
		[ "$(host_config m1 Memory CpuShares PidsLimit)" = "$((turn * 10 << 20)) ${turn}00 $turn " ]
	done
}

@test "the log of events has rename and update" {
	zl create --name e1 busybox true
	start=$(date +%s)
	zl rename e1 e2
	zl update --pids-limit 9 e2
	run -0 zl events --since $((start - 1)) --until $(($(date +%s) + 1)) --format '{{.Action}} {{.Actor.Attributes.name}} {{.Actor.Attributes.oldName}}'
	output_has "rename e2 /e1"
	output_has "update e2"
}
