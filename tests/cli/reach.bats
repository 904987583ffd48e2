#!/usr/bin/env bats
# reach.bats: how registries are reached: certificates, mirrors, proxies, redirects, faults on the way.

load ../lib/common
load ../lib/registries

setup_file() {
	zl_setup_file
	certificates_make
}

teardown_file() {
	zl_teardown_file
}

setup() {
	registries_setup
	export ZL_ROOT=$BATS_TEST_TMPDIR/root
	cd "$BATS_TEST_TMPDIR" || return
	zl_config '{"max-download-attempts": 2}'
}

# fails_with WORDS...: one clear sentence that names the host, within the time limit.
fails_with() {
	local words
	run --separate-stderr within 30 zl pull -q "${IMAGE:-$FAULTY/busybox}"
	status_is 1
	one_line_error
	stderr_has "${FAULTY%:*}"
	for words in "$@"; do
		stderr_has "$words"
	done
	[ -z "$(zl images -q)" ]
}

@test "certificates on loopback: trusted, of a stranger, expired, of another host, none asked for" {
	FAULTY_TLS="$CERTS/good.crt $CERTS/good.key" faulty_start none
	run -0 zl pull -q "$FAULTY/busybox"
	trust "$FAULTY"
	run -0 zl pull -q "$FAULTY/other"
	zl rmi -f "$FAULTY/busybox" "$FAULTY/other"
	trust "$FAULTY" "$CERTS/stranger.crt"
	fails_with "its certificate is refused"
	echo rubbish >"$XDG_CONFIG_HOME/zl/certs.d/$FAULTY/a.cert"
	fails_with "missing key a.key for client certificate a.cert"
	faulty_stop
	for cert in expired other; do
		FAULTY_TLS="$CERTS/$cert.crt $CERTS/$cert.key" faulty_start none
		trust "$FAULTY"
		fails_with "its certificate is refused"
		[[ $cert != expired ]] || stderr_has "expired"
		[[ $cert != other ]] || stderr_has "127.0.0.1'"
		faulty_stop
	done
}

@test "a host in the world: by a proxy; its certificate counts; insecure-registries; --insecure" {
	FAULTY_TLS="$CERTS/good.crt $CERTS/good.key" faulty_start none
	server_start proxy python3 "$lib/proxy.py" "${FAULTY#*:}"
	export HTTPS_PROXY=http://127.0.0.1:$SERVER_PORT
	FAULTY=registry.test
	fails_with "its certificate is refused"
	grep -q "CONNECT registry.test:443" "$SERVER_DIR/log"
	run -0 zl manifest inspect --insecure registry.test/busybox
	trust registry.test
	run -0 zl pull -q registry.test/busybox
	rm -r "$XDG_CONFIG_HOME/zl/certs.d" && zl rmi registry.test/busybox
	zl_config '{"insecure-registries": ["registry.test"]}'
	run -0 zl pull -q registry.test/busybox
	zl rmi registry.test/busybox
	unset HTTPS_PROXY
	zl_config "{\"proxies\": {\"https-proxy\": \"http://127.0.0.1:$SERVER_PORT\"}}"
	trust registry.test
	run -0 zl pull -q registry.test/busybox
	zl_config "{\"proxies\": {\"https-proxy\": \"http://127.0.0.1:$(free_port)\"}}"
	zl rmi registry.test/busybox
	fails_with "Failed to connect to 127.0.0.1"
	NO_PROXY=registry.test IMAGE=registry.test:1/x HTTPS_PROXY=http://127.0.0.1:$SERVER_PORT \
		fails_with "registry.test"
}

@test "mirrors come before docker.io, and docker.io after them" {
	faulty_start none
	zl_config "{\"registry-mirrors\": [\"http://127.0.0.1:$(free_port)\", \"http://$FAULTY/\"]}"
	run -0 --separate-stderr zl pull some/image
	output_has "Status: Downloaded newer image for some/image:latest"
	grep -q 'GET /v2/some/image/manifests/latest' "$FAULTY_DIR/log"
	faulty_stop
	faulty_start status-404
	FAULTY_TLS="$CERTS/good.crt $CERTS/good.key" faulty_start none
	server_start proxy python3 "$lib/proxy.py" "${FAULTY#*:}"
	export HTTPS_PROXY=http://127.0.0.1:$SERVER_PORT
	trust registry-1.docker.io
	zl_config "{\"registry-mirrors\": [\"http://$FAULTY\"]}"
	run -0 --separate-stderr zl pull another/image
	grep -q "CONNECT registry-1.docker.io:443" "$SERVER_DIR/log"
}

@test "the configuration: unknown keys, wrong values, no JSON" {
	for text in '{"storage-driver": "x"}' '{"registry-mirrors": ["mirror"]}' '{"proxies": 3}' '{' \
		'{"max-concurrent-downloads": 0}' '[]'; do
		zl_config "$text"
		run --separate-stderr zl pull 127.0.0.1:1/x
		status_is 1
		one_line_error
		stderr_has "zl/config.json"
	done
}

@test "a broken transfer is continued by ranges; 503 and 429 are waited for" {
	zl_config '{}'
	for fault in broken flaky limited; do
		faulty_start $fault
		run -0 zl pull -q "$FAULTY/busybox"
		[ $fault != broken ] || grep -q '^range [1-9]' "$FAULTY_DIR/log"
		zl rmi "$FAULTY/busybox"
		faulty_stop
	done
}

@test "a redirect to another host does not show it the credentials" {
	faulty_start elsewhere
	mkdir -p "$DOCKER_CONFIG"
	printf '{"auths": {"%s": {"auth": "%s"}}}' "$FAULTY" "$(printf a:b | base64)" \
		>"$DOCKER_CONFIG/config.json"
	run -0 zl pull -q "$FAULTY/busybox"
	[ ! -e "$FAULTY_DIR/leaks" ]
}

@test "tokens that run out on the way are renewed" {
	faulty_start tokens
	run -0 zl pull -q "$FAULTY/busybox"
	[ "$(grep -c 'GET /token' "$FAULTY_DIR/log")" -ge 2 ]
}

@test "token servers that lie, 401 without end" {
	declare -A words=([tokenhtml]="not valid JSON" [tokennone]="holds no token"
		[tokenrefused]="refuses access" [tokenloop]="access denied" [unauthorized]="access denied")
	for fault in "${!words[@]}"; do
		faulty_start "$fault"
		fails_with "${words[$fault]}"
		[ "$(wc -l <"$FAULTY_DIR/log")" -lt 20 ]
		faulty_stop
	done
}

@test "indexes that are too deep or too large, redirects without end" {
	declare -A words=([recursive]="too deep" [hugeindex]="" [redirects]="redirects")
	for fault in "${!words[@]}"; do
		faulty_start "$fault"
		fails_with "${words[$fault]}"
		faulty_stop
	done
}

@test "stalls, drips and silence end within the time limit" {
	export ZL_STALL_TIMEOUT=1
	for fault in drip stalled silent; do
		faulty_start $fault
		fails_with "stalled"
		faulty_stop
	done
}

@test "a server that is slow for each connection gets several, where it serves ranges" {
	# shellcheck source=/dev/null
	source "$lib/images.sh"
	layout_init big
	mkdir -p tree
	head -c 30000000 /dev/urandom >tree/noise
	tar -C tree -cf big-layer.tar .
	layout_layer big big-layer.tar none
	layout_image big latest '{"Cmd":["true"]}'
	for fault in throttled norange; do
		faulty_start $fault "$PWD/big"
		run -0 zl --debug pull -q "$FAULTY/big"
		if [ $fault = throttled ]; then
			[ "$(grep -c '^range' "$FAULTY_DIR/log")" -ge 8 ]
		fi
		cmp tree/noise "$(echo "$ZL_ROOT"/layers/*/noise)"
		zl rmi "$FAULTY/big"
		faulty_stop
	done
}
