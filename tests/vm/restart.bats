#!/usr/bin/env bats
# restart.bats: restart policies, and sudden deaths of those who keep them.

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

# of NAME FORMAT
of() {
	zl inspect -f "$2" "$1"
}

status_of() {
	[ "$(of "$1" '{{.State.Status}}')" = "$2" ]
}

# lives NAME: how often it has begun, by its log.
lives() {
	zl logs "$1" | grep -c '^life$'
}

lived() {
	[ "$(lives "$1")" -ge "$2" ]
}

# keepers SIGNAL, holders SIGNAL: to all of this file's.
keepers() {
	our_pids zl-keeper | xargs -r kill "-$1"
}

holders() {
	our_pids zl-holder | xargs -r kill "-$1"
}

our_pids() {
	local pid name
	for pid in $(our_processes | cut -d' ' -f1); do
		name=$(cat "/proc/$pid/comm" 2>/dev/null) || continue
		[ "$name" != "$1" ] || echo "$pid"
	done
}

LOOP='echo life; trap "exit 5" TERM; while [ ! -e /die ]; do sleep 0.1; done; rm /die; exit 7'

@test "on-failure:2 starts again twice, then it has failed; 0 is no failure" {
	zl run -qd --name some --restart on-failure:2 busybox sh -c 'echo life; exit 3'
	wait_until 60 status_of some exited
	[ "$(of some '{{.State.ExitCode}} {{.RestartCount}} {{.HostConfig.RestartPolicy.Name}} {{.HostConfig.RestartPolicy.MaximumRetryCount}}')" = "3 2 on-failure 2" ]
	[ "$(lives some)" = 3 ]
	nothing_runs
	run -0 zl start some # counts anew
	wait_until 60 lived some 6
	wait_until 60 status_of some exited
	[ "$(of some '{{.RestartCount}}')" = 2 ]
	zl run -qd --name fine --restart on-failure busybox sh -c 'echo life; exit 0'
	wait_until 60 status_of fine exited
	[ "$(of fine '{{.State.ExitCode}} {{.RestartCount}}')" = "0 0" ]
	nothing_runs
}

@test "always: it starts again until it is stopped, whatever it said; what it wrote is there" {
	zl run -qd --name ever --restart always busybox sh -c "$LOOP"
	wait_until 60 lived ever 1
	run -0 zl exec ever touch /kept /die
	run -0 zl wait ever # as docker: one life
	output_is 7
	wait_until 60 lived ever 2
	wait_until 60 zl exec ever test -e /kept
	[ "$(of ever '{{.State.Status}} {{.State.Restarting}} {{.State.ExitCode}} {{.RestartCount}}')" = "running false 0 1" ]
	run -0 zl stop ever
	[ "$(of ever '{{.State.Status}} {{.State.ExitCode}}')" = "exited 5" ]
	nothing_runs
	[ "$(lives ever)" = 2 ]
	# kill and restart
	run -0 zl start ever
	[ "$(of ever '{{.RestartCount}}')" = 0 ]
	run -0 zl restart -t 5 ever
	status_of ever running
	run -0 zl kill ever
	[ "$(of ever '{{.State.Status}} {{.State.ExitCode}}')" = "exited 137" ]
	nothing_runs
}

# A container whose further lives fail at once, for want of a folder: it is for ever about to start.
waiting() {
	mkdir -p "$BATS_TEST_TMPDIR/there"
	zl run -qd --name "$1" --restart always -v "$BATS_TEST_TMPDIR/there:/mnt" busybox sh -c "$LOOP"
	rmdir "$BATS_TEST_TMPDIR/there"
	zl exec "$1" touch /die
	wait_until 60 status_of "$1" restarting
}

@test "between two lives: what is shown, what is refused, and stop, kill, rm -f" {
	waiting pend
	run -0 zl ps --format '{{.Status}}|{{.State}}'
	[[ $output == "Restarting ("*") "*" ago|restarting" ]] || fail "$output"
	[ "$(of pend '{{.State.Running}} {{.State.Restarting}} {{.State.Pid}}')" = "true true 0" ]
	run -0 zl ps -q --filter status=restarting
	[ -n "$output" ]
	id=$(of pend '{{.Id}}')
	run --separate-stderr zl exec pend true
	status_is 1
	stderr_has "Container $id is restarting, wait until the container is running"
	run --separate-stderr zl pause pend
	status_is 1
	stderr_has "Container $id is restarting, wait until the container is running"
	run --separate-stderr zl attach pend
	status_is 1
	stderr_has "You cannot attach to a restarting container, wait until it is running"
	run --separate-stderr zl rm pend
	status_is 1
	stderr_has "container is restarting: stop the container before removing or force remove"
	run -0 zl start pend # it is on its way
	run -0 zl kill -s HUP pend
	status_of pend restarting
	# what fails now was no success
	wait_until 30 bash -c '[ $(zl inspect -f "{{.RestartCount}}" pend) -ge 4 ]'
	[ "$(of pend '{{.State.ExitCode}}')" = 125 ]
	[[ $(of pend '{{.State.Error}}') == *"/there: No such file"* ]] || fail "$(of pend '{{.State.Error}}')"
	run -0 zl stop pend
	[ "$(of pend '{{.State.Status}} {{.State.ExitCode}} {{.State.Restarting}}')" = "exited 125 false" ]
	nothing_runs
	# a wait that is cut short, whoever does it
	for end in kill "rm -f"; do
		zl rm -f pend
		waiting pend
		# shellcheck disable=SC2086 # words
		run -0 zl $end pend
		nothing_runs
	done
	[ -z "$(zl ps -aq)" ]
}

@test "in the foreground: the first life's output and exit code; the container goes on" {
	run --separate-stderr within 60 zl run -q --name front --restart on-failure:1 busybox sh -c 'echo life; exit 9'
	status_is 9
	output_is life
	wait_until 60 status_of front exited
	[ "$(lives front)" = 2 ]
	# Ctrl-C is for good
	zl run -q --name ctrl --restart always busybox sh -c "$LOOP" >out 2>err 3>&- &
	pid=$!
	wait_until 60 grep -q life out
	kill -TERM $pid
	wait $pid || [ $? = 5 ]
	nothing_runs
	status_of ctrl exited
}

@test "what does not start the first time is not tried again" {
	run -127 --separate-stderr zl run -qd --name bad --restart always busybox nosuchcommand
	nothing_runs
	[ "$(of bad '{{.State.Status}} {{.RestartCount}}')" = "created 0" ]
}

@test "SIGKILL of the holder is an end like any other; of the keeper, the container's last" {
	zl run -q --name hit --restart always busybox sh -c "$LOOP" >out 2>err 3>&- &
	wait_until 60 grep -q life out
	holders KILL
	code=0
	wait $! || code=$?
	[ $code = 125 ]
	[ "$(cat err)" = "zl: the container's zl process was killed (SIGKILL)" ] || fail "$(cat err)"
	wait_until 60 lived hit 2
	wait_until 60 status_of hit running
	[ "$(of hit '{{.RestartCount}}')" = 1 ]
	keepers KILL
	run -0 zl exec hit true # it lives on
	run -0 zl exec hit touch /die
	wait_until 30 status_of hit exited
	[ "$(of hit '{{.State.ExitCode}}')" = 7 ]
	nothing_runs
	run -0 zl start hit
	status_of hit running
	our_processes | awk '{ print $1 }' | xargs kill -9
	wait_until 10 nothing_runs
	[ "$(of hit '{{.State.Status}} {{.State.ExitCode}}')" = "exited 137" ]
}

@test "SIGKILL of the keeper between two lives; a lost socket; SIGTERM as at the host's end" {
	waiting gone
	keepers KILL
	nothing_runs
	[[ $(of gone '{{.State.Status}} {{.State.ExitCode}}') =~ ^exited\ (7|125)$ ]]
	zl rm gone
	waiting gone
	find "$(zl info -f '{{.RuntimeDir}}')" -name "$(of gone '{{.Id}}').sock" -delete
	run -0 zl stop gone
	nothing_runs
	status_of gone exited
	zl rm gone
	zl run -qd --name off --restart always busybox sh -c "$LOOP"
	wait_until 60 lived off 1
	keepers TERM
	wait_until 60 status_of off exited
	nothing_runs
	[ "$(of off '{{.State.ExitCode}}')" = 5 ]
	run -0 zl start --all-restart
	output_is off
	zl rm -f off
}

@test "start --all-restart: what would run if the host had not gone down" {
	for p in always unless-stopped on-failure no; do
		zl run -qd --name $p --restart $p busybox sleep 1000
		zl run -qd --name $p-stopped --restart $p busybox sleep 1000
	done
	zl create --name never --restart always busybox sleep 1000
	zl kill always-stopped unless-stopped-stopped on-failure-stopped no-stopped
	our_processes | awk '{ print $1 }' | xargs kill -9
	wait_until 10 nothing_runs
	run -0 zl start --all-restart
	output_is $'always\nalways-stopped\nunless-stopped'
	run -0 bash -c 'zl ps --format "{{.Names}}" | sort'
	output_is $'always\nalways-stopped\nunless-stopped'
	run -0 zl start --all-restart
	output_is ""
	run --separate-stderr zl start --all-restart always
	status_is 1
	stderr_has "conflicting options"
}

@test "update --restart of a running container: taken up, changed, taken back" {
	zl run -qd --name late busybox sh -c "$LOOP"
	wait_until 60 lived late 1
	[ -z "$(our_pids zl-keeper)" ]
	run -0 zl update --restart on-failure:5 late
	[ -n "$(our_pids zl-keeper)" ]
	zl exec late touch /die
	wait_until 60 lived late 2
	wait_until 60 status_of late running
	[ "$(of late '{{.RestartCount}} {{.HostConfig.RestartPolicy.Name}}')" = "1 on-failure" ]
	run -0 zl update --restart no late
	zl exec late touch /die
	wait_until 60 status_of late exited
	[ "$(of late '{{.State.ExitCode}}')" = 7 ]
	nothing_runs
	# stopped by a user it stays so, also when nobody asked for a policy at first
	run -0 zl start late
	run -0 zl update --restart always late
	run -0 zl stop late
	nothing_runs
	status_of late exited
	# the holder's sudden death is the keeper's business, too
	run -0 zl update --restart no late
	run -0 zl start late
	run -0 zl update --restart always late
	before=$(lives late)
	wait_until 60 lived late "$before"
	holders KILL
	wait_until 60 lived late $((before + 1))
	run -0 zl rm -f late
	nothing_runs
}

@test "SIGKILL of any of them at any moment: the next command sees the truth" {
	for delay in 0 0.2 1; do
		for who in keepers holders all; do
			zl run -qd --name any --restart always busybox sh -c 'echo life; exit 3' >/dev/null 2>&1 3>&- &
			sleep $delay
			if [ $who = all ]; then
				our_processes | awk '{ print $1 }' | xargs -r kill -9 || true # some are gone by then
			else
				$who KILL || true
			fi
			wait $! || true
			if zl inspect any >/dev/null 2>&1; then
				[[ $(of any '{{.State.Status}}') =~ ^(created|running|restarting|exited)$ ]]
				run -0 zl rm -f any
			fi
			nothing_runs
			[ -z "$(zl ps -aq)" ] || fail "$delay $who: $(zl ps -a)"
		done
	done
	[ -z "$(find "$ZL_ROOT/containers" -mindepth 1 ! -name .lock)" ]
}

@test "a keeper has no privileges, and nothing of its start is to be seen" {
	SECRET=hunter2 zl run -qd --name bare -e PASSWORD=hunter3 --restart always busybox sleep 1000
	pid=$(our_pids zl-keeper)
	grep -q "^NoNewPrivs:[[:space:]]*1" "/proc/$pid/status"
	[ $((0x$(awk '$1 == "CapEff:" { print $2 }' "/proc/$pid/status") & ~0x8000001b)) = 0 ]
	grep -qzF "containers/" "/proc/$pid/cmdline"
	! grep -qaF hunter "/proc/$pid/cmdline" || fail "operands are left"
	! grep -qaF hunter "/proc/$pid/environ" || fail "the environment is left"
	[ "$(find "/proc/$pid/fd" -lname '*pipe*' | wc -l)" -le 1 ]
	zl rm -f bare
}
