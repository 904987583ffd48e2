#!/usr/bin/env bats
# events.bats: the events of a container's life, and inspect, ps and templates of one that runs.

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

# is_up TIMES: it has caught its signals so often.
is_up() {
	[ "$(zl logs life | grep -c up)" = "$1" ]
}

# bats test_tags=core
@test "events of a whole life, in order" {
	local id
	zl run -qd --name life --label tier=front busybox sh -c 'trap "exit 3" TERM; trap "exit 5" USR1; echo up; sleep 1000 & wait'
	id=$(zl inspect -f '{{.Id}}' life)
	wait_until 20 is_up 1
	run -0 zl exec life sh -c 'exit 0'
	run -7 zl exec life sh -c 'exit 7'
	run -0 zl pause life
	run -0 zl unpause life
	run -0 zl kill -s USR1 life
	run -0 within 30 zl wait life
	output_is 5
	run -0 zl start life
	wait_until 20 is_up 2
	run -0 zl stop life
	run -0 zl rm life
	zl run -q --rm --name gone busybox true
	run -0 --separate-stderr zl events --until 0s --filter "container=$id" --format '{{.Action}}'
	output_is "create
start
exec_create: sh -c exit 0
exec_start: sh -c exit 0
exec_die
exec_create: sh -c exit 7
exec_start: sh -c exit 7
exec_die
pause
unpause
kill
die
start
kill
die
stop
destroy"
	run -0 --separate-stderr zl events --until 0s --filter event=kill --filter event=die --filter event=exec_die \
		--filter label=tier=front --format \
		'{{.Action}}{{with .Actor.Attributes}} {{.name}} {{.image}}{{end}} {{.Actor.Attributes.signal}} {{.Actor.Attributes.exitCode}}'
	output_is "exec_die life busybox <no value> 0
exec_die life busybox <no value> 7
kill life busybox 10 <no value>
die life busybox <no value> 5
kill life busybox 15 <no value>
die life busybox <no value> 3"
	run -0 --separate-stderr zl events --until 0s --filter container=gone --format '{{.Action}}'
	output_is $'create\nattach\nstart\ndie\ndestroy'
	run -0 --separate-stderr zl events --until 0s --filter event=exec_create --filter event=exec_die \
		--format '{{.Actor.Attributes.execID}}'
	[ "$(grep -cxE '[0-9a-f]{64}' <<<"$output")" = 4 ]
	[ "$(sort -u <<<"$output" | wc -l)" = 2 ]
}

@test "a holder that was killed: whoever finds it tells" {
	zl run -qd --name victim busybox sleep 1000
	kill -KILL "$(zl inspect -f '{{.State.Pid}}' victim)"
	wait_until 10 no_process
	run -0 zl ps -a
	run -0 --separate-stderr zl events --until 0s --filter container=victim --format \
		'{{.Action}} {{.Actor.Attributes.exitCode}}'
	output_is $'create <no value>\nstart <no value>\ndie 137'
	zl rm victim
}
