#!/usr/bin/env bats
# together.bats: two zl at once on everything; stores that forbid, clocks that jump, large pipes.

load ../lib/common

setup_file() {
	zl_setup_file
	registry_start
	for name in busybox entry layers; do
		registry_push "$name"
	done
}

teardown_file() {
	zl_teardown_file
}

setup() {
	export ZL_ROOT=$BATS_TEST_TMPDIR/root
	cd "$BATS_TEST_TMPDIR" || return
}

# Whatever happened, the store is whole, and nothing is left over.
store_is_whole() {
	local image
	run --separate-stderr zl system check
	[ "$status" = 0 ] || fail "$1: $output ${stderr:-}"
	store_is_clean || fail "$1"
	for image in $(zl images -q | sort -u); do
		zl save "$image" | tar -t >/dev/null || fail "$1: $image"
		zl rm "$(zl create "$image" x)" >/dev/null || fail "$1: $image"
	done
}

# at_once TEXT COMMAND...: all at the same time, each a shell's; how they end is in $ended, what they
# say in 1.out, 2.out... Nobody may fail in a way but those that the extended regex TEXT describes.
at_once() {
	local text=$1 n=0 pids=() i rc
	shift
	ended=
	for command in "$@"; do
		n=$((n + 1))
		within 60 bash -c "$command" >$n.out 2>&1 3>&- </dev/null &
		pids+=($!)
	done
	for ((i = 1; i <= n; i++)); do
		rc=0
		wait "${pids[i - 1]}" || rc=$?
		ended+="$rc "
		[ $rc = 0 ] || grep -qE "$text" $i.out || fail "$(printf '%q ' "$@"): $i ended with $rc: $(cat $i.out)"
	done
}

# rounds N TEXT COMMAND...: at_once, again and again.
rounds() {
	local i
	for ((i = 1; i <= $1; i++)); do
		at_once "$2" "${@:3}"
	done
	store_is_whole "$*"
}

# bats test_tags=quick
@test "pulls of the same and of overlapping images" {
	for _ in 1 2 3 4; do
		at_once NEVER "zl pull -q $REGISTRY/busybox" "zl pull -q $REGISTRY/busybox" \
			"zl pull -q $REGISTRY/entry" "zl load -q -i $IMAGES/busybox.tar"
		[ "$(zl images -q | sort -u | wc -l)" = 2 ]
		store_is_whole pulls
		rm -rf "$ZL_ROOT"
	done
}

@test "pull, rmi, load, prune, tag and create against each other" {
	gone="No such image|reference does not exist|is using its referenced image|being used by"
	rounds 5 "$gone" "zl pull -q $REGISTRY/busybox" "zl rmi $REGISTRY/busybox" \
		"zl pull -q $REGISTRY/entry" "zl rmi -f $REGISTRY/entry"
	rounds 4 "$gone" "zl load -q -i $IMAGES/busybox.tar" "zl image prune -af" \
		"zl load -q -i $IMAGES/layers.tar" "zl system prune -af"
	load_images busybox layers
	rounds 5 "$gone" "zl tag busybox a:1" "zl tag layers a:1" "zl rmi a:1" "zl tag a:1 b:1" "zl image prune -f"
	rounds 4 "$gone" "zl create --rm --pull never busybox x" "zl rmi busybox" "zl load -q -i $IMAGES/busybox.tar" \
		"zl container prune -f"
	rounds 4 "$gone|No such container" "zl load -q -i $IMAGES/busybox.tar && c=\$(zl create busybox x) && zl commit \$c made" \
		"zl rmi -f made" "zl image prune -f" "zl save busybox layers | zl load -q"
}
