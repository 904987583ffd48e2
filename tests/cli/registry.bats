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
