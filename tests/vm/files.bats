#!/usr/bin/env bats
# files.bats: the root file system, what stays and what does not, volumes, tmpfs, read-only.

load ../lib/common

setup_file() {
	zl_setup_file
	load_images busybox layers
}

teardown_file() {
	zl_teardown_file
}

setup() {
	needs_vm
	cd "$BATS_TEST_TMPDIR" || return
}

@test "file system operations on the root" {
	run --separate-stderr zl run -q --rm busybox fsops /var/tmp
	[ "$status" = 0 ] || fail "$(grep -B1 FAILED <<<"$output")"
	[ "$(grep -c ^ok <<<"$output")" = 20 ]
}

@test "file system operations in a bind mount" {
	mkdir dir
	run --separate-stderr zl run -q --rm -v "$PWD/dir:/data" busybox sh -c '
		for check in create_read_append_truncate big_file renames folders many_entries links \
			unlinked_but_open mappings tmpfile_or_refusal holes_and_space times locks copies names; do
			fsops /data $check
		done'
	[ "$(grep -c ^ok <<<"$output")" = 14 ] || fail "$output"
	[ -z "$(ls -A dir)" ] || fail "left: $(ls -A dir)"
}

# bats test_tags=core
@test "layers: whiteouts, opaque folders, kinds, owners, modes, links, xattrs" {
	run -0 --separate-stderr zl run -q --rm layers sh -c '
		ls d o becomes-dir
		cat becomes-file back
		test ! -e gone && test ! -e gonedir && echo gone
		stat -c "%n %F %a %u:%g" setuid owned sticky fifo secret closed xa
		stat -c "%n %F %t:%T" null blk
		stat -c "%n %u" link userlink; readlink userlink
		test $(stat -c %i hard) = $(stat -c %i hard2) && stat -c %h hard
		probe xattr xa user.colour
		ls -a | grep wh; echo end'
	expected='becomes-dir:
f

d:
three
two

o:
above
now-a-filenewgone
setuid regular file 4755 0:0
owned regular file 640 1000:2000
sticky regular file 1644 0:0
fifo fifo 600 0:0
secret regular file 0 0:0
closed directory 700 1000:1000
xa regular empty file 644 0:0
null character special file 1:3
blk block special file 7:0
link 0
userlink 1000
owned
2
blue
end'
	# The order of busybox ls for several folders is by name.
	[ "$(sort <<<"$output")" = "$(sort <<<"$expected")" ] || fail "$output"
}

@test "readdir shows a merged folder once per name, and sees what is removed" {
	run -0 zl run -q --rm layers sh -c 'ls / | sort | uniq -d; rm -r /d /o && ls / | grep -xE "d|o"; mkdir /o && ls -A /o; echo end'
	output_is end
}

@test "writes survive stop and start; the image does not change" {
	zl run -qd --name keep busybox sh -c 'echo more >>/mark; cat /mark /etc/second-layer; rm /etc/os-release; echo x >/etc/passwd; exec sleep 1000'
	# Each start adds a line and shows all there are: 1, then 1 + 2, then 1 + 2 + 3.
	wait_until 30 bash -c '[ "$(zl logs keep | grep -c more)" = 1 ]'
	zl stop -t 1 keep
	zl start keep
	wait_until 30 bash -c '[ "$(zl logs keep | grep -c more)" = 3 ]'
	zl kill keep
	zl wait keep
	zl start keep
	wait_until 30 bash -c '[ "$(zl logs keep | grep -c more)" = 6 ]'
	zl rm -f keep
	run -0 zl run -q --rm busybox sh -c 'ls /mark 2>/dev/null; cat /etc/os-release; head -n 1 /etc/passwd'
	output_is $'zl-test\nroot:x:0:0:root:/root:/bin/sh'
}

@test "two containers of one image do not see each other's writes" {
	zl create --name one busybox sh -c 'echo one >/f; cat /f'
	zl create --name two busybox sh -c 'cat /f'
	run -0 --separate-stderr zl start -a one
	output_is one
	run --separate-stderr zl start -a two
	status_is 1
	zl rm one two
}

@test "--rm removes the container's files" {
	before=$(ls "$ZL_ROOT/containers" | wc -l)
	zl run -q --rm busybox sh -c 'head -c 1000000 /dev/zero >/big'
	[ "$(ls "$ZL_ROOT/containers" | wc -l)" = "$before" ]
}

# bats test_tags=core
@test "bind mounts: folders and files, read-write and read-only, seen on both sides" {
	mkdir dir && echo host >dir/f && echo single >file && ln -s f dir/link
	run -0 --separate-stderr zl run -q --rm -v "$PWD/dir:/data" -v "$PWD/file:/etc/single:ro" \
		-v "$PWD/dir:/deep/er/ro:ro" busybox sh -c '
		cat /data/f /data/link /etc/single /deep/er/ro/f
		echo guest >/data/new && mkdir /data/sub && chmod 640 /data/new
		echo x >/deep/er/ro/x || echo ro-dir
		echo x >/etc/single || echo ro-file
		cat /deep/er/ro/new
		grep -c " /data " /proc/mounts'
	output_is $'host\nhost\nsingle\nhost\nro-dir\nro-file\nguest\n1'
	[ "$(cat dir/new)" = guest ] && [ "$(stat -c %a dir/new)" = 640 ]
	[ "$(stat -c %u dir/new)" = "$(id -u)" ]
	[ -d dir/sub ]
}

@test "the host's changes to a bind mount are noticed" {
	mkdir dir && echo one >dir/f
	zl run -qd --name watch -v "$PWD/dir:/data" busybox sh -c \
		'cat /data/f; until [ -e /data/go ]; do sleep 0.2; done; cat /data/f /data/go; ls /data'
	wait_until 30 bash -c 'zl logs watch | grep -q one'
	echo two-and-longer >dir/f
	echo gone >dir/go.new && mv dir/go.new dir/go
	run -0 within 60 zl wait watch
	output_is 0
	run -0 zl logs watch
	output_is $'one\ntwo-and-longer\ngone\nf\ngo'
	zl rm watch
}

@test "a bind mount's source that is not there is made, as -v does" {
	run -0 zl run -q --rm -v "$PWD/made:/data" busybox sh -c 'touch /data/x'
	[ -e made/x ]
	: >plain
	run --separate-stderr zl run -q --rm -v "$PWD/plain/below:/data" busybox true
	status_is 125
	one_line_error
}

@test "a guest cannot leave its bind mount by symlinks" {
	mkdir dir && echo secret >secret && ln -s ../secret dir/out && ln -s "$PWD/secret" dir/abs
	run --separate-stderr zl run -q --rm -v "$PWD/dir:/data" busybox sh -c \
		'cat /data/out /data/abs /data/../secret; ls /data'
	[[ $output != *secret$'\n'* ]] || fail "$output"
	output_has abs
}

@test "--tmpfs and its options" {
	run -0 --separate-stderr zl run -q --rm --tmpfs /t --tmpfs /u:size=1m,mode=700,noexec busybox sh -c '
		stat -f -c %T /t; stat -c %a /t /u; cp /bin/busybox /t/x && /t/x true && echo ran
		head -c 2000000 /dev/zero >/u/big || echo full
		cp /bin/probe /u/probe; /u/probe 2>/dev/null || echo noexec'
	output_has $'tmpfs\n1777\n700\n'
	output_has full
	output_has noexec
}

# bats test_tags=core
@test "--read-only: the root refuses, tmpfs and volumes do not" {
	mkdir dir
	run -0 --separate-stderr zl run -q --rm --read-only --tmpfs /t -v "$PWD/dir:/data" busybox sh -c '
		echo x >/f || echo root-refuses; echo x >/etc/hosts || echo hosts-refuse
		echo x >/t/f && echo x >/data/f && echo x >/dev/shm/f && echo ok
		mount -o remount,rw / || echo stays'
	output_has root-refuses
	output_has ok
	output_has stays
	[ -e dir/f ]
}

@test "a hundred files at once by ten writers, then read back" {
	in_vm 'mkdir /w; for w in 0 1 2 3 4 5 6 7 8 9; do (for i in 0 1 2 3 4 5 6 7 8 9; do
		head -c 50000 /dev/zero | tr "\0" $w >/w/$w-$i; done) & done; wait
		for w in 0 1 2 3 4 5 6 7 8 9; do cat /w/$w-* | tr -d $w | wc -c; cat /w/$w-* | wc -c; done | sort | uniq -c'
	[ "$(awk '{ print $1, $2 }' <<<"$output" | sort)" = $'10 0\n10 500000' ] || fail "$output"
}

@test "an executable that is running cannot be written, and one that was replaced still runs" {
	in_vm 'cp /bin/probe /tmp/p && (/tmp/p signals 1 >/tmp/out & echo $! >/tmp/pid)
		until grep -q ready /tmp/out; do :; done
		echo x 2>/dev/null >/tmp/p || echo busy
		cp /bin/busybox /tmp/new && mv /tmp/new /tmp/p && kill -USR1 $(cat /tmp/pid)
		until grep -q got /tmp/out; do :; done; cat /tmp/out'
	output_is $'busy\nready\ngot 10'
}
