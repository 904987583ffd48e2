#!/bin/bash
# Makes the images of the tests from Debian's packages: tests/lib/images.sh OUT
#
# OUT gets one OCI layout per image (OUT/<name>/) and tars of some of them. The functions serve
# tests that make further images, too. Nothing here needs root; what only root could create on
# a file system (owners, devices) is written into the layers' tars by mktar.py.
set -euo pipefail

lib=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
OCI_LAYER=application/vnd.oci.image.layer.v1.tar
DOCKER_LAYER=application/vnd.docker.image.rootfs.diff.tar

digest() {
	sha256sum "$1" | cut -d' ' -f1
}

# layout_init DIR: an empty OCI layout.
layout_init() {
	mkdir -p "$1/blobs/sha256"
	echo '{"imageLayoutVersion":"1.0.0"}' >"$1/oci-layout"
	echo '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}' \
		>"$1/index.json"
	: >"$1/.layers"
}

# layout_blob DIR FILE: adds a blob; prints its descriptor's digest and size as JSON members.
layout_blob() {
	local d
	d=$(digest "$2")
	cp "$2" "$1/blobs/sha256/$d"
	printf '"digest":"sha256:%s","size":%d' "$d" "$(stat -c %s "$2")"
}

# layout_layer DIR TAR [gzip|zstd|none]: adds a layer for the next layout_image.
layout_layer() {
	local how=${3:-gzip} packed=$1/.packed suffix
	case $how in
	gzip) gzip -n -6 <"$2" >"$packed" && suffix=+gzip ;;
	zstd) zstd -q -3 <"$2" >"$packed" && suffix=+zstd ;;
	none) cp "$2" "$packed" && suffix= ;;
	esac
	printf '{"diff":"sha256:%s","suffix":"%s",%s}\n' "$(digest "$2")" "$suffix" \
		"$(layout_blob "$1" "$packed")" >>"$1/.layers"
	rm "$packed"
}

# layout_image DIR REF CONFIG [oci|docker] [ARCH]: makes an image of the layers added so far
# (they stay for the next one). CONFIG is the "config" member as JSON. REF "" names nothing.
layout_image() {
	local dir=$1 ref=$2 config=$3 kind=${4:-oci} arch=${5:-amd64} type layer ctype desc
	if [ "$kind" = docker ]; then
		type=application/vnd.docker.distribution.manifest.v2+json
		ctype=application/vnd.docker.container.image.v1+json
		layer=$DOCKER_LAYER
	else
		type=application/vnd.oci.image.manifest.v1+json
		ctype=application/vnd.oci.image.config.v1+json
		layer=$OCI_LAYER
	fi
	jq -cs --argjson c "$config" --arg a "$arch" '{architecture: $a, os: "linux",
		created: "2024-05-06T07:08:09Z", config: $c,
		rootfs: {type: "layers", diff_ids: map(.diff)},
		history: map({created: "2024-05-06T07:08:09Z", created_by: "tests"})}' \
		"$dir/.layers" >"$dir/.config"
	desc=$(layout_blob "$dir" "$dir/.config")
	jq -cs --arg t "$type" --arg l "$layer" --argjson c "{\"mediaType\":\"$ctype\",$desc}" '
		{schemaVersion: 2, mediaType: $t, config: $c, layers: map({
			mediaType: ($l + (if $l | startswith("application/vnd.docker") then
				.suffix | sub("\\+"; ".") else .suffix end)), digest, size})}' \
		"$dir/.layers" >"$dir/.manifest"
	layout_add "$dir" "$ref" "$type" "$dir/.manifest" "$arch"
	rm "$dir/.config" "$dir/.manifest"
}

# layout_add DIR REF TYPE FILE [ARCH]: adds a manifest or index to index.json.
layout_add() {
	local desc
	desc=$(layout_blob "$1" "$4")
	jq -c --arg r "$2" --arg a "${5:-}" --argjson d "{\"mediaType\":\"$3\",$desc}" '
		.manifests += [$d + (if $a != "" then {platform: {architecture: $a, os: "linux"}} else {} end)
			+ (if $r != "" then {annotations: {"org.opencontainers.image.ref.name": $r}} else {} end)]' \
		"$1/index.json" >"$1/.index"
	mv "$1/.index" "$1/index.json"
}

# layout_index DIR REF [oci|docker]: one index of all the manifests that are there, as the only entry.
layout_index() {
	local type=application/vnd.oci.image.index.v1+json
	[ "${3:-oci}" = oci ] || type=application/vnd.docker.distribution.manifest.list.v2+json
	jq -c --arg t "$type" '{schemaVersion: 2, mediaType: $t,
		manifests: .manifests | map(del(.annotations))}' "$1/index.json" >"$1/.list"
	jq -c '.manifests = []' "$1/index.json" >"$1/.index" && mv "$1/.index" "$1/index.json"
	layout_add "$1" "$2" "$type" "$1/.list"
	rm "$1/.list"
}

# layout_tar DIR: the layout as a tar on stdout.
layout_tar() {
	tar -C "$1" --sort=name --owner=0 --group=0 -c oci-layout index.json blobs
}

# docker_archive DIR NAME...: the first image of a layout in the form of `docker save`, on stdout.
docker_archive() {
	local dir=$1 work manifest config i=0 files=() blob
	shift
	work=$(mktemp -d)
	manifest=$dir/blobs/sha256/$(jq -r '.manifests[0].digest | ltrimstr("sha256:")' "$dir/index.json")
	config=$(jq -r '.config.digest | ltrimstr("sha256:")' "$manifest")
	cp "$dir/blobs/sha256/$config" "$work/$config.json"
	while read -r blob; do
		i=$((i + 1))
		mkdir "$work/$i"
		unpacked "$dir/blobs/sha256/$blob" >"$work/$i/layer.tar"
		files+=("$i/layer.tar")
	done < <(jq -r '.layers[].digest | ltrimstr("sha256:")' "$manifest")
	jq -cn --arg c "$config.json" '[{Config: $c, RepoTags: ($ARGS.positional | map(select(startswith("+")) | ltrimstr("+"))),
		Layers: ($ARGS.positional | map(select(startswith("+") | not)))}]' \
		--args -- "${@/#/+}" "${files[@]}" >"$work/manifest.json"
	tar -C "$work" --sort=name --owner=0 --group=0 -c .
	rm -rf "$work"
}

unpacked() {
	case $(od -An -tx1 -N4 "$1") in
	" 1f 8b"*) gzip -dc "$1" ;;
	" 28 b5 2f fd") zstd -qdc "$1" ;;
	*) cat "$1" ;;
	esac
}

# root_of_busybox DIR: the files of a small distribution around Debian's busybox-static.
root_of_busybox() {
	local r=$1 applet
	mkdir -p "$r"/{bin,sbin,usr/bin,usr/sbin,etc,root,home/user,tmp,var/tmp,dev,proc,sys,run,mnt}
	cp "$(command -v busybox)" "$r/bin/busybox"
	for applet in $("$r/bin/busybox" --list); do
		[ "$applet" = busybox ] || ln -s busybox "$r/bin/$applet"
	done
	cat >"$r/etc/passwd" <<-END
		root:x:0:0:root:/root:/bin/sh
		daemon:x:1:1:daemon:/:/bin/false
		user:x:1000:1000:A User:/home/user:/bin/sh
		other:x:1001:100::/home/other:/bin/sh
	END
	cat >"$r/etc/group" <<-END
		root:x:0:
		daemon:x:1:
		users:x:100:
		user:x:1000:
		extra:x:2000:user
		more:x:2001:other,user
	END
	echo 'zl-test' >"$r/etc/os-release"
	chmod 1777 "$r/tmp" "$r/var/tmp"
}

make_images() {
	local out=$1 work
	work=$(mktemp -d)
	root_of_busybox "$work/root"
	musl-gcc -Os -static -s -o "$work/root/bin/fsops" "$lib/fsops.c"
	musl-gcc -Os -static -s -o "$work/root/bin/netops" "$lib/netops.c"
	musl-gcc -Os -static -s -o "$work/root/bin/probe" "$lib/probe.c" \
		-idirafter /usr/include -idirafter "/usr/include/$(gcc -dumpmachine)"
	musl-gcc -Os -static -s -o "$work/root/bin/daxops" "$lib/daxops.c"
	musl-gcc -Os -static -s -o "$work/root/bin/netserve" "$lib/netserve.c"
	tar -C "$work/root" --sort=name --mtime=@1700000000 --owner=0 --group=0 -cf "$work/base.tar" .
	printf '%s\n' 'dir home/user 0755 1000 1000' 'file etc/second-layer 0644 0 0 second' |
		python3 "$lib/mktar.py" >"$work/second.tar"
	local base='{"Cmd":["sh"],"Env":["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]}'

	layout_init "$out/busybox"
	layout_layer "$out/busybox" "$work/base.tar"
	layout_layer "$out/busybox" "$work/second.tar"
	layout_image "$out/busybox" latest "$base" docker

	# Everything a config can say.
	cp -r "$out/busybox" "$out/entry"
	echo '{"schemaVersion":2,"manifests":[]}' >"$out/entry/index.json"
	layout_image "$out/entry" latest '{"Entrypoint":["/bin/echo","entry"],"Cmd":["cmd","more"],
		"Env":["PATH=/bin","FROM_IMAGE=yes","BOTH=image"],"WorkingDir":"/made/by/zl","User":"user",
		"Labels":{"from.image":"1"},"StopSignal":"SIGUSR1","ExposedPorts":{"80/tcp":{}}}'

	# Layers that hide what lies below, and files of every kind.
	printf '%s\n' 'dir d 0755 0 0' 'file d/one 0644 0 0 one' 'file d/two 0644 0 0 two' \
		'dir o 0755 0 0' 'file o/below 0644 0 0 below' 'dir o/sub 0755 0 0' 'file o/sub/x 0644 0 0 x' \
		'file gone 0644 0 0 gone' 'dir gonedir 0755 0 0' 'file gonedir/f 0644 0 0 f' \
		'file becomes-dir 0644 0 0 file' 'dir becomes-file 0755 0 0' 'file becomes-file/f 0644 0 0 f' \
		'file setuid 4755 0 0 s' 'file owned 0640 1000 2000 mine' 'symlink link 0777 0 0 owned' \
		'symlink userlink 0777 1000 1000 owned' 'file hard 0644 0 0 hard' 'hardlink hard2 0644 0 0 hard' \
		'fifo fifo 0600 0 0' 'char null 0666 0 0 1 3' 'block blk 0600 0 0 7 0' \
		'file sticky 1644 0 0 t' 'file secret 0000 0 0 secret' 'dir closed 0700 1000 1000' \
		'xattr xa 0644 0 0 SCHILY.xattr.user.colour=blue' 'file back 0644 0 0 old' |
		python3 "$lib/mktar.py" >"$work/m1.tar"
	printf '%s\n' 'file d/.wh.one 0644 0 0' 'file d/three 0644 0 0 three' 'dir o 0755 0 0' \
		'file o/.wh..wh..opq 0644 0 0' 'file o/above 0644 0 0 above' 'file .wh.gone 0644 0 0' \
		'file .wh.gonedir 0644 0 0' 'dir becomes-dir 0755 0 0' 'file becomes-dir/f 0644 0 0 f' \
		'file becomes-file 0644 0 0 now-a-file' 'file .wh.back 0644 0 0' |
		python3 "$lib/mktar.py" >"$work/m2.tar"
	printf '%s\n' 'file back 0644 0 0 new' 'file gone-no-more 0644 0 0 x' |
		python3 "$lib/mktar.py" >"$work/m3.tar"
	layout_init "$out/layers"
	layout_layer "$out/layers" "$work/base.tar"
	layout_layer "$out/layers" "$work/m1.tar" zstd
	layout_layer "$out/layers" "$work/m2.tar" none
	layout_layer "$out/layers" "$work/m3.tar"
	layout_image "$out/layers" layers:latest "$base"

	# One index for two platforms; the foreign one says so when it is run by mistake.
	cp -r "$out/busybox" "$out/index"
	layout_image "$out/index" '' '{"Cmd":["echo","arm"]}' oci arm64
	layout_index "$out/index" latest
	cp -r "$out/busybox" "$out/list"
	layout_image "$out/list" '' '{"Cmd":["echo","arm"]}' docker arm64
	layout_index "$out/list" latest docker

	# An image without any layer of ours: programs only, no /etc, no shell.
	printf '%s\n' 'dir etc 0755 0 0' | python3 "$lib/mktar.py" >"$work/bare.tar"
	mkdir "$work/bare" && cp "$work/root/bin/probe" "$work/bare/probe"
	tar -C "$work/bare" --owner=0 --group=0 --mtime=@1 -cf "$work/bare.tar" probe
	layout_init "$out/bare"
	layout_layer "$out/bare" "$work/bare.tar"
	layout_image "$out/bare" latest '{"Entrypoint":["/probe"]}'

	cp "$work/root/bin/probe" "$out/probe"
	docker_archive "$out/busybox" busybox:latest >"$out/busybox.tar"
	docker_archive "$out/busybox" other:1.0 other:2.0 >"$out/two-names.tar"
	docker_archive "$out/entry" entry:latest >"$out/entry.tar"
	docker_archive "$out/bare" bare:latest >"$out/bare.tar"
	layout_tar "$out/layers" >"$out/layers.tar"
	rm -rf "$work"
}

if [ "${BASH_SOURCE[0]}" = "$0" ]; then
	out=$1
	mkdir -p "$(dirname "$out")"
	stamp=$(cat "$lib"/{images.sh,mktar.py,fsops.c,netops.c,probe.c,daxops.c,netserve.c} "$(command -v busybox)" | sha256sum | cut -c1-16)
	made() {
		[ "$(cat "$out/stamp" 2>/dev/null)" = "$stamp" ]
	}
	! made || exit 0
	exec 9>"$out.lock"
	flock 9
	! made || exit 0
	rm -rf "$out" "$out.new"
	mkdir "$out.new"
	make_images "$out.new"
	echo "$stamp" >"$out.new/stamp"
	mv "$out.new" "$out"
fi
