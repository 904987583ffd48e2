#!/usr/bin/env bats
# registry.bats: push, login, logout, search, manifest inspect, and how registries are reached.

load ../lib/common
load ../lib/registries

setup_file() {
	zl_setup_file
	registry_start
	certificates_make
	htpasswd_line ann 'pass:word' >"$BATS_FILE_TMPDIR/htpasswd"
	secure_registry basic "auth: {htpasswd: {realm: tests, path: $BATS_FILE_TMPDIR/htpasswd}}"
	export BASIC=$SECURE
	server_start token python3 "$lib/token.py" "$CERTS/token.key" "$CERTS/token.crt" ann secret
	export TOKEN_DIR=$SERVER_DIR
	secure_registry tokens "auth:
  token: {realm: \"http://127.0.0.1:$SERVER_PORT/token\", service: tests, issuer: zl-tests,
    rootcertbundle: $CERTS/token.crt}"
	export TOKENS=$SECURE
	load_images busybox entry
	http2_front
	export FRONT
}

teardown_file() {
	zl_teardown_file
}

setup() {
	registries_setup
	cd "$BATS_TEST_TMPDIR" || return
}

manifest_of() {
	jq -r '.manifests[0].digest' "$IMAGES/$1/index.json"
}

# An image with a layer that is larger than what goes in one request.
big_image() {
	layout_init big
	mkdir -p root
	head -c 9000000 /dev/urandom >root/noise
	tar -C root -cf big-layer.tar .
	layout_layer big big-layer.tar none
	layout_image big "$1" '{"Cmd":["true"]}'
	layout_tar big >big.tar
	zl load -q -i big.tar >/dev/null
}

# bats test_tags=quick
@test "push as docker words it, again, under another name, all tags, quietly" {
	zl tag busybox "$REGISTRY/one/app:v1"
	run -0 --separate-stderr zl push "$REGISTRY/one/app:v1"
	[ -z "$stderr" ]
	[ "${lines[0]}" = "The push refers to repository [$REGISTRY/one/app]" ]
	[ "$(grep -c ': Preparing$' <<<"$output")" = 2 ]
	[ "$(grep -c ': Pushed$' <<<"$output")" = 2 ]
	[[ ${lines[-1]} =~ ^v1:\ digest:\ sha256:[0-9a-f]{64}\ size:\ [0-9]+$ ]]
	run -0 skopeo inspect --tls-verify=false "docker://$REGISTRY/one/app:v1"
	run -0 --separate-stderr zl push "$REGISTRY/one/app:v1"
	[ "$(grep -c ': Layer already exists$' <<<"$output")" = 2 ]
	zl tag busybox "$REGISTRY/two/app"
	run -0 --separate-stderr zl push "$REGISTRY/two/app"
	[ "${lines[0]}" = "Using default tag: latest" ]
	[ "$(grep -c ': Mounted from one/app$' <<<"$output")" = 2 ]
	zl tag busybox "$REGISTRY/two/app:more"
	run -0 --separate-stderr zl push -a "$REGISTRY/two/app"
	[ "$(grep -c ': digest: sha256:' <<<"$output")" = 2 ]
	run -0 --separate-stderr zl push -q "$REGISTRY/two/app"
	output_is "$REGISTRY/two/app:latest"
	export ZL_ROOT=$PWD/fresh
	run -0 --separate-stderr zl pull -a "$REGISTRY/two/app"
	[ "${lines[-1]}" = "$REGISTRY/two/app" ]
	[ "$(zl images --format '{{.Tag}}' | sort | tr '\n' ' ')" = "latest more " ]
	run --separate-stderr zl pull -a "$REGISTRY/two/app:more"
	one_line_error
	stderr_has "tag can't be used with --all-tags/-a"
	run --separate-stderr zl pull -a "$REGISTRY/two/nosuch"
	one_line_error
	stderr_has "$REGISTRY/two/nosuch"
}

@test "push what was pulled: the same bytes under another name, mounted" {
	registry_push entry from/entry
	zl pull -q "$REGISTRY/from/entry"
	zl tag "$REGISTRY/from/entry" "$REGISTRY/to/entry"
	run -0 zl push "$REGISTRY/to/entry"
	output_has "latest: digest: $(manifest_of entry) size: "
	output_has "Mounted from from/entry"
}

@test "push: what is not there, what is no name, platforms" {
	run --separate-stderr zl push "$REGISTRY/nosuch:v1"
	status_is 1
	one_line_error
	stderr_has "An image does not exist locally with the tag: $REGISTRY/nosuch"
	run --separate-stderr zl push -a "$REGISTRY/x:v1"
	stderr_has "tag can't be used with --all-tags/-a"
	run --separate-stderr zl push "$REGISTRY/x@$(manifest_of busybox)"
	stderr_has "cannot push a digest reference"
	zl tag busybox "$REGISTRY/arch"
	run --separate-stderr zl push --platform linux/arm64 "$REGISTRY/arch"
	status_is 1
	stderr_has "does not provide the specified platform (linux/arm64)"
	run -0 zl push -q --platform linux/amd64 "$REGISTRY/arch"
	zl tag busybox "127.0.0.1:$(free_port)/x"
	run --separate-stderr zl push --disable-content-trust=false "$REGISTRY/arch"
	status_is 1
}

@test "push: a transfer that breaks is continued, or begun anew; a refusal is told" {
	# shellcheck source=/dev/null
	source "$lib/images.sh"
	for fault in pushbreak pushlost; do
		faulty_start $fault
		big_image "$FAULTY/big:v1"
		run -0 --separate-stderr zl push "$FAULTY/big:v1"
		output_has "Retrying in 1 second"
		output_has ": Pushed"
		if [ $fault = pushbreak ]; then
			grep -q '^range [0-9]*-9[0-9]*$' "$FAULTY_DIR/log"
		else
			[ "$(grep -c 'POST .*/uploads/' "$FAULTY_DIR/log")" -ge 3 ]
		fi
		faulty_stop
	done
	faulty_start pushdenied
	zl tag busybox "$FAULTY/busybox"
	run --separate-stderr zl push "$FAULTY/busybox"
	status_is 1
	stderr_has "push access denied for $FAULTY/busybox"
	stderr_has "read-only"
	faulty_stop
}

@test "HTTPS and passwords: login, pull, push, logout" {
	zl tag busybox "$BASIC/app"
	run --separate-stderr zl push "$BASIC/app"
	status_is 1
	stderr_has "push access denied"
	run --separate-stderr zl login -u ann -p wrong "$BASIC"
	status_is 1
	stderr_has "$BASIC: unauthorized: incorrect username or password"
	[ ! -e "$DOCKER_CONFIG/config.json" ]
	run -0 --separate-stderr zl login -u ann --password-stdin "$BASIC" <<<'pass:word'
	output_is "Login Succeeded"
	stderr_has "stored unencrypted in '$DOCKER_CONFIG/config.json'"
	[ "$(stat -c %a "$DOCKER_CONFIG/config.json")" = 600 ]
	[ "$(jq -r ".auths[\"$BASIC\"].auth" "$DOCKER_CONFIG/config.json" | base64 -d)" = "ann:pass:word" ]
	run -0 zl push "$BASIC/app"
	ZL_ROOT=$PWD/fresh run -0 zl pull -q "$BASIC/app"
	run -0 --separate-stderr zl login "$BASIC" </dev/null
	output_has "Authenticating with existing credentials"
	run -0 zl search "$BASIC/ap"
	output_has "$BASIC/app"
	run -0 --separate-stderr zl logout "$BASIC"
	output_is "Removing login credentials for $BASIC"
	[ "$(jq -c .auths "$DOCKER_CONFIG/config.json")" = '{}' ]
	run --separate-stderr zl pull "$BASIC/app"
	status_is 1
	stderr_has "pull access denied"
}

@test "login: what is wrong with the command line; on a terminal" {
	run --separate-stderr zl login --password-stdin "$BASIC" </dev/null
	stderr_has "Must provide --username with --password-stdin"
	run --separate-stderr zl login -u ann -p x --password-stdin "$BASIC" </dev/null
	stderr_has "--password and --password-stdin are mutually exclusive"
	run --separate-stderr zl login -u ann "$BASIC" </dev/null
	status_is 1
	stderr_has "non TTY device"
	run --separate-stderr zl login -u ann -p x "127.0.0.1:$(free_port)"
	status_is 1
	stderr_has "WARNING! Using --password via the CLI is insecure"
	run -0 expect -c "
		set timeout $((60 * TEST_SLOW))
		spawn zl login $BASIC
		expect {Username: }
		send \"ann\r\"
		expect {Password: }
		send \"pass:word\r\"
		expect {Login Succeeded}
		expect eof"
	output_has "Login Succeeded"
	[[ $output != *pass:word* ]]
}

@test "tokens: anonymous pulls, login with an identity token, pushes with it" {
	zl tag busybox "$TOKENS/team/app"
	run --separate-stderr zl push "$TOKENS/team/app"
	status_is 1
	stderr_has "push access denied"
	run --separate-stderr zl login -u ann -p no "$TOKENS"
	status_is 1
	stderr_has "the token server refuses your credentials"
	run -0 zl login -u ann --password-stdin "$TOKENS" <<<secret
	[ "$(jq -r ".auths[\"$TOKENS\"].identitytoken" "$DOCKER_CONFIG/config.json")" = refresh-me ]
	[[ $(<"$DOCKER_CONFIG/config.json") != *secret* ]]
	run -0 zl push "$TOKENS/team/app"
	zl tag busybox "$TOKENS/other/app"
	run -0 zl push "$TOKENS/other/app"
	output_has "Mounted from team/app"
	zl logout "$TOKENS"
	ZL_ROOT=$PWD/fresh run -0 zl pull -q "$TOKENS/team/app"
	grep -qi 'scope=repository%3Ateam%2Fapp%3Apull' "$TOKEN_DIR/log"
}

@test "credential helpers: get, store, erase; per registry and for all" {
	cat >"$BATS_FILE_TMPDIR/bin/docker-credential-tests" <<-'END'
		#!/bin/sh
		cd "$BATS_TEST_TMPDIR" || exit 1
		input=$(cat)
		echo "$1 $input" >>helper.log
		case $1 in
		store) echo "$input" >stored ;;
		get) cat stored 2>/dev/null || { echo "credentials not found in native keychain"; exit 1; } ;;
		erase) rm stored ;;
		esac
	END
	chmod +x "$BATS_FILE_TMPDIR/bin/docker-credential-tests"
	mkdir "$DOCKER_CONFIG"
	echo '{"credsStore": "tests", "psFormat": "kept"}' >"$DOCKER_CONFIG/config.json"
	run -0 --separate-stderr zl login -u ann --password-stdin "$BASIC" <<<pass:word
	output_is "Login Succeeded"
	[ -z "$stderr" ]
	[ "$(jq -r .Secret stored)" = pass:word ]
	[ "$(jq -c "[.psFormat, .auths[\"$BASIC\"]]" "$DOCKER_CONFIG/config.json")" = '["kept",{}]' ]
	zl tag busybox "$BASIC/helped"
	run -0 zl push "$BASIC/helped"
	grep -q "^get $BASIC\$" helper.log
	run -0 zl logout "$BASIC"
	[ ! -e stored ]
	run --separate-stderr zl push "$BASIC/helped"
	status_is 1
	echo "{\"credHelpers\": {\"$BASIC\": \"nosuch\"}}" >"$DOCKER_CONFIG/config.json"
	run --separate-stderr zl push "$BASIC/helped"
	status_is 1
	stderr_has "docker-credential-nosuch"
	stderr_has "No such file or directory"
}

@test "podman's auth.json, with keys for repositories" {
	zl tag busybox "$BASIC/mine/app"
	good=$(printf ann:pass:word | base64)
	bad=$(printf ann:wrong | base64)
	printf '{"auths": {"%s": {"auth": "%s"}, "%s/mine": {"auth": "%s"}}}' "$BASIC" "$bad" "$BASIC" \
		"$good" >auth.json
	REGISTRY_AUTH_FILE=$PWD/auth.json run -0 zl push "$BASIC/mine/app"
	zl tag busybox "$BASIC/yours/app"
	REGISTRY_AUTH_FILE=$PWD/auth.json run --separate-stderr zl push "$BASIC/yours/app"
	status_is 1
	mkdir -p "$XDG_CONFIG_HOME/containers"
	cp auth.json "$XDG_CONFIG_HOME/containers/"
	run -0 zl push "$BASIC/mine/app"
}

@test "search a catalogue: pages, case, limit, format, filters, what cannot be searched" {
	faulty_start catalogue
	run -0 zl search "$FAULTY/app"
	[ "${lines[0]%% *}" = NAME ]
	[[ ${lines[0]} == *DESCRIPTION*STARS*OFFICIAL ]]
	[ "${#lines[@]}" = 9 ]
	run -0 zl search --format '{{.Name}} {{.StarCount}}' "$FAULTY/APP1"
	output_is "$FAULTY/team/app1 0
$FAULTY/other/App1x 0"
	run -0 zl search --limit 3 --format json "$FAULTY/"
	[ "$(jq -sc 'length' <<<"$output")" = 3 ]
	run -0 zl search --filter stars=1 --format '{{.Name}}' "$FAULTY/app"
	output_is ""
	run --separate-stderr zl search --limit 0 x
	stderr_has "limit 0 is outside the range of [1, 100]"
	run --separate-stderr zl search --filter colour=red x
	status_is 1
	faulty_stop
	faulty_start catalogueloop
	run -0 within 20 zl search "$FAULTY/app"
	faulty_stop
	faulty_start none
	run --separate-stderr zl search "$FAULTY/app"
	status_is 1
	one_line_error
	stderr_has "$FAULTY: it cannot be searched"
	faulty_stop
}

@test "search the Hub: order, columns, limit, filters, what it says when it cannot" {
	FAULTY_TLS="$CERTS/good.crt $CERTS/good.key" faulty_start hub
	server_start proxy python3 "$lib/proxy.py" "${FAULTY#*:}"
	export HTTPS_PROXY=http://127.0.0.1:$SERVER_PORT
	trust index.docker.io
	run -0 --separate-stderr zl search redis
	output_is "$(printf '%s\n' 'NAME          DESCRIPTION                                     STARS     OFFICIAL' \
		'some/redis                                                    1000      ' \
		"redis         the official one $(printf 'x%.0s' {1..27})…   900       [OK]" \
		'other/redis   small                                           2         ')"
	grep -q '^GET /v1/search?n=25&q=redis' "$FAULTY_DIR/log"
	run -0 zl search --format '{{.Name}}|{{.IsOfficial}}|{{.IsAutomated}}' --filter is-official=true "docker.io/a b"
	output_is "a b|[OK]|"
	grep -qE 'q=a(%20|\+)b' "$FAULTY_DIR/log"
	run -0 zl search --format json --filter stars=3 --no-trunc redis
	[ "$(jq -sc '[.[] | [.Name, .StarCount, .IsOfficial]]' <<<"$output")" = \
		'[["some/redis","1000","false"],["redis","900","true"]]' ]
	run -0 zl search --limit 1 --format '{{.Name}}' redis
	output_is redis
	faulty_stop
	declare -A words=([hubdown]="HTTP status 503" [hubhtml]="not valid JSON" [hubodd]="holds no results")
	zl_config '{"max-download-attempts": 1}'
	for fault in "${!words[@]}"; do
		FAULTY_TLS="$CERTS/good.crt $CERTS/good.key" faulty_start "$fault"
		server_start proxy python3 "$lib/proxy.py" "${FAULTY#*:}"
		HTTPS_PROXY=http://127.0.0.1:$SERVER_PORT run --separate-stderr timeout 60 zl search redis
		status_is 1
		one_line_error
		stderr_has "index.docker.io"
		stderr_has "${words[$fault]}"
		faulty_stop
	done
}

@test "HTTP/2, and a host that wants to see our certificate" {
	export ZL_ROOT=$PWD/fresh certs=$XDG_CONFIG_HOME/zl/certs.d/$FRONT
	registry_push busybox front/busybox
	trust "$FRONT"
	run --separate-stderr zl pull "$FRONT/front/busybox"
	status_is 1
	stderr_has "$FRONT"
	stderr_has "No required SSL certificate was sent"
	cp "$CERTS/stranger.crt" "$certs/client.cert"
	cp "$CERTS/stranger.key" "$certs/client.key"
	run --separate-stderr zl pull -q "$FRONT/front/busybox"
	status_is 1
	one_line_error
	stderr_has "The SSL certificate error"
	cp "$CERTS/client.crt" "$certs/client.cert"
	run --separate-stderr zl pull -q "$FRONT/front/busybox"
	status_is 1
	one_line_error
	stderr_has "client.key"
	cp "$CERTS/client.key" "$certs/client.key"
	: >"$FRONT_LOG"
	run -0 --separate-stderr zl pull "$FRONT/front/busybox"
	output_has "Downloaded newer image"
	run -0 --separate-stderr zl pull "$FRONT/front/busybox"
	output_has "Image is up to date"
	# shellcheck source=/dev/null
	source "$lib/images.sh"
	big_image "$FRONT/front/big:v1"
	run -0 zl push "$FRONT/front/big:v1"
	# It is what was pushed.
	run -0 skopeo inspect --tls-verify=false --format '{{.Digest}}' "docker://$REGISTRY/front/big:v1"
	[ "$output" = "$(zl image inspect -f '{{.Descriptor.digest}}' "$FRONT/front/big:v1")" ]
	run -0 zl manifest inspect "$FRONT/front/big:v1"
	for method in GET HEAD PATCH PUT POST; do
		grep -q "^HTTP/2.0 SUCCESS $method 20" "$FRONT_LOG" || fail "no $method: $(cat "$FRONT_LOG")"
	done
	[ "$(grep -vc '^HTTP/2.0 SUCCESS' "$FRONT_LOG")" = 0 ] || fail "$(cat "$FRONT_LOG")"
}

@test "what import and commit make is what others pull" {
	printf '%s\n' 'dir d 1777 5 6' 'file d/f 4755 1000 2000 content' 'symlink l 0777 0 0 d/f' 'hardlink h 4755 1000 2000 d/f' |
		python3 "$lib/mktar.py" >tree.tar
	zl import -c 'CMD ["x", "y"]' -c 'ENV A=b' tree.tar "$REGISTRY/made/import:1"
	zl create --name box -e NEW=1 --label mine=2 entry other words
	zl commit -a 'A. Author' box "$REGISTRY/made/commit:1"
	zl rm box
	for name in import commit; do
		run -0 zl push "$REGISTRY/made/$name:1"
		run -0 skopeo copy -q --src-tls-verify=false "docker://$REGISTRY/made/$name:1" "oci:back-$name:1"
		umoci unpack --rootless --image "back-$name:1" "bundle-$name" 2>/dev/null
		tar -C "back-$name" -c . | ZL_ROOT=$PWD/back zl load -q
	done
	[ "$(cat bundle-import/rootfs/d/f)" = content ]
	[ "$(readlink bundle-import/rootfs/l)" = d/f ]
	[ bundle-import/rootfs/h -ef bundle-import/rootfs/d/f ]
	run -0 skopeo inspect --config --tls-verify=false "docker://$REGISTRY/made/import:1"
	jq -e '.config.Cmd == ["x", "y"] and .config.Env == ["A=b"]
		and .rootfs.diff_ids == ["sha256:'"$(sha256sum <tree.tar | cut -d' ' -f1)"'"]' <<<"$output"
	run -0 skopeo inspect --config --tls-verify=false "docker://$REGISTRY/made/commit:1"
	jq -e '.author == "A. Author" and (.config.Env | index("NEW=1")) and .config.Cmd == ["other", "words"]
		and .config.Labels.mine == "2" and (.rootfs.diff_ids | length) == 3 and (.history | length) == 3' <<<"$output"
	# The same images, by id.
	[ "$(ZL_ROOT=$PWD/back zl images -q --no-trunc | sort)" = \
		"$(zl images -q --no-trunc --filter 'reference=*/made/*' | sort)" ]
}

@test "manifest inspect: an image, an index, verbosely" {
	registry_push busybox
	registry_push index
	run -0 zl manifest inspect "$REGISTRY/busybox"
	blob=$IMAGES/busybox/blobs/sha256/$(manifest_of busybox | cut -d: -f2)
	[ "$output" = "$(jq --tab . "$blob")" ]
	run -0 zl manifest inspect "$REGISTRY/index"
	[ "${lines[1]}" = '   "schemaVersion": 2,' ]
	[ "$(jq -c '[.manifests[].platform.architecture] | sort' <<<"$output")" = '["amd64","arm64"]' ]
	run -0 zl manifest inspect -v "$REGISTRY/index"
	[ "$(jq -r '.[0].Ref' <<<"$output")" = "$REGISTRY/index:latest@$(jq -r '.[0].Descriptor.digest' <<<"$output")" ]
	[ "$(jq -r '.[0].Raw' <<<"$output" | base64 -d | sha256sum | cut -d' ' -f1)" = \
		"$(jq -r '.[0].Descriptor.digest' <<<"$output" | cut -d: -f2)" ]
	run -0 zl manifest inspect -v "$REGISTRY/busybox"
	[ "$(jq -c .Descriptor.platform <<<"$output")" = '{"architecture":"amd64","os":"linux"}' ]
	[ "$(jq .SchemaV2Manifest <<<"$output")" = "$(jq . "$blob")" ]
	run --separate-stderr zl manifest inspect "$REGISTRY/nosuch"
	status_is 1
	one_line_error
}
