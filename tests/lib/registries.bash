# registries.bash: registries as they are in the world: HTTPS, passwords, tokens, proxies.
# shellcheck shell=bash

# Docker's configuration and zl's: folders of the file's own.
registries_setup() {
	export DOCKER_CONFIG=$BATS_TEST_TMPDIR/docker XDG_CONFIG_HOME=$BATS_TEST_TMPDIR/config
	mkdir -p "$XDG_CONFIG_HOME/zl"
	unset http_proxy https_proxy no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY
	unset REGISTRY_AUTH_FILE SSL_CERT_FILE SSL_CERT_DIR
}

# zl_config JSON: zl's configuration file.
zl_config() {
	echo "$1" >"$XDG_CONFIG_HOME/zl/config.json"
}

# trust HOST [CA]: the tests' authority (or another) is trusted for that registry.
trust() {
	mkdir -p "$XDG_CONFIG_HOME/zl/certs.d/$1"
	cp "${2:-$CERTS/ca.crt}" "$XDG_CONFIG_HOME/zl/certs.d/$1/ca.crt"
}

new_key() {
	openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes "$@" 2>/dev/null
}

# certificate NAME DAYS SAN: a certificate of the authority in $CERTS, and its key.
certificate() {
	new_key -subj "/CN=$1" -keyout "$CERTS/$1.key" -out "$CERTS/$1.csr"
	openssl x509 -req -in "$CERTS/$1.csr" -CA "$CERTS/ca.crt" -CAkey "$CERTS/ca.key" \
		-CAcreateserial -days "$2" -extfile <(echo "subjectAltName=$3") \
		-out "$CERTS/$1.crt" 2>/dev/null
}

# An authority, certificates of it that are good, expired, and for another host; a stranger's.
certificates_make() {
	export CERTS=$BATS_FILE_TMPDIR/certs
	mkdir -p "$CERTS"
	new_key -x509 -days 2 -subj /CN=authority -keyout "$CERTS/ca.key" -out "$CERTS/ca.crt"
	new_key -x509 -days 2 -subj /CN=stranger -keyout "$CERTS/stranger.key" -out "$CERTS/stranger.crt"
	certificate good 2 IP:127.0.0.1,DNS:registry.test,DNS:index.docker.io,DNS:registry-1.docker.io
	certificate expired -1 IP:127.0.0.1
	certificate other 2 DNS:other.test
	certificate client 2 DNS:client
	openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=tokens -keyout "$CERTS/token.key" \
		-out "$CERTS/token.crt" 2>/dev/null
}

# server_start NAME COMMAND...: a server that puts its port into the folder it is given last; sets
# SERVER_DIR, SERVER_PORT.
server_start() {
	mkdir -p "$BATS_FILE_TMPDIR/servers"
	SERVER_DIR=$(mktemp -d "$BATS_FILE_TMPDIR/servers/$1.XXXXXX")
	"${@:2}" "$SERVER_DIR" >"$SERVER_DIR/out" 2>&1 3>&- 4>&- &
	echo $! >"$SERVER_DIR/pid"
	disown $!
	wait_until 20 test -e "$SERVER_DIR/port"
	SERVER_PORT=$(cat "$SERVER_DIR/port")
}

# secure_registry NAME YAML [CERT]: Debian's docker-registry by HTTPS with more configuration; sets
# SECURE to its HOST:PORT.
secure_registry() {
	local dir=$BATS_FILE_TMPDIR/servers/$1 port
	mkdir -p "$dir/data"
	port=$(free_port)
	printf 'version: 0.1\nlog: {level: warn}\nstorage:\n  filesystem: {rootdirectory: %s}\n%s\n' \
		"$dir/data" "$2" >"$dir/config.yml"
	printf 'http:\n  addr: "127.0.0.1:%s"\n  tls: {certificate: %s, key: %s}\n' "$port" \
		"$CERTS/good.crt" "$CERTS/good.key" >>"$dir/config.yml"
	docker-registry serve "$dir/config.yml" >"$dir/log" 2>&1 3>&- 4>&- &
	echo $! >"$dir/pid"
	disown $!
	SECURE=127.0.0.1:$port
	wait_until 20 bash -c "exec 3<>/dev/tcp/127.0.0.1/$port"
}

# http2_front: nginx before $REGISTRY, by HTTPS and HTTP/2, for who shows a certificate of the tests'
# authority; sets FRONT to its HOST:PORT and FRONT_LOG to its log.
http2_front() {
	local dir=$BATS_FILE_TMPDIR/servers/front port
	mkdir -p "$dir"
	port=$(free_port)
	cat >"$dir/nginx.conf" <<-END
		daemon off;
		master_process off;
		pid $dir/nginx.pid;
		events {}
		http {
			log_format brief '\$server_protocol \$ssl_client_verify \$request_method \$status \$uri';
			access_log $dir/log brief;
			client_body_temp_path $dir/body;
			proxy_temp_path $dir/proxy;
			fastcgi_temp_path $dir/fastcgi;
			uwsgi_temp_path $dir/uwsgi;
			scgi_temp_path $dir/scgi;
			client_max_body_size 0;
			server {
				listen 127.0.0.1:$port ssl http2;
				ssl_certificate $CERTS/good.crt;
				ssl_certificate_key $CERTS/good.key;
				ssl_client_certificate $CERTS/ca.crt;
				ssl_verify_client on;
				location / {
					proxy_pass http://$REGISTRY;
					proxy_set_header Host \$http_host;
					proxy_set_header X-Forwarded-Proto https;
				}
			}
		}
	END
	nginx -e "$dir/error" -c "$dir/nginx.conf" >"$dir/out" 2>&1 3>&- 4>&- &
	echo $! >"$dir/pid"
	disown $!
	FRONT=127.0.0.1:$port
	export FRONT_LOG=$dir/log
	wait_until 20 bash -c "exec 3<>/dev/tcp/127.0.0.1/$port"
}

# A line of htpasswd, by bcrypt as docker-registry wants it.
htpasswd_line() {
	python3 -W ignore -c 'import crypt, sys
print(sys.argv[1] + ":" + crypt.crypt(sys.argv[2], crypt.mksalt(crypt.METHOD_BLOWFISH, rounds=16)))' \
		"$1" "$2"
}
