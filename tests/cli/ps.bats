#!/usr/bin/env bats
# ps.bats: zl ps: filters, columns and templates, of containers that do not run.

load ../lib/common

setup_file() {
	zl_setup_file
	load_images busybox entry
	mkdir -p data
	zl create -q --name first --label a=1 -l b=2 busybox true
	zl create -q --name second -l a=2 -v "$PWD/data:/data" --expose 80 --expose 9000-9002/udp entry x 'y z'
	zl create -q --name third busybox echo 'a long command line with many words'
}

teardown_file() {
	zl_teardown_file
}

# shows NAMES ARG...: the names that are listed, in order.
shows() {
	run -0 --separate-stderr zl ps -a --format '{{.Names}}' "${@:2}"
	[ "$(paste -sd' ' <<<"$output")" = "$1" ] || fail "${*:2}: '$output', not '$1'"
}

@test "filters" {
	shows "third second first"
	shows "third first" --filter ancestor=busybox
	shows "second" --filter ancestor=entry:latest
	shows "first" --filter label=a=1
	shows "second first" --filter label=a
	shows "first" --filter label=a --filter label=b=2
	shows "third second first" --filter status=created
	shows "" --filter status=running
	shows "third" --filter since=second
	shows "first" --filter before=second
	shows "second first" --filter name=first --filter name=sec
	shows "third first" --filter 'name=ir'
	shows "first" --filter 'name=^/first$'
	shows "third second first" --filter health=none
	shows "" --filter health=healthy
	shows "second" --filter volume=/data
	shows "second" --filter "volume=$PWD/data"
	shows "second" --filter expose=80
	shows "second" --filter expose=9001/udp
	shows "second" --filter expose=8999-9000/udp
	shows "" --filter expose=9001
	shows "" --filter publish=80
	shows "" --filter is-task=true
	shows "third second first" --filter is-task=false
	shows "" --filter exited=0
	shows "first" --filter "id=$(zl inspect -f '{{.Id}}' first | cut -c1-20)"
	shows "third second" -n 2
	shows "third" -l
}

@test "filters that cannot be" {
	local bad
	for bad in colour=red status=running2 exited=x health=ill publish=x expose=80/icmp is-task=maybe; do
		run --separate-stderr zl ps --filter "$bad"
		status_is 1
		stderr_has "invalid filter '${bad%%=*}"
	done
	run --separate-stderr zl ps --filter since=nosuch
	status_is 1
	stderr_has "No such container: nosuch"
}

@test "columns, sizes, json" {
	run -0 --separate-stderr zl ps -as
	[[ ${lines[0]} =~ ^CONTAINER\ ID\ +IMAGE\ +COMMAND\ +CREATED\ +STATUS\ +PORTS\ +NAMES\ +SIZE$ ]]
	[[ ${lines[1]} =~ \ 0B\ \(virtual\ [0-9.]+MB\)$ ]]
	run -0 --separate-stderr zl ps -a --format json
	for line in "${lines[@]}"; do
		jq -e 'keys_unsorted == ["Command", "CreatedAt", "ID", "Image", "Labels", "LocalVolumes", "Mounts", "Names",
			"Networks", "Ports", "RunningFor", "Size", "State", "Status"]' <<<"$line" || fail "$line"
	done
	run -0 --separate-stderr zl ps -l --format '{{.Command}} {{.State}} {{.Size}}'
	[[ $output =~ ^\"echo\ \'a\ long\ comman…\"\ created\ 0B\ \(virtual\  ]] || fail "$output"
	run -0 --separate-stderr zl ps -l --no-trunc --format '{{.Command}}|{{len .ID}}'
	output_is $'"echo \'a long command line with many words\'"|64'
	run -0 --separate-stderr zl ps -a --filter name=first --format '{{.Labels}} {{.Label "a"}} {{.Label "none"}}.'
	output_is "a=1,b=2 1 ."
	run -0 --separate-stderr zl ps -a --filter name=second --format '{{.Mounts}} {{.LocalVolumes}}'
	[[ $output == *"… 0" ]] || fail "$output"
	run -0 --separate-stderr zl ps -a --filter name=first --format 'table {{.Names}}\t{{.Label "a"}}'
	output_is $'NAMES     A\nfirst     1'
}

@test "-q has the last word" {
	run -0 --separate-stderr zl ps -aq --format '{{.Names}}'
	[ "${#lines[@]}" = 3 ]
	[[ ${lines[0]} =~ ^[0-9a-f]{12}$ ]]
	stderr_has "WARNING: Ignoring custom format, because both --format and --quiet are set."
	run -0 --separate-stderr zl container ls -q -a --no-trunc
	[[ ${lines[0]} =~ ^[0-9a-f]{64}$ ]]
}
