#!/usr/bin/env bats
# shell.bats: manual pages and completion say what the executable says.

load ../lib/common

setup_file() {
	zl_setup_file
	load_images busybox
}

teardown_file() {
	zl_teardown_file
}

# bats test_tags=quick
@test "the manual pages are up to date and well-formed" {
	cp -r "$top/man" "$BATS_TEST_TMPDIR/man"
	run -0 "$BATS_TEST_TMPDIR/man/update" "$ZL"
	output_is ""
	run -0 mandoc -T lint -W warning "$top"/man/*.1
	for command in $(zl --help | sed -nE 's/^  ([a-z]+) +[A-Z].*/\1/p'); do
		[[ $command =~ ^(container|image|system)$ ]] || [ -e "$top/man/zl-$command.1" ] || fail "no page for $command"
	done
}

# bats test_tags=quick
@test "zl __complete: commands, options, values, images" {
	run -0 zl __complete -- ru
	output_has run
	[[ $output != *pull* ]]
	run -0 zl __complete -- run --ho
	output_has --hostname
	run -0 zl __complete -- run --pull=a
	output_has --pull=always
	run -0 zl __complete -- run bu
	output_has busybox
	run -0 zl __complete -- rm ''
	[[ $output != *busybox* ]]
}

# bats test_tags=quick
@test "bash completes with it" {
	cat >complete.bash <<-'END'
		. "$1/completions/zl.bash"
		COMP_WORDS=(zl ru) COMP_CWORD=1 COMP_LINE="zl ru" COMP_POINT=5 COMP_TYPE=9 COMPREPLY=()
		$(complete -p zl | sed 's/.*-F \([^ ]*\).*/\1/')
		printf '%s\n' "${COMPREPLY[@]}"
	END
	run -0 bash complete.bash "$top"
	[ "${output%% *}" = run ] || fail "$output"
}
