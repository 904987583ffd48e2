#!/usr/bin/env bats
# ports.bats: published ports: from the host's sockets to what listens in the container.

load ../lib/common

setup_file() {
	zl_setup_file
	load_images busybox entry
}

teardown_file() {
	zl_teardown_file
}

setup() {
	needs_vm
}

teardown() {
	zl ps -aq | xargs -r "$ZL" rm -f >/dev/null
}

# free_ports N: the first of N ports that are free one after the other.
free_ports() {
	python3 - "$1" <<-'END'
		import random, socket, sys
		while True:
		    first = random.randrange(20000, 30000)
		    try:
		        for port in range(first, first + int(sys.argv[1])):
		            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
		                with socket.socket(socket.AF_INET, kind) as s:
		                    s.bind(("0.0.0.0", port))
		        break
		    except OSError:
		        pass
		print(first)
	END
}

client() {
	within 200 python3 "$lib/netclient.py" "$@"
}

# bats test_tags=core
@test "-p: TCP and UDP in all shapes, both families, many at once" {
	port=$(free_ports 4)
	zl run -qd --name web -p "$port-$((port + 3)):7000-7003" -p "$port:7000/udp" busybox \
		netserve 0.0.0.0 7000
	client 127.0.0.1 "$port" echo large half reset source many rude datagrams echo
	client ::1 "$port" echo datagrams
	run -0 zl port web 7000
	output_is "0.0.0.0:$port"$'\n'"[::]:$port"
	run -0 zl port web 7000/udp
	output_has "0.0.0.0:$port"
	run -0 zl ps --format '{{.Ports}}'
	output_is "0.0.0.0:$port-$((port + 3))->7000-7003/tcp, [::]:$port-$((port + 3))->7000-7003/tcp, 0.0.0.0:$port->7000/udp, [::]:$port->7000/udp"
	run -0 zl inspect -f '{{(index .NetworkSettings.Ports "7001/tcp" 0).HostPort}}' web
	output_is "$((port + 1))"

	# taken: docker's words and code, and the container that has it goes on
	run --separate-stderr zl run -q --rm -p "$port:80" busybox true
	status_is 125
	stderr_has "Bind for 0.0.0.0:$port failed: port is already allocated"
	run --separate-stderr zl run -q --rm -p "127.0.0.1:$port:80" busybox true
	status_is 125
	stderr_has "Bind for 127.0.0.1:$port failed: port is already allocated"
	client 127.0.0.1 "$port" echo

	# free again when it has ended; a port of the system's choice; -P
	zl rm -f web
	run -0 zl run -q --rm -p "$port:80" busybox true
	zl run -qd --name any -P --entrypoint netserve entry ::1 80
	any=$(zl port any 80/tcp | sed -n 's/^0.0.0.0://p')
	[ "$any" -gt 0 ]
	client 127.0.0.1 "$any" echo
	client ::1 "$any" echo
}

@test "who connects before the service listens waits, for as long as was said" {
	port=$(free_ports 4)
	zl run -qd --name late -p "127.0.0.1:$port-$((port + 3)):7000-7003" busybox \
		netserve 127.0.0.1 7000 2000
	client 127.0.0.1 "$port" echo
	client 127.0.0.1 "$port" half
	zl rm -f late
	zl run -qd --name never --publish-wait 0s -p "127.0.0.1:$port:7000" busybox sleep 1000
	SECONDS=0
	client 127.0.0.1 "$port" refused
	took_less 10
	zl pause never
	timeout 1 bash -c "exec 3<>/dev/tcp/127.0.0.1/$port; cat <&3" || true # it waits
	zl unpause never
	client 127.0.0.1 "$port" refused
}

@test "what the workload said last reaches its client" {
	port=$(free_ports 4)
	zl run -qd --name last -p "127.0.0.1:$port:7000" busybox \
		sh -c 'head -c 200000 /dev/zero | nc -l -p 7000 >/dev/null'
	run -0 bash -c "exec 3<>/dev/tcp/127.0.0.1/$port; wc -c <&3"
	output_is 200000
	run -0 zl wait last
	output_is 0
	run -0 zl port last
	output_is ""
}
