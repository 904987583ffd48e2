#!/usr/bin/env bats
# stdio.bats: what goes in comes in, what goes out comes out, byte for byte.

load ../lib/common

MIB=256

setup_file() {
	zl_setup_file
	load_images busybox
	export PROBE=$IMAGES/probe
}

teardown_file() {
	zl_teardown_file
}

setup() {
	needs_vm
}

# pattern MIB SEED: the sum of what probe writes.
pattern() {
	"$PROBE" pattern 1 "$1" "$2" | sha256sum
}

@test "stdout and stderr apart, 256 MiB each at the same time" {
	out=$(pattern $MIB 1) err=$(pattern $MIB 2)
	zl run -q --rm busybox probe both $MIB > >(sha256sum >out) 2> >(sha256sum >err)
	wait_until 60 test -s out
	wait_until 60 test -s err
	[ "$(cat out)" = "$out" ]
	[ "$(cat err)" = "$err" ]
}

@test "256 MiB through stdin, to EOF" {
	expected=$(pattern $MIB 3)
	run -0 bash -c "'$PROBE' pattern 1 $MIB 3 | zl run -q --rm -i busybox sha256sum"
	output_is "$expected"
}

@test "through stdin and back" {
	expected=$(pattern 64 4)
	run -0 bash -c "'$PROBE' pattern 1 64 4 | zl run -q --rm -i busybox cat | sha256sum"
	output_is "$expected"
}

# bats test_tags=core
@test "output into files and from files, empty ones too" {
	pattern 1 5 >/dev/null
	"$PROBE" pattern 1 3 5 >in
	zl run -q --rm -i busybox sh -c 'cat; echo done >&2' <in >out 2>err
	cmp in out
	[ "$(cat err)" = done ]
	run -0 bash -c 'zl run -q --rm -i busybox wc -c </dev/null'
	output_is 0
	# Appending leaves what is there alone.
	echo first >log
	zl run -q --rm busybox echo second >>log
	[ "$(cat log)" = $'first\nsecond' ]
}

@test "without -i stdin is empty, and ours is not read" {
	run -0 bash -c '(zl run -q --rm busybox cat; cat) <<<"mine"'
	output_is mine
}

@test "a workload that does not read its stdin ends all the same" {
	run -0 within 60 bash -c 'yes | zl run -q --rm -i busybox echo ended'
	output_is ended
	# An open stdin that never says anything, too.
	run -0 within 60 bash -c 'zl run -q --rm -i busybox echo ended < <(exec sleep $((120 * TEST_SLOW)) 3>&-)'
	output_is ended
}

# bats test_tags=core
@test "a reader that goes away ends the workload by SIGPIPE" {
	run within 120 bash -c 'zl run -q --rm --name early busybox yes | head -n 2; echo "${PIPESTATUS[0]}"'
	[ "${lines[0]}" = y ] && [ "${lines[1]}" = y ]
	[ "${lines[2]}" = 141 ] || fail "status ${lines[2]}"
	# stderr alone, with stdout still open.
	run within 120 bash -c 'zl run -q --rm busybox sh -c "yes >&2" 2> >(head -n 1 >/dev/null); echo $?'
	[ "${lines[-1]}" = 141 ]
}

@test "a closed stdout and stderr from the start" {
	run within 60 bash -c 'zl run -q --rm busybox sh -c "echo x; exit 3" >&- 2>&-; echo $?'
	[ "${lines[-1]}" = 3 ] || [ "${lines[-1]}" = 1 ] || [ "${lines[-1]}" = 141 ]
}

@test "a full disk under our stdout is an error and no success" {
	run within 60 bash -c 'zl run -q --rm busybox sh -c "while echo x; do :; done" >/dev/full; echo $?'
	[ "${lines[-1]}" != 0 ]
}

@test "the last words arrive although the workload ends at once" {
	for i in 1 2 3; do
		run -0 zl run -q --rm busybox sh -c "head -c 300000 /dev/zero | tr '\\0' x; printf END"
		[ "${#output}" = 300003 ] && [[ $output == *END ]]
	done
}

# bats test_tags=core
@test "what the workload's 0, 1 and 2 are; nothing else is open" {
	run -0 zl run -q --rm busybox sh -c 'probe tty; probe fds; probe reopen' </dev/null
	output_is $'0 char\n1 pipe\n2 pipe\nthrough /dev/stdout\nthrough /dev/stderr' ||
		output_is $'0 pipe\n1 pipe\n2 pipe\nthrough /dev/stdout\nthrough /dev/stderr'
}

@test "-a chooses the streams" {
	run -0 --separate-stderr zl run -q --rm -a stderr busybox sh -c 'echo out; echo err >&2'
	output_is ""
	stderr_has err
	run -0 --separate-stderr zl run -q --rm -a stdout busybox sh -c 'echo out; echo err >&2'
	output_is out
	[ -z "$stderr" ]
}

@test "-t: a terminal of our size, SIGWINCH, one stream with carriage returns" {
	cat >tty.exp <<-'END'
		set timeout [expr 60 * $env(TEST_SLOW)]
		spawn zl run -q --rm -it busybox sh
		expect_after timeout { send_user "TIMED OUT"; exit 99 }
		stty rows 33 columns 111 < $spawn_out(slave,name)
		expect "# "
		send "probe tty\r"
		expect -re {0 tty 33x111\r\n1 tty 33x111\r\n2 tty 33x111\r\n}
		# What is typed before the shell asks for it may be lost when it sets the terminal.
		expect "# "
		send "probe signals 1\r"
		expect "ready"
		stty rows 20 columns 70 < $spawn_out(slave,name)
		expect "20x70"
		expect "# "
		send "stty size; echo is-\$((6*7))\r"
		expect -re {20 70\r\nis-42\r\n}
		expect "# "
		send "echo is-\$((6*8)); sleep 100\r"
		expect -re {is-48\r\n}
		send "\003"
		expect "# "
		send "echo \$?; exit 5\r"
		expect -re {130\r\n}
		expect eof
		catch wait result
		exit [lindex $result 3]
	END
	# A size set before the start.
	run expect tty.exp
	status_is 5
}

@test "-t without -i shows colours but hears nothing; -i without -t is a pipe" {
	cat >t.exp <<-'END'
		set timeout [expr 60 * $env(TEST_SLOW)]
		spawn zl run -q --rm -t busybox probe tty
		expect_after timeout { send_user "TIMED OUT"; exit 99 }
		expect -re {1 tty}
		expect eof
		catch wait result
		exit [lindex $result 3]
	END
	run -0 within 90 expect t.exp
	output_has "1 tty"
	run -0 bash -c 'echo line | zl run -q --rm -i busybox sh -c "probe tty; cat"'
	output_is $'0 pipe\n1 pipe\n2 pipe\nline'
}

@test "-it with a stdin that is no terminal is refused as docker refuses it" {
	run --separate-stderr bash -c 'echo x | zl run -q --rm -it busybox cat'
	[ "$status" != 0 ]
	stderr_has "the input device is not a TTY"
}

@test "the terminal is itself again afterwards, whatever ended the container" {
	cat >sane.exp <<-'END'
		set timeout [expr 60 * $env(TEST_SLOW)]
		spawn bash --norc
		expect_after timeout { send_user "TIMED OUT"; exit 99 }
		send "stty -a >before; zl run -q --rm -it --name sane busybox sh; code=\$?; stty -a >after; echo back-\$code\r"
		expect "/ # "
		send "kill -9 1; echo alive\r"
		expect "alive"
		exec zl kill sane
		expect "back-137"
		send "exit\r"
		expect eof
	END
	run -0 within 90 expect sane.exp
	cmp before after
}

@test "the detach keys leave the container running" {
	cat >detach.exp <<-'END'
		set timeout [expr 60 * $env(TEST_SLOW)]
		spawn zl run -q -it --name detachme busybox sh
		expect_after timeout { send_user "TIMED OUT"; exit 99 }
		expect "# "
		send "\020\021"
		expect eof
		catch wait result
		exit [lindex $result 3]
	END
	run -0 within 90 expect detach.exp
	run -0 zl inspect -f '{{.State.Status}}' detachme
	output_is running
	zl rm -f detachme
}
