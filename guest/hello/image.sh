#!/bin/sh
# Packs a program as the image hello:latest, byte for byte the same each time: image.sh HELLO >hello.tar
set -eu

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
pack() {
	tar --format=ustar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -c "$@"
}
sum() {
	sha256sum "$1" | cut -d' ' -f1
}

mkdir "$work/root" "$work/image"
install -m 755 "$1" "$work/root/hello"
(cd "$work/root" && pack -f "$work/image/layer.tar" hello)
cat >"$work/image/config.json" <<END
{"architecture":"amd64","os":"linux","created":"1970-01-01T00:00:00Z",
"config":{"Cmd":["/hello"],"Env":["PATH=/"],"WorkingDir":"/"},
"rootfs":{"type":"layers","diff_ids":["sha256:$(sum "$work/image/layer.tar")"]},
"history":[{"created":"1970-01-01T00:00:00Z","created_by":"zl"}]}
END
cat >"$work/image/manifest.json" <<END
[{"Config":"config.json","RepoTags":["hello:latest"],"Layers":["layer.tar"]}]
END
cd "$work/image"
pack config.json layer.tar manifest.json
