#!/usr/bin/env bats
# cp.bats: cp and diff on running containers.

load ../lib/common

setup_file() {
	zl_setup_file
	load_images busybox
	mkdir -p "$BATS_FILE_TMPDIR/bound"
	zl run -qd --name box --tmpfs /scratch -v "$BATS_FILE_TMPDIR/bound:/bound" busybox sleep 100000 >/dev/null
}

teardown_file() {
	zl_teardown_file
}

setup() {
	cd "$BATS_TEST_TMPDIR" || return 1
}

# in_box SCRIPT: runs it in the container.
in_box() {
	zl exec box sh -c "$1"
}

# bats test_tags=core
@test "into a running container: what it knows already is replaced, and seen at once" {
	in_box 'echo old >/tmp/f; ls /tmp >/dev/null; cat /tmp/f; [ ! -e /tmp/dir ]; [ ! -e /usr/made ]'
	mkdir -p dir/sub
	echo new >f
	chmod 4750 f
	touch -d @1500000000 f
	echo inner >dir/sub/f
	ln -s sub/f dir/link
	ln dir/sub/f dir/hard
	truncate -s 200M dir/sparse
	printf end >>dir/sparse
	head -c 3000000 /dev/urandom >dir/data
	zl cp f box:/tmp
	zl cp dir box:/usr/made
	[ "$(in_box 'cat /tmp/f; stat -c "%a %u %Y" /tmp/f')" = "$(printf 'new\n4750 0 1500000000')" ]
	[ "$(in_box 'cat /usr/made/link; stat -c %h /usr/made/hard')" = "$(printf 'inner\n2')" ]
	[ "$(in_box 'sha256sum </usr/made/data')" = "$(sha256sum <dir/data)" ]
	[ "$(in_box 'tail -c 3 /usr/made/sparse; stat -c %s /usr/made/sparse')" = end209715203 ]
	# an archive with owners; into mounts, its own memory too
	tar -c --owner=1234 --group=5678 f | zl cp - box:/scratch
	[ "$(in_box 'stat -c "%u:%g" /scratch/f')" = 1234:5678 ]
	zl cp f box:/bound/from-cp
	[ "$(cat "$BATS_FILE_TMPDIR/bound/from-cp")" = new ]
	run --separate-stderr zl cp dir box:/tmp/f
	one_line_error
	stderr_has "cannot copy directory"
	mkdir -p clash/f
	run --separate-stderr zl cp clash/. box:/tmp
	one_line_error
	stderr_has 'cannot overwrite non-directory "/tmp/f" with directory'
}

# bats test_tags=core
@test "out of a running container: what it has just written" {
	in_box 'mkdir -p /var/out && echo fresh >/var/out/f && chown 7:8 /var/out/f && ln -s /etc/passwd /var/out/l
		dd if=/dev/zero of=/var/out/z bs=1M count=20 2>/dev/null; echo tail >>/var/out/z; rm /etc/os-release'
	zl cp box:/var/out .
	[ "$(cat out/f)" = fresh ]
	[ "$(readlink out/l)" = /etc/passwd ]
	[ "$(stat -c %s out/z)" = 20971525 ]
	[ "$(tail -c 5 out/z)" = tail ]
	zl cp box:/var/out/f - | tar --numeric-owner -tv | grep -q ' 7/8 '
	echo host >"$BATS_FILE_TMPDIR/bound/h"
	[ "$(zl cp box:/bound/h - | tar -xO)" = host ]
	run -0 --separate-stderr zl diff box
	grep -qx 'A /var/out/f' <<<"$output"
	grep -qx 'C /var' <<<"$output"
	grep -qx 'D /etc/os-release' <<<"$output"
	[[ $output != */bound/* ]]
	[[ $output != */etc/hosts* ]]
}

@test "a paused container: out, but not in" {
	in_box 'echo still >/tmp/p; sync'
	zl pause box >/dev/null
	[ "$(zl cp box:/tmp/p - | tar -xO)" = still ]
	run --separate-stderr zl cp /etc/hostname box:/tmp
	zl unpause box >/dev/null
	one_line_error
	stderr_has "is paused"
}

@test "into a container that ends meanwhile" {
	local feeder cp rc=0
	mkfifo endless
	zl run -qd --name ends busybox sleep 1000 >/dev/null
	sh -c 'tar -C /etc -cf - passwd | head -c 700; exec sleep 1000' >endless &
	feeder=$!
	zl cp - ends:/tmp <endless 2>said &
	cp=$!
	zl kill ends >/dev/null
	kill $feeder
	wait $cp || rc=$?
	[ $rc = 1 ]
	[ "$(wc -l <said)" = 1 ]
	zl rm ends >/dev/null
}
