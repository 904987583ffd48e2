#!/usr/bin/env bats
# dax.bats: large files of images, which KVM machines map from the host's page cache.

load ../lib/common

setup_file() {
	zl_setup_file
	# shellcheck source=tests/lib/images.sh
	source "$lib/images.sh"
	local dir=$BATS_FILE_TMPDIR/large n
	mkdir -p "$dir/root/big"
	for n in 2 4 8 24; do
		seq -w "$n" 99999999 2>/dev/null | head -c "${n}M" >"$dir/root/big/f$n" || true
	done
	tar -C "$dir/root" --owner=0 --group=0 -cf "$dir/layer.tar" big
	cp -r "$IMAGES/busybox" "$dir/large"
	echo '{"schemaVersion":2,"manifests":[]}' >"$dir/large/index.json"
	layout_layer "$dir/large" "$dir/layer.tar"
	layout_image "$dir/large" large:latest '{"Cmd":["sh"],"Env":["PATH=/bin"]}'
	layout_tar "$dir/large" | "$ZL" load -q >/dev/null
}

teardown_file() {
	zl_teardown_file
}

setup() {
	needs_vm
}

teardown() {
	zl ps -aq | xargs -r "$ZL" rm -f >/dev/null
}

said() { # NAME TEXT: the log has it
	zl logs "$1" 2>&1 | grep -qF -- "$2"
}

# MiB of the holder's own memory, in which the guest's is.
own_memory() {
	awk '/^RssAnon/ { print int($2 / 1024) }' "/proc/$(zl inspect -f '{{.State.Pid}}' "$1")/status"
}

# The same program on the same files, here and in there, must see the same.
@test "a large file of the image written, mapped, cut, punched, sent and removed" {
	cp -r "$BATS_FILE_TMPDIR/large/root/big" "$BATS_TEST_TMPDIR/big"
	musl-gcc -Os -static -o "$BATS_TEST_TMPDIR/daxops" "$lib/daxops.c"
	"$BATS_TEST_TMPDIR/daxops" "$BATS_TEST_TMPDIR/big" >"$BATS_TEST_TMPDIR/here"
	run -0 --separate-stderr zl run -q --rm large daxops /big
	diff "$BATS_TEST_TMPDIR/here" - <<<"$output"
}

@test "what is written to a large file stays with the container, and the image is what it was" {
	run -0 zl run -q --name kept large sh -c '
		printf changed | dd of=/big/f4 bs=1 seek=3000000 conv=notrunc 2>/dev/null; md5sum </big/f4'
	local first=$output
	run -0 zl start -a kept
	output_is "$first"
	run -0 zl run -q --rm large md5sum /big/f4
	[ "${output%% *}" = "$(md5sum <"$BATS_FILE_TMPDIR/large/root/big/f4" | cut -d' ' -f1)" ]
}

upper_file() { # NAME PATH: of the container, in its upper folder on the host
	echo "$ZL_ROOT/containers/$(zl inspect -f '{{.Id}}' "$1")"/*/"$2"
}

@test "a large file that was overwritten in place is newer on the host too, one that was read is not copied" {
	run -0 zl run -q --name older large sh -c 'touch -d @1000000000 /big/f8; md5sum /big/f4 >/dev/null'
	[ "$(stat -c %Y "$(upper_file older big/f8)")" = 1000000000 ]
	[ ! -e "$(upper_file older big/f4)" ]
	zl run -q --name newer large sh -c 'touch -d @1000000000 /big/f8 &&
		printf x | dd of=/big/f8 bs=1 seek=4000000 conv=notrunc 2>/dev/null'
	[ "$(stat -c %Y "$(upper_file newer big/f8)")" -gt 1000000000 ]
}

# bats test_tags=kvm
@test "KVM: it takes the host's memory once, unless ZL_DAX=off" {
	for dax in on off; do
		ZL_DAX=$dax zl run -q -d --name "$dax" -m 128m large sh -c \
			'mount | head -n 1; cat /big/f24 | wc -c; echo read; exec sleep 10000'
		wait_until 60 said "$dax" read
		said "$dax" 25165824
	done
	said on dax=inode
	run ! said off dax=inode
	[ $(($(own_memory off) - $(own_memory on))) -ge 18 ] ||
		fail "own memory: $(own_memory off) MiB off, $(own_memory on) MiB on"
	ZL_DAX=maybe run --separate-stderr zl run -q --rm large true
	status_is 125
	stderr_has "ZL_DAX=maybe: must be on or off"
}

# bats test_tags=kvm
@test "KVM: a mapped file that somebody cuts short ends the machine with a sentence" {
	local file
	zl run -q -d --name cut large sh -c 'head -c 9 /big/f8 >/dev/null; echo read; exec sleep 10000'
	wait_until 60 said cut read
	file=$(echo "$ZL_ROOT"/layers/*/big/f8)
	cp "$file" "$BATS_TEST_TMPDIR/f8"
	truncate -s 4096 "$file"
	run zl exec cut cat /big/f8
	[ "$status" != 0 ]
	run -0 zl wait cut
	cat "$BATS_TEST_TMPDIR/f8" >"$file"
	output_is 125
	run -0 zl inspect -f '{{.State.Error}}' cut
	output_has "a file mapped into the guest was cut short"
}
