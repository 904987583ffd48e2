#!/usr/bin/env bats
# usage.bats: zl top and zl stats say what the container's kernel counts.

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

@test "top lists the processes in ps's columns; stats has numbers that are true" {
	zl run -qd --name used -m 200m busybox sh -c \
		'sleep 1000 & sh -c "exec sleep 2000" & sh -c "exec yes" >/dev/null & wait'
	wait_until 30 zl exec used pidof yes

	# docker's columns, each 20 wide
	run -0 zl top used
	[[ ${lines[0]} =~ ^UID\ {17}PID\ {17}PPID\ {16}C\ {19}STIME\ {15}TTY\ {17}TIME\ {16}CMD$ ]] || fail "${lines[0]}"
	[[ ${lines[1]} =~ ^root\ +1\ +0\ +[0-9]+\ +[0-9]{2}:[0-9]{2}\ +\?\ +[0-9:]{8}\ +sh\ -c\ sleep\ 1000 ]] || fail "${lines[1]}"
	[[ $output =~ root\ +[0-9]+\ +1\ +[0-9]+\ .*sleep\ 2000 ]] || fail "$output"

	# what a process in the container sees of itself
	zl exec -d -u 1234:5 used sleep 3000
	id=$(zl exec used pidof yes)
	run -0 zl top used -eo pid,user,group,ppid,pgid,sid,args
	[[ $output =~ [0-9]+\ +1234\ +5\ +0\ .*sleep\ 3000 ]] || fail "$output"
	[[ $output =~ $'\n'$id\ +root\ +root\ +1\ .*yes ]] || fail "$output"
	stat=$(zl exec used cut -d ' ' -f 5,6 /proc/1/stat)
	run -0 zl top used '-o pid,pgid,sid'
	[ "$(awk '$1 == 1 { print $2, $3 }' <<<"$output")" = "$stat" ] || fail "$output, not $stat"
	run -0 zl top used aux
	[[ ${lines[0]} =~ ^USER\ +PID\ +%CPU\ +%MEM\ +VSZ\ +RSS\ +TTY\ +STAT\ +START\ +TIME\ +COMMAND$ ]]
	rss=$(zl exec used awk '/^VmSize/ { print $2 }' /proc/1/status)
	[ "$(awk '$2 == 1 { print $5 }' <<<"$output")" = "$rss" ]
	# a program of its terminal's foreground
	zl run -qdt --name terminal busybox top
	run -0 wait_until 20 bash -c 'zl top terminal -o pid,tt,stat | grep -qE "^1 +pts/0 +[RS]s\+$"'
	zl rm -f terminal

	run -0 --separate-stderr zl stats --no-stream used
	[[ ${lines[0]} =~ ^CONTAINER\ ID\ +NAME\ +CPU\ %\ +MEM\ USAGE\ /\ LIMIT\ +MEM\ %\ +NET\ I/O\ +BLOCK\ I/O\ +PIDS$ ]]
	[[ ${lines[1]} =~ ^[0-9a-f]{12}\ +used\ +[0-9.]+%\ +[0-9.]+[KM]iB\ /\ 200MiB\ +[0-9.]+%\ +[0-9.]+k?B\ /\ [0-9.]+k?B\ +[0-9.]+[kM]B\ /\ [0-9.]+.?B\ +[0-9]+$ ]] || fail "${lines[1]}"
	# `yes` takes a whole processor, as far as the host gives it one
	run -0 zl stats --no-stream --format '{{.CPUPerc}}' used
	awk -v p="${output%\%}" 'BEGIN { exit !(p > 30 && p < 450) }' || fail "CPU $output"
	# a process, and its end
	pids() { zl stats --no-stream --format '{{.PIDs}}' used; }
	n=$(pids)
	zl exec -d used sleep 4000
	[ "$(pids)" = $((n + 1)) ]

	# memory that is used and given back
	mem() { zl stats --no-stream --format '{{.MemPerc}}' used | tr -d %; }
	before=$(mem)
	zl exec used sh -c 'mount | grep -q " /dev/shm " && dd if=/dev/zero of=/dev/shm/x bs=1M count=40 2>/dev/null'
	awk -v a="$before" -v b="$(mem)" 'BEGIN { exit !(b > a + 18 && b < a + 24) }' || fail "$before, then $(mem)"
	# what is read is page cache, which does not count
	zl exec used sh -c 'rm /dev/shm/x; dd if=/dev/zero of=/big bs=1M count=30 2>/dev/null; sync; cat /big >/dev/null'
	awk -v a="$before" -v b="$(mem)" 'BEGIN { exit !(b < a + 10) }' || fail "$before, then $(mem)"
	run -0 zl stats --no-stream --format '{{.BlockIO}}' used
	awk -v w="${output#* / }" 'BEGIN { exit !(w ~ /MB$/ && w + 0 >= 31) }' || fail "$output"
	# the host's side of it, at least what the guest has touched
	run -0 zl stats --no-stream --format '{{.HostMem}}' used
	awk -v m="$output" 'BEGIN { exit !(m ~ /MiB$/ && m + 0 > 30) }' || fail "$output"

	run -0 zl stats --no-stream --format json used
	for field in BlockIO CPUPerc Container ID MemPerc MemUsage Name NetIO PIDs; do
		output_has "\"$field\":\""
	done

	# paused: nobody is there who could tell
	zl pause used
	run -0 zl stats --no-stream --format '{{.CPUPerc}} {{.MemUsage}} {{.PIDs}}' used
	output_is "-- -- / -- --"
	run -1 --separate-stderr zl top used
	one_line_error
	stderr_has "is paused"
	zl unpause used

	# streaming goes on until all that were named are gone
	zl stats --format '{{.Name}} {{.PIDs}}' used >stream &
	stats=$!
	wait_until 30 bash -c '[ "$(grep -c used stream)" -ge 2 ]'
	zl rm -f used
	wait_until 30 bash -c "! kill -0 $stats"
	wait $stats
	grep -q $'\033\[2J' stream
}
