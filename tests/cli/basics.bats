#!/usr/bin/env bats
# basics.bats: help, version, and what is typed wrong.

load ../lib/common

setup_file() {
	zl_setup_file
}

teardown_file() {
	zl_teardown_file
}

# bats test_tags=quick
@test "zl --help lists the commands, in no time and without a folder" {
	ZL_ROOT=$BATS_TEST_TMPDIR/none run -0 --separate-stderr zl --help
	for command in run exec ps pull images load stop start kill rm logs wait rmi; do
		grep -qE "^ +$command +[A-Z]" <<<"$output" || fail "no row for $command"
	done
	[ ! -e "$BATS_TEST_TMPDIR/none" ]
}

# bats test_tags=quick
@test "every command has help" {
	commands=$(zl --help | sed -nE 's/^  ([a-z]+) +[A-Z].*/\1/p')
	[ "$(wc -w <<<"$commands")" -ge 15 ]
	for command in $commands; do
		run -0 --separate-stderr zl "$command" --help
		output_has "Usage:"
	done
}

# bats test_tags=quick
@test "zl version tells version and licences" {
	run -0 --separate-stderr zl version
	output_has "0."
	run -0 --separate-stderr zl version --licenses
	for name in curl OpenSSL libarchive jansson Linux zstd musl; do
		output_has "$name"
	done
}

# bats test_tags=quick
@test "an unknown command names the nearest" {
	run --separate-stderr zl imges
	one_line_error
	stderr_has "images"
	run --separate-stderr zl completelydifferent
	[ "$status" != 0 ]
}

# bats test_tags=quick
@test "an unknown flag names the nearest, and run's exit code is 125" {
	run --separate-stderr zl run --hostnam x busybox
	status_is 125
	stderr_has "--hostname"
	run --separate-stderr zl ps --al
	[ "$status" != 0 ]
	stderr_has "--all"
}

# bats test_tags=quick
@test "too few and too many operands" {
	for command in run pull rm kill wait logs rmi stop start "image inspect" tag; do
		# shellcheck disable=SC2086 # two words
		run --separate-stderr zl $command
		[ "$status" != 0 ] || fail "$command without operands succeeded"
		stderr_has "requires"
	done
	run --separate-stderr zl pull a b
	[ "$status" != 0 ]
}

# bats test_tags=quick
@test "values that cannot be" {
	local bad
	for bad in "-m 1x" "-m -1" "--cpus many" "--cpus -1" "-v relative" "-v a:b:c:d" \
		"--pull sometimes" "--add-host nocolon" "--platform linux/nonsense" "--name bad/name" \
		"--tmpfs relative" "-e =x" "--env-file /nowhere" "-a nothing" "-v /a:relative" \
		"--stop-signal SIGNOPE"; do
		# shellcheck disable=SC2086 # two words
		run --separate-stderr zl run --pull never $bad hello
		[ "$status" = 125 ] || fail "run $bad: status $status, stderr $stderr"
		one_line_error
	done
	for bad in "-m 1x" "--label"; do
		# shellcheck disable=SC2086
		run --separate-stderr zl create $bad
		[ "$status" != 0 ]
	done
}

# bats test_tags=quick
@test "memory and processors out of range: the range is said, 125" {
	local flag words
	while IFS='|' read -r flag words; do
		# shellcheck disable=SC2086 # two words
		run --separate-stderr zl run --pull never $flag hello
		status_is 125
		one_line_error
		stderr_has "$words"
	done <<-'END'
		-m 5m|Minimum memory limit allowed is 6MB
		-m 6291455|Minimum memory limit allowed is 6MB
		-m 4096t|Range of memory is from 6MB to
		-m nan|invalid argument "nan" for "-m, --memory" flag
		--cpus 0.009|Range of CPUs is from 0.01 to
		--cpus 100000|Range of CPUs is from 0.01 to
		--cpus=-0.5|invalid argument "-0.5" for "--cpus" flag
		--cpus nan|invalid argument "nan" for "--cpus" flag
	END
}

@test "unknown containers" {
	local command
	for command in "stop nosuch" "kill nosuch" "rm nosuch" "logs nosuch" "wait nosuch" \
		"start nosuch" "container inspect nosuch" "exec nosuch true"; do
		# shellcheck disable=SC2086
		run --separate-stderr zl $command
		[ "$status" = 1 ] || fail "$command: status $status"
		stderr_has "No such container: nosuch"
	done
}

# bats test_tags=quick
@test "an empty store: headers only, exit code 0" {
	export ZL_ROOT=$BATS_TEST_TMPDIR/root
	run -0 --separate-stderr zl images
	[ "$(wc -l <<<"$output")" = 1 ]
	output_has "REPOSITORY"
	run -0 --separate-stderr zl ps -a
	[ "$(wc -l <<<"$output")" = 1 ]
	output_has "CONTAINER ID"
	[ "$(stat -c %a "$ZL_ROOT")" = 700 ]
}

@test "--root stands for ZL_ROOT; the default lies in XDG_DATA_HOME; all of it is 0700" {
	unset ZL_ROOT
	run -0 zl --root "$BATS_TEST_TMPDIR/r" images
	[ "$(stat -c %a "$BATS_TEST_TMPDIR/r")" = 700 ]
	if [ "$(id -u)" != 0 ]; then
		XDG_DATA_HOME=$BATS_TEST_TMPDIR/data run -0 zl images
		[ "$(stat -c %a "$BATS_TEST_TMPDIR/data/zl")" = 700 ]
	fi
	run --separate-stderr zl --root /proc/nothing/here images
	one_line_error
}

@test "a closed stdout is no crash" {
	run bash -c 'zl --help >&-; echo $?'
	[ "${lines[-1]}" -lt 126 ]
	run bash -c 'zl --help >/dev/full; echo $?'
	[ "${lines[-1]}" != 0 ] && [ "${lines[-1]}" -lt 126 ]
}

@test "the executable is static, small and needs nothing else" {
	if [ "${ZL##*/build/}" != zl ]; then
		skip "a developer's build"
	fi
	run -0 file "$(realpath "$ZL")"
	output_has "statically linked"
	[ "$(stat -c %s "$(realpath "$ZL")")" -le $((16 << 20)) ]
	[ "$(stat -c %s "$top/build/agent")" -le $((150 << 10)) ]
}

@test "in an empty chroot it runs, and says which package QEMU is in" {
	if [ "${ZL##*/build/}" != zl ]; then
		skip "a developer's build"
	fi
	if ! unshare -r true 2>/dev/null; then
		skip "no user namespaces"
	fi
	local root=$BATS_TEST_TMPDIR/chroot
	mkdir -p "$root/tmp" "$root/proc"
	cp "$(realpath "$ZL")" "$root/zl"
	run -0 --separate-stderr unshare -r chroot "$root" /zl --root /tmp/z images
	run --separate-stderr unshare -r chroot "$root" /zl --root /tmp/z run --rm hello
	status_is 125
	stderr_has "qemu-system-x86"
}

@test "zl info says how containers are confined here" {
	run -0 --separate-stderr zl info
	output_has " Security Options:"
	if grep -q Seccomp_filters /proc/self/status; then
		output_has "  seccomp"
		run -0 --separate-stderr zl info -f '{{index .SecurityOptions 0}}'
		output_is "name=seccomp,profile=builtin"
	fi
}
