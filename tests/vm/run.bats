#!/usr/bin/env bats
# run.bats: what runs in the VM: command line, environment, user, exit code.

load ../lib/common

setup_file() {
	zl_setup_file
	load_images busybox entry bare
}

teardown_file() {
	zl_teardown_file
}

setup() {
	needs_vm
}

# bats test_tags=core
@test "the embedded image greets, without registry or network" {
	ZL_ROOT=$BATS_TEST_TMPDIR/root run -0 --separate-stderr zl run --rm hello
	output_has "Hello from"
	output_has "Linux 6.1."
	ZL_ROOT=$BATS_TEST_TMPDIR/root run -0 zl ps -aq
	output_is ""
}

@test "from a registry: pulled when missing, then run" {
	registry_start
	registry_push busybox
	ZL_ROOT=$BATS_TEST_TMPDIR/root run -0 --separate-stderr zl run --rm "$REGISTRY/busybox" echo hi
	output_is hi
	ZL_ROOT=$BATS_TEST_TMPDIR/root run -0 --separate-stderr zl run -q --rm --pull never "$REGISTRY/busybox" echo hi
	output_is hi
	[ -z "$stderr" ] || fail "stderr: $stderr"
}

@test "exit codes of the workload" {
	for code in 0 1 7 125 126 127 128 200 255; do
		run --separate-stderr zl run -q --rm busybox sh -c "exit $code"
		status_is $code
		[ -z "$stderr" ] || fail "stderr: $stderr"
	done
}

# bats test_tags=core
@test "128+n when a signal killed it" {
	# PID 1 is immune to signals from inside; --init makes the workload an ordinary process.
	for sig in 9 15 6 11; do
		run --separate-stderr zl run -q --rm --init busybox sh -c "kill -$sig \$\$"
		status_is $((128 + sig))
	done
}

@test "127 for a command that is not there, 126 for one that cannot be run" {
	run --separate-stderr zl run -q --rm busybox nosuchcommand
	status_is 127
	stderr_has '"nosuchcommand": executable file not found in $PATH'
	run --separate-stderr zl run -q --rm busybox /no/such/file
	status_is 127
	stderr_has "no such file or directory"
	run --separate-stderr zl run -q --rm busybox /etc/passwd
	status_is 126
	stderr_has "permission denied"
	run --separate-stderr zl run -q --rm busybox /etc
	status_is 126
	run --separate-stderr zl run -q --rm -w /etc/passwd busybox true
	[ "$status" = 126 ] || [ "$status" = 125 ] || [ "$status" = 127 ] || fail "status $status"
	[ -n "$stderr" ]
}

@test "ENTRYPOINT, CMD, --entrypoint, as docker merges them" {
	run -0 zl run -q --rm entry
	output_is "entry cmd more"
	run -0 zl run -q --rm entry other words
	output_is "entry other words"
	run -0 zl run -q --rm --entrypoint /bin/echo entry
	output_is ""
	run -0 zl run -q --rm --entrypoint /bin/echo entry mine 'two  blanks' ''
	output_is "mine two  blanks "
	run -0 zl run -q --rm --entrypoint "" entry echo bare
	output_is bare
	run -0 zl run -q --rm bare
	output_is probe
	run --separate-stderr zl run -q --rm --entrypoint "" bare
	status_is 125
	stderr_has "no command specified"
}

@test "USER, WORKDIR and ENV of the image, and the flags over them" {
	run -0 zl run -q --rm --entrypoint sh -e BOTH=flag -e NEW=1 -e FROM_HOST -h myhost entry -c \
		'id -u; pwd; echo $FROM_IMAGE $BOTH $NEW $HOSTNAME [$FROM_HOST] $HOME; stat -c %u .'
	output_is $'1000\n/made/by/zl\nyes flag 1 myhost [] /home/user\n0'
	FROM_HOST='a b=c' run -0 zl run -q --rm --entrypoint sh -e FROM_HOST -w /tmp -u 0 entry -c \
		'id -u; pwd; echo "$FROM_HOST" $HOME'
	output_is $'0\n/tmp\na b=c /root'
	printf '# comment\nA=1\n\nB=two words\nFROM_HOST\nC="quoted"\n' >env
	FROM_HOST=h run -0 zl run -q --rm --env-file env -e A=2 busybox env
	[[ $output == *"A=2"* && $output == *"B=two words"* && $output == *"FROM_HOST=h"* ]]
	output_has 'C="quoted"'
	[[ $output != *comment* && $output != *"A=1"* ]]
	[[ $output == *"PATH=/usr/local/sbin"* && $output == *"HOME=/root"* ]]
}

@test "users: names, numbers, groups, supplementary groups" {
	user() {
		run --separate-stderr zl run -q --rm -u "$1" busybox sh -c 'echo $(id -u):$(id -g) $(id -G)'
	}
	user user && output_is "1000:1000 1000 2000 2001"
	user other && output_is "1001:100 100 2001"
	user 1000 && output_is "1000:1000 1000 2000 2001"
	user user:users && output_is "1000:100 100"
	user 1234 && output_is "1234:0 0"
	user 1234:4321 && output_is "1234:4321 4321"
	user daemon:0 && output_is "1:0 0"
	run -0 zl run -q --rm -u 5 --group-add extra --group-add 77 busybox id -G
	output_is "0 77 2000" || output_is "0 2000 77"
	user nosuchuser
	status_is 125 || status_is 126
	stderr_has "unable to find user nosuchuser: no matching entries in passwd file"
	user root:nosuchgroup
	stderr_has "unable to find group nosuchgroup: no matching entries in group file"
}

@test "hostname, /etc/hosts, /etc/resolv.conf, --add-host" {
	run -0 zl run -q --rm -h box.example --add-host db:10.0.0.7 --add-host six:::1 busybox sh -c \
		'hostname; cat /etc/hostname /etc/hosts; test -s /etc/resolv.conf && echo resolv'
	output_has $'box.example\nbox.example\n'
	output_has "127.0.0.1"$'\t'"localhost"
	output_has $'10.0.0.7\tdb'
	output_has $'::1\tsix'
	output_has resolv
	run -0 zl run -q --rm --name named busybox hostname
	[[ $output =~ ^[0-9a-f]{12}$ ]]
	# They can be written, as in docker.
	in_vm 'echo 1.2.3.4 mine >>/etc/hosts && grep -c mine /etc/hosts'
	output_is 1
}

@test "--cidfile, --label, --name" {
	run -0 zl run -q --cidfile cid --name cidtest --label a=b --label c busybox true
	run -0 zl inspect -f '{{.Id}} {{index .Config.Labels "a"}} {{.Name}}' cidtest
	output_is "$(cat cid) b /cidtest"
	run --separate-stderr zl run -q --cidfile cid busybox true
	status_is 125
	stderr_has "cid"
	run --separate-stderr zl run -q --name cidtest busybox true
	status_is 125
	stderr_has 'The container name "/cidtest" is already in use by container'
	zl rm cidtest
}

# bats test_tags=core
@test "--cpus and --memory" {
	run -0 zl run -q --rm --cpus 2 -m 300m busybox sh -c \
		'nproc; cat /sys/fs/cgroup/memory.max; grep MemTotal /proc/meminfo'
	[ "${lines[0]}" = 2 ] || [ "$(nproc)" = 1 ]
	# the limit is the container's; the machine has some more, for its kernel
	[ "${lines[1]}" = $((300 << 20)) ] || fail "$output"
	mem=$(sed -n 's/MemTotal: *\([0-9]*\) kB/\1/p' <<<"$output")
	[ "$mem" -ge $((300 << 10)) ] && [ "$mem" -le $((340 << 10)) ] || fail "$output"
	run --separate-stderr zl run -q --rm -m 64m busybox probe mem 200
	status_is 137
}

@test "guest memory in use right after boot is at most 24 MiB" {
	run -0 zl run -q --rm -m 256m busybox free -k
	used=$(awk '/^Mem:/ { print $3 }' <<<"$output")
	[ "$used" -le $((24 << 10)) ] || fail "$output"
}

# bats test_tags=core
@test "--debug shows every step with its time" {
	run -0 --separate-stderr zl --debug run --rm busybox true
	for step in image root VM kernel hello started exit; do
		grep -qi "debug:.* ms\\].*$step" <<<"$stderr" || fail "no step '$step' in $stderr"
	done
}

# bats test_tags=qemu
@test "a note on stderr says once that this is emulation, and -q silences it" {
	run -0 --separate-stderr zl run --rm --machine qemu busybox true
	stderr_has "emulation"
	[ "$(grep -c . <<<"$stderr")" = 1 ]
	run -0 --separate-stderr zl run -q --rm --machine qemu busybox true
	[ -z "$stderr" ]
}

# bats test_tags=qemu
@test "a processor that another hypervisor uses: emulation, and a note what to do" {
	[ -e /dev/kvm ] || skip "no /dev/kvm"
	cpuinfos
	export NOTE="zl: note: running in software emulation, which is slow: /dev/kvm: the processor's \
virtualisation is in use by another hypervisor (VirtualBox, VMware): stop it"
	unset ZL_MACHINE
	# shellcheck disable=SC2016 # expanded there
	on_host "$PWD/virtual" as-it-is '
		busy() { python3 "$lib/busy.py" "$ZL" "$@" 2>err || echo "status $?"; }
		busy run --rm busybox echo one; [ "$(cat err)" = "$NOTE" ] || cat err
		busy run -q --rm busybox echo two; cat err
		busy run -d --name held busybox sleep 1000 >id; [ "$(cat err)" = "$NOTE" ] || cat err
		busy restart -t 0 held; [ "$(cat err)" = "$NOTE" ] || cat err
		zl logs held; zl rm -f held'
	status_is 0
	output_is "one
two
held
held"
	[ -z "$stderr" ] || fail "stderr: $stderr"
}
