#!/usr/bin/env bats
# pull.bats: images from a real registry, and from registries that fail in every way.

load ../lib/common

setup_file() {
	zl_setup_file
	# What fails is tried again, but not for as long as a user would want.
	mkdir -p "$HOME/.config/zl"
	echo '{"max-download-attempts": 2}' >"$HOME/.config/zl/config.json"
	registry_start
	registry_push busybox
	registry_push busybox some/deep/path v1.2
	registry_push entry
	registry_push layers
	registry_push index
	registry_push list
	registry_push bare
}

teardown_file() {
	zl_teardown_file
}

setup() {
	export ZL_ROOT=$BATS_TEST_TMPDIR/root
	cd "$BATS_TEST_TMPDIR" || return
}

no_image() {
	[ -z "$(zl images -q)" ]
	[ -z "$(find "$ZL_ROOT/layers" -mindepth 1 2>/dev/null)" ]
	store_is_clean
}

# bats test_tags=quick
@test "pull by name, as docker words it" {
	run -0 --separate-stderr zl pull "$REGISTRY/busybox"
	output_has "$REGISTRY/busybox:latest"
	output_has "Digest: sha256:$(jq -r '.manifests[0].digest | ltrimstr("sha256:")' "$IMAGES/busybox/index.json")"
	output_has "Status: Downloaded newer image for $REGISTRY/busybox:latest"
	run -0 --separate-stderr zl pull "$REGISTRY/busybox"
	output_has "Status: Image is up to date for $REGISTRY/busybox:latest"
	run -0 zl images --format '{{.Repository}} {{.Tag}}'
	output_is "$REGISTRY/busybox latest"
	store_is_clean
}

@test "an unchanged image is not up to date as long as a blob of it is missing" {
	local blob
	zl pull -q "$REGISTRY/busybox"
	blob=$(find "$ZL_ROOT/blobs/sha256" -type f -printf '%s %p\n' | sort -n | tail -n 1 | cut -d' ' -f2)
	for name in "$REGISTRY/busybox" "$REGISTRY/busybox@$(jq -r '.manifests[0].digest' "$IMAGES/busybox/index.json")"; do
		rm "$blob"
		run -0 --separate-stderr zl pull "$name"
		output_has "Status: Downloaded newer image for"
		[ "$(sha256sum <"$blob" | cut -d' ' -f1)" = "${blob##*/}" ]
		run -0 --separate-stderr zl pull "$name"
		output_has "Status: Image is up to date for"
	done
}

@test "pull by tag, by digest, quietly" {
	run -0 --separate-stderr zl pull -q "$REGISTRY/some/deep/path:v1.2"
	output_is "$REGISTRY/some/deep/path:v1.2"
	[ -z "$stderr" ]
	digest=$(jq -r '.manifests[0].digest' "$IMAGES/entry/index.json")
	run -0 --separate-stderr zl pull "$REGISTRY/entry@$digest"
	run -0 zl image inspect -f '{{json .RepoDigests}}' "$REGISTRY/entry@$digest"
	output_has "$REGISTRY/entry@$digest"
}

@test "OCI index, docker manifest list, and --platform" {
	for name in index list; do
		run -0 zl pull "$REGISTRY/$name"
		run -0 zl image inspect -f '{{.Architecture}} {{json .Config.Cmd}}' "$REGISTRY/$name"
		output_is 'amd64 ["sh"]'
		ZL_ROOT=$PWD/arm run -0 zl pull --platform linux/arm64 "$REGISTRY/$name"
		ZL_ROOT=$PWD/arm run -0 zl image inspect -f '{{.Architecture}}' "$REGISTRY/$name"
		output_is arm64
	done
	run --separate-stderr zl pull --platform linux/s390x "$REGISTRY/index"
	status_is 1
	stderr_has "linux/s390x"
}

@test "layers of every compression, and the same image by registry and by tar" {
	run -0 zl pull "$REGISTRY/layers"
	id=$(zl image inspect -f '{{.Id}}' "$REGISTRY/layers")
	ZL_ROOT=$PWD/by-tar zl load -i "$IMAGES/layers.tar"
	[ "$(ZL_ROOT=$PWD/by-tar zl images -q --no-trunc)" = "$id" ]
	diff <(cd "$ZL_ROOT/layers" && find . -printf '%p %y %m %s %l\n' | sort) \
		<(cd by-tar/layers && find . -printf '%p %y %m %s %l\n' | sort)
}

@test "a moved tag is pulled anew; what both images share is not" {
	registry_push busybox moving
	zl pull "$REGISTRY/moving"
	first=$(zl images -q --no-trunc)
	registry_push entry moving
	run -0 --separate-stderr zl pull "$REGISTRY/moving"
	output_has "Downloaded newer image"
	[ "$(zl image inspect -f '{{.Id}}' "$REGISTRY/moving")" != "$first" ]
	# The old one lost its name and stays as docker's <none>.
	run -0 zl images --format '{{.Repository}}:{{.Tag}}'
	output_has "<none>"
}

@test "pull policies" {
	run --separate-stderr zl create --pull never "$REGISTRY/busybox" true
	one_line_error
	stderr_has "No such image: $REGISTRY/busybox:latest"
	run -0 --separate-stderr zl create --pull missing "$REGISTRY/busybox" true
	registry=$REGISTRY
	faulty_start none
	zl pull -q "$FAULTY/busybox"
	faulty_stop
	run -0 --separate-stderr zl create --pull missing "$FAULTY/busybox" true
	run -0 --separate-stderr zl create --pull newer "$FAULTY/busybox" true
	run --separate-stderr zl create --pull always "$FAULTY/busybox" true
	[ "$status" != 0 ]
	stderr_has "$FAULTY"
	run -0 --separate-stderr zl create --pull always "$registry/busybox" true
}

@test "what is not there" {
	run --separate-stderr zl pull "$REGISTRY/nosuch"
	status_is 1
	one_line_error
	stderr_has "$REGISTRY/nosuch"
	run --separate-stderr zl pull "$REGISTRY/busybox:nosuch"
	status_is 1
	one_line_error
	run --separate-stderr zl pull "$REGISTRY/busybox@sha256:$(printf '0%.0s' {1..64})"
	status_is 1
	one_line_error
	run --separate-stderr zl run "$REGISTRY/nosuch" true
	status_is 125
	run --separate-stderr zl pull "BAD NAME"
	status_is 1
	stderr_has "invalid reference format"
	no_image
}

@test "the registry is down" {
	run --separate-stderr zl pull "127.0.0.1:$(free_port)/busybox"
	status_is 1
	one_line_error
	[[ ${stderr,,} == *"connect"* ]]
	run --separate-stderr within 60 zl pull "nosuch.invalid/busybox"
	status_is 1
	one_line_error
	no_image
}

@test "faults of blobs: truncated, longer, other content, reset" {
	for fault in truncated longer flipped reset; do
		faulty_start $fault
		run --separate-stderr within 120 zl pull "$FAULTY/busybox"
		[ "$status" = 1 ] || fail "$fault: status $status: $stderr"
		[ -n "$stderr" ]
		no_image
		faulty_stop
	done
	faulty_start none
	run -0 zl pull "$FAULTY/busybox"
	store_is_clean
}

@test "faults of manifests: HTML, no JSON, empty, endless, wrong digest, odd values" {
	for fault in html notjson empty endless hugeint nolayers redirects unauthorized; do
		faulty_start $fault
		run --separate-stderr within 120 zl pull "$FAULTY/busybox"
		[ "$status" = 1 ] || fail "$fault: status $status: $stderr"
		one_line_error
		no_image
		faulty_stop
	done
	faulty_start html
	run --separate-stderr zl pull "$FAULTY/busybox"
	stderr_has "text/html"
	faulty_stop
	faulty_start wrongdigest
	run --separate-stderr zl pull \
		"$FAULTY/busybox@$(jq -r '.manifests[0].digest' "$IMAGES/busybox/index.json")"
	status_is 1
	one_line_error
	stderr_has "digest"
	no_image
}

@test "statuses that say no" {
	for code in 400 403 404 429 500 503; do
		faulty_start status-$code
		run --separate-stderr within 120 zl pull "$FAULTY/busybox"
		[ "$status" = 1 ] || fail "$code: status $status: $stderr"
		one_line_error
		faulty_stop
	done
}

@test "SIGKILL in the middle of a pull: the next one cleans up and succeeds" {
	faulty_start stalled
	zl pull "$FAULTY/busybox" >/dev/null 2>&1 3>&- &
	pid=$!
	wait_until 20 grep -q blobs "$FAULTY_DIR/log"
	wait_until 20 bash -c "find '$ZL_ROOT/tmp' -type f -size +1k | grep -q ."
	kill -9 $pid
	wait $pid || true
	[ -z "$(zl images -q)" ]
	touch "$FAULTY_DIR/go"
	run -0 zl pull "$FAULTY/busybox"
	store_is_clean
}

@test "SIGINT and SIGTERM in the middle of a pull leave nothing" {
	for sig in INT TERM; do
		faulty_start stalled
		# A job of a shell without job control would ignore SIGINT.
		python3 -c 'import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execvp(sys.argv[1], sys.argv[1:])' zl pull "$FAULTY/busybox" >/dev/null 2>&1 3>&- &
		pid=$!
		wait_until 20 bash -c "find '$ZL_ROOT/tmp' -type f -size +1k | grep -q ."
		kill -$sig $pid
		wait $pid && fail "pull ended with 0"
		no_image
		touch "$FAULTY_DIR/go"
		faulty_stop
	done
}

@test "two pulls at once: one downloads, the other waits and shows it" {
	faulty_start stalled
	zl pull "$FAULTY/busybox" >one 2>&1 3>&- &
	one=$!
	wait_until 20 bash -c "find '$ZL_ROOT/tmp' -type f -size +1k | grep -q ."
	zl pull "$FAULTY/busybox" >two 2>&1 3>&- &
	two=$!
	wait_until 20 grep -qi wait two
	touch "$FAULTY_DIR/go"
	wait $one
	wait $two
	# Nothing was fetched twice.
	[ -z "$(grep 'GET.*/blobs/' "$FAULTY_DIR/log" | sort | uniq -d)" ]
	[ "$(zl images -q | wc -l)" = 1 ]
	store_is_clean
}

@test "ten pulls of images that share layers at once" {
	pids=()
	for name in busybox entry index list busybox entry index list layers bare; do
		zl pull -q "$REGISTRY/$name" >/dev/null 2>"$name.err" 3>&- &
		pids+=($!)
	done
	for pid in "${pids[@]}"; do
		wait "$pid"
	done
	[ "$(zl images -q | wc -l)" = 6 ]
	store_is_clean
}

@test "disk full during a pull" {
	can_mount || skip "cannot mount here"
	# shellcheck disable=SC2016
	on_fs tmpfs size=1536k 'zl --root "$MNT/root" pull "$REGISTRY/busybox"
		echo "status $?"; find "$MNT/root/tmp" "$MNT/root/layers" "$MNT/root/blobs" -type f | wc -l'
	output_has "status 1"
	stderr_has "No space left on device"
	[ "${lines[-1]}" = 0 ]
}

@test "a store that cannot be written" {
	chmod 711 "$BATS_RUN_TMPDIR" "$BATS_FILE_TMPDIR" . ..
	mkdir -m 555 ro
	run --separate-stderr as_nobody "$ZL" --root "$PWD/ro/root" pull "$REGISTRY/busybox"
	one_line_error
	stderr_has "Permission denied"
}
