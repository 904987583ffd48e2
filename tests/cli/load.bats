#!/usr/bin/env bats
# load.bats: images from tars: load, images, tag, inspect, rmi; and tars that mean harm.

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
}

# The folders of a store's unpacked layers.
layers() {
	find "$ZL_ROOT/layers" -mindepth 1 -maxdepth 1
}

# one_layer LINES...: an image of one layer of mktar.py's lines, as x.tar.
one_layer() {
	rm -rf x x.tar
	printf '%s\n' "$@" | python3 "$lib/mktar.py" >layer.tar
	layer_image layer.tar
}

layer_image() {
	rm -rf x x.tar
	(
		# shellcheck source=tests/lib/images.sh
		. "$lib/images.sh"
		layout_init x
		layout_layer x "$1"
		layout_image x latest '{"Cmd":["x"]}'
		docker_archive x x:latest >x.tar
	)
}

# bats test_tags=quick
@test "docker save's format, by -i and by stdin" {
	run -0 --separate-stderr zl load -i "$IMAGES/busybox.tar"
	output_has "Loaded image: busybox:latest"
	run -0 --separate-stderr zl load -q <"$IMAGES/entry.tar"
	output_has "Loaded image: entry:latest"
	run -0 --separate-stderr zl images
	output_has "busybox"
	output_has "entry"
	[ "${#lines[@]}" = 3 ]
	# The two share the layers they have in common.
	[ "$(layers | wc -l)" = 2 ]
	store_is_clean
}

@test "compressed by gzip, zstd, xz and bzip2" {
	gzip -k <"$IMAGES/busybox.tar" >b.tar.gz
	zstd -q <"$IMAGES/busybox.tar" >b.tar.zst
	xz -0 <"$IMAGES/busybox.tar" >b.tar.xz
	bzip2 -1 <"$IMAGES/busybox.tar" >b.tar.bz2
	for suffix in gz zst xz bz2; do
		ZL_ROOT=$PWD/root-$suffix run -0 --separate-stderr zl load -i b.tar.$suffix
		output_has "Loaded image: busybox:latest"
	done
	run -0 --separate-stderr bash -c 'cat b.tar.xz | zl load'
	output_has "Loaded image: busybox:latest"
}

@test "an OCI layout, packed with and without a leading ./" {
	run -0 --separate-stderr zl load -i "$IMAGES/layers.tar"
	output_has "Loaded image"
	tar -C "$IMAGES/entry" -cf dot.tar .
	ZL_ROOT=$PWD/second run -0 --separate-stderr zl load -i dot.tar
	output_has "Loaded image"
}

@test "an archive made by skopeo" {
	skopeo copy -q --insecure-policy "oci:$IMAGES/entry:latest" docker-archive:sk.tar:some/name:v1
	run -0 --separate-stderr zl load -i sk.tar
	output_has "Loaded image: some/name:v1"
	run -0 --separate-stderr zl image inspect -f '{{json .Config.Entrypoint}}' some/name:v1
	output_is '["/bin/echo","entry"]'
}

@test "one image with two names; tag; rmi takes names away, then the image" {
	zl load -i "$IMAGES/two-names.tar"
	run -0 zl images -q
	[ "$(sort -u <<<"$output" | wc -l)" = 1 ]
	run -0 zl images --format '{{.Repository}}:{{.Tag}}'
	[ "$(sort <<<"$output")" = $'other:1.0\nother:2.0' ]
	zl tag other:1.0 localhost:5000/third
	run -0 zl image inspect -f '{{.Id}}' localhost:5000/third:latest
	[[ $output == sha256:* ]]
	run -0 zl rmi other:1.0 other:2.0
	output_has "Untagged: other:1.0"
	[ "$(layers | wc -l)" = 2 ]
	run -0 zl rmi localhost:5000/third
	output_has "Deleted: sha256:"
	[ "$(layers | wc -l)" = 0 ]
	run --separate-stderr zl rmi other:1.0
	status_is 1
	stderr_has "No such image: other:1.0"
}

@test "an image is found under all its spellings and by its id" {
	zl load -i "$IMAGES/busybox.tar"
	id=$(zl image inspect -f '{{.Id}}' busybox)
	for name in busybox busybox:latest library/busybox docker.io/busybox \
		docker.io/library/busybox:latest index.docker.io/library/busybox "$id" \
		"${id#sha256:}" "${id:7:12}"; do
		run -0 --separate-stderr zl image inspect -f '{{.Id}}' "$name"
		output_is "$id"
	done
	for name in busybox:other Busybox 'busy box' "" ":x" "busybox@sha256:12" "busybox:" "-x"; do
		run --separate-stderr zl image inspect -- "$name"
		status_is 1
	done
}

@test "image inspect shows the image's config" {
	zl load -i "$IMAGES/entry.tar"
	run -0 zl image inspect entry
	jq -e '.[0] | .RepoTags == ["entry:latest"] and .Architecture == "amd64" and .Os == "linux"
		and .Config.User == "user" and .Config.WorkingDir == "/made/by/zl"
		and .Config.Env[1] == "FROM_IMAGE=yes" and .Config.StopSignal == "SIGUSR1"
		and (.RootFS.Layers | length) == 2 and .Size > 1000000' <<<"$output"
	run -0 zl image inspect -f '{{.Config.User}} {{len .RootFS.Layers}}' entry
	output_is "user 2"
	run -0 zl image inspect -f '{{json .Descriptor}}' --platform linux/amd64 entry
	blob=$ZL_ROOT/blobs/sha256/$(jq -r '.digest[7:]' <<<"$output")
	[ "$(jq -c '[.mediaType, .size]' <<<"$output")" = "$(jq -c "[.mediaType, $(stat -c %s "$blob")]" "$blob")" ]
	for command in "image inspect" history rmi; do
		# shellcheck disable=SC2086 # words
		run --separate-stderr zl $command --platform linux/arm64 entry
		status_is 1
		stderr_has "image with reference entry was found but does not provide the specified platform (linux/arm64)"
	done
	run -0 zl rmi --platform linux/amd64 entry
}

@test "image inspect has docker's fields, and what the image's makers said of it" {
	mkdir -p oci/blobs/sha256
	blob() { # FILE: into the layout; its descriptor's digest and size
		local hex
		hex=$(sha256sum <"$1" | cut -d' ' -f1)
		cp "$1" "oci/blobs/sha256/$hex"
		printf '"digest":"sha256:%s","size":%s' "$hex" "$(stat -c %s "$1")"
	}
	echo "file a 0644 0 0 x" | python3 "$lib/mktar.py" >layer
	printf '{"created":"2024-01-02T03:04:05.123456789Z","architecture":"arm","variant":"v7","os":"linux",
		"os.version":"12","author":"A. Author","docker_version":"20.10.1","config":{"Cmd":["x"]},
		"rootfs":{"type":"layers","diff_ids":["sha256:%s"]},
		"history":[{"created_by":"a"},{"created_by":"b","comment":"by a builder","empty_layer":true}]}' \
		"$(sha256sum <layer | cut -d' ' -f1)" >config
	type=application/vnd.oci.image
	printf '{"schemaVersion":2,"mediaType":"%s.manifest.v1+json","config":{"mediaType":"%s.config.v1+json",%s},
		"layers":[{"mediaType":"%s.layer.v1.tar",%s}]}' $type $type "$(blob config)" $type "$(blob layer)" >manifest
	printf '{"schemaVersion":2,"manifests":[{"mediaType":"%s.manifest.v1+json",%s,
		"annotations":{"io.containerd.image.name":"docker.io/library/x:1"}}]}' $type "$(blob manifest)" >oci/index.json
	echo '{"imageLayoutVersion":"1.0.0"}' >oci/oci-layout
	tar -C oci -c . | zl load -q
	run -0 zl image inspect x:1
	jq -e '.[0] | keys_unsorted == ["Id", "RepoTags", "RepoDigests", "Parent", "Comment", "Created", "DockerVersion",
		"Author", "Config", "Architecture", "Variant", "Os", "OsVersion", "Size", "VirtualSize", "GraphDriver",
		"RootFS", "Metadata", "Descriptor"]' <<<"$output"
	[ "$(zl image inspect -f '{{.Metadata.LastTagTime}}' x:1)" = 0001-01-01T00:00:00Z ]
	before=$(date -u +%FT%T)
	zl tag x:1 y:2
	first=$(zl image inspect -f '{{.Metadata.LastTagTime}}' x:1)
	[[ $first > $before && $first < $(date -u -d tomorrow +%F) ]]
	zl tag y:2 z:3
	[[ $(zl image inspect -f '{{.Metadata.LastTagTime}}' x:1) > $first ]]
	jq -e '.[0] | .Comment == "by a builder" and .DockerVersion == "20.10.1" and .Author == "A. Author"
		and .Created == "2024-01-02T03:04:05.123456789Z" and .Variant == "v7" and .OsVersion == "12"
		and .Size == 1 and .RootFS.Type == "layers" and .RepoTags == ["x:1"]
		and .Config.Cmd == ["x"] and .Config.Entrypoint == null and .Config.Labels == null' <<<"$output"
}

@test "loading an image again changes nothing" {
	zl load -i "$IMAGES/busybox.tar"
	before=$(cd "$ZL_ROOT" && find blobs layers -printf '%p %i\n' | sort)
	zl load -i "$IMAGES/busybox.tar"
	[ "$before" = "$(cd "$ZL_ROOT" && find blobs layers -printf '%p %i\n' | sort)" ]
	[ "$(zl images -q | wc -l)" = 1 ]
}

@test "rmi of an image that a container uses" {
	zl load -i "$IMAGES/busybox.tar"
	id=$(zl create --name user busybox true)
	run --separate-stderr zl rmi busybox
	status_is 1
	stderr_has "${id:0:12}"
	zl rm user
	zl rmi busybox
	[ "$(layers | wc -l)" = 0 ]
}

@test "what is no image archive" {
	head -c 100000 /dev/urandom >noise
	printf 'hello' >short
	: >empty
	tar -cf other.tar noise short
	head -c 200000 "$IMAGES/busybox.tar" >cut.tar
	gzip <"$IMAGES/busybox.tar" | head -c 300000 >cut.tar.gz
	for f in noise short empty other.tar cut.tar cut.tar.gz /nowhere /; do
		run --separate-stderr zl load -i "$f"
		status_is 1
		one_line_error
	done
	run -0 zl images -q
	output_is ""
	store_is_clean
	[ -z "$(layers)" ]
}

@test "a layer with another diff id than the config says" {
	mkdir a && tar -xf "$IMAGES/busybox.tar" -C a
	printf 'x' | dd of=a/2/layer.tar bs=1 seek=600 conv=notrunc status=none
	tar -C a -cf bad.tar .
	run --separate-stderr zl load -i bad.tar
	status_is 1
	one_line_error
	[ -z "$(zl images -q)" ]
	store_is_clean
}

@test "layers whose names lead out of the root are refused or kept inside" {
	mkdir -p outside/dir && echo keep >outside/keep
	local out=$PWD/outside
	check() {
		one_layer "$@"
		run --separate-stderr zl load -i x.tar
		[ "$status" = 0 ] || one_line_error
		[ "$(find outside | sort | tr '\n' ' ')" = "outside outside/dir outside/keep " ] ||
			fail "$*: something was written outside"
		[ "$(cat outside/keep)" = keep ] && [ "$(stat -c %h outside/keep)" = 1 ]
		[ ! -e /zl-test-escaped ]
		zl rmi -f x >/dev/null 2>&1 || true
		store_is_clean
	}
	check "file ../../../../../../../../../../../../zl-test-escaped 0644 0 0 x"
	check "file a/../../../../../../../../../../../../../zl-test-escaped 0644 0 0 x"
	check "file /zl-test-escaped 0644 0 0 x"
	check "file $out/new 0644 0 0 x"
	check "symlink way 0777 0 0 $out" "file way/new 0644 0 0 x"
	check "symlink way 0777 0 0 $out/dir" "symlink way/deeper 0777 0 0 .." "file way/deeper/new 0644 0 0 x"
	check "symlink way 0777 0 0 ../../../../../../../../../..$out" "file way/new 0644 0 0 x"
	check "hardlink stolen 0644 0 0 $out/keep" "file stolen 0644 0 0 changed"
	check "hardlink stolen 0644 0 0 ../../../../../../../../../..$out/keep"
	check "symlink way 0777 0 0 $out" "hardlink stolen 0644 0 0 way/keep"
	check "symlink way 0777 0 0 $out" "file way/.wh.keep 0644 0 0"
	check "symlink way 0777 0 0 $out" "file way/.wh..wh..opq 0644 0 0"
	check "file .wh... 0644 0 0" "file .wh.. 0644 0 0" "file .wh. 0644 0 0"
	check "symlink keep 0777 0 0 $out/keep" "file keep 0600 0 0 changed"
	check "dir . 0777 0 0" "dir .. 0777 0 0"
}

@test "a layer with devices, fifos and foreign owners loads without root's help" {
	one_layer 'char dev/null 0666 0 0 1 3' 'block dev/sda 0660 0 6 8 0' 'fifo p 0600 7 7' \
		'file su 4755 0 0 x' 'file o 0600 4000000 4000000 x' 'symlink l 0777 5 5 o'
	run -0 --separate-stderr zl load -i x.tar
	[ -z "$(find "$ZL_ROOT/layers" -type b -o -type c -o -type p -o -perm /7000)" ]
}

@test "a hundred thousand entries load within reason" {
	python3 -c '
for i in range(100000):
    print(f"file d{i % 100}/f{i} 0644 0 0")' | python3 "$lib/mktar.py" >many.tar
	layer_image many.tar
	SECONDS=0
	run -0 --separate-stderr zl load -i x.tar
	took_less 60
	run -0 zl rmi x
	[ -z "$(layers)" ]
}

@test "folders nested beyond all measure end in an error or an image, not in a crash" {
	python3 -c 'print("file " + "/".join(["d"] * 3000) + "/f 0644 0 0 x")' |
		python3 "$lib/mktar.py" >deep.tar
	layer_image deep.tar
	run --separate-stderr zl load -i x.tar
	[ "$status" -lt 126 ]
	[ "$status" = 0 ] || one_line_error
	run zl rmi x
	store_is_clean
	[ -z "$(layers)" ]
}

@test "compressed ten times over, and a bomb of zeros, are kept within limits" {
	cp "$IMAGES/busybox.tar" b0
	for i in 1 2 3 4 5 6 7 8 9 10; do
		gzip -1 <b$((i - 1)) >b$i
	done
	run --separate-stderr zl load -i b10
	status_is 1
	one_line_error
}

@test "a layer that unpacks to more than the disk holds is an error that leaves nothing" {
	can_mount || skip "cannot mount here"
	python3 - >layer.tar.gz <<-END
		import sys, tarfile, zlib
		z = zlib.compressobj(9, zlib.DEFLATED, 31)
		info = tarfile.TarInfo("ones")
		info.size = 1 << 30
		block = b"1" * (1 << 20)
		sys.stdout.buffer.write(z.compress(info.tobuf()))
		for _ in range(1 << 10):
		    sys.stdout.buffer.write(z.compress(block))
		sys.stdout.buffer.write(z.compress(bytes(1024)) + z.flush())
	END
	gzip -dc layer.tar.gz >layer.tar
	layer_image layer.tar
	rm layer.tar
	gzip x.tar
	# shellcheck disable=SC2016 # for the inner shell
	on_fs tmpfs size=64m 'zl --root "$MNT/root" load -i x.tar.gz
		echo "status $?"; du -sk "$MNT/root/layers" "$MNT/root/tmp" "$MNT/root/blobs"'
	output_has "status 1"
	stderr_has "No space left on device"
	for part in layers tmp blobs; do
		[ "$(sed -nE "s|^([0-9]+).*/$part\$|\1|p" <<<"$output")" -lt 100 ] || fail "left: $output"
	done
}

@test "a file system without user xattrs: the error says so and what to do" {
	can_mount || skip "cannot mount here"
	# shellcheck disable=SC2016
	on_fs ramfs "" 'zl --root "$MNT/root" load -i "$IMAGES/busybox.tar"; echo "status $?"'
	output_has "status 1"
	stderr_has "xattr"
	stderr_has "--root"
	[ "$(grep -c . <<<"$stderr")" = 1 ]
}
