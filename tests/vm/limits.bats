#!/usr/bin/env bats
# limits.bats: what run's flags bound and set inside, as the container sees it; rename while it runs.

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

# A line of the output: "name value".
says() {
	grep -qxF "$1" <<<"$output" || fail "no line '$1' in: $output; stderr: ${stderr:-}"
}

no_names() {
	[ -z "$(find "$ZL_ROOT/names" -type l)" ]
}

# bats test_tags=core
@test "limits, ulimits, sysctls and devices are what the flags say" {
	run --separate-stderr zl run -q --rm -m 100m --memory-reservation 50m --memory-swap 200m \
		--cpus 0.5 --cpu-shares 512 --pids-limit 50 --ulimit nofile=100:200 --ulimit core=0 \
		--ulimit stack=-1 --oom-score-adj 500 --sysctl net.core.somaxconn=77 \
		--sysctl kernel.msgmax=12345 --sysctl vm/swappiness=3 --device /dev/fuse:rw \
		--device /dev/net/tun --device /dev/net/tun:/mine/tun --device /dev/null \
		--security-opt no-new-privileges --group-add 1234 --dns 192.0.2.1 \
		--dns-search a.example --dns-option ndots:2 busybox sh -c '
		cd /sys/fs/cgroup
		for f in memory.max memory.low cpu.max cpu.weight pids.max; do echo "$f $(cat $f)"; done
		echo "nofile $(ulimit -n) $(ulimit -Hn)"; echo "core $(ulimit -c)"; echo "stack $(ulimit -s)"
		echo "oom $(cat /proc/self/oom_score_adj)"
		echo "sysctl $(sysctl -n net.core.somaxconn kernel.msgmax vm.swappiness | tr "\n" " ")"
		for d in /dev/fuse /dev/net/tun /mine/tun; do echo "$d $(stat -c "%F %t:%T" $d)"; done
		: <>/dev/fuse && echo fuse-opens
		grep NoNewPrivs /proc/self/status; id -G; cat /etc/resolv.conf
		mkdir x 2>/dev/null || echo cgroup-read-only
		(i=0; while [ $i -lt 60 ]; do sleep 60 & i=$((i + 1)); done) 2>&1 | grep -q fork && echo no-more-pids'
	status_is 0
	stderr_has "WARNING: Your kernel does not support swap limit capabilities"
	says "memory.max 104857600"
	says "memory.low 52428800"
	says "cpu.max 50000 100000"
	says "cpu.weight 20"
	says "pids.max 50"
	says "nofile 100 200"
	says "core 0"
	says "stack unlimited"
	says "oom 500"
	says "sysctl 77 12345 3 "
	says "/dev/fuse character special file a:e5"
	says "/dev/net/tun character special file a:c8"
	says "/mine/tun character special file a:c8"
	says fuse-opens
	says NoNewPrivs:$'\t'1
	says "0 1234"
	says "nameserver 192.0.2.1"
	says "search a.example"
	says "options ndots:2"
	says cgroup-read-only
	says no-more-pids
}

@test "--security-opt systempaths and writable-cgroups, --ipc none, --cap-drop ALL" {
	in_vm_opts="--security-opt systempaths=unconfined --security-opt writable-cgroups=true"
	# shellcheck disable=SC2086 # options apart
	run --separate-stderr zl run -q --rm $in_vm_opts --ipc none --cap-drop ALL --cap-add chown \
		busybox sh -c 'mkdir /sys/fs/cgroup/x && echo cgroup; test -e /dev/shm || echo no-shm
		echo 5 >/proc/sys/kernel/panic && echo sysctl; grep CapBnd /proc/self/status
		cat /proc/timer_list | head -c 5 | wc -c'
	status_is 0
	says cgroup
	says no-shm
	says sysctl
	says CapBnd:$'\t'0000000000000001
}

@test "exec has the container's ulimits, OOM score and no_new_privs; --privileged all capabilities" {
	zl run -qd --name ex -e GONE=1 -e KEPT=1 --ulimit nofile=64 --oom-score-adj 7 --security-opt no-new-privileges busybox sleep 1000
	run -0 zl exec -e A=1 -w /tmp ex sh -c 'echo "$A $PWD $(ulimit -n) $(cat /proc/self/oom_score_adj)"; grep -E "NoNew|CapEff" /proc/self/status'
	says "1 /tmp 64 7"
	says NoNewPrivs:$'\t'1
	says CapEff:$'\t'00000000a80425fb
	run -0 env -u GONE zl exec -e GONE -e KEPT= ex sh -c 'echo "${GONE-unset} ${KEPT-unset}"'
	says "unset "
	run -0 zl exec --privileged ex grep CapEff /proc/self/status
	says CapEff:$'\t'000001ffffffffff
	run -0 zl exec --privileged -u 1000 ex grep -E 'Cap(Eff|Bnd)' /proc/self/status
	says CapEff:$'\t'0000000000000000
}

@test "update: a running and a paused container have other limits at once" {
	zl run -qd --name up -m 128m --cpus 1 busybox sleep 1000
	run -0 zl update -m 64m --memory-reservation 32m --pids-limit 77 --cpus 0.25 -c 100 --cpuset-cpus 0 up
	output_is up
	run -0 zl exec up sh -c 'cd /sys/fs/cgroup; for f in memory.max memory.low pids.max cpu.max cpu.weight; do echo "$f $(cat $f)"; done'
	says "memory.max 67108864"
	says "memory.low 33554432"
	says "pids.max 77"
	says "cpu.max 25000 100000"
	says "cpu.weight 4"
	pid=$(zl inspect -f '{{.State.Pid}}' up)
	grep -q '^Cpus_allowed_list:[[:space:]]*0$' "/proc/$pid/status"
	[ "$(awk '{ print $19 }' "/proc/$pid/stat")" = 10 ]
	zl pause up
	zl update --pids-limit=-1 --memory-swap 64m up
	zl unpause up
	[ "$(zl exec up cat /sys/fs/cgroup/pids.max)" = max ]
	run -0 zl inspect -f '{{with .HostConfig}}{{.Memory}} {{.MemoryReservation}} {{.NanoCpus}} {{.CpuShares}} {{.CpusetCpus}} {{.PidsLimit}}{{end}}' up
	output_is '67108864 33554432 250000000 100 0 <nil>'
	# what its machine cannot follow changes nothing
	run --separate-stderr zl update -m 1g --memory-swap=-1 --pids-limit 5 up
	one_line_error
	stderr_has "its machine was started with 134217728 bytes of memory"
	run --separate-stderr zl update --cpu-quota 200000 up
	one_line_error
	stderr_has "CPU Quota cannot be updated as NanoCPUs has already been set"
	[ "$(zl inspect -f '{{.HostConfig.Memory}}' up)" = 67108864 ]
	[ "$(zl exec up cat /sys/fs/cgroup/pids.max)" = max ]
	# the next start has all of it
	zl stop -t 0 up
	zl update -m 160m --memory-swap=-1 up
	zl start up
	[ "$(zl exec up cat /sys/fs/cgroup/memory.max)" = $((160 << 20)) ]
}

@test "a running container is renamed, and its new name is free when it is gone" {
	zl run -qd --rm --name before busybox sleep 1000
	zl rename before after
	run -0 zl exec after echo here
	output_is here
	[ "$(zl ps --format '{{.Names}}')" = after ]
	before=$(date +%s)
	zl stop -t 0 after
	run -0 zl events --since $((before - 5)) --until $(($(date +%s) + 1)) --filter type=container --format '{{.Action}} {{.Actor.Attributes.name}}'
	says "die after"
	wait_until 20 no_names || fail "$(ls -l "$ZL_ROOT/names")"
}

@test "what the kernel does not take ends the start with the reason" {
	run --separate-stderr zl run -q --rm --sysctl net.no.such=1 busybox true
	status_is 125
	stderr_has "set sysctl net.no.such=1: No such file or directory"
	run --separate-stderr zl run -q --rm --device /dev/fuse:/bin/sh busybox true
	status_is 125
	stderr_has "create the device /bin/sh: another file is there"
}
