#!/usr/bin/env bats
# volumes.bats: volumes and --mount as the container sees them.

load ../lib/common

setup_file() {
	zl_setup_file
	load_images busybox
	# shellcheck source=tests/lib/images.sh
	source "$lib/images.sh"
	local d=$BATS_FILE_TMPDIR/vol
	printf '%s\n' 'dir data 0750 1000 2000' 'file data/f 0640 7 8 content' 'symlink data/link 0777 0 0 f' |
		python3 "$lib/mktar.py" >"$d.tar"
	cp -r "$IMAGES/busybox" "$d"
	layout_layer "$d" "$d.tar"
	jq -c '.manifests = []' "$d/index.json" >"$d/index.new" && mv "$d/index.new" "$d/index.json"
	layout_image "$d" vol:latest '{"Cmd":["sh"],"Env":["PATH=/bin"],"Volumes":{"/data":{}}}'
	layout_tar "$d" | zl load -q >/dev/null
}

teardown_file() {
	zl_teardown_file
}

setup() {
	cd "$BATS_TEST_TMPDIR" || return 1
}

@test "a volume: filled from the image, owners stick, others see it, --rm leaves named ones only" {
	run -0 --separate-stderr zl run -q --rm --read-only -v kept:/data -v /anon vol sh -c '
		stat -c "%n %a %u:%g" /data /data/f; cat /data/link; echo
		chown 123:456 /data/f && chmod 4711 /data/f && echo more >/data/new && echo x >/anon/x && echo ok
		mknod /data/dev c 1 3 && stat -c %F /data/dev'
	output_is $'/data 750 1000:2000\n/data/f 640 7:8\ncontent\nok\ncharacter special file'
	[ "$(zl volume ls -q)" = kept ]
	[ -z "$(ls "$ZL_ROOT/volumes/kept/users")" ]
	run -0 --separate-stderr zl run -q --rm -v kept:/elsewhere:ro --mount src=kept,dst=/again,volume-nocopy \
		--mount type=tmpfs,dst=/t,tmpfs-size=1m,tmpfs-mode=1711 busybox sh -c '
		stat -c "%a %u:%g" /elsewhere/f; cat /again/new; echo y >/elsewhere/y || echo read-only
		echo z >/again/z && cat /elsewhere/z; stat -c %a /t; df -k /t | tail -1 | awk "{print \$2}"'
	output_is $'4711 123:456\nmore\nread-only\nz\n1711\n1024'
	zl volume rm kept >/dev/null
	zl events --since 1h --until 0s --format '{{.Type}} {{.Action}}' | grep volume | sort -u | xargs >told
	[ "$(cat told)" = "volume create volume destroy volume mount volume unmount" ]
}

@test "two running containers share a volume; what one writes the other sees; nested mounts" {
	mkdir -p inner
	echo inner >inner/f
	zl run -qd --name first -v both:/v -v "$PWD/inner:/v/deep/in" busybox sleep 100000 >/dev/null
	run -0 --separate-stderr zl run -q --rm --volumes-from first busybox sh -c '
		cat /v/deep/in/f; echo one >/v/f; mv /v/f /v/g; echo two >/v/deep/in/g'
	output_is inner
	[ "$(zl exec first cat /v/g /v/deep/in/g)" = "$(printf 'one\ntwo')" ]
	[ "$(cat inner/g)" = two ]
	zl exec first sh -c 'echo three >/v/g'
	[ "$(zl cp first:/v/g - | tar -xO)" = three ]
	run --separate-stderr zl volume rm both
	one_line_error
	stderr_has "volume is in use"
	zl rm -fv first >/dev/null
	zl volume rm both >/dev/null
}

@test "a folder of a volume; a link in its way is no way out" {
	mkdir host
	zl volume create -o type=none -o o=bind -o device="$PWD/host" below >/dev/null
	mkdir host/sub outside
	ln -s "$PWD/outside" host/out
	run -0 --separate-stderr zl run -q --rm --mount src=below,dst=/s,volume-subpath=sub busybox touch /s/f
	[ -e host/sub/f ]
	run --separate-stderr zl run -q --rm --mount src=below,dst=/s,volume-subpath=out busybox touch /s/f
	status_is 125
	[ -z "$(ls outside)" ]
	zl volume rm below >/dev/null
}
