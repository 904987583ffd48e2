#!/usr/bin/env bats
# check.bats: a damaged store is found out and mended; full, read-only and forbidden disks.

load ../lib/common

setup_file() {
	zl_setup_file
}

teardown_file() {
	zl_teardown_file
}

setup() {
	export ZL_ROOT=$BATS_TEST_TMPDIR/root
	cd "$BATS_TEST_TMPDIR" || return
	load_images busybox layers
}

# The unpacked layer of busybox's big blob, and the blob.
big_layer() {
	dirname "$(dirname "$(find "$ZL_ROOT/layers" -name busybox -path '*/bin/busybox' | head -n 1)")"
}

big_blob() {
	find "$ZL_ROOT/blobs" -size +1000k | head -n 1
}

flip() {
	chmod u+w "$1"
	printf '\x5a\xa5' | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

clean() {
	run -0 --separate-stderr zl system check
	output_has " 0 faults"
}

# found TEXT...: check says so, in as many lines, and repair mends it.
found() {
	local text
	run -1 --separate-stderr zl system check -q
	[ ${#lines[@]} = $# ] || fail "$output"
	for text in "$@"; do
		output_has "$text"
	done
}

# bats test_tags=quick
@test "a good store has no faults" {
	run -0 --separate-stderr zl system check
	output_is "2 images, 10 blobs, 5 layers: 0 faults, 0 mended"
	run -0 --separate-stderr zl system check -q --repair
	output_is ""
	store_is_clean
}

@test "a flipped byte in a blob: the next pull or load fetches it" {
	hex=$(basename "$(big_blob)")
	flip "$(big_blob)" 70000
	run -1 --separate-stderr zl system check -q
	output_has "blob sha256:$hex is damaged"
	output_has "its blob sha256:$hex is missing or damaged: pull it again"
	run -1 zl system check --repair
	[ ! -e "$ZL_ROOT/blobs/sha256/$hex" ]
	zl create busybox true
	load_images busybox layers
	clean
}

@test "a pull fetches what was found damaged, and nothing else" {
	faulty_start none
	export ZL_ROOT=$PWD/pulled
	zl pull -q "$FAULTY/busybox"
	hex=$(basename "$(big_blob)")
	flip "$(big_blob)" 70000
	run -1 zl system check --repair
	: >"$FAULTY_DIR/log"
	run -0 --separate-stderr zl pull "$FAULTY/busybox"
	[ "$(grep -c "GET.*/blobs/sha256:" "$FAULTY_DIR/log")" = 1 ] || fail "$(cat "$FAULTY_DIR/log")"
	grep -q "GET.*$hex" "$FAULTY_DIR/log"
	clean
	faulty_stop
}

@test "layers: a flipped byte, a missing file, other modes, times, links and attributes" {
	layer=$(big_layer)
	ways=("flip $layer/bin/busybox 4096" "rm $layer/bin/cat" "chmod 700 $layer/etc/passwd"
		"touch $layer/etc/group" "ln -sf other $layer/bin/ls" "setfattr -n user.zl.user.x -v 1 $layer/etc/group"
		"rm -r $layer" "mv $layer/etc $layer/etcetera" "ln $layer/etc/passwd $PWD/hard")
	for way in "${ways[@]}"; do
		$way
		found "layer sha256:${layer##*/} is"
		run -0 zl system check --repair
		output_has "(unpacked anew)"
		clean
	done
	store_is_clean
}

@test "a lost or damaged index.json is made anew" {
	zl tag busybox other:1
	want=$(zl images --no-trunc | sort)
	for way in ": >" "rm" "truncate -s 300" "echo {} >"; do
		eval "$way \$ZL_ROOT/index.json"
		found "index.json"
		run -0 zl system check --repair
		output_has "(made anew)"
		[ "$(zl images --no-trunc | sort)" = "$want" ]
		clean
	done
	# Without its copy the names are lost, the images are not.
	rm "$ZL_ROOT/reserve" "$ZL_ROOT/index.json"
	run -0 zl system check --repair
	[ "$(zl images -q | wc -l)" = 2 ]
	clean
}

@test "what does not belong there; manifests and configs that are gone" {
	echo x >"$ZL_ROOT/blobs/sha256/stray"
	mkdir "$ZL_ROOT/layers/stray"
	echo x >"$ZL_ROOT/layers/$(printf '0%.0s' {1..64})"
	found "blobs/sha256/stray does not belong there" "layers/stray does" "layers/0000"
	run -0 zl system check --repair
	clean
	rm "$ZL_ROOT/oci-layout"
	id=$(zl image inspect -f '{{.Id}}' busybox)
	echo garbage >"$ZL_ROOT/oci-layout"
	found "oci-layout is missing or damaged"
	run -0 zl system check --repair
	clean
	rm "$ZL_ROOT/blobs/sha256/${id#sha256:}"
	found "image docker.io/library/busybox:latest: blob $id is not in the store"
	run -0 zl system check --repair
	output_has "(removed: pull it again)"
	[ "$(zl images --format '{{.Repository}}')" = layers ]
	clean
	load_images busybox
	clean
}

@test "a completely full disk: everything can be looked at, and images can be removed" {
	can_mount || skip "cannot mount here"
	# shellcheck disable=SC2016
	on_fs tmpfs size=24m 'export ZL_ROOT=$MNT/root
		zl load -q -i "$IMAGES/busybox.tar"; zl load -q -i "$IMAGES/layers.tar"
		cat /dev/zero >"$MNT/fill" 2>/dev/null; sync
		zl load -q -i "$IMAGES/entry.tar"; echo "load $?"
		cat /dev/zero >>"$MNT/fill" 2>/dev/null
		zl images -q | wc -l; zl image inspect -f "{{.Os}}" busybox
		zl rmi layers; echo "rmi $?"
		cat /dev/zero >>"$MNT/fill" 2>/dev/null
		zl rmi -f busybox; echo "rmi $?"; rm "$MNT/fill"
		zl images -q | wc -l; find "$ZL_ROOT/blobs" "$ZL_ROOT/layers" -mindepth 2 | wc -l
		ls "$ZL_ROOT"; zl load -q -i "$IMAGES/busybox.tar"; zl system check'
	output_has "load 1"
	stderr_has "No space left on device"
	[ "$(grep -c '^rmi 0$' <<<"$output")" = 2 ] || fail "$output $stderr"
	output_has $'\n0\n0\n'
	output_has reserve
	output_has "1 images, 4 blobs, 2 layers: 0 faults"
}

# over_quota CALL WHEN PATH COMMAND...: as WHEN says ("1", "1+": from the first on), the call on
# that path is refused as by a quota. (File systems with quotas are not to be had everywhere.)
over_quota() {
	local at=()
	[ -z "$3" ] || at=(-P "$3")
	run --separate-stderr strace -f -q -o calls "${at[@]}" -e trace="$1" -e "inject=$1:error=EDQUOT:when=$2" "${@:4}"
	grep -q INJECTED calls || fail "no $1 of $3: $(cat calls)"
}

@test "a quota that is used up: one line, nothing half-done; removing goes on" {
	command -v strace >/dev/null || skip "no strace"
	strace -f -o /dev/null true 2>/dev/null || skip "cannot trace here"
	export ASAN_OPTIONS=detect_leaks=0 # LeakSanitizer cannot work under strace
	export ZL_ROOT=$PWD/quota
	echo "file small 0644 0 0 x" | python3 "$lib/mktar.py" | zl import - small >/dev/null
	faulty_start none
	blob=$(cd "$IMAGES/busybox/blobs/sha256" && find . -size +100k -printf '%f\n')
	zl create --name box small true >/dev/null
	tried=0
	for command in "load -q -i $IMAGES/busybox.tar" "pull -q $FAULTY/busybox" "import $IMAGES/busybox.tar x" "commit box y"; do
		for where in "write $ZL_ROOT/tmp/blob-$blob" "write $ZL_ROOT/tmp/index.json" pwrite64 mkdirat symlinkat fsetxattr; do
			read -r call path <<<"$where"
			# What the command does not do cannot fail. (The reserve is made only if there is room.)
			rm -rf dry && cp -a "$ZL_ROOT" dry
			# shellcheck disable=SC2086 # words
			ZL_ROOT=$PWD/dry strace -f -y -q -o calls ${path:+-P "${path/quota/dry}"} -e trace="$call" zl $command >/dev/null
			grep -qE "$call\(.*/dry/tmp[/>]" calls || continue
			tried=$((tried + 1))
			# shellcheck disable=SC2086 # words
			over_quota "$call" 1+ "$path" zl $command
			[ "$status" = 1 ] || fail "$where, $command: status $status"
			[ "$(grep -c . <<<"$stderr")" = 1 ] || fail "$where, $command: $stderr"
			stderr_has "Disk quota exceeded"
			[ "$(zl images -q | wc -l)" = 1 ]
			store_is_clean || fail "$where, $command"
		done
	done
	[ $tried -ge 12 ] || fail "only $tried"
	clean
	zl rm box
	for where in "write $ZL_ROOT/tmp/index.json" mkdirat; do
		zl load -q -i "$IMAGES/busybox.tar"
		read -r call path <<<"$where"
		over_quota "$call" 1 "$path" zl rmi busybox
		[ "$status" = 0 ] || fail "$where: $stderr"
		[ "$(zl images -q | wc -l)" = 1 ]
	done
	clean
	store_is_clean
	faulty_stop
}

@test "a read-only store can be read, and says what it cannot do" {
	can_mount || skip "cannot mount here"
	# shellcheck disable=SC2016
	on_fs tmpfs "" 'export ZL_ROOT=$MNT/root
		zl load -q -i "$IMAGES/busybox.tar" && mount -o remount,ro "$MNT" || exit 77
		zl images -q | wc -l; zl image inspect -f "{{.Os}}" busybox; zl history -q busybox | wc -l
		zl save busybox | tar -t | wc -l
		zl system df --format "{{.TotalCount}}"
		for c in "rmi busybox" "tag busybox x" "load -i $IMAGES/layers.tar" "image prune -af"; do
			zl $c && echo "$c went well"
		done'
	[ "$status" != 77 ] || skip "cannot make it read-only here"
	[ "${lines[1]} ${lines[2]} ${lines[3]}" = "1 linux 2" ] || fail "$output $stderr"
	[ "${lines[5]}" = 1 ]
	[[ $output != *"went well"* ]]
	[ "$(grep -c "Read-only file system" <<<"$stderr")" = 4 ] || fail "$stderr"
}
