#!/usr/bin/env bats
# cp.bats: cp and diff on containers that do not run.

load ../lib/common

setup_file() {
	zl_setup_file
	load_images busybox layers
	zl create --name box busybox true >/dev/null
}

teardown_file() {
	zl_teardown_file
}

# listing CONTAINER PATH: mode, owner, size and name of what a copy out brings.
listing() {
	zl cp "$1:$2" - | tar --numeric-owner -tv | awk '{print $1, $2, $6, $7, $8}' | sed 's/ *$//'
}

setup() {
	cd "$BATS_TEST_TMPDIR" || return 1
}

# bats test_tags=quick
@test "a file in, under a name, into a folder, over a file, and out again" {
	printf 'hello\n' >f
	chmod 640 f
	touch -d @1500000000.25 f
	run -0 --separate-stderr zl cp f box:/tmp
	[ -z "$output$stderr" ]
	[ "$(listing box /tmp/f)" = "-rw-r----- 0/0 f" ]
	zl cp f box:/tmp/g
	echo more >f
	zl cp f box:tmp/g
	zl cp box:/tmp/g .
	[ "$(cat g)" = more ]
	zl cp box:/tmp/f out
	[ "$(cat out)" = hello ]
	[ "$(stat -c '%a %Y %u' out)" = "640 1500000000 $(id -u)" ]
	zl cp box:/tmp/f g
	[ "$(cat g)" = hello ]
}

# bats test_tags=quick
@test "folders: into one, as a new one, and their content alone" {
	mkdir -p d/sub
	echo 1 >d/one
	echo 2 >d/sub/two
	ln -s one d/link
	ln d/one d/again
	chmod 750 d/sub
	touch -d @1400000000 d/sub
	zl cp d box:/mnt
	zl cp d box:/mnt/new
	zl cp d/. box:/mnt/content/
	zl cp d/. box:/mnt/content
	zl cp box:/mnt out
	diff -r --no-dereference d out/d
	diff -r --no-dereference d out/new
	diff -r --no-dereference d out/content
	[ "$(readlink out/d/link)" = one ]
	[ out/d/one -ef out/d/again ]
	[ "$(stat -c '%a %Y' out/d/sub)" = "750 1400000000" ]
	mkdir into
	zl cp box:/mnt/d into
	zl cp box:/mnt/d/. into
	[ "$(cat into/d/one into/one)" = "$(printf '1\n1')" ]
}

# bats test_tags=quick
@test "links: at the end as they are, with -L and with a slash what they lead to" {
	mkdir real
	echo x >real/f
	ln -s real link
	ln -s real/f flink
	zl cp link box:/tmp/l1
	zl cp -L link box:/tmp/l2
	zl cp link/ box:/tmp/l3
	zl cp -L flink box:/tmp
	[[ "$(listing box /tmp/l1)" = "lrwxrwxrwx 0/0 l1 -> real" ]]
	[[ "$(listing box /tmp/l2)" = "drwx"*" l2/"* ]]
	[[ "$(listing box /tmp/l3)" = "drwx"*" l3/"* ]]
	[ "$(zl cp box:/tmp/flink - | tar -xO)" = x ]
	# out of a container
	mkdir t
	ln -s /etc/os-release t/rel
	ln -s ../etc t/etc
	zl cp t/. box:/root
	zl cp box:/root/rel as-link
	[ "$(readlink as-link)" = /etc/os-release ]
	zl cp -L box:/root/rel .
	[ "$(cat rel)" = zl-test ]
	zl cp box:/root/etc/os-release .
	[ "$(cat os-release)" = zl-test ]
	mkdir dest
	zl cp box:/root/etc/ dest
	[ -f dest/etc/passwd ]
}

# bats test_tags=quick
@test "links inside lead inside, whatever the host has there" {
	mkdir secret jail
	echo host >secret/f
	ln -s "$PWD/secret" jail/out
	ln -s ../../../../../../../../../etc/os-release jail/up
	zl cp jail box:/tmp
	run --separate-stderr zl cp box:/tmp/jail/out/f got
	one_line_error
	stderr_has "Could not find the file /tmp/jail/out/f in container box"
	zl cp -L box:/tmp/jail/up got
	[ "$(cat got)" = zl-test ]
	echo evil >f
	run ! zl cp f box:/tmp/jail/out/f
	[ "$(cat secret/f)" = host ]
	# nor do links of the destination's that are in the way
	mkdir -p src/x dst
	echo evil >src/x/f
	zl cp src box:/tmp
	ln -s "$PWD/secret" dst/x
	run --separate-stderr zl cp box:/tmp/src/. dst
	one_line_error
	stderr_has 'cannot overwrite non-directory "x" with directory'
	[ "$(cat secret/f)" = host ]
}

# bats test_tags=quick
@test "what cannot be, in docker's words" {
	echo x >f
	mkdir d
	fails() { # MESSAGE ARG...
		run --separate-stderr zl cp "${@:2}"
		one_line_error
		stderr_has "$1"
	}
	fails "source can not be empty" "" box:/
	fails "destination can not be empty" box:/ ""
	fails "copying between containers is not supported" box:/a box:/b
	fails "must specify at least one container source" ./a ./b
	fails "No such container: nobody" nobody:/ .
	fails "No such container: nobody" f nobody:/
	fails "Could not find the file /nowhere in container box" box:/nowhere .
	fails "Could not find the file /nowhere in container box" f box:/nowhere/f
	fails "no such directory" f box:/nowhere/
	fails "no such directory" box:/etc/passwd ./nowhere/
	fails "invalid output path: directory \"$PWD/no\" does not exist" box:/etc/passwd no/where
	fails "cannot copy directory" d box:/etc/passwd
	fails "cannot copy directory" box:/etc f
	fails "lstat $PWD/nothing: no such file or directory" nothing box:/
	fails 'destination "box:/etc/passwd" must be a directory' - box:/etc/passwd </dev/null
	fails "must be a directory or a regular file: got a device" box:/etc/passwd /dev/null
	mkdir -p d/passwd
	fails 'cannot overwrite non-directory "/etc/passwd" with directory' d/. box:/etc
	zl cp d box:/tmp/dir
	cp f passwd
	fails 'cannot overwrite directory "/tmp/dir/passwd" with non-directory' passwd box:/tmp/dir
	zl create --name ro --read-only busybox true >/dev/null
	fails "container rootfs is marked read-only" f ro:/tmp
	fails "requires" box:/
}

# bats test_tags=quick
@test "archives on stdin and stdout, owners and all kinds of files" {
	zl create --name kinds layers:latest >/dev/null
	zl cp kinds:/ - | tar --numeric-owner -tv >all
	grep -qE '^crw-rw-rw- 0/0 +1,3 .* null$' all
	grep -qE '^-rw-r----- 1000/2000 .* owned$' all
	grep -qE '^-rwsr-xr-x 0/0 .* setuid$' all
	grep -qE '^prw------- .* fifo$' all
	grep -qE ' hard2 link to hard$' all
	zl cp kinds:/. - | zl cp - box:/var/tmp
	zl cp box:/var/tmp/. - | tar --numeric-owner -tv | sort -k6 >copied
	zl cp kinds:/. - | tar --numeric-owner -tv | sort -k6 >original
	diff <(grep -v ' \./$' original) <(grep -v ' \./$' copied)
	zl cp box:/var/tmp/xa - | tar --xattrs --xattrs-include='*' -tvv | grep -q user.colour
	# packed, and with a name that leads upwards
	tar -czf - -C / etc/hostname | zl cp - box:/root
	[ "$(zl cp box:/root/etc/hostname - | tar -xO)" = "$(cat /etc/hostname)" ]
	tar -cPf bad.tar --transform 's,^,../,' all
	run --separate-stderr zl cp - box:/root <bad.tar
	one_line_error
	stderr_has ".."
	head -c 700 bad.tar | run --separate-stderr zl cp - box:/root
	[ "$status" != 0 ]
}

# bats test_tags=quick
@test "owners: root's in, the caller's out; with -a as they are" {
	echo x >f
	chmod 4755 f
	zl cp f box:/tmp/plain
	zl cp -a f box:/tmp/mine
	[ "$(listing box /tmp/plain)" = "-rwsr-xr-x 0/0 plain" ]
	[ "$(listing box /tmp/mine)" = "-rwsr-xr-x $(id -u)/$(id -g) mine" ]
	zl cp box:/tmp/mine out
	[ "$(stat -c '%a %u' out)" = "755 $(id -u)" ]
}

# bats test_tags=quick
@test "bind mounts of the container are where it has them" {
	mkdir -p bound/sub
	echo host >bound/f
	echo one >single
	zl create --name binds -v "$PWD/bound:/mnt/deep/er" -v "$PWD/bound:/ro:ro" \
		-v "$PWD/single:/etc/single" busybox true >/dev/null
	zl cp binds:/mnt/deep/er/f got
	[ "$(cat got)" = host ]
	zl cp got binds:/mnt/deep/er/sub/new
	[ "$(cat bound/sub/new)" = host ]
	[ "$(zl cp binds:/mnt - | tar -t | sort | head -3)" = "$(printf 'mnt/\nmnt/deep/\nmnt/deep/er/')" ]
	[ "$(zl cp binds:/etc/single - | tar -xO)" = one ]
	run --separate-stderr zl cp got binds:/ro
	one_line_error
	stderr_has "mounted volume is marked read-only"
	run ! zl cp got binds:/etc/single
	[ "$(cat single)" = one ]
}

# bats test_tags=quick
@test "sparse and large files stay so, and odd names" {
	truncate -s 3G big
	printf tail >>big
	printf 'x' | dd of=big bs=1 seek=100000000 conv=notrunc status=none
	zl cp big box:/tmp
	zl cp box:/tmp/big back
	cmp big back
	[ "$(stat -c %b back)" -lt 10000 ]
	rm big back
	mkdir odd
	: >odd/$'new\nline'
	: >odd/"$(printf '\377')"
	: >odd/"$(printf 'a%.0s' {1..255})"
	zl cp odd box:/tmp
	zl cp box:/tmp/odd odd2
	diff -r odd odd2
}

# bats test_tags=quick
@test "diff: added, changed, removed, and the folders above" {
	zl create --name changed busybox true >/dev/null
	run -0 --separate-stderr zl diff changed
	[ -z "$output" ]
	echo x >f
	zl cp f changed:/etc/passwd
	mkdir -p n/ew
	zl cp n changed:/usr
	run -0 --separate-stderr zl diff changed
	[ "$output" = "$(printf 'C /etc\nC /etc/passwd\nC /usr\nA /usr/n\nA /usr/n/ew')" ]
	run -0 --separate-stderr zl container diff changed
	[ "${#lines[@]}" = 5 ]
	run --separate-stderr zl diff nobody
	one_line_error
	stderr_has "No such container: nobody"
	run --separate-stderr zl diff ""
	one_line_error
}

# bats test_tags=quick
@test "many at once on one container" {
	local i
	zl create --name busy busybox true >/dev/null
	for i in {1..8}; do
		echo "$i" >"f$i"
		zl cp "f$i" busy:/tmp/ &
	done
	wait
	zl cp busy:/tmp/. all
	[ "$(cat all/f* | sort -n | tr -d '\n')" = 12345678 ]
}
