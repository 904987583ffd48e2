#!/usr/bin/env bats
# complete.bats: what the shells offer: `zl __complete`, and the stubs in the shells themselves.

load ../lib/common

setup_file() {
	zl_setup_file
	load_images busybox entry
	zl create -q --name alpha busybox true
	zl create -q --name beta busybox true
}

teardown_file() {
	zl_teardown_file
}

# offers WORD...: what __complete says for a command line, without descriptions.
offers() {
	zl __complete -- "$@" | cut -f1
}

@test "commands, groups, options, values" {
	run -0 offers im
	output_is $'images\nimport\nimage'
	run -0 offers container inspe
	output_is inspect
	run -0 offers run --stop
	output_is $'--stop-signal\n--stop-timeout'
	run -0 offers run --pull ''
	output_is $'always\nmissing\nnever\nnewer'
	run -0 offers run --pull=n
	output_is $'--pull=never\n--pull=newer'
	run -0 offers run -d --stop-signal US
	output_is $'USR1\nUSR2'
	run -0 offers run --security-opt s
	output_is $'seccomp=unconfined\nsystempaths=unconfined'
	run -0 offers create --ulimit=no
	output_is $'--ulimit=nofile='
	run -0 offers run --dns-
	output_is $'--dns-option\n--dns-search'
	run -0 offers update --restart u
	output_is unless-stopped
	run -0 offers run -itv ''
	output_is ":dir"
	run -0 offers --ro
	output_is --root
	run -0 offers nosuch ''
	output_is ""
}

@test "live names of containers and images" {
	run -0 offers rm ''
	output_is $'beta\nalpha'
	run -0 offers container rm beta al
	output_is alpha
	run -0 offers rename b
	output_is beta
	run -0 offers update -c 5 alpha b
	output_is beta
	run -0 offers exec ''
	output_is ""
	run -0 offers start b
	output_is beta
	run -0 offers run --rm ''
	output_has busybox:latest
	output_has entry:latest
	run -0 offers run --rm busybox ''
	output_is ":file"
	run -0 offers inspect b
	output_has beta
	output_has busybox:latest
	run -0 offers rm "$(zl inspect -f '{{.Id}}' alpha | cut -c1-6)"
	output_is "$(zl inspect -f '{{.Id}}' alpha | cut -c1-12)"
	run -0 offers --root "$BATS_TEST_TMPDIR/none" rm ''
	output_is ""
	[ ! -e "$BATS_TEST_TMPDIR/none" ]
}

@test "bash" {
	cat >c.bash <<-END
		. "$top/completions/zl.bash"
		try() { COMP_LINE=\$1 COMP_POINT=\${#1} _zl; printf '%s\n' "\${COMPREPLY[@]}"; }
		try 'zl sto'
		try 'zl rm al'
		try 'zl run --pull=ne'
		try 'zl run busybox:la'
		try 'zl load -i $BATS_TEST_TMPDIR/c.b'
	END
	cp c.bash "$BATS_TEST_TMPDIR/"
	run -0 bash c.bash
	output_is $'stop\nalpha\nnever\nnewer\nlatest\n'"$BATS_TEST_TMPDIR/c.bash"
}

@test "zsh" {
	command -v zsh >/dev/null || skip "no zsh"
	cat >zsh.exp <<-END
		set timeout [expr 20 * \$env(TEST_SLOW)]
		set env(PS1) "> "
		spawn zsh -f -i
		send "fpath=($top/completions \\\$fpath); autoload -Uz compinit; compinit -u -D; echo ready\r"
		expect "ready\r"
		send "zl rm al\t"
		expect -re {alpha}
		send "\025zl run --pul\t"
		expect -re {--pull}
		send "\025exit\r"
		expect eof
	END
	run -0 within 60 expect zsh.exp
	output_has "alpha"
	output_has "--pull"
}

@test "fish" {
	command -v fish >/dev/null || skip "no fish"
	run -0 fish --no-config -c "source $top/completions/zl.fish; complete -C 'zl rm al'; complete -C 'zl run --pull n'"
	output_has alpha
	output_has never
	output_has newer
}
