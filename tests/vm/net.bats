#!/usr/bin/env bats
# net.bats: a container's way out: TCP, UDP, names, and what it must not reach. Servers listen on
# the loopback, or in a network namespace of their own.

load ../lib/common

setup_file() {
	zl_setup_file
	load_images busybox
}

teardown_file() {
	zl_teardown_file
}

setup() {
	needs_vm
	mkdir -p "$BATS_FILE_TMPDIR/servers"
}

teardown() {
	zl ps -aq | xargs -r "$ZL" rm -f >/dev/null
}

# serve ADDRESS...: netserver.py; sets SERVER to its folder and PORT to its port.
serve() {
	SERVER=$(mktemp -d "$BATS_FILE_TMPDIR/servers/net.XXXXXX")
	python3 "$lib/netserver.py" "$SERVER" "$@" >"$SERVER/out" 2>&1 3>&- 4>&- &
	echo $! >"$SERVER/pid"
	disown $!
	wait_until 20 test -e "$SERVER/port"
	PORT=$(cat "$SERVER/port")
}

# What netserver.py gives, as a sum.
pattern_sum() {
	python3 -c 'import hashlib; print(hashlib.sha256((bytes(range(251)) * 40000)[:8000000]).hexdigest())'
}

# bats test_tags=core
@test "TCP and UDP to the host's loopback by host-gateway: large, half-closed, refused" {
	serve 127.0.0.1 ::1
	run -0 --separate-stderr zl run -q --rm --add-host host:host-gateway busybox sh -c '
		port=$1
		cat /etc/hosts | grep -c "^10.0.2.2	host$"
		cat /sys/class/net/eth0/mtu
		head -c 8000000 /dev/urandom >/tmp/f
		(echo sum; cat /tmp/f) | nc 10.0.2.2 "$port" >/tmp/sum
		[ "$(sha256sum </tmp/f | cut -d" " -f1)" = "$(cat /tmp/sum)" ] && echo sent
		echo give 8000000 | nc 10.0.2.2 "$port" | sha256sum | cut -d" " -f1
		echo peer | nc fd7a:6c00::2 "$port"
		for size in 1 1400 20000; do netops udp host "$port" $size; done
		netops udp fd7a:6c00::2 "$port" 3000
		nc -w 10 10.0.2.2 1 </dev/null
		nc -w 10 fd7a:6c00::2 1 </dev/null
		ping -c 1 -W 10 10.0.2.2 >/dev/null && echo ping' sh "$PORT"
	output_is "1
65520
sent
$(pattern_sum)
::1
same
same
same
same
ping"
	[ "$(grep -c refused <<<"$stderr")" = 2 ] || fail "$stderr"
}

@test "the host's loopback is out of reach, by any address" {
	serve 127.0.0.1 ::1
	zl run -qd --name net busybox sleep 1000
	for to in 10.0.2.2 fd7a:6c00::2 0.0.0.0 ::ffff:10.0.2.2; do
		run zl exec net nc -w 5 "$to" "$PORT"
		[ "$status" != 0 ] || fail "$to answers: $output"
	done
	# a route of the guest's own for 127.0.0.2, as who has CAP_NET_ADMIN could make one
	run zl exec --privileged net sh -c '
		ip addr del 127.0.0.1/8 dev lo; ip route add 127.0.0.1 via 10.0.2.2
		ip -6 addr del ::1/128 dev lo; ip -6 route add ::1 via fd7a:6c00::2
		echo 1 >/proc/sys/net/ipv4/conf/all/route_localnet
		nc -w 5 127.0.0.1 "$1"; nc -w 5 ::1 "$1"' sh "$PORT"
	[ ! -e "$SERVER/seen" ] || fail "it was reached by $(cat "$SERVER/seen")"
	run -0 zl inspect -f '{{with .NetworkSettings}}{{.IPAddress}}/{{.IPPrefixLen}} {{.Gateway}} {{.Networks.bridge.GlobalIPv6Address}} {{.MacAddress}}{{end}} {{.HostConfig.NetworkMode}}' net
	mac=$(zl exec net cat /sys/class/net/eth0/address)
	output_is "10.0.2.15/24 10.0.2.2 fd7a:6c00::15 $mac bridge"
	run -0 zl ps --format '{{.Networks}}' --filter network=bridge
	output_is bridge
	# a process that was stopped, as a host that sleeps does it, goes on
	pid=$(zl inspect -f '{{.State.Pid}}' net)
	kill -STOP "$pid"
	kill -CONT "$pid"
	run -0 zl exec net ping -c 1 -W 20 10.0.2.2
	zl stop -t 0 net
	run -0 zl inspect -f '{{.NetworkSettings.IPAddress}}' net
	output_is ""
}

@test "--network none: the loopback is all there is" {
	run --separate-stderr zl run -q --rm --network none --add-host x:192.0.2.9 busybox sh -c \
		'ls /sys/class/net; tail -n 1 /etc/hosts | cut -f1; grep -c 192.0.2.9 /etc/hosts; ip -6 route; nc -w 5 10.0.2.2 1'
	status_is 1
	output_is "lo
127.0.0.1
1"
	[[ $stderr == *unreachable* ]] || fail "$stderr"
}

# in_netns SCRIPT: in a network and a mount namespace with the addresses 192.0.2.1 and 2001:db8::1,
# and an /etc/resolv.conf of its own, which is $BATS_TEST_TMPDIR/resolv.conf.
in_netns() {
	local flags
	flags=$(ns_flags)n
	unshare "$flags" true 2>/dev/null || skip "no network namespaces"
	touch "$BATS_TEST_TMPDIR/resolv.conf"
	# shellcheck disable=SC2016 # expanded inside
	run --separate-stderr unshare "$flags" bash -c '
		ip link set lo up && ip addr add 192.0.2.1/24 dev lo && ip addr add 192.0.2.2/24 dev lo &&
			ip addr add 2001:db8::1/64 dev lo nodad &&
			mount --bind "$1" "$(readlink -f /etc/resolv.conf)" || exit 99
		eval "$2"' _ "$BATS_TEST_TMPDIR/resolv.conf" "$1"
	[ "$status" != 99 ] || fail "no namespace to be made: ${stderr:-}"
}

@test "names by the host's name server, which may change; addresses of the host" {
	export -f wait_until
	printf '%s\n' 'search first.example sub.example' 'nameserver 192.0.2.1' >"$BATS_TEST_TMPDIR/resolv.conf"
	# shellcheck disable=SC2016 # expanded inside
	in_netns '
		mkdir one two
		DNS=www.sub.example=192.0.2.1,six.example=2001:db8::1 python3 "$lib/netserver.py" one \
			192.0.2.1 2001:db8::1 &
		servers=$!
		DNS=www.sub.example=192.0.2.77,later.example=192.0.2.1 python3 "$lib/netserver.py" two 192.0.2.2 &
		servers="$servers $!"
		wait_until 20 test -e one/port -a -e two/port
		port=$(cat one/port)
		zl run -qd --name names busybox sleep 1000 >/dev/null
		zl exec names sh -c "cat /etc/resolv.conf
			netops name www; netops name six.example; netops name nowhere.example
			echo peer | nc 192.0.2.1 $port; netops udp www $port 1200; netops udp six.example $port 1200
			netops name later.example"
		echo "nameserver 192.0.2.2" >/etc/resolv.conf
		zl exec names sh -c "sleep 2; netops name www.sub.example; netops name later.example"
		zl exec names netops udp 192.0.2.1 9 100
		kill $servers
		zl rm -f names >/dev/null'
	output_is "search first.example sub.example
nameserver 10.0.2.3
192.0.2.1
2001:db8::1
nowhere.example: Name does not resolve
192.0.2.1
same
same
later.example: Name does not resolve
192.0.2.77
192.0.2.1
another datagram: Connection refused"
	[ "$status" = 0 ]
	grep -q '^www.first.example$' one/asked
}
