#!/usr/bin/env bats
# terminal.bats: what a user at a terminal sees, and finds again afterwards.

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
}

# at_terminal <SCRIPT: see lib/terminal.py
at_terminal() {
	cat >script.py
	run -0 python3 "$lib/terminal.py" script.py
}

# bats test_tags=core
@test "one shell: size, Ctrl-C, colours, keys in pieces, detach, attach, exec, and the terminal as it was" {
	at_terminal <<-'END'
		start("zl", "run", "-qit", "--name", "shell", "busybox", "sh", rows=31, cols=97)
		before = mode()
		expect("/ # ")
		raw = mode()
		assert raw != before and not raw[3] & termios.ICANON and not raw[3] & termios.ECHO
		type("stty size\r")
		expect("31 97\r\n")
		size(40, 120)
		type("until [ \"$(stty size)\" = '40 120' ]; do :; done; echo resi''zed\r")
		expect("resized")
		# Ctrl-C ends what runs in the foreground, not the shell, nor us
		type("sh -c 'echo wai\"\"ting; exec sleep 1000'\r")
		expect("waiting\r\n")
		type("\x03")
		type("echo after-$((20+1))\r")
		expect("after-21")
		# colours and whatever else comes, byte for byte
		type("printf '\\033[1;31mred\\033[0m\\303\\244\\007\\n'\r")
		expect("\x1b\\[1;31mred\x1b\\[0m\u00e4\x07\r\n")
		# a first detach key alone is a key like any other once the next is not the second
		type("sh -c 'echo rea\"\"dy; exec cat -v'\r")
		expect("ready\r\n")
		type("\x10")
		more(0.3)
		type("x\r")
		expect("\\^Px\r\n")
		type("\x04")
		expect("# ")
		# the keys, typed in pieces
		type("\x10")
		more(0.3)
		type("\x11")
		assert end() == 0, "detached"
		assert mode() == before, "mode after detach"

		# a late joiner finds the same shell, with another size; its own keys
		start("zl", "attach", "--detach-keys", "ctrl-a,d", "shell", rows=20, cols=60)
		before = mode()
		expect("# ")
		type("echo joi''ned $(stty size)\r")
		expect("joined 20 60")
		type("\x01d")
		assert end() == 0
		assert mode() == before

		# exec has the same of its own; its exit code
		start("zl", "exec", "-it", "shell", "sh", "-c", "stty size; read x; exit $x", rows=18, cols=50)
		before = mode()
		expect("18 50\r\n")
		type("7\r")
		assert end() == 7
		assert mode() == before
		start("zl", "exec", "-it", "--detach-keys", "ctrl-x", "shell", "sleep", "1000")
		before = mode()
		expect("")
		while mode() == before:
		    more(0.05)
		type("\x18")
		expect("read escape sequence")
		assert end() == 0
		assert mode() == before

		# without stdin nothing that is typed gets there, and nothing is changed here
		start("zl", "attach", "--no-stdin", "--sig-proxy=false", "shell")
		before = mode()
		more(1)
		type("echo wro''ng\r")
		more(1)
		assert mode() == before and b"wrong" not in shown, shown
		type("\x03")
		assert end() == 130
		# and the container minds none of it
		start("zl", "attach", "shell")
		type("exit 9\r")
		assert end() == 9
	END
}

@test "the terminal is as it was after SIGTERM, SIGHUP and SIGKILL's relatives, after kill, and when the machine dies" {
	zl run -qdit --name held busybox sh -c 'trap : HUP TERM; while :; do sleep 1; done'
	at_terminal <<-'END'
		import subprocess

		def attached(*command):
		    global before
		    start(*command)
		    before = mode()
		    while mode() == before:
		        more(0.05)

		# its signals go to the container, which minds none; without the proxy they end it here
		for sig in signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1:
		    attached("zl", "attach", "--sig-proxy=false", "held")
		    kill(sig)
		    assert end() == 128 + sig, sig
		    assert mode() == before, sig
		# stopped and continued
		attached("zl", "attach", "held")
		raw = mode()
		kill(signal.SIGTSTP)
		kill(signal.SIGCONT)
		assert mode() == raw
		# a terminal that is gone ends the client, not the container
		hang_up()
		end()
		assert subprocess.run(["zl", "inspect", "-f", "{{.State.Running}}", "held"], capture_output=True, text=True).stdout == "true\n"
		# the container is killed
		attached("zl", "attach", "held")
		subprocess.run(["zl", "kill", "held"], check=True, stdout=subprocess.DEVNULL)
		assert end() == 137
		assert mode() == before
		# the machine's process is
		attached("zl", "run", "-qit", "--name", "doomed", "busybox", "sh")
		expect("# ")
		holder = subprocess.run(["zl", "inspect", "-f", "{{.State.Pid}}", "doomed"], capture_output=True, text=True).stdout
		os.kill(int(holder), signal.SIGKILL)
		assert end() != 0
		assert mode() == before
	END
	zl rm -f held doomed
}

@test "several clients at once see the same; who types in one is read by the others" {
	zl run -qdit --name many busybox sh
	at_terminal <<-'END'
		import subprocess

		clients = []
		for i in range(4):
		    start("zl", "attach", "many", rows=24, cols=80)
		    while mode()[3] & termios.ICANON:
		        more(0.05)
		    clients.append((pid, master, slave))
		type("echo to-a''ll\r")
		for pid, master, slave in clients:
		    shown, at = b"", 0
		    expect("to-all\r\n")
		# one that leaves takes nobody with it
		pid, master, slave = clients.pop(1)
		os.kill(pid, signal.SIGKILL)
		end()
		pid, master, slave = clients[0]
		type("echo sti''ll\r")
		for pid, master, slave in clients:
		    shown, at = b"", 0
		    expect("still\r\n")
		type("exit 3\r")
		for pid, master, slave in clients:
		    assert end() == 3
	END
	zl rm many
}

@test "without a terminal -t is refused in docker's words, and needs none where nothing is typed" {
	run -1 --separate-stderr zl run --rm -qit busybox true </dev/null
	one_line_error
	stderr_has "the input device is not a TTY"
	zl run -qdt --name tt busybox sleep 1000
	run -1 --separate-stderr zl exec -it tt sh </dev/null
	one_line_error
	stderr_has "the input device is not a TTY"
	run -0 zl exec -t tt echo shown </dev/null
	output_is $'shown\r'
	zl rm -f tt
}
