#!/usr/bin/env bats
# confine.bats: what the process that holds a VM may do, enforced (not only recorded, see tests/run).

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
	RECORD=${ZL_CONFINE_RECORD:-}
	unset ZL_CONFINE_RECORD
}

teardown() {
	zl ps -aq | xargs -r "$ZL" rm -f >/dev/null
}

has() {
	zl info -f '{{json .SecurityOptions}}' | grep -q "name=$1"
}

# field NAME FILE: of /proc/PID/status.
field() {
	awk -v name="$1:" '$1 == name { print $2 }' "$2"
}

@test "a holder has no privileges, every thread is filtered, nothing of its start is left" {
	has seccomp || skip "no seccomp here"
	SECRET=hunter2 zl run -qd --name bare -e PASSWORD=hunter3 -v "$BATS_TEST_TMPDIR:/mnt" busybox sleep 1000
	pid=$(zl inspect -f '{{.State.Pid}}' bare)
	for task in "/proc/$pid/task"/*; do
		[ "$(field NoNewPrivs "$task/status")" = 1 ]
		[ "$(field Seccomp "$task/status")" = 2 ]
		[ "$(field CapInh "$task/status")" = 0000000000000000 ]
		# CHOWN, DAC_OVERRIDE, FOWNER, FSETID, SETFCAP, and of these what we had
		[ $((0x$(field CapEff "$task/status") & ~0x8000001b)) = 0 ]
		[ $((0x$(field CapPrm "$task/status") & ~0x8000001b)) = 0 ]
	done
	[ "$(find "/proc/$pid/task" -mindepth 1 -maxdepth 1 | wc -l)" -ge 3 ]
	grep -qzF "containers/" "/proc/$pid/cmdline"
	! grep -qaF hunter "/proc/$pid/cmdline" || fail "operands are left"
	! grep -qaF hunter2 "/proc/$pid/environ" || fail "the environment is left"
	grep -q '^Max core file size *0 *0 ' "/proc/$pid/limits" || fail "it may dump core"
	read -ra children <"/proc/$pid/task/$pid/children" || true
	for child in "${children[@]}"; do
		[ "$(field CapEff "/proc/$child/status")" = 0000000000000000 ]
		[ "$(field NoNewPrivs "/proc/$child/status")" = 1 ]
	done
}

no_container_folder() {
	[ -z "$(find "$ZL_ROOT/containers" -mindepth 1 -maxdepth 1 ! -name .lock)" ]
}

whole_life() {
	local dir=$BATS_TEST_TMPDIR
	mkdir -p "$dir/rw" "$dir/ro"
	echo before >"$dir/ro/file"
	zl run -qd --name life -v "$dir/rw:/rw" -v "$dir/ro/file:/file:ro" busybox sleep 1000
	run -0 zl exec life sh -c '
		cat /file; echo made >/rw/made; mkdir /rw/d; mv /rw/made /rw/d/moved; echo end >>/rw/d/appended
		chmod 700 /rw/d; mkfifo /rw/fifo; chown 5:5 /rw/fifo; mkdir /x; sync /x; sync; ls /rw/d'
	output_is "before
appended
moved"
	[ "$(cat "$dir/rw/d/moved")" = made ]
	run --separate-stderr zl exec life fsops /rw xattrs
	status_is 0
	run -0 script -qec "$ZL exec -it life sh -c 'test -t 0 && test -t 1 && echo tty'" /dev/null
	output_has tty
	run -0 zl pause life
	run -0 zl unpause life
	run -0 zl restart -t 0 life
	run -0 zl exec life cat /file
	# a socket that was lost is made anew
	find "$(zl info -f '{{.RuntimeDir}}')" -name "$(zl inspect -f '{{.Id}}' life).sock" -delete
	run -0 zl exec life true
	run -0 zl stop -t 0 life
	run -0 zl rm life
	run -0 zl run -q --rm busybox sh -c 'mkdir -p /a/b/c; echo x >/a/b/c/d; chmod 0 /a/b'
	wait_until 10 no_container_folder
	nothing_runs
}

@test "a container's whole life is within what is allowed" {
	whole_life
}

# The same, noted for tests/lib/calls.
@test "a container's whole life takes no system call but those listed" {
	[ -n "$RECORD" ] || skip "nothing is noted in this run"
	export ZL_CONFINE_RECORD=$RECORD
	whole_life
}

@test "a holder that is killed for a call it may not make is no success, and the user hears of it" {
	zl run -q --name bad busybox sh -c 'echo up; sleep 1000' >out 2>err 3>&- &
	wait_until 60 grep -q up out
	kill -SYS "$(zl inspect -f '{{.State.Pid}}' bad)"
	code=0
	wait $! || code=$?
	[ $code = 125 ]
	[ "$(cat err)" = "zl: the container's zl process was killed (SIGSYS): it made a system call that it is not allowed; the kernel's log has it" ]
	wait_until 10 no_process
}
