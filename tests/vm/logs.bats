#!/usr/bin/env bats
# logs.bats: what a container says is kept as docker keeps it: nothing lost, nothing twice.

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

# bats test_tags=core
@test "rotation: limits on disk, -f over many files and a restart, --tail over files, --details" {
	cat >numbers <<-'END'
		i=$1
		while [ $i -lt $2 ]; do
			echo "line $i"
			i=$((i + 1))
		done
		printf 'bin\377\000ary\n'
	END
	zl create --name rot --log-opt max-size=20k --log-opt max-file=200 --log-opt labels=tier -l tier=front \
		--log-opt env=WHO -e WHO='a b' -v "$PWD/numbers:/n" busybox sh -c 'read x </n.go; sh /n $x; sh -c "echo err >&2"'
	folder=$(dirname "$(zl inspect -f '{{.LogPath}}' rot)")
	printf '0 4000\n' >go
	zl cp go rot:/n.go
	zl start rot
	zl logs -f rot >follow 2>follow.err
	seq -f 'line %.0f' 0 3999 >want
	printf 'bin\377\000ary\n' >>want
	cmp follow want
	[ "$(cat follow.err)" = err ]
	# as large as it was told to be
	n=$(find "$folder" -name 'log.json*' | wc -l)
	[ "$n" -ge 15 ]
	find "$folder" -name 'log.json.*' -printf '%s\n' | while read -r size; do
		[ "$size" -ge 20000 ] && [ "$size" -le 21000 ]
	done

	# another life: everything is still there, once
	printf '4000 6000\n' >go
	zl cp go rot:/n.go
	zl start rot
	zl wait rot
	seq -f 'line %.0f' 4000 5999 >>want
	printf 'bin\377\000ary\n' >>want
	zl logs rot 2>/dev/null >all
	cmp all want
	zl logs -n 1500 rot 2>&1 | grep -av '^err$' >last
	tail -n 1499 want | cmp - last
	run -0 bash -c 'zl logs -n 1 --details rot 2>&1'
	output_is "WHO=a+b,tier=front err"
	run -0 bash -c 'zl logs -t -n 1 --details rot 2>&1'
	[[ $output =~ ^[0-9-]+T[0-9:.]+Z\ WHO=a\+b,tier=front\ err$ ]] || fail "$output"
	zl rm rot

	# what docker says of none
	zl run -qd --name mute --log-driver none busybox sh -c 'echo unheard; exec sleep 1000'
	run -1 --separate-stderr zl logs mute
	one_line_error
	stderr_has "configured logging driver does not support reading"
	[ ! -e "$(zl inspect -f '{{.LogPath}}' mute)" ] || [ -z "$(zl inspect -f '{{.LogPath}}' mute)" ]
	zl rm -f mute
}
