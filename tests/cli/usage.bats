#!/usr/bin/env bats
# usage.bats: zl top and stats where nothing runs.

load ../lib/common

setup_file() {
	zl_setup_file
	load_images busybox
}

teardown_file() {
	zl_teardown_file
}

# bats test_tags=quick
@test "top: options that ps does not have, columns it does not know, what does not run" {
	run -0 zl create --name still busybox
	id=$output
	run -1 --separate-stderr zl top still
	one_line_error
	stderr_has "container $id is not running"
	run -1 --separate-stderr zl top nosuch
	stderr_has "No such container: nosuch"
	# several in one word, as docker's users write them, too
	for options in -Z --forest f '-ef --sort=pid' '-p 1'; do
		run -1 --separate-stderr zl top still "$options"
		one_line_error
		stderr_has "unsupported option"
	done
	run -1 --separate-stderr zl top still -o pid,wrong
	stderr_has 'unknown user-defined format specifier "wrong"'
	run -1 --separate-stderr zl top still -eo comm
	stderr_has "Couldn't find PID field in ps output"
	run -1 --separate-stderr zl top still -f -o pid
	stderr_has "conflicting format options"
	run -1 --separate-stderr zl top still -o
	stderr_has "format specification must follow -o"
	# what it knows gets as far as the container
	for options in aux -ef -ejf -A '-o pid -o comm' '-opid,args' 'axo pid'; do
		run -1 --separate-stderr zl top still "$options"
		stderr_has "is not running"
	done
	zl rm still
}

# bats test_tags=quick
@test "stats: of nothing, of what does not run" {
	run -0 zl stats --no-stream
	output_is "CONTAINER ID   NAME      CPU %     MEM USAGE / LIMIT   MEM %     NET I/O   BLOCK I/O   PIDS"
	run -0 zl create --name still busybox
	run -0 zl stats --no-stream -a --format '{{.Name}} {{.CPUPerc}} {{.MemUsage}} {{.MemPerc}} {{.NetIO}} {{.BlockIO}} {{.PIDs}}'
	output_is "still 0.00% 0B / 0B 0.00% 0B / 0B 0B / 0B 0"
	run -0 zl stats --no-stream
	[ "${#lines[@]}" = 1 ]
	run -0 zl stats --no-stream --no-trunc --format '{{.ID}} {{.Container}}' still
	output_is "$(zl inspect -f '{{.Id}}' still) still"
	run -1 --separate-stderr zl stats --no-stream nosuch
	one_line_error
	stderr_has "No such container: nosuch"
	run -1 --separate-stderr zl stats --no-stream --format '{{' still
	one_line_error
	zl rm still
}
