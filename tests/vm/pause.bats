#!/usr/bin/env bats
# pause.bats: containers stand still and go on: streams, clocks, signals, and sudden deaths meanwhile.

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

state() {
	zl inspect -f '{{.State.Status}} {{.State.Running}} {{.State.Paused}}' "$1"
}

said() { # NAME TEXT: the log has it
	zl logs "$1" 2>&1 | grep -qF -- "$2"
}

lines() {
	zl logs "$1" | wc -l
}

# Ticks of processor time that the container's processes took until now.
ticks() {
	local holder children child fields sum=0
	holder=$(zl inspect -f '{{.State.Pid}}' "$1")
	children=$(cat "/proc/$holder"/task/*/children)
	for child in $holder $children; do
		read -ra fields <"/proc/$child/stat"
		sum=$((sum + fields[13] + fields[14]))
	done
	echo $sum
}

# bats test_tags=core
@test "pause and unpause: states, names, errors" {
	a=$(zl run -qd --name aa busybox sleep 1000)
	zl run -qd --name bb busybox sleep 1000
	run -0 zl pause aa "$(zl ps -q --no-trunc -f name=b)"
	[ "${lines[0]}" = aa ]
	[ "$(state aa)" = "paused true true" ]
	[ "$(state bb)" = "paused true true" ]
	run -0 zl ps --filter status=paused --format '{{.Names}} {{.State}} {{.Status}}'
	[[ ${lines[0]} =~ ^bb\ paused\ Up\ .*\ \(Paused\)$ ]] || fail "$output"
	[ "${#lines[@]}" = 2 ]
	run -0 zl ps -q --filter status=running
	output_is ""
	run -0 zl info --format '{{.ContainersPaused}} {{.ContainersRunning}}'
	output_is "2 0"
	run --separate-stderr zl pause aa
	status_is 1
	one_line_error
	stderr_has "Container $a is already paused"
	run --separate-stderr zl exec aa true
	status_is 1
	stderr_has "Container $a is paused, unpause the container before exec"
	run --separate-stderr zl attach aa
	status_is 1
	stderr_has "paused container, unpause it first"
	run --separate-stderr zl start aa
	status_is 1
	stderr_has "cannot start a paused container, try unpause instead"
	run --separate-stderr zl rm aa
	status_is 1
	stderr_has 'cannot remove container "/aa": container is paused and must be unpaused first'
	run -0 zl unpause aa
	output_is aa
	[ "$(state aa)" = "running true false" ]
	run -0 zl exec aa echo awake
	output_is awake
	run --separate-stderr zl unpause aa bb nosuch
	status_is 1
	output_is bb
	stderr_has "Container $a is not paused"
	stderr_has "No such container: nosuch"
	zl stop -t 0 aa
	run --separate-stderr zl container pause aa
	status_is 1
	stderr_has "container $a is not running"
	run --separate-stderr zl container unpause aa
	status_is 1
	stderr_has "Container $a is not paused"
}

@test "nothing runs in a pause; what was written before is delivered, stdin waits" {
	mkfifo in
	zl run -q -i --rm --name ss busybox sh -c 'while :; do echo tick; sleep 0.05; done & cat' \
		<in >out 2>err 3>&- &
	pid=$!
	exec 9>in
	echo one >&9
	wait_until 60 grep -q one out
	zl pause ss
	n=-1 # what is on its way arrives: the host's side goes on
	for _ in {1..20}; do
		[ "$(wc -l <out)" != "$n" ] || break
		n=$(wc -l <out)
		sleep 0.5
	done
	t=$(ticks ss)
	echo two >&9
	sleep 2
	[ "$(wc -l <out)" = "$n" ] || fail "it went on"
	[ $(($(ticks ss) - t)) -le 2 ] || fail "$(($(ticks ss) - t)) ticks in a pause"
	zl unpause ss
	wait_until 30 grep -q two out
	wait_until 30 bash -c "[ \$(wc -l <out) -gt $((n + 3)) ]"
	exec 9>&-
	zl kill ss
	wait $pid || true
	rm in
	nothing_runs
}

@test "the wall clock is right after a pause, and the others ran on" {
	zl run -qd --privileged --name clock busybox sleep 1000
	zl exec clock cat /proc/uptime >up
	zl pause clock
	sleep 3
	zl unpause clock
	zl exec clock cat /proc/uptime >>up
	awk '{ up[NR] = $1 } END { exit !(up[2] - up[1] >= 3) }' up || fail "up for $(cat up)"
	zl exec clock date -s '2001-01-01 00:00:00' >/dev/null
	[ "$(zl exec clock date +%Y)" = 2001 ]
	# on a busy host the word of the time may be late: once is enough
	for _ in {1..10}; do
		zl pause clock
		zl unpause clock
		before=$(date +%s.%N)
		inside=$(zl exec clock probe clock)
		after=$(date +%s.%N)
		awk -v x="$inside" -v a="$before" -v b="$after" \
			'BEGIN { exit !(x > a - 0.3 && x < b + 0.3) }' && return
	done
	fail "it is $inside inside, $before to $after outside"
}

@test "stop, kill and rm -f of a paused container; other signals wait" {
	zl run -qd --name kk busybox sh -c 'trap "echo bye; exit 3" TERM; trap "echo usr" USR1; echo up; while :; do sleep 0.05; done'
	wait_until 60 said kk up
	zl pause kk
	zl kill -s USR1 kk
	sleep 0.5
	[ "$(state kk)" = "paused true true" ]
	[ "$(lines kk)" = 1 ]
	run -0 zl stop kk
	[ "$(zl inspect -f '{{.State.Status}} {{.State.ExitCode}}' kk)" = "exited 3" ]
	run -0 zl logs kk
	output_is $'up\nusr\nbye'
	zl start kk
	zl pause kk
	zl wait kk >code 3>&- &
	zl kill kk
	wait $!
	[ "$(cat code)" = 137 ]
	zl start kk
	zl pause kk
	run -0 zl restart -t 0 kk
	[ "$(state kk)" = "running true false" ]
	zl pause kk
	run -0 zl rm -f kk
	nothing_runs
}

@test "a signal to zl run that is to end it ends a paused container too" {
	zl run -q --rm --name pp busybox sh -c 'trap "exit 5" TERM; echo up; while :; do sleep 0.05; done' >out 3>&- &
	pid=$!
	wait_until 60 grep -q up out
	zl pause pp
	kill -TERM $pid
	rc=0
	wait $pid || rc=$?
	[ $rc = 5 ]
	nothing_runs
}

@test "the holder, or the VM, killed in a pause" {
	zl run -qd --name hh busybox sleep 1000
	zl pause hh
	kill -9 "$(zl inspect -f '{{.State.Pid}}' hh)"
	nothing_runs
	[ "$(zl inspect -f '{{.State.Status}} {{.State.Paused}} {{.State.ExitCode}}' hh)" = "exited false 137" ]
	run --separate-stderr zl unpause hh
	status_is 1
	stderr_has "is not paused"
	zl start hh
	zl exec hh true
	zl rm -f hh
}

@test "processors that are busy with registers, memory and devices are stopped as well" {
	zl run -qd --name mm --cpus 2 busybox sh -c 'while :; do cat /bin/busybox >/tmp/f; sync; done & while :; do :; done'
	for i in 1 2 3 4 5 6; do
		zl pause mm
		t=$(ticks mm)
		sleep 0.3
		[ $(($(ticks mm) - t)) -le 2 ] || fail "turn $i: $(($(ticks mm) - t)) ticks in a pause"
		zl unpause mm
	done
	run -0 zl exec mm echo there
	output_is there
}
