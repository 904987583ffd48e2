#!/usr/bin/env bats
# events.bats: zl events, of what needs no machine.

load ../lib/common

setup_file() {
	zl_setup_file
	load_images busybox entry
	zl create -q --name one --label tier=front --label x busybox true
	zl create -q --name two busybox true
	zl rm two
	zl tag busybox mine:1
	zl rmi mine:1
	zl export one >/dev/null
}

teardown_file() {
	zl_teardown_file
}

# past ARG...: what happened so far.
past() {
	run -0 --separate-stderr zl events --until 0s "$@"
}

@test "a line for each: time, type, action, id, attributes" {
	past --filter container=one
	local id
	id=$(zl inspect -f '{{.Id}}' one)
	[[ ${lines[0]} =~ ^20[0-9-]{8}T[0-9:]{8}\.[0-9]{9}(Z|[+-][0-9:]{5})\ container\ create\ $id\ \(image=busybox,\ name=one,\ tier=front,\ x=\)$ ]] ||
		fail "${lines[0]}"
	[[ ${lines[1]} == *" container export $id (image=busybox, name=one, tier=front, x=)" ]]
	[ "${#lines[@]}" = 2 ]
}

@test "JSON is docker's message" {
	past --filter container=one --filter event=create --format json
	jq -e --arg id "$(zl inspect -f '{{.Id}}' one)" '
		keys_unsorted == ["status", "id", "from", "Type", "Action", "Actor", "scope", "time", "timeNano"] and
		.status == "create" and .id == $id and .from == "busybox" and .Type == "container" and
		.Action == "create" and .Actor.ID == $id and .scope == "local" and
		.Actor.Attributes == {image: "busybox", name: "one", tier: "front", x: ""} and
		.time == (.timeNano / 1e9 | floor) and (now - .time | . >= 0 and . < 3600)' <<<"$output"
	local plain=$output
	past --filter container=one --filter event=create --format '{{json .}}'
	output_is "$plain"
}

@test "templates have Go's names of the fields" {
	past --filter event=destroy --format \
		'{{.Type}} {{.Status}} {{.Action}} {{.From}} {{.Scope}} {{.Actor.Attributes.name}} {{eq .ID .Actor.ID}}'
	output_is "container destroy destroy busybox local two true"
	past --filter event=tag --format '{{.Type}} {{.Actor.Attributes.name}} [{{.From}}]'
	output_is "image mine:1 []"
	run --separate-stderr zl events --until 0s --format '{{.Nonsense}}'
	status_is 64
	stderr_has "Error parsing format"
	run --separate-stderr zl events --until 0s --format '{{'
	status_is 64
}

@test "filters" {
	past --filter type=image --format '{{.Action}}'
	output_is $'load\nload\ntag\nuntag'
	past --filter label=tier=front --format '{{.Action}}'
	output_is $'create\nexport'
	past --filter label=x --filter label=tier=back
	output_is ""
	past --filter event=create --filter event=destroy --format '{{.Action}} {{.Actor.Attributes.name}}'
	output_is $'create one\ncreate two\ndestroy two'
	past --filter image=busybox --filter type=container --format '{{.Action}}'
	output_is $'create\ncreate\ndestroy\nexport'
	past --filter image=mine --format '{{.Action}}'
	output_is tag
	past --filter "container=$(zl inspect -f '{{.Id}}' one | cut -c1-12)" --format '{{.Action}}'
	output_is $'create\nexport'
	past --filter scope=swarm
	output_is ""
	run --separate-stderr zl events --filter color=red --until 0s
	status_is 1
	stderr_has "invalid filter 'color'"
}

@test "since and until" {
	local t
	t=$(zl events --until 0s --filter event=destroy --format '{{.TimeNano}}')
	past --since "${t:0:10}.${t:10}" --format '{{.Action}}'
	output_is $'destroy\ntag\nuntag\nexport'
	run -0 --separate-stderr zl events --until "${t:0:10}.${t:10}" --filter type=container --format '{{.Action}}'
	output_is $'create\ncreate\ndestroy'
	run --separate-stderr zl events --since 0s --until 5m
	status_is 1
	stderr_has "cannot be after"
	run --separate-stderr zl events --since yesterday
	status_is 1
	stderr_has 'failed to parse value as time or duration: "yesterday"'
	run -0 --separate-stderr within 20 zl system events --until "$(($(date +%s) + 2))" --since 0s
	output_is ""
}

follows() {
	readlink "/proc/$1"/fd/* | grep -q inotify
}

@test "live, from now on, until a signal" {
	zl events --filter type=container --format '{{.Action}} {{.Actor.Attributes.name}}' >out 2>err 3>&- &
	local pid=$! code=0
	# It follows from when it has the log open.
	wait_until 10 follows "$pid"
	zl create -q --name live busybox true
	zl rm live
	wait_until 10 grep -q destroy out
	[ "$(cat out)" = $'create live\ndestroy live' ] || fail "$(cat out)"
	kill -TERM $pid
	wait $pid || code=$?
	[ "$code" = 143 ]
	[ ! -s err ]
}

@test "many at once: none is lost" {
	local i
	for i in {1..20}; do
		zl create -q --name "many$i" busybox true >/dev/null 3>&- &
	done
	wait
	past --filter container=many --format '{{.Actor.Attributes.name}}'
	[ "$(sort -u <<<"$output" | wc -l)" = 20 ]
	[ "${#lines[@]}" = 20 ]
}
