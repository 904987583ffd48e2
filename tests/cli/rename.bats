#!/usr/bin/env bats
# rename.bats: zl rename of containers that do not run; tests/vm/limits.bats has a running one.

load ../lib/common

setup_file() {
	zl_setup_file
	load_images busybox
}

teardown_file() {
	zl_teardown_file
}

names() {
	zl ps -a --format '{{.Names}}' | sort | tr '\n' ' '
}

# bats test_tags=quick
@test "a container gets another name, and the old one is free" {
	id=$(zl create --name one -h host busybox true)
	run --separate-stderr zl rename one two
	status_is 0
	output_is ""
	[ "$(names)" = "two " ]
	[ "$(zl inspect -f '{{.Name}} {{.Config.Hostname}}' two)" = "/two host" ]
	run --separate-stderr zl inspect one
	[ "$status" = 1 ]
	zl create --name one busybox true
	zl rename "${id:0:12}" /three
	[ "$(names)" = "one three " ]
	zl container rename three two
	zl rm one two
	[ -z "$(ls "$ZL_ROOT/names")" ]
}

# bats test_tags=quick
@test "what is refused, and that nothing changes" {
	id=$(zl create --name a1 busybox true)
	zl create --name b1 busybox true
	run --separate-stderr zl rename b1 a1
	one_line_error
	stderr_has "Error when allocating new name: Conflict. The container name \"/a1\" is already in use by container \"$id\". You have to remove (or rename) that container to be able to reuse that name."
	[ "$status" = 1 ]
	run --separate-stderr zl rename a1 a1
	one_line_error
	stderr_has "Renaming a container with the same name as its current name"
	run --separate-stderr zl rename a1 bad/name
	one_line_error
	stderr_has "Error when allocating new name: Invalid container name (bad/name), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"
	run --separate-stderr zl rename a1 ""
	one_line_error
	stderr_has "Neither old nor new names may be empty"
	run --separate-stderr zl rename nobody c1
	one_line_error
	stderr_has "No such container: nobody"
	run --separate-stderr zl rename a1
	[ "$status" = 1 ]
	[ "$(names)" = "a1 b1 " ]
	zl rm a1 b1
}

@test "many at once: a name has one container, a container one name" {
	for i in 1 2 3 4; do zl create --name "c$i" busybox true >/dev/null; done
	ids=$(zl ps -aq --no-trunc | sort)
	for turn in 1 2 3; do
		for id in $ids; do
			zl rename "$id" prize 2>/dev/null &
			zl rename "$id" "own$turn-${id:0:4}" 2>/dev/null &
		done
		wait
	done
	[ "$(zl ps -aq --no-trunc | sort)" = "$ids" ]
	[ "$(names | wc -w)" = 4 ]
	[ "$(names | tr ' ' '\n' | sort -u | grep -c .)" = 4 ]
	[ "$(find "$ZL_ROOT/names" -type l | wc -l)" = 4 ]
	for name in $(names); do
		[ "$(readlink "$ZL_ROOT/names/$name")" = "$(zl inspect -f '{{.Id}}' "$name")" ]
	done
	names | xargs "$ZL" rm
}
