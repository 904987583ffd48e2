#!/usr/bin/env bats
# faithful.bats: the tree that a guest is shown of an image is the one that umoci makes of it.

load ../lib/common

setup_file() {
	export lib show
	show=$(realpath "${UNIT_DIR:-$BATS_TEST_DIRNAME/../../build/static/tests/unit}")/test_fuse_mount
	zl_setup_file
	cd "$BATS_FILE_TMPDIR" || return
	# shellcheck source=tests/lib/images.sh
	. "$lib/images.sh"
	mkdir layers
	python3 "$lib/tree.py" layers layers
	layout_init theirs
	layout_init ours
	for n in 1 2 3 4 5 6 7 8 9 10 11; do
		# What umoci cannot read is there in a second form. It knows gzip only.
		plain=layers/$n.plain
		[ -e "$plain" ] || plain=layers/$n.tar
		layout_layer theirs "$plain"
		layout_layer ours "layers/$n.tar" "$(cut -d' ' -f$((n % 3 + 1)) <<<"gzip zstd none")"
	done
	layout_image theirs latest '{"Cmd":["x"]}'
	layout_image ours latest '{"Cmd":["x"]}'
	layout_tar ours >ours.tar
	chmod 755 . "$BATS_RUN_TMPDIR" ours.tar
}

teardown_file() {
	zl_teardown_file
}

setup() {
	if [ "$(id -u)" != 0 ] || ! [ -w /dev/fuse ]; then
		skip "needs root and /dev/fuse"
	fi
	[ -x "$show" ] || skip "no $show: make unit"
	command -v umoci >/dev/null || skip "no umoci"
	cd "$BATS_FILE_TMPDIR" || return
}

by() {
	setpriv --reuid "$1" --regid "$1" --clear-groups "${@:2}"
}

# load_as UID: loads the image into a store of this user's.
load_as() {
	export ZL_ROOT=$BATS_FILE_TMPDIR/root-$1
	mkdir "$ZL_ROOT"
	chown "$1" "$ZL_ROOT"
	by "$1" "$ZL" load -q -i ours.tar | sed 's/.*sha256://' >image
	by "$1" "$ZL" image inspect -f '{{range .RootFS.Layers}}{{.}} {{end}}' "$(cat image)" | tr ' ' '\n' |
		sed "/^$/d;s,^sha256:,$ZL_ROOT/layers/," | tac >"$ZL_ROOT.layers"
}

# shown_to UID [all]: the tree that the file server makes of it, run by this user.
shown_to() {
	# shellcheck disable=SC2046,SC2016 # words; expanded by the shell it runs
	"$show" "$1" 'python3 "$lib/tree.py" list "$SHOWN"'" ${2:-}" $(cat "$BATS_FILE_TMPDIR/root-$1.layers")
}

# Where both go different ways for a reason:
#  - an xattr without a value is a deletion to umoci's archive reader, an empty xattr to others;
#  - a folder that is made opaque by a layer that does not have the folder itself: docker's is root's,
#    umoci's keeps its owner;
#  - names of a layer's file that a later layer covers still count as links, as in overlayfs.
known() {
	grep -vE "^b'(coloured|c3|pair2/[cd])' "
}

# bats test_tags=quick
@test "root's and a user's tree are umoci's, entry by entry" {
	(umask 022 && umoci unpack --image theirs:latest bundle >/dev/null)
	python3 "$lib/tree.py" list bundle/rootfs >theirs.txt
	[ "$(known <theirs.txt | wc -l)" -gt 240 ]
	for uid in 0 65534; do
		load_as $uid
		shown_to $uid >ours-$uid.txt
		diff <(known <theirs.txt) <(known <ours-$uid.txt)
		grep -q "^b'coloured' .* user.colour=b'blue' user.empty=b'' user.long=" ours-$uid.txt
		grep -qE "^b'c3' 0o40755 0:0  mtime=[0-9]+$" ours-$uid.txt
		grep -q "^b'pair2/d' 0o100644 0:0 size=4 .* is=b'pair2/c' links=6$" ours-$uid.txt
	done
	# What umoci loses of the archive's.
	shown_to 0 all >all.txt
	grep -q "^b'\.' 0o40755 0:0  mtime=1600000000125000000$" all.txt
	grep -q "^b'dir-to-dir' 0o42750 0:4  mtime=1600000009000000000$" all.txt
}

# Holes of sparse files stay holes.
@test "sparse files take no room for their holes" {
	export ZL_ROOT=$BATS_FILE_TMPDIR/root-0
	for n in 0 1 2 3; do
		file=$(find "$ZL_ROOT/layers" -name "sparse-$n")
		[ "$(stat -c %s "$file")" = $((40 * 131072 + 12345)) ]
		[ "$(stat -c %b "$file")" -le $((41 * 16)) ] || fail "sparse-$n: $(stat -c %b "$file") blocks"
		[ "$(stat -c %b "$file-empty")" -le 8 ] || fail "sparse-$n-empty: $(stat -c %b "$file-empty") blocks"
	done
}
