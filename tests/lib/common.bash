# common.bash: what all .bats files share: a zl with a root folder of its own, images, registries.
# shellcheck shell=bash
bats_require_minimum_version 1.5.0

lib=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(cd "$lib/../.." && pwd)
export lib
export ZL=${ZL:-$top/build/zl}
export IMAGES=$top/build/tests/images
# What time limits are multiplied by: nested machines are slow.
export TEST_SLOW=${TEST_SLOW:-1}
export ZL_BOOT_TIMEOUT=$((90 * TEST_SLOW))

# For a file's setup_file: an empty root folder and runtime folder, and the images.
zl_setup_file() {
	export ZL_ROOT=$BATS_FILE_TMPDIR/root XDG_RUNTIME_DIR=$BATS_FILE_TMPDIR/run
	export HOME=$BATS_FILE_TMPDIR/home
	unset XDG_DATA_HOME XDG_CONFIG_HOME DOCKER_CONFIG ZL_MACHINE
	[ -z "${TEST_MACHINE:-}" ] || export ZL_MACHINE=$TEST_MACHINE
	mkdir -p "$HOME" "$XDG_RUNTIME_DIR"
	cd "$BATS_FILE_TMPDIR" || return 1
	"$lib/images.sh" "$IMAGES"
	export PATH="$BATS_FILE_TMPDIR/bin:$PATH"
	mkdir -p "$BATS_FILE_TMPDIR/bin"
	ln -sf "$ZL" "$BATS_FILE_TMPDIR/bin/zl"
}

# For teardown_file: ends what runs and stops the servers that were started.
zl_teardown_file() {
	local id
	for id in $(within 20 "$ZL" ps -aq 2>/dev/null); do
		within 60 "$ZL" rm -f "$id" >/dev/null 2>&1 || true
	done
	server_stop_all
}

# Loads tars made by images.sh into the file's root folder.
load_images() {
	local name
	for name in "$@"; do
		"$ZL" load -q -i "$IMAGES/$name.tar" >/dev/null
	done
}

# --- servers: each has a folder below $BATS_FILE_TMPDIR/servers with its pid and port

server_stop_all() {
	local pid
	for pid in "$BATS_FILE_TMPDIR"/servers/*/pid; do
		[ ! -e "$pid" ] || kill "$(cat "$pid")" 2>/dev/null || true
	done
}

# within SECONDS COMMAND...: the command, killed with status 124 when it takes longer.
within() {
	timeout -k 5 $(($1 * TEST_SLOW)) "${@:2}"
}
export -f within

# took_less SECONDS: since SECONDS was set to 0.
took_less() {
	[ $SECONDS -lt $(($1 * TEST_SLOW)) ] || fail "it took $SECONDS s"
}

# wait_until SECONDS COMMAND...: until it succeeds; fails when the time is over.
wait_until() {
	local end=$((SECONDS + $1 * TEST_SLOW))
	shift
	until "$@" >/dev/null 2>&1; do
		[ $SECONDS -lt $end ] || { echo "not within the time: $*" >&2 && return 1; }
		sleep 0.05
	done
}

free_port() {
	python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

registry_answers() {
	python3 -c 'import sys, urllib.request; urllib.request.urlopen(sys.argv[1])' "http://$1/v2/"
}

# registry_start: Debian's docker-registry on a free port; sets REGISTRY to its HOST:PORT.
registry_start() {
	local dir=$BATS_FILE_TMPDIR/servers/registry port
	mkdir -p "$dir/data"
	port=$(free_port)
	cat >"$dir/config.yml" <<-END
		version: 0.1
		log: {level: warn}
		storage:
		  filesystem: {rootdirectory: $dir/data}
		  delete: {enabled: true}
		http: {addr: "127.0.0.1:$port"}
	END
	docker-registry serve "$dir/config.yml" >"$dir/log" 2>&1 3>&- 4>&- &
	echo $! >"$dir/pid"
	disown $!
	export REGISTRY=127.0.0.1:$port
	wait_until 20 registry_answers "$REGISTRY"
}

# registry_push IMAGE [NAME [TAG]]: pushes one of the test images.
registry_push() {
	python3 "$lib/push.py" "$IMAGES/$1" "$REGISTRY/${2:-$1}" "${3:-latest}"
}

# faulty_start FAULT [LAYOUT]: a registry with a fault, by HTTPS with FAULTY_TLS="CERT KEY"; sets
# FAULTY to its HOST:PORT, FAULTY_DIR.
faulty_start() {
	local parent=$BATS_FILE_TMPDIR/servers/faulty
	export FAULTY_DIR
	if [ ! -e "$parent/pid" ]; then
		mkdir -p "$parent"
		mkfifo "$parent/fifo"
		python3 "$lib/faulty.py" "$parent/fifo" >"$parent/out" 2>&1 3>&- 4>&- &
		echo $! >"$parent/pid"
		disown $!
	fi
	FAULTY_DIR=$(mktemp -d "$BATS_FILE_TMPDIR/servers/faulty.XXXXXX")
	printf '%s\t%s\t%s\t%s\n' "${2:-$IMAGES/busybox}" "$1" "$FAULTY_DIR" "${FAULTY_TLS:-}" >"$parent/fifo"
	wait_until 20 test -e "$FAULTY_DIR/port"
	FAULTY=127.0.0.1:$(cat "$FAULTY_DIR/port")
	export FAULTY
}

faulty_stop() {
	kill "$(cat "$FAULTY_DIR/pid")"
	rm "$FAULTY_DIR/pid"
}

# --- assertions with words

fail() {
	echo "$*" >&2
	return 1
}

# Of `run`'s status, and `run --separate-stderr`'s output.
status_is() {
	# shellcheck disable=SC2154 # run sets it
	[ "$status" = "$1" ] || fail "status $status, not $1; output: ${output:-}; stderr: ${stderr:-}"
}

output_is() {
	[ "${output:-}" = "$1" ] || fail "output '${output:-}', not '$1'; stderr: ${stderr:-}"
}

output_has() {
	[[ ${output:-} == *"$1"* ]] || fail "no '$1' in output '${output:-}'; stderr: ${stderr:-}"
}

stderr_has() {
	[[ ${stderr:-} == *"$1"* ]] || fail "no '$1' in stderr '${stderr:-}'"
}

# zl's own failure: one line on stderr that begins with zl's name, nothing on stdout
# (but what docker says there before it begins a pull).
one_line_error() {
	[ "$status" != 0 ] || fail "it succeeded: ${output:-}"
	[ "$(printf '%s\n' "${stderr:-}" | grep -c .)" = 1 ] || fail "not one line on stderr: ${stderr:-}"
	[[ ${stderr:-} == "zl: "* ]] || fail "not zl's own words: ${stderr:-}"
	[ -z "${output:-}" ] || [ "$output" = "Using default tag: latest" ] || fail "on stdout: $output"
}

# The store holds nothing half-made: no leftovers in tmp, and every blob has the name of its sum.
store_is_clean() {
	local left blob
	left=$(find "$ZL_ROOT/tmp" -mindepth 1 2>/dev/null | head -n 5)
	[ -z "$left" ] || fail "left in tmp: $left"
	for blob in "$ZL_ROOT"/blobs/sha256/*; do
		[ -e "$blob" ] || continue
		[ "$(sha256sum <"$blob" | cut -d' ' -f1)" = "${blob##*/}" ] || fail "bad blob $blob"
	done
}

# The processes of this file's zl and of its VMs, one a line: pid and name.
our_processes() {
	local p exe
	for p in /proc/[0-9]*; do
		# a holder lets nobody look but root; its command line is its folder
		exe=$(readlink "$p/exe" 2>/dev/null || cat "$p/comm" 2>/dev/null) || continue
		case $exe in
		*/zl | *"/zl (deleted)" | */qemu-system-* | zl-holder | zl-keeper)
			if grep -qzF "$BATS_FILE_TMPDIR" "$p/environ" "$p/cmdline" 2>/dev/null; then
				echo "${p#/proc/} ${exe##*/}"
			fi
			;;
		esac
	done
}

# The exit code comes before the VM is taken down: a moment is allowed for that.
nothing_runs() {
	wait_until 10 no_process || fail "still running: $(our_processes)"
}

no_process() {
	[ -z "$(our_processes)" ]
}

# as_nobody COMMAND...: root may do everything.
as_nobody() {
	if [ "$(id -u)" = 0 ]; then
		setpriv --reuid 65534 --regid 65534 --clear-groups "$@"
	else
		"$@"
	fi
}

# --- file systems of a kind: in a mount namespace of its own

ns_flags() {
	if [ "$(id -u)" = 0 ]; then echo -m; else echo -rm; fi
}

can_mount() {
	unshare "$(ns_flags)" mount -t tmpfs none /mnt 2>/dev/null
}

# on_fs TYPE OPTIONS SCRIPT: runs a shell script with such a file system mounted at $MNT. Who is not
# root is so only to mount it, in a user namespace, and himself again in one more below that.
on_fs() {
	local myself=()
	export MNT=$BATS_TEST_TMPDIR/mnt
	mkdir -p "$MNT"
	[ "$(id -u)" = 0 ] || myself=(unshare --user "--map-user=$(id -u)" "--map-group=$(id -g)")
	# shellcheck disable=SC2016 # expanded inside
	run --separate-stderr unshare "$(ns_flags)" bash -c \
		'mount -t "$1" ${2:+-o "$2"} none "$MNT" && chmod 755 "$MNT" && "${@:4}" bash -c "$3"' \
		_ "$@" "${myself[@]}"
}

# --- hosts without a usable KVM

# cpuinfos: the files plain and virtual, a /proc/cpuinfo without and with a sign of virtualisation.
cpuinfos() {
	grep -v '^flags' /proc/cpuinfo >plain
	sed 's/^flags.*/& vmx/' /proc/cpuinfo >virtual
	grep -q '^flags' virtual || echo 'flags : vmx' >>virtual
}

# on_host CPUINFO DEV SCRIPT: with that /proc/cpuinfo, and /dev/kvm gone ("none") or as it is.
on_host() {
	can_mount || skip "no mount namespaces"
	# shellcheck disable=SC2016 # expanded inside
	run --separate-stderr unshare "$(ns_flags)" bash -c '
		mount --bind "$1" /proc/cpuinfo || exit 99
		if [ "$2" = none ]; then
			mount -t tmpfs none /mnt && touch /mnt/null && mount --bind /dev/null /mnt/null &&
				mount --rbind /mnt /dev || exit 99
		fi
		eval "$3"' _ "$@"
}

# For a VM test's setup: without its machine there is nothing to boot. (tests/run turns the skip
# into a failure where ZL_MUST_QEMU or ZL_MUST_KVM is set.) Tests that make sense on one machine
# only have its name, qemu or kvm, as a tag.
needs_vm() {
	if [ "${ZL_MACHINE:-qemu}" = kvm ]; then
		[ -w /dev/kvm ] || skip "no /dev/kvm"
	else
		command -v qemu-system-x86_64 >/dev/null || skip "no qemu-system-x86_64"
	fi
}

# in_vm SCRIPT...: runs a shell script in a container of the image busybox; operands become $1...
in_vm() {
	run --separate-stderr zl run -q --rm busybox sh -c "$1" sh "${@:2}"
}
