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

# bats test_tags=quick
@test "somebody else's store: one line, and nothing in it is changed" {
	[ "$(id -u)" = 0 ] || skip "needs root"
	load_images busybox
	chmod 711 "$BATS_RUN_TMPDIR" "$BATS_FILE_TMPDIR" . ..
	before=$(find "$ZL_ROOT" -printf '%p %m %u %s %T@\n' | sort)
	for command in images "image inspect busybox" "save busybox" "load -i $IMAGES/layers.tar" "rmi busybox" \
		"tag busybox x" "image prune -af" "pull $REGISTRY/layers" "create busybox x" "system check --repair"; do
		# shellcheck disable=SC2086 # words
		run --separate-stderr as_nobody "$ZL" $command
		one_line_error
		stderr_has "Permission denied"
	done
	[ "$(find "$ZL_ROOT" -printf '%p %m %u %s %T@\n' | sort)" = "$before" ]
	store_is_whole "somebody else's"
}

# bats test_tags=quick
@test "a store that one may read but not write: it is looked at, and nothing else" {
	load_images busybox entry
	zl create --name box busybox true >/dev/null
	unset XDG_RUNTIME_DIR
	chmod 711 "$BATS_RUN_TMPDIR" "$BATS_FILE_TMPDIR" . ..
	find "$ZL_ROOT" -path "$ZL_ROOT/layers/*" -prune -o ! -type l -exec chmod a-w,a+rX {} +
	before=$(find "$ZL_ROOT" -printf '%p %m %u %s %T@\n' | sort)
	run -0 --separate-stderr as_nobody "$ZL" images --format '{{.Repository}}'
	output_is $'busybox\nentry'
	[ -z "$stderr" ]
	for command in "image inspect busybox" "inspect box" "history entry" "system df" "system df -v" "ps -a"; do
		# shellcheck disable=SC2086 # words
		run -0 --separate-stderr as_nobody "$ZL" $command
		[ -n "$output" ] && [ -z "$stderr" ] || fail "$command: $stderr"
	done
	as_nobody "$ZL" save busybox entry | tar -t >/dev/null
	for command in "load -q -i $IMAGES/layers.tar" "rmi -f busybox" "tag busybox x" "image prune -af" \
		"pull -q $REGISTRY/layers" "create busybox x" "rm box" "commit box" "system check --repair"; do
		# shellcheck disable=SC2086 # words
		run --separate-stderr as_nobody "$ZL" $command
		one_line_error
		stderr_has "Permission denied"
	done
	[ "$(find "$ZL_ROOT" -printf '%p %m %u %s %T@\n' | sort)" = "$before" ]
	find "$ZL_ROOT" -path "$ZL_ROOT/layers/*" -prune -o ! -type l -exec chmod u+w {} +
	store_is_whole "read only"
}

@test "folders of the store that cannot be written: one line, nothing half-done, and all is well afterwards" {
	chmod 711 "$BATS_RUN_TMPDIR" "$BATS_FILE_TMPDIR" . ..
	mkdir "$ZL_ROOT"
	[ "$(id -u)" != 0 ] || chown 65534 "$ZL_ROOT"
	for folder in blobs/sha256 layers tmp .; do
		as_nobody "$ZL" load -q -i "$IMAGES/busybox.tar"
		chmod 555 "$ZL_ROOT/$folder"
		for command in "load -q -i $IMAGES/layers.tar" "pull -q $REGISTRY/layers" "rmi busybox"; do
			# shellcheck disable=SC2086 # words
			run --separate-stderr as_nobody "$ZL" $command
			output=$(grep -vE '^(Untagged|Deleted): ' <<<"$output" || true)
			one_line_error
			stderr_has "Permission denied"
		done
		as_nobody "$ZL" images -q >/dev/null
		chmod 755 "$ZL_ROOT/$folder"
		run -0 --separate-stderr as_nobody "$ZL" system check
		as_nobody "$ZL" image prune -af
		[ -z "$(find "$ZL_ROOT/blobs" "$ZL_ROOT/layers" -mindepth 2)" ] || fail "$folder: $(find "$ZL_ROOT" -mindepth 2)"
		store_is_clean
	done
}

# bats test_tags=quick
@test "clocks that jumped: parts and stores from the future and from long ago" {
	for when in @0 2005-01-01 2100-01-01 @8000000000; do
		mkdir -p "$ZL_ROOT/tmp"
		for blob in "$IMAGES"/busybox/blobs/sha256/*; do
			head -c 100 /dev/zero >"$ZL_ROOT/tmp/blob-${blob##*/}"
		done
		echo x >"$ZL_ROOT/tmp/blob-$(printf '1%.0s' {1..64})"
		mkdir "$ZL_ROOT/tmp/trash-$(printf '2%.0s' {1..32})" "$ZL_ROOT/tmp/layer-$(printf '3%.0s' {1..64})"
		touch -d "$when" "$ZL_ROOT"/tmp/*
		zl pull -q "$REGISTRY/busybox"
		store_is_whole "$when"
		find "$ZL_ROOT" -path "$ZL_ROOT/layers" -prune -o -exec touch -d "$when" {} +
		run -0 --separate-stderr zl pull "$REGISTRY/busybox"
		output_has "Image is up to date"
		zl pull -q "$REGISTRY/layers"
		zl rmi "$REGISTRY/busybox"
		store_is_whole "$when"
		rm -rf "$ZL_ROOT"
	done
}

# peak FILE COMMAND...: runs it and leaves its peak memory, in KiB, in FILE.
peak() {
	python3 -c 'import resource, subprocess, sys
rc = subprocess.call(sys.argv[2:])
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=open(sys.argv[1], "w"))
sys.exit(rc)' "$@"
}

@test "save | load of a large image takes at most 64 MiB on both sides" {
	(
		# shellcheck source=tests/lib/images.sh
		. "$lib/images.sh"
		layout_init x
		mkdir big
		head -c 200000000 /dev/urandom >big/random
		tar -cf random.tar big
		echo "hole zeros 0644 0 0 150000000" | python3 "$lib/mktar.py" >zeros.tar
		layout_layer x random.tar none
		layout_layer x zeros.tar gzip
		layout_image x latest '{"Cmd":["x"]}'
	)
	layout=$PWD/x
	rm -r big random.tar zeros.tar
	tar -C "$layout" -c . | peak load.peak zl load -q
	rm -r x
	peak save.peak zl save "$(zl images -q)" | ZL_ROOT=$PWD/other peak load2.peak zl load -q
	[ "$(ZL_ROOT=$PWD/other zl images -q --no-trunc)" = "$(zl images -q --no-trunc)" ]
	run -0 zl system check
	for side in load save load2; do
		[ "$(cat $side.peak)" -gt 1000 ]
		[ "$(cat $side.peak)" -le 65536 ] || fail "$side: $(cat $side.peak) KiB"
	done
}
