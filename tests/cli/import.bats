#!/usr/bin/env bats
# import.bats: archives of files become images, containers become archives; no machine is needed.

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

# entries TAR: every member with type, mode, owner, size, time, target.
entries() {
	TZ=UTC tar --full-time --numeric-owner -tvf "$1" | sort -k 6
}

# make_tree: tree.tar with files of every kind.
make_tree() {
	long=$(printf 'n%.0s' {1..120})
	printf '%s\n' 'dir . 0755 0 0' 'dir d 1777 5 6' 'file d/f 4755 1000 2000 content' \
		'symlink d/l 0777 7 8 f' "symlink far 0777 0 0 d/$long" "file d/$long 0600 0 0 long" \
		'hardlink h 4755 1000 2000 d/f' 'fifo p 0600 1 1' 'char c 0666 0 0 1 3' 'block b 0660 0 6 8 0' \
		'file big-ids 0644 3000000 4000000 x' 'hole sparse 0644 0 0 3000000' \
		'xattr cap 0755 0 0 SCHILY.xattr.security.capability=abc' \
		'xattr odd 0644 0 0 SCHILY.xattr.user.a%3Db%25=v' $'file d/\xff\xfe 0644 0 0 bytes' |
		LC_ALL=C.UTF-8 PYTHONIOENCODING=utf-8:surrogateescape python3 "$lib/mktar.py" >tree.tar
}

# bats test_tags=quick
@test "import and export are each other's reverse, for files of every kind" {
	make_tree
	run -0 --separate-stderr zl import tree.tar tree:1
	[[ $output =~ ^sha256:[0-9a-f]{64}$ ]]
	zl create --name box tree:1 sh >/dev/null
	run -0 --separate-stderr zl export -o out.tar box
	output_is ""
	diff <(entries tree.tar) <(entries out.tar)
	[ "$(tar -xOf out.tar sparse | tr -d '\0' | wc -c)" = 0 ]
	python3 - <<-END
		import tarfile
		cap = tarfile.open("out.tar").getmember("cap").pax_headers
		assert cap["SCHILY.xattr.security.capability"] == "abc", cap
		odd = tarfile.open("out.tar").getmember("odd").pax_headers
		assert odd["SCHILY.xattr.user.a%3Db%25"] == "v", odd
	END
	# The same tree gives the same bytes.
	zl export box | cmp - out.tar
	store_is_clean
}

@test "import: packed in any way, from a pipe, with a message and changes" {
	make_tree
	gzip -k tree.tar && xz -k tree.tar && zstd -q tree.tar && bzip2 -k tree.tar
	for f in tree.tar tree.tar.gz tree.tar.xz tree.tar.zst tree.tar.bz2; do
		run -0 --separate-stderr bash -c "zl import - x <$f"
		run -0 zl image inspect -f '{{json .RootFS.Layers}}' x
		output_is "[\"sha256:$(sha256sum <tree.tar | cut -d' ' -f1)\"]"
		zl save x | tar -x
		run -0 jq -r '.layers[0].mediaType' "blobs/sha256/$(jq -r '.manifests[0].digest' index.json | cut -d: -f2)"
		case $f in
		*.zst) output_is application/vnd.oci.image.layer.v1.tar+zstd ;;
		*) output_is application/vnd.oci.image.layer.v1.tar+gzip ;;
		esac
	done
	zl import -m 'from a tar' --platform linux/arm64 \
		-c 'CMD ["a", "b c"]' -c 'ENTRYPOINT run it' -c 'ENV A=1 B="two words" C=x\ y' -c 'ENV OLD old form' \
		-c 'EXPOSE 80 53/udp 7000-7001' -c 'LABEL k=v "a label"="b"' -c 'USER 5:6' -c 'VOLUME ["/v", "/w"]' \
		-c 'VOLUME /x /y' -c 'WORKDIR /one' -c 'WORKDIR two' -c 'STOPSIGNAL SIGQUIT' -c 'ONBUILD RUN x' \
		-c 'HEALTHCHECK --interval=5s --retries=3 CMD curl -f x' tree.tar all:1
	run -0 zl image inspect all:1
	jq -e '.[0] | .Architecture == "arm64" and .Comment == "from a tar" and (.Config |
		.Cmd == ["a", "b c"] and .Entrypoint == ["/bin/sh", "-c", "run it"]
		and .Env == ["A=1", "B=two words", "C=x y", "OLD=old form"]
		and (.ExposedPorts | keys) == ["53/udp", "7000/tcp", "7001/tcp", "80/tcp"]
		and .Labels == {"k": "v", "a label": "b"} and .User == "5:6"
		and (.Volumes | keys) == ["/v", "/w", "/x", "/y"] and .WorkingDir == "/one/two"
		and .StopSignal == "SIGQUIT" and .OnBuild == ["RUN x"]
		and .Healthcheck == {"Test": ["CMD-SHELL", "curl -f x"], "Interval": 5000000000, "Retries": 3})' <<<"$output"
	run -0 zl history --format '{{.Comment}}' all:1
	output_is "from a tar"
	# Bytes that JSON cannot hold become U+FFFD, in keys too.
	zl import -c $'LABEL k\xffy=v\xff' -c $'VOLUME /\xfe' tree.tar bytes:1
	run -0 zl image inspect -f '{{json .Config.Labels}}{{json .Config.Volumes}}' bytes:1
	output_is '{"k�y":"v�"}{"/�":{}}'
}

@test "import from a web server" {
	make_tree
	port=$(free_port)
	mkdir -p "$BATS_FILE_TMPDIR/servers/web"
	python3 -m http.server --bind 127.0.0.1 "$port" >log 2>&1 3>&- &
	echo $! >"$BATS_FILE_TMPDIR/servers/web/pid"
	disown $!
	wait_until 20 curl -fso /dev/null "http://127.0.0.1:$port/tree.tar"
	run -0 --separate-stderr zl import "http://127.0.0.1:$port/tree.tar" web:1
	run -0 zl image inspect -f '{{json .RootFS.Layers}}' web:1
	output_is "[\"sha256:$(sha256sum <tree.tar | cut -d' ' -f1)\"]"
	run --separate-stderr zl import "http://127.0.0.1:$port/nosuch.tar"
	one_line_error
	stderr_has "127.0.0.1:$port"
	stderr_has 404
	kill "$(cat "$BATS_FILE_TMPDIR/servers/web/pid")"
}

@test "import refuses what is no archive, and changes that are none; nothing is left" {
	head -c 5000 /dev/urandom >noise
	for args in "noise" "nowhere.tar" "/" "-c FROM=x noise" "-c RUN noise" "noise Bad/NAME"; do
		# shellcheck disable=SC2086
		run --separate-stderr zl import $args
		status_is 1
		one_line_error
	done
	make_tree
	for change in "RUN x" "ENV" "ENV =x" "EXPOSE 99999" "STOPSIGNAL NOPE" "HEALTHCHECK x" "ONBUILD ONBUILD x"; do
		run --separate-stderr zl import -c "$change" tree.tar
		status_is 1
		one_line_error
	done
	[ -z "$(zl images -aq)" ]
	store_is_clean
	[ -z "$(find "$ZL_ROOT/blobs" "$ZL_ROOT/layers" -mindepth 2)" ]
}

@test "export merges layers: what they hide is not there" {
	load_images layers
	zl create --name box layers >/dev/null
	zl export box >out.tar
	tar -tf out.tar >names
	for gone in d/one gone gonedir o/below o/sub; do
		run -1 grep -xE "$gone/?" names
	done
	[ "$(tar -xOf out.tar o/above)" = above ]
	[ "$(tar -xOf out.tar back)" = new ]
	run -1 grep '\.wh\.' names
	run --separate-stderr zl export nosuch
	one_line_error
	stderr_has "No such container: nosuch"
	run --separate-stderr script -qec "zl export box" /dev/null
	output_has "cowardly refusing to save to a terminal. Use the -o flag or redirect"
}

@test "commit of a container that never ran" {
	load_images entry
	zl create --name box -e NEW=1 --label mine=2 entry other words >/dev/null
	run -0 --separate-stderr zl commit -a 'A. Author' -m 'a message' -c 'ENV MORE=1' box done:1
	[[ $output =~ ^sha256:[0-9a-f]{64}$ ]]
	[ "$(zl image inspect -f '{{.Id}}' done:1)" = "$output" ]
	run -0 zl image inspect done:1
	jq -e '.[0] | .Author == "A. Author" and .Comment == "a message" and (.RootFS.Layers | length) == 3
		and (.Config | (.Env | index("NEW=1")) and (.Env | index("MORE=1")) and (.Env | index("FROM_IMAGE=yes"))
			and .Cmd == ["other", "words"] and .Entrypoint == ["/bin/echo", "entry"]
			and .Labels == {"from.image": "1", "mine": "2"})' <<<"$output"
	run -0 zl commit box
	run --separate-stderr zl commit box Bad/NAME
	one_line_error
	run --separate-stderr zl commit box x@sha256:0000000000000000000000000000000000000000000000000000000000000000
	one_line_error
	run --separate-stderr zl commit nosuch
	one_line_error
	store_is_clean
}
