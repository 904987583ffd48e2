#!/usr/bin/env bats
# save.bats: images out of the store and back in, and into the hands of other programs.

load ../lib/common

setup_file() {
	zl_setup_file
	load_images busybox entry layers
}

teardown_file() {
	zl_teardown_file
}

setup() {
	cd "$BATS_TEST_TMPDIR" || return
}

# id NAME, digest NAME
id() {
	zl image inspect -f '{{.Id}}' "$1"
}

digest_of() {
	zl images --digests --format '{{.Digest}}' "$1"
}

# bats test_tags=quick
@test "save and load give the same images, by file and by pipe" {
	run -0 --separate-stderr zl save -o all.tar busybox entry:latest layers
	output_is ""
	for how in file pipe; do
		mkdir "$how"
		if [ "$how" = file ]; then
			ZL_ROOT=$PWD/$how run -0 --separate-stderr zl load -i all.tar
		else
			# shellcheck disable=SC2016
			run -0 --separate-stderr bash -c 'zl save busybox entry:latest layers | ZL_ROOT=$PWD/pipe zl load'
		fi
		output_is "Loaded image: busybox:latest
Loaded image: entry:latest
Loaded image: layers:latest"
		for i in busybox entry layers; do
			[ "$(id $i)" = "$(ZL_ROOT=$PWD/$how id $i)" ]
			[ "$(digest_of $i)" = "$(ZL_ROOT=$PWD/$how digest_of $i)" ]
		done
		ZL_ROOT=$PWD/$how store_is_clean
		diff <(cd "$ZL_ROOT/layers" && find . -printf '%p %y %m %s %l\n' | sort) \
			<(cd "$how/layers" && find . -printf '%p %y %m %s %l\n' | sort)
	done
}

@test "the archive is laid out as docker's and an OCI layout, each blob once" {
	zl save -o all.tar busybox entry
	tar -tf all.tar >names
	[ "$(sort names | uniq -d)" = "" ]
	grep -qx index.json names && grep -qx oci-layout names && grep -qx manifest.json names
	tar -xf all.tar
	run -0 jq -r '.[] | .RepoTags[0], .Config, .Layers[]' manifest.json
	output_has busybox:latest
	while read -r f; do
		[ "$(sha256sum <"$f" | cut -d' ' -f1)" = "${f##*/}" ]
	done < <(grep ^blobs <<<"$output")
	run -0 jq -r '.manifests[].annotations["io.containerd.image.name"]' index.json
	output_is "docker.io/library/busybox:latest
docker.io/library/entry:latest"
	[ "$(stat -c %a all.tar)" = 600 ]
}

@test "skopeo and umoci read what is saved, in both formats" {
	zl save -o all.tar busybox layers
	zl save -o one.tar layers
	skopeo copy -q docker-archive:all.tar:layers:latest oci:by-docker:x
	skopeo copy -q oci-archive:one.tar oci:by-oci:x
	for l in by-docker by-oci; do
		[ "$(skopeo inspect --config --raw "oci:$l:x" | jq -c .rootfs.diff_ids)" = \
			"$(zl image inspect -f '{{json .RootFS.Layers}}' layers)" ]
	done
	# (Debian's umoci knows no zstd.)
	mkdir layout && zl save busybox | tar -xC layout
	umoci unpack --rootless --image layout:latest bundle 2>/dev/null
	[ "$(cat bundle/rootfs/etc/second-layer)" = second ]
	# What skopeo makes of it comes back as the same image.
	skopeo copy -q docker-archive:all.tar:layers:latest docker-archive:back.tar:layers:latest
	ZL_ROOT=$PWD/back zl load -i back.tar
	[ "$(ZL_ROOT=$PWD/back id layers)" = "$(id layers)" ]
}

@test "a name without tag saves all tags, an id none" {
	zl tag busybox many:1
	zl tag busybox many:2
	zl save many | tar -xO manifest.json >m.json
	run -0 jq -c 'map(.RepoTags)' m.json
	output_is '[["many:1","many:2"]]'
	zl save "$(id busybox)" | tar -xO manifest.json >m.json
	run -0 jq -c 'map(.RepoTags)' m.json
	output_is '[null]'
	# One image under two spellings is one.
	zl save busybox docker.io/library/busybox:latest many:1 | tar -xO manifest.json >m.json
	run -0 jq -c 'map(.RepoTags)' m.json
	output_is '[["busybox:latest","many:1"]]'
	zl rmi many:1 many:2
}

@test "save by platform" {
	zl save --platform linux/amd64 busybox | tar -t >/dev/null
	run --separate-stderr zl save --platform linux/s390x -o no.tar busybox
	one_line_error
	stderr_has "linux/s390x"
	[ ! -e no.tar ]
}

@test "save refuses what it cannot do, and leaves nothing" {
	run --separate-stderr zl save -o x.tar nosuch
	status_is 1
	one_line_error
	stderr_has "No such image: nosuch:latest"
	run --separate-stderr zl save -o /no/such/dir/x.tar busybox
	one_line_error
	stderr_has 'invalid output path: directory "/no/such/dir" does not exist'
	run --separate-stderr zl save -o "$PWD" busybox
	one_line_error
	run --separate-stderr script -qec 'zl save busybox' /dev/null
	status_is 1
	output_has "cowardly refusing to save to a terminal. Use the -o flag or redirect"
	echo old >x.tar
	run --separate-stderr zl save -o x.tar busybox nosuch
	status_is 1
	[ "$(cat x.tar)" = old ]
	run -0 find . -mindepth 1 ! -name 'separate-stderr*'
	output_is ./x.tar
	run --separate-stderr bash -c 'zl save busybox >/dev/full'
	status_is 1
	one_line_error
	stderr_has "No space left on device"
	zl save -o /dev/null busybox
}

@test "save notices a damaged blob" {
	cp -a "$ZL_ROOT" root
	blob=$(find root/blobs/sha256 -size +1000k | head -n 1)
	chmod u+w "$blob"
	printf x | dd of="$blob" bs=1 seek=5000 conv=notrunc status=none
	ZL_ROOT=$PWD/root run --separate-stderr zl save -o x.tar busybox layers
	one_line_error
	stderr_has "damaged"
	[ ! -e x.tar ]
}
