#!/usr/bin/env bats
# exec.bats: many further processes at once, and some that come too late.

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

@test "a hundred at once: each has its own output, input and exit code" {
	zl run -qd --name many busybox sleep 100000
	for i in $(seq 100); do
		# shellcheck disable=SC2016 # expanded inside
		echo "in $i" | zl exec -i many sh -c 'read x; echo "$x: out $1"; echo "err $1" >&2; exit $(($1 % 7))' sh "$i" \
			>"out.$i" 2>"err.$i" &
		pids[i]=$!
	done
	for i in $(seq 100); do
		status=0
		wait "${pids[i]}" || status=$?
		[ $status = $((i % 7)) ] || fail "exec $i: status $status: $(cat "err.$i")"
		[ "$(cat "out.$i" "err.$i")" = "in $i: out $i
err $i" ] || fail "exec $i: $(cat "out.$i" "err.$i")"
	done
	# nothing of them is left
	run -0 zl top many
	[ "${#lines[@]}" = 2 ]
	# and as many that all run at the same time, in the background
	for i in $(seq 100); do
		zl exec -d many sleep 5000 &
	done
	wait
	run -0 zl top many -o pid,args
	[ "$(grep -c 'sleep 5000' <<<"$output")" = 100 ]
	run -0 zl exec many echo still
	output_is still
	zl rm -f many
}

@test "into what is paused, ends, or has ended: docker's words, and no success" {
	zl run -qd --name late busybox sh -c 'read x </tmp/go 2>/dev/null || until [ -e /tmp/go ]; do sleep 0.1; done'
	id=$(zl inspect -f '{{.Id}}' late)
	zl pause late
	run -1 --separate-stderr zl exec late true
	one_line_error
	stderr_has "Container $id is paused, unpause the container before exec"
	zl unpause late
	# the container ends under some of them: each is told, and none hangs
	for i in $(seq 10); do
		zl exec late sleep 1000 >"out.$i" 2>&1 &
		pids[i]=$!
	done
	wait_until 60 bash -c '[ "$(zl top late -o pid,args | grep -c "sleep 1000")" = 10 ]'
	zl exec late touch /tmp/go
	for i in $(seq 10); do
		status=0
		wait "${pids[i]}" || status=$?
		[ $status = 137 ] || fail "exec $i: status $status: $(cat "out.$i")"
	done
	wait_until 30 bash -c '[ "$(zl inspect -f "{{.State.Status}}" late)" = exited ]'
	run -1 --separate-stderr zl exec late true
	one_line_error
	stderr_has "container $id is not running"
	zl rm late

	# as it is killed: what is asked of it either was done or was refused in words
	zl run -qd --name dying busybox sleep 1000
	for i in $(seq 10); do
		zl exec dying echo "said $i" >"out.$i" 2>"err.$i" &
		pids[i]=$!
	done
	zl kill dying
	for i in $(seq 10); do
		status=0
		wait "${pids[i]}" || status=$?
		case $status in
		0) [ "$(cat "out.$i")" = "said $i" ] ;;
		137) ;;
		1 | 126) grep -Eq 'not running|No such container' "err.$i" || fail "exec $i: $status: $(cat "err.$i")" ;;
		*) fail "exec $i: status $status: $(cat "err.$i")" ;;
		esac
	done
	zl rm -f dying
}
