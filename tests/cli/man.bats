#!/usr/bin/env bats
# man.bats: the manual pages and the executable say the same, and mandoc has nothing to say.

load ../lib/common

setup_file() {
	zl_setup_file
}

teardown_file() {
	zl_teardown_file
}

# bats test_tags=quick
@test "every command has a page, and every page a command" {
	local command page
	for command in $(zl --help | sed -nE 's/^  ([a-z]+) +[A-Z].*/\1/p'); do
		case $command in
		container | image | manifest | system | volume) continue ;;
		esac
		[ -e "$top/man/zl-$command.1" ] || fail "no man/zl-$command.1"
	done
	for page in "$top"/man/zl-*.1; do
		command=${page##*/zl-}
		run -0 zl "${command%.1}" --help
	done
}

# bats test_tags=quick
@test "synopsis and options are those of the executable (man/update)" {
	cp -r "$top/man" "$BATS_TEST_TMPDIR/man"
	run -0 "$BATS_TEST_TMPDIR/man/update" "$(command -v zl)"
	output_is ""
	grep -q '^\.It Fl d , Fl Fl detach$' "$top/man/zl-run.1"
	# It does notice a page that lags behind.
	sed -i '/Fl Fl detach$/d' "$BATS_TEST_TMPDIR/man/zl-run.1"
	run -0 "$BATS_TEST_TMPDIR/man/update" "$(command -v zl)"
	output_is zl-run.1
}

# bats test_tags=quick
@test "mandoc has nothing to say, and what a page refers to is there" {
	local ref
	command -v mandoc >/dev/null || skip "no mandoc"
	run mandoc -T lint "$top"/man/*.[15]
	# Where pages are looked for, these are not installed: seen to below.
	output=$(grep -v "referenced manual not found: Xr zl" <<<"$output" || true)
	output_is ""
	while read -r ref; do
		[ -e "$top/man/$ref.1" ] || fail "no page $ref"
	done < <(sed -nE 's/^\.Xr ([a-z-]+) 1.*/\1/p' "$top"/man/*.1 | sort -u)
}
